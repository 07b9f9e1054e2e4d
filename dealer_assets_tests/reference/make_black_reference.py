"""Write `black_reference.csv`: Black-76 prices and Greeks from mpmath, the answers for `black.py`.

Only the price is written down here; every Greek is a numerical derivative of it at 150 digits, so
that no closed form of ours, right or wrong, can leak into the answers. Run by hand (ten
minutes) when the grid or a unit changes; the tests only read the file.
"""

import csv
import itertools
from pathlib import Path

import mpmath as mp

TARGET = Path(__file__).with_name("black_reference.csv")
DIGITS, CHECK_DIGITS = 150, 200
AGREE = mp.mpf(10) ** -25
"""Derivatives at 150 and at 200 digits must agree to this, or the step was too coarse."""

DAYS = 365
MINUTE = 1.0 / (DAYS * 24 * 60)
YEARS = (MINUTE, 60 * MINUTE, 2.0 / DAYS, 30.0 / DAYS, 1.0, 10.0)
VOLS = (0.01, 0.1, 0.3, 1.0, 3.0)
DEVIATIONS = (-20.0, -6.0, -2.0, 0.0, 0.03, 2.0, 6.0, 20.0)
"""ln(K/F) in standard deviations of the log price."""

MARKETS = ((5000.0, 0.05, 0.015), (42.0, -0.005, 0.0), (63_000.0, 0.0, 0.0), (0.6, 0.03, 0.08))
"""Spot, rate, dividend yield: an index, a share, a coin at r = 0, and negative carry."""

INPUTS = ("is_call", "S", "F", "K", "T", "sigma", "D")
ANSWERS = ("price", "delta", "gamma", "vega", "theta", "rho")
ANSWERS += ("vanna", "charm", "volga", "speed", "zomma", "color")


def price(is_call, S, K, T, sigma, carry, rate):
    """Black-76 price as a function of what the Greeks differentiate by."""
    sign = 1 if is_call else -1
    F = S * mp.exp(carry * T)
    total = sigma * mp.sqrt(T)
    d1 = mp.log(F / K) / total + total / 2
    value = F * mp.ncdf(sign * d1) - K * mp.ncdf(sign * (d1 - total))
    return mp.exp(-rate * T) * sign * value


def answers(row):
    """All answers of one row, in the units of `dealer_assets.domain.pricing.black.Greeks`."""
    is_call = row["is_call"]
    S, F, K, T, sigma, D = (mp.mpf(row[name]) for name in INPUTS[1:])
    carry, rate = mp.log(F / S) / T, -mp.log(D) / T
    dividend = rate - carry
    point, day = mp.mpf(1) / 100, mp.mpf(1) / DAYS

    def of_spot_vol(s, v):
        return price(is_call, s, K, T, v, carry, rate)

    def of_spot_time(s, t):
        return price(is_call, s, K, t, sigma, carry, rate)

    def of_rate(r):
        return price(is_call, S, K, T, sigma, r - dividend, r)

    return {
        "price": of_spot_vol(S, sigma),
        "delta": mp.diff(of_spot_vol, (S, sigma), (1, 0)),
        "gamma": mp.diff(of_spot_vol, (S, sigma), (2, 0)),
        "vega": mp.diff(of_spot_vol, (S, sigma), (0, 1)) * point,
        "theta": -mp.diff(of_spot_time, (S, T), (0, 1)) * day,
        "rho": mp.diff(of_rate, rate) * point,
        "vanna": mp.diff(of_spot_vol, (S, sigma), (1, 1)) * point,
        "charm": -mp.diff(of_spot_time, (S, T), (1, 1)) * day,
        "volga": mp.diff(of_spot_vol, (S, sigma), (0, 2)) * point**2,
        "speed": mp.diff(of_spot_vol, (S, sigma), (3, 0)),
        "zomma": mp.diff(of_spot_vol, (S, sigma), (2, 1)) * point,
        "color": -mp.diff(of_spot_time, (S, T), (2, 1)) * day,
    }


def grid():
    """Inputs, as the doubles that the code under test will be given."""
    cells = itertools.product(YEARS, VOLS, DEVIATIONS, (True, False))
    for number, (T, sigma, deviation, is_call) in enumerate(cells):
        S, rate, dividend = MARKETS[(number // 2) % len(MARKETS)]  # both rights of a strike alike
        F = float(S * mp.exp((rate - dividend) * T))
        K = float(F * mp.exp(deviation * sigma * mp.sqrt(T)))
        D = float(mp.exp(-rate * T))
        yield dict(zip(INPUTS, (is_call, S, F, K, T, sigma, D), strict=True))


def checked(row):
    """Answers at 150 digits, compared with those at 200."""
    with mp.workdps(CHECK_DIGITS):
        check = answers(row)
    with mp.workdps(DIGITS):
        found = answers(row)
        for name, value in found.items():
            scale = max(abs(check[name]), mp.mpf(10) ** -60)
            if abs(value - check[name]) > AGREE * scale and value != check[name]:
                raise ArithmeticError(f"{name} of {row} is not settled: {value} / {check[name]}")
    return found


def main() -> None:
    """Write the answers file."""
    with TARGET.open("w", newline="") as file:
        file.write(f"# mpmath {mp.__version__}, {DIGITS} digits, by make_black_reference.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*INPUTS, *ANSWERS))
        for row in grid():
            found = checked(row)
            values = [mp.nstr(found[name], 20, strip_zeros=False) for name in ANSWERS]
            writer.writerow([int(row["is_call"]), *(repr(row[n]) for n in INPUTS[1:]), *values])


if __name__ == "__main__":
    main()

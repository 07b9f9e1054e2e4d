"""Write `implied_vol_reference.csv`: out-of-the-money Black-76 prices of known vols, from mpmath.

The prices are not `black_price`'s, so that the solver and the pricer cannot agree on an error.
Run by hand when the grid changes; the tests only read the file.
"""

import csv
import itertools
from pathlib import Path

import mpmath as mp

TARGET = Path(__file__).with_name("implied_vol_reference.csv")
DIGITS = 50

DAYS = 365
MINUTE = 1.0 / (DAYS * 24 * 60)
YEARS = (MINUTE, 60 * MINUTE, 1.0 / DAYS, 30.0 / DAYS, 1.0, 10.0)
VOLS = (0.001, 0.01, 0.1, 0.5, 2.0, 5.0, 20.0, 140.0)
"""140 is what the wings of an index show minutes before expiry."""

DEVIATIONS = (0.0, 1e-6, 0.01, 0.5, 1.0, 2.0, 6.0, 12.0, 20.0, 33.8, 36.2)
"""|ln(K/F)| in standard deviations; 36.2 prices an index option at 1e-285."""

MAX_LOG_MONEYNESS = 40.0
"""No strike is 17 powers of ten from its forward; beyond 300 its price is no double either."""

F, RATE = 5000.0, 0.04
COLUMNS = ("is_call", "F", "K", "T", "D", "price", "parity_price", "vol", "elasticity")


def log_price(is_call, K, T, sigma, D):
    """Logarithm of the price, which is what the elasticity differentiates."""
    sign = 1 if is_call else -1
    total = sigma * mp.sqrt(T)
    d1 = mp.log(F / K) / total + total / 2
    return mp.log(D * sign * (F * mp.ncdf(sign * d1) - K * mp.ncdf(sign * (d1 - total))))


def rows():
    """Every row.

    `parity_price` is the other right's, which is in the money. `elasticity` is
    d ln(price) / d ln(vol), which says what rounding costs.
    """
    cells = itertools.product(YEARS, VOLS, DEVIATIONS, (True, False))
    for T, sigma, deviation, is_call in cells:
        if deviation * sigma * T**0.5 > MAX_LOG_MONEYNESS:
            continue
        side = 1 if is_call else -1
        K = float(F * mp.exp(side * deviation * sigma * mp.sqrt(T)))
        D = float(mp.exp(-RATE * T))
        exact = (is_call, mp.mpf(K), mp.mpf(T))

        def log_price_of(v, exact=exact, D=D):
            return log_price(*exact, v, mp.mpf(D))

        value = mp.exp(log_price_of(mp.mpf(sigma)))
        elasticity = mp.diff(log_price_of, mp.mpf(sigma)) * sigma
        parity_price = value + mp.mpf(D) * abs(mp.mpf(F) - mp.mpf(K))
        numbers = (F, K, T, D, float(value), float(parity_price), sigma, float(elasticity))
        yield [int(is_call), *(repr(number) for number in numbers)]


def main() -> None:
    """Write the answers file."""
    with mp.workdps(DIGITS), TARGET.open("w", newline="") as file:
        file.write(
            f"# mpmath {mp.__version__}, {DIGITS} digits, by make_implied_vol_reference.py\n"
        )
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows())


if __name__ == "__main__":
    main()

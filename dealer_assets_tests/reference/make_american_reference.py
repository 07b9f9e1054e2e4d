"""Write `american_reference.csv`: American prices from QuantLib, the answers for `american.py`.

QuantLib's QdFp engine at its high-precision scheme, which is good to 1e-9 of the strike at usual
rates. Its dates have days; life is therefore one year always, and rates and vol are scaled to the
life wanted, which changes nothing in the model. Contracts with a cash dividend are priced on a grid
of 800 spots, American and European, by the model in which the spot falls on the day.

Run by hand (ten seconds) when the grid changes; the tests only read the file.
"""

import csv
import itertools
from pathlib import Path

import numpy as np
import QuantLib as ql  # noqa: N813  (its own documentation's name)

TARGET = Path(__file__).with_name("american_reference.csv")
CONTRACT = ("set", "is_call", "S", "K", "T", "r", "q", "sigma")
COLUMNS = (*CONTRACT, "price", "european", "dividend", "dividend_days")
DAYS = (2.0 / 24.0, 1, 2, 5, 7, 14, 30, 60, 180, 365)
SPY_RATE, SPY_YIELD, SPY_SPOT = 0.04, 0.013, 450.0
WIDE, SEED = 300, 20_230_914
"""Contracts of the wide set: rates, yields, vols and lives that markets have shown, at random."""


class QuantLib:
    """American options of one year, priced by one engine."""

    def __init__(self) -> None:
        today = ql.Date(1, 1, 2026)
        ql.Settings.instance().evaluationDate = today
        days = ql.Actual365Fixed()
        self.last = today + 365
        self.today = today
        self.spot, self.rate, self.income, self.vol = (ql.SimpleQuote(0.1) for _ in range(4))
        self.process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(self.spot),
            ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(self.income), days)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(self.rate), days)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(self.vol), days)
            ),
        )
        self.engine = ql.QdFpAmericanEngine(
            self.process, ql.QdFpAmericanEngine.highPrecisionScheme()
        )

    def price(self, is_call, S, K, T, r, q, sigma) -> float:
        """Price of one contract."""
        self.spot.setValue(S)
        self.rate.setValue(r * T)
        self.income.setValue(q * T)
        self.vol.setValue(float(sigma * np.sqrt(T)))
        right = ql.Option.Call if is_call else ql.Option.Put
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(right, K), ql.AmericanExercise(self.today, self.last)
        )
        option.setPricingEngine(self.engine)
        return option.NPV()


def spy():
    """600 contracts like SPY's: two hours to a year, three deviations to both sides."""
    for days, z, is_call in itertools.product(DAYS, np.linspace(-3.0, 3.0, 30), (1, 0)):
        T = days / 365.0
        sigma = 0.16 + 0.02 * z * z - 0.02 * z
        K = round(SPY_SPOT * np.exp(z * sigma * np.sqrt(T)) * 4.0) / 4.0
        yield "spy", is_call, SPY_SPOT, K, T, SPY_RATE, SPY_YIELD, float(sigma)


def wide():
    """Contracts over the whole range that a chain can show, signs of rate and yield included."""
    random = np.random.default_rng(SEED)
    rates, yields = (0.0, 0.01, 0.05, 0.12, -0.01), (0.0, 0.01, 0.05, 0.2, -0.01, -0.1)
    while True:
        T, sigma = 10.0 ** random.uniform(-4.0, 0.9), 10.0 ** random.uniform(-1.3, 0.3)
        r = float(random.choice([*rates, random.uniform(-0.02, 0.15)]))
        q = float(random.choice([*yields, random.uniform(-0.1, 0.3)]))
        is_call = int(random.integers(2))
        K = 100.0 * float(np.exp(random.uniform(-3.0, 3.0) * sigma * np.sqrt(T)))
        double = r < q < 0.0 if is_call else q < r < 0.0
        if not double:  # QuantLib refuses two boundaries, and so do we
            yield "wide", is_call, 100.0, K, T, r, q, sigma


CASH_DIVIDEND, CASH_RATE, CASH_VOL = 1.95, 0.045, 0.15
CASH_DAYS = ((7, 2), (30, 2), (30, 7), (30, 20), (45, 7), (45, 30), (60, 45), (180, 45))
"""Days to expiry and to the dividend."""


def cash():
    """SPY-like contracts with one cash dividend: at the money and one deviation to both sides."""
    for (days, until), z, is_call in itertools.product(CASH_DAYS, (-1.0, 0.0, 1.0), (1, 0)):
        T = days / 365.0
        paid = CASH_DIVIDEND * np.exp(-CASH_RATE * until / 365.0)
        F = (SPY_SPOT - paid) * np.exp(CASH_RATE * T)
        K = float(F * np.exp(z * CASH_VOL * np.sqrt(T)))
        yield "cash", is_call, SPY_SPOT, K, T, CASH_RATE, 0.0, CASH_VOL, days, until


def cash_price(quantlib, contract, days, until, *, american) -> float:
    """Price of a contract with a cash dividend, by finite differences."""
    _, is_call, S, K, _, r, q, sigma = contract
    quantlib.spot.setValue(S)
    quantlib.rate.setValue(r)
    quantlib.income.setValue(q)
    quantlib.vol.setValue(sigma)
    last = quantlib.today + days
    exercise = ql.AmericanExercise(quantlib.today, last) if american else ql.EuropeanExercise(last)
    right = ql.Option.Call if is_call else ql.Option.Put
    option = ql.VanillaOption(ql.PlainVanillaPayoff(right, K), exercise)
    dividends = ql.DividendVector([quantlib.today + until], [CASH_DIVIDEND])
    steps = max(400, 8 * days)
    option.setPricingEngine(
        ql.FdBlackScholesVanillaEngine(quantlib.process, dividends, steps, 800, 2)
    )
    return option.NPV()


def main() -> None:
    """Write the answers file."""
    quantlib = QuantLib()
    with TARGET.open("w", newline="") as file:
        scheme = "QdFp high precision"
        file.write(f"# QuantLib {ql.__version__} {scheme}, by make_american_reference.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, *contract in itertools.chain(spy(), itertools.islice(wide(), WIDE)):
            price = quantlib.price(*contract)
            found = [f"{price:.12g}", "", "", ""]
            writer.writerow([name, *(repr(value) for value in contract), *found])
        for *contract, days, until in cash():
            american, european = (
                cash_price(quantlib, contract, days, until, american=early)
                for early in (True, False)
            )
            found = [f"{american:.12g}", f"{european:.12g}", CASH_DIVIDEND, until]
            writer.writerow([contract[0], *(repr(value) for value in contract[1:]), *found])


if __name__ == "__main__":
    main()

"""American options as QuantLib and pybaw price them.

Belongs here: engines and an inversion on top of one. Does not belong here: judging. Flat rate and
dividend yield per option, as both libraries assume; whole days to expiry, as QuantLib counts them.
"""

from collections.abc import Callable

import numpy as np

from dealer_assets_tests.bench.chain import Contracts, Floats

Run = Callable[[], Floats]

_LEAST_VOL, _MOST_VOL, _VOL_TOLERANCE = 0.01, 3.0, 1e-6


class QuantLibOptions:
    """QuantLib's objects for a set of options, made once; vol is a quote that can be set."""

    def __init__(self, contracts: Contracts, scheme: str) -> None:
        import QuantLib

        schemes = {
            "fast": QuantLib.QdFpAmericanEngine.fastScheme,
            "accurate": QuantLib.QdFpAmericanEngine.accurateScheme,
            "exact": QuantLib.QdFpAmericanEngine.highPrecisionScheme,
        }
        start = QuantLib.Date(21, 11, 2025)
        QuantLib.Settings.instance().evaluationDate = start
        counter = QuantLib.Actual365Fixed()  # in whole days: so are the expiries of the options
        self.vols = [QuantLib.SimpleQuote(float(v)) for v in contracts.sigma]
        self.options = []
        rows = zip(
            *(contracts.S, contracts.K, contracts.T, contracts.rate, contracts.dividend),
            *(contracts.is_call, self.vols),
            strict=True,
        )
        for spot, strike, years, rate, dividend, is_call, vol in rows:
            end = start + round(years * 365)
            right = QuantLib.Option.Call if is_call else QuantLib.Option.Put
            payoff = QuantLib.PlainVanillaPayoff(right, float(strike))
            option = QuantLib.VanillaOption(payoff, QuantLib.AmericanExercise(start, end))
            process = QuantLib.BlackScholesMertonProcess(
                QuantLib.QuoteHandle(QuantLib.SimpleQuote(float(spot))),
                QuantLib.YieldTermStructureHandle(
                    QuantLib.FlatForward(start, float(dividend), counter)
                ),
                QuantLib.YieldTermStructureHandle(
                    QuantLib.FlatForward(start, float(rate), counter)
                ),
                QuantLib.BlackVolTermStructureHandle(
                    QuantLib.BlackConstantVol(
                        start, QuantLib.NullCalendar(), QuantLib.QuoteHandle(vol), counter
                    )
                ),
            )
            engine = QuantLib.QdFpAmericanEngine(process, schemes[scheme]())
            option.setPricingEngine(engine)
            self.options.append(option)

    def prices(self) -> Floats:
        """Price each anew: caches are emptied by moving the vol to where it is."""
        found = np.empty(len(self.options))
        for i, option in enumerate(self.options):
            option.recalculate()
            found[i] = option.NPV()
        return found

    def vol_of(self, i: int, price: float) -> float:
        """Invert one price by Brent's method on the engine; NaN where no vol gives it."""
        from scipy.optimize import brentq

        quote, option = self.vols[i], self.options[i]

        def error(vol: float) -> float:
            quote.setValue(vol)
            return float(option.NPV() - price)

        kept = quote.value()
        try:
            return float(brentq(error, _LEAST_VOL, _MOST_VOL, xtol=_VOL_TOLERANCE))
        except (ValueError, RuntimeError):
            return float("nan")
        finally:
            quote.setValue(kept)


def quantlib_prices(contracts: Contracts, scheme: str) -> Run:
    return QuantLibOptions(contracts, scheme).prices


def quantlib_vols(contracts: Contracts, scheme: str) -> Run:
    options = QuantLibOptions(contracts, scheme)
    prices = contracts.price.tolist()
    return lambda: np.array([options.vol_of(i, price) for i, price in enumerate(prices)])


def pybaw_prices(contracts: Contracts) -> Run:
    from pybaw import baw_price

    total = contracts.sigma * np.sqrt(contracts.T)
    columns = (contracts.S, contracts.K, contracts.D, contracts.F, total)
    rights = np.where(contracts.is_call, "c", "p").tolist()
    rows = list(zip(*(v.tolist() for v in columns), rights, strict=True))
    return lambda: np.array([baw_price(*row) for row in rows])


def pybaw_vols(contracts: Contracts) -> Run:
    from pybaw import vectorized_baw_implied_vol

    rights = np.where(contracts.is_call, "c", "p")
    c, root = contracts, np.sqrt(contracts.T)
    return lambda: (
        np.asarray(vectorized_baw_implied_vol(c.price, c.S, c.K, c.D, c.F, rights)) / root
    )

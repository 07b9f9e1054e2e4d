"""Greeks as the peers compute them, in our units.

Belongs here: calling a library and stating how its units relate to ours. Does not belong here:
judging. A factory takes contracts and returns a call that gives whatever the library gives, and a
reader that turns that into arrays named and scaled as ours; the reader is not timed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dealer_assets_tests.bench.chain import Contracts, Floats

Read = Callable[[Any], dict[str, Floats]]
Made = tuple[Callable[[], Any], Read]

_POINT, _DAY = 0.01, 1.0 / 365.0
_RAW = {
    "vega": _POINT,
    "vanna": _POINT,
    "zomma": _POINT,
    "volga": _POINT * _POINT,
    "rho": _POINT,
    "theta": _DAY,
    "charm": _DAY,
    "color": _DAY,
}
"""From derivatives per 1.0 and per year to per point and per day."""


def _scaled(values: dict[str, Floats]) -> dict[str, Floats]:
    return {name: np.asarray(v) * _RAW.get(name, 1.0) for name, v in values.items()}


def numpy_formulas(c: Contracts) -> Made:
    """Write the twelve with numpy and scipy.special.ndtr, sharing what can be shared."""
    from scipy.special import ndtr

    def run() -> dict[str, Floats]:
        sign = np.where(c.is_call, 1.0, -1.0)
        root = np.sqrt(c.T)
        total = c.sigma * root
        d1 = np.log(c.F / c.K) / total + 0.5 * total
        d2 = d1 - total
        density = 0.3989422804014327 * np.exp(-0.5 * d1 * d1)
        n1, n2 = ndtr(sign * d1), ndtr(sign * d2)
        rate, carry = -np.log(c.D) / c.T, np.log(c.F / c.S) / c.T
        growth = c.D * c.F / c.S
        delta = sign * growth * n1
        gamma = growth * density / (c.S * total)
        vega = c.S * growth * density * root
        drift = carry / total - 0.5 * d2 / c.T
        dividend = rate - carry
        return {
            "price": sign * c.D * (c.F * n1 - c.K * n2),
            "delta": delta,
            "gamma": gamma,
            "vega": vega,
            "theta": -0.5 * vega * c.sigma / c.T
            + dividend * c.S * delta
            - sign * rate * c.K * c.D * n2,
            "rho": sign * c.K * c.T * c.D * n2,
            "vanna": -growth * density * d2 / c.sigma,
            "charm": -growth * density * drift + dividend * delta,
            "volga": vega * d1 * d2 / c.sigma,
            "speed": -gamma / c.S * (d1 / total + 1.0),
            "zomma": gamma * (d1 * d2 - 1.0) / c.sigma,
            "color": gamma * (dividend + drift * d1 + 0.5 / c.T),
        }

    return run, _scaled


def fast_vollib(c: Contracts) -> Made:
    from fast_vollib import get_all_greeks

    flags, rate, dividend = np.where(c.is_call, "c", "p"), c.rate, c.dividend

    def run() -> Any:
        return get_all_greeks(
            flags,
            c.S,
            c.K,
            c.T,
            rate,
            c.sigma,
            dividend,
            model="black_scholes_merton",
            return_as="dict",
            backend="numba",
        )

    return run, dict  # its units are per point and per day already


def pyvolr(c: Contracts) -> Made:
    from pyvolr.bs import greeks

    flags, rate, dividend = np.where(c.is_call, 1, -1).astype(np.int8), c.rate, c.dividend
    return lambda: greeks(flags, c.S, c.K, c.T, rate, c.sigma, dividend), _scaled


def polars_greeks(c: Contracts) -> Made:
    import polars as pl
    import polars_greeks as library

    columns = {"S": c.S, "K": c.K, "T": c.T, "v": c.sigma, "r": c.rate, "q": c.dividend}
    frame = pl.DataFrame({**columns, "is_call": c.is_call})
    names = ["delta", "gamma", "vega", "theta", "rho", "vanna", "charm", "volga", "speed", "zomma"]
    expression = library.df("S", "K", "T", "v", "r", "q", "is_call", greeks=names).alias("greeks")

    def read(found: Any) -> dict[str, Floats]:
        fields = found["greeks"].struct.unnest()
        return _scaled({name: fields[name].to_numpy() for name in names})

    return lambda: frame.select(expression), read


def polars_vol(c: Contracts) -> Made:
    import polars as pl
    from polars_vol import black_scholes_with_greeks

    columns = {"K": c.K, "S": c.D * c.F, "v": c.sigma, "T": c.T, "r": c.rate}
    frame = pl.DataFrame({**columns, "is_call": c.is_call})
    expression = black_scholes_with_greeks("K", "S", "v", "T", "r", "is_call").alias("greeks")

    def read(found: Any) -> dict[str, Floats]:
        # It has no dividends, hence the forward's own spot, F D; by the chain rule
        fields = found["greeks"].struct.unnest()
        growth = c.D * c.F / c.S
        return _scaled(
            {
                "price": fields["model_price"].to_numpy(),
                "delta": fields["delta"].to_numpy() * growth,
                "gamma": fields["gamma"].to_numpy() * growth * growth,
                "vega": fields["vega"].to_numpy(),
            }
        )

    return lambda: frame.select(expression), read


def iv_engine(c: Contracts) -> Made:
    import iv_engine as library

    columns = (c.F, c.K, c.T, c.sigma)

    def run() -> dict[str, Floats]:
        return {
            "gamma": library.gammas(*columns, parallel=False),
            "vega": library.vegas(*columns, parallel=False),
            "vanna": library.vannas(*columns, parallel=False),
            "volga": library.vommas(*columns, parallel=False),
        }

    def read(found: dict[str, Floats]) -> dict[str, Floats]:
        # Undiscounted and by the forward: dF/dS = F/S
        by_spot = c.F / c.S
        return _scaled(
            {
                "gamma": found["gamma"] * c.D * by_spot * by_spot,
                "vega": found["vega"] * c.D,
                "vanna": found["vanna"] * c.D * by_spot,
                "volga": found["volga"] * c.D,
            }
        )

    return run, read


def quantlib_loop(c: Contracts) -> Made:
    import QuantLib

    rights = [QuantLib.Option.Call if x else QuantLib.Option.Put for x in c.is_call]
    columns = (c.K, c.F, c.sigma * np.sqrt(c.T), c.D, c.S, c.T)
    rows = list(zip(rights, *(v.tolist() for v in columns), strict=True))

    def run() -> Floats:
        found = np.empty((len(rows), 5))
        for i, (right, strike, forward, total, discount, spot, years) in enumerate(rows):
            payoff = QuantLib.PlainVanillaPayoff(right, strike)
            one = QuantLib.BlackCalculator(payoff, forward, total, discount)
            found[i] = (
                one.delta(spot),
                one.gamma(spot),
                one.vega(years),
                one.theta(spot, years),
                one.rho(years),
            )
        return found

    return run, _five


def vollib_loop(c: Contracts) -> Made:
    from vollib.black_scholes_merton.greeks import analytical

    flags = np.where(c.is_call, "c", "p").tolist()
    columns = (c.S, c.K, c.T, c.rate, c.sigma, c.dividend)
    rows = list(zip(flags, *(v.tolist() for v in columns), strict=True))
    names = ("delta", "gamma", "vega", "theta", "rho")
    functions = [getattr(analytical, name) for name in names]

    def run() -> Floats:
        return np.array([[function(*row) for function in functions] for row in rows])

    return run, lambda found: dict(zip(names, found.T, strict=True))


def _five(found: Floats) -> dict[str, Floats]:
    return _scaled(dict(zip(("delta", "gamma", "vega", "theta", "rho"), found.T, strict=True)))

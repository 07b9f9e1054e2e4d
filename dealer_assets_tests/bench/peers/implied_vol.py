"""Implied vol as the peers compute it: one factory per library, inputs in its best form.

Belongs here: calling a library by its documented batch interface. Does not belong here: judging the
answers. A factory takes contracts and returns a call that gives vols of shape (n,), NaN where the
library says that there is none. Whatever a library wants prepared (flags, undiscounted prices, a
data frame) is prepared outside the timed call.
"""

import math
from collections.abc import Callable

import numpy as np

from dealer_assets_tests.bench.chain import Contracts, Floats

Solve = Callable[[], Floats]


def lbriv(c: Contracts) -> Solve:
    from lbriv import vectorized_implied_vol_strikes

    undiscounted, root = c.price / c.D, np.sqrt(np.where(c.T > 0.0, c.T, np.nan))
    groups = [
        (part, float(c.F[part.start]), 1 if c.is_call[part.start] else -1) for part in c.groups()
    ]

    def solve() -> Floats:
        total = np.empty(len(c))
        for part, forward, right in groups:
            total[part] = vectorized_implied_vol_strikes(
                undiscounted[part], forward, c.K[part], right
            )
        return total / root

    return solve


def iv_engine(c: Contracts) -> Solve:
    from iv_engine import implied_volatilities

    undiscounted = c.price / c.D
    call, put = np.flatnonzero(c.is_call), np.flatnonzero(~c.is_call)
    sides = [
        (where, [np.ascontiguousarray(v[where]) for v in (undiscounted, c.F, c.K, c.T)], right)
        for where, right in ((call, True), (put, False))
        if where.size
    ]

    def solve() -> Floats:
        vol = np.empty(len(c))
        for where, columns, right in sides:
            vol[where] = implied_volatilities(*columns, is_call=right, parallel=False)
        return vol

    return solve


def fast_vollib_jackel(c: Contracts) -> Solve:
    from fast_vollib.jackel import jackel_iv_black

    undiscounted = c.price / c.D
    return lambda: jackel_iv_black(undiscounted, c.F, c.K, c.T, c.is_call)


def fast_vollib_default(c: Contracts) -> Solve:
    from fast_vollib import fast_implied_volatility_black

    flags, rate = np.where(c.is_call, "c", "p"), c.rate
    return lambda: fast_implied_volatility_black(
        c.price, c.F, c.K, rate, c.T, flags, on_error="ignore", return_as="numpy", backend="numba"
    )


def pyvolr(c: Contracts) -> Solve:
    from pyvolr.black76 import implied_vol

    flags, rate = np.where(c.is_call, 1, -1).astype(np.int8), c.rate
    return lambda: implied_vol(c.price, flags, c.F, c.K, c.T, rate, on_error="ignore")


def vanilla_option_pricers(c: Contracts) -> Solve:
    from vanilla_option_pricers import infer_bsm_ivols_from_slice_prices

    rights = np.where(c.is_call, "C", "P")
    groups = [
        (part, float(c.T[part.start]), float(c.F[part.start]), float(c.D[part.start]))
        for part in c.groups()
    ]

    def solve() -> Floats:
        vol = np.empty(len(c))
        for part, years, forward, discount in groups:
            vol[part] = infer_bsm_ivols_from_slice_prices(
                years, forward, discount, c.K[part], rights[part], c.price[part]
            )
        return vol

    return solve


def quantkit(c: Contracts) -> Solve:
    from quantkit import implied_vol_batch

    spot, rate = c.D * c.F, c.rate  # no dividend: the forward's own spot
    sides = []
    for where, right in ((np.flatnonzero(c.is_call), True), (np.flatnonzero(~c.is_call), False)):
        columns = [np.ascontiguousarray(v[where]) for v in (c.price, spot, c.K, rate, c.T)]
        sides.append((where, columns, right))

    def solve() -> Floats:
        vol = np.empty(len(c))
        for where, columns, right in sides:
            if where.size:
                vol[where] = implied_vol_batch(*columns, right, errors="nan")
        return vol

    return solve


def polars_vol(c: Contracts) -> Solve:
    import polars as pl
    from polars_vol import implied_vol

    frame = pl.DataFrame(
        {
            "price": c.price,
            "strike": c.K,
            "spot": c.D * c.F,
            "time": c.T,
            "rate": c.rate,
            "is_call": c.is_call,
        }
    )
    expression = implied_vol("price", "strike", "spot", "time", "rate", "is_call")
    return lambda: frame.select(expression.alias("vol"))["vol"].to_numpy()


def quantlib_loop(c: Contracts) -> Solve:
    import QuantLib

    rights = [QuantLib.Option.Call if x else QuantLib.Option.Put for x in c.is_call]
    rows = list(zip(rights, *(v.tolist() for v in (c.K, c.F, c.price, c.D, c.T)), strict=True))
    find, none = QuantLib.blackFormulaImpliedStdDevLiRS, QuantLib.nullDouble()

    def solve() -> Floats:
        vol = np.full(len(rows), np.nan)
        for i, (right, strike, forward, price, discount, years) in enumerate(rows):
            if not years > 0.0:
                continue  # it knows total vol only
            try:
                total = find(right, strike, forward, price, discount, 0.0, none, 1.0, 1e-12, 100)
            except RuntimeError:
                continue
            vol[i] = total / math.sqrt(years)
        return vol

    return solve


def vollib_loop(c: Contracts) -> Solve:
    from vollib.black.implied_volatility import implied_volatility

    flags = np.where(c.is_call, "c", "p").tolist()
    columns = [v.tolist() for v in (c.price, c.F, c.K, c.rate, c.T)]
    rows = list(zip(*columns, flags, strict=True))
    return lambda: _loop(implied_volatility, rows)


def py_lets_be_rational_loop(c: Contracts) -> Solve:
    from py_lets_be_rational import implied_volatility_from_a_transformed_rational_guess as find

    signs = np.where(c.is_call, 1.0, -1.0).tolist()
    rows = list(zip(*(v.tolist() for v in (c.price / c.D, c.F, c.K, c.T)), signs, strict=True))
    return lambda: _loop(find, rows)


def _loop(find: Callable[..., float], rows: list[tuple[object, ...]]) -> Floats:
    vol = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        try:
            vol[i] = find(*row)
        except Exception:  # noqa: BLE001 - each library has errors of its own; all mean "no vol"
            continue
    return vol


def numpy_newton(c: Contracts) -> Solve:
    """Write what a careful user writes: twelve Halley steps on the log price, vectorised."""
    from scipy.special import log_ndtr

    def solve() -> Floats:
        intrinsic = np.maximum(np.where(c.is_call, c.F - c.K, c.K - c.F), 0.0)
        value = c.price / c.D - intrinsic
        value = np.where((value > 0.0) & (c.T > 0.0), value, np.nan)
        x = -np.abs(np.log(c.F / c.K))
        target = np.log(value / np.sqrt(c.F * c.K))
        s = np.sqrt(2.0 * np.abs(x)) + 1e-6
        for _ in range(12):
            h, t = x / s, 0.5 * s
            gain, loss = 0.5 * x + log_ndtr(h + t), -0.5 * x + log_ndtr(h - t)
            log_price = gain + np.log1p(-np.exp(loss - gain))
            slope = np.exp(-0.5 * (h * h + t * t) - 0.5 * math.log(2.0 * math.pi) - log_price)
            newton = (log_price - target) / slope
            curvature = h * h / s - 0.25 * s - slope
            step = newton / np.maximum(1.0 - 0.5 * newton * curvature, 0.5)
            s = np.maximum(s - step, 0.2 * s)
        return s / np.sqrt(c.T)

    return solve

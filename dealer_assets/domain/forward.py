"""Forward and discount of every expiry slice, from the chain's own call-put parity.

Belongs here: parity fits and the declared fallbacks. Does not belong here: rate curves from files
(they come with the rates provider) or vols. Source: `docs/methods/forwards.md`.

Per slice ``C - P = D (F - K)`` over two-sided strikes near the money, weighted by the quotes'
widths, outliers down-weighted (Huber). A short slice does not determine `D` (a cent of noise is
whole per cents of rate), so slices under `POOLED_BELOW_YEARS` take the rate pooled over the chain.
Methods stored with each slice: ``parity`` (three pairs or more), ``curve`` (fewer pairs, pooled
rate), ``carry`` (no pair: carry interpolated from neighbouring expiries), ``venue`` (the venue
publishes a forward), ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_PAIRS = 3
MAX_PAIRS = 30
"""Pairs used per slice: the nearest to the forward; further out quotes only add width."""

POOLED_BELOW_YEARS = 0.25
"""Slices shorter than this take the pooled rate: their own slope is noise."""

RATE_BOUNDS = (-0.02, 0.12)
"""Continuously compounded rates outside are not believed; the slice takes the pooled rate."""

_HUBER_CUT = 1.5
_HUBER_ROUNDS = 8


@dataclass(frozen=True)
class Slices:
    """Forwards of m expiry slices; every array has shape (m,).

    Parameters
    ----------
    forward : float64 array
        Forward [USD]; NaN where the method is ``none``.
    discount : float64 array
        Discount factor; NaN where the method is ``none``.
    method : array of str
        ``parity``, ``curve``, ``carry``, ``venue`` or ``none``.
    pairs : int64 array
        Call-put pairs behind the fit.
    residual : float64 array
        Median absolute parity residual in half-spreads; NaN without pairs.
    """

    forward: Floats
    discount: Floats
    method: NDArray[np.str_]
    pairs: Ints
    residual: Floats


@dataclass(frozen=True)
class Pairs:
    """Two-sided call-put pairs of one or many slices; every array has shape (n,).

    Parameters
    ----------
    slice_id : int64 array
        Which slice a pair belongs to, 0..m-1.
    strike : float64 array
        Strike [USD].
    difference : float64 array
        Call mid minus put mid [USD].
    half_spread : float64 array
        Half-width of the difference: half the sum of both spreads [USD], positive.
    """

    slice_id: Ints
    strike: Floats
    difference: Floats
    half_spread: Floats


def fit_slices(pairs: Pairs, years: Floats, *, spot: float) -> Slices:
    """Find forward and discount of every slice.

    Parameters
    ----------
    pairs : Pairs
        All two-sided pairs of the chain.
    years : float64 array, shape (m,)
        Year fraction of each slice; positive.
    spot : float
        Underlying price [USD]; NaN when not known, then carry starts from the nearest forward.

    Returns
    -------
    Slices
        One entry per slice. A slice that nothing determines has method ``none`` and NaN.
    """
    m = years.size
    chosen = [_near_money(pairs, i) for i in range(m)]
    counts = np.array([c.size for c in chosen], np.int64)
    rates = np.full(m, np.nan)
    for i, index in enumerate(chosen):
        if counts[i] >= 2 * MIN_PAIRS and years[i] >= POOLED_BELOW_YEARS:
            rates[i] = _fitted_rate(pairs, index, years=years[i])
    pooled = _pooled_rate(rates, years)
    rates = np.where(np.isfinite(rates), rates, pooled)
    discount = np.exp(-rates * years)

    forward, residual = np.full(m, np.nan), np.full(m, np.nan)
    for i, index in enumerate(chosen):
        if counts[i]:
            forward[i], residual[i] = _forward_given_discount(pairs, index, discount=discount[i])
    method = np.where(counts >= MIN_PAIRS, "parity", np.where(counts > 0, "curve", "carry"))
    forward, filled = _fill_by_carry(forward, years, spot=spot)
    method = np.where(filled, method, "none")
    return Slices(forward, np.where(filled, discount, np.nan), method, counts, residual)


def venue_slices(forward: Floats) -> Slices:
    """Take forwards that the venue publishes, undiscounted (Deribit: r = 0).

    Parameters
    ----------
    forward : float64 array, shape (m,)
        Venue's forward per slice [USD], NaN where it gives none.

    Returns
    -------
    Slices
        Method ``venue``, or ``none`` where the venue gives nothing.
    """
    known = np.isfinite(forward)
    return Slices(
        forward=forward,
        discount=np.where(known, 1.0, np.nan),
        method=np.where(known, "venue", "none"),
        pairs=np.zeros(forward.size, np.int64),
        residual=np.full(forward.size, np.nan),
    )


def _near_money(pairs: Pairs, slice_id: int) -> Ints:
    """Return indices of the slice's pairs nearest to where call and put cost the same."""
    index = np.flatnonzero(pairs.slice_id == slice_id)
    if index.size == 0:
        return index
    strike, difference = pairs.strike[index], pairs.difference[index]
    centre = np.median((strike + difference)[np.argsort(np.abs(difference))[:5]])
    order = np.argsort(np.abs(strike - centre), kind="stable")
    return index[np.sort(order[:MAX_PAIRS])]


def _huber_line(x: Floats, y: Floats, scale: Floats) -> tuple[float, float]:
    """Intercept and slope of a weighted line, outliers down-weighted."""
    weight = 1.0 / scale**2
    intercept = slope = 0.0
    for _ in range(_HUBER_ROUNDS):
        total = weight.sum()
        x0, y0 = (weight * x).sum() / total, (weight * y).sum() / total
        slope = (weight * (x - x0) * (y - y0)).sum() / (weight * (x - x0) ** 2).sum()
        intercept = y0 - slope * x0
        error = np.abs(y - intercept - slope * x) / scale
        cut = _HUBER_CUT * max(float(np.median(error)), 1e-3)
        weight = np.minimum(1.0, cut / np.maximum(error, 1e-12)) / scale**2
    return float(intercept), float(slope)


def _fitted_rate(pairs: Pairs, index: Ints, *, years: float) -> float:
    """Rate from the slope of parity; NaN when it is not believable."""
    strike = pairs.strike[index]
    if np.ptp(strike) <= 0.0:
        return float("nan")
    _, slope = _huber_line(strike, pairs.difference[index], pairs.half_spread[index])
    if slope >= 0.0:
        return float("nan")
    rate = -np.log(-slope) / years
    return float(rate) if RATE_BOUNDS[0] <= rate <= RATE_BOUNDS[1] else float("nan")


def _pooled_rate(rates: Floats, years: Floats) -> float:
    """Median believable rate of the chain; 0 when no slice is long enough to tell.

    Zero is safe there: such a chain has only short slices, where 5 % of rate moves a discount
    factor by less than 1.3 %, and the forward is still the quotes' own.
    """
    known = np.isfinite(rates) & (years <= 2.0)
    return float(np.median(rates[known])) if known.any() else 0.0


def _forward_given_discount(pairs: Pairs, index: Ints, *, discount: float) -> tuple[float, float]:
    """Weighted robust mean of each pair's own forward, and the residual in half-spreads."""
    implied = pairs.strike[index] + pairs.difference[index] / discount
    scale = pairs.half_spread[index] / discount
    forward = float(np.median(implied))
    for _ in range(_HUBER_ROUNDS):
        error = np.abs(implied - forward) / scale
        cut = _HUBER_CUT * max(float(np.median(error)), 1e-3)
        weight = np.minimum(1.0, cut / np.maximum(error, 1e-12)) / scale**2
        forward = float((weight * implied).sum() / weight.sum())
    return forward, float(np.median(np.abs(implied - forward) / scale))


def _fill_by_carry(
    forward: Floats, years: Floats, *, spot: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Fill slices without a pair: linear in log forward, beyond the last at its average carry."""
    known = np.isfinite(forward)
    if known.all() or not (known.any() or np.isfinite(spot)):
        return forward, known
    x, y = years[known], np.log(forward[known])
    if np.isfinite(spot):
        x, y = np.append(0.0, x), np.append(np.log(spot), y)
    order = np.argsort(x)
    x, y = x[order], y[order]
    inside = np.interp(years, x, y)
    carry = (y[-1] - y[0]) / (x[-1] - x[0]) if x[-1] > x[0] else 0.0
    beyond = np.maximum(years - x[-1], 0.0) * carry
    filled = np.where(known, forward, np.exp(inside + beyond))
    return filled, np.ones(forward.size, np.bool_)

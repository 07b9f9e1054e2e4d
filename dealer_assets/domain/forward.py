"""Forward and discount of every expiry slice, from the chain's own call-put parity.

Belongs here: the declared order of what determines discount and forward, and what each is worth.
Does not belong here: the fits themselves (`domain/parity.py`), rate curves (`domain/rates.py`) or
vols. Source: `docs/methods/forwards.md`.

Per slice ``C - P = D (F - K)`` over two-sided strikes, weighted by the quotes' widths, outliers
down-weighted. A short slice does not determine `D` (a cent of noise is whole per cents of rate), so
slices under `POOLED_BELOW_YEARS` and those whose slope is not believable take the rate of the
curve, or without one the rate pooled over the chain; `rate_source` says which.

Methods stored with each slice: ``parity`` (three pairs or more), ``curve`` (fewer pairs: the
nearest one, with a rate from elsewhere), ``carry`` (no pair: carry interpolated from neighbouring
expiries), ``venue`` (the venue publishes a forward), ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.parity import (
    MAX_PAIRS,
    Block,
    Mean,
    Pairs,
    centres,
    fit_line,
    fit_mean,
    near_block,
    usable,
    wide_block,
)
from dealer_assets.domain.rates import RateCurve

__all__ = ["MAX_PAIRS", "Pairs", "Slices", "fit_slices", "venue_slices"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.str_]

MIN_PAIRS = 3

POOLED_BELOW_YEARS = 0.25
"""Slices shorter than this take another rate than their own: their slope is noise."""

RATE_BOUNDS = (-0.02, 0.12)
"""Without a curve, continuously compounded rates outside are not believed."""

RATE_BAND = 0.01
"""With a curve, a fitted rate further than this from it is not believed. Index options are mostly
financed 0.1 to 0.4 % above Treasuries; the rest is room for stress and an intraday move."""

MAX_RATE_ERROR = 0.005
"""A fitted rate with a larger standard error says nothing that the curve does not say better."""

CURVE_RATE_ERROR = 0.004
"""Error of taking the Treasury's rate for the options' own."""

POOLED_RATE_ERROR = 0.002
"""Least error of taking one rate for all slices of a chain."""

ZERO_RATE_ERROR = 0.05
"""Error of taking 0 where nothing tells the rate."""

CARRY_ERROR = 0.02
"""Error of an interpolated forward, per year of distance to the nearest known one [share of it]."""

PARITY_BROKEN = 1.0
"""A median residual above this many half-spreads: calls and puts contradict each other, so the
quotes are stale, frozen or of different instants."""


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
        Call-put pairs behind the forward.
    residual : float64 array
        Median absolute parity residual in half-spreads; NaN without pairs.
    rate : float64 array
        Continuously compounded rate behind the discount [1/year]; NaN where ``none``.
    rate_source : array of str
        ``fitted`` (the slice's own slope), ``curve`` (rate curve), ``pooled`` (median of the
        chain's fitted rates), ``zero`` (nothing tells), ``venue`` (0 by the venue's rule) or
        ``none``.
    rate_error : float64 array
        Standard error of the rate [1/year]; declared where it is not fitted.
    forward_error : float64 array
        Standard error of the forward [USD]; NaN for ``venue`` and ``none``.
    carry : float64 array
        ``ln(F/S) / T`` [1/year]; NaN without spot.
    dividend_value : float64 array
        ``S - F D``: present value of what the holder of the spot gets until expiry [USD]; NaN
        without spot.
    quality : array of str
        ``ok``, ``parity_broken`` (residual above `PARITY_BROKEN`), ``thin`` (fewer than three
        pairs), ``no_pairs``, ``venue`` or ``none``.
    """

    forward: Floats
    discount: Floats
    method: Words
    pairs: Ints
    residual: Floats
    rate: Floats
    rate_source: Words
    rate_error: Floats
    forward_error: Floats
    carry: Floats
    dividend_value: Floats
    quality: Words


@dataclass(frozen=True)
class _Rates:
    rate: Floats
    error: Floats
    source: Words


def fit_slices(
    pairs: Pairs, years: Floats, *, spot: float, curve: RateCurve | None = None
) -> Slices:
    """Find forward and discount of every slice.

    Parameters
    ----------
    pairs : Pairs
        All two-sided pairs of the chain; those that are not finite are left out. For American
        options the differences are to be freed of early-exercise premiums before.
    years : float64 array, shape (m,)
        Year fraction of each slice; one that is not positive gives a slice ``none``.
    spot : float
        Underlying price [USD]; NaN when not known, then carry starts from the nearest forward.
    curve : RateCurve, optional
        Rates known at the chain's instant. Without it rates are pooled over the chain.

    Returns
    -------
    Slices
        One entry per slice. A slice that nothing determines has method ``none`` and NaN.
    """
    m = years.size
    timed = np.isfinite(years) & (years > 0.0)
    years = np.where(timed, years, np.nan)
    pairs = usable(pairs, m)
    centre = centres(pairs, m)
    near = near_block(pairs, centre)
    counts = np.where(timed, near.counts, 0)
    rates = _rates(wide_block(pairs, centre), years, curve)
    discount = np.exp(-rates.rate * years)

    mean = fit_mean(near, discount)
    measured, error = _measured(near, mean, counts, discount)
    error = np.hypot(error, np.abs(mean.lever) * years * rates.error)
    known = np.isfinite(measured) & (measured > 0.0)
    forward, forward_error = _fill_by_carry(measured, error, years, spot=spot)
    filled = np.isfinite(forward)
    method = np.where(counts >= MIN_PAIRS, "parity", "curve")
    method = np.where(known, method, np.where(filled, "carry", "none"))
    residual = np.where(known, mean.residual, np.nan)
    return _slices(
        _Rates(
            np.where(filled, rates.rate, np.nan),
            np.where(filled, rates.error, np.nan),
            np.where(filled, rates.source, "none"),
        ),
        forward=(forward, forward_error),
        years=years,
        spot=spot,
        fit=(method, np.where(known, counts, 0), residual),
    )


def venue_slices(
    forward: Floats, *, years: Floats | None = None, spot: float = float("nan")
) -> Slices:
    """Take forwards that the venue publishes, undiscounted (Deribit: r = 0).

    Parameters
    ----------
    forward : float64 array, shape (m,)
        Venue's forward per slice [USD], NaN where it gives none.
    years : float64 array, shape (m,), optional
        Year fractions, for the carry.
    spot : float, optional
        Underlying price [USD], for carry and dividend value.

    Returns
    -------
    Slices
        Method ``venue``, or ``none`` where the venue gives nothing.
    """
    known = np.isfinite(forward) & (forward > 0.0)
    rate = np.where(known, 0.0, np.nan)
    unknown = np.full(forward.size, np.nan)
    word = np.where(known, "venue", "none")
    return _slices(
        _Rates(rate, rate, word),
        forward=(np.where(known, forward, np.nan), unknown),
        years=unknown if years is None else years,
        spot=spot,
        fit=(word, np.zeros(forward.size, np.int64), unknown),
    )


def _slices(
    rates: _Rates,
    *,
    forward: tuple[Floats, Floats],
    years: Floats,
    spot: float,
    fit: tuple[Words, Ints, Floats],
) -> Slices:
    """Put the columns together with what follows from them."""
    level, error = forward
    method, pairs, residual = fit
    undiscounted = np.isnan(years) & np.isfinite(level) & (rates.rate == 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        discount = np.where(undiscounted, 1.0, np.exp(-rates.rate * years))
        carry = np.log(level / spot) / years if spot > 0.0 else np.full(level.size, np.nan)
        quality = np.where(residual > PARITY_BROKEN, "parity_broken", "ok")
    for word, replacement in (("curve", "thin"), ("carry", "no_pairs")):
        quality = np.where(method == word, replacement, quality)
    quality = np.where(np.isin(method, ("venue", "none")), method, quality)
    return Slices(
        forward=level,
        discount=discount,
        method=method,
        pairs=pairs,
        residual=residual,
        rate=rates.rate,
        rate_source=rates.source,
        rate_error=rates.error,
        forward_error=error,
        carry=carry,
        dividend_value=spot - level * discount,
        quality=quality,
    )


def _rates(wide: Block, years: Floats, curve: RateCurve | None) -> _Rates:
    """Rate of every slice by the declared order: own slope, curve, pooled, zero."""
    line = fit_line(wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = -np.log(-line.slope) / years
        own_error = line.slope_error / -line.slope / years
        reference = None if curve is None else curve.rate_at(years)
        low, high = (
            RATE_BOUNDS if reference is None else (reference - RATE_BAND, reference + RATE_BAND)
        )
        believed = (years >= POOLED_BELOW_YEARS) & (wide.counts >= 2 * MIN_PAIRS)
        believed &= (own >= low) & (own <= high) & (own_error <= MAX_RATE_ERROR)
    if reference is not None:
        other, other_error, word = reference, CURVE_RATE_ERROR, "curve"
    else:
        other, other_error, word = _pooled(own[believed & (years <= 2.0)], years.size)
    return _Rates(
        np.where(believed, own, other),
        np.where(believed, own_error, other_error),
        np.where(believed, "fitted", word),
    )


def _pooled(rates: Floats, slices: int) -> tuple[Floats, float, str]:
    """Median believed rate of the chain; 0 when no slice is long enough to tell.

    Zero is safe there: such a chain has only short slices, where 5 % of rate moves a discount
    factor by less than 1.3 %, and the forward is still the quotes' own.
    """
    if rates.size == 0:
        return np.zeros(slices), ZERO_RATE_ERROR, "zero"
    pooled = float(np.median(rates))
    scatter = 1.4826 * float(np.median(np.abs(rates - pooled)))
    return np.full(slices, pooled), max(scatter, POOLED_RATE_ERROR), "pooled"


def _measured(near: Block, mean: Mean, counts: Ints, discount: Floats) -> tuple[Floats, Floats]:
    """Forward and error by pairs: the robust mean of three and more, else the nearest pair's."""
    with np.errstate(invalid="ignore", divide="ignore"):
        nearest = near.strike[:, 0] + near.difference[:, 0] / discount
        nearest_error = near.half_spread[:, 0] / discount
    is_fit = counts >= MIN_PAIRS
    forward = np.where(is_fit, mean.forward, np.where(counts > 0, nearest, np.nan))
    return forward, np.where(is_fit, mean.error, np.where(counts > 0, nearest_error, np.nan))


def _fill_by_carry(
    forward: Floats, error: Floats, years: Floats, *, spot: float
) -> tuple[Floats, Floats]:
    """Fill slices without a pair: linear in log forward, beyond the last at its average carry."""
    known = np.isfinite(forward) & (forward > 0.0)
    spotted = spot > 0.0 and np.isfinite(spot)
    if known.all() or not (known.any() or spotted):
        return np.where(known, forward, np.nan), np.where(known, error, np.nan)
    x, y, e = years[known], np.log(forward[known]), error[known]
    if spotted:
        x, y, e = np.append(0.0, x), np.append(np.log(spot), y), np.append(0.0, e)
    order = np.argsort(x, kind="stable")
    x, y, e = x[order], y[order], e[order]
    inside = np.interp(years, x, y)
    carry = (y[-1] - y[0]) / (x[-1] - x[0]) if x[-1] > x[0] else 0.0
    beyond = np.maximum(years - x[-1], 0.0) * carry
    filled = np.where(known, forward, np.exp(inside + beyond))
    gap = np.abs(years[:, None] - x[None, :]).min(axis=1)
    guessed = np.hypot(np.interp(years, x, e), CARRY_ERROR * gap * filled)
    return filled, np.where(known, error, guessed)

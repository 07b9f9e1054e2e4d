"""Call-put parity fitted to the pairs of many expiry slices at once.

Belongs here: which pairs of a slice serve, the robust line and the robust mean with their errors.
Does not belong here: what a slice without a fit gets, rates and carries (`domain/forward.py`).
Source: `docs/methods/forwards.md`.

A `Block` holds one slice per row, padded on the right: numpy then works on all slices at once,
which is what makes a chain of fifty slices cost two milliseconds instead of twenty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_PAIRS = 30
"""Pairs used for a forward: the nearest to it; further out quotes only add width."""

MAX_RATE_PAIRS = 60
"""Pairs used for a rate, spread evenly over `RATE_WINDOW`."""

RATE_WINDOW = 0.2
"""A rate is a slope: it needs strikes this far (in log-strike) to both sides of the forward."""

_CENTRE_PAIRS = 5
_HUBER_CUT = 1.5
_HUBER_ROUNDS = 8
_MAD_TO_SD = 1.4826
_LEAST_SD = 0.1
"""Floor of the residuals' standard deviation [half-spreads]: smoother quotes are one model's."""

_CORRELATED_PAIRS = 10.0
"""So many neighbouring pairs err together (quoted by one model, off one futures price), so that
the error falls with the square root of groups of pairs, not of pairs. Calibrated so that SPX and
SPXW of one expiry date differ by as much as their errors say."""


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


@dataclass(frozen=True)
class Block:
    """Pairs of m slices, one row each, padded to the longest; arrays of shape (m, width).

    Parameters
    ----------
    strike, difference, half_spread : float64 array
        As in `Pairs`; 0, 0 and infinity in the padding, so that its weight is 0.
    used : bool array
        False in the padding.
    """

    strike: Floats
    difference: Floats
    half_spread: Floats
    used: Bools

    @property
    def counts(self) -> Ints:
        """Pairs per slice, shape (m,)."""
        return np.asarray(self.used.sum(axis=1), np.int64)


@dataclass(frozen=True)
class Line:
    """Robust line ``difference = D (F - K)`` per slice; NaN below three different strikes.

    Parameters
    ----------
    slope : float64 array, shape (m,)
        Minus the discount factor.
    slope_error : float64 array, shape (m,)
        Its standard error.
    """

    slope: Floats
    slope_error: Floats


@dataclass(frozen=True)
class Mean:
    """Robust forward per slice at a given discount factor; NaN without pairs.

    Parameters
    ----------
    forward : float64 array, shape (m,)
        Forward [USD].
    error : float64 array, shape (m,)
        Standard error, the discount factor taken as exact [USD].
    lever : float64 array, shape (m,)
        Weighted mean of ``F - K`` [USD]: what an error of the discount factor works on.
    residual : float64 array, shape (m,)
        Median absolute deviation of the pairs from the forward [half-spreads].
    """

    forward: Floats
    error: Floats
    lever: Floats
    residual: Floats


def usable(pairs: Pairs, slices: int) -> Pairs:
    """Return the pairs that can be believed: finite, of positive strike and width, of a slice."""
    good = np.isfinite(pairs.strike + pairs.difference) & (pairs.strike > 0.0)
    good &= np.isfinite(pairs.half_spread) & (pairs.half_spread > 0.0)
    good &= (pairs.slice_id >= 0) & (pairs.slice_id < slices)
    if good.all():
        return pairs
    return Pairs(
        pairs.slice_id[good], pairs.strike[good], pairs.difference[good], pairs.half_spread[good]
    )


def centres(pairs: Pairs, slices: int) -> Floats:
    """Where call and put cost the same: median of K + C - P over the five smallest |C - P|.

    Returns
    -------
    float64 array, shape (slices,)
        USD; NaN for a slice without pairs.
    """
    order = np.lexsort((np.abs(pairs.difference), pairs.slice_id))
    nearest = order[_rank(pairs.slice_id[order], slices) < _CENTRE_PAIRS]
    block, used = _padded(pairs.slice_id[nearest], slices, _CENTRE_PAIRS)
    level = np.full(block.shape, np.inf)
    level[used] = (pairs.strike + pairs.difference)[nearest]
    return _medians(level, used.sum(axis=1))


def near_block(pairs: Pairs, centre: Floats) -> Block:
    """Return the `MAX_PAIRS` pairs of every slice nearest to its centre, nearest first."""
    distance = np.abs(pairs.strike - centre[pairs.slice_id])
    order = np.lexsort((distance, pairs.slice_id))
    return _block(pairs, order[_rank(pairs.slice_id[order], centre.size) < MAX_PAIRS], centre.size)


def wide_block(pairs: Pairs, centre: Floats) -> Block:
    """Return up to `MAX_RATE_PAIRS` pairs per slice, evenly spread by rank over `RATE_WINDOW`."""
    level = centre[pairs.slice_id]
    inside = np.abs(pairs.strike - level) <= RATE_WINDOW * level
    index = np.flatnonzero(inside)
    index = index[np.lexsort((pairs.strike[index], pairs.slice_id[index]))]
    owner = pairs.slice_id[index]
    rank = _rank(owner, centre.size)
    share = MAX_RATE_PAIRS / np.maximum(np.bincount(owner, minlength=centre.size), MAX_RATE_PAIRS)
    kept = np.floor((rank + 1) * share[owner] + 1e-9) > np.floor(rank * share[owner] + 1e-9)
    return _block(pairs, index[kept], centre.size)


def fit_line(block: Block) -> Line:
    """Fit the weighted line of every row, outliers down-weighted (Huber)."""
    x, y, scale = block.strike, block.difference, block.half_spread
    counts = block.counts
    base = 1.0 / scale**2
    weight = base
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_HUBER_ROUNDS):
            total = weight.sum(axis=1)
            x0 = ((weight * x).sum(axis=1) / total)[:, None]
            y0 = ((weight * y).sum(axis=1) / total)[:, None]
            leaned = weight * (x - x0)
            spread = (leaned * (x - x0)).sum(axis=1)
            slope = (leaned * (y - y0)).sum(axis=1) / spread
            error = np.abs(y - y0 - slope[:, None] * (x - x0)) / scale
            median = _medians(np.where(block.used, error, np.inf), counts)
            weight = _huber(base, error, median)
        slope_error = _inflated(median, counts) / np.sqrt(spread)
    told = (counts >= 3) & (spread > 0.0)
    return Line(np.where(told, slope, np.nan), np.where(told, slope_error, np.nan))


def fit_mean(block: Block, discount: Floats) -> Mean:
    """Weighted robust mean of what each pair says of the forward, ``K + difference / D``."""
    counts = block.counts
    with np.errstate(invalid="ignore", divide="ignore"):
        level = block.strike + block.difference / discount[:, None]
        scale = block.half_spread / discount[:, None]
        base = np.where(block.used, 1.0 / scale**2, 0.0)
        forward = _medians(np.where(block.used, level, np.inf), counts)
        for _ in range(_HUBER_ROUNDS):
            error = np.abs(level - forward[:, None]) / scale
            median = _medians(np.where(block.used, error, np.inf), counts)
            weight = _huber(base, error, median)
            total = weight.sum(axis=1)
            forward = (weight * level).sum(axis=1) / total
        error = np.abs(level - forward[:, None]) / scale
        residual = _medians(np.where(block.used, error, np.inf), counts)
        lever = (weight * (forward[:, None] - block.strike)).sum(axis=1) / total
        standard_error = _inflated(residual, counts) / np.sqrt(total)
    return Mean(forward, standard_error, lever, residual)


def _huber(base: Floats, error: Floats, median: Floats) -> Floats:
    cut = _HUBER_CUT * np.maximum(median, 1e-3)
    return np.asarray(base * np.minimum(1.0, cut[:, None] / np.maximum(error, 1e-12)))


def _inflated(median: Floats, counts: Ints) -> Floats:
    """Return a pair's standard deviation [half-spreads], raised for pairs that err together."""
    spread = np.maximum(_MAD_TO_SD * median, _LEAST_SD)
    return np.asarray(spread * np.sqrt(np.minimum(counts, _CORRELATED_PAIRS)))


def _medians(values: Floats, counts: Ints) -> Floats:
    """Median of each row's first `counts` numbers, the padding being infinite; NaN for none."""
    ordered = np.sort(values, axis=1)
    rows = np.arange(counts.size)
    upper = np.minimum(counts // 2, values.shape[1] - 1)
    lower = np.maximum(counts - 1, 0) // 2
    median = 0.5 * (ordered[rows, lower] + ordered[rows, upper])
    return np.where(counts > 0, median, np.nan)


def _rank(owner: Ints, slices: int) -> Ints:
    """Position of each entry within its slice; entries are grouped by slice."""
    counts = np.bincount(owner, minlength=slices)
    starts = np.cumsum(counts) - counts
    return np.asarray(np.arange(owner.size) - starts[owner])


def _padded(owner: Ints, slices: int, width: int) -> tuple[Ints, Bools]:
    """Where grouped entries go in a padded array: their row lengths as a mask."""
    counts = np.bincount(owner, minlength=slices)
    place = np.broadcast_to(np.arange(width), (slices, width))
    return place, place < counts[:, None]


def _block(pairs: Pairs, index: Ints, slices: int) -> Block:
    owner = pairs.slice_id[index]
    counts = np.bincount(owner, minlength=slices)
    place, used = _padded(owner, slices, max(int(counts.max(initial=0)), 1))
    strike, difference = np.zeros(place.shape), np.zeros(place.shape)
    half_spread = np.full(place.shape, np.inf)
    strike[used], difference[used] = pairs.strike[index], pairs.difference[index]
    half_spread[used] = pairs.half_spread[index]
    return Block(strike, difference, half_spread, used)

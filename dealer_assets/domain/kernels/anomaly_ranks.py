"""P-values by rank on curves of order statistics, and their weighted combination.

Belongs here: the loops over millions of values that find their place among points. Does not belong
here: which curves there are and how far their tails are trusted (`domain/anomaly/pvalues.py`),
residuals (`anomaly.py`).

NaN is a value that is not determined and is passed over.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BINS = 1024
"""By which a value finds its place among points: a step instead of ten halvings."""


@inlined
def _fill_grid(
    points: Floats, firsts: Ints, lasts: Ints, grid: NDArray[np.int64], per_unit: Floats
) -> None:
    """Fill where the search begins for each bin of each curve, and bins per unit of value."""
    for g in range(firsts.size):
        first, last = firsts[g], lasts[g]
        if first >= last:
            continue
        span = points[first] - points[last - 1]
        per_unit[g] = _BINS / span if span > 0.0 else 0.0
        at = first
        for k in range(_BINS):  # the first point that is no greater than a bin's upper edge
            upper = points[first] - (k / _BINS) * span
            while at < last - 1 and points[at] > upper:
                at += 1
            grid[g, k] = max(at - 1, first)


@kernel
def ranked(
    value: Floats, group: Ints, points: Floats, above: Ints, starts: Ints, firsts: Ints,
    lasts: Ints, sizes: Ints, tail: Floats, beyond: float, out: Floats,
) -> None:  # fmt: skip
    """Fill `out` with (1 + values at or above) / (n + 1) of the curve of each row's group.

    `points` fall within a curve, which is ``points[starts[g]:lasts[g]]``; `above` counts how many
    of its n lie at or above each. Between two points the count of the lower one is taken: never too
    small. Beyond the point ``firsts[g]`` it goes on as (value / point) ** -tail where `tail` > 0,
    and never below the rank over `beyond`; without a tail by rank, and beyond the greatest with
    what one more than all would have.
    """
    grid = np.empty((firsts.size, _BINS), np.int64)
    per_unit = np.zeros(firsts.size)
    _fill_grid(points, firsts, lasts, grid, per_unit)
    for i in range(value.size):
        v = value[i]
        g = group[i]
        first, last, n = firsts[g], lasts[g], sizes[g]
        if v != v or first >= last:
            out[i] = math.nan
            continue
        top = points[first]
        if v > top:
            low, high = starts[g], first  # the first point that is no greater
            while low < high:
                middle = (low + high) >> 1
                if points[middle] <= v:
                    high = middle
                else:
                    low = middle + 1
            count = 0 if v > points[starts[g]] else above[low]
            out[i] = (1.0 + count) / (n + 1.0)
            if tail[g] > 0.0 and top > 0.0:
                told = (1.0 + above[first]) / (n + 1.0) * (v / top) ** -tail[g]
                out[i] = max(told, out[i] / beyond)
            continue
        k = min(int((top - v) * per_unit[g]), _BINS - 1) if v > points[last - 1] else _BINS - 1
        at = grid[g, k]
        high = min(grid[g, k + 1] + 1, last - 1) if k + 1 < _BINS else last - 1
        if points[high] > v:  # a value at the very edge of its bin
            high = last - 1
        while at < high:
            middle = (at + high) >> 1
            if points[middle] <= v:
                high = middle
            else:
                at = middle + 1
        count = above[at] if points[at] <= v else n
        out[i] = (1.0 + count) / (n + 1.0)


@kernel
def combined(p: Floats, weight: Floats, out: Floats) -> None:
    """Fill `out`, shape (n,), with the weighted mean of 1 / p over the measures there are.

    `p` has shape (measures, n).
    """
    for i in range(out.size):
        total = weights = 0.0
        for j in range(weight.size):
            value = p[j, i]
            if value == value and weight[j] > 0.0:
                total += weight[j] / value
                weights += weight[j]
        out[i] = total / weights if weights > 0.0 else math.nan


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    x, one, place = np.ones(2), np.ones(1), np.zeros(2, np.int64)
    starts, count = np.array([0, 2]), np.zeros(1, np.int64)
    ranked(x, place, x, place, starts[:1], starts[:1], starts[1:], count, one, 3.0, x.copy())
    combined(np.ones((1, 2)), one, x.copy())

"""Bounds that part neighbouring expiries whose total variances cross.

Belongs here: the weighted isotonic regression over time, its weights. Does not belong here: smiles
that keep the bounds (`svi_correction`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@kernel
def separate(w: Floats, precision: Floats, cap_share: float, floor: Floats, cap: Floats) -> None:
    """Set between neighbouring expiries a boundary that neither may cross.

    At each k the total variances are first made non-decreasing by weighted isotonic regression
    (pool adjacent violators); the boundary of two neighbours is the precision-weighted mean of
    their two values, so that the less certain slice moves more.

    Parameters
    ----------
    w, precision : float64 array, shape (m, n)
        Total variance and inverse squared half-spread, per slice and k; NaN outside a slice's
        domain, where the slice takes no part.
    cap_share : float
        Relative gap kept between a floor and the cap beneath it.
    floor, cap : float64 array, shape (m, n)
        Written: bounds of w; -inf and inf where there is none.
    """
    m, n = w.shape
    value = np.empty(m)
    weight = np.empty(m)
    count = np.empty(m, np.int64)
    member = np.empty(m, np.int64)
    level = np.empty(m)
    for g in range(n):
        blocks = 0
        members = 0
        for i in range(m):
            floor[i, g] = -np.inf
            cap[i, g] = np.inf
            if not math.isfinite(w[i, g]):
                continue
            member[members] = i
            members += 1
            value[blocks] = w[i, g]
            weight[blocks] = precision[i, g]
            count[blocks] = 1
            blocks += 1
            while blocks > 1 and value[blocks - 2] > value[blocks - 1]:
                a = weight[blocks - 2]
                b = weight[blocks - 1]
                value[blocks - 2] = (a * value[blocks - 2] + b * value[blocks - 1]) / (a + b)
                weight[blocks - 2] = a + b
                count[blocks - 2] += count[blocks - 1]
                blocks -= 1
        at = 0
        for b in range(blocks):
            for _ in range(count[b]):
                level[at] = value[b]
                at += 1
        for q in range(1, members):
            a = precision[member[q - 1], g]
            b = precision[member[q], g]
            boundary = (a * level[q - 1] + b * level[q]) / (a + b)
            cap[member[q - 1], g] = boundary * (1.0 - cap_share)
            floor[member[q], g] = boundary * (1.0 + cap_share)


@kernel
def precisions(
    shared: Floats, k: Floats, weight: Floats, first: Ints, unquoted: float, out: Floats
) -> None:
    """Squared root weights of each slice's quotes, linear between them, at common points.

    Parameters
    ----------
    shared : float64 array, shape (c,)
        Common points, ascending.
    k, weight : float64 array, shape (n,)
        Log-moneyness and root weight of the quotes, ascending in k within a slice.
    first : int64 array, shape (m + 1,)
        Quotes of slice i are ``first[i] : first[i + 1]``, at least one.
    unquoted : float
        Factor beyond the outermost quotes, where the outermost one's goes on.
    out : float64 array, shape (m, c)
        Written.
    """
    for i in range(first.shape[0] - 1):
        q = first[i]
        last = first[i + 1] - 1
        for g in range(shared.shape[0]):
            while q < last and k[q + 1] <= shared[g]:
                q += 1
            value = weight[q] * weight[q]
            if shared[g] < k[q] or (q == last and shared[g] > k[q]):
                value *= unquoted
            elif q < last and k[q + 1] > k[q]:
                share = (shared[g] - k[q]) / (k[q + 1] - k[q])
                value += share * (weight[q + 1] * weight[q + 1] - value)
            out[i, g] = value


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    bounds = np.empty((2, 1, 3))
    separate(np.ones((1, 3)), np.ones((1, 3)), 0.0, bounds[0], bounds[1])
    k = np.linspace(-0.1, 0.1, 3)
    precisions(k, k.copy(), np.ones(3), np.array([0, 3], np.int64), 0.1, bounds[0])

"""Least slacks of a surface's no-arbitrage conditions.

Belongs here: Durrleman's g over each smile's own points, total variance against earlier expiries
over common points. Does not belong here: making the conditions hold (`svi_correction`).

The columns of a smile are those of `svi.COLUMNS`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import exp, log

Floats = NDArray[np.float64]

_FIRST_KNOT = 8

LEAST_CELLS = 17
"""Raw SVI has no knots worth the name; its domain is cut into this many cells."""


@inlined
def _asinh(y: float) -> float:
    size = abs(y)
    value: float = log(size + math.sqrt(size * size + 1.0))
    return value if y >= 0.0 else -value


@inlined
def _coefficient(params: Floats, i: int, j: int) -> float:
    knots = params.shape[1] - _FIRST_KNOT
    return params[i, _FIRST_KNOT + j] if 0 <= j < knots else 0.0


@kernel
def least_butterfly(
    params: Floats, low: Floats, high: Floats, per_cell: int, least: Floats, at: Floats
) -> None:
    """Least Durrleman g of each smile on its domain.

    The spline's second derivative is linear between knots in asinh(k / scale): g dips at knots, so
    that points beside them see too little. Every knot in the domain is a point.

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles.
    low, high : float64 array, shape (m,)
        Domain in k; NaN gives NaN.
    per_cell : int
        Points per cell between knots, evenly spaced in asinh(k / scale); the domain counts for at
        least `LEAST_CELLS` cells.
    least, at : float64 array, shape (m,)
        Written: least g and its k; g is -inf where the total variance is not positive.
    """
    for i in range(params.shape[0]):
        least[i] = np.nan
        at[i] = np.nan
        total = 0.0
        for j in range(params.shape[1]):
            total += params[i, j]
        if not math.isfinite(total + low[i] + high[i]):
            continue
        b = params[i, 1]
        rho = params[i, 2]
        s2 = params[i, 4] * params[i, 4]
        scale = params[i, 5]
        inverse = params[i, 7]
        start = _asinh(low[i] / scale)
        end = _asinh(high[i] / scale)
        parts = max(math.ceil((1.0 / inverse) * LEAST_CELLS / (end - start)), 1.0)
        step = 1.0 / (inverse * parts * per_cell)
        # The grid is anchored at a knot; both ends of the domain are points too
        offset = math.ceil((start - params[i, 6]) / step)
        points = int(math.floor((end - params[i, 6]) / step) - offset) + 3
        smallest = np.inf
        for g in range(points):
            u = params[i, 6] + (offset + g - 1) * step
            u = min(max(u, start), end)
            grown = exp(u)
            k = 0.5 * scale * (grown - 1.0 / grown)
            cosh = 0.5 * scale * (grown + 1.0 / grown)
            x = k - params[i, 3]
            r = math.sqrt(x * x + s2)
            w = params[i, 0] + b * (rho * x + r)
            slope = b * (rho + x / r)
            bend = b * s2 / (r * r * r)
            x = (u - params[i, 6]) * inverse
            cell = math.floor(x)
            t = x - cell
            o = 1.0 - t
            left = int(cell)
            c0 = _coefficient(params, i, left)
            c1 = _coefficient(params, i, left + 1)
            c2 = _coefficient(params, i, left + 2)
            c3 = _coefficient(params, i, left + 3)
            rate = inverse / cosh
            first = 0.5 * (c3 * t * t - c0 * o * o)
            first += c1 * t * (1.5 * t - 2.0) - c2 * o * (1.5 * o - 2.0)
            second = c0 * o + c1 * (3.0 * t - 2.0) + c2 * (3.0 * o - 2.0) + c3 * t
            w += (c0 * o * o * o + c3 * t * t * t) / 6.0
            w += (c1 * (4.0 - 6.0 * t * t + 3.0 * t * t * t)) / 6.0
            w += (c2 * (4.0 - 6.0 * o * o + 3.0 * o * o * o)) / 6.0
            slope += first * rate
            bend += second * rate * rate - first * rate * k / (cosh * cosh)
            half = 1.0 - 0.5 * k * slope / w
            value = half * half - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * bend
            value = value if w > 0.0 else -np.inf
            if value < smallest:
                smallest = value
                at[i] = k
        least[i] = smallest


@kernel
def least_calendar(
    params: Floats, low: Floats, high: Floats, k: Floats, least: Floats, at: Floats
) -> None:
    """Least relative rise of total variance over the nearest earlier expiry.

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles by ascending expiry.
    low, high : float64 array, shape (m,)
        Domain in k; NaN leaves a smile out.
    k : float64 array, shape (c,)
        Common points, ascending.
    least, at : float64 array, shape (m,)
        Written: least ``w / w_earlier - 1`` and its k; NaN where there is no earlier smile.
    """
    c = k.shape[0]
    earlier = np.full(c, np.nan)
    slack = 2e-7  # the points hold the domains' ends themselves
    for i in range(params.shape[0]):
        least[i] = np.nan
        at[i] = np.nan
        total = 0.0
        for j in range(params.shape[1]):
            total += params[i, j]
        if not math.isfinite(total + low[i] + high[i]):
            continue
        b = params[i, 1]
        rho = params[i, 2]
        s2 = params[i, 4] * params[i, 4]
        smallest = np.inf
        for g in range(c):
            if k[g] < low[i] - slack or k[g] > high[i] + slack:
                continue
            x = k[g] - params[i, 3]
            w = params[i, 0] + b * (rho * x + math.sqrt(x * x + s2))
            x = (_asinh(k[g] / params[i, 5]) - params[i, 6]) * params[i, 7]
            cell = math.floor(x)
            t = x - cell
            o = 1.0 - t
            left = int(cell)
            c0 = _coefficient(params, i, left)
            c1 = _coefficient(params, i, left + 1)
            c2 = _coefficient(params, i, left + 2)
            c3 = _coefficient(params, i, left + 3)
            w += (c0 * o * o * o + c3 * t * t * t) / 6.0
            w += (c1 * (4.0 - 6.0 * t * t + 3.0 * t * t * t)) / 6.0
            w += (c2 * (4.0 - 6.0 * o * o + 3.0 * o * o * o)) / 6.0
            if earlier[g] > 0.0:
                gap = w / earlier[g] - 1.0
                if gap < smallest:
                    smallest = gap
                    at[i] = k[g]
            earlier[g] = w
        if smallest < np.inf:
            least[i] = smallest


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    params = np.array([[0.0, 0.1, 0.0, 0.0, 0.1, 0.1, 0.0, 1.0, *np.zeros(4)]])
    low, high, out = np.full(1, -0.1), np.full(1, 0.1), np.empty(1)
    least_butterfly(params, low, high, 2, out, out.copy())
    least_calendar(params, low, high, np.linspace(-0.1, 0.1, 5), out, out.copy())

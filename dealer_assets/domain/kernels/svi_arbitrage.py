"""What the no-arbitrage conditions need of many smiles at many points, and their least slacks.

Belongs here: Durrleman's g over each smile's own points, total variance on common points and how
it rises with expiry. Does not belong here: making the conditions hold (`svi_correction`).

The columns of a smile are those of `svi.COLUMNS`. Loops over points are split: what LLVM can
vectorise first, the spline's cell by cell after it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import exp, log

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FIRST_KNOT = 8

LEAST_CELLS = 17
"""Raw SVI has no knots worth the name; its domain is cut into this many cells."""

SLACK = 2e-7
"""Common points hold the domains' ends themselves, which this much rounding may not exclude."""


_NEAR = 2e-3
"""Rises within this of the least one at the points are looked at between the points too."""


@inlined
def _asinh(y: float) -> float:
    size = abs(y)
    value: float = log(size + math.sqrt(size * size + 1.0))
    return value if y >= 0.0 else -value


@inlined
def _coefficient(params: Floats, i: int, j: int) -> float:
    knots = params.shape[1] - _FIRST_KNOT
    return params[i, _FIRST_KNOT + j] if 0 <= j < knots else 0.0


@inlined
def _finite_row(params: Floats, i: int, low: float, high: float) -> bool:
    total = low + high
    for j in range(params.shape[1]):
        total += params[i, j]
    return math.isfinite(total)


@inlined
def _polynomials(params: Floats, i: int, out: Floats) -> None:
    """Write the spline of each cell -4 .. knots as a cubic in the cell's own 0 .. 1.

    Row ``cell + 4`` of `out`, of shape (knots + 5, 4). The first and the last row are zero: points
    beyond the spline are given one of them.
    """
    for row in range(out.shape[0]):
        c0 = _coefficient(params, i, row - 4)
        c1 = _coefficient(params, i, row - 3)
        c2 = _coefficient(params, i, row - 2)
        c3 = _coefficient(params, i, row - 1)
        out[row, 0] = (c0 + 4.0 * c1 + c2) / 6.0
        out[row, 1] = 0.5 * (c2 - c0)
        out[row, 2] = 0.5 * (c0 - 2.0 * c1 + c2)
        out[row, 3] = (c3 - c0) / 6.0 + 0.5 * (c1 - c2)
    for j in range(4):
        out[0, j] = 0.0
        out[out.shape[0] - 1, j] = 0.0


@inlined
def _base(
    u: Floats,
    scale: float,
    a: float,
    b: float,
    rho: float,
    m: float,
    s2: float,
    k: Floats,
    cosh: Floats,
    w: Floats,
    slope: Floats,
    bend: Floats,
) -> None:
    """Raw SVI and its derivatives at k = scale sinh(u); `cosh` is dk/du."""
    for g in range(u.shape[0]):
        grown = exp(u[g])
        k[g] = 0.5 * scale * (grown - 1.0 / grown)
        cosh[g] = 0.5 * scale * (grown + 1.0 / grown)
        x = k[g] - m
        square = x * x + s2
        r = math.sqrt(square)
        w[g] = a + b * (rho * x + r)
        slope[g] = b * (rho + x / r)
        bend[g] = b * s2 / (r * square)


@inlined
def _add_spline(
    u: Floats,
    origin: float,
    inverse: float,
    cubic: Floats,
    k: Floats,
    cosh: Floats,
    w: Floats,
    slope: Floats,
    bend: Floats,
) -> None:
    last = cubic.shape[0] - 1
    for g in range(u.shape[0]):
        x = (u[g] - origin) * inverse
        cell = math.floor(x)
        t = x - cell
        row = min(max(int(cell) + 4, 0), last)
        s1, s2, s3 = cubic[row, 1], cubic[row, 2], cubic[row, 3]
        rate = inverse / cosh[g]
        first = (s1 + t * (2.0 * s2 + 3.0 * t * s3)) * rate
        w[g] += cubic[row, 0] + t * (s1 + t * (s2 + t * s3))
        slope[g] += first
        bend[g] += (2.0 * s2 + 6.0 * t * s3) * rate * rate - first * k[g] / (cosh[g] * cosh[g])


@inlined
def _durrleman(k: Floats, w: Floats, slope: Floats, bend: Floats) -> None:
    """Overwrite `bend` by g, -inf where w is not positive."""
    for g in range(k.shape[0]):
        s = slope[g]
        half = 1.0 - 0.5 * k[g] * s / w[g]
        value = half * half - 0.25 * s * s * (1.0 / w[g] + 0.25) + 0.5 * bend[g]
        bend[g] = value if w[g] > 0.0 else -np.inf


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
    cubic = np.empty((params.shape[1] - _FIRST_KNOT + 5, 4))
    room = 0
    buffer = np.empty((6, 1))
    for i in range(params.shape[0]):
        least[i] = np.nan
        at[i] = np.nan
        if not _finite_row(params, i, low[i], high[i]):
            continue
        scale = params[i, 5]
        origin = params[i, 6]
        inverse = params[i, 7]
        start = _asinh(low[i] / scale)
        end = _asinh(high[i] / scale)
        parts = max(math.ceil((1.0 / inverse) * LEAST_CELLS / (end - start)), 1.0)
        step = 1.0 / (inverse * parts * per_cell)
        # The grid is anchored at a knot; both ends of the domain are points too
        offset = math.ceil((start - origin) / step)
        points = int(math.floor((end - origin) / step) - offset) + 3
        if points > room:
            room = points
            buffer = np.empty((6, room))
        u = buffer[0, :points]
        k = buffer[1, :points]
        cosh = buffer[2, :points]
        w = buffer[3, :points]
        slope = buffer[4, :points]
        value = buffer[5, :points]
        for g in range(points):
            u[g] = min(max(origin + (offset + g - 1.0) * step, start), end)
        s2 = params[i, 4] * params[i, 4]
        _base(
            u,
            scale,
            params[i, 0],
            params[i, 1],
            params[i, 2],
            params[i, 3],
            s2,
            k,
            cosh,
            w,
            slope,
            value,
        )
        _polynomials(params, i, cubic)
        _add_spline(u, origin, inverse, cubic, k, cosh, w, slope, value)
        _durrleman(k, w, slope, value)
        smallest = np.inf
        for g in range(points):
            if value[g] < smallest:
                smallest = value[g]
                at[i] = k[g]
        least[i] = smallest


@inlined
def _values(params: Floats, i: int, k: Floats, where: Floats, cubic: Floats, out: Floats) -> None:
    """Total variance of smile i at k; `where` and `cubic` are scratch."""
    n = k.shape[0]
    last = cubic.shape[0] - 1
    a = params[i, 0]
    b = params[i, 1]
    rho = params[i, 2]
    m = params[i, 3]
    s2 = params[i, 4] * params[i, 4]
    shrink = 1.0 / params[i, 5]
    origin = params[i, 6]
    inverse = params[i, 7]
    for g in range(n):
        x = k[g] - m
        out[g] = a + b * (rho * x + math.sqrt(x * x + s2))
        where[g] = (_asinh(k[g] * shrink) - origin) * inverse
    _polynomials(params, i, cubic)
    for g in range(n):
        cell = math.floor(where[g])
        t = where[g] - cell
        j = min(max(int(cell) + 4, 0), last)
        out[g] += cubic[j, 0] + t * (cubic[j, 1] + t * (cubic[j, 2] + t * cubic[j, 3]))


@kernel
def curves(params: Floats, low: Floats, high: Floats, k: Floats, w: Floats) -> None:
    """Total variance of smiles on common points.

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles.
    low, high : float64 array, shape (m,)
        Domain in k; NaN leaves a smile out.
    k : float64 array, shape (c,)
        Common points, ascending.
    w : float64 array, shape (m, c)
        Written: total variance, NaN outside the domain and for a smile with NaN.
    """
    c = k.shape[0]
    cubic = np.empty((params.shape[1] - _FIRST_KNOT + 5, 4))
    where = np.empty(c)
    for i in range(params.shape[0]):
        for g in range(c):
            w[i, g] = np.nan
        if not _finite_row(params, i, low[i], high[i]):
            continue
        begin = 0
        while begin < c and k[begin] < low[i] - SLACK:
            begin += 1
        end = c
        while end > begin and k[end - 1] > high[i] + SLACK:
            end -= 1
        _values(params, i, k[begin:end], where[begin:end], cubic, w[i, begin:end])


@kernel
def at_quotes(params: Floats, k: Floats, first: Ints, w: Floats) -> None:
    """Total variance of smiles at their own quotes.

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles.
    k : float64 array, shape (n,)
        Finite log-moneyness.
    first : int64 array, shape (m + 1,)
        Quotes of smile i are ``first[i] : first[i + 1]``.
    w : float64 array, shape (n,)
        Written; NaN for a smile with NaN.
    """
    cubic = np.empty((params.shape[1] - _FIRST_KNOT + 5, 4))
    where = np.empty(k.shape[0])
    for i in range(params.shape[0]):
        part = slice(first[i], first[i + 1])
        if _finite_row(params, i, 0.0, 0.0):
            _values(params, i, k[part], where[part], cubic, w[part])
        else:
            w[part] = np.nan


@inlined
def _vertex(
    k0: float, g0: float, k1: float, g1: float, k2: float, g2: float
) -> tuple[float, float]:
    """Least value of the parabola through three points whose middle one is lowest, and its k."""
    left = (g1 - g0) / (k1 - k0)
    right = (g2 - g1) / (k2 - k1)
    bend = (right - left) / (k2 - k0)
    slope = left + bend * (k1 - k0)
    if not bend > 0.0:
        return g1, k1
    return g1 - 0.25 * slope * slope / bend, k1 - 0.5 * slope / bend


@inlined
def _row_rise(
    row: Floats, earlier: Floats, source: Ints, k: Floats, gap: Floats
) -> tuple[float, float]:
    """Least relative rise over `earlier` and its k; inf and NaN where there is nothing earlier."""
    c = k.shape[0]
    smallest = np.inf
    for g in range(c):
        rise = row[g] / earlier[g] - 1.0
        gap[g] = rise if earlier[g] > 0.0 else np.nan
        smallest = gap[g] if gap[g] < smallest else smallest
    near = smallest + _NEAR
    place = np.nan
    for g in range(c):
        if not gap[g] < near:
            continue
        value = gap[g]
        where = k[g]
        if (
            0 < g < c - 1
            and source[g - 1] == source[g] == source[g + 1]
            and gap[g] <= gap[g - 1]
            and gap[g] <= gap[g + 1]
        ):
            value, where = _vertex(k[g - 1], gap[g - 1], k[g], gap[g], k[g + 1], gap[g + 1])
        if value <= smallest:
            smallest = value
            place = where
    return smallest, place


@kernel
def rise_above(row: Floats, earlier: Floats, source: Ints, k: Floats) -> float:
    """Least relative rise of one smile over what is earlier; as `least_rise`.

    Parameters
    ----------
    row, earlier : float64 array, shape (c,)
        Total variances at the common points, NaN where there is none.
    source : int64 array, shape (c,)
        Which smile `earlier` is taken from: a parabola is led through points of one only.
    k : float64 array, shape (c,)
        Common points.

    Returns
    -------
    float
        inf where there is nothing earlier.
    """
    return _row_rise(row, earlier, source, k, np.empty(k.shape[0]))[0]


@kernel
def least_rise(w: Floats, counts: Bools, k: Floats, least: Floats, at: Floats) -> None:
    """Least relative rise of total variance over the nearest earlier expiry that counts.

    Where the rise is near its least, a parabola tells how much lower it is between the points.

    Parameters
    ----------
    w : float64 array, shape (m, c)
        Of `curves`, by ascending expiry.
    counts : bool array, shape (m,)
        Expiries that later ones are held against.
    k : float64 array, shape (c,)
        Common points.
    least, at : float64 array, shape (m,)
        Written: least ``w / w_earlier - 1`` and its k; NaN where there is no earlier smile.
    """
    c = k.shape[0]
    earlier = np.full(c, np.nan)
    source = np.full(c, -1, np.int64)
    gap = np.empty(c)
    for i in range(w.shape[0]):
        smallest, at[i] = _row_rise(w[i], earlier, source, k, gap)
        least[i] = smallest if smallest < np.inf else np.nan
        if counts[i]:
            for g in range(c):
                known = math.isfinite(w[i, g])
                earlier[g] = w[i, g] if known else earlier[g]
                source[g] = i if known else source[g]


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    params = np.array([[0.0, 0.1, 0.0, 0.0, 0.1, 0.1, 0.0, 1.0, *np.zeros(4)]])
    low, high, out = np.full(1, -0.1), np.full(1, 0.1), np.empty(1)
    least_butterfly(params, low, high, 2, out, out.copy())
    k, w = np.linspace(-0.1, 0.1, 5), np.empty((1, 5))
    curves(params, low, high, k, w)
    at_quotes(params, k, np.array([0, 5], np.int64), np.empty(5))
    least_rise(w, np.ones(1, np.bool_), k, out, out.copy())
    rise_above(w[0], w[0].copy(), np.zeros(5, np.int64), k)

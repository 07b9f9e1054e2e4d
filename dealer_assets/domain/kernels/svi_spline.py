"""The spline on top of raw SVI: its values at points, and its least squares without constraints.

Belongs here: rows of spline values, normal equations. Does not belong here: constraints
(`svi_correction`), the base smile (`svi`).

Knots are evenly spaced in asinh(k / scale); the splines are those of `svi`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import log

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


HUBER = 2.0
OUTLIER = 4.0
"""Distances from the fit in half-spreads; see `normal_equations`."""


@inlined
def _asinh(y: float) -> float:
    size = abs(y)
    value: float = log(size + math.sqrt(size * size + 1.0))
    return value if y >= 0.0 else -value


@inlined
def _four(x: float, row: Floats, knots: int) -> int:
    """Write the values of the four splines over x; return the first one's number.

    Splines that do not exist get 0.
    """
    if not (x > -3.0 and x < knots):
        for j in range(4):
            row[j] = 0.0
        return 0
    cell = math.floor(x)
    t = x - cell
    o = 1.0 - t
    row[0] = o * o * o / 6.0
    row[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    row[2] = (4.0 - 6.0 * o * o + 3.0 * o * o * o) / 6.0
    row[3] = t * t * t / 6.0
    left = int(cell)
    for j in range(4):
        if left + j < 0 or left + j >= knots:
            row[j] = 0.0
    return left


@inlined
def _twelve(x: float, k: float, scale: float, inverse: float, row: Floats, knots: int) -> int:
    """Write values, slopes and bends of the four splines over k; return the first one's number."""
    left = _four(x, row, knots)
    cell = math.floor(x)
    t = x - cell
    o = 1.0 - t
    square = k * k + scale * scale
    rate = inverse / math.sqrt(square)
    turn = -k / square * rate
    s0 = -0.5 * o * o
    s1 = t * (1.5 * t - 2.0)
    s2 = -o * (1.5 * o - 2.0)
    s3 = 0.5 * t * t
    row[4] = s0 * rate
    row[5] = s1 * rate
    row[6] = s2 * rate
    row[7] = s3 * rate
    row[8] = o * rate * rate + s0 * turn
    row[9] = (3.0 * t - 2.0) * rate * rate + s1 * turn
    row[10] = (3.0 * o - 2.0) * rate * rate + s2 * turn
    row[11] = t * rate * rate + s3 * turn
    outside = not (x > -3.0 and x < knots)
    for j in range(4):
        if outside or left + j < 0 or left + j >= knots:
            row[4 + j] = 0.0
            row[8 + j] = 0.0
    return left


@inlined
def _places(k: Floats, scale: float, origin: float, inverse: float, x: Floats) -> None:
    """Coordinates in which knots are 1 apart."""
    for q in range(k.shape[0]):
        x[q] = (_asinh(k[q] / scale) - origin) * inverse


@inlined
def _slot(left: int, j: int, knots: int) -> int:
    """Return the number of a row's j-th spline, brought into range where its entry is 0 anyway."""
    return min(max(left + j, 0), knots - 1)


@inlined
def _assemble(
    basis: Floats,
    slot: Ints,
    residual: Floats,
    root: Floats,
    stiffness: float,
    anchor: float,
    H: Floats,
    right: Floats,
) -> None:
    """Lower band of the normal matrix, and the right-hand side; `root` are root weights."""
    knots = right.shape[0]
    H[:, :] = 0.0
    right[:] = 0.0
    for q in range(basis.shape[0]):
        square = root[q] * root[q]
        for j in range(4):
            a = slot[q, j]
            share = square * basis[q, j]
            right[a] += share * residual[q]
            for p in range(j + 1):
                H[a, slot[q, p]] += share * basis[q, p]
    for j in range(knots):
        H[j, j] += anchor
        if 0 < j < knots - 1:
            H[j - 1, j - 1] += stiffness
            H[j, j] += 4.0 * stiffness
            H[j + 1, j + 1] += stiffness
            H[j, j - 1] -= 2.0 * stiffness
            H[j + 1, j] -= 2.0 * stiffness
            H[j + 1, j - 1] += stiffness


@inlined
def _factorise(H: Floats) -> None:
    """Overwrite the lower band of a positive definite matrix by its Cholesky factor."""
    for i in range(H.shape[0]):
        for j in range(max(i - 3, 0), i + 1):  # the band of a cubic spline
            total = H[i, j]
            for q in range(max(i - 3, 0), j):
                total -= H[i, q] * H[j, q]
            H[i, j] = math.sqrt(total) if i == j else total / H[j, j]


@inlined
def _back(H: Floats, x: Floats) -> None:
    """Solve in place with the factor."""
    n = H.shape[0]
    for i in range(n):
        total = x[i]
        for q in range(max(i - 3, 0), i):
            total -= H[i, q] * x[q]
        x[i] = total / H[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for q in range(i + 1, min(i + 4, n)):
            total -= H[q, i] * x[q]
        x[i] = total / H[i, i]


@inlined
def _reweigh(
    basis: Floats,
    slot: Ints,
    residual: Floats,
    weight: Floats,
    x: Floats,
    redescending: bool,
    root: Floats,
) -> bool:
    """Set root weights by how far quotes are from the fit; tell whether one is an outlier."""
    worst = 0.0
    for q in range(basis.shape[0]):
        left = residual[q]
        for j in range(4):
            left -= basis[q, j] * x[slot[q, j]]
        size = abs(left) * weight[q]
        worst = max(worst, size)
        share = min(HUBER / max(size, 1e-300), 1.0)
        root[q] = weight[q] * (share if redescending else math.sqrt(share))
    return worst > OUTLIER


@kernel
def normal_equations(
    k: Floats,
    residual: Floats,
    weight: Floats,
    first: Ints,
    shape: Floats,
    unit: Floats,
    stiffness: float,
    anchor: float,
    rounds: int,
    used: Floats,
    inverse: Floats,
    plain: Floats,
) -> None:
    """Fit every slice's spline without constraints, so that single bad quotes do not bend it.

    Where a quote is further than `OUTLIER` from the fit, the slice is fitted again with quotes
    beyond `HUBER` weighed less: first as Huber does, which has one answer, then by the square of
    that, which nearly forgets them.

    Parameters
    ----------
    k, residual, weight : float64 array, shape (n,)
        Log-moneyness, total variance minus the base's, root weight; sorted by slice.
    first : int64 array, shape (m + 1,)
        Quotes of slice i are ``first[i] : first[i + 1]``.
    shape : float64 array, shape (m, 3)
        scale, origin, 1 / spacing of each slice's knots.
    unit : float64 array, shape (m, knots)
        A coefficient is this times the unknown, so that unknowns are relative variances.
    stiffness, anchor : float
        Weight of squared second differences and of squares of the unknowns.
    rounds : int
        Times that a slice is fitted again at most, half of them as Huber does; 0: never.
    used : float64 array, shape (n,)
        Written: root weights of the last round.
    inverse : float64 array, shape (m, knots, knots)
        Written: inverse of the normal matrix; zero for a slice whose base is NaN.
    plain : float64 array, shape (m, knots)
        Written: the unconstrained unknowns.
    """
    knots = unit.shape[1]
    H = np.empty((knots, knots))
    most = 0
    for i in range(first.shape[0] - 1):
        most = max(most, first[i + 1] - first[i])
    places = np.empty(most)
    all_basis = np.empty((most, 4))
    all_slots = np.empty((most, 4), np.int64)
    for i in range(first.shape[0] - 1):
        begin = first[i]
        end = first[i + 1]
        inverse[i, :, :] = 0.0
        plain[i, :] = 0.0
        for q in range(begin, end):
            used[q] = weight[q]
        if not math.isfinite(shape[i, 0] + shape[i, 1] + shape[i, 2]):
            continue
        basis = all_basis[: end - begin]
        slot = all_slots[: end - begin]
        x_of = places[: end - begin]
        _places(k[begin:end], shape[i, 0], shape[i, 1], shape[i, 2], x_of)
        for q in range(end - begin):
            left = _four(x_of[q], basis[q], knots)
            for j in range(4):
                a = _slot(left, j, knots)
                slot[q, j] = a
                basis[q, j] *= unit[i, a]
        left_over = residual[begin:end]
        x = plain[i]
        for turn in range(rounds + 1):
            _assemble(basis, slot, left_over, used[begin:end], stiffness, anchor, H, x)
            _factorise(H)
            _back(H, x)
            late = 2 * turn >= rounds
            if turn == rounds or not _reweigh(
                basis, slot, left_over, weight[begin:end], x, late, used[begin:end]
            ):
                break
        for j in range(knots):
            inverse[i, j, j] = 1.0
            _back(H, inverse[i, j])


@kernel
def tabulate(k: Floats, shape: Floats, knots: int, table: Floats, left: Ints) -> None:
    """Values of the splines, and their derivatives, at given points.

    Parameters
    ----------
    k : float64 array, shape (m, n)
        Points per slice.
    shape : float64 array, shape (m, 3)
        As in `normal_equations`.
    knots : int
        Number of splines.
    table : float64 array, shape (m, n, 4) or (m, n, 12)
        Written: four values, and in the wider one four slopes and four bends.
    left : int64 array, shape (m, n)
        Written: number of the first of the four splines; it may be negative.
    """
    wide = table.shape[2] == 12
    places = np.empty(k.shape[1])
    for i in range(k.shape[0]):
        _places(k[i], shape[i, 0], shape[i, 1], shape[i, 2], places)
        for g in range(k.shape[1]):
            if wide:
                left[i, g] = _twelve(
                    places[g], k[i, g], shape[i, 0], shape[i, 2], table[i, g], knots
                )
            else:
                left[i, g] = _four(places[g], table[i, g], knots)


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    knots, points = 6, 5
    k = np.linspace(-0.2, 0.2, points)
    shape, unit = np.array([[0.1, -1.4, 1.0]]), np.full((1, knots), 0.01)
    first = np.array([0, points], np.int64)
    nothing, one = np.zeros(points), np.ones(points)
    inverse, plain = np.empty((1, knots, knots)), np.empty((1, knots))
    normal_equations(k, nothing, one, first, shape, unit, 1.0, 1.0, 2, one.copy(), inverse, plain)
    left = np.empty((1, points), np.int64)
    tabulate(k.reshape(1, points).copy(), shape, knots, np.empty((1, points, 12)), left)

"""The spline on top of raw SVI, under the conditions of no arbitrage.

Belongs here: the quadratic programme of one slice. Does not belong here: the spline and its free
fit (`svi_spline`), the base smile (`svi`), bounds that part neighbouring expiries (`svi_order`).

The spline is linear in its coefficients, so that a slice is a convex quadratic programme: total
variance above a floor and below a cap (calendar) is linear, and Durrleman's g >= 0 (butterfly) is
linearised and repeated. Solver: the dual active-set method of Goldfarb and Idnani (1983), which
starts from the unconstrained fit and is exact. Slices are numbered by ascending expiry.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Work = tuple[Ints, Floats, Floats, Floats, Floats, Floats]
"""Active rows, their multipliers, scratch, H^-1 times active rows, gram matrix and its factor."""

SOFTNESS = 1e-10
"""A broken constraint costs its squared size over twice this, in units of chi-square."""

_TOLERANCE = 1e-9

_G_OF_INTEREST = 1.0
"""Butterfly conditions further from breaking than this are left out of a linearisation."""

_NEAR = 0.5
"""So are calendar bounds that the free fit keeps by this share of the total variance."""

_ROOM = 48
"""Constraints that may be active at once."""


@inlined
def _slot(left: int, j: int, knots: int) -> int:
    """Return the number of a row's j-th spline, brought into range where its entry is 0 anyway."""
    return min(max(left + j, 0), knots - 1)


@inlined
def _dot(row: Floats, vector: Floats, start: int) -> float:
    total = 0.0
    for j in range(4):
        total += row[j] * vector[start + j]
    return total


@inlined
def _most_broken(
    start: Ints, rows: Floats, bound: Floats, size: int, x: Floats, busy: Bools
) -> int:
    """Return the free row that x misses by most, -1 when it keeps all."""
    worst = -1
    most = _TOLERANCE
    for r in range(size):
        gap = bound[r] - _dot(rows[r], x, start[r])
        if gap > most and not busy[r]:
            most = gap
            worst = r
    return worst


@inlined
def _drop(active: Ints, dual: Floats, image: Floats, gram: Floats, out: int, held: int) -> None:
    """Close the gap that active row number `out` leaves; `held` remain."""
    for q in range(out, held):
        active[q] = active[q + 1]
        dual[q] = dual[q + 1]
        for i in range(image.shape[1]):
            image[q, i] = image[q + 1, i]
        for p in range(q + 1):
            gram[q, p] = gram[q + 1, p if p < out else p + 1]


@inlined
def _add(
    start: Ints,
    rows: Floats,
    active: Ints,
    image: Floats,
    gram: Floats,
    held: int,
    row: int,
    v: Floats,
) -> None:
    """Make a row active, as number `held`; v is H^-1 times it."""
    active[held] = row
    for i in range(image.shape[1]):
        image[held, i] = v[i]
    for q in range(held + 1):
        gram[held, q] = _dot(rows[active[q]], v, start[active[q]])
    gram[held, held] += SOFTNESS


@inlined
def _step_along(
    x: Floats,
    z: Floats,
    v: Floats,
    image: Floats,
    shares: Floats,
    dual: Floats,
    held: int,
    gap: float,
    row: Floats,
    start: int,
) -> tuple[float, int]:
    """Move towards a row as far as multipliers allow; return the step and which one became 0."""
    n = x.shape[0]
    for i in range(n):
        z[i] = v[i]
    for q in range(held):
        for i in range(n):
            z[i] -= shares[q] * image[q, i]
    step = max(gap, 0.0) / (max(_dot(row, z, start), 0.0) + SOFTNESS)
    out = -1
    for q in range(held):
        if shares[q] > 0.0 and dual[q] < step * shares[q]:
            step = dual[q] / shares[q]
            out = q
    for i in range(n):
        x[i] += step * z[i]
    for q in range(held):
        dual[q] = max(dual[q] - step * shares[q], 0.0)
    return step, out


@inlined
def _programme(
    inverse: Floats,
    start: Ints,
    rows: Floats,
    bound: Floats,
    size: int,
    x: Floats,
    busy: Bools,
    work: Work,
) -> bool:
    """Move x, the unconstrained minimum, to the constrained one; False when it does not get there.

    Goldfarb and Idnani: always add the most violated row, move along the dual, drop rows whose
    multiplier reaches zero. Rows are ``rows[r] . x[start[r] : start[r] + 4] >= bound[r]``, each
    with a slack that costs ``slack^2 / (2 SOFTNESS)``: rows that contradict each other or nearly
    repeat each other then have a solution too.
    """
    active, dual, scratch, image, gram, factor = work
    n = x.shape[0]
    held = 0
    known = 0
    for r in range(size):
        busy[r] = False
    z = scratch[0]
    v = scratch[1]
    shares = scratch[2]
    for _ in range(20 * n):
        row = _most_broken(start, rows, bound, size, x, busy)
        if row < 0:
            return True
        for i in range(n):
            v[i] = _dot(rows[row], inverse[i], start[row])
        multiplier = 0.0
        out = 0
        while out >= 0:
            _shares(start, rows, active, held, known, v, gram, factor, shares)
            known = held
            gap = bound[row] - SOFTNESS * multiplier - _dot(rows[row], x, start[row])
            step, out = _step_along(x, z, v, image, shares, dual, held, gap, rows[row], start[row])
            multiplier += step
            if out >= 0:
                busy[active[out]] = False
                held -= 1
                known = out
                _drop(active, dual, image, gram, out, held)
        if held == active.shape[0]:
            return False
        busy[row] = True
        _add(start, rows, active, image, gram, held, row, v)
        dual[held] = multiplier
        held += 1
    return False


@inlined
def _shares(
    start: Ints,
    rows: Floats,
    active: Ints,
    held: int,
    known: int,
    v: Floats,
    gram: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Solve (N H^-1 N' + SOFTNESS) out = N v for the active rows N; `gram` is that matrix.

    The first `known` rows of its Cholesky factor are there already.
    """
    for i in range(held):
        right = _dot(rows[active[i]], v, start[active[i]])
        if i >= known:
            for j in range(i + 1):
                total = gram[i, j]
                for q in range(j):
                    total -= factor[i, q] * factor[j, q]
                if i == j:
                    factor[i, i] = math.sqrt(max(total, 0.5 * SOFTNESS))
                else:
                    factor[i, j] = total / factor[j, j]
        for q in range(i):
            right -= factor[i, q] * out[q]
        out[i] = right / factor[i, i]
    for i in range(held - 1, -1, -1):
        total = out[i]
        for q in range(i + 1, held):
            total -= factor[q, i] * out[q]
        out[i] = total / factor[i, i]


@inlined
def _limits(w: Floats, i: int, bounds: Floats, gap: float, limits: Floats) -> None:
    """Floor and cap of slice i: given, or the nearest earlier and later expiry known there."""
    for g in range(w.shape[1]):
        limits[0, g] = -np.inf
        limits[1, g] = np.inf
        if not math.isfinite(w[i, g]):
            continue
        if bounds.shape[1] > 0:
            limits[0, g] = bounds[0, i, g]
            limits[1, g] = bounds[1, i, g]
            continue
        q = i - 1
        while q >= 0 and not math.isfinite(w[q, g]):
            q -= 1
        limits[0, g] = w[q, g] * (1.0 + gap) if q >= 0 else -np.inf
        q = i + 1
        while q < w.shape[0] and not math.isfinite(w[q, g]):
            q += 1
        limits[1, g] = w[q, g] * (1.0 - gap) if q < w.shape[0] else np.inf


@inlined
def _durrleman_rows(
    i: int,
    k: Floats,
    base: Floats,
    table: Floats,
    left: Ints,
    unit: Floats,
    x: Floats,
    margin: float,
    rows: Floats,
    start: Ints,
    bound: Floats,
    size: int,
) -> tuple[int, float]:
    """Append the linearised butterfly conditions at x; return the rows' number and the least g."""
    knots = x.shape[0]
    least = np.inf
    for g in range(k.shape[1]):
        value = base[0, i, g]
        s = base[1, i, g]
        bend = base[2, i, g]
        for j in range(4):
            a = _slot(left[i, g], j, knots)
            q = unit[i, a] * x[a]
            value += table[i, g, j] * q
            s += table[i, g, 4 + j] * q
            bend += table[i, g, 8 + j] * q
        w = max(value, 0.02 * base[0, i, g])
        half = 1.0 - 0.5 * k[i, g] * s / w
        value = half * half - 0.25 * s * s * (1.0 / w + 0.25) + 0.5 * bend
        least = min(least, value)
        if value > _G_OF_INTEREST:
            continue
        by_w = (half * k[i, g] * s + 0.25 * s * s) / (w * w)
        by_s = -half * k[i, g] / w - 0.5 * s * (1.0 / w + 0.25)
        home = min(max(left[i, g], 0), knots - 4)
        start[size] = home
        bound[size] = margin - value
        for j in range(4):
            rows[size, j] = 0.0
        for j in range(4):
            a = left[i, g] + j
            if a >= 0 and a < knots:
                q = unit[i, a] * (
                    by_w * table[i, g, j] + by_s * table[i, g, 4 + j] + 0.5 * table[i, g, 8 + j]
                )
                rows[size, a - home] = q
                bound[size] += q * x[a]
        size += 1
    return size, least


@inlined
def _calendar_rows(
    i: int,
    base: Floats,
    limits: Floats,
    table: Floats,
    left: Ints,
    unit: Floats,
    plain: Floats,
    rows: Floats,
    start: Ints,
    bound: Floats,
) -> tuple[int, bool]:
    """Write the calendar bounds near which the free fit is; return their number and if it holds."""
    knots = plain.shape[1]
    size = 0
    holds = True
    for g in range(base.shape[1]):
        low = limits[0, g]
        high = limits[1, g]
        if not (low > -np.inf or high < np.inf):
            continue
        worth = base[i, g]
        value = worth
        for j in range(4):
            a = _slot(left[i, g], j, knots)
            value += table[i, g, j] * unit[i, a] * plain[i, a]
        home = min(max(left[i, g], 0), knots - 4)
        if low > -np.inf and value - low < _NEAR * worth:
            _put(rows, start, size, home, left[i, g], table[i, g], unit[i], 1.0 / worth, knots)
            bound[size] = (low - worth) / worth
            holds = holds and value >= low
            size += 1
        if high < np.inf and high - value < _NEAR * worth:
            _put(rows, start, size, home, left[i, g], table[i, g], unit[i], -1.0 / worth, knots)
            bound[size] = (worth - high) / worth
            holds = holds and value <= high
            size += 1
    return size, holds


@inlined
def _settle(
    i: int, base: Floats, table: Floats, left: Ints, unit: Floats, x: Floats, w: Floats
) -> None:
    """Write slice i's total variance at the shared points of its domain."""
    for g in range(w.shape[1]):
        if math.isfinite(w[i, g]):
            value = base[i, g]
            for j in range(4):
                a = _slot(left[i, g], j, x.shape[0])
                value += table[i, g, j] * unit[i, a] * x[a]
            w[i, g] = value


@kernel
def constrain(
    order: Ints,
    bounds: Floats,
    inverse: Floats,
    plain: Floats,
    unit: Floats,
    k: Floats,
    base: Floats,
    table: Floats,
    left: Ints,
    shared_base: Floats,
    shared_table: Floats,
    shared_left: Ints,
    w: Floats,
    margin: float,
    gap: float,
    max_rounds: int,
    unknowns: Floats,
) -> None:
    """Solve slices' quadratic programmes one after the other.

    Parameters
    ----------
    order : int64 array, shape (q,)
        Slices to solve, in this order; the others keep their unknowns.
    bounds : float64 array, shape (2, m, c) or (2, 0, 0)
        Floor and cap of total variance at the shared points; when empty, the other slices' current
        total variances bound each slice.
    inverse, plain, unit
        Of `svi_spline.normal_equations`.
    k : float64 array, shape (m, n)
        Points at which the butterfly condition is imposed.
    base : float64 array, shape (3, m, n)
        Base total variance and its two derivatives there.
    table, left
        Of `svi_spline.tabulate` at `k`, 12 wide.
    shared_base : float64 array, shape (m, c)
        Base total variance at the shared points.
    shared_table, shared_left
        Of `svi_spline.tabulate` at the shared points, 4 wide.
    w : float64 array, shape (m, c)
        Read and written: total variance there; NaN outside a slice's domain.
    margin : float
        Least value asked of Durrleman's g; half of it is enough.
    gap : float
        Relative distance kept from the other slices.
    max_rounds : int
        Linearisations per slice.
    unknowns : float64 array, shape (m, knots)
        Read and written: start and solution.
    """
    n = k.shape[1]
    c = w.shape[1]
    knots = unit.shape[1]
    most = n + 2 * c
    start = np.empty(most, np.int64)
    rows = np.empty((most, 4))
    bound = np.empty(most)
    busy = np.empty(most, np.bool_)
    work = (
        np.empty(_ROOM, np.int64),
        np.empty(_ROOM),
        np.empty((3, max(knots, _ROOM))),
        np.empty((_ROOM, knots)),
        np.empty((_ROOM, _ROOM)),
        np.empty((_ROOM, _ROOM)),
    )
    limits = np.empty((2, c))
    x = np.empty(knots)
    for o in range(order.shape[0]):
        i = order[o]
        _limits(w, i, bounds, gap, limits)
        fixed, holds = _calendar_rows(
            i, shared_base, limits, shared_table, shared_left, unit, plain, rows, start, bound
        )
        for j in range(knots):
            x[j] = plain[i, j]
        size, least = _durrleman_rows(
            i, k, base, table, left, unit, x, margin, rows, start, bound, fixed
        )
        if not (holds and least >= 0.5 * margin):
            for j in range(knots):
                x[j] = unknowns[i, j]
            for turn in range(max_rounds):
                size, least = _durrleman_rows(
                    i, k, base, table, left, unit, x, margin, rows, start, bound, fixed
                )
                if turn > 0 and least >= 0.5 * margin:
                    break
                for j in range(knots):
                    x[j] = plain[i, j]
                _programme(inverse[i], start, rows, bound, size, x, busy, work)
        for j in range(knots):
            unknowns[i, j] = x[j]
        _settle(i, shared_base, shared_table, shared_left, unit, x, w)


@inlined
def _put(
    rows: Floats,
    start: Ints,
    at: int,
    home: int,
    left: int,
    splines: Floats,
    unit: Floats,
    factor: float,
    knots: int,
) -> None:
    """Write a row of values, in which splines that do not exist are left out."""
    start[at] = home
    for j in range(4):
        rows[at, j] = 0.0
    for j in range(4):
        a = left + j
        if a >= 0 and a < knots:
            rows[at, a - home] = factor * splines[j] * unit[a]


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    knots, points = 6, 5
    k = np.linspace(-0.2, 0.2, points).reshape(1, points)
    inverse, plain = np.eye(knots).reshape(1, knots, knots).copy(), np.zeros((1, knots))
    table, left = np.zeros((1, points, 12)), np.zeros((1, points), np.int64)
    w, base = np.full((1, points), 0.01), np.zeros((3, 1, points))
    base[0] = 0.01
    bounds = np.empty((2, 1, points))
    bounds[0], bounds[1] = 0.0, 1.0
    constrain(
        np.zeros(1, np.int64),
        bounds,
        inverse,
        plain,
        np.full((1, knots), 0.01),
        k,
        base,
        table,
        left,
        base[0].copy(),
        table[:, :, :4].copy(),
        left,
        w,
        1e-3,
        1e-4,
        1,
        plain.copy(),
    )

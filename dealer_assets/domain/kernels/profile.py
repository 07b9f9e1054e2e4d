"""Sums of normal densities over a book: the arithmetic behind profile, band and scenarios.

Belongs here: ``sum w exp(-d**2 / 2)`` with ``d = a + b u`` over levels u, directly and by
recurrence over a uniform grid of u, the same with vols read off tables of smiles, and delta and
gamma of a book in scenario cells. Does not belong here: where the levels lie and what a zero means
(`exposure/repricing`), validation, units.

Every array is 1-D, float64 and contiguous. A NaN in gives NaN out: callers keep NaN away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import FASTMATH, inlined, kernel
from dealer_assets.domain.kernels.elementary import INV_SQRT_2, INV_SQRT_2PI, erfcx, exp

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

CHUNK = 1024
"""Contracts worked on together: their arrays stay in the first-level cache."""

HALF_BLOCK = 60
"""Levels the recurrence walks from an anchor in each direction. Its relative error grows with the
square of that: 60**2 / 2 roundings are 4e-13. With ``|b| step <= MAX_SLOPE_STEP`` nothing that
matters underflows at the anchor: 8.6 + 60 x 0.4 < 37."""

MAX_SLOPE_STEP = 0.4
"""Largest ``b x step`` for which `density_on_grid` may be used; sharper contracts go to
`density_at`."""

_FAR = 37.0


def summed(function: Function) -> Function:
    """Compile a function that kernels inline and whose sums may be reordered.

    A sum is vectorised only when its order is free. Functions with this decorator hold the sum and
    call `inlined` ones for the arithmetic, which keep their own flags.
    """
    flags = set(FASTMATH | {"reassoc"})
    return njit(forceinline=True, error_model="numpy", fastmath=flags)(function)  # type: ignore[no-any-return]


@summed
def _density(u: float, a: Floats, b: Floats, w: Floats) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        d = a[i] + b[i] * u
        total += w[i] * exp(-0.5 * d * d)
    return total


@summed
def _density_slope(u: float, a: Floats, b: Floats, w: Floats) -> tuple[float, float]:
    total = 0.0
    slope = 0.0
    for i in range(a.shape[0]):
        d = a[i] + b[i] * u
        x = w[i] * exp(-0.5 * d * d)
        total += x
        slope -= x * b[i] * d
    return total, slope


@kernel
def density_at(u: Floats, a: Floats, b: Floats, w: Floats, out: Floats) -> None:
    """Write ``sum_i w_i exp(-(a_i + b_i u_j)**2 / 2)`` for every level; shapes (k,), (n,), (k,)."""
    n = a.shape[0]
    for j in range(u.shape[0]):
        out[j] = 0.0
    for c in range((n + CHUNK - 1) // CHUNK):
        low = c * CHUNK
        high = min(n, low + CHUNK)
        for j in range(u.shape[0]):
            out[j] += _density(u[j], a[low:high], b[low:high], w[low:high])


@kernel
def density_slope_at(
    u: Floats, a: Floats, b: Floats, w: Floats, out: Floats, slope: Floats
) -> None:
    """Write the sum of `density_at` and its exact derivative in u."""
    n = a.shape[0]
    for j in range(u.shape[0]):
        out[j] = 0.0
        slope[j] = 0.0
    for c in range((n + CHUNK - 1) // CHUNK):
        low = c * CHUNK
        high = min(n, low + CHUNK)
        for j in range(u.shape[0]):
            value, change = _density_slope(u[j], a[low:high], b[low:high], w[low:high])
            out[j] += value
            slope[j] += change


@inlined
def _anchor(
    u: float,
    step: float,
    a: Floats,
    b: Floats,
    w: Floats,
    up: Floats,
    up_ratio: Floats,
    down: Floats,
    down_ratio: Floats,
    shrink: Floats,
) -> None:
    """Start the recurrence at u: the terms, the ratios to both neighbours, the ratio of ratios."""
    for i in range(a.shape[0]):
        d = a[i] + b[i] * u
        e = b[i] * step
        near = d if d < _FAR else _FAR
        near = near if near > -_FAR else -_FAR
        term = w[i] * exp(-0.5 * d * d)
        up[i] = term
        down[i] = term
        up_ratio[i] = exp(-near * e - 0.5 * e * e)
        down_ratio[i] = exp(near * e - 0.5 * e * e)
        shrink[i] = exp(-e * e)


@summed
def _walk(term: Floats, ratio: Floats, shrink: Floats) -> tuple[float, float, float, float]:
    """Four steps at once: the sums of the next four levels; term and ratio move on to the last."""
    one = 0.0
    two = 0.0
    three = 0.0
    four = 0.0
    for i in range(term.shape[0]):
        c = shrink[i]
        r = ratio[i]
        x = term[i] * r
        one += x
        r *= c
        x *= r
        two += x
        r *= c
        x *= r
        three += x
        r *= c
        x *= r
        four += x
        term[i] = x
        ratio[i] = r * c
    return one, two, three, four


@summed
def _total(term: Floats) -> float:
    total = 0.0
    for i in range(term.shape[0]):
        total += term[i]
    return total


@inlined
def _walk_block(
    out: Floats, centre: int, sign: int, term: Floats, ratio: Floats, shrink: Floats
) -> None:
    """Add the sums of the levels on one side of an anchor; levels outside `out` are dropped."""
    levels = out.shape[0]
    reach = min(HALF_BLOCK, levels - 1 - centre if sign > 0 else centre)
    for k in range((reach + 3) // 4):
        one, two, three, four = _walk(term, ratio, shrink)
        j = centre + sign * (4 * k + 1)
        if 0 <= j < levels:
            out[j] += one
        j += sign
        if 0 <= j < levels and 4 * k + 2 <= reach:
            out[j] += two
        j += sign
        if 0 <= j < levels and 4 * k + 3 <= reach:
            out[j] += three
        j += sign
        if 0 <= j < levels and 4 * k + 4 <= reach:
            out[j] += four


@kernel
def density_on_grid(
    start: float, step: float, a: Floats, b: Floats, w: Floats, out: Floats
) -> None:
    """Write the sums of `density_at` at ``u_j = start + j step`` without an exponential per pair.

    For uniform steps the ratio of neighbouring terms is itself a geometric sequence:
    ``g(j+1) = g(j) r(j)``, ``r(j+1) = r(j) exp(-(b step)**2)``. Anchored anew every
    ``2 HALF_BLOCK + 1`` levels. Needs ``b step <= MAX_SLOPE_STEP`` for every contract.
    """
    n = a.shape[0]
    levels = out.shape[0]
    for j in range(levels):
        out[j] = 0.0
    size = min(n, CHUNK // 2)
    up = np.empty(size)
    up_ratio = np.empty(size)
    down = np.empty(size)
    down_ratio = np.empty(size)
    shrink = np.empty(size)
    span = 2 * HALF_BLOCK + 1
    for c in range((n + CHUNK // 2 - 1) // (CHUNK // 2)):
        low = c * (CHUNK // 2)
        high = min(n, low + CHUNK // 2)
        m = high - low
        for block in range((levels + span - 1) // span):
            centre = min(block * span + HALF_BLOCK, levels - 1)
            _anchor(
                start + step * centre,
                step,
                a[low:high],
                b[low:high],
                w[low:high],
                up[:m],
                up_ratio[:m],
                down[:m],
                down_ratio[:m],
                shrink[:m],
            )
            out[centre] += _total(up[:m])
            # What lies before this block belongs to the one before
            first = block * span
            _walk_block(out[first:], centre - first, 1, up[:m], up_ratio[:m], shrink[:m])
            _walk_block(out[first:], centre - first, -1, down[:m], down_ratio[:m], shrink[:m])


@inlined
def _moving_row(
    moved: float,
    step: float,
    t: float,
    weight: float,
    residual: float,
    floor: float,
    c0: Floats,
    c1: Floats,
    c2: Floats,
    c3: Floats,
    out: Floats,
) -> None:
    """Add one contract to every level: the cells it passes lie next to each other."""
    for j in range(out.shape[0]):
        free = residual + (c0[j] + t * (c1[j] + t * (c2[j] + t * c3[j])))
        s = free if free > floor else floor
        over = 1.0 / s
        d = 0.5 * s - (moved - step * j) * over
        out[j] += weight * over * exp(-0.5 * d * d)


@kernel
def moving_density_on_grid(
    start: float,
    step: float,
    k: Floats,
    weight: Floats,
    residual: Floats,
    floor: Floats,
    top: Floats,
    base: Places,
    cells: Places,
    c0: Floats,
    c1: Floats,
    c2: Floats,
    c3: Floats,
    out: Floats,
) -> None:
    """Write the sums of `moving_density_at` at ``start + j step``, `step` being the tables' cell.

    From level to level a contract moves by one cell, and its place within the cell stays.
    """
    levels = out.shape[0]
    for j in range(levels):
        out[j] = 0.0
    for i in range(k.shape[0]):
        y = (top[i] - k[i] + start) / step
        cell = min(max(int(y), 0), cells[i] - levels)
        p = base[i] + cell
        q = p + levels
        _moving_row(
            k[i] - start,
            step,
            y - cell,
            weight[i],
            residual[i],
            floor[i],
            c0[p:q],
            c1[p:q],
            c2[p:q],
            c3[p:q],
            out,
        )


@summed
def _moved(
    u: float, k: Floats, weight: Floats, total_vol: Floats, rise: Floats
) -> tuple[float, float]:
    total = 0.0
    slope = 0.0
    for i in range(k.shape[0]):
        s = total_vol[i]
        over = 1.0 / s
        moved = k[i] - u
        d = 0.5 * s - moved * over
        term = weight[i] * over * exp(-0.5 * d * d)
        total += term
        slope -= term * (d * (over + rise[i] * (moved * over * over + 0.5)) + rise[i] * over)
    return total, slope


@kernel
def moving_density_at(
    u: Floats,
    step: float,
    k: Floats,
    weight: Floats,
    residual: Floats,
    floor: Floats,
    top: Floats,
    base: Places,
    cells: Places,
    c0: Floats,
    c1: Floats,
    c2: Floats,
    c3: Floats,
    out: Floats,
    slope: Floats,
) -> None:
    """Write ``sum_i W_i / s_i exp(-d_i**2 / 2)`` and its derivative in u, total vol moving with u.

    ``s_i(u) = max(residual_i + smile_i(k_i - u), floor_i)``, with each smile a table of cubics:
    at ``y = (top - k + u) / step``, cell ``int(y)`` of `cells`, kept at ``base + cell`` in the four
    arrays of coefficients. The derivative is that of the cubics, exactly.
    """
    n = k.shape[0]
    size = min(n, CHUNK)
    total_vol = np.empty(size)
    rise = np.empty(size)
    inverse = 1.0 / step
    for j in range(u.shape[0]):
        out[j] = 0.0
        slope[j] = 0.0
    for c in range((n + CHUNK - 1) // CHUNK):
        low = c * CHUNK
        high = min(n, low + CHUNK)
        for j in range(u.shape[0]):
            # Looking up is done one by one; the exponentials after it four at a time
            for i in range(high - low):
                g = low + i
                y = (top[g] - k[g] + u[j]) * inverse
                cell = min(max(int(y), 0), cells[g] - 1)
                t = y - cell
                p = base[g] + cell
                free = residual[g] + (c0[p] + t * (c1[p] + t * (c2[p] + t * c3[p])))
                change = (c1[p] + t * (2.0 * c2[p] + 3.0 * t * c3[p])) * inverse
                is_free = free > floor[g]
                total_vol[i] = free if is_free else floor[g]
                rise[i] = change if is_free else 0.0
            value, change = _moved(
                u[j], k[low:high], weight[low:high], total_vol[: high - low], rise[: high - low]
            )
            out[j] += value
            slope[j] += change


@kernel
def smile_at(
    step: float,
    k: Floats,
    top: Floats,
    base: Places,
    cells: Places,
    c0: Floats,
    c1: Floats,
    c2: Floats,
    c3: Floats,
    out: Floats,
) -> None:
    """Write each contract's smile at `k`; tables as in `moving_density_at`."""
    for i in range(k.shape[0]):
        y = (top[i] - k[i]) / step
        cell = min(max(int(y), 0), cells[i] - 1)
        t = y - cell
        p = base[i] + cell
        out[i] = c0[p] + t * (c1[p] + t * (c2[p] + t * c3[p]))


@kernel
def least_smile_over(
    start: float,
    step: float,
    levels: int,
    k: Floats,
    top: Floats,
    base: Places,
    cells: Places,
    c0: Floats,
    out: Floats,
) -> None:
    """Write the least value that each contract's smile has in the cells it passes."""
    for i in range(k.shape[0]):
        cell = min(max(int((top[i] - k[i] + start) / step), 0), cells[i] - levels)
        least = c0[base[i] + cell]
        for j in range(levels):
            least = min(least, c0[base[i] + cell + j])
        out[i] = least


@summed
def _cell(u: float, k: Floats, s: Floats, inverse: Floats, w: Floats) -> tuple[float, float]:
    """Return the sums of ``w N(d1)`` and ``w phi(d1) / s`` at one shift u of log-spot."""
    delta = 0.0
    gamma = 0.0
    for i in range(k.shape[0]):
        d = (u - k[i]) * inverse[i] + 0.5 * s[i]
        e = exp(-0.5 * d * d)
        tail = 0.5 * e * erfcx(abs(d) * INV_SQRT_2)
        delta += w[i] * (tail if d < 0.0 else 1.0 - tail)
        gamma += w[i] * e * inverse[i]
    return delta, gamma * INV_SQRT_2PI


@kernel
def delta_gamma_at(
    u: Floats, k: Floats, s: Floats, w: Floats, delta: Floats, gamma: Floats
) -> None:
    """Write ``sum w N(d1)`` and ``sum w phi(d1) / s`` at every shift of log-spot.

    ``d1 = (u - k) / s + s / 2`` with `k` the log-moneyness and `s` the total vol of each contract.
    """
    n = k.shape[0]
    inverse = np.empty(n)
    for i in range(n):
        inverse[i] = 1.0 / s[i]
    for j in range(u.shape[0]):
        delta[j] = 0.0
        gamma[j] = 0.0
    for c in range((n + CHUNK - 1) // CHUNK):
        low = c * CHUNK
        high = min(n, low + CHUNK)
        for j in range(u.shape[0]):
            first, second = _cell(u[j], k[low:high], s[low:high], inverse[low:high], w[low:high])
            delta[j] += first
            gamma[j] += second


def warm() -> None:
    """Compile every kernel, or load it from the cache, by calling it once with tiny arrays."""
    one = np.ones(1)
    out, slope = np.empty(1), np.empty(1)
    density_at(one, one, one, one, out)
    density_slope_at(one, one, one, one, out, slope)
    density_on_grid(0.0, 0.1, one, one, one, out)
    base, cells = np.zeros(1, np.int64), np.ones(1, np.int64)
    tables = (one, base, cells, one, one, one, one)
    moving_density_on_grid(0.0, 1.0, one, one, one, one, *tables, out)
    moving_density_at(one, 1.0, one, one, one, one, *tables, out, slope)
    smile_at(1.0, one, *tables, out)
    least_smile_over(0.0, 1.0, 1, one, one, base, cells, one, out)
    delta_gamma_at(one, one, one, one, out, slope)

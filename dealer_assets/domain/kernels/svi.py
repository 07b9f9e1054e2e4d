"""Raw SVI slices: the least-squares fit of five parameters.

Belongs here: the fit of one smile to total variances. Does not belong here: weights, the smile's
values (`svi_smile`), arbitrage (`svi_arbitrage`), the correction's fit (`svi_correction`).

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))

Source: Gatheral and Jacquier (2014), section 3.1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOPE_CAP = 1.95
"""Bound of b (1 + |rho|), a little inside Lee's 2: w < 2 |k| far out, with room for rounding."""

_CHORDS = 3.0
_LEAST_SHARE = 0.3
"""A wing may be this much steeper than its chord, and than this share of the whole smile's."""

_START_QUOTES = 24
"""Quotes that suffice to choose a start."""

_STIFF = 1e3
_DAMPING_CEILING = 1e12


@inlined
def _cost(k: Floats, w: Floats, weight: Floats, p: Floats, box: Floats) -> float:
    """Weighted squares of the residuals of (a, d, c, m, ln sigma), and of what breaks a bound."""
    floor, left, right = box[4], box[5], box[6]
    s = math.exp(p[4])
    total = 0.0
    for i in range(k.shape[0]):
        x = k[i] - p[3]
        e = weight[i] * (p[0] + p[1] * x + p[2] * math.sqrt(x * x + s * s) - w[i])
        total += e * e
    steep = max(p[2] + p[1] - right, 0.0) / right
    down = max(p[2] - p[1] - left, 0.0) / left
    turned = max(abs(p[1]) - p[2], 0.0) / (left + right)
    low = max(floor - p[0] - s * math.sqrt(max(p[2] * p[2] - p[1] * p[1], 0.0)), 0.0)
    broken = steep * steep + down * down + turned * turned + low * low / (floor * floor)
    cost: float = total * (1.0 + _STIFF * broken)
    return cost


@inlined
def _value(t: Floats, a: float, d: float, c: float) -> float:
    """Sum of squared residuals from the moments of `_linear`."""
    value: float = (
        t[9]
        - 2.0 * (a * t[6] + d * t[7] + c * t[8])
        + a * a * t[0]
        + d * d * t[3]
        + c * c * t[5]
        + 2.0 * (a * d * t[1] + a * c * t[2] + d * c * t[4])
    )
    return value


@inlined
def _edge(
    t: Floats, by: float, at: float, low: float, high: float, best: float, p: Floats
) -> float:
    """Best (a, c) on the edge ``d = by c + at`` for low <= c <= high, if it beats `best`."""
    s1 = by * t[1] + t[2]
    s2 = by * by * t[3] + 2.0 * by * t[4] + t[5]
    r0 = t[6] - at * t[1]
    r1 = by * t[7] + t[8] - at * (by * t[3] + t[4])
    det = t[0] * s2 - s1 * s1
    c = (t[0] * r1 - s1 * r0) / det if det > 0.0 else low
    c = min(max(c, low), high)
    a = (r0 - c * s1) / t[0]
    d = by * c + at
    value = _value(t, a, d, c)
    if value < best:
        p[0] = a
        p[1] = d
        p[2] = c
        best = value
    return best


@inlined
def _linear(
    k: Floats, w: Floats, weight: Floats, p: Floats, left: float, right: float, t: Floats
) -> float:
    """Best (a, d, c) for given m and sigma with |d| <= c, c - d <= left, c + d <= right; its cost.

    The feasible (d, c) form a quadrilateral: where the free optimum is outside, the best point of
    its four edges is the answer, since the cost is convex.
    """
    s_squared = math.exp(2.0 * p[4])
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = t8 = t9 = 0.0
    for i in range(k.shape[0]):
        x = k[i] - p[3]
        r = math.sqrt(x * x + s_squared)
        q = weight[i] * weight[i]
        v = q * w[i]
        t0 += q
        t1 += q * x
        t2 += q * r
        t3 += q * x * x
        t4 += q * x * r
        t5 += q * r * r
        t6 += v
        t7 += v * x
        t8 += v * r
        t9 += v * w[i]
    t[0], t[1], t[2], t[3], t[4] = t0, t1, t2, t3, t4
    t[5], t[6], t[7], t[8], t[9] = t5, t6, t7, t8, t9
    c11 = t3 * t5 - t4 * t4
    c12 = t2 * t4 - t1 * t5
    c13 = t1 * t4 - t2 * t3
    det = t0 * c11 + t1 * c12 + t2 * c13
    if abs(det) > 1e-14 * abs(t0 * t3 * t5):
        c = (c13 * t6 + (t1 * t2 - t0 * t4) * t7 + (t0 * t3 - t1 * t1) * t8) / det
        d = (c12 * t6 + (t0 * t5 - t2 * t2) * t7 + (t1 * t2 - t0 * t4) * t8) / det
        if abs(d) <= c and c - d <= left and c + d <= right:
            p[0] = (t6 - d * t1 - c * t2) / t0
            p[1] = d
            p[2] = c
            return max(_value(t, p[0], d, c), 0.0)
    middle = 0.5 * (left + right)
    best = _edge(t, 1.0, 0.0, 1e-9, 0.5 * right, np.inf, p)
    best = _edge(t, -1.0, 0.0, 1e-9, 0.5 * left, best, p)
    best = _edge(t, 1.0, -left, 0.5 * left, middle, best, p)
    best = _edge(t, -1.0, right, 0.5 * right, middle, best, p)
    return max(best, 0.0)


@inlined
def _steepest(k: Floats, w: Floats) -> tuple[float, float]:
    """Bounds of the wings' slopes: a few times the slopes of chords from the lowest quote.

    Quotes that end before a wing straightens do not determine its slope, and the fit would choose
    one that makes nonsense of everything beyond them.
    """
    n = k.shape[0]
    lowest = 0
    highest = 0
    for i in range(n):
        lowest = i if w[i] < w[lowest] else lowest
        highest = i if w[i] > w[highest] else highest
    overall = (w[highest] - w[lowest]) / (k[n - 1] - k[0])
    left = (w[0] - w[lowest]) / (k[lowest] - k[0]) if lowest > 0 else 0.0
    right = (w[n - 1] - w[lowest]) / (k[n - 1] - k[lowest]) if lowest < n - 1 else 0.0
    least = max(_LEAST_SHARE * overall, 1e-9)
    left = min(max(_CHORDS * left, least), SLOPE_CAP)
    right = min(max(_CHORDS * right, least), SLOPE_CAP)
    return left, right


@inlined
def _start(
    k: Floats, w: Floats, weight: Floats, p: Floats, left: float, right: float, t: Floats
) -> float:
    """Choose m and sigma from a coarse grid; the linear parameters follow from them."""
    n = k.shape[0]
    span = k[n - 1] - k[0]
    lowest = 0
    for i in range(n):
        lowest = i if w[i] < w[lowest] else lowest
    pace = max(n // _START_QUOTES, 1)
    few_k, few_w, few_weight = k[::pace].copy(), w[::pace].copy(), weight[::pace].copy()
    best = np.inf
    best_m = best_s = 0.0
    for i in range(4):
        m = min(max(k[lowest] - (0.0, 0.04, 0.12, -0.05)[i] * span, k[0]), k[n - 1])
        for j in range(4):
            p[3] = m
            p[4] = math.log(span * (0.02, 0.07, 0.2, 0.5)[j])
            cost = _linear(few_k, few_w, few_weight, p, left, right, t)
            if cost < best:
                best = cost
                best_m = p[3]
                best_s = p[4]
    p[3] = best_m
    p[4] = best_s
    return _linear(k, w, weight, p, left, right, t)


@inlined
def _compass(
    k: Floats,
    w: Floats,
    weight: Floats,
    p: Floats,
    box: Floats,
    t: Floats,
    cost: float,
) -> float:
    """Improve m and ln sigma by halving steps along the axes, where bounds stop smooth steps."""
    left, right = box[5], box[6]
    size_m = 0.05 * (box[1] - box[0])
    size_s = 0.4
    m = p[3]
    s = p[4]
    for _ in range(12):
        moved = False
        for j in range(4):
            p[3] = min(max(m + (size_m, -size_m, 0.0, 0.0)[j], box[0]), box[1])
            p[4] = min(max(s + (0.0, 0.0, size_s, -size_s)[j], box[2]), box[3])
            trial = _linear(k, w, weight, p, left, right, t)
            if trial < cost:
                cost = trial
                m = p[3]
                s = p[4]
                moved = True
        if not moved:
            size_m *= 0.4
            size_s *= 0.4
    p[3] = m
    p[4] = s
    return _linear(k, w, weight, p, left, right, t)


@inlined
def _normal(
    k: Floats,
    w: Floats,
    weight: Floats,
    p: Floats,
    box: Floats,
    A: Floats,
    g: Floats,
) -> None:
    """Gauss-Newton matrix and gradient (halved) of `_cost`."""
    floor, left, right = box[4], box[5], box[6]
    s = math.exp(p[4])
    s2 = s * s
    d = p[1]
    c = p[2]
    a01 = a02 = a03 = a04 = a11 = a12 = a13 = a14 = a22 = a23 = a24 = a33 = a34 = a44 = 0.0
    a00 = g0 = g1 = g2 = g3 = g4 = total = 0.0
    for i in range(k.shape[0]):
        x = k[i] - p[3]
        r = math.sqrt(x * x + s2)
        q = weight[i]
        e = q * (p[0] + d * x + c * r - w[i])
        j1 = q * x
        j2 = q * r
        j3 = -q * (d + c * x / r)
        j4 = q * c * s2 / r
        total += e * e
        g0 += q * e
        g1 += j1 * e
        g2 += j2 * e
        g3 += j3 * e
        g4 += j4 * e
        a00 += q * q
        a01 += q * j1
        a02 += q * j2
        a03 += q * j3
        a04 += q * j4
        a11 += j1 * j1
        a12 += j1 * j2
        a13 += j1 * j3
        a14 += j1 * j4
        a22 += j2 * j2
        a23 += j2 * j3
        a24 += j2 * j4
        a33 += j3 * j3
        a34 += j3 * j4
        a44 += j4 * j4
    A[0, 0] = a00
    A[1, 0], A[1, 1] = a01, a11
    A[2, 0], A[2, 1], A[2, 2] = a02, a12, a22
    A[3, 0], A[3, 1], A[3, 2], A[3, 3] = a03, a13, a23, a33
    A[4, 0], A[4, 1], A[4, 2], A[4, 3], A[4, 4] = a04, a14, a24, a34, a44
    g[0], g[1], g[2], g[3], g[4] = g0, g1, g2, g3, g4
    stiff = _STIFF * total
    sign = 1.0 if d > 0.0 else -1.0
    _add_bound(A, g, stiff / (right * right), c + d - right, 1.0, 1.0)
    _add_bound(A, g, stiff / (left * left), c - d - left, -1.0, 1.0)
    _add_bound(A, g, stiff / ((left + right) * (left + right)), abs(d) - c, sign, -1.0)
    root = math.sqrt(max(c * c - d * d, 1e-16))
    low = floor - p[0] - s * root
    if low > 0.0:
        stiff /= floor * floor
        n0 = -1.0
        n1 = s * d / root
        n2 = -s * c / root
        n4 = -s * root
        g[0] += stiff * low * n0
        g[1] += stiff * low * n1
        g[2] += stiff * low * n2
        g[4] += stiff * low * n4
        A[0, 0] += stiff
        A[1, 0] += stiff * n0 * n1
        A[2, 0] += stiff * n0 * n2
        A[4, 0] += stiff * n0 * n4
        A[1, 1] += stiff * n1 * n1
        A[2, 1] += stiff * n1 * n2
        A[4, 1] += stiff * n1 * n4
        A[2, 2] += stiff * n2 * n2
        A[4, 2] += stiff * n2 * n4
        A[4, 4] += stiff * n4 * n4


@inlined
def _add_bound(A: Floats, g: Floats, stiff: float, excess: float, by_d: float, by_c: float) -> None:
    """Add the square of a linear bound's excess to the normal matrix."""
    if excess > 0.0:
        g[1] += stiff * excess * by_d
        g[2] += stiff * excess * by_c
        A[1, 1] += stiff
        A[2, 2] += stiff
        A[2, 1] += stiff * by_d * by_c


@inlined
def _factorised(A: Floats, damping: float, L: Floats) -> bool:
    """Cholesky factor of A + damping diag A; False when it is not positive definite."""
    for i in range(5):
        for j in range(i + 1):
            total = A[i, j] * (1.0 + damping if i == j else 1.0)
            for q in range(j):
                total -= L[i, q] * L[j, q]
            if i == j and not total > 0.0:
                return False
            L[i, j] = math.sqrt(total) if i == j else total / L[j, j]
    return True


@inlined
def _solve(A: Floats, g: Floats, damping: float, L: Floats, step: Floats) -> bool:
    """Solve (A + damping diag A) step = g; False when the matrix is not positive definite."""
    if not _factorised(A, damping, L):
        return False
    for i in range(5):
        total = g[i]
        for q in range(i):
            total -= L[i, q] * step[q]
        step[i] = total / L[i, i]
    for i in range(4, -1, -1):
        total = step[i]
        for q in range(i + 1, 5):
            total -= L[q, i] * step[q]
        step[i] = total / L[i, i]
    return True


@inlined
def _try(
    k: Floats,
    w: Floats,
    weight: Floats,
    p: Floats,
    box: Floats,
    damping: float,
    scratch: Floats,
) -> float:
    """Write a damped step from p to the scratch's last row; return its cost, inf without one."""
    A, L, g, step, trial = scratch[:5], scratch[5:10], scratch[10], scratch[11], scratch[12]
    if not _solve(A, g, damping, L, step):
        return np.inf
    for j in range(5):
        trial[j] = p[j] - step[j]
    trial[3] = min(max(trial[3], box[0]), box[1])
    trial[4] = min(max(trial[4], box[2]), box[3])
    return _cost(k, w, weight, trial, box)


@inlined
def _marquardt(
    k: Floats,
    w: Floats,
    weight: Floats,
    p: Floats,
    box: Floats,
    max_steps: int,
    scratch: Floats,
) -> float:
    """Levenberg-Marquardt over all five parameters from p, which is overwritten; its cost."""
    f = _cost(k, w, weight, p, box)
    damping = 1e-3
    calm = 0
    for _ in range(max_steps):
        _normal(k, w, weight, p, box, scratch[:5], scratch[10])
        _hold_at_bounds(scratch[:5], scratch[10], p, box)
        f_trial = f
        better = False
        while damping < _DAMPING_CEILING and not better:
            f_trial = _try(k, w, weight, p, box, damping, scratch)
            better = f_trial < f
            damping = damping if better else damping * 6.0
        if not better:
            break
        damping = max(damping * 0.15, 1e-14)
        gain = (f - f_trial) / f
        f = f_trial
        for j in range(5):
            p[j] = scratch[12, j]
        calm = calm + 1 if gain < 1e-4 else 0
        if gain < 1e-9 or calm >= 3 or f < 1e-26 * k.shape[0]:
            break
    return f


@kernel
def fit_raw(
    k: Floats,
    w: Floats,
    weight: Floats,
    first: Ints,
    previous: Floats,
    max_steps: int,
    params: Floats,
    cost: Floats,
) -> None:
    """Fit every slice by Levenberg-Marquardt, from a grid search or from given parameters.

    Parameters
    ----------
    k, w, weight : float64 array, shape (n,)
        Log-moneyness, total variance and root weight, finite, sorted by (slice, k).
    first : int64 array, shape (m + 1,)
        Quotes of slice i are ``first[i] : first[i + 1]``.
    previous : float64 array, shape (m, 5)
        a, b, rho, m, sigma to start from; a row with NaN starts cold.
    max_steps : int
        Steps per slice.
    params : float64 array, shape (m, 5)
        Written: the fit; NaN for a slice with fewer than 5 quotes, or of no width.
    cost : float64 array, shape (m,)
        Written: sum of squared weighted residuals.
    """
    scratch = np.empty((13, 5))  # matrix, factor, gradient, step, trial
    p = np.empty(5)
    box = np.empty(7)  # bounds of m and ln sigma, floor, steepest wings
    t = np.empty(10)
    first_guess = np.empty(5)
    for i in range(first.shape[0] - 1):
        lo = first[i]
        hi = first[i + 1]
        params[i, :] = np.nan
        cost[i] = np.nan
        if hi - lo < 5 or not k[hi - 1] > k[lo]:
            continue
        ks = k[lo:hi]
        ws = w[lo:hi]
        qs = weight[lo:hi]
        span = k[hi - 1] - k[lo]
        left, right = _steepest(ks, ws)
        box[4] = 1e-3 * ws.min()
        box[5] = left
        box[6] = right
        box[0] = k[lo]
        box[1] = k[hi - 1]
        box[2] = math.log(1e-3 * span)
        box[3] = math.log(span)
        start = np.inf
        warm = previous[i, 1] > 0.0 and previous[i, 4] > 0.0
        if warm:
            p[3] = min(max(previous[i, 3], box[0]), box[1])
            p[4] = min(max(math.log(previous[i, 4]), box[2]), box[3])
            start = _linear(ks, ws, qs, p, left, right, t)
        if not math.isfinite(start):
            start = _start(ks, ws, qs, p, left, right, t)
        for j in range(5):
            first_guess[j] = p[j]
        f = _marquardt(ks, ws, qs, p, box, max_steps, scratch)
        c = p[2]
        d = p[1]
        tight = c - d > 0.999 * left or c + d > 0.999 * right or abs(d) > 0.999 * c
        if tight or not f < start:
            # Steps of all five parameters stall at a bound: finish with the exact linear part
            f = _linear(ks, ws, qs, p, left, right, t)
            if not f < start:
                for j in range(5):
                    p[j] = first_guess[j]
                f = start
            f = _compass(ks, ws, qs, p, box, t, f)
        c = min(max(p[2], 1e-9), SLOPE_CAP)
        bound = min(c, SLOPE_CAP - c)
        d = min(max(p[1], -bound), bound)
        params[i, 0] = p[0]
        params[i, 1] = c
        params[i, 2] = d / c
        params[i, 3] = p[3]
        params[i, 4] = math.exp(p[4])
        cost[i] = f


@inlined
def _hold_at_bounds(A: Floats, g: Floats, p: Floats, box: Floats) -> None:
    """Keep m or sigma where it is at a bound and pushed outwards."""
    for j in range(3, 5):
        low = box[2 * (j - 3)]
        high = box[2 * (j - 3) + 1]
        if (p[j] <= low and g[j] > 0.0) or (p[j] >= high and g[j] < 0.0):
            _hold(A, g, j)


@inlined
def _hold(A: Floats, g: Floats, j: int) -> None:
    for q in range(j):
        A[j, q] = 0.0
    for q in range(j + 1, 5):
        A[q, j] = 0.0
    g[j] = 0.0


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    k = np.linspace(-0.2, 0.2, 6)
    w = 0.01 + 0.02 * (-0.3 * k + np.sqrt(k * k + 0.01))
    first = np.array([0, 6], np.int64)
    fit_raw(k, w, np.ones(6), first, np.full((1, 5), np.nan), 3, np.empty((1, 5)), np.empty(1))

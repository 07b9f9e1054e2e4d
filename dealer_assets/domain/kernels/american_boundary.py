"""The early-exercise boundary of American options, by spectral collocation.

Belongs here: the boundary of an expiry for the total vols that its contracts need. Does not belong
here: prices and vols from it (`american`), Greeks (`american_greeks`), grouping and reasons
(`domain/pricing/american.py`).

Source: Andersen, Lake and Offengenden, High-performance American option pricing (Journal of
Computational Finance, 2016): Kim's integral equation for the exercise boundary, collocated at
Chebyshev nodes in the root of time for the squared log boundary, solved by their fixed points A
and B. Calls become puts by McDonald and Schroder's symmetry. All is for the put with strike 1,
life 1, total rate ``a = r T``, total yield ``c = q T`` and total vol ``s = sigma sqrt(T)``; ``X``
is the boundary just before expiry, ``min(1, a / c)``. Two things are added to the paper:

* Integrals over time are taken in the angle of ``v = tau sin**2``. That removes the square roots at
  both ends at once; eight Gauss-Legendre points then lose nothing that ten nodes would show.
* Within an expiry `a` and `c` are the same for all strikes and the boundary depends on ``s`` alone.
  It is solved at eight nodes of ``ln s`` in pieces of a factor 2.8 and kept as polynomials, so that
  a price costs one integral. The pieces are fixed: a price does not depend on its neighbours.

`docs/methods/american.md` has the measured errors.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import (
    INV_SQRT_2,
    INV_SQRT_2PI,
    erfcx,
    exp,
    log,
    normal_cdf,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]

NEVER, SINGLE, DOUBLE, UNKNOWN = 0, 1, 2, 3
"""Exercise regimes: never early, beyond one boundary, between two boundaries, bad input."""

TIMES = 10
"""Collocation nodes of the boundary over time, besides expiry itself."""

INNER = 8
"""Gauss-Legendre points of the integrals inside the boundary's equation."""

OUTER = 24
"""Gauss-Legendre points of the premium; a multiple of the vector length."""

VOLS = 8
"""Chebyshev nodes of ln s in a piece."""

PIECES = 22
LOWEST_LOG_VOL = -26.0 * math.log(2.0)
PIECE_WIDTH = 1.5 * math.log(2.0)
"""Pieces cover total vols from 1.5e-8 to 128."""

ROUNDS_A, ROUNDS_B = 6, 14
"""Fixed-point rounds; A gains 1.2 digits a round, B half of that."""

A_UP_TO = 1.0
"""Fixed point A where max(|a|, |c|) / s stays below this: its quadrature fails at small vols."""

MOST_RATE = 3.0
"""Total rates and yields beyond (300 % for a year) need more points than the quadratures have."""

LEAST_BUMPED = 1e-5
"""A total rate is bumped as if it were at least this, or the bump would drown in rounding."""

EIGHT_PI = 25.132741228718345

ZERO_RATE = 1e-13
"""Total rates this small are rounding of ``ln(F / S)``, worth 1e-13 of the strike at most."""

FACTS = 4
"""Numbers kept of an expiry and right: a, c, regime, ln X."""


def _lagrange(points: Floats, nodes: Floats, weights: Floats) -> Floats:
    """Values of the nodes' barycentric basis at the points, shape (points, nodes)."""
    gap = points[:, None] - nodes[None, :]
    at_node = np.abs(gap) < 1e-15
    terms = weights / np.where(at_node, 1.0, gap)
    basis = terms / terms.sum(axis=1, keepdims=True)
    return np.where(at_node.any(axis=1, keepdims=True), at_node.astype(np.float64), basis)


def _angles(count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre points and weights on (0, pi / 2)."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return (1.0 + points) * math.pi / 4.0, weights * math.pi / 4.0


def _time_nodes() -> tuple[Floats, Floats]:
    """Roots of the collocation times with expiry's zero last, and barycentric weights."""
    index = np.arange(TIMES + 1)
    weights = np.where(index % 2 == 0, 1.0, -1.0)
    weights[[0, -1]] *= 0.5
    return 0.5 * (1.0 + np.cos(index * math.pi / TIMES)), weights


def _vol_nodes() -> tuple[Floats, Floats]:
    """Chebyshev points on (-1, 1), and the matrix from values there to power coefficients."""
    points = np.cos((2.0 * np.arange(VOLS) + 1.0) * math.pi / (2.0 * VOLS))
    return points, np.linalg.inv(np.vander(points, increasing=True))


_ROOTS_ALL, _WEIGHTS = _time_nodes()
ROOTS = np.ascontiguousarray(_ROOTS_ALL[:TIMES])
_INNER_ANGLES, _INNER_WEIGHTS = _angles(INNER)
_OUTER_ANGLES, _OUTER_WEIGHTS = _angles(OUTER)
SIN_INNER, COS_INNER = np.sin(_INNER_ANGLES), np.cos(_INNER_ANGLES)
SIN_OUTER = np.sin(_OUTER_ANGLES)
DT_INNER = 2.0 * _INNER_WEIGHTS * SIN_INNER * COS_INNER
DT_OUTER = 2.0 * _OUTER_WEIGHTS * SIN_OUTER * np.cos(_OUTER_ANGLES)
"""Quadrature weights in time, of a unit of it."""

# The basis function of expiry itself is left out: the squared log boundary is 0 there
AT_INNER = np.ascontiguousarray(
    _lagrange(np.outer(ROOTS, COS_INNER).ravel(), _ROOTS_ALL, _WEIGHTS)[:, :TIMES]
)
AT_OUTER = np.ascontiguousarray(_lagrange(np.cos(_OUTER_ANGLES), _ROOTS_ALL, _WEIGHTS)[:, :TIMES])
VOL_POINTS, TO_POWERS = _vol_nodes()


@kernel
def regime(a: float, c: float) -> int:
    """Tell where the unit put with total rate `a` and total yield `c` is exercised early."""
    if not (abs(a) < math.inf and abs(c) < math.inf):
        return UNKNOWN
    if a <= 0.0 and c > a - ZERO_RATE:
        return NEVER
    if a < 0.0:
        return DOUBLE
    return SINGLE if max(a, abs(c)) <= MOST_RATE else UNKNOWN


@inlined
def _largest(a: float, c: float) -> float:
    """Exercise boundary just before expiry, in strikes."""
    return a / c if c > a else 1.0


@kernel
def _start(
    fall: Floats, s: Floats, root: Floats, floor: Floats, drift: Floats,
    a: float, b: float, largest: float,
) -> None:  # fmt: skip
    """First guess: Bjerksund and Stensland's (1993) boundary; the perpetual one bounds the fall."""
    for i in range(fall.size):
        variance = s[i] * s[i]
        half = b / variance - 0.5
        square = half * half + 2.0 * a / variance
        height = math.sqrt(square if square > 0.0 else 0.0)
        # Of the two forms of the negative root the one that does not cancel
        beta = -(half + height) if half > 0.0 else -2.0 * a / variance / (height - half)
        forever = beta / (beta - 1.0)
        forever = forever if forever > 1e-300 else 1e-300
        forever = forever if forever < largest else largest
        floor[i] = -log(forever / largest) / s[i]
        gap = largest - forever
        pull = (drift[i] - 2.0 * s[i] * root[i]) * largest / (gap if gap > 1e-12 else 1e-12)
        boundary = forever + gap * exp(pull if pull < 0.0 else 0.0)
        first = -log(boundary / largest) / s[i]
        # Near expiry, and everywhere when rates are tiny, the boundary lies lower (Evans, Kuske and
        # Keller 2002); from above, the rounds would not get there
        scale = (b if b > a else a) * root[i] / s[i]  # what exercise earns at the strike
        odds = 1.0 / (EIGHT_PI * scale * scale + 1e-60)
        steep = root[i] * math.sqrt(log(odds if odds > 1.0 and largest == 1.0 else 1.0))
        first = first if first > steep else steep
        fall[i] = first if first < floor[i] else floor[i]


@kernel
def _spread(squares: Floats, cells: Floats) -> None:
    """Interpolate `squares` (TIMES, VOLS) to all inner points, `cells` (TIMES * INNER * VOLS,)."""
    n = squares.shape[1]
    r0, r1, r2, r3, r4 = squares[0], squares[1], squares[2], squares[3], squares[4]
    r5, r6, r7, r8, r9 = squares[5], squares[6], squares[7], squares[8], squares[9]
    for point in range(TIMES * INNER):
        w = AT_INNER[point]
        w0, w1, w2, w3, w4 = w[0], w[1], w[2], w[3], w[4]
        w5, w6, w7, w8, w9 = w[5], w[6], w[7], w[8], w[9]
        row = cells[point * n : point * n + n]
        for i in range(n):
            even = w0 * r0[i] + w2 * r2[i] + w4 * r4[i] + w6 * r6[i] + w8 * r8[i]
            odd = w1 * r1[i] + w3 * r3[i] + w5 * r5[i] + w7 * r7[i] + w9 * r9[i]
            row[i] = even + odd


@kernel
def _integrands_a(
    fall: Floats, drift: Floats, over: Floats, root: Floats, rate: Floats, income: Floats,
    top: Floats, low: Floats,
) -> None:  # fmt: skip
    """Integrands of fixed point A; `top` comes in as the squares at the inner points."""
    for i in range(fall.size):
        square = top[i]
        there = math.sqrt(square if square > 0.0 else 0.0)
        dp = (there - fall[i]) * root[i] + drift[i]
        dm = dp - 1.0 / over[i]
        density = exp(-0.5 * dp * dp)
        tail = 0.5 * density * erfcx(abs(dp) * INV_SQRT_2)
        top[i] = rate[i] * over[i] * INV_SQRT_2PI * exp(-0.5 * dm * dm)
        low[i] = income[i] * (INV_SQRT_2PI * density * over[i] + (tail if dp < 0.0 else 1.0 - tail))


@kernel
def _integrands_b(
    fall: Floats, drift: Floats, over: Floats, root: Floats, rate: Floats, income: Floats,
    top: Floats, low: Floats,
) -> None:  # fmt: skip
    """Integrands of fixed point B, as `_integrands_a`."""
    for i in range(fall.size):
        square = top[i]
        there = math.sqrt(square if square > 0.0 else 0.0)
        dp = (there - fall[i]) * root[i] + drift[i]
        top[i] = rate[i] * normal_cdf(dp - 1.0 / over[i])
        low[i] = income[i] * normal_cdf(dp)


@kernel
def _step(
    fall: Floats, s: Floats, root: Floats, carry: Floats, floor: Floats, top: Floats, low: Floats,
    by_a: bool,
) -> None:  # fmt: skip
    """Add the European terms to the integrals and replace `fall`, ``-ln(B / X) / s``, at the nodes.

    `carry` is ``b tau + ln X``, so that ``ln(B) + b tau`` is ``carry - fall s``.
    """
    direct = 1.0 if by_a else 0.0
    for i in range(fall.size):
        width = s[i] * root[i]
        dp = (carry[i] - fall[i] * s[i]) / width + 0.5 * width
        dm = dp - width
        thin_m, thin_p = INV_SQRT_2PI * exp(-0.5 * dm * dm), INV_SQRT_2PI * exp(-0.5 * dp * dp)
        up = top[i] + (direct * thin_m / width + (1.0 - direct) * normal_cdf(dm))
        down = low[i] + (direct * thin_p / width + normal_cdf(dp))
        sound = (up > 1e-250) & (down > 1e-250)
        new = (carry[i] - log(up / down if sound else 1.0)) / s[i]
        new = new if new > 0.0 else 0.0
        new = new if new < floor[i] else floor[i]
        fall[i] = new if sound else fall[i]


@kernel
def _lay_out(
    s: Floats, a: float, c: float, fixed: Floats, vols: Floats, roots: Floats, carry: Floats
) -> None:
    """Write what does not change between rounds: `fixed` (5, cells), the others (nodes,)."""
    drift, over, root, rate, income = fixed[0], fixed[1], fixed[2], fixed[3], fixed[4]
    for k in range(TIMES):
        tau = ROOTS[k] * ROOTS[k]
        for i in range(VOLS):
            vols[k * VOLS + i], roots[k * VOLS + i] = s[i], ROOTS[k]
            carry[k * VOLS + i] = (a - c) * tau
        for j in range(INNER):
            v = tau * SIN_INNER[j] * SIN_INNER[j]
            income_here = DT_INNER[j] * tau * c * exp(c * (tau - v))
            rate_here = DT_INNER[j] * tau * a * exp(a * (tau - v))
            steep = 1.0 / (ROOTS[k] * SIN_INNER[j])
            for i in range(VOLS):
                cell = (k * INNER + j) * VOLS + i
                width = s[i] * ROOTS[k] * SIN_INNER[j]
                drift[cell] = (a - c) * v / width + 0.5 * width
                over[cell], root[cell] = 1.0 / width, steep
                rate[cell], income[cell] = rate_here, income_here


@kernel
def _repeat(fall: Floats, squares: Floats, here: Floats) -> None:
    """Square `fall` (nodes,) into `squares` and repeat it for every inner point into `here`."""
    # Slices would be shorter, and eight seconds more of compilation
    for k in range(TIMES):
        for i in range(VOLS):
            squares[k, i] = fall[k * VOLS + i] * fall[k * VOLS + i]
        for j in range(INNER):
            for i in range(VOLS):
                here[(k * INNER + j) * VOLS + i] = fall[k * VOLS + i]


@kernel
def _collect(cells: Floats, totals: Floats) -> None:
    """Sum the inner points of each node, `cells` (cells,) into `totals` (nodes,)."""
    for k in range(TIMES):
        for i in range(VOLS):
            total = 0.0
            for j in range(INNER):
                total += cells[(k * INNER + j) * VOLS + i]
            totals[k * VOLS + i] = total


@kernel
def _settle(s: Floats, a: float, c: float, squares: Floats) -> None:
    """Solve the boundary's equation for VOLS total vols at once.

    `squares`, shape (TIMES, VOLS), becomes ``(ln(B / X) / s)**2`` at the collocation times. A cell
    is a time, an inner point and a vol, in this order; a node is a time and a vol.
    """
    nodes, cells = TIMES * VOLS, TIMES * INNER * VOLS
    fall, floor, carry = np.empty(nodes), np.empty(nodes), np.empty(nodes)
    vols, roots, up, down = np.empty(nodes), np.empty(nodes), np.empty(nodes), np.empty(nodes)
    fixed, here, top, low = np.empty((5, cells)), np.empty(cells), np.empty(cells), np.empty(cells)
    drift, over, root, rate, income = fixed[0], fixed[1], fixed[2], fixed[3], fixed[4]
    largest = _largest(a, c)
    log_largest = log(largest)
    least = s[0]
    for i in range(VOLS):
        least = min(least, s[i])
    by_a = max(abs(a), abs(c)) <= A_UP_TO * least
    _lay_out(s, a, c, fixed, vols, roots, carry)
    _start(fall, vols, roots, floor, carry, a, a - c, largest)
    for i in range(nodes):
        carry[i] += log_largest
    for _ in range(ROUNDS_A if by_a else ROUNDS_B):
        _repeat(fall, squares, here)
        _spread(squares, top)
        if by_a:
            _integrands_a(here, drift, over, root, rate, income, top, low)
        else:
            _integrands_b(here, drift, over, root, rate, income, top, low)
        _collect(top, up)
        _collect(low, down)
        _step(fall, vols, roots, carry, floor, up, down, by_a)
    _repeat(fall, squares, here)


@kernel
def _fill(piece: int, a: float, c: float, powers: Floats) -> None:
    """Solve one piece of total vols and keep the boundary's fall as polynomials.

    `powers`, shape (VOLS, OUTER + 1): coefficients over (-1, 1) of ``-ln(B / X) / s``, at the outer
    quadrature's times, last column at the whole life.
    """
    s, squares, values = np.empty(VOLS), np.empty((TIMES, VOLS)), np.empty(VOLS)
    middle = LOWEST_LOG_VOL + (piece + 0.5) * PIECE_WIDTH
    for i in range(VOLS):
        s[i] = exp(middle + 0.5 * PIECE_WIDTH * VOL_POINTS[i])
    _settle(s, a, c, squares)
    for j in range(OUTER + 1):
        for i in range(VOLS):
            square = squares[0, i]
            if j < OUTER:
                square = 0.0
                for k in range(TIMES):
                    square += AT_OUTER[j, k] * squares[k, i]
            values[i] = math.sqrt(max(square, 0.0))
        for power in range(VOLS):
            total = 0.0
            for i in range(VOLS):
                total += TO_POWERS[power, i] * values[i]
            powers[power, j] = total


@kernel
def _terms(a: float, c: float, rate: Floats, income: Floats) -> None:
    """Weights of the premium's two parts at the outer points, shape (OUTER,) each."""
    largest = _largest(a, c)
    for j in range(OUTER):
        v = SIN_OUTER[j] * SIN_OUTER[j]
        rate[j] = DT_OUTER[j] * a * exp(-a * v)
        income[j] = DT_OUTER[j] * c * largest * exp(-c * v)


@kernel
def _enter(rate: float, income: float, is_call: int, fact: Floats, terms: Floats) -> None:
    """Write the facts of one expiry and right, given its total rate and yield."""
    rate = 0.0 if abs(rate) < ZERO_RATE else rate
    income = 0.0 if abs(income) < ZERO_RATE else income
    a, c = (income, rate) if is_call else (rate, income)
    fact[0], fact[1], fact[2], fact[3] = a, c, regime(a, c), 0.0
    if fact[2] == SINGLE:
        fact[3] = log(_largest(a, c))
        _terms(a, c, terms[0], terms[1])


@kernel
def expiries(
    F: Floats, S: Floats, T: Floats, D: Floats, is_call: Flags,
    group: Ints, facts: Floats, terms: Floats,
) -> int:  # fmt: skip
    """Tell which contracts share a boundary, and what is known of each such group.

    Parameters
    ----------
    F, S, T, D, is_call : arrays, shape (n,)
        Contracts; calls and puts of an expiry may alternate, expiries should not.
    group : int64 array, shape (n,), written
        Number of the contract's group. An expiry met twice makes two groups: slower, not wrong.
    facts, terms : float64 array, shape (n, FACTS) and (n, 2, OUTER), written
        One row a group: `FACTS`, and weights of the premium's integral where exercise may be early.

    Returns
    -------
    int
        Number of groups.
    """
    count = 0
    latest = np.empty(2, np.int64)
    latest[0] = latest[1] = -1
    for i in range(F.size):
        right = 1 if is_call[i] else 0
        j = latest[right]
        if not (j >= 0 and F[i] == F[j] and S[i] == S[j] and T[i] == T[j] and D[i] == D[j]):
            sound = F[i] > 0.0 and S[i] > 0.0 and D[i] > 0.0 and abs(T[i]) < math.inf
            rate = -log(D[i]) if sound and D[i] < math.inf else math.nan
            growth = F[i] / S[i]
            sound = sound and growth > 1e-300 and growth < math.inf
            income = rate - log(growth) if sound else math.nan
            _enter(rate, income, is_call[i], facts[count], terms[count])
            group[i] = count
            count += 1
        else:
            group[i] = group[j]
        latest[right] = i
    return count


@kernel
def bump_rates(facts: Floats, terms: Floats, is_call: Flags, size: float) -> None:
    """Raise each group's rate at constant yield by `size` of the larger of the two, in place."""
    for g in range(is_call.size):
        a, c = facts[g, 0], facts[g, 1]
        more = size * max(abs(a), abs(c), LEAST_BUMPED)
        rate, income = (c, a) if is_call[g] else (a, c)
        if facts[g, 2] == SINGLE:
            _enter(rate + more, income, is_call[g], facts[g], terms[g])


@kernel
def solve(facts: Floats, wanted: Codes, rows: Ints, powers: Floats, first: int) -> None:
    """Solve the wanted pieces that are not there yet.

    Parameters
    ----------
    facts : float64 array, shape (groups, FACTS)
        From `expiries`.
    wanted : int8 array, shape (groups, PIECES)
        1 where a piece is needed.
    rows : int64 array, shape (groups, PIECES), written
        Row of `powers` of each piece, -1 where it is not solved.
    powers : float64 array, shape (m, VOLS, OUTER + 1), written from row `first`
        As in `_fill`.
    """
    for g in range(wanted.shape[0]):
        for piece in range(PIECES):
            if wanted[g, piece] == 1 and rows[g, piece] < 0 and facts[g, 2] == SINGLE:
                _fill(piece, facts[g, 0], facts[g, 1], powers[first])
                rows[g, piece] = first
                first += 1


def warm() -> None:
    """Compile, or load from the cache, by solving one boundary."""
    one, facts, terms = np.ones(1), np.empty((1, FACTS)), np.empty((1, 2, OUTER))
    no, group = np.zeros(1, np.uint8), np.empty(1, np.int64)
    wanted = np.zeros((1, PIECES), np.int8)
    wanted[0, 16] = 1
    expiries(one, one, one, 0.9 * one, no, group, facts, terms)
    bump_rates(facts, terms, no, 1e-4)
    solve(facts, wanted, np.full((1, PIECES), -1), np.empty((1, VOLS, OUTER + 1)), 0)

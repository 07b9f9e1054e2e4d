"""American prices and implied vols from exercise boundaries.

Belongs here: the early-exercise premium's integral, price and inversion of one contract after the
other. Does not belong here: the boundary (`american_boundary`), Greeks (`american_greeks`), units.

Kim's formula: the premium is the expected interest on the strike less the yield on the stock while
the spot is beyond the boundary. It is integrated in the angle of ``v = sin**2``, 24 Gauss-Legendre
points, all for the unit put of `american_boundary`, where the source is named.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import kernel
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

NEVER, SINGLE, DOUBLE = 0, 1, 2
OUTER, VOLS, PIECES = 24, 8, 22
LOWEST_LOG_VOL = -26.0 * math.log(2.0)
PIECE_WIDTH = 1.5 * math.log(2.0)
HIGHEST_LOG_VOL = LOWEST_LOG_VOL + PIECES * PIECE_WIDTH
"""As in `american_boundary`; a test holds them together. Kernel modules do not import each other,
for numba's cache would not notice a change."""

OK, BELOW_INTRINSIC, ABOVE_BOUND, ZERO_TIME, BAD_INPUT = 0, 1, 2, 6, 7
"""Values of `pricing.implied_vol.IvReason`."""

FAR = 7.0
"""Deviations between spot and the largest boundary from which on the premium counts as 0: it is
below 1.3e-12 (|a| + |c|) of the strike, and no boundary need be solved."""

PENDING = -1
"""No answer yet: a piece of boundary is missing."""

ROUNDING = 8.9e-16
"""Time value that is nothing but rounding, relative to the larger of spot and strike."""

MAX_STEPS = 100
STEP_DONE = 1e-6
"""A Newton step this small, relative to vol, leaves an error of its square."""


@kernel
def _premium(
    x: float, s: float, b: float, xi: float, powers: Floats, rate: Floats, income: Floats,
    roots: Floats, value: Floats, slope: Floats,
) -> None:  # fmt: skip
    """Premium's integrand and its derivative by `s`, into `value` and `slope`, shape (OUTER,).

    `x` is measured from the boundary just before expiry, and so are prices.
    """
    p0, p1, p2, p3 = powers[0], powers[1], powers[2], powers[3]
    p4, p5, p6, p7 = powers[4], powers[5], powers[6], powers[7]
    spot = exp(x)
    over_s = 1.0 / s
    for j in range(roots.size):
        y = p7[j]
        dy = y
        y = y * xi + p6[j]
        dy = dy * xi + y
        y = y * xi + p5[j]
        dy = dy * xi + y
        y = y * xi + p4[j]
        dy = dy * xi + y
        y = y * xi + p3[j]
        dy = dy * xi + y
        y = y * xi + p2[j]
        dy = dy * xi + y
        y = y * xi + p1[j]
        dy = dy * xi + y
        y = y * xi + p0[j]
        root = roots[j]
        over_root = 1.0 / root
        shift = (x * over_root + b * root) * over_s
        half = 0.5 * s * root
        centre = shift + y * over_root
        dm, dp = centre - half, centre + half
        density_m, density_p = exp(-0.5 * dm * dm), exp(-0.5 * dp * dp)
        tail_m = 0.5 * density_m * erfcx(abs(dm) * INV_SQRT_2)
        tail_p = 0.5 * density_p * erfcx(abs(dp) * INV_SQRT_2)
        below_m = 1.0 - tail_m if dm < 0.0 else tail_m
        below_p = 1.0 - tail_p if dp < 0.0 else tail_p
        turn = (dy * (2.0 / PIECE_WIDTH) * over_root - shift) * over_s
        value[j] = rate[j] * below_m - income[j] * spot * below_p
        slope[j] = INV_SQRT_2PI * (
            income[j] * spot * density_p * (turn + 0.5 * root)
            - rate[j] * density_m * (turn - 0.5 * root)
        )


@kernel
def _european(x: float, s: float, a: float, c: float) -> tuple[float, float]:
    """Price the European unit put, with its derivative by `s`."""
    dp = (x + (a - c)) / s + 0.5 * s
    dm = dp - s
    growth = exp(x - c)
    value = exp(-a) * normal_cdf(-dm) - growth * normal_cdf(-dp)
    return value, growth * INV_SQRT_2PI * exp(-0.5 * dp * dp)


@kernel
def _without_vol(x: float, a: float, c: float) -> float:
    """Value the unit put when the spot moves for certain: exercise at the best moment."""
    spot = exp(x)
    best = max(1.0 - spot, exp(-a) - spot * exp(-c), 0.0)
    if c > a and a > 0.0 and c * spot > a:
        # The spot falls and meets the largest boundary a / c within life, or not
        moment = log(c * spot / a) / (c - a)
        if moment < 1.0:
            best = max(best, exp(-a * moment) * (1.0 - a / c))
    return best


@kernel
def _american(
    x: float, s: float, fact: Floats, terms: Floats, rows: Ints, powers: Floats, roots: Floats,
    work: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Price the unit put, with the derivative by `s` and the premium within.

    The premium is ``-1 - piece`` when that piece of boundary has not been solved.
    """
    a, c = fact[0], fact[1]
    european, vega = _european(x, s, a, c)
    if fact[2] == NEVER or x - fact[3] > max(c - a, 0.0) + s * (FAR + 0.5 * s):
        return european, vega, 0.0
    intrinsic = 1.0 - exp(x)
    place = (log(s) - LOWEST_LOG_VOL) * (1.0 / PIECE_WIDTH)
    piece = min(max(int(place), 0), PIECES - 1)
    row = rows[piece]
    if row < 0:
        return 0.0, 0.0, -1.0 - piece
    xi = 2.0 * (place - piece) - 1.0
    fall = 0.0
    for power in range(VOLS - 1, -1, -1):
        fall = fall * xi + powers[row, power, OUTER]
    if x <= fact[3] - s * max(fall, 0.0):
        held = european > intrinsic  # by rounding, where rates are next to nothing
        return max(intrinsic, european), vega if held else 0.0, max(intrinsic - european, 0.0)
    _premium(
        x - fact[3], s, a - c, xi, powers[row], terms[0], terms[1], roots, work[0], work[1]
    )  # fmt: skip
    premium = slope = 0.0
    for j in range(OUTER):
        premium += work[0, j]
        slope += work[1, j]
    premium = max(premium, intrinsic - european, 0.0)
    return european + premium, vega + slope, premium


@kernel
def chain_prices(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Flags,
    group: Ints, facts: Floats, terms: Floats, rows: Ints, powers: Floats, roots: Floats,
    price: Floats, premium: Floats,
) -> None:  # fmt: skip
    """Price n contracts.

    Parameters
    ----------
    F, K, S, T, sigma, D, is_call : arrays, shape (n,)
        Contracts.
    group, facts, terms, rows, powers : arrays
        From `american_boundary`: every piece that a contract needs has been solved.
    roots : float64 array, shape (OUTER,)
        Roots of the integral's times.
    price, premium : float64 array, shape (n,), written
        American price, and what of it the European one lacks. NaN for bad input, for two
        boundaries and for total vols of 128 or more.
    """
    work = np.empty((2, OUTER))
    lowest, highest = math.exp(LOWEST_LOG_VOL), math.exp(HIGHEST_LOG_VOL)
    for i in range(F.size):
        price[i] = premium[i] = math.nan
        g = group[i]
        a, c, kind = facts[g, 0], facts[g, 1], facts[g, 2]
        sound = K[i] > 0.0 and K[i] < math.inf and sigma[i] >= 0.0 and kind <= DOUBLE
        if not sound:
            continue
        x = log(K[i] / S[i]) if is_call[i] else log(S[i] / K[i])
        scale = S[i] if is_call[i] else K[i]
        s = sigma[i] * math.sqrt(max(T[i], 0.0))
        immediate = max(S[i] - K[i] if is_call[i] else K[i] - S[i], 0.0)
        if T[i] <= 0.0:
            price[i], premium[i] = immediate, 0.0
        elif s < lowest and kind < DOUBLE:
            price[i] = scale * _without_vol(x, a, c)
            premium[i] = price[i] - scale * max(exp(-a) - exp(x - c), 0.0)
        elif kind < DOUBLE and s < highest:
            value, _, part = _american(x, s, facts[g], terms[g], rows[g], powers, roots, work)
            if part >= 0.0:  # else a piece is missing, against this function's contract
                price[i], premium[i] = max(scale * value, immediate), scale * part


@kernel
def _solve(
    target: float, x: float, s: float, fact: Floats, terms: Floats, rows: Ints, powers: Floats,
    roots: Floats, work: Floats, wanted: Codes,
) -> float:  # fmt: skip
    """Find a unit put's total vol by Newton's steps inside a bracket; NaN if there is none.

    ``-s`` where the boundary for total vol `s` is missing; its piece is then marked in `wanted`.
    """
    low, high = math.exp(LOWEST_LOG_VOL), math.exp(HIGHEST_LOG_VOL)
    for _ in range(MAX_STEPS):
        value, slope, premium = _american(x, s, fact, terms, rows, powers, roots, work)
        if premium < 0.0:
            wanted[int(-1.0 - premium)] = 1
            return -s
        error = value - target
        if error < 0.0:
            low = s
        else:
            high = s
        step = error / slope if slope > 0.0 else math.inf
        new = s - step
        if abs(step) <= STEP_DONE * s:
            return new
        if not (new > low and new < high):
            new = math.sqrt(low * high) if high > 4.0 * low else 0.5 * (low + high)
        if high - low <= 4e-16 * high:
            return new
        s = new
    return math.nan


@kernel
def chain_vols(
    price: Floats, F: Floats, K: Floats, S: Floats, T: Floats, is_call: Flags,
    group: Ints, facts: Floats, terms: Floats, rows: Ints, powers: Floats, roots: Floats,
    wanted: Codes, vol: Floats, reason: Codes,
) -> int:  # fmt: skip
    """Invert n American prices as far as the boundaries at hand allow.

    Parameters
    ----------
    price, F, K, S, T, is_call : arrays, shape (n,)
        Prices and contracts.
    group, facts, terms, rows, powers, roots : arrays
        As in `chain_prices`, but any piece may be missing.
    wanted : int8 array, shape (groups, PIECES), written
        1 added where a missing piece is needed.
    vol : float64 array, shape (n,), read and written
        In: a first guess, NaN if there is none. Out: the vol, NaN without one, or the guess to go
        on from.
    reason : int8 array, shape (n,), read and written
        Only contracts with PENDING are treated; they keep it when a piece is missing.

    Returns
    -------
    int
        Contracts still pending.
    """
    work = np.empty((2, OUTER))
    lowest, highest = math.exp(LOWEST_LOG_VOL), math.exp(HIGHEST_LOG_VOL)
    pending = 0
    for i in range(F.size):
        if reason[i] != PENDING:
            continue
        guess = vol[i]
        vol[i] = math.nan
        g = group[i]
        a, c, kind = facts[g, 0], facts[g, 1], facts[g, 2]
        sound = K[i] > 0.0 and K[i] < math.inf and price[i] >= 0.0 and price[i] < math.inf
        if not (sound and kind < DOUBLE):
            reason[i] = BAD_INPUT
            continue
        if T[i] <= 0.0:
            reason[i] = ZERO_TIME
            continue
        x = log(K[i] / S[i]) if is_call[i] else log(S[i] / K[i])
        target = price[i] / (S[i] if is_call[i] else K[i])
        immediate = max(S[i] - K[i] if is_call[i] else K[i] - S[i], 0.0)
        rounding = ROUNDING * max(S[i], K[i])
        if price[i] <= immediate + rounding or target <= _without_vol(x, a, c):
            reason[i] = BELOW_INTRINSIC
            continue
        reason[i] = ABOVE_BOUND
        if target >= (exp(-a) if kind == NEVER else 1.0):
            continue
        root = math.sqrt(T[i])
        s = guess * root
        if not (s > lowest and s < highest):
            s = math.sqrt(2.0 * abs(x)) + 0.5
        s = _solve(
            target, x, s, facts[g], terms[g], rows[g], powers, roots, work, wanted[g]
        )  # fmt: skip
        if s < 0.0:
            vol[i], reason[i] = -s / root, PENDING
            pending += 1
        elif s < 0.999999 * highest:
            vol[i], reason[i] = s / root, OK
    return pending


def warm() -> None:
    """Compile, or load from the cache, with one contract that is never exercised early."""
    one, no = np.ones(1), np.zeros(1, np.uint8)
    group, facts, terms = np.zeros(1, np.int64), np.zeros((1, 4)), np.ones((1, 2, OUTER))
    rows, powers = np.full((1, PIECES), -1), np.ones((1, VOLS, OUTER + 1))
    roots, price = np.linspace(0.1, 1.0, OUTER), np.empty(1)
    chain_prices(
        one, one, one, one, 0.2 * one, one, no, group, facts, terms, rows, powers, roots,
        price, np.empty(1),
    )  # fmt: skip
    chain_vols(
        price, one, one, one, one, no, group, facts, terms, rows, powers, roots,
        np.zeros((1, PIECES), np.int8), 0.3 * one, np.full(1, PENDING, np.int8),
    )  # fmt: skip

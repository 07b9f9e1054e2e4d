"""Greeks of the early-exercise premium, from exercise boundaries.

Belongs here: derivatives of the premium's integral. Does not belong here: the boundary
(`american_boundary`), European Greeks, units.

The integral is that of `american`; its derivatives by spot are taken inside it. By vol it
is differenced on the boundary's own polynomials, by rate against a second boundary. By passing time
the pricing equation gives them, as the premium solves it wherever the option is held.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import kernel
from dealer_assets.domain.kernels.elementary import INV_SQRT_2, INV_SQRT_2PI, erfcx, exp, log

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]

NEVER, DOUBLE = 0, 2
OUTER, VOLS, PIECES = 24, 8, 22
LOWEST_LOG_VOL = -26.0 * math.log(2.0)
PIECE_WIDTH = 1.5 * math.log(2.0)
HIGHEST_LOG_VOL = LOWEST_LOG_VOL + PIECES * PIECE_WIDTH
"""As in `american_boundary`; a test holds them together."""

FAR = 7.0
"""As in `american`: further from the boundary, in deviations, the premium counts as 0."""

BUMP = 2e-3
"""Relative step in vol; the error of a difference is of its square."""

GREEKS = 12


@kernel
def _by_spot(
    x: float, s: float, b: float, xi: float, powers: Floats, rate: Floats, income: Floats,
    roots: Floats, work: Floats,
) -> None:  # fmt: skip
    """Write the premium's integrand and four derivatives by `x` into `work` (5, OUTER)."""
    p0, p1, p2, p3 = powers[0], powers[1], powers[2], powers[3]
    p4, p5, p6, p7 = powers[4], powers[5], powers[6], powers[7]
    f0, f1, f2, f3, f4 = work[0], work[1], work[2], work[3], work[4]
    spot = exp(x)
    over_s = 1.0 / s
    for j in range(roots.size):
        y = p7[j] * xi + p6[j]
        y = y * xi + p5[j]
        y = y * xi + p4[j]
        y = y * xi + p3[j]
        y = y * xi + p2[j]
        y = y * xi + p1[j]
        y = y * xi + p0[j]
        root = roots[j]
        over_root = 1.0 / root
        centre = (x * over_root + b * root) * over_s + y * over_root
        half = 0.5 * s * root
        over = over_s * over_root
        dm, dp = centre - half, centre + half
        density_m, density_p = exp(-0.5 * dm * dm), exp(-0.5 * dp * dp)
        tail_m = 0.5 * density_m * erfcx(abs(dm) * INV_SQRT_2)
        tail_p = 0.5 * density_p * erfcx(abs(dp) * INV_SQRT_2)
        paid = income[j] * spot
        kept = paid * (1.0 - tail_p if dp < 0.0 else tail_p)
        # Densities of both parts and their derivatives by x
        m = rate[j] * INV_SQRT_2PI * density_m
        p = paid * INV_SQRT_2PI * density_p
        bend_m, bend_p = -dm * over, 1.0 - dp * over
        m1, p1st = bend_m * m, bend_p * p
        m2, p2nd = bend_m * m1 - over * over * m, bend_p * p1st - over * over * p
        m3, p3rd = bend_m * m2 - 2.0 * over * over * m1, bend_p * p2nd - 2.0 * over * over * p1st
        f0[j] = rate[j] * (1.0 - tail_m if dm < 0.0 else tail_m) - kept
        f1[j] = (p - m) * over - kept
        f2[j] = (p + p1st - m1) * over - kept
        f3[j] = (p + p1st + p2nd - m2) * over - kept
        f4[j] = (p + p1st + p2nd + p3rd - m3) * over - kept


@kernel
def _slopes(f: Floats, is_call: int, slopes: Floats) -> None:
    """From derivatives by ``x`` of the unit put to those by ``ln S`` of the contract, per scale."""
    f0, f1, f2, f3, f4 = f[0], f[1], f[2], f[3], f[4]
    slopes[0] = f0
    slopes[1] = f0 - f1 if is_call else f1
    slopes[2] = f0 - 2.0 * f1 + f2 if is_call else f2
    slopes[3] = f0 - 3.0 * f1 + 3.0 * f2 - f3 if is_call else f3
    slopes[4] = f0 - 4.0 * f1 + 6.0 * f2 - 4.0 * f3 + f4 if is_call else f4


@kernel
def _sums(work: Floats, totals: Floats) -> None:
    """Sum the rows of `work`, in a fixed order."""
    for order in range(totals.size):
        total = 0.0
        for j in range(OUTER):
            total += work[order, j]
        totals[order] = total


@kernel
def _total(
    x: float, s: float, xi: float, is_call: int, fact: Floats, powers: Floats, terms: Floats,
    roots: Floats, work: Floats, slopes: Floats,
) -> None:  # fmt: skip
    """Write the premium and four derivatives by ``ln S``, per scale, into `slopes` (5,)."""
    _by_spot(x - fact[3], s, fact[0] - fact[1], xi, powers, terms[0], terms[1], roots, work)
    _sums(work, slopes)
    _slopes(slopes, is_call, slopes)


@kernel
def _by_time(here: Floats, S: float, vol: float, rate: float, income: float, out: Floats) -> None:
    """Write derivatives by spot and by passing time, given those by ``ln S`` in `here`."""
    delta = here[1] / S
    gamma = (here[2] - here[1]) / S**2
    speed = (here[3] - 3.0 * here[2] + 2.0 * here[1]) / S**3
    fourth = (here[4] - 6.0 * here[3] + 11.0 * here[2] - 6.0 * here[1]) / S**4
    drift, variance = rate - income, vol * vol
    out[0], out[1], out[2], out[9] = here[0], delta, gamma, speed
    out[4] = rate * here[0] - drift * S * delta - 0.5 * variance * S * S * gamma
    out[7] = income * delta - (drift + variance) * S * gamma - 0.5 * variance * S * S * speed
    out[11] = (
        income * gamma
        - (drift + variance) * (gamma + S * speed)
        - variance * S * speed
        - 0.5 * variance * S * S * fourth
    )


@kernel
def premium_greeks(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Flags,
    group: Ints, rows: Ints, facts: Floats, terms: Floats, powers: Floats,
    up_facts: Floats, up_terms: Floats, up_powers: Floats, roots: Floats,
    exercised: Codes, greeks: Floats,
) -> None:  # fmt: skip
    """Greeks of the premium of n contracts, per unit of vol, rate and year.

    Parameters
    ----------
    F, K, S, T, sigma, D, is_call : arrays, shape (n,)
        Contracts.
    group, rows, facts, terms, powers : arrays
        From `american_boundary`, every needed piece solved; with prefix ``up_`` at a raised rate.
    roots : float64 array, shape (OUTER,)
        Roots of the integral's times.
    exercised : int8 array, shape (n,), written
        1 where exercise now is best; `greeks` is 0 there.
    greeks : float64 array, shape (12, n), written
        In the order of `pricing.black.Greeks`; NaN as in `american.chain_prices`, and where time
        or vol is not positive.
    """
    work, out = np.empty((5, OUTER)), np.empty(GREEKS)
    here, low, high, up = np.empty(5), np.empty(5), np.empty(5), np.empty(5)
    lowest, highest = math.exp(LOWEST_LOG_VOL), math.exp(HIGHEST_LOG_VOL)
    turn = 2.0 / PIECE_WIDTH
    for i in range(F.size):
        fact, call, strike = facts[group[i]], is_call[i], K[i]
        exercised[i] = 0
        root = math.sqrt(max(T[i], 0.0))
        s = sigma[i] * root
        sound = strike > 0.0 and strike < math.inf and s > lowest and s < highest
        sound = sound and fact[2] < DOUBLE
        for kind in range(GREEKS):
            greeks[kind, i] = 0.0 if sound else math.nan
        if fact[2] == NEVER or not sound:
            continue
        x = log(strike / S[i]) if call else log(S[i] / strike)
        if x - fact[3] > max(fact[1] - fact[0], 0.0) + s * (FAR + 0.5 * s):
            continue
        place = (log(s) - LOWEST_LOG_VOL) * (1.0 / PIECE_WIDTH)
        piece = min(int(place), PIECES - 1)
        xi = 2.0 * (place - piece) - 1.0
        row = rows[group[i], piece]
        if row < 0:  # against this function's contract
            greeks[0, i] = math.nan
            continue
        term, fall = terms[group[i]], 0.0
        for power in range(VOLS - 1, -1, -1):
            fall = fall * xi + powers[row, power, OUTER]
        if x <= fact[3] - s * max(fall, 0.0):
            exercised[i] = 1
            continue
        _total(x, s, xi, call, fact, powers[row], term, roots, work, here)
        _total(
            x, s * (1.0 - BUMP), xi + turn * math.log1p(-BUMP), call, fact, powers[row], term,
            roots, work, low,
        )  # fmt: skip
        _total(
            x, s * (1.0 + BUMP), xi + turn * math.log1p(BUMP), call, fact, powers[row], term,
            roots, work, high,
        )  # fmt: skip
        raised = up_facts[group[i]]
        _total(x, s, xi, call, raised, up_powers[row], up_terms[group[i]], roots, work, up)
        rate = (fact[1] if call else fact[0]) / T[i]
        income = (fact[0] if call else fact[1]) / T[i]
        _by_time(here, S[i], sigma[i], rate, income, out)
        step = BUMP * sigma[i]
        by_rate = raised[1] - fact[1] if call else raised[0] - fact[0]
        out[3] = (high[0] - low[0]) / (2.0 * step)
        out[5] = (up[0] - here[0]) / by_rate * T[i]
        out[6] = (high[1] - low[1]) / (2.0 * step * S[i])
        out[8] = (high[0] - 2.0 * here[0] + low[0]) / (step * step)
        out[10] = (high[2] - high[1] - low[2] + low[1]) / (2.0 * step * S[i] * S[i])
        for kind in range(GREEKS):
            greeks[kind, i] = out[kind] * (S[i] if call else strike)


def warm() -> None:
    """Compile, or load from the cache, with one contract that is never exercised early."""
    one, group = np.ones(1), np.zeros(1, np.int64)
    facts, terms, powers = np.zeros((1, 4)), np.ones((1, 2, OUTER)), np.ones((1, 8, OUTER + 1))
    premium_greeks(
        one, one, one, one, one, one, np.zeros(1, np.uint8), group, np.full((1, PIECES), -1),
        facts, terms, powers, facts, terms, powers, np.linspace(0.1, 1.0, OUTER),
        np.zeros(1, np.int8), np.empty((GREEKS, 1)),
    )  # fmt: skip

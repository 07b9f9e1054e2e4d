"""The last word on arbitrage: expiry by expiry, whatever a fine check still finds is taken away.

Belongs here: solving single slices anew at the check's own points, and the correction that always
succeeds. Does not belong here: the fit itself (`svi`), the check (`arbitrage`).

Slices are gone through by ascending expiry, each held against all earlier ones. A slice that breaks
a condition, or keeps it by less than `ENOUGH_G` or `ENOUGH_GAP`, is solved again above the earlier
ones, with wider margins from attempt to attempt, at last without regard to the later ones. Where
even that fails, its smile is mixed with a flat one and scaled up until it is above the earlier
ones: a flat smile has g = 1, so that some share of it does. Either way it stays a fit whose
residuals say what it cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.surface.arbitrage import (
    CALENDAR_POINTS,
    Slacks,
    common_grid,
    curves,
    slacks_on,
)
from dealer_assets.domain.surface.programme import G_MARGIN, GAP_MARGIN, Problem
from dealer_assets.domain.surface.smiles import FIRST_KNOT

ENOUGH_G = 1e-3
ENOUGH_GAP = 2e-5
"""Least slacks at the check's points with which a slice is left alone: there are no points between
them."""

_ATTEMPTS = ((1.0, True), (4.0, True), (1.0, False), (4.0, False), (16.0, False))
"""Margins relative to the first ones, and whether the slice has to stay under later ones."""

_LINEARISATIONS = 10

_FLAT_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)


@dataclass(frozen=True)
class Repaired:
    """Smiles that keep all conditions.

    Parameters
    ----------
    params : float64 array, shape (q, COLUMNS)
        The smiles.
    after : Slacks
        Their slacks.
    solved, flattened : bool array, shape (q,)
        Slices that were solved again, and those of them that had to be mixed with a flat smile.
    """

    params: Floats
    after: Slacks
    solved: Bools
    flattened: Bools


def repaired(problem: Problem, unknowns: Floats) -> Repaired:
    """Check smiles on a fine grid and take away what breaks a condition.

    Parameters
    ----------
    problem : Problem
        Of all slices.
    unknowns : float64 array, shape (q, KNOTS)
        Best solution so far.

    Returns
    -------
    Repaired
    """
    low, high = problem.low, problem.high
    params = problem.smiles(unknowns)
    q = params.shape[0]
    k = common_grid(low, high, CALENDAR_POINTS)
    w = curves(params, low, high, k)
    found = slacks_on(params, low, high, k=k, w=w)
    solved, flattened = np.zeros(q, np.bool_), np.zeros(q, np.bool_)
    poor = ~_enough(found)
    if not poor.any():
        return Repaired(params, found, solved, flattened)
    below = _Below(k, np.full(k.size, np.nan), np.full(k.size, -1, np.int64))
    for i in range(q):
        inside = np.isfinite(w[i])
        if solved.any():  # the earlier curves have moved
            poor[i] |= below.rise(w[i]) < ENOUGH_GAP
        if poor[i]:
            params[i], flattened[i] = _one(
                problem, i, below=below.at(inside), cap=_later(w, i, inside)
            )
            w[i] = curves(params[[i]], low[[i]], high[[i]], k)[0]
            solved[i] = True
        below.w[inside], below.source[inside] = w[i, inside], i
    return Repaired(params, slacks_on(params, low, high, k=k, w=w), solved, flattened)


@dataclass(frozen=True)
class _Below:
    """Common points, the nearest earlier total variance there and the slice it is of."""

    k: Floats
    w: Floats
    source: Ints

    def at(self, inside: Bools) -> _Below:
        """Keep some of the points."""
        return _Below(self.k[inside], self.w[inside], self.source[inside])

    def rise(self, w: Floats) -> float:
        """Return the least relative distance of `w` above it, inf where nothing is earlier."""
        from dealer_assets.domain.kernels.svi_arbitrage import rise_above

        return float(rise_above(w, self.w, self.source, self.k))

    def floor(self, gap: float) -> Floats:
        """Return what is a relative gap above it, -inf where nothing is earlier."""
        return np.where(np.isnan(self.w), -np.inf, self.w * (1.0 + gap))


def _enough(found: Slacks) -> Bools:
    """Tell which slices keep all conditions by enough; a missing calendar slack is enough."""
    fine = (found.butterfly >= ENOUGH_G) & (found.lee > 0.0)
    return np.asarray(fine & ~(found.calendar < ENOUGH_GAP))


def _later(w: Floats, i: int, inside: Bools) -> Floats:
    """Total variance of the nearest later slice at slice i's points, inf where there is none."""
    rows = w[i + 1 :, inside]
    if rows.shape[0] == 0:
        return np.full(rows.shape[1], np.inf)
    known = np.isfinite(rows)
    nearest = np.argmax(known, axis=0)
    at = np.arange(rows.shape[1])
    return np.where(known[nearest, at], rows[nearest, at], np.inf)


def _one(problem: Problem, i: int, *, below: _Below, cap: Floats) -> tuple[Floats, bool]:
    """Smile of slice i above the earlier ones, and whether it was mixed with a flat one."""
    best, distance = problem.params[i], -np.inf
    for growth, capped in _ATTEMPTS:
        gap = GAP_MARGIN * growth
        floor, under = below.floor(gap), cap * (1.0 - gap)
        bounds = np.stack([floor, np.where(capped & (under > floor), under, np.inf)])
        unknowns = problem.solve_alone(
            i, at=below.k, bounds=bounds, margin=G_MARGIN * growth, linearisations=_LINEARISATIONS
        )
        params = problem.params[i].copy()
        params[FIRST_KNOT:] = unknowns * problem.unit[i]
        slack = _slack(params, problem, i, below=below)
        if slack >= 0.0:
            return params, False
        if slack > distance:
            best, distance = params, slack
    return _flattened(best, problem, i, below=below), True


def _slack(params: Floats, problem: Problem, i: int, *, below: _Below) -> float:
    """By how much the scarcest condition is kept beyond enough; negative where it is not."""
    low, high = problem.low[[i]], problem.high[[i]]
    w = curves(params[None, :], low, high, below.k)
    found = slacks_on(params[None, :], low, high, k=below.k, w=w)
    own = min(float(found.butterfly[0]) - ENOUGH_G, float(found.lee[0]))
    return min(own, below.rise(w[0]) - ENOUGH_GAP)


def _flattened(params: Floats, problem: Problem, i: int, *, below: _Below) -> Floats:
    """Mix with a flat smile, and scale up to the earlier slices, as little as possible."""
    needed = np.maximum(below.floor(GAP_MARGIN), 0.0)
    level = max(float(problem.params[i, 5]) ** 2, float(needed.max()))
    out = params
    for share in _FLAT_SHARES:
        out = _scaled(params, 1.0 - share)
        out[0] += share * level
        w = curves(out[None, :], problem.low[[i]], problem.high[[i]], below.k)[0]
        if not (w > 0.0).all():
            continue
        out = _scaled(out, max(1.0, float((needed / w).max())))
        if _slack(out, problem, i, below=below) >= 0.0:
            break
    return out


def _scaled(params: Floats, factor: float) -> Floats:
    out = params.copy()
    out[:2] *= factor
    out[FIRST_KNOT:] *= factor
    return out

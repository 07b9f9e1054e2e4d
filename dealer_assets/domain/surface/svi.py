"""The fit of all slices that have enough quotes: raw SVI, a spline on top, no arbitrage.

Belongs here: the order of the steps and their tuning. Does not belong here: which slices take part
and what stands in for the others (`fit`), the arithmetic (`kernels/svi*`).

Steps: raw SVI by weighted least squares; a cubic spline of the remainder, without constraints; then
the same least squares with g >= 0 and w non-decreasing in T. Neighbouring expiries that overlap are
first parted by an isotonic regression weighed by half-spreads, then every slice is solved again
between its neighbours' curves, and last, where a finer grid still finds a violation, with a wider
margin. `docs/methods/surface.md` tells why.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.surface.arbitrage import Slacks, common_grid, inside, slacks
from dealer_assets.domain.surface.smiles import (
    COLUMNS,
    FIRST_KNOT,
    KNOTS,
    RAW,
    total_variance,
)

MIN_QUOTES = 5
"""A slice with fewer quotes is not fitted."""

MARGIN = 0.5
"""The domain of a slice reaches this many at-the-money total vols beyond its outermost quotes."""

_RAW_STEPS = 10
_STIFFNESS = 25.0
_ANCHOR = 0.01
"""Weights, in units of chi-square, of the spline's squared second differences and values, both
relative to total variance: a bend of 20 % from knot to knot costs as much as one half-spread."""

_POINTS_PER_CELL, _POINTS_IN_MARGIN = 4, 4
"""g is imposed at every knot, where it dips, between knots, and in the margins of the domain."""

_CALENDAR_POINTS = 110
_G_MARGIN = 4e-3
_GAP_MARGIN = 2e-4
"""g and the relative calendar gap asked for, so that between the points they stay positive."""

import os
_BASE_TOLERANCE=float(os.environ.get('BT','0.03'))
_ROBUST_ROUNDS = 6
_UNQUOTED = float(os.environ.get('UQ','1e-3'))
_PARTINGS, _SWEEPS, _REPAIRS = 2, 2, 8
"""Of the attempts at repair the one with the fewest violations stands."""

_LINEARISATIONS = 3
_GROWTH, _MOST = 2.0, (64.0, 32.0)
"""Where a finer grid finds a violation, margins double, up to this many times the first ones."""


@dataclass(frozen=True)
class Fitted:
    """Fit of q slices by ascending expiry.

    Parameters
    ----------
    params : float64 array, shape (q, COLUMNS)
        Smiles after all constraints.
    free : float64 array, shape (q, COLUMNS)
        The same fit without constraints.
    low, high : float64 array, shape (q,)
        Domain on which arbitrage is excluded, in k.
    before, after : Slacks
        Of `free` and of `params`.
    """

    params: Floats
    free: Floats
    low: Floats
    high: Floats
    before: Slacks
    after: Slacks


@dataclass(frozen=True)
class _Problem:
    """Arrays of `kernels.svi_correction.constrain` that stay the same."""

    inverse: Floats
    plain: Floats
    unit: Floats
    k: Floats
    base: Floats
    table: Floats
    left: Ints
    shared_base: Floats
    shared_table: Floats
    shared_left: Ints
    precision: Floats
    inside: Bools


def fit_slices(
    k: Floats,
    vol: Floats,
    *,
    half_spread: Floats,
    first: Ints,
    years: Floats,
    previous: Floats,
) -> Fitted:
    """Fit slices together.

    Parameters
    ----------
    k, vol, half_spread : float64 array, shape (n,)
        Log-moneyness, vol and its half-spread, all finite, sorted by (slice, k).
    first : int64 array, shape (q + 1,)
        Quotes of slice i are ``first[i] : first[i + 1]``, at least `MIN_QUOTES` of them at
        different k.
    years : float64 array, shape (q,)
        Positive year fractions, ascending.
    previous : float64 array, shape (q, RAW)
        Raw SVI to start from, rows with NaN start cold.

    Returns
    -------
    Fitted
        The residual minimised is ``(w_model - w) / (2 vol years half_spread)``.
    """
    from dealer_assets.domain.kernels import svi

    q = years.size
    time = np.repeat(years, np.diff(first))
    w = vol * vol * time
    weight = 1.0 / (2.0 * vol * time * half_spread)
    raw, cost = np.empty((q, RAW)), np.empty(q)
    even = 1.0 / (2.0 * vol * time * np.hypot(half_spread, _BASE_TOLERANCE * vol))
    svi.fit_raw(k, w, even, first, np.ascontiguousarray(previous), _RAW_STEPS, raw, cost)

    params = np.zeros((q, COLUMNS))
    params[:, :RAW] = raw
    ends = k[first[:-1]], k[first[1:] - 1]
    scale = np.array([np.sqrt(np.interp(0.0, k[a:b], w[a:b])) for a, b in _parts(first)])
    low, high = ends[0] - MARGIN * scale, ends[1] + MARGIN * scale
    params[:, 5], params[:, 6:8] = scale, _knots(ends, (low, high), scale)
    problem = _problem(k, w, weight, first=first, params=params, domain=(low, high))

    free = _with_spline(params, problem, problem.plain)
    before = slacks(free, low, high)
    if _violations(before) == 0:
        return Fitted(free, free, low, high, before, before)
    unknowns, w_shared = _constrained(problem)
    out = _with_spline(params, problem, unknowns)
    after = slacks(out, low, high)
    best = _violations(after)
    grown, latest = np.ones((2, q)), after
    for _ in range(_REPAIRS):
        if best == 0:
            break
        _repair(problem, latest, unknowns=unknowns, w=w_shared, grown=grown)
        trial = _with_spline(params, problem, unknowns)
        latest = slacks(trial, low, high)
        if _violations(latest) < best:
            best, out, after = _violations(latest), trial, latest
    return Fitted(out, free, low, high, before, after)


def _knots(ends: tuple[Floats, Floats], domain: tuple[Floats, Floats], scale: Floats) -> Floats:
    """Origin and inverse spacing of each slice's knots, shape (q, 2).

    Knots span the quotes, and the domain but for a cell on each side: further out the spline is too
    weak for the conditions that hold there.
    """
    quoted = np.arcsinh(np.stack(ends) / scale)
    start, end = np.arcsinh(np.stack(domain) / scale)
    cell = (end - start) / (KNOTS - 1)
    origin = np.minimum(quoted[0], start + cell)
    return np.stack([origin, (KNOTS - 3) / (np.maximum(quoted[1], end - cell) - origin)], axis=1)


def _parts(first: Ints) -> list[tuple[int, int]]:
    return list(pairwise(first.tolist()))


def _problem(
    k: Floats,
    w: Floats,
    weight: Floats,
    *,
    first: Ints,
    params: Floats,
    domain: tuple[Floats, Floats],
) -> _Problem:
    """Collect what the quadratic programmes need of the slices."""
    from dealer_assets.domain.kernels import svi_spline as kernels

    low, high = domain
    q = params.shape[0]
    shape = np.ascontiguousarray(params[:, 5:8])
    scale, origin, inverse_spacing = shape.T
    nodes = origin[:, None] + (np.arange(KNOTS) - 1.0) / inverse_spacing[:, None]
    at = np.clip(scale[:, None] * np.sinh(nodes), low[:, None], high[:, None])
    unit = np.maximum(_raw(at, params)[0], 0.02 * scale[:, None] ** 2)
    row = np.repeat(np.arange(q), np.diff(first))
    residual = w - total_variance(k, row, params)[0]
    inverse, plain = np.empty((q, KNOTS, KNOTS)), np.empty((q, KNOTS))
    used = np.empty(k.size)
    kernels.normal_equations(
        k, residual, weight, first, shape, unit, _STIFFNESS, _ANCHOR, _ROBUST_ROUNDS, used, inverse, plain
    )
    points = _at_knots(params, low, high)
    table, left = np.empty((*points.shape, 12)), np.empty(points.shape, np.int64)
    kernels.tabulate(points, shape, KNOTS, table, left)
    shared = common_grid(low, high, _CALENDAR_POINTS)
    tiled = np.tile(shared, (q, 1))
    shared_table, shared_left = np.empty((*tiled.shape, 4)), np.empty(tiled.shape, np.int64)
    kernels.tabulate(tiled, shape, KNOTS, shared_table, shared_left)
    return _Problem(
        inverse=inverse,
        plain=plain,
        unit=unit,
        k=points,
        base=_raw(points, params),
        table=table,
        left=left,
        shared_base=_raw(tiled, params)[0],
        shared_table=shared_table,
        shared_left=shared_left,
        precision=_precision(shared, k, used, first),
        inside=inside(shared, low, high),
    )


def _at_knots(params: Floats, low: Floats, high: Floats) -> Floats:
    """Points in each slice's domain that hold its knots, shape (q, n)."""
    scale, origin, inverse = params[:, [5]], params[:, [6]], params[:, [7]]
    last = (KNOTS + 3) * _POINTS_PER_CELL
    inner = origin + (np.arange(last + 1) / _POINTS_PER_CELL - 3.0) / inverse
    ends = np.arcsinh(low[:, None] / scale), np.arcsinh(high[:, None] / scale)
    share = np.arange(_POINTS_IN_MARGIN) / _POINTS_IN_MARGIN
    before = ends[0] + share * (inner[:, :1] - ends[0])
    after = ends[1] + share[::-1] * (inner[:, -1:] - ends[1])
    u = np.clip(np.hstack([before, inner, after]), *ends)
    return np.ascontiguousarray(scale * np.sinh(u))


def _raw(k: Floats, params: Floats) -> Floats:
    """Raw SVI's total variance and two derivatives on each slice's points, shape (3, q, n)."""
    a, b, rho, m, sigma = (params[:, [j]] for j in range(RAW))
    x = k - m
    r = np.sqrt(x * x + sigma * sigma)
    return np.stack([a + b * (rho * x + r), b * (rho + x / r), b * sigma * sigma / (r * r * r)])


def _precision(shared: Floats, k: Floats, weight: Floats, first: Ints) -> Floats:
    out = np.empty((first.size - 1, shared.size))
    for i, (a, b) in enumerate(_parts(first)):
        out[i] = np.interp(shared, k[a:b], weight[a:b] ** 2)
        out[i, (shared < k[a]) | (shared > k[b - 1])] *= _UNQUOTED
    return out


def _with_spline(params: Floats, problem: _Problem, unknowns: Floats) -> Floats:
    out = params.copy()
    out[:, FIRST_KNOT:] = unknowns * problem.unit
    return out


def _solve(
    problem: _Problem,
    order: Ints,
    bounds: Floats,
    *,
    w: Floats,
    unknowns: Floats,
    g_margin: float = _G_MARGIN,
    gap: float = _GAP_MARGIN,
) -> None:
    from dealer_assets.domain.kernels.svi_correction import constrain

    p = problem
    constrain(
        order,
        bounds,
        p.inverse,
        p.plain,
        p.unit,
        p.k,
        p.base,
        p.table,
        p.left,
        p.shared_base,
        p.shared_table,
        p.shared_left,
        w,
        g_margin,
        gap,
        _LINEARISATIONS,
        unknowns,
    )


def _shared_w(problem: _Problem, unknowns: Floats) -> Floats:
    """Total variances at the common points, NaN outside each slice's domain."""
    coefficients = unknowns * problem.unit
    w = problem.shared_base.copy()
    for j in range(4):
        at = np.clip(problem.shared_left + j, 0, KNOTS - 1)
        w += problem.shared_table[:, :, j] * np.take_along_axis(coefficients, at, axis=1)
    return np.where(problem.inside, w, np.nan)


def _constrained(problem: _Problem) -> tuple[Floats, Floats]:
    """Unknowns under all constraints, and their total variances at the common points."""
    from dealer_assets.domain.kernels.svi_correction import separate

    q, c = problem.shared_base.shape
    everyone, neighbours = np.arange(q), np.empty((2, 0, 0))
    unknowns = problem.plain.copy()
    w = _shared_w(problem, unknowns)
    bounds = np.empty((2, q, c))
    bounds[0], bounds[1] = -np.inf, np.inf
    _solve(problem, everyone, bounds, w=w, unknowns=unknowns)
    for _ in range(_PARTINGS):
        separate(w, problem.precision, _GAP_MARGIN, bounds[0], bounds[1])
        _solve(problem, everyone, bounds, w=w, unknowns=unknowns)
    for sweep in range(_SWEEPS):
        order = everyone[::-1].copy() if sweep % 2 == 0 else everyone
        _solve(problem, order, neighbours, w=w, unknowns=unknowns)
    return unknowns, w


def _violations(found: Slacks) -> int:
    return int(found.butterfly_violated.sum() + found.calendar_violated.sum())


def _repair(
    problem: _Problem, after: Slacks, *, unknowns: Floats, w: Floats, grown: Floats
) -> None:
    """Solve the slices that still break a condition, and those next to them, with wider margins.

    `grown`, of shape (2, q), holds how much wider each slice's margins of g and of the calendar gap
    have become. It is updated, as are `unknowns` and `w`.
    """
    calendar = after.calendar_violated
    near = after.butterfly_violated | calendar
    earlier = np.append(calendar[1:], False)
    near |= earlier
    grown[0, after.butterfly_violated] *= _GROWTH
    grown[1, calendar | earlier] *= _GROWTH
    np.minimum(grown, np.array(_MOST)[:, None], out=grown)
    order = np.flatnonzero(near)
    for i in (*order[::-1], *order):
        _solve(
            problem,
            np.array([i]),
            np.empty((2, 0, 0)),
            w=w,
            unknowns=unknowns,
            g_margin=_G_MARGIN * grown[0, i],
            gap=_GAP_MARGIN * grown[1, i],
        )

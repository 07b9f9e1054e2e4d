"""The fit of all slices that have enough quotes: raw SVI, a spline on top, no arbitrage.

Belongs here: the order of the steps and their tuning. Does not belong here: which slices take part
and what stands in for the others (`fit`), the programmes' arrays (`programme`), the last resort
(`repair`), the arithmetic (`kernels/svi*`).

Steps: raw SVI by weighted least squares; a cubic spline of the remainder, without constraints; then
the same least squares with g >= 0 and w non-decreasing in T. Neighbouring expiries that overlap are
first parted by an isotonic regression weighed by half-spreads, then every slice is solved again
between its neighbours' curves, and last, where a finer grid still finds a violation, by `repair`.
`docs/methods/surface.md` tells why.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.surface.arbitrage import Slacks, slacks_on
from dealer_assets.domain.surface.programme import GAP_MARGIN, Problem, build, neighbours
from dealer_assets.domain.surface.repair import repaired
from dealer_assets.domain.surface.smiles import COLUMNS, KNOTS, RAW

MIN_QUOTES = 5
"""A slice with fewer quotes is not fitted."""

MARGIN = 0.5
"""The domain of a slice reaches this many at-the-money total vols beyond its outermost quotes."""

_RAW_STEPS = 10
_BASE_TOLERANCE = 0.03
"""Half-spread, relative to vol, that is added in quadrature for raw SVI: the base has to be near
all quotes, those with wide spreads too, and the spline does the rest."""

_PARTINGS, _SWEEPS = 1, 1
"""More of either leaves fewer slices to `repair` and costs more than it saves."""

_COARSE_CHECK = 4
"""Points per cell at which g of the unconstrained fit is looked at."""


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
        Of `free`, on a coarse grid, and of `params`, on a fine one.
    repaired, flattened : bool array, shape (q,)
        Slices that `repair` had to solve again, and to mix with a flat smile.
    """

    params: Floats
    free: Floats
    low: Floats
    high: Floats
    before: Slacks
    after: Slacks
    repaired: Bools
    flattened: Bools


def fit_slices(
    k: Floats, vol: Floats, *, half_spread: Floats, first: Ints, years: Floats
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

    Returns
    -------
    Fitted
        The residual minimised is ``(w_model - w) / (2 vol years half_spread)``.
    """
    from dealer_assets.domain.kernels import svi

    q = years.size
    time = np.repeat(years, np.diff(first))
    w = vol * vol * time
    to_variance = 2.0 * vol * time
    even = 1.0 / (to_variance * np.hypot(half_spread, _BASE_TOLERANCE * vol))
    raw, cost = np.empty((q, RAW)), np.empty(q)
    svi.fit_raw(k, w, even, first, np.full((q, RAW), np.nan), _RAW_STEPS, raw, cost)

    params = np.zeros((q, COLUMNS))
    params[:, :RAW] = raw
    ends = k[first[:-1]], k[first[1:] - 1]
    scale = np.array([np.sqrt(np.interp(0.0, k[a:b], w[a:b])) for a, b in pairwise(first.tolist())])
    low, high = ends[0] - MARGIN * scale, ends[1] + MARGIN * scale
    params[:, 5], params[:, 6:8] = scale, _knots(ends, (low, high), scale)
    problem = build(
        k, w, 1.0 / (to_variance * half_spread), first=first, params=params, domain=(low, high)
    )
    free = problem.smiles(problem.plain)
    w_free = problem.total_variances(problem.plain)
    before = slacks_on(free, low, high, k=problem.shared, w=w_free, per_cell=_COARSE_CHECK)
    violated = (before.butterfly_violated | before.calendar_violated).any()
    unknowns = _constrained(problem, w_free) if violated else problem.plain
    last = repaired(problem, unknowns)
    return Fitted(last.params, free, low, high, before, last.after, last.solved, last.flattened)


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


def _constrained(problem: Problem, w: Floats) -> Floats:
    """Unknowns under all constraints; `w` are the free fit's total variances at common points."""
    from dealer_assets.domain.kernels.svi_order import separate

    q, c = problem.shared_base.shape
    everyone = np.arange(q)
    unknowns = problem.plain.copy()
    bounds = np.empty((2, q, c))
    bounds[0], bounds[1] = -np.inf, np.inf
    problem.solve(everyone, bounds=bounds, w=w, unknowns=unknowns)
    for _ in range(_PARTINGS):
        separate(w, problem.precision, GAP_MARGIN, bounds[0], bounds[1])
        problem.solve(everyone, bounds=bounds, w=w, unknowns=unknowns)
    for sweep in range(_SWEEPS):
        order = everyone[::-1].copy() if sweep % 2 == 0 else everyone
        problem.solve(order, bounds=neighbours(), w=w, unknowns=unknowns)
    return unknowns

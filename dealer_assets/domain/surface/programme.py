"""The slices' quadratic programmes: their arrays, built once per surface.

Belongs here: where conditions are imposed, what the kernel is given. Does not belong here: the
order of solving (`svi`), what is done where it does not suffice (`repair`), arithmetic
(`kernels/svi_spline`, `kernels/svi_correction`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Floats, Ints
from dealer_assets.domain.surface.arbitrage import common_grid, curves
from dealer_assets.domain.surface.smiles import FIRST_KNOT, KNOTS, RAW, at_quotes

STIFFNESS = 25.0
ANCHOR = 0.01
"""Weights, in units of chi-square, of the spline's squared second differences and values, both
relative to total variance: a bend of 20 % from knot to knot costs as much as one half-spread."""

ROBUST_ROUNDS = 6
"""Times that a slice with outliers is fitted again; see `kernels.svi_spline.normal_equations`."""

UNQUOTED = 1e-3
"""Precision of a slice beyond its outermost quotes, relative to that of the outermost quote: there
it gives way to neighbours that are quoted."""

POINTS_PER_CELL, POINTS_IN_MARGIN = 4, 4
"""g is imposed at every knot, where it dips, between knots, and in the margins of the domain."""

CALENDAR_POINTS = 110
G_MARGIN = 4e-3
GAP_MARGIN = 2e-4
"""g and the relative calendar gap asked for, so that between the points they stay positive."""

LINEARISATIONS = 3

_NEIGHBOURS = np.empty((2, 0, 0))
"""In place of bounds: slices are bounded by their neighbours' current curves."""


@dataclass(frozen=True)
class Problem:
    """Arrays of `kernels.svi_correction.constrain` that stay the same; q slices, c common points.

    Parameters
    ----------
    params : float64 array, shape (q, COLUMNS)
        Base smiles with their knots; spline coefficients zero.
    low, high : float64 array, shape (q,)
        Domains in k.
    inverse : float64 array, shape (q, KNOTS, KNOTS)
        Inverse normal matrices.
    plain : float64 array, shape (q, KNOTS)
        Unconstrained unknowns.
    unit : float64 array, shape (q, KNOTS)
        A coefficient is this times the unknown.
    k, base, table, left
        Points of the butterfly condition, the base and the splines there.
    shared : float64 array, shape (c,)
        Common points of the calendar condition.
    shared_base, shared_table, shared_left
        The base and the splines there.
    precision : float64 array, shape (q, c)
        Inverse squared half-spread in total variance there.
    """

    params: Floats
    low: Floats
    high: Floats
    inverse: Floats
    plain: Floats
    unit: Floats
    k: Floats
    base: Floats
    table: Floats
    left: Ints
    shared: Floats
    shared_base: Floats
    shared_table: Floats
    shared_left: Ints
    precision: Floats

    def smiles(self, unknowns: Floats) -> Floats:
        """Smiles of unknowns, shape (q, COLUMNS)."""
        out = self.params.copy()
        out[:, FIRST_KNOT:] = unknowns * self.unit
        return out

    def total_variances(self, unknowns: Floats) -> Floats:
        """Total variances at the common points, NaN outside each slice's domain."""
        return curves(self.smiles(unknowns), self.low, self.high, self.shared)

    def solve(self, order: Ints, *, bounds: Floats, w: Floats, unknowns: Floats) -> None:
        """Solve slices one after the other; `w` and `unknowns` are updated.

        `bounds` holds floor and cap of total variance at the common points, shape (2, q, c), or is
        `neighbours`.
        """
        from dealer_assets.domain.kernels.svi_correction import constrain

        constrain(
            order,
            bounds,
            self.inverse,
            self.plain,
            self.unit,
            self.k,
            self.base,
            self.table,
            self.left,
            self.shared_base,
            self.shared_table,
            self.shared_left,
            w,
            G_MARGIN,
            GAP_MARGIN,
            LINEARISATIONS,
            unknowns,
        )

    def solve_alone(
        self, i: int, *, at: Floats, bounds: Floats, margin: float, linearisations: int
    ) -> Floats:
        """Unknowns of slice i under bounds of shape (2, n) at points `at` of shape (n,)."""
        from dealer_assets.domain.kernels.svi_correction import constrain

        one = slice(i, i + 1)
        params = self.params[one]
        points = butterfly_points(params, self.low[one], self.high[one], 4 * POINTS_PER_CELL)
        table, left = splines_at(points, params, width=12)
        shared_table, shared_left = splines_at(at[None, :].copy(), params, width=4)
        unknowns = self.plain[one].copy()
        constrain(
            np.zeros(1, np.int64),
            np.ascontiguousarray(bounds[:, None, :]),
            self.inverse[one],
            self.plain[one],
            self.unit[one],
            points,
            raw_curve(points, params),
            table,
            left,
            np.ascontiguousarray(raw_curve(at[None, :], params)[0]),
            shared_table,
            shared_left,
            bounds[:1].copy(),
            margin,
            0.0,
            linearisations,
            unknowns,
        )
        return np.asarray(unknowns[0])


def neighbours() -> Floats:
    """Bounds that stand for the other slices' current curves."""
    return _NEIGHBOURS


def build(
    k: Floats,
    w: Floats,
    weight: Floats,
    *,
    first: Ints,
    params: Floats,
    domain: tuple[Floats, Floats],
) -> Problem:
    """Collect what the programmes need of the slices.

    Parameters
    ----------
    k, w, weight : float64 array, shape (n,)
        Log-moneyness, total variance and root weight of the quotes, sorted by (slice, k).
    first : int64 array, shape (q + 1,)
        Quotes of slice i are ``first[i] : first[i + 1]``.
    params : float64 array, shape (q, COLUMNS)
        Base smiles with their knots.
    domain : two float64 arrays, shape (q,)
        Lowest and highest k of each slice.

    Returns
    -------
    Problem
    """
    from dealer_assets.domain.kernels import svi_spline as kernels
    from dealer_assets.domain.kernels.svi_order import precisions

    low, high = domain
    q = params.shape[0]
    scale, origin, inverse_spacing = params[:, 5], params[:, 6], params[:, 7]
    nodes = origin[:, None] + (np.arange(KNOTS) - 1.0) / inverse_spacing[:, None]
    at = np.clip(scale[:, None] * np.sinh(nodes), low[:, None], high[:, None])
    unit = np.maximum(_raw_value(at, params), 0.02 * scale[:, None] ** 2)
    residual = w - at_quotes(k, first, params)
    inverse, plain = np.empty((q, KNOTS, KNOTS)), np.empty((q, KNOTS))
    used = np.empty(k.size)
    kernels.normal_equations(
        k,
        residual,
        weight,
        first,
        np.ascontiguousarray(params[:, 5:8]),
        unit,
        STIFFNESS,
        ANCHOR,
        ROBUST_ROUNDS,
        used,
        inverse,
        plain,
    )
    points = butterfly_points(params, low, high, POINTS_PER_CELL)
    table, left = splines_at(points, params, width=12)
    shared = common_grid(low, high, CALENDAR_POINTS)
    tiled = np.tile(shared, (q, 1))
    shared_table, shared_left = splines_at(tiled, params, width=4)
    precision = np.empty((q, shared.size))
    precisions(shared, k, used, first, UNQUOTED, precision)
    return Problem(
        params=params,
        low=low,
        high=high,
        inverse=inverse,
        plain=plain,
        unit=unit,
        k=points,
        base=raw_curve(points, params),
        table=table,
        left=left,
        shared=shared,
        shared_base=_raw_value(tiled, params),
        shared_table=shared_table,
        shared_left=shared_left,
        precision=precision,
    )


def splines_at(points: Floats, params: Floats, *, width: int) -> tuple[Floats, Ints]:
    """`kernels.svi_spline.tabulate` at each slice's points, shape (q, n)."""
    from dealer_assets.domain.kernels.svi_spline import tabulate

    table, left = np.empty((*points.shape, width)), np.empty(points.shape, np.int64)
    tabulate(points, np.ascontiguousarray(params[:, 5:8]), KNOTS, table, left)
    return table, left


def butterfly_points(params: Floats, low: Floats, high: Floats, per_cell: int) -> Floats:
    """Points in each slice's domain that hold its knots, shape (q, n)."""
    scale, origin, inverse = params[:, [5]], params[:, [6]], params[:, [7]]
    last = (KNOTS + 3) * per_cell
    inner = origin + (np.arange(last + 1) / per_cell - 3.0) / inverse
    ends = np.arcsinh(low[:, None] / scale), np.arcsinh(high[:, None] / scale)
    share = np.arange(POINTS_IN_MARGIN) / POINTS_IN_MARGIN
    before = ends[0] + share * (inner[:, :1] - ends[0])
    after = ends[1] + share[::-1] * (inner[:, -1:] - ends[1])
    u = np.minimum(np.maximum(np.hstack([before, inner, after]), ends[0]), ends[1])
    return np.ascontiguousarray(scale * np.sinh(u))


def raw_curve(k: Floats, params: Floats) -> Floats:
    """Raw SVI's total variance and two derivatives on each slice's points, shape (3, q, n)."""
    a, b, rho, m, sigma = (params[:, [j]] for j in range(RAW))
    x = k - m
    r = np.sqrt(x * x + sigma * sigma)
    return np.stack([a + b * (rho * x + r), b * (rho + x / r), b * sigma * sigma / (r * r * r)])


def _raw_value(k: Floats, params: Floats) -> Floats:
    a, b, rho, m, sigma = (params[:, [j]] for j in range(RAW))
    x = k - m
    return np.asarray(a + b * (rho * x + np.sqrt(x * x + sigma * sigma)))

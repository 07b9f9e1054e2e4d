"""Static arbitrage of a surface, as slacks: positive where a condition holds.

Belongs here: Durrleman's condition, the calendar condition, Lee's slope, and where they are
looked at. Does not belong here: making them hold (`fit`), thresholds (`quality`).

Source: Gatheral and Jacquier (2014), sections 2.1-2.2; Roper (2010), theorem 2.9; Lee (2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats

BUTTERFLY_POINTS_PER_CELL = 16
"""Durrleman's g is checked at every knot of a smile's spline and 15 times between two knots."""

CALENDAR_POINTS = 520
"""Common points of the calendar check; the ends of every slice's domain come on top."""


@dataclass(frozen=True)
class Slacks:
    """Least slacks of each slice on its domain; m slices by ascending expiry.

    Parameters
    ----------
    butterfly : float64 array, shape (m,)
        Least Durrleman g; negative: butterfly arbitrage. NaN without a smile.
    butterfly_at : float64 array, shape (m,)
        Its k.
    calendar : float64 array, shape (m,)
        Least ``w / w_earlier - 1`` against the nearest earlier expiry whose domain has that k;
        negative: calendar arbitrage. NaN where domains do not meet.
    calendar_at : float64 array, shape (m,)
        Its k.
    lee : float64 array, shape (m,)
        ``2 - b (1 + |rho|)``: how far the wings' slopes are from Lee's bound.
    """

    butterfly: Floats
    butterfly_at: Floats
    calendar: Floats
    calendar_at: Floats
    lee: Floats

    @property
    def butterfly_violated(self) -> Bools:
        """Slices with g < 0 or a wing steeper than Lee's bound, shape (m,)."""
        return np.asarray((self.butterfly < 0.0) | (self.lee < 0.0))

    @property
    def calendar_violated(self) -> Bools:
        """Slices below an earlier expiry, shape (m,)."""
        return np.asarray(self.calendar < 0.0)


def durrleman(k: Floats, w: Floats, slope: Floats, bend: Floats) -> Floats:
    """Durrleman's g, of the sign of the risk-neutral density; NaN where w is not positive.

    ``g = (1 - k w' / (2 w))^2 - w'^2 / 4 (1 / w + 1 / 4) + w'' / 2``
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        safe = np.where(w > 0.0, w, np.nan)
        half = 1.0 - 0.5 * k * slope / safe
        return np.asarray(half * half - 0.25 * slope * slope * (1.0 / safe + 0.25) + 0.5 * bend)


def common_grid(low: Floats, high: Floats, points: int) -> Floats:
    """Points over all domains, dense near the money, with each domain's ends; shape (c,)."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return np.zeros(0)
    widths = np.maximum(np.minimum(np.abs(low[known]), np.abs(high[known])), 1e-4)
    scale = max(float(np.min(widths)) / 4.0, 1e-4)
    ends = np.arcsinh(np.array([low[known].min(), high[known].max()]) / scale)
    k = scale * np.sinh(np.linspace(ends[0], ends[1], points))
    k = np.unique(np.concatenate([k[1:-1], low[known], high[known]]))
    return np.asarray(k[np.concatenate([[True], np.diff(k) > 1e-7])])


def inside(k: Floats, low: Floats, high: Floats) -> Bools:
    """Tell which common points are in which slice's domain, shape (m, c)."""
    slack = 2e-7
    return np.asarray((k[None, :] >= low[:, None] - slack) & (k[None, :] <= high[:, None] + slack))


def curves(params: Floats, low: Floats, high: Floats, k: Floats) -> Floats:
    """Total variances on common points, shape (m, c); NaN outside each slice's domain."""
    from dealer_assets.domain.kernels import svi_arbitrage as kernels

    w = np.empty((params.shape[0], k.size))
    kernels.curves(np.ascontiguousarray(params), low, high, k, w)
    return w


def slacks(params: Floats, low: Floats, high: Floats, *, counts: Bools | None = None) -> Slacks:
    """Check every slice on its domain.

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles by ascending expiry.
    low, high : float64 array, shape (m,)
        Domain of each slice in k; NaN: not checked.
    counts : bool array, shape (m,), optional
        Slices that later ones are held against; all of them by default.

    Returns
    -------
    Slacks
        A total variance that is not positive counts as a slack of minus infinity.
    """
    k = common_grid(low, high, CALENDAR_POINTS)
    return slacks_on(params, low, high, k=k, w=curves(params, low, high, k), counts=counts)


def slacks_on(
    params: Floats,
    low: Floats,
    high: Floats,
    *,
    k: Floats,
    w: Floats,
    counts: Bools | None = None,
    per_cell: int = BUTTERFLY_POINTS_PER_CELL,
) -> Slacks:
    """`slacks` where the total variances `w` on common points `k` are known already."""
    from dealer_assets.domain.kernels import svi_arbitrage as kernels

    m = params.shape[0]
    g, g_at, gap, gap_at = (np.empty(m) for _ in range(4))
    params = np.ascontiguousarray(params)
    kernels.least_butterfly(params, low, high, per_cell, g, g_at)
    counts = np.ones(m, np.bool_) if counts is None else counts
    kernels.least_rise(w, counts, k, gap, gap_at)
    lee = np.where(np.isnan(g), np.nan, 2.0 - params[:, 1] * (1.0 + np.abs(params[:, 2])))
    return Slacks(g, g_at, gap, gap_at, lee)

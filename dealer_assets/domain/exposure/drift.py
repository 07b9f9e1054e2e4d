"""The drift of spot and vol over a session's last snapshots, from what was known by then.

Belongs here: the window, the slopes, the 30-day vol at the money. Does not belong here: the hedging
that follows from a drift (`metrics`).

A drift over an hour is nearly all noise: it says which way the market has been going, not where it
will go. Hence its status and its time span are stored beside it (`docs/methods/metrics.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Floats, floats

WINDOW = timedelta(hours=1)
"""Snapshots this far back count for the drift."""

FEWEST = 3
"""Where the window holds fewer, it reaches back to as many of the session."""

COARSE_HOURS = 4.0
"""A drift over a longer time than this is `coarse`."""

VOL_DAYS = 30.0
"""Constant maturity of the vol whose drift counts."""


@dataclass(frozen=True)
class Point:
    """What one snapshot adds to a window.

    Parameters
    ----------
    at : datetime.datetime
        Its instant.
    spot : float
        Underlying price [USD].
    vol : float
        30-day vol at the money, annualised, decimal; NaN where it is not told.
    """

    at: datetime
    spot: float
    vol: float


@dataclass(frozen=True)
class Drift:
    """Drift per hour over a window.

    Parameters
    ----------
    spot_pct_per_hour, vol_points_per_hour : float
        NaN with fewer than two points.
    status : str
        ``ok``, ``thin`` (two points), ``coarse`` (over `COARSE_HOURS`) or ``none``.
    points : int
        Snapshots of the window.
    hours : float
        Time they span.
    """

    spot_pct_per_hour: float
    vol_points_per_hour: float
    status: str
    points: int
    hours: float


def extended(window: Sequence[Point], newest: Point) -> list[Point]:
    """Add a point to a window and drop what has left it.

    Parameters
    ----------
    window : sequence of Point
        Ascending, all before the newest.
    newest : Point
        The snapshot's own.

    Returns
    -------
    list of Point
        Ascending; those of the last `WINDOW`, and of the session's last `FEWEST`.
    """
    points = [*window, newest]
    inside = [p for p in points if newest.at - p.at <= WINDOW]
    return points[-max(len(inside), FEWEST) :]


def drift_of(window: Sequence[Point]) -> Drift:
    """Slopes over a window: medians of the slopes between all pairs of its points (Theil-Sen).

    Parameters
    ----------
    window : sequence of Point
        Ascending, not empty.

    Returns
    -------
    Drift
    """
    hours = np.array([(p.at - window[0].at).total_seconds() / 3600.0 for p in window])
    spot = _slope(hours, 100.0 * np.log([p.spot for p in window]))
    vol = _slope(hours, 100.0 * np.array([p.vol for p in window]))
    status = "ok" if len(window) >= FEWEST else "thin"
    if hours[-1] > COARSE_HOURS:
        status = "coarse"
    if not np.isfinite(spot):
        status = "none"
    return Drift(spot, vol, status, len(window), float(hours[-1]))


def _slope(hours: Floats, values: Floats) -> float:
    told = np.isfinite(values)
    hours, values = hours[told], values[told]
    low, high = np.triu_indices(hours.size, k=1)
    if not low.size:
        return float("nan")
    return float(np.median((values[high] - values[low]) / (hours[high] - hours[low])))


def vol_at_30_days(surface: pa.Table) -> float:
    """Vol at the money in 30 days, by linear total variance between the slices around it.

    Parameters
    ----------
    surface : pyarrow.Table
        One snapshot, `tables.VOL_SURFACE` schema.

    Returns
    -------
    float
        Annualised, decimal; beyond the last slice that slice's vol, before the first likewise; NaN
        where no slice has a smile.
    """
    years, vol = floats(surface, "year_fraction"), floats(surface, "atm_vol")
    told = np.isfinite(vol) & (years > 0.0)
    if not told.any():
        return float("nan")
    years, vol = years[told], vol[told]
    order = np.argsort(years, kind="stable")
    years, vol = years[order], vol[order]
    at = VOL_DAYS / 365.0
    if at <= years[0]:
        return float(vol[0])
    if at >= years[-1]:
        return float(vol[-1])
    return float(np.sqrt(np.interp(at, years, vol * vol * years) / at))

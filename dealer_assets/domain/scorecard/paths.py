"""The prices of one session, from whatever is held of it, in time order and never beyond it.

Belongs here: which instants are the session's, and the bar they make. Does not belong here: reading
them from the lake, levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Floats, floats
from dealer_assets.underlyings import Calendar

_SPOT_KINDS = ("spot", "close")


@dataclass(frozen=True)
class SessionPath:
    """A session's prices as a bar.

    Parameters
    ----------
    source : str
        One of `tables.pins.PATH_SOURCES`.
    points : int
        Prices it was made of.
    share : float
        Part of the session between the first and the last of them.
    opened, high, low, close : float
        USD.
    last_at, known_at : datetime.datetime
        Instant of the last price, and from when all could be known.
    """

    source: str
    points: int
    share: float
    opened: float
    high: float
    low: float
    close: float
    last_at: datetime
    known_at: datetime


def path_of_values(values: pa.Table, calendar: Calendar, day: date) -> SessionPath | None:
    """Return a session's path by values of the underlying; None when none lies in it.

    Parameters
    ----------
    values : pyarrow.Table
        `tables.INDEX_VALUES`, any order; kinds other than spot and close are passed over.
    calendar : Calendar
        Whose sessions.
    day : datetime.date
        The session.
    """
    spots = values.filter(pc.is_in(values["kind"], value_set=pa.array(_SPOT_KINDS)))
    return _path(spots, "value", "index_values", calendar, day)


def path_of_snapshots(levels: pa.Table, calendar: Calendar, day: date) -> SessionPath | None:
    """Return a session's path by the spots of its snapshots; None when none lies in it.

    Parameters
    ----------
    levels : pyarrow.Table
        Rows with ``event_at``, ``known_at`` and ``spot``, such as `tables.EXPOSURE_LEVELS`; several
        models of a snapshot are one price.
    calendar, day
        As in `path_of_values`.
    """
    return _path(levels, "spot", "snapshots", calendar, day)


def path_of_bar(
    opened: float, high: float, low: float, close: float, *, calendar: Calendar, day: date
) -> SessionPath:
    """Return a session's path by its daily bar [USD], known at its close."""
    closed_at = min(sessions.session_close(calendar, day), sessions.quotes_end(calendar, day))
    return SessionPath("daily_bar", 4, 1.0, opened, high, low, close, closed_at, closed_at)


def fuller(first: SessionPath | None, second: SessionPath | None) -> SessionPath | None:
    """Choose the path of more prices; the first of equals."""
    if first is None or second is None:
        return first or second
    return second if second.points > first.points else first


def _path(
    rows: pa.Table, column: str, source: str, calendar: Calendar, day: date
) -> SessionPath | None:
    opened_at, ended_at = sessions.session_open(calendar, day), sessions.quotes_end(calendar, day)
    bounds = (pa.scalar(at, rows["event_at"].type) for at in (opened_at, ended_at))
    inside = pc.and_(
        pc.greater_equal(rows["event_at"], next(bounds)),
        pc.less_equal(rows["event_at"], next(bounds)),
    )
    rows = rows.filter(pc.and_(inside, pc.is_valid(rows[column]))).sort_by("event_at")
    if not rows.num_rows:
        return None
    price: Floats = floats(rows, column)
    first_at, last_at = rows["event_at"][0].as_py(), rows["event_at"][-1].as_py()
    length = sessions.session_close(calendar, day) - opened_at
    return SessionPath(
        source=source,
        points=int(np.unique(rows["event_at"].to_numpy()).size),
        share=(last_at - first_at) / length,
        opened=float(price[0]),
        high=float(price.max()),
        low=float(price.min()),
        close=float(price[-1]),
        last_at=last_at,
        known_at=pc.max(rows["known_at"]).as_py(),
    )

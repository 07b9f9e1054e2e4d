"""Which day OCC's open interest is of.

Belongs here: the session that opens with a count, the daily report that says which count is the
latest, and the witness of the series themselves. Does not belong here: the figures (`occ_series`,
`occ_history`).

Open interest is that of the latest close that OCC has counted, and so what the next session opens
with. OCC's ``daily-open-interest`` is a month's totals of the whole market, a row for each day
counted; it holds no contracts. The figures roll in the evening, at no fixed time.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK, previous_session, session_close
from dealer_assets.providers.base import Finding
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.record_rows import Place

KNOWN = time(6, 30)
"""New York time of a session from which the open interest it opens with counts as known: the feed
of all exchanges carries it then. OCC shows it the evening before, at no fixed time."""
OTHER_SESSION = "open_interest_of_another_session"
"""Finding: the series that are listed belong to another session's opening."""

DAILY_TITLE = b"Daily Open Interest"
_US_DATE = re.compile(r'^"?(\d{2})/(\d{2})/(\d{4})"?,(.*)$', re.MULTILINE)


def opening_place(session_date: date, rows: int) -> Place:
    """Return the place of open interest that a session opens with: counted at the close before."""
    counted = session_close("XNYS", previous_session("XNYS", session_date))
    known = datetime.combine(session_date, KNOWN, NEW_YORK).astimezone(UTC)
    return Place(
        days=np.full(rows, np.datetime64(session_date, "D")),
        event_at=np.full(rows, np.datetime64(counted.replace(tzinfo=None), "us")),
        known_at=np.full(rows, np.datetime64(known.replace(tzinfo=None), "us")),
    )


def days_counted(payload: bytes, *, name: str) -> tuple[date, ...]:
    """Read the daily open interest report: the days whose open interest OCC has counted.

    Parameters
    ----------
    payload : bytes
        CSV text of one month.
    name : str
        For messages.

    Returns
    -------
    tuple of datetime.date
        Ascending; empty when the month has none yet. A day of zeros only is not counted yet.

    Raises
    ------
    BadInputError
        When it is no such report.
    """
    text = payload.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if not text.lstrip().startswith(DAILY_TITLE.decode()):
        refuse(name, f"expected OCC's daily open interest report, found {text[:80]!r}")
    found = [
        _date(int(year), int(month), int(day))
        for month, day, year, figures in _US_DATE.findall(text)
        if re.search(r"[1-9]", figures)
    ]
    return tuple(sorted({day for day in found if day is not None}))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def of_another_session(
    session_date: date,
    *,
    expired: NDArray[np.datetime64],
    live_daily: NDArray[np.datetime64],
) -> tuple[Finding, ...]:
    """Hold the expiries that are listed against the session the figures are taken for.

    Parameters
    ----------
    session_date : datetime.date
        Session that is to open with them.
    expired : datetime64[D] array
        Expiries before the session of series that still have open interest; those of the close
        that was counted have it for a day.
    live_daily : datetime64[D] array
        Other expiries, of underlyings where a series expires every session.

    Returns
    -------
    tuple of Finding
        `OTHER_SESSION`, when the figures are those of an earlier or a later session.
    """
    if expired.size and expired.min() < np.datetime64(previous_session("XNYS", session_date), "D"):
        text = (
            f"a series that expired on {expired.min()} still has open interest: the figures are "
            f"those of a session before {session_date}"
        )
        return (Finding(OTHER_SESSION, text),)
    if live_daily.size and live_daily.min() > np.datetime64(session_date, "D"):
        text = (
            f"no series expires on {session_date}, the first does on {live_daily.min()}: the "
            "figures are those of a session after it"
        )
        return (Finding(OTHER_SESSION, text),)
    return ()

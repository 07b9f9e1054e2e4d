"""One session of an underlying: its time, whether it is over, and since when the vendor has any.

Belongs here: what every question about the past shares. Does not belong here: the questions
(`history`, `index_values`), rows (`ticks`).

A session is the time from 17:15 New York of the session before to 17:15 of its own date: evening
and night prints belong to the day they are cleared for, and each print to exactly one session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError
from dealer_assets.providers.base import Keep
from dealer_assets.providers.polygon.client import VENDOR, PolygonClient
from dealer_assets.underlyings import Underlying

FIRST_DAYS = {
    "trades": date(2014, 6, 2),
    "bars": date(2014, 6, 2),
    "quotes": date(2022, 3, 7),
    "values of an index": date(2023, 2, 14),
}
"""What the vendor has of each kind, from this day on."""

_DAY_ENDS = time(17, 15)
"""New York; options of some indices trade until 17:00, reports come a little late."""


@dataclass(frozen=True)
class Window:
    """The time of a session.

    Parameters
    ----------
    underlying : Underlying
        Whose calendar counts.
    day : datetime.date
        Session.
    first, end : datetime.datetime
        UTC, first included, end not.
    """

    underlying: Underlying
    day: date
    first: datetime
    end: datetime

    @property
    def quotes_end(self) -> datetime:
        """UTC instant after which the session's quotes stand still."""
        return sessions.quotes_end(self.underlying.calendar, self.day)


def window_of(underlying: Underlying, day: date) -> Window:
    """Return the time of a session.

    Raises
    ------
    BadInputError
        When the day is no session.
    """
    sessions.session_open(underlying.calendar, day)  # raises
    before = sessions.previous_session(underlying.calendar, day)
    first, end = (
        datetime.combine(d, _DAY_ENDS, sessions.NEW_YORK).astimezone(UTC) for d in (before, day)
    )
    return Window(underlying, day, first, end)


@dataclass(frozen=True)
class Errand:
    """One session's history of an underlying.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    now : datetime.datetime
        UTC now: tells whether anything may still be added.
    delay : datetime.timedelta
        How far behind the market the plan is.
    keep : Keep or None
        Where pages are kept.
    """

    client: PolygonClient
    underlying: Underlying
    session_date: date
    now: datetime
    delay: timedelta
    keep: Keep | None

    @property
    def window(self) -> Window:
        """The session's time."""
        return window_of(self.underlying, self.session_date)

    @property
    def is_over(self) -> bool:
        """Nothing will be added any more."""
        return self.now >= self.window.end + self.delay

    def require_history(self, kind: str) -> None:
        """Refuse a session before the vendor's history of a kind, or in the future.

        Raises
        ------
        NoDataError
            Naming the first day there is.
        """
        if self.session_date < FIRST_DAYS[kind]:
            raise NoDataError(
                f"{VENDOR} has {kind} from {FIRST_DAYS[kind]} on, asked for {self.session_date}: "
                "import files of that day"
            )
        if self.window.first > self.now:
            raise NoDataError(f"session {self.session_date} has not begun: nothing to ask for yet")

"""Trading sessions and clocks: which days trade, when they open and close, when options expire.

Belongs here: calendars, expiry instants, year fractions. Does not belong here: "now", which is
always an argument. Sources: exchange_calendars (XNYS), the exchanges' settlement rules
(`docs/methods/clocks.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from dealer_assets.domain import us_sessions
from dealer_assets.domain.conventions import QUOTES_AFTER_CLOSE, SECONDS_PER_YEAR
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import Calendar, Settlement

NEW_YORK = ZoneInfo("America/New_York")
_OPEN, _CLOSE, _EARLY_CLOSE = time(9, 30), time(16, 0), time(13, 0)
_TWAP_END = time(8, 0)
_ONE_DAY = timedelta(days=1)
_ONE_MINUTE = timedelta(minutes=1)


@cache
def _library_days(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Sessions and early closes of a year outside the table, from exchange_calendars."""
    import exchange_calendars  # heavy (0.8 s), and only needed outside the table's range

    calendar = exchange_calendars.get_calendar("XNYS", start=f"{year}-01-01", end=f"{year}-12-31")
    sessions = frozenset(s.date() for s in calendar.sessions)
    return sessions, frozenset(s.date() for s in calendar.early_closes)


def is_session(calendar: Calendar, day: date) -> bool:
    """Tell whether a calendar trades on a day."""
    if calendar == "24/7":
        return True
    if us_sessions.FIRST <= day <= us_sessions.LAST:
        return day.weekday() < 5 and day not in us_sessions.CLOSURES
    return day in _library_days(day.year)[0]


def is_early_close(calendar: Calendar, day: date) -> bool:
    """Tell whether the session of a day closes at 13:00 New York time."""
    if calendar == "24/7":
        return False
    if us_sessions.FIRST <= day <= us_sessions.LAST:
        return day in us_sessions.EARLY_CLOSES
    return day in _library_days(day.year)[1]


def sessions_between(calendar: Calendar, first: date, last: date) -> list[date]:
    """Return the sessions from `first` to `last`, both included, ascending."""
    return [day for day in _days(first, last) if is_session(calendar, day)]


def _days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += _ONE_DAY


def session_on_or_before(calendar: Calendar, day: date) -> date:
    """Return the latest session that is not after a day."""
    while not is_session(calendar, day):
        day -= _ONE_DAY
    return day


def previous_session(calendar: Calendar, day: date) -> date:
    """Return the latest session before a day."""
    return session_on_or_before(calendar, day - _ONE_DAY)


def sessions_before(calendar: Calendar, day: date, *, most: int) -> Iterator[date]:
    """Yield the sessions before a day, the newest first."""
    for _ in range(most):
        day = previous_session(calendar, day)
        yield day


def next_session(calendar: Calendar, day: date) -> date:
    """Return the earliest session after a day."""
    day += _ONE_DAY
    while not is_session(calendar, day):
        day += _ONE_DAY
    return day


def _new_york(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def session_open(calendar: Calendar, day: date) -> datetime:
    """Return the UTC instant a session opens: 09:30 New York, or 00:00 UTC for a 24/7 calendar.

    Raises
    ------
    BadInputError
        When the day is no session.
    """
    _require_session(calendar, day)
    if calendar == "24/7":
        return datetime.combine(day, time(0), UTC)
    return _new_york(day, _OPEN)


def session_close(calendar: Calendar, day: date) -> datetime:
    """Return the UTC instant a session closes: 16:00 or 13:00 New York, or the end of a UTC day.

    Raises
    ------
    BadInputError
        When the day is no session.
    """
    _require_session(calendar, day)
    if calendar == "24/7":
        return datetime.combine(day + _ONE_DAY, time(0), UTC)
    return _new_york(day, _EARLY_CLOSE if is_early_close(calendar, day) else _CLOSE)


def _require_session(calendar: Calendar, day: date) -> None:
    if not is_session(calendar, day):
        raise BadInputError(
            f"{day} is no session of calendar {calendar}: expected a trading day; "
            f"the one before is {session_on_or_before(calendar, day)}"
        )


def quotes_end(calendar: Calendar, day: date) -> datetime:
    """Return the UTC instant after which a session's option quotes stand still.

    Index and ETF options quote for 15 minutes after the close; a 24/7 day ends one microsecond
    before the next, so that the instant still lies in its own session.
    """
    if calendar == "24/7":
        return session_close(calendar, day) - timedelta(microseconds=1)
    return session_close(calendar, day) + QUOTES_AFTER_CLOSE


def gaps_between(calendar: Calendar, day: date, instants: Iterable[datetime]) -> list[timedelta]:
    """Return the stretches of an open session between instants at which something was seen.

    Parameters
    ----------
    calendar : Calendar
        Calendar.
    day : datetime.date
        A session of it.
    instants : iterable of datetime.datetime
        When something was seen, UTC, any order. What was seen before the open does not count; the
        first after the close ends a stretch that lasted until the close.

    Returns
    -------
    list of datetime.timedelta
        From the open to the first, and on to each next one, in order. What follows the last is not
        among them: the session may go on.

    Raises
    ------
    BadInputError
        When the day is no session.
    """
    opened, closed = session_open(calendar, day), session_close(calendar, day)
    seen = sorted({min(at, closed) for at in instants if at >= opened})
    return [later - earlier for earlier, later in pairwise([opened, *seen])]


def instants_of(calendar: Calendar, day: date, *, count: int) -> list[datetime]:
    """Return instants spread evenly over a session, the last its final quoted minute.

    Parameters
    ----------
    calendar : str
        Calendar.
    day : datetime.date
        A session of it.
    count : int
        How many; 1 gives the close alone.

    Returns
    -------
    list of datetime.datetime
        UTC, ascending, whole minutes.

    Raises
    ------
    BadInputError
        When the day is no session, or has fewer minutes than instants wanted.
    """
    opened = session_open(calendar, day)
    minutes = (quotes_end(calendar, day) - opened) // _ONE_MINUTE
    if not 1 <= count <= minutes:
        raise BadInputError(
            f"expected 1 to {minutes} snapshots in the session {day} of {calendar}, found {count}"
        )
    steps = [minutes * (i + 1) // count for i in range(count)]
    return [opened + step * _ONE_MINUTE for step in steps]


def session_of(calendar: Calendar, instant: datetime) -> date:
    """Return the session whose quotes an instant sees: today's once open, else the one before.

    Parameters
    ----------
    calendar : Calendar
        Which sessions there are.
    instant : datetime.datetime
        UTC instant.

    Returns
    -------
    datetime.date
        UTC date for a 24/7 calendar. For New York: the date of the latest session that opened at
        or before the instant, so a Sunday or a pre-open instant sees Friday's or yesterday's.
    """
    if calendar == "24/7":
        return instant.astimezone(UTC).date()
    local = instant.astimezone(NEW_YORK).date()
    if is_session(calendar, local) and instant >= session_open(calendar, local):
        return local
    return previous_session(calendar, local)


def is_open(calendar: Calendar, instant: datetime) -> bool:
    """Tell whether options quote at an instant (open to 15 minutes after the close, included)."""
    day = session_of(calendar, instant)
    return session_open(calendar, day) <= instant <= quotes_end(calendar, day)


@lru_cache(maxsize=8192)
def expiry_instant(settlement: Settlement, calendar: Calendar, expiry_date: date) -> datetime:
    """Return the UTC instant at which a series expires.

    Parameters
    ----------
    settlement : {"am", "pm", "twap"}
        ``am``: opening print, 09:30 New York of the expiry date; ``pm``: that session's close
        (13:00 on early closes); ``twap``: 08:00 UTC.
    calendar : Calendar
        Calendar of the underlying.
    expiry_date : datetime.date
        Listed expiry date. A date that is no session (a Saturday of the old monthlies, a holiday)
        expires with the session before.

    Returns
    -------
    datetime.datetime
    """
    if settlement == "twap":
        return datetime.combine(expiry_date, _TWAP_END, UTC)
    day = session_on_or_before(calendar, expiry_date)
    return session_open(calendar, day) if settlement == "am" else session_close(calendar, day)


def year_fraction(event_at: datetime, expires_at: datetime) -> float:
    """Return ACT/365 years from one instant to another, to the microsecond; negative once past."""
    return (expires_at - event_at).total_seconds() / SECONDS_PER_YEAR

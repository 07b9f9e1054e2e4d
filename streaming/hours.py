"""When a desk works: which session an instant belongs to, and when to wake and to stop.

Belongs here: spans of sessions, which underlyings share a desk. Does not belong here: calendars
(`dealer_assets.domain.sessions`), sleeping (`runtime`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dealer_assets.domain import sessions
from dealer_assets.underlyings import Calendar, Underlying
from streaming.start import DeskName

EARLY = timedelta(minutes=5)
"""So long before the open a desk is woken, to be connected when it comes."""

LATE = timedelta(minutes=5)
"""So long after quotes have ended it still takes late prints."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a desk works on a session.

    Parameters
    ----------
    day : datetime.date
        The session.
    begin, end : datetime.datetime
        UTC: when to be connected, when to stop.
    """

    day: date
    begin: datetime
    end: datetime


def desk_of(lane: Underlying) -> DeskName:
    """Return the desk of an underlying: one for each calendar and kind of venue."""
    return "crypto" if lane.kind == "crypto" else "us"


def span_of(calendar: Calendar, day: date, *, delay: timedelta = timedelta(0)) -> Span:
    """Return when a desk works on a session; around the clock without a pause in between.

    Parameters
    ----------
    calendar : {"XNYS", "24/7"}
        Calendar.
    day : datetime.date
        The session.
    delay : datetime.timedelta
        How late the feed is by design: so much longer it is listened to after a close. Where one
        session begins as the other ends there is no such time, and it does not count.
    """
    if calendar == "24/7":
        opened = sessions.session_open(calendar, day)
        return Span(day, opened, sessions.session_close(calendar, day))
    opened, end = sessions.session_open(calendar, day), sessions.quotes_end(calendar, day)
    return Span(day, opened - EARLY, end + LATE + delay)


def span_at(calendar: Calendar, now: datetime, *, delay: timedelta = timedelta(0)) -> Span:
    """Return the span that an instant lies in, else the next one; see `span_of`."""
    today = now.astimezone(sessions.NEW_YORK if calendar == "XNYS" else UTC).date()
    day = today if sessions.is_session(calendar, today) else sessions.next_session(calendar, today)
    found = span_of(calendar, day, delay=delay)
    if now < found.end:
        return found
    return span_of(calendar, sessions.next_session(calendar, day), delay=delay)

"""Which snapshots are polls: the first at or after each full hour of the session's local clock.

Belongs here: slots and intervals, from instants alone. Does not belong here: what is measured at a
poll (`features`), reading the lake. Source: `docs/methods/features.md`.

A poll never changes when later snapshots arrive, so runs by the minute, by the hour and of the past
find the same polls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from dealer_assets.domain.sessions import NEW_YORK, quotes_end, session_of, session_open
from dealer_assets.underlyings import Calendar


@dataclass(frozen=True)
class Poll:
    """One poll of a session.

    Parameters
    ----------
    at : datetime.datetime
        Instant of its snapshot, UTC.
    slot : int
        Local hour whose first snapshot it is.
    previous_at : datetime.datetime or None
        Poll before; None: the session's first.
    opened_at : datetime.datetime
        When the session opened.
    slots_spanned : int
        Hours it is away from the poll before, or from the one before the session's first hour.
    is_long : bool
        The interval is longer than it usually is at this slot: its sums cannot be compared.
    """

    at: datetime
    slot: int
    previous_at: datetime | None
    opened_at: datetime
    slots_spanned: int = 1
    is_long: bool = False

    @property
    def since(self) -> datetime:
        """When the interval began."""
        return self.previous_at or self.opened_at

    @property
    def interval_minutes(self) -> float:
        """Length of the interval in minutes."""
        return max((self.at - self.since).total_seconds() / 60.0, 0.0)


def _hour(calendar: Calendar, instant: datetime) -> int:
    return instant.astimezone(UTC if calendar == "24/7" else NEW_YORK).hour


def slot_of(calendar: Calendar, session_date: date, instant: datetime) -> int:
    """Return the slot of an instant of a session.

    The local hour: New York's, or UTC's for a 24/7 calendar. Once quotes have ended, the hour in
    which they did: nothing trades any more.
    """
    return _hour(calendar, min(instant, quotes_end(calendar, session_date)))


def polls_of(
    calendar: Calendar,
    session_date: date,
    instants: Iterable[datetime],
    *,
    usual: Sequence[tuple[int, int]] = (),
) -> list[Poll]:
    """Return the polls of a session.

    Parameters
    ----------
    calendar : Calendar
        Calendar of the underlying.
    session_date : datetime.date
        Session.
    instants : iterable of datetime.datetime
        Of its snapshots, any order, repeats allowed.
    usual : sequence of tuple of int, int
        Slot and slots spanned of polls of sessions before, see `usual_spans`.

    Returns
    -------
    list of Poll
        Ascending. Snapshots before the open, or of the next session, are none: the market does
        not trade. The first snapshot of an hour counts, whatever came later.
    """
    opened = session_open(calendar, session_date)
    first_slot = _hour(calendar, opened)
    spans = dict(usual)
    found: list[Poll] = []
    for at in sorted(set(instants)):
        if at < opened or session_of(calendar, at) != session_date:
            continue
        slot = slot_of(calendar, session_date, at)
        before = found[-1] if found else None
        if before is not None and slot <= before.slot:
            continue
        spanned = slot - (before.slot if before else first_slot - 1)
        found.append(
            Poll(
                at=at,
                slot=slot,
                previous_at=before.at if before else None,
                opened_at=opened,
                slots_spanned=spanned,
                is_long=spanned > spans.get(slot, spanned),
            )
        )
    return found


def usual_spans(sessions: Iterable[Iterable[Poll]]) -> tuple[tuple[int, int], ...]:
    """Return how many hours the polls of each slot usually span.

    Parameters
    ----------
    sessions : iterable of iterable of Poll
        Polls of sessions before.

    Returns
    -------
    tuple of tuple of int, int
        Slot and the span most often seen, of equally frequent ones the shortest; ascending. A slot
        never polled has none: nothing can be compared with it either way.
    """
    seen: dict[int, Counter[int]] = {}
    for polls in sessions:
        for poll in polls:
            seen.setdefault(poll.slot, Counter())[poll.slots_spanned] += 1
    return tuple(
        (slot, min(spans, key=lambda span: (-spans[span], span)))
        for slot, spans in sorted(seen.items())
    )

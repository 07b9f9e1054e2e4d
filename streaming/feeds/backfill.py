"""After a gap: what the venue can still tell of it, less what the log has already.

Belongs here: the shape of a filler and of its answer, and the comparison of prints. Does not belong
here: asking a venue (`polygon.fill`, `deribit.fill`), when to ask (`supervisor`).

A venue that numbers its trades is compared by number. One that does not, prints rows that may be
alike to the last digit and still be separate trades, so both sides are compared as multisets: of
five equal prints fetched and three known, two are new. Conditions are part of the likeness, unless
one side has none: the vendor leaves them out of some messages, and the same print is then told by
the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Bools, Floats, Ints
from streaming.clock import us_of
from streaming.core.book import Book
from streaming.core.events import FIRST_CONDITION, Events, no_events
from streaming.core.trades import TradeLog
from streaming.feeds.base import Gap

MARGIN_US = 5_000_000
"""How far beyond a gap is asked: the venue's clock and ours differ, and messages take time."""

CANCELS = sum(1 << (code - FIRST_CONDITION) for code in (201, 203, 205, 207))
"""Bits of the conditions that take an earlier print back."""

_MS_US, _US = 1000, timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a gap.

    Parameters
    ----------
    events : Events
        Trades that the log lacks, in order of the venue's time, marked as backfilled.
    known : int
        Trades fetched that the log has.
    complete : bool
        The venue has told everything of the gap.
    detail : str
        Why not, or what was odd, in words; blank: nothing to say.
    unlisted : tuple of str
        Contracts of the desk that traded and are not in the listing. The caller adds them and
        fills once more; their trades are not among the events.
    """

    events: Events
    known: int
    complete: bool
    detail: str = ""
    unlisted: tuple[str, ...] = ()


class Filler(Protocol):
    """Fetches what a gap has missed; blocking, to be called in a thread."""

    def fill(self, gap: Gap, book: Book) -> Filled:
        """Fetch the trades of a gap and return those that the book's log lacks.

        Never raises for what a venue does: then the answer is not complete, and says why.
        Frames that wait to be used may hold trades that the log still lacks: whoever takes the
        events in has used these frames, and calls `lacking` again just before.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prints:
    """What prints are compared by; arrays of shape (n,), as in `Events`."""

    contract: Ints
    event_us: Ints
    price: Floats
    size: Floats
    exchange: Ints
    conditions: Ints
    number: Ints

    def take(self, index: Ints | Bools) -> Prints:
        """Return chosen prints."""
        return Prints(*(getattr(self, name)[index] for name in self.__slots__))


def prints_of(trades: Events) -> Prints:
    """Return trades as prints."""
    return Prints(
        trades.contract.astype(np.int64),
        trades.event_us,
        trades.a,
        trades.size_a,
        trades.exchange.astype(np.int64),
        trades.conditions,
        trades.number,
    )


def asked_from(gap: Gap, book: Book, *, margin_us: int, behind: timedelta = timedelta(0)) -> int:
    """Return the venue's instant from which a gap is asked [us since 1970], a whole millisecond.

    A gap begins when the last message was received. A venue that was slow to send, or that we were
    slow to read, had got only to an earlier instant by then: that of its last live trades. What was
    on its way at the end of a connection is lost with it.

    Parameters
    ----------
    gap : Gap
        In our clock.
    book : Book
        Its log tells how far the feed had got. Where it does not, nothing is known to have been
        received, and the whole session until the gap is asked for.
    margin_us : int
        How much earlier is asked.
    behind : datetime.timedelta
        How late the feed is by design.
    """
    begins = gap.from_us - behind // _US
    listing = book.listing
    opened = (
        us_of(sessions.session_open(lane.calendar, listing.sessions[lane.symbol]))
        for lane in listing.lanes
    )
    opened_us = min(opened, default=begins)
    heard = book.log.heard_until(gap.from_us)
    reached = opened_us if heard is None else max(heard, opened_us)
    return (min(begins, reached) - margin_us) // _MS_US * _MS_US


def logged(log: TradeLog, from_us: int, until_us: int) -> Prints:
    """Return the prints of a log in [from, until) of the venue's time."""
    n = log.size  # first: the log may grow meanwhile, never shrink
    rows = np.flatnonzero((log.event_us[:n] >= from_us) & (log.event_us[:n] < until_us))
    return Prints(
        log.contract[rows].astype(np.int64),
        log.event_us[rows],
        log.price[rows],
        log.size_contracts[rows],
        log.exchange[rows].astype(np.int64),
        log.conditions[rows],
        log.number[rows],
    )


def lacking(trades: Events, log: TradeLog) -> Events:
    """Return those trades that a log lacks.

    Parameters
    ----------
    trades : Events
        Trades of one venue; what `Filled` holds, for instance.
    log : TradeLog
        Of the same listing.
    """
    if not len(trades):
        return trades
    first, last = int(trades.event_us.min()), int(trades.event_us.max())
    whole = logged(log, first // _MS_US * _MS_US, (last // _MS_US + 1) * _MS_US)
    return trades.take(are_new(prints_of(trades), whole))


def are_new(found: Prints, known: Prints) -> Bools:
    """Tell which of the prints found are not among those known; each known one counts once.

    Parameters
    ----------
    found : Prints, shape (n,)
        Fetched.
    known : Prints, shape (m,)
        Of at least the same stretch of time, cut at whole milliseconds.

    Returns
    -------
    bool array, shape (n,)
        Numbered prints are new if their contract's number is not known, and stands no further up.
        Of the others, equal ones are interchangeable: as many as the surplus are new, the last.
    """
    new = np.ones(found.contract.size, np.bool_)
    _pair(found, known, new, np.ones(known.contract.size, np.bool_))
    return new


def _pair(found: Prints, known: Prints, new: Bools, unused: Bools) -> None:
    """Strike out of both what is the same print; first by number, then by likeness."""
    has_number = found.number >= 0
    numbered = np.flatnonzero(has_number)
    ids = np.flatnonzero(known.number >= 0)
    if numbered.size:
        ours = np.column_stack([found.contract[numbered], found.number[numbered]])
        theirs = np.column_stack([known.contract[ids], known.number[ids]])
        rank, counts = _ranks(ours, theirs)
        new[numbered] = (rank == 0) & (counts == 0)
        unused[ids] = False
    told = found.conditions != 0
    told_known = known.conditions != 0
    taken_back = found.conditions & CANCELS != 0
    taken_back_known = known.conditions & CANCELS != 0
    anything, anything_known = np.ones_like(told), np.ones_like(told_known)
    for mine, yours, with_conditions in (
        (anything, anything_known, True),
        (told & ~taken_back, ~told_known, False),
        (~told, told_known & ~taken_back_known, False),
    ):
        rows = np.flatnonzero(new & ~has_number & mine)
        others = np.flatnonzero(unused & yours)
        if not (rows.size and others.size):
            continue
        ours, theirs = (
            _likeness(prints, with_conditions) for prints in (found.take(rows), known.take(others))
        )
        rank, counts = _ranks(ours, theirs)
        new[rows] = rank >= counts
        rank, counts = _ranks(theirs, ours)
        unused[others] = rank >= counts


def _likeness(prints: Prints, with_conditions: bool) -> Ints:
    """Return what makes prints the same, as integers of shape (n, k)."""
    columns = [
        prints.contract,
        prints.event_us // _MS_US,
        (prints.price + 0.0).view(np.int64),
        (prints.size + 0.0).view(np.int64),
        prints.exchange,
    ]
    return np.column_stack(columns + [prints.conditions] * with_conditions)


def _ranks(ours: Ints, theirs: Ints) -> tuple[Ints, Ints]:
    """Return each of our rows' place among its equals, and how many equals there are of theirs."""
    both = np.concatenate([ours, theirs])
    order = np.lexsort(both.T[::-1])  # stable: equals stay in order, ours first
    ordered = both[order]
    begins = np.ones(order.size, np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.cumsum(begins) - 1
    is_ours = order < len(ours)
    starts = np.flatnonzero(begins)
    rank, counts = np.empty((2, len(ours)), np.int64)
    rank[order[is_ours]] = (np.arange(order.size) - starts[group])[is_ours]
    theirs_in = np.bincount(group[~is_ours], minlength=starts.size)
    counts[order[is_ours]] = theirs_in[group[is_ours]]
    return rank, counts


def nothing_filled(why: str) -> Filled:
    """Return the answer of a venue that could not tell."""
    return Filled(no_events(), known=0, complete=False, detail=why)

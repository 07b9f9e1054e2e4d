"""What the process writes about itself: heartbeats, gaps, rejects as rows.

Belongs here: the rows and what they are counted from. Does not belong here: when they are written
(`pipeline`, `runtime`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets.tables import Table
from dealer_assets.tables.live import FEED_GAPS, FEED_REJECTS, STREAM_HEARTBEATS
from streaming.core.events import Reject
from streaming.core.numbering import Sequences
from streaming.feeds.base import Gap

Rows = tuple[Table, str, pa.Table]
"""A table, an underlying and rows in the table's schema; what a sink takes."""

_MINUTE_US = 60_000_000
_MOST_SAMPLES = 4096


@dataclass(frozen=True, slots=True)
class GapNote:
    """What became of a gap.

    Parameters
    ----------
    gap : Gap
        The gap.
    status : str
        One of ``tables.live.GAP_STATUSES``.
    backfilled : mapping of str to int
        Trades fetched that had not been received, by underlying.
    known : int
        Trades fetched that had been received, of all underlyings.
    detail : str
        In words.
    """

    gap: Gap
    status: str
    backfilled: Mapping[str, int] = field(default_factory=dict)
    known: int = 0
    detail: str = ""


class Rejects:
    """Counts rejected messages by feed and reason within a minute."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Reject] = {}
        self.total = 0

    def add(self, rejects: Iterable[Reject]) -> None:
        """Count rejects of the current minute."""
        for one in rejects:
            self.total += one.messages
            before = self._held.get((one.feed, one.reason))
            if before is not None:
                messages = before.messages + one.messages
                one = Reject(one.feed, one.reason, messages, before.sample, one.received_us)
            self._held[one.feed, one.reason] = one

    def take(self) -> list[Reject]:
        """Return what was counted, by feed and reason, and begin anew."""
        held, self._held = self._held, {}
        return [held[key] for key in sorted(held)]


@dataclass
class Counts:
    """What a desk has seen since it started.

    Parameters
    ----------
    frames, messages, quotes, trades, conflated, unlisted, doubles : int
        Frames, and messages in them; quotes and trades used; quotes skipped for newer ones;
        contracts taken in within the session; trades left out that a fill had brought before.
    last_us : int
        Clock of the last frame, microseconds since 1970; -1 before the first.
    """

    frames: int = 0
    messages: int = 0
    quotes: int = 0
    trades: int = 0
    conflated: int = 0
    unlisted: int = 0
    doubles: int = 0
    last_us: int = -1


class Lags:
    """Delays of the last ten seconds or so, sampled."""

    def __init__(self) -> None:
        self._held: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._count = 0

    def add(self, delays_us: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Take note of delays [us]."""
        if delays_us.size and self._count < _MOST_SAMPLES:
            step = max(delays_us.size // 64, 1)
            chosen = np.asarray(delays_us[::step], np.float64)
            self._held.append(chosen)
            self._count += chosen.size

    def take(self) -> tuple[float | None, float | None]:
        """Return median and 99 % quantile [ms], None where nothing was noted; begin anew."""
        held, self._held, self._count = self._held, [], 0
        if not held:
            return None, None
        p50, p99 = np.quantile(np.concatenate(held), (0.5, 0.99)) / 1e3
        return float(p50), float(p99)


def gap_rows(
    note: GapNote, *, at_us: int, sessions_of: Mapping[str, date], sequences: Sequences
) -> list[Rows]:
    """Return a gap's rows, one a lane.

    Parameters
    ----------
    note : GapNote
        The gap and what became of it; trades that were known stand with the first lane.
    at_us : int
        When this was noted, microseconds since 1970.
    sessions_of : mapping of str to datetime.date
        Session by underlying.
    sequences : Sequences
        Numbers of rows.
    """
    gap, rows = note.gap, []
    for place, (symbol, day) in enumerate(sessions_of.items()):
        row = {
            "event_at": gap.from_us,
            "known_at": at_us,
            "feed": gap.feed,
            "channel": gap.channel,
            "until": gap.until_us,
            "reason": gap.reason,
            "status": note.status,
            "backfilled_trades": note.backfilled.get(symbol, 0),
            "known_trades": 0 if place else note.known,
            "detail": note.detail,
        }
        rows.append(_rows(FEED_GAPS, symbol, day, [row], sequences))
    return rows


def open_gaps(rows: Iterable[pa.Table]) -> tuple[Gap, ...]:
    """Return the gaps of which nothing became, in order.

    Parameters
    ----------
    rows : iterable of pyarrow.Table
        All rows of `tables.FEED_GAPS` of a session so far, by underlying.
    """
    last: dict[Gap, str] = {}
    for table in rows:
        ordered = table.sort_by("stream_sequence")
        times = (ordered[name].cast(pa.int64()).to_pylist() for name in ("event_at", "until"))
        words = (ordered[name].to_pylist() for name in ("feed", "channel", "reason", "status"))
        for from_us, until_us, feed, channel, reason, status in zip(*times, *words, strict=True):
            last[Gap(feed, channel, from_us, until_us, reason)] = status
    found = [gap for gap, status in last.items() if status == "open"]
    return tuple(sorted(found, key=lambda gap: (gap.from_us, gap.until_us, gap.channel)))


def reject_rows(
    rejects: Sequence[Reject],
    *,
    minute_us: int,
    known_us: int,
    symbol: str,
    day: date,
    sequences: Sequences,
) -> Rows:
    """Return a minute's rejects, one row a feed and reason.

    Parameters
    ----------
    rejects : sequence of Reject
        At least one.
    minute_us, known_us : int
        The minute's first instant; when it was over; microseconds since 1970.
    symbol : str
        Underlying whose partition they stand in: a message that could not be read belongs to none,
        so it is the desk's first.
    day : datetime.date
        Session.
    sequences : Sequences
        Numbers of rows.
    """
    rows = [
        {
            "event_at": minute_us,
            "known_at": known_us,
            "feed": one.feed,
            "reason": one.reason,
            "messages": one.messages,
            "sample": one.sample,
        }
        for one in rejects
    ]
    return _rows(FEED_REJECTS, symbol, day, rows, sequences)


def heartbeat_rows(
    state: Mapping[str, Any], *, at_us: int, symbol: str, day: date, sequences: Sequences
) -> Rows:
    """Return one heartbeat; `state` holds the columns of `tables.STREAM_HEARTBEATS`."""
    row = dict(state) | {"event_at": at_us, "known_at": at_us}
    return _rows(STREAM_HEARTBEATS, symbol, day, [row], sequences)


def _rows(
    table: Table, symbol: str, day: date, rows: list[dict[str, Any]], sequences: Sequences
) -> Rows:
    first = sequences.take(table.name, symbol, len(rows))
    identity = {"underlying": symbol, "session_date": day}
    numbered = [row | identity | {"stream_sequence": first + i} for i, row in enumerate(rows)]
    return table, symbol, pa.Table.from_pylist(numbered, table.schema)


def minute_of(at_us: int) -> int:
    """Return the first instant of a minute, microseconds since 1970."""
    return at_us // _MINUTE_US * _MINUTE_US


def minute_end(minute_us: int) -> int:
    """Return the first instant after a minute, microseconds since 1970."""
    return minute_us + _MINUTE_US

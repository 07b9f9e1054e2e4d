"""One session of one desk, running: its inbox, its gaps, its end.

Belongs here: what lives as long as a session and touches the event loop. Does not belong here: what
frames mean (`pipeline`), which session comes next (`runtime`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from dealer_assets.tables.live import LIVE_TRADES
from streaming.clock import Clock, WallClock
from streaming.core.events import Frame
from streaming.desk import control
from streaming.desk.inbox import Inbox
from streaming.desk.pipeline import Desk
from streaming.desk.sourcing import CHANNELS
from streaming.feeds.backfill import Filled, Filler
from streaming.feeds.base import Feed, Gap
from streaming.keeping.heartbeat import GapNote, Lags
from streaming.keeping.sink import Sink, SinkStalledError
from streaming.keeping.sink_state import ExhaustedError

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""How often a live clock is looked at; a second is totalled so long after it is over."""

GATHER_SECONDS = 0.001
"""How long frames gather before they are used: what a subscriber waits for longest."""

KEEP_SECONDS = 0.025
"""How long rows gather before they are journaled: to lay them out costs milliseconds by the call.
Until then they are shown and not acknowledged."""

PATIENT_SECONDS = 30.0
"""How long a count of seconds waits for the first frame before it begins without."""

FIGURES = ("lag_p50_ms", "lag_p99_ms", "venue_lag_p50_ms", "rss_mb")
"""What is measured between two heartbeats; `Session.figures` has the last ones."""

END_SECONDS = 60.0
"""How long the end of a session waits for gaps to be filled; the next one begins meanwhile."""

_LAST_US = 5_000_000
"""Prints so shortly before the end may have come after it."""

FILL_ATTEMPTS = 3
_FILL_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Pace:
    """How a session meets load and time.

    Parameters
    ----------
    inbox_bytes : int
        Bytes that may wait, see `Inbox`.
    conflates : bool
        Whether quotes may be conflated under load.
    ticks : bool
        Whether the wall clock closes seconds; played feeds bring their own ticks.
    fill_pause_seconds : float
        Between two attempts to fill a gap.
    """

    inbox_bytes: int
    conflates: bool = True
    ticks: bool = True
    fill_pause_seconds: float = _FILL_PAUSE_SECONDS


class Session:
    """A desk at work.

    Parameters
    ----------
    desk : Desk
        The synchronous core; its recorder is closed at the end.
    feed : Feed
        What it listens to.
    sink : Sink
        Where rows go; flushed and closed at the end.
    clock : Clock
        Whose time it is.
    pace : Pace
        How load and time are met.
    filler : Filler, optional
        Fetches the trades of gaps.
    span_us : tuple of int, optional
        First instant of the session and first after it, microseconds since 1970: what is received
        later, and trades of other times that a fill brings, belong to another session. Absent:
        whatever comes is the session's.
    on_change : callable
        Called after each slice of frames.

    Attributes
    ----------
    begun, ended : asyncio.Event
        Set when frames of the feed have been used; when the feed has nothing more to come.
    lags : Lags
        Receipt to journal.
    figures : dict of str to float or None
        What the last heartbeat measured, see `FIGURES`.
    """

    def __init__(
        self,
        desk: Desk,
        feed: Feed,
        sink: Sink,
        *,
        clock: Clock,
        pace: Pace,
        filler: Filler | None = None,
        span_us: tuple[int, int] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.desk, self.feed, self.sink = desk, feed, sink
        self.clock, self.pace = clock, pace
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self.lags = Lags()
        self._filler = filler
        self._span_us = span_us
        self._on_change = on_change
        self._gaps: asyncio.Queue[Gap] = asyncio.Queue()
        self._start: Gap | None = None  # until the feed is live
        self._covered: dict[Gap, list[Gap]] = {}  # of earlier processes, by who asks for them too
        self._is_closed = False
        self._is_broken = False  # rows were refused for good
        self._broken: ExhaustedError | None = None  # not told to the supervisor yet
        self.figures: dict[str, float | None] = dict.fromkeys(FIGURES)
        self._is_wall = isinstance(clock, WallClock)
        self._unkept: list[int] = []  # when frames were received whose rows gather
        self._kept = time.monotonic()
        self.inbox = Inbox(
            self._consume,
            limit_bytes=pace.inbox_bytes,
            feeds=[feed],
            conflates=pace.conflates,
            gather_seconds=GATHER_SECONDS if self._is_wall else 0.0,
        )
        self.inbox.last_us = max(_newest_us(desk.start.restored).values(), default=0)
        feed.on_gap = self.note_gap

    def _consume(self, frames: Sequence[Frame]) -> None:
        with self._as_exhausted():
            self.desk.take_in(frames)
        self._unkept += [frame.received_us for frame in frames[::16]]
        self._raise_broken()
        if not self._is_wall:
            self._keep()
        elif time.monotonic() - self._kept >= KEEP_SECONDS:
            # in the loop's next turn, when those who wait for the change have been woken
            asyncio.get_running_loop().call_soon(self._keep_or_note)
        if self.desk.counts.messages:
            self.begun.set()
        self._on_change()

    async def _use_rest(self) -> None:
        if self._is_wall or self.ended.is_set():
            await self.inbox.drain()
        else:  # stopped: what is played can be played again, nobody wants to wait for it
            self.inbox.drop()
        with self._as_exhausted():
            self.desk.close()

    @contextlib.contextmanager
    def _as_exhausted(self) -> Iterator[None]:
        """Turn a stalled sink into the supervisor's word for it; nothing is kept after that."""
        try:
            yield
        except SinkStalledError as error:
            self._is_broken = True
            raise ExhaustedError(str(error)) from error

    def _keep_or_note(self) -> None:
        if self._is_closed:
            return  # `finish` keeps what is left; the sink may be closed by now
        try:
            self._keep()
        except ExhaustedError as error:
            self._broken = error

    def _raise_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _keep(self) -> None:
        """Journal the rows that have gathered."""
        with self._as_exhausted():
            self.desk.keep()
        self._kept = time.monotonic()
        if self._is_wall and self._unkept:
            self.lags.add(self.clock.now_us() - np.array(self._unkept, np.int64))
        self._unkept.clear()

    async def listen(self) -> None:
        """Let the feed deliver until it ends."""
        await self.feed.run(self._deliver)
        self.ended.set()

    def _deliver(self, frame: Frame) -> None:
        """Hand a frame on; before the first live one, say what was missed while connecting."""
        start = self._start
        if start is not None and frame.channel == start.channel and self.feed.state.connects:
            self._start = None
            # live since then, though the first message may have taken its time
            live_us = self.feed.state.since_us if self.feed.state.phase == "live" else 0
            at_us = max(min(frame.received_us, live_us or frame.received_us), self.inbox.last_us)
            if at_us > start.until_us:
                self.note_gap(Gap(start.feed, start.channel, start.until_us, at_us, "connecting"))
        if self._span_us is None or frame.received_us < self._span_us[1]:
            self.inbox.deliver(frame)

    async def follow(self) -> None:
        """Let time pass where nothing comes, and tell the feed where spot is."""
        last = -1
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._raise_broken()
            if self._unkept:
                self._keep()
            now_us = self.clock.now_us()
            second = now_us // 1_000_000
            if second > last:
                last = second
                if self.pace.ticks:
                    self.inbox.deliver(control.tick(now_us))
                self.feed.follow(self.desk.engine.spots)

    def note_gap(self, gap: Gap) -> None:
        """Write a gap down and have it filled; on the event loop."""
        gap = self._from_venue(gap)
        _log.warning("gap on %s %s, %s: %s", gap.feed, gap.channel, _stretch(gap), gap.reason)
        self._say(GapNote(gap, "open"))
        self._gaps.put_nowait(gap)

    def _from_venue(self, gap: Gap) -> Gap:
        """Let a gap in trades begin with the last one known: by its venue's time it may be older.

        Who falls behind is hung up on while reading what is half a minute old; the rest of that
        half minute is lost as well.
        """
        log = self.desk.engine.book.log
        if CHANNELS.get(gap.feed) != gap.channel or not log.size:
            return gap
        return replace(gap, from_us=min(gap.from_us, int(log.event_us[: log.size].max())))

    def note_start(self, opened_us: int, channel: str, *, unfilled: Sequence[Gap] = ()) -> None:
        """Write down what this process missed before it started, if anything.

        Parameters
        ----------
        opened_us : int
            When the session began, microseconds since 1970.
        channel : str
            What trades come on.
        unfilled : sequence of Gap
            What an earlier process left: asked for together with what was missed since.
        """
        now_us = self.clock.now_us()
        self.inbox.deliver(control.tick(now_us))
        # the lane that got least far decides: a kill may fall between the rows of two
        newest = _newest_us(self.desk.start.restored)
        last_us = min(newest.get(symbol, -1) for symbol in self.desk.start.symbols)
        covered = [gap for gap in unfilled if gap.channel == channel]
        from_us = min([max(opened_us, last_us), *(gap.from_us for gap in covered)])
        gap = Gap(self.desk.start.feed, channel, from_us, max(from_us, now_us), "start")
        gap = self._from_venue(gap)
        if from_us < now_us:
            self._covered[gap] = covered
            self.note_gap(gap)
        for one in unfilled:
            if one not in covered:
                self._gaps.put_nowait(one)
        if self.pace.ticks:
            self._start = gap

    async def fill(self) -> None:
        """Fill gaps, one after the other, until cancelled."""
        while True:
            gap = await self._gaps.get()
            try:
                await self.fill_one(gap)
            finally:
                self._gaps.task_done()

    async def gaps_filled(self) -> None:
        """Wait until something became of every gap; while `fill` runs."""
        await self._gaps.join()

    async def fill_one(self, gap: Gap) -> None:
        """Fetch a gap's trades; say what became of it."""
        if self._filler is None:
            self._say(GapNote(gap, "not_backfilled", detail="this feed has nobody to ask"))
            return
        filled = self._within(await self._asked(self._filler, gap))
        listing = self.desk.listing
        by_lane = np.bincount(listing.lane[filled.events.contract], minlength=len(listing.lanes))
        counts = {
            lane.symbol: int(n) for lane, n in zip(listing.lanes, by_lane.tolist(), strict=True)
        }
        if len(filled.events):
            self.inbox.deliver(
                control.packed_frame(control.FILL, filled.events, listing, self._now_us())
            )
        got = len(filled.events) or filled.known
        status = "backfilled" if filled.complete else "partial" if got else "not_backfilled"
        self._say(GapNote(gap, status, counts, filled.known, filled.detail[:500]))
        _log.info(
            "gap of %s %s: %d trades that were missed, %d known%s",
            *(_stretch(gap), status, len(filled.events), filled.known),
            f"; {filled.detail}" if filled.detail else "",
        )
        for one in self._covered.pop(gap, ()):
            self._say(GapNote(one, status, detail="asked for by a later start, see there"))

    def _within(self, filled: Filled) -> Filled:
        """Leave out trades of other sessions: at midnight one ends and the next begins."""
        if self._span_us is None:
            return filled
        begin_us, end_us = self._span_us
        at = filled.events.event_us
        return replace(filled, events=filled.events.take((at >= begin_us) & (at < end_us)))

    async def end(self, channel: str) -> None:
        """Ask for what was printed just before the end and not received, and wait for all fills.

        Not for ever: what is not filled by then stays a gap, and says so.
        """
        assert self._span_us is not None
        end_us = self._span_us[1]
        self.note_gap(Gap(self.feed.name, channel, end_us - _LAST_US, end_us, "end"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gaps_filled(), END_SECONDS)

    async def _asked(self, filler: Filler, gap: Gap) -> Filled:
        book = self.desk.engine.book
        for attempt in range(FILL_ATTEMPTS):
            filled = await asyncio.to_thread(filler.fill, gap, book)
            if filled.unlisted:
                symbols = list(filled.unlisted)
                self.inbox.deliver(control.list_frame(symbols, self._now_us()))
                await self.inbox.emptied()
            elif filled.complete or attempt == FILL_ATTEMPTS - 1:
                break
            else:
                await asyncio.sleep(self.pace.fill_pause_seconds)
        return filled

    def _say(self, note: GapNote) -> None:
        self.inbox.deliver(control.gap_frame(note, self._now_us()))

    def _now_us(self) -> int:
        """Return the clock of a frame of our own: of a played feed that of its last one."""
        return self.clock.now_us() if self.pace.ticks else self.inbox.last_us

    @property
    def acknowledged_trades(self) -> int:
        """Trades of the session that stand in the journal."""
        return sum(
            rows for (table, _), rows in self.sink.acknowledged.items() if table == LIVE_TRADES.name
        )

    async def finish(self) -> None:
        """Use what waits, write what is open, close journal and recording; again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        started = time.monotonic()
        try:
            if not self._is_broken:
                await self._use_rest()
        finally:
            try:
                if self.desk.recorder is not None:
                    self.desk.recorder.close()
            finally:
                whole = await asyncio.to_thread(self.sink.close)
        _log.info(
            "session flushed in %.1f s%s",
            time.monotonic() - started,
            "" if whole else "; the journal keeps what the lake did not take",
        )


def _newest_us(trades: Mapping[str, pa.Table]) -> dict[str, int]:
    """Return when the last of every underlying's trades was received."""
    known = {symbol: rows["known_at"] for symbol, rows in trades.items() if rows.num_rows}
    return {symbol: int(at.cast("int64").to_numpy().max()) for symbol, at in known.items()}


def _stretch(gap: Gap) -> str:
    begin, end = (datetime.fromtimestamp(us / 1e6, UTC) for us in (gap.from_us, gap.until_us))
    return f"{begin:%H:%M:%S} to {end:%H:%M:%S} UTC"

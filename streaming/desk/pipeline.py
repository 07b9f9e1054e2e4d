"""The synchronous core: frames in, rows out; live, replay and tests run this and nothing else.

Belongs here: the order of things. Does not belong here: sockets, queues, wall clocks (`runtime`),
what a trade means (`book`, `engine`).

Everything that happens here is a function of the frames, one after the other, however they are
handed over: work is done second by second of their clock, and what else reaches a desk (gaps,
backfills, ticks) is a frame too, see `control`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import pyarrow.compute as pc

from streaming.core.engine import Engine, EngineOptions
from streaming.core.events import QUOTE, SPOT, TRADE, Decoded, Events, Frame, Reject, concatenated
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.desk import control
from streaming.desk.conflation import conflated
from streaming.feeds.backfill import lacking
from streaming.feeds.base import Decoder
from streaming.feeds.decoders import decoders_of
from streaming.feeds.doubles import Fetched
from streaming.feeds.packed import PackedDecoder
from streaming.keeping.heartbeat import (
    Counts,
    Lags,
    Rejects,
    Rows,
    gap_rows,
    minute_end,
    minute_of,
    reject_rows,
)
from streaming.keeping.sink import Sink
from streaming.recordings.recording import Recorder
from streaming.start import Start

_SECOND_US = 1_000_000


class Desk:
    """One desk and session: decoders, book and engine, and where rows and frames are kept.

    Parameters
    ----------
    start : Start
        What it starts with.
    listing : Listing
        Contracts of the start; grows within the session.
    engine : Engine
        Makes rows.
    sink : Sink
        Keeps rows.
    sequences : Sequences
        Numbers rows; the engine's own.
    decoders : mapping of str to Decoder
        By feed.
    recorder : Recorder, optional
        Keeps frames.

    Attributes
    ----------
    sequences : Sequences
        Numbers of all rows.
    recorder : Recorder or None
        Keeps frames.
    counts : Counts
        What it has seen.
    rejects : Rejects
        What it could not use.
    venue_lags : Lags
        Venue to receipt, of live trades and quotes.
    """

    def __init__(
        self,
        start: Start,
        listing: Listing,
        *,
        engine: Engine,
        sink: Sink,
        sequences: Sequences,
        decoders: Mapping[str, Decoder],
        recorder: Recorder | None = None,
    ) -> None:
        self.start = start
        self.listing = listing
        self.engine = engine
        self.sink = sink
        self.counts = Counts()
        self.rejects = Rejects()
        self.venue_lags = Lags()
        self.sequences = sequences
        self._packed = PackedDecoder(listing)
        self._decoders = dict(decoders)
        self.recorder = recorder
        self._second = -1
        self._minute_us = -1
        self._fetched = Fetched()
        self._held: list[Frame] = []
        self._to_hold = 0

    @classmethod
    def open(cls, start: Start, sink: Sink, *, recorder: Recorder | None = None) -> Desk:
        """Build listing, engine and decoders of a start, and restore the session so far."""
        listing = Listing.of(
            start.lanes,
            start.listed,
            start.open_interest,
            start.settled,
            sessions_of=start.sessions,
        )
        sequences = Sequences(start.taken)
        options = EngineOptions(
            price_seconds=start.options.price_seconds,
            strike_seconds=start.options.strike_seconds,
            zero_dte_strikes=start.options.zero_dte_strikes,
        )
        engine = Engine(
            listing, feed=start.feed, sequences=sequences, options=options, curve=start.curve
        )
        engine.restore(start.restored)
        for rows in start.restored.values():
            live = rows.filter(pc.invert(rows["is_backfilled"]))
            received, event = (
                live[name].cast("int64").to_numpy() for name in ("known_at", "event_at")
            )
            engine.book.log.hear(received, event)
        return cls(
            start,
            listing,
            engine=engine,
            sink=sink,
            sequences=sequences,
            decoders=decoders_of(start.feed, listing),
            recorder=recorder,
        )

    @property
    def remarks(self) -> list[str]:
        """What decoders have to say about their sources, in words."""
        return [text for one in self._decoders.values() for text in getattr(one, "remarks", ())]

    def feed(self, frames: Sequence[Frame]) -> None:
        """Take in frames, in order of their clock; on return their rows are safe."""
        self.take_in(frames)
        self.keep()

    def take_in(self, frames: Sequence[Frame]) -> None:
        """Take in frames, in order of their clock; their rows are safe once they are kept."""
        if self.recorder is not None:
            self.recorder.append(frames)
        self.counts.frames += len(frames)
        for second, group in groupby(frames, lambda frame: frame.received_us // _SECOND_US):
            if self._to_hold:
                self._hold(list(group))
            else:
                self._take_second(second, list(group))

    def tick(self, now_us: int) -> None:
        """Say that time passed; nothing happens within a second that has begun."""
        if now_us // _SECOND_US > self._second:
            self.feed([control.tick(now_us)])

    def close(self) -> None:
        """Use frames that are held, and write what a minute has counted so far."""
        if self._held:
            self._release()
        self._flush_rejects(self.counts.last_us)
        self.keep()

    def write(self, rows: Rows) -> None:
        """Keep rows about the process itself, which no replay has."""
        self._append([rows])

    def _take_second(self, second: int, frames: list[Frame]) -> None:
        """Take in frames of one second."""
        if second > self._second:
            self._begin_second(second, frames[0].received_us)
        for place, (feed, channel, run) in _runs(frames):
            if feed != control.CONTROL:
                self._use_live(self._decoded(feed, run))
            elif channel == control.CONFLATE:
                self._to_hold = int(run[0].payload)
                self._hold(frames[place + 1 :])
                return
            else:
                for frame in run:
                    self._obey(frame)
        self.counts.last_us = frames[-1].received_us

    def _begin_second(self, second: int, now_us: int) -> None:
        """Close what is over when a second begins: totals and minutes."""
        self._second = second
        self._fetched.forget(second)
        minute_us = minute_of(now_us)
        if minute_us > self._minute_us:
            self._flush_rejects(minute_end(self._minute_us))
            self._minute_us = minute_us
        self.engine.advance(now_us)

    def _hold(self, frames: list[Frame]) -> None:
        """Collect frames that are to be conflated together; use them when they are all there."""
        count = min(self._to_hold, len(frames))
        self._held += frames[:count]
        self._to_hold -= count
        if not self._to_hold:
            self._release()
            rest = frames[count:]
            if rest:
                self._take_second(rest[0].received_us // _SECOND_US, rest)

    def _release(self) -> None:
        """Use the frames that were held, their quotes conflated."""
        frames, self._held, self._to_hold = self._held, [], 0
        for second, group in groupby(frames, lambda frame: frame.received_us // _SECOND_US):
            if second > self._second:
                first, *_ = members = list(group)
                self._begin_second(second, first.received_us)
            else:
                members = list(group)
            waiting: list[Events] = []
            for _, (feed, _channel, run) in _runs(members):
                if feed != control.CONTROL:
                    waiting.append(self._decoded(feed, run))
                    continue
                self._use_conflated(waiting)
                for frame in run:
                    self._obey(frame)
            self._use_conflated(waiting)
            self.counts.last_us = members[-1].received_us

    def _use_conflated(self, waiting: list[Events]) -> None:
        events, dropped = conflated(concatenated(waiting))
        waiting.clear()
        self.counts.conflated += dropped
        self._use_live(events)

    def _decoded(self, feed: str, frames: list[Frame]) -> Events:
        """Decode frames of one feed; contracts that are new to the session are taken in first."""
        decoder = self._decoders.get(feed, self._packed)
        found = decoder.decode(frames)
        if found.unlisted:
            found = self._listed(decoder, frames, found)
        self.counts.messages += found.messages
        self.rejects.add(found.rejects)
        return found.events

    def _listed(self, decoder: Decoder, frames: list[Frame], found: Decoded) -> Decoded:
        """Take in unlisted contracts and decode once more; what is refused then is a reject."""
        size = self.listing.size
        self.listing.add(found.unlisted)
        self.counts.unlisted += self.listing.size - size
        again = decoder.decode(frames) if self.listing.size > size else found
        at_us = frames[-1].received_us
        is_counted = any(reject.reason == "unlisted" for reject in again.rejects)
        strangers = tuple(
            Reject(frames[0].feed, "unlisted_symbol", 1, symbol[:200], at_us)
            for symbol in (() if is_counted else again.unlisted)
        )
        return Decoded(again.events, again.rejects + strangers, (), again.messages)

    def _use_live(self, events: Events) -> None:
        """Use what a feed has delivered, but for trades that a fill has brought already."""
        doubles = self._fetched.are_doubles(events)
        if doubles is not None and doubles.any():
            self.counts.doubles += int(doubles.sum())
            events = events.take(~doubles)
        self._use(events)
        prints = events.kind == TRADE
        self.engine.book.log.hear(events.received_us[prints], events.event_us[prints])

    def _use(self, events: Events) -> None:
        if not len(events):
            return
        self.counts.quotes += int((events.kind == QUOTE).sum())
        self.counts.trades += int((events.kind == TRADE).sum())
        live = (events.kind <= TRADE) & ~events.is_backfill
        self.venue_lags.add((events.received_us - events.event_us)[live])
        self.engine.apply(events)

    def _obey(self, frame: Frame) -> None:
        """Do what a frame of the process's own says."""
        if frame.channel == control.GAP:
            told = gap_rows(
                control.read_gap(frame.payload),
                at_us=frame.received_us,
                sessions_of=self.start.sessions,
                sequences=self.sequences,
            )
            # with its trades: a gap that is told to be filled is never asked for again
            self._append([*self.engine.take(), *told])
        elif frame.channel == control.FILL:
            # what was received meanwhile is not to be doubled, nor what is still to be received
            events = self._decoded(control.CONTROL, [frame])
            events = lacking(events, self.engine.book.log)
            self._fetched.add(events, self._second)
            self._use(events)
        elif frame.channel == control.LIST:
            self.listing.add(control.read_list(frame.payload))
        elif frame.channel == control.SEED:
            self._seed(self._decoded(control.CONTROL, [frame]))

    def _seed(self, events: Events) -> None:
        """Let old quotes and spots stand where nothing newer is known, dated as they are."""
        book = self.engine.book
        at_us = np.minimum(events.event_us, events.received_us)
        is_spot = events.kind == SPOT
        known_us = np.where(
            is_spot,
            book.spot_us[np.where(is_spot, events.contract, 0)],
            book.quote_us[np.where(is_spot, 0, events.contract)] if self.listing.size else -1,
        )
        events.received_us[:] = at_us
        chosen = (at_us > known_us) & (is_spot | (events.kind == QUOTE))
        events = events.take(chosen)
        book.apply(events.take(np.argsort(events.received_us, kind="stable")))

    def keep(self) -> None:
        """Hand the engine's rows to the sink, then tell it the time; the cuts are the rows' own.

        Once for many frames: laying rows out costs by the call, not by the row.
        """
        self._append(self.engine.take())
        if self._second > 0:
            self.sink.advance(self._second * _SECOND_US)

    def _append(self, rows: list[Rows]) -> None:
        self.sink.append(*rows)

    def _flush_rejects(self, known_us: int) -> None:
        rejects = self.rejects.take()
        if rejects:
            symbol, day = next(iter(self.start.sessions.items()))
            rows = reject_rows(
                rejects,
                minute_us=self._minute_us,
                known_us=known_us,
                symbol=symbol,
                day=day,
                sequences=self.sequences,
            )
            self._append([rows])


def _runs(frames: list[Frame]) -> Iterator[tuple[int, tuple[str, str, list[Frame]]]]:
    """Yield runs of frames that are decoded together, each with the place of its first."""
    place = 0
    for (feed, channel), group in groupby(frames, _run_key):
        run = list(group)
        yield place, (feed, channel, run)
        place += len(run)


def _run_key(frame: Frame) -> tuple[str, str]:
    is_own = frame.feed == control.CONTROL
    return frame.feed, frame.channel if is_own else ""

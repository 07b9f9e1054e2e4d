"""The stages between a frame and the lake, one after the other in this process, without a socket.

Belongs here: preparing each stage's input, its clock. Does not belong here: sockets
(`stream_sockets`), peers of whole clients.

Figures are CPU seconds, the least of some rounds; what a stage needs is made outside the timing.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time, thread_time
from typing import Any

import msgspec

from dealer_assets.lake.storage import open_lake
from dealer_assets_tests.bench.frame_source import Market, payloads_of
from streaming.core.engine import Engine
from streaming.core.events import Events, Frame
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.desk.inbox import Inbox
from streaming.desk.pipeline import Desk
from streaming.feeds.polygon.decode import PolygonDecoder
from streaming.keeping.sink import Sink

_PACE = 500_000
"""Events in a second of the frames' clock."""

DECODE, JSON, MSGSPEC = "**decode**", "*json.loads alone*", "*msgspec, typed structs*"
BOOK, ENGINE = "**book**", "**book, engine and rows**"
JOURNAL, LAKE = "**frames to journal**", "**frames to lake**"

OURS = (DECODE, BOOK, ENGINE, JOURNAL, LAKE)


class _Message(msgspec.Struct):
    """What a typed reader of the same frames would make."""

    ev: str
    sym: str
    t: int
    q: int
    p: float = 0.0
    s: int = 0
    x: int = 0
    c: list[int] = []  # msgspec copies it
    bp: float = 0.0
    ap: float = 0.0
    bs: int = 0
    # `as` is a keyword
    ask_size: int = msgspec.field(name="as", default=0)


@dataclass(frozen=True)
class Cell:
    """One column of the table: what is sent.

    Parameters
    ----------
    messages : sequence of str
        In order.
    per_frame : int
        Messages of a frame.
    """

    messages: Sequence[str]
    per_frame: int

    @property
    def payloads(self) -> list[bytes]:
        """Frames' payloads."""
        return payloads_of(self.messages, self.per_frame)


def rates(market: Market, cell: Cell, *, rounds: int) -> dict[str, float]:
    """Return events a second of CPU, by stage."""
    bench = _Bench(market, cell)
    works: dict[str, Callable[[], float]] = {
        DECODE: bench.decode,
        JSON: lambda: bench.parse(json.loads),
        MSGSPEC: lambda: bench.parse(msgspec.json.Decoder(list[_Message]).decode),
        BOOK: bench.book,
        ENGINE: bench.engine,
    }
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, work in works.items():
            seconds.setdefault(name, []).append(_without_collector(work))
        journal, lake = bench.desk()
        seconds.setdefault(JOURNAL, []).append(journal)
        seconds.setdefault(LAKE, []).append(lake)
    return {name: len(cell.messages) / min(took) for name, took in seconds.items()}


def _without_collector(work: Callable[[], float]) -> float:
    gc.collect()
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


class _Bench:
    """One cell's inputs."""

    def __init__(self, market: Market, cell: Cell) -> None:
        self._start = market.start
        opened, first_us = market.open_us, market.open_us + 1_000_000
        self._standing = [
            Frame("polygon", "options", opened, p) for p in payloads_of(market.standing(), 100)
        ]
        self._frames = [
            Frame("polygon", "options", first_us + i * cell.per_frame * 1_000_000 // _PACE, payload)
            for i, payload in enumerate(cell.payloads)
        ]
        listed = self._listing()
        self._decoder = PolygonDecoder(listed)
        self._slices = self._as_handed_on()
        self._before = self._decoder.decode(self._standing).events
        self._events = [self._decoder.decode(some).events for some in self._slices]
        self._first = self._before_again(self._events[0])

    def _listing(self) -> Listing:
        start = self._start
        return Listing.of(
            start.lanes, start.listed, start.open_interest, sessions_of=start.sessions
        )

    def _as_handed_on(self) -> list[Sequence[Frame]]:
        """Return the frames in the slices in which an inbox that is full hands them on."""
        slices: list[Sequence[Frame]] = []
        inbox = Inbox(slices.append, limit_bytes=1 << 40)
        for frame in self._frames:
            inbox.deliver(frame)
        while inbox.frames_waiting:
            inbox.take_slice()
        return slices

    def _before_again(self, events: Events) -> Events:
        """Return some events as of before the timing: code is loaded then, and prices are known."""
        some = events.take(slice(0, 1000))
        some.received_us[:] = self._before.received_us[0]
        return some

    def decode(self) -> float:
        """Time the decoder."""
        began = process_time()
        for some in self._slices:
            self._decoder.decode(some)
        return process_time() - began

    def parse(self, read: Callable[[bytes], Any]) -> float:
        """Time a reader that makes Python objects of frames, and nothing of those."""
        began = process_time()
        for frame in self._frames:
            read(frame.payload)
        return process_time() - began

    def _priced(self) -> Engine:
        start = self._start
        engine = Engine(self._listing(), feed="polygon", sequences=Sequences(), curve=start.curve)
        engine.apply(self._before)
        engine.apply(self._first)
        engine.advance(int(self._before.received_us[0]) + 1_000_000)
        engine.take()
        return engine

    def book(self) -> float:
        """Time the book."""
        book = self._priced().book
        began = process_time()
        for events in self._events:
            book.apply(events)
        return process_time() - began

    def engine(self) -> float:
        """Time the engine, its rows laid out slice by slice."""
        engine = self._priced()
        began = process_time()
        for events in self._events:
            engine.apply(events)
            engine.take()
        return process_time() - began

    def desk(self) -> tuple[float, float]:
        """Time all of it: to the journal in this thread, to the lake in all threads."""
        with tempfile.TemporaryDirectory() as name:
            folder, options = Path(name), self._start.options
            sink = Sink(
                open_lake(str(folder / "lake")),
                folder / "journal",
                stream="polygon",
                sessions=self._start.sessions,
                rows_per_part=options.rows_per_part,
                seconds_per_part=options.seconds_per_part,
            )
            desk = Desk.open(self._start, sink)
            opened = self._standing[0].received_us
            desk.feed(self._standing)
            desk.feed([Frame(f.feed, f.channel, opened, f.payload) for f in self._frames[:50]])
            desk.feed([Frame("polygon", "options", opened + 1_000_000, b"")])
            sink.flush()
            began, alone = process_time(), thread_time()
            for some in self._slices:
                desk.feed(some)
            journal = thread_time() - alone
            sink.close()
            return journal, process_time() - began

"""A desk as `dealer live` runs it, in a process and on a core of its own: socket, book, sink, API.

Belongs here: putting the live process's own pieces together over a bench's folder, and what is read
off them. Does not belong here: who sends (`blaster`), who compares (`works`).

``python -m dealer_assets_tests.bench.stream_desk '<wishes as JSON>'`` prints a line when it is
ready for the main part, and one with what it found when all of that stands in the lake.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealer_assets_tests.bench.child import Child, running

if TYPE_CHECKING:
    from streaming.api.hub import Hub
    from streaming.desk.session import Session

_LOOK_SECONDS = 0.005
_LAST_TICKS_SECONDS = 0.3
"""How long subscribers are served after all was used."""

_BEGIN_SECONDS = 10
"""After the open; the session's clock runs from there on."""


@dataclass(frozen=True)
class Wishes:
    """What the process is to do.

    Parameters
    ----------
    folder : str
        Scratch folder, for lake and journal.
    port : int
        Where the messages come from.
    before, main : int
        Quotes and trades of both parts.
    density : float
        Of the market, as the sender's.
    core : int
        To run on; -1: any.
    serves : bool
        Whether the API is served.
    inbox_mb : int
        Frames that may wait before quotes are conflated.
    sample_seconds : float
        Between two looks at the memory; 0: none.
    at_most_seconds : float
        After which it gives up.
    """

    folder: str
    port: int
    before: int
    main: int
    density: float = 1.0
    core: int = -1
    serves: bool = False
    inbox_mb: int = 256
    sample_seconds: float = 0.0
    at_most_seconds: float = 120.0


@dataclass
class Found:
    """What came of it.

    Parameters
    ----------
    ended_ns : int
        When everything was used, nanoseconds of the monotonic clock; rows of the last milliseconds
        may gather still.
    cpu_seconds, lake_cpu_seconds : float
        Of the process, all threads, from being ready until all stood in the journal, and until the
        parts were written.
    lake_seconds : float
        Of the wall, from then until the parts were written.
    quotes, trades, conflated : int
        Of both parts.
    trade_rows : int
        Rows of live trades in the lake.
    ready_mb, peak_mb : float
        Memory of the process when ready, and the most.
    memory_mb : list of float
        Samples.
    slices, slowest_slice_ms : float
        How often the desk was handed frames, and what the longest took.
    """

    ended_ns: int = 0
    cpu_seconds: float = 0.0
    lake_cpu_seconds: float = 0.0
    lake_seconds: float = 0.0
    quotes: int = 0
    trades: int = 0
    conflated: int = 0
    trade_rows: int = 0
    ready_mb: float = 0.0
    peak_mb: float = 0.0
    memory_mb: list[float] = field(default_factory=list)
    slices: int = 0
    slowest_slice_ms: float = 0.0


class StreamDesk(Child):
    """The process, seen from outside."""

    who = "the desk"

    def ready(self) -> int:
        """Wait until it is ready; return the API's port, 0 without one."""
        return int(self.line())

    def found(self) -> Found:
        """Wait for the end."""
        return Found(**json.loads(self.line()))


@contextmanager
def desk_process(wishes: Wishes) -> Iterator[StreamDesk]:
    """Start a desk."""
    with running(__name__, wishes) as process:
        yield StreamDesk(process)


# --- the process ----------------------------------------------------------------------------------


def memory_mb() -> float:
    """Return the memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Return the most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class _Watch:
    """Reads figures off a session without costing it anything to speak of."""

    def __init__(self, wishes: Wishes, hub: Hub) -> None:
        self._wishes, self._hub = wishes, hub
        self._all, self._wanted = asyncio.Event(), wishes.before + wishes.main
        self.found = Found()

    def attach(self, session: Session) -> None:
        self._desk = session.desk
        consume, found = session.inbox._consume, self.found

        def timed(frames: Any) -> None:
            began = time.perf_counter()
            consume(frames)
            took = 1e3 * (time.perf_counter() - began)
            found.slices += 1
            found.slowest_slice_ms = max(found.slowest_slice_ms, took)

        session.inbox._consume = timed

    def changed(self) -> None:
        self._hub.notify()
        if self.used() >= self._wanted:
            self.found.ended_ns = self.found.ended_ns or time.monotonic_ns()
            self._all.set()

    def used(self) -> int:
        counts = self._desk.counts
        return counts.quotes + counts.trades + counts.conflated

    async def until_ready(self, session: Session) -> None:
        """Wait for the first part, the first pricing and the answers to all subscriptions."""
        desk, state = session.desk, session.feed.state
        await _until(lambda: self.used() >= self._wishes.before)
        await _until(lambda: desk.engine.view("SPX").totals is not None)
        await _until(lambda: state.confirmed >= state.wanted)
        self.found.ready_mb = memory_mb()
        self.found.slices, self.found.slowest_slice_ms = 0, 0.0

    async def until_done(self, session: Session) -> None:
        """Wait until everything was used and is safe."""
        seconds = self._wishes.sample_seconds or None
        while not self._all.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._all.wait()
            except TimeoutError:
                self.found.memory_mb.append(memory_mb())
        await _until(lambda: session.acknowledged_trades >= self._desk.counts.trades)


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110  # nobody sets an event of it
        await asyncio.sleep(_LOOK_SECONDS)


async def _run(wishes: Wishes) -> Found:
    from pydantic import SecretStr

    from dealer_assets.lake.storage import open_lake
    from dealer_assets_tests.bench.frame_source import Market
    from streaming.api.hub import Hub
    from streaming.clock import WallClock
    from streaming.desk.pipeline import Desk
    from streaming.desk.session import Pace, Session
    from streaming.feeds.polygon.feed import PolygonFeed, PolygonOptions
    from streaming.feeds.rotation import Rotation
    from streaming.keeping.sink import Sink

    market = Market(density=wishes.density)
    begin_us = market.open_us + _BEGIN_SECONDS * 1_000_000

    class SessionClock(WallClock):
        """The wall's pace at the session's time."""

        offset_us = begin_us - WallClock().now_us()

        def now_us(self) -> int:
            return time.time_ns() // 1000 + self.offset_us

    folder, clock, start = Path(wishes.folder), SessionClock(), market.start
    sink = Sink(
        open_lake(str(folder / "lake")),
        folder / "journal",
        stream=start.feed,
        sessions=start.sessions,
        rows_per_part=start.options.rows_per_part,
        seconds_per_part=start.options.seconds_per_part,
    )
    desk = Desk.open(start, sink)
    feed = PolygonFeed(
        url=f"ws://127.0.0.1:{wishes.port}",
        key=SecretStr("bench"),
        listing=desk.listing,
        quoted=Rotation(desk.listing, cap=1000),
        now_us=clock.now_us,
        options=PolygonOptions(expects_data=lambda *_: False),  # the server keeps indices silent
    )
    hub = Hub(lambda: {"is_healthy": True, "problems": []})
    watch = _Watch(wishes, hub)
    session = Session(
        desk,
        feed,
        sink,
        clock=clock,
        pace=Pace(inbox_bytes=wishes.inbox_mb << 20),
        on_change=watch.changed,
    )
    watch.attach(session)
    hub.serve("SPX", lambda: desk.engine.view("SPX"))
    works = [session.listen(), session.follow(), session.fill(), session.inbox.run()]
    tasks = [asyncio.create_task(work) for work in works]
    port = await _serving(hub, tasks) if wishes.serves else 0
    try:
        async with asyncio.timeout(wishes.at_most_seconds):
            await watch.until_ready(session)
            cpu = time.process_time()
            _tell(str(port))
            await watch.until_done(session)
        watch.found.cpu_seconds = time.process_time() - cpu
        if wishes.serves:
            await asyncio.sleep(_LAST_TICKS_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found, counts = watch.found, desk.counts
    began = time.perf_counter()
    await session.finish()
    found.lake_seconds = time.perf_counter() - began
    found.lake_cpu_seconds = time.process_time() - cpu
    found.quotes, found.trades, found.conflated = counts.quotes, counts.trades, counts.conflated
    found.trade_rows = _rows_in(folder / "lake")
    found.peak_mb = peak_mb()
    return found


def _rows_in(lake: Path) -> int:
    """Count the trades that a reader of the lake would find."""
    from pyarrow.parquet import read_metadata

    return sum(read_metadata(part).num_rows for part in lake.rglob("live_trades/**/*.parquet"))


async def _serving(hub: Hub, tasks: list[asyncio.Task[Any]]) -> int:
    from streaming.api.access import Access
    from streaming.api.app import build_app
    from streaming.api.server import serve
    from streaming.api.stream import Pace

    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = build_app(hub, Access(host="127.0.0.1"), pace=Pace(interval_ms=0))
    tasks.append(
        asyncio.create_task(serve(app, host="127.0.0.1", port=0, on_ready=listening.set_result))
    )
    return await listening


def _main() -> None:
    wishes = Wishes(**json.loads(sys.argv[1]))
    if wishes.core >= 0:
        os.sched_setaffinity(0, {wishes.core})
    _tell(json.dumps(asdict(asyncio.run(_run(wishes)))))


if __name__ == "__main__":
    _main()

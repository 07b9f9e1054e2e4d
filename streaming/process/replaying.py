"""Plays a recording through a desk into a lake of its own.

Belongs here: one replay from opening to flushing, and what came of it. Does not belong here: the
core (`pipeline`), which is the live process's own.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dealer_assets.domain.flow.totals import GAMMA
from dealer_assets.errors import BadInputError
from dealer_assets.lake.reader import list_parts
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.tables.live import LIVE_TABLES, LIVE_TRADES
from streaming.api.hub import Hub
from streaming.core.events import Frame
from streaming.desk.inbox import Inbox
from streaming.desk.pipeline import Desk
from streaming.keeping.sink import Sink
from streaming.recordings.recorded import RecordedFeed
from streaming.recordings.recording import Recording
from streaming.start import Start

_WAITING_BYTES = 32 << 20


@dataclass(frozen=True)
class Replayed:
    """What a replay came to.

    Parameters
    ----------
    frames, quotes, trades, rejected : int
        Frames played; quotes and trades used; messages that could not be used.
    seconds : float
        Of the wall.
    rows : mapping of str to int
        Rows written, by table.
    parts : int
        Parts in the lake.
    gammas : mapping of (str, str) to float
        Last net gamma exposure [USD per 1 % spot] by underlying and model.
    torn_bytes : int
        Bytes at the recording's end that a killed process left as half a block.
    lake : str
        Where the parts are.
    is_whole : bool
        Whether the lake took every row.
    """

    frames: int
    quotes: int
    trades: int
    rejected: int
    seconds: float
    rows: Mapping[str, int]
    parts: int
    gammas: Mapping[tuple[str, str], float]
    torn_bytes: int
    lake: str
    is_whole: bool

    @property
    def events_per_second(self) -> float:
        """Quotes and trades in a second of the wall."""
        return (self.quotes + self.trades) / max(self.seconds, 1e-9)


def own_folder(data: Path, recording: Recording) -> Path:
    """Return where a recording is replayed into unless told otherwise."""
    return data / "replay" / recording.name


async def replay(
    recording: Recording,
    folder: Path,
    *,
    lake: Lake | None = None,
    speed: float = 0.0,
    from_us: int | None = None,
    until_us: int | None = None,
    on_progress: Callable[[int, int], None] = lambda frames, at_us: None,
    hub: Hub | None = None,
) -> Replayed:
    """Play a recording.

    Parameters
    ----------
    recording : Recording
        What to play.
    folder : pathlib.Path
        For the journal and, without `lake`, the parts; what an earlier replay left there goes.
    lake : Lake, optional
        Where parts go instead; may not hold live rows of the session yet.
    speed : float
        See `RecordedFeed`.
    from_us, until_us : int, optional
        Window in microseconds since 1970; the end is not included.
    on_progress : callable
        Told frames played so far and their clock.
    hub : Hub, optional
        Serves the views while it plays.

    Raises
    ------
    BadInputError
        When the recording holds nothing, or the lake holds the session already.
    """
    start = _from_its_beginning(recording.start())
    feed = RecordedFeed(recording, speed=speed, from_us=from_us, until_us=until_us)
    shutil.rmtree(folder, ignore_errors=True)
    lake = lake or open_lake(str(folder / "lake"))
    _refuse_held(lake, start)
    sink = Sink(
        lake,
        folder / "journal",
        stream=start.feed,
        sessions=start.sessions,
        rows_per_part=start.options.rows_per_part,
        seconds_per_part=start.options.seconds_per_part,
    )
    started = time.perf_counter()
    try:
        desk = Desk.open(start, sink)
        for symbol, rows in start.restored.items():
            sink.append((LIVE_TRADES, symbol, rows))
        await _play(desk, feed, on_progress, hub)
    finally:
        is_whole = await asyncio.to_thread(sink.close)
    return Replayed(
        frames=desk.counts.frames,
        quotes=desk.counts.quotes,
        trades=desk.counts.trades,
        rejected=desk.rejects.total,
        seconds=time.perf_counter() - started,
        rows=_rows(sink),
        parts=_parts(lake, start),
        gammas=_gammas(desk),
        torn_bytes=recording.torn_bytes,
        lake=lake.uri,
        is_whole=is_whole,
    )


async def _play(
    desk: Desk, feed: RecordedFeed, on_progress: Callable[[int, int], None], hub: Hub | None
) -> None:
    def consume(frames: Sequence[Frame]) -> None:
        desk.feed(frames)
        on_progress(inbox.frames_taken + len(frames), desk.counts.last_us)
        if hub is not None:
            hub.notify()

    inbox = Inbox(
        consume,
        limit_bytes=_WAITING_BYTES,
        feeds=[feed],
        conflates=False,
    )
    if hub is not None:
        for symbol in desk.start.symbols:
            hub.serve(symbol, partial(desk.engine.view, symbol))
    consumer = asyncio.create_task(inbox.run())
    player = asyncio.create_task(feed.run(inbox.deliver))
    try:
        await asyncio.wait({consumer, player}, return_when=asyncio.FIRST_COMPLETED)
        if consumer.done():
            consumer.result()
        player.result()
        consumer.cancel()
        await asyncio.wait({consumer})
        await inbox.drain()
        desk.close()
    finally:
        for task in (player, consumer):
            task.cancel()
        await asyncio.gather(player, consumer, return_exceptions=True)


def _from_its_beginning(start: Start) -> Start:
    """Return a start whose rows are numbered from 0: the replay's lake holds none before it.

    A recording that began within a session brings the trades before; bars and totals before are
    made anew as far as trades tell them.
    """
    taken = {(LIVE_TRADES.name, name): rows.num_rows for name, rows in start.restored.items()}
    return replace(start, taken=taken)


def _refuse_held(lake: Lake, start: Start) -> None:
    for symbol, day in start.sessions.items():
        for table in LIVE_TABLES:
            if list_parts(lake, table, symbol, day):
                raise BadInputError(
                    f"{lake.uri} holds {table.name} of {symbol} {day} already: rows of a replay "
                    "and of the live process would be numbered twice. Replay into another lake"
                )


def _rows(sink: Sink) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for (table, _), rows in sink.acknowledged.items():
        counts[table] += rows
    return dict(counts)


def _parts(lake: Lake, start: Start) -> int:
    return sum(
        len(list_parts(lake, table, symbol, day))
        for symbol, day in start.sessions.items()
        for table in LIVE_TABLES
    )


def _gammas(desk: Desk) -> dict[tuple[str, str], float]:
    found = {}
    for symbol in desk.start.symbols:
        totals = desk.engine.view(symbol).totals
        for model, one in (totals.models if totals else {}).items():
            found[symbol, model] = one.sums.net[GAMMA]
    return found

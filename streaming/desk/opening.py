"""Opens a session of a desk: everything from settings to a desk that can take its first frame.

Belongs here: the order of opening, what is blocking and runs in a thread. Does not belong here:
each step (`bootstrap`, `sourcing`, `sink`, `recording`), the loop (`session`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pyarrow as pa

from dealer_assets.domain.columns import integers
from dealer_assets.errors import BadInputError
from dealer_assets.lake.compaction import STREAM_KEY
from dealer_assets.lake.layout import stream_of
from dealer_assets.lake.reader import list_parts, part_metadata, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.settings import Settings
from dealer_assets.sources import lake_of
from dealer_assets.tables import FEED_GAPS, LIVE_TABLES, LIVE_TRADES, STREAM_HEARTBEATS
from dealer_assets.underlyings import Underlying
from streaming.clock import Clock, PlayClock
from streaming.core.events import Frame
from streaming.desk import control
from streaming.desk.bootstrap import Seed, gather, newest_chains, seed_of
from streaming.desk.pipeline import Desk
from streaming.desk.sourcing import SIMULATOR, Asker, asker_of, feed_of, providers_of
from streaming.feeds.base import Feed, Gap
from streaming.hours import desk_of
from streaming.keeping.sink import Sink
from streaming.recordings.recording import Recorder
from streaming.start import DeskName, Start, StreamOptions

_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Opened:
    """What a session needs, and what was found on the way.

    Parameters
    ----------
    desk, feed, sink, asker
        See `Session`.
    seed : Frame or None
        Quotes to start with.
    unfilled : tuple of Gap
        Gaps that an earlier process left, see `Recovered`.
    notes : tuple of str
        What was recovered, found and not found, in words.
    """

    desk: Desk
    feed: Feed
    sink: Sink
    asker: Asker
    seed: Frame | None
    unfilled: tuple[Gap, ...]
    notes: tuple[str, ...]


def options_of(settings: Settings) -> StreamOptions:
    """Return the settings that rows depend on."""
    return StreamOptions(
        price_seconds=settings.stream_price_seconds,
        strike_seconds=settings.stream_strike_seconds,
        zero_dte_strikes=settings.stream_zero_dte_strikes,
        rows_per_part=settings.stream_rows_per_part,
        seconds_per_part=settings.stream_seconds_per_part,
    )


def sink_of(settings: Settings, start: Start, lake: Lake, *, folder_name: str = "journal") -> Sink:
    """Open the sink of a start."""
    return Sink(
        lake,
        settings.stream_root / folder_name / start.desk,
        stream=start.feed,
        sessions=start.sessions,
        rows_per_part=start.options.rows_per_part,
        seconds_per_part=start.options.seconds_per_part,
    )


def open_session(
    settings: Settings,
    lanes: Sequence[Underlying],
    day: date,
    *,
    feed_name: str,
    clock: Clock,
    records: bool,
) -> Opened:
    """Open a session; blocking, some seconds for SPX and SPY.

    Parameters
    ----------
    settings : Settings
        Lake, folders, keys.
    lanes : sequence of Underlying
        Underlyings of one desk.
    day : datetime.date
        Session.
    feed_name : str
        From `sourcing.feed_name`.
    clock : Clock
        Whose time it is.
    records : bool
        Whether frames are kept.

    Raises
    ------
    DealerError
        When something is missing without which there is nothing to do.
    """
    from dealer_assets.domain.kernels.warm import warmers

    for _, warm in warmers():  # here rather than at the first frame, where the loop would wait
        warm()
    lake = lake_of(settings)
    _refuse_other_feed(lake, lanes, day, feed_name)
    start, seed_chains = start_of(settings, lanes, day, feed_name=feed_name, clock=clock)
    with contextlib.ExitStack() as undo:
        sink = sink_of(settings, start, lake)
        undo.callback(sink.close)
        recovered = sink.recover()
        restored = {
            name: rows
            for name, rows in recovered.trades.items()
            if rows.num_rows and name in start.sessions  # a desk may come back with fewer lanes
        }
        notes = [*recovered.notes]
        if isinstance(clock, PlayClock):
            notes += _go_on(clock, lake, sink, start)
        start = replace(start, taken=recovered.taken, restored=restored)
        desk = Desk.open(start, sink)
        feed = feed_of(settings, feed_name, desk.listing, sessions_of=start.sessions, clock=clock)
        asker = asker_of(settings, feed_name, desk.listing, clock)
        if records:
            root = settings.stream_root / "recordings"
            desk.recorder = Recorder(root, start, started_us=clock.now_us())
        undo.pop_all()
    seed = seed_of(start, desk.listing, seed_chains, _instant(clock))
    notes += [*start.missing, *seed.told]
    frame = _frame(seed, desk, clock)
    return Opened(desk, feed, sink, asker, frame, recovered.unfilled, tuple(notes))


def _refuse_other_feed(lake: Lake, lanes: Sequence[Underlying], day: date, feed: str) -> None:
    """Refuse a session that another feed has rows of: two would count every trade twice."""
    for lane in lanes:
        for part in list_parts(lake, LIVE_TRADES, lane.symbol, day):
            held = stream_of(part.name) or part_metadata(lake, part).get(STREAM_KEY, feed)
            if held != feed:
                raise BadInputError(
                    f"{lane.symbol} {day}: expected no live rows but those of feed {feed!r}, found "
                    f"rows of {held!r}: use another lake (DEALER_LAKE_URI) or data folder"
                )


def _go_on(clock: PlayClock, lake: Lake, sink: Sink, start: Start) -> list[str]:
    """Let a played session go on behind the rows that it has, instead of bringing them again."""
    sink.flush()
    newest = [
        int(integers(read_part(lake, table, parts[-1]), "known_at").max())
        for table in LIVE_TABLES
        if table not in (FEED_GAPS, STREAM_HEARTBEATS)  # dated by a clock that runs ahead
        for symbol, day in start.sessions.items()
        if (parts := list_parts(lake, table, symbol, day))
    ]
    if not newest:
        return []
    begin_us = (max(newest) // _SECOND_US + 1) * _SECOND_US
    clock.go_on_at(begin_us)
    at = datetime.fromtimestamp(begin_us / 1e6, UTC)
    return [f"the session has rows already: it goes on at {at:%H:%M:%S} UTC"]


def start_of(
    settings: Settings, lanes: Sequence[Underlying], day: date, *, feed_name: str, clock: Clock
) -> tuple[Start, dict[str, pa.Table]]:
    """Return the start of a session and the newest chains of it; blocking.

    Raises
    ------
    DealerError
        When nothing is listed, or a key is missing.
    """
    lake = lake_of(settings)
    sessions_of = {lane.symbol: day for lane in lanes}
    providers = providers_of(settings, feed_name, tuple(lanes))
    try:
        now = _instant(clock)
        # the simulated feed begins with every quote that stands
        chains: dict[str, pa.Table] = {}
        if feed_name != SIMULATOR:
            chains = newest_chains(lake, lanes, sessions_of, now=now, provider_of=providers)
        start = gather(
            lake,
            lanes,
            sessions_of,
            feed=feed_name,
            now=now,
            provider_of=providers,
            chains=chains,
            options=options_of(settings),
        )
    finally:
        for provider in set(providers.values()):
            provider.close()
    return start, chains


def _instant(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now_us() / 1e6, UTC)


def _frame(seed: Seed, desk: Desk, clock: Clock) -> Frame | None:
    if not len(seed.events):
        return None
    return control.packed_frame(control.SEED, seed.events, desk.listing, clock.now_us())


def desks_of(lanes: Sequence[Underlying]) -> dict[DeskName, tuple[Underlying, ...]]:
    """Return the lanes of each desk, in order."""
    found: dict[DeskName, tuple[Underlying, ...]] = {}
    for lane in lanes:
        name = desk_of(lane)
        found[name] = (*found.get(name, ()), lane)
    return found

"""Frames to a recording and nothing else: no engine, no rows.

Belongs here: one session's recording. Does not belong here: the live process, which may record as
well (`runtime`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError
from dealer_assets.settings import Settings
from streaming.clock import Clock, PlayClock, WallClock, us_of
from streaming.core.events import SPOT, Frame
from streaming.core.listing import Listing
from streaming.desk.inbox import Inbox
from streaming.desk.opening import start_of
from streaming.desk.session import PATIENT_SECONDS, TICK_SECONDS
from streaming.desk.sourcing import SIMULATOR, delay_of, feed_name, feed_of, require_key
from streaming.feeds.decoders import decoders_of
from streaming.feeds.packed import PackedDecoder
from streaming.hours import desk_of, span_at, span_of
from streaming.process.desk_life import Choice
from streaming.process.supervisor import Part, Supervisor
from streaming.recordings.recording import Recorder
from streaming.start import Start


async def record(
    settings: Settings,
    choice: Choice,
    *,
    on_progress: Callable[[Path, int, int], None] = lambda folder, frames, size: None,
) -> tuple[int, Path]:
    """Record one session of one desk until it ends, a signal comes, or the time is over.

    Parameters
    ----------
    settings : Settings
        Folders and keys.
    choice : Choice
        What is listened to.
    on_progress : callable
        Told the folder, and frames and bytes so far.

    Returns
    -------
    int, pathlib.Path
        Exit code; the recording's folder.

    Raises
    ------
    DealerError
        When there is nothing to listen to.
    """
    clock, start, end_us = await _prepare(settings, choice)
    name = start.feed
    listing = Listing.of(start.lanes, start.listed, sessions_of=start.sessions)
    feed = feed_of(settings, name, listing, sessions_of=start.sessions, clock=clock)
    recorder = Recorder(settings.stream_root / "recordings", start, started_us=clock.now_us())
    begun = asyncio.Event()
    spots: dict[str, float] = {}
    decoder = decoders_of(name, listing).get(name) or PackedDecoder(listing)

    def keep(frames: Sequence[Frame]) -> None:
        recorder.append(frames)
        begun.set()
        events = decoder.decode(frames).events
        for row in np.flatnonzero(events.kind == SPOT).tolist():
            spots[listing.lanes[events.contract[row]].symbol] = float(events.a[row])

    inbox = Inbox(keep, limit_bytes=settings.stream_inbox_mb << 20, feeds=[feed], conflates=False)

    async def follow() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS * 5)
            feed.follow(spots)
            on_progress(recorder.folder, recorder.frames, recorder.bytes_written)

    async def time_over() -> None:
        if choice.seconds is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(begun.wait(), PATIENT_SECONDS)
            await asyncio.sleep(choice.seconds)
        elif end_us is not None:
            await clock.until(end_us)
        else:
            await asyncio.Event().wait()  # the feed ends by itself

    supervisor = Supervisor(
        [
            Part("feed", lambda: feed.run(inbox.deliver), ends_run=True),
            Part("clock", follow),
            Part("time", time_over, ends_run=True),
            Part("inbox", inbox.run, restarts=False),
        ]
    )
    undo = supervisor.listen()
    try:
        code = await supervisor.run()
        await inbox.drain()
    finally:
        undo()
        recorder.close()
    return code, recorder.folder


async def _prepare(settings: Settings, choice: Choice) -> tuple[Clock, Start, int | None]:
    """Return clock and start of the session, and when to stop; None: with the feed."""
    desk = desk_of(choice.lanes[0])
    if any(desk_of(lane) != desk for lane in choice.lanes):
        raise BadInputError("expected underlyings of one desk: record US ones and crypto apart")
    name = feed_name(settings, desk, choice.feed)
    if choice.session is not None and name != SIMULATOR:
        raise BadInputError(f"feed {name!r} is live only: expected --feed simulator with --session")
    require_key(settings, name)
    calendar = choice.lanes[0].calendar
    if choice.session is None:
        span = span_at(calendar, datetime.now(UTC), delay=delay_of(settings, name))
        clock: Clock = WallClock()
        end_us: int | None = us_of(span.end)
    else:
        span = span_of(calendar, choice.session)
        opened = sessions.session_open(calendar, choice.session)
        clock, end_us = PlayClock(us_of(opened), speed=choice.speed), None
    start, _ = await asyncio.to_thread(
        start_of, settings, choice.lanes, span.day, feed_name=name, clock=clock
    )
    return clock, start, end_us

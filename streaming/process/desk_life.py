"""One desk through its sessions: sleep, open, work, finish, and again.

Belongs here: when sessions change, what runs beside what within one. Does not belong here: a
session's work (`session`), what desks share (`runtime`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dealer_assets.domain import sessions
from dealer_assets.errors import (
    BadInputError,
    DealerError,
    LakeUnavailableError,
    NoDataError,
    ProviderUnavailableError,
)
from dealer_assets.underlyings import Underlying
from streaming.clock import Clock, PlayClock, us_of
from streaming.desk import control
from streaming.desk.opening import Opened, open_session
from streaming.desk.session import Pace, Session
from streaming.desk.sourcing import CHANNELS, SIMULATOR, delay_of, feed_name, require_key
from streaming.feeds.base import FeedRefusedError
from streaming.hours import Span, span_at, span_of
from streaming.keeping.heartbeat import heartbeat_rows
from streaming.process.health import heartbeat_of
from streaming.process.supervisor import Part
from streaming.start import DeskName

if TYPE_CHECKING:
    from streaming.process.runtime import Runtime

_log = logging.getLogger(__name__)

_WORTH_A_RETRY = (LakeUnavailableError, ProviderUnavailableError, NoDataError)


@dataclass(frozen=True)
class Choice:
    """What is to be streamed, as chosen on the command line.

    Parameters
    ----------
    lanes : tuple of Underlying
        Underlyings; US ones share a desk, crypto has its own.
    feed : str
        auto, simulator, polygon or deribit.
    records : bool
        Whether frames are kept.
    session : datetime.date or None
        One past or future session of the simulator, played from its open; None: now, and every
        session after it.
    speed : float
        Of that session: seconds in a second of the wall; 0: as fast as it goes.
    seconds : float or None
        Stop so many after every desk is at work or asleep; None: go on.
    """

    lanes: tuple[Underlying, ...]
    feed: str = "auto"
    records: bool = False
    session: date | None = None
    speed: float = 1.0
    seconds: float | None = None


class DeskLife:
    """One desk through its sessions: sleeps, opens, works, finishes, and again.

    Parameters
    ----------
    name : {"us", "crypto"}
        Desk.
    lanes : tuple of Underlying
        Its underlyings.
    runtime : Runtime
        The process.

    Raises
    ------
    BadInputError
        When the choice does not fit the desk, or a key is missing: before it sleeps, not after.
    """

    def __init__(self, name: DeskName, lanes: tuple[Underlying, ...], runtime: Runtime) -> None:
        self.name, self.lanes = name, lanes
        self.session: Session | None = None
        self.sleeps_until: datetime | None = None
        self.is_open = asyncio.Event()
        self.done = asyncio.Event()
        self._asker: Opened | None = None
        self._beat_us = -1
        self._runtime = runtime
        self.feed_name = feed_name(runtime.settings, name, runtime.choice.feed)
        if runtime.choice.session and self.feed_name != SIMULATOR:
            raise BadInputError(
                f"feed {self.feed_name!r} is live only: expected --feed simulator with --session, "
                "or `dealer replay` of a recording"
            )
        if runtime.choice.session:
            sessions.session_open(lanes[0].calendar, runtime.choice.session)
        require_key(runtime.settings, self.feed_name)

    async def run(self) -> None:
        """Work on session after session; on the one that was chosen only.

        Raises
        ------
        FeedRefusedError
            When a session cannot be opened for a reason that will not pass.
        """
        chosen = self._runtime.choice.session
        while True:
            span = self._span(chosen)
            clock = self._clock(span)
            if chosen is None:
                await self._sleep(span, clock)
            await self._work(span, clock)
            if chosen is not None:
                self.done.set()
                return

    def _span(self, chosen: date | None) -> Span:
        calendar = self.lanes[0].calendar
        if chosen is not None:
            return span_of(calendar, chosen)
        delay = delay_of(self._runtime.settings, self.feed_name)
        return span_at(calendar, self._runtime.now(), delay=delay)

    def _clock(self, span: Span) -> Clock:
        if self._runtime.choice.session is None:
            return self._runtime.wall
        opened = sessions.session_open(self.lanes[0].calendar, span.day)
        return PlayClock(us_of(opened), speed=self._runtime.choice.speed)

    async def _sleep(self, span: Span, clock: Clock) -> None:
        if self._runtime.now() < span.begin:
            self.sleeps_until = span.begin
            self.is_open.set()
            _log.info("%s desk: closed; session %s begins at %s", self.name, span.day, span.begin)
            await clock.until(us_of(span.begin))
        self.sleeps_until = None

    async def _work(self, span: Span, clock: Clock) -> None:
        """Work on one session from opening to flushing."""
        runtime, is_chosen = self._runtime, self._runtime.choice.session is not None
        opened = await self._open(span, clock)
        for note in opened.notes:
            _log.info("%s desk: %s", self.name, note)
        pace = Pace(
            inbox_bytes=runtime.settings.stream_inbox_mb << 20,
            conflates=not is_chosen,
            ticks=self.feed_name != SIMULATOR,
        )
        session = Session(
            opened.desk,
            opened.feed,
            opened.sink,
            clock=clock,
            pace=pace,
            filler=opened.asker.filler,
            span_us=None if is_chosen else (us_of(span.begin), us_of(span.end)),
            on_change=runtime.hub.notify,
        )
        self.session, self._asker = session, opened
        for lane in self.lanes:
            runtime.hub.serve(lane.symbol, partial(session.desk.engine.view, lane.symbol))
        if opened.seed is not None:
            session.inbox.deliver(opened.seed)
        opened_us = us_of(sessions.session_open(self.lanes[0].calendar, span.day))
        session.note_start(opened_us, CHANNELS[self.feed_name], unfilled=opened.unfilled)
        names = self._begin(session)
        self.is_open.set()
        await self._until_over(session, span, clock, is_chosen=is_chosen)
        for name in names:
            await runtime.supervisor.remove(name)
        await self.finish()

    async def _open(self, span: Span, clock: Clock) -> Opened:
        try:
            return await asyncio.to_thread(
                open_session,
                self._runtime.settings,
                self.lanes,
                span.day,
                feed_name=self.feed_name,
                clock=clock,
                records=self._runtime.choice.records,
            )
        except _WORTH_A_RETRY:
            raise
        except DealerError as error:
            raise FeedRefusedError(str(error)) from error

    def _begin(self, session: Session) -> list[str]:
        parts = [
            Part(f"{self.name} feed", session.listen),
            Part(f"{self.name} clock", session.follow),
            Part(f"{self.name} backfill", session.fill),
            Part(f"{self.name} heartbeat", self._beat),
            Part(f"{self.name} inbox", session.inbox.run, restarts=False),
        ]
        for part in parts:
            self._runtime.supervisor.add(part)
        return [part.name for part in parts]

    async def _until_over(
        self, session: Session, span: Span, clock: Clock, *, is_chosen: bool
    ) -> None:
        """Wait for the end of the feed or, live, of the session."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(session.ended.wait())]
        if not is_chosen:
            waits.append(asyncio.ensure_future(clock.until(us_of(span.end))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if session.ended.is_set():
                await session.gaps_filled()
                if not is_chosen:
                    await clock.until(us_of(span.end))
            if not is_chosen:
                await session.end(CHANNELS[self.feed_name])
                # the last second and minute end with the session, not with its last frame
                session.inbox.deliver(control.tick(us_of(span.end)))
                await session.inbox.emptied()
        finally:
            for wait in waits:
                wait.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._runtime.heartbeat_seconds)
            if self.session is not None:
                self._write_heartbeat(self.session)

    def _write_heartbeat(self, session: Session) -> None:
        state = heartbeat_of(session, self._runtime.supervisor.states)
        # the wall may be set back; rows of a table are known in their order
        self._beat_us = max(self._beat_us, session.clock.now_us())
        for symbol, day in session.desk.start.sessions.items():
            session.desk.write(
                heartbeat_rows(
                    state,
                    at_us=self._beat_us,
                    symbol=symbol,
                    day=day,
                    sequences=session.desk.sequences,
                )
            )

    async def finish(self) -> None:
        """Drain and flush the session under way."""
        session, opened = self.session, self._asker
        self._asker = None
        if opened is not None:
            opened.asker.close()
        if session is not None:
            await session.finish()

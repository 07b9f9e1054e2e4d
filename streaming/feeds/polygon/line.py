"""One supervised connection to a Polygon cluster: connects, converses, drops, comes back.

Belongs here: the life of a connection, and the gaps between two lives. Does not belong here: what
is said (`session`), what is wanted (`polygon`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from streaming.core.events import Frame
from streaming.feeds.backoff import Backoff
from streaming.feeds.base import Deliver, FeedRefusedError, FeedState, Gap, Phase
from streaming.feeds.polygon.session import PolygonSession, SessionTimes, read
from streaming.feeds.socket import (
    ConnectError,
    Connection,
    Ended,
    HandshakeRefusedError,
    open_connection,
)

_LOG = logging.getLogger(__name__)
_PASSING_STATUSES = frozenset({408, 425, 429})
_LONGEST_PATIENCE = 16.0
_LONGEST_PAUSE_SECONDS = 300.0
_PHASES: dict[str, Phase] = {
    "greeting": "authenticating",
    "authenticating": "authenticating",
    "subscribing": "authenticating",
    "live": "live",
}


@dataclass(frozen=True)
class LineOptions:
    """How a connection is held; tests shorten the times.

    Parameters
    ----------
    times : SessionTimes
        Of the conversation.
    connect_seconds, ping_seconds, silent_seconds, linger_seconds : float
        See `open_connection`.
    quiet_seconds : float
        Of no data where data are expected, after which the connection is believed to be dead
        although it answers pings; doubles while a new connection brings no data either.
    look_seconds : float
        Longest time between two looks at the clock and at what is wanted.
    handshake_tries : int
        Handshakes refused in a row, with a status that does not pass, until giving up.
    backoff : callable
        Makes the `Backoff` of a connection.
    """

    times: SessionTimes = field(default_factory=SessionTimes)
    connect_seconds: float = 10.0
    ping_seconds: float = 20.0
    silent_seconds: float = 35.0
    linger_seconds: float = 1.0
    quiet_seconds: float = 60.0
    look_seconds: float = 0.5
    handshake_tries: int = 3
    backoff: Callable[[], Backoff] = Backoff


@dataclass
class Line:
    """One channel of the feed.

    Parameters
    ----------
    feed, channel : str
        What frames and gaps are marked with.
    url : str
        Of the cluster.
    key : SecretStr
        Polygon's key.
    essentials : tuple of str
        Subscriptions that make it live.
    quotes : callable
        Returns the further subscriptions that are wanted now, or None when they are as before;
        given True it returns them in any case.
    stamp : callable
        Returns the instant a message is received at, microseconds since 1970; never decreasing.
    expects_data : callable
        Tells whether data should come at an instant.
    on_gap : callable
        Told of each gap once the channel is live again.
    on_change : callable
        Told that `state` has changed.
    """

    feed: str
    channel: str
    url: str
    key: SecretStr
    essentials: tuple[str, ...]
    quotes: Callable[[bool], Sequence[str] | None]
    stamp: Callable[[], int]
    expects_data: Callable[[int], bool]
    on_gap: Callable[[Gap], None]
    on_change: Callable[[], None]
    options: LineOptions
    state: FeedState = field(default_factory=FeedState)

    def __post_init__(self) -> None:
        """Start without a past."""
        self._backoff = self.options.backoff()
        self._wake = asyncio.Event()
        self._whole_until_us = -1  # up to here nothing was missed; -1: never live yet
        self._lost: str | None = None  # why, since the channel is no longer live
        self._refusals = 0
        self._patience = self.options.quiet_seconds
        self._data_expected_at = float("inf")
        self._data_at = float("-inf")
        self._connection: Connection | None = None
        self._is_paused = False

    def pause(self) -> None:
        """Read nothing until resumed."""
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._connection is not None:
            self._connection.resume()

    async def run(self, deliver: Deliver) -> None:
        """Hold the connection for ever.

        Raises
        ------
        FeedRefusedError
            When another connection would not help.
        """
        self._loop, self._deliver = asyncio.get_running_loop(), deliver
        try:
            while True:
                reason, pause = await self._live_once()
                self._enter("waiting")
                await asyncio.sleep(self._backoff.next_delay(reason, at_least=pause))
        finally:
            self._enter("stopped")

    # one life

    async def _live_once(self) -> tuple[str, float]:
        """Connect and stay until the end; returns why, and the least pause that was asked for."""
        self._enter("connecting")
        times = self.options.times
        session = PolygonSession(self.key, self.essentials, self._loop.time(), times)
        session.want(self.quotes(True) or ())
        self._session = session
        reason, pause = "", 0.0
        try:
            async with open_connection(
                self.url,
                on_message=self._hear,
                ping_every=self.options.ping_seconds,
                silent_after=self.options.silent_seconds,
                connect_seconds=self.options.connect_seconds,
                linger_seconds=self.options.linger_seconds,
            ) as connection:
                self._refusals = 0
                self._connection = connection
                if self._is_paused:
                    connection.pause()
                reason = await self._converse(connection, session)
        except HandshakeRefusedError as error:
            reason, pause = "refused", min(error.retry_after_seconds, _LONGEST_PAUSE_SECONDS)
            self._count_refusal(error)
        except ConnectError as error:
            reason = error.reason
            self._complain(str(error))
        except FeedRefusedError:
            reason = "refused"
            raise
        finally:
            self._connection = None
            self._end(session, reason)
        return reason, pause

    async def _converse(self, connection: Connection, session: PolygonSession) -> str:
        """Say what is to be said until the connection ends; returns why it did."""
        session.opened(self._loop.time())
        self._data_expected_at = float("inf")
        ended = asyncio.create_task(connection.closed())
        ended.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                self._wake.clear()
                now = self._loop.time()
                wanted = self.quotes(False)
                if wanted is not None:
                    session.want(wanted)
                for text in session.step(now):
                    connection.send(text)
                self._follow(session, self.stamp())
                if session.verdict is not None:
                    return self._judged(session)
                if ended.done():
                    return self._ended(session, ended.result())
                if self._is_quiet(session, now):
                    return "silent"
                await self._pause(min(session.due(now), self.options.look_seconds))
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _hear(self, payload: bytes) -> None:
        received_us = self.stamp()
        statuses, has_data = read(payload)
        if statuses:
            self._session.hear(statuses, self._loop.time())
            self._follow(self._session, received_us)
            self._wake.set()
        self.state.last_us = received_us
        if has_data:
            if self.state.trouble:
                self.state.trouble = ""
                self.on_change()
            self._data_at = self._loop.time()
            self._patience = self.options.quiet_seconds
            if self._lost is None and self._whole_until_us >= 0:
                self._whole_until_us = received_us
            self._deliver(Frame(self.feed, self.channel, received_us, payload))

    # what is made of it

    def _follow(self, session: PolygonSession, now_us: int) -> None:
        """Bring the state in line with the conversation; the moment of going live ends a gap."""
        state, phase = self.state, _PHASES[session.stage]
        state.wanted, state.confirmed = len(session.wanted), len(session.confirmed)
        state.refused = session.refused(self._loop.time())
        if phase == "live" and state.phase != "live":
            state.connects += 1
            if self._lost is not None:
                gap = Gap(self.feed, self.channel, self._whole_until_us, now_us, self._lost)
                self._lost = None
                self.on_gap(gap)
            self._whole_until_us = max(self._whole_until_us, now_us)
        self._enter(phase)

    def _end(self, session: PolygonSession, reason: str) -> None:
        if session.live_at is not None:
            self._backoff.lived(self._loop.time() - session.live_at)
            self.state.drops += reason != ""
            self._lost = self._lost or reason or "stopped"  # cancelled, perhaps to run again
        self.state.confirmed = 0

    def _judged(self, session: PolygonSession) -> str:
        verdict = session.verdict
        assert verdict is not None
        self._complain(verdict.words)
        if verdict.is_final:
            raise FeedRefusedError(verdict.words)
        return verdict.reason

    def _ended(self, session: PolygonSession, end: Ended) -> str:
        said = f", code {end.code} {end.reason!r}" if end.was_clean else f" {end.reason}"
        self._complain(f"the connection ended: {end.cause}{session.without_key(said)}".rstrip())
        return end.cause

    def _count_refusal(self, error: HandshakeRefusedError) -> None:
        self._complain(str(error))
        if error.status in _PASSING_STATUSES or error.status >= 500:
            return
        self._refusals += 1
        if self._refusals >= self.options.handshake_tries:
            raise FeedRefusedError(
                f"{error}, {self._refusals} times in a row: check DEALER_POLYGON_WS_URL, and "
                "whether the plan has WebSockets of this cluster"
            ) from None

    def _is_quiet(self, session: PolygonSession, now: float) -> bool:
        """Tell whether the connection has been without data too long while it should have some."""
        if session.live_at is None or not self.expects_data(self.stamp()):
            self._data_expected_at = float("inf")
            return False
        self._data_expected_at = min(self._data_expected_at, now)
        last = max(self._data_at, session.live_at, self._data_expected_at)
        if now - last < self._patience:
            return False
        words = f"live, but without data for {self._patience:g} s of market hours: connecting anew"
        self.state.trouble = f"{self.channel}: {words}"  # until data come, reconnected or not
        self._complain(words)
        longest = _LONGEST_PATIENCE * self.options.quiet_seconds
        self._patience = min(2.0 * self._patience, longest)
        return True

    def _complain(self, words: str) -> None:
        self.state.problem = f"{self.channel}: {words}"
        _LOG.warning("%s %s", self.feed, self.state.problem)
        self.on_change()

    def _enter(self, phase: Phase) -> None:
        if phase != self.state.phase:
            self.state.phase, self.state.since_us = phase, self.stamp()
        self.on_change()

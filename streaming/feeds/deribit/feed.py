"""Deribit's live feed: all option trades, marks, the index, and the tickers of the chosen options.

Belongs here: a connection's life, what the feed says of itself, gaps. Does not belong here: the
conversation (`talk`, `session`), data (`decode`).

Options only are subscribed, never combinations or ``any``: legs of combinations are among the
trades of options already. Frames delivered are notifications, replies of the book summary and what
cannot be read; other replies, among them the one that holds an access token, go no further.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dealer_assets.underlyings import Underlying
from streaming.core.events import Frame
from streaming.feeds.backoff import Backoff
from streaming.feeds.base import Deliver, Feed, FeedRefusedError, Gap, Phase
from streaming.feeds.deribit.choice import Choice, TradeNumbers
from streaming.feeds.deribit.errors import Ending
from streaming.feeds.deribit.session import Credentials, DeribitSession
from streaming.feeds.deribit.talk import Talk
from streaming.feeds.deribit.wishes import Market, TalkOptions
from streaming.feeds.socket import (
    ConnectError,
    Connection,
    Ended,
    HandshakeRefusedError,
    OnMessage,
    open_connection,
)

_LOG = logging.getLogger(__name__)

CHANNEL = "market"
"""The one connection of the feed."""

_TOO_MANY_CONNECTIONS = 429
_HEARTBEAT_CLOSE = 4000
_NEEDS_A_PAUSE = frozenset({"too_many_requests", "too_many_connections", "maintenance"})


def _backoff() -> Backoff:
    return Backoff(cooldown_seconds=5.0, cooldown_reasons=_NEEDS_A_PAUSE)


@dataclass(frozen=True)
class DeribitOptions:
    """How the feed behaves; tests shorten the times.

    Parameters
    ----------
    talk : TalkOptions
        What is followed.
    connect_seconds, ping_seconds, silent_seconds, linger_seconds : float
        Of the connection, see `open_connection`. Without any message for `silent_seconds` it is
        given up as well, pongs or not: heartbeats alone come more often.
    look_seconds : float
        How often time-outs are looked at.
    backoff : callable
        Makes the back-off.
    """

    talk: TalkOptions = field(default_factory=TalkOptions)
    connect_seconds: float = 10.0
    ping_seconds: float = 20.0
    silent_seconds: float = 35.0
    linger_seconds: float = 1.0
    look_seconds: float = 0.25
    backoff: Callable[[], Backoff] = _backoff


class DeribitFeed(Feed):
    """Options of one or several coins over one connection.

    Parameters
    ----------
    url : str
        ``wss://www.deribit.com/ws/api/v2``.
    lanes : sequence of Underlying
        Registry entries; those without a Deribit currency are passed over.
    now_us : callable
        The clock, microseconds since 1970.
    credentials : Credentials, optional
        Of an API key; without one everything but raw intervals works.
    options : DeribitOptions, optional
        Times.

    Raises
    ------
    NoDataError
        When Deribit lists options of none of the lanes.
    """

    name = "deribit"

    def __init__(
        self,
        *,
        url: str,
        lanes: Sequence[Underlying],
        now_us: Callable[[], int],
        credentials: Credentials | None = None,
        options: DeribitOptions | None = None,
    ) -> None:
        super().__init__()
        self._url, self._now_us, self._credentials = url, now_us, credentials
        self._options = options or DeribitOptions()
        self._market = market_of(lanes)
        self._choice = Choice(self._market, self._options.talk)
        self._numbers = TradeNumbers()
        self._backoff = self._options.backoff()
        self._newest_us = 0
        self._heard_at = 0.0
        self._lost: tuple[int, str] | None = None  # since when and why, until live again
        self._live_at: float | None = None
        self._is_paused = False
        self._connection: Connection | None = None

    async def run(self, deliver: Deliver) -> None:
        """Deliver frames until cancelled.

        Raises
        ------
        FeedRefusedError
            When the venue refuses the credentials.
        """
        self._wake = asyncio.Event()
        try:
            while True:
                ending, pause = await self._live_once(deliver)
                self._enter("waiting")
                self._complain(ending.detail)
                if ending.is_final:
                    raise FeedRefusedError(f"Deribit refuses: {ending.detail}")
                await asyncio.sleep(self._backoff.next_delay(ending.reason, at_least=pause))
        finally:
            self._enter("stopped")

    def pause(self) -> None:
        """Read nothing until resumed; the venue has to wait, and may hang up."""
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Go on reading."""
        self._is_paused = False
        if self._connection is not None:
            self._connection.resume()

    # one life

    async def _live_once(self, deliver: Deliver) -> tuple[Ending, float]:
        """Connect and stay until the end; returns why, and the least pause asked for [s]."""
        self._enter("connecting")
        clock = asyncio.get_running_loop().time
        options = self._options
        session = DeribitSession(
            self._choice.channels(),
            now=clock(),
            rules=options.talk.session,
            credentials=self._credentials,
        )

        held: list[Frame] = []

        def hand_on(frame: Frame) -> None:
            if self._lost is not None:
                # the gap is told first: who is killed in between asks from the last print on
                held.append(frame)
                return
            self.state.last_us = frame.received_us  # of data: heartbeats tell nothing of the market
            deliver(frame)

        talk = Talk(
            session,
            self._choice,
            self._market,
            options.talk,
            deliver=hand_on,
            report=self._skipped,
            numbers=self._numbers,
        )

        def hear(payload: bytes) -> None:
            received_us = self._stamp()
            self._heard_at = clock()
            if held and self._lost is None:
                waiting, held[:] = list(held), []
                for frame in waiting:
                    hand_on(frame)
            talk.take(Frame(self.name, CHANNEL, received_us, payload), self._heard_at)
            if session.outbox or session.ending is not None:
                self._wake.set()

        ending, pause = await self._attempt(talk, hear)
        talk.flush(clock())
        if self._live_at is not None:
            self._backoff.lived(clock() - self._live_at)
            self.state.drops += 1
            since_us = max(self.state.last_us, self.state.since_us)
            self._lost = self._lost or (since_us, ending.reason)
        self._live_at = None
        self.state.confirmed = 0
        return ending, pause

    async def _attempt(self, talk: Talk, hear: OnMessage) -> tuple[Ending, float]:
        options = self._options
        try:
            async with open_connection(
                self._url,
                on_message=hear,
                ping_every=options.ping_seconds,
                silent_after=options.silent_seconds,
                connect_seconds=options.connect_seconds,
                linger_seconds=options.linger_seconds,
            ) as connection:
                self._connection = connection
                return await self._converse(connection, talk), 0.0
        except HandshakeRefusedError as error:
            is_full = error.status == _TOO_MANY_CONNECTIONS
            reason = "too_many_connections" if is_full else "refused"
            return Ending(reason, str(error)), error.retry_after_seconds
        except ConnectError as error:
            return Ending(error.reason, str(error)), 0.0
        finally:
            self._connection = None

    async def _converse(self, connection: Connection, talk: Talk) -> Ending:
        """Say what is to be said until the end; returns why it came."""
        session, clock = talk.session, asyncio.get_running_loop().time
        self._enter("authenticating")
        self._heard_at = clock()
        ended = asyncio.create_task(connection.closed())
        ended.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                self._wake.clear()
                if self._is_paused:
                    self._heard_at = clock()
                    talk.excuse(self._heard_at)
                    connection.pause()
                else:
                    talk.step(clock())
                self._send(connection, session)
                self._show(talk, clock())
                if session.ending is not None:
                    return session.ending
                if ended.done():
                    return _told(ended.result())
                if clock() - self._heard_at > self._options.silent_seconds:
                    return Ending("silent", "no message, not even a heartbeat: connecting anew")
                await self._rest()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    def _send(self, connection: Connection, session: DeribitSession) -> None:
        texts, session.outbox[:] = list(session.outbox), []
        for text in texts:
            connection.send(text)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._options.look_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    # what it says of itself

    def _show(self, talk: Talk, now: float) -> None:
        """Bring the state in line with the conversation; the moment of going live ends a gap."""
        state, channels = self.state, talk.session.channels
        state.wanted, state.confirmed = len(channels.wanted), len(channels.confirmed)
        state.refused = [f"{name}: {why}" for name, why in channels.refused.items()]
        if talk.session.is_live and self._live_at is None:
            self._live_at = now
            state.connects += 1
            state.problem = ""
            self._enter("live")
            self._end_gap()
        if self._live_at is not None:
            state.trouble = "; ".join(talk.troubles())
            self._complain(state.trouble)

    def _end_gap(self) -> None:
        if self._lost is not None:
            (since, reason), self._lost = self._lost, None
            self.on_gap(Gap(self.name, CHANNEL, since, self._stamp(), reason))

    def _skipped(self, since_us: int, until_us: int) -> None:
        """Report trades that were left out although the connection stood."""
        self.on_gap(Gap(self.name, CHANNEL, since_us, until_us, "sequence_gap"))

    def _complain(self, words: str) -> None:
        if words and words != self.state.problem:
            _LOG.warning("%s: %s", self.name, words)
        self.state.problem = words

    def _enter(self, phase: Phase) -> None:
        if phase != self.state.phase:
            self.state.phase, self.state.since_us = phase, self._stamp()

    def _stamp(self) -> int:
        """Return now, never earlier than before."""
        self._newest_us = max(self._newest_us, self._now_us())
        return self._newest_us


def market_of(lanes: Sequence[Underlying]) -> Market:
    """Return what Deribit lists of some underlyings.

    Raises
    ------
    NoDataError
        When that is nothing.
    """
    from dealer_assets.providers.deribit.families import families_of

    mine = [lane for lane in lanes if "deribit" in lane.vendor_symbols] or list(lanes)
    families = [family for lane in mine for family in families_of(lane)]
    return Market(
        roots=tuple(f.root.symbol for f in families),
        currencies=tuple(dict.fromkeys(f.currency for f in families)),
        coins=tuple(f.root.symbol for f in families if f.is_inverse),
    )


def _told(end: Ended) -> Ending:
    """Return how a connection ended as the feed speaks of it."""
    if end.cause == "closed" and end.code == _HEARTBEAT_CLOSE:
        return Ending("heartbeat", f"closed by the venue, code {end.code} {end.reason!r}")
    said = f", code {end.code} {end.reason!r}" if end.was_clean else f" {end.reason}"
    return Ending(end.cause, f"the connection ended: {end.cause}{said}".rstrip())

"""Polygon's live feed: all option trades, the chosen quotes, and the values of indices.

Belongs here: which channels there are, what is wanted of each, what the feed says of itself. Does
not belong here: a connection's life (`line`), the choice of quotes (`rotation`), data
(`decode`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr

from dealer_assets.domain import sessions
from streaming.core.listing import Listing
from streaming.feeds.base import Deliver, Feed, FeedRefusedError, Gap, Phase
from streaming.feeds.polygon.line import Line, LineOptions
from streaming.feeds.rotation import Rotation

OPTIONS, INDICES = "options", "indices"
TRADES = "T.*"

_DELAY, _SETTLING = timedelta(minutes=15), timedelta(minutes=1)

_LIVELINESS: tuple[Phase, ...] = (
    "stopped",
    "idle",
    "waiting",
    "connecting",
    "authenticating",
    "live",
)


@dataclass(frozen=True)
class PolygonOptions:
    """How the feed behaves; tests shorten the times.

    Parameters
    ----------
    line : LineOptions
        Of each connection.
    turn_seconds : float
        How long the contracts that are quoted in turns stay.
    follow_seconds : float
        Least time between two choices of quotes, however spot moves.
    expects_data : callable, optional
        Tells for a channel and an instant [microseconds since 1970] whether data should come; from
        a minute after the open to the close of the lanes' sessions by default.
    again_seconds : float
        After which a refused channel that the feed can do without is tried again.
    """

    line: LineOptions = field(default_factory=LineOptions)
    turn_seconds: float = 10.0
    follow_seconds: float = 3.0
    expects_data: Callable[[str, int], bool] | None = None
    again_seconds: float = 600.0


class PolygonFeed(Feed):
    """Trades and quotes of the ``options`` cluster, values of the ``indices`` cluster.

    The clusters are separate connections with separate plans. Without the second one spot of the
    indices comes from put-call parity, like that of ETFs, which the options cluster has not either;
    `FeedState.refused` says so. Without the first one there is no feed.

    Parameters
    ----------
    url : str
        Host, e.g. ``wss://socket.polygon.io``.
    key : SecretStr
        Polygon's key.
    listing : Listing
        The desk's contracts.
    quoted : Rotation
        Chooses whose quotes are subscribed.
    now_us : callable
        The clock, microseconds since 1970.
    options : PolygonOptions
        Times.
    """

    name = "polygon"

    def __init__(
        self,
        *,
        url: str,
        key: SecretStr,
        listing: Listing,
        quoted: Rotation,
        now_us: Callable[[], int],
        options: PolygonOptions | None = None,
    ) -> None:
        super().__init__()
        self._url, self._key, self._listing = url.rstrip("/"), key, listing
        self._quoted, self._now_us = quoted, now_us
        self._options = options or PolygonOptions()
        self._expects_data = self._options.expects_data or market_hours(
            listing, delay=socket_delay(url)
        )
        self._last_us = 0
        self._spots: dict[str, float] = {}
        self._followed: dict[str, float] = {}
        self._turn = -1
        self._chosen: list[str] = []
        self._chosen_us = 0
        self._notes = self._spot_notes()
        self._refusals: dict[str, str] = {}  # by channel that was given up for a while
        self._lines = {OPTIONS: self._line(OPTIONS, (TRADES,), self._quotes)}
        indices = tuple(f"V.{ticker}" for ticker in self._index_tickers())
        if indices:
            self._lines[INDICES] = self._line(INDICES, indices, lambda anew: () if anew else None)

    def follow(self, spots: dict[str, float]) -> None:
        """Take note of spot [USD] by underlying: quotes are chosen around it."""
        self._spots.update(spots)

    def pause(self) -> None:
        """Read nothing until resumed; the venue has to wait, and will hang up in the end."""
        for line in self._lines.values():
            line.pause()

    def resume(self) -> None:
        """Read again."""
        for line in self._lines.values():
            line.resume()

    async def run(self, deliver: Deliver) -> None:
        """Deliver both channels' messages until cancelled.

        Raises
        ------
        FeedRefusedError
            When Polygon refuses the key or the plan of the options cluster for good.
        """
        self._turn = -1
        tasks = [
            asyncio.create_task(self._hold(line, deliver), name=f"polygon-{channel}")
            for channel, line in self._lines.items()
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, line: Line, deliver: Deliver) -> None:
        """Hold a channel; one with a plan of its own costs precision when refused, not the feed."""
        while True:
            try:
                await line.run(deliver)
            except FeedRefusedError as error:
                if line.channel == OPTIONS:
                    raise
                self._refusals[line.channel] = str(error)
                self._summarise()
            await asyncio.sleep(self._options.again_seconds)

    def _line(
        self,
        channel: str,
        essentials: tuple[str, ...],
        quotes: Callable[[bool], Sequence[str] | None],
    ) -> Line:
        return Line(
            feed=self.name,
            channel=channel,
            url=f"{self._url}/{channel}",
            key=self._key,
            essentials=essentials,
            quotes=quotes,
            stamp=self._stamp,
            expects_data=lambda now_us: self._expects_data(channel, now_us),
            on_gap=self._tell_gap,
            on_change=self._summarise,
            options=self._options.line,
        )

    def _tell_gap(self, gap: Gap) -> None:
        self.on_gap(gap)

    def _stamp(self) -> int:
        """Return now; one clock for both channels, which never goes back."""
        self._last_us = max(self._last_us, self._now_us())
        return self._last_us

    # what is wanted

    def _index_tickers(self) -> list[str]:
        tickers = (lane.vendor_symbols.get("polygon", "") for lane in self._listing.lanes)
        return [ticker for ticker in tickers if ticker.startswith("I:")]

    def _spot_notes(self) -> list[str]:
        return [
            f"spot of {lane.symbol}: not in the options cluster, taken from put-call parity"
            for lane in self._listing.lanes
            if not lane.vendor_symbols.get("polygon", "").startswith("I:")
        ]

    def _quotes(self, anew: bool) -> Sequence[str] | None:
        """Return the quotes that are wanted when turn or spot have moved on, else None."""
        now_us = self._stamp()
        turn = int(now_us // (self._options.turn_seconds * 1e6))
        moved = self._spots != self._followed
        waited = now_us - self._chosen_us >= self._options.follow_seconds * 1e6
        if turn != self._turn or (moved and waited):
            self._turn, self._followed, self._chosen_us = turn, dict(self._spots), now_us
            rows = self._quoted.choose(self._spots, now_us=now_us, turn=turn)
            symbols = self._listing.symbols
            self._chosen = [f"Q.O:{symbols[row]}" for row in rows.tolist()]
        elif not anew:
            return None
        return self._chosen

    # what it says of itself

    def _summarise(self) -> None:
        """Bring `state` in line with the connections."""
        for channel, line in self._lines.items():
            if line.state.phase == "live":
                self._refusals.pop(channel, None)
        states = [line.state for line in self._lines.values()]
        counted = [line.state for line in self._lines.values() if not self._is_refused(line)]
        least = min(counted or states, key=lambda one: _LIVELINESS.index(one.phase))
        state = self.state
        state.phase, state.since_us = least.phase, least.since_us
        state.last_us = max(one.last_us for one in states)
        state.connects = sum(one.connects for one in states)
        state.drops = sum(one.drops for one in states)
        state.wanted = sum(one.wanted for one in states)
        state.confirmed = sum(one.confirmed for one in states)
        state.notes = [*self._notes, *self._refusal_notes()]
        state.refused = list(state.notes)
        state.refused += [words for one in states for words in one.refused]
        state.problem = "; ".join(one.problem for one in states if one.problem)
        state.trouble = "; ".join(one.trouble for one in states if one.trouble)

    def _is_refused(self, line: Line) -> bool:
        return line.channel in self._refusals

    def _refusal_notes(self) -> list[str]:
        return [
            f"{channel}: {words}; spot of indices is taken from put-call parity meanwhile"
            for channel, words in self._refusals.items()
        ]


def socket_delay(url: str) -> timedelta:
    """Return how late a host sends: the delayed one a quarter of an hour, by its name."""
    return _DELAY if "delayed" in url else timedelta(0)


def market_hours(listing: Listing, *, delay: timedelta) -> Callable[[str, int], bool]:
    """Return a test of whether any lane's session goes on: from a minute after its open.

    Parameters
    ----------
    listing : Listing
        The lanes and their sessions.
    delay : datetime.timedelta
        How much later the host sends.
    """
    spans = []
    for lane in listing.lanes:
        day = listing.sessions[lane.symbol]
        opened = sessions.session_open(lane.calendar, day) + delay + _SETTLING
        closed = sessions.session_close(lane.calendar, day) + delay
        spans.append((opened.timestamp() * 1e6, closed.timestamp() * 1e6))
    return lambda _, now_us: any(first <= now_us < last for first, last in spans)

"""A moving simulated market behind Polygon's WebSocket, and a feed that listens to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from pydantic import SecretStr

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.polygon_ws import Limits
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World
from streaming.core.events import Frame
from streaming.core.listing import Listing
from streaming.feeds.backoff import Backoff
from streaming.feeds.base import Gap
from streaming.feeds.polygon.feed import PolygonFeed, PolygonOptions
from streaming.feeds.polygon.line import LineOptions
from streaming.feeds.polygon.session import SessionTimes
from streaming.feeds.rotation import Rotation

NOON = datetime(2026, 9, 15, 16, 0, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
DAY = date(2026, 9, 15)
CAP = 30
PREFIX = "polygon_ws_"
COOLDOWN = 0.15

HASTY = LineOptions(
    times=SessionTimes(
        greeting_seconds=0.5,
        auth_seconds=2.0,
        ack_seconds=0.3,
        mute_seconds=0.6,
        pace_seconds=0.002,
    ),
    connect_seconds=5.0,
    ping_seconds=0.1,
    silent_seconds=3.0,
    linger_seconds=0.1,
    quiet_seconds=60.0,
    look_seconds=0.02,
    backoff=lambda: Backoff(first_seconds=0.01, most_seconds=0.05, cooldown_seconds=COOLDOWN),
)


@cache
def listing() -> Listing:
    provider, lanes = SimulatorProvider(seed=7, density=0.15), [underlying("XSP")]
    listed = provider.listing(lanes[0], session_date=DAY).rows
    return Listing.of(lanes, listed, provider.open_interest(lanes[0], session_date=DAY).rows)


@dataclass
class Heard:
    """A running feed, and what it delivered."""

    feed: PolygonFeed
    task: asyncio.Task[None] | None = None
    frames: list[Frame] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)

    def payloads(self, channel: str = "options") -> list[bytes]:
        return [frame.payload for frame in self.frames if frame.channel == channel]

    def count(self, what: bytes) -> int:
        return sum(what in payload for payload in self.payloads())

    async def until(self, happened: Callable[[Heard], bool], seconds: float = 60.0) -> None:
        """Wait for something; fails at once when the feed ends before."""
        assert self.task is not None
        try:
            async with asyncio.timeout(seconds):
                while not happened(self):  # the feed sets no event
                    if self.task.done():
                        self.task.result()
                    await asyncio.sleep(0.003)
        except TimeoutError:
            pytest.fail(f"did not happen; {self.feed.state}, {len(self.frames)} frames")

    async def until_live(self) -> None:
        await self.until(lambda h: h.feed.state.phase == "live")

    async def until_data(self, more: int = 1) -> None:
        before = self.count(b'"T"')
        await self.until(lambda h: h.count(b'"T"') >= before + more)


@dataclass
class Exchange:
    """A running exchange whose market moves."""

    world: World
    url: str

    def arm(self, name: str, **options: Any) -> None:
        self.world.faults.arm(PREFIX + name, **options)

    @asynccontextmanager
    async def feed(
        self,
        *,
        key: str = KEY,
        url: str = "",
        cap: int = CAP,
        clock: Callable[[], int] | None = None,
        expects: Callable[[str, int], bool] = lambda channel, _: channel == "options",
        turn_seconds: float = 1e6,
        contracts: Listing | None = None,
        **line: Any,
    ) -> AsyncIterator[Heard]:
        began, contracts = time.monotonic_ns(), contracts or listing()
        options = PolygonOptions(
            line=replace(HASTY, **line),
            turn_seconds=turn_seconds,
            follow_seconds=0.02,
            expects_data=expects,
            again_seconds=0.2,
        )
        feed = PolygonFeed(
            url=url or self.url,
            key=SecretStr(key),
            listing=contracts,
            quoted=Rotation(contracts, cap=cap),
            now_us=clock or (lambda: NOON_US + (time.monotonic_ns() - began) // 1000),
            options=options,
        )
        heard = Heard(feed)
        feed.on_gap = heard.gaps.append
        heard.task = asyncio.create_task(feed.run(heard.frames.append))
        try:
            yield heard
        finally:
            heard.task.cancel()
            await asyncio.gather(heard.task, return_exceptions=True)


@contextmanager
def exchange(**limits: Any) -> Iterator[Exchange]:
    options: dict[str, Any] = {"tick_seconds": 0.005, "underlyings": ("XSP",)} | limits
    world = World(VirtualClock(NOON, speed=120.0), options=(Limits(**options),))
    with running(world) as url:
        yield Exchange(world, url.replace("http", "ws", 1))


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def assert_in_order(heard: Heard) -> None:
    """Times never decrease across channels, and gaps begin where the last message was."""
    times = [frame.received_us for frame in heard.frames]
    assert times == sorted(times)
    for gap in heard.gaps:
        # it begins with the last message, or with going live where none came after that, and may
        # overlap what comes with the acknowledgements of the next connection: never too short
        mine = [f.received_us for f in heard.frames if f.channel == gap.channel]
        before = max((at for at in mine if at <= gap.from_us), default=gap.from_us)
        assert before <= gap.from_us <= gap.until_us

"""The real runtime inside a test: everything but the process, its times made short.

Belongs here: starting, watching and ending it. Does not belong here: the market (`chaos_market`),
processes that are killed (`chaos_kills`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import streaming.feeds.deribit.feed
import streaming.feeds.polygon.feed
import streaming.feeds.polygon.fill
import streaming.process.desk_life
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.settings import Settings, settings
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.chaos_market import ExchangeClock, Market, patient_filler
from dealer_assets_tests.streaming.deribit_market import OPTIONS as HASTY_DERIBIT
from dealer_assets_tests.streaming.polygon_market import HASTY as HASTY_LINE
from streaming.desk.session import Pace, Session
from streaming.feeds.deribit.feed import DeribitFeed, DeribitOptions
from streaming.feeds.polygon.feed import PolygonFeed, PolygonOptions
from streaming.process.desk_life import Choice
from streaming.process.runtime import Runtime
from streaming.process.supervisor import Patience

QUICK = Patience(
    crashes=5, window_seconds=60.0, first_delay_seconds=0.01, longest_delay_seconds=0.1
)
FILL_PAUSE_SECONDS = 0.2


@contextmanager
def hasty(monkeypatch: pytest.MonkeyPatch, **line: Any) -> Iterator[None]:
    """Shorten the times of feeds and backfills, which settings do not reach."""
    polygon = PolygonOptions(line=replace(HASTY_LINE, **line), again_seconds=0.3)

    def deribit(*, options: DeribitOptions, **given: Any) -> DeribitFeed:
        talk = replace(HASTY_DERIBIT.talk, tickers=options.talk.tickers)
        known = {name: line[name] for name in ("silent_seconds",) if name in line}
        return DeribitFeed(options=replace(HASTY_DERIBIT, talk=talk, **known), **given)

    with monkeypatch.context() as patch:
        patch.setattr(
            streaming.feeds.polygon.feed, "PolygonFeed", partial(PolygonFeed, options=polygon)
        )
        patch.setattr(streaming.feeds.deribit.feed, "DeribitFeed", deribit)
        patch.setattr(
            streaming.process.desk_life,
            "Pace",
            partial(Pace, fill_pause_seconds=FILL_PAUSE_SECONDS),
        )
        yield


def share_clock(patch: pytest.MonkeyPatch, clock: ExchangeClock) -> None:
    """Let the provider, which asks the machine, know the exchange's time."""
    defaults = PolygonProvider.__init__.__kwdefaults__
    patch.setitem(defaults, "clock", lambda: datetime.fromtimestamp(clock.now_us() / 1e6, UTC))


@dataclass
class Process:
    """A runtime at work."""

    market: Market
    runtime: Runtime
    clock: ExchangeClock
    task: asyncio.Task[int]

    @property
    def session(self) -> Session:
        """The session under way."""
        found = self.runtime.desks[0].session
        assert found is not None
        return found

    @property
    def health(self) -> dict[str, Any]:
        return self.runtime.health()

    @property
    def trades(self) -> int:
        """Trades used since the session was opened."""
        return self.session.desk.counts.trades

    async def until(self, happened: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for something; fails at once when the process ends before."""
        try:
            async with asyncio.timeout(seconds):
                while not happened():
                    if self.task.done():
                        pytest.fail(f"the process ended: {self.runtime.supervisor.reason}")
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pytest.fail(f"did not happen; {self.health}")

    async def until_live(self) -> None:
        await self.until(lambda: self.runtime.desks[0].session is not None, seconds=60.0)
        await self.until(lambda: self.session.feed.state.phase == "live")

    async def until_trades(self, more: int = 20) -> None:
        """Wait until so many more trades were used."""
        before = self.trades
        await self.until(lambda: self.trades >= before + more)

    async def until_whole(self) -> None:
        """Wait until the feed is live and something became of every gap."""
        await self.until_live()
        async with asyncio.timeout(180.0):  # a dozen gaps, each asked for in a minute of its own
            await self.session.gaps_filled()
        await self.session.inbox.emptied()

    async def ended(self) -> int:
        """Ask for the end and return the exit code."""
        self.runtime.supervisor.stop("the test is over")
        return await asyncio.wait_for(self.task, 60.0)


@asynccontextmanager
async def process(
    market: Market, *, clock: ExchangeClock | None = None, own: Settings | None = None, **given: Any
) -> AsyncIterator[Process]:
    """Run the runtime against a market; the settings are the environment's."""
    clock = clock or ExchangeClock(market.world.clock)
    choice = Choice(lanes=(underlying(market.symbol),))
    given = {"patience": QUICK, "heartbeat_seconds": 0.1} | given
    runtime = Runtime(own or settings(), choice, **given)
    runtime.wall = clock
    running = Process(market, runtime, clock, asyncio.create_task(runtime.run()))
    try:
        yield running
    finally:
        if not running.task.done():
            runtime.supervisor.stop("the test is over")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running.task}, timeout=60.0)


def configured(market: Market, data: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Point the settings at the market and a folder."""
    clock = ExchangeClock(market.world.clock)
    share_clock(monkeypatch, clock)
    monkeypatch.setattr(streaming.feeds.polygon.fill, "PolygonFiller", patient_filler(clock))
    for name, value in (market.environment(data) | more).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()

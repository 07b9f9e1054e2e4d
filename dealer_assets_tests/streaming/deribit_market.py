"""A Deribit feed at work against the test exchange.

Belongs here: starting one, waiting for it, what it should have received. Does not belong here:
tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.deribit_client import NOW, Exchange, ms, trades
from streaming.core.events import TRADE, Decoded, Frame
from streaming.core.listing import Listing
from streaming.feeds.backoff import Backoff
from streaming.feeds.base import Gap
from streaming.feeds.deribit.calls import SessionRules
from streaming.feeds.deribit.decode import DeribitDecoder
from streaming.feeds.deribit.feed import DeribitFeed, DeribitOptions
from streaming.feeds.deribit.messages import number_of
from streaming.feeds.deribit.session import Credentials
from streaming.feeds.deribit.wishes import TalkOptions

BTC = underlying("BTC")
KEY = Credentials(SecretStr(rules.CLIENT_ID), SecretStr(rules.CLIENT_SECRET))
TALK = TalkOptions(
    tickers=3,
    choose_seconds=0.2,
    summary_seconds=0.1,
    pulse_seconds=5.0,
    gap_seconds=0.0,
    session=SessionRules(answer_seconds=5.0, retry_seconds=0.02, calls_per_second=100.0),
)
OPTIONS = DeribitOptions(
    talk=TALK,
    silent_seconds=60.0,
    linger_seconds=0.2,
    look_seconds=0.01,
    backoff=lambda: Backoff(first_seconds=0.02, most_seconds=0.05, cooldown_seconds=0.02),
)


class Run:
    """A feed at work."""

    def __init__(self, market: Exchange, options: DeribitOptions, **given: Any) -> None:
        self.market = market
        self.feed = DeribitFeed(
            url=market.url.replace("http", "ws", 1) + rules.WS_PATH,
            lanes=[underlying("SPX"), BTC],
            now_us=lambda: time.time_ns() // 1000,
            options=options,
            **given,
        )
        self.frames: list[Frame] = []
        self.gaps: list[Gap] = []
        self.feed.on_gap = self.gaps.append
        self.task = asyncio.create_task(self.feed.run(self.frames.append))

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait for something to come true; fails when the feed ends before."""
        async with asyncio.timeout(120.0):
            while not found():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)

    async def live(self, connects: int = 1) -> None:
        await self.until(lambda: self.feed.state.connects >= connects)

    async def tape(self, seconds: float) -> None:
        """Let the market go on and wait until it has all been sent."""
        self.market.pass_time(seconds)
        stamp = f'"timestamp":{ms(self.market.world.clock.now()) // 1000 * 1000},'.encode()
        await self.until(
            lambda: any(b'"deribit_price_index' in f.payload and stamp in f.payload for f in self)
        )

    def __iter__(self) -> Iterator[Frame]:
        return reversed(self.frames)

    def decoded(self, **given: Any) -> Decoded:
        """Decode as the pipeline does: list what is new, then again."""
        empty = tables.LISTED_CONTRACTS.schema.empty_table()
        book = self.book = Listing.of((BTC,), empty, sessions_of={"BTC": NOW.date()})
        decoder = DeribitDecoder(book, **given)
        book.add(decoder.decode(self.frames).unlisted)
        return decoder.decode(self.frames)

    def numbers(self) -> list[tuple[str, int]]:
        """Option and number of the trades received, in order: numbers are unique by currency."""
        events = self.decoded().events
        prints = events.take(events.kind == TRADE)
        pairs = zip(prints.contract.tolist(), prints.number.tolist(), strict=True)
        return [(self.book.symbols[row], number) for row, number in pairs]

    def channels(self) -> set[str]:
        found = [f.payload.partition(b'"channel":"')[2].partition(b'"')[0] for f in self.frames]
        return {channel.decode() for channel in found}


@asynccontextmanager
async def running(
    market: Exchange, options: DeribitOptions = OPTIONS, **given: Any
) -> AsyncIterator[Run]:
    run = Run(market, options, **given)
    try:
        yield run
    finally:
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)
        assert run.feed.state.phase == "stopped"


def expected(market: Exchange, since_s: float, until_s: float) -> list[tuple[str, int]]:
    """Option and number of the tape's trades in options of BTC, settled in coin or USDC."""
    found = []
    for currency in ("BTC", "USDC"):
        first, last = (ms(NOW + timedelta(seconds=s)) for s in (since_s, until_s))
        asked = {"start_timestamp": first + 1, "end_timestamp": last}
        page = trades(market, currency=currency, **asked)
        assert not page["has_more"]
        found += [(t["instrument_name"], number_of(t["trade_id"])) for t in page["trades"]]
    assert found
    return sorted(found)

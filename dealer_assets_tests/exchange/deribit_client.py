"""Clients of the test exchange's Deribit, for tests.

Belongs here: asking over HTTP and WebSocket, and the market's own tape to hold answers against.
Does not belong here: tests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.deribit_rules import Limits
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

NOW = datetime(2026, 9, 15, 14, 0, 30, tzinfo=UTC)
EXPIRY = datetime(2026, 9, 15, 8, 0, tzinfo=UTC)
DAY_MS = 86_400_000
NEAR = "BTC-30OCT26-84000-C"
Body = dict[str, Any]


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@dataclass
class Exchange:
    """A running exchange, asked over HTTP."""

    world: World
    url: str
    http: httpx.Client

    def arm(self, name: str, **options: Any) -> None:
        self.world.faults.arm(f"deribit_{name}", **options)

    def pass_time(self, seconds: float) -> None:
        self.world.clock.set(self.world.clock.now() + timedelta(seconds=seconds))

    def ask(self, method: str, *, host: str = rules.REST_PATH, **params: Any) -> httpx.Response:
        return self.http.get(f"{host}/public/{method}", params=params)

    def get(self, method: str, **params: Any) -> Any:
        answer = self.ask(method, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def error(self, method: str, **params: Any) -> tuple[int, int]:
        answer = self.ask(method, **params)
        return answer.status_code, answer.json()["error"]["code"]

    @asynccontextmanager
    async def session(self, **options: Any) -> AsyncIterator[Session]:
        timeout = aiohttp.ClientWSTimeout(ws_close=0.2)
        url = self.url.replace("http", "ws", 1) + rules.WS_PATH
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, timeout=timeout, max_msg_size=0, **options) as ws,
        ):
            yield Session(ws)


@dataclass
class Session:
    """One WebSocket session, and what came over it."""

    ws: aiohttp.ClientWebSocketResponse
    frames: list[Body] = field(default_factory=list)
    sent: int = 0

    async def send(self, method: str, **params: Any) -> int:
        self.sent += 1
        request = {"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params}
        await self.ws.send_str(json.dumps(request))
        return self.sent

    async def call(self, method: str, **params: Any) -> Body:
        """Send a request and return the reply with its id."""
        number = await self.send(method, **params)
        return await self.frame(lambda frame: frame.get("id") == number)

    async def frame(self, wanted: Callable[[Body], bool]) -> Body:
        """Return the next frame of a kind; fails when the connection ends first."""
        async with asyncio.timeout(60.0):
            while True:
                message = await self.ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{message}, after {self.frames}"
                self.frames.append(json.loads(message.data))
                if wanted(self.frames[-1]):
                    return self.frames[-1]

    async def subscribe(self, *channels: str) -> list[str]:
        reply = await self.call("public/subscribe", channels=list(channels))
        accepted: list[str] = reply["result"]
        return accepted

    async def data(self, channel: str) -> Any:
        """Return the data of the next notification of a channel."""
        frame = await self.frame(lambda f: f.get("params", {}).get("channel") == channel)
        return frame["params"]["data"]

    async def collect(self, count: int, *channels: str) -> list[Any]:
        """Return the data of the next notifications of some channels, lists of trades joined."""
        found: list[Any] = []
        while len(found) < count:
            frame = await self.frame(lambda f: f.get("params", {}).get("channel") in channels)
            data = frame["params"]["data"]
            found += data if isinstance(data, list) else [data]
        return found

    async def hear(self, seconds: float = 0.15) -> list[Body]:
        """Read for a while."""
        before = len(self.frames)
        try:
            async with asyncio.timeout(seconds):
                await self.frame(lambda _: False)
        except TimeoutError:
            pass
        return self.frames[before:]

    async def closed(self) -> int | None:
        """Read until the connection ends; returns its close code (None or 1006: none was sent)."""
        async with asyncio.timeout(60.0):
            while True:
                message = await self.ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return self.ws.close_code
                self.frames.append(json.loads(message.data))


@contextmanager
def exchange(*, now: datetime = NOW, speed: float = 0.0, **limits: Any) -> Iterator[Exchange]:
    options = {"tick_seconds": 0.01, "instruments_burst": 1_000.0, "credits": 1e9} | limits
    world = World(VirtualClock(now, speed=speed), options=(Limits(**options),))
    with running(world) as url, httpx.Client(base_url=url, timeout=60.0) as http:
        yield Exchange(world, url, http)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the talk of a test."""
    asyncio.run(test())


@lru_cache(maxsize=2)
def whole_tape(day: date) -> pa.Table:
    provider = SimulatorProvider(seed=7, density=0.15)
    return provider.trades(underlying("BTC"), session_date=day).rows


def tape(first: datetime, last: datetime) -> list[Body]:
    """The simulator's trades from one instant to another of the same day."""
    table = whole_tape(first.date())
    at = table["event_at"]
    within = pc.and_(pc.greater_equal(at, first), pc.less_equal(at, last))
    rows: list[Body] = table.filter(within).to_pylist()
    return rows


def trades(market: Exchange, **params: Any) -> Body:
    """Return `get_last_trades_by_currency_and_time` of BTC options, unless told otherwise."""
    asked = {"currency": "BTC", "kind": "option", "count": 1000} | params
    found: Body = market.get("get_last_trades_by_currency_and_time", **asked)
    return found

"""Polygon's WebSocket of the test exchange against recorded frames and measured behaviour."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from aiohttp import web

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.polygon_ws import Limits
from dealer_assets_tests.exchange.server import build, running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

NOON = datetime(2026, 9, 15, 16, 0, tzinfo=UTC)
DAY = date(2026, 9, 15)
Event = dict[str, Any]


@dataclass
class Exchange:
    """A running exchange, and clients of it."""

    world: World
    url: str

    def arm(self, name: str, **options: Any) -> None:
        self.world.faults.arm(f"polygon_ws_{name}", **options)

    def pass_time(self, seconds: float) -> None:
        self.world.clock.set(self.world.clock.now() + timedelta(seconds=seconds))

    @asynccontextmanager
    async def connect(self, path: str = "/options", **options: Any) -> AsyncIterator[Client]:
        timeout = aiohttp.ClientWSTimeout(ws_close=0.2)
        async with (
            aiohttp.ClientSession(**options) as session,
            session.ws_connect(self.url + path, timeout=timeout, autoping=False) as ws,
        ):
            yield Client(ws)

    @asynccontextmanager
    async def subscribed(
        self, params: str, path: str = "/options", key: str = KEY, **options: Any
    ) -> AsyncIterator[Client]:
        """A client that has been told that all of its params are confirmed."""
        async with self.connect(path, **options) as client:
            await client.log_in(key)
            await client.subscribe(params)
            count = len(params.split(","))
            await client.until(lambda c: len(c.statuses("success")) == count + 1)
            yield client


@dataclass
class Client:
    """One connection, and what came over it."""

    ws: aiohttp.ClientWebSocketResponse
    frames: list[Any] = field(default_factory=list)

    async def log_in(self, key: str = KEY) -> None:
        await self.say("auth", key)
        await self.until(lambda c: any(e.get("status") == "auth_success" for e in c.events()))

    async def say(self, action: str, params: str) -> None:
        await self.ws.send_json({"action": action, "params": params})

    async def subscribe(self, params: str) -> None:
        await self.say("subscribe", params)

    async def until(self, happened: Callable[[Client], bool]) -> None:
        """Read until something has happened; fails when the connection ends or says too little."""
        async with asyncio.timeout(60.0):
            while not happened(self):
                message = await self.ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{message}, after {self.frames}"
                self.frames.append(json.loads(message.data))

    async def hear(self, seconds: float = 0.15) -> list[Event]:
        """Read for a while; returns the events that came."""
        before = len(self.events())
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self.ws.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    self.frames.append(json.loads(message.data))
        except TimeoutError:
            pass
        return self.events()[before:]

    async def closed(self) -> int | None:
        """Read until the connection ends; returns its close code (None or 1006: none was sent)."""
        async with asyncio.timeout(60.0):
            while True:
                message = await self.ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return self.ws.close_code
                self.frames.append(json.loads(message.data))

    def events(self) -> list[Event]:
        return [event for frame in self.frames for event in frame]

    def data(self, kind: str) -> list[Event]:
        return [event for event in self.events() if event["ev"] == kind]

    def statuses(self, status: str) -> list[str]:
        found = [e for e in self.data("status") if e["status"] in (status, f"auth_{status}")]
        return [event["message"] for event in found]


@contextmanager
def exchange(*, now: datetime = NOON, speed: float = 0.0, **limits: Any) -> Iterator[Exchange]:
    options: dict[str, Any] = {"tick_seconds": 0.01, "underlyings": ("XSP",)} | limits
    world = World(VirtualClock(now, speed=speed), options=(Limits(**options),))
    with running(world) as url:
        yield Exchange(world, url.replace("http", "ws", 1))


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    with exchange() as found:
        yield found


@pytest.fixture
def market(shared: Exchange) -> Exchange:
    """An exchange whose clock stands at noon, with the default limits and no fault."""
    shared.world.clock.set(NOON)
    shared.world.faults.clear()
    return shared


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@lru_cache(maxsize=1)
def whole_tape() -> pa.Table:
    provider = SimulatorProvider(seed=7, density=0.15)
    return provider.trades(underlying("XSP"), session_date=DAY).rows


def tape(first: datetime, last: datetime) -> list[Event]:
    """The simulator's trades in (first, last]."""
    return part_of_tape(first, last).to_pylist()


def part_of_tape(first: datetime, last: datetime) -> pa.Table:
    at = whole_tape()["event_at"]
    return whole_tape().filter(pc.and_(pc.greater(at, first), pc.less_equal(at, last)))


def as_sent(row: Event) -> tuple[Any, ...]:
    return (
        f"O:{row['symbol']}",
        int(row["event_at"].timestamp() * 1000),
        row["price"],
        row["size_contracts"],
        row["sequence"],
    )


def as_received(event: Event) -> tuple[Any, ...]:
    return event["sym"], event["t"], event["p"], event["s"], event["q"]


@lru_cache(maxsize=1)
def busy_contract() -> str:
    """The contract that trades most in the minute after noon."""
    counts = Counter(row["symbol"] for row in tape(NOON, NOON + timedelta(seconds=60)))
    return f"O:{counts.most_common(1)[0][0]}"


# the conversation


def recorded(shared_samples: Path) -> list[list[Event]]:
    path = shared_samples / "polygon" / "recorded" / "ws_status_frames_recorded.jsonl"
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_status_frames_are_the_recorded_ones(market: Exchange, shared_samples: Path) -> None:
    frames = recorded(shared_samples)

    async def talk() -> None:
        async with market.connect() as client:
            await client.log_in()
            assert client.frames == frames[:2]
            await client.subscribe("A.AAPL,FMV.O:XSP261218C00700000")
            await client.until(lambda c: len(c.events()) == 4)
            assert client.events()[2:] == frames[2] + frames[4]
            await client.say("unsubscribe", "A.AAPL")
            await client.until(lambda c: len(c.events()) == 5)
            message = frames[5][0]["message"].replace("XT.BTC-USD", "A.AAPL")
            assert client.events()[4] == frames[5][0] | {"message": message}
            market.arm("max_connections")
            await client.subscribe("T.*")
            assert await client.closed() == 1008
            assert client.events()[-1] == frames[3][0]

    run(talk)


def test_bad_key_is_refused_and_closed(market: Exchange) -> None:
    async def talk() -> None:
        async with market.connect() as client:
            await client.say("auth", "wrong")
            await client.closed()
            assert client.events()[-1]["status"] == "auth_failed"

    run(talk)


def test_who_does_not_authenticate_in_time_is_closed() -> None:
    with exchange(auth_seconds=0.1) as market:

        async def talk() -> None:
            async with market.connect() as client:
                await client.closed()
                assert client.events()[-1]["status"] == "auth_timeout"

        run(talk)


def test_a_channel_outside_the_plan_is_refused_unnamed_and_others_confirmed(
    market: Exchange,
) -> None:
    async def talk() -> None:
        async with market.connect("/delayed/options") as client:
            await client.log_in()
            await client.subscribe("T.*,Q.O:XSP261218C00700000,AM.*")
            await client.until(lambda c: len(c.statuses("success")) == 3)
            assert client.statuses("error") == ["not authorized"]
            assert client.statuses("success")[1:] == ["subscribed to: T.*", "subscribed to: AM.*"]

    run(talk)


def test_unknown_channels_and_repetitions_are_not_answered_unknown_symbols_are_confirmed(
    market: Exchange,
) -> None:
    async def talk() -> None:
        async with market.connect() as client:
            await client.log_in()
            await client.subscribe("X.*")
            await client.subscribe("V.I:SPX")
            await client.subscribe("T.O:NOPE261218C00700000")
            await client.subscribe("T.O:NOPE261218C00700000")
            await client.until(lambda c: len(c.statuses("success")) == 2)
            market.pass_time(60.0)
            assert await client.hear() == []
            assert client.statuses("success")[1:] == ["subscribed to: T.O:NOPE261218C00700000"]

    run(talk)


def test_a_delayed_key_on_the_real_time_host_gets_neither_ack_nor_data(market: Exchange) -> None:
    async def talk() -> None:
        async with market.connect() as client:
            await client.log_in(DELAYED_KEY)
            await client.subscribe("T.*")
            market.pass_time(60.0)
            assert await client.hear() == []

    run(talk)


def test_the_delayed_host_sends_what_was_fifteen_minutes_ago(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*", "/delayed/options", DELAYED_KEY) as client:
            market.pass_time(60.0)
            then = NOON - timedelta(minutes=15)
            expected = [as_sent(row) for row in tape(then, then + timedelta(seconds=60))]
            await client.until(lambda c: len(c.data("T")) >= len(expected))
            assert [as_received(event) for event in client.data("T")] == expected

    run(talk)


def test_the_cap_sends_the_older_connection_away_after_the_newer_has_subscribed(
    market: Exchange,
) -> None:
    async def talk() -> None:
        async with (
            market.subscribed("T.*") as older,
            market.connect("/delayed/options") as newer,
        ):
            await newer.log_in()
            assert await older.hear() == []  # authenticating alone costs nobody anything
            await newer.subscribe("T.*")
            await newer.until(lambda c: len(c.statuses("success")) == 2)
            assert await older.closed() == 1008
            assert older.events()[-1]["status"] == "max_connections"
            async with market.subscribed("V.I:SPX", "/indices"):  # another cluster
                assert await newer.hear() == []

    run(talk)


def test_sometimes_the_newer_connection_is_the_one_sent_away(market: Exchange) -> None:
    market.arm("newest_goes")

    async def talk() -> None:
        async with market.subscribed("T.*") as older, market.subscribed("A.*") as newer:
            assert await newer.closed() == 1008
            assert await older.hear() == []

    run(talk)


def test_quotes_are_capped_and_have_no_wildcard() -> None:
    with exchange(quotes_per_connection=3) as market:

        async def talk() -> None:
            async with market.connect() as client:
                await client.log_in()
                wanted = [f"Q.O:XSP261218C00{strike}000" for strike in (700, 705, 710, 715)]
                await client.subscribe("Q.*," + ",".join(wanted))
                await client.until(lambda c: len(c.data("status")) == 7)
                confirmed = [f"subscribed to: {param}" for param in wanted[:3]]
                assert client.statuses("success")[1:] == confirmed
                assert len(client.statuses("error")) == 2
                await client.say("unsubscribe", wanted[0])
                await client.subscribe(wanted[3])
                await client.until(lambda c: len(c.statuses("success")) == 6)
                assert client.statuses("success")[-1] == f"subscribed to: {wanted[3]}"

        run(talk)


# data


def spec_keys(shared_samples: Path, path: str) -> set[str]:
    spec = json.loads((shared_samples / "polygon" / "spec_websocket_openapi.json").read_text())
    content = spec["paths"][path]["get"]["responses"]["200"]["content"]
    return set(content["application/json"]["example"])


def test_trades_are_the_tape_in_order_and_only_once(market: Exchange, shared_samples: Path) -> None:
    expected = [as_sent(row) for row in tape(NOON, NOON + timedelta(seconds=120))]

    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.pass_time(50.0)
            await client.hear(0.05)
            market.pass_time(70.0)
            await client.until(lambda c: len(c.data("T")) >= len(expected))
            await client.hear(0.05)
            trades = client.data("T")
            assert [as_received(event) for event in trades] == expected
            assert {frozenset(event) for event in trades} == {
                frozenset(spec_keys(shared_samples, "/options/T")),
                frozenset(spec_keys(shared_samples, "/options/T") - {"c"}),
            }
            last: dict[str, int] = {}
            for event in trades:
                assert event["q"] > last.get(event["sym"], -1)
                last[event["sym"]] = event["q"]

    run(talk)


def test_one_contract_subscribed_gets_its_own_trades_alone(market: Exchange) -> None:
    contract = busy_contract()
    expected = [as_sent(row) for row in tape(NOON, NOON + timedelta(seconds=60))]
    expected = [row for row in expected if row[0] == contract]

    async def talk() -> None:
        async with market.subscribed(f"T.{contract}") as client:
            market.pass_time(60.0)
            await client.until(lambda c: len(c.data("T")) >= len(expected))
            assert [as_received(event) for event in client.data("T")] == expected

    run(talk)


def test_quotes_of_subscribed_contracts_are_the_tapes(
    market: Exchange, shared_samples: Path
) -> None:
    contract = busy_contract()
    provider = SimulatorProvider(seed=7, density=0.15)
    rows = provider.quotes(underlying("XSP"), session_date=DAY, symbols=[contract[2:]]).rows
    end = NOON + timedelta(minutes=5)
    expected = [row for row in rows.to_pylist() if NOON < row["event_at"] <= end]

    async def talk() -> None:
        async with market.subscribed(f"Q.{contract}") as client:
            market.pass_time(300.0)
            await client.until(lambda c: len(c.data("Q")) >= len(expected))
            for event, row in zip(client.data("Q"), expected, strict=True):
                assert set(event) == spec_keys(shared_samples, "/options/Q")
                assert (event["bp"], event["ap"]) == (row["bid"], row["ask"])
                assert (event["bs"], event["as"]) == (
                    row["bid_size_contracts"],
                    row["ask_size_contracts"],
                )
                assert event["t"] == int(row["event_at"].timestamp() * 1000)

    run(talk)


def test_minute_bars_add_up_the_prints_that_are_no_cancels(
    market: Exchange, shared_samples: Path
) -> None:
    contract = busy_contract()
    rows = [
        row
        for row in tape(NOON, NOON + timedelta(seconds=59.999))
        if f"O:{row['symbol']}" == contract and row["conditions"] not in ("201", "203", "205")
    ]

    async def talk() -> None:
        async with market.subscribed(f"AM.{contract},A.{contract}") as client:
            market.pass_time(60.0)
            await client.until(lambda c: len(c.data("AM")) == 1)
            bar = client.data("AM")[0]
            assert set(bar) == spec_keys(shared_samples, "/options/AM")
            assert bar["v"] == sum(row["size_contracts"] for row in rows)
            prices = [row["price"] for row in rows]
            assert (bar["o"], bar["c"]) == (prices[0], prices[-1])
            assert (bar["h"], bar["l"]) == (max(prices), min(prices))
            assert bar["av"] >= bar["v"]
            assert bar["s"] == int(NOON.timestamp()) * 1000
            assert bar["e"] - bar["s"] == 60_000
            assert sum(second["v"] for second in client.data("A")) == bar["v"]

    run(talk)


def test_index_values_have_their_ticker_in_t(market: Exchange, shared_samples: Path) -> None:
    async def talk() -> None:
        async with market.subscribed("V.I:SPX,A.I:SPX,AM.*", "/indices") as client:
            market.pass_time(60.0)
            await client.until(lambda c: len(c.data("AM")) == 5 and len(c.data("V")) == 60)
            values = client.data("V")
            assert {frozenset(v) for v in values} == {
                frozenset(spec_keys(shared_samples, "/indices/V"))
            }
            end = NOON + timedelta(seconds=60)
            assert values[-1]["T"] == "I:SPX"
            assert values[-1]["t"] == int(end.timestamp()) * 1000
            assert values[-1]["val"] == paths.price(market.world, "SPX", end)
            assert values[-1]["val"] == market.world.spot("SPX")
            for kind in ("A", "AM"):
                keys = spec_keys(shared_samples, f"/indices/{kind}")
                assert all(set(bar) == keys for bar in client.data(kind))
            bar = next(bar for bar in client.data("AM") if bar["sym"] == "I:SPX")
            assert bar["h"] == max(bar["o"], *(value["val"] for value in values[:-1]))

    run(talk)


def test_frames_mix_kinds_and_symbols_and_acks_share_them() -> None:
    with exchange(speed=240.0) as market:

        async def talk() -> None:
            async with market.subscribed("T.*,AM.*") as client:
                await client.until(lambda c: len(c.data("AM")) > 10)
                frame = next(f for f in client.frames if {"T", "AM"} <= {e["ev"] for e in f})
                assert len({event["sym"] for event in frame if "sym" in event}) > 1
                await client.subscribe(f"T.{busy_contract()}")
                await client.until(lambda c: len(c.statuses("success")) == 4)
                frame = next(f for f in client.frames[::-1] if f[0]["ev"] == "status")
                assert {event["ev"] for event in frame} > {"status"}

        run(talk)


def test_nothing_is_sent_again_after_a_reconnect(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.pass_time(30.0)
            await client.until(lambda c: bool(c.data("T")))
        market.pass_time(30.0)
        begin, end = NOON + timedelta(seconds=60), NOON + timedelta(seconds=90)
        expected = [as_sent(row) for row in tape(begin, end)]
        async with market.subscribed("T.*") as client:
            market.pass_time(30.0)
            await client.until(lambda c: len(c.data("T")) >= len(expected))
            assert [as_received(event) for event in client.data("T")] == expected

    run(talk)


def test_a_clock_that_jumps_is_followed_in_order_without_loss() -> None:
    with exchange(events_per_tick=100, events_per_frame=50) as market:

        async def talk() -> None:
            async with market.subscribed("T.*") as client:
                market.pass_time(900.0)
                expected = [as_sent(row) for row in tape(NOON, NOON + timedelta(seconds=900))]
                await client.until(lambda c: len(c.data("T")) >= len(expected))
                assert [as_received(event) for event in client.data("T")] == expected
                assert max(len(frame) for frame in client.frames) == 50

        run(talk)


def test_the_vendors_own_client_reads_the_feed(market: Exchange) -> None:
    from polygon import WebSocketClient
    from polygon.websocket.models import Market

    feed = market.url.removeprefix("ws://")
    client = WebSocketClient(
        api_key=KEY, feed=feed, market=Market.Options, secure=False, subscriptions=["T.*"]
    )
    found: list[Any] = []

    async def take(batch: list[Any]) -> None:
        found.extend(batch)

    async def talk() -> None:
        reading = asyncio.create_task(client.connect(take))
        async with asyncio.timeout(60.0):
            while not found:
                market.pass_time(5.0)
                await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await client.close()
        assert (found[0].event_type, found[0].symbol[:5]) == ("T", "O:XSP")

    run(talk)


# how connections end


def test_pings_are_answered(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            await client.ws.ping(b"there?")
            message = await client.ws.receive(timeout=60.0)
            assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"there?")

    run(talk)


def test_a_slow_reader_is_sent_away() -> None:
    def small_buffer(address: Any) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return made

    with exchange(buffer_bytes=400_000, socket_bytes=4096) as market:

        async def talk() -> None:
            connector = aiohttp.TCPConnector(socket_factory=small_buffer)
            async with market.subscribed("T.*", connector=connector) as client:
                market.pass_time(3 * 3600.0)
                await asyncio.sleep(4.0)  # the tape is built first, then the buffers fill
                await client.closed()
                everything = part_of_tape(NOON, NOON + timedelta(hours=3)).num_rows
                assert 0 < len(client.data("T")) < everything

        run(talk)


@pytest.mark.parametrize("code", [1000, 1001])
def test_fault_clean_close(market: Exchange, code: int) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("close", code=code)
            assert await client.closed() == code

    run(talk)


def test_fault_abort_is_a_reset_without_close_frame(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("abort")
            assert await client.closed() in (None, 1006)

    run(talk)


def test_fault_freeze_keeps_the_socket_open_and_says_nothing(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("freeze")
            await asyncio.sleep(0.1)
            market.pass_time(60.0)
            await client.ws.ping()
            with pytest.raises(TimeoutError):
                await client.ws.receive(timeout=0.2)
            assert not client.ws.closed

    run(talk)


def test_fault_slow_consumer_says_so_and_closes(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("slow_consumer")
            assert await client.closed() == 1008
            assert client.events()[-1]["status"] == "slow_consumer"

    run(talk)


@pytest.mark.parametrize(
    ("fault", "status"), [("auth_failed", "auth_failed"), ("auth_timeout", "auth_timeout")]
)
def test_fault_a_good_key_is_refused(market: Exchange, fault: str, status: str) -> None:
    market.arm(fault)

    async def talk() -> None:
        async with market.connect() as client:
            await client.say("auth", KEY)
            await client.closed()
            assert client.events()[-1]["status"] == status

    run(talk)


def test_fault_handshake_refused(market: Exchange) -> None:
    market.arm("handshake_status", where="/indices")

    async def talk() -> None:
        async with market.connect("/options"):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with market.connect("/indices"):
                pass
        assert refused.value.status == 403

    run(talk)


def test_fault_not_authorized(market: Exchange) -> None:
    market.arm("not_authorized", where="T.", times=None)

    async def talk() -> None:
        async with market.connect() as client:
            await client.log_in()
            await client.subscribe("T.*,A.*")
            await client.until(lambda c: len(c.data("status")) == 4)
            assert client.statuses("error") == ["not authorized"]

    run(talk)


# what is wrong with data


def test_fault_silent_symbols_are_confirmed_and_not_sent(market: Exchange) -> None:
    contract = busy_contract()
    market.arm("silent", where=contract, times=None)

    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.pass_time(60.0)
            await client.until(lambda c: bool(c.data("T")))
            await client.hear(0.1)
            assert contract not in {event["sym"] for event in client.data("T")}

    run(talk)


def test_fault_big_frame_holds_the_same_data(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("big_frame")
            market.pass_time(60.0)
            message = await client.ws.receive(timeout=60.0)
            assert len(message.data) > 1024**2
            expected = [as_sent(row) for row in tape(NOON, NOON + timedelta(seconds=60))]
            assert [as_received(event) for event in json.loads(message.data)] == expected

    run(talk)


def test_fault_sequence_gap_leaves_out_trades(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("sequence_gap", count=3)
            market.pass_time(60.0)
            expected = [as_sent(row) for row in tape(NOON, NOON + timedelta(seconds=60))]
            await client.until(lambda c: len(c.data("T")) >= len(expected) - 3)
            await client.hear(0.05)
            assert [as_received(event) for event in client.data("T")] == expected[3:]

    run(talk)


def test_fault_cancel_repeats_an_earlier_print_with_its_condition(market: Exchange) -> None:
    contract = busy_contract()
    market.arm("cancel", where=contract, condition=203)

    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.pass_time(60.0)
            await client.until(lambda c: any(e.get("c") == [203] for e in c.data("T")))
            cancel = next(e for e in client.data("T")[::-1] if e.get("c") == [203])
            first = next(e for e in client.data("T") if e["sym"] == contract)
            same = ("sym", "p", "s", "x")
            assert [cancel[name] for name in same] == [first[name] for name in same]
            assert cancel["t"] >= first["t"]

    run(talk)


def test_fault_object_instead_of_array(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("object_frame")
            market.pass_time(60.0)
            event = json.loads((await client.ws.receive(timeout=60.0)).data)
            assert event["ev"] == "T"

    run(talk)


def test_fault_frame_that_is_no_json(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("not_json")
            message = await client.ws.receive(timeout=60.0)
            with pytest.raises(ValueError, match="Expecting value"):
                json.loads(message.data)

    run(talk)


def test_fault_unknown_event_among_data(market: Exchange) -> None:
    async def talk() -> None:
        async with market.subscribed("T.*") as client:
            market.arm("unknown_event")
            market.pass_time(60.0)
            await client.until(lambda c: bool(c.data("ZZ")))
            assert client.data("T")

    run(talk)


# the server


def test_stopping_the_server_leaves_no_task_behind() -> None:
    async def talk() -> None:
        world = World(VirtualClock(NOON), options=(Limits(tick_seconds=0.01),))
        runner = web.AppRunner(build(world), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host = Exchange(world, f"ws://127.0.0.1:{runner.addresses[0][1]}")
        async with (
            host.subscribed("V.*", "/indices") as client,
            host.connect("/options"),
            host.subscribed("T.*", "/delayed/options"),
        ):
            host.arm("freeze", where="/delayed")
            await client.hear(0.05)
            await runner.cleanup()
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(talk)

"""Polygon's live feed against the test exchange: what it delivers, says, and does when refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import polygon_ws_faults as bad
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY
from dealer_assets_tests.streaming.polygon_market import (
    CAP,
    COOLDOWN,
    NOON,
    NOON_US,
    Exchange,
    Heard,
    assert_in_order,
    exchange,
    listing,
    run,
)
from streaming.core.events import Frame
from streaming.core.listing import Listing
from streaming.feeds.base import FeedRefusedError
from streaming.feeds.polygon.feed import market_hours
from streaming.feeds.rotation import Rotation


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    with exchange() as found:
        yield found


@pytest.fixture
def market(shared: Exchange) -> Exchange:
    """An exchange at noon, two virtual minutes a second, without faults."""
    shared.world.clock.set(NOON, speed=120.0)
    shared.world.faults.clear()
    return shared


# what comes in


def events(heard: Heard, channel: str = "options") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for payload in heard.payloads(channel):
        found += json.loads(payload)
    return found


def test_trades_quotes_and_index_values_arrive_on_their_channels(market: Exchange) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_live()
            state = heard.feed.state
            await heard.until(lambda h: state.confirmed == state.wanted)
            await heard.until(lambda h: h.count(b'"ev":"Q"') > 3)
            await heard.until(lambda h: len(h.payloads("indices")) > 2)
            await heard.until_data(3)
            assert (state.wanted, state.connects, state.drops) == (CAP + 2, 2, 0)
            assert (state.problem, state.refused) == ("", [])
            assert state.last_us >= heard.frames[-1].received_us - 1_000_000
            kinds = Counter(event["ev"] for event in events(heard) if event["ev"] != "status")
            assert set(kinds) == {"T", "Q"}
            quoted = {e["sym"] for e in events(heard) if e["ev"] == "Q"}
            rows = Rotation(listing(), cap=CAP).choose({}, now_us=NOON_US, turn=NOON_US // 10**12)
            assert quoted <= {f"O:{listing().symbols[i]}" for i in rows}
            assert {e["T"] for e in events(heard, "indices") if e["ev"] == "V"} == {"I:XSP"}
            assert heard.gaps == []

    run(test)


def test_no_trade_is_missed_or_doubled_while_the_connection_lasts(market: Exchange) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_data(10)
            market.world.clock.set(speed=0.0)
            await asyncio.sleep(0.05)
            last: dict[str, int] = {}
            for trade in (e for e in events(heard) if e["ev"] == "T"):
                assert trade["q"] > last.get(trade["sym"], -1)
                last[trade["sym"]] = trade["q"]

    run(test)


def test_a_clock_that_goes_back_never_shows_in_frames(market: Exchange) -> None:
    ticks = iter(range(10**9))

    def clock() -> int:
        tick = next(ticks)
        return NOON_US + tick * 1000 - (5_000_000 if tick % 3 else 0)

    async def test() -> None:
        async with market.feed(clock=clock) as heard:
            await heard.until_data(5)
            assert_in_order(heard)

    run(test)


def test_without_an_index_there_is_one_channel_and_spot_comes_from_parity(
    market: Exchange,
) -> None:
    lane = underlying("SPY")
    rows = SimulatorProvider(density=0.05).listing(lane, session_date=NOON.date()).rows

    async def test() -> None:
        async with market.feed(contracts=Listing.of([lane], rows)) as heard:
            await heard.until_data()
            state = heard.feed.state
            assert (state.connects, state.wanted) == (1, CAP + 1)
            assert state.refused == [
                "spot of SPY: not in the options cluster, taken from put-call parity"
            ]

    run(test)


def test_data_are_expected_from_a_minute_after_the_open_to_the_close() -> None:
    def expected(minutes: float, delay: float = 0.0) -> bool:
        test = market_hours(listing(), delay=timedelta(minutes=delay))
        opened_us = NOON_US - 150 * 60_000_000  # 09:30 New York
        return test("options", opened_us + int(minutes * 60e6))

    assert [expected(m) for m in (-1, 0.9, 1, 389.9, 390)] == [False, False, True, True, False]
    assert [expected(m, 15.0) for m in (15.9, 16, 404.9, 405)] == [False, True, True, False]


# refusals


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_handshake_refused_for_good_ends_the_feed_after_a_few_tries(
    market: Exchange, status: int
) -> None:
    market.arm("handshake_status", status=status, times=None, where="/options")

    async def test() -> None:
        async with market.feed() as heard:
            with pytest.raises(FeedRefusedError, match=f"{status}, 3 times in a row"):
                await heard.until(lambda _: False)

    run(test)
    taken = [name for name, _ in market.world.faults.taken if name == bad.HANDSHAKE]
    assert len(taken) % 3 == 0


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_handshake_refused_for_now_is_tried_again(market: Exchange, status: int) -> None:
    market.arm("handshake_status", status=status, times=6, where="/options")

    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_live()
            assert heard.gaps == []  # there was nothing before

    run(test)


def test_a_bad_key_ends_the_feed_and_is_not_repeated_anywhere(
    market: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with market.feed(key="wrong-and-secret") as heard:
            with pytest.raises(FeedRefusedError, match="DEALER_POLYGON_API_KEY") as found:
                await heard.until(lambda _: False)
            assert "wrong-and-secret" not in f"{found.value} {heard.feed.state}"
            assert "wrong-and-secret" not in repr(vars(heard.feed))

    run(test)
    assert "wrong-and-secret" not in caplog.text


def test_a_plan_without_any_of_the_channels_ends_the_feed(market: Exchange) -> None:
    market.arm("not_authorized", times=None)

    async def test() -> None:
        async with market.feed() as heard:
            with pytest.raises(FeedRefusedError, match=r"none was .*'not authorized' 31 times"):
                await heard.until(lambda _: False)

    run(test)


@pytest.mark.parametrize("fault", ["handshake_status", "auth_failed", "not_authorized"])
def test_without_the_plan_of_indices_the_feed_goes_on_says_so_and_asks_again_later(
    market: Exchange, fault: str
) -> None:
    where = "V." if fault == "not_authorized" else "/indices"
    market.arm(fault, times=None, where=where)

    async def test() -> None:
        async with market.feed() as heard:
            state = heard.feed.state
            await heard.until(lambda h: any("parity" in words for words in state.refused))
            await heard.until_live()
            await heard.until_data()
            assert state.connects == 1
            market.world.faults.clear()  # the plan was bought
            await heard.until(lambda h: state.connects == 2 and state.refused == [])
            assert state.phase == "live"

    run(test)


def test_a_delayed_key_on_the_real_time_host_is_explained_and_tried_again(
    market: Exchange,
) -> None:
    async def test() -> None:
        async with market.feed(key=DELAYED_KEY) as heard:
            state = heard.feed.state
            await heard.until(lambda h: any("delayed plan" in words for words in state.refused))
            assert state.phase == "authenticating"
            await heard.until(lambda h: "delayed plan" in state.problem)  # another connection
            assert (state.connects, heard.frames, heard.gaps) == (0, [], [])

    run(test)


def test_the_delayed_host_serves_trades_and_refuses_quotes_in_words(market: Exchange) -> None:
    async def test() -> None:
        url = f"{market.url}/delayed"
        async with market.feed(key=DELAYED_KEY, url=url) as heard:
            await heard.until_live()
            state = heard.feed.state
            await heard.until(lambda h: any(w.startswith("Q: 30 of 30") for w in state.refused))
            assert (state.wanted, state.confirmed) == (CAP + 2, 2)
            await heard.until_data()

    run(test)


def test_quotes_beyond_the_venues_cap_are_told_in_words() -> None:
    with exchange(quotes_per_connection=10) as market:

        async def test() -> None:
            async with market.feed() as heard:
                state = heard.feed.state
                await heard.until(lambda h: any("Q: 20 of 30" in words for words in state.refused))
                assert "quote subscriptions exceeded' 20 times" in str(state.refused)
                assert (state.confirmed, state.phase) == (12, "live")

        run(test)


# many connections


@asynccontextmanager
async def rival(market: Exchange) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Another process of the same account."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{market.url}/options") as ws,
    ):
        await ws.send_json({"action": "auth", "params": KEY})
        await ws.send_json({"action": "subscribe", "params": "T.*"})
        while b"subscribed" not in (await ws.receive()).data.encode():
            pass
        yield ws


def test_where_the_oldest_goes_the_feed_yields_cools_down_and_takes_its_turn(
    market: Exchange,
) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_data()
            async with rival(market) as other:
                await heard.until(lambda h: h.feed.state.drops == 1)
                gone_at = time.monotonic()
                await heard.until(lambda h: len(h.gaps) == 1)
                assert time.monotonic() - gone_at > 0.9 * COOLDOWN
                async for _ in other:  # sent away in turn
                    pass
            assert heard.gaps[0].reason == "max_connections"
            assert "Maximum number of websocket connections" in heard.feed.state.problem
            await heard.until_data(2)

    run(test)


def test_where_the_newest_goes_the_feed_waits_until_there_is_room(market: Exchange) -> None:
    market.arm("newest_goes", times=None)

    async def test() -> None:
        async with rival(market) as other, market.feed() as heard:
            await heard.until(lambda h: "max_connections" in h.feed.state.problem)
            await heard.until(lambda h: h.feed.state.drops >= 2)  # comes back, and goes again
            assert not other.closed
            await other.close()
            drops = heard.feed.state.drops
            await heard.until_live()
            await heard.until_data(2)
            assert heard.feed.state.drops <= drops + 1

    run(test)


# gaps


def test_a_gap_lasts_from_the_last_message_to_the_first_moment_of_being_live(
    market: Exchange,
) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_data(2)
            # the connection breaks, and the next three attempts fail: one gap, its first reason
            market.arm("handshake_status", status=503, times=2, where="/options")
            market.arm("auth_timeout", where="/options")
            market.arm("abort", where="/options")
            await heard.until(lambda h: len(h.gaps) == 1)
            gap = heard.gaps[0]
            assert (gap.feed, gap.channel, gap.reason) == ("polygon", "options", "aborted")
            await heard.until_data()
            assert_in_order(heard)
            assert heard.feed.state.drops == 1

    run(test)


def test_channels_fail_apart(market: Exchange) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_live()
            market.arm("close", where="/indices", code=1001)
            await heard.until(lambda h: len(h.gaps) == 1)
            assert (heard.gaps[0].channel, heard.gaps[0].reason) == ("indices", "closed")
            assert "code 1001" in heard.feed.state.problem
            assert heard.feed.state.drops == 1

    run(test)


def test_silence_outside_market_hours_alarms_nobody(market: Exchange) -> None:
    market.arm("silent", times=None)

    async def test() -> None:
        async with market.feed(expects=lambda *_: False, quiet_seconds=0.05) as heard:
            await heard.until_live()
            await asyncio.sleep(0.2)
            assert (heard.feed.state.drops, heard.feed.state.problem) == (0, "")

    run(test)


def test_lasting_silence_is_borne_longer_each_time(market: Exchange) -> None:
    market.arm("silent", times=None)

    async def test() -> None:
        async with market.feed(quiet_seconds=0.05) as heard:
            await heard.until(lambda h: "0.2 s of market hours" in h.feed.state.problem)
            market.world.faults.clear()
            await heard.until_data(2)

    run(test)


def test_cancelling_ends_both_connections(market: Exchange) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_live()
            assert heard.task is not None
            heard.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await heard.task
            assert heard.feed.state.phase == "stopped"

    run(test)


def test_a_feed_that_was_stopped_and_runs_again_tells_what_it_missed(market: Exchange) -> None:
    async def test() -> None:
        async with market.feed() as heard:
            await heard.until_live()
            await heard.until_data()
            assert heard.task is not None
            heard.task.cancel()
            await asyncio.gather(heard.task, return_exceptions=True)
            assert (heard.feed.state.drops, heard.gaps) == (0, [])
            heard.task = asyncio.create_task(heard.feed.run(heard.frames.append))
            await heard.until(lambda h: len(h.gaps) == 2)
            assert {(gap.channel, gap.reason) for gap in heard.gaps} == {
                ("options", "stopped"),
                ("indices", "stopped"),
            }
            assert_in_order(heard)

    run(test)


def test_a_mistake_of_the_receiver_is_not_hidden_by_connecting_again(market: Exchange) -> None:
    def fail(frame: Frame) -> None:
        raise ValueError("a mistake")

    async def test() -> None:
        async with market.feed() as heard:
            assert heard.task is not None
            heard.task.cancel()
            await asyncio.gather(heard.task, return_exceptions=True)
            heard.task = asyncio.create_task(heard.feed.run(fail))
            with pytest.raises(ValueError, match="a mistake"):
                await heard.until(lambda _: False)

    run(test)


# the window


def test_quotes_follow_spot(market: Exchange) -> None:
    def strikes(heard: Heard) -> set[float]:
        """Strikes of today's contracts of which a quote has come."""
        symbols = {e["sym"] for e in events(heard) if e["ev"] == "Q"}
        return {float(one[-8:]) / 1000.0 for one in symbols if one.startswith("O:XSP260915C")}

    async def test() -> None:
        async with market.feed() as heard:
            state = heard.feed.state
            for spot in (640.0, 680.0):
                assert spot not in strikes(heard)
                heard.feed.follow({"XSP": spot})
                await heard.until(lambda h, spot=spot: spot in strikes(h))
                await heard.until(lambda h: state.confirmed == CAP + 2)
            assert (state.refused, state.problem) == ([], "")

    run(test)

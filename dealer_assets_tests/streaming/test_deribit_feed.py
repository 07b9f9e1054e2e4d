"""Deribit's feed against the test exchange: nothing lost, nothing double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.deribit_client import EXPIRY, NOW, Exchange, exchange, trades
from dealer_assets_tests.streaming.deribit_market import (
    BTC,
    KEY,
    OPTIONS,
    TALK,
    expected,
    running,
)
from streaming.core.events import MARK, OPEN_INTEREST, QUOTE, SPOT, Frame
from streaming.core.listing import Listing
from streaming.feeds.base import FeedRefusedError
from streaming.feeds.deribit.choice import Choice, TradeNumbers, most_open, read_open_interest
from streaming.feeds.deribit.decode import DeribitDecoder
from streaming.feeds.deribit.session import Credentials, DeribitSession
from streaming.feeds.deribit.talk import Talk
from streaming.feeds.deribit.wishes import Market


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    with exchange() as found:
        trades(found, count=1)  # makes the day's tape, which takes a while
        yield found


@pytest.fixture
def market(shared: Exchange) -> Exchange:
    """An exchange whose clock stands on a Tuesday afternoon, without faults."""
    shared.world.clock.set(NOW)
    shared.world.faults.clear()
    return shared


# sessions


def test_the_tape_is_received_exactly_once(market: Exchange) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            for _ in range(5):
                await run.tape(60.0)
            assert sorted(run.numbers()) == expected(market, 0.0, 300.0)
            found = run.decoded()
            assert (found.rejects, found.unlisted, run.gaps) == ((), (), [])
            assert run.feed.state.refused == []
            assert run.feed.state.problem == ""

    asyncio.run(talk())


def test_tickers_of_the_largest_open_interest_are_followed(market: Exchange) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.until(lambda: run.feed.state.confirmed == run.feed.state.wanted == 14)
            rows = market.get("get_book_summary_by_currency", currency="BTC", kind="option")
            rows += market.get("get_book_summary_by_currency", currency="USDC", kind="option")
            interest = {r["instrument_name"]: r["open_interest"] for r in rows}
            top = sorted(interest, key=lambda name: (-interest[name], name))[:3]
            await run.until(lambda: {f"ticker.{n}.100ms" for n in top} <= run.channels())
            assert len([c for c in run.channels() if c.startswith("ticker.")]) == 3
            found = run.decoded(cross_check=True)
            assert set(found.events.kind.tolist()) >= {QUOTE, SPOT, MARK, OPEN_INTEREST}
            quoted = set(found.events.contract[found.events.kind == QUOTE].tolist())
            assert len(quoted) == len(rows)  # the summary quotes the whole chain

    asyncio.run(talk())


def test_new_options_are_named_when_they_are_listed(market: Exchange) -> None:
    midnight = EXPIRY + timedelta(hours=16)
    market.world.clock.set(midnight - timedelta(seconds=5))

    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            market.world.clock.set(midnight + timedelta(seconds=5))
            await run.until(lambda: any(b"instrument.creation" in f.payload for f in run))
            born = [f for f in run if b"instrument.creation" in f.payload]
            empty = tables.LISTED_CONTRACTS.schema.empty_table()
            book = Listing.of((BTC,), empty, sessions_of={"BTC": NOW.date()})
            found = DeribitDecoder(book).decode(born)
            assert found.unlisted
            assert book.add(found.unlisted) == ()

    asyncio.run(talk())


def test_a_delivered_option_gives_its_ticker_up_for_the_next() -> None:
    market = Market(roots=("BTC",), currencies=("BTC",), coins=("BTC",))
    options = replace(TALK, tickers=2, choose_seconds=60.0)
    choice = Choice(market, options)
    names = [f"BTC-31JUL26-{strike}-C" for strike in (60_000, 61_000, 62_000)]
    rows = [
        {"instrument_name": n, "open_interest": 9.0 - i, "creation_timestamp": 1}
        for i, n in enumerate(names)
    ]
    session = DeribitSession(choice.channels(), now=0.0)
    frames: list[Frame] = []
    talk = Talk(
        session, choice, market, options, deliver=frames.append, report=lambda first, last: None
    )

    def say(**message: Any) -> None:
        talk.take(Frame("deribit", "market", 1, json.dumps(message).encode()), 0.0)

    def answers() -> dict[str, list[Any]]:
        """Answer all requests; returns the channels of the last of each method."""
        found = {}
        while session.outbox:
            request = json.loads(session.outbox.pop(0))
            params = request["params"]
            found[request["method"]] = params.get("channels", [])
            is_summary = request["method"].endswith("by_currency")
            say(id=request["id"], result=rows if is_summary else params.get("channels", "ok"))
            talk.step(0.0)
        return found

    answers()
    assert choice.chosen == tuple(names[:2])
    assert {f"ticker.{n}.100ms" for n in names[:2]} <= session.channels.confirmed
    state = {"instrument_name": names[0], "state": "settlement", "timestamp": 1}
    for phase in ("settlement", "delivered"):
        data = {"channel": "instrument.state.option.BTC", "data": state | {"state": phase}}
        payload = json.dumps({"method": "subscription", "params": data}, separators=(",", ":"))
        talk.take(Frame("deribit", "market", 1, payload.encode()), 0.0)
        assert (choice.chosen == tuple(names[1:])) is (phase == "delivered")
    assert answers() == {
        "public/subscribe": [f"ticker.{names[2]}.100ms"],
        "public/unsubscribe": [f"ticker.{names[0]}.100ms"],
    }


def test_credentials_are_sent_once_and_no_frame_holds_a_token(market: Exchange) -> None:
    options = replace(OPTIONS, talk=replace(TALK, interval="raw", cross_check=True))

    async def talk() -> None:
        async with running(market, options, credentials=KEY) as run:
            await run.live()
            await run.tape(5.0)
            await run.until(lambda: "trades.option.BTC.raw" in run.channels())
            assert not any(b"token" in frame.payload for frame in run.frames)
            assert run.feed.state.refused == []
            assert "ticker.BTC-PERPETUAL.100ms" in run.channels()
            assert rules.CLIENT_SECRET not in repr(vars(run.feed))

    asyncio.run(talk())


def test_wrong_credentials_stop_the_feed(market: Exchange) -> None:
    wrong = Credentials(KEY.client_id, SecretStr("not-the-secret"))

    async def talk() -> None:
        async with running(market, credentials=wrong) as run:
            with pytest.raises(FeedRefusedError, match="13004") as refused:
                await asyncio.wait_for(run.task, 60.0)
            assert "not-the-secret" not in str(refused.value) + run.feed.state.problem

    asyncio.run(talk())


def test_raw_without_credentials_falls_back(market: Exchange) -> None:
    options = replace(OPTIONS, talk=replace(TALK, interval="raw"))

    async def talk() -> None:
        async with running(market, options) as run:
            await run.live()
            await run.tape(120.0)
            assert sorted(run.numbers()) == expected(market, 0.0, 120.0)
            assert any("every 100 ms instead" in words for words in run.feed.state.refused)

    asyncio.run(talk())


def test_heartbeats_are_answered_for_as_long_as_it_runs() -> None:
    options = replace(OPTIONS, talk=replace(TALK, summary_seconds=60.0))
    with exchange(second=0.1) as market:

        async def talk() -> None:
            async with running(market, options) as run:
                await run.live()
                await asyncio.sleep(
                    2.5
                )  # two heartbeats; one left unanswered closes after a second
                assert (run.feed.state.phase, run.feed.state.drops) == ("live", 0)

        asyncio.run(talk())


def test_reading_stops_and_goes_on(market: Exchange) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            run.feed.pause()
            await asyncio.sleep(0.05)
            count = len(run.frames)
            market.pass_time(60.0)
            await asyncio.sleep(0.1)
            assert len(run.frames) == count
            run.feed.resume()
            await run.until(lambda: len(run.frames) > count)
            await run.tape(60.0)
            assert sorted(run.numbers()) == expected(market, 0.0, 120.0)
            assert run.feed.state.drops == 0

    asyncio.run(talk())


# choices


def test_the_most_open_come_first_and_equals_by_name() -> None:
    interest = {"c": 5.0, "a": 5.0, "b": 9.0, "d": 1.0}
    assert most_open(interest, 3) == ("b", "a", "c")
    assert most_open(interest, 3, gone={"b"}) == ("a", "c", "d")
    assert most_open({}, 3) == ()


def test_open_interest_is_read_of_our_options_alone() -> None:
    rows = (
        b'[{"instrument_name":"BTC_USDC-31JUL26-67000-C","open_interest":2.5},'
        b'{"instrument_name":"SOL_USDC-31JUL26-150-C","open_interest":9.0},'
        b'{"instrument_name":"BTC_USDC-31JUL26-68000-C","open_interest":null}]'
    )
    assert read_open_interest(rows, ("BTC", "BTC_USDC")) == {"BTC_USDC-31JUL26-67000-C": 2.5}
    assert read_open_interest(b"<html>", ("BTC",)) == {}


def test_holes_in_trade_numbers_are_dated_by_the_trade_before() -> None:
    numbers = TradeNumbers()
    assert numbers.hole([("a", 5), ("b", 1), ("a", 6)], 10) is None
    assert numbers.hole([("a", 7), ("c", 99), ("d", None)], 20) is None
    assert numbers.hole([("b", 2), ("a", 9)], 30) == 20
    assert numbers.hole([("a", 8)], 40) is None  # late, and no new hole
    assert numbers.hole([("a", 10), ("b", 4)], 50) == 30

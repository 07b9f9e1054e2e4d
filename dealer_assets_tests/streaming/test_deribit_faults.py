"""Every fault of the exchange's Deribit, and what the feed does about it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.deribit_client import NOW, Exchange, exchange, trades
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.streaming.deribit_market import (
    OPTIONS,
    TALK,
    Run,
    expected,
    running,
)


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


async def reconnects(run: Run, reason: str) -> None:
    """Lost, live again, a gap with its reason; what came before and after is there once."""
    await run.live(2)
    (gap,) = run.gaps
    # the exchange resets half a second after its goodbye: on a busy machine that overtakes it
    assert gap.reason in (reason, "aborted")
    assert 0 < gap.from_us <= gap.until_us
    assert run.feed.state.drops == 1
    now = (run.market.world.clock.now() - NOW).total_seconds()
    before = run.numbers()
    await run.tape(60.0)
    after = run.numbers()[len(before) :]
    assert sorted(after) == expected(run.market, now, now + 60.0)
    assert len({*before, *after}) == len(before) + len(after)


async def goes_on(run: Run) -> None:
    """Neither connection nor trades are lost."""
    await run.live()
    await run.tape(60.0)
    assert sorted(run.numbers()) == expected(run.market, 0.0, 60.0)
    assert (run.feed.state.drops, run.gaps) == (0, [])


REST_ONLY = "shown by REST alone"

EXPECTED = {
    "deribit_403": "tries the handshake again",
    "deribit_429": "tries the handshake again",
    "deribit_500": "tries the handshake again",
    "deribit_503": "tries the handshake again",
    "deribit_abort": "reconnects: aborted",
    "deribit_close": "reconnects: closed",
    "deribit_connection_too_slow": "reconnects: slow_consumer",
    "deribit_error": "asks again",
    "deribit_freeze": "reconnects: silent",
    "deribit_lost_trades": "reports the missing numbers",
    "deribit_maintenance": "waits and says so",
    "deribit_no_heartbeat": "goes on by its data",
    "deribit_no_id": "asks again",
    "deribit_not_json": "counts a reject",
    "deribit_out_of_order": "goes by ids",
    "deribit_refused_channel": "names the channel",
    "deribit_sequence_gap": "reports the missing numbers",
    "deribit_silent_channel": "names the channel and subscribes it again",
    "deribit_too_many_requests": "connects again after a pause",
    **{
        f"deribit_{kind}": REST_ONLY
        for kind in ("refused", "silent", "slow", "html", "empty", "truncated", "cut", "stall")
    },
}
"""What the feed does about each fault; tests below by what is expected."""


def faults(expectation: str) -> list[str]:
    return [name for name, words in EXPECTED.items() if words.startswith(expectation)]


def test_every_fault_of_the_exchange_has_an_expectation() -> None:
    assert set(EXPECTED) == {name for name in KNOWN if name.startswith("deribit_")}


@pytest.mark.parametrize("fault", faults("reconnects"))
def test_fault_it_reconnects_with_a_gap(market: Exchange, fault: str) -> None:
    silent = 3.0 if fault == "deribit_freeze" else 60.0

    async def talk() -> None:
        async with running(market, replace(OPTIONS, silent_seconds=silent)) as run:
            await run.live()
            await run.tape(60.0)
            market.world.faults.arm(fault)
            await reconnects(run, EXPECTED[fault].partition(": ")[2])

    asyncio.run(talk())


@pytest.mark.parametrize("fault", faults("tries the handshake again"))
def test_fault_it_tries_the_handshake_again(market: Exchange, fault: str) -> None:
    market.world.faults.arm(fault, times=2, where=rules.WS_PATH)

    async def talk() -> None:
        async with running(market) as run:
            await run.until(lambda: fault.rpartition("_")[2] in run.feed.state.problem)
            await goes_on(run)
            assert run.feed.state.problem == ""

    asyncio.run(talk())


@pytest.mark.parametrize("where", ["set_heartbeat", "public/subscribe"])
@pytest.mark.parametrize("fault", faults("asks again") + faults("goes by ids"))
def test_fault_it_asks_again(market: Exchange, fault: str, where: str) -> None:
    market.world.faults.arm(fault, where=where)
    rules_ = replace(TALK.session, answer_seconds=0.3)

    async def talk() -> None:
        async with running(
            market, replace(OPTIONS, talk=replace(TALK, summary_seconds=60.0, session=rules_))
        ) as run:
            await goes_on(run)
            assert market.world.faults.taken

    asyncio.run(talk())


@pytest.mark.parametrize("fault", faults("reports the missing numbers"))
def test_fault_it_reports_trades_left_out(market: Exchange, fault: str) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            await run.tape(600.0)
            known = {option for option, _ in run.numbers()}
            market.world.faults.arm(fault, times=None, where="option.BTC")
            # options that trade once a day have no number before the lost one: several that have;
            # of the last half minute some may be on their way still
            for end in range(600, 1_800, 30):
                await run.tape(30.0)
                lost = set(expected(market, 540.0, end)) - set(run.numbers())
                if len(known & {option for option, _ in lost}) >= 5:
                    break
            assert market.world.faults.taken
            assert lost
            market.world.faults.clear()
            await run.tape(2_400.0)
            await run.until(lambda: bool(run.gaps))  # told at its next look
            assert {gap.reason for gap in run.gaps} == {"sequence_gap"}
            assert run.feed.state.drops == 0
            numbers = run.numbers()
            assert len(numbers) == len(set(numbers))
            assert not {*numbers} & lost

    asyncio.run(talk())


@pytest.mark.parametrize("where", ["", "platform_state"])
def test_fault_maintenance_is_waited_for_and_said(market: Exchange, where: str) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            market.world.faults.arm("deribit_maintenance", times=None, where=where)
            await run.until(lambda: "maintenance" in run.feed.state.problem)
            market.world.faults.clear()
            await run.until(lambda: run.feed.state.problem == "")
            assert run.feed.state.drops == 0

    asyncio.run(talk())


def test_fault_maintenance_at_the_start_is_outlasted(market: Exchange) -> None:
    market.world.faults.arm("deribit_maintenance", times=None)

    async def talk() -> None:
        async with running(market) as run:
            await run.until(lambda: "11051" in run.feed.state.problem)
            assert run.feed.state.connects == 0
            market.world.faults.clear()
            await goes_on(run)

    asyncio.run(talk())


def test_fault_too_many_requests_connects_again_after_a_pause(market: Exchange) -> None:
    market.world.faults.arm("deribit_too_many_requests", where="public/subscribe")

    async def talk() -> None:
        async with running(market) as run:
            await run.until(lambda: "10028" in run.feed.state.problem)
            await goes_on(run)

    asyncio.run(talk())


def test_fault_no_heartbeat_is_no_matter_while_data_come(market: Exchange) -> None:
    market.world.faults.arm("deribit_no_heartbeat", times=None)

    async def talk() -> None:
        async with running(market) as run:
            await goes_on(run)

    asyncio.run(talk())


def test_fault_a_frame_that_is_no_json_is_counted(market: Exchange) -> None:
    async def talk() -> None:
        async with running(market) as run:
            await run.live()
            market.world.faults.arm("deribit_not_json")
            await run.until(lambda: any(b"<html>" in frame.payload for frame in run))
            await goes_on(run)
            (reject,) = run.decoded().rejects
            assert (reject.reason, reject.messages) == ("not_json", 1)
            assert reject.sample.startswith("<html>")

    asyncio.run(talk())


def test_fault_a_refused_channel_is_named_and_the_rest_goes_on(market: Exchange) -> None:
    market.world.faults.arm("deribit_refused_channel", times=None, where="markprice")

    async def talk() -> None:
        async with running(market) as run:
            await goes_on(run)
            (words,) = run.feed.state.refused
            assert words.startswith("markprice.options.btc_usd: not acknowledged twice")
            await run.until(lambda: run.feed.state.confirmed == run.feed.state.wanted - 1 == 13)

    asyncio.run(talk())


def test_fault_a_silent_channel_is_named_and_subscribed_again(market: Exchange) -> None:
    market.world.faults.arm("deribit_silent_channel", times=None, where="markprice")
    options = replace(OPTIONS, talk=replace(TALK, pulse_seconds=0.15))

    async def talk() -> None:
        async with running(market, options) as run:
            await run.live()
            words = "markprice.options.btc_usd is acknowledged and silent"
            await run.until(lambda: words in run.feed.state.problem)
            market.world.faults.clear()
            while words in run.feed.state.problem:
                market.pass_time(1.0)
                await asyncio.sleep(0.02)
            assert run.feed.state.drops == 0

    asyncio.run(talk())

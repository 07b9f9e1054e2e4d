"""Deribit's WebSocket of the test exchange against recorded frames and measured rules."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.deribit_client import (
    EXPIRY,
    NEAR,
    NOW,
    Exchange,
    exchange,
    ms,
    run,
    tape,
    trades,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    with exchange() as found:
        yield found


@pytest.fixture
def market(shared: Exchange) -> Exchange:
    """An exchange whose clock stands on a Tuesday afternoon, without faults."""
    shared.world.clock.set(NOW)
    shared.world.faults.clear()
    return shared


# sessions


def test_replies_and_acks_are_the_recorded_ones(market: Exchange, shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "ws_frames_probe_2026-09-23.jsonl"
    frames = [json.loads(line)["frame"] for line in path.read_text().splitlines()]
    bad_json = next(f for f in frames if f.get("error", {}).get("code") == 11050)
    raw = next(f for f in frames if f.get("error", {}).get("code") == 13778)

    async def talk() -> None:
        async with market.session() as session:
            assert set(await session.call("public/test")) == set(frames[1])
            channels = [
                f"quote.{NEAR}",
                "ticker.BTC-PERPETUAL.100ms",
                "deribit_price_index.btc_usd",
            ]
            assert sorted(await session.subscribe(*channels)) == sorted(channels)
            assert await session.subscribe("book_summary.option.btc.all", "ticker.NOPE.100ms") == []
            reply = await session.call("public/subscribe", channels=["ticker.BTC-PERPETUAL.raw"])
            assert (set(reply), reply["error"]) == (set(raw), raw["error"])
            await session.ws.send_str("{'method': 'public/test'}")
            reply = await session.frame(lambda f: "error" in f)
            assert (set(reply), reply["error"]) == (set(bad_json), bad_json["error"])
            await session.ws.send_str(json.dumps({"jsonrpc": "2.0", "method": "public/test"}))
            reply = await session.frame(lambda f: "result" in f)
            assert "id" not in reply
            assert (await session.call("public/unsubscribe", channels=channels[:1]))[
                "result"
            ] == channels[:1]

    run(talk)


def test_the_ack_comes_in_another_order_than_asked(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            channels = ["book.BTC-PERPETUAL.none.10.100ms", f"quote.{NEAR}", f"ticker.{NEAR}.agg2"]
            assert await session.subscribe(*channels, "nonsense") == channels[::-1]

    run(talk)


@pytest.mark.parametrize("refuses", [True, False])
def test_binary_frames_are_refused_where_configured(refuses: bool) -> None:
    with exchange(refuses_binary=refuses) as market:

        async def talk() -> None:
            async with market.session() as session:
                await session.ws.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"public/test"}')
                reply = await session.frame(lambda _: True)
                assert ("error" in reply) is refuses
                if refuses:
                    assert reply["error"]["code"] == 11050
                    assert "id" not in reply

        run(talk)


def test_authentication_by_secret_signature_and_refresh(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            reply = await session.call("private/subscribe", channels=["quote.BTC-PERPETUAL"])
            assert reply["error"]["code"] == 13009
            wrong = {"client_id": rules.CLIENT_ID, "client_secret": "wrong"}
            reply = await session.call("public/auth", grant_type="client_credentials", **wrong)
            assert reply["error"] == {"code": 13004, "message": "invalid_credentials"}
            signed = {"timestamp": ms(NOW), "nonce": "abc", "data": ""}
            reply = await session.call(
                "public/auth",
                grant_type="client_signature",
                client_id=rules.CLIENT_ID,
                signature=rules.signature(f"{ms(NOW)}\nabc\n"),
                **signed,
            )
            assert reply["result"]["token_type"] == "bearer"
            raw = f"ticker.{NEAR}.raw"
            assert await session.subscribe(raw) == [raw]
            token = reply["result"]["refresh_token"]
            reply = await session.call(
                "public/auth", grant_type="refresh_token", refresh_token=token
            )
            assert "access_token" in reply["result"]

    run(talk)


def test_heartbeats_ask_and_an_unanswered_one_closes() -> None:
    with exchange(second=0.05) as market:

        async def talk() -> None:
            async with market.session() as session:
                wrong = await session.call("public/set_heartbeat", interval=5)
                assert wrong["error"]["code"] == -32602
                assert (await session.call("public/set_heartbeat", interval=10))["result"] == "ok"
                begun = time.monotonic()
                for _ in range(3):
                    await session.frame(lambda f: f.get("params", {}).get("type") == "test_request")
                    await session.call("public/test")
                assert time.monotonic() - begun > 3 * 0.5
                kinds = [f["params"]["type"] for f in session.frames if "method" in f]
                assert set(kinds) == {"heartbeat", "test_request"}
                await session.frame(lambda f: f.get("params", {}).get("type") == "test_request")
                assert await session.closed() == 4000
                assert session.ws.close_code == 4000

        run(talk)


def test_idle_sessions_die_without_close_frame() -> None:
    with exchange(second=0.002) as market:

        async def talk() -> None:
            async with market.session() as idle, market.session() as busy:
                await busy.subscribe("deribit_price_index.btc_usd")
                assert await idle.closed() in (None, 1006)
                assert (await busy.call("public/test"))["result"]

        run(talk)


def test_an_empty_bucket_is_10028_and_the_end_of_the_session() -> None:
    with exchange(subscribe_credits=9_000.0, subscribe_refill=0.0) as market:

        async def talk() -> None:
            async with market.session() as session:
                for _ in range(3):
                    assert await session.subscribe("platform_state") == ["platform_state"]
                reply = await session.call("public/subscribe", channels=["platform_state"])
                assert reply["error"] == {"code": 10028, "message": "too_many_requests"}
                await session.closed()

        run(talk)


def test_one_connection_too_many_is_http_429() -> None:
    with exchange(connections=2) as market:

        async def talk() -> None:
            async with market.session(), market.session():
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    async with market.session():
                        pass
                assert refused.value.status == 429

        run(talk)


# channels


def test_every_channel_says_what_its_kind_says(market: Exchange, shared_samples: Path) -> None:
    nautilus = shared_samples / "deribit" / "nautilus"

    def keys(name: str) -> set[str]:
        return set(json.loads((nautilus / name).read_text())["params"]["data"])

    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe(
                f"ticker.{NEAR}.100ms",
                f"quote.{NEAR}",
                f"book.{NEAR}.none.10.100ms",
                "book.BTC-PERPETUAL.none.1.100ms",
                "deribit_volatility_index.btc_usd",
                "deribit_price_index.btc_usd",
                "estimated_expiration_price.btc_usd",
                "platform_state",
                "platform_state.public_methods_state",
            )
            while len({f["params"]["channel"] for f in session.frames[1:]}) < 9:
                await session.frame(lambda _: True)
            found = {f["params"]["channel"]: f["params"]["data"] for f in session.frames[1:]}
            assert found[f"ticker.{NEAR}.100ms"] == market.get("ticker", instrument_name=NEAR)
            assert set(found[f"quote.{NEAR}"]) == keys("ws_quote.json")
            assert set(found[f"book.{NEAR}.none.10.100ms"]) == keys("ws_book_grouped_snapshot.json")
            assert len(found["book.BTC-PERPETUAL.none.1.100ms"]["bids"]) == 1
            assert set(found["deribit_volatility_index.btc_usd"]) == keys(
                "ws_volatility_index.json"
            )
            price = market.get("get_index_price", index_name="btc_usd")["index_price"]
            assert found["deribit_price_index.btc_usd"] == {
                "timestamp": ms(NOW),
                "index_name": "btc_usd",
                "price": price,
            }
            left = int((EXPIRY + timedelta(days=1) - NOW).total_seconds())
            assert found["estimated_expiration_price.btc_usd"] == {
                "seconds": left,
                "price": price,
                "is_estimated": False,
            }
            assert found["platform_state"]["locked"] is False
            assert found["platform_state.public_methods_state"] == {
                "allow_unauthenticated_public_requests": True
            }

    run(talk)


def test_marks_are_decimals_and_later_batches_hold_what_changed(
    market: Exchange, shared_samples: Path
) -> None:
    path = shared_samples / "deribit" / "recorded" / "ws_frames_probe_2026-09-23.jsonl"
    frames = [json.loads(line)["frame"] for line in path.read_text().splitlines()]
    wanted = next(f for f in frames if "markprice" in f.get("params", {}).get("channel", ""))

    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("markprice.options.btc_usd")
            first = await session.data("markprice.options.btc_usd")
            assert {frozenset(row) for row in first} == {frozenset(wanted["params"]["data"][0])}
            row = next(row for row in first if row["instrument_name"] == NEAR)
            ticker = market.get("ticker", instrument_name=NEAR)
            assert row["iv"] == pytest.approx(ticker["mark_iv"] / 100.0)
            assert row["mark_price"] == ticker["mark_price"]
            market.pass_time(5.0)
            later = await session.data("markprice.options.btc_usd")
            assert 0 < len(later) < len(first)

    run(talk)


def test_incremental_tickers_merge_into_the_ticker(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            channel = f"incremental_ticker.{NEAR}"
            await session.subscribe(channel)
            whole = await session.data(channel)
            assert whole.pop("type") == "snapshot"
            market.pass_time(90.0)
            change = await session.data(channel)
            assert change.pop("type") == "change"
            assert "state" not in change
            assert "instrument_name" in change
            nested = {name: whole[name] | change.get(name, {}) for name in ("greeks", "stats")}
            assert whole | change | nested == market.get("ticker", instrument_name=NEAR)

    run(talk)


def test_quotes_come_on_change_alone(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe(f"quote.{NEAR}")
            await session.data(f"quote.{NEAR}")
            assert await session.hear(0.1) == []
            market.pass_time(60.0)
            await session.data(f"quote.{NEAR}")

    run(talk)


def test_trades_channels_send_what_rest_has(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            channels = [f"trades.{kind}.100ms" for kind in ("option.BTC", "option.USDC", "any.any")]
            await session.subscribe(*channels)
            market.pass_time(300.0)
            asked = {"start_timestamp": ms(NOW) + 1, "end_timestamp": ms(NOW) + 300_000}
            every = [
                trades(market, **asked)["trades"],
                trades(market, currency="USDC", **asked)["trades"],
                trades(market, currency="any", kind="any", **asked)["trades"],
            ]
            assert all(every)
            await session.collect(sum(len(found) for found in every), *channels)
            for channel, expected in zip(channels, every, strict=True):
                sent = [
                    trade
                    for frame in session.frames
                    if frame.get("params", {}).get("channel") == channel
                    for trade in frame["params"]["data"]
                ]
                assert sent == expected
            names = {trade["instrument_name"] for trade in every[2]}
            assert names >= {trade["instrument_name"] for trade in every[0]} | {"BTC-PERPETUAL"}

    run(talk)


def test_an_instruments_own_trades(market: Exchange) -> None:
    row = tape(NOW + timedelta(seconds=5), NOW + timedelta(seconds=50))[0]

    async def talk() -> None:
        async with market.session() as session:
            channel = f"trades.{row['symbol']}.100ms"
            assert await session.subscribe(channel) == [channel]
            market.pass_time(60.0)
            found = await session.data(channel)
            assert {trade["instrument_name"] for trade in found} == {row["symbol"]}
            assert row["trade_id"] in {trade["trade_id"] for trade in found}

    run(talk)


def test_the_life_of_instruments_is_told(market: Exchange) -> None:
    market.world.clock.set(EXPIRY - timedelta(seconds=10))
    midnight = EXPIRY - timedelta(hours=8)

    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("instrument.state.option.BTC", "instrument.creation.any.any")
            market.world.clock.set(EXPIRY + timedelta(seconds=310))
            chain = market.world.chain("BTC", EXPIRY)
            gone = [row for row in chain.to_pylist() if row["expires_at"] == EXPIRY]
            states = await session.collect(3 * len(gone), "instrument.state.option.BTC")
            one = [s for s in states if s["instrument_name"] == "BTC-15SEP26-83000-C"]
            assert [s["state"] for s in one] == ["settlement", "delivered", "archivized"]
            assert {name for s in states for name in s} == {"timestamp", "state", "instrument_name"}
        market.world.clock.set(midnight - timedelta(seconds=5))
        async with market.session() as session:
            await session.subscribe("instrument.state.any.BTC", "instrument.creation.option.BTC")
            market.world.clock.set(midnight + timedelta(seconds=5))
            both = ("instrument.state.any.BTC", "instrument.creation.option.BTC")
            await session.collect(2, *both)
            heard = [f["params"] for f in session.frames[1:] + await session.hear(0.2)]
            created = [p["data"] for p in heard if p["channel"] == both[1]]
            opened = [p["data"] for p in heard if p["channel"] == both[0]]
            assert "19SEP26" in {row["instrument_name"].split("-")[1] for row in created}
            assert {row["instrument_name"] for row in created} < {
                row["instrument_name"] for row in opened
            }
            listed = market.get("get_instruments", currency="BTC", kind="option")
            assert created[0] in listed

    run(talk)


def test_block_rfqs_come_one_by_one(market: Exchange) -> None:
    found = market.get("get_block_rfq_trades", currency="BTC", count=1)["block_rfqs"][0]
    market.world.clock.set(datetime.fromtimestamp(found["timestamp"] / 1000.0 - 5.0, UTC))

    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("block_rfq.trades.any")
            market.pass_time(10.0)
            assert await session.data("block_rfq.trades.any") == found

    run(talk)


# faults


def test_fault_10028_ends_the_session(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            market.arm("too_many_requests", where="public/subscribe")
            assert (await session.call("public/test"))["result"]
            reply = await session.call("public/subscribe", channels=["platform_state"])
            assert reply["error"]["code"] == 10028
            await session.closed()

    run(talk)


def test_fault_replies_out_of_order_and_without_id(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            market.arm("out_of_order")
            first = await session.send("public/test")
            second = await session.send("public/get_time")
            await session.frame(lambda f: f.get("id") == first)
            assert [frame["id"] for frame in session.frames] == [second, first]
            market.arm("out_of_order")
            await session.call("public/test")  # alone, it comes late
            market.arm("no_id")
            await session.send("public/test")
            assert "id" not in await session.frame(lambda f: "result" in f)

    run(talk)


def test_fault_no_heartbeat() -> None:
    with exchange(second=0.005) as market:
        market.arm("no_heartbeat", times=None)

        async def talk() -> None:
            async with market.session() as session:
                await session.call("public/set_heartbeat", interval=10)
                assert await session.hear(0.3) == []
                market.world.faults.clear()
                await session.frame(lambda f: f.get("method") == "heartbeat")

        run(talk)


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("abort", (None, 1006)),
        ("close", (1000,)),
        ("connection_too_slow", (1008,)),
    ],
)
def test_fault_endings(market: Exchange, fault: str, codes: tuple[int | None, ...]) -> None:
    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("platform_state")
            market.arm(fault)
            assert await session.closed() in codes
            if fault == "connection_too_slow":
                assert session.frames[-1]["error"]["message"] == "connection_too_slow"

    run(talk)


def test_fault_freeze_answers_nothing_any_more(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session(autoping=False) as session:
            await session.subscribe("platform_state")
            await session.hear(0.05)
            market.arm("freeze")
            await asyncio.sleep(0.1)
            market.pass_time(5.0)
            await session.send("public/test")
            await session.ws.ping()
            assert await session.hear(0.2) == []
            assert not session.ws.closed

    run(talk)


def test_fault_frame_that_is_no_json(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("platform_state")
            await session.hear(0.05)
            market.arm("not_json")
            message = await session.ws.receive(timeout=60.0)
            with pytest.raises(ValueError, match="Expecting value"):
                json.loads(message.data)

    run(talk)


def test_fault_trades_are_left_out_of_notifications(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            channel = "trades.option.BTC.100ms"
            await session.subscribe(channel, "platform_state")
            await session.data("platform_state")
            market.arm("lost_trades")
            market.arm("sequence_gap")
            market.pass_time(60.0)
            await session.data("platform_state")  # sent after the trades
            market.pass_time(60.0)
            second = {"start_timestamp": ms(NOW) + 60_001, "end_timestamp": ms(NOW) + 120_000}
            expected = trades(market, **second)["trades"]
            found = await session.collect(len(expected) - 1, channel)
            assert found == expected[:-2] + expected[-1:]
            assert [fault for fault, _ in market.world.faults.taken] == [
                rules.LOST_TRADES,
                rules.SEQUENCE_GAP,
            ]

    run(talk)


def test_fault_channels_refused_or_silent(market: Exchange) -> None:
    market.arm("refused_channel", where="quote.", times=None)
    market.arm("silent_channel", where="deribit_price_index", times=None)

    async def talk() -> None:
        async with market.session() as session:
            accepted = await session.subscribe(f"quote.{NEAR}", "deribit_price_index.btc_usd")
            assert accepted == ["deribit_price_index.btc_usd"]
            assert await session.hear(0.1) == []

    run(talk)


def test_fault_maintenance_is_told_and_ends(market: Exchange) -> None:
    async def talk() -> None:
        async with market.session() as session:
            await session.subscribe("platform_state")
            market.arm("maintenance", times=None)
            await session.frame(lambda f: f.get("params", {}).get("data") == {"maintenance": True})
            reply = await session.call("public/ticker", instrument_name=NEAR)
            assert reply["error"] == {"code": 11051, "message": "system_maintenance"}
            market.world.faults.clear()
            await session.frame(lambda f: f.get("params", {}).get("data") == {"maintenance": False})

    run(talk)


def test_fault_handshake_429(market: Exchange) -> None:
    market.arm("429", where=rules.WS_PATH)

    async def talk() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with market.session():
                pass
        assert refused.value.status == 429

    run(talk)

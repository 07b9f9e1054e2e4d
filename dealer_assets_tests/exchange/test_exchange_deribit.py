"""Deribit's REST of the test exchange against recorded bodies and measured rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.providers.simulator.market import day_path
from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.deribit_client import (
    DAY_MS,
    EXPIRY,
    NEAR,
    NOW,
    Body,
    Exchange,
    exchange,
    ms,
    tape,
    trades,
    whole_tape,
)

NAME = re.compile(r"^([A-Z0-9]+(?:_[A-Z]+)?)-(\d{1,2}[A-Z]{3}\d{2})-(\d+(?:d\d+)?)-([CP])$")
MS = timedelta(milliseconds=1)


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


def recorded(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="session")
def newest(shared_data: Path) -> Path:
    """Bodies of September 2026."""
    return shared_data / "deribit" / "fixtures_openbb"


# envelope and errors


def test_envelope_has_times_and_an_id_only_where_one_was_given(market: Exchange) -> None:
    answer = market.ask("get_time").json()
    assert set(answer) == {"jsonrpc", "result", "usIn", "usOut", "usDiff", "testnet"}
    assert answer["result"] == ms(NOW)
    assert answer["usOut"] - answer["usIn"] == answer["usDiff"]
    request = {"jsonrpc": "2.0", "id": 7, "method": "public/test", "params": {}}
    for path in ("/api/v2", "/api/v2/public/test"):
        answer = market.http.post(path, json=request).json()
        assert (answer["id"], answer["result"]) == (7, {"version": "1.2.26"})
    answer = market.http.post("/api/v2", content=b"{'method': 'public/test'}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 11050)
    assert "id" not in answer.json()


def test_wrong_calls_are_named_as_deribit_names_them(market: Exchange) -> None:
    assert market.error("get_book_summary") == (400, -32601)
    assert market.error("ticker", instrument_name="BTC-30OCT30-84000-C") == (400, 13020)
    assert market.error("ticker", instrument_name="nonsense") == (400, -32602)
    assert market.error("get_instruments", currency="DOGE") == (400, -32602)
    times = {"start_timestamp": 0, "end_timestamp": 1}
    wrong = market.error(
        "get_last_trades_by_currency_and_time", currency="BTC", count=1001, **times
    )
    assert wrong == (400, -32602)
    answer = market.http.get("/api/v2/private/get_positions")
    assert answer.json()["error"] == {
        "code": 13009,
        "message": "unauthorized",
        "data": {"reason": "invalid_token"},
    }


# what is listed


def test_instruments_have_the_newest_fields(market: Exchange, newest: Path) -> None:
    rows = market.get("get_instruments", currency="BTC", kind="option", expired="false")
    wanted = next(
        row for row in recorded(newest, "instruments_option.json") if row["base_currency"] == "BTC"
    )
    assert {frozenset(row) for row in rows} == {frozenset(wanted)}
    row = next(row for row in rows if row["instrument_name"] == NEAR)
    same = ("contract_size", "tick_size", "tick_size_steps", "quote_currency", "instrument_type")
    assert [row[name] for name in same] == [wanted[name] for name in same]
    assert row["expiration_timestamp"] == ms(datetime(2026, 10, 30, 8, tzinfo=UTC))
    assert (row["strike"], row["option_type"], row["settlement_period"]) == (84000, "call", "month")
    assert all(NAME.match(row["instrument_name"]) for row in rows)
    assert {row["instrument_name"].split("-")[1] for row in rows} >= {"16SEP26", "2OCT26"}


def test_usdc_options_are_another_currency(market: Exchange, newest: Path) -> None:
    coin = market.get("get_instruments", currency="BTC", kind="option")
    linear = market.get("get_instruments", currency="USDC", kind="option")
    every = market.get("get_instruments", currency="any", kind="option")
    assert len(every) == len(coin) + len(linear)
    assert all(row["instrument_name"].startswith("BTC_USDC-") for row in linear)
    assert all(NAME.match(row["instrument_name"]) for row in linear)
    assert {(row["instrument_type"], row["quote_currency"]) for row in linear} == {
        ("linear", "USDC")
    }
    fields = set(recorded(newest, "instruments_option.json")[0])
    assert {frozenset(row) for row in linear} == {frozenset(fields)}
    assert market.get("get_instruments", currency="ETH", kind="option") == []


def test_every_expiry_has_a_future_since_the_reform_and_synthetic_ones_before(
    market: Exchange,
) -> None:
    dates = market.get("get_expirations", currency="any", kind="any")
    assert dates["future"][-1] == "PERPETUAL"
    assert dates["option"] == dates["future"][:-1]
    assert dates["option"][0] == "16SEP26"
    linear = market.get("get_expirations", currency="USDC", kind="any")["usdc"]
    assert linear["option"] == linear["future"][:-1]
    assert set(market.get("get_expirations", currency="BTC", kind="option")) == {"btc"}
    market.world.clock.set(datetime(2026, 6, 10, 14, tzinfo=UTC))
    rows = market.get("get_book_summary_by_currency", currency="BTC", kind="option")
    named = {row["underlying_index"] for row in rows}
    assert "SYN.BTC-12JUN26" in named
    assert "BTC-26JUN26" in named


def test_expired_instruments_are_asked_for_apart(market: Exchange) -> None:
    gone = market.get("get_instruments", currency="BTC", kind="option", expired="true")
    assert {row["instrument_name"].split("-")[1] for row in gone} == {
        "13SEP26",
        "14SEP26",
        "15SEP26",
    }
    assert not any(row["is_active"] for row in gone)
    listed = market.get("get_instruments", currency="BTC", kind="option")
    names = {row["instrument_name"] for row in listed}
    assert not names & {row["instrument_name"] for row in gone}


def test_combos_are_those_that_traded(market: Exchange, newest: Path) -> None:
    combos = market.get("get_combos", currency="BTC")
    wanted = recorded(newest, "combos.json")[0]
    assert {frozenset(combo) for combo in combos} == {frozenset(wanted)}
    days = (date(2026, 9, 14), date(2026, 9, 15))
    traded = {name for day in days for name in whole_tape(day)["combo_id"].unique().to_pylist()}
    assert {combo["id"] for combo in combos} <= traded
    spread = next(c for c in combos if "-CS-" in c["id"] or "-PS-" in c["id"])
    assert sorted(leg["amount"] for leg in spread["legs"]) == [-1, 1]
    rows = market.get("get_instruments", currency="BTC", kind="option_combo")
    assert {row["instrument_name"] for row in rows} == {combo["id"] for combo in combos}
    assert market.get("get_combo_details", combo_id=spread["id"]) == spread


# prices


def test_book_summary_has_the_recorded_fields_and_nulls(
    market: Exchange, shared_samples: Path
) -> None:
    path = shared_samples / "deribit" / "recorded" / "rest_book_summary_option_rows_2025-01-17.json"
    rows = market.get("get_book_summary_by_currency", currency="BTC", kind="option")
    wanted = json.loads(path.read_text())["result"][0]
    assert {frozenset(row) for row in rows} == {frozenset(wanted)}
    assert "0.0" not in {str(row[side]) for row in rows for side in ("bid_price", "ask_price")}
    empty = [row for row in rows if row["bid_price"] is None]
    assert empty
    assert all(row["mid_price"] is None for row in empty)
    assert all(1.0 < row["mark_iv"] < 500.0 for row in rows)
    assert {row["creation_timestamp"] for row in rows} == {ms(NOW)}


def test_summary_and_chain_are_the_same_market(market: Exchange) -> None:
    market.world.clock.set(NOW.replace(second=0))
    chain = {row["symbol"]: row for row in market.world.chain("BTC").to_pylist()}
    rows = market.get("get_book_summary_by_currency", currency="BTC", kind="option")
    assert len(rows) > 400
    stale = 0  # a quote of half an hour ago is on the tick grid of its own forward
    for row in rows:
        ours = chain[row["instrument_name"]]
        assert row["underlying_price"] == ours["venue_forward"]
        assert row["open_interest"] == ours["open_interest_contracts"]
        assert row["mark_iv"] == pytest.approx(100.0 * ours["vendor_implied_vol"], abs=1e-9)
        for side in ("bid", "ask"):
            price = 0.0 if row[f"{side}_price"] is None else row[f"{side}_price"]
            off = abs(price * row["underlying_price"] - (ours[side] or 0.0))
            assert off < 0.0005 * row["underlying_price"]
            stale += off > 0.01
    assert stale < 0.04 * len(rows)


def test_ticker_has_the_recorded_fields_units_and_rounding(market: Exchange, newest: Path) -> None:
    wanted = recorded(newest, "option_tickers.json")["BTC-21SEP26-68000-C"]
    body = market.get("ticker", instrument_name=NEAR)
    assert set(body) == set(wanted)
    assert set(body["greeks"]) == set(wanted["greeks"])
    assert set(body["stats"]) == set(wanted["stats"])
    years = (datetime(2026, 10, 30, 8, tzinfo=UTC) - NOW).total_seconds() / SECONDS_PER_YEAR
    one = np.ones(1)
    greeks = black_greeks(
        one * body["underlying_price"],
        one * 84000.0,
        S=one * body["underlying_price"],
        T=one * years,
        sigma=one * body["mark_iv"] / 100.0,
        D=one,
        is_call=one > 0.0,
    )
    for name in ("delta", "gamma", "vega", "theta"):
        assert body["greeks"][name] == round(float(getattr(greeks, name)[0]), 5)
    coin = float(greeks.price[0]) / body["underlying_price"]
    assert body["mark_price"] == pytest.approx(coin, abs=6e-5)
    assert body["best_bid_price"] < body["mark_price"] < body["best_ask_price"]
    assert body["bid_iv"] < body["mark_iv"] < body["ask_iv"]
    assert body["greeks"]["gamma"] in (0.00002, 0.00003)  # one significant digit


def test_small_numbers_come_in_exponent_form(market: Exchange) -> None:
    assert re.search(r'"gamma":\de-0?5', market.ask("ticker", instrument_name=NEAR).text)


def test_empty_sides_are_zero_in_tickers_and_quiet_volumes_null_or_zero(market: Exchange) -> None:
    rows = market.get("get_book_summary_by_currency", currency="BTC", kind="option")
    names = [row["instrument_name"] for row in rows if row["bid_price"] is None][:5]
    for name in names:
        body = market.get("ticker", instrument_name=name)
        assert (body["best_bid_price"], body["best_bid_amount"]) == (0.0, 0.0)
        assert body["bid_iv"] == 0.0
    quiet = [row["instrument_name"] for row in rows if row["volume"] == 0.0][:12]
    volumes = [market.get("ticker", instrument_name=n)["stats"]["volume"] for n in quiet]
    assert set(volumes) == {None, 0.0}


def test_usdc_prices_are_dollars(market: Exchange) -> None:
    rows = market.get("get_book_summary_by_currency", currency="USDC", kind="option")
    row = next(r for r in rows if r["instrument_name"] == "BTC_USDC-30OCT26-84000-C")
    coin = market.get("ticker", instrument_name=NEAR)
    assert row["quote_currency"] == "USDC"
    dollars = coin["mark_price"] * coin["underlying_price"]
    assert row["mark_price"] == pytest.approx(dollars, rel=4e-3)
    assert row["bid_price"] % 5.0 == 0.0


def test_futures_have_dollar_amounts(market: Exchange, newest: Path) -> None:
    rows = market.get("get_book_summary_by_currency", currency="BTC", kind="future")
    wanted = recorded(newest, "book_summary_future.json")[0]
    dated = [row for row in rows if row["instrument_name"] != "BTC-PERPETUAL"]
    assert {frozenset(row) for row in dated} == {frozenset(wanted)}
    assert all(row["open_interest"] % 10 == 0 and row["open_interest"] > 1e6 for row in rows)
    body = market.get("ticker", instrument_name="BTC-PERPETUAL")
    assert set(body) == set(recorded(newest, "ticker_future.json"))
    book = market.get("get_order_book", instrument_name="BTC-PERPETUAL", depth=5)
    assert set(book) == set(recorded(newest, "order_book.json"))
    assert len(book["bids"]) == 5
    assert book["bids"][0] == [book["best_bid_price"], book["best_bid_amount"]]


def test_index_is_the_shared_market_between_minutes_too(market: Exchange) -> None:
    path = day_path(7, "BTC", NOW.date()).spot
    found = market.get("get_index_price", index_name="btc_usd")
    assert found["index_price"] == round((path[840] + path[841]) / 2.0, 2)
    assert found == {"index_price": found["index_price"]} | {
        "estimated_delivery_price": found["index_price"]
    }
    other = market.get("get_index_price", index_name="btc_usdc")["index_price"]
    assert 0.0 < found["index_price"] - other < 30.0
    assert market.get("get_index_price_names") == ["btc_usd", "btc_usdc"]
    assert market.error("get_index_price", index_name="btc_eur") == (400, -32602)


# trades


def test_trades_are_the_tape(market: Exchange, newest: Path) -> None:
    first, last = NOW - timedelta(minutes=20), NOW
    found = trades(market, start_timestamp=ms(first), end_timestamp=ms(last), sorting="asc")
    expected = tape(first, last)
    assert len(expected) > 100
    assert not found["has_more"]
    same = [
        (t["trade_id"], t["timestamp"], t["instrument_name"], t["price"], t["amount"])
        for t in found["trades"]
    ]
    assert sorted(same) == sorted(
        (r["trade_id"], ms(r["event_at"]), r["symbol"], r["price"], r["size_contracts"])
        for r in expected
    )
    assert [t["timestamp"] for t in found["trades"]] == sorted(
        t["timestamp"] for t in found["trades"]
    )
    plain = [t for t in found["trades"] if "block_trade_id" not in t and "liquidation" not in t]
    wanted = recorded(newest, "trades_currency.json")["trades"][0]
    assert {frozenset(t) for t in plain} == {frozenset(wanted)}
    by_id = {row["trade_id"]: row for row in expected}
    for trade in plain:
        assert trade["direction"] == by_id[trade["trade_id"]]["taker_side"]
        assert trade["contracts"] == trade["amount"]
        assert trade["iv"] > 1.0
    assert {type(trade["trade_id"]) for trade in plain} == {str}


def test_pages_overlap_at_their_last_timestamp_and_lose_nothing(market: Exchange) -> None:
    first, last = ms(NOW - timedelta(minutes=20)), ms(NOW)
    whole = trades(market, start_timestamp=first, end_timestamp=last, sorting="asc")["trades"]
    found: dict[str, Body] = {}
    start, more = first, True
    while more:
        page = trades(market, start_timestamp=start, end_timestamp=last, sorting="asc", count=50)
        found |= {trade["trade_id"]: trade for trade in page["trades"]}
        start, more = page["trades"][-1]["timestamp"], page["has_more"]
    assert list(found.values()) == whole
    newest_first = trades(market, start_timestamp=first, end_timestamp=last, sorting="desc")
    assert newest_first["trades"] == whole[::-1]


def test_trade_sequences_run_on_over_midnight(market: Exchange) -> None:
    midnight = datetime(2026, 9, 15, tzinfo=UTC)
    late = Counter(row["symbol"] for row in tape(midnight - timedelta(hours=1), midnight - MS))
    name = late.most_common(1)[0][0]
    found = market.get(
        "get_last_trades_by_instrument_and_time",
        instrument_name=name,
        start_timestamp=ms(midnight - timedelta(hours=6)),
        end_timestamp=ms(midnight + timedelta(hours=6)),
        count=1000,
        sorting="asc",
    )["trades"]
    assert found[0]["timestamp"] < ms(midnight) < found[-1]["timestamp"]
    numbers = [trade["trade_seq"] for trade in found]
    assert {b - a for a, b in pairwise(numbers)} == {1}
    missing = market.get(
        "get_last_trades_by_instrument",
        instrument_name=name,
        start_seq=numbers[3],
        end_seq=numbers[5],
        sorting="asc",
    )
    assert missing["trades"] == found[3:6]


def test_older_than_a_day_is_an_empty_list_here_and_a_full_one_on_the_history_host(
    market: Exchange,
) -> None:
    old = {"start_timestamp": ms(NOW) - DAY_MS - 60_000, "end_timestamp": ms(NOW) - DAY_MS}
    assert trades(market, **old) == {"trades": [], "has_more": False}
    assert trades(market, host=rules.HISTORY_PATH, **old)["trades"] == []
    found = trades(market, host=rules.HISTORY_PATH, include_old="true", **old)["trades"]
    assert len(found) > 5
    assert all(old["start_timestamp"] <= t["timestamp"] <= old["end_timestamp"] for t in found)
    ago = {"start_timestamp": ms(NOW) - 400 * DAY_MS, "end_timestamp": ms(NOW) - 399 * DAY_MS}
    found = trades(market, host=rules.HISTORY_PATH, include_old="true", **ago)["trades"]
    assert len(found) == 1000
    assert not any("contracts" in trade for trade in found)


def test_the_history_host_knows_no_volatility_index_and_few_calls_a_second() -> None:
    with exchange() as market:
        asked = {
            "currency": "BTC",
            "start_timestamp": ms(NOW) - DAY_MS,
            "end_timestamp": ms(NOW),
            "resolution": "3600",
        }
        data = market.get("get_volatility_index_data", **asked)
        assert len(data["data"]) == 24
        answer = market.ask("get_volatility_index_data", host=rules.HISTORY_PATH, **asked)
        assert answer.status_code == 400
        codes = [market.ask("get_time", host=rules.HISTORY_PATH).status_code for _ in range(12)]
        assert 429 in codes


def test_a_combination_is_printed_as_legs_and_as_a_package(
    market: Exchange, shared_samples: Path
) -> None:
    asked = {"start_timestamp": ms(NOW) - DAY_MS + 60_000, "end_timestamp": ms(NOW)}
    packages = trades(market, kind="option_combo", **asked)["trades"]
    path = shared_samples / "deribit" / "nautilus" / "http_get_last_trades_option_combo.json"
    wanted = json.loads(path.read_text())["result"]["trades"][0]
    assert len(packages) > 3
    for package in packages:
        assert set(package) >= set(wanted)
        leg = package["legs"][0]
        assert set(leg) >= set(wanted["legs"][0])
        assert {one["combo_trade_id"] for one in package["legs"]} == {package["trade_id"]}
        at = leg["timestamp"]
        printed = trades(market, start_timestamp=at, end_timestamp=at)["trades"]
        assert all(one in printed for one in package["legs"])
        sign = {"buy": 1.0, "sell": -1.0}
        net = sum(sign[one["direction"]] * one["price"] for one in package["legs"])
        assert package["price"] == pytest.approx(sign[package["direction"]] * net, abs=1e-8)
    both = trades(market, kind="any", **asked | {"start_timestamp": packages[0]["timestamp"]})
    assert {trade["instrument_name"].count("-") for trade in both["trades"]} >= {1, 3}


def test_block_legs_have_the_recorded_fields(market: Exchange, shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "block_trade_option_recorded.json"
    wanted = set(json.loads(path.read_text())["trade"])
    asked = {"start_timestamp": ms(NOW) - DAY_MS + 60_000, "end_timestamp": ms(NOW)}
    found = market.get("get_block_rfq_trades", currency="BTC", count=20)["block_rfqs"]
    stamp = next(rfq["timestamp"] for rfq in found if rfq["combo_id"] is not None)
    legs = trades(market, **asked | {"start_timestamp": stamp, "end_timestamp": stamp})["trades"]
    legs = [leg for leg in legs if "block_trade_id" in leg]
    assert len(legs) == legs[0]["block_trade_leg_count"] == 2
    assert all(set(leg) >= wanted for leg in legs)
    assert re.fullmatch(r"BLOCK-\d+", legs[0]["block_trade_id"])


def test_block_rfqs_page_by_their_continuation(market: Exchange, newest: Path) -> None:
    wanted = recorded(newest, "block_rfq_trades.json")["block_rfqs"][0]
    first = market.get("get_block_rfq_trades", currency="BTC", count=6)
    token = first["continuation"]
    assert re.fullmatch(r"\d{13}:\d+", token)
    second = market.get("get_block_rfq_trades", currency="any", count=4, continuation=token)
    both = first["block_rfqs"] + second["block_rfqs"]
    assert both == market.get("get_block_rfq_trades", currency="BTC", count=10)["block_rfqs"]
    assert all(set(rfq) - {"hedge"} == set(wanted) for rfq in both)
    assert {frozenset(leg) for rfq in both for leg in rfq["legs"]} == {frozenset(wanted["legs"][0])}
    assert [rfq["timestamp"] for rfq in both] == sorted(
        (rfq["timestamp"] for rfq in both), reverse=True
    )


# looking back


def test_delivery_prices_are_the_mean_of_the_last_half_hour(market: Exchange, newest: Path) -> None:
    found = market.get("get_delivery_prices", index_name="btc_usd", offset=1, count=3)
    assert [row["date"] for row in found["data"]] == ["2026-09-14", "2026-09-13", "2026-09-12"]
    assert set(found) == set(recorded(newest, "delivery_prices.json"))
    path = day_path(7, "BTC", date(2026, 9, 14)).spot[450:481]
    mean = (path[:-1] + path[1:]).mean() / 2.0
    assert found["data"][0]["delivery_price"] == pytest.approx(mean, abs=3.0)
    market.world.clock.set(datetime(2026, 9, 15, 7, 59, 59, tzinfo=UTC))
    newest_one = market.get("get_delivery_prices", index_name="btc_usd", count=1)["data"][0]
    assert newest_one["date"] == "2026-09-14"


def test_settlements_pay_the_delivery_price(market: Exchange, newest: Path) -> None:
    asked = {"currency": "BTC", "type": "delivery"}
    first = market.get("get_last_settlements_by_currency", **asked, count=10)
    second = market.get(
        "get_last_settlements_by_currency", **asked, count=40, continuation=first["continuation"]
    )
    rows = first["settlements"] + second["settlements"]
    assert rows == market.get("get_last_settlements_by_currency", **asked, count=50)["settlements"]
    wanted = recorded(newest, "settlements_currency.json")["settlements"]
    assert {frozenset(row) for row in rows} == {frozenset(wanted[0])}
    price = market.get("get_delivery_prices", index_name="btc_usd", count=1)["data"][0]
    today = [row for row in rows if "15SEP26" in row["instrument_name"]]
    assert {row["index_price"] for row in today} == {price["delivery_price"]}
    assert {row["type"] for row in today} == {"delivery", "exercise"}
    call = next(r for r in today if r["instrument_name"] == "BTC-15SEP26-80000-C")
    value = 1.0 - 80_000.0 / price["delivery_price"]
    assert call["mark_price"] == pytest.approx(value, abs=1e-6)


def test_volatility_index_comes_in_pages_of_candles(market: Exchange, newest: Path) -> None:
    asked = {"currency": "BTC", "resolution": "60", "end_timestamp": ms(NOW)}
    start = ms(NOW) - 1500 * 60_000
    first = market.get("get_volatility_index_data", **asked, start_timestamp=start)
    assert len(first["data"]) == 1000
    rest = market.get(
        "get_volatility_index_data",
        **asked | {"end_timestamp": first["continuation"]},
        start_timestamp=start,
    )
    assert rest["continuation"] is None
    stamps = [row[0] for row in rest["data"] + first["data"]]
    assert {b - a for a, b in pairwise(stamps)} == {60_000}
    assert all(low <= min(o, c) and high >= max(o, c) for _, o, high, low, c in first["data"])
    assert all(len(row) == 5 for row in recorded(newest, "volatility_index.json")["data"])
    assert 20.0 < first["data"][-1][4] < 120.0


def test_candles(market: Exchange, shared_samples: Path) -> None:
    asked = {"start_timestamp": ms(NOW) - 600_000, "end_timestamp": ms(NOW), "resolution": "1"}
    body = market.get("get_tradingview_chart_data", instrument_name="BTC-PERPETUAL", **asked)
    names = {"ticks", "open", "high", "low", "close", "volume", "cost", "status"}
    assert set(body) == names
    assert len({len(body[name]) for name in names - {"status"}}) == 1
    asked |= {"start_timestamp": ms(NOW) - 20 * 3_600_000, "resolution": "60"}
    body = market.get("get_tradingview_chart_data", instrument_name=NEAR, **asked)
    assert body["status"] == "ok"
    assert max(body["high"]) < 1.0  # coin
    body = market.get(
        "get_tradingview_chart_data",
        instrument_name=NEAR,
        **asked | {"end_timestamp": asked["start_timestamp"]},
    )
    assert body["status"] == "no_data"


# expiry


def test_an_expiring_option_passes_through_its_states(market: Exchange) -> None:
    name = "BTC-15SEP26-83000-C"
    seen = []
    for after in (-1800, -60, 1, 6, 30, 299):
        market.world.clock.set(EXPIRY + timedelta(seconds=after))
        seen.append(market.get("ticker", instrument_name=name))
    states = [body["state"] for body in seen]
    assert states == ["open", "open", "open", "settlement", "delivered", "delivered"]
    assert seen[0]["estimated_delivery_price"] == seen[0]["index_price"]
    assert seen[1]["estimated_delivery_price"] != seen[1]["index_price"]
    gone = seen[2]
    assert gone["estimated_delivery_price"] == "expired"
    assert set(gone["greeks"].values()) == {0.0}
    assert (gone["mark_iv"], gone["bid_iv"], gone["ask_iv"]) == (250.0, 0.0, 500.0)
    assert market.error("get_order_book", instrument_name=name) == (400, 13019)
    listed = market.get("get_instruments", currency="BTC", kind="option")
    assert name not in {row["instrument_name"] for row in listed}
    market.world.clock.set(EXPIRY + timedelta(seconds=301))
    assert market.error("ticker", instrument_name=name) == (400, 13020)


# rules and faults


def test_http_calls_have_credits_of_their_own() -> None:
    with exchange(credits=1_000.0, refill=0.0, instruments_burst=1.0) as market:
        statuses = [market.ask("get_time").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        answers = [market.ask("get_instruments", currency="BTC", kind="future") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[1].json()["error"]["code"] == 10028


def test_rest_faults_are_those_of_any_http_source_and_rpc_errors(market: Exchange) -> None:
    market.arm("error", code=13028, message="temporarily_unavailable", where="get_time")
    assert market.error("get_time") == (400, 13028)
    market.arm("too_many_requests")
    assert market.error("get_time") == (429, 10028)
    market.arm("maintenance", times=None)
    assert market.error("get_index_price", index_name="btc_usd") == (503, 11051)
    assert market.get("status") == {"locked": "false", "locked_indices": []}
    market.world.faults.clear()
    market.arm("503")
    assert market.ask("get_time").status_code == 503
    market.arm("truncated")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        market.ask("get_time").json()

"""Deribit's decoder against recorded messages and odd ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dealer_assets import tables
from dealer_assets.underlyings import underlying
from streaming.core.events import (
    BLOCK,
    COMBO,
    LIQUIDATION,
    MARK,
    OPEN_INTEREST,
    QUOTE,
    SPOT,
    TRADE,
    Events,
    Frame,
)
from streaming.core.listing import Listing
from streaming.feeds.deribit.decode import DeribitDecoder
from streaming.feeds.index_check import SOURCES

NAME = "BTC-31JUL26-67000-C"
LINEAR = "BTC_USDC-31JUL26-67000-P"
MS = 1785079023870


def listing(*names: str, session: date = date(2020, 4, 1)) -> Listing:
    empty = tables.LISTED_CONTRACTS.schema.empty_table()
    found = Listing.of((underlying("BTC"),), empty, sessions_of={"BTC": session})
    assert found.add(names) == ()
    return found


def frames(*messages: Any, first_us: int = 1_000) -> list[Frame]:
    """Frames of bodies or bytes, a microsecond apart."""
    payloads = [
        m if isinstance(m, bytes) else json.dumps(m, separators=(",", ":")).encode()
        for m in messages
    ]
    return [Frame("deribit", "market", first_us + i, p) for i, p in enumerate(payloads)]


def note(channel: str, data: Any) -> dict[str, Any]:
    params = {"channel": channel, "data": data}
    return {"jsonrpc": "2.0", "method": "subscription", "params": params}


def trade(name: str = NAME, **changes: Any) -> dict[str, Any]:
    body = {
        "timestamp": MS,
        "iv": 41.01,
        "price": 0.01,
        "amount": 2.5,
        "direction": "buy",
        "index_price": 60_000.0,
        "instrument_name": name,
        "trade_seq": 8,
        "mark_price": 0.0101,
        "tick_direction": 2,
        "contracts": 2.5,
        "trade_id": "244365195",
    }
    return {k: v for k, v in (body | changes).items() if v is not ...}


def ticker(name: str = NAME, **changes: Any) -> dict[str, Any]:
    body = {
        "timestamp": MS,
        "instrument_name": name,
        "best_bid_price": 0.01,
        "best_bid_amount": 3.0,
        "best_ask_price": 0.012,
        "best_ask_amount": 4.0,
        "mark_price": 0.011,
        "mark_iv": 55.0,
        "open_interest": 12.5,
        "index_price": 60_000.0,
        "underlying_price": 61_000.0,
    }
    found = {k: v for k, v in (body | changes).items() if v is not ...}
    return note(f"ticker.{name}.100ms", found)


def rows(events: Events, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(getattr(events, name).tolist() for name in names), strict=True))


def one(events: Events, kind: int) -> Events:
    found = events.take(events.kind == kind)
    assert len(found) == 1
    return found


def reasons(messages: Sequence[Any], book: Listing | None = None) -> dict[str, int]:
    found = DeribitDecoder(book or listing(NAME, LINEAR)).decode(frames(*messages))
    return {reject.reason: reject.messages for reject in found.rejects}


# recorded


def test_recorded_tickers_become_quotes_marks_and_open_interest(shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "ws_option_tickers_recorded.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    bodies = [line["frame"] for line in lines if "frame" in line]
    bodies += [note("ticker.x.100ms", line["data"]) for line in lines if "frame" not in line]
    bodies[-1] = note("ticker.x.100ms", lines[-1]["data"]["raw"])  # a combination
    book = listing(
        "BTC-31DEC21-34000-P", "BTC-30SEP22-60000-C", "BTC-2APR20-7125-P", "BTC-12MAR25-65000-C"
    )
    found = DeribitDecoder(book).decode(frames(*bodies))
    assert (found.rejects, found.unlisted, found.passed_over) == ((), (), 1)
    assert found.events.kind.tolist() == 4 * [QUOTE, MARK, OPEN_INTEREST]
    assert found.events.contract.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert found.events.received_us.tolist() == [1000] * 3 + [1001] * 3 + [1002] * 3 + [1003] * 3
    quotes = found.events.take(found.events.kind == QUOTE)
    assert quotes.event_us.tolist() == [
        1626993722933000,
        1654161839367000,
        1585814403026000,
        1741731610450000,
    ]
    forward = np.array([32744.81, 30220.5, 6663.43, 83140.6237])
    np.testing.assert_allclose(quotes.a, forward * [0.2325, 0.008, 0.0005, 0.1905], rtol=1e-15)
    np.testing.assert_allclose(quotes.b, forward * [0.236, 0.009, 0.0775, 0.2455], rtol=1e-15)
    assert rows(quotes, "size_a", "size_b") == [(0.8, 4.8), (2.8, 18.5), (1.2, 3.0), (6.9, 6.9)]
    marks = found.events.take(found.events.kind == MARK)
    np.testing.assert_allclose(marks.a, forward * [0.2335098, 0.0084, 0.06926904, 0.2182])
    np.testing.assert_allclose(marks.b, [0.8002, 0.677, 2.5, 1.5947], rtol=1e-15)
    interest = found.events.take(found.events.kind == OPEN_INTEREST)
    assert interest.a.tolist() == [4.6, 1767.5, 25.6, 0.0]


def test_a_recorded_block_trade_keeps_its_numbers_and_has_no_taker(shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "block_trade_option_recorded.json"
    body = json.loads(path.read_text())["trade"]
    decoder = DeribitDecoder(listing("BTC-1AUG26-63000-C"))
    alone = {k: v for k, v in body.items() if k != "block_rfq_id"}
    found = decoder.decode(frames(note("trades.option.BTC.100ms", [body, alone])))
    assert rows(found.events, "kind", "event_us", "sequence", "number", "taker") == [
        (TRADE, 1785546525278000, 212, 439435597, 1),  # asked for quotes: who asked is the taker
        (TRADE, 1785546525278000, 212, 439435597, 0),  # agreed between two
    ]
    assert found.events.a.tolist() == [0.0008 * 62892.69] * 2
    assert rows(found.events, "size_a", "size_b", "conditions")[0] == (
        12.5,
        62892.69,
        BLOCK | COMBO,
    )


def test_recorded_marks_have_decimal_vols_and_no_price_in_usd(shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "ws_frames_probe_2026-09-23.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    bodies = [line["frame"] for line in lines if line.get("dir") == "in"]
    book = listing(NAME, "BTC-31JUL26-106000-P")
    found = DeribitDecoder(book).decode(frames(*bodies))
    assert rows(found.events, "kind", "contract", "b") == [(MARK, 0, 0.3706), (MARK, 1, 0.6527)]
    assert np.isnan(found.events.a).all()
    assert {r.reason: r.messages for r in found.rejects} == {"unknown_event": 3}  # books, bare data


def test_recorded_replies_heartbeats_and_packages_are_neither_events_nor_rejects(
    shared_samples: Path,
) -> None:
    folder = shared_samples / "deribit" / "nautilus"
    names = (
        "ws_test_request.json",
        "ws_subscribe_response.json",
        "ws_error.json",
        "ws_ticker.json",
        "ws_trades.json",
        "ws_trades_option_combo.json",
        "ws_volatility_index.json",
    )
    payloads = [(folder / name).read_bytes() for name in names]
    found = DeribitDecoder(listing(NAME)).decode(frames(*payloads))
    assert (len(found.events), found.rejects, found.unlisted) == (0, (), ())
    assert found.messages == found.passed_over == len(names)


def test_recorded_summary_rows_are_quotes_without_sizes(shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "rest_book_summary_option_rows_2025-01-17.json"
    result = json.loads(path.read_text())["result"]
    book = listing("BTC-7FEB25-106000-P", "BTC-31JAN25-92000-P")
    found = DeribitDecoder(book).decode(frames({"jsonrpc": "2.0", "id": 7, "result": result}))
    quotes = found.events.take(found.events.kind == QUOTE)
    np.testing.assert_allclose(quotes.a, [98763.21 * 0.101, 99067.37 * 0.018])
    assert np.isnan(quotes.size_a).all()
    marks = found.events.take(found.events.kind == MARK)
    np.testing.assert_allclose(marks.b, [0.6086, 0.6013])
    interest = found.events.take(found.events.kind == OPEN_INTEREST)
    assert interest.a.tolist() == [0.0, 135.94]


# units


def test_prices_of_linear_options_are_usd_already() -> None:
    decoder = DeribitDecoder(listing(NAME, LINEAR))
    quote = {"best_bid_price": 410.0, "best_ask_price": 420.0, "mark_price": 415.0}
    found = decoder.decode(
        frames(
            ticker(LINEAR, **quote, underlying_price=...),
            note("trades.option.USDC.100ms", [trade(LINEAR, price=412.0, index_price=...)]),
            note("markprice.options.btc_usdc", [{**trade(LINEAR), "iv": 0.4, "mark_price": 9.0}]),
        )
    )
    assert found.rejects == ()
    assert rows(found.events, "kind", "contract", "a") == [
        (QUOTE, 1, 410.0),
        (MARK, 1, 415.0),
        (OPEN_INTEREST, 1, 12.5),
        (TRADE, 1, 412.0),
        (MARK, 1, 9.0),
    ]
    assert math.isnan(one(found.events, TRADE).size_b[0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"best_bid_price": 0.0, "best_bid_amount": 0.0}, (0.0, 732.0, 0.0, 4.0)),
        ({"best_bid_price": None, "best_bid_amount": None}, (0.0, 732.0, 0.0, 4.0)),
        ({"best_ask_price": ..., "best_ask_amount": ...}, (610.0, 0.0, 3.0, 0.0)),
        ({"best_ask_amount": 0.0}, (610.0, 0.0, 3.0, 0.0)),
        ({"best_bid_price": 2.0e-5}, (1.22, 732.0, 3.0, 4.0)),
    ],
)
def test_an_empty_side_is_zero(changes: dict[str, Any], expected: tuple[float, ...]) -> None:
    found = DeribitDecoder(listing(NAME)).decode(frames(ticker(**changes)))
    quote = one(found.events, QUOTE)
    assert rows(quote, "a", "b", "size_a", "size_b")[0] == pytest.approx(expected, rel=1e-12)


def test_spot_is_the_index_of_the_coin() -> None:
    prices = [
        note("deribit_price_index.btc_usd", {"index_name": n, "timestamp": MS, "price": p})
        for n, p in (("btc_usd", 60_000.5), ("btc_usdc", 60_010.0), ("eth_usd", 3_000.0))
    ]
    found = DeribitDecoder(listing(NAME)).decode(frames(*prices))
    assert rows(found.events, "kind", "contract", "a", "exchange", "event_us") == [
        (SPOT, 0, 60_000.5, SOURCES.index("price_index"), MS * 1000)
    ]


def test_other_sources_of_spot_only_on_demand() -> None:
    perpetual = ticker("BTC-PERPETUAL", mark_price=60_020.0)
    future = ticker("BTC-25DEC26", mark_price=61_500.0)
    linear = ticker(LINEAR)  # prints another index
    messages = frames(
        ticker(), perpetual, future, linear, note("trades.option.BTC.100ms", [trade()])
    )
    assert SPOT not in DeribitDecoder(listing(NAME, LINEAR)).decode(messages).events.kind
    checked = DeribitDecoder(listing(NAME, LINEAR), cross_check=True).decode(messages).events
    spots = checked.take(checked.kind == SPOT)
    assert [(SOURCES[i], a) for i, a in zip(spots.exchange, spots.a, strict=True)] == [
        ("ticker_index", 60_000.0),
        ("perpetual", 60_020.0),
        ("future", 61_500.0),
        ("trade_index", 60_000.0),
    ]


def test_a_trade_says_who_took_and_what_it_was() -> None:
    found = DeribitDecoder(listing(NAME)).decode(
        frames(
            note(
                "trades.option.BTC.100ms",
                [
                    trade(),
                    trade(direction="sell", liquidation="T", trade_id="ETH-284830839"),
                    trade(direction="sideways", trade_id="?", trade_seq=None),
                    trade(combo_id="BTC-CS-31JUL26-67000_70000", trade_id=5),
                ],
            )
        )
    )
    assert found.rejects == ()
    assert rows(found.events, "taker", "number", "sequence", "conditions") == [
        (1, 244365195, 8, 0),
        (-1, 284830839, 8, LIQUIDATION),
        (0, -1, -1, 0),
        (1, 5, 8, COMBO),
    ]
    assert rows(found.events, "a", "size_a", "size_b")[0] == (600.0, 2.5, 60_000.0)


# names


def test_new_options_are_named_and_their_trades_decoded_once_listed() -> None:
    book = listing(NAME)
    decoder = DeribitDecoder(book)
    new, born = "BTC-31JUL26-68000-C", "BTC_USDC-5AUG26-60000-P"
    messages = frames(
        note("trades.option.BTC.100ms", [trade(new), trade()]),
        note("instrument.creation.option.USDC", {"instrument_name": born, "kind": "option"}),
        note("instrument.state.option.BTC", {"instrument_name": new, "state": "open"}),
        note("instrument.state.option.BTC", {"instrument_name": "BTC-1JUL26-1-C", "state": "x"}),
    )
    first = decoder.decode(messages)
    assert (first.unlisted, len(first.events)) == ((new, born), 1)
    assert book.add(first.unlisted) == ()
    again = decoder.decode(messages)
    assert again.unlisted == ()
    assert again.events.contract.tolist() == [1, 0]


def test_other_coins_futures_and_combinations_are_passed_over() -> None:
    names = ("SOL_USDC-31JUL26-150-C", "XRP_USDC-30JUN26-0d625-C", "ETH-31JUL26-3000-C")
    names += ("BTC-PERPETUAL", "BTC-CS-31JUL26-67000_70000")
    found = DeribitDecoder(listing(NAME)).decode(
        frames(note("trades.option.USDC.100ms", [trade(name) for name in names]))
    )
    assert (len(found.events), found.rejects, found.unlisted) == (0, (), ())
    assert (found.messages, found.passed_over) == (1, 1)


# bad ones


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"<html><body>bad gateway</body></html>", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"params":{"channel":"ticker.x"', "not_json"),
        (b'{"z":' + b"[" * 100_000, "not_json"),
        (b"[]", "bad_field"),
        (b'{"hello":1}', "unknown_event"),
        (note("book.BTC-PERPETUAL.100ms", {}), "unknown_event"),
        (ticker(timestamp=...), "missing_field"),
        (ticker(timestamp=0), "bad_instant"),
        (ticker(timestamp=1e15), "bad_instant"),
        (ticker(mark_price="expired"), "bad_number"),
        (ticker(best_bid_price=-0.01), "negative_price"),
        (ticker(best_ask_amount=-1.0), "negative_size"),
        (ticker(open_interest=1e16), "bad_number"),
        (ticker(underlying_price=None), "no_underlying_price"),
        (ticker("BTC-31XXX26-67000-C"), "unknown_symbol"),
        (note("trades.option.BTC.100ms", [trade(price=None)]), "bad_number"),
        (note("trades.option.BTC.100ms", [trade(index_price=None)]), "no_index_price"),
        (note("trades.option.BTC.100ms", [trade(amount=-1)]), "negative_size"),
        (note("trades.option.BTC.100ms", [trade(trade_id=...)]), "missing_field"),
        (note("trades.option.BTC.100ms", {"not": "a list"}), "bad_field"),
        (note("trades.option.BTC.100ms", [1]), "bad_field"),
        (b'{"method":"subscription","params":{"channel":"trades.x"}}', "missing_field"),
    ],
)
def test_a_bad_message_is_refused_with_its_reason(message: Any, reason: str) -> None:
    assert reasons([message]) == {reason: 1}


def test_a_bad_trade_costs_no_other() -> None:
    book = listing(NAME)
    messages = frames(
        note("trades.option.BTC.100ms", [trade(trade_id="1"), trade(price="x"), trade()]),
        note("markprice.options.btc_usd", [{"instrument_name": NAME, "timestamp": MS, "iv": "a"}]),
    )
    found = DeribitDecoder(book).decode(messages)
    assert found.events.number.tolist() == [1, 244365195]
    assert [(r.reason, r.messages, r.received_us) for r in found.rejects] == [
        ("bad_number", 2, 1001)
    ]


def test_samples_of_rejects_strike_out_tokens() -> None:
    message = {"hello": {"access_token": "top-secret", "client_secret": "s3cret"}}
    (reject,) = DeribitDecoder(listing(NAME)).decode(frames(message)).rejects
    assert "secret" not in reject.sample.replace("client_secret", "")
    assert len(reject.sample) <= 200


def test_open_interest_stands_where_the_forward_is_missing() -> None:
    found = DeribitDecoder(listing(NAME)).decode(frames(ticker(underlying_price=None)))
    assert found.events.kind.tolist() == [MARK, OPEN_INTEREST]
    assert math.isnan(found.events.a[0])
    assert found.events.b[0] == 0.55


def test_frames_give_the_same_events_however_they_are_batched() -> None:
    decoder = DeribitDecoder(listing(NAME, LINEAR))
    messages = frames(
        ticker(),
        note("trades.option.BTC.100ms", [trade(), trade(LINEAR)]),
        b"",
        ticker(LINEAR),
        note("markprice.options.btc_usd", [{"instrument_name": NAME, "timestamp": MS, "iv": 0.5}]),
        note("deribit_price_index.btc_usd", {"index_name": "btc_usd", "timestamp": MS, "price": 9}),
        ticker(),
    )
    whole = decoder.decode(messages)
    assert whole.messages == 6  # a clock tick is none
    parts = [decoder.decode([frame]).events for frame in messages]
    for name in ("kind", "contract", "a", "b", "size_a", "received_us", "event_us", "number"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole.events, name), joined)
    assert (np.diff(whole.events.received_us) >= 0).all()

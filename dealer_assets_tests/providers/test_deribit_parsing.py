"""Deribit's recorded answers become exactly these rows."""

import csv
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from dealer_assets import tables
from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.pricing.implied_vol import implied_vol
from dealer_assets.domain.sessions import year_fraction
from dealer_assets.lake.conformity import conform
from dealer_assets_tests.providers.deribit_answers import (
    BTC,
    Deribit,
    by_currency,
    instrument,
    instruments,
    milliseconds,
    recorded,
    utc,
)

NAMES = ("BTC-7FEB25-106000-P", "BTC-31JAN25-92000-P")


@pytest.fixture(scope="session")
def samples(shared_samples: Path) -> Path:
    return shared_samples / "deribit" / "recorded"


@pytest.fixture(scope="session")
def fixtures(shared_data: Path) -> Path:
    return shared_data / "deribit" / "fixtures_openbb"


def snapshot(rows, listed=NAMES, *, linear=(), index=100_143.63, **settings):
    made_at = datetime.fromtimestamp(rows[0]["creation_timestamp"] / 1000, UTC)
    answers = {
        "get_instruments": instruments(*listed),
        "get_book_summary_by_currency": by_currency(BTC=rows, USDC=list(linear) or [OTHER]),
        "get_index_price": {"index_price": index, "estimated_delivery_price": index},
    } | settings.pop("answers", {})
    deribit = Deribit(answers)
    with deribit.provider(made_at, **settings) as provider:
        return provider.snapshot(BTC, at=made_at)


OTHER = {
    "instrument_name": "ETH_USDC-31JAN25-3000-C",
    "bid_price": 200.0,
    "ask_price": 205.0,
    "open_interest": 1e6,
    "underlying_price": 3100.0,
    "mark_iv": 60.0,
    "creation_timestamp": 1737074222663,
}


def codes(taken):
    return [finding.code for finding in taken.findings]


# --- chain ------------------------------------------------------------------------------------


def test_recorded_summary_rows_become_dollars_by_their_own_forward(samples):
    rows = recorded(samples, "rest_book_summary_option_rows_2025-01-17.json")
    taken = snapshot(rows)
    made_at = datetime(2025, 1, 17, 0, 37, 2, 663000, tzinfo=UTC)
    assert (taken.underlying, taken.session_date) == ("BTC", date(2025, 1, 17))
    assert (taken.event_at, taken.known_at) == (utc(2025, 1, 17, 0, 37), made_at)
    near, far = taken.rows.to_pylist()
    assert near == {
        "underlying": "BTC",
        "session_date": date(2025, 1, 17),
        "event_at": utc(2025, 1, 17, 0, 37),
        "known_at": made_at,
        "provider": "deribit",
        "symbol": "BTC-31JAN25-92000-P",
        "root": "BTC",
        "expiry_date": date(2025, 1, 31),
        "expires_at": utc(2025, 1, 31, 8),
        "strike": 92_000.0,
        "right": "put",
        "exercise": "european",
        "settlement": "twap",
        "multiplier": 1.0,
        "bid": 0.018 * 99_067.37,
        "ask": 0.019 * 99_067.37,
        "bid_size_contracts": None,
        "ask_size_contracts": None,
        "last_price": 0.0145 * 99_067.37,
        "last_trade_at": None,
        "volume_contracts": None,  # of 24 hours: of no session
        "open_interest_contracts": 135.94,
        "spot": 100_143.63,
        "spot_source": "index",
        "venue_forward": 99_067.37,
        "is_partial": False,
        "vendor_implied_vol": pytest.approx(0.6013),
        "vendor_delta": None,
        "vendor_gamma": None,
    }
    assert (far["symbol"], far["last_price"]) == ("BTC-7FEB25-106000-P", None)
    assert far["venue_forward"] == 98_763.21  # a synthetic forward counts like a future
    assert far["bid"] == 0.101 * 98_763.21
    assert far["vendor_implied_vol"] == pytest.approx(0.6086)
    assert "index_disagrees_with_summary" not in codes(taken)


def recorded_marks(samples: Path, fixtures: Path) -> list[dict]:
    """Every recorded option whose mark tells a vol, as a summary row."""
    rows = recorded(samples, "rest_book_summary_option_rows_2025-01-17.json")
    for line in (samples / "ws_option_tickers_recorded.jsonl").read_text().splitlines():
        body = json.loads(line)
        rows.append(body["frame"]["params"]["data"] if "frame" in body else body["data"])
    rows += json.loads((fixtures / "option_tickers.json").read_text()).values()
    for row in rows:
        row.setdefault("creation_timestamp", row.get("timestamp"))
    # with a vega below 1 USD the digits of the mark hold no vol
    options = [row for row in rows if row.get("instrument_name", "").startswith("BTC-")]
    marked = [row for row in options if "mark_price" in row]
    return [row for row in marked if row.get("greeks", {}).get("vega", 99.0) >= 1.0]


def test_a_recorded_mark_gives_the_vol_that_deribit_prints_with_it(samples, fixtures):
    rows = recorded_marks(samples, fixtures)
    assert len(rows) == 4
    for row in rows:
        mark, name = row["mark_price"], row["instrument_name"]
        taken = snapshot([row | {"bid_price": mark, "ask_price": mark}], (name,))
        (got,) = taken.rows.to_pylist()
        vol, _ = implied_vol(
            np.array([got["bid"]]),
            np.array([got["venue_forward"]]),
            K=np.array([got["strike"]]),
            T=np.array([year_fraction(taken.known_at, got["expires_at"])]),
            D=np.ones(1),
            is_call=np.array([got["right"] == "call"]),
        )
        assert vol[0] == pytest.approx(got["vendor_implied_vol"], abs=0.0015), name


def test_recorded_marks_of_both_families_give_the_vols_printed_with_them(shared_data):
    path = shared_data / "deribit" / "tardis_atm_quotes_2025-10.csv.gz"
    newest = {}
    for row in csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()[:400]):
        newest[row["symbol"]] = row
    rows = [
        {
            "instrument_name": name,
            "bid_price": float(row["mark_price"]),
            "ask_price": float(row["mark_price"]),
            "underlying_price": float(row["underlying_price"]),
            "mark_iv": float(row["mark_iv"]),
            "open_interest": float(row["open_interest"]),
            "creation_timestamp": milliseconds(
                datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
            ),
        }
        for name, row in newest.items()
    ]
    coin = [row for row in rows if row["instrument_name"].startswith("BTC-")]
    linear = [row for row in rows if row["instrument_name"].startswith("BTC_USDC-")]
    assert min(len(coin), len(linear)) >= 2
    taken = snapshot(coin, [row["instrument_name"] for row in rows], linear=linear, index=114_000.0)
    assert taken.rows.num_rows == len(rows)
    assert {row["root"] for row in taken.rows.to_pylist()} == {"BTC", "BTC_USDC"}
    made_at = {row["instrument_name"]: row["creation_timestamp"] for row in rows}
    for got in taken.rows.to_pylist():
        at = datetime.fromtimestamp(made_at[got["symbol"]] / 1000, UTC)
        value = black_price(
            np.array([got["venue_forward"]]),
            np.array([got["strike"]]),
            T=np.array([year_fraction(at, got["expires_at"])]),
            sigma=np.array([got["vendor_implied_vol"]]),
            D=np.ones(1),
            is_call=np.array([got["right"] == "call"]),
        )
        # in this recording marks and vols of a row are up to some seconds apart
        assert value[0] == pytest.approx(got["bid"], rel=0.03), got["symbol"]


def test_at_its_expiry_a_recorded_option_is_left_out_whatever_it_prints(samples):
    lines = (samples / "ws_option_tickers_recorded.jsonl").read_text().splitlines()
    odd = json.loads(lines[2])["frame"]["params"]["data"]
    assert (odd["estimated_delivery_price"], odd["mark_iv"], odd["state"]) == (
        "expired",
        250.0,
        "open",
    )
    made_at = odd["timestamp"]
    row = odd | {
        "creation_timestamp": made_at,
        "bid_price": odd["best_bid_price"],
        "ask_price": odd["best_ask_price"],
    }
    later = row | {"instrument_name": "BTC-3APR20-7125-P", "mark_iv": 250.0}
    taken = snapshot([row, later], ("BTC-2APR20-7125-P", "BTC-3APR20-7125-P"), index=6662.29)
    assert taken.rows["symbol"].to_pylist() == ["BTC-3APR20-7125-P"]
    assert taken.rows["vendor_implied_vol"].to_pylist() == [2.5]
    assert "expired_left_out" in codes(taken)
    assert "summary_lacks_contracts" not in codes(taken)


def test_recorded_tickers_add_sizes_and_greeks_where_they_show_the_same_quote(fixtures):
    tickers = recorded(fixtures, "option_tickers.json")
    names = [name for name in tickers if name.startswith("BTC-")]
    rows = [
        {
            "instrument_name": name,
            "creation_timestamp": tickers[name]["timestamp"],
            "underlying_price": tickers[name]["underlying_price"],
            "mark_iv": tickers[name]["mark_iv"],
            "open_interest": tickers[name]["open_interest"],
            "bid_price": tickers[name]["best_bid_price"] or None,  # null in a summary
            "ask_price": tickers[name]["best_ask_price"],
        }
        for name in names
    ]
    rows[0]["ask_price"] = 0.1615  # since then, the ask has moved
    taken = snapshot(
        rows,
        names,
        tickers=6,
        index=80_808.14,
        answers={"ticker": lambda _, asked: tickers[asked["instrument_name"]]},
    )
    found = {row["symbol"]: row for row in taken.rows.to_pylist()}
    moved, quiet = found["BTC-21SEP26-68000-C"], found["BTC-21SEP26-68000-P"]
    assert (moved["bid_size_contracts"], moved["ask_size_contracts"]) == (56.0, None)
    assert (moved["vendor_delta"], moved["vendor_gamma"]) == (1.0, 0.0)
    assert (quiet["bid"], quiet["bid_size_contracts"], quiet["ask_size_contracts"]) == (
        0.0,
        None,
        20.0,
    )
    assert quiet["vendor_delta"] is None  # Greeks that are all zero are not given


def test_an_empty_side_that_prints_zero_is_no_quote_and_exponents_are_numbers():
    text = (
        '{"jsonrpc":"2.0","result":[{"instrument_name":"BTC-31JAN25-92000-P","bid_price":0.0,'
        '"ask_price":5.0e-4,"underlying_price":9.906737e4,"mark_iv":6.0e1,"open_interest":2.0e-1,'
        '"stats":{"volume":null},"creation_timestamp":1737074222663}]}'
    )
    rows = json.loads(text)["result"]
    taken = snapshot(
        rows,
        ("BTC-31JAN25-92000-P",),
        answers={
            "get_book_summary_by_currency": by_currency(
                BTC=httpx.Response(200, text=text, headers={"content-type": "application/json"}),
                USDC=[OTHER],
            ),
        },
    )
    (row,) = taken.rows.to_pylist()
    assert (row["bid"], row["ask"]) == (0.0, 5.0e-4 * 99_067.37)
    assert (row["open_interest_contracts"], row["vendor_implied_vol"]) == (0.2, 0.6)


def test_futures_in_a_summary_never_enter_the_open_interest(fixtures, samples):
    options = recorded(samples, "rest_book_summary_option_rows_2025-01-17.json")
    futures = recorded(fixtures, "book_summary_future.json")  # amounts in USD
    stamp = {"creation_timestamp": options[0]["creation_timestamp"]}
    taken = snapshot(options + [future | stamp for future in futures])
    assert sum(taken.rows["open_interest_contracts"].to_pylist()) == 135.94
    assert taken.rejected.num_rows == 0
    assert "foreign_rows_left_out" in codes(taken)


# --- trades -----------------------------------------------------------------------------------


def one_page(trades):
    def answer(_, params):
        first, last = int(params["start_timestamp"]), int(params["end_timestamp"])
        mine = [t for t in trades if first <= t["timestamp"] <= last]
        return {"trades": mine if params["currency"] == "BTC" else [], "has_more": False}

    return answer


def taken_trades(trades, session):
    deribit = Deribit({"get_last_trades_by_currency_and_time": one_page(trades)})
    later = datetime.combine(session, datetime.min.time(), UTC) + timedelta(days=3)
    with deribit.provider(later) as provider:
        return provider.trades(BTC, session_date=session)


def test_recorded_trades_become_exactly_these_rows(fixtures):
    trades = recorded(fixtures, "trades_currency.json")["trades"]
    records = taken_trades(trades[::-1], date(2026, 9, 20))
    assert records.is_complete
    assert records.rejected.num_rows == 0
    assert conform(tables.OPTION_TRADES, records.rows).equals(records.rows.combine_chunks())
    rows = records.rows.to_pylist()
    assert rows[-1] == {
        "underlying": "BTC",
        "session_date": date(2026, 9, 20),
        "event_at": utc(2026, 9, 20, 21, 16, 57, 544000),
        "known_at": utc(2026, 9, 20, 21, 16, 57, 544000),
        "provider": "deribit",
        "source_name": "deribit-trades-BTC-2026-09-20",
        "symbol": "BTC-21SEP26-80000-P",
        "root": "BTC",
        "expiry_date": date(2026, 9, 21),
        "expires_at": utc(2026, 9, 21, 8),
        "strike": 80_000.0,
        "right": "put",
        "ordinal": 0,
        "price": 0.0011,  # coin, as printed
        "price_currency": "BTC",
        "size_contracts": 0.1,
        "conditions": "",
        "exchange": "deribit",
        "correction": None,
        "sequence": 134,
        "trade_id": "445682190",
        "taker_side": "sell",
        "sign_rule": "taker_side",
        "venue_implied_vol": 0.3175,
        "underlying_price": 80_805.64,
        "block_id": None,
        "combo_id": None,
        "is_liquidation": False,
    }
    # two prints of one contract in one millisecond are two trades, in the venue's order
    twins = [(r["ordinal"], r["sequence"], r["trade_id"]) for r in rows[:2]]
    assert twins == [(0, 102, "445682156"), (1, 103, "445682157")]


def test_a_recorded_block_from_a_request_tells_its_taker(samples):
    trade = json.loads((samples / "block_trade_option_recorded.json").read_text())["trade"]
    (row,) = taken_trades([trade], date(2026, 8, 1)).rows.to_pylist()
    assert (row["symbol"], row["size_contracts"]) == ("BTC-1AUG26-63000-C", 12.5)
    assert (row["block_id"], row["combo_id"]) == ("BLOCK-282155", "BTC-STRD-1AUG26-63000")
    assert (row["taker_side"], row["sign_rule"]) == ("buy", "taker_side")
    assert row["venue_implied_vol"] == 0.1335
    agreed = {k: v for k, v in trade.items() if k != "block_rfq_id"}
    (row,) = taken_trades([agreed], date(2026, 8, 1)).rows.to_pylist()
    assert (row["taker_side"], row["sign_rule"]) == ("buy", "unsigned")


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("http_get_last_trades_option_combo.json", date(2026, 5, 18)),
        ("http_get_last_trades_historical_combo.json", date(2023, 11, 14)),
    ],
)
def test_a_recorded_package_is_left_out_since_its_legs_are_printed_apart(
    shared_samples, name, session
):
    (package,) = recorded(shared_samples / "deribit" / "nautilus", name)["trades"]
    records = taken_trades([package, *package["legs"]], session)
    legs = {"BTC-19MAY26-75000-C", "BTC-19MAY26-70000-C"}
    assert set(records.rows["symbol"].to_pylist()) == legs
    assert records.rows.num_rows == 2
    assert codes(records) == ["packages_left_out"]
    assert set(records.rows["combo_id"].to_pylist()) == {"BTC-CS-19MAY26-70000_75000"}


def test_trades_of_other_coins_and_of_perpetuals_are_none_of_ours(shared_samples):
    folder = shared_samples / "deribit" / "nautilus"
    foreign = recorded(folder, "http_get_last_trades.json")["trades"]
    assert foreign[0]["trade_id"].startswith("ETH-")
    records = taken_trades(foreign, date(2025, 12, 21))
    assert (records.rows.num_rows, records.rejected.num_rows) == (0, 0)


# --- blocks -----------------------------------------------------------------------------------


def taken_blocks(requests, *, combos=(), trades=(), session=date(2026, 9, 20)):
    deribit = Deribit(
        {
            "get_last_trades_by_currency_and_time": one_page(trades),
            "get_block_rfq_trades": lambda _, p: {
                "block_rfqs": list(requests) if p["currency"] == "BTC" else [],
                "continuation": None,
            },
            "get_combos": by_currency(BTC=list(combos)),
        }
    )
    with deribit.provider(utc(2026, 9, 23)) as provider:
        return provider.blocks(BTC, session_date=session)


def test_recorded_requests_become_exactly_these_legs(fixtures):
    requests = recorded(fixtures, "block_rfq_trades.json")["block_rfqs"]
    records = taken_blocks(requests, combos=recorded(fixtures, "combos.json"))
    assert conform(tables.BLOCK_TRADES, records.rows).num_rows == 17
    assert codes(records) == ["no_trades"]  # legs agree with their combinations
    rows = [row for row in records.rows.to_pylist() if row["block_id"] == "RFQ-55540"]
    # the taker sold a straddle: he sold both legs, though the package's legs say buy
    assert [(r["symbol"], r["taker_side"], r["leg"], r["legs"]) for r in rows] == [
        ("BTC-25SEP26-80000-C", "sell", 0, 2),
        ("BTC-25SEP26-80000-P", "sell", 1, 2),
    ]
    ratio = {r["symbol"]: r for r in records.rows.to_pylist() if r["block_id"] == "RFQ-55539"}
    assert ratio["BTC-21SEP26-79500-P"] | {"source_name": ""} == {
        "underlying": "BTC",
        "session_date": date(2026, 9, 20),
        "event_at": utc(2026, 9, 20, 7, 50, 23, 307000),
        "known_at": utc(2026, 9, 20, 7, 50, 23, 307000),
        "provider": "deribit",
        "source_name": "",
        "symbol": "BTC-21SEP26-79500-P",
        "root": "BTC",
        "expiry_date": date(2026, 9, 21),
        "expires_at": utc(2026, 9, 21, 8),
        "strike": 79_500.0,
        "right": "put",
        "block_id": "RFQ-55539",
        "leg": 0,
        "legs": 3,
        "size_contracts": 25.0,  # 12.5 packages with two of this leg
        "price": 0.0016,
        "price_currency": "BTC",
        "underlying_price": 80_312.58,
        "venue_implied_vol": None,
        "taker_side": "buy",
        "dealer_side": None,
        "rfq_id": "55539",
        "venue": "deribit",
        "reported_at": None,
        "sign_rule": "taker_side",
    }
    assert ratio["BTC-25SEP26-84000-P"]["size_contracts"] == 12.5


def test_a_request_that_the_tape_shows_is_counted_once(samples):
    leg = json.loads((samples / "block_trade_option_recorded.json").read_text())["trade"]
    other = leg | {
        "trade_id": "439435598",
        "instrument_name": "BTC-1AUG26-63000-P",
        "price": 0.0021,
        "trade_seq": 40,
    }
    request = {
        "id": 50510,
        "timestamp": leg["timestamp"],
        "amount": 12.5,
        "direction": "buy",
        "legs": [
            {"instrument_name": r["instrument_name"], "direction": "buy", "ratio": 1, "price": 1.0}
            for r in (leg, other)
        ],
        "hedge": {"instrument_name": "BTC-PERPETUAL", "direction": "sell", "amount": 10.0},
        "combo_id": leg["combo_id"],
        "index_prices": {"btc_usd": 62_892.69},
    }
    records = taken_blocks([request], trades=[leg, other], session=date(2026, 8, 1))
    rows = records.rows.to_pylist()
    assert [(r["block_id"], r["leg"], r["legs"], r["rfq_id"]) for r in rows] == [
        ("BLOCK-282155", 0, 2, "50510"),
        ("BLOCK-282155", 1, 2, "50510"),
    ]
    assert rows[0]["price"] == 0.0008  # the tape's
    assert records.findings == ()


def test_a_leg_in_a_future_counts_in_the_block_and_has_no_row(fixtures):
    (request,) = recorded(fixtures, "block_rfq_trades.json")["block_rfqs"][-1:]
    future = {"instrument_name": "BTC-25SEP26", "direction": "buy", "ratio": 1, "price": 80_500.0}
    request = request | {"legs": [*request["legs"], future], "combo_id": None}
    records = taken_blocks([request])
    assert records.rows["legs"].to_pylist() == [3, 3]
    assert "other_legs_left_out" in codes(records)


# --- values -----------------------------------------------------------------------------------


def test_recorded_values_become_exactly_these_rows(fixtures):
    chart = [[milliseconds(utc(2026, 9, 20, 0, m)), 80_000.0 + m] for m in range(0, 60, 5)]
    deribit = Deribit(
        {
            "get_index_chart_data": chart,
            "get_delivery_prices": recorded(fixtures, "delivery_prices.json"),
            "get_volatility_index_data": recorded(fixtures, "volatility_index.json"),
        }
    )
    with deribit.provider(utc(2026, 9, 21, 6)) as provider:
        records = provider.index_values(BTC, session_date=date(2026, 9, 20))
    rows = records.rows.to_pylist()
    found = [(r["kind"], r["event_at"], r["known_at"], r["value"]) for r in rows]
    at = utc(2026, 9, 20)
    assert found[0] == ("settlement", utc(2026, 9, 20, 8), utc(2026, 9, 20, 8), 80_321.21)
    assert found[1] == ("spot", at, at + timedelta(minutes=5), 80_000.0)
    assert found[-2:] == [
        ("vol_index", utc(2026, 9, 20, 0, 1), utc(2026, 9, 20, 0, 1), pytest.approx(0.3485)),
        ("vol_index", utc(2026, 9, 20, 12, 1), utc(2026, 9, 20, 12, 1), pytest.approx(0.3547)),
    ]
    assert len(found) == 1 + 12 + 2
    assert records.is_complete
    assert deribit.methods("history.test") == []  # it answers 400 for the volatility index


# --- listing ----------------------------------------------------------------------------------


def test_recorded_instruments_become_listed_contracts(fixtures):
    rows = recorded(fixtures, "instruments_option.json")
    deribit = Deribit(
        {
            "get_instruments": lambda _, p: rows if p["expired"] == "false" else [],
        }
    )
    with deribit.provider(utc(2026, 9, 20, 7)) as provider:
        records = provider.listing(BTC, session_date=date(2026, 9, 20))
    assert conform(tables.LISTED_CONTRACTS, records.rows).num_rows == 6  # 80 are of XRP
    assert records.findings == ()
    assert not records.is_complete  # the day goes on
    (row,) = [r for r in records.rows.to_pylist() if r["symbol"] == "BTC-21SEP26-68000-C"]
    created = next(r for r in rows if r["instrument_name"] == row["symbol"])
    listed_at = datetime.fromtimestamp(created["creation_timestamp"] / 1000, UTC)
    assert row["listed_at"] == listed_at
    assert row["known_at"] == max(listed_at, utc(2026, 9, 20))
    assert (row["multiplier"], row["settlement"], row["expires_at"]) == (
        1.0,
        "twap",
        utc(2026, 9, 21, 8),
    )


def test_the_instrument_list_of_2021_has_no_state_and_is_read(shared_data):
    path = shared_data / "deribit" / "ws_capture" / "cryptofeed_DERIBIT.0.http.txt.gz"
    line = gzip.decompress(path.read_bytes()).decode().splitlines()[0]
    rows = json.loads(line.partition(" -> ")[2].partition(": ")[2])["result"]
    options = [row for row in rows if row["kind"] == "option"]
    assert "state" not in options[0]
    deribit = Deribit({"get_instruments": lambda _, p: rows if p["expired"] == "false" else []})
    with deribit.provider(utc(2021, 7, 22, 7)) as provider:
        records = provider.listing(BTC, session_date=date(2021, 7, 22))
    assert set(records.rows["symbol"].to_pylist()) == {r["instrument_name"] for r in options}
    assert records.findings == ()


def test_open_interest_counts_contracts_of_both_families():
    stamp = milliseconds(utc(2025, 1, 17, 9, 30, 15))
    row = {"underlying_price": 99_000.0, "mark_iv": 60.0, "creation_timestamp": stamp}
    coin = row | {"instrument_name": "BTC-31JAN25-92000-P", "open_interest": 12.5}
    usdc = row | {"instrument_name": "BTC_USDC-31JAN25-92000-P", "open_interest": 3.5}
    broken = row | {"instrument_name": "BTC-31JAN25-93000-P", "open_interest": "many"}
    deribit = Deribit(
        {
            "get_instruments": instruments("BTC-31JAN25-92000-P", "BTC_USDC-31JAN25-92000-P"),
            "get_book_summary_by_currency": by_currency(BTC=[coin, broken], USDC=[usdc, OTHER]),
        }
    )
    with deribit.provider(utc(2025, 1, 17, 9, 30, 15)) as provider:
        records = provider.open_interest(BTC, session_date=date(2025, 1, 17))
    assert conform(tables.OPEN_INTEREST, records.rows).num_rows == 2
    found = {r["root"]: r["open_interest_contracts"] for r in records.rows.to_pylist()}
    assert found == {"BTC": 12.5, "BTC_USDC": 3.5}
    assert records.rejected["reason"].to_pylist() == ["not_a_number"]
    assert conform(tables.REJECTED_ROWS, records.rejected).num_rows == 1


def test_a_contract_of_another_size_is_counted_in_coin_and_told():
    rows = [instrument("BTC-31JAN25-92000-P"), instrument("BTC-31JAN25-93000-P")]
    linear = [instrument("BTC_USDC-31JAN25-92000-P", contract_size=0.01)]
    deribit = Deribit(
        {
            "get_instruments": lambda _, p: (
                [] if p["expired"] == "true" else linear if p["currency"] == "USDC" else rows
            )
        }
    )
    with deribit.provider(utc(2025, 1, 17, 7)) as provider:
        records = provider.listing(BTC, session_date=date(2025, 1, 17))
    assert codes(records) == ["contract_size_differs"]
    assert set(records.rows["multiplier"].to_pylist()) == {1.0}

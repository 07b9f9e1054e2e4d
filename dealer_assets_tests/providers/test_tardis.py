"""tardis.dev: ticks of option chains as chains per hour, trades, and messages that are no rows."""

import gzip
import io
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers import tardis, tardis_records
from dealer_assets.providers.archives import Member
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.files import read_chain_file

HEADER = (
    "exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,open_interest,"
    "last_price,bid_price,bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,"
    "underlying_index,underlying_price,delta,gamma,vega,theta,rho\n"
)
MEMORY_BYTES = 80 * 1024**2
START = datetime(2026, 10, 1, tzinfo=UTC)
EXPIRY = datetime(2026, 10, 30, 8, tzinfo=UTC)


def micros(instant):
    return str(round(instant.timestamp() * 1_000_000))


def at(hour, minute=0, second=0.0):
    return START + timedelta(hours=hour, minutes=minute, seconds=second)


def tick(when, symbol="BTC-30OCT26-100000-C", *, delay=0.05, expires=EXPIRY, **changes):
    cells = {
        "exchange": "deribit",
        "symbol": symbol,
        "timestamp": micros(when - timedelta(seconds=delay)),
        "local_timestamp": micros(when),
        "type": "call",
        "strike_price": "100000",
        "expiration": micros(expires),
        "open_interest": "12.5",
        "last_price": "0.03",
        "bid_price": "0.02",
        "bid_amount": "15",
        "bid_iv": "55",
        "ask_price": "0.025",
        "ask_amount": "16",
        "ask_iv": "68",
        "mark_price": "0.022",
        "mark_iv": "62.5",
        "underlying_index": "BTC-30OCT26",
        "underlying_price": "98000",
        "delta": "0.4",
        "gamma": "0.00002",
        "vega": "2",
        "theta": "-50",
        "rho": "0.2",
    }
    return ",".join((cells | changes).values()) + "\n"


PUT = "BTC-30OCT26-90000-P"
LINEAR = "BTC_USDC-30OCT26-90000-P"


def read(*rows, name="deribit_options_chain_2026-10-01_OPTIONS.csv"):
    payload = (HEADER + "".join(rows)).encode()
    return tardis.read(Member(name, lambda: io.BytesIO(payload)))


def quoted(chains):
    return [raw.quoted_at for raw in chains]


def codes(raw):
    return [code for code, _ in raw.notes]


# --- chains per hour --------------------------------------------------------------------------


def test_a_chain_is_taken_at_every_full_hour_and_at_the_end():
    chains = read(tick(at(0, 10)), tick(at(1, 10), PUT), tick(at(2, 30)), tick(at(2, 40), PUT))
    assert quoted(chains) == [at(1), at(2), at(2, 40)]
    assert [list(raw.symbols) for raw in chains] == [
        ["BTC-30OCT26-100000-C"],
        ["BTC-30OCT26-100000-C", PUT],
        ["BTC-30OCT26-100000-C", PUT],
    ]
    assert [raw.downloaded_at for raw in chains] == quoted(chains)


def test_the_last_row_at_or_before_the_instant_counts_and_nothing_after_it():
    rows = [tick(at(0, 59, 59.9), bid_price="0.01"), tick(at(1), bid_price="0.02")]
    first, second = read(*rows, tick(at(1, 0, 0.000001), bid_price="0.03"))
    assert (first.quoted_at, second.quoted_at) == (at(1), at(1, 0, 0.000001))
    assert first.floats["bid"][0] == pytest.approx(0.02 * 98_000)
    assert second.floats["bid"][0] == pytest.approx(0.03 * 98_000)


def test_a_row_counts_from_when_the_recorder_had_it_not_from_the_venues_instant():
    slow = tick(at(1, 0, 5), delay=30.0, bid_price="0.09")  # of 00:59:35, received at 01:00:05
    first, second = read(tick(at(0, 59)), slow)
    assert first.floats["bid"][0] == pytest.approx(0.02 * 98_000)
    assert second.floats["bid"][0] == pytest.approx(0.09 * 98_000)


def test_an_older_row_that_arrives_later_does_not_replace_a_newer_one():
    rows = [tick(at(0, 10), bid_price="0.05"), tick(at(0, 11), delay=600.0, bid_price="0.01")]
    (only,) = read(*rows)
    assert only.floats["bid"][0] == pytest.approx(0.05 * 98_000)


def test_hours_without_a_row_give_no_chain():
    chains = read(tick(at(0, 10)), tick(at(5, 10), PUT))
    assert quoted(chains) == [at(1), at(5, 10)]


def test_rows_on_the_hour_belong_to_that_hour():
    chains = read(tick(at(1)), tick(at(2)), tick(at(2, 1), PUT))
    assert quoted(chains) == [at(1), at(2), at(2, 1)]


def test_expired_contracts_leave_the_chain():
    dying = "BTC-1OCT26-95000-C"
    rows = [tick(at(7, 30), dying, expires=at(8)), tick(at(7, 40)), tick(at(8, 30), PUT)]
    first, second = read(*rows)
    assert (first.quoted_at, next(iter(first.symbols))) == (at(8), "BTC-30OCT26-100000-C")
    assert dying not in first.symbols  # it expires at that very instant
    assert dying not in second.symbols
    assert dying in read(rows[0], rows[1])[0].symbols


def test_contracts_last_seen_long_ago_are_reported():
    first, second = read(tick(at(0, 50)), tick(at(1, 30), PUT))
    assert codes(first) == ["spot_from_forward"]
    assert codes(second) == ["stale_rows", "spot_from_forward"]
    assert "1 of 2 contracts" in dict(second.notes)["stale_rows"]


def test_files_across_batches_give_the_same_chains(monkeypatch):
    rows = [
        tick(at(0, 0, 7.0 * i), (PUT, LINEAR, "BTC-30OCT26-100000-C")[i % 3], bid_price=f"0.0{i}")
        for i in range(1, 2000)
    ]
    whole = read(*rows)
    monkeypatch.setattr(tardis, "BLOCK_BYTES", 4096)
    parts = read(*rows)
    assert quoted(parts) == quoted(whole) == [at(1), at(2), at(3), at(3, 53, 13)]
    for one, other in zip(parts, whole, strict=True):
        assert one.symbols == other.symbols
        assert one.row_numbers.tolist() == other.row_numbers.tolist()
        for name, values in one.floats.items():
            np.testing.assert_array_equal(values, other.floats[name])


# --- units ------------------------------------------------------------------------------------


def test_coin_prices_become_dollars_with_their_own_forward_and_vols_decimals():
    (raw,) = read(tick(at(1, 30)))
    expected = {
        "bid": 0.02 * 98_000, "ask": 0.025 * 98_000, "last_price": 0.03 * 98_000,
        "bid_size_contracts": 15.0, "ask_size_contracts": 16.0, "open_interest_contracts": 12.5,
        "venue_forward": 98_000.0, "vendor_implied_vol": 0.625, "vendor_delta": 0.4,
        "vendor_gamma": 0.00002,
    }  # fmt: skip
    assert {name: values[0] for name, values in raw.floats.items()} == pytest.approx(expected)


def test_usdc_options_are_priced_in_dollars_already():
    (raw,) = read(tick(at(1, 30), LINEAR, bid_price="1300", ask_price="1460", last_price=""))
    assert (raw.floats["bid"][0], raw.floats["ask"][0]) == (1300.0, 1460.0)
    assert np.isnan(raw.floats["last_price"][0])
    assert raw.claimed_underlying == "BTC"


def test_an_empty_cell_is_missing_and_a_side_without_price_is_zero():
    (raw,) = read(tick(at(1, 30), bid_price="", open_interest="", delta="", mark_iv=""))
    assert raw.floats["bid"][0] == 0.0
    assert raw.floats["ask"][0] > 0.0
    for name in ("open_interest_contracts", "vendor_delta", "vendor_implied_vol"):
        assert np.isnan(raw.floats[name][0])


def test_without_forward_coin_prices_are_unknown_but_dollar_prices_are_not():
    rows = [tick(at(1, 30), underlying_price=""), tick(at(1, 31), LINEAR, underlying_price="")]
    (raw,) = read(*rows)
    np.testing.assert_array_equal(np.isnan(raw.floats["bid"]), [True, False])
    assert codes(raw) == ["forward_missing"]
    assert raw.spot is None


def test_spot_is_the_newest_forward_of_the_nearest_living_expiry():
    near, far = at(20), EXPIRY
    rows = [
        tick(at(1, 30), "BTC-2OCT26-95000-C", expires=near, underlying_price="97001"),
        tick(at(1, 31), "BTC-2OCT26-96000-C", expires=near, underlying_price="97002"),
        tick(at(1, 32), expires=far, underlying_price="98000"),
    ]
    (raw,) = read(*rows)
    assert raw.spot == 97_002.0


def test_instants_may_be_written_as_text():
    text = {"timestamp": "2026-10-01 01:30:00.022", "local_timestamp": "2026-10-01 01:30:00.049909"}
    (raw,) = read(tick(at(1, 30), **text, expiration="2026-10-30 08:00:00"))
    assert raw.quoted_at == datetime(2026, 10, 1, 1, 30, 0, 49909, tzinfo=UTC)


def test_other_currencies_are_left_out_and_counted():
    (raw,) = read(tick(at(1)), tick(at(1), "SOL_USDC-30OCT26-100-C"), tick(at(1), "ETH-1OCT26-1-C"))
    assert dict(raw.notes)["other_currencies_excluded"] == (
        "rows of currencies without registry entry left out: 1 of ETH, 1 of SOL_USDC"
    )
    assert len(raw.symbols) == 1


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEADER.replace("mark_iv", "iv") + tick(at(1)), "'mark_iv'"),
        (HEADER + tick(at(1), bid_price="cheap"), "in column 'bid_price'"),
        (HEADER + tick(at(1), bid_price="1e30"), "'bid_price' on line 2"),
        (HEADER + tick(at(1)) + tick(at(1))[:60], "Expected 24 columns"),
        (HEADER + tick(at(1)) + tick(at(1), local_timestamp="1591574399"), "'local_timestamp' on"),
        (HEADER + tick(at(1), local_timestamp="1583020803307160000"), "'local_timestamp' on line"),
        (HEADER + tick(at(1), exchange="bitmex"), "found 'bitmex'"),
        (HEADER + tick(at(2)) + tick(at(1)), "order of 'local_timestamp'"),
        ("exchange", "header line"),
    ],
)
def test_a_broken_file_is_refused_naming_file_and_column(text, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        tardis.read(Member("ticks.csv", lambda: io.BytesIO(text.encode())))
    assert "ticks.csv" in str(refusal.value)


def test_rows_a_little_out_of_order_count_from_when_they_came():
    (only,) = read(tick(at(1, 0, 1), PUT), tick(at(0, 59, 59)))
    assert (only.quoted_at, len(only.symbols)) == (at(1, 0, 1), 2)


def test_a_file_without_options_of_ours_is_refused():
    for row in (tick(at(1), "SOL_USDC-30OCT26-100-C"), tick(at(1), expires=at(0)), ""):
        with pytest.raises(UnknownUnderlyingError, match="expected Deribit options of BTC"):
            read(row)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12) | st.floats().map(str) | st.integers().map(str), st.integers(0, 23))
def test_a_mutated_cell_raises_nothing_but_bad_input(cell, position):
    cells = tick(at(1, 30)).strip().split(",")
    cells[position] = cell
    found = []
    with suppress(BadInputError):
        found = read(tick(at(1), PUT), ",".join(cells) + "\n")
    assert all(len(raw.symbols) == len(raw.raw_texts) for raw in found)


class Endless(io.RawIOBase):
    """An hour of ticks of 180 MB, made while it is read; notes how much Arrow holds."""

    def __init__(self, blocks):
        rows = [
            tick(at(0, 0, 1 + i / 1000), f"BTC-30OCT26-{50_000 + 500 * (i % 400)}-C")
            for i in range(3000)
        ]
        self.block, self.left, self.rest = "".join(rows).encode(), blocks, HEADER.encode()
        self.most = 0

    def read(self, size=-1):
        self.most = max(self.most, pa.total_allocated_bytes())
        while self.left and len(self.rest) < size:
            self.rest += self.block
            self.left -= 1
        content, self.rest = self.rest[:size], self.rest[size:]
        return content


def test_a_day_larger_than_its_memory_is_read_as_a_stream():
    stream = Endless(blocks=160)
    before = pa.total_allocated_bytes()
    (raw,) = tardis.read(Member("OPTIONS.csv", lambda: stream))
    assert 160 * len(stream.block) > MEMORY_BYTES
    assert len(raw.symbols) == 400
    assert stream.most - before < MEMORY_BYTES


# --- recorded files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "count", "first", "last", "contracts"),
    [
        ("2023-12", 22, (datetime(2023, 12, 1, 1, tzinfo=UTC), 20),
         (datetime(2023, 12, 1, 22, 52, 8, 388284, tzinfo=UTC), 60), 80),
        ("2025-10", 24, (datetime(2025, 10, 1, 1, tzinfo=UTC), 38),
         (datetime(2025, 10, 1, 23, 59, 42, 8445, tzinfo=UTC), 107), 127),
    ],
)  # fmt: skip
def test_recorded_days_become_a_chain_an_hour(shared_data, month, count, first, last, contracts):
    path = shared_data / "deribit" / f"tardis_atm_quotes_{month}.csv.gz"
    chains = read_chain_file(path)
    assert len(chains) == count
    ends = [(chain.event_at, chain.rows.num_rows) for chain in (chains[0], chains[-1])]
    assert ends == [first, last]
    assert all(chain.known_at == chain.event_at for chain in chains)
    assert {chain.session_date for chain in chains} == {first[0].date()}
    assert {chain.underlying for chain in chains} == {"BTC"}
    assert sum(chain.rejected.num_rows for chain in chains) == 0
    assert len({s for c in chains for s in c.rows["symbol"].to_pylist()}) <= contracts


def test_recorded_dollar_and_coin_options_of_one_strike_cost_the_same(shared_data):
    path = shared_data / "deribit" / "tardis_atm_quotes_2025-10.csv.gz"
    rows = read_chain_file(path)[-1].rows.to_pandas()
    rows["mid"] = (rows.bid + rows.ask) / 2
    both = rows[rows.ask > 0].pivot_table(
        index=["expiry_date", "strike", "right"], columns="root", values="mid"
    )
    ratio = (both["BTC_USDC"] / both["BTC"]).dropna()
    assert len(ratio) >= 20
    assert ratio.median() == pytest.approx(1.0, abs=0.1)


def test_the_sample_parses_as_one_chain(shared_samples):
    (chain,) = read_chain_file(shared_samples / "tardis" / "options_chain.csv")
    rows = chain.rows.select(["symbol", "bid", "ask", "vendor_implied_vol"]).to_pylist()
    assert chain.provider == "tardis"
    assert chain.event_at == datetime(2020, 6, 8, 0, 1, 0, 473112, tzinfo=UTC)
    assert [row["symbol"] for row in rows] == [
        "BTC-9JUN20-9875-P", "BTC-9JUN20-10000-C", "BTC-10JUN20-10000-C",
    ]  # fmt: skip
    assert rows[0]["bid"] == pytest.approx(0.0207 * 9758.37)
    assert rows[0]["vendor_implied_vol"] == pytest.approx(0.6296)
    assert rows[2]["bid"] == rows[2]["ask"] == 0.0  # no order on either side


def test_the_hash_is_of_the_unpacked_file_and_names_are_kept(tmp_path):
    payload = (HEADER + tick(at(1, 30))).encode()
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_bytes(payload)
    packed.write_bytes(gzip.compress(payload))
    (one,), (other,) = read_chain_file(plain), read_chain_file(packed)
    assert one.source_sha256 == other.source_sha256
    assert (one.source_name, other.source_name) == ("a.csv", "b.csv.gz")


def test_a_row_of_a_listed_coin_with_an_odd_name_is_quarantined():
    rows = [tick(at(1), f"BTC-30OCT26-{50_000 + i}-C") for i in range(150)]
    (raw,) = read(*rows, tick(at(1), "BTC-30OCT26-odd-C"))
    chain = assemble(raw)
    assert chain.rejected["reason"].to_pylist() == ["bad_symbol"]
    assert chain.rejected["raw_text"][0].as_py().startswith("BTC-30OCT26-odd-C,2026-10-01T00:59")


# --- trades -----------------------------------------------------------------------------------

TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"


def trade(symbol="BTC-30OCT26-100000-C", when=None, **changes):
    when = when or at(14, 30)
    cells = {
        "exchange": "deribit", "symbol": symbol, "timestamp": micros(when),
        "local_timestamp": micros(when + timedelta(milliseconds=7)), "id": "123", "side": "buy",
        "price": "0.0315", "amount": "2.5",
    }  # fmt: skip
    return ",".join((cells | changes).values()) + "\n"


def trades(*rows, name="trades.csv"):
    payload = (TRADES + "".join(rows)).encode()
    assert tardis_records.sniff(payload[:4096], name)
    found = tardis_records.parse(payload, name=name, sha256="0" * 64)
    for records in found:
        assert conform(tables.OPTION_TRADES, records.rows).equals(records.rows)
    return found


def test_trades_give_exact_rows():
    (records,) = trades(trade())
    (row,) = records.rows.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "underlying": "BTC",
        "session_date": date(2026, 10, 1),
        "event_at": at(14, 30),
        "known_at": at(14, 30) + timedelta(milliseconds=7),
        "provider": "tardis",
        "source_name": "trades.csv",
        "symbol": "BTC-30OCT26-100000-C",
        "root": "BTC",
        "expiry_date": date(2026, 10, 30),
        "expires_at": EXPIRY,
        "strike": 100_000.0,
        "right": "call",
        "ordinal": 0,
        "price": 0.0315,
        "price_currency": "BTC",
        "size_contracts": 2.5,
        "conditions": "",
        "exchange": "deribit",
        "trade_id": "123",
        "taker_side": "buy",
        "sign_rule": "taker_side",
    }
    assert records.findings == ()


def test_equal_prints_are_numbered_and_unknown_sides_stay_unsigned():
    (records,) = trades(trade(id="1"), trade(PUT), trade(id="2", side="unknown"), trade(id="3"))
    calls = [row for row in records.rows.to_pylist() if row["right"] == "call"]
    assert [(row["ordinal"], row["trade_id"]) for row in calls] == [(0, "1"), (1, "2"), (2, "3")]
    assert [(row["taker_side"], row["sign_rule"]) for row in calls] == [
        ("buy", "taker_side"), (None, "unsigned"), ("buy", "taker_side"),
    ]  # fmt: skip


def test_usdc_options_are_priced_in_usdc_and_other_instruments_left_out():
    rows = [trade(LINEAR, price="1300"), trade("BTC-PERPETUAL"), trade("ETH-30OCT26-4000-C")]
    (records,) = trades(*rows, trade("BTC-30OCT26"))
    (row,) = records.rows.to_pylist()
    assert (row["price"], row["price_currency"], row["root"]) == (1300.0, "USDC", "BTC_USDC")
    assert [f.code for f in records.findings] == ["other_instruments_excluded"]
    assert "3 trades" in records.findings[0].text


def test_a_trade_is_never_known_before_it_happened():
    (records,) = trades(trade(local_timestamp=micros(at(14, 29))))
    assert records.rows["known_at"].to_pylist() == [at(14, 30)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "BTC-31FEB26-1-C"}, "bad_symbol"),
        ({"amount": "-1"}, "negative_size"),
        ({"price": ""}, "not_a_number"),
        ({"side": "both"}, "bad_direction"),
    ],
)
def test_an_impossible_trade_is_quarantined_and_too_many_refuse_the_file(change, reason):
    (records,) = trades(*[trade(id=f"{i}") for i in range(150)], trade(**change))
    assert records.rejected["reason"].to_pylist() == [reason]
    assert records.rejected["row_number"].to_pylist() == [152]
    with pytest.raises(BadInputError, match=reason):
        trades(trade(), trade(**change))


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([trade(exchange="bitmex")], "found 'bitmex'"),
        ([trade(timestamp="1583020803145000000")], "16 digits"),
        ([trade(timestamp="2026-10-01")], "'timestamp' on line 2"),
        ([trade("BTC-PERPETUAL")], "trades in 'BTC-PERPETUAL'"),
        ([trade(), trade()[:30]], "on line 3"),
    ],
)
def test_a_trades_file_that_cannot_be_believed_is_refused(rows, named):
    with pytest.raises(BadInputError, match=named):
        trades(*rows)


# --- single messages --------------------------------------------------------------------------

MESSAGES = {
    "trade.json": "single trade message of bitmex XBTUSD: one trade is no tape",
    "option_summary.json": "one contract is no chain",
    "option_book_snapshot.json": "without the forward",
    "disconnect.json": "marks a gap",
    "instrument_option.json": "description of one contract",
    "instrument_combo.json": "description of a combination",
    "replay_options.json": "asks for data",
    "derivative_ticker_1.csv": "expected trades with a side",
    "trades_1.csv": "expected the exchange 'deribit', found 'bitmex'",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_sample_that_is_no_row_of_a_table_is_refused_with_its_reason(shared_samples, name):
    payload = (shared_samples / "tardis" / name).read_bytes()
    assert tardis_records.sniff(payload[:4096], name)
    assert not tardis.sniff(payload[:4096], name)
    with pytest.raises(BadInputError, match=MESSAGES[name]):
        tardis_records.parse(payload, name=name, sha256="0" * 64)


def test_formats_do_not_claim_each_others_files():
    assert tardis.sniff(HEADER.encode(), "x")
    assert not tardis_records.sniff(HEADER.encode(), "x")
    assert not tardis.sniff(TRADES.encode(), "x")
    assert not tardis_records.sniff(json.dumps({"quotes": []}).encode(), "x")

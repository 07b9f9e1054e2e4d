"""Cboe's delayed-quotes JSON."""

import copy
import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers import cboe_json

"""Parsing 30,000 rows takes 0.35 s on a quiet core; the rest is room for a busy machine."""


def option(symbol="CLX260821C00095000", **changes):
    row = {
        "option": symbol,
        "bid": 2.0,
        "bid_size": 5.0,
        "ask": 2.2,
        "ask_size": 7.0,
        "iv": 0.31,
        "open_interest": 40.0,
        "volume": 3.0,
        "delta": 0.52,
        "gamma": 0.04,
        "last_trade_price": 2.1,
        "last_trade_time": "2026-07-24T09:40:47",
    }
    return row | changes


def chain(*rows, **changes):
    data = {
        "symbol": "CLX",
        "current_price": 95.5,
        "last_trade_time": "2026-07-24T15:59:59",
        "options": list(rows) or [option(), option("CLX260821P00095000", delta=-0.48)],
    }
    return {"timestamp": "2026-07-25 00:43:14", "symbol": "CLX", "data": data | changes}


def parse(content):
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return cboe_json.parse(payload, name="CLX.json", sha256="0" * 64)


def test_parse_reads_timestamp_as_utc_and_header_clock_as_new_york():
    (raw,) = parse(chain())
    assert raw.downloaded_at == datetime(2026, 7, 25, 0, 43, 14, tzinfo=UTC)
    assert raw.quoted_at == datetime(2026, 7, 24, 19, 59, 59, tzinfo=UTC)
    assert raw.last_trade_at.tolist()[0] == datetime(2026, 7, 24, 13, 40, 47)  # noqa: DTZ001


def test_parse_follows_new_yorks_winter_time():
    content = chain(option(last_trade_time="2026-01-15T10:00:00"))
    content["timestamp"] = "2026-01-15 21:30:00"
    content["data"]["last_trade_time"] = "2026-01-15T16:14:59"
    (raw,) = parse(content)
    assert raw.quoted_at == datetime(2026, 1, 15, 21, 14, 59, tzinfo=UTC)
    assert raw.last_trade_at[0] == np.datetime64("2026-01-15T15:00:00")


def test_parse_never_puts_quotes_after_the_files_own_timestamp():
    (raw,) = parse(chain(last_trade_time="2026-07-24T23:00:00"))
    assert raw.quoted_at == raw.downloaded_at
    assert [code for code, _ in raw.notes] == ["quoted_after_download"]


def test_parse_without_header_clock_leaves_quote_time_unknown_with_finding():
    (raw,) = parse(chain(last_trade_time=None))
    assert raw.quoted_at is None
    assert [code for code, _ in raw.notes] == ["header_clock_missing"]


def test_parse_keeps_units_and_turns_unsolved_vols_and_absent_trades_into_nan():
    (raw,) = parse(
        chain(
            option(),
            option("CLX260821C00100000", iv=0.0, last_trade_price=0.0, last_trade_time=None),
            option("CLX260821C00105000", iv=None, bid=0.0),
        )
    )
    np.testing.assert_array_equal(raw.floats["vendor_implied_vol"], [0.31, np.nan, np.nan])
    np.testing.assert_array_equal(raw.floats["last_price"], [2.1, np.nan, 2.1])
    np.testing.assert_array_equal(raw.floats["bid"], [2.0, 2.0, 0.0])
    np.testing.assert_array_equal(raw.floats["open_interest_contracts"], [40.0, 40.0, 40.0])
    assert np.isnat(raw.last_trade_at[1])
    assert raw.spot == 95.5
    assert raw.row_numbers.tolist() == [1, 2, 3]
    assert json.loads(raw.raw_texts[2])["option"] == "CLX260821C00105000"
    assert [json.loads(text)["iv"] for text in raw.raw_texts[1:]] == [0.0, None]


@pytest.mark.parametrize(("symbol", "claimed"), [("_RUT", "RUT"), ("^RUT", "RUT"), ("CLX", "CLX")])
def test_parse_drops_the_vendors_index_prefix_from_the_claimed_underlying(symbol, claimed):
    (raw,) = parse(chain() | {"symbol": symbol})
    assert raw.claimed_underlying == claimed


def test_parse_ignores_words_that_numpy_would_read_as_the_wall_clock():
    (raw,) = parse(chain(option(last_trade_time="now"), option(last_trade_time="today")))
    assert np.isnat(raw.last_trade_at).all()


def test_parse_tolerates_unknown_and_absent_optional_fields():
    row = option(brand_new={"a": [1]})
    del row["gamma"], row["bid_size"], row["last_trade_time"]
    (raw,) = parse(chain(row, colour="blue") | {"extra": 1})
    assert np.isnan(raw.floats["vendor_gamma"]).all()
    assert raw.symbols == ["CLX260821C00095000"]


def without(field):
    row = option()
    del row[field]
    return chain(option(), row)


BROKEN = {
    "empty": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html></html>", "HTML"),
    "truncated": (json.dumps(chain()).encode()[:-40], "cut-off"),
    "list": (b"[1]", "found list"),
    "deep": (b"[" * 100_000, "broken"),
    "no data": ({"timestamp": "2026-07-25 00:43:14"}, "'data'"),
    "data is text": ({"data": "x"}, "expected dict in field 'data'"),
    "no timestamp": ({"data": chain()["data"]}, "'timestamp'"),
    "timestamp is a number": (chain() | {"timestamp": 5}, "'timestamp'"),
    "timestamp is no instant": (chain() | {"timestamp": "noon"}, "'timestamp'"),
    "30 February": (chain() | {"timestamp": "2026-02-30 00:00:00"}, "'timestamp'"),
    "header clock is text": (chain(last_trade_time="noon"), "'last_trade_time'"),
    "no options": (chain(options=[]), "'options'"),
    "options hold numbers": (chain(options=[1]), r"options\[0\]"),
    "spot is text": (chain(current_price="95"), "'current_price'"),
    "bid is text": (chain(option(), option(bid="2.0")), "'bid' of row 2"),
    "bid is a flag": (chain(option(bid=True)), "'bid'"),
    "bid is huge": (chain(option(bid=10**400)), "'bid'"),
    "bid is infinite": (json.dumps(chain()).replace("2.0", "1e999").encode(), "'bid'"),
    "symbol is a number": (chain(option(5)), "'option'"),
    "claim is a number": (chain() | {"symbol": 5}, "'symbol'"),
    **{f"no {f}": (without(f), f"'{f}'") for f in ("option", "bid", "ask", "open_interest")},
}


@pytest.mark.parametrize(("content", "named"), BROKEN.values(), ids=BROKEN.keys())
def test_parse_refuses_a_broken_payload_naming_file_and_field(content, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse(content)
    assert "CLX.json" in str(refusal.value)


def test_sniff_recognises_own_format_only(shared_data):
    assert cboe_json.sniff(json.dumps(chain()).encode()[:4096], "x")
    assert cboe_json.sniff(b"\xef\xbb\xbf " + json.dumps(chain(), indent=1).encode()[:4096], "x")
    yahoo = next((shared_data / "yahoo_cboe_json").glob("SPY*.json.gz"))
    assert not cboe_json.sniff(gzip.decompress(yahoo.read_bytes())[:4096], "x")
    assert not cboe_json.sniff(b"Expiration Date,Calls", "x")


def test_parse_reads_the_recorded_share_chain(shared_data):
    path = shared_data / "raw_formats" / "cboe_delayed_quotes_CLX_2026-07-24.json"
    payload = path.read_bytes()
    assert cboe_json.sniff(payload[:4096], path.name)
    (raw,) = cboe_json.parse(payload, name=path.name, sha256="")
    assert len(raw.symbols) == 306
    assert raw.quoted_at == datetime(2026, 7, 24, 19, 59, 59, tzinfo=UTC)
    assert raw.downloaded_at == datetime(2026, 7, 25, 0, 43, 14, tzinfo=UTC)
    assert raw.claimed_underlying == "CLX"
    assert raw.notes == ()
    expected = sum(row["open_interest"] for row in json.loads(payload)["data"]["options"])
    assert raw.floats["open_interest_contracts"].sum() == expected


def test_parse_reads_the_recorded_index_chain_with_both_protocol_clock_vectors(shared_samples):
    path = shared_samples / "cboe" / "_RUT_delayed_quotes_trimmed_real.json"
    (raw,) = cboe_json.parse(path.read_bytes(), name=path.name, sha256="")
    assert raw.claimed_underlying == "RUT"
    assert raw.downloaded_at.timestamp() == 1695266262
    assert raw.quoted_at.timestamp() == 1695240904


def test_parse_of_a_whole_index_chain_keeps_every_contract():
    rows = [option(f"SPXW260821C{strike:08d}") for strike in range(1000, 31_000)]
    payload = json.dumps(chain(*rows)).encode()
    (raw,) = parse(payload)
    assert len(raw.symbols) == 30_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["bid", "options", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_parse_of_random_bytes_raises_nothing_but_bad_input(payload):
    with pytest.raises(BadInputError):
        parse(payload)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_parse_of_mutated_json_raises_nothing_but_bad_input(data):
    content = copy.deepcopy(chain())
    holder = data.draw(
        st.sampled_from([content, content["data"], *content["data"]["options"]]), label="holder"
    )
    holder[data.draw(st.sampled_from(sorted(holder)), label="field")] = data.draw(JSON)
    found = []
    with suppress(BadInputError):
        found = parse(content)
    assert all(len(raw.symbols) == len(raw.raw_texts) == raw.floats["bid"].size for raw in found)

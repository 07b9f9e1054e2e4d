"""Yahoo chains in their three recorded layouts."""

import copy
import gzip
import json
from contextlib import suppress
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers import yahoo
from dealer_assets.providers.assembly import assemble


def quote(symbol="SPY260717C00750000", **changes):
    row = {
        "symbol": symbol,
        "expiration": "2026-07-17",
        "side": "call",
        "strike": 750.0,
        "bid": 6.1,
        "ask": 6.3,
        "mid": 6.2,
        "last": 6.25,
        "volume": 11.0,
        "openInterest": 500.0,
        "iv": 0.14,
        "delta": 0.55,
        "gamma": 0.02,
    }
    return row | changes


def quotes(*rows, **changes):
    content = {
        "symbol": "SPY",
        "updated": "2026-07-14T15:53:22.223592-04:00",
        "underlyingPrice": 752.5,
        "expirations": ["2026-07-17"],
        "quotes": list(rows) or [quote(), quote("SPY260717P00750000", side="put", delta=-0.45)],
    }
    return content | changes


def contract(strike=410.0, **changes):
    row = {"strike": strike, "lastPrice": 5.0, "volume": 3, "openInterest": 9.0, "iv": 0.5}
    return row | {"delta": 0.5, "gex": 1.0} | changes


def snapshot(**changes):
    content = {
        "ticker": "TSLA",
        "timestamp": "2026-06-15T19:17:45.553601",
        "date": "2026-06-15",
        "spot": 411.0,
        "term": [],
        "chains": {
            "2026-06-15": {"calls": [contract(), contract(412.5)], "puts": [contract(delta=-0.5)]},
            "2026-06-18": {"calls": [], "puts": [contract(5.0, iv=0.01)]},
        },
    }
    return content | changes


YFINANCE = (
    "contractSymbol,type,expiration,strike,lastTradeDate,lastPrice,bid,ask,volume,openInterest,"
    "impliedVolatility,snap_date,spot_price\n"
)


def trade(symbol="NVDA251212C00180000", when="2025-12-05 20:16:04+00:00", day="2025-12-05"):
    return f"{symbol},call,2025-12-12,180.0,{when},5.5,5.4,5.6,,12.0,0.4,{day},182.41\n"


def parse(content):
    if isinstance(content, str):
        content = content.encode()
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return yahoo.parse(payload, name="chain.json", sha256="0" * 64)


# --- quotes JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updated", "instant"),
    [
        ("2026-07-08T04:51:37.475546Z", datetime(2026, 7, 8, 4, 51, 37, 475546, tzinfo=UTC)),
        ("2026-07-14T15:53:22-04:00", datetime(2026, 7, 14, 19, 53, 22, tzinfo=UTC)),
        ("2026-01-14T15:53:22-05:00", datetime(2026, 1, 14, 20, 53, 22, tzinfo=UTC)),
    ],
)
def test_quotes_updated_is_the_download_in_whatever_zone_it_is_written(updated, instant):
    (raw,) = parse(quotes(updated=updated))
    assert raw.downloaded_at == instant
    assert raw.quoted_at is None


def test_quotes_updated_without_zone_is_refused_as_ambiguous():
    with pytest.raises(BadInputError, match="zone in field 'updated'"):
        parse(quotes(updated="2026-07-14T15:53:22"))


def test_quotes_keep_units_and_turn_the_searchs_floor_into_nan():
    (raw,) = parse(quotes(quote(), quote(iv=1.0000000000000003e-05, bid=None, volume=None)))
    np.testing.assert_array_equal(raw.floats["vendor_implied_vol"], [0.14, np.nan])
    np.testing.assert_array_equal(raw.floats["bid"], [6.1, np.nan])
    np.testing.assert_array_equal(raw.floats["volume_contracts"], [11.0, np.nan])
    np.testing.assert_array_equal(raw.floats["open_interest_contracts"], [500.0, 500.0])
    np.testing.assert_array_equal(raw.floats["vendor_gamma"], [0.02, 0.02])
    assert raw.spot == 752.5
    assert raw.claimed_underlying == "SPY"
    assert raw.declared_expiries == [date(2026, 7, 17)] * 2


def test_quotes_of_an_overnight_failure_parse_with_their_zeros():
    (raw,) = parse(quotes(quote(bid=0.0, ask=0.0, mid=None, openInterest=0.0, delta=None)))
    assert raw.floats["bid"][0] == raw.floats["ask"][0] == 0.0
    assert raw.floats["open_interest_contracts"][0] == 0.0
    assert np.isnan(raw.floats["vendor_delta"][0])


def test_quotes_tolerate_unknown_fields_and_absent_greeks():
    row = quote(vanna=1.0)
    del row["delta"], row["gamma"]
    (raw,) = parse(quotes(row, greeks={"enabled": True}))
    assert np.isnan(raw.floats["vendor_gamma"]).all()


# --- snapshot JSON ----------------------------------------------------------------------------


def test_snapshot_timestamp_is_new_york_wall_time():
    (raw,) = parse(snapshot())
    assert raw.downloaded_at == datetime(2026, 6, 15, 23, 17, 45, 553601, tzinfo=UTC)


def test_snapshot_rows_get_the_symbols_of_the_only_listed_root():
    (raw,) = parse(snapshot())
    assert raw.symbols == [
        "TSLA260615C00410000",
        "TSLA260615C00412500",
        "TSLA260615P00410000",
        "TSLA260618P00005000",
    ]
    np.testing.assert_array_equal(raw.floats["vendor_implied_vol"], [0.5, 0.5, 0.5, np.nan])
    assert "bid" not in raw.floats
    assert [code for code, _ in raw.notes] == ["no_quotes"]
    assert raw.declared_expiries[-1] == date(2026, 6, 18)


def test_snapshot_of_an_underlying_with_two_roots_is_refused():
    with pytest.raises(BadInputError, match="SPX lists SPX, SPXW"):
        parse(snapshot(ticker="SPX"))


def test_snapshot_row_without_strike_is_left_to_the_quarantine():
    chains = {"2026-06-15": {"calls": [contract(), contract(None)], "puts": []}}
    (raw,) = parse(snapshot(chains=chains))
    assert raw.symbols == ["TSLA260615C00410000", ""]


# --- yfinance CSV -----------------------------------------------------------------------------


def test_yfinance_takes_the_latest_trade_for_the_time_of_the_quotes():
    (raw,) = parse(YFINANCE + trade(when="2025-12-04 17:20:33+00:00") + trade())
    assert raw.quoted_at == datetime(2025, 12, 5, 20, 16, 4, tzinfo=UTC)
    assert raw.downloaded_at is None
    assert [code for code, _ in raw.notes] == ["quoted_at_from_last_trade"]
    assert raw.last_trade_at[0] == np.datetime64("2025-12-04T17:20:33")
    assert raw.spot == 182.41
    assert np.isnan(raw.floats["volume_contracts"]).all()


def test_yfinance_snap_date_on_a_holiday_is_overruled_by_the_trades():
    (raw,) = parse(YFINANCE + trade(when="2025-11-26 20:59:00+00:00", day="2025-11-27"))
    assert raw.quoted_at.date() == date(2025, 11, 26)
    assert [code for code, _ in raw.notes][-1] == "snap_date_mismatch"


def test_yfinance_without_any_trade_has_no_instant():
    (raw,) = parse(YFINANCE + trade(when=""))
    assert raw.quoted_at is None
    assert np.isnat(raw.last_trade_at).all()


def test_yfinance_trade_outside_utc_is_refused():
    with pytest.raises(BadInputError, match="'lastTradeDate'"):
        parse(YFINANCE + trade(when="2025-12-05 15:16:04-05:00"))


# --- refusals ---------------------------------------------------------------------------------


def removed(content, field):
    return {name: value for name, value in content.items() if name != field}


BROKEN = {
    "empty": (b"", "empty"),
    "html": (b"<html>", "HTML"),
    "truncated": (json.dumps(quotes()).encode()[:-9], "cut-off"),
    "neither": ({"a": 1}, "'quotes'"),
    "no updated": (removed(quotes(), "updated"), "'updated'"),
    "no symbol": (removed(quotes(), "symbol"), "'symbol'"),
    "no bid in a row": (quotes(quote(), removed(quote(), "bid")), "'bid'"),
    "no open interest": (quotes(removed(quote(), "openInterest")), "'openInterest'"),
    "text for a number": (quotes(quote(iv="0.2")), "'iv' of row 1"),
    "text for spot": (quotes(underlyingPrice="752"), "'underlyingPrice'"),
    "bad expiry": (quotes(quote(expiration="17 July")), "YYYY-MM-DD"),
    "quotes is an object": (quotes(quotes={}), "'quotes'"),
    "chains is a list": (snapshot(chains=[]), "'chains'"),
    "chains is empty": (snapshot(chains={}), "'chains'"),
    "chain is text": (snapshot(chains={"2026-06-15": "x"}), "2026-06-15"),
    "chain without puts": (snapshot(chains={"2026-06-15": {"calls": [contract()]}}), "'puts'"),
    "chain of no day": (snapshot(chains={"soon": {}}), "YYYY-MM-DD"),
    "snapshot without ticker": (removed(snapshot(), "ticker"), "'ticker'"),
    "snapshot without clock": (removed(snapshot(), "timestamp"), "'timestamp'"),
    "snapshot of no instant": (snapshot(timestamp="noon"), "'timestamp'"),
    "csv without column": (YFINANCE.replace("bid", "bod") + trade(), "'bid'"),
    "csv without rows": (YFINANCE, "found none"),
    "csv with text": (YFINANCE + trade().replace("5.6", "n/a"), "'ask' on line 2"),
}


@pytest.mark.parametrize(("content", "named"), BROKEN.values(), ids=BROKEN.keys())
def test_parse_refuses_a_broken_payload_naming_file_and_field(content, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse(content)
    assert "chain.json" in str(refusal.value)


@pytest.mark.parametrize("content", [json.dumps(quotes()), json.dumps(snapshot()), YFINANCE])
def test_sniff_recognises_every_layout(content):
    assert yahoo.sniff(content.encode()[:4096], "x")


def test_sniff_leaves_other_formats_alone():
    assert not yahoo.sniff(b'{"timestamp": "", "data": {"options": []}}', "x")
    assert not yahoo.sniff(b"exchange,symbol,timestamp,local_timestamp", "x")


# --- recorded files ---------------------------------------------------------------------------

RECORDED = {
    "AAPL_2026-07-14T155322": (2727, "2026-07-14T19:53:22.223592"),
    "AAPL_2026-07-15T041301": (1161, "2026-07-15T08:13:01.753402"),
    "AAPL_2026-07-15T104735": (1166, "2026-07-15T14:47:35.690321"),
    "IWM_2026-07-12T062649": (3224, "2026-07-12T10:26:49.272630"),
    "IWM_2026-07-14T155545": (3510, "2026-07-14T19:55:45.890379"),
    "NVDA_2026-07-12T062707": (3410, "2026-07-12T10:27:07.305920"),
    "NVDA_2026-07-14T155616": (3525, "2026-07-14T19:56:16.034117"),
    "NVDA_2026-07-15T041413": (1351, "2026-07-15T08:14:13.342854"),
    "NVDA_2026-07-15T104732": (1351, "2026-07-15T14:47:32.448107"),
    "SPX_2026-07-12T043447": (4160, "2026-07-12T08:34:47.129426"),
    "SPY_2026-07-08T045137": (2913, "2026-07-08T04:51:37.475546"),
    "SPY_2026-07-09T015415": (2920, "2026-07-09T01:54:15.348724"),
    "SPY_2026-07-10T014755": (2874, "2026-07-10T05:47:55.893070"),
    "SPY_2026-07-10T015305": (2874, "2026-07-10T01:53:05.073000"),
    "SPY_2026-07-12T062658": (9720, "2026-07-12T10:26:58.861412"),
}
WIPED = {
    "AAPL_2026-07-15T041301",
    "NVDA_2026-07-15T041413",
    "SPY_2026-07-08T045137",
    "SPY_2026-07-10T014755",
}


def test_every_recorded_file_is_listed(shared_data):
    found = {path.name.split(".")[0] for path in (shared_data / "yahoo_cboe_json").iterdir()}
    assert found == set(RECORDED)


@pytest.mark.parametrize("stem", RECORDED)
def test_recorded_quotes_parse_to_rows_and_clock(shared_data, stem):
    path = shared_data / "yahoo_cboe_json" / f"{stem}.json.gz"
    payload = gzip.decompress(path.read_bytes())
    assert yahoo.sniff(payload[:4096], path.name)
    (raw,) = yahoo.parse(payload, name=path.name, sha256="")
    rows, downloaded_at = RECORDED[stem]
    assert len(raw.symbols) == len(set(raw.symbols)) == rows
    assert raw.downloaded_at == datetime.fromisoformat(downloaded_at).replace(tzinfo=UTC)
    assert raw.claimed_underlying == stem.split("_")[0]
    assert raw.spot > 100.0
    share_without_bid = np.mean(~(raw.floats["bid"] > 0.0))
    assert (share_without_bid > 0.97) == (stem in WIPED)


FIRST_WITH_GREEKS = "2026-07-12"


@pytest.mark.parametrize("stem", RECORDED)
def test_recorded_quotes_wiped_overnight_keep_volume_and_greeks_come_later(shared_data, stem):
    path = shared_data / "yahoo_cboe_json" / f"{stem}.json.gz"
    (raw,) = yahoo.parse(gzip.decompress(path.read_bytes()), name=path.name, sha256="")
    assert np.mean(raw.floats["volume_contracts"] > 0.0) > 0.9
    assert (np.mean(raw.floats["open_interest_contracts"] > 0.0) < 0.02) == (stem in WIPED)
    has_greeks = stem.split("_")[1] >= FIRST_WITH_GREEKS
    assert np.isfinite(raw.floats["vendor_delta"]).any() == has_greeks
    assert np.isfinite(raw.floats["vendor_gamma"]).any() == has_greeks


SESSIONS = {
    "AAPL_2026-07-14T155322": (date(2026, 7, 14), 2),
    "AAPL_2026-07-15T041301": (date(2026, 7, 14), 0),
    "IWM_2026-07-12T062649": (date(2026, 7, 10), 0),
    "SPX_2026-07-12T043447": (date(2026, 7, 10), 2),
    "SPY_2026-07-08T045137": (date(2026, 7, 7), 0),
    "SPY_2026-07-10T014755": (date(2026, 7, 9), 0),
    "SPY_2026-07-10T015305": (date(2026, 7, 9), 0),
}


# exchange_calendars, asked about expiries after 2027, trips over a deprecation of pandas 3.1
@pytest.mark.filterwarnings("ignore:Series.values returning")
@pytest.mark.parametrize("stem", SESSIONS)
def test_recorded_quotes_assemble_to_the_session_they_show(shared_data, stem):
    path = shared_data / "yahoo_cboe_json" / f"{stem}.json.gz"
    (raw,) = yahoo.parse(gzip.decompress(path.read_bytes()), name=path.name, sha256="")
    snapshot = assemble(raw)
    session, crossed = SESSIONS[stem]
    assert snapshot.session_date == session
    assert snapshot.rejected.column("reason").to_pylist() == ["crossed_quote"] * crossed
    codes = {finding.code for finding in snapshot.findings}
    assert ({"zero_bids", "wiped_open_interest"} <= codes) == (stem in WIPED)


def test_recorded_snapshot_parses_with_every_contract(shared_data):
    path = shared_data / "raw_formats" / "yahoo_snapshot_TSLA_2026-06-15.json.gz"
    payload = gzip.decompress(path.read_bytes())
    assert yahoo.sniff(payload[:4096], path.name)
    (raw,) = yahoo.parse(payload, name=path.name, sha256="")
    assert len(raw.symbols) == len(set(raw.symbols)) == 1701
    assert raw.downloaded_at == datetime(2026, 6, 15, 23, 17, 45, 553601, tzinfo=UTC)


def test_recorded_yfinance_file_parses_with_its_last_trade_as_clock(shared_data):
    path = shared_data / "raw_formats" / "yfinance_NVDA_2025-12-05.csv.gz"
    payload = gzip.decompress(path.read_bytes())
    assert yahoo.sniff(payload[:4096], path.name)
    (raw,) = yahoo.parse(payload, name=path.name, sha256="")
    assert len(raw.symbols) == 5024
    assert raw.quoted_at == datetime(2025, 12, 5, 20, 16, 4, tzinfo=UTC)
    assert raw.spot == pytest.approx(182.41, abs=0.01)


# --- fuzz -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["calls", "puts", "2026-06-15"]), inner, max_size=3)
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
    first, second = copy.deepcopy(quotes()), copy.deepcopy(snapshot())
    chains = second["chains"]
    places = [(first, first), (first, first["quotes"][0]), (second, second), (second, chains)]
    places += [(second, chains["2026-06-15"]), (second, chains["2026-06-15"]["calls"][0])]
    content, holder = data.draw(st.sampled_from(places))
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JSON)
    found = []
    with suppress(BadInputError):
        found = parse(content)
    assert all(len(raw.symbols) == len(raw.raw_texts) for raw in found)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.integers(0, 12))
def test_parse_of_a_mutated_csv_cell_raises_nothing_but_bad_input(cell, position):
    cells = trade().strip().split(",")
    cells[position] = cell
    found = []
    with suppress(BadInputError):
        found = parse(YFINANCE + trade() + ",".join(cells))
    assert all(len(raw.symbols) == 2 for raw in found)

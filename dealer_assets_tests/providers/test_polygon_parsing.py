"""Polygon's bodies, recorded or made after them, become exactly these rows."""

import copy
import csv
import gzip
import io
import json
import tarfile
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.errors import BadInputError, GarbledAnswerError, NoDataError, NotEntitledError
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.chain import CHAIN_ROW, read_chain
from dealer_assets.providers.polygon.market import (
    Holiday,
    MarketStatus,
    ask_index_value,
    ask_previous_close,
    calendar_findings,
    read_holidays,
    read_status,
)
from dealer_assets.providers.polygon.pages import read_page
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.providers.polygon_stub import KEY, asking, page, route, serving

SPX, SPY, AAPL = underlying("SPX"), underlying("SPY"), underlying("AAPL")
NOON = datetime(2026, 8, 28, 16, 0, 30, tzinfo=UTC)
DAY = date(2026, 8, 28)
TYPICAL = {
    "day": {"volume": 12, "last_updated": 1787889600000000000},
    "details": {
        "ticker": "O:SPXW260828C06400000",
        "expiration_date": "2026-08-28",
        "shares_per_contract": 100,
    },
    "greeks": {"delta": 0.5, "gamma": 0.01},
    "implied_volatility": 0.2,
    "last_quote": {"bid": 9.9, "ask": 10.1, "bid_size": 3, "ask_size": 4, "timeframe": "REAL-TIME"},
    "last_trade": {"price": 10.0, "timeframe": "REAL-TIME"},
    "open_interest": 100,
    "underlying_asset": {"ticker": "I:SPX", "value": 6400.5, "timeframe": "REAL-TIME"},
}


def ns(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000) * 1000


def row(symbol="SPXW260828C06400000", *, at=NOON - timedelta(seconds=2), **changes):
    """A row as the vendor has it; keyword ``last_quote__bid=1`` changes a field, None drops it."""
    made = copy.deepcopy(TYPICAL)
    made["details"]["ticker"] = f"O:{symbol}"
    if len(symbol) > 15:
        made["details"]["expiration_date"] = (
            f"20{symbol[-15:-13]}-{symbol[-13:-11]}-{symbol[-11:-9]}"
        )
    made["last_quote"]["last_updated"] = made["underlying_asset"]["last_updated"] = ns(at)
    made["last_trade"]["sip_timestamp"] = ns(at)
    for path, value in changes.items():
        block, _, field = path.partition("__")
        if not field and value is None:
            del made[block]
        elif not field:
            made[block] = value
        else:
            made[block][field] = value
    return made


def read(rows, *, asset=SPX, at=NOON, delay=timedelta(0)):
    found = read_page(page(*rows), CHAIN_ROW, what="a test")
    return read_chain([found], underlying=asset, at=at, delay=delay)


def codes(found) -> list[str]:
    return [code for code, _ in found.raw.notes]


# --- the chain -----------------------------------------------------------------------------------


def test_recorded_chain_page_becomes_exactly_this_row(shared_samples):
    body = (shared_samples / "polygon/v3_snapshot_options_AAPL.json").read_bytes()
    at = datetime(2022, 4, 29, 17, 45, tzinfo=UTC)
    found = read_chain(
        [read_page(body, CHAIN_ROW, what="x")], underlying=AAPL, at=at, delay=timedelta(0)
    )
    raw = found.raw
    assert list(raw.symbols) == ["AAPL230616C00150000"]
    assert {name: values.tolist() for name, values in raw.floats.items()} == {
        "bid": [28.9],
        "ask": [29.25],
        "bid_size_contracts": [294.0],
        "ask_size_contracts": [209.0],
        "last_price": [29.25],
        "volume_contracts": [8.0],
        "open_interest_contracts": [8133.0],
        "vendor_implied_vol": [0.3570277203465058],
        "vendor_delta": [0.6436614934293701],
        "vendor_gamma": [0.0061735291012820675],
    }
    assert raw.last_trade_at.astype(str).tolist() == ["2023-03-13T14:42:07.714665"]
    assert raw.declared_expiries == [date(2023, 6, 16)]
    assert raw.declared_multipliers.tolist() == [100.0]
    assert raw.quoted_at == datetime(2022, 4, 29, 17, 44, tzinfo=UTC)
    assert raw.downloaded_at == at
    assert (found.spot.value, found.spot.source) == (159.9606, "last_trade")
    assert raw.raw_texts[0].startswith('{"break_even_price": 179.075, "day": ')
    assert raw.notes == ()


def test_rows_go_through_the_gate_and_keep_their_numbers():
    rows = [row(f"SPX{w}260918{r}0{k}000") for w in ("W", "") for r in "CP" for k in (6300, 6400)]
    snapshot = assemble(read(rows).raw)
    assert snapshot.rows["symbol"].to_pylist() == [
        "SPX260918C06300000",
        "SPX260918P06300000",
        "SPX260918C06400000",
        "SPX260918P06400000",
        "SPXW260918C06300000",
        "SPXW260918P06300000",
        "SPXW260918C06400000",
        "SPXW260918P06400000",
    ]
    assert snapshot.event_at == datetime(2026, 8, 28, 16, 0, tzinfo=UTC)
    assert snapshot.known_at == NOON
    assert snapshot.session_date == DAY
    assert set(snapshot.rows["settlement"].to_pylist()[:4]) == {"am"}
    assert snapshot.rows["bid"].unique().to_pylist() == [9.9]
    assert snapshot.is_partial


def test_fields_that_are_absent_or_null_are_unknown():
    rows = [
        row(greeks=None, implied_volatility=None),
        row("SPXW260828P06400000", last_quote=None, last_trade=None, open_interest=None),
        row("SPXW260828P06300000", last_quote__bid=None, last_quote__ask=None),
        row("SPXW260828P06200000", day={}, underlying_asset={"ticker": "I:SPX"}),
    ]
    floats = read(rows).raw.floats
    unknown = {name: np.isnan(values).tolist() for name, values in floats.items()}
    assert unknown["vendor_delta"] == unknown["vendor_implied_vol"] == [True, False, False, False]
    assert (
        unknown["last_price"] == unknown["open_interest_contracts"] == [False, True, False, False]
    )
    assert unknown["bid"] == unknown["ask"] == [False, True, True, False]
    assert unknown["bid_size_contracts"] == [False, True, False, False]
    assert unknown["volume_contracts"] == [False, False, False, True]


def test_the_half_minute_of_the_bell_survives():
    at = datetime(2026, 8, 28, 13, 30, 2, tzinfo=UTC)
    calls = [
        row(f"SPXW260828C0{k}000", at=at, last_quote__bid=None, last_quote__ask=None)
        for k in range(6300, 6500, 5)
    ]
    snapshot = assemble(read(calls, at=at + timedelta(seconds=1)).raw)
    assert snapshot.event_at == datetime(2026, 8, 28, 13, 30, tzinfo=UTC)
    assert snapshot.rows["bid"].null_count == 40
    assert snapshot.rejected.num_rows == 0
    assert "pre_open_download" not in [finding.code for finding in snapshot.findings]


def test_a_row_with_a_field_of_another_type_is_quarantined_alone():
    good = [row(f"SPXW260828C0{k}000") for k in range(1000, 1200)]
    bad = [row("SPXW260828P05000000", open_interest="many"), 7]
    snapshot = assemble(read([*good, *bad]).raw)
    assert snapshot.rows.num_rows == 200
    assert snapshot.rejected["reason"].to_pylist() == ["not_a_number", "bad_symbol"]
    assert snapshot.rejected["symbol"].to_pylist() == ["SPXW260828P05000000", None]
    assert snapshot.rejected["row_number"].to_pylist() == [201, 202]
    assert '"open_interest": "many"' in snapshot.rejected["raw_text"][0].as_py()


def test_series_of_other_terms_are_quarantined_as_adjusted():
    good = [row(f"SPXW260828C0{k}000") for k in range(1000, 1200)]
    odd = [
        row("SPXW260828P05000000", details__shares_per_contract=10),
        row("2SPX260828P05000000"),
        row("SPXW1260828P05000000"),
        row("SPXW260828P005000000"),
    ]
    odd[3]["details"]["expiration_date"] = "2026-08-28"
    snapshot = assemble(read([*good, *odd]).raw)
    assert snapshot.rejected["reason"].to_pylist() == [
        "adjusted_root",
        "adjusted_root",
        "adjusted_root",
        "bad_symbol",
    ]
    assert snapshot.impossible == 1


def test_an_expiry_that_is_not_the_symbols_is_quarantined():
    good = [row(f"SPXW260828C0{k}000") for k in range(1000, 1200)]
    odd = row("SPXW260828P05000000", details__expiration_date="2026-08-31")
    snapshot = assemble(read([*good, odd]).raw)
    assert snapshot.rejected["reason"].to_pylist() == ["expiry_mismatch"]


# --- volume --------------------------------------------------------------------------------------

YESTERDAY_BAR = {"volume": 4433, "last_updated": ns(datetime(2026, 8, 27, 4, tzinfo=UTC))}
YESTERDAY = ns(datetime(2026, 8, 27, 19, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "volume"),
    [
        ({}, 12.0),
        ({"day": YESTERDAY_BAR, "last_trade__sip_timestamp": YESTERDAY}, 0.0),
        ({"day": YESTERDAY_BAR}, None),
        ({"day": YESTERDAY_BAR, "last_trade": None}, None),
        ({"last_trade__sip_timestamp": YESTERDAY}, None),
        ({"day": {"volume": 5}}, 5.0),
    ],
)
def test_volume_of_the_session_before_is_never_booked(changes, volume):
    found = read([row(**changes), row("SPXW260828P06400000")])
    booked = found.raw.floats["volume_contracts"].tolist()
    assert booked[1] == 12.0
    assert np.isnan(booked[0]) if volume is None else booked[0] == volume
    is_carried = volume is None or volume == 0.0
    assert codes(found) == (["volume_carried_over"] if is_carried else [])
    if is_carried:
        assert found.raw.notes[0][1].startswith("1 of 2 contracts")


def test_before_the_open_the_volume_is_that_of_the_session_shown():
    at = datetime(2026, 8, 28, 12, 0, tzinfo=UTC)
    shown = row(at=datetime(2026, 8, 27, 20, 14, 59, tzinfo=UTC), day=YESTERDAY_BAR)
    found = read([shown], at=at)
    assert found.clock.session == date(2026, 8, 27)
    assert found.raw.quoted_at == datetime(2026, 8, 27, 20, 15, tzinfo=UTC)
    assert found.raw.floats["volume_contracts"].tolist() == [4433.0]


# --- the clock -----------------------------------------------------------------------------------


def test_a_chain_is_of_its_newest_quotes_minute():
    found = read([row(at=NOON - timedelta(seconds=s)) for s in (3600, 2, 70)])
    assert found.clock.newest == NOON - timedelta(seconds=2)
    assert found.raw.quoted_at == datetime(2026, 8, 28, 16, 0, tzinfo=UTC)
    assert codes(found) == []


def test_asked_twice_within_a_minute_it_is_the_same_instant():
    first = read([row(at=NOON)], at=NOON)
    second = read([row(at=NOON + timedelta(seconds=29))], at=NOON + timedelta(seconds=29))
    assert first.raw.quoted_at == second.raw.quoted_at


@pytest.mark.parametrize("hours", [4.3, 9, 60])
def test_after_the_end_of_quoting_it_is_of_that_end(hours):
    last = row(at=datetime(2026, 8, 28, 20, 14, 58, tzinfo=UTC))
    found = read([last], at=NOON + timedelta(hours=hours))
    assert found.raw.quoted_at == datetime(2026, 8, 28, 20, 15, tzinfo=UTC)
    assert found.raw.downloaded_at == NOON + timedelta(hours=hours)


def test_a_delayed_plan_shows_the_market_of_a_quarter_of_an_hour_ago():
    then = NOON - timedelta(minutes=15, seconds=1)
    shown = row(at=then, last_quote__timeframe="DELAYED")
    found = read([shown], delay=timedelta(minutes=15))
    assert found.raw.quoted_at == datetime(2026, 8, 28, 15, 45, tzinfo=UTC)
    assert found.raw.downloaded_at == NOON
    assert found.raw.delay == timedelta(minutes=15)
    assert codes(found) == []


def test_a_plan_downgraded_in_silence_is_found_and_dated_back():
    rows = [row(last_quote__timeframe="DELAYED"), row("SPXW260828P06400000")]
    found = read(rows)
    assert codes(found) == ["plan_downgraded"]
    assert "1 of 2 quotes" in found.raw.notes[0][1]
    assert found.raw.quoted_at == datetime(2026, 8, 28, 15, 45, tzinfo=UTC)
    assert found.raw.downloaded_at == NOON


def test_a_single_clock_ahead_is_not_believed_and_many_mean_that_ours_is_slow():
    ahead = row("SPXW260828P06400000", at=NOON + timedelta(hours=1))
    few = read([row()] * 199 + [ahead])
    assert codes(few) == ["quote_clock_ahead"]
    assert few.clock.newest == NOON - timedelta(seconds=2)
    many = read([row(), ahead])
    assert codes(many) == ["clock_skew"]
    assert many.clock.newest == NOON + timedelta(hours=1)


def test_clocks_in_another_unit_are_no_clocks():
    found = read([row(last_quote__last_updated=1787932800000), row("SPXW260828P06400000")])
    assert found.clock.newest == NOON - timedelta(seconds=2)


def test_without_quotes_trades_date_the_chain():
    found = read([row(last_quote=None)])
    assert codes(found) == ["quotes_missing"]
    assert found.clock.newest == NOON - timedelta(seconds=2)
    bare = read([row(last_quote=None, last_trade=None, underlying_asset={"ticker": "I:SPX"})])
    assert codes(bare) == ["quotes_missing", "clock_missing"]
    assert bare.clock.newest == NOON


@pytest.mark.parametrize(
    ("ages_minutes", "is_found"),
    [((0, 3), False), ((6, 30), True), ((0, 180, 180), True), ((0, 0, 180), False)],
)
def test_quotes_that_stand_still_are_found(ages_minutes, is_found):
    rows = [row(at=NOON - timedelta(minutes=age)) for age in ages_minutes]
    assert ("frozen_quotes" in codes(read(rows))) is is_found


def test_at_the_close_no_quote_is_expected_to_move():
    shown = row(at=datetime(2026, 8, 28, 19, 59, 30, tzinfo=UTC))
    assert codes(read([shown], at=datetime(2026, 8, 28, 20, 14, tzinfo=UTC))) == []


# --- spot ----------------------------------------------------------------------------------------


def test_the_newest_price_beside_the_rows_is_taken():
    rows = [
        row(underlying_asset={"value": 6400.0, "last_updated": ns(NOON - timedelta(seconds=9))}),
        row(underlying_asset={"value": 6401.0, "last_updated": ns(NOON - timedelta(seconds=1))}),
        row(underlying_asset={"ticker": "I:SPX"}),
    ]
    found = read(rows).spot
    assert (found.value, found.source, found.is_delayed) == (6401.0, "index", False)
    shares = row(underlying_asset={"price": 640.0, "last_updated": ns(NOON)})
    assert read([shares]).spot.source == "last_trade"
    assert read([rows[2]]).spot is None


def test_a_delayed_price_is_as_old_as_its_delay_whatever_its_clock_says():
    found = read([row(underlying_asset__timeframe="DELAYED")]).spot
    assert found.at == NOON - timedelta(minutes=15)


# --- reference, unified, status ------------------------------------------------------------------


def polygon(url: str, **options) -> PolygonProvider:
    options = {"patience": Patience(attempts=1), "clock": lambda: NOON} | options
    return PolygonProvider(SecretStr(KEY), base_url=url, **options)


def recorded_listing(shared_data) -> list[dict]:
    path = shared_data / "massive/polygon_reference_contracts_SPY_2025-08-30.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def test_recorded_reference_becomes_exactly_its_contracts(shared_data):
    rows = recorded_listing(shared_data)
    words = "/v3/reference/options/contracts? underlying_ticker=SPY& gte=2025-09-02 limit=1000"
    with serving(route({words: page(*rows)}, page())) as stub:
        provider = polygon(stub.url)
        found = provider.listing(SPY, session_date=date(2025, 9, 2))
        provider.close()
    assert found.rows.schema == tables.LISTED_CONTRACTS.schema
    assert found.rows.num_rows == len(rows) == 8096
    assert set(found.rows["symbol"].to_pylist()) == {r["ticker"][2:] for r in rows}
    assert found.rejected.num_rows == 0
    assert found.is_complete
    top = found.rows.slice(0, 1).to_pylist()[0]
    opened = datetime(2025, 9, 2, 13, 30, tzinfo=UTC)
    assert top == {
        "underlying": "SPY",
        "session_date": date(2025, 9, 2),
        "event_at": opened,
        "known_at": opened,
        "provider": "polygon",
        "source_name": "polygon listing SPY 2025-09-02",
        "symbol": "SPY250902C00400000",
        "root": "SPY",
        "expiry_date": date(2025, 9, 2),
        "expires_at": datetime(2025, 9, 2, 20, 0, tzinfo=UTC),
        "strike": 400.0,
        "right": "call",
        "exercise": "american",
        "settlement": "pm",
        "multiplier": 100.0,
        "listed_at": None,
    }


def test_contracts_that_are_not_ours_are_quarantined_and_asked_for_twice_count_once():
    good = {
        "ticker": "O:SPY250919C00640000",
        "expiration_date": "2025-09-19",
        "exercise_style": "american",
        "shares_per_contract": 100,
    }
    odd = [
        good | {"ticker": "O:SPY1250919C00640000", "shares_per_contract": 150},
        good | {"ticker": "O:SPY250919P00640000", "shares_per_contract": 10},
        good | {"ticker": "O:SPY250919P00650000", "exercise_style": "bermudan"},
        good | {"ticker": "O:SPY250919P000650000"},
        good | {"ticker": "O:SPXW250919P06500000"},
    ]
    bodies = {"/v3/reference/options/contracts? gte=2025-09-10": page(good, *odd)}
    with serving(route(bodies, page())) as stub:
        provider = polygon(stub.url)
        found = provider.listing(SPY, session_date=date(2025, 9, 2))
        asked = [r for r in stub.requests if b"gte=2025-09-10" in r]
        provider.close()
    assert found.rows["symbol"].to_pylist() == ["SPY250919C00640000"]
    assert sorted(found.rejected["reason"].unique().to_pylist()) == [
        "adjusted_root",
        "bad_exercise",
        "bad_symbol",
        "unknown_root",
    ]
    assert len(asked) == 2
    assert sum(b"expired=true" in r for r in asked) == 1
    assert all(b"as_of=2025-09-02" in r for r in asked)


def test_a_listing_of_nothing_is_no_data():
    with serving(route({}, page())) as stub:
        provider = polygon(stub.url)
        with pytest.raises(NoDataError, match="lists no contract of SPX"):
            provider.listing(SPX, session_date=DAY)
        with pytest.raises(NoDataError, match="has not begun"):
            provider.listing(SPX, session_date=date(2026, 8, 31))
        with pytest.raises(BadInputError, match="no session"):
            provider.listing(SPX, session_date=date(2026, 8, 29))
        provider.close()


def test_recorded_unified_snapshot_tells_rows_from_refusals(shared_samples):
    body = (shared_samples / "polygon/v3_snapshot_unified.json").read_bytes()
    with serving(route({"/v3/snapshot?": body})) as stub:
        provider = polygon(stub.url)
        found = provider.chosen(["NCLH221014C00005000", "O:NCLH221014C00005500"])
        provider.close()
    assert b"limit=250" in stub.requests[0]
    assert b"ticker.any_of=O%3ANCLH221014C00005000%2CO%3ANCLH221014C00005500" in stub.requests[0]
    assert found.rows["symbol"].to_pylist() == ["NCLH221014C00005000", "AAPL"]
    assert found.rows.slice(0, 1).to_pylist()[0] == {
        "symbol": "NCLH221014C00005000",
        "bid": 20.9,
        "ask": 21.25,
        "bid_size_contracts": 172.0,
        "ask_size_contracts": 110.0,
        "last_price": 0.05,
        "open_interest_contracts": 8921.0,
        "vendor_implied_vol": 0.3048997097864957,
        "vendor_delta": 0.5520187372272933,
        "vendor_gamma": 0.00706756515659829,
        "volume_contracts": 67.0,
        "spot": 147.951,
        "quoted_at": datetime(2021, 11, 10, 19, 44, 18, 756383, tzinfo=UTC),
        "last_trade_at": datetime(2023, 2, 1, 19, 49, 18, 783136, tzinfo=UTC),
        "spot_at": datetime(2021, 11, 10, 19, 44, 19, 862384, tzinfo=UTC),
    }
    assert found.not_found == ("TSLAAPL",)
    assert found.unanswered == ("NCLH221014C00005500",)


def test_recorded_index_rows_name_who_is_refused(shared_samples):
    name = "v3_snapshot_indices_NOT_FOUND_NOT_ENTITLED.json"
    body = (shared_samples / "polygon" / name).read_bytes()
    with asking(route({"/v3/snapshot/indices": body})) as (client, _):
        assert ask_index_value(client, "SPX").value == 3822.39
        with pytest.raises(NotEntitledError, match="Not entitled to this ticker"):
            ask_index_value(client, "APy")
        with pytest.raises(NoDataError, match="Ticker not found"):
            ask_index_value(client, "APx")
        with pytest.raises(NoDataError, match="no value"):
            ask_index_value(client, "I:NDX")


def test_recorded_previous_close(shared_samples):
    body = (shared_samples / "polygon/v2_aggs_AAPL_prev.json").read_bytes()
    empty = b'{"ticker":"I:SPX","resultsCount":0,"status":"OK"}'
    with asking(route({"/v2/aggs/ticker/AAPL": body, "/v2/aggs/ticker/I": empty})) as (client, _):
        found = ask_previous_close(client, "AAPL")
        with pytest.raises(NoDataError, match="empty"):
            ask_previous_close(client, "I:SPX")
    assert (found.value, found.source) == (156.8, "previous_close")


def test_recorded_market_status(shared_samples):
    body = (shared_samples / "polygon/v1_marketstatus_now.json").read_bytes()
    assert read_status(body) == MarketStatus(
        "extended-hours", datetime(2022, 4, 28, 20, 48, 8, tzinfo=UTC)
    )
    for bad in (b"", b"[]", b"{}", b'{"serverTime":"2022-04-28T16:48:08"}', b'{"serverTime":5}'):
        with pytest.raises(GarbledAnswerError):
            read_status(bad)


def test_recorded_holidays_agree_with_our_calendar(shared_samples):
    found = read_holidays((shared_samples / "polygon/v1_marketstatus_upcoming.json").read_bytes())
    assert len(found) == 14
    assert found[0] == Holiday("NYSE", date(2022, 5, 30), True, "Memorial Day")
    assert found[10] == Holiday("NYSE", date(2022, 11, 25), False, "Thanksgiving")
    assert calendar_findings(found) == []
    for bad in (b"", b"{}", b"[1]", b'[{"exchange":"NYSE","date":"soon","status":"closed"}]'):
        with pytest.raises(GarbledAnswerError):
            read_holidays(bad)


def test_a_holiday_that_one_side_does_not_know_is_found(shared_samples):
    body = (shared_samples / "polygon/v1_marketstatus_upcoming.json").read_bytes()
    found = [h for h in read_holidays(body) if h.day != date(2022, 9, 5)]
    mourning = Holiday("NYSE", date(2022, 10, 3), True, "Mourning")
    texts = [finding.text for finding in calendar_findings([*found, mourning])]
    assert [text[:10] for text in texts] == ["2022-09-05", "2022-10-03"]
    assert "our calendar says closed, the vendor open" in texts[0]
    assert "our calendar says open, the vendor closed" in texts[1]


# --- trades, quotes, bars ------------------------------------------------------------------------

CONTRACT = "SPXW260828C07735000"
AFTER = datetime(2026, 8, 29, 12, 0, tzinfo=UTC)


def history(bodies, *, asset=SPX, delay=timedelta(0), now=AFTER, **options):
    """A provider's method call on a stub; returns what `call(provider)` does and the requests."""

    def run(call):
        with serving(route(bodies)) as stub:
            provider = polygon(stub.url, clock=lambda: now, delay=delay, **options)
            try:
                return call(provider), stub.requests
            finally:
                provider.close()

    return run


def test_recorded_trades_become_exactly_these_rows(shared_data):
    path = shared_data / "massive/flatfiles/options_trades_example.csv.gz"
    cells = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    symbol, day = "SPY230327P00390000", date(2023, 3, 13)
    rows = [
        {
            "conditions": [int(c["conditions"])],
            "exchange": int(c["exchange"]),
            "participant_timestamp": int(c["participant_timestamp"]),
            "price": float(c["price"]),
            "sip_timestamp": int(c["sip_timestamp"]),
            "size": int(c["size"]),
        }
        for c in cells
        if c["ticker"] == f"O:{symbol}"
    ]
    bodies = {f"/v3/trades/O:{symbol}": page(*rows, rows[0] | {"conditions": None})}
    found, requests = history(bodies, delay=timedelta(minutes=15))(
        lambda p: p.trades(SPY, session_date=day, symbols=[f"O:{symbol}", symbol])
    )
    assert len(requests) == 1
    target = requests[0].split(b" ")[1].decode()
    first, end = (ns(datetime(2023, 3, d, h, 15, tzinfo=UTC)) for d, h in ((10, 22), (13, 21)))
    assert f"timestamp.gte={first}&" in target
    assert f"timestamp.lt={end}&" in target
    assert "order=asc" in target
    assert "limit=50000" in target
    assert found.rows.num_rows == len(rows) + 1
    assert found.is_complete
    assert found.findings == ()
    two = found.rows.slice(0, 2).to_pylist()
    at = datetime(2023, 3, 13, 13, 53, 40, 948000, tzinfo=UTC)
    assert two[0] == {
        "underlying": "SPY",
        "session_date": day,
        "event_at": at,
        "known_at": at + timedelta(minutes=15),
        "provider": "polygon",
        "source_name": "polygon trades SPY 2023-03-13 of 1",
        "symbol": symbol,
        "root": "SPY",
        "expiry_date": date(2023, 3, 27),
        "expires_at": datetime(2023, 3, 27, 20, 0, tzinfo=UTC),
        "strike": 390.0,
        "right": "put",
        "ordinal": 0,
        "price": 11.82,
        "price_currency": "USD",
        "size_contracts": 1.0,
        "conditions": "232",
        "exchange": "312",
        "correction": None,
        "sequence": None,
        "trade_id": None,
        "taker_side": None,
        "sign_rule": "unsigned",
        "venue_implied_vol": None,
        "underlying_price": None,
        "block_id": None,
        "combo_id": None,
        "is_liquidation": None,
    }
    assert (two[1]["event_at"], two[1]["ordinal"], two[1]["conditions"]) == (at, 1, "")


def trade(seconds: float, **changes) -> dict:
    at = datetime(2026, 8, 28, 14, 0, tzinfo=UTC) + timedelta(seconds=seconds)
    return {"sip_timestamp": ns(at), "price": 5.0, "size": 2, "exchange": 302} | changes


def test_equal_prints_are_separate_trades_and_bad_ones_are_quarantined():
    rows = [
        trade(0),
        trade(0),
        trade(0, conditions=[209, 232], correction=1),
        trade(1),
        trade(2, size=-1),
        trade(3, price=None),
        trade(4, sip_timestamp=1787932800000),
        trade(-86400),
        trade(6, price="five"),
        trade(7, price=-0.35, sequence_number=9, id="a1"),
    ]
    found, _ = history({"/v3/trades": page(*rows)})(
        lambda p: p.trades(SPX, session_date=DAY, symbols=[CONTRACT])
    )
    assert found.rows["ordinal"].to_pylist() == [0, 1, 2, 0, 0]
    assert found.rows["conditions"].to_pylist() == ["", "", "209,232", "", ""]
    assert found.rows["correction"].to_pylist() == [None, None, 1, None, None]
    last = found.rows.slice(4, 1).to_pylist()[0]
    assert (last["price"], last["sequence"], last["trade_id"]) == (-0.35, 9, "a1")
    rejected = dict(
        zip(
            found.rejected["row_number"].to_pylist(),
            found.rejected["reason"].to_pylist(),
            strict=True,
        )
    )
    assert rejected == {
        5: "negative_value",
        6: "not_a_number",
        7: "bad_clock",
        8: "other_session",
        9: "not_a_number",
    }
    assert [finding.code for finding in found.findings] == ["rows_rejected"]
    assert not found.is_complete  # more than one in a hundred


def test_rows_are_the_same_in_whatever_order_contracts_are_asked_for():
    other = "SPXW260828P07735000"
    bodies = {
        f"/v3/trades/O:{CONTRACT}": page(trade(5), trade(1)),
        f"/v3/trades/O:{other}": page(trade(1), trade(1)),
    }
    one, _ = history(bodies)(lambda p: p.trades(SPX, session_date=DAY, symbols=[CONTRACT, other]))
    two, _ = history(bodies)(lambda p: p.trades(SPX, session_date=DAY, symbols=[other, CONTRACT]))
    assert one.rows.equals(two.rows)
    assert one.source_sha256 == two.source_sha256
    assert one.rows["ordinal"].to_pylist() == [0, 0, 1, 0]


def test_quotes_are_kept_as_printed_with_missing_sides_at_zero():
    at = ns(datetime(2026, 8, 28, 14, 0, tzinfo=UTC))
    quote = {
        "ask_exchange": 302,
        "ask_price": 5.1,
        "ask_size": 7,
        "bid_exchange": 309,
        "bid_price": 5.0,
        "bid_size": 3,
        "sequence_number": 11,
        "sip_timestamp": at + 1_234,
    }
    empty = quote | {"bid_price": 0, "bid_exchange": 0, "bid_size": 0, "sip_timestamp": at + 5_000}
    crossed = quote | {"bid_price": 5.2, "sip_timestamp": at + 9_000}
    negative = quote | {"bid_size": -3}
    absent = {k: v for k, v in empty.items() if not k.startswith("bid")}
    found, requests = history({"/v3/quotes": page(quote, empty, crossed, absent, negative)})(
        lambda p: p.quotes(SPX, session_date=DAY, symbols=[CONTRACT])
    )
    assert b"order=asc" in requests[0]
    picked = ["bid", "ask", "bid_size_contracts", "ask_size_contracts", "bid_exchange"]
    picked += ["ask_exchange", "sequence", "ordinal"]
    assert [list(r.values()) for r in found.rows.select(picked).to_pylist()] == [
        [5.0, 5.1, 3.0, 7.0, "309", "302", 11, 0],
        [0.0, 5.1, 0.0, 7.0, "", "302", 11, 0],
        [0.0, 5.1, None, 7.0, "", "302", 11, 1],
        [5.2, 5.1, 3.0, 7.0, "309", "302", 11, 0],
    ]
    assert found.rows["event_at"][0].as_py() == datetime(2026, 8, 28, 14, 0, 0, 1, tzinfo=UTC)
    assert found.rejected["reason"].to_pylist() == ["negative_value"]


def test_recorded_day_bar_becomes_exactly_this_row(shared_samples):
    recorded = shared_samples / "polygon/recorded/rest_recorded_bodies.json"
    body = json.dumps(json.loads(recorded.read_text())[0]["body"]).encode()
    path = f"/v2/aggs/ticker/O:{CONTRACT}/range/1/day/2026-08-28/2026-08-28?adjusted=false"
    found, requests = history({path: body}, delay=timedelta(minutes=15))(
        lambda p: p.bars(SPX, session_date=DAY, symbols=[CONTRACT], interval="day")
    )
    assert len(requests) == 1
    (bar,) = found.rows.to_pylist()
    assert bar == {
        "underlying": "SPX",
        "session_date": DAY,
        "event_at": datetime(2026, 8, 28, 4, 0, tzinfo=UTC),
        "known_at": datetime(2026, 8, 28, 20, 30, tzinfo=UTC),
        "provider": "polygon",
        "source_name": "polygon day bars SPX 2026-08-28 of 1",
        "symbol": CONTRACT,
        "root": "SPXW",
        "expiry_date": DAY,
        "expires_at": datetime(2026, 8, 28, 20, 0, tzinfo=UTC),
        "strike": 7735.0,
        "right": "call",
        "interval": "day",
        "open": 18.3,
        "high": 38.2,
        "low": 0.01,
        "close": 0.03,
        "volume_contracts": 76997.0,
        "trades": 32184,
    }


def test_recorded_minute_bars_keep_every_cell(shared_data):
    path = shared_data / "massive/polygon_intraday_SPY_options_2025-08-29.tar.gz"
    symbol = "SPY250902C00625000"
    with tarfile.open(path) as archive:
        member = archive.extractfile(f"O_{symbol}_1min_20250829.csv")
        cells = list(csv.DictReader(io.TextIOWrapper(member)))
    starts = [datetime.fromisoformat(c["timestamp"] + "-04:00").astimezone(UTC) for c in cells]
    rows = [
        {
            "o": float(c["open"]),
            "h": float(c["high"]),
            "l": float(c["low"]),
            "c": float(c["close"]),
            "v": int(c["volume"]),
            "vw": float(c["vwap"]),
            "n": int(c["transactions"]),
            "t": int(start.timestamp()) * 1000,
        }
        for c, start in zip(cells, starts, strict=True)
    ]
    body = page(*rows, ticker=f"O:{symbol}", resultsCount=len(rows))
    day = date(2025, 8, 29)
    found, requests = history({f"/v2/aggs/ticker/O:{symbol}/range/1/minute/": body})(
        lambda p: p.bars(SPY, session_date=day, symbols=[symbol])
    )
    first, end = (int(datetime(2025, 8, d, 21, 15, tzinfo=UTC).timestamp()) for d in (28, 29))
    assert f"/range/1/minute/{first * 1000}/{end * 1000 - 1}?".encode() in requests[0]
    assert found.rows["event_at"].to_pylist() == starts
    assert found.rows["known_at"].to_pylist() == [start + timedelta(minutes=1) for start in starts]
    assert found.rows["volume_contracts"].to_pylist() == [float(c["volume"]) for c in cells]
    assert found.rows["trades"].to_pylist() == [int(c["transactions"]) for c in cells]
    for ours, theirs in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c")):
        assert found.rows[ours].to_pylist() == [r[theirs] for r in rows]


def test_a_contract_that_did_not_trade_has_no_bars_and_is_no_failure():
    body = b'{"ticker":"O:X","queryCount":0,"resultsCount":0,"adjusted":false,"status":"DELAYED"}'
    found, _ = history({"/v2/aggs": body})(
        lambda p: p.bars(SPX, session_date=DAY, symbols=[CONTRACT])
    )
    assert found.rows.num_rows == 0
    assert found.rows.schema == tables.OPTION_BARS.schema
    assert found.is_complete


def test_a_bar_that_comes_twice_or_upside_down_is_rejected():
    start = datetime(2026, 8, 28, 14, 0, tzinfo=UTC)
    bar = {"o": 2, "h": 3, "l": 1, "c": 2, "v": 5, "n": 2, "t": int(start.timestamp()) * 1000}
    later = bar | {"h": 0.5, "t": bar["t"] + 60_000}
    found, _ = history({"/v2/aggs": page(bar, bar, later)})(
        lambda p: p.bars(SPX, session_date=DAY, symbols=[CONTRACT])
    )
    assert found.rows.num_rows == 1
    assert found.rejected["reason"].to_pylist() == ["duplicate_row", "high_below_low"]


def test_index_bars_become_values_at_their_end_and_the_closes():
    def bar(instant: datetime, value: float) -> dict:
        return {"o": 1, "h": 1, "l": 1, "c": value, "t": int(instant.timestamp()) * 1000}

    minutes = page(
        bar(datetime(2026, 8, 28, 13, 30, tzinfo=UTC), 6400.1),
        bar(datetime(2026, 8, 28, 19, 59, tzinfo=UTC), 6410.2),
        bar(datetime(2026, 8, 28, 20, 0, tzinfo=UTC), -1.0),
        resultsCount=3,
    )
    days = page(
        bar(datetime(2026, 8, 27, 4, 0, tzinfo=UTC), 6390.5),
        bar(datetime(2026, 8, 28, 4, 0, tzinfo=UTC), 6410.3),
        resultsCount=2,
    )
    bodies = {
        "/v2/aggs/ticker/I:SPX/range/1/minute/": minutes,
        "/v2/aggs/ticker/I:SPX/range/1/day/2026-08-27/2026-08-28": days,
    }
    found, _ = history(bodies, delay=timedelta(minutes=15))(
        lambda p: p.index_values(SPX, session_date=DAY)
    )
    rows = found.rows.select(["kind", "event_at", "known_at", "value"]).to_pylist()
    close = datetime(2026, 8, 28, 20, 0, tzinfo=UTC)
    late = timedelta(minutes=15)
    assert [tuple(r.values()) for r in rows] == [
        ("close", close, close + late, 6410.3),
        ("previous_close", close - timedelta(days=1), close - timedelta(days=1) + late, 6390.5),
        (
            "spot",
            datetime(2026, 8, 28, 13, 31, tzinfo=UTC),
            datetime(2026, 8, 28, 13, 46, tzinfo=UTC),
            6400.1,
        ),
        ("spot", close, close + late, 6410.2),
    ]
    assert found.rejected["reason"].to_pylist() == ["negative_value"]
    running, _ = history(bodies, now=NOON)(lambda p: p.index_values(SPX, session_date=DAY))
    assert running.rows["kind"].to_pylist() == ["previous_close", "spot", "spot"]
    assert not running.is_complete


@pytest.mark.parametrize(
    ("kind", "day", "first"),
    [
        ("trades", date(2014, 5, 30), "2014-06-02"),
        ("quotes", date(2022, 3, 4), "2022-03-07"),
        ("bars", date(2014, 5, 30), "2014-06-02"),
        ("index_values", date(2023, 2, 13), "2023-02-14"),
        ("trades", date(2026, 9, 1), "has not begun"),
    ],
)
def test_days_before_the_vendors_history_are_no_data(kind, day, first):
    wanted = {} if kind == "index_values" else {"symbols": [CONTRACT]}
    with pytest.raises(NoDataError, match=first):
        history({})(lambda p: getattr(p, kind)(SPX, session_date=day, **wanted))


@pytest.mark.parametrize("symbols", [[], ["SPY260828C00640000"], ["nonsense", CONTRACT]])
def test_symbols_of_another_underlying_are_refused(symbols):
    with pytest.raises(BadInputError):
        history({})(lambda p: p.trades(SPX, session_date=DAY, symbols=symbols))

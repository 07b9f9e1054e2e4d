"""The embedded market: pure, arbitrage-free, and shaped like the chains it stands in for."""

import hashlib
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.instruments import Contract, parse_deribit, parse_osi
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import REGISTRY, underlying

SPX, SPY, BTC = underlying("SPX"), underlying("SPY"), underlying("BTC")
PROVIDER = SimulatorProvider()
MIDDAY = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
SYMBOLS = [u.symbol for u in REGISTRY]


def utc(day, hour, minute=0):
    return datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=UTC)


def rows_at(asset, at):
    return PROVIDER.snapshot(asset, at=at).rows


def column(rows, name):
    array = rows[name].combine_chunks()
    if pa.types.is_floating(array.type):
        return np.array(pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False))
    return np.array(array.to_numpy(zero_copy_only=False))


def digest(rows):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


# --- determinism --------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", [SPX, BTC], ids=["SPX", "BTC"])
def test_two_providers_give_equal_tables_whatever_was_asked_before(asset):
    expected = rows_at(asset, MIDDAY)
    other = SimulatorProvider(seed=7)
    other.snapshot(asset, at=MIDDAY - timedelta(days=100))
    assert other.snapshot(asset, at=MIDDAY).rows.equals(expected)


def test_fresh_process_gives_the_same_bytes():
    program = (
        "from datetime import datetime, UTC; import hashlib, pyarrow as pa;"
        "from dealer_assets.providers.simulator.provider import SimulatorProvider;"
        "from dealer_assets.underlyings import underlying;"
        "t = SimulatorProvider().snapshot(underlying('SPX'), "
        "at=datetime(2026,11,18,17,tzinfo=UTC));"
        "s = pa.BufferOutputStream(); w = pa.ipc.new_stream(s, t.rows.schema);"
        "w.write_table(t.rows.combine_chunks()); w.close();"
        "print(hashlib.sha256(s.getvalue()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest(rows_at(SPX, MIDDAY))


def test_seeds_are_different_markets():
    other = SimulatorProvider(seed=8).snapshot(SPX, at=MIDDAY)
    assert other.rows["spot"][0] != rows_at(SPX, MIDDAY)["spot"][0]
    assert other.source_sha256 != PROVIDER.snapshot(SPX, at=MIDDAY).source_sha256


def test_instant_is_floored_to_its_minute_and_known_a_second_later():
    snapshot = PROVIDER.snapshot(SPX, at=MIDDAY + timedelta(seconds=59, microseconds=7))
    assert snapshot.event_at == MIDDAY
    assert snapshot.known_at == MIDDAY + timedelta(seconds=1)
    assert snapshot.rows.equals(rows_at(SPX, MIDDAY))


def test_source_is_named_and_hashed_by_what_determines_it():
    snapshot = PROVIDER.snapshot(SPX, at=utc("2026-11-20", 21, 15))
    assert snapshot.source_name == "simulator SPX 2026-11-20T21:15Z seed=7"
    assert snapshot.source_sha256 == hashlib.sha256(snapshot.source_name.encode()).hexdigest()
    assert not snapshot.is_partial
    assert snapshot.findings == ()
    assert snapshot.rejected.num_rows == 0
    dense = SimulatorProvider(density=0.7).snapshot(SPX, at=utc("2026-11-20", 21, 15))
    assert dense.source_name == f"{snapshot.source_name} density=0.7"


# --- rows ---------------------------------------------------------------------------------------


def assert_rows_conform(rows):
    assert rows.schema == tables.CHAIN_SNAPSHOTS.schema
    assert rows.num_rows > 0
    for entry in tables.CHAIN_SNAPSHOTS.columns:
        values = rows[entry.name]
        assert entry.nullable or values.null_count == 0, entry.name
        if entry.allowed:
            assert set(pc.unique(values).to_pylist()) <= set(entry.allowed)
        if pa.types.is_floating(entry.type):
            assert not pc.any(pc.is_nan(values)).as_py(), entry.name
        if entry.lower is not None and values.null_count < rows.num_rows:
            assert pc.min(values).as_py() >= entry.lower, entry.name
    order = [(name, "ascending") for name in tables.CHAIN_SNAPSHOTS.key]
    positions = pc.sort_indices(rows, sort_keys=order).to_numpy()
    assert (positions == np.arange(rows.num_rows)).all()
    assert len(set(rows["symbol"].to_pylist())) == rows.num_rows


def assert_quotes_sane(rows):
    bid, ask = column(rows, "bid"), column(rows, "ask")
    quoted = ~np.isnan(bid)
    assert (np.isnan(ask) == ~quoted).all()
    assert (bid[quoted] < ask[quoted]).all()
    assert (column(rows, "bid_size_contracts")[quoted & (bid == 0.0)] == 0.0).all()
    traded_at = rows["last_trade_at"]
    volume = column(rows, "volume_contracts")
    assert (np.array(traded_at.is_null().to_numpy()) == (volume == 0.0)).all()
    assert (np.isnan(column(rows, "last_price")) == (volume == 0.0)).all()
    if volume.any():
        assert pc.max(traded_at).as_py() <= rows["event_at"][0].as_py()
        assert pc.min(traded_at).as_py() >= sessions.session_open(
            underlying(rows["underlying"][0].as_py()).calendar, rows["session_date"][0].as_py()
        )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    symbol=st.sampled_from(["SPX", "SPY", "BTC", "AAPL"]),
    day=st.dates(date(2015, 1, 5), date(2035, 12, 28)),
    share=st.floats(0.0, 1.0),
)
def test_any_minute_of_any_session_gives_conforming_rows(symbol, day, share):
    asset = underlying(symbol)
    day = sessions.session_on_or_before(asset.calendar, day)
    opened = sessions.session_open(asset.calendar, day)
    at = opened + share * (sessions.quotes_end(asset.calendar, day) - opened)
    snapshot = PROVIDER.snapshot(asset, at=at)
    assert snapshot.session_date == day
    assert_rows_conform(snapshot.rows)
    assert_quotes_sane(snapshot.rows)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_registry_entry_has_a_whole_chain(symbol):
    asset = underlying(symbol)
    rows = rows_at(asset, MIDDAY)
    assert_rows_conform(rows)
    assert_quotes_sane(rows)
    assert coverage_of(asset, rows).reasons == ()
    assert set(pc.unique(rows["root"]).to_pylist()) == {root.symbol for root in asset.roots}
    two_sided = (column(rows, "bid") > 0.0).mean()
    assert two_sided > 0.7


def test_chain_sizes_are_as_declared():
    assert 8_000 <= rows_at(SPX, MIDDAY).num_rows <= 12_000
    assert 3_000 <= rows_at(SPY, MIDDAY).num_rows <= 5_000
    assert 850 <= rows_at(BTC, MIDDAY).num_rows <= 1_300
    dense = SimulatorProvider(density=1.0).snapshot(SPX, at=MIDDAY).rows
    assert 16_000 <= dense.num_rows <= 22_000
    assert set(rows_at(SPX, MIDDAY)["symbol"].to_pylist()) <= set(dense["symbol"].to_pylist())


def test_symbols_are_canonical():
    for rows, parse, written in (
        (rows_at(SPX, MIDDAY), parse_osi, "osi"),
        (rows_at(BTC, MIDDAY), parse_deribit, "deribit"),
    ):
        for row in rows.slice(0, 400).to_pylist():
            contract = Contract(row["root"], row["expiry_date"], row["right"], row["strike"])
            assert getattr(contract, written) == row["symbol"]
            assert parse(row["symbol"]) == contract


@pytest.mark.parametrize("density", [0.0, -1.0, 3.0, float("nan")])
def test_density_out_of_range_is_refused(density):
    with pytest.raises(BadInputError, match="density"):
        SimulatorProvider(density=density)


# --- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (utc("2026-11-26", 16), "2026-11-27 14:30 to 18:15 UTC"),  # Thanksgiving
        (utc("2026-11-18", 14, 29), "2026-11-18 14:30 to 21:15 UTC"),
        (utc("2026-11-18", 21, 16), "2026-11-18 14:30 to 21:15 UTC"),
        (utc("2026-11-21", 16), "2026-11-23 14:30"),  # Saturday
        (utc("2026-11-27", 18, 16), "2026-11-27 14:30 to 18:15"),  # early close
        (utc("2009-06-01", 16), "2012-01-01"),
        (utc("2036-06-02", 16), "2035-12-31"),
    ],
)
def test_closed_market_has_no_data_and_says_when_it_is_open(at, told):
    with pytest.raises(NoDataError, match=told):
        PROVIDER.snapshot(SPX, at=at)


def test_instant_without_time_zone_is_refused():
    with pytest.raises(BadInputError, match="time zone"):
        PROVIDER.snapshot(SPX, at=datetime(2026, 11, 18, 17))  # noqa: DTZ001


def test_open_follows_new_york_over_the_change_of_clocks():
    assert rows_at(SPX, utc("2026-10-30", 13, 30)).num_rows > 0
    with pytest.raises(NoDataError, match="14:30"):
        PROVIDER.snapshot(SPX, at=utc("2026-11-02", 13, 30))
    before, after = rows_at(SPX, utc("2026-10-30", 20, 15)), rows_at(SPX, utc("2026-11-02", 21, 15))
    assert before["session_date"][0].as_py() == date(2026, 10, 30)
    assert after["session_date"][0].as_py() == date(2026, 11, 2)
    # a series that spans the change still expires at 16:00 New York
    expiry = pc.equal(before["expiry_date"], pa.scalar(date(2026, 11, 6)))
    assert before.filter(expiry)["expires_at"][0].as_py() == utc("2026-11-06", 21)


def test_bitcoin_trades_on_sunday_and_flows_over_midnight():
    sunday = utc("2026-11-22", 12)
    snapshot = PROVIDER.snapshot(BTC, at=sunday)
    assert snapshot.session_date == date(2026, 11, 22)
    late = rows_at(BTC, utc("2026-11-22", 23, 59))["spot"][0].as_py()
    early = rows_at(BTC, utc("2026-11-23", 0))["spot"][0].as_py()
    assert early == pytest.approx(late, rel=0.004)


def test_snapshot_times_are_spread_and_end_with_the_close_snapshot():
    times = sessions.instants_of(SPX.calendar, date(2026, 11, 27), count=3)
    assert times == [utc("2026-11-27", 15, 45), utc("2026-11-27", 17), utc("2026-11-27", 18, 15)]
    assert sessions.instants_of(SPX.calendar, date(2026, 11, 18), count=1) == [
        utc("2026-11-18", 21, 15)
    ]
    assert sessions.instants_of(BTC.calendar, date(2026, 11, 22), count=2)[-1] == utc(
        "2026-11-22", 23, 59
    )
    everything = sessions.instants_of(SPX.calendar, date(2026, 11, 18), count=405)
    assert len(set(everything)) == 405
    for bad in (0, 406):
        with pytest.raises(BadInputError, match="1 to 405"):
            sessions.instants_of(SPX.calendar, date(2026, 11, 18), count=bad)
    with pytest.raises(BadInputError, match="no session"):
        sessions.instants_of(SPX.calendar, date(2026, 11, 26), count=1)


# --- listing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asset", "times"),
    [
        (SPX, [utc("2026-11-20", 14, 30), utc("2026-11-20", 18), utc("2026-11-20", 21, 15)]),
        (BTC, [utc("2026-11-20", 0), utc("2026-11-20", 8), utc("2026-11-20", 23, 59)]),
    ],
    ids=["SPX", "BTC"],
)
def test_listing_and_open_interest_stand_still_within_a_session(asset, times):
    first, *others = (rows_at(asset, at) for at in times)
    for other in others:
        assert other["symbol"].equals(first["symbol"])
        assert other["open_interest_contracts"].equals(first["open_interest_contracts"])


@pytest.mark.parametrize(
    ("symbol", "seed", "day"),
    [
        ("SPX", 7, date(2026, 11, 2)),
        ("SPY", 7, date(2026, 11, 2)),
        ("BTC", 7, date(2026, 11, 2)),
        ("TSLA", 1, date(2012, 2, 3)),  # a price so low that coarse bands are empty
    ],
)
def test_contracts_stay_listed_until_they_expire(symbol, seed, day):
    asset, provider = underlying(symbol), SimulatorProvider(seed=seed)
    for _ in range(8):
        following = sessions.next_session(asset.calendar, day)
        today, tomorrow = (
            provider.snapshot(asset, at=sessions.instants_of(asset.calendar, d, count=1)[0]).rows
            for d in (day, following)
        )
        expiry, root = column(today, "expiry_date"), column(today, "root")
        am = root == "SPX"
        survives = (expiry > np.datetime64(following)) | ((expiry == following) & ~am)
        kept = set(np.array(today["symbol"].to_pylist())[survives])
        assert kept <= set(tomorrow["symbol"].to_pylist())
        assert (column(tomorrow, "expiry_date") >= np.datetime64(following)).all()
        day = following


def test_third_friday_lists_pm_series_to_the_close_and_am_series_to_the_day_before():
    friday = pa.scalar(date(2026, 11, 20))

    def roots(at):
        rows = rows_at(SPX, at)
        return set(rows.filter(pc.equal(rows["expiry_date"], friday))["root"].to_pylist())

    assert roots(utc("2026-11-19", 21, 15)) == {"SPX", "SPXW"}
    assert roots(utc("2026-11-20", 14, 30)) == {"SPXW"}
    assert roots(utc("2026-11-20", 21, 15)) == {"SPXW"}
    assert roots(utc("2026-11-23", 14, 30)) == set()


def test_early_close_settles_its_pm_series_at_intrinsic_value():
    rows = rows_at(SPX, utc("2026-11-27", 18, 15))
    today = rows.filter(pc.equal(rows["expiry_date"], pa.scalar(date(2026, 11, 27))))
    assert set(today["expires_at"].to_pylist()) == {utc("2026-11-27", 18)}
    spot, strike = today["spot"][0].as_py(), column(today, "strike")
    sign = np.where(column(today, "right") == "call", 1.0, -1.0)
    worth = np.maximum(sign * (spot - strike), 0.0)
    bid, ask = column(today, "bid"), column(today, "ask")
    quoted = ~np.isnan(bid)
    brackets = (bid <= worth + 1e-6) & (ask >= worth - 1e-6)
    assert brackets[quoted].mean() > 0.97  # the rest shows the quote of half an hour earlier
    assert today["vendor_implied_vol"].null_count == today.num_rows
    at_close = rows_at(SPX, utc("2026-11-27", 18, 0))
    assert at_close["spot"][0].as_py() == spot


def test_bitcoin_series_stand_still_after_eight_but_stay_to_the_end_of_their_day():
    at_eight, later = rows_at(BTC, utc("2026-11-20", 8)), rows_at(BTC, utc("2026-11-20", 20))
    today = pc.equal(at_eight["expiry_date"], pa.scalar(date(2026, 11, 20)))
    still = ("bid", "ask", "volume_contracts", "last_price", "venue_forward")
    assert at_eight.filter(today).num_rows > 0
    assert later.filter(today).select(still).equals(at_eight.filter(today).select(still))
    alive = pc.invert(today)
    assert not later.filter(alive).select(still).equals(at_eight.filter(alive).select(still))

"""A session's polls in the lake: which are due, what they are read from, what never changes."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.derived.featuring import refresh_features, session_polls
from dealer_assets.domain.anomaly.universe import universe_of
from dealer_assets.domain.history import volume_deltas
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.rows import surface_of
from dealer_assets.lake.layout import SESSION_PART, batch_part, snapshot_part
from dealer_assets.lake.reader import fingerprint, list_parts, read_part, read_partition
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.reports.feature_pictures import feature_metadata, volume_picture
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.synthetic import chain, quoted
from dealer_assets_tests.live_rows import row, stream

SPX = underlying("SPX")
MONDAY, TUESDAY = date(2025, 6, 9), date(2025, 6, 10)
PUT = "SPXW250715P05400000"
TABLE = tables.CONTRACT_FEATURES


@pytest.fixture
def lake(tmp_path):
    return open_lake(str(tmp_path / "lake"))


def at(clock, day=TUESDAY):
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


def snapshot(instant, *, volume, interest=100.0, provider="cboe"):
    rows = [
        item | {"volume_contracts": volume, "open_interest_contracts": interest}
        for item in quoted(range(4800, 6600, 100), vol=0.2, half_spread=0.4, event_at=instant)
    ]
    made = chain(rows, event_at=instant)
    place = made.schema.get_field_index("provider")
    return made.set_column(place, "provider", pa.repeat(provider, made.num_rows))


def put_in(lake, *chains, anomalies=None):
    """Put snapshots of one session and what follows from them into the lake."""
    day = chains[0]["session_date"][0].as_py()

    def write(table, rows, name):
        write_part(lake, table, rows, underlying="SPX", session_date=day, name=name)

    for made in chains:
        instant = made["event_at"][0].as_py()
        name = snapshot_part(instant)
        greeks = price_chain(made, forwards_of(made, curve=None))
        write(tables.CHAIN_SNAPSHOTS, made, name)
        write(tables.CONTRACT_GREEKS, greeks, name)
        nothing = tables.VOL_SURFACE.schema.empty_table()
        write(tables.VOL_SURFACE, surface_of(made, greeks, nothing), name)
        wrong = (anomalies or {}).get(instant, [])
        rows = [row(tables.DATA_ANOMALIES, at=instant, session_date=day, **w) for w in wrong]
        found = pa.Table.from_pylist(rows, schema=tables.DATA_ANOMALIES.schema)
        write(tables.DATA_ANOMALIES, found, name)
    held = read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", day)
    write(tables.VOLUME_DELTAS, volume_deltas(held), SESSION_PART)


def refresh(lake, day=TUESDAY, monitor="put 0.80-0.95 20-45d", **more):
    return refresh_features(lake, SPX, day, universe=universe_of(monitor), **more)


def prints(lake):
    parts = list_parts(lake, TABLE, "SPX", TUESDAY)
    return {part.name: fingerprint(lake, part) for part in parts}


def put_rows(lake, day=TUESDAY):
    rows = read_partition(lake, TABLE, "SPX", day).to_pylist()
    return [r for r in rows if r["symbol"] == PUT]


def test_only_polls_have_parts_and_a_rerun_computes_nothing(lake):
    clocks = ("14:00:00", "14:20:00", "15:00:00")
    put_in(lake, *(snapshot(at(c), volume=10.0 * i) for i, c in enumerate(clocks)))
    done = refresh(lake)
    assert done.written == ("140000.parquet", "150000.parquet")
    assert [r["volume_delta_contracts"] for r in put_rows(lake)] == [0.0, 20.0]
    before = prints(lake)
    assert (refresh(lake).written, refresh(lake).kept) == ((), 2)
    assert refresh(lake, rebuild=True).written == done.written
    assert prints(lake) == before


def test_later_snapshots_leave_earlier_polls_as_they_are(lake):
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:00:00"), volume=30.0))
    refresh(lake)
    before = prints(lake)
    put_in(lake, snapshot(at("15:20:00"), volume=31.0), snapshot(at("16:00:00"), volume=50.0))
    assert refresh(lake).written == ("160000.parquet",)
    assert prints(lake).items() > before.items()


def test_snapshot_found_later_that_is_the_first_of_its_hour_replaces_the_poll(lake):
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:05:00"), volume=30.0))
    refresh(lake)
    put_in(lake, snapshot(at("15:00:00"), volume=25.0))
    done = refresh(lake)
    assert (done.written, done.removed) == (("150000.parquet",), 1)


def test_blocked_snapshot_has_no_rows_and_the_next_poll_is_scored(lake):
    blocked = [{"kind": "wiped_open_interest", "action": "block", "scope": "snapshot"}]
    put_in(
        lake,
        snapshot(at("14:00:00"), volume=10.0),
        snapshot(at("15:00:00"), volume=30.0),
        anomalies={at("14:00:00"): blocked},
    )
    assert refresh(lake).stopped == 1
    assert [r["event_at"] for r in put_rows(lake)] == [at("15:00:00")]


def test_poll_waits_for_the_verdict_on_its_data(lake):
    first = snapshot(at("14:00:00"), volume=10.0)
    write_part(lake, tables.CHAIN_SNAPSHOTS, first, underlying="SPX", session_date=TUESDAY,
               name=snapshot_part(at("14:00:00")))  # fmt: skip
    assert refresh(lake).written == ()
    put_in(lake, first)
    assert refresh(lake).written == ("140000.parquet",)


def test_another_monitor_computes_anew(lake):
    put_in(lake, snapshot(at("14:00:00"), volume=10.0))
    refresh(lake)
    assert refresh(lake, monitor="any 0.9-1.1 0-400d").written == ("140000.parquet",)
    rights = read_partition(lake, TABLE, "SPX", TUESDAY)["right"].unique().to_pylist()
    assert sorted(rights) == ["call", "put"]


def test_long_interval_is_told_by_the_sessions_before(lake):
    hours = [f"{hour}:30:00" for hour in range(13, 17)]
    put_in(lake, *(snapshot(at(c, MONDAY), volume=1.0) for c in hours))
    refresh(lake, MONDAY)
    put_in(lake, *(snapshot(at(c), volume=5.0 * i) for i, c in enumerate([hours[0], hours[3]])))
    refresh(lake)
    first, last = put_rows(lake)
    assert (first["withheld_reason"], last["withheld_reason"]) == (None, "long_interval")
    assert last["interval_minutes"] == 180.0
    assert [poll.is_long for poll in session_polls(lake, SPX, TUESDAY)] == [False, True]


@pytest.mark.parametrize(
    ("provider", "expected"), [("cboe", 30.0), ("simulator", None)]
)  # fmt: skip
def test_open_interest_change_is_against_the_same_markets_session_before(lake, provider, expected):
    put_in(lake, snapshot(at("20:00:00", MONDAY), volume=1.0, interest=70.0, provider=provider))
    put_in(lake, snapshot(at("14:00:00"), volume=10.0, interest=100.0))
    refresh(lake)
    assert put_rows(lake)[0]["open_interest_change_contracts"] == expected


def test_wiped_open_interest_of_the_session_before_makes_no_change(lake):
    wiped = [{"kind": "wiped_open_interest", "action": "block", "scope": "snapshot",
              "spoils": ["open_interest"]}]  # fmt: skip
    last = at("20:00:00", MONDAY)
    put_in(lake, snapshot(last, volume=1.0, interest=0.0), anomalies={last: wiped})
    put_in(lake, snapshot(at("14:00:00"), volume=10.0, interest=100.0))
    refresh(lake)
    assert put_rows(lake)[0]["open_interest_change_contracts"] is None


def trade(clock, size, **more):
    told = {"conditions": "", "trade_class": "regular", "feed": "polygon"} | more
    return row(tables.LIVE_TRADES, at=at(clock), symbol=PUT, size_contracts=size, **told)


def test_live_tape_nets_packages_of_the_interval_out(lake):
    package = {"trade_class": "multi_leg"}
    rows = [trade("14:30:00", 6.0, side="buy"), trade("14:40:00", 4.0, **package)]
    stream(lake, tables.LIVE_TRADES, rows, day=TUESDAY)
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:00:00"), volume=30.0))
    refresh(lake)
    first, second = put_rows(lake)
    assert first["package_contracts"] is None, "the stream has nothing of that interval"
    assert (second["package_contracts"], second["volume_contracts_netted"]) == (4.0, 16.0)
    assert (second["flow_imbalance"], second["burst_share"]) == (1.0, 1.0)


def test_prints_that_reach_the_lake_later_renew_their_own_poll_only(lake):
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:00:00"), volume=30.0))
    refresh(lake)
    stream(lake, tables.LIVE_TRADES, [trade("14:30:00", 6.0)], day=TUESDAY)
    assert refresh(lake).written == ("150000.parquet",)


def test_settled_polls_are_not_renewed_by_prints_nor_need_their_tape_read(lake, monkeypatch):
    stream(lake, tables.LIVE_TRADES, [trade("13:50:00", 6.0)], day=TUESDAY)
    stream(lake, tables.LIVE_TRADES, [trade("14:30:00", 5.0)], first=1, day=TUESDAY)
    stream(lake, tables.LIVE_TRADES, [trade("15:30:00", 4.0)], first=2, day=TUESDAY)
    clocks = ("14:00:00", "15:00:00", "16:00:00")
    put_in(lake, *(snapshot(at(c), volume=10.0 * i) for i, c in enumerate(clocks)))
    refresh(lake)
    before = prints(lake)
    tape, read = "dealer_assets.derived.interval_tape.read_part", []
    monkeypatch.setattr(tape, lambda *args, **more: read.append(args) or read_part(*args, **more))
    assert refresh(lake).written == ()
    assert [args[2].name for args in read] == ["us-000000002.parquet", "us-000000001.parquet"]
    assert refresh(lake, rebuild=True).kept == 0
    assert prints(lake) == before


def test_prints_known_only_later_and_of_the_simulated_market_are_not_used(lake):
    late = trade("14:30:00", 6.0, known_at=at("15:00:01"))
    stream(lake, tables.LIVE_TRADES, [late, trade("14:31:00", 6.0, feed="simulator")], day=TUESDAY)
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:00:00"), volume=30.0))
    refresh(lake)
    assert [r["package_contracts"] for r in put_rows(lake)] == [None, None]


def test_published_tape_is_used_where_it_was_known(lake):
    sold = row(tables.OPTION_TRADES, at=at("14:30:00"), symbol=PUT, size_contracts=5.0,
               provider="polygon", conditions="219", taker_side="sell", price=1.0)  # fmt: skip
    made = pa.Table.from_pylist([sold], schema=tables.OPTION_TRADES.schema)
    made = made.set_column(1, "session_date", pa.array([TUESDAY]))
    write_part(lake, tables.OPTION_TRADES, made, underlying="SPX", session_date=TUESDAY,
               name=batch_part("polygon", "0" * 64))  # fmt: skip
    put_in(lake, snapshot(at("14:00:00"), volume=10.0), snapshot(at("15:00:00"), volume=30.0))
    refresh(lake)
    found = put_rows(lake)[1]
    assert (found["flow_imbalance"], found["sweep_share"]) == (-1.0, 1.0)
    assert found["known_at"] == at("15:00:00")


def test_page_shows_volume_and_counts_of_the_newest_poll_also_without_any(lake):
    put_in(lake, snapshot(at("14:00:00"), volume=10.0))
    refresh(lake)
    rows = read_partition(lake, TABLE, "SPX", TUESDAY)
    told = feature_metadata(rows, "put 0.8-0.95 20-45d")
    assert (told["contracts"], told["volume_contracts"]) == (rows.num_rows, 10.0 * rows.num_rows)
    assert (told["unscored"], told["slot"]) == ("none", 10)
    assert feature_metadata(rows.slice(0, 0), "x")["contracts"] == 0
    drawn = {volume_picture(rows), volume_picture(rows.slice(0, 0))}
    assert all(png.startswith(b"\x89PNG") for png in drawn)
    assert len(drawn) == 2


def test_features_of_a_session_without_chains_are_none(lake):
    assert refresh(lake, TUESDAY + timedelta(days=1)).written == ()

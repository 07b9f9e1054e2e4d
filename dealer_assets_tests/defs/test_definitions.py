"""The asset graph: what exists, what depends on what, what runs when."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from dealer_assets.definitions import defs
from dealer_assets.defs.jobs import tables_of
from dealer_assets.defs.partitions import partitions_of
from dealer_assets.defs.schedules import end_of_day_tick, intraday_tick
from dealer_assets.domain import sessions
from dealer_assets.domain.sessions import NEW_YORK, sessions_between
from dealer_assets.tables import LIVE_TABLES, TABLES
from dealer_assets.underlyings import underlying

_QUOTED = ["chain_snapshots", "contract_greeks"]
_PRICED = ["contract_greeks", "surface_quality"]
_SCORED = ["dealer_positions", "signed_flow", "open_interest"]
_POSITIONED = [*_PRICED, "dealer_positions"]
_FITTED = ["forwards", "vol_surface"]
LINEAGE = {
    "listed_contracts": [],
    "index_values": [],
    "option_bars": ["listed_contracts"],
    "option_trades": ["listed_contracts", "index_values"],
    "option_quotes": ["listed_contracts", "index_values"],
    "chain_snapshots": [
        "listed_contracts",
        "index_values",
        "option_bars",
        "option_trades",
        "option_quotes",
    ],
    "open_interest": ["chain_snapshots"],
    "account_volume": [],
    "forwards": ["chain_snapshots"],
    "contract_greeks": ["chain_snapshots", "forwards"],
    "vol_surface": _QUOTED,
    "surface_quality": [*_QUOTED, "vol_surface"],
    "greek_surface": ["vol_surface"],
    "dealer_exposure": _POSITIONED,
    "gamma_profile": [*_POSITIONED, *_FITTED],
    "exposure_levels": ["chain_snapshots", *_POSITIONED, *_FITTED, "gamma_profile"],
    "level_band": ["chain_snapshots", *_POSITIONED, *_FITTED, "exposure_levels"],
    "scenario_grid": _POSITIONED,
    "underlying_bars": [],
    "exposure_metrics": ["dealer_exposure", "exposure_levels", "vol_surface", "underlying_bars"],
    "dealer_regimes": ["exposure_metrics", "dealer_regimes"],
    "volume_deltas": ["chain_snapshots"],
    "daily_history": ["chain_snapshots", "volume_deltas", "contract_greeks"],
    "contract_features": [
        "chain_snapshots",
        "contract_greeks",
        "vol_surface",
        "data_anomalies",
        "volume_deltas",
        "option_trades",
        "live_trades",
    ],
    "data_anomalies": ["chain_snapshots", "open_interest"],
    "feature_baselines": ["chain_snapshots", "contract_features"],
    "anomaly_scores": ["contract_features", "feature_baselines"],
    "anomaly_evaluation": ["contract_features", "feature_baselines", "open_interest"],
    "underlying_scores": [
        "chain_snapshots",
        "exposure_levels",
        "vol_surface",
        "data_anomalies",
        "volume_deltas",
        "index_values",
        "underlying_scores",
    ],
    "alerts": [
        *("exposure_levels", "dealer_regimes", "strike_changes"),
        *("anomaly_scores", "underlying_scores"),
    ],
    "pin_levels": ["dealer_exposure", "exposure_levels"],
    "strike_changes": ["dealer_exposure", "pin_levels"],
    "level_scores": ["exposure_levels", "pin_levels", "index_values", "level_scores"],
    "live_reconciliation": ["live_trades", "option_trades", "open_interest"],
    "signed_flow": ["option_trades", "option_quotes", "index_values", "live_trades", "open_close"],
    "dealer_positions": ["chain_snapshots", "open_interest", "signed_flow", "dealer_positions"],
    "position_scores": [*_SCORED, "position_scores"],
    "live_compaction": [table.name for table in LIVE_TABLES],
}
LANES = ("SPX", "SPY", "BTC")


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


def test_every_lane_has_the_same_tables_and_lineage(graph) -> None:
    for lane in LANES:
        for table, sources in LINEAGE.items():
            node = graph.get(dg.AssetKey([lane, table]))
            of_lane = {key for key in node.parent_keys if key.path[0] == lane}
            assert of_lane == {dg.AssetKey([lane, s]) for s in sources}
            assert node.group_name == lane.lower()
    crypto_only = {dg.AssetKey(["BTC", "block_trades"])}
    rates = {dg.AssetKey(["USD", "treasury_curve"]), dg.AssetKey(["USD", "reference_rates"])}
    platform = {dg.AssetKey(["PLATFORM", "alerts"])}
    combined = ("combined_exposure", "combined_levels", "combined_profile")
    group = {dg.AssetKey(["US_INDEX", table]) for table in combined}
    everything = {dg.AssetKey([lane, table]) for lane in LANES for table in LINEAGE}
    others = crypto_only | rates | group | platform
    assert set(graph.materializable_asset_keys) == everything | others


def test_shares_and_indices_are_priced_with_the_curve_and_crypto_is_not(graph) -> None:
    curve = dg.AssetKey(["USD", "treasury_curve"])
    for lane, is_discounted in (("SPX", True), ("SPY", True), ("BTC", False)):
        for table in ("forwards", "contract_greeks"):
            assert (curve in graph.get(dg.AssetKey([lane, table])).parent_keys) == is_discounted


def test_tables_that_files_bring_are_in_the_lineage_and_no_run_makes_them(graph) -> None:
    for lane in LANES:
        for table in ("open_close", "futures_option_settlements", "swap_option_reports"):
            assert graph.get(dg.AssetKey([lane, table])).is_external
    assert graph.get(dg.AssetKey(["SPX", "block_trades"])).is_external
    assert not graph.get(dg.AssetKey(["BTC", "block_trades"])).is_external


def test_live_tables_are_external_and_say_what_they_rest_on(graph) -> None:
    rests_on = {
        "live_trades": ["listed_contracts"],
        "live_gamma": ["listed_contracts", "open_interest", "dealer_positions", "live_trades"],
        "live_strikes": ["open_interest", "live_trades"],
        "live_flow": ["live_trades"],
        "live_contract_flow": ["live_trades"],
        "feed_gaps": [],
        "feed_rejects": [],
        "stream_heartbeats": [],
    }
    assert set(rests_on) == {table.name for table in LIVE_TABLES}
    for lane in LANES:
        for table, sources in rests_on.items():
            node = graph.get(dg.AssetKey([lane, table]))
            of_lane = {key for key in node.parent_keys if key.path[0] == lane}
            assert node.is_external
            assert of_lane == {dg.AssetKey([lane, s]) for s in sources}
            assert node.partitions_def == graph.get(dg.AssetKey([lane, "forwards"])).partitions_def


def test_every_asset_is_a_table_of_the_dictionary_and_carries_its_schema_check(graph) -> None:
    names = {table.name for table in TABLES}
    for key in graph.materializable_asset_keys:
        if key.path[-1] == "live_compaction":
            continue  # it folds other tables' parts and has no table of its own
        assert key.path[-1] in names
        checks = {check.name for check in graph.get_check_keys_for_assets({key})}
        assert "schema" in checks


def test_lanes_of_a_calendar_share_one_partitions_definition(graph) -> None:
    spx = graph.get(dg.AssetKey(["SPX", "exposure_levels"])).partitions_def
    spy = graph.get(dg.AssetKey(["SPY", "exposure_levels"])).partitions_def
    btc = graph.get(dg.AssetKey(["BTC", "exposure_levels"])).partitions_def
    assert spx == spy != btc


def test_partitions_are_exactly_the_sessions() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    keys = partitions_of("XNYS").get_partition_keys(current_time=now)
    expected = sessions_between("XNYS", date(2022, 1, 1), date(2026, 11, 20))
    assert keys[0] == "2022-01-03"
    assert [date.fromisoformat(k) for k in keys] == expected


def test_partitions_of_a_24_7_calendar_are_utc_days() -> None:
    now = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)  # a Saturday
    assert partitions_of("24/7").get_partition_keys(current_time=now)[-1] == "2026-11-21"


def test_one_job_serves_every_lane_of_a_calendar() -> None:
    job = defs.resolve_job_def("intraday_xnys")
    lanes = {key.path[0] for key in job.asset_layer.selected_asset_keys}
    assert lanes == {"SPX", "SPY"}
    assert len(job.asset_layer.selected_asset_keys) == 22


@pytest.mark.parametrize(
    ("at", "partition"),
    [
        ("2026-11-20T14:30:00", "2026-11-20"),  # the open, New York winter time
        ("2026-11-20T21:15:00", "2026-11-20"),  # last quotes
        ("2026-07-17T13:30:00", "2026-07-17"),  # the open, summer time
        ("2026-11-27T18:15:00", "2026-11-27"),  # last quotes of an early close
    ],
)
def test_minute_tick_requests_todays_partition_while_options_quote(at: str, partition: str) -> None:
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    request = intraday_tick("XNYS", instant, job="intraday_xnys")
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == partition


@pytest.mark.parametrize(
    "at",
    [
        "2026-11-20T14:29:00",  # before the open
        "2026-11-20T21:16:00",  # after the last quotes
        "2026-11-27T18:16:00",  # after an early close
        "2026-11-26T16:00:00",  # Thanksgiving
        "2026-11-21T16:00:00",  # Saturday
    ],
)
def test_minute_tick_skips_with_a_reason_while_closed(at: str) -> None:
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    skip = intraday_tick("XNYS", instant, job="intraday_xnys")
    assert isinstance(skip, dg.SkipReason)
    assert "closed" in skip.skip_message


def matches(cron: str, instant: datetime) -> bool:
    """Tell whether a plain cron line (numbers, ranges, stars) fires at a local minute."""
    minute, hour, _, _, weekday = cron.split()
    for field, value in (
        (minute, instant.minute),
        (hour, instant.hour),
        (weekday, instant.isoweekday()),
    ):
        low, _, high = field.partition("-")
        if field != "*" and not int(low) <= value <= int(high or low):
            return False
    return True


@pytest.mark.parametrize("day", ["2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02"])
def test_cron_proposes_each_minute_of_a_session_once_across_daylight_saving(day: str) -> None:
    schedule = defs.resolve_schedule_def("every_minute_xnys")
    assert schedule.execution_timezone == "America/New_York"
    midnight = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
    minutes = [midnight + timedelta(minutes=m) for m in range(24 * 60)]
    fired = [m for m in minutes for cron in schedule.cron_schedule if matches(cron, m)]
    assert len(fired) == len(set(fired)) == 422  # 09:30 to 16:31, both included
    open_minutes = [m for m in fired if sessions.is_open("XNYS", m.astimezone(UTC))]
    assert len(open_minutes) == 406  # to 16:15; the rest serve a provider that is behind


def test_what_a_session_opens_with_is_settled_within_its_first_minutes() -> None:
    at = datetime.fromisoformat("2026-11-20T09:00:00-05:00").astimezone(NEW_YORK)
    crons = defs.resolve_schedule_def("every_hour_xnys").cron_schedule
    minutes = [at + timedelta(minutes=m) for m in range(8 * 60)]
    fired = [f"{m:%H:%M}" for m in minutes for cron in crons if matches(cron, m)]
    # 09:47 serves a provider that is 15 minutes behind; at 09:32 its tick is skipped
    assert fired[:3] == ["09:32", "09:47", "10:02"]
    assert (len(fired), fired[-1]) == (9, "16:02")
    of_session = {t.name for t in tables_of("session", underlying("SPX"))}
    assert {"dealer_positions", "underlying_bars"} <= of_session


def test_scores_and_labels_wait_for_the_sessions_before(graph) -> None:
    def offsets(table: str, parent: str) -> tuple[int, int]:
        node = graph.get(dg.AssetKey(["SPX", table]))
        mapping = node.partition_mappings[dg.AssetKey(["SPX", parent])]
        return mapping.start_offset, mapping.end_offset

    assert offsets("dealer_regimes", "dealer_regimes") == (-1, -1)
    assert offsets("level_scores", "level_scores") == (-1, -1)
    assert offsets("level_scores", "pin_levels") == (-1, -1)
    assert offsets("level_scores", "exposure_levels") == (-1, 0)


def test_minute_ticks_of_a_delayed_provider_start_and_end_later() -> None:
    def tick(clock: str) -> dg.RunRequest | dg.SkipReason:
        at = datetime.fromisoformat(f"2026-11-20T{clock}:00-05:00").astimezone(UTC)
        return intraday_tick("XNYS", at, job="intraday_xnys", delay=timedelta(minutes=15))

    assert isinstance(tick("09:44"), dg.SkipReason)
    assert isinstance(tick("09:45"), dg.RunRequest)
    assert tick("16:30").partition_key == "2026-11-20"
    assert isinstance(tick("16:31"), dg.SkipReason)


def test_end_of_day_requests_the_session_that_ended_and_skips_holidays() -> None:
    friday = datetime(2026, 11, 20, 21, 20, tzinfo=UTC)
    thanksgiving = datetime(2026, 11, 26, 21, 20, tzinfo=UTC)
    request = end_of_day_tick("XNYS", friday, job="session_xnys")
    assert request.partition_key == "2026-11-20"
    assert isinstance(end_of_day_tick("XNYS", thanksgiving, job="session_xnys"), dg.SkipReason)


def test_end_of_day_of_a_24_7_calendar_requests_the_day_before() -> None:
    midnight = datetime(2026, 11, 21, 0, 5, tzinfo=UTC)
    assert end_of_day_tick("24/7", midnight, job="session_always").partition_key == "2026-11-20"


@pytest.mark.parametrize("calendar", ["xnys", "always"])
def test_live_parts_are_folded_half_an_hour_after_the_last_quotes(calendar: str) -> None:
    schedule = defs.resolve_schedule_def(f"compaction_{calendar}")
    minute, hour, *_ = schedule.cron_schedule.split()
    assert (hour, minute) == {"xnys": ("16", "46"), "always": ("0", "31")}[calendar]
    job = defs.resolve_job_def(f"compaction_{calendar}")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {"live_compaction"}

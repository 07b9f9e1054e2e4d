"""One simulated session through every layer: provider, lake, assets, checks, marts, report."""

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from dealer_assets import tables
from dealer_assets.derived.combining import COMBINE, US_INDEX
from dealer_assets.intake.collection import collect
from dealer_assets.lake.reader import list_parts, read_part, read_partition, scan
from dealer_assets.pricing_file import price_snapshot
from dealer_assets.runner import run_marts, run_partitions
from dealer_assets.settings import settings
from dealer_assets.sources import lake_of, provider_of
from dealer_assets.underlyings import underlying

SESSION = date(2026, 11, 19)
SATURDAY = date(2026, 11, 14)
DERIVED = (
    "forwards",
    "contract_greeks",
    "vol_surface",
    "surface_quality",
    "greek_surface",
    "dealer_exposure",
    "exposure_levels",
    "gamma_profile",
    "level_band",
    "scenario_grid",
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lanes' session and a BTC Saturday, built once, with marts."""
    folder = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEALER_DATA_DIR", str(folder))
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        patch.setenv("DEALER_SIMULATOR_DENSITY", "0.2")
        patch.setenv("DEALER_PROVIDER", "simulator")
        settings.cache_clear()
        runs = [*run_partitions(["SPX", "SPY"], [SESSION]), *run_partitions(["BTC"], [SATURDAY])]
        runs.append(run_marts())
        assert [run.problems for run in runs] == [()] * 3
        assert all(run.is_success for run in runs)
        yield folder
    settings.cache_clear()


def lake_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted((folder / "lake").rglob("[!_]*.parquet"))}


@pytest.mark.slow
def test_every_table_of_every_lane_has_its_parts(platform: Path) -> None:
    lake = lake_of(settings())
    for name in COMBINE:
        assert len(list_parts(lake, tables.table(name), US_INDEX, SESSION)) == 3
    for symbol, day in (("SPX", SESSION), ("SPY", SESSION), ("BTC", SATURDAY)):
        assert len(list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, day)) == 3
        for name in DERIVED:
            assert len(list_parts(lake, tables.table(name), symbol, day)) == 3
        for table in (tables.VOLUME_DELTAS, tables.DAILY_HISTORY):
            assert len(list_parts(lake, table, symbol, day)) == 1


@pytest.mark.slow
def test_stored_levels_are_what_pricing_the_snapshot_alone_gives(platform: Path) -> None:
    provider = provider_of(settings(), underlying("SPX"))
    snapshot = provider.snapshot(underlying("SPX"), at=datetime(2026, 11, 19, 21, 15, tzinfo=UTC))
    curves = [provider.rate_curve(date(2026, 11, 18))]
    lake = lake_of(settings())
    settled = read_partition(lake, tables.DEALER_POSITIONS, "SPX", SESSION)
    assert settled.num_rows > 0
    models = "naive,reconciled"
    priced = price_snapshot(snapshot, model=models, curves=curves, settled=settled)
    alone = priced.levels_table.to_pylist()
    stored = scan(lake, tables.EXPOSURE_LEVELS, underlyings=["SPX"]).to_pylist()
    assert [row for row in stored if row["event_at"] == alone[0]["event_at"]] == alone


@pytest.mark.slow
def test_every_snapshot_has_each_configured_model_whose_positions_are_held(
    platform: Path,
) -> None:
    lake = lake_of(settings())
    both = ["naive", "reconciled"]
    models = {("SPX", SESSION): both, ("SPY", SESSION): both, ("BTC", SATURDAY): both}
    for table in (
        tables.DEALER_EXPOSURE,
        tables.GAMMA_PROFILE,
        tables.EXPOSURE_LEVELS,
        tables.SCENARIO_GRID,
    ):
        for (symbol, day), expected in models.items():
            for part in list_parts(lake, table, symbol, day):
                found = read_part(lake, table, part)["model"].unique().to_pylist()
                assert found == expected, (table.name, symbol, part.name)
    assert scan(lake, tables.LEVEL_BAND)["model"].unique().to_pylist() == ["naive"]


@pytest.mark.slow
def test_running_again_changes_no_byte_and_rebuilding_neither(platform: Path) -> None:
    before = lake_bytes(platform)
    assert all(run.is_success for run in run_partitions(["SPY"], [SESSION]))
    assert lake_bytes(platform) == before
    assert all(run.is_success for run in run_partitions(["SPX"], [SESSION], rebuild=True))
    assert lake_bytes(platform) == before


@pytest.mark.slow
def test_marts_hold_what_the_lake_holds(platform: Path) -> None:
    levels = scan(lake_of(settings()), tables.EXPOSURE_LEVELS).to_pylist()
    with duckdb.connect(str(settings().warehouse), read_only=True) as warehouse:
        mart = warehouse.execute(
            "select underlying, model, net_gamma_exposure_usd_per_pct, is_session_last "
            "from fct_exposure_levels order by 1, event_at, 2"
        ).fetchall()
        by_strike = warehouse.execute(
            "select underlying, model, sum(net_gamma_exposure_usd_per_pct) "
            "from fct_exposure_by_strike group by 1, 2 order by 1, 2"
        ).fetchall()
    assert len(mart) == len(levels) == 18  # 3 snapshots x 3 lanes x 2 models
    last = {row[:2]: row[2] for row in mart if row[3]}
    assert len(by_strike) == 6
    for symbol, model, total in by_strike:
        assert total == pytest.approx(last[symbol, model], rel=1e-9)


@pytest.mark.slow
def test_volume_history_is_the_last_cumulative_counter(platform: Path) -> None:
    lake = lake_of(settings())
    history = scan(lake, tables.DAILY_HISTORY, underlyings=["SPY"])
    deltas = scan(lake, tables.VOLUME_DELTAS, underlyings=["SPY"])
    total = sum(deltas["volume_delta_contracts"].to_pylist())
    assert sum(history["volume_contracts"].to_pylist()) == pytest.approx(total)


@pytest.mark.slow
def test_as_of_shows_only_what_was_known(platform: Path) -> None:
    lake = lake_of(settings())
    everything = scan(lake, tables.EXPOSURE_LEVELS, underlyings=["SPX"])
    known = sorted(set(everything["known_at"].to_pylist()))
    seen = scan(lake, tables.EXPOSURE_LEVELS, underlyings=["SPX"], as_of=known[1])
    assert seen["model"].to_pylist() == ["naive", "reconciled"] * 2
    assert max(seen["known_at"].to_pylist()) == known[1]


def test_a_running_session_gains_one_snapshot_per_minute(data_dir: Path) -> None:
    settings.cache_clear()
    lake, provider = lake_of(settings()), provider_of(settings(), underlying("SPX"))

    def tick(minute: int) -> int:
        now = datetime(2026, 11, 20, 15, minute, 20, tzinfo=UTC)
        where = {"symbol": "SPY", "session_date": date(2026, 11, 20)}
        return len(collect(lake, provider, now=now, per_session=3, **where))

    assert [tick(30), tick(30), tick(31)] == [1, 1, 1]
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, "SPY", date(2026, 11, 20))
    assert [part.name for part in parts] == ["153000.parquet", "153100.parquet"]

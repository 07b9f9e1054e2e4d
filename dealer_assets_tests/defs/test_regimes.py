"""The regime assets: from exposures in the lake to metrics, labels and the index group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from dealer_assets import tables
from dealer_assets.defs.combined import combined_asset
from dealer_assets.defs.regimes import dealer_regimes, exposure_metrics, underlying_bars
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.combining import US_INDEX
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.reader import list_parts, read_part, read_partition, sessions_held
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.settings import settings
from dealer_assets_tests.domain import metric_rows as made
from dealer_assets_tests.domain.test_combined import member

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX,SPY")
    settings.cache_clear()
    yield Platform().lake()
    settings.cache_clear()


def lane(assets: list[dg.AssetsDefinition], symbol: str = "SPX") -> dg.AssetsDefinition:
    return next(asset for asset in assets if asset.key.path[0] == symbol)


def run(assets: list[dg.AssetsDefinition], **config: object) -> dg.ExecuteInProcessResult:
    ops = {"__".join(asset.key.path): {"config": config} for asset in assets} if config else {}
    return dg.materialize(
        assets,
        partition_key=DAY.isoformat(),
        resources={"platform": Platform()},
        run_config={"ops": ops},
    )


def exposed(lake: Lake, spots: tuple[float, ...]) -> None:
    """Store snapshots of SPX half an hour apart."""
    for i, spot in enumerate(spots):
        at = OPEN + timedelta(minutes=30 * i)
        held = member(spot, (("0dte", 3e9), ("1-7", -1e8)), at=at)
        for table, rows in (
            (tables.DEALER_EXPOSURE, held.exposures),
            (tables.EXPOSURE_LEVELS, held.levels),
            (tables.GAMMA_PROFILE, held.profile),
            (tables.VOL_SURFACE, made.surface(at=at)),
        ):
            name = part_name(table, event_at=at)
            write_part(lake, table, rows, underlying="SPX", session_date=DAY, name=name)


def metadata(result: dg.ExecuteInProcessResult, table: str) -> dict[str, object]:
    events = result.get_asset_materialization_events()
    found = next(e for e in events if e.asset_key is not None and e.asset_key.path[-1] == table)
    return {k: v.value for k, v in found.materialization.metadata.items()}


def test_assets_go_from_bars_to_labels_and_a_rerun_writes_nothing(lake: Lake) -> None:
    exposed(lake, (6500.0, 6520.0))
    chain = [lane(assets) for assets in (underlying_bars, exposure_metrics, dealer_regimes)]
    first = run(chain)
    assert first.success
    assert metadata(first, "underlying_bars")["refusals"] == "none"
    assert len(sessions_held(lake, tables.UNDERLYING_BARS, "SPX")) >= 30
    assert metadata(first, "exposure_metrics")["parts_written"] == 2
    assert "naive" in str(metadata(first, "dealer_regimes"))
    checks = {e.check_name: e.passed for e in first.get_asset_check_evaluations()}
    # simulated bars do not scale this chain, which says nothing of being simulated
    assert checks == {
        "schema": True,
        "prices_in_order": True,
        "buckets_add_up": True,
        "pressure_adds_up": True,
        "volume_measured": False,
        "label_follows_rule": True,
    }
    parts = list_parts(lake, tables.DEALER_REGIMES, "SPX", DAY)
    (label,) = read_part(lake, tables.DEALER_REGIMES, parts[-1]).to_pylist()
    assert (label["scale"], label["thresholds_from"]) == ("usd", "static")
    again = run(chain, pictures=False)
    for table in ("exposure_metrics", "dealer_regimes"):
        told = metadata(again, table)
        assert (told["parts_written"], told["parts_current"]) == (0, 2)
    assert str(metadata(again, "dealer_regimes")["regimes"]).startswith("not drawn")
    exposed(lake, (6500.0, 6520.0, 6510.0))
    third = run(chain, pictures=False)
    for table in ("exposure_metrics", "dealer_regimes"):
        told = metadata(third, table)
        assert (told["parts_written"], told["parts_current"]) == (1, 2)


def test_a_changed_early_snapshot_renews_every_later_one(lake: Lake) -> None:
    exposed(lake, (6500.0, 6520.0, 6530.0))
    assets = [lane(exposure_metrics)]
    run(assets, pictures=False)
    before = read_partition(lake, tables.EXPOSURE_METRICS, "SPX", DAY)
    exposed(lake, (6400.0,))
    told = metadata(run(assets, pictures=False), "exposure_metrics")
    assert told["parts_written"] == 3
    after = read_partition(lake, tables.EXPOSURE_METRICS, "SPX", DAY)
    assert after["first_spot"].to_pylist() == [6400.0] * 15
    assert set(before["first_spot"].to_pylist()) == {6500.0}


def test_group_assets_carry_the_groups_name_and_checks(lake: Lake) -> None:
    exposed(lake, (6500.0,))
    both = (tables.COMBINED_LEVELS, tables.COMBINED_PROFILE)
    assets = [combined_asset(table) for table in both]
    assert assets[0].key == dg.AssetKey([US_INDEX, "combined_levels"])
    done = run(assets)
    assert done.success
    assert all(e.passed for e in done.get_asset_check_evaluations())
    assert {e.check_name for e in done.get_asset_check_evaluations()} == {
        "schema",
        "members_add_up",
    }
    assert str(metadata(done, "combined_profile")["profile"]).startswith("![")

"""Data problems in the lake: judged once, never by what came later, stopping what they block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.defs.chains import chain_snapshots
from dealer_assets.defs.data_quality import data_anomalies
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.data_quality import judge_session
from dealer_assets.domain.invariants import is_sound
from dealer_assets.domain.sessions import instants_of
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.reader import list_parts, part_rows, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.settings import settings
from dealer_assets.underlyings import Underlying, underlying

SPX = underlying("SPX")
THURSDAY, FRIDAY = date(2026, 11, 19), date(2026, 11, 20)
SIMULATOR = SimulatorProvider(density=0.05)
OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX")
    settings.cache_clear()
    yield Platform().lake()
    settings.cache_clear()


def keep(
    lake: Lake, rows: pa.Table, *, instant: datetime | None = None, **replaced: pa.Array
) -> None:
    """Store a chain, under another clock or with other columns if told."""
    columns = {name: rows[name] for name in rows.column_names} | replaced
    if instant is not None:
        same = pa.repeat(pa.scalar(instant, tables.INSTANT), rows.num_rows)
        columns |= {"event_at": same, "known_at": replaced.get("known_at", same)}
    rows = pa.table(columns, schema=rows.schema)
    at, day = rows["event_at"][0].as_py(), rows["session_date"][0].as_py()
    name = part_name(tables.CHAIN_SNAPSHOTS, event_at=at)
    write_part(lake, tables.CHAIN_SNAPSHOTS, rows, underlying="SPX", session_date=day, name=name)


def market(instant: datetime) -> pa.Table:
    return SIMULATOR.snapshot(SPX, at=instant).rows


def found(lake: Lake, day: date = FRIDAY) -> list[tuple[str, str]]:
    rows = read_partition(lake, tables.DATA_ANOMALIES, "SPX", day).to_pylist()
    return [(f"{row['event_at']:%H:%M}", row["kind"]) for row in rows]


def test_every_snapshot_has_a_part_and_a_second_run_writes_nothing(lake: Lake) -> None:
    keep(lake, market(OPEN))
    keep(lake, market(OPEN), instant=OPEN + timedelta(hours=1))
    done = judge_session(lake, SPX, FRIDAY)
    assert len(done.written) == 2
    assert found(lake) == [("16:00", "duplicate_snapshot")]
    again = judge_session(lake, SPX, FRIDAY)
    assert (again.written, again.kept) == ((), 2)


def test_what_was_known_later_is_not_compared_with(lake: Lake) -> None:
    """The snapshot before was imported a day late: nobody could have seen the repetition."""
    late = pa.repeat(pa.scalar(OPEN + timedelta(days=1), tables.INSTANT), market(OPEN).num_rows)
    keep(lake, market(OPEN), known_at=late)
    keep(lake, market(OPEN), instant=OPEN + timedelta(hours=1))
    judge_session(lake, SPX, FRIDAY)
    assert ("16:00", "duplicate_snapshot") not in found(lake)


def test_a_later_snapshot_changes_no_verdict(lake: Lake) -> None:
    keep(lake, market(OPEN))
    judge_session(lake, SPX, FRIDAY)
    keep(lake, market(OPEN), instant=OPEN + timedelta(hours=1))
    done = judge_session(lake, SPX, FRIDAY)
    assert (len(done.written), done.kept) == (1, 1)
    assert found(lake) == [("16:00", "duplicate_snapshot")]


def test_yesterdays_close_under_todays_date_is_a_repeat(lake: Lake) -> None:
    close = market(instants_of("XNYS", THURSDAY, count=1)[0])
    keep(lake, close)
    today = pa.repeat(pa.scalar(FRIDAY, pa.date32()), close.num_rows)
    keep(lake, close, instant=OPEN, session_date=today)
    judge_session(lake, SPX, FRIDAY)
    assert ("15:00", "holiday_repeat") in found(lake)


def test_a_part_whose_snapshot_is_gone_goes_too(lake: Lake) -> None:
    keep(lake, market(OPEN))
    judge_session(lake, SPX, FRIDAY)
    (part,) = list_parts(lake, tables.CHAIN_SNAPSHOTS, "SPX", FRIDAY)
    delete_part(lake, tables.CHAIN_SNAPSHOTS, underlying="SPX", session_date=FRIDAY, name=part.name)
    assert judge_session(lake, SPX, FRIDAY).removed == 1
    assert not list_parts(lake, tables.DATA_ANOMALIES, "SPX", FRIDAY)


def test_a_chain_that_other_checks_stop_is_judged_all_the_same(lake: Lake) -> None:
    rows = market(OPEN)
    keep(lake, rows, bid=pa.array([0.0] * rows.num_rows))
    assert not is_sound(
        "chain_snapshots", read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", FRIDAY), SPX
    )
    judge_session(lake, SPX, FRIDAY)
    assert found(lake) == [("15:00", "zero_bids")]


def test_a_minute_judges_its_own_snapshot_only(lake: Lake) -> None:
    keep(lake, market(OPEN))
    keep(lake, market(OPEN), instant=OPEN + timedelta(hours=1))
    done = judge_session(lake, SPX, FRIDAY, only=["160000.parquet"])
    assert (done.written, done.kept, done.removed) == (("160000.parquet",), 0, 0)
    assert judge_session(lake, SPX, FRIDAY).written == ("150000.parquet",)


def test_a_chain_whose_checks_end_the_run_is_judged_before_that(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SimulatorProvider.snapshot

    def wiped(provider: SimulatorProvider, asset: Underlying, *, at: datetime) -> ChainSnapshot:
        chain = whole(provider, asset, at=at)
        place = chain.rows.schema.get_field_index("open_interest_contracts")
        field = chain.rows.schema.field(place)
        nothing = pa.array([0.0] * chain.rows.num_rows)
        return replace(chain, rows=chain.rows.set_column(place, field, nothing))

    monkeypatch.setattr(SimulatorProvider, "snapshot", wiped)
    (asset,) = (asset for asset in chain_snapshots if asset.key.path[0] == "SPX")
    result = dg.materialize(
        [asset],
        partition_key=THURSDAY.isoformat(),
        resources={"platform": Platform()},
        raise_on_error=False,
    )
    assert not result.success
    assert {kind for _, kind in found(lake, THURSDAY)} == {"wiped_open_interest"}


def run(lake: Lake, *, pictures: bool = False) -> dg.ExecuteInProcessResult:
    del lake  # the platform opens the same
    (asset,) = (asset for asset in data_anomalies if asset.key.path[0] == "SPX")
    return dg.materialize(
        [asset],
        partition_key=FRIDAY.isoformat(),
        resources={"platform": Platform()},
        raise_on_error=False,
        run_config={"ops": {"SPX__data_anomalies": {"config": {"pictures": pictures}}}},
    )


def test_the_asset_of_a_sound_market_passes_every_check(lake: Lake) -> None:
    keep(lake, market(OPEN))
    result = run(lake)
    assert result.success
    (part,) = list_parts(lake, tables.DATA_ANOMALIES, "SPX", FRIDAY)
    assert part_rows(lake, part) == 0
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert {f"no_{kind}" for kind in tables.ANOMALY_ACTIONS} < set(checks)
    assert all(checks.values())


@pytest.mark.parametrize("kind", ["duplicate_snapshot", "weekend_run"])
def test_a_blocking_kind_stops_the_run_and_a_flag_warns(lake: Lake, kind: str) -> None:
    rows = market(OPEN)
    if kind == "duplicate_snapshot":
        keep(lake, rows)
        keep(lake, rows, instant=OPEN + timedelta(hours=1))
    else:
        sunday = pa.repeat(pa.scalar(OPEN + timedelta(days=2), tables.INSTANT), rows.num_rows)
        keep(lake, rows, known_at=sunday)
    result = run(lake)
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {f"no_{kind}"}
    assert result.success == (kind == "weekend_run")
    assert is_sound(
        "data_anomalies", read_partition(lake, tables.DATA_ANOMALIES, "SPX", FRIDAY), SPX
    ) == (kind == "weekend_run")

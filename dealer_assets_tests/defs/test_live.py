"""Dagster's side of the stream: what the sensors tell, when checks fail, what follows a session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.defs.live import live_checks, live_checks_sensor, live_parts_sensor
from dealer_assets.defs.live_close import live_compaction, live_reconciliation
from dealer_assets.defs.resources import Platform
from dealer_assets.intake.records import store_request
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Records
from dealer_assets.settings import settings
from dealer_assets.underlyings import underlying
from dealer_assets_tests.live_rows import CALL, DAY, clock, row, stream

KEY = DAY.isoformat()
NEXT = DAY + timedelta(days=3)  # a Monday
PARTITION = {"dagster/partition": KEY}


class Rehearsal(Platform):
    """A platform whose clock a test sets."""

    at: str

    def now(self) -> datetime:
        return datetime.fromisoformat(self.at)


def platform(at: str) -> Rehearsal:
    return Rehearsal(at=clock(at).isoformat())


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty lake of a graph whose only lane is SPX."""
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX")
    settings.cache_clear()
    yield platform("15:00:00").lake()
    settings.cache_clear()


def beats(lake: Lake, *, until: str, first: int = 0, **values: Any) -> None:
    """Write one part of three heartbeats, the last at an instant."""
    at = clock(until)
    rows = [
        row(
            tables.STREAM_HEARTBEATS,
            at=at - timedelta(seconds=10 * (2 - i)),
            **({"is_healthy": True, "feed": "polygon", "phase": "live"} | values),
        )
        for i in range(3)
    ]
    stream(lake, tables.STREAM_HEARTBEATS, rows, first=first)


def totals(lake: Lake, *, until: str, first: int = 0, **values: Any) -> None:
    rows = [row(tables.LIVE_GAMMA, at=clock(until), **values)]
    stream(lake, tables.LIVE_GAMMA, rows, first=first)


def parts_tick(at: str, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(cursor=cursor, resources={"platform": platform(at)})
    return live_parts_sensor(context)


def checks_tick(at: str, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(cursor=cursor, resources={"platform": platform(at)})
    return live_checks_sensor(context)


def verdicts(result: dg.SensorResult | dg.SkipReason) -> dict[str, dg.AssetCheckEvaluation]:
    assert isinstance(result, dg.SensorResult)
    return {f"{e.asset_key.path[-1]}/{e.check_name}": e for e in result.asset_events}


# the sensor of parts


def test_new_parts_become_materializations_of_the_running_session(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    totals(lake, until="15:00:10")
    result = parts_tick("15:01:00")
    found = {event.asset_key.path[-1]: event for event in result.asset_events}
    assert set(found) == {"stream_heartbeats", "live_gamma"}
    event = found["stream_heartbeats"]
    assert event.asset_key == dg.AssetKey(["SPX", "stream_heartbeats"])
    assert event.partition == KEY
    told = {name: value.value for name, value in event.metadata.items()}
    assert told == {
        "dagster/row_count": 3,
        "parts": 1,
        "newest_part": "us-000000000.parquet",
        "last_row": 2,
        "last_known_at": "2026-11-20T15:00:00+00:00",
        "lag_seconds": 60.0,
    }


def test_what_the_cursor_knows_is_not_told_again(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    totals(lake, until="15:00:00")
    first = parts_tick("15:01:00")
    assert isinstance(parts_tick("15:02:00", first.cursor), dg.SkipReason)
    beats(lake, until="15:01:00", first=3)
    again = parts_tick("15:03:00", first.cursor)
    assert [event.asset_key.path[-1] for event in again.asset_events] == ["stream_heartbeats"]
    assert again.asset_events[0].metadata["dagster/row_count"].value == 6
    assert json.loads(again.cursor) == {
        f"{KEY}/SPX/stream_heartbeats": "us-000000003.parquet",
        f"{KEY}/SPX/live_gamma": "us-000000000.parquet",
    }


def test_a_lake_without_live_parts_is_skipped(lake: Lake) -> None:
    assert isinstance(parts_tick("15:00:00"), dg.SkipReason)


def test_the_sensor_is_idle_where_the_process_reports_by_itself(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALER_DAGSTER_URL", "http://127.0.0.1:3000")
    settings.cache_clear()
    beats(lake, until="15:00:00")
    skip = parts_tick("15:01:00")
    assert isinstance(skip, dg.SkipReason)
    assert "by itself" in skip.skip_message


# the checks


def test_a_stream_that_never_ran_fails_nothing(lake: Lake) -> None:
    found = verdicts(checks_tick("15:00:00"))
    assert set(found) == {
        "live_gamma/fresh",
        "stream_heartbeats/fresh",
        "stream_heartbeats/healthy",
        "feed_gaps/no_feed_gaps",
    }
    assert all(verdict.passed for verdict in found.values())
    assert all("not running" in (verdict.description or "") for verdict in found.values())


def test_a_stream_that_fell_silent_fails_while_options_quote(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    totals(lake, until="15:00:00")
    assert verdicts(checks_tick("15:01:59"))["stream_heartbeats/fresh"].passed
    silent = verdicts(checks_tick("15:05:00"))["stream_heartbeats/fresh"]
    assert not silent.passed
    assert silent.severity == dg.AssetCheckSeverity.ERROR
    assert "300 s old" in (silent.description or "")


def test_a_stream_that_stopped_early_is_a_warning_afterwards(lake: Lake) -> None:
    beats(lake, until="20:00:00")
    totals(lake, until="20:00:00")
    late = verdicts(checks_tick("22:00:00"))["live_gamma/fresh"]
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.WARN


def test_a_process_that_totals_nothing_is_told_apart_from_one_that_is_gone(lake: Lake) -> None:
    beats(lake, until="15:30:00")
    found = verdicts(checks_tick("15:30:30"))
    assert found["stream_heartbeats/fresh"].passed
    assert not found["live_gamma/fresh"].passed


def test_totals_that_go_on_from_a_dead_feed_fail(lake: Lake) -> None:
    beats(lake, until="15:30:00")
    totals(lake, until="15:30:00", spot_age_seconds=1770.0, spot_source="index")
    found = verdicts(checks_tick("15:30:30"))
    assert found["stream_heartbeats/fresh"].passed
    dead = found["live_gamma/fresh"]
    assert not dead.passed
    assert dead.severity == dg.AssetCheckSeverity.ERROR
    assert "goes on with a spot that is 1,800 s old" in (dead.description or "")


def test_problems_and_gaps_are_warnings_with_words(lake: Lake) -> None:
    beats(lake, until="15:00:00", is_healthy=False, problems=["no_spot"])
    gap = row(
        tables.FEED_GAPS,
        event_at=clock("14:40:00"),
        until=clock("14:45:00"),
        status="partial",
        reason="silent",
    )
    stream(lake, tables.FEED_GAPS, [gap])
    found = verdicts(checks_tick("15:00:30"))
    for name, word in (
        ("stream_heartbeats/healthy", "no_spot"),
        ("feed_gaps/no_feed_gaps", "silent"),
    ):
        assert not found[name].passed
        assert found[name].severity == dg.AssetCheckSeverity.WARN
        assert word in (found[name].description or "")


def test_verdicts_are_told_when_they_change_and_every_quarter_of_an_hour(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    totals(lake, until="15:00:00")
    first = checks_tick("15:00:30")
    assert isinstance(checks_tick("15:01:30", first.cursor), dg.SkipReason)
    changed = checks_tick("15:03:00", first.cursor)
    assert set(verdicts(changed)) == {"live_gamma/fresh", "stream_heartbeats/fresh"}
    repeated = checks_tick("15:15:30", changed.cursor)
    assert set(verdicts(repeated)) == {"stream_heartbeats/healthy", "feed_gaps/no_feed_gaps"}


def test_a_closed_session_is_told_once(lake: Lake) -> None:
    first = checks_tick("22:00:00")
    assert isinstance(checks_tick("23:30:00", first.cursor), dg.SkipReason)


def checked(at: str) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Judge everything as a run does."""
    job = dg.Definitions(
        asset_checks=[live_checks(underlying("SPX"))],
        resources={"platform": platform(at)},
    ).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, tags=PARTITION)
        return {(e.asset_key.path[-1], e.check_name): e for e in done.get_asset_check_evaluations()}


def test_a_run_also_judges_that_no_row_is_missing(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    beats(lake, until="15:01:00", first=5)
    found = checked("15:01:10")
    holes = found["stream_heartbeats", "no_missing_rows"]
    assert not holes.passed
    assert "3-4" in (holes.description or "")
    assert found["live_trades", "no_missing_rows"].passed
    assert len(found) == 12


# what follows a session


def materialize(asset: dg.AssetsDefinition, at: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset],
            partition_key=KEY,
            instance=instance,
            resources={"platform": platform(at)},
            raise_on_error=False,
        )


def metadata(done: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = done.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_closed_session_is_folded_and_its_rows_stay(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    beats(lake, until="15:01:00", first=3)
    totals(lake, until="15:01:00")
    before = read_partition(lake, tables.STREAM_HEARTBEATS, "SPX", DAY)
    done = materialize(live_compaction(underlying("SPX")), "21:46:00")
    told = metadata(done)
    assert (told["stream_heartbeats_rows"], told["stream_heartbeats_parts_folded"]) == (6, 2)
    assert told["live_trades_rows"] == 0
    parts = list_parts(lake, tables.STREAM_HEARTBEATS, "SPX", DAY)
    assert [part.name for part in parts] == ["session.parquet"]
    assert read_partition(lake, tables.STREAM_HEARTBEATS, "SPX", DAY).equals(before)
    assert verdicts(checks_tick("22:00:00"))["stream_heartbeats/healthy"].passed


def test_a_table_with_a_hole_is_left_as_it_is_and_the_others_are_folded(lake: Lake) -> None:
    totals(lake, until="15:00:00", first=7)
    beats(lake, until="15:00:00")
    done = materialize(live_compaction(underlying("SPX")), "21:46:00")
    assert not done.success
    assert "rows 0 to 6 are missing" in str(done.get_step_failure_events()[0].step_failure_data)
    assert list_parts(lake, tables.LIVE_GAMMA, "SPX", DAY)[0].name == "us-000000007.parquet"
    assert list_parts(lake, tables.STREAM_HEARTBEATS, "SPX", DAY)[0].name == "session.parquet"


def test_an_open_session_is_not_folded(lake: Lake) -> None:
    beats(lake, until="15:00:00")
    assert not materialize(live_compaction(underlying("SPX")), "21:00:00").success
    assert list_parts(lake, tables.STREAM_HEARTBEATS, "SPX", DAY)[0].name == "us-000000000.parquet"


def trades(lake: Lake, *sizes: float) -> None:
    rows = [row(tables.LIVE_TRADES, price_usd=2.0, size_contracts=size) for size in sizes]
    stream(lake, tables.LIVE_TRADES, rows)


def published(lake: Lake, *sizes: float) -> None:
    rows = [
        row(
            tables.OPTION_TRADES,
            provider="polygon",
            price=2.0,
            price_currency="USD",
            size_contracts=size,
            conditions="",
            ordinal=i,
        )
        for i, size in enumerate(sizes)
    ]
    request(lake, tables.OPTION_TRADES, rows, day=DAY)


def counted(lake: Lake, contracts: float, *, day: date) -> None:
    entry = row(
        tables.OPEN_INTEREST,
        provider="occ",
        session_date=day,
        open_interest_contracts=contracts,
    )
    request(lake, tables.OPEN_INTEREST, [entry], day=day)


def request(lake: Lake, table: tables.Table, rows: list[dict[str, Any]], *, day: date) -> None:
    records = Records(
        table=table,
        rows=pa.Table.from_pylist(rows, schema=table.schema),
        provider=rows[0]["provider"],
        source_name="made up",
        source_sha256="0" * 64,
        is_complete=True,
    )
    store_request(lake, records, underlying="SPX", session_date=day)


@pytest.fixture
def spx_reconciliation(lake: Lake) -> dg.AssetsDefinition:
    """SPX's asset; the decorated function was made for the lanes of the default settings."""
    return next(a for a in live_reconciliation if a.key.path[0] == "SPX")


def outcome(
    asset: dg.AssetsDefinition,
) -> tuple[dict[str, Any], dict[str, dg.AssetCheckEvaluation]]:
    done = materialize(asset, "23:00:00")
    assert done.success
    return metadata(done), {e.check_name: e for e in done.get_asset_check_evaluations()}


def test_trades_the_stream_missed_are_a_warning_with_figures_and_a_picture(
    lake: Lake, spx_reconciliation: dg.AssetsDefinition
) -> None:
    trades(lake, 5.0, 3.0)
    published(lake, 5.0, 3.0, 7.0)
    counted(lake, 100.0, day=DAY)
    counted(lake, 110.0, day=NEXT)
    told, checks = outcome(spx_reconciliation)
    assert (told["live_prints"], told["published_prints"], told["missing_prints"]) == (2, 3, 1)
    assert told["missing_volume_contracts"] == 7.0
    assert told["explained_share"] == 1.0
    assert told["open_interest"] == f"occ: sessions {DAY} and {NEXT}"
    assert told["picture"].startswith("![](data:image/png")
    missed = checks["every_print_live"]
    assert not missed.passed
    assert missed.severity == dg.AssetCheckSeverity.WARN
    assert "1 missing of 7 contracts" in (missed.description or "")
    assert checks["change_within_volume"].passed
    assert checks["schema"].passed
    (stored,) = read_partition(lake, tables.LIVE_RECONCILIATION, "SPX", DAY).to_pylist()
    assert (stored["symbol"], stored["status"]) == (CALL, "missing")


def test_what_is_not_held_is_told_and_fails_nothing(
    lake: Lake, spx_reconciliation: dg.AssetsDefinition
) -> None:
    trades(lake, 5.0)
    told, checks = outcome(spx_reconciliation)
    assert "no published tape is held" in told["published_tape"]
    assert f"none is held of {DAY} and {NEXT}" in told["open_interest"]
    assert all(check.passed for check in checks.values())


def test_a_session_without_a_stream_says_so(
    lake: Lake, spx_reconciliation: dg.AssetsDefinition
) -> None:
    published(lake, 5.0)
    told, checks = outcome(spx_reconciliation)
    assert "not running" in told["status"]
    assert all(check.passed for check in checks.values())


def test_the_reconciliation_follows_what_is_held_later(
    lake: Lake, spx_reconciliation: dg.AssetsDefinition
) -> None:
    trades(lake, 5.0)
    outcome(spx_reconciliation)
    published(lake, 5.0)
    told, checks = outcome(spx_reconciliation)
    assert told["missing_prints"] == 0
    assert checks["every_print_live"].passed
    assert list_parts(lake, tables.LIVE_RECONCILIATION, "SPX", DAY)[0].name == "session.parquet"

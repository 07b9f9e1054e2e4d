"""The alerts assets and sensors: from lake rows to the store, and from the store to the lake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.alerts.model import PLATFORM, Outcome, Raised
from dealer_assets.alerts.store import AlertStore
from dealer_assets.defs import sensors
from dealer_assets.defs.alerts import (
    alert_history_sensor,
    alert_watch_sensor,
    alerts,
    platform_alerts,
    view_of,
    watch,
)
from dealer_assets.defs.resources import Platform
from dealer_assets.defs.sensors import run_failure_sensor, run_success_sensor, what_ran
from dealer_assets.derived import alert_rows
from dealer_assets.derived.alert_view import of_model
from dealer_assets.derived.alerting import about_data, about_market, export_session, hand_over
from dealer_assets.domain.alerting import scored
from dealer_assets.domain.alerting.table import rules_of
from dealer_assets.lake.layout import SESSION_PART, part_name
from dealer_assets.lake.reader import Part, list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.reports.alert_pictures import alerts_picture
from dealer_assets.settings import settings
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain import metric_rows as made

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
SPX_ALERTS = next(asset for asset in alerts if asset.key.path[0] == "SPX")


def at(minute: float) -> datetime:
    return OPEN + timedelta(minutes=minute)


def platform(now: datetime) -> Platform:
    """A platform whose clock starts at an instant."""
    return Platform(clock_offset_seconds=int((now - datetime.now(UTC)).total_seconds()))


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX")
    settings.cache_clear()
    yield Platform().lake()
    settings.cache_clear()


@pytest.fixture
def store(lake: Lake) -> Iterator[AlertStore]:
    with AlertStore(settings().alert_store) as opened:
        yield opened


def spots(lake: Lake, *values: float, day: date = DAY, step: float = 1.0) -> None:
    """Store a snapshot's levels a step of minutes for each spot, the flip at 6500 within ten."""
    for i, spot in enumerate(values):
        event_at = at(i * step) + (day - DAY)
        band: dict[str, Any] = {
            "flip_price": 6500.0,
            "flip_lo": 6490.0,
            "flip_hi": 6510.0,
            "is_publishable": True,
        }
        rows = made.levels(at=event_at, spot=spot, **band)
        name = part_name(tables.EXPOSURE_LEVELS, event_at=event_at)
        write_part(
            lake, tables.EXPOSURE_LEVELS, rows, underlying="SPX", session_date=day, name=name
        )


def problem(lake: Lake, minute: float, *kinds: str) -> None:
    """Store what is wrong with the data of a snapshot; no kind: nothing is."""
    table = tables.DATA_ANOMALIES
    rows = [
        {
            "underlying": "SPX",
            "session_date": DAY,
            "event_at": at(minute),
            "known_at": at(minute),
            "kind": kind,
            "action": "block",
            "scope": "snapshot",
            "contracts": 10,
            "share": 1.0,
            "symbols": [],
            "spoils": ["quotes"],
            "source": "rows",
            "found": "0",
            "expected": "more",
            "words": f"{kind} in words",
        }
        for kind in kinds
    ]
    write_part(
        lake,
        table,
        pa.Table.from_pylist(rows, schema=table.schema),
        underlying="SPX",
        session_date=DAY,
        name=part_name(table, event_at=at(minute)),
    )


def run(
    now: datetime, asset: dg.AssetsDefinition = SPX_ALERTS, day: date = DAY
) -> dict[str, object]:
    result = dg.materialize(
        [asset], partition_key=day.isoformat(), resources={"platform": platform(now)}
    )
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return {k: v.value for k, v in event.materialization.metadata.items()}


def test_a_run_raises_what_is_new_and_a_rerun_raises_nothing(lake: Lake, store: AlertStore) -> None:
    spots(lake, 6520.0, 6520.0, 6480.0)
    told = run(at(5))
    assert told["alerts_raised"] == 1
    assert str(told["alerts"]).startswith("![")
    (queued,) = store.due(at(9), 9)
    assert queued.alert.title == "SPX spot 6,480.00 went below the flip 6,500.00"
    (part,) = list_parts(lake, tables.ALERTS, "SPX", DAY)
    before = Path(lake.locate(part.path)).read_bytes()
    again = run(at(6))
    assert (again["alerts_raised"], again["alerts_held_already"]) == (0, 1)
    assert again["parts_written"] == 0
    assert Path(lake.locate(part.path)).read_bytes() == before
    spots(lake, 6520.0, 6520.0, 6480.0, 6530.0)
    third = run(at(7))
    assert (third["alerts_raised"], third["alerts_ended"]) == (1, 1)
    rows = read_partition(lake, tables.ALERTS, "SPX", DAY)
    assert rows["happening"].to_pylist().count("resolved") == 1
    assert set(rows["state"].to_pylist()) == {"new", "resolved"}


def test_a_backfill_of_the_past_tells_its_alerts_and_sends_none(
    lake: Lake, store: AlertStore
) -> None:
    spots(lake, 6520.0, 6480.0, 6520.0, 6480.0)
    told = run(at(60 * 24 * 30))
    assert told["alerts_raised"] == 2
    assert told["alerts_cooled_down"] == 1
    assert store.due(at(60 * 24 * 30), 9) == []
    rows = read_partition(lake, tables.ALERTS, "SPX", DAY)
    assert rows["is_historical"].to_pylist() == [True] * 4
    assert run(at(60 * 24 * 31))["alerts_raised"] == 0


def test_a_crossing_over_night_is_found_from_the_closing_of_the_session_before(lake: Lake) -> None:
    spots(lake, 6480.0, 6520.0, day=date(2026, 11, 19))
    spots(lake, 6480.0)
    assert run(at(5))["alerts_raised"] == 1


def test_a_running_session_is_looked_at_whole_so_that_its_alerts_do_not_depend_on_when(
    lake: Lake,
) -> None:
    spots(lake, 6520.0, 6480.0, 6520.0, 6520.0, step=120.0)
    rules = rules_of("")
    views = [view_of(platform(at(now)), underlying("SPX"), DAY) for now in (370, 399, 999)]
    assert [view.is_running for view in views] == [True, True, False]
    found = [about_market(view, rules, model="naive").alerts for view in views]
    assert [a.dedupe_key for a in found[0]] == ["below", "above"]
    assert found[0] == found[1] == found[2]


def test_rows_read_before_are_kept_until_their_part_changes(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def read(lake: Lake, table: tables.Table, part: Part, **more: Any) -> pa.Table:
        opened.append(part.name)
        return read_part(lake, table, part, **more)

    monkeypatch.setattr(alert_rows, "read_part", read)

    def seen() -> tuple[list[float], list[str]]:
        opened.clear()
        view = view_of(platform(at(30)), underlying("SPX"), DAY)
        rows = view.rows(tables.EXPOSURE_LEVELS, ("spot", "event_at", "model"), of_model("naive"))
        assert rows["event_at"].to_pylist() == sorted(rows["event_at"].to_pylist())
        return rows["spot"].to_pylist(), list(opened)

    first, second, third = (f"{at(i):%H%M%S}.parquet" for i in range(3))
    spots(lake, 6520.0, 6480.0)
    assert seen() == ([6520.0, 6480.0], [first, second])
    assert seen() == ([6520.0, 6480.0], [])
    spots(lake, 6520.0, 6490.0, 6500.0)  # the second anew, a third
    assert seen() == ([6520.0, 6490.0, 6500.0], [second, third])
    (part, *_) = list_parts(lake, tables.EXPOSURE_LEVELS, "SPX", DAY)
    lake.remove(part.path)
    assert seen() == ([6490.0, 6500.0], [])
    (kept,) = settings().alert_store.with_name("looked_at").glob("*")
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 200):
        kept.write_bytes(damaged)
        assert seen() == ([6490.0, 6500.0], [second, third])
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("a file where the folder belongs: the disk takes nothing")
    assert seen() == ([6490.0, 6500.0], [second, third])


def test_a_problem_that_lasts_for_hours_began_when_it_began(lake: Lake) -> None:
    problem(lake, 0)
    for minute in range(1, 401, 40):
        problem(lake, minute, "zero_bids")
    view = view_of(platform(at(400)), underlying("SPX"), DAY)
    (alert,) = about_data(view, rules_of("stale_data off")).alerts
    assert (alert.event_at, alert.rule) == (at(1), "data_problem")
    assert alert.title == "SPX data cannot be scored: zero bids"


def test_the_watch_tells_of_bad_data_without_any_run(lake: Lake, store: AlertStore) -> None:
    problem(lake, 1, "zero_bids")
    found = watch(platform(at(3)))["SPX"]
    assert len(found.taken) == 1
    problem(lake, 4)
    assert watch(platform(at(5)))["SPX"].ended == found.taken
    assert [q.state for q in store.listing()] == ["resolved"]
    context = dg.build_sensor_context(resources={"platform": platform(at(60 * 20))})
    assert "no session quotes" in str(alert_watch_sensor(context))


def test_what_is_done_to_an_alert_comes_into_the_lake_by_a_requested_run(
    lake: Lake, store: AlertStore
) -> None:
    spots(lake, 6520.0, 6480.0)
    run(at(5))
    (queued,) = store.due(at(9), 9)

    def asked(now: datetime, cursor: str | None = None) -> tuple[list[str | None], str | None]:
        with dg.build_sensor_context(
            cursor=cursor, resources={"platform": platform(now)}
        ) as context:
            told = alert_history_sensor(context)
        assert isinstance(told, dg.SensorResult)
        return [r.partition_key for r in told.run_requests or []], told.cursor

    days, cursor = asked(at(8))
    assert days == [], "the run that raised it wrote it down"
    store.acknowledge(queued.alert.alert_id, "ann", at(7.9), "dated before the tick, written after")
    days, cursor = asked(at(9), cursor)
    assert days == ["2026-11-20"]
    run(at(10))
    rows = read_partition(lake, tables.ALERTS, "SPX", DAY)
    assert rows["done_by"].to_pylist()[-1] == "ann"
    assert rows["known_at"].to_pylist()[-1] == at(7.9)
    assert asked(at(11), cursor)[0] == []
    store.resolve(queued.alert.alert_id, "ann", at(12))
    assert asked(at(13), at(9999).isoformat())[0] == ["2026-11-20"], "the clock was set back"


def test_the_same_store_gives_the_same_bytes_and_a_lost_one_loses_nothing(
    lake: Lake, store: AlertStore
) -> None:
    spots(lake, 6520.0, 6480.0)
    run(at(5))
    assert not export_session(lake, store, "SPX", DAY).is_changed
    before = read_partition(lake, tables.ALERTS, "SPX", DAY)
    with AlertStore(settings().alert_store.with_name("other.sqlite")) as other:
        exported = export_session(lake, other, "SPX", DAY)
        assert exported.rows.equals(before)
        assert not exported.is_changed


def failed_context(instance: dg.DagsterInstance, now: datetime) -> dg.RunFailureSensorContext:
    @dg.op
    def breaks() -> None:
        raise RuntimeError("json://user:planted-token@host/path refused")

    @dg.job(tags={"dagster/partition": "2026-11-20"})
    def session_xnys() -> None:
        breaks()

    result = session_xnys.execute_in_process(instance=instance, raise_on_error=False)
    return dg.build_run_status_sensor_context(
        sensor_name="run_failure",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"platform": platform(now)},
    ).for_run_failure()


def test_a_failed_run_is_an_alert_of_the_platform_once_and_a_success_ends_it(
    lake: Lake, store: AlertStore
) -> None:
    now = datetime.now(UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = failed_context(instance, now)
        for _ in range(2):
            run_failure_sensor(context)
        (queued,) = store.due(now + timedelta(minutes=1), 9)
        assert queued.alert.title == "PLATFORM run of session_xnys of 2026-11-20 failed"
        assert "planted-token" not in queued.alert.body

        @dg.job(tags={"dagster/partition": "2026-11-20"})
        def session_xnys() -> None: ...

        done = session_xnys.execute_in_process(instance=instance)
        run_success_sensor(
            dg.build_run_status_sensor_context(
                sensor_name="run_success",
                dagster_event=done.get_run_success_event(),
                dagster_instance=instance,
                dagster_run=done.dagster_run,
                resources={"platform": platform(now + timedelta(minutes=1))},
            )
        )
    assert store.get(queued.alert.alert_id).state == "resolved"
    day = queued.alert.session_date
    assert run(now, platform_alerts, day)["dagster/row_count"] == 2
    assert [p.name for p in list_parts(lake, tables.ALERTS, PLATFORM, day)] == [SESSION_PART]


def test_a_wrong_setting_of_rules_does_not_silence_the_runs_that_fail_of_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALER_ALERT_RULES", "walls off")
    settings.cache_clear()
    assert sensors._failed_run_rule(platform(at(0))) == rules_of("")["failed_run"]


def test_a_poll_scored_anew_is_told_again_only_where_it_is_worse(
    lake: Lake, store: AlertStore
) -> None:
    view = view_of(platform(at(40)), underlying("SPX"), DAY)

    def scored_as(severity: str) -> Raised:
        row = dict(zip(scored.CONTRACT_COLUMNS, (at(30), at(31), "A", 90.0, 0.01), strict=False))
        row |= {"severity": severity, "is_anomaly": True, "words": "volume"}
        schema = pa.schema([tables.ANOMALY_SCORES.schema.field(n) for n in row])
        rows = pa.Table.from_pylist([row], schema=schema)
        rule = rules_of("")["score_at_least"]
        return hand_over(store, view, scored.score_at_least(rule, "SPX", DAY, rows))

    assert scored_as("warning").taken
    assert scored_as("notice").duplicates
    assert scored_as("severe").taken
    assert scored_as("severe").duplicates
    assert scored_as("warning").duplicates
    assert [q.alert.severity for q in store.due(at(40))] == ["warning", "severe"]


def test_runs_of_chosen_assets_are_told_apart_by_what_they_make() -> None:
    levels, regimes = dg.AssetKey(["SPX", "exposure_levels"]), dg.AssetKey(["SPX", "alerts"])
    both = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset({levels, regimes}))
    one = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset({levels}))
    assert what_ran(both) == "SPX/alerts and 1 more assets"
    assert what_ran(one) == "SPX/exposure_levels"
    named = dg.DagsterRun(job_name="session_xnys", asset_selection=frozenset({levels}))
    assert what_ran(named) == "session_xnys"


def test_rules_that_are_off_are_not_asked(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    spots(lake, 6520.0, 6480.0)
    monkeypatch.setenv("DEALER_ALERT_RULES", "flip_crossed off")
    settings.cache_clear()
    assert run(at(5))["alerts_raised"] == 0


def test_the_picture_tells_open_resolved_and_historical_alerts(
    lake: Lake, store: AlertStore
) -> None:
    spots(lake, 6520.0, 6480.0, 6530.0)
    run(at(5))
    (queued,) = store.due(at(9), 9)
    store.begin_attempt(queued.alert.alert_id, "log", at(6))
    store.record(queued.alert.alert_id, "log", Outcome("delivered"), at(6))
    rows = export_session(lake, store, "SPX", DAY).rows
    assert alerts_picture(rows)[:4] == b"\x89PNG"
    assert alerts_picture(rows.slice(0, 0))[:4] == b"\x89PNG"

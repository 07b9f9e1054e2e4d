"""Scores of an underlying from the lake: polls only, earlier sessions only, same bytes again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.defs.measures import underlying_scores
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.measuring import SESSION_SOURCES, SOURCES, measuring, past_rows
from dealer_assets.domain.sessions import NEW_YORK, sessions_before
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.reader import fingerprint, list_parts, read_partition
from dealer_assets.lake.refresh import Refreshed, refresh_snapshots
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.settings import settings
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain import measure_rows as made

SPX = underlying("SPX")
DAY = date(2026, 11, 20)
DAYS = [*sessions_before("XNYS", DAY, most=24)][::-1]
TABLE = tables.UNDERLYING_SCORES


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX")
    settings.cache_clear()
    yield Platform().lake()
    settings.cache_clear()


def instant(day: date, clock: time) -> datetime:
    """Return a UTC instant of a session from New York's clock."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def store(
    lake: Lake, at: datetime, *, spot: float = 5000.0, vol: float = 0.2, **rows: pa.Table
) -> None:
    """Store one snapshot of SPX: flat vols, the levels of `measure_rows`."""
    told = made.snapshot(
        at,
        exposure_levels=made.levels(at, spot=spot),
        vol_surface=made.surface(at, tuple((days, vol) for days in (5, 10, 40, 100))),
    )
    for name, table_rows in (told | rows).items():
        table = tables.table(name)
        where = {"underlying": "SPX", "session_date": at.date()}
        write_part(lake, table, table_rows, **where, name=part_name(table, event_at=at))


def refreshed(lake: Lake, day: date, *, model: str = "naive") -> Refreshed:
    found = measuring(lake, SPX, day, model=model)
    return refresh_snapshots(
        lake,
        TABLE,
        sources=SOURCES,
        session_sources=SESSION_SOURCES,
        underlying="SPX",
        session_date=day,
        derive=found.derive,
        options=found.options,
    )


def of(rows: pa.Table, measure: str) -> list[dict[str, object]]:
    return rows.filter(pc.equal(rows["measure"], measure)).to_pylist()  # type: ignore[no-any-return]


def scores(lake: Lake, day: date = DAY) -> pa.Table:
    return read_partition(lake, TABLE, "SPX", day)


def calm(lake: Lake, days: list[date]) -> None:
    """Store and score sessions whose vol goes up and down by a tenth of a point."""
    for i, day in enumerate(days):
        for clock in (time(11, 0), time(16, 0)):
            store(lake, instant(day, clock), spot=5000.0 + 10 * (i % 3), vol=0.2 + 0.001 * (i % 5))
        refreshed(lake, day)


def remembered(lake: Lake, days: list[date]) -> None:
    """Store scores of earlier sessions without what they came of."""
    for i, day in enumerate(days):
        for slot in (11, 16):
            rows = [
                made.past([20.0 + 0.1 * (i % 5)], measure=name, last=day, slot=slot)
                for name in ("atm_vol_30d", "atm_vol_30d_change")
            ]
            at = rows[0]["event_at"][0].as_py()
            where = {"underlying": "SPX", "session_date": day}
            joined = pa.concat_tables(rows).sort_by("measure")
            write_part(lake, TABLE, joined, **where, name=part_name(TABLE, event_at=at))


def test_a_jump_of_vol_stands_out_at_the_poll_where_it_happens(lake: Lake) -> None:
    remembered(lake, DAYS[:-1])
    calm(lake, DAYS[-1:])
    store(lake, instant(DAY, time(11, 0)), vol=0.201)
    store(lake, instant(DAY, time(11, 30)), vol=0.9)  # no poll: the hour has one
    store(lake, instant(DAY, time(16, 0)), vol=0.35)
    done = refreshed(lake, DAY)
    assert len(done.written) == 3
    rows = scores(lake)
    eleven, sixteen = of(rows, "atm_vol_30d")
    assert (eleven["slot"], sixteen["slot"]) == (11, 16)
    assert (eleven["is_anomaly"], sixteen["is_anomaly"]) == (False, True)
    assert (sixteen["history_from"], sixteen["history_sessions"]) == ("slot", 24)
    change = of(rows, "atm_vol_30d_change")[1]
    assert change["value"] == pytest.approx(35.0 - 20.0)
    assert of(rows, "skew_25d_30d")[1]["status"] == "thin"
    realised = of(rows, "implied_less_realised")[1]
    assert realised["value"] == pytest.approx(35.0), "spot stood still"


def test_later_snapshots_and_sessions_change_no_earlier_score(lake: Lake) -> None:
    calm(lake, DAYS[-4:])
    store(lake, instant(DAY, time(11, 0)))
    refreshed(lake, DAY)
    before = scores(lake).to_pylist()
    store(lake, instant(DAY, time(12, 0)), vol=0.9)
    store(lake, instant(DAY + timedelta(days=3), time(11, 0)), vol=0.9)
    refreshed(lake, DAY + timedelta(days=3))
    refreshed(lake, DAY)
    after = scores(lake)
    assert after.filter(pc.equal(after["slot"], 11)).to_pylist() == before


def test_a_rerun_writes_nothing_and_a_late_rebuild_the_same_bytes(lake: Lake) -> None:
    calm(lake, DAYS[-4:])
    store(lake, instant(DAY, time(11, 0)))
    refreshed(lake, DAY)
    (part,) = list_parts(lake, TABLE, "SPX", DAY)
    first = fingerprint(lake, part)
    done = refreshed(lake, DAY)
    assert (done.written, done.kept) == ((), 1)
    store(lake, instant(DAYS[-1], time(16, 0)), vol=0.4)  # the closing before is corrected
    refreshed(lake, DAYS[-1])
    assert len(refreshed(lake, DAY).written) == 1
    assert fingerprint(lake, part) != first
    store(lake, instant(DAYS[-1], time(16, 0)), vol=0.2 + 0.001 * 3, spot=5000.0)
    refreshed(lake, DAYS[-1])
    refreshed(lake, DAY)
    assert fingerprint(lake, part) == first


def test_the_closing_before_is_the_last_poll_of_the_session_before_or_none(lake: Lake) -> None:
    calm(lake, DAYS[-3:-1])  # the session before the day is missing
    store(lake, instant(DAY, time(11, 0)), spot=5050.0)
    refreshed(lake, DAY)
    (row,) = of(scores(lake), "spot_return")
    assert row["status"] == "not_determined"
    assert str(row["words"]).endswith("no closing of the session before is held")
    calm(lake, DAYS[-1:])
    refreshed(lake, DAY)
    (row,) = of(scores(lake), "spot_return")
    assert row["value"] == pytest.approx(1.0)  # 50 USD of 50


def test_real_chains_are_not_compared_with_simulated_ones(lake: Lake) -> None:
    for day in DAYS[-3:]:
        at = instant(day, time(16, 0))
        store(lake, at, chain_snapshots=made.chain(at, provider="simulator"))
        refreshed(lake, day)
    store(lake, instant(DAY, time(16, 0)))
    refreshed(lake, DAY)
    (row,) = of(scores(lake), "atm_vol_30d")
    assert (row["status"], row["is_simulated"]) == ("no_history", False)
    assert set(scores(lake, DAYS[-1])["is_simulated"].to_pylist()) == {True}


def test_a_snapshot_without_levels_of_the_model_has_no_rows(lake: Lake) -> None:
    store(lake, instant(DAY, time(11, 0)))
    assert refreshed(lake, DAY, model="taker_flow").rows == 0


def test_sixty_sessions_are_read_and_no_later_one(lake: Lake) -> None:
    calm(lake, DAYS[:3])
    assert past_rows(lake, SPX, DAYS[2]).num_rows == 2 * 2 * len(made.NAMES)
    assert past_rows(lake, SPX, DAYS[0]).num_rows == 0


def run(*, expected: bool = True, **config: object) -> dg.ExecuteInProcessResult:
    asset = next(a for a in underlying_scores if a.key.path[0] == "SPX")
    done = dg.materialize(
        [asset],
        partition_key=DAY.isoformat(),
        resources={"platform": Platform()},
        run_config={"ops": {"SPX__underlying_scores": {"config": config}}} if config else None,
        raise_on_error=expected,
    )
    assert done.success == expected
    return done


def test_the_asset_scores_a_session_shows_it_and_checks_it(lake: Lake) -> None:
    remembered(lake, DAYS)
    store(lake, instant(DAY, time(16, 0)), vol=0.5)
    done = run()
    (event,) = done.get_asset_materialization_events()
    told = {k: v.value for k, v in event.materialization.metadata.items()}
    assert told["polls"] == 1
    assert "30-day vol at the money 50.00 vol points" in str(told["unusual_now"])
    assert str(told["standing"]).startswith("![](data:image/png;base64,")
    checks = {e.check_name: e.passed for e in done.get_asset_check_evaluations()}
    assert checks["schema"]
    assert checks["anomalies_follow_control"]
    assert checks["statuses_fit"]
    again = run(pictures=False).get_asset_materialization_events()[0].materialization.metadata
    assert (again["parts_written"].value, again["parts_current"].value) == (0, 1)


def test_a_snapshot_that_a_data_anomaly_blocks_is_not_scored(lake: Lake) -> None:
    at = instant(DAY, time(16, 0))
    wiped = made.anomalies(("wiped_open_interest", "snapshot", 1.0, ["open_interest"]), at=at)
    column = wiped.schema.get_field_index("action")
    wiped = wiped.set_column(column, wiped.schema.field("action"), pa.array(["block"]))
    store(lake, at, data_anomalies=wiped)
    run()
    assert scores(lake).num_rows == 0

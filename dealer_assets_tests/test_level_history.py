"""Pins, changes and scores through the lake and the asset graph."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.defs.pins import pin_levels, strike_changes
from dealer_assets.defs.resources import Platform
from dealer_assets.defs.scorecard import level_scores
from dealer_assets.derived.level_history import score_session
from dealer_assets.domain import sessions
from dealer_assets.lake.layout import snapshot_part
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.strike_rows import exposure, held, levels
from dealer_assets_tests.live_rows import row

BTC = underlying("BTC")
DAY = date(2026, 11, 19)
NEXT = date(2026, 11, 20)
STRIKES = np.arange(4900.0, 5101.0, 20.0)


class Rehearsal(Platform):
    """A platform whose clock a test sets."""

    at: str

    def now(self) -> datetime:
        return datetime.fromisoformat(self.at)


OVER = Rehearsal(at="2026-11-21T06:00:00+00:00")


@pytest.fixture
def lake(data_dir: Path) -> Lake:
    """An empty lake that the platform opens too."""
    assert not data_dir.exists()
    return OVER.lake()


def at(hour: int, day: date = DAY) -> datetime:
    return datetime(
        day.year, day.month, day.day, hour, tzinfo=sessions.session_open("24/7", day).tzinfo
    )


def store(
    lake: Lake, table: tables.Table, rows: pa.Table, instant: datetime, name: str = ""
) -> None:
    place = rows.schema.get_field_index("underlying")
    named = rows.set_column(place, "underlying", pa.array(["BTC"] * rows.num_rows))
    write_part(
        lake,
        table,
        named.cast(table.schema),
        underlying="BTC",
        session_date=instant.date(),
        name=name or snapshot_part(instant),
    )


def snapshot(lake: Lake, instant: datetime, *, more: float = 0.0, spot: float = 5000.0) -> None:
    """Exposures and levels of an instant; `more` contracts at 5,020."""
    book = exposure(
        *(
            held(
                k, 30.0 + more if k == 5020 else 1.0, at=instant, spot=spot, days=0.5, name=f"C{k}"
            )
            for k in STRIKES
        )
    )
    store(lake, tables.DEALER_EXPOSURE, book, instant)
    settled = levels(at=instant, day=instant.date(), spot=spot, call_wall=5040.0, put_wall=4900.0)
    store(lake, tables.EXPOSURE_LEVELS, settled, instant)


def materialize(assets: list[dg.AssetsDefinition], day: date, platform: Platform = OVER) -> Any:
    of_lane = [asset for asset in assets if asset.key.path[0] == "BTC"]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            of_lane,
            partition_key=day.isoformat(),
            instance=instance,
            resources={"platform": platform},
        )
    assert done.success
    events = done.get_asset_materialization_events()
    return {
        event.asset_key.path[-1]: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in events
    }


def test_assets_make_pins_changes_and_scores_and_a_rerun_keeps_them(lake: Lake) -> None:
    snapshot(lake, at(9))
    snapshot(lake, at(21), more=40.0)
    told = materialize([*pin_levels, *strike_changes], DAY)
    assert "naive: 5,020" in told["pin_levels"]["pins"]
    assert "+40 contracts" in told["strike_changes"]["alerts"]
    again = materialize([*pin_levels, *strike_changes], DAY)
    assert {k: v["parts_current"] for k, v in again.items()} == dict.fromkeys(again, 2)
    snapshot(lake, at(22), more=40.0)
    third = materialize([*pin_levels, *strike_changes], DAY)
    assert {k: v["parts_written"] for k, v in third.items()} == dict.fromkeys(third, 1)
    for hour, spot in ((1, 5000.0), (12, 5038.0), (23, 5010.0)):
        snapshot(lake, at(hour, NEXT), spot=spot)
    scored = materialize(level_scores, NEXT)["level_scores"]
    assert scored["status"] == "stored"
    rows = read_partition(lake, tables.LEVEL_SCORES, "BTC", NEXT).to_pylist()
    pin = next(r for r in rows if r["level_kind"] == "pin_1")
    assert (pin["level_price"], pin["is_touched"]) == (5020.0, True)
    assert (pin["set_at"], pin["event_at"]) == (at(22), at(23, NEXT))
    assert materialize(level_scores, NEXT)["level_scores"]["status"] == "current"


def test_a_snapshot_in_between_renews_the_changes_after_it(lake: Lake) -> None:
    snapshot(lake, at(9))
    snapshot(lake, at(21), more=40.0)
    materialize([*pin_levels, *strike_changes], DAY)
    snapshot(lake, at(15), more=25.0)
    materialize([*pin_levels, *strike_changes], DAY)
    rows = read_partition(lake, tables.STRIKE_CHANGES, "BTC", DAY).to_pylist()
    steps = [(r["event_at"], r["position_change_contracts"]) for r in rows if r["strike"] == 5020]
    assert steps == [(at(9), None), (at(15), 25.0), (at(21), 15.0)]


def test_a_changed_contract_renews_the_changes_after_it_though_its_strike_sums_stay(
    lake: Lake,
) -> None:
    def stored(instant: datetime, call: float, put: float) -> None:
        snapshot(lake, instant)
        book = (held(5000, call, at=instant), held(5000, put, at=instant, right="put"))
        store(lake, tables.DEALER_EXPOSURE, exposure(*book), instant)

    def by_position() -> list[float]:
        rows = read_partition(lake, tables.STRIKE_CHANGES, "BTC", DAY)
        return [r["position_change_contracts"] for r in rows.to_pylist() if r["previous_at"]]

    stored(at(9), 30.0, 10.0)
    second = exposure(held(5000, 30.0, at=at(21)))
    snapshot(lake, at(21))
    store(lake, tables.DEALER_EXPOSURE, second, at(21))
    materialize([*pin_levels, *strike_changes], DAY)
    assert by_position() == [0.0]
    stored(at(9), 10.0, 30.0)
    told = materialize([*pin_levels, *strike_changes], DAY)
    assert told["strike_changes"]["parts_written"] == 2
    assert by_position() == [20.0]


def test_a_session_is_scored_once_it_is_over_and_only_by_the_session_before(lake: Lake) -> None:
    snapshot(lake, at(1, NEXT))
    over = at(6, NEXT + timedelta(days=1))
    assert score_session(lake, BTC, NEXT, now=over).status == "no_levels"
    snapshot(lake, at(21, DAY - timedelta(days=1)))  # a session further back settles nothing
    assert score_session(lake, BTC, NEXT, now=over).status == "no_levels"
    snapshot(lake, at(21))
    assert score_session(lake, BTC, NEXT, now=at(23, NEXT)).status == "running"
    assert score_session(lake, BTC, NEXT, now=over).status == "stored"
    assert score_session(lake, BTC, NEXT + timedelta(days=1), now=over).status == "running"
    later = NEXT + timedelta(days=2)
    assert score_session(lake, BTC, later, now=over + timedelta(days=3)).status == "no_levels"
    assert list_parts(lake, tables.LEVEL_SCORES, "BTC", later) == []


def test_values_of_the_underlying_are_the_path_where_they_are_more(lake: Lake) -> None:
    snapshot(lake, at(21))
    snapshot(lake, at(12, NEXT), spot=5000.0)
    values = [
        row(tables.INDEX_VALUES, at=at(h, NEXT), session_date=NEXT, kind="spot", value=v)
        for h, v in ((0, 5001.0), (11, 5045.0), (23, 4999.0))
    ]
    table = pa.Table.from_pylist(values, schema=tables.INDEX_VALUES.schema)
    store(lake, tables.INDEX_VALUES, table, at(0, NEXT), "deribit-" + "0" * 12 + ".parquet")
    scored = score_session(lake, BTC, NEXT, now=at(6, NEXT + timedelta(days=1))).rows.to_pylist()
    wall = next(r for r in scored if r["level_kind"] == "call_wall")
    assert (wall["path_source"], wall["path_points"], wall["high_price"]) == (
        "index_values",
        3,
        5045,
    )
    assert (wall["is_touched"], wall["is_held"]) == (True, True)

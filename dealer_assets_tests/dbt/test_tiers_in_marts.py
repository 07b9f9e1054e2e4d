"""Marts over a lake whose sessions are packed and sent away: the same rows as before."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.lake.layout import part_name, part_path
from dealer_assets.lake.retention import Windows, retain
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.tiers import partitions_of
from dealer_assets.lake.writer import content_sha256, encoded, ensure_tables

MARTS = ("fct_exposure_by_strike", "fct_contract_daily", "fct_surface_quality", "dim_contracts")
RUN = ("run", "--select", *(f"+{mart}" for mart in MARTS))
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def fill(lake, rows):
    """Write rows as the lake's writer does, without holding them against the dictionary."""
    for table in tables.TABLES:
        groups = {}
        for row in rows.get(table.name, []) if table.part in ("snapshot", "session") else []:
            name = part_name(table, event_at=row["event_at"])
            place = {"session_date": row["session_date"], "name": name}
            path = part_path(table, row["underlying"], **place)
            groups.setdefault(path, []).append(row)
        for path, held in groups.items():
            made = pa.Table.from_pylist(held, schema=table.schema)
            told = {
                "dealer.table": table.name,
                "dealer.version": str(table.version),
                "dealer.code_version": "1",
                "dealer.content_sha256": content_sha256(made),
            }
            lake.put(path, encoded(table, made, told))


@pytest.mark.slow
@pytest.mark.dbt
def test_marts_are_the_same_over_single_packed_and_cold_sessions(
    dbt_build, tmp_path, hand_made_rows
):
    place, cold = tmp_path / "lake", tmp_path / "cold"
    lake = open_lake(str(place), cold_uri=str(cold))
    ensure_tables(lake)
    fill(lake, hand_made_rows())
    before = dbt_build(place, "single", RUN)
    assert before.exit_code == 0, before.output
    done = list(retain(lake, NOW, Windows(hot=1, warm=1)))
    assert {one.step.action for one in done} == {"pack", "send"}
    assert [one.problem for one in done if one.problem] == []
    left = partitions_of(lake, tables.EXPOSURE_LEVELS)
    assert left
    assert {name for names in left.values() for name in names} == {"_cold.json"}
    ensure_tables(lake.cold)
    after = dbt_build(place, "cold", RUN, DEALER_COLD_URI=str(cold))
    assert after.exit_code == 0, after.output
    for mart in MARTS:
        query = f"select * from {mart} order by all"
        assert before.rows(query), mart
        assert after.rows(query) == before.rows(query), mart

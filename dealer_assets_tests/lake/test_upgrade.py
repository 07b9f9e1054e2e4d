"""Lakes of earlier releases keep their chains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pyarrow as pa

from dealer_assets.lake.layout import snapshot_part, stream_part
from dealer_assets.lake.reader import list_parts, part_metadata, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.upgrade import upgrade
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS
from dealer_assets.tables.live import LIVE_GAMMA
from dealer_assets_tests.live_rows import numbered, row

FRIDAY = date(2026, 11, 20)
FIRST = replace(
    CHAIN_SNAPSHOTS,
    version=1,
    columns=tuple(c for c in CHAIN_SNAPSHOTS.columns if c.name != "is_partial"),
)


def test_chains_of_the_first_version_are_kept_with_the_new_column(
    lake: Lake, chain_rows: Callable[..., pa.Table]
) -> None:
    rows = chain_rows(6)
    name = snapshot_part(rows["event_at"][0].as_py())
    write_part(
        lake,
        FIRST,
        rows.drop_columns(["is_partial"]),
        underlying="SPX",
        session_date=FRIDAY,
        name=name,
        provenance={"input": "x"},
    )
    (path, done), *rest = upgrade(lake)
    assert (path.endswith(name), done, rest) == (True, "rewritten", [])
    (part,) = list_parts(lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY)
    assert read_part(lake, CHAIN_SNAPSHOTS, part).equals(
        pa.table(rows.columns, schema=CHAIN_SNAPSHOTS.schema)
    )
    assert part_metadata(lake, part)["input"] == "x"
    assert list(upgrade(lake)) == []


def test_live_seconds_of_the_first_version_are_kept_with_nothing_told_of_errors(
    lake: Lake,
) -> None:
    added = ["net_gamma_sd_usd_per_pct", "settled_open_interest_share"]
    columns = tuple(c for c in LIVE_GAMMA.columns if c.name not in added)
    rows = numbered(LIVE_GAMMA, [row(LIVE_GAMMA), row(LIVE_GAMMA)])
    name = stream_part("us", 0)
    write_part(
        lake,
        replace(LIVE_GAMMA, version=1, columns=columns),
        rows.drop_columns(added),
        underlying="SPX",
        session_date=FRIDAY,
        name=name,
        provenance={"stream": "us"},
    )
    ((path, done),) = upgrade(lake)
    assert (path.endswith(name), done) == (True, "rewritten")
    (part,) = list_parts(lake, LIVE_GAMMA, "SPX", FRIDAY)
    assert read_part(lake, LIVE_GAMMA, part).equals(rows)
    assert part_metadata(lake, part)["stream"] == "us"

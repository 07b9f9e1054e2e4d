"""Lakes of earlier releases: parts of an older schema are rewritten, none is given up.

Belongs here: what a newer version of a table added, and the value older parts take. Does not belong
here: derived tables; they are computed again from what is upgraded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets import tables
from dealer_assets.lake import layout
from dealer_assets.lake.reader import (
    Part,
    list_parts,
    part_metadata,
    sessions_held,
    underlyings_held,
)
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.tiers import bring_back
from dealer_assets.lake.writer import RESERVED, delete_part, write_part
from dealer_assets.tables import TABLES, Table

ADDED: dict[str, dict[str, object]] = {
    # until version 2 a snapshot was never known to be partial but by its looks
    tables.CHAIN_SNAPSHOTS.name: {"is_partial": False},
    # rows of version 1 are of models that tell no error
    tables.LIVE_GAMMA.name: {
        "net_gamma_sd_usd_per_pct": None,
        "settled_open_interest_share": None,
    },
}
"""Table to columns that a later version added, with the value that older parts take."""


def upgrade(lake: Lake) -> Iterator[tuple[str, str]]:
    """Bring every part of an older version up to date; repeating it changes nothing.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.

    Yields
    ------
    tuple of (str, str)
        Path of a part, and what was done: ``rewritten``, or ``deleted`` where the table is derived
        and the next run computes it anew.
    """
    lake.require_writable()
    for table in TABLES:
        if table.version == 1:
            continue
        for symbol in underlyings_held(lake, table):
            for day in sessions_held(lake, table, symbol):
                if not _has_older(lake, table, symbol, day):
                    continue
                bring_back(lake, table, underlying=symbol, session_date=day)
                for part in list_parts(lake, table, symbol, day):
                    if int(part_metadata(lake, part)["version"]) < table.version:
                        yield part.path, _renew(lake, table, part)


def _has_older(lake: Lake, table: Table, symbol: str, day: date) -> bool:
    parts = list_parts(lake, table, symbol, day)
    return any(int(part_metadata(lake, part)["version"]) < table.version for part in parts)


def _renew(lake: Lake, table: Table, part: Part) -> str:
    place = layout.parse_partition(part.path)
    where = {"underlying": place.underlying, "session_date": place.session_date}
    if table.name not in ADDED:
        delete_part(lake, table, name=part.name, **where)  # type: ignore[arg-type]
        return "deleted"
    told = part_metadata(lake, part)
    source = lake.open(part.path)
    if source is None:
        return "gone"
    with source:
        rows = pq.read_table(source)
    for name, value in ADDED[table.name].items():
        if name not in rows.column_names:
            column = pa.repeat(pa.scalar(value, table.schema.field(name).type), rows.num_rows)
            rows = rows.append_column(name, column)
    provenance = {key: value for key, value in told.items() if key not in RESERVED}
    write_part(
        lake,
        table,
        rows.select(table.schema.names),
        name=part.name,
        provenance=provenance,
        **where,  # type: ignore[arg-type]
    )
    return "rewritten"

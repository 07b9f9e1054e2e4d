"""The one place where a provider's snapshot meets the lake.

Belongs here: storing snapshots from files and providers, and what happens when two sources describe
the same instant. Does not belong here: parsing (`providers`), file layout (`lake`), asking
(`collection`, `imports`), schedules.

Two sources of one instant are merged contract by contract, and the row that could be known first
stays: importing parts of a chain in any order, twice, or at once gives the same. A source whose
spot differs is another state of the market under the same clock; of two, the one known first stays,
unless it was only an extract of a chain that is more than twice as full. A session is
real or simulated, never both: the first real chain clears simulated ones away.
"""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.intake.outcome import Outcome, Status
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.locks import exclusive
from dealer_assets.lake.reader import Part, list_parts, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.sources import SIMULATOR

_SPOT_TOLERANCE = 1e-9
_FULLER = 2


def store_snapshot(lake: Lake, snapshot: ChainSnapshot) -> Outcome:
    """Store one snapshot: quarantine and source record first, the chain itself last.

    A crash in between leaves no chain without its record; repeating the call finishes the work.

    Parameters
    ----------
    lake : Lake
        Storage.
    snapshot : ChainSnapshot
        As a provider delivered it.

    Returns
    -------
    Outcome
    """
    symbol, day = snapshot.underlying, snapshot.session_date

    def put(table: tables.Table, rows: pa.Table) -> None:
        name = part_name(table, event_at=snapshot.event_at, sha256=snapshot.source_sha256)
        write_part(lake, table, rows, underlying=symbol, session_date=day, name=name)

    with exclusive(lake, tables.CHAIN_SNAPSHOTS, underlying=symbol, session_date=day):
        if not _may_enter(lake, snapshot):
            return _outcome(snapshot, "superseded", reason=_REAL_SESSION)
        part = part_at(lake, symbol, day, snapshot.event_at)
        held = None if part is None else read_part(lake, tables.CHAIN_SNAPSHOTS, part)
        rows, status = _merge(held, snapshot.rows)
        if snapshot.rejected.num_rows:
            put(tables.REJECTED_ROWS, snapshot.rejected)
        put(tables.CHAIN_SOURCES, _source_row(snapshot))
        if status in {"stored", "merged"}:
            put(tables.CHAIN_SNAPSHOTS, rows)
    return _outcome(snapshot, status, reason=_SUPERSEDED if status == "superseded" else "")


def _outcome(snapshot: ChainSnapshot, status: Status, *, reason: str) -> Outcome:
    return Outcome(
        source=snapshot.source_name,
        status=status,
        reason=reason,
        underlying=snapshot.underlying,
        session_date=snapshot.session_date,
        event_at=snapshot.event_at,
        contracts=snapshot.rows.num_rows,
        rejected=snapshot.rejected.num_rows,
        impossible=snapshot.impossible,
        is_partial=snapshot.is_partial,
        findings=snapshot.findings,
    )


_SUPERSEDED = (
    "another source of the same instant was known earlier and differs; it stays as it was known"
)


_REAL_SESSION = "the session holds real chains, and simulated ones never join them"


def _may_enter(lake: Lake, snapshot: ChainSnapshot) -> bool:
    """Keep a session real or simulated, never both; a real chain clears simulated ones away."""
    symbol, day = snapshot.underlying, snapshot.session_date
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, day)
    if not parts:
        return True
    held = read_part(lake, tables.CHAIN_SNAPSHOTS, parts[-1], columns=["provider"])
    was_simulated = bool(held["provider"][0].as_py() == SIMULATOR)
    if snapshot.provider == SIMULATOR:
        return was_simulated
    if was_simulated:
        # the chain last: killed in between, a repeat still finds it and clears the rest
        for table in (tables.REJECTED_ROWS, tables.CHAIN_SOURCES, tables.CHAIN_SNAPSHOTS):
            for part in list_parts(lake, table, symbol, day):
                delete_part(lake, table, underlying=symbol, session_date=day, name=part.name)
    return True


def part_at(lake: Lake, symbol: str, session_date: date, instant: datetime) -> Part | None:
    """Return the held snapshot of one instant, or None."""
    name = part_name(tables.CHAIN_SNAPSHOTS, event_at=instant)
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, session_date)
    return next((part for part in parts if part.name == name), None)


def _merge(held: pa.Table | None, new: pa.Table) -> tuple[pa.Table, Status]:
    """Union by contract; of two rows of one contract the one known first stays."""
    if held is None:
        return new, "stored"
    versions = _one_market(pa.concat_tables([held, new]).sort_by("known_at"))
    symbols = np.array(versions["symbol"].to_pylist())
    keep = np.sort(np.unique(symbols, return_index=True)[1])
    merged = versions.take(pa.array(keep)).sort_by(
        [(column, "ascending") for column in tables.CHAIN_SNAPSHOTS.key]
    )
    if not _same_rows(merged, held):
        return merged, "merged"
    return held, "held" if _same_quotes(held, new) else "superseded"


def _one_market(versions: pa.Table) -> pa.Table:
    """Keep the rows of one state of the market, told apart by spot; rows without a spot take it.

    The state known first, unless another holds more than `_FULLER` times its contracts: then the
    first was an extract, and a whole chain is not given up for it.
    """
    spot = np.array(versions["spot"].to_numpy(), np.float64)
    told, first, counts = np.unique(spot[np.isfinite(spot)], return_index=True, return_counts=True)
    if told.size == 0:
        return versions
    earliest, fullest = int(np.argmin(first)), int(np.argmax(counts))
    chosen = fullest if counts[fullest] > _FULLER * counts[earliest] else earliest
    market = np.isnan(spot) | (np.abs(spot - told[chosen]) <= _SPOT_TOLERANCE)
    kept = versions.filter(pa.array(market))
    source = kept.filter(pc.is_valid(kept["spot"]))["spot_source"][0]
    missing = pc.is_null(kept["spot"])
    filled = {
        "spot": pc.fill_null(kept["spot"], float(told[chosen])),
        "spot_source": pc.if_else(missing, source, kept["spot_source"]),
    }
    for name, column in filled.items():
        place = kept.schema.get_field_index(name)
        kept = kept.set_column(place, kept.schema.field(place), column)
    return kept


def _same_rows(left: pa.Table, right: pa.Table) -> bool:
    return bool(left.combine_chunks().equals(right.combine_chunks()))


def _same_quotes(held: pa.Table, new: pa.Table) -> bool:
    """Whether every new row stands in the held snapshot, its source and known_at aside."""
    inside = held.filter(pc.is_in(held["symbol"], new["symbol"].combine_chunks()))
    ignored = ("known_at", "provider")
    return _same_rows(inside.drop_columns(ignored), new.drop_columns(ignored))


def _source_row(snapshot: ChainSnapshot) -> pa.Table:
    row = {
        "underlying": snapshot.underlying,
        "session_date": snapshot.session_date,
        "event_at": snapshot.event_at,
        "known_at": snapshot.known_at,
        "provider": snapshot.provider,
        "source_name": snapshot.source_name,
        "source_sha256": snapshot.source_sha256,
        "contracts": snapshot.rows.num_rows,
        "rejected": snapshot.rejected.num_rows,
        "is_partial": snapshot.is_partial,
        "findings": [finding.code for finding in snapshot.findings],
        "findings_text": "; ".join(finding.text for finding in snapshot.findings),
    }
    return pa.Table.from_pylist([row], schema=tables.CHAIN_SOURCES.schema)

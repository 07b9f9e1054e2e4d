"""Snapshots of an index group that belong together, and their sums in the lake.

Belongs here: which member's snapshot stands beside which, and storing the sums. Does not belong
here: the sums (`domain/exposure/combined.py`).

Every snapshot of SPX takes of each other member the newest one that is not later and not too old.
What comes later, or never, is named as missing; it is never waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.exposure.combined import (
    REFERENCE,
    Member,
    combined_exposure,
    combined_levels,
    combined_profile,
)
from dealer_assets.domain.invariants import is_sound
from dealer_assets.lake.layout import event_at_of
from dealer_assets.lake.reader import Part, list_parts, part_rows
from dealer_assets.lake.refresh import Refreshed, refresh_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part
from dealer_assets.tables import Table
from dealer_assets.underlyings import underlying

US_INDEX = "US_INDEX"
"""Stands where other tables have the underlying."""

MEMBERS = (REFERENCE, "SPY", "XSP")
OLDEST = timedelta(minutes=20)
"""A member's snapshot may be older than SPX's by this; ETFs' last is of 16:00, SPX's of 16:15."""

_READ = (tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS, tables.GAMMA_PROFILE)
_Combine = Callable[[Mapping[str, Member]], pa.Table]

COMBINE: dict[str, _Combine] = {
    tables.COMBINED_EXPOSURE.name: lambda held: combined_exposure(held, group=US_INDEX),
    tables.COMBINED_LEVELS.name: lambda held: combined_levels(held, group=US_INDEX, wanted=MEMBERS),
    tables.COMBINED_PROFILE.name: lambda held: combined_profile(held, group=US_INDEX),
}


def combine_session(
    lake: Lake, table: Table, session_date: date, *, rebuild: bool = False
) -> Refreshed:
    """Bring one table of the group up to date.

    Parameters
    ----------
    lake : Lake
        Storage.
    table : Table
        One of `COMBINE`.
    session_date : datetime.date
        Partition.
    rebuild : bool
        Compute every part anew.

    Returns
    -------
    Refreshed
    """
    held = {symbol: _snapshots(lake, symbol, session_date) for symbol in MEMBERS}
    combine = COMBINE[table.name]
    written: list[str] = []
    rows = kept = 0
    for name in sorted(held[REFERENCE]):
        chosen = _beside(held, name, session_date)
        inputs = {
            f"{symbol}.{source.name}": (source, parts[source.name])
            for symbol, parts in chosen.items()
            for source in _READ
        }
        found = refresh_part(
            lake,
            table,
            inputs=inputs,
            underlying=US_INDEX,
            session_date=session_date,
            name=name,
            derive=lambda read, chosen=tuple(chosen): combine(_members(read, chosen)),  # type: ignore[misc]
            rebuild=rebuild,
        )
        written += [] if found is None else [name]
        kept += found is None
        rows += found or 0
    removed = _remove_others(lake, table, session_date, set(held[REFERENCE]))
    return Refreshed(tuple(written), kept, removed, rows)


def _members(read: Mapping[str, pa.Table], symbols: tuple[str, ...]) -> dict[str, Member]:
    """Return the members whose tables hold what must hold of them; the others are missing."""
    of = {symbol: [read[f"{symbol}.{source.name}"] for source in _READ] for symbol in symbols}
    return {symbol: Member(*rows) for symbol, rows in of.items() if _is_sound(symbol, rows)}


def _is_sound(symbol: str, rows: list[pa.Table]) -> bool:
    """Tell whether no blocking check of one member's tables stops what is derived from them."""
    member = underlying(symbol)
    return all(is_sound(t.name, held, member) for t, held in zip(_READ, rows, strict=True))


def _snapshots(lake: Lake, symbol: str, session_date: date) -> dict[str, dict[str, Part]]:
    """Return the snapshots of which every table that is read has rows: name to parts by table."""
    held = {
        source.name: {p.name: p for p in list_parts(lake, source, symbol, session_date)}
        for source in _READ
    }
    common = set.intersection(*(set(parts) for parts in held.values()))
    return {
        name: {table: parts[name] for table, parts in held.items()}
        for name in common
        if part_rows(lake, held[tables.EXPOSURE_LEVELS.name][name])
    }


def _beside(
    held: Mapping[str, Mapping[str, Mapping[str, Part]]], name: str, session_date: date
) -> dict[str, Mapping[str, Part]]:
    """Return each member's newest snapshot that is not later than one, nor too old."""
    at = event_at_of(name, session_date)
    chosen: dict[str, Mapping[str, Part]] = {}
    for symbol, snapshots in held.items():
        near = [n for n in snapshots if timedelta(0) <= at - event_at_of(n, session_date) <= OLDEST]
        if near:
            chosen[symbol] = snapshots[max(near, key=lambda n: event_at_of(n, session_date))]
    return chosen


def _remove_others(lake: Lake, table: Table, session_date: date, names: set[str]) -> int:
    gone = [p.name for p in list_parts(lake, table, US_INDEX, session_date) if p.name not in names]
    for name in gone:
        delete_part(lake, table, underlying=US_INDEX, session_date=session_date, name=name)
    return len(gone)

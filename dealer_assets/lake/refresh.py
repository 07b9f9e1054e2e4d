"""Brings a derived partition up to date: computes what is missing or stale, and nothing else.

Belongs here: which parts are due. Does not belong here: what is computed (`domain`) or scheduled
(`defs`). A derived part is current when it was written by this code version from exactly the input
contents it would be written from now; both are in its file metadata. So a rerun is free, a changed
input is noticed, and a crash between two parts is finished by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import (
    Part,
    fingerprint,
    list_parts,
    part_metadata,
    part_rows,
    read_part,
    read_parts,
)
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import code_version, delete_part, write_part
from dealer_assets.tables import Table

PREVIOUS = "previous"
"""Under this name a derivation finds its own table's rows of the snapshot before."""


def before_of(source: Table) -> str:
    """Name a source's rows of the snapshot before."""
    return f"{PREVIOUS}.{source.name}"


Inputs = Mapping[str, pa.Table]
Derive = Callable[[Inputs], pa.Table]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Parameters
    ----------
    written : tuple of str
        Names of the parts computed.
    kept, removed : int
        Parts found current, parts whose input is gone.
    rows : int
        Rows written.
    stopped : int
        Parts written without a row, because their snapshot may not be derived from.
    """

    written: tuple[str, ...]
    kept: int
    removed: int
    rows: int
    stopped: int = 0


def refresh_snapshots(
    lake: Lake,
    target: Table,
    *,
    sources: Sequence[Table],
    session_sources: Sequence[Table] = (),
    underlying: str,
    session_date: date,
    derive: Derive,
    options: Mapping[str, str] | None = None,
    with_previous: bool = False,
    previous_sources: Sequence[Table] = (),
    rebuild: bool = False,
) -> Refreshed:
    """Derive one part of `target` for every snapshot that all sources hold, in time order.

    Parameters
    ----------
    lake : Lake
        Storage.
    target : Table
        Snapshot table to bring up to date.
    sources : sequence of Table
        Snapshot tables read, by equal part name.
    session_sources : sequence of Table
        Tables read whole, whatever the partition holds of them, nothing included. When they change
        every snapshot is derived anew. Rows that take something from them have to be dated by it:
        those that take nothing are known no later for it.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Partition.
    derive : callable
        ``{source name: rows} -> rows of target`` for one snapshot.
    options : mapping of str to str, optional
        What else the result depends on (the position model); part of what makes it current.
    with_previous : bool
        Also hand the target's last part before that has rows, as `PREVIOUS`; no rows when there is
        none.
    previous_sources : sequence of Table
        With the previous: of `sources`, those whose rows of that snapshot are handed too, under
        the name `before_of` gives.
    rebuild : bool
        Compute every part anew.

    Returns
    -------
    Refreshed
    """
    # The target first: a part that another run derives meanwhile is not seen, so never an orphan
    existing = _by_name(lake, target, underlying, session_date)
    held = {s.name: _by_name(lake, s, underlying, session_date) for s in sources}
    names = sorted(set.intersection(*(set(parts) for parts in held.values())))
    whole = {s.name: list_parts(lake, s, underlying, session_date) for s in session_sources}
    of_session = _by_table_and_name(whole)
    session_rows: dict[str, pa.Table] | None = None
    written: list[str] = []
    kept = rows = stopped = 0
    before: Part | None = None
    for name in names:
        inputs = {table: parts[name] for table, parts in held.items()}
        known = inputs | of_session
        if before is not None:
            known[PREVIOUS] = before
            known |= {before_of(s): held[s.name][before.name] for s in previous_sources}
        provenance = _provenance(lake, known, options or {})
        if not rebuild and _is_current(lake, existing.get(name), target, provenance):
            kept += 1
            if with_previous and part_rows(lake, existing[name]):
                before = existing[name]
            continue
        if session_rows is None:
            session_rows = {s.name: _concatenated(lake, s, whole[s.name]) for s in session_sources}
        tables_in = {s.name: read_part(lake, s, inputs[s.name]) for s in sources} | session_rows
        if with_previous:
            tables_in[PREVIOUS] = (
                read_part(lake, target, before) if before else target.schema.empty_table()
            )
            for s in previous_sources:
                part = known.get(before_of(s))
                tables_in[before_of(s)] = (
                    read_part(lake, s, part) if part else s.schema.empty_table()
                )
        result = write_part(
            lake,
            target,
            _known_since(derive(tables_in), [tables_in[source.name] for source in sources]),
            underlying=underlying,
            session_date=session_date,
            name=name,
            provenance=provenance,
        )
        if with_previous and result.rows:
            before = Part(result.path, name)
        written.append(name)
        rows += result.rows
        stopped += result.rows == 0
    gone = sorted(set(existing) - set(names))
    for name in gone:
        delete_part(lake, target, underlying=underlying, session_date=session_date, name=name)
    return Refreshed(tuple(written), kept, len(gone), rows, stopped)


def refresh_session(
    lake: Lake,
    target: Table,
    *,
    sources: Sequence[Table],
    underlying: str,
    session_date: date,
    derive: Derive,
    rebuild: bool = False,
) -> Refreshed:
    """Derive the one part of a session table from whole partitions of its sources.

    Parameters
    ----------
    lake, target, sources, underlying, session_date, rebuild
        As in `refresh_snapshots`.
    derive : callable
        ``{source name: rows of the partition} -> rows of target``.

    Returns
    -------
    Refreshed
    """
    parts = {s.name: list_parts(lake, s, underlying, session_date) for s in sources}
    provenance = _provenance(lake, _by_table_and_name(parts), {})
    existing = _by_name(lake, target, underlying, session_date).get(SESSION_PART)
    if not rebuild and _is_current(lake, existing, target, provenance):
        return Refreshed((), 1, 0, 0)
    tables_in = {s.name: _concatenated(lake, s, parts[s.name]) for s in sources}
    result = write_part(
        lake,
        target,
        derive(tables_in),
        underlying=underlying,
        session_date=session_date,
        name=SESSION_PART,
        provenance=provenance,
    )
    return Refreshed((SESSION_PART,), 0, 0, result.rows)


def _concatenated(lake: Lake, table: Table, parts: Sequence[Part]) -> pa.Table:
    if not parts:
        return table.schema.empty_table()
    return pa.concat_tables(read_parts(lake, table, parts))


def _by_name(lake: Lake, table: Table, underlying: str, session_date: date) -> dict[str, Part]:
    return {part.name: part for part in list_parts(lake, table, underlying, session_date)}


def _by_table_and_name(parts: Mapping[str, Sequence[Part]]) -> dict[str, Part]:
    return {f"{table}/{part.name}": part for table, many in parts.items() for part in many}


def _known_since(rows: pa.Table, sources: Sequence[pa.Table]) -> pa.Table:
    """Date derived rows by the latest of all sources: before that they could not be derived."""
    known = [pc.max(table["known_at"]).as_py() for table in sources if table.num_rows]
    if rows.num_rows == 0 or not known:
        return rows
    place = rows.schema.get_field_index("known_at")
    field = rows.schema.field(place)
    least = pa.scalar(max(known), field.type)
    own = rows["known_at"]
    return rows.set_column(place, field, pc.if_else(pc.less(own, least), least, own))


def _provenance(
    lake: Lake, inputs: Mapping[str, Part], options: Mapping[str, str]
) -> dict[str, str]:
    """Content identities of the inputs, and the options: what the result is a function of."""
    identities = {f"input.{k}": fingerprint(lake, part) for k, part in sorted(inputs.items())}
    return identities | {f"option.{k}": v for k, v in sorted(options.items())}


def _is_current(lake: Lake, part: Part | None, table: Table, provenance: Mapping[str, str]) -> bool:
    if part is None:
        return False
    found = part_metadata(lake, part)
    stated = {k: v for k, v in found.items() if k.startswith(("input.", "option."))}
    return (
        stated == dict(provenance)
        and found.get("version") == str(table.version)
        and found.get("code_version") == code_version()
    )


def refresh_part(
    lake: Lake,
    target: Table,
    *,
    inputs: Mapping[str, tuple[Table, Part]],
    underlying: str,
    session_date: date,
    name: str,
    derive: Derive,
    options: Mapping[str, str] | None = None,
    rebuild: bool = False,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> int | None:
    """Derive one part from chosen parts, of any partitions; nothing is done while it is current.

    Parameters
    ----------
    lake, target, underlying, session_date, options, rebuild
        As in `refresh_snapshots`.
    inputs : mapping of str to tuple of Table and Part
        What it is derived from; part of what makes it current.
    name : str
        The part's name.
    derive : callable
        ``{name of the input: rows} -> rows of target``; they bring their own ``known_at``.
    columns : mapping of str to sequence of str, optional
        Columns wanted of an input, by its name; all of one that is not named.

    Returns
    -------
    int or None
        Rows written; None when the part was current.
    """
    provenance = _provenance(lake, {key: part for key, (_, part) in inputs.items()}, options or {})
    existing = _by_name(lake, target, underlying, session_date).get(name)
    if not rebuild and _is_current(lake, existing, target, provenance):
        return None
    wanted = columns or {}
    rows = {
        key: read_part(lake, table, part, columns=wanted.get(key))
        for key, (table, part) in inputs.items()
    }
    result = write_part(
        lake,
        target,
        derive(rows),
        underlying=underlying,
        session_date=session_date,
        name=name,
        provenance=provenance,
    )
    return result.rows

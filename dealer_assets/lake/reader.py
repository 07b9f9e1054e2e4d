"""Reading rows: by path first, by column second, and only what was known at an instant.

Belongs here: rows of parts, partitions, spans of sessions. Does not belong here: which parts there
are (`lake/parts.py`, whose names are offered here too), SQL (`lake/sql.py`), writing
(`lake/writer.py`), paths (`lake/layout.py`).

A part is read as the dictionary knows the table today. A part of another schema version, or one
that somebody else wrote, is refused rather than guessed at. One that was packed, or brought back,
since it was listed is found where it lies now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dealer_assets.errors import BadInputError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.packing import Packed, parts_within
from dealer_assets.lake.parts import (
    LISTINGS,
    Part,
    PartGoneError,
    by_file,
    file_metadata,
    fingerprint,
    following,
    list_parts,
    opened,
    own_metadata,
    part_metadata,
    part_rows,
)
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import META_PREFIX
from dealer_assets.tables import Table

__all__ = [
    "Part",
    "file_metadata",
    "fingerprint",
    "latest_part",
    "list_parts",
    "part_metadata",
    "part_rows",
    "read_part",
    "read_partition",
    "read_parts",
    "scan",
    "sessions_held",
    "underlyings_held",
]

READERS = 8
"""Parts read at once: hides the latency of S3; on a folder it uses the cores there are."""


def underlyings_held(lake: Lake, table: Table) -> list[str]:
    """Return the symbols a table holds parts of, sorted."""
    folders = lake.folders(layout.table_dir(table))
    symbols = [value for folder in folders if (value := layout.folder_value(folder))]
    return sorted(symbol for symbol in symbols if latest_part(lake, table, symbol) is not None)


def sessions_held(lake: Lake, table: Table, underlying: str) -> list[date]:
    """Return the sessions a table holds parts of for one underlying, ascending. One listing."""
    root = layout.underlying_dir(table, underlying)
    paths = [path.rpartition("/") for path in lake.own_files_below(root)]
    folders = {f for f, _, name in paths if layout.is_part_name(name) or name == layout.COLD_MARK}
    return sorted(layout.parse_partition(folder).session_date for folder in folders)


def latest_part(lake: Lake, table: Table, underlying: str) -> Part | None:
    """Return the last part of the last session that has one, or None."""
    for day in reversed(_session_folders(lake, table, underlying)):
        parts = list_parts(lake, table, underlying, day)
        if parts:
            return parts[-1]
    return None


def read_part(
    lake: Lake, table: Table, part: Part, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read one part.

    Parameters
    ----------
    lake : Lake
        Where from.
    table : Table
        The dictionary entry.
    part : Part
        From `list_parts` or `latest_part`.
    columns : sequence of str, optional
        Columns wanted, in this order; all when absent.

    Returns
    -------
    pyarrow.Table, shape (n,)
        Sorted by the table's key.

    Raises
    ------
    SchemaError
        When the part is of another table or schema version.
    LakeError
        When it is corrupt or no longer there.
    BadInputError
        When the table has no such column.
    """
    wanted = _wanted(table, columns)
    return following(lake, part, lambda lying: read_file(lake, table, [lying], wanted)[0])


def read_partition(
    lake: Lake,
    table: Table,
    underlying: str,
    session_date: date,
    *,
    columns: Sequence[str] | None = None,
    as_of: datetime | None = None,
) -> pa.Table:
    """Read a partition.

    Parameters
    ----------
    lake : Lake
        Where from.
    table : Table
        The dictionary entry.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Exchange-local trading date.
    columns : sequence of str, optional
        Columns wanted, in this order; all when absent.
    as_of : datetime.datetime, optional
        Aware instant: rows with a later `known_at` are left out.

    Returns
    -------
    pyarrow.Table, shape (n,)
        Parts in time order, each sorted by the table's key; empty and typed when there are none.

    Raises
    ------
    SchemaError, LakeError, BadInputError
        As for `read_part`.
    """
    return _gather(
        lake,
        table,
        lambda: list_parts(lake, table, underlying, session_date),
        columns=columns,
        as_of=as_of,
    )


def scan(
    lake: Lake,
    table: Table,
    *,
    underlyings: Sequence[str] | None = None,
    first: date | None = None,
    last: date | None = None,
    columns: Sequence[str] | None = None,
    as_of: datetime | None = None,
) -> pa.Table:
    """Read several partitions; those not asked for are not even listed.

    Parameters
    ----------
    lake : Lake
        Where from.
    table : Table
        The dictionary entry.
    underlyings : sequence of str, optional
        Symbols; all that the table holds when absent.
    first, last : datetime.date, optional
        Session range, both included; open when absent.
    columns : sequence of str, optional
        Columns wanted, in this order; all when absent.
    as_of : datetime.datetime, optional
        Aware instant: rows with a later `known_at` are left out.

    Returns
    -------
    pyarrow.Table, shape (n,)
        By underlying as given (sorted when not), session and part; empty and typed when none.

    Raises
    ------
    SchemaError, LakeError, BadInputError
        As for `read_part`.
    """

    def parts() -> list[Part]:
        symbols = underlyings_held(lake, table) if underlyings is None else underlyings
        return [
            part
            for symbol in symbols
            for day in _session_folders(lake, table, symbol)
            if (first is None or first <= day) and (last is None or day <= last)
            for part in list_parts(lake, table, symbol, day)
        ]

    return _gather(lake, table, parts, columns=columns, as_of=as_of)


def _session_folders(lake: Lake, table: Table, underlying: str) -> list[date]:
    """Sessions that have a folder, ascending; it may be empty. One listing, however many parts."""
    root = layout.underlying_dir(table, underlying)
    folders = [f for f in lake.folders(root) if f.startswith("date=")]
    return [layout.parse_partition(f"{root}/{folder}").session_date for folder in folders]


def _wanted(table: Table, columns: Sequence[str] | None) -> list[str]:
    known = [column.name for column in table.columns]
    if columns is None:
        return known
    unknown = sorted(set(columns) - set(known))
    if unknown:
        raise BadInputError(f"table {table.name} has no columns {unknown}; it has {known}")
    return list(columns)


def _gather(
    lake: Lake,
    table: Table,
    find: Callable[[], list[Part]],
    *,
    columns: Sequence[str] | None,
    as_of: datetime | None,
) -> pa.Table:
    wanted = _wanted(table, columns)
    if as_of is not None and as_of.tzinfo is None:
        raise BadInputError(f"as_of {as_of} has no time zone: expected an aware instant")
    needed = wanted if as_of is None or "known_at" in wanted else [*wanted, "known_at"]
    empty = table.schema.empty_table().select(needed)
    rows = pa.concat_tables([empty, *_read_all(lake, table, find, needed)])
    if as_of is not None:
        rows = rows.filter(pc.less_equal(rows["known_at"], pa.scalar(as_of, rows["known_at"].type)))
    return rows.select(wanted)


def _read_all(
    lake: Lake, table: Table, find: Callable[[], list[Part]], columns: list[str]
) -> list[pa.Table]:
    """Read what `find` lists; list anew when a part was deleted in between."""
    for remaining in reversed(range(LISTINGS)):
        parts = find()
        if not parts:
            break
        files = list(by_file(parts).values())
        with ThreadPoolExecutor(min(READERS, len(files))) as pool:
            try:
                found = list(pool.map(lambda f: read_file(lake, table, f, columns), files))
                if table.part == "stream":
                    _refuse_covered(parts, [rows for (rows,) in found])
                if len(files) == len(parts):
                    return [rows for many in found for rows in many]
                read = {
                    (part.path, part.name): rows
                    for file, many in zip(files, found, strict=True)
                    for part, rows in zip(file, many, strict=True)
                }
                return [read[part.path, part.name] for part in parts]
            except PartGoneError:
                if not remaining:
                    raise
    return []


def _refuse_covered(parts: list[Part], rows: list[pa.Table]) -> None:
    """Refuse what was read while a compaction put a longer compacted part in place."""
    held: dict[str, int] = {}
    for part, read in zip(parts, rows, strict=True):
        folder = part.path.rpartition("/")[0]
        if part.name == layout.SESSION_PART:
            held[folder] = read.num_rows
        elif layout.first_sequence_of(part.name) < held.get(folder, 0):
            raise PartGoneError(
                f"part {part.path} was compacted while it was read: expected the partition to "
                "stand still for a moment; read again"
            )


def read_parts(lake: Lake, table: Table, parts: Sequence[Part]) -> list[pa.Table]:
    """Read parts, each packed file opened once; as `read_part` of each, in the order given."""
    read: dict[tuple[str, str], pa.Table] = {}
    for file in by_file(parts).values():
        try:
            found = read_file(lake, table, file)
        except PartGoneError:  # they changed tier since they were listed
            found = [read_part(lake, table, part) for part in file]
        read |= {(part.path, part.name): rows for part, rows in zip(file, found, strict=True)}
    return [read[part.path, part.name] for part in parts]


def read_file(
    lake: Lake, table: Table, parts: Sequence[Part], columns: list[str] | None = None
) -> list[pa.Table]:
    """Read parts of one file: the one part it is, or some of those packed in it."""
    wanted = columns or _wanted(table, None)
    with opened(lake, parts[0]) as file:
        for part in parts:
            require_schema(table, part, file)
        if parts[0].packed is None:
            rows = [file.read(columns=wanted, use_threads=False)]
        else:
            inside = {p.name: p for p in parts_within(parts[0].file, file.metadata)}
            rows = [_rows_within(file, inside, part, wanted) for part in parts]
    schema = _subschema(table, wanted)
    return [r.replace_schema_metadata(None).select(wanted).cast(schema) for r in rows]


def _rows_within(
    file: pq.ParquetFile, inside: Mapping[str, Packed], part: Part, columns: list[str]
) -> pa.Table:
    # another day's part may have come into its place since it was listed
    packed = inside.get(part.name)
    if packed is None or packed != part.packed:
        raise PartGoneError(f"part {part.name} within {part.file} was replaced: read again")
    if packed.group < 0:
        return file.schema_arrow.empty_table().select(columns)
    return file.read_row_group(packed.group, columns=columns, use_threads=False)


def _subschema(table: Table, columns: list[str]) -> pa.Schema:
    return pa.schema([table.schema.field(name) for name in columns])


def require_schema(table: Table, part: Part, file: pq.ParquetFile) -> None:
    told = part.packed.told if part.packed else own_metadata(part, file.metadata)
    found = (told[f"{META_PREFIX}table"], told[f"{META_PREFIX}version"])
    if found == (table.name, str(table.version)) and file.schema_arrow.equals(table.schema):
        return
    raise SchemaError(
        f"part {part.path}: expected table {table.name}, schema version {table.version} with "
        f"columns {table.schema.names}, found table {found[0]}, version {found[1]} with columns "
        f"{file.schema_arrow.names}; delete the part and rebuild its partition from its sources, "
        "or run the release that wrote it"
    )

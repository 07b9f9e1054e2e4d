"""Reading parts: by path first, by column second, and only what was known at an instant.

Belongs here: listing and reading parts, their footers, SQL over the files. Does not belong here:
writing (`lake/writer.py`), paths (`lake/layout.py`).

A part is read as the dictionary knows the table today. A part of another schema version, or one
that somebody else wrote, is refused rather than guessed at. Of a table cut by stream, the
compacted part holds rows 0 to n - 1: parts that begin below n lie in it and are passed over, so
that no row is read twice while `lake/compaction.py` removes them.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dealer_assets.errors import BadInputError, LakeError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import META_PREFIX, PROVENANCE_PREFIX, RESERVED
from dealer_assets.tables import TABLES, Table

if TYPE_CHECKING:
    import duckdb

_READERS = 8
"""Parts read at once: hides the latency of S3; on a folder it uses the cores there are."""

_LISTINGS = 3
"""Times a set of parts is listed before giving up when one of them is deleted while being read."""


class _PartGoneError(LakeError):
    """A part that is not there, or no longer."""


@dataclass(frozen=True)
class Part:
    """A part that lies in the lake.

    Parameters
    ----------
    path : str
        Path within the lake.
    name : str
        File name.
    """

    path: str
    name: str


def list_parts(lake: Lake, table: Table, underlying: str, session_date: date) -> list[Part]:
    """Return a partition's parts in time order; none when the partition does not exist."""
    folder = layout.partition_dir(table, underlying, session_date)
    names = [name for name in lake.files(folder) if layout.is_part_name(name)]
    parts = [Part(f"{folder}/{name}", name) for name in sorted(names, key=layout.part_order)]
    return _uncovered(lake, parts) if table.part == "stream" else parts


def underlyings_held(lake: Lake, table: Table) -> list[str]:
    """Return the symbols a table holds parts of, sorted."""
    folders = lake.folders(layout.table_dir(table))
    symbols = [value for folder in folders if (value := layout.folder_value(folder))]
    return sorted(symbol for symbol in symbols if latest_part(lake, table, symbol) is not None)


def sessions_held(lake: Lake, table: Table, underlying: str) -> list[date]:
    """Return the sessions a table holds parts of for one underlying, ascending."""
    days = set()
    for path in lake.files_below(layout.underlying_dir(table, underlying)):
        if layout.is_part_name(path.rpartition("/")[2]):
            days.add(layout.parse_partition(path).session_date)
    return sorted(days)


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
    return _read(lake, table, part, _wanted(table, columns))


def part_metadata(lake: Lake, part: Part) -> dict[str, str]:
    """Return a part's provenance, and ``table``, ``version`` and ``code_version``.

    Only the footer is read.

    Raises
    ------
    LakeError
        When the part is corrupt or no longer there.
    SchemaError
        When the lake's writer did not write it.
    """
    told = _footer(lake, part)
    return {
        key.removeprefix(PROVENANCE_PREFIX).removeprefix(META_PREFIX): value
        for key, value in told.items()
        if key != f"{META_PREFIX}content_sha256"
    }


def part_rows(lake: Lake, part: Part) -> int:
    """Return how many rows a part has, from its footer; errors as `part_metadata`."""
    with _opened(lake, part) as file:
        return int(file.metadata.num_rows)


def fingerprint(lake: Lake, part: Part) -> str:
    """Return the SHA-256 of a part's rows, from its footer: the same rows, the same identity.

    Raises
    ------
    LakeError
        When the part is corrupt or no longer there.
    SchemaError
        When the lake's writer did not write it.
    """
    return _footer(lake, part)[f"{META_PREFIX}content_sha256"]


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


def sql(lake: Lake, query: str, tables: Sequence[Table] | None = None) -> pa.Table:
    """Answer a SQL query by an in-memory DuckDB with one view per lake table.

    Parameters
    ----------
    lake : Lake
        Where from.
    query : str
        One DuckDB statement. Instants come back in UTC.
    tables : sequence of Table, optional
        Tables to offer as views; those whose name occurs in the query when absent.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    BadInputError
        When the statement is wrong.
    SchemaError
        When a part is of another schema version.
    LakeError
        When a part is corrupt, or goes away meanwhile.

    Notes
    -----
    Every footer of the tables is looked at, so that no part of another schema version slips in
    (0.2 ms a part). Filters prune by the files' statistics, not by path: where the partition is
    known, `read_partition` is far quicker.
    """
    import duckdb  # 0.1 s to import, and few readers need it

    if tables is None:
        tables = [table for table in TABLES if re.search(rf"\b{table.name}\b", query)]
    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            for table in tables:
                _create_view(connection, lake, table)
            return connection.execute(query).to_arrow_table()
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise BadInputError(
                f"DuckDB cannot run the query over {[t.name for t in tables]}: {error}"
            ) from error
        except duckdb.Error as error:
            raise LakeError(
                f"DuckDB cannot read the lake at {lake.uri}: {error}; delete and rebuild the part "
                "it names"
            ) from error


def _create_view(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table) -> None:
    parts = _parts_of(lake, table)
    if not parts:
        connection.register(table.name, table.schema.empty_table())
        return
    with ThreadPoolExecutor(min(_READERS, len(parts))) as pool:
        list(pool.map(lambda part: _check(lake, table, part), parts))
    paths = [lake.locate(part.path) for part in parts]
    if lake.is_local:
        # Literal paths may still hold glob characters; a view takes no parameters.
        files = ", ".join("'" + glob.escape(path).replace("'", "''") + "'" for path in paths)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        connection.execute(
            f"CREATE VIEW {table.name} AS SELECT {columns} "
            f"FROM read_parquet([{files}], hive_partitioning = false)"
        )
        return
    import pyarrow.dataset as pads  # 0.4 s to import, and only S3 needs it

    dataset = pads.dataset(paths, schema=table.schema, filesystem=lake.fs, format="parquet")
    connection.register(table.name, dataset)


def _parts_of(lake: Lake, table: Table) -> list[Part]:
    paths = lake.files_below(layout.table_dir(table))
    found = [Part(path, path.rpartition("/")[2]) for path in paths]
    parts = [part for part in found if layout.is_part_name(part.name)]
    if table.part != "stream":
        return parts
    folders: dict[str, list[Part]] = {}
    for part in parts:
        folders.setdefault(part.path.rpartition("/")[0], []).append(part)
    return [part for members in folders.values() for part in _uncovered(lake, members)]


def _uncovered(lake: Lake, parts: list[Part]) -> list[Part]:
    """Leave out stream parts of one partition that its compacted part holds."""
    compacted = next((part for part in parts if part.name == layout.SESSION_PART), None)
    if compacted is None or len(parts) == 1:
        return parts
    held = part_rows(lake, compacted)
    return [
        part for part in parts if part is compacted or layout.first_sequence_of(part.name) >= held
    ]


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
    for remaining in reversed(range(_LISTINGS)):
        parts = find()
        if not parts:
            break
        with ThreadPoolExecutor(min(_READERS, len(parts))) as pool:
            try:
                rows = list(pool.map(lambda part: _read(lake, table, part, columns), parts))
                if table.part == "stream":
                    _refuse_covered(parts, rows)
                return rows
            except _PartGoneError:
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
            raise _PartGoneError(
                f"part {part.path} was compacted while it was read: expected the partition to "
                "stand still for a moment; read again"
            )


@contextmanager
def _opened(lake: Lake, part: Part) -> Iterator[pq.ParquetFile]:
    source = lake.open(part.path)
    if source is None:
        raise _PartGoneError(
            f"part {part.path} of the lake at {lake.uri} is not there: expected one that a "
            "listing named; another process replaces the partition, list and read again"
        )
    try:
        with (
            source,
            pq.ParquetFile(
                source, page_checksum_verification=True, pre_buffer=not lake.is_local
            ) as file,
        ):
            yield file
    except (pa.ArrowException, OSError) as error:
        raise LakeError(
            f"part {part.path} of the lake at {lake.uri} cannot be read: expected a whole Parquet "
            f"file, found: {error}; delete it and rebuild its partition"
        ) from error


def _read(lake: Lake, table: Table, part: Part, columns: list[str]) -> pa.Table:
    with _opened(lake, part) as file:
        _require_schema(table, part, file)
        rows = file.read(columns=columns, use_threads=False)
    return rows.replace_schema_metadata(None).select(columns).cast(_subschema(table, columns))


def _check(lake: Lake, table: Table, part: Part) -> None:
    with _opened(lake, part) as file:
        _require_schema(table, part, file)


def _subschema(table: Table, columns: list[str]) -> pa.Schema:
    return pa.schema([table.schema.field(name) for name in columns])


def _require_schema(table: Table, part: Part, file: pq.ParquetFile) -> None:
    told = _own_metadata(part, file.metadata)
    found = (told[f"{META_PREFIX}table"], told[f"{META_PREFIX}version"])
    if found == (table.name, str(table.version)) and file.schema_arrow.equals(table.schema):
        return
    raise SchemaError(
        f"part {part.path}: expected table {table.name}, schema version {table.version} with "
        f"columns {table.schema.names}, found table {found[0]}, version {found[1]} with columns "
        f"{file.schema_arrow.names}; delete the part and rebuild its partition from its sources, "
        "or run the release that wrote it"
    )


def _footer(lake: Lake, part: Part) -> dict[str, str]:
    with _opened(lake, part) as file:
        return _own_metadata(part, file.metadata)


def _own_metadata(part: Part, metadata: pq.FileMetaData) -> dict[str, str]:
    """Our keys of a footer, with their prefix."""
    told = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in (metadata.metadata or {}).items()
    }
    missing = sorted(key for key in RESERVED if f"{META_PREFIX}{key}" not in told)
    if missing:
        raise SchemaError(
            f"part {part.path}: expected a file written by dealer_assets.lake.writer, found one "
            f"whose metadata lacks {missing}; delete it and rebuild its partition"
        )
    return {key: value for key, value in told.items() if key.startswith(META_PREFIX)}

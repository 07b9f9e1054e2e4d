"""SQL over the lake's files: one DuckDB view a table.

Belongs here: which files a view reads, and how DuckDB reaches them. Does not belong here: rows by
partition (`lake/reader.py`), the warehouse (`marts`).
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from dealer_assets.errors import BadInputError, LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.packing import PACKED_KINDS, parts_within
from dealer_assets.lake.parts import (
    LISTINGS,
    Part,
    PartGoneError,
    by_file,
    opened,
    part_rows,
    parts_of,
)
from dealer_assets.lake.reader import READERS, read_file, require_schema
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import TABLES, Table

if TYPE_CHECKING:
    import duckdb


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
    if tables is None:
        tables = [table for table in TABLES if re.search(rf"\b{table.name}\b", query)]
    for remaining in reversed(range(LISTINGS)):
        try:
            return _answer(lake, query, tables)
        except PartGoneError:  # parts changed tier between listing and reading
            if not remaining:
                raise
    raise AssertionError


def _answer(lake: Lake, query: str, tables: Sequence[Table]) -> pa.Table:
    import duckdb  # 0.1 s to import, and few readers need it

    files: dict[str, Lake] = {}
    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            for table in tables:
                files |= _create_view(connection, lake, table)
            return connection.execute(query).to_arrow_table()
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise BadInputError(
                f"DuckDB cannot run the query over {[t.name for t in tables]}: {error}"
            ) from error
        except (duckdb.Error, OSError) as error:
            gone = [path for path, place in files.items() if place.size_of(path) is None]
            if gone:
                raise PartGoneError(
                    f"part {gone[0]} of the lake at {lake.uri} went while it was queried: expected "
                    "the partition to stand still for a moment; ask again"
                ) from error
            raise LakeError(
                f"DuckDB cannot read the lake at {lake.uri}: {error}; delete and rebuild the part "
                "it names"
            ) from error


def _create_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table
) -> dict[str, Lake]:
    """Offer a table to a connection; return the files that it is read from, and where they lie."""
    whole, odd = _whole_files(lake, table)
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda part: _check(lake, table, part), whole))
    places = {part.path: lake.holder_of(part.path) for part in whole}
    rest = [rows for files in by_file(odd).values() for rows in read_file(lake, table, files)]
    if not places:
        connection.register(table.name, pa.concat_tables([table.schema.empty_table(), *rest]))
        return places
    if any(not place.is_local for place in places.values()):
        connection.register(table.name, _dataset(table, places, rest))
        return places
    # Literal paths may still hold glob characters; a view takes no parameters.
    paths = [glob.escape(place.locate(path)) for path, place in places.items()]
    files = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    if rest:
        connection.register(f"{table.name}_rest", pa.concat_tables(rest))
    connection.execute(
        f"CREATE VIEW {table.name} AS SELECT {columns} "
        f"FROM read_parquet([{files}], hive_partitioning = false)"
        + (f" UNION ALL SELECT {columns} FROM {table.name}_rest" if rest else "")
    )
    return places


def _dataset(table: Table, places: dict[str, Lake], rest: list[pa.Table]) -> object:
    """Files of one or two places, and rows already read, as what DuckDB can look into."""
    import pyarrow.dataset as pads  # 0.4 s to import, and only S3 needs it

    found = [pads.dataset(pa.concat_tables([table.schema.empty_table(), *rest]))]
    for place in {place.uri: place for place in places.values()}.values():
        paths = [place.locate(path) for path, holder in places.items() if holder is place]
        found.append(
            pads.dataset(paths, schema=table.schema, filesystem=place.fs, format="parquet")
        )
    return found[1] if len(found) == 2 and not rest else pads.dataset(found)


def _whole_files(lake: Lake, table: Table) -> tuple[list[Part], list[Part]]:
    """Return a table's files that are read whole, and parts of those that are read in part."""
    files = by_file(parts_of(lake, table))
    whole: list[Part] = []
    odd: list[Part] = []
    for path, parts in files.items():
        if parts[0].packed is None:
            whole += parts
        elif sum(part_rows(lake, part) for part in parts) == part_rows(lake, day := _file(path)):
            whole.append(day)
        else:
            odd += parts
    return whole, odd


def _file(path: str) -> Part:
    return Part(path, path.rpartition("/")[2])


def _check(lake: Lake, table: Table, part: Part) -> None:
    with opened(lake, part) as file:
        if part.name == layout.DAY_PART and table.part in PACKED_KINDS:
            for packed in parts_within(part.path, file.metadata):
                require_schema(table, Part(part.path, packed.name, packed), file)
            return
        require_schema(table, part, file)

"""Writing parts: rows are held against the dictionary, then stored whole, or refused.

Belongs here: the bytes of a part, writing and deleting parts. Does not belong here: what rows have
to look like (`lake/conformity.py`), how bytes reach storage (`lake/storage.py`), how parts are
named (`lake/layout.py`).

The bytes are a function of rows and provenance only: no clock, host or run enters them, so a rerun
finds its own file and writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dealer_assets.errors import BadInputError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.conformity import conform, refuse
from dealer_assets.lake.locks import sharing_tier
from dealer_assets.lake.packing import PACKED_KINDS
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import TABLES, Table

META_PREFIX = "dealer."
"""Prefix of our keys in a part's file metadata."""

PROVENANCE_PREFIX = "dealer.provenance."
"""Prefix of what the caller tells about a part's origin."""

_OWN_KEYS = ("table", "version", "code_version", "content_sha256")

RESERVED = frozenset(_OWN_KEYS)
"""Metadata keys of our own, which provenance may not use."""

_ZSTD_LEVEL = 1


@dataclass(frozen=True)
class WrittenPart:
    """A part as it now lies in the lake.

    Parameters
    ----------
    path : str
        Path within the lake.
    rows : int
        Rows in the part.
    bytes : int
        Size of the file.
    changed : bool
        False when the same bytes were there already and nothing was written.
    """

    path: str
    rows: int
    bytes: int
    changed: bool


def write_part(
    lake: Lake,
    table: Table,
    rows: pa.Table,
    *,
    underlying: str,
    session_date: date,
    name: str,
    provenance: Mapping[str, str] = {},
) -> WrittenPart:
    """Write one part, replacing the one of the same name.

    Parameters
    ----------
    lake : Lake
        Where to.
    table : Table
        The dictionary entry that the rows are held against.
    rows : pyarrow.Table, shape (n,)
        Columns in any order; see `conformity.conform` for what is accepted.
    underlying : str
        Partition; every row has to name it.
    session_date : datetime.date
        Partition; every row has to name it.
    name : str
        From `layout.part_name`; has to fit the rows' instant and source, or their numbers.
    provenance : mapping of str to str
        What the rows came from. Never a wall clock, host or run id: a rerun has to write the
        same bytes.

    Returns
    -------
    WrittenPart

    Raises
    ------
    SchemaError
        When the rows do not match the table or the name does not match the rows.
    BadInputError
        When symbol or provenance cannot be used.
    LakeUnavailableError
        When storage refuses; the former part is then still there.
    """
    part = _encode(
        table,
        rows,
        underlying=underlying,
        session_date=session_date,
        name=name,
        provenance=provenance,
    )
    folder = part.path.rpartition("/")[0]
    while True:
        with sharing_tier(lake, folder):
            if not _has_moved(lake, table, folder):
                return _store(lake, part)
            if _lies_moved(lake, part):
                return WrittenPart(part.path, part.rows, part.data.size, changed=False)
        _bring_back(lake, table, underlying=underlying, session_date=session_date)


def replace_partition(
    lake: Lake,
    table: Table,
    parts: Mapping[str, pa.Table],
    *,
    underlying: str,
    session_date: date,
    provenance: Mapping[str, str] = {},
) -> list[WrittenPart]:
    """Make a partition hold exactly these parts.

    All parts are checked before the first is written, so a refusal leaves the partition as it
    was. New parts are written first and surplus ones deleted after: a reader in between may see
    both, never neither. A part that another writer adds meanwhile is left alone.

    Parameters
    ----------
    lake : Lake
        Where to.
    table : Table
        The dictionary entry.
    parts : mapping of str to pyarrow.Table
        Part name to rows; an empty mapping empties the partition.
    underlying : str
        Partition.
    session_date : datetime.date
        Partition.
    provenance : mapping of str to str
        As for `write_part`, the same for all parts.

    Returns
    -------
    list of WrittenPart
        In the order of `parts`.

    Raises
    ------
    SchemaError, BadInputError, LakeUnavailableError
        As for `write_part`.
    """
    parts_encoded = [
        _encode(
            table,
            rows,
            underlying=underlying,
            session_date=session_date,
            name=name,
            provenance=provenance,
        )
        for name, rows in parts.items()
    ]
    folder = layout.partition_dir(table, underlying, session_date)
    with _written_here(lake, table, underlying=underlying, session_date=session_date):
        former = [name for name in lake.files(folder) if layout.is_part_name(name)]
        written = [_store(lake, part) for part in parts_encoded]
        for name in former:
            if name not in parts:
                lake.remove(f"{folder}/{name}")
    return written


def delete_part(
    lake: Lake, table: Table, *, underlying: str, session_date: date, name: str
) -> bool:
    """Delete a part; tell whether it was there.

    Raises
    ------
    BadInputError
        When the name is not one of a part.
    LakeUnavailableError
        When storage refuses.
    """
    if not layout.is_part_name(name) or "/" in name:
        raise BadInputError(f"{name!r} is no part: expected a name from layout.part_name")
    path = layout.part_path(table, underlying, session_date=session_date, name=name)
    with _written_here(lake, table, underlying=underlying, session_date=session_date):
        return lake.remove(path)


def _lies_moved(lake: Lake, part: _EncodedPart) -> bool:
    """Tell whether a packed or cold part says of itself all that this one does.

    Writing the same again, as a rerun does, then brings nothing back.
    """
    from dealer_assets.lake.parts import Part, PartGoneError, file_metadata

    try:
        return file_metadata(lake, Part(part.path, part.path.rpartition("/")[2])) == part.told
    except PartGoneError:
        return False


def _bring_back(lake: Lake, table: Table, *, underlying: str, session_date: date) -> None:
    from dealer_assets.lake.tiers import bring_back  # it reads, and readers know the writer

    bring_back(lake, table, underlying=underlying, session_date=session_date)


@contextmanager
def _written_here(
    lake: Lake, table: Table, *, underlying: str, session_date: date
) -> Iterator[None]:
    """Have the partition lie in single parts, here, and keep it so while it is written."""
    folder = layout.partition_dir(table, underlying, session_date)
    while True:
        with sharing_tier(lake, folder):
            if not _has_moved(lake, table, folder):
                yield
                return
        _bring_back(lake, table, underlying=underlying, session_date=session_date)


def _has_moved(lake: Lake, table: Table, folder: str) -> bool:
    """Tell whether parts of a partition are packed, or lie in cold storage."""
    names = [layout.DAY_PART] if table.part in PACKED_KINDS else []
    if lake.cold or lake.is_local:  # on S3 a look is a request
        names.append(layout.COLD_MARK)
    return any(lake.size_of(f"{folder}/{name}") is not None for name in names)


def ensure_tables(lake: Lake) -> list[str]:
    """Write every table's zero-row schema file, so that a glob over an empty table works.

    Returns
    -------
    list of str
        Names of the tables whose file was absent or out of date.

    Raises
    ------
    LakeUnavailableError
        When storage refuses.
    """
    return [
        table.name
        for table in TABLES
        if lake.put(layout.schema_path(table), _parquet(table, table.schema.empty_table(), {}))
    ]


def _check_name(table: Table, rows: pa.Table, *, session_date: date, name: str) -> None:
    """Refuse a name that does not follow from the rows: a rerun would lose or double them."""
    if table.part == "session":
        if name != layout.SESSION_PART:
            _refuse_name(table, name, expected=layout.SESSION_PART)
        return
    if table.part == "batch":
        if not layout.is_batch_name(name):
            _refuse_name(table, name, expected="<provider>-<hash>.parquet")
        return
    if table.part == "stream":
        _check_numbers(table, rows, name=name)
        return
    try:
        instant = layout.event_at_of(name, session_date)
    except BadInputError as error:
        raise SchemaError(f"table {table.name}: {error}; use layout.part_name") from error
    column = rows.column("event_at")
    refuse(
        pc.not_equal(column, pa.scalar(instant, column.type)),
        column,
        where=f"table {table.name}, column event_at",
        expected=f"{instant} (part {name!r} of {session_date}) in every row of the part",
    )
    hashes = [None]
    if table.part == "source":
        hashes = pc.unique(rows.column("source_sha256")).to_pylist()
    for sha256 in hashes:
        expected = layout.part_name(table, event_at=instant, sha256=sha256)
        if name != expected:
            _refuse_name(table, name, expected=expected)


def _check_numbers(table: Table, rows: pa.Table, *, name: str) -> None:
    """Refuse rows that are not numbered on from the name: readers go by it alone."""
    try:
        first = layout.first_sequence_of(name)
    except BadInputError as error:
        raise SchemaError(f"table {table.name}: {error}; use layout.stream_part") from error
    column = rows.column("stream_sequence")
    refuse(
        pc.not_equal(column, pa.array(np.arange(first, first + len(column)))),
        column,
        where=f"table {table.name}, column stream_sequence",
        expected=f"numbers without holes from {first} in part {name!r}",
    )


def _refuse_name(table: Table, name: str, *, expected: str) -> NoReturn:
    raise SchemaError(
        f"table {table.name} is cut by {table.part}: expected the part name {expected!r}, "
        f"found {name!r}; use layout.part_name"
    )


@dataclass(frozen=True)
class _EncodedPart:
    path: str
    rows: int
    data: pa.Buffer
    told: dict[str, str]


def _encode(
    table: Table,
    rows: pa.Table,
    *,
    underlying: str,
    session_date: date,
    name: str,
    provenance: Mapping[str, str],
) -> _EncodedPart:
    path = layout.part_path(table, underlying, session_date=session_date, name=name)
    ordered = conform(table, rows, underlying=underlying, session_date=session_date)
    _check_name(table, ordered, session_date=session_date, name=name)
    told = _metadata(table, ordered, provenance)
    return _EncodedPart(path, ordered.num_rows, encoded(table, ordered, told), told)


def _store(lake: Lake, part: _EncodedPart) -> WrittenPart:
    changed = lake.put(part.path, part.data)
    return WrittenPart(part.path, part.rows, part.data.size, changed)


def _parquet(table: Table, rows: pa.Table, provenance: Mapping[str, str]) -> pa.Buffer:
    return encoded(table, rows, _metadata(table, rows, provenance))


def encoded(table: Table, rows: pa.Table, told: Mapping[str, str]) -> pa.Buffer:
    """Return the bytes of a part: rows in stored order, and its whole file metadata."""
    sink = pa.BufferOutputStream()
    with part_writer(table, rows.schema, sink) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(_in_order(told))
    return sink.getvalue()


def _in_order(told: Mapping[str, str]) -> dict[str, str]:
    """Put metadata in the order it is always written in: bytes follow it."""
    own = [f"{META_PREFIX}{key}" for key in _OWN_KEYS]
    return {key: told[key] for key in [*own, *sorted(set(told) - set(own))]}


def part_writer(table: Table, schema: pa.Schema, sink: pa.NativeFile) -> pq.ParquetWriter:
    """Open a writer of a table's rows, of this schema version or an older one, as parts are."""
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=_ZSTD_LEVEL,
        **_layout_of(table, schema),
        write_page_checksum=True,  # a flipped bit on disk becomes an error, not a wrong number
        store_schema=False,  # the dictionary is the schema; a copy would tie bytes to pyarrow's
    )


@cache
def _layout_of(table: Table, schema: pa.Schema) -> dict[str, list[str]]:
    """Return how columns are encoded: numbers by their bytes, words as dictionaries.

    Takes half the time of Parquet's defaults and a fifth less room. Statistics are kept of what
    readers prune by.
    """
    kinds = {field.name: field.type for field in schema}
    return {
        "use_dictionary": [name for name, kind in kinds.items() if pa.types.is_string(kind)],
        "use_byte_stream_split": [n for n, kind in kinds.items() if pa.types.is_floating(kind)],
        "write_statistics": [*({*table.key, "event_at", "known_at"} & set(kinds))],
    }


def _metadata(table: Table, rows: pa.Table, provenance: Mapping[str, str]) -> dict[str, str]:
    for key, value in provenance.items():
        if key in RESERVED or not isinstance(value, str):
            raise BadInputError(
                f"provenance {key!r}={value!r}: expected text under a name other than "
                f"{sorted(RESERVED)}"
            )
    return {
        f"{META_PREFIX}table": table.name,
        f"{META_PREFIX}version": str(table.version),
        f"{META_PREFIX}code_version": code_version(),
        f"{META_PREFIX}content_sha256": content_sha256(rows),
        **{f"{PROVENANCE_PREFIX}{key}": provenance[key] for key in sorted(provenance)},
    }


@cache
def code_version() -> str:
    """Return the installed release of this code, as written into every part."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dealer-assets")
    except PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed


def content_sha256(rows: pa.Table) -> str:
    """Return the hash of what the rows say, not of how Arrow holds them.

    Bytes below a null are undefined and do not enter it.
    """
    digest = hashlib.sha256()
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        array = column.combine_chunks()
        digest.update(f"{name} {array.type} {len(array)}\n".encode())
        _feed(digest, array)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, array: pa.Array) -> None:
    valid = np.ones(len(array), np.bool_)
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
    digest.update(np.packbits(valid).data)
    kind = array.type
    if pa.types.is_list(kind):
        digest.update(_numbers(pc.list_value_length(array), 0))
        _feed(digest, array.flatten())
    elif pa.types.is_string(kind):
        digest.update(_numbers(pc.binary_length(array), 0))
        texts = array.drop_null()
        joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "")
        digest.update(joined[0].as_buffer())
    elif pa.types.is_boolean(kind):
        digest.update(_numbers(array, False))
    elif pa.types.is_temporal(kind):
        digest.update(_numbers(array.view(pa.int32() if kind.bit_width == 32 else pa.int64()), 0))
    else:
        digest.update(_numbers(array, 0))


def _numbers(array: pa.Array, filler: object) -> memoryview:
    if array.null_count:
        array = array.fill_null(filler)
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).data

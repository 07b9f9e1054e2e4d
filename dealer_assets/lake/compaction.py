"""Folds the many small parts of a streamed session into one, when the session is over.

Belongs here: putting a partition's stream parts together, and removing them once the whole is
proved. Does not belong here: which part a reader sees (`lake/reader.py`), cutting rows into parts
(`streaming/keeping/sink.py`).

The compacted part holds rows 0 to n - 1, and readers pass over parts that begin below n. So every
moment is sound: before it is put, while both lie there, and when parts are removed one by one; a
crash at any of them is finished by the next run. Rows decide its bytes, not how they were cut or in
how many runs they were folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets.domain.sessions import quotes_end
from dealer_assets.errors import BadInputError, LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.locks import exclusive
from dealer_assets.lake.reader import Part, part_metadata, part_rows, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.tables import Table
from dealer_assets.underlyings import underlying as registered

SETTLING_TIME = timedelta(minutes=30)
"""Late prints and parts that had to wait come in this long after quotes end."""

STREAM_KEY = "stream"
"""Provenance of a stream's parts: the process that numbered their rows."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Parameters
    ----------
    rows : int
        Rows of the compacted part; 0 when the partition has none.
    folded : int
        Parts whose rows were added to it.
    removed : int
        Parts removed: those folded, and those a killed run had left.
    """

    rows: int
    folded: int
    removed: int


def stream_parts_held(lake: Lake, table: Table, underlying: str) -> list[date]:
    """Return the sessions that have parts to fold or to remove, ascending. One listing."""
    paths = lake.files_below(layout.underlying_dir(table, underlying))
    streamed = [path for path in paths if layout.stream_of(path.rpartition("/")[2])]
    return sorted({layout.parse_partition(path).session_date for path in streamed})


def compact_session(
    lake: Lake, table: Table, *, underlying: str, session_date: date, now: datetime
) -> Compacted:
    """Fold a closed session's stream parts into its compacted part; repeating it changes nothing.

    Parameters
    ----------
    lake : Lake
        Storage.
    table : Table
        One that is cut by stream.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Partition.
    now : datetime.datetime
        Aware instant; the session has to be over for `SETTLING_TIME`.

    Returns
    -------
    Compacted

    Raises
    ------
    BadInputError
        When the table is not cut by stream, or the session is still open.
    LakeError
        When rows are missing or double: the message says which. Nothing is written or removed.
    SchemaError, LakeUnavailableError
        As the lake's reader and writer.

    Notes
    -----
    All rows of the partition are in memory, about three times over.
    """
    if table.part != "stream":
        raise BadInputError(
            f"table {table.name} is cut by {table.part}: expected one cut by stream; there is "
            "nothing to compact"
        )
    _require_closed(underlying, session_date, now)
    with exclusive(lake, table, underlying=underlying, session_date=session_date):
        return _compact(lake, table, underlying, session_date)


def stream_parts(
    lake: Lake, table: Table, underlying: str, session_date: date
) -> tuple[list[Part], list[Part]]:
    """Return a partition's parts as they follow on one another, and those left over.

    Returns
    -------
    tuple of (list of Part, list of Part)
        Parts that hold rows 0 to n - 1 once each, in order, the compacted one first; parts whose
        rows the compacted one holds, which readers pass over.

    Raises
    ------
    LakeError
        When rows are missing or double, or several streams numbered them.
    """
    folder = layout.partition_dir(table, underlying, session_date)
    names = sorted(filter(layout.is_part_name, lake.files(folder)), key=layout.part_order)
    where = f"table {table.name}, {underlying} {session_date}"
    streams = sorted({layout.stream_of(name) for name in names} - {""})
    if len(streams) > 1:
        raise LakeError(
            f"{where}: expected the parts of one stream, found {streams}: both number their rows "
            "from 0; move the parts of one of them out of the lake"
        )
    chain: list[Part] = []
    left: list[Part] = []
    held = end = 0
    for name in names:
        part = Part(f"{folder}/{name}", name)
        first, rows = layout.first_sequence_of(name), part_rows(lake, part)
        if name == layout.SESSION_PART:
            held = rows
        elif first + rows <= held:
            left.append(part)
            continue
        if first != end:
            raise LakeError(_broken(where, name, first=first, end=end))
        chain.append(part)
        end = first + rows
    return chain, left


def _broken(where: str, name: str, *, first: int, end: int) -> str:
    if first > end:
        return (
            f"{where}: rows {end} to {first - 1} are missing: expected row {end} after the parts "
            f"before {name}, found row {first}; if the streaming process has stopped, start it "
            "again: rows that wait in its journal are then written"
        )
    return (
        f"{where}: rows {first} to {end - 1} are there twice: expected row {end} after the parts "
        f"before {name}, found row {first}; two processes have written them, move one's parts "
        "out of the lake"
    )


def _require_closed(symbol: str, session_date: date, now: datetime) -> None:
    if now.tzinfo is None:
        raise BadInputError(f"now {now} has no time zone: expected an aware instant")
    over = quotes_end(registered(symbol).calendar, session_date) + SETTLING_TIME
    if now < over:
        raise BadInputError(
            f"session {session_date} of {symbol} may still be written: expected to compact it "
            f"from {over:%Y-%m-%d %H:%M:%S} UTC on, found {now}; try again then"
        )


def _compact(lake: Lake, table: Table, symbol: str, session_date: date) -> Compacted:
    parts, left = stream_parts(lake, table, symbol, session_date)
    streamed = [part for part in parts if part.name != layout.SESSION_PART]
    rows = sum(part_rows(lake, part) for part in parts)
    if streamed:
        _put_together(lake, table, parts, symbol=symbol, session_date=session_date)
    for part in (*left, *streamed):
        delete_part(lake, table, underlying=symbol, session_date=session_date, name=part.name)
    return Compacted(rows, len(streamed), len(left) + len(streamed))


def _put_together(
    lake: Lake, table: Table, parts: Sequence[Part], *, symbol: str, session_date: date
) -> None:
    """Write the compacted part and prove, from storage, that it holds every row once."""
    rows = pa.concat_tables([read_part(lake, table, part) for part in parts])
    stream = layout.stream_of(parts[-1].name)
    told = {part_metadata(lake, part).get(STREAM_KEY, stream) for part in parts}
    if told != {stream}:
        raise LakeError(
            f"table {table.name}, {symbol} {session_date}: expected rows of stream {stream!r}, "
            f"found {sorted(told)}; both number their rows from 0"
        )
    written = write_part(
        lake,
        table,
        rows,
        underlying=symbol,
        session_date=session_date,
        name=layout.SESSION_PART,
        provenance={STREAM_KEY: stream},
    )
    verify_numbers(lake, table, Part(written.path, layout.SESSION_PART), rows=rows.num_rows)


def verify_numbers(lake: Lake, table: Table, part: Part, *, rows: int) -> None:
    """Read a part's row numbers back from storage.

    Raises
    ------
    LakeError
        When they are not `rows` numbers without holes from the one in the part's name.
    """
    column = read_part(lake, table, part, columns=["stream_sequence"])["stream_sequence"]
    found = column.to_numpy()
    first = layout.first_sequence_of(part.name)
    if not np.array_equal(found, np.arange(first, first + rows)):
        raise LakeError(
            f"part {part.path}: expected rows {first} to {first + rows - 1} once each, found "
            f"{found.size} rows from {found[:1].tolist()} to {found[-1:].tolist()} when it was "
            "read back; storage does not keep what it was given"
        )

"""What a session holds already, in the lake and in the journal.

Belongs here: reading both after a start, and holding them against one another. Does not belong
here: what is done with the rows (`sink`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.errors import DealerError, LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.compaction import STREAM_KEY
from dealer_assets.lake.reader import list_parts, part_metadata, part_rows, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import Table, table as table_of
from streaming.keeping.journal import Journal
from streaming.keeping.journal_file import Lane, Record, Segment, journal_files, scan, session_of
from streaming.keeping.sink_state import SinkState

_READERS = 8


def stored_rows(
    lake: Lake, lanes: Sequence[Lane], sessions: Mapping[str, date], *, stream: str
) -> dict[Lane, int]:
    """Return how many rows of every lane are in parts.

    The last part decides: parts of a lane reach the lake in their order. Compaction counts again.

    Raises
    ------
    LakeError
        When the lake cannot be read, or holds parts of another stream.
    """

    def stored(lane: Lane) -> int:
        table, symbol = table_of(lane[0]), lane[1]
        parts = list_parts(lake, table, symbol, sessions[symbol])
        if not parts:
            return 0
        last = parts[-1]
        wrote = layout.stream_of(last.name) or part_metadata(lake, last).get(STREAM_KEY, "")
        if wrote != stream:
            raise LakeError(
                f"part {last.path} is of stream {wrote!r}: expected {stream!r}; two streams would "
                "number the same rows. Move the session's parts out of the lake, or go on with "
                "that stream"
            )
        return layout.first_sequence_of(last.name) + part_rows(lake, last)

    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip(lanes, pool.map(stored, lanes), strict=True))


def unstored_rows(
    segments: Sequence[Segment], stored: Mapping[Lane, int]
) -> list[tuple[Segment, Record, int]]:
    """Return where the journal's rows are that are in no part, in the order of their numbers.

    Returns
    -------
    list of (Segment, Record, int)
        File, record, and how many of its first rows are in parts already.

    Raises
    ------
    LakeError
        When there is a hole between them, or after the parts: the message says which rows.
    """
    reached = dict(stored)
    found = []
    for segment in segments:
        for record in segment.records:
            have = reached.get(record.lane, 0)
            if record.first > have:
                raise LakeError(
                    f"rows {have} to {record.first - 1} of {record.lane[0]} {record.lane[1]} are "
                    f"in no part and not in the journal: expected row {have} before "
                    f"{segment.path}. Bring back the part or journal file that was removed, or "
                    "move the session's parts and journal away to begin it anew"
                )
            if record.end > have:
                found.append((segment, record, have - record.first))
                reached[record.lane] = record.end
    return found


def session_rows(
    lake: Lake,
    journal: Journal,
    table: Table,
    symbol: str,
    session_date: date,
    *,
    stored: int,
    end: int,
) -> pa.Table:
    """Return a session's rows of a table from parts, up to `stored`, and journal, up to `end`.

    Raises
    ------
    LakeError
        When rows are missing or double: the message says which.
    """
    parts = read_partition(lake, table, symbol, session_date)
    parts = parts.filter(pc.less(parts["stream_sequence"], stored))
    rows = pa.concat_tables([parts, journal.read((table.name, symbol), stored, end)])
    numbers = rows["stream_sequence"].to_numpy()
    if np.array_equal(numbers, np.arange(end)):
        return rows
    amiss = np.flatnonzero(numbers != np.arange(numbers.size))
    place = int(amiss[0]) if amiss.size else numbers.size
    found = int(numbers[place]) if amiss.size else "none"
    raise LakeError(
        f"table {table.name}, {symbol} {session_date}: expected row {place} in its place, "
        f"found {found}: rows before it are missing or double. Bring back the part that was "
        "removed, or move the session's parts and journal away to begin it anew"
    )


def all_sessions(journal: Journal, sessions: Mapping[str, date]) -> dict[str, date]:
    """Return the sessions asked for and those of the journal's files.

    Raises
    ------
    LakeError
        When they differ.
    """
    found = dict(sessions)
    for segment in journal.found:
        for symbol, day in segment.sessions.items():
            if found.setdefault(symbol, day) != day:
                raise LakeError(
                    f"journal {segment.path} holds rows of {symbol} of session {day}: expected "
                    f"{found[symbol]}; close that session first"
                )
    return found


def settle_former(
    folder: Path,
    stream: str,
    own: date,
    *,
    settle: Callable[[Mapping[str, date]], tuple[SinkState, SinkState]],
) -> list[str]:
    """Bring to the lake what killed processes left of other sessions; say what came of it.

    Parameters
    ----------
    folder : pathlib.Path
        Where journals lie.
    stream : str
        Whose.
    own : datetime.date
        The session that is open; it is passed over.
    settle : callable
        Sessions by underlying to the state of their sink before and after it was closed.
    """
    notes = []
    for day in sorted({session_of(path) for path in journal_files(folder, stream)} - {own}):
        try:
            found = [scan(path) for path in journal_files(folder, stream, day)]
            sessions = {
                symbol: its for segment in found for symbol, its in segment.sessions.items()
            }
            if not sessions:
                continue  # killed while its first file was begun: no row was in it yet
            before, after = settle(sessions)
        except DealerError as error:
            notes.append(f"rows of session {day} stay in its journal: {error}")
            continue
        if after.waiting_rows:
            reason = after.reason or "the lake took too long"
            notes.append(
                f"{after.waiting_rows} rows of session {day} stay in its journal: {reason}"
            )
        else:
            rows = before.waiting_rows
            notes.append(
                f"{rows} rows of session {day} were in its journal alone: they are in the lake"
            )
    return notes

"""A journal's files: their names, the records in them, what is refused.

Belongs here: the bytes, encoding and reading them. Does not belong here: writing them in order
(`journal`).

A file begins with a magic word, a version and a description (stream, sessions, lanes). Then follow
records: length, CRC-32, lane, how many more records belong to the same append, row count, number of
the first row, and the rows as an Arrow record batch. A killed process leaves at most one append
half written, at the end; of it nothing counts, so that trades never stand without what was made of
them.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa

from dealer_assets.errors import BadInputError, LakeError
from dealer_assets.tables import table as table_of

VERSION = 1
MAGIC = b"DEALERJ"
_MARK = struct.Struct("<7sB")
_TOLD = struct.Struct("<II")  # bytes of the description, CRC-32
_HEAD = struct.Struct("<IIHHIq")  # bytes of the batch, CRC-32, lane, more, rows, first row's number
_CHECKED = struct.Struct("<HHIq")
_NAME = re.compile(r"(?P<stream>[a-z][a-z0-9_]*)-(?P<day>\d{4}-\d{2}-\d{2})-(?P<n>\d{6})\.journal")

Lane = tuple[str, str]
"""Table and underlying."""


class JournalError(LakeError):
    """A journal that cannot be read as this release writes it, or is held by another process."""


@dataclass(frozen=True)
class Record:
    """Where an append's rows of one lane lie.

    Parameters
    ----------
    lane : tuple of (str, str)
        Table and underlying.
    first, rows : int
        Number of the first row, and how many.
    offset, length : int
        Place of the record batch in its file.
    """

    lane: Lane
    first: int
    rows: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Number after the last row."""
        return self.first + self.rows


@dataclass
class Segment:
    """One file of a journal.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sessions : mapping of str to datetime.date
        Session of every underlying.
    records : list of Record
        What it holds, in order.
    ends : dict of lane to int
        Number after the last row of every lane.
    torn_bytes : int
        Bytes at its end that are no whole record: half an append of a killed process.
    """

    path: Path
    sessions: Mapping[str, date]
    records: list[Record] = field(default_factory=list)
    ends: dict[Lane, int] = field(default_factory=dict)
    torn_bytes: int = 0

    def add(self, record: Record) -> None:
        """Note a record that stands in the file."""
        self.records.append(record)
        self.ends[record.lane] = record.end

    def read(self, record: Record) -> pa.Table:
        """Read one append's rows again; it was checked when the file was scanned or written."""
        schema = table_of(record.lane[0]).schema
        with self.path.open("rb") as file:
            file.seek(record.offset)
            batch = pa.ipc.read_record_batch(pa.py_buffer(file.read(record.length)), schema)
        return pa.Table.from_batches([batch])


def file_name(stream: str, day: date, number: int) -> str:
    """Name a journal's file."""
    return f"{stream}-{day}-{number:06d}.journal"


def encode_start(stream: str, sessions: Mapping[str, date], lanes: Sequence[Lane]) -> bytes:
    """Return what a file begins with."""
    told = {
        "stream": stream,
        "sessions": {symbol: day.isoformat() for symbol, day in sessions.items()},
        "lanes": [[*lane, table_of(lane[0]).version] for lane in lanes],
    }
    text = json.dumps(told, sort_keys=True).encode()
    return _MARK.pack(MAGIC, VERSION) + _TOLD.pack(len(text), zlib.crc32(text)) + text


def encode_rows(
    code: int, first: int, batch: pa.RecordBatch, *, more: int = 0
) -> tuple[bytes, pa.Buffer]:
    """Return head and body of a record.

    Parameters
    ----------
    code : int
        Place of the lane among the file's.
    first : int
        Number of the first row.
    batch : pyarrow.RecordBatch
        The rows.
    more : int
        Records of the same append that follow: all of them count, or none.
    """
    body = batch.serialize()
    checked = _CHECKED.pack(code, more, batch.num_rows, first)
    crc = zlib.crc32(body, zlib.crc32(checked))
    return _HEAD.pack(body.size, crc, code, more, batch.num_rows, first), body


def journal_files(folder: Path, stream: str, day: date | None = None) -> list[Path]:
    """Return a stream's journal files, of one session or of all, oldest first."""
    found = []
    for path in folder.glob(f"{stream}-*.journal"):
        match = _NAME.fullmatch(path.name)
        if match and match["stream"] == stream and day in (None, date.fromisoformat(match["day"])):
            found.append(path)
    return sorted(found)


def session_of(path: Path) -> date:
    """Return the session that a journal file is named after."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise BadInputError(
            f"{path} is no journal: expected a file named <stream>-<date>-<number>.journal"
        )
    return date.fromisoformat(match["day"])


def scan(path: Path) -> Segment:
    """Read a journal file's records up to its end, or to the append that a kill cut short.

    Raises
    ------
    JournalError
        When it is no journal, one of another version or schema, or damaged before its end.
    """
    content = memoryview(path.read_bytes())
    sessions, lanes, offset = _describe(path, content)
    segment = Segment(path, sessions)
    waiting: list[Record] = []
    for record, more in _records(content, lanes, offset):
        waiting.append(record)
        if not more:  # the append is whole
            for one in waiting:
                segment.add(one)
            waiting, offset = [], record.offset + record.length
    segment.torn_bytes = len(content) - offset
    if segment.torn_bytes:
        last = waiting[-1].offset + waiting[-1].length if waiting else offset
        _require_torn_tail(path, content, lanes, last)
    return segment


def _records(content: memoryview, lanes: list[Lane], offset: int) -> Iterator[tuple[Record, int]]:
    """Yield good records, each with how many more its append has."""
    while offset + _HEAD.size <= len(content):
        length, crc, code, more, rows, first = _HEAD.unpack_from(content, offset)
        start = offset + _HEAD.size
        checked = content[offset + 8 : start]
        body = content[start : start + length]
        if len(body) < length or code >= len(lanes) or zlib.crc32(body, zlib.crc32(checked)) != crc:
            return
        yield Record(lanes[code], first, rows, start, length), more
        offset = start + length


def _require_torn_tail(path: Path, content: memoryview, lanes: list[Lane], offset: int) -> None:
    """Refuse a bad record that good ones follow: that is damage, and not a kill's half append."""
    if offset + _HEAD.size > len(content):
        return
    after = offset + _HEAD.size + _HEAD.unpack_from(content, offset)[0]
    follower, _ = next(_records(content, lanes, after), (None, 0))
    if follower is not None:
        raise JournalError(
            f"journal {path} is damaged at byte {offset}: expected a whole record, found one whose "
            f"checksum does not match, and good ones after it (row {follower.first} of "
            f"{follower.lane[0]} {follower.lane[1]}). Restore the file, or move it out of the "
            "folder to go on without its rows"
        )


def _describe(path: Path, content: memoryview) -> tuple[dict[str, date], list[Lane], int]:
    """Return sessions, lanes and the first record's offset; a file cut short in there has none."""
    magic, version = _MARK.unpack_from(content) if len(content) >= _MARK.size else (b"", 0)
    if content and not MAGIC.startswith(bytes(content[: len(MAGIC)])):
        raise JournalError(
            f"{path} is no journal: expected it to begin with {MAGIC!r}, found "
            f"{bytes(content[:8])!r}; move it out of the folder"
        )
    if magic and version != VERSION:
        raise JournalError(
            f"journal {path} is of version {version}: expected {VERSION}; start the release that "
            "wrote it once, so that its rows reach the lake, and then this one"
        )
    start = _MARK.size + _TOLD.size
    length, crc = _TOLD.unpack_from(content, _MARK.size) if len(content) >= start else (0, 1)
    text = bytes(content[start : start + length])
    if zlib.crc32(text) != crc:
        if start + length < len(content):
            raise JournalError(
                f"journal {path} is damaged: expected a description whose checksum matches; move "
                "it out of the folder to go on without its rows"
            )
        return {}, [], 0  # killed while the file was begun: no row was in it yet
    told = json.loads(text)
    for name, _, found in told["lanes"]:
        _require_version(path, name, found)
    sessions = {symbol: date.fromisoformat(day) for symbol, day in told["sessions"].items()}
    return sessions, [(name, symbol) for name, symbol, _ in told["lanes"]], start + length


def _require_version(path: Path, name: str, found: int) -> None:
    try:
        expected = table_of(name).version
    except KeyError:
        expected = 0
    if found != expected:
        raise JournalError(
            f"journal {path} holds rows of table {name}, schema version {found}: expected "
            f"{expected or 'a table that this release has'}; start the release that wrote it once, "
            "so that its rows reach the lake, and then this one"
        )


def number_of(path: Path) -> int:
    """Return the place of a file in its journal."""
    return int(path.stem.rpartition("-")[2])

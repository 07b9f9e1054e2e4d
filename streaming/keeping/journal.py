"""The write-ahead journal: rows stand here before anybody is told of them.

Belongs here: the order of the files, writing, locking and syncing them. Does not belong here: their
bytes (`journal_file`), which rows make a part (`sink`), the lake.

A journal is the files `<stream>-<date>-<number>.journal` of one folder. An append is one `pwritev`.
A file is never written again by another process: each start begins a new one.

A killed process loses nothing that `append` returned from. A power cut can cost what was appended
since the last sync: `SYNC_SECONDS` and the time of one sync.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow as pa

from dealer_assets.errors import LakeError
from dealer_assets.tables import table as table_of
from streaming.keeping.journal_file import (
    Lane,
    Record,
    Segment,
    encode_rows,
    encode_start,
    file_name,
    journal_files,
    number_of,
    scan,
)
from streaming.keeping.locking import FileLock

SYNC_SECONDS = 1.0
"""How often what was appended is forced to disk."""

SEGMENT_BYTES = 64 << 20
"""Size from which a new file is begun; a file whose rows are all in parts is removed."""


class Journal:
    """The journal of one stream and session, held by this process alone.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files lie; made when absent.
    stream : str
        Lower-case word that names the process.
    sessions : mapping of str to datetime.date
        Session of every underlying; files are named after the latest.
    lanes : sequence of (str, str)
        Tables and underlyings that rows may be of.
    segment_bytes : int
        See `SEGMENT_BYTES`.

    Attributes
    ----------
    found : list of Segment
        Files of earlier processes, oldest first.

    Raises
    ------
    JournalError
        When another process holds it, or a file is damaged, foreign or of another version.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stream: str,
        sessions: Mapping[str, date],
        lanes: Sequence[Lane],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._folder = folder
        self._stream = stream
        self._sessions = dict(sessions)
        self._day = max(self._sessions.values())
        self._lanes = list(lanes)
        self._codes = {lane: code for code, lane in enumerate(self._lanes)}
        self._segment_bytes = segment_bytes
        self._lock = FileLock(folder / f"{stream}-{self._day}.lock")
        try:
            self.found = [scan(path) for path in journal_files(folder, stream, self._day)]
        except BaseException:
            self._lock.release()
            raise
        self._number = max([number_of(s.path) for s in self.found], default=-1)
        self._closed: list[Segment] = []  # of this process, full
        self._open: Segment | None = None
        self._fd = -1
        self._offset = 0
        self._unsynced: list[int] = []  # files that are full, to be synced and closed
        self._is_dirty = self._is_new = False
        self._swapping = threading.Lock()

    def append(self, rows: Sequence[tuple[Lane, int, pa.RecordBatch]]) -> int:
        """Append batches of rows; they are acknowledged, all of them, when this returns.

        Parameters
        ----------
        rows : sequence of (lane, int, pyarrow.RecordBatch)
            Table and underlying, number of the first row, and rows in the table's schema.

        Returns
        -------
        int
            Bytes written.

        Raises
        ------
        OSError
            When the disk refuses; the journal ends then where it ended before.
        """
        if self._open is None or self._offset >= self._segment_bytes:
            self._begin()
        assert self._open is not None
        pieces: list[bytes | pa.Buffer] = []
        records = []
        at = self._offset
        for more, (lane, first, batch) in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            head, body = encode_rows(self._codes[lane], first, batch, more=more)
            pieces += (head, body)
            records.append(Record(lane, first, batch.num_rows, at + len(head), body.size))
            at += len(head) + int(body.size)
        written = self._write(pieces)
        for record in records:
            self._open.add(record)
        return written

    def read(self, lane: Lane, first: int, end: int) -> pa.Table:
        """Read rows again by their numbers.

        Raises
        ------
        LakeError
            When the journal does not hold them all.
        """
        pieces = [table_of(lane[0]).schema.empty_table()]
        have = first
        for segment in self._segments():
            for record in segment.records:
                if record.lane == lane and record.first <= have < min(record.end, end):
                    rows = segment.read(record)
                    pieces.append(rows.slice(have - record.first, end - have))
                    have = min(record.end, end)
        if have < end:
            raise LakeError(
                f"the journal of {self._stream} {self._day} in {self._folder} lacks rows {have} "
                f"to {end - 1} of {lane[0]} {lane[1]}: expected every row that is in no part yet; "
                "a file of it was removed or damaged"
            )
        return pa.concat_tables(pieces)

    def drop(self, stored: Mapping[Lane, int]) -> None:
        """Remove files of which every row is in a part; not the one that is being written.

        Parameters
        ----------
        stored : mapping of lane to int
            Rows of every lane that are in parts.
        """
        for segments in (self.found, self._closed):
            for segment in list(segments):
                if all(end <= stored.get(lane, 0) for lane, end in segment.ends.items()):
                    segment.path.unlink(missing_ok=True)
                    segments.remove(segment)

    def sync(self) -> None:
        """Force what was appended to disk, when something was; may be called in another thread.

        Raises
        ------
        OSError
            When the disk refuses.
        """
        with self._swapping:  # not while the disk is at work: an append may have to swap files
            descriptors, self._unsynced = self._unsynced, []
            if self._is_dirty:
                self._is_dirty = False
                descriptors.append(os.dup(self._fd))
            if self._is_new:
                self._is_new = False
                descriptors.append(os.open(self._folder, os.O_RDONLY))  # a file's name, too
        try:
            for descriptor in descriptors:
                os.fsync(descriptor)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def close(self, stored: Mapping[Lane, int]) -> bool:
        """Sync and let go of the journal; remove its files when every row is in a part.

        Returns
        -------
        bool
            Whether nothing of it is left.
        """
        try:
            with suppress(OSError):  # the rows stand in the file; a power cut is another matter
                self.sync()
            with self._swapping:
                if self._open is not None:
                    os.close(self._fd)
                    self._closed.append(self._open)
                    self._open, self._fd, self._is_dirty = None, -1, False
            self.drop(stored)
            return not (self.found or self._closed)
        finally:
            self._lock.release()

    def _segments(self) -> list[Segment]:
        return [*self.found, *self._closed, *([self._open] if self._open else [])]

    def _begin(self) -> None:
        """Begin a new file; the full one is synced and closed by the next `sync`."""
        path = self._folder / file_name(self._stream, self._day, self._number + 1)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        start = encode_start(self._stream, self._sessions, self._lanes)
        try:
            _write_all(descriptor, (start,), 0)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        with self._swapping:
            if self._open is not None:
                self._unsynced.append(self._fd)
                self._closed.append(self._open)
            self._open, self._fd = Segment(path, self._sessions), descriptor
            self._offset = len(start)
            self._is_new = True
        self._number += 1

    def _write(self, pieces: Sequence[bytes | pa.Buffer]) -> int:
        try:
            written = _write_all(self._fd, pieces, self._offset)
        except OSError:
            with suppress(OSError):  # the next append is written over it, wherever it ends
                os.ftruncate(self._fd, self._offset)
            raise
        self._offset += written
        self._is_dirty = True
        return written


def _write_all(descriptor: int, pieces: Sequence[bytes | pa.Buffer], offset: int) -> int:
    """Write at an offset in one call; a disk that takes a part of it only is full."""
    wanted = sum(len(memoryview(piece)) for piece in pieces)
    written = os.pwritev(descriptor, pieces, offset)
    if written != wanted:
        raise OSError(errno.ENOSPC, f"it took {written} of {wanted} bytes")
    return wanted

"""The stream's way out: rows in, journal, parts of the lake.

Belongs here: taking rows, acknowledging them, finding out after a kill where to go on. Does not
belong here: the journal's bytes (`journal`), cut points (`cutting`), the way to the lake
(`part_writer`), what rows say (`engine`).

A row is acknowledged when it stands in the journal. Rows then wait to be cut into parts; a part is
written in another thread, so the stream does not wait for the lake.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Ints
from dealer_assets.lake.conformity import conform
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import FEED_GAPS, LIVE_TABLES, LIVE_TRADES, Table, table as table_of
from streaming.keeping.cutting import Cut, Cutter
from streaming.keeping.heartbeat import open_gaps
from streaming.keeping.journal import Journal
from streaming.keeping.journal_file import Lane, Record, Segment
from streaming.keeping.part_writer import PartWriter
from streaming.keeping.recovery import (
    all_sessions,
    session_rows,
    settle_former,
    stored_rows,
    unstored_rows,
)
from streaming.keeping.sink_state import (
    Recovered as Recovered,
    SequenceBrokenError as SequenceBrokenError,
    SinkStalledError as SinkStalledError,
    SinkState as SinkState,
)

_log = logging.getLogger(__name__)

MEMORY_MB = 256
"""Rows that may wait in memory for the lake, and again as many for the journal [MB]."""

SETTLE_SECONDS = 30.0
"""How long `flush` and `close` wait for the lake."""

FORMER_SECONDS = 10.0
"""How long a start waits for the lake to take a former session's rows."""


Group = list[tuple[Lane, int, pa.RecordBatch]]
"""Rows of one append: table and underlying, number of the first row, rows."""


class Sink:
    """Takes the rows of one stream and session; one process at a time.

    Parameters
    ----------
    lake : Lake
        Where parts go.
    folder : pathlib.Path
        Where the journal lies.
    stream : str
        Lower-case word that names the process, and its parts.
    sessions : mapping of str to datetime.date
        Session of every underlying.
    rows_per_part, seconds_per_part : int
        A part ends when it has so many rows, and at every multiple of so many seconds.
    memory_mb : int
        See `MEMORY_MB`.

    Raises
    ------
    AlreadyHeldError, JournalError
        When the journal is another process's, or cannot be read.
    LakeError
        When the lake cannot be read, or rows are missing between its parts and the journal.
    """

    def __init__(
        self,
        lake: Lake,
        folder: Path,
        *,
        stream: str,
        sessions: Mapping[str, date],
        rows_per_part: int = 5000,
        seconds_per_part: int = 60,
        memory_mb: int = MEMORY_MB,
    ) -> None:
        self._lake = lake
        self._folder = folder
        self._stream = stream
        self._sizes = (rows_per_part, seconds_per_part, memory_mb)
        self._period_us = seconds_per_part * 1_000_000
        self._schemas = {(t.name, symbol): t.schema for t in LIVE_TABLES for symbol in sessions}
        self._journal = Journal(folder, stream=stream, sessions=sessions, lanes=[*self._schemas])
        try:
            self._sessions = all_sessions(self._journal, sessions)
            known = self._schemas.keys() | {n for s in self._journal.found for n in s.ends}
            stored = stored_rows(lake, sorted(known), self._sessions, stream=stream)
            unstored = unstored_rows(self._journal.found, stored)
        except BaseException:
            self._journal.close({})
            raise
        self._acknowledged: dict[Lane, int] = dict(stored)
        self._next = dict(stored)
        self._writer = PartWriter(
            lake,
            self._journal,
            stream=stream,
            sessions=self._sessions,
            stored=stored,
            memory_bytes=memory_mb << 20,
        )
        self._cutters = {
            lane: Cutter(first, rows_per_part=rows_per_part, period_us=self._period_us)
            for lane, first in stored.items()
        }
        self._restore(unstored)
        self._clock_period = 0
        self._backlog: deque[Group | int] = deque()
        self._backlog_bytes = 0
        self._journal_problem = ""
        self._is_closed = False

    @property
    def acknowledged(self) -> Mapping[Lane, int]:
        """Rows that stand in the journal or in parts, by table and underlying."""
        return MappingProxyType(self._acknowledged)

    @property
    def state(self) -> SinkState:
        """How the sink is doing; cheap."""
        stored = self._writer.stored
        waiting = sum(n - stored.get(lane, 0) for lane, n in self._acknowledged.items())
        unacknowledged = sum(n - self._acknowledged[lane] for lane, n in self._next.items())
        reasons = (self._journal_problem, self._writer.problem, self._writer.sync_problem)
        status: Literal["ok", "waiting", "stalled"] = "waiting" if any(reasons) else "ok"
        return SinkState(
            status="stalled" if self._backlog else status,
            reason="; ".join(filter(None, reasons)),
            waiting_rows=waiting,
            waiting_parts=self._writer.waiting_parts,
            unacknowledged_rows=unacknowledged,
        )

    def recover(self) -> Recovered:
        """Tell what the session holds, and bring former sessions' journals to the lake.

        Raises
        ------
        LakeError
            When rows of `LIVE_TRADES` or `FEED_GAPS` are missing or double: the message says which.
        """
        notes = [
            f"{segment.path.name}: the last {segment.torn_bytes} bytes are half an append that a "
            "kill cut short; it was never acknowledged"
            for segment in self._journal.found
            if segment.torn_bytes
        ]
        with self._writer.paused():
            trades = self._session_rows(LIVE_TRADES)
            gaps = self._session_rows(FEED_GAPS)
        own = max(self._sessions.values())
        notes += settle_former(self._folder, self._stream, own, settle=self._settle_former)
        for note in notes:
            _log.warning("%s", note)
        return Recovered(dict(self._acknowledged), trades, open_gaps(gaps.values()), tuple(notes))

    def _session_rows(self, table: Table) -> dict[str, pa.Table]:
        """Return the session's rows of a table by underlying; while the writer is paused."""
        return {
            symbol: session_rows(
                self._lake,
                self._journal,
                table,
                symbol,
                self._sessions[symbol],
                stored=self._writer.stored.get((table.name, symbol), 0),
                end=self._acknowledged[table.name, symbol],
            )
            for name, symbol in self._acknowledged
            if name == table.name
        }

    def append(self, *rows: tuple[Table, str, pa.Table]) -> None:
        """Take rows: they stand in the journal when this returns, or wait in memory for it.

        Rows of one call stand there together: after a kill all of them are found, or none.

        Parameters
        ----------
        *rows : tuple of (Table, str, pyarrow.Table)
            One of `LIVE_TABLES`, one of the sessions' underlyings, and rows in the table's schema,
            ordered by `known_at` as far as they can be, numbered on from the rows before. The
            dictionary's bounds and vocabularies are enforced when the part is written.

        Raises
        ------
        SequenceBrokenError
            When they are not numbered on; none is taken.
        SchemaError
            When the columns are not the table's; none is taken.
        SinkStalledError
            When the journal refuses and memory is full; none is taken, they can be offered again.
        """
        reached = dict(self._next)
        group: Group = []
        for table, underlying, some in rows:
            if some.num_rows:
                lane = (table.name, underlying)
                batch = self._batch(lane, some, reached.get(lane, 0))
                group.append((lane, reached[lane], batch))
                reached[lane] += batch.num_rows
        if not group:
            return
        if self._backlog:
            self._retry()
        if self._backlog or not self._journaled(group):
            self._postpone(group)
        self._next = reached

    def advance(self, now_us: int) -> None:
        """End parts whose time is over.

        Parameters
        ----------
        now_us : int
            The stream's clock: microseconds since 1970 of the last frame. Rows known before have to
            be appended first.
        """
        if self._backlog:
            self._retry()
        period = now_us // self._period_us
        if period == self._clock_period:
            return
        self._clock_period = period
        if self._backlog:
            self._backlog.append(now_us)  # in its place: cut points do not depend on the disk
        else:
            self._end_periods(now_us)

    def flush(self, timeout_seconds: float = SETTLE_SECONDS) -> bool:
        """End all parts at once and wait for the lake; tell whether it holds every row."""
        if self._backlog:
            self._retry()
        for lane, cutter in self._cutters.items():
            self._put(lane, cutter.end())
        return self._writer.settle(timeout_seconds) and not self._backlog

    def close(self, timeout_seconds: float = SETTLE_SECONDS) -> bool:
        """Flush, and let go of the journal; its files are removed once the lake holds every row.

        Returns
        -------
        bool
            Whether the lake holds every row. Otherwise the journal keeps the rest for the next
            process, and a warning is logged; rows that the journal refused are lost.
        """
        if self._is_closed:
            return not self.state.waiting_rows
        self._is_closed = True
        is_whole = self.flush(timeout_seconds)
        state = self.state
        self._writer.stop()
        self._journal.close(self._writer.stored)
        if not is_whole:
            _log.warning(
                "stream %s closed with %d rows in the journal alone and %d in neither: %s",
                self._stream,
                state.waiting_rows,
                state.unacknowledged_rows,
                state.reason or "the lake took too long",
            )
        return is_whole

    def _restore(self, unstored: Sequence[tuple[Segment, Record, int]]) -> None:
        try:
            for segment, record, skipped in unstored:
                (batch,) = segment.read(record).slice(skipped).to_batches()
                self._next[record.lane] = record.end
                self._accept(record.lane, batch)
        except BaseException:
            self._writer.stop()
            self._journal.close({})
            raise

    def _batch(self, lane: Lane, rows: pa.Table, first: int) -> pa.RecordBatch:
        """Return the rows as one batch, or refuse them."""
        schema = self._schemas.get(lane)
        if schema is None or self._is_closed:
            raise SequenceBrokenError(
                f"rows of {lane[0]} {lane[1]} cannot be taken: expected an open sink and one of "
                f"the tables and underlyings {sorted({symbol for _, symbol in self._schemas})}"
            )
        if not rows.schema.equals(schema):
            rows = conform(table_of(lane[0]), rows)
        batches = rows.to_batches()  # most often one; to combine costs more than all the rest
        batch = batches[0] if len(batches) == 1 else rows.combine_chunks().to_batches()[0]
        numbers = _int64(batch, "stream_sequence")
        follow_on = numbers[0] == first and np.all(numbers[1:] == numbers[:-1] + 1)
        if not follow_on:
            raise SequenceBrokenError(
                f"rows of {lane[0]} {lane[1]}: expected {numbers.size} numbers without holes from "
                f"{first}, found {numbers[0]} to {numbers[-1]}; take them from the Sequences that "
                "Sink.recover tells where to go on"
            )
        return batch

    def _journaled(self, group: Group) -> bool:
        """Write to the journal, and go on with the rows; tell whether it took them."""
        try:
            self._journal.append(group)
        except OSError as error:
            if not self._journal_problem:
                _log.error("the journal of stream %s refuses rows: %s", self._stream, error)
            self._journal_problem = (
                f"the journal in {self._folder} cannot be written: {error}; make room there"
            )
            return False
        self._journal_problem = ""
        for lane, _, batch in group:
            self._accept(lane, batch)
        return True

    def _accept(self, lane: Lane, batch: pa.RecordBatch) -> None:
        self._acknowledged[lane] += batch.num_rows
        self._put(lane, self._cutters[lane].add(batch, _int64(batch, "known_at")))

    def _postpone(self, group: Group) -> None:
        size = _bytes_of(group)
        if self._backlog_bytes + size > self._sizes[2] << 20:
            count = sum(batch.num_rows for _, _, batch in group)
            raise SinkStalledError(
                f"{count} rows of {', '.join(' '.join(lane) for lane, _, _ in group)} cannot be "
                f"taken: {self._journal_problem}, and {self._sizes[2]} MB of rows wait in memory "
                "already"
            )
        self._backlog.append(group)
        self._backlog_bytes += size

    def _retry(self) -> None:
        """Go on where the journal refused, in order."""
        while self._backlog:
            item = self._backlog[0]
            if isinstance(item, int):
                self._end_periods(item)
            elif self._journaled(item):
                self._backlog_bytes -= _bytes_of(item)
            else:
                return
            self._backlog.popleft()

    def _end_periods(self, now_us: int) -> None:
        for lane, cutter in self._cutters.items():
            self._put(lane, cutter.advance(now_us))

    def _put(self, lane: Lane, cuts: list[Cut]) -> None:
        for cut in cuts:
            self._writer.put(lane, cut)

    def _settle_former(self, sessions: Mapping[str, date]) -> tuple[SinkState, SinkState]:
        """Bring to the lake what is left of other sessions; return the state before and after."""
        rows_per_part, seconds_per_part, memory_mb = self._sizes
        former = Sink(
            self._lake,
            self._folder,
            stream=self._stream,
            sessions=sessions,
            rows_per_part=rows_per_part,
            seconds_per_part=seconds_per_part,
            memory_mb=memory_mb,
        )
        before = former.state
        former.close(FORMER_SECONDS)
        return before, former.state


def _bytes_of(group: Group) -> int:
    return int(sum(batch.nbytes for _, _, batch in group))


def _int64(batch: pa.RecordBatch, column: str) -> Ints:
    numbers: Ints = batch.column(column).view(pa.int64()).to_numpy()
    return numbers

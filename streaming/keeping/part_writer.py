"""The thread that brings parts to the lake while the stream goes on.

Belongs here: order, retries, proof, what is kept in memory meanwhile. Does not belong here: cutting
(`cutting`), the journal's bytes (`journal`).

Parts of a lane reach the lake in their order. When the lake refuses, they wait: in memory up to a
bound, beyond it in the journal alone. A part that the lake's dictionary refuses blocks its own lane
only, until a release that can write it: its rows stay in the journal.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from dealer_assets.errors import BadInputError, DealerError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.compaction import STREAM_KEY, verify_numbers
from dealer_assets.lake.reader import Part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import table as table_of
from streaming.keeping.cutting import Cut
from streaming.keeping.journal import SYNC_SECONDS, Journal
from streaming.keeping.journal_file import Lane

_log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 30.0


@dataclass(eq=False)
class _Waiting:
    """A part on its way; without pieces it is read from the journal when its turn comes."""

    lane: Lane
    first: int
    rows: int
    pieces: tuple[pa.RecordBatch, ...] | None
    nbytes: int


class PartWriter:
    """Writes parts in a thread of its own, and syncs the journal.

    Parameters
    ----------
    lake : Lake
        Where to.
    journal : Journal
        Holds every row that is in no part; files that are no longer needed are dropped from it.
    stream : str
        Names the parts.
    sessions : mapping of str to datetime.date
        Session of every underlying.
    stored : mapping of lane to int
        Rows of every lane that are in parts already.
    memory_bytes : int
        Bound on the rows of waiting parts that are kept in memory.
    """

    def __init__(
        self,
        lake: Lake,
        journal: Journal,
        *,
        stream: str,
        sessions: Mapping[str, date],
        stored: Mapping[Lane, int],
        memory_bytes: int,
    ) -> None:
        self._lake = lake
        self._journal = journal
        self._stream = stream
        self._sessions = dict(sessions)
        self._memory_bytes = memory_bytes
        self.stored = dict(stored)
        """Rows of every lane that are in parts."""
        self.problem = ""
        """Why parts wait; blank when they do not."""
        self.sync_problem = ""
        self._waiting: deque[_Waiting] = deque()
        self._blocked: dict[Lane, str] = {}
        self._held_bytes = 0
        self._delay = FIRST_RETRY_SECONDS
        self._changed = threading.Condition()
        self._at_work = threading.Lock()
        self._is_stopping = threading.Event()
        self._hurry = threading.Event()  # ends the pause before the next attempt
        self._threads = [
            threading.Thread(target=self._write_for_ever, name="parts", daemon=True),
            threading.Thread(target=self._sync_for_ever, name="journal-sync", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting_parts(self) -> int:
        """Parts that are not in the lake yet."""
        return len(self._waiting)

    def put(self, lane: Lane, cut: Cut) -> None:
        """Take over a part; every row of it stands in the journal."""
        sample = cut.pieces[0]  # to ask every small piece would take longer than to write it
        nbytes = sample.nbytes * cut.rows // sample.num_rows
        with self._changed:
            fits = self._held_bytes + nbytes <= self._memory_bytes
            held = nbytes if fits else 0
            pieces = cut.pieces if fits else None
            self._waiting.append(_Waiting(lane, cut.first, cut.rows, pieces, held))
            self._held_bytes += held
            self._changed.notify_all()

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until every part is in the lake; tell whether it came to that in time."""
        with self._changed:
            self._delay = FIRST_RETRY_SECONDS
            self._hurry.set()
            self._changed.wait_for(lambda: self._next() is None, timeout_seconds)
            return not self._waiting

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold between two parts: what is stored and what the journal holds stand still."""
        with self._at_work:
            yield

    def stop(self) -> None:
        """End both threads; a part that is being written is finished first."""
        self._is_stopping.set()
        self._hurry.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _next(self) -> _Waiting | None:
        return next((part for part in self._waiting if part.lane not in self._blocked), None)

    def _write_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping.is_set() or self._next())
                part = self._next()
            if self._is_stopping.is_set() or part is None:
                return
            self._try(part)

    def _try(self, part: _Waiting) -> None:
        """Write one part, or note why not."""
        try:
            with self._at_work:
                self._write(part)
        except (SchemaError, BadInputError) as error:
            self._block(part.lane, error)
        except (DealerError, OSError) as error:
            self._wait(str(error))
        except Exception as error:  # noqa: BLE001 - the thread has to live: rows wait on it
            _log.exception("a part of %s %s cannot be written", *part.lane)
            self._wait(f"{type(error).__name__}: {error}")
        else:
            self._done(part)

    def _write(self, part: _Waiting) -> None:
        name, symbol = part.lane
        table = table_of(name)
        if part.pieces is None:
            rows = self._journal.read(part.lane, part.first, part.first + part.rows)
        else:
            rows = pa.Table.from_batches([pa.concat_batches(part.pieces)])
        written = write_part(
            self._lake,
            table,
            rows,
            underlying=symbol,
            session_date=self._sessions[symbol],
            name=layout.stream_part(self._stream, part.first),
            provenance={STREAM_KEY: self._stream},
        )
        stands = Part(written.path, written.path.rpartition("/")[2])
        verify_numbers(self._lake, table, stands, rows=part.rows)
        self.stored[part.lane] = part.first + part.rows
        self._journal.drop(self.stored)

    def _done(self, part: _Waiting) -> None:
        with self._changed:
            self._waiting.remove(part)
            self._held_bytes -= part.nbytes
            self._delay = FIRST_RETRY_SECONDS
            self.problem = "; ".join(self._blocked.values())
            self._changed.notify_all()

    def _block(self, lane: Lane, error: DealerError) -> None:
        _log.error("parts of %s %s stay in the journal: %s", *lane, error)
        with self._changed:
            self._blocked[lane] = str(error)
            self.problem = "; ".join(self._blocked.values())
            self._changed.notify_all()

    def _wait(self, reason: str) -> None:
        """Pause before the next attempt, longer each time."""
        if not self.problem:
            _log.warning("parts wait: %s", reason)
        self.problem = reason
        self._hurry.wait(self._delay)
        self._hurry.clear()
        self._delay = min(2.0 * self._delay, LAST_RETRY_SECONDS)

    def _sync_for_ever(self) -> None:
        while not self._is_stopping.wait(SYNC_SECONDS):
            self.sync_problem = _attempt(self._journal.sync)


def _attempt(work: Callable[[], None]) -> str:
    try:
        work()
    except OSError as error:
        return f"the journal cannot be synced: {error}; a power cut would lose rows"
    return ""

"""Where a lane's rows are cut into parts: a function of the rows and the stream's clock.

Belongs here: the cut points. Does not belong here: journal, lake and threads (`sink`).

A part ends when it is full, or before the first row of a later period than its own first row's; the
clock ends it when a period is over and no row comes. A period is a fixed stretch of `known_at`, so
rows cut anew after a kill, or fed in other batches, make the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Ints


@dataclass(frozen=True)
class Cut:
    """The rows of one part.

    Parameters
    ----------
    first : int
        Number of the first.
    pieces : tuple of pyarrow.RecordBatch
        The rows, in order.
    """

    first: int
    pieces: tuple[pa.RecordBatch, ...]

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(piece.num_rows for piece in self.pieces)


class Cutter:
    """Collects the rows of one table, underlying and session, and cuts them into parts.

    Parameters
    ----------
    first : int
        Number of the first row to come.
    rows_per_part : int
        Rows of a full part.
    period_us : int
        Length of a period [microseconds].
    """

    def __init__(self, first: int, *, rows_per_part: int, period_us: int) -> None:
        self._first = first
        self._rows_per_part = rows_per_part
        self._period_us = period_us
        self._pieces: list[pa.RecordBatch] = []
        self.rows = 0
        """Rows that are in no part yet."""
        self._period = 0

    def add(self, batch: pa.RecordBatch, known_us: Ints) -> list[Cut]:
        """Take the next rows.

        Parameters
        ----------
        batch : pyarrow.RecordBatch, shape (n,)
            At least one row.
        known_us : int64 array, shape (n,)
            When they were known, microseconds since 1970.

        Returns
        -------
        list of Cut
            Parts that they end.
        """
        periods = known_us // self._period_us
        cuts: list[Cut] = []
        start, count = 0, batch.num_rows
        while start < count:
            if not self.rows:
                self._period = int(periods[start])
            stop = min(count, start + self._rows_per_part - self.rows)
            later = np.flatnonzero(periods[start:stop] > self._period)
            if later.size:
                stop = start + int(later[0])
            if stop > start:
                whole = stop - start == count
                self._pieces.append(batch if whole else batch.slice(start, stop - start))
                self.rows += stop - start
            if later.size or self.rows == self._rows_per_part:
                cuts += self.end()
            start = stop
        return cuts

    def advance(self, now_us: int) -> list[Cut]:
        """End the part whose period is over by the clock."""
        return self.end() if self.rows and now_us // self._period_us > self._period else []

    def end(self) -> list[Cut]:
        """End the part at once; no part when there is no row."""
        if not self.rows:
            return []
        cut = Cut(self._first, tuple(self._pieces))
        self._first += self.rows
        self._pieces, self.rows = [], 0
        return [cut]

"""Features as arrays, in time order: what baselines are fitted to and scores computed from.

Belongs here: the columns of `tables.CONTRACT_FEATURES` as numpy arrays with codes for words. Does
not belong here: how features come about (`features.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.standard import FEATURES
from dealer_assets.domain.columns import Bools, Floats, Ints, floats, integers

CELL_WORDS = ("right", "moneyness_bucket", "dte_bucket")
"""With `slot`, what a row's cell is made of."""

COLUMNS = (
    *(feature.name for feature in FEATURES),
    *CELL_WORDS,
    "session_date",
    "event_at",
    "slot",
    "symbol",
    "unscored_reason",
)
"""What `Features.from_table` reads."""


@dataclass(frozen=True)
class Features:
    """Rows of features, in time order.

    Parameters
    ----------
    values : float64 array, shape (features, n)
        In the order of `standard.FEATURES`; NaN where not determined.
    session : int64 array, shape (n,)
        Days since 1970.
    event_at : int64 array, shape (n,)
        Microseconds; rows of one snapshot are together.
    slot : int64 array, shape (n,)
        Hour of the poll on the session's clock.
    contract : int64 array, shape (n,)
        Place in `symbols`.
    symbols : tuple of str
        Contracts.
    cell : int64 array, shape (n,)
        Place in `cells`.
    cells : tuple of (str, str, str, int)
        Right, bucket of moneyness, bucket of days to expiry, slot.
    is_scored : bool array, shape (n,)
        Rows that nothing keeps from being scored.
    place : int64 array, shape (n,)
        Row of the table that each was made of.
    """

    values: Floats
    session: Ints
    event_at: Ints
    slot: Ints
    contract: Ints
    symbols: tuple[str, ...]
    cell: Ints
    cells: tuple[tuple[str, str, str, int], ...]
    is_scored: Bools
    place: Ints

    @classmethod
    def from_table(cls, rows: pa.Table) -> Features:
        """Read rows of `tables.CONTRACT_FEATURES`, in whatever order; columns not held are NaN."""
        event_at = integers(rows, "event_at")
        order = np.argsort(event_at, kind="stable").astype(np.int64)
        is_sorted = bool((order == np.arange(order.size)).all())
        held = set(rows.column_names)
        values = np.full((len(FEATURES), rows.num_rows), np.nan)
        for j, feature in enumerate(FEATURES):
            if feature.name in held:
                column = floats(rows, feature.name)
                values[j] = column if is_sorted else column[order]
        contract, symbols = _coded(rows, "symbol")
        slot = integers(rows, "slot")
        cell, cells = _cells([_coded(rows, name) for name in CELL_WORDS], slot)
        scored = np.array(pc.is_null(rows["unscored_reason"]).to_numpy(zero_copy_only=False))
        return cls(
            values=values,
            session=integers(rows, "session_date")[order],
            event_at=event_at[order],
            slot=slot[order],
            contract=contract[order],
            symbols=tuple(symbols),
            cell=cell[order],
            cells=cells,
            is_scored=scored[order],
            place=order,
        )

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.session.size)

    @cached_property
    def starts(self) -> Ints:
        """First row of each snapshot, and at last the number of rows, shape (snapshots + 1,)."""
        breaks = np.flatnonzero(np.diff(self.event_at)) + 1
        return np.concatenate([[0], breaks, [self.size]]) if self.size else np.zeros(1, np.int64)

    @cached_property
    def snapshot(self) -> Ints:
        """Number of the snapshot of each row, shape (n,)."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))

    @cached_property
    def sessions(self) -> Ints:
        """Sessions there are, ascending."""
        return np.unique(self.session)

    @cached_property
    def scored_values(self) -> Floats:
        """`values` with NaN in every row that is not scored."""
        if self.is_scored.all():
            return self.values
        return np.where(self.is_scored, self.values, np.nan)

    def take(self, rows: Ints | Bools) -> Features:
        """Return some rows, which have to be in time order still; codes stay as they are."""
        return Features(
            self.values[:, rows],
            self.session[rows],
            self.event_at[rows],
            self.slot[rows],
            self.contract[rows],
            self.symbols,
            self.cell[rows],
            self.cells,
            self.is_scored[rows],
            self.place[rows],
        )


def _coded(rows: pa.Table, name: str) -> tuple[Ints, Sequence[str]]:
    """Return the code of each row's word, and the words."""
    column = rows[name].combine_chunks()
    told = column if isinstance(column, pa.DictionaryArray) else pc.dictionary_encode(column)
    told = told.combine_chunks() if isinstance(told, pa.ChunkedArray) else told
    return np.array(told.indices.to_numpy()).astype(np.int64), told.dictionary.to_pylist()


def _cells(
    words: list[tuple[Ints, Sequence[str]]], slot: Ints
) -> tuple[Ints, tuple[tuple[str, str, str, int], ...]]:
    code = slot.copy()
    least = int(slot.min()) if slot.size else 0
    code -= least
    base = int(code.max()) + 1 if slot.size else 1
    slots = base
    for codes, names in words:
        code += base * codes
        base *= max(len(names), 1)
    used, cell = np.unique(code, return_inverse=True)
    found = []
    for number in used.tolist():
        rest, hour = divmod(number, slots)
        told = []
        for _, names in words:
            rest, i = divmod(rest, len(names))
            told.append(names[i])
        found.append((told[0], told[1], told[2], hour + least))
    return cell.astype(np.int64), tuple(found)

"""What a detector sees of a snapshot, and what it says.

Belongs here: the snapshot beside those it is compared with, contracts held in two snapshots. Does
not belong here: any verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, expired, floats
from dealer_assets.underlyings import Underlying

WORDS: dict[str, str] = {
    "wiped_open_interest": "Open interest was not delivered",
    "open_interest_missing": "Open interest is not told",
    "shifted_open_interest": "Open interest is of another session",
    "open_interest_unit_jump": "The source began to count something else",
    "open_interest_left_of_expired": "Expired series still have open interest",
    "zero_bids": "Quotes were reset",
    "no_quotes": "There are no quotes",
    "stale_quotes": "The data is behind its clock",
    "frozen_quotes": "The whole chain stands still",
    "frozen_contracts": "Quotes stand while their neighbours move",
    "duplicate_snapshot": "The snapshot before under another clock",
    "partial_chain": "A part of the chain is missing",
    "wrong_underlying": "This is another underlying's chain",
    "underlying_corrected": "The source was named after another underlying",
    "spot_disagrees": "Spot and quotes are of different instants",
    "stale_greeks": "The vendor's vols and deltas do not move with the market",
    "volume_carry_over": "Volume is an earlier session's",
    "volume_wiped": "Volume fell within the session",
    "date_corrected": "The source's own date could not be believed",
    "holiday_repeat": "The session before once more",
    "weekend_run": "Fetched on a day without a session",
}


@dataclass(frozen=True)
class Found:
    """One thing wrong.

    Parameters
    ----------
    kind : str
        One of `tables.ANOMALY_ACTIONS`.
    found, expected : str
        In words, with figures.
    contracts : int
        Contracts affected.
    symbols : tuple of str, optional
        Those contracts; None when the whole snapshot is affected.
    source : {"rows", "import"}
        Whether the snapshot's rows show it or its import told it.
    is_mended : bool
        The import left the rows concerned out: nothing that is held is spoilt.
    """

    kind: str
    found: str
    expected: str
    contracts: int
    symbols: tuple[str, ...] | None = None
    source: str = "rows"
    is_mended: bool = False


@dataclass(frozen=True)
class Pair:
    """The contracts that two snapshots share, in one order, n rows each.

    Parameters
    ----------
    then, now : pyarrow.Table, shape (n,)
        The earlier and the later rows.
    """

    then: pa.Table
    now: pa.Table

    @staticmethod
    def of(then: pa.Table, now: pa.Table) -> Pair:
        """Align two snapshots of `tables.CHAIN_SNAPSHOTS` by contract."""
        place = pc.index_in(now["symbol"].combine_chunks(), then["symbol"].combine_chunks())
        return Pair(then.take(place.drop_null()), now.filter(pc.is_valid(place)))

    def both(self, column: str) -> tuple[Floats, Floats]:
        """Return a column then and now, NaN where it is not known."""
        return floats(self.then, column), floats(self.now, column)

    def unchanged(self, column: str) -> Bools:
        """Tell where a column is known twice and equal."""
        then, now = self.both(column)
        return np.asarray(then == now)  # NaN equals nothing

    def symbols(self, chosen: Bools) -> tuple[str, ...]:
        """Return the symbols of chosen contracts, sorted."""
        return tuple(sorted(self.now["symbol"].filter(pa.array(chosen)).to_pylist()))


def _no_rows(table: tables.Table) -> pa.Table:
    return table.schema.empty_table()


def _no_chain() -> pa.Table:
    return _no_rows(tables.CHAIN_SNAPSHOTS)


@dataclass(frozen=True)
class Scene:
    """A snapshot and what it is compared with; nothing in it was known later than the snapshot.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    now : pyarrow.Table, shape (n,)
        The snapshot, `tables.CHAIN_SNAPSHOTS`; n > 0.
    before : pyarrow.Table
        The snapshot before it in its session; empty when there is none.
    earlier : pyarrow.Table
        The newest of the session that is at least `standstill.FROZEN_AFTER` older.
    closing : pyarrow.Table
        The last of the session before.
    sources : pyarrow.Table
        The snapshot's `tables.CHAIN_SOURCES`.
    """

    underlying: Underlying
    now: pa.Table
    before: pa.Table = field(default_factory=_no_chain)
    earlier: pa.Table = field(default_factory=_no_chain)
    closing: pa.Table = field(default_factory=_no_chain)
    sources: pa.Table = field(default_factory=lambda: _no_rows(tables.CHAIN_SOURCES))

    @property
    def is_continuous(self) -> bool:
        """Whether the venue never closes: its counters roll, its open interest is of the moment."""
        return self.underlying.calendar == "24/7"

    @property
    def contracts(self) -> int:
        """Contracts of the snapshot."""
        return int(self.now.num_rows)

    @cached_property
    def live(self) -> pa.Table:
        """The snapshot without what has expired."""
        return self.now.filter(pa.array(~expired(self.now)))

    @cached_property
    def with_before(self) -> Pair:
        """Contracts shared with the snapshot before."""
        return Pair.of(self.before, self.now)

    @cached_property
    def with_earlier(self) -> Pair:
        """Contracts shared with the earlier snapshot."""
        return Pair.of(self.earlier, self.now)

    @cached_property
    def with_closing(self) -> Pair:
        """Contracts shared with the close before."""
        return Pair.of(self.closing, self.now)


def spot_of(rows: pa.Table) -> float:
    """Return a snapshot's spot, NaN when it tells none."""
    value = pc.max(rows["spot"]).as_py() if rows.num_rows else None
    return float("nan") if value is None else float(value)

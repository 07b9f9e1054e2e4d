"""The settled positions of a desk's sessions, by symbol: contracts of the listing look them up.

Belongs here: whose positions are known, and which contracts are listed today. Does not belong here:
what the positions mean (`dealer_assets.domain.flow.settled`), numbers of contracts (`listing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Bools
from dealer_assets.domain.flow.settled import MODEL, Settled
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import Underlying


@dataclass(frozen=True)
class Opened:
    """What is known of the positions that sessions opened with.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.DEALER_POSITIONS` of one model, each contract once.
    followed : frozenset of str
        Underlyings that have a row.
    whole : frozenset of str
        Those of them whose listing is known too: what neither lists is new.
    new : frozenset of str
        Symbols that the listing says were created in the session.
    """

    rows: pa.Table
    followed: frozenset[str]
    whole: frozenset[str]
    new: frozenset[str]

    @classmethod
    def of(
        cls,
        settled: pa.Table,
        listed: pa.Table,
        lanes: Sequence[Underlying],
        sessions_of: Mapping[str, date],
    ) -> Opened:
        """Take over a desk's settled positions.

        Parameters
        ----------
        settled : pyarrow.Table
            `tables.DEALER_POSITIONS` of any underlyings.
        listed : pyarrow.Table
            `tables.LISTED_CONTRACTS`.
        lanes : sequence of Underlying
            Of the desk.
        sessions_of : mapping of str to datetime.date
            Session of each, by symbol.

        Raises
        ------
        BadInputError
            When a lane's rows are of another session: they would be late, or of the future.
        """
        rows = settled.filter(pc.equal(settled["model"], MODEL))
        names = pa.array([lane.symbol for lane in lanes], pa.string())
        rows = rows.filter(pc.is_in(rows["underlying"], value_set=names))
        keys = ["underlying", "session_date"]
        for held in rows.group_by(keys).aggregate([]).to_pylist():
            symbol, day = held["underlying"], held["session_date"]
            if day != sessions_of[symbol]:
                raise BadInputError(
                    f"expected settled positions of {symbol} of the session "
                    f"{sessions_of[symbol]}, found those of {day}: materialize dealer_positions of "
                    "the session"
                )
        followed = frozenset(rows["underlying"].unique().to_pylist())
        return cls(
            rows=rows,
            followed=followed,
            whole=followed & frozenset(listed["underlying"].unique().to_pylist()),
            new=_created_in(listed),
        )

    def positions(self, symbols: Sequence[str]) -> Settled:
        """Return the positions of contracts; NaN where there is no row."""
        return Settled.of(self.rows, symbols)

    def listed_today(self, symbols: Sequence[str]) -> Bools:
        """Tell which contracts were created in the session."""
        return np.array([symbol in self.new for symbol in symbols], np.bool_)


def _created_in(listed: pa.Table) -> frozenset[str]:
    """Return symbols that were created on the session's date or later."""
    told = listed.filter(listed["listed_at"].is_valid())
    created = told["listed_at"].cast(pa.date32())
    rows = told.filter(pc.greater_equal(created, told["session_date"]))
    return frozenset(rows["symbol"].to_pylist())

"""The positions a session opened with, by contract, for the session's trades to move.

Belongs here: reading `tables.DEALER_POSITIONS` into arrays, which part of the error contracts have
in common. Does not belong here: how positions are estimated (`domain.positions`), sums over them
(`totals`), which contracts there are (the streaming process's listing).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, Ints, floats

MODEL = "reconciled"
"""The model of `tables.DEALER_POSITIONS` that trades move; it alone tells its error."""


class Settled(NamedTuple):
    """Settled positions of contracts; arrays of shape (n,).

    Parameters
    ----------
    position : float64 array
        Dealers' position as a group [contracts], > 0 long; NaN where not known.
    variance : float64 array
        Of the error that each contract has alone [contracts squared].
    common : float64 array
        What one standard deviation of its kind moves it by [contracts], signed.
    kind : int64 array
        Whose common error it shares, 0..k-1.
    """

    position: Floats
    variance: Floats
    common: Floats
    kind: Ints

    @classmethod
    def of(cls, rows: pa.Table, symbols: Sequence[str]) -> Settled:
        """Return the positions of some contracts.

        Parameters
        ----------
        rows : pyarrow.Table
            `tables.DEALER_POSITIONS` of one model, each contract once.
        symbols : sequence of str
            Contracts, n of them; without a row their position is NaN.
        """
        held = rows["symbol"].combine_chunks()
        place = pc.index_in(pa.array(symbols, pa.string()), value_set=held)
        own = np.array(pc.fill_null(place, -1).to_numpy(zero_copy_only=False), np.int64)
        sd = np.nan_to_num(floats(rows, "position_sd_contracts"))
        part, kind = _common_part(rows)
        return cls(
            position=_at(floats(rows, "position_contracts"), own, np.nan),
            variance=_at(sd * sd * (1.0 - part * part), own, 0.0),
            common=_at(sd * part, own, 0.0),
            kind=_at(kind, own, 0).astype(np.int64),
        )

    @classmethod
    def unknown(cls, count: int) -> Settled:
        """Return nothing known of `count` contracts."""
        return cls.of(no_rows(), [""] * count)

    def where(self, is_new: Bools) -> Settled:
        """Return the same with a position of 0, without error, where nobody can hold any yet."""
        return self._replace(position=np.where(is_new, 0.0, self.position))


def no_rows() -> pa.Table:
    """Return no row of `tables.DEALER_POSITIONS`."""
    return tables.DEALER_POSITIONS.schema.empty_table()


def _common_part(rows: pa.Table) -> tuple[Floats, Ints]:
    """Return the kind's part of each deviation, signed, and the number of the kind.

    Open interest bounds what is told of a position: both parts shrink alike. Rows that tell no kind
    have errors of their own alone.
    """
    nothing = np.zeros(rows.num_rows)
    if "kind" not in rows.column_names:  # kept before kinds were told
        return nothing, nothing.astype(np.int64)
    kind_sd = np.nan_to_num(floats(rows, "kind_loading_contracts") * floats(rows, "kind_share_sd"))
    whole = np.hypot(kind_sd, np.nan_to_num(floats(rows, "filter_sd_contracts")))
    part = np.divide(kind_sd, whole, out=nothing, where=whole > 0.0)
    coded = pc.fill_null(rows["kind"], "").combine_chunks().dictionary_encode()
    # in the order of names: which row comes first must not change a sum
    order = np.argsort(np.argsort(np.array(coded.dictionary.to_pylist(), dtype=np.str_)))
    return part, np.asarray(order[coded.indices.to_numpy()], np.int64)


def _at(values: Floats | Ints, place: Ints, blank: float) -> Floats:
    """Return the values at some places; blank at -1."""
    padded = np.append(np.asarray(values, np.float64), blank)
    return np.asarray(padded[place])

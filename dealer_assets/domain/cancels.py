"""Cancels on the US tape: prints that take an earlier print back.

Belongs here: which print is a cancel, and of which one. Does not belong here: what a chain shows at
an instant (`tape`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Bools, Ints

_CANCEL = r"(?:^|,)\s*(?:201|203|205|207)\s*(?:,|$)"
"""Condition codes of the tape: cancelled; last, opening or only print cancelled."""

_LOOK = ("symbol", "price", "size_contracts", "exchange")
"""What a cancel repeats of the print it takes back."""


def cancels_of(rows: pa.Table) -> Bools:
    """Tell which trades are cancels, shape (r,)."""
    return np.array(pc.match_substring_regex(rows["conditions"], _CANCEL).to_numpy())


def match_cancels(rows: pa.Table, cancels: Ints) -> tuple[Ints, Ints, Ints]:
    """Find the print that each cancel takes back: the latest before it that looks the same.

    Parameters
    ----------
    rows : pyarrow.Table, shape (r,)
        Trades in the tape's order; columns symbol, price, size_contracts, exchange.
    cancels : int64 array
        Rows that are cancels, ascending.

    Returns
    -------
    cancel, earlier : int64 array, shape (k,)
        Rows of matched cancels, and of what they take back.
    unmatched : int64 array
        Rows of cancels that take back nothing.
    """
    none = np.empty(0, np.int64)
    if not cancels.size:
        return none, none, none
    wanted = pc.is_in(rows["symbol"], value_set=rows["symbol"].take(pa.array(cancels)).unique())
    candidates = np.flatnonzero(np.array(wanted.to_numpy()))
    codes = np.stack([_codes(rows[name].take(pa.array(candidates))) for name in _LOOK])
    look = np.unique(codes, axis=1, return_inverse=True)[1].reshape(-1)
    similar = np.isin(look, look[np.isin(candidates, cancels)])
    is_cancel = set(cancels.tolist())
    standing: dict[int, list[int]] = {}
    cancel, earlier, unmatched = [], [], []
    # only the few prints that look like a cancelled one come through here
    for row, kind in zip(candidates[similar].tolist(), look[similar].tolist(), strict=True):
        equals = standing.setdefault(kind, [])
        if row not in is_cancel:
            equals.append(row)
        elif equals:
            cancel.append(row)
            earlier.append(equals.pop())
        else:
            unmatched.append(row)
    return np.array(cancel, np.int64), np.array(earlier, np.int64), np.array(unmatched, np.int64)


def _codes(column: pa.ChunkedArray) -> Ints:
    indices = column.combine_chunks().dictionary_encode().indices
    return np.array(indices.to_numpy(), np.int64)

"""Arrow columns to numpy arrays and back, with one rule for what is not known.

Belongs here: conversions that several modules of the domain share. Does not belong here: anything
that depends on a table's meaning. Null in Arrow is NaN in arrays, both ways; NaN is never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def floats(rows: pa.Table, column: str) -> Floats:
    """Return a column as float64 with NaN for null, shape (n,)."""
    array = rows[column].combine_chunks().cast(pa.float64())
    return np.array(pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False))


def integers(rows: pa.Table, column: str) -> Ints:
    """Return a column of dates, instants or integers without nulls as int64, shape (n,)."""
    array = rows[column].combine_chunks()
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    return np.array(array.cast(pa.int64()).to_numpy(zero_copy_only=False))


def equals(rows: pa.Table, column: str, word: str) -> Bools:
    """Tell where a text column holds a word, shape (n,)."""
    return np.array(pc.equal(rows[column], word).to_numpy())


def of_word(rows: pa.Table, column: str, word: str) -> pa.Table:
    """Return the rows whose text column holds a word."""
    return rows.filter(pc.equal(rows[column], word))


def nullable(values: Floats) -> pa.Array:
    """Return an array for storage, with null wherever a value is not finite."""
    return pa.array(values, mask=~np.isfinite(values))


def words(vocabulary: Sequence[str], codes: NDArray[np.integer]) -> pa.Array:
    """Spell out codes: element i is ``vocabulary[codes[i]]``; 50 times as fast as from numpy."""
    return _vocabulary(tuple(vocabulary)).take(pa.array(codes))


@lru_cache(256)
def _vocabulary(words: tuple[str, ...]) -> pa.Array:
    return pa.array(words, pa.string())


def expired(rows: pa.Table) -> Bools:
    """Tell which rows of a snapshot had expired at its instant, shape (n,)."""
    return np.array(pc.less_equal(rows["expires_at"], rows["event_at"]).to_numpy())


def repeated(rows: pa.Table, name: str, count: int) -> pa.Array:
    """Repeat the value of a column that all rows of a snapshot share."""
    return pa.repeat(rows[name][0], count)

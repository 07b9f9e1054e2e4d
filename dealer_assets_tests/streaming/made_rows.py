"""Made-up rows of live tables, for tests of journal, sink and compaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from dealer_assets.tables import Column, Table

DAY = date(2026, 11, 20)
OPEN_US = 1_795_185_000_000_000
"""14:30 UTC of that day, a multiple of a minute."""


def made_rows(
    table: Table,
    *,
    first: int,
    known_us: Sequence[int],
    underlying: str = "SPX",
    day: date = DAY,
) -> pa.Table:
    """Rows numbered from `first`, one per instant of `known_us`; values follow from the number."""
    count = len(known_us)
    numbers = np.arange(first, first + count)
    given = {
        "underlying": pa.array([underlying] * count),
        "session_date": pa.array([day] * count),
        "stream_sequence": pa.array(numbers),
        "known_at": pa.array(np.asarray(known_us, np.int64)).cast(pa.timestamp("us", tz="UTC")),
    }
    return pa.Table.from_arrays(
        [given[c.name] if c.name in given else _filled(c, numbers) for c in table.columns],
        schema=table.schema,
    )


def _filled(column: Column, numbers: np.ndarray) -> pa.Array:
    count = numbers.size
    if column.allowed:
        return pa.array([column.allowed[n % len(column.allowed)] for n in numbers])
    if pa.types.is_string(column.type):
        return pa.array([f"text {n}" for n in numbers])
    if pa.types.is_list(column.type):
        return pa.array([["late"] * (n % 2) for n in numbers], column.type)
    if pa.types.is_boolean(column.type):
        return pa.array(numbers % 2 == 0)
    if pa.types.is_date32(column.type):
        return pa.array(np.full(count, 20_000, np.int32)).cast(column.type)
    if pa.types.is_timestamp(column.type):
        return pa.array(OPEN_US + numbers).cast(column.type)
    if column.nullable and count:
        return pa.array([None if n % 3 == 0 else float(n) for n in numbers]).cast(column.type)
    return pa.array(numbers + 1.0).cast(column.type)

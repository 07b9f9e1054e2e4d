"""Volume deltas of a session, one a contract and interval between polls.

Belongs here: adding up deltas of snapshots. Does not belong here: deltas themselves
(`domain/history`), what is made of an interval's volume (`features`).

Runs by the minute leave a million deltas a session; polls need ten thousand each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.columns import integers

DELTA_COLUMNS = ("event_at", "known_at", "symbol", "volume_delta_contracts", "is_reset")
"""Columns of `tables.VOLUME_DELTAS` that features need."""


def by_interval(deltas: pa.Table, polls: Sequence[Poll]) -> pa.Table:
    """Add up deltas between polls.

    Parameters
    ----------
    deltas : pyarrow.Table
        `DELTA_COLUMNS` of a session, any order.
    polls : sequence of Poll
        Of the session, ascending.

    Returns
    -------
    pyarrow.Table
        `DELTA_COLUMNS`, one row for each poll and contract with a delta in its interval, dated by
        the poll. Of a counter that began anew in it, what it counted since. Deltas after the last
        poll are left out.
    """
    schema = pa.schema([tables.VOLUME_DELTAS.schema.field(name) for name in DELTA_COLUMNS])
    at = np.array([pa.scalar(p.at, tables.INSTANT).cast(pa.int64()).as_py() for p in polls])
    if not at.size or not deltas.num_rows:
        return schema.empty_table()
    event = integers(deltas, "event_at")
    interval = np.searchsorted(at, event, side="left")
    early = interval < at.size
    deltas, event, interval = deltas.filter(pa.array(early)), event[early], interval[early]
    coded = deltas["symbol"].combine_chunks().dictionary_encode()
    contracts = len(coded.dictionary)
    cell = interval * contracts + np.array(coded.indices.to_numpy(), np.int64)
    cells = at.size * contracts
    reset = np.array(deltas["is_reset"].to_numpy(), np.bool_)
    began = np.full(cells, np.iinfo(np.int64).min)
    np.maximum.at(began, cell[reset], event[reset])
    counts = event >= began[cell]
    volume = np.array(deltas["volume_delta_contracts"].to_numpy())
    known = np.zeros(cells, np.int64)
    np.maximum.at(known, cell, integers(deltas, "known_at"))
    held = np.flatnonzero(np.bincount(cell, minlength=cells))
    summed = np.bincount(cell[counts], weights=volume[counts], minlength=cells)
    columns = [
        pa.array(at[held // contracts]).cast(tables.INSTANT),
        pa.array(known[held]).cast(tables.INSTANT),
        coded.dictionary.take(pa.array(held % contracts)),
        pa.array(summed[held]),
        pa.array(began[held] > np.iinfo(np.int64).min),
    ]
    return pa.table(columns, schema=schema)

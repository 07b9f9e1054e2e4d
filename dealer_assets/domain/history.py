"""A session's history per contract: volume between snapshots, and the last snapshot of each.

Belongs here: what a day of snapshots sums up to. Does not belong here: storage, or prices.
Source: `docs/methods/history.md`.

The vendors' volume counters are cumulative over the session, but not monotonic: one carries the day
before over until the open, corrections subtract. The first snapshot's delta is its whole counter;
a counter that begins anew is flagged, its reading is that interval's delta, and the day's volume is
what was counted since. A smaller step back is a correction: nothing trades until the old high.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import floats
from dealer_assets.domain.sessions import gaps_between, session_close
from dealer_assets.underlyings import Calendar, underlying

Floats = NDArray[np.float64]

_RESTART_SHARE = 0.5
"""A reading under this share of the counter's high is a new count, not a correction."""

INTERRUPTION = timedelta(minutes=90)
"""A shorter stretch without a snapshot is no interruption: hourly runs come once an hour."""

INTERRUPTED_TIMES = 2.0
"""Nor is one of at most this many times the median stretch: one hourly run failed, or a past
session has few snapshots, spread evenly."""

END_OF_DAY: dict[Calendar, timedelta] = {
    "XNYS": timedelta(minutes=15),
    "24/7": timedelta(minutes=65),  # the last hourly run of a UTC day is at 23:02
}
"""A last snapshot longer than this before the close, or before expiry, is no end of day."""

_OF_SESSION = ("session_snapshots", "longest_gap_minutes", "is_interrupted")

_CONTRACT = ("root", "expiry_date", "strike", "right")


def volume_deltas(chains: pa.Table) -> pa.Table:
    """Contracts traded between consecutive snapshots of one session.

    Parameters
    ----------
    chains : pyarrow.Table
        All snapshots of one underlying's session, `tables.CHAIN_SNAPSHOTS` schema, any order.

    Returns
    -------
    pyarrow.Table
        `tables.VOLUME_DELTAS` schema; only contracts and intervals that traded or were reset. A
        snapshot without a volume for a contract is skipped, not read as zero.
    """
    schema = tables.VOLUME_DELTAS.schema
    chains = chains.filter(pc.is_valid(chains["volume_contracts"]))
    if chains.num_rows == 0:
        return schema.empty_table()
    chains = chains.sort_by([(c, "ascending") for c in (*_CONTRACT, "event_at")])
    volume = floats(chains, "volume_contracts")
    first = _starts(chains)
    delta, is_reset = _counted(volume, np.flatnonzero(first))
    known = chains["known_at"].cast(pa.int64()).to_numpy()
    before = np.where(first, known, np.concatenate([known[:1], known[:-1]]))
    computed = {
        "known_at": pa.array(np.maximum(known, before)).cast(schema.field("known_at").type),
        "volume_delta_contracts": pa.array(delta),
        "is_reset": pa.array(is_reset),
    }
    columns = [computed[c] if c in computed else chains[c] for c in schema.names]
    moved = pa.array((delta != 0.0) | is_reset)
    return pa.table(columns, schema=schema).filter(moved)


def _counted(volume: Floats, starts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Deltas of cumulative counters against their highest reading since the last restart.

    A correction (1000, 990, 1000) and a wiped reading (1000, 0, 1000) trade nothing; only a
    counter that begins anew, under `_RESTART_SHARE` of its high and not zero, starts over.
    """
    lengths = np.diff(np.append(starts, volume.size))
    high = np.zeros(starts.size)
    delta, is_reset = np.zeros(volume.size), np.zeros(volume.size, np.bool_)
    for step in range(int(lengths.max(initial=0))):
        counter = np.flatnonzero(lengths > step)
        rows = starts[counter] + step
        reading, highest = volume[rows], high[counter]
        restart = (reading > 0.0) & (reading < _RESTART_SHARE * highest)
        delta[rows] = np.where(restart, reading, np.maximum(reading - highest, 0.0))
        is_reset[rows] = restart
        high[counter] = np.where(restart, reading, np.maximum(reading, highest))
    return delta, is_reset


def _since_restart(deltas: pa.Table) -> pa.Table:
    """Leave out what was counted before a counter's last restart: it was another day's."""
    restarts = deltas.filter(deltas["is_reset"])
    last = restarts.group_by("symbol").aggregate([("event_at", "max")])
    where = pc.index_in(deltas["symbol"].combine_chunks(), last["symbol"].combine_chunks())
    began = last["event_at_max"].combine_chunks().take(where)
    return deltas.filter(pc.fill_null(pc.greater_equal(deltas["event_at"], began), True))


def daily_history(chains: pa.Table, deltas: pa.Table, *, priced: pa.Table) -> pa.Table:
    """Last snapshot of every contract of one session, with the session's traded volume.

    Parameters
    ----------
    chains : pyarrow.Table
        All snapshots of the session, `tables.CHAIN_SNAPSHOTS` schema.
    deltas : pyarrow.Table
        Their `tables.VOLUME_DELTAS` rows.
    priced : pyarrow.Table
        Their `tables.CONTRACT_GREEKS` rows, from which the last known vol is taken.

    Returns
    -------
    pyarrow.Table
        `tables.DAILY_HISTORY` schema, one row per contract.
    """
    schema = tables.DAILY_HISTORY.schema
    if chains.num_rows == 0:
        return schema.empty_table()
    chains = chains.sort_by([(c, "ascending") for c in (*_CONTRACT, "event_at")])
    first = _starts(chains)
    last = np.concatenate([np.flatnonzero(first)[1:] - 1, [chains.num_rows - 1]])
    counts = np.diff(np.concatenate([np.flatnonzero(first), [chains.num_rows]]))
    rows = chains.take(pa.array(last))
    summed = (
        _since_restart(deltas).group_by("symbol").aggregate([("volume_delta_contracts", "sum")])
    )
    traded = _lookup(rows, summed)
    known = chains["known_at"].cast(pa.int64()).to_numpy()
    latest = np.maximum.reduceat(known, np.flatnonzero(first))
    computed = {
        "known_at": pa.array(latest).cast(schema.field("known_at").type),
        "snapshots": pa.array(counts, pa.int32()),
        "volume_contracts": pc.fill_null(traded, 0.0),
        "implied_vol": _lookup(rows, _last_vols(priced)),
        **_endings(rows, chains),
    }
    columns = [computed[c] if c in computed else rows[c] for c in schema.names]
    return pa.table(columns, schema=schema)


def summary(rows: pa.Table) -> dict[str, int | float | bool]:
    """Say how whole a session's history is: what its page shows.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.DAILY_HISTORY` rows of one session.
    """
    if rows.num_rows == 0:
        return {"session_snapshots": 0}
    first = {name: rows[name][0].as_py() for name in _OF_SESSION}
    return {**first, "contracts_before_close": int(pc.sum(rows["is_before_close"]).as_py())}


def _endings(rows: pa.Table, chains: pa.Table) -> dict[str, pa.Array]:
    """Tell how last snapshots lie to the session's end, and whether it was interrupted."""
    calendar = underlying(rows["underlying"][0].as_py()).calendar
    day = rows["session_date"][0].as_py()
    instants = pc.unique(chains["event_at"]).to_pylist()
    close = session_close(calendar, day).timestamp() * 1e6
    ends = np.minimum(rows["expires_at"].cast(pa.int64()).to_numpy(), close)
    seconds = (ends - rows["event_at"].cast(pa.int64()).to_numpy()) / 1e6
    gaps = gaps_between(calendar, day, instants)
    longest = max(gaps, default=timedelta(0))
    usual = float(np.median([gap.total_seconds() for gap in gaps])) if gaps else 0.0
    is_interrupted = longest > INTERRUPTION and longest.total_seconds() > INTERRUPTED_TIMES * usual
    of_session = {
        "session_snapshots": pa.scalar(len(instants), pa.int32()),
        "last_poll_at": pa.scalar(max(instants), rows.schema.field("event_at").type),
        "longest_gap_minutes": pa.scalar(longest.total_seconds() / 60.0),
        "is_interrupted": pa.scalar(is_interrupted),
    }
    return {
        "minutes_before_close": pa.array(seconds / 60.0),
        "is_before_close": pa.array(seconds > END_OF_DAY[calendar].total_seconds()),
        **{name: pa.repeat(value, rows.num_rows) for name, value in of_session.items()},
    }


def _starts(chains: pa.Table) -> NDArray[np.bool_]:
    """Mark the first row of each contract in rows sorted by contract, shape (n,)."""
    symbol = chains["symbol"].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.concatenate([[True], symbol[1:] != symbol[:-1]])


def _last_vols(priced: pa.Table) -> pa.Table:
    """Last known implied vol of each symbol: columns symbol, value."""
    known = priced.filter(pc.is_valid(priced["implied_vol"])).sort_by("event_at")
    return known.group_by("symbol", use_threads=False).aggregate([("implied_vol", "last")])


def _lookup(rows: pa.Table, values: pa.Table) -> pa.Array:
    """Take the value column of `values` by the symbols of `rows`; null where there is none."""
    name = next(c for c in values.column_names if c != "symbol")
    where = pc.index_in(rows["symbol"].combine_chunks(), values["symbol"].combine_chunks())
    return values[name].combine_chunks().take(where)

"""What a tape tells of an interval, contract by contract: packages, sides, sweeps, bursts.

Belongs here: adding up the prints between two polls. Does not belong here: sides that a tape does
not tell (`domain/flow/classify`), which tape is read. Source: `docs/methods/features.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.cancels import cancels_of, match_cancels
from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, integers
from dealer_assets.domain.flow.conditions import WORDS, bits_of, bits_of_text, classes_of
from dealer_assets.domain.tape import places
from dealer_assets.tables.live import TRADE_CLASSES

PACKAGES = ("multi_leg", "combo")
"""Kinds of print that are legs of a package: netted out of a contract's volume."""

SWEEPS = (219, 228, 230)
"""Condition codes of intermarket sweeps: electronic, single-leg auction, single-leg cross."""

TAPE_COLUMNS = (
    "event_at",
    "known_at",
    "provider",
    "source_name",
    "ordinal",
    "symbol",
    "price",
    "size_contracts",
    "conditions",
    "exchange",
    "taker_side",
    "combo_id",
)
"""Columns of `tables.OPTION_TRADES` that are read."""

LIVE_COLUMNS = (
    "event_at",
    "known_at",
    "feed",
    "stream_sequence",
    "symbol",
    "size_contracts",
    "conditions",
    "trade_class",
    "cancels_sequence",
    "side",
)
"""Columns of `tables.LIVE_TRADES` that are read."""

_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class IntervalFlow:
    """Prints of an interval by contract; float64 arrays of shape (n,), sizes in contracts.

    Parameters
    ----------
    total : float64 array
        Every print that stands.
    package : float64 array
        Of it legs of packages.
    imbalance : float64 array
        (Bought - sold) / total by the sides the tape tells, packages left out of both; NaN where
        nothing printed or no side is told.
    sweep_share, burst_share : float64 array
        Of the prints outside packages, by size: sweeps, and the largest minute; NaN where there are
        none.
    known_us : int
        When the latest of the prints was known, microseconds since 1970.
    """

    total: Floats
    package: Floats
    imbalance: Floats
    sweep_share: Floats
    burst_share: Floats
    known_us: int


def interval_flow(
    prints: pa.Table, symbols: pa.Array, *, since: datetime, until: datetime, known_by: datetime
) -> IntervalFlow | None:
    """Add up the prints of an interval.

    Parameters
    ----------
    prints : pyarrow.Table
        Columns `TAPE_COLUMNS` of `tables.OPTION_TRADES` or `LIVE_COLUMNS` of `tables.LIVE_TRADES`,
        each print once.
    symbols : pyarrow.Array, shape (n,)
        Contracts wanted, each once.
    since, until : datetime.datetime
        The interval: after the first, up to the second.
    known_by : datetime.datetime
        Prints that were known later are not looked at.

    Returns
    -------
    IntervalFlow or None
        None where the tape has no print of the interval: it was not held, or nothing was told.
    """
    use = pc.and_(pc.greater(prints["event_at"], since), pc.less_equal(prints["event_at"], until))
    rows = prints.filter(pc.and_(use, pc.less_equal(prints["known_at"], known_by)))
    if rows.num_rows == 0:
        return None
    known_us = int(integers(rows, "known_at").max())
    is_live = "trade_class" in rows.column_names
    # first of all: a cancel and what it takes back are of one contract, and a tape is long
    rows = rows.filter(pc.is_in(rows["symbol"], value_set=symbols))
    rows = _standing_live(rows) if is_live else _standing_tape(rows)
    place = places(rows, symbols)
    bits = bits_of_text(rows["conditions"]) if rows.num_rows else np.empty(0, np.int64)
    is_package = _packages(rows, bits, is_live=is_live)
    sizes = floats(rows, "size_contracts")
    return _added_up(
        place[~is_package],
        rows.filter(pa.array(~is_package)),
        package=_totals(place[is_package], sizes[is_package], len(symbols)),
        is_sweep=((bits & bits_of(SWEEPS)) != 0)[~is_package],
        known_us=known_us,
    )


def _totals(place: Ints, values: Floats, n: int) -> Floats:
    return np.asarray(np.bincount(place, weights=values, minlength=n), np.float64)


def _added_up(
    place: Ints, rows: pa.Table, *, package: Floats, is_sweep: Bools, known_us: int
) -> IntervalFlow:
    n, size = package.size, np.nan_to_num(floats(rows, "size_contracts"))

    def total(values: Floats) -> Floats:
        return _totals(place, values, n)

    sign = _signs(rows["side" if "side" in rows.column_names else "taker_side"])
    alone = total(size)
    with np.errstate(invalid="ignore", divide="ignore"):
        imbalance = np.where(total(size * (sign != 0)) > 0.0, total(size * sign) / alone, np.nan)
        sweep, burst = total(size * is_sweep) / alone, _largest_minute(place, rows, size, n) / alone
    return IntervalFlow(alone + package, package, imbalance, sweep, burst, known_us)


def _largest_minute(place: Ints, rows: pa.Table, size: Floats, n: int) -> Floats:
    minute = integers(rows, "event_at") // _MINUTE_US
    largest = np.zeros(n)
    if not minute.size:
        return largest
    first = int(minute.min())
    width = int(minute.max()) - first + 1
    cells, which = np.unique(place * width + (minute - first), return_inverse=True)
    np.maximum.at(largest, cells // width, np.bincount(which.reshape(-1), weights=size))
    return largest


def _signs(side: pa.ChunkedArray) -> Ints:
    bought, sold = (pc.fill_null(pc.equal(side, word), False) for word in ("buy", "sell"))
    return np.array(bought.to_numpy(), np.int64) - np.array(sold.to_numpy(), np.int64)


def _packages(rows: pa.Table, bits: Ints, *, is_live: bool) -> Bools:
    if is_live:
        return np.array(pc.is_in(rows["trade_class"], value_set=pa.array(PACKAGES)).to_numpy())
    bits = bits | np.where(
        np.array(pc.is_valid(rows["combo_id"]).to_numpy()), np.int64(1) << WORDS["combo"], 0
    )
    return np.isin(classes_of(bits), [TRADE_CLASSES.index(name) for name in PACKAGES])


def _standing_live(rows: pa.Table) -> pa.Table:
    """Leave out cancels and what they take back; a sequence counts within its feed."""
    is_cancel = equals(rows, "trade_class", "cancel")
    taken = rows["cancels_sequence"].drop_null().combine_chunks()
    if not len(taken) and not is_cancel.any():
        return rows
    is_taken = np.array(pc.is_in(rows["stream_sequence"], value_set=taken).to_numpy())
    return rows.filter(pa.array(~is_cancel & ~is_taken))


def _standing_tape(rows: pa.Table) -> pa.Table:
    """Leave out cancels and what they take back, as far as both are in the interval."""
    rows = rows.sort_by([("event_at", "ascending"), ("ordinal", "ascending")])
    cancels = np.flatnonzero(cancels_of(rows)).astype(np.int64)
    if not cancels.size:
        return rows
    stands = np.ones(rows.num_rows, np.bool_)
    stands[cancels] = False
    stands[match_cancels(rows, cancels)[1]] = False
    return rows.filter(pa.array(stands))

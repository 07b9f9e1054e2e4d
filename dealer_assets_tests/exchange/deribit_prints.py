"""Deribit's prints of a UTC day as rows, and which of them are wanted.

Belongs here: one day of the shared tape, and one option trade in Deribit's words. Does not belong
here: ranges of days, packages, RFQs (`deribit_trades`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.providers.simulator import market as simulated
from dealer_assets.providers.simulator.noise import stream_key
from dealer_assets_tests.exchange.deribit_bodies import Body

Ints = NDArray[np.int64]

COLUMNS = (
    "symbol",
    "price",
    "size_contracts",
    "sequence",
    "trade_id",
    "taker_side",
    "venue_implied_vol",
    "underlying_price",
    "block_id",
    "combo_id",
    "is_liquidation",
)
_PACKAGE_IDS = 10**12


@dataclass(frozen=True)
class Day:
    """Prints of one UTC day, in order.

    Parameters
    ----------
    day : datetime.date
        The day.
    rows : pyarrow.Table
        `COLUMNS` of `tables.OPTION_TRADES`, and ``at_us`` instead of ``event_at``.
    before : mapping of str to int
        Sequence number each instrument had reached when the day began.
    base : int
        The same of instruments without trades so far.
    """

    day: date
    rows: pa.Table
    before: dict[str, int]
    base: int

    @cached_property
    def at_ms(self) -> Ints:
        """Instants, ascending."""
        return np.asarray(self.rows["at_us"].combine_chunks().to_numpy() // 1000, np.int64)

    @cached_property
    def symbol(self) -> NDArray[np.object_]:
        """Instrument of each row."""
        return np.array(self.rows["symbol"].to_pylist(), dtype=object)

    @cached_property
    def number(self) -> Ints:
        """Sequence number of each row within its instrument."""
        before = np.array([self.reached(name) for name in self.symbol], np.int64)
        own = self.rows["sequence"].fill_null(0).combine_chunks().to_numpy()
        return np.asarray(before + own, np.int64)

    @cached_property
    def blocks(self) -> dict[str, list[int]]:
        """Rows of each block, in order."""
        found: dict[str, list[int]] = defaultdict(list)
        for row, block in enumerate(self.rows["block_id"].to_pylist()):
            if block is not None:
                found[block].append(row)
        return dict(found)

    @cached_property
    def packages(self) -> Ints:
        """First row of each block that is a combination, ascending."""
        combos = self.rows["combo_id"].to_pylist()
        return np.array(
            sorted(rows[0] for rows in self.blocks.values() if combos[rows[0]] is not None),
            np.int64,
        )

    def reached(self, name: str) -> int:
        """Return the sequence number an instrument had reached when the day began."""
        return self.before.get(name, self.base)

    def count(self) -> dict[str, int]:
        """Return the sequence number each instrument reaches by the end of the day."""
        names, counts = np.unique(self.symbol.astype(str), return_counts=True)
        found = dict(self.before)
        for name, count in zip(names.tolist(), counts.tolist(), strict=True):
            found[name] = self.reached(name) + count
        return found


@dataclass(frozen=True)
class Ask:
    """Which trades are wanted.

    Parameters
    ----------
    kind : str
        ``option``, ``option_combo``, ``combo``, ``future`` or ``any``.
    currency : str
        ``BTC``, ``USDC`` or ``any``.
    first_ms, last_ms : int
        Milliseconds since 1970, both included.
    instrument : str or None
        Only this one's.
    newest_first : bool
        Descending instead of ascending.
    limit : int or None
        Stop at this many.
    """

    kind: str
    currency: str
    first_ms: int
    last_ms: int
    instrument: str | None = None
    newest_first: bool = False
    limit: int | None = None

    def cut(self, rows: Ints) -> Ints:
        """Return no more rows than are wanted, from the end that is wanted first."""
        if self.limit is None:
            return rows
        return rows[-self.limit :] if self.newest_first else rows[: self.limit]


def rows_of(table: pa.Table) -> pa.Table:
    """Return what `Day` needs of a table of trades."""
    at_us = table["event_at"].cast(pa.int64())
    return table.select(COLUMNS).append_column("at_us", at_us).combine_chunks()


def package_id(day: date, block: str) -> str:
    """Return the trade id of the package of a block."""
    return str(_PACKAGE_IDS + day.toordinal() * 10_000 + int(block.rpartition("-")[2]) % 10_000)


def rfq_id(block: str) -> int | None:
    """Return the RFQ a block came from; odd ones were agreed elsewhere."""
    number = int(block.rpartition("-")[2])
    return None if number % 2 else number


def days_of(first_ms: int, last_ms: int, *, newest_first: bool) -> list[date]:
    if last_ms < first_ms:
        return []
    first = max(datetime.fromtimestamp(first_ms / 1e3, UTC).date(), simulated.FIRST)
    last = datetime.fromtimestamp(last_ms / 1e3, UTC).date()
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    return days[::-1] if newest_first else days


def option_trade(prints: Day, row: dict[str, Any], *, has_contracts: bool) -> Body:
    us = row["at_us"]
    word = stream_key("deribit trade", row["trade_id"])
    wobble = 1.0 + 0.02 * (word % 1000 / 1000.0 - 0.5)
    body: Body = {
        "timestamp": us // 1000,
        "iv": round(100.0 * (row["venue_implied_vol"] or 0.0), 2),
        "price": row["price"],
        "amount": row["size_contracts"],
        "direction": row["taker_side"],
        "index_price": row["underlying_price"],
        "instrument_name": row["symbol"],
        "trade_seq": prints.reached(row["symbol"]) + (row["sequence"] or 0),
        "mark_price": round(row["price"] * wobble, 8),
        "tick_direction": word // 1000 % 4,
        "starbase_match_id": 200_000_000_000_000_000 + word % 10**16,
        "trade_id": row["trade_id"],
        "starbase_timestamp": us * 1000,
    }
    if has_contracts:
        body["contracts"] = row["size_contracts"]
    block = row["block_id"]
    if block is not None:
        body["block_trade_id"] = block
        body["block_trade_leg_count"] = len(prints.blocks[block])
        if rfq_id(block) is not None:
            body["block_rfq_id"] = rfq_id(block)
    if row["combo_id"] is not None:
        body["combo_id"] = row["combo_id"]
        if block is not None:
            body["combo_trade_id"] = package_id(prints.day, block)
    if row["is_liquidation"]:
        body["liquidation"] = "T"
    return body

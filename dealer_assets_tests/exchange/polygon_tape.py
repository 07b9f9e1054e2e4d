"""The shared tape in the vendor's words: trades, quotes and bars of one contract or index.

Belongs here: rows of one session as the vendor prints them. Does not belong here: paging and paths
(`polygon_history`), flat files' columns (`flatfiles`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.instruments import parse_osi
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.providers.base import Provider
from dealer_assets.underlyings import REGISTRY, Underlying, underlying, underlying_of_root

Ints = NDArray[np.int64]
Row = dict[str, Any]

_MINUTE_US = 60_000_000


def nanoseconds_of(event_us: Ints) -> Ints:
    """Return the vendor's nanoseconds of instants in microseconds; equal ones stay equal."""
    return event_us * 1000 + event_us * 7919 % 1000


def owner_of(ticker: str) -> Underlying | None:
    """Return the underlying of a ticker: of an option, or the one that bears the name itself."""
    if not ticker.startswith("O:"):
        return next((u for u in REGISTRY if u.vendor_symbols.get("polygon") == ticker), None)
    try:
        return underlying_of_root(parse_osi(ticker.removeprefix("O:")).root)
    except (BadInputError, UnknownUnderlyingError):
        return None


@dataclass(frozen=True)
class Bars:
    """Minute bars of one session; lists of equal length.

    Parameters
    ----------
    start_us : list of int
        Starts, microseconds since 1970.
    rows : list of dict
        ``o, h, l, c``, and of what trades ``v, n`` too.
    """

    start_us: list[int]
    rows: list[Row]


class Tape:
    """Rows of single contracts, session by session, kept while they are asked for.

    Parameters
    ----------
    market : Provider
        Whose tape it is; refuses when it has none.
    """

    def __init__(self, market: Provider) -> None:
        self._market = market
        self.trades = lru_cache(maxsize=128)(self._trades)
        self.quotes = lru_cache(maxsize=128)(self._quotes)
        self.bars = lru_cache(maxsize=128)(self._bars)
        self.values = lru_cache(maxsize=64)(self._values)

    def _trades(self, ticker: str, day: date) -> list[tuple[int, Row]]:
        entry = owner_of(ticker)
        if entry is None or not ticker.startswith("O:"):
            return []
        symbols = [ticker.removeprefix("O:")]
        rows = self._market.trades(entry, session_date=day, symbols=symbols).rows
        at, at_us = _instants(rows)
        columns = (rows[name].to_pylist() for name in ("price", "size_contracts", "exchange"))
        codes = rows["conditions"].to_pylist()
        return [
            (
                ns,
                {
                    "conditions": [int(code) for code in words.split(",")],
                    "exchange": int(exchange),
                    # exchanges stamp a print some microseconds before the tape does
                    "participant_timestamp": ns - 1000 * (15 + us % 85),
                    "price": price,
                    "sip_timestamp": ns,
                    "size": int(size),
                },
            )
            for ns, us, price, size, exchange, words in zip(at, at_us, *columns, codes, strict=True)
        ]

    def _quotes(self, ticker: str, day: date) -> list[tuple[int, Row]]:
        entry = owner_of(ticker)
        if entry is None or not ticker.startswith("O:"):
            return []
        symbols = [ticker.removeprefix("O:")]
        rows = self._market.quotes(entry, session_date=day, symbols=symbols).rows
        at, _ = _instants(rows)
        names = ("ask", "ask_size_contracts", "ask_exchange", "bid", "bid_size_contracts")
        columns = (rows[name].to_pylist() for name in (*names, "bid_exchange", "sequence"))
        return [
            (
                ns,
                {
                    "ask_exchange": int(ask_exchange or 0),
                    "ask_price": ask,
                    "ask_size": int(ask_size),
                    "bid_exchange": int(bid_exchange or 0),
                    "bid_price": bid,
                    "bid_size": int(bid_size),
                    "sequence_number": sequence,
                    "sip_timestamp": ns,
                },
            )
            for ns, ask, ask_size, ask_exchange, bid, bid_size, bid_exchange, sequence in zip(
                at, *columns, strict=True
            )
        ]

    def _bars(self, ticker: str, day: date) -> Bars:
        entry = owner_of(ticker)
        if entry is None:
            return Bars([], [])
        if not ticker.startswith("O:"):
            return self._underlying_bars(entry, day)
        symbols = [ticker.removeprefix("O:")]
        rows = self._market.bars(entry, session_date=day, symbols=symbols).rows
        names = ("open", "high", "low", "close", "volume_contracts", "trades")
        columns = (rows[name].to_pylist() for name in names)
        keys = ("o", "h", "l", "c", "v", "n")
        made = [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]
        return Bars(rows["event_at"].cast(pa.int64()).to_pylist(), made)

    def _underlying_bars(self, entry: Underlying, day: date) -> Bars:
        """Bars between the values of an index; a share's have a made-up volume."""
        at_us, values = self.values(entry.symbol, day)
        rows: list[Row] = []
        for first, last in pairwise(values):
            row: Row = {"o": first, "h": max(first, last), "l": min(first, last), "c": last}
            if entry.kind != "index":
                row |= {"v": 10_000.0, "n": 100}
            rows.append(row)
        return Bars(at_us[: len(rows)], rows)

    def _values(self, symbol: str, day: date) -> tuple[list[int], list[float]]:
        """Return the values of an underlying, minute by minute, and their instants [us]."""
        rows = self._market.index_values(underlying(symbol), session_date=day).rows
        return rows["event_at"].cast(pa.int64()).to_pylist(), rows["value"].to_pylist()


def _instants(rows: pa.Table) -> tuple[list[int], list[int]]:
    us = rows["event_at"].cast(pa.int64()).to_numpy()
    return nanoseconds_of(us).tolist(), us.tolist()


def complete_by(bars: Bars, seen_at: datetime) -> Bars:
    """Return the bars that are over at an instant."""
    limit = int(seen_at.timestamp() * 1_000_000) - _MINUTE_US
    count = sum(start <= limit for start in bars.start_us)
    return Bars(bars.start_us[:count], bars.rows[:count])

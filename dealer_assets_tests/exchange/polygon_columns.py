"""What a snapshot's rows are made of, as columns of one chain.

Belongs here: numbers of all contracts at once, data that is wrong on purpose among them. Does not
belong here: fields and rows (`polygon_book`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.errors import NoDataError
from dealer_assets.underlyings import Underlying
from dealer_assets_tests.exchange.cboe_rows import aligned, floats
from dealer_assets_tests.exchange.polygon_look import Look
from dealer_assets_tests.exchange.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HIDDEN_OF_1000 = 25
"""Contracts whose greeks are hidden although they are not deep in the money."""


@dataclass(frozen=True)
class Columns:
    """A chain's numbers; lists of length n, NaN and None where there is nothing.

    Parameters
    ----------
    values : dict of str to list
        By the names used in `polygon_book`.
    open_interest : list of float or None
        As shown.
    midnight_ns : int
        Start of the day's bar [ns since 1970].
    """

    values: dict[str, list[Any]]
    open_interest: list[float | None]
    midnight_ns: int


@dataclass(frozen=True)
class Source:
    """A chain and what is around it.

    Parameters
    ----------
    world : World
        The market.
    entry : Underlying
        Registry entry.
    rows : pyarrow.Table
        Rows of `tables.CHAIN_SNAPSHOTS`.
    at : datetime.datetime
        Their instant [UTC].
    look : Look
        How they are shown.
    """

    world: World
    entry: Underlying
    rows: pa.Table
    at: datetime
    look: Look

    @property
    def session(self) -> date:
        """Session of the rows."""
        day: date = self.rows["session_date"][0].as_py()
        return day

    def before(self, session: date) -> date:
        """Return the session before another."""
        return sessions.previous_session(self.entry.calendar, session)

    def closing(self, session: date) -> pa.Table | None:
        """Return the last chain of a session, or None where the market has none."""
        end = sessions.quotes_end(self.entry.calendar, session)
        try:
            return self.world.chain(self.entry.symbol, end)
        except NoDataError:
            return None


def columns_of(source: Source) -> Columns:
    """Return everything a chain's rows need."""
    symbols: Sequence[str] = source.rows["symbol"].to_pylist()
    draw = draws(symbols)
    bars, midnight_ns = _bars(source, symbols)
    columns = _quotes(source, draw) | _trades(source) | _greeks(source, symbols) | bars
    columns["draw"] = draw % 1_000_003
    premium = np.where(np.isnan(columns["mid"]), columns["last_price"], columns["mid"])
    is_call = np.array(source.rows["right"].to_pylist()) == "call"
    columns["break_even"] = floats(source.rows, "strike") + np.where(is_call, premium, -premium)
    for name in ("volume", "bid_size", "ask_size"):
        columns[name] = columns[name].astype(np.int64)
    listed = {name: values.tolist() for name, values in columns.items()}
    return Columns(listed, _open_interest(source, draw), midnight_ns)


def draws(symbols: Sequence[str], salt: str = "") -> Ints:
    """Return a random number per contract, the same at every minute, below 2 ** 32."""
    return np.array([zlib.crc32(f"{name}{salt}".encode()) for name in symbols], np.int64)


def _quotes(source: Source, draw: Ints) -> dict[str, Any]:
    rows, quotes, quoted_at = source.rows, source.rows, source.at
    if source.look.quotes_at is not None:
        quoted_at = source.look.quotes_at
        quotes = source.world.chain(source.entry.symbol, quoted_at)
    names = ("bid", "ask", "bid_size_contracts", "ask_size_contracts")
    bid, ask, bid_size, ask_size = (aligned(rows, quotes, name) for name in names)
    opened = sessions.session_open(source.entry.calendar, source.session)
    # half of the contracts changed their quote just now, the others a while ago
    age_ns = np.where(draw % 2 == 0, 0, draw % 20_000 * 1_000_000)
    return {
        "bid": bid,
        "ask": ask,
        "bid_size": np.nan_to_num(bid_size),
        "ask_size": np.nan_to_num(ask_size),
        "mid": np.round(0.5 * (bid + ask), 6),
        "quoted_ns": np.maximum(nanoseconds(quoted_at) - age_ns, nanoseconds(opened)),
    }


def _trades(source: Source) -> dict[str, Any]:
    """Last trades, of the session before where this one has none."""
    before = source.closing(source.before(source.session))
    price, traded_ns = _last_trades(source.rows, source.rows)
    old_price, old_ns = _last_trades(source.rows, before)
    is_old = traded_ns == 0
    return {
        "last_price": np.where(is_old, old_price, price),
        "traded_ns": np.where(is_old, old_ns, traded_ns),
    }


def _last_trades(rows: pa.Table, chain: pa.Table | None) -> tuple[Floats, Ints]:
    price = aligned(rows, chain, "last_price")
    if chain is None:
        return price, np.zeros(price.size, np.int64)
    # microseconds since 1970 are exact as floats
    traded_us = chain["last_trade_at"].cast(pa.int64()).cast(pa.float64())
    traded = chain.select(["symbol"]).append_column("traded_us", traded_us)
    return price, np.nan_to_num(aligned(rows, traded, "traded_us")).astype(np.int64) * 1000


def _greeks(source: Source, symbols: Sequence[str]) -> dict[str, Any]:
    """Delta, gamma and vol as the market has them; theta and vega by Black-76 without carry."""
    rows = source.rows
    vol = floats(rows, "vendor_implied_vol", np.nan)
    delta, gamma = floats(rows, "vendor_delta", np.nan), floats(rows, "vendor_gamma", np.nan)
    expires = rows["expires_at"].cast(pa.int64()).to_numpy() / 1e6
    years = (expires - source.at.timestamp()) / SECONDS_PER_YEAR
    spot = floats(rows, "spot", np.nan)
    greeks = black_greeks(
        spot,
        floats(rows, "strike"),
        S=spot,
        T=np.maximum(years, 1e-9),
        sigma=np.where(vol > 0.0, vol, 0.2),
        D=np.ones(years.size),
        is_call=np.array(rows["right"].to_pylist()) == "call",
    )
    hidden = draws(symbols, "greeks") % 1000 < _HIDDEN_OF_1000
    known = np.isfinite(vol) & np.isfinite(delta) & np.isfinite(gamma) & (vol > 0.0)
    return {
        "vol": vol,
        "delta": delta,
        "gamma": gamma,
        "theta": np.nan_to_num(greeks.theta),
        "vega": np.nan_to_num(greeks.vega),
        "shows_greeks": known & ~hidden,
    }


def _bars(source: Source, symbols: Sequence[str]) -> tuple[dict[str, Any], int]:
    session, chain = source.session, source.rows
    if source.look.is_carried:
        session = source.before(session)
        chain = source.closing(session)
    before = source.closing(source.before(session))
    midnight = datetime.combine(session, time(0), sessions.NEW_YORK)
    close = aligned(source.rows, chain, "last_price")
    spread = (draws(symbols, str(session)) % 2001 - 1000) / 10_000.0
    opened = np.maximum(np.round(close * (1.0 + spread), 2), 0.01)
    wide = np.abs(spread)
    previous = aligned(source.rows, before, "last_price")
    columns = {
        "volume": np.nan_to_num(aligned(source.rows, chain, "volume_contracts")),
        "open": opened,
        "high": np.round(np.maximum(opened, close) * (1.0 + wide), 2),
        "low": np.maximum(np.round(np.minimum(opened, close) * (1.0 - wide), 2), 0.01),
        "close": close,
        "vwap": np.round(0.5 * (opened + close), 4),
        "previous_close": previous,
        "change": close - previous,
        "change_percent": 100.0 * (close - previous) / previous,
    }
    return columns, nanoseconds(midnight)


def _open_interest(source: Source, draw: Ints) -> list[float | None]:
    shown = source.look.open_interest
    if shown in ("wiped", "absent"):
        return [0 if shown == "wiped" else None] * draw.size
    chain: pa.Table | None = source.rows
    if shown == "shifted":
        chain = source.closing(source.before(source.session))
    held = aligned(source.rows, chain, "open_interest_contracts")
    if shown.startswith("wobbling"):
        held = held + np.where(draw % 20 == 0, 7.0 * int(shown[-1]), 0.0)
    return [None if value != value else plain(value) for value in held.tolist()]


def nanoseconds(instant: datetime) -> int:
    """Return nanoseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def plain(value: float) -> float | int:
    """Return a whole number as an int, as the vendor writes it."""
    return int(value) if value == int(value) else value

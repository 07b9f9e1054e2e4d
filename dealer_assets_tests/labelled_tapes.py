"""Tapes whose true sides are known, as rows of the lake's tables.

Belongs here: the simulator's session, a recorded crypto perpetual, a recorded option with quotes,
and tapes written line by line. Does not belong here: what sides are guessed, or expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from dealer_assets import tables
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.providers.simulator.market_day import market_day
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.tape import session_prints
from dealer_assets.tables import Table
from dealer_assets.underlyings import underlying

SESSION = date(2025, 12, 15)
OPEN_US = int(datetime(2025, 12, 15, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000
CALL, PUT, TODAY = "SPXW251219C06000000", "SPXW251219P06000000", "SPXW251215C06000000"
PERPETUAL_DAY = date(2026, 4, 12)


@dataclass(frozen=True)
class LabelledTape:
    """A session's tape with the truth of its prints.

    Parameters
    ----------
    trades, quotes, values : pyarrow.Table
        `tables.OPTION_TRADES`, `OPTION_QUOTES`, `INDEX_VALUES`.
    is_buy : bool array or None
        Whether the customer bought, by row of `trades`; None where nobody knows.
    """

    trades: pa.Table
    quotes: pa.Table
    values: pa.Table
    is_buy: np.ndarray | None

    @property
    def rows(self) -> dict[str, pa.Table]:
        """Rows by table name."""
        return {
            tables.OPTION_TRADES.name: self.trades,
            tables.OPTION_QUOTES.name: self.quotes,
            tables.INDEX_VALUES.name: self.values,
        }


def simulated(
    symbol: str, day: date, *, seed: int = 2, density: float = 0.05, quoted: int | None = None
) -> LabelledTape:
    """Return a simulated session; quotes of the contracts nearest the money, or of all."""
    provider, lane = SimulatorProvider(seed=seed, density=density), underlying(symbol)
    market = market_day(seed, symbol, day=day, density=density)
    names = market.session.listing.columns["symbol"].to_pylist()
    if quoted is not None:
        names = nearest_the_money(
            market.session.listing.columns,
            spot=float(market.session.path.spot[0]),
            at=market.opened,
            count=quoted,
        )
    prints = session_prints(seed, symbol, day=day, density=density)
    return LabelledTape(
        provider.trades(lane, session_date=day).rows,
        provider.quotes(lane, session_date=day, symbols=names).rows,
        provider.index_values(lane, session_date=day).rows,
        prints.is_buy,
    )


def perpetual(shared_data: Path) -> LabelledTape:
    """Return a day of a crypto perpetual's trades with the taker's side, as if of one option.

    It has no underlying of its own: spot stands still, so a tick is the bare change of the price.
    """
    folder = shared_data / "trade_side"
    trades = pq.read_table(folder / f"WIFUSDT_trades_{PERPETUAL_DAY}.parquet")
    book = pq.read_table(folder / f"WIFUSDT_bbo_{PERPETUAL_DAY}.parquet")
    event_us = trades["timestamp"].to_numpy() // 1_000
    is_sell = trades["side"].to_numpy()
    n = trades.num_rows
    made = {
        "event_at": event_us,
        "ordinal": np.arange(n),
        "price": trades["price"].to_numpy(),
        "size_contracts": trades["amount"].to_numpy(),
        "taker_side": pa.array(np.where(is_sell, "sell", "buy")),
        "sign_rule": "taker_side",
    }
    sides = {"bid": "bid0", "ask": "ask0", "bid_size_contracts": "bidv0"}
    sides["ask_size_contracts"] = "askv0"
    quotes = {name: book[column].to_numpy() for name, column in sides.items()}
    quotes |= {
        "event_at": book["timestamp"].to_numpy() // 1_000,
        "ordinal": np.arange(book.num_rows),
    }
    return LabelledTape(
        made_up(tables.OPTION_TRADES, n, PERPETUAL_DAY, **made),
        made_up(tables.OPTION_QUOTES, book.num_rows, PERPETUAL_DAY, **quotes),
        made_up(tables.INDEX_VALUES, n, PERPETUAL_DAY, event_at=event_us, kind="spot", value=1.0),
        ~is_sell,
    )


def recorded_option(shared_data: Path) -> LabelledTape:
    """Return a day of one SPY option's prints, each with the quote that stood; sides unknown."""
    path = shared_data / "thetadata" / "option_history_trade_quote.csv"
    rows = csv.read_csv(path)
    day = date(2024, 6, 14)
    vendor = rows["condition"].to_numpy()
    # the vendor's codes of single-leg auctions to compressions follow one another as the tape's do
    codes = np.where(vendor >= 125, vendor + 102, np.where(vendor == 95, 219, 209))
    symbol = "SPY240621C00500000"
    trades = {
        "symbol": symbol,
        "event_at": _instants(rows["trade_timestamp"]),
        "ordinal": np.arange(rows.num_rows),
        "price": rows["price"].to_numpy(),
        "size_contracts": rows["size"].to_numpy().astype(np.float64),
        "conditions": pa.array(codes.astype(str)),
    }
    quotes = {
        "symbol": symbol,
        "event_at": _instants(rows["quote_timestamp"]),
        "ordinal": np.arange(rows.num_rows),
        "bid": rows["bid"].to_numpy(),
        "ask": rows["ask"].to_numpy(),
        "bid_size_contracts": rows["bid_size"].to_numpy().astype(np.float64),
        "ask_size_contracts": rows["ask_size"].to_numpy().astype(np.float64),
    }
    return LabelledTape(
        made_up(tables.OPTION_TRADES, rows.num_rows, day, **trades),
        made_up(tables.OPTION_QUOTES, rows.num_rows, day, **quotes),
        tables.INDEX_VALUES.schema.empty_table(),
        None,
    )


def _instants(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_timestamp(column.type):
        column = pc.strptime(
            pc.utf8_slice_codeunits(column, 0, 23), "%Y-%m-%dT%H:%M:%S", "us"
        )  # pragma: no cover - CSV readers infer instants
    return column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()


def made_up(table: Table, n: int, day: date = SESSION, **columns: Any) -> pa.Table:
    """Return n legal rows of a tape's table; what is not given is made up.

    Instants are microseconds since 1970; a single value is repeated; a symbol brings its contract.
    """
    given = {"underlying": "SPX", "session_date": day, **columns}
    symbols = given.get("symbol", CALL)
    if "symbol" in table.schema.names:
        listed = [symbols] * n if isinstance(symbols, str) else list(symbols)
        given |= _contracts(listed)
    given.setdefault("known_at", given["event_at"])
    filled = []
    for column in table.columns:
        value = given.get(column.name)
        if value is None:
            value = None if column.nullable else _blank(column.type, column.allowed)
        if isinstance(value, np.ndarray | list | pa.Array):
            filled.append(pa.array(value).cast(column.type))
        else:
            filled.append(pa.repeat(pa.scalar(value, column.type), n))
    return pa.table(filled, schema=table.schema)


def _blank(kind: pa.DataType, allowed: tuple[str, ...]) -> Any:
    if pa.types.is_string(kind):
        return allowed[-1] if allowed else "USD" if not allowed else ""
    return False if pa.types.is_boolean(kind) else 0


def _contracts(symbols: list[str]) -> dict[str, Any]:
    parsed = [parse_osi(symbol) for symbol in symbols]
    ends = [expiry_instant("pm", "XNYS", contract.expiry_date) for contract in parsed]
    return {
        "symbol": symbols,
        "root": [contract.root for contract in parsed],
        "expiry_date": [contract.expiry_date for contract in parsed],
        "expires_at": pa.array(ends, tables.INSTANT),
        "strike": [contract.strike for contract in parsed],
        "right": [contract.right for contract in parsed],
    }

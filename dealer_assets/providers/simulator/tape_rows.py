"""The simulated tape as rows of tables: trades, bars, open interest, listing, index values.

Belongs here: arrays in, schema-true tables out. Does not belong here: how prints come about
(`tape`), quotes (`tape_quotes`), or the chain (`chain_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.listing import Ints
from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import uniform
from dealer_assets.providers.simulator.prints import Prints
from dealer_assets.providers.simulator.tape_blocks import block_names
from dealer_assets.tables import Table
from dealer_assets.tables.base import CONTRACT, INSTANT

FEED_LATENCY = timedelta(seconds=1)
"""Declared: whatever the simulator shows can be read this long after its instant."""

LATENCY_US = FEED_LATENCY // timedelta(microseconds=1)
_CONTRACT = tuple(column.name for column in CONTRACT)
_MINUTE_US = 60_000_000
_DAY_US = 86_400_000_000
_FIRST_ORDINAL = date(1970, 1, 1).toordinal()
_LIQUIDATED_SHARE = 0.002
_CODE_WORDS = pa.array(["", *map(str, range(1, 1024))], pa.string())


@dataclass(frozen=True)
class Source:
    """What every row of one answer says of where it comes from."""

    provider: str
    name: str


def trades_table(market: MarketDay, prints: Prints, *, source: Source) -> pa.Table:
    """Return prints as rows of `tables.OPTION_TRADES`.

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        In their order; around the clock all of the session's.
    source : Source
        Where the rows come from.
    """
    n, is_coin = prints.size.size, market.entry.calendar == "24/7"
    columns = stamped(market, source, prints.event_us, prints.event_us + LATENCY_US)
    columns |= contract_columns(market, prints.contract)
    columns |= {
        "ordinal": pa.array(prints.ordinal.astype(np.int32)),
        "price": pa.array(prints.price),
        "price_currency": same_text(market.entry.roots[0].symbol if is_coin else "USD", n),
        "size_contracts": pa.array(prints.size),
        "sign_rule": same_text("taker_side" if is_coin else "unsigned", n),
    }
    columns |= _coin_columns(market, prints) if is_coin else _us_columns(market, prints)
    return schema_table(tables.OPTION_TRADES, columns, n)


def _us_columns(market: MarketDay, prints: Prints) -> dict[str, pa.Array]:
    n = prints.size.size
    offset = prints.event_us - market.session.open_us
    return {
        "conditions": code_words(prints.condition),
        "exchange": code_words(prints.exchange),
        "correction": pa.array(np.zeros(n, np.int32)),
        # increasing in each contract, with gaps, whatever else is asked for
        "sequence": pa.array(offset * 8 + np.minimum(prints.ordinal, 7)),
    }


def _coin_columns(market: MarketDay, prints: Prints) -> dict[str, pa.Array]:
    n = prints.size.size
    by_contract = np.argsort(prints.contract, kind="stable")
    place = np.empty(n, np.int64)
    sorted_contracts = prints.contract[by_contract]
    place[by_contract] = np.arange(n) - np.searchsorted(sorted_contracts, sorted_contracts)
    first_id = market.day.toordinal() * 1_000
    block_id, combo_id = block_names(market, prints)
    liquidated = uniform(market.session.seed, (prints.event_us + place).astype(np.uint64))
    return {
        "conditions": same_text("", n),
        "exchange": same_text("", n),
        "sequence": pa.array(place + 1),
        "trade_id": pa.array([str(first_id * 100 + i) for i in range(n)], pa.string()),
        "taker_side": pa.array(["sell", "buy"]).take(pa.array(prints.is_buy.astype(np.int64))),
        "venue_implied_vol": pa.array(prints.vol),
        "underlying_price": pa.array(market.session.path.spot[prints.minute]),
        "block_id": pa.array(block_id, pa.string()),
        "combo_id": pa.array(combo_id, pa.string()),
        "is_liquidation": pa.array(liquidated < _LIQUIDATED_SHARE),
    }


def bars_table(
    market: MarketDay, prints: Prints, *, interval: Literal["minute", "day"], source: Source
) -> pa.Table:
    """Return bars of the prints that count as rows of `tables.OPTION_BARS`.

    A day bar starts at the open. Every print that counts moves high and low, late ones and legs of
    packages included.

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        In their order.
    interval : {"minute", "day"}
        Length of the bars.
    source : Source
        Where the rows come from.
    """
    prints = prints.take(prints.counts)
    minute = prints.minute if interval == "minute" else np.zeros_like(prints.minute)
    rank = market.symbol_rank[prints.contract]
    order = np.lexsort((rank, minute))
    minute, contract = minute[order], prints.contract[order]
    price, size = prints.price_usd[order], prints.size[order]
    n = price.size
    new = np.concatenate([[True], (np.diff(minute) != 0) | (np.diff(contract) != 0)])[:n]
    first = np.flatnonzero(new)
    last = np.concatenate([first[1:], [n]]) - 1 if first.size else first
    start_us = market.session.open_us + minute[first] * _MINUTE_US
    length_us = _MINUTE_US
    if interval == "day":
        length_us = market.session.path.minutes * _MINUTE_US
    columns = stamped(market, source, start_us, start_us + length_us + LATENCY_US)
    columns |= contract_columns(market, contract[first])
    columns |= {
        "interval": same_text(interval, first.size),
        "open": pa.array(price[first]),
        "high": pa.array(np.maximum.reduceat(price, first) if n else price),
        "low": pa.array(np.minimum.reduceat(price, first) if n else price),
        "close": pa.array(price[last]),
        "volume_contracts": pa.array(np.add.reduceat(size, first) if n else size),
        "trades": pa.array(last - first + 1),
    }
    return schema_table(tables.OPTION_BARS, columns, first.size)


def open_interest_table(market: MarketDay, *, source: Source) -> pa.Table:
    """Return the open interest a session opens with as rows of `tables.OPEN_INTEREST`."""
    calendar = market.entry.calendar
    before = sessions.previous_session(calendar, market.day)
    counted_us = int(sessions.session_close(calendar, before).timestamp()) * 1_000_000
    everything = np.arange(market.session.listing.strike.size)
    columns = _at_open(market, source, everything.size, event_us=counted_us)
    columns |= contract_columns(market, everything)
    columns["open_interest_contracts"] = pa.array(market.flow.open_interest)
    return schema_table(tables.OPEN_INTEREST, columns, everything.size)


def listing_table(market: MarketDay, *, source: Source) -> pa.Table:
    """Return the listing of a session as rows of `tables.LISTED_CONTRACTS`."""
    listing = market.session.listing
    n = listing.strike.size
    columns = _at_open(market, source, n, event_us=market.session.open_us)
    columns |= contract_columns(market, np.arange(n))
    columns |= {name: listing.columns[name] for name in ("exercise", "settlement", "multiplier")}
    listed_us = (listing.listed_on - _FIRST_ORDINAL) * _DAY_US
    columns["listed_at"] = pa.array(listed_us).cast(INSTANT)
    return schema_table(tables.LISTED_CONTRACTS, columns, n)


def index_table(market: MarketDay, *, source: Source) -> pa.Table:
    """Return spot, minute by minute, as rows of `tables.INDEX_VALUES`."""
    # around the clock the close is the next session's first minute
    minutes = np.arange(market.session.path.minutes + (market.entry.calendar != "24/7"))
    at_us = market.session.open_us + minutes * _MINUTE_US
    columns = stamped(market, source, at_us, at_us + LATENCY_US)
    columns["kind"] = same_text("spot", minutes.size)
    columns["value"] = pa.array(market.session.path.spot[minutes])
    return schema_table(tables.INDEX_VALUES, columns, minutes.size)


def contract_columns(market: MarketDay, contract: Ints) -> dict[str, pa.Array]:
    """Return the columns that name contracts of the listing."""
    rows = pa.array(contract)
    return {name: market.session.listing.columns[name].take(rows) for name in _CONTRACT}


def stamped(market: MarketDay, source: Source, event_us: Ints, known_us: Ints) -> dict[str, Any]:
    """Return the columns that say what, when and from where."""
    n = event_us.size
    return {
        "underlying": same_text(market.entry.symbol, n),
        "session_date": pa.repeat(pa.scalar(market.day, pa.date32()), n),
        "event_at": pa.array(event_us).cast(INSTANT),
        "known_at": pa.array(known_us).cast(INSTANT),
        "provider": same_text(source.provider, n),
        "source_name": same_text(source.name, n),
    }


def _at_open(market: MarketDay, source: Source, n: int, *, event_us: int) -> dict[str, Any]:
    known_us = market.session.open_us + LATENCY_US
    return stamped(market, source, np.full(n, event_us), np.full(n, known_us))


def same_text(text: str, n: int) -> pa.Array:
    """Return a column of one text."""
    return pa.repeat(pa.scalar(text, pa.string()), n)


def code_words(codes: Ints) -> pa.Array:
    """Write codes below 1024 as text, 0 as blank."""
    return _CODE_WORDS.take(pa.array(codes))


def schema_table(table: Table, columns: Mapping[str, Any], n: int) -> pa.Table:
    """Assemble a table; nullable columns that are not given are null."""
    schema = table.schema
    filled = [columns.get(f.name, pa.nulls(n, f.type) if f.nullable else None) for f in schema]
    return pa.table(filled, schema=schema)

"""Changes of the best bid and offer of chosen contracts, between the snapshots' minutes.

Belongs here: when a quote changes and to what. Does not belong here: fair prices and spreads
(`quotes`).

At every whole minute the quote is the one its snapshot shows, the few that the snapshot holds back
or shows late aside. Inside some minutes it flickers, for up to some seconds: a size changes, a side
goes away (price and size 0), or bid and ask cross. A change of nothing is no row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.providers.simulator.listing import Floats, Ints
from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import Words, combine, stream_key
from dealer_assets.providers.simulator.prints import EXCHANGES, bits
from dealer_assets.providers.simulator.quotes import bid_ask, fair_values, quote_sizes
from dealer_assets.providers.simulator.tape_rows import (
    LATENCY_US,
    Source,
    code_words,
    contract_columns,
    schema_table,
    stamped,
)

_MINUTE_US = 60_000_000
_FLICKERS_OF_1024 = 200
_ONE_SIDED_OF_1024, _CROSSED_OF_1024 = 60, 20
_LONGEST_FLICKER_US = 5_000_000


@dataclass(frozen=True)
class _Quotes:
    """Quotes as arrays of shape (n,): prices in USD, sizes in contracts, codes of exchanges."""

    contract: Ints
    offset_us: Ints
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    bid_exchange: Ints
    ask_exchange: Ints


def quotes_table(market: MarketDay, index: Ints, *, source: Source) -> pa.Table:
    """Return the quote changes of chosen contracts as rows of `tables.OPTION_QUOTES`.

    Parameters
    ----------
    market : MarketDay
        The session.
    index : int64 array, shape (k,)
        Contracts, ascending.
    source : Source
        Where the rows come from.
    """
    base, word, is_change = _by_minute(market, index)
    flicker, back = _flickers(market, base, word)
    parts = [_take(base, is_change), flicker, back]
    names = _Quotes.__dataclass_fields__
    quotes = _Quotes(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
    rank = market.symbol_rank[quotes.contract]
    quotes = _take(quotes, np.lexsort((rank, quotes.offset_us)))
    event_us = market.session.open_us + quotes.offset_us
    n = event_us.size
    columns = stamped(market, source, event_us, event_us + LATENCY_US)
    columns |= contract_columns(market, quotes.contract)
    columns |= {
        "ordinal": pa.array(np.zeros(n, np.int32)),  # a contract changes once in an instant
        "bid": pa.array(quotes.bid),
        "ask": pa.array(quotes.ask),
        "bid_size_contracts": pa.array(quotes.bid_size),
        "ask_size_contracts": pa.array(quotes.ask_size),
        "bid_exchange": code_words(quotes.bid_exchange),
        "ask_exchange": code_words(quotes.ask_exchange),
        "sequence": pa.array(quotes.offset_us * 8),  # increasing in each contract, with gaps
    }
    return schema_table(tables.OPTION_QUOTES, columns, n)


def _take(quotes: _Quotes, rows: Ints) -> _Quotes:
    return _Quotes(**{name: values[rows] for name, values in vars(quotes).items()})


def _by_minute(market: MarketDay, index: Ints) -> tuple[_Quotes, Words, Ints]:
    """Quote every minute of every contract; also one random word each, and which are changes."""
    session = market.session
    is_coin = market.entry.calendar == "24/7"
    minutes = session.path.minutes + (0 if is_coin else 16)
    contract = np.repeat(index, minutes)
    minute = np.tile(np.arange(minutes), index.size)
    ends = (session.listing.expires_us - session.open_us) // _MINUTE_US
    minute = np.minimum(minute, ends[session.listing.slice_id[contract]])
    held = market.flow.open_interest[contract]
    fair = fair_values(session, contract, minute=minute)
    bid, ask = bid_ask(session, contract, minute=minute, fair=fair, open_interest=held)
    bid_size, ask_size = quote_sizes(session, contract, minute=minute, open_interest=held)
    key = np.uint64(stream_key(session.seed, "quotes", session.symbol))
    ids = session.listing.contract_id[contract] ^ key
    word = combine(ids, minute + session.open_us // _MINUTE_US)
    codes = np.zeros_like(EXCHANGES) if is_coin else EXCHANGES
    quotes = _Quotes(
        contract=contract,
        offset_us=minute * _MINUTE_US,
        bid=bid,
        ask=ask,
        bid_size=np.where(bid > 0.0, bid_size, 0.0),
        ask_size=ask_size,
        bid_exchange=np.where(bid > 0.0, codes[bits(word, 0, 4)], 0),
        ask_exchange=codes[bits(word, 4, 4)],
    )
    same = np.concatenate([[False], np.diff(contract) == 0])[: contract.size]
    for values in (quotes.bid, quotes.ask, quotes.bid_size, quotes.ask_size):
        same[1:] &= values[1:] == values[:-1]
    # once expired, a contract's minute stands still, and so does its quote
    return quotes, word, np.flatnonzero(~same)


def _flickers(market: MarketDay, base: _Quotes, word: Words) -> tuple[_Quotes, _Quotes]:
    """Return the quotes that differ inside a minute, and those that come back after them."""
    is_first = np.concatenate([[True], np.diff(base.offset_us) != 0])[: base.bid.size]
    has_bid = (base.bid > 0.0) | (bits(word, 58, 1) == 0)
    rows = np.flatnonzero((bits(word, 8, 10) < _FLICKERS_OF_1024) & is_first & has_bid)
    back, word = _take(base, rows), word[rows]
    begins = 1_000_000 + ((bits(word, 18, 20) * 50_000_000) >> 20)
    lasts = 20_000 + ((bits(word, 38, 10) * _LONGEST_FLICKER_US) >> 10)
    if market.entry.calendar == "24/7":
        begins, lasts = begins // 1000 * 1000, lasts // 1000 * 1000
    kind, is_bid = bits(word, 48, 10), bits(word, 58, 1) == 1
    one_sided = kind < _ONE_SIDED_OF_1024
    crossed = ~one_sided & (kind < _ONE_SIDED_OF_1024 + _CROSSED_OF_1024) & (back.bid > 0.0)
    no_bid, no_ask = one_sided & is_bid, one_sided & ~is_bid & (back.bid > 0.0)
    more = 1.0 + bits(word, 59, 5)
    flicker = _Quotes(
        contract=back.contract,
        offset_us=back.offset_us + begins,
        bid=np.where(no_bid, 0.0, np.where(crossed, back.ask, back.bid)),
        ask=np.where(no_ask, 0.0, np.where(crossed, back.bid, back.ask)),
        bid_size=np.where(no_bid, 0.0, back.bid_size + more * is_bid),
        ask_size=np.where(no_ask, 0.0, back.ask_size + more * ~is_bid),
        bid_exchange=np.where(no_bid, 0, back.bid_exchange),
        ask_exchange=np.where(no_ask, 0, back.ask_exchange),
    )
    return flicker, replace(back, offset_us=back.offset_us + begins + lasts)

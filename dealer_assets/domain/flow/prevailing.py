"""The tape of a session put in order, with the quote and the spot that stood at every print.

Belongs here: contracts numbered, prints in order, the last quote and spot at or before each, and
deltas that the tape itself tells. Does not belong here: sides (`classify`), what a chain shows at
an instant (`dealer_assets.domain.tape`).

Nothing looks ahead: of a print's own instant counts what the venue told no later than that instant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats, Ints, equals, floats, integers
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.flow.conditions import COMPARABLE, WORDS, bits_of_text, classes_of
from dealer_assets.tables.base import CONTRACT, RIGHTS
from dealer_assets.tables.live import TRADE_CLASSES

_DOLLARS = ("USD", "USDC")
_TOLD = (
    *("event_at", "price", "price_currency", "underlying_price", "size_contracts"),
    *("conditions", "exchange", "taker_side", "block_id", "combo_id"),
)
_CONTRACT = [column.name for column in CONTRACT]


@dataclass(frozen=True)
class Tape:
    """Prints of a session in order of the venue's time; arrays of shape (n,).

    Parameters
    ----------
    contracts : pyarrow.Table, shape (m,)
        Columns of ``tables.base.CONTRACT``, each contract that printed once.
    row : int64 array
        Row of the trades table that each print came from.
    contract : int64 array
        Row of `contracts`.
    event_us : int64 array
        Microseconds since 1970.
    price, size : float64 array
        USD per unit of the underlying, NaN where coin cannot be turned into it; contracts.
    bits : int64 array
        Conditions, see `conditions`.
    taker : int8 array
        1: the buyer was the aggressor; -1: the seller; 0: not told.
    exchange : int16 array
        Codes of this tape alone; equal where the venue's are.
    """

    contracts: pa.Table
    row: Ints
    contract: Ints
    event_us: Ints
    price: Floats
    size: Floats
    bits: Ints
    taker: Ints
    exchange: Ints

    def __len__(self) -> int:
        return self.row.size


@dataclass(frozen=True)
class Prevailing:
    """What stood at each print; arrays of shape (n,), NaN where nothing did.

    Parameters
    ----------
    bid, ask, bid_size, ask_size : float64 array
        Last quote at or before it [USD, contracts]; 0 where that side is missing.
    quote_us : int64 array
        When it was told, microseconds since 1970; -1 where there was none, or too long ago.
    spot : float64 array
        Last value of the underlying at or before it [USD], not older than a spot may be.
    """

    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    quote_us: Ints
    spot: Floats

    @property
    def mid(self) -> Floats:
        """Midpoint of the quotes with two sides that do not cross [USD]; else NaN."""
        usable = (self.bid > 0.0) & (self.ask >= self.bid)
        return np.where(usable, 0.5 * (self.bid + self.ask), np.nan)

    @property
    def half_spread(self) -> Floats:
        """Half of ask minus bid [USD] of the same quotes; else NaN."""
        return np.where(np.isfinite(self.mid), 0.5 * (self.ask - self.bid), np.nan)


def tape_of(trades: pa.Table) -> Tape:
    """Put the trades of a session in order.

    Parameters
    ----------
    trades : pyarrow.Table, shape (n,)
        `tables.OPTION_TRADES` of one underlying and session, each print once, in any order. Prices
        in coin become USD by the index printed with them.

    Returns
    -------
    Tape
        Contracts in order of first appearance.
    """
    order = np.lexsort((integers(trades, "ordinal"), integers(trades, "event_at"))).astype(np.int64)
    rows = trades.select([*_CONTRACT, *_TOLD]).take(pa.array(order))
    coded = rows["symbol"].combine_chunks().dictionary_encode()
    contract = np.array(coded.indices.to_numpy(), np.int64)
    first = np.unique(contract, return_index=True)[1]
    dollars = pc.is_in(rows["price_currency"], value_set=pa.array(_DOLLARS))
    factor = np.where(np.array(dollars.to_numpy()), 1.0, floats(rows, "underlying_price"))
    bits = bits_of_text(rows["conditions"]) if order.size else np.empty(0, np.int64)
    for column, word in (("block_id", "block"), ("combo_id", "combo")):
        told = np.array(pc.is_valid(rows[column]).to_numpy())
        bits |= np.where(told, np.int64(1) << WORDS[word], 0)
    side = rows["taker_side"]
    bought, sold = (pc.fill_null(pc.equal(side, word), False) for word in ("buy", "sell"))
    return Tape(
        contracts=rows.select(_CONTRACT).take(pa.array(first)),
        row=order,
        contract=contract,
        event_us=integers(rows, "event_at"),
        price=floats(rows, "price") * factor,
        size=floats(rows, "size_contracts"),
        bits=bits,
        taker=np.array(bought.to_numpy(), np.int64) - np.array(sold.to_numpy(), np.int64),
        exchange=_codes(rows["exchange"]),
    )


def prevailing(
    tape: Tape,
    quotes: pa.Table,
    values: pa.Table,
    *,
    quote_stands_us: int,
    spot_fresh_us: Ints,
) -> Prevailing:
    """Find the quote and the spot that stood at every print.

    A published tape tells a quote only when it changes, so an old one still stands; a spot is told
    all the time, so an old one is none.

    Parameters
    ----------
    tape : Tape
        Prints.
    quotes : pyarrow.Table
        `tables.OPTION_QUOTES`, in any order; may be empty.
    values : pyarrow.Table
        `tables.INDEX_VALUES`, of which the kind ``spot`` counts; may be empty.
    quote_stands_us : int
        How long a quote stands that nothing follows: a longer silence is a hole in the record.
    spot_fresh_us : int64 array, shape (m,)
        Oldest spot that is believed, by contract.

    Returns
    -------
    Prevailing
    """
    known = pc.index_in(quotes["symbol"], value_set=tape.contracts["symbol"].combine_chunks())
    place = np.array(pc.fill_null(known, -1).to_numpy(), np.int64)
    event, ordinal = integers(quotes, "event_at"), integers(quotes, "ordinal")
    order = np.lexsort((ordinal, event, place))
    order = order[place[order] >= 0]
    at = _last_before(place[order], event[order], tape.contract, tape.event_us)
    found = at >= 0
    if order.size:
        found &= tape.event_us - event[order][at] <= quote_stands_us
    rows = order[at[found]]

    def told(name: str) -> Floats:
        taken = np.full(len(tape), np.nan)
        taken[found] = floats(quotes, name)[rows]
        return taken

    quote_us = np.full(len(tape), -1, np.int64)
    quote_us[found] = event[rows]
    return Prevailing(
        bid=told("bid"),
        ask=told("ask"),
        bid_size=told("bid_size_contracts"),
        ask_size=told("ask_size_contracts"),
        quote_us=quote_us,
        spot=_spot_at(tape, values, spot_fresh_us[tape.contract]),
    )


def spots_of(values: pa.Table) -> tuple[Ints, Floats]:
    """Instants, ascending [microseconds since 1970], and values [USD] of the kind ``spot``."""
    rows = values.filter(pc.equal(values["kind"], "spot"))
    at_us, value = integers(rows, "event_at"), floats(rows, "value")
    order = np.argsort(at_us, kind="stable")
    return at_us[order], value[order]


def deltas_of(tape: Tape, stood: Prevailing) -> Floats:
    """Delta of the contract at every print, from what it was quoted or printed at.

    The vol is implied by the midpoint that stood, or by the price itself where none did and the
    print is one of the order book; forward and spot are taken to be equal and rates to be zero.
    That is coarse for a price and good enough to carry a price over a few minutes of spot.

    Parameters
    ----------
    tape : Tape
        Prints.
    stood : Prevailing
        What stood at them.

    Returns
    -------
    float64 array, shape (n,)
        Change of the price per 1.0 of spot; NaN without spot, price or any vol.
    """
    from dealer_assets.domain.pricing.black import black_greeks  # lazily: numba is slow to load
    from dealer_assets.domain.pricing.implied_vol import implied_vol

    names = np.array([name in COMPARABLE for name in TRADE_CLASSES])
    own = np.where(names[classes_of(tape.bits)] & (tape.price > 0.0), tape.price, np.nan)
    price = np.where(np.isfinite(stood.mid), stood.mid, own)
    strike = floats(tape.contracts, "strike")[tape.contract]
    is_call = equals(tape.contracts, "right", RIGHTS[0])[tape.contract]
    left_us = integers(tape.contracts, "expires_at")[tape.contract] - tape.event_us
    years = np.maximum(left_us, 0) / 1e6 / SECONDS_PER_YEAR
    delta = np.full(len(tape), np.nan)
    use = np.isfinite(price) & np.isfinite(stood.spot) & (years > 0.0)
    spot, strike, years, is_call = stood.spot[use], strike[use], years[use], is_call[use]
    one = np.ones(spot.size)
    vol, _ = implied_vol(price[use], spot, K=strike, T=years, D=one, is_call=is_call)
    greeks = black_greeks(spot, strike, S=spot, T=years, sigma=vol, D=one, is_call=is_call)
    delta[use] = greeks.delta
    return delta


def _codes(column: pa.ChunkedArray) -> Ints:
    return np.array(column.combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)


def _spot_at(tape: Tape, values: pa.Table, fresh_us: Ints) -> Floats:
    at_us, value = spots_of(values)
    spot = np.full(len(tape), np.nan)
    if at_us.size:
        last = np.searchsorted(at_us, tape.event_us, side="right") - 1
        fresh = (last >= 0) & (tape.event_us - at_us[last] <= fresh_us)
        spot[fresh] = value[last[fresh]]
    return spot


def _last_before(place: Ints, event_us: Ints, of: Ints, at_us: Ints) -> Ints:
    """Find the last row of each print's place at or before its instant, -1 where there is none.

    `place` and `event_us` are sorted by both; shape (n,) like `of` and `at_us`.
    """
    if not place.size or not of.size:
        return np.full(of.size, -1, np.int64)
    first = min(int(event_us.min()), int(at_us.min()))
    span = max(int(event_us.max()), int(at_us.max())) - first + 1
    key, wanted = place * span + (event_us - first), of * span + (at_us - first)
    last = np.searchsorted(key, wanted, side="right") - 1
    is_own = (last >= 0) & (place[np.maximum(last, 0)] == of)
    return np.where(is_own, last, -1).astype(np.int64)

"""The prints of a simulated session: who traded what, when, at which price.

Belongs here: prints as arrays. Does not belong here: rows of tables (`tape_rows`), quotes between
snapshots (`tape_quotes`), or what a vendor calls things.

Volume. In every minute the sizes of a contract's prints that count add up to the difference of
`volume_contracts` between the snapshots at its two ends. Cancelled prints and their cancels come on
top and count for nothing, so sums hold net of cancels. A cancel (conditions 201, 203, 205, 207)
repeats price, size and exchange of exactly one earlier print of its contract.

Prices. The last print of a minute is the `last_price` of the next snapshot, and its second the
`last_trade_at`. Prints are on the tick grid from bid to ask of their minute, most at one of them;
other legs of packages are now and then a tick outside.

Sides. `is_buy` is the customer's side, and the truth: sizes of the prints of a contract that count,
bought less sold, are exactly `truth.customer_net` of the session. What a print shows of its side is
noisy (`dealing`): the price is on the customer's side of the midpoint in some 65 to 70 % of the
volume of indices, 72 to 78 % of shares and funds, nearly all of coins (whose tape tells the taker
besides). Why not all: customers' own limit orders are hit, quotes have moved before the print is
out, auctions improve prices, prints lie at the midpoint. A print that takes a displayed size whole
is mostly such a limit order, so that its customer is on the other side. Depth tells nothing here.

A US contract's prints depend on nothing but the contract and the session, so a few contracts are
answered without the rest. Deribit numbers and pairs its trades across contracts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np

from dealer_assets.providers.simulator.dealing import (
    RESTING,
    deals,
    is_above,
    last_words,
    log_odds,
    noise_of,
)
from dealer_assets.providers.simulator.listing import Bools, Floats, Ints
from dealer_assets.providers.simulator.market_day import MarketDay, market_day
from dealer_assets.providers.simulator.noise import Words, combine, stream_key
from dealer_assets.providers.simulator.prints import (
    EXCHANGES,
    MULTI_LEG,
    Prints,
    bits,
    in_order,
    joined,
)
from dealer_assets.providers.simulator.quotes import bid_ask, fair_values, quote_sizes
from dealer_assets.providers.simulator.tape_blocks import with_blocks
from dealer_assets.providers.simulator.tape_cancels import with_cancels
from dealer_assets.providers.simulator.tape_sides import sides_of, with_sides

# of 1024 prints: automatic, sweeps, auctions, crosses, floor; legs; late ones
_CONDITION_COUNTS = {
    209: 570,
    219: 90,
    227: 120,
    228: 12,
    229: 10,
    231: 10,
    232: 120,
    233: 20,
    234: 12,
    235: 10,
    236: 10,
    238: 8,
    240: 6,
    241: 6,
    244: 4,
    246: 3,
    247: 3,
    202: 5,
    204: 5,
}
_CONDITIONS = np.repeat([*_CONDITION_COUNTS], [*_CONDITION_COUNTS.values()]).astype(np.int64)

_LOTS = np.array([1, 1, 1, 2, 2, 3, 5, 5, 10, 10, 20, 25, 50, 50, 100, 200], np.int64)
_MOST_PRINTS = 4
"""Of one contract in one minute, cancelled ones apart."""

_CANCELLED_OF_16384 = 12
_RESTING_OF_1024 = 800
_MINUTE_US = 60_000_000


@lru_cache(maxsize=3)
def session_prints(seed: int, symbol: str, *, day: date, density: float) -> Prints:
    """Return all prints of a session; arguments as `market_day` takes them."""
    found = market_day(seed, symbol, day=day, density=density)
    return contract_prints(found, np.arange(found.session.listing.strike.size))


@dataclass(frozen=True)
class _Cells:
    """Contract-minutes with volume, by contract, then minute; arrays of shape (c,)."""

    contract: Ints
    minute: Ints
    units: Ints
    last_us: Ints
    bid: Floats
    ask: Floats
    fair: Floats
    vega: Floats
    vol: Floats
    forward: Floats
    buy_share: Floats
    last_word: Words
    word: Words


def contract_prints(market: MarketDay, index: Ints) -> Prints:
    """Return the prints of chosen contracts of a session.

    Parameters
    ----------
    market : MarketDay
        The session.
    index : int64 array, shape (k,)
        Contracts, ascending; all of them where trades are numbered across contracts.

    Returns
    -------
    Prints
    """
    cells = _cells(market, index)
    made = joined(_counting(market, cells))
    if not _is_coin(market):
        made = joined([made, *with_cancels(market, _mistaken(market, cells), counting=made)])
    else:
        made = with_blocks(market, made)
    return in_order(made, symbol_rank=market.symbol_rank)


def _is_coin(market: MarketDay) -> bool:
    return market.entry.calendar == "24/7"


def _cells(market: MarketDay, index: Ints) -> _Cells:
    session, flow = market.session, market.flow
    active = index[flow.volume[index] > 0.0]
    volume = market.volume_at(active, np.arange(session.path.minutes + 1))
    traded = np.diff(volume, axis=1)
    row, minute = np.nonzero(traded)
    contract = active[row]
    when = market.minute_of(contract, volume[row, minute + 1])
    second = np.clip((when * 60.0).astype(np.int64), minute * 60, minute * 60 + 59)
    fair = fair_values(session, contract, minute=minute)
    bid, ask = bid_ask(
        session, contract, minute=minute, fair=fair, open_interest=flow.open_interest[contract]
    )
    key = np.uint64(stream_key(session.seed, "prints", session.symbol))
    ids = session.listing.contract_id[contract] ^ key
    return _Cells(
        contract=contract,
        minute=minute,
        units=traded[row, minute].astype(np.int64) * (10 if _is_coin(market) else 1),
        last_us=second * 1_000_000,
        bid=bid,
        ask=ask,
        fair=fair.price,
        vega=fair.vega,
        vol=fair.vol,
        forward=fair.forward,
        buy_share=flow.buy_share[contract],
        last_word=last_words(session, contract, minute=minute),
        word=combine(ids, minute + session.open_us // _MINUTE_US),
    )


def _counting(market: MarketDay, cells: _Cells) -> tuple[Prints, Prints]:
    """Split every cell's volume into prints; the second are parts of some of the first."""
    draw = bits(cells.word, 0, 10)
    prints = 1 + (draw < 300) + (draw < 120) + (draw < 40)
    prints = np.minimum(prints, np.minimum(cells.units, _MOST_PRINTS))
    is_sweep = (prints > 1) & (cells.units % prints == 0) & (bits(cells.word, 10, 10) < 256)
    cell = np.repeat(np.arange(prints.size), prints)
    first = np.cumsum(prints) - prints
    place = np.arange(cell.size) - first[cell]
    sizes = cells.units[cell]
    split = np.flatnonzero(prints > 1)
    resting = _resting(market, cells, split[~is_sweep[split]], prints=prints)
    left = cells.units[split].copy()
    for j in range(_MOST_PRINTS):
        still = prints[split] > j
        rows = split[still]
        to_come = prints[rows] - 1 - j
        lots = _LOTS[bits(combine(cells.word[rows], 32 + j), 0, 4)]
        one = np.where(to_come == 0, left[still], np.minimum(lots, left[still] - to_come))
        one = np.where(is_sweep[rows], cells.units[rows] // prints[rows], one)
        one = np.where((j == 0) & (resting[rows] > 0), resting[rows], one)
        sizes[first[rows] + j] = one
        left[still] -= one
    sweep = is_sweep[cell]
    word = combine(cells.word[cell], np.where(sweep, 0, place))
    is_last = sweep | (place == prints[cell] - 1)
    is_resting = (place == 0) & (resting[cell] > 0)
    made, odds = _prints(
        market, cells, cell=cell, units=sizes, word=word, is_last=is_last, is_resting=is_resting
    )
    return with_sides(market, made, units=sizes, odds=odds, word=word, place=place)


def _resting(market: MarketDay, cells: _Cells, rows: Ints, *, prints: Ints) -> Ints:
    """Return the displayed size that some cells' first print takes whole; 0 for other cells."""
    found = np.zeros(cells.units.size, np.int64)
    if _is_coin(market):
        return found
    rows = rows[(bits(cells.word[rows], 20, 10) < _RESTING_OF_1024) & (cells.bid[rows] > 0.0)]
    room = cells.units[rows] - (prints[rows] - 1)
    rows, room = rows[room > 1], room[room > 1]
    contract = cells.contract[rows]
    bid_size, ask_size = quote_sizes(
        market.session,
        contract,
        minute=cells.minute[rows],
        open_interest=market.flow.open_interest[contract],
    )
    agrees = noise_of(market.entry.kind).agrees[RESTING]
    is_up = is_above(combine(cells.word[rows], 0), cells.buy_share[rows], agrees)
    size = np.where(is_up, ask_size, bid_size)
    fits = (np.maximum(bid_size, ask_size) <= room) & (bid_size != ask_size)
    found[rows[fits]] = size[fits].astype(np.int64)
    return found


def _mistaken(market: MarketDay, cells: _Cells) -> Prints:
    """Make prints, on top of the volume, that are about to be cancelled."""
    cell = np.flatnonzero(bits(cells.word, 30, 14) < _CANCELLED_OF_16384)
    word = combine(cells.word[cell], _MOST_PRINTS)
    units = 11 + bits(word, 54, 10) % 89
    no = np.zeros(cell.size, np.bool_)
    made, odds = _prints(
        market, cells, cell=cell, units=units, word=word, is_last=no, is_resting=no
    )
    return replace(made, counts=no, is_buy=sides_of(word, odds))


def _prints(
    market: MarketDay,
    cells: _Cells,
    *,
    cell: Ints,
    units: Ints,
    word: Words,
    is_last: Bools,
    is_resting: Bools,
) -> tuple[Prints, Floats]:
    """Give time, price and codes to prints of cells, drawn from one word each.

    Also returns the log odds that each was bought; sides are still to come.
    """
    session, is_coin = market.session, _is_coin(market)
    fraction = bits(word, 14, 20)
    start = cells.minute[cell] * _MINUTE_US
    last = cells.last_us[cell]
    offset = np.where(
        is_last, last + ((fraction * 1_000_000) >> 20), start + (((last - start) * fraction) >> 20)
    )
    if is_coin:
        offset = offset // 1000 * 1000
    condition = _CONDITIONS[bits(word, 4, 10)]
    forward = cells.forward[cell]
    noise = noise_of(market.entry.kind)
    made = deals(
        np.where(is_last, cells.last_word[cell], word),
        bid=cells.bid[cell],
        ask=cells.ask[cell],
        tick=session.profile.tick.small * (forward if is_coin else 1.0),
        buy_share=cells.buy_share[cell],
        noise=noise,
        is_resting=is_resting,
        is_leg=(condition >= MULTI_LEG) & ~(is_last | is_resting | is_coin),
    )
    price = made.price
    coin: Floats = np.asarray(np.round(price / forward, 4) if is_coin else np.round(price, 2))
    usd: Floats = np.asarray(np.round(coin * forward, 4) if is_coin else coin)
    n = cell.size
    prints = Prints(
        contract=cells.contract[cell],
        event_us=session.open_us + offset,
        ordinal=np.zeros(n, np.int64),
        size=units / 10.0 if is_coin else units.astype(np.float64),
        price=coin,
        price_usd=usd,
        condition=np.zeros(n, np.int64) if is_coin else condition,
        exchange=np.zeros(n, np.int64) if is_coin else EXCHANGES[bits(word, 0, 4)],
        counts=np.ones(n, np.bool_),
        is_buy=made.is_up,
        minute=cells.minute[cell],
        vol=_vols(cells, cell, usd) if is_coin else np.zeros(n),
        is_last=is_last,
        block=np.zeros(n, np.int64),
    )
    return prints, log_odds(made, noise)


def _vols(cells: _Cells, cell: Ints, price_usd: Floats) -> Floats:
    """Return the vols of prices, to first order in their distance from fair."""
    points = (price_usd - cells.fair[cell]) / np.maximum(cells.vega[cell], 1e-6)
    vol = cells.vol[cell] + np.clip(points / 100.0, -0.3, 0.3)
    return np.asarray(np.round(np.maximum(vol, 0.01), 4))

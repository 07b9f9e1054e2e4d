"""Deribit's items as arrays of events: units, what is believed, what is told apart.

Belongs here: the meaning of fields. Does not belong here: bytes (`decode`), or shapes
(`messages`).

=====================  =====================  ======================================================
item                   becomes                in USD by
=====================  =====================  ======================================================
ticker, summary row    QUOTE, MARK,           ``underlying_price`` of the same message, the forward
                       OPEN_INTEREST          of the option's own expiry, as chains are read
trade                  TRADE                  ``index_price`` printed with it, as the tape is read
mark                   MARK                   nothing: it comes without a forward, so only its vol
                                              is known, and of inverse options no price
price index            SPOT                   it is in USD
=====================  =====================  ======================================================

That is of inverse options; linear ones are in USDC, which counts as USD. Amounts of both are in
coin: contracts are amounts over the listing's multiplier. Open interest is live, not settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.providers.csv_fields import LARGEST_NUMBER
from streaming.core.events import (
    BLOCK,
    COMBO,
    LIQUIDATION,
    MARK,
    OPEN_INTEREST,
    QUOTE,
    SPOT,
    TRADE,
    Events,
    concatenated,
    no_events,
)
from streaming.feeds.deribit.messages import Mark, Ticker, Trade, number_of
from streaming.feeds.index_check import SOURCES

Item = TypeVar("Item")
Refuse = Callable[[str, Sequence[int]], None]
"""Takes a reason and the places, in the frames, of the messages it holds for."""

LATEST_MS = 1e14
_PER_CENT = 100.0
_SIDES = {"buy": 1, "sell": -1}


@dataclass(slots=True)
class Items(Generic[Item]):
    """Items of one kind in order of arrival.

    Parameters
    ----------
    items : list
        As read.
    rows : list of int
        Row of the listing, or lane.
    frames : list of int
        Place of the frame each came in.
    orders : list of int
        Place among all items of the batch.
    """

    items: list[Item] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    _columns: dict[str, Floats] = field(default_factory=dict)
    _places: dict[str, Ints] = field(default_factory=dict)

    def add(self, item: Item, row: int, frame: int, order: int) -> None:
        """Append one."""
        self.items.append(item)
        self.rows.append(row)
        self.frames.append(frame)
        self.orders.append(order)

    def column(self, name: str) -> Floats:
        """Return a number of all items; NaN where null."""
        if name not in self._columns:
            values = list(map(attrgetter(name), self.items))
            self._columns[name] = np.array(values, np.float64)
        return self._columns[name]

    def places(self, name: str) -> Ints:
        """Return `rows`, `frames` or `orders` as an array."""
        if name not in self._places:
            self._places[name] = np.array(getattr(self, name), np.int64)
        return self._places[name]


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of an underlying."""

    timestamp: float
    price: float | None
    source: str


@dataclass(slots=True)
class Batch:
    """All items of some frames.

    Parameters
    ----------
    received : int64 array
        Microseconds since 1970 of each frame.
    is_inverse : bool array
        Of each contract of the listing: its prices are in coin.
    multiplier : float64 array
        Of each contract of the listing.
    refuse : callable
        Counts what is not believed.
    """

    received: Ints
    is_inverse: Bools
    multiplier: Floats
    refuse: Refuse
    tickers: Items[Ticker] = field(default_factory=Items)
    trades: Items[Trade] = field(default_factory=Items)
    marks: Items[Mark] = field(default_factory=Items)
    spots: Items[Spot] = field(default_factory=Items)

    def events(self) -> Events:
        """Return the events of all items in order of arrival."""
        parts = [
            *(_tickers(self) if self.tickers.items else ()),
            *(_trades(self) if self.trades.items else ()),
            *(_marks(self) if self.marks.items else ()),
            *(_spots(self) if self.spots.items else ()),
        ]
        if not parts:
            return no_events()
        found = concatenated([events for _, events in parts])
        if len(parts) == 1:
            return found
        return found.take(np.argsort(np.concatenate([keys for keys, _ in parts]), kind="stable"))


Part = tuple[Ints, Events]
"""Keys that put the events of all parts in order, and the events."""


def _part(
    batch: Batch, items: Items[Any], kind: int, where: Bools, **columns: NDArray[Any]
) -> Part:
    """Make events of one kind of the items chosen; columns are of all items."""
    chosen = np.flatnonzero(where)
    events = no_events(chosen.size)
    events.kind[:] = kind
    events.contract[:] = items.places("rows")[chosen]
    events.received_us[:] = batch.received[items.places("frames")[chosen]]
    events.event_us[:] = items.column("timestamp")[chosen] * 1000.0
    for name, values in columns.items():
        getattr(events, name)[:] = values[chosen]
    return items.places("orders")[chosen] * 8 + kind, events


def _sound(batch: Batch, items: Items[Any], **numbers: Sequence[Floats]) -> Bools:
    """Tell which items are possible: an instant, and numbers neither negative nor absurd.

    NaN, a number that is not told, is possible.
    """
    stamp = items.column("timestamp")
    bad: dict[str, Bools] = {"bad_instant": ~((stamp > 0) & (stamp < LATEST_MS))}
    for name, columns in numbers.items():
        bad[f"negative_{name}"] = np.any([column < 0 for column in columns], axis=0)
    every = [column for columns in numbers.values() for column in columns]
    bad["bad_number"] = np.any([column > LARGEST_NUMBER for column in every], axis=0)
    sound = np.ones(stamp.size, np.bool_)
    for reason, where in bad.items():
        _refused(batch, items, reason, sound & where)
        sound &= ~where
    return sound


def _refused(batch: Batch, items: Items[Any], reason: str, where: Bools) -> None:
    if where.any():
        batch.refuse(reason, [items.frames[i] for i in np.flatnonzero(where).tolist()])


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _tickers(batch: Batch) -> list[Part]:
    items = batch.tickers
    rows = items.places("rows")
    bid, ask = items.column("best_bid_price"), items.column("best_ask_price")
    mark, interest = items.column("mark_price"), items.column("open_interest")
    forward = _positive(items.column("underlying_price"))
    sizes = [
        items.column(name) / batch.multiplier[rows]
        for name in ("best_bid_amount", "best_ask_amount")
    ]
    good = _sound(batch, items, price=(bid, ask, mark), size=sizes, open_interest=(interest,))
    inverse = batch.is_inverse[rows]
    unit = np.where(inverse, forward, 1.0)
    priced = good & np.isfinite(unit)
    _refused(batch, items, "no_underlying_price", good & ~priced)
    quotes = []
    for price, size in zip((bid, ask), sizes, strict=True):
        has_order = (price > 0) & ~(size == 0)  # an amount that is not told may be any
        quotes.append((np.where(has_order, price * unit, 0.0), np.where(has_order, size, 0.0)))
    (bid_usd, bid_size), (ask_usd, ask_size) = quotes
    vol = _positive(items.column("mark_iv")) / _PER_CENT
    value = _positive(mark) * unit
    return [
        _part(batch, items, QUOTE, priced, a=bid_usd, b=ask_usd, size_a=bid_size, size_b=ask_size),
        _part(batch, items, MARK, good & ~(np.isnan(value) & np.isnan(vol)), a=value, b=vol),
        _part(
            batch,
            items,
            OPEN_INTEREST,
            good & ~np.isnan(interest),
            a=interest / batch.multiplier[rows],
        ),
    ]


def _trades(batch: Batch) -> list[Part]:
    items, trades = batch.trades, batch.trades.items
    rows = items.places("rows")
    price, index = items.column("price"), _positive(items.column("index_price"))
    size = items.column("amount") / batch.multiplier[rows]
    sequence = items.column("trade_seq")
    unit = np.where(batch.is_inverse[rows], index, 1.0)
    good = _sound(batch, items, price=(price,), size=(size,))
    _refused(batch, items, "no_index_price", good & np.isnan(unit))
    good &= ~np.isnan(unit)
    # the side of a block is agreed between its parties; only a request for quotes has a taker
    agreed = [t.block_trade_id is not None and t.block_rfq_id is None for t in trades]
    taker = [_SIDES.get(t.direction or "", 0) for t in trades]
    conditions = [
        (BLOCK if t.block_trade_id is not None else 0)
        | (COMBO if t.combo_id else 0)
        | (LIQUIDATION if t.liquidation else 0)
        for t in trades
    ]
    return [
        _part(
            batch,
            items,
            TRADE,
            good,
            a=price * unit,
            size_a=size,
            size_b=index,
            sequence=np.where((sequence >= 0) & (sequence < LARGEST_NUMBER), sequence, -1.0),
            number=np.array([number_of(t.trade_id) for t in trades], np.int64),
            conditions=np.array(conditions, np.int64),
            taker=np.where(agreed, 0, np.array(taker, np.int8)),
        )
    ]


def _marks(batch: Batch) -> list[Part]:
    items = batch.marks
    price, vol = _positive(items.column("mark_price")), _positive(items.column("iv"))
    price = np.where(batch.is_inverse[items.places("rows")], np.nan, price)
    told = {"price": (items.column("mark_price"),), "vol": (items.column("iv"),)}
    good = _sound(batch, items, **told)
    return [_part(batch, items, MARK, good & ~(np.isnan(price) & np.isnan(vol)), a=price, b=vol)]


def _spots(batch: Batch) -> list[Part]:
    items = batch.spots
    price = items.column("price")
    good = _sound(batch, items, price=(price,)) & (price > 0)
    source = np.array([SOURCES.index(spot.source) for spot in items.items], np.int16)
    return [_part(batch, items, SPOT, good, a=price, exchange=source)]

"""What a session's tape shows at an instant: the last quote, the last print, the volume so far.

Belongs here: quotes, trades and bars as arrays, and their state at or before an instant. Does not
belong here: chains made of it (`reconstruct`), who was the dealer in a trade.

Everything here looks back only: what happens after an instant, cancels of earlier prints included,
changes nothing at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.cancels import cancels_of, match_cancels
from dealer_assets.domain.columns import Floats, Ints, floats, integers

_ALWAYS, _NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_BAR_US = 60_000_000
_TRADE_COLUMNS = [
    "symbol",
    "price",
    "size_contracts",
    "conditions",
    "exchange",
    "price_currency",
    "underlying_price",
    "known_at",
]
_DECIMALS = 9
"""Sums of tenths of a contract are rounded to as many."""

_DOLLARS = ("USD", "USDC")


@dataclass(frozen=True)
class LastQuotes:
    """The last quote of each contract; arrays of shape (n,), NaN where it had none.

    Parameters
    ----------
    bid, ask, bid_size, ask_size : float64 array
        USD and contracts.
    event_us : int64 array
        Microseconds since 1970 of the quote; -1 where there was none.
    known_us : int
        When the latest of them could be known; -1 without any.
    unlisted : int
        Quotes so far of other contracts.
    """

    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    event_us: Ints
    known_us: int
    unlisted: int


@dataclass(frozen=True)
class LastPrints:
    """Volume and last print of each contract; arrays of shape (n,).

    Parameters
    ----------
    volume : float64 array
        Contracts since the open, net of cancelled ones.
    price : float64 array
        USD; NaN where nothing printed.
    event_us : int64 array
        Microseconds since 1970 of the last print; -1 where nothing printed.
    known_us : int
        When the latest of all prints so far could be known; -1 without any.
    unmatched : int
        Cancels so far that take back no print of the tape.
    unlisted : int
        Prints so far of other contracts.
    """

    volume: Floats
    price: Floats
    event_us: Ints
    known_us: int
    unmatched: int
    unlisted: int


def places(rows: pa.Table, symbols: pa.Array) -> Ints:
    """Return each row's place in a list of symbols, -1 where it is not in it, shape (r,)."""
    found = pc.index_in(rows["symbol"].combine_chunks(), value_set=symbols)
    return np.array(pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.int64)


class Quotes:
    """Quotes of a session.

    Parameters
    ----------
    rows : pyarrow.Table, shape (r,)
        `tables.OPTION_QUOTES` schema, in any order.
    symbols : pyarrow.StringArray, length n
        The contracts, in the order of the answers; quotes of others are left out.
    """

    def __init__(self, rows: pa.Table, symbols: pa.Array) -> None:
        self._count = len(symbols)
        place, event = places(rows, symbols), integers(rows, "event_at")
        order = _in_order(event, integers(rows, "ordinal"))
        order = order[place[order] >= 0]
        self._place, self._event = place[order], event[order]
        self._known = integers(rows, "known_at")[order]
        names = ("bid", "ask", "bid_size_contracts", "ask_size_contracts")
        self._values = [floats(rows, name)[order] for name in names]
        self._unlisted = np.sort(event[place < 0])

    def at(self, instant_us: int) -> LastQuotes:
        """Return the last quote of each contract at or before an instant."""
        until = _until(self._event, instant_us)
        last = _last_of(self._place[:until], np.arange(until), self._count)
        had = last >= 0
        bid, ask, bid_size, ask_size = (_taken(values, last) for values in self._values)
        return LastQuotes(
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
            event_us=np.where(had, self._event[last], -1) if until else last,
            known_us=int(self._known[last[had]].max(initial=-1)),
            unlisted=_until(self._unlisted, instant_us),
        )


class Prints:
    """Trades of a session, or bars where there are no trades.

    Parameters
    ----------
    place : int64 array, shape (r,)
        Contract of each print.
    event_us, ends_us, known_us : int64 array, shape (r,)
        When it happened, from when on it is seen, when it could be known; microseconds since 1970,
        the second ascending.
    price, size : float64 array, shape (r,)
        USD and contracts.
    void_us : int64 array, shape (r,)
        When it was taken back.
    unmatched_us : int64 array
        Instants, ascending, of cancels that take back nothing.
    unlisted_us : int64 array
        Instants, ascending, of prints of other contracts.
    count : int
        Contracts.
    """

    def __init__(
        self,
        place: Ints,
        event_us: Ints,
        *,
        ends_us: Ints,
        known_us: Ints,
        price: Floats,
        size: Floats,
        void_us: Ints,
        unmatched_us: Ints,
        unlisted_us: Ints,
        count: int,
    ) -> None:
        self._place, self._event, self._ends, self._known = place, event_us, ends_us, known_us
        self._price, self._size, self._void = price, size, void_us
        self._unmatched = unmatched_us
        self._count = count
        self._unlisted = unlisted_us

    def at(self, instant_us: int) -> LastPrints:
        """Return volume and last print of each contract at or before an instant."""
        until = _until(self._ends, instant_us)
        live = np.flatnonzero(self._void[:until] > instant_us)
        priced = live[self._price[live] >= 0.0]  # a leg of a package may have a negative price
        last = _last_of(self._place[priced], priced, self._count)
        had = last >= 0
        volume = np.bincount(self._place[live], weights=self._size[live], minlength=self._count)
        return LastPrints(
            volume=np.round(volume, _DECIMALS),
            price=_taken(self._price, last),
            event_us=np.where(had, self._event[last], -1) if until else last,
            known_us=int(self._known[:until].max(initial=-1)),
            unmatched=_until(self._unmatched, instant_us),
            unlisted=_until(self._unlisted, instant_us),
        )


def prints_of_trades(rows: pa.Table, symbols: pa.Array) -> Prints:
    """Read trades; a cancel takes back the latest equal print before it.

    Parameters
    ----------
    rows : pyarrow.Table, shape (r,)
        `tables.OPTION_TRADES` schema, in any order. Prices in coin become USD by the index printed
        with them.
    symbols : pyarrow.StringArray, length n
        The contracts, in the order of the answers; trades of others are left out.
    """
    place, event = places(rows, symbols), integers(rows, "event_at")
    order = _in_order(event, integers(rows, "ordinal"))
    order = order[place[order] >= 0]
    kept = rows.select(_TRADE_COLUMNS).take(pa.array(order))
    price, size = floats(kept, "price"), floats(kept, "size_contracts")
    is_cancel = cancels_of(kept)
    cancel, earlier, unmatched = match_cancels(kept, np.flatnonzero(is_cancel))
    void = np.where(is_cancel, _ALWAYS, _NEVER)  # a cancel is no print itself
    void[earlier] = event[order[cancel]]
    dollars = pc.is_in(kept["price_currency"], value_set=pa.array(_DOLLARS))
    factor = np.where(np.array(dollars.to_numpy()), 1.0, floats(kept, "underlying_price"))
    return Prints(
        place[order],
        event[order],
        ends_us=event[order],
        known_us=integers(kept, "known_at"),
        price=price * factor,
        size=size,
        void_us=void,
        unmatched_us=np.sort(event[order[unmatched]]),
        unlisted_us=np.sort(event[place < 0]),
        count=len(symbols),
    )


def prints_of_bars(rows: pa.Table, symbols: pa.Array) -> Prints:
    """Read minute bars; each is seen from its end on, and dated by its start.

    Parameters
    ----------
    rows : pyarrow.Table, shape (r,)
        `tables.OPTION_BARS` schema, in any order; bars of other lengths are left out.
    symbols : pyarrow.StringArray, length n
        The contracts, in the order of the answers; bars of others are left out.
    """
    rows = rows.filter(pc.equal(rows["interval"], "minute"))
    place, event = places(rows, symbols), integers(rows, "event_at")
    order = np.argsort(event, kind="stable")
    order = order[place[order] >= 0]
    return Prints(
        place[order],
        event[order],
        ends_us=event[order] + _BAR_US,
        known_us=integers(rows, "known_at")[order],
        price=floats(rows, "close")[order],
        size=floats(rows, "volume_contracts")[order],
        void_us=np.full(order.size, _NEVER),
        unmatched_us=np.empty(0, np.int64),
        unlisted_us=np.sort(event[place < 0]) + _BAR_US,
        count=len(symbols),
    )


def _in_order(event: Ints, ordinal: Ints) -> Ints:
    """Order of the tape: by instant, then by number among equal ones."""
    return np.lexsort((ordinal, event)).astype(np.int64)


def _until(instants_us: Ints, instant_us: int) -> int:
    """Count instants, ascending, at or before one."""
    return int(np.searchsorted(instants_us, instant_us, side="right"))


def _last_of(place: Ints, row: Ints, count: int) -> Ints:
    """Return the last row of each place, -1 where it has none; rows come in order."""
    last = np.full(count, -1, np.int64)
    last[place] = row  # of several assignments to one place, the last stays
    return last


def _taken(values: Floats, rows: Ints) -> Floats:
    if not values.size:
        return np.full(rows.size, np.nan)
    return np.where(rows >= 0, values[rows], np.nan)

"""Trades as arrays: what the book makes of a batch, and the log of all prints of the session.

Belongs here: the shapes, what grows in them, and how many prints look alike. Does not belong here:
how a trade is judged (`dealer_assets.domain.kernels.book`), rows for the lake (`rows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.flow.records import LOG


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one batch of events, in order of arrival; arrays of shape (n,).

    Codes are places in the vocabularies of `dealer_assets.tables.live`. NaN is "not known". Ages
    are microseconds at the moment the trade is judged at: receipt, or the venue's instant of a
    backfilled trade, where a negative age is of something that came after the trade.

    Parameters
    ----------
    contract : int32 array
        Row of the `Listing`.
    received_us, event_us : int64 array
        Microseconds since 1970.
    price, size : float64 array
        USD per unit of the underlying; contracts, as printed.
    volume : float64 array
        What it adds to the volume [contracts]: its size, minus it for a cancel of a known print, 0
        for a cancel of an unknown one.
    sign : int8 array
        Customer's side: 1 bought, -1 sold, 0 unknown. Of a cancel: of the print it takes back.
    basis, trade_class : int8 array
        What told the side (``SIGN_BASES``); kind of print (``TRADE_CLASSES``).
    confidence : float64 array
        Declared probability that the side is right.
    sequence : int64 array
        ``stream_sequence``: number among the trades of its lane and session, from 0.
    cancels, cancels_sequence : int64 array
        Row of the log that a cancel takes back, and that row's `sequence`; -1 for none.
    bid, ask, quote_age_us : float64 array
        Quote it is compared with [USD]; NaN where that side is missing.
    quote_state : int8 array
        ``QUOTE_STATES``.
    vol, vol_age_us : float64 array
        Vol of its Greeks, decimal.
    vol_source : int8 array
        ``LIVE_VOL_SOURCES``.
    spot, spot_age_us : float64 array
        Underlying price used [USD].
    delta, gamma, vanna, charm : float64 array
        In the units of `dealer_assets.domain.pricing.black.Greeks`; Black's also for American and
        average-settled contracts.
    premium : float64 array
        Price x volume x multiplier [USD].
    hedge_flow : float64 array
        What dealers must trade to hedge it [USD], > 0 buying; 0 where side or Greeks are unknown.
    gamma_flow : float64 array
        Change of dealers' gamma [USD of delta per +1 % spot]; 0 likewise.
    dealer_contracts : float64 array
        Change of dealers' position: minus sign times volume.
    exchange : int16 array
        Venue's code; -1 unknown.
    conditions, venue_sequence, number : int64 array
        As in `streaming.core.events.Events`.
    is_backfill : bool array
        Fetched after a gap.
    first_row : int
        Row of the log of the first of them; the others follow.
    """

    contract: NDArray[np.int32]
    received_us: Ints
    event_us: Ints
    price: Floats
    size: Floats
    volume: Floats
    sign: NDArray[np.int8]
    basis: NDArray[np.int8]
    trade_class: NDArray[np.int8]
    confidence: Floats
    sequence: Ints
    cancels: Ints
    cancels_sequence: Ints
    bid: Floats
    ask: Floats
    quote_age_us: Floats
    quote_state: NDArray[np.int8]
    vol: Floats
    vol_age_us: Floats
    vol_source: NDArray[np.int8]
    spot: Floats
    spot_age_us: Floats
    delta: Floats
    gamma: Floats
    vanna: Floats
    charm: Floats
    premium: Floats
    hedge_flow: Floats
    gamma_flow: Floats
    dealer_contracts: Floats
    exchange: NDArray[np.int16]
    conditions: Ints
    venue_sequence: Ints
    number: Ints
    is_backfill: Bools
    first_row: int

    def __len__(self) -> int:
        return self.contract.size


class TradeLog:
    """Every print of the session so far; rows are numbered from 0 in order of arrival.

    Parameters
    ----------
    room : int
        Rows to begin with, a power of two. Of the records, memory is taken as they come; the index
        takes 8 bytes a row at once.

    Attributes
    ----------
    size : int
        Rows.
    sequence : int64 array, shape (size,)
        ``stream_sequence`` within the lane.
    contract : int32 array
        Row of the `Listing`.
    event_us, conditions, number : int64 array
        As in `streaming.core.events.Events`.
    price, size_contracts : float64 array
        USD; contracts.
    exchange : int16 array
        Venue's code; -1 unknown.
    sign : int8 array
        Customer's side.
    confidence, hedge_flow, gamma_flow : float64 array
        As in `Trades`.
    is_taken_back : int8 array
        1 where a cancel took the print back.
    heard : dict of int to int
        By second of receipt, the newest venue instant [us] of what came live in it: how far a
        feed had really got, which may be behind the clock.

    Notes
    -----
    Arrays are views of records, so not contiguous; fetch them anew after the book has moved on.
    """

    sequence: Ints
    contract: NDArray[np.int32]
    event_us: Ints
    price: Floats
    size_contracts: Floats
    exchange: NDArray[np.int16]
    conditions: Ints
    number: Ints
    sign: NDArray[np.int8]
    confidence: Floats
    hedge_flow: Floats
    gamma_flow: Floats
    is_taken_back: NDArray[np.int8]

    def __init__(self, *, room: int = 1 << 21) -> None:
        self.size = 0
        self.records = np.empty(room, LOG)
        self.index = np.full(2 * room, -1, np.int32)
        self.heard: dict[int, int] = {}

    def hear(self, received_us: Ints, event_us: Ints) -> None:
        """Take note of when prints came live, and of the venue's instants of them."""
        if not received_us.size:
            return
        seconds = received_us // 1_000_000
        begins = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
        newest = np.maximum.reduceat(event_us, begins)
        for second, at_us in zip(seconds[begins].tolist(), newest.tolist(), strict=True):
            self.heard[second] = max(at_us, self.heard.get(second, at_us))

    def heard_until(self, received_us: int) -> int | None:
        """Return the venue's instant that a feed had got to in the last whole second with prints.

        None when nothing came live before the second of `received_us`: what came within it may
        have come after.
        """
        heard = self.heard.copy()  # the book moves on in another thread
        before = [second for second in heard if second < received_us // 1_000_000]
        return heard[max(before)] if before else None

    def __getattr__(self, name: str) -> Any:
        """Return a column of the rows so far."""
        if name not in (LOG.names or ()):
            raise AttributeError(name)
        return self.records[name][: self.size]

    def reserve(self, rows: int) -> None:
        """Make room for so many more rows."""
        room = self.records.size
        if self.size + rows <= room:
            return
        from dealer_assets.domain.kernels.book import move_index  # lazily: numba is slow to load

        while room < self.size + rows:
            room *= 2
        records, index = np.empty(room, LOG), np.full(2 * room, -1, np.int32)
        records[: self.size] = self.records[: self.size]
        move_index(self.index, index, records)
        self.records, self.index = records, index

"""The state of the market and of the session's flow, contract by contract; no clock but events'.

Belongs here: keeping the arrays and running the kernels over events. Does not belong here: the
arithmetic (`dealer_assets.domain.kernels.book`), totals and full pricing (`engine`), rows (`rows`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.flow import records, sides
from dealer_assets.domain.flow.kernel_rules import kernel_rules
from streaming.core.events import TRADE, TYPES, Events
from streaming.core.listing import Listing
from streaming.core.trades import TradeLog, Trades

__all__ = ["Book", "BookOptions", "TradeLog", "Trades"]

_EPOCH = date(1970, 1, 1).toordinal()
_READY = {name: np.int8 if kind is np.bool_ else kind for name, kind in TYPES.items()}
_JUDGED = [
    field.name
    for field in fields(Trades)
    if field.name in (records.JUDGED.names or ()) and field.name != "is_backfill"
]
_GREEKS, _DELTA, _GAMMA, _VANNA, _CHARM = 12, 1, 2, 6, 7
"""How many rows `kernels.greeks.all_greeks` fills, and those that are kept; a test compares."""


@dataclass(frozen=True, slots=True)
class BookOptions:
    """What the book believes; declared, see ``docs/methods/trade_sides.md``.

    Parameters
    ----------
    zero_dte_fresh_seconds, fresh_seconds : float
        Oldest quote that is compared with a trade or inverted: of contracts that expire in the
        session, and of others.
    uses_side_rules : bool
        Infer sides where the venue does not tell the taker.
    tick_floor_usd : float
        A price that differs by no more from the last one, moved to now's spot, is no tick; half the
        usual tick of five cents.
    tick_fresh_seconds : float
        Oldest print that a price is compared with.
    log_room : int
        Prints that the log has room for before it has to grow, a power of two.
    """

    zero_dte_fresh_seconds: float = 15.0
    fresh_seconds: float = 60.0
    uses_side_rules: bool = True
    tick_floor_usd: float = sides.TICK_FLOOR_USD
    tick_fresh_seconds: float = sides.TICK_FRESH_SECONDS
    log_room: int = 1 << 21


class Book:
    """Quotes, spots, marks, positions and the log of one desk and session.

    Parameters
    ----------
    listing : Listing
        Contracts; when it grows, so does the book, with the next call.
    options : BookOptions
        What it believes.

    Attributes
    ----------
    bid, ask, bid_size, ask_size : float64 array, shape (listing.size,)
        Last quote [USD, contracts]; 0 where a side is missing, NaN before the first.
    quote_us : int64 array
        When it was received; -1 before the first.
    mark_price, mark_vol : float64 array
        Venue's own price [USD] and vol [decimal]; NaN where not told.
    mark_us : int64 array
        When it was received; -1 before the first.
    last_price : float64 array
        Last standing print that has a price of a contract [USD]; NaN before the first.
    last_us : int64 array
        Its venue instant; -1 before the first.
    volume : float64 array
        Contracts of the session, net of cancels.
    customer : float64 array
        Customers' position of the session's flow [contracts], signed; dealers' is its negative.
    customer_mean, customer_variance : float64 array
        What that is expected to be by the odds of every side, and its variance [contracts, and
        squared]; prints without a side are in the variance alone.
    open_interest : float64 array
        Contracts; the listing's until the venue tells a newer one.
    fresh_us : int64 array
        Oldest usable quote's age, microseconds.
    spot : float64 array, shape (lanes,)
        USD; NaN before the first.
    spot_us : int64 array, shape (lanes,)
        When it was received; -1 before the first.
    spot_source : int16 array, shape (lanes,)
        The feed's code of where it came from.
    trades_seen : int64 array, shape (lanes,)
        Prints of the session so far, cancels included; the next ``stream_sequence``.
    forward_ratio, discount : float64 array, shape (slices,)
        Forward over spot and discount factor of the last full pricing; 1 before.
    vol : float64 array, shape (listing.size,)
        Vol of the last full pricing; NaN where it has none.
    vol_us : int64 array
        When what it rests on was quoted; -1 where it has none.
    delta : float64 array, shape (listing.size,)
        Change of the price per 1.0 of spot, of the last full pricing; NaN where it has none. It
        moves the prints that ticks are compared with.
    log : TradeLog
        Every print of the session so far.
    log_spot : float64 array, shape (log.size,)
        Spot that each of them met [USD]; NaN where none was known, or none of that moment.
    priced_us : int
        When the last full pricing was, microseconds since 1970; -1 before.

    Notes
    -----
    Arrays are views that `apply` changes; they are longer, and new ones, after the listing grew.
    """

    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    quote_us: Ints
    mark_price: Floats
    mark_vol: Floats
    mark_us: Ints
    last_price: Floats
    last_us: Ints
    volume: Floats
    customer: Floats
    customer_mean: Floats
    customer_variance: Floats
    open_interest: Floats
    fresh_us: Ints
    spot: Floats
    spot_us: Ints
    spot_source: NDArray[np.int16]
    trades_seen: Ints
    forward_ratio: Floats
    discount: Floats
    vol: Floats
    vol_us: Ints
    log: TradeLog

    def __init__(self, listing: Listing, *, options: BookOptions | None = None) -> None:
        from dealer_assets.domain.kernels import book as kernels  # lazily: numba is slow to load

        self.listing = listing
        self.options = options or BookOptions()
        self.log = TradeLog(room=self.options.log_room)
        self.priced_us = -1
        self._log_spot = np.empty(0)
        self._kernels = kernels
        self._rules = kernel_rules(
            [lane.kind for lane in listing.lanes],
            uses_rules=self.options.uses_side_rules,
            tick_floor_usd=self.options.tick_floor_usd,
            tick_fresh_seconds=self.options.tick_fresh_seconds,
        )
        self._counts = np.zeros(len(kernels.COUNTS), np.int64)
        self._numbers = np.empty((len(records.NUMBERS), 0))
        self._instants = np.empty((len(records.INSTANTS), 0), np.int64)
        self._slices = np.empty((2, 0))
        self._delta = np.empty((1, 0))
        self._lanes = np.zeros(len(listing.lanes), records.LANES)
        self._lanes["spot"], self._lanes["spot_us"] = np.nan, -1
        self._lanes["spot_source"] = -1
        self._contracts = np.empty(0, records.CONTRACTS)
        self._version = -1
        self.spot, self.spot_us = self._lanes["spot"], self._lanes["spot_us"]
        self.spot_source, self.trades_seen = self._lanes["spot_source"], self._lanes["trades_seen"]
        self.grow()

    @property
    def counts(self) -> dict[str, int]:
        """Events so far by kind, and what could not be used.

        ``unlisted``: of no contract or lane; ``unusable``: with a value that is none;
        ``unmatched_cancels``: cancels that took back nothing.
        """
        return dict(zip(self._kernels.COUNTS, self._counts.tolist(), strict=True))

    @property
    def traded(self) -> Bools:
        """Contracts that printed in the session, shape (listing.size,)."""
        row = self._instants[records.INSTANTS.index("traded"), : self.listing.size]
        return np.asarray(row != 0)

    @property
    def delta(self) -> Floats:
        """Delta of every contract, shape (listing.size,)."""
        return self._delta[0, : self.listing.size]

    @property
    def log_spot(self) -> Floats:
        """Spot that each row of the log met, shape (log.size,)."""
        return self._log_spot[: self.log.size]

    def reserve(self, rows: int) -> None:
        """Make room in the log for so many more prints."""
        self.log.reserve(rows)
        room = self.log.records.size
        if room > self._log_spot.size:
            wider = np.empty(room)
            wider[: self.log.size] = self.log_spot
            self._log_spot = wider

    def grow(self) -> None:
        """Take in what the listing got since; `apply`, `price_with` and `restore` do it too."""
        listing = self.listing
        if self._version == listing.version:
            return
        before, size = self._contracts.size, listing.size
        if size > self._numbers.shape[1]:
            room = size + size // 4
            self._numbers = _widened(self._numbers, before, room, np.nan)
            self._instants = _widened(self._instants, before, room, -1)
            self._delta = _widened(self._delta, before, room, np.nan)
        new = slice(before, size)
        for name in ("volume", "customer", "customer_mean", "customer_variance"):
            self._numbers[records.NUMBERS.index(name), new] = 0.0
        self._instants[records.INSTANTS.index("traded"), new] = 0
        interest = listing.open_interest[new]
        self._numbers[records.NUMBERS.index("open_interest"), new] = interest
        self._slices = _widened(self._slices, self._slices.shape[1], len(listing.slices), 1.0)
        self._contracts = _contracts(listing, self.options)
        self._version = listing.version
        for names, rows in (
            (records.NUMBERS, self._numbers),
            (records.INSTANTS, self._instants),
        ):
            for name, row in zip(names, rows, strict=True):
                if name in self.__annotations__:
                    setattr(self, name, row[:size])
        self.forward_ratio, self.discount = self._slices
        self.fresh_us = np.ascontiguousarray(self._contracts["fresh_us"])

    def apply(self, events: Events) -> Trades:
        """Take in events in order.

        Parameters
        ----------
        events : Events
            Of contracts of the listing and its lanes; what is of others, or has a value that is no
            number, is counted and left out.

        Returns
        -------
        Trades
            The trades among them, each judged with what was known when it came.
        """
        self.grow()
        prepared = self._kernels.Events(
            *(_ready(getattr(events, name), kind) for name, kind in _READY.items())
        )
        most = int(np.count_nonzero(prepared.kind == TRADE))
        self.reserve(most)
        first = self.log.size
        judged = np.empty(most, records.JUDGED)
        wanted = np.empty((len(records.CANDIDATES), 2 * most))
        calls = np.empty(2 * most, np.int8)
        n = self._kernels.walk(
            prepared, self._contracts, self._state(), self._rules, first, judged, wanted, calls,
            self._counts,
        )  # fmt: skip
        self.log.size += n
        if n < most:  # some trades were no trades: close the gap between the two halves
            kept = np.concatenate([np.arange(n), most + np.arange(n)])
            judged, wanted, calls = judged[:n], wanted[:, kept].copy("C"), calls[kept]
        return self._finished(judged, wanted, calls.view(np.uint8), first)

    def _finished(
        self, judged: NDArray[np.void], wanted: Floats, calls: NDArray[np.uint8], first: int
    ) -> Trades:
        """Give judged trades their vols, Greeks and flows."""
        n = judged.size
        own = {name: np.ascontiguousarray(judged[name]) for name in _JUDGED}
        vol, age, source = np.empty(n), np.empty(n), np.empty(n, np.int8)
        greeks, hedge, gamma_flow = np.empty((_GREEKS, n)), np.empty(n), np.empty(n)
        if n:
            from dealer_assets.domain.kernels.flows import choose_vols, settle
            from dealer_assets.domain.kernels.greeks import all_greeks
            from dealer_assets.domain.kernels.implied_vol import implied_vols

            price, forward, strike, years, discount = wanted
            vols, reasons = np.empty(2 * n), np.empty(2 * n, np.int8)
            implied_vols(price, forward, strike, years, discount, calls, vols, reasons)
            choose_vols(judged, vols, vol, age, source)
            all_greeks(
                forward[:n], strike[:n], own["spot"], years[:n], vol, discount[:n], calls[:n],
                greeks,
            )  # fmt: skip
            settle(
                judged, greeks[_DELTA], greeks[_GAMMA], self.log.records, first, hedge, gamma_flow
            )
        return Trades(
            **own,
            is_backfill=judged["is_backfill"] != 0,
            vol=vol,
            vol_age_us=age,
            vol_source=source,
            delta=greeks[_DELTA],
            gamma=greeks[_GAMMA],
            vanna=greeks[_VANNA],
            charm=greeks[_CHARM],
            hedge_flow=hedge,
            gamma_flow=gamma_flow,
            first_row=first,
        )

    def price_with(
        self,
        *,
        forward_ratio: Floats,
        discount: Floats,
        vol: Floats,
        vol_us: Ints,
        priced_us: int,
        delta: Floats | None = None,
    ) -> None:
        """Take over what a full pricing found.

        Parameters
        ----------
        forward_ratio, discount : float64 array, shape (slices,)
            Forward over spot and discount factor; where one is no positive number, the slice keeps
            what it had.
        vol : float64 array, shape (contracts,)
            Vols, decimal; NaN where there is none. Contracts and slices that the listing got since
            may be missing at the ends.
        vol_us : int64 array, shape (contracts,)
            When what each rests on was quoted.
        priced_us : int
            When it was priced, microseconds since 1970.
        delta : float64 array, shape (contracts,), optional
            Deltas, like `vol`; without it those of before stay.
        """
        self.grow()
        usable = (forward_ratio > 0.0) & (discount > 0.0)
        usable &= np.isfinite(forward_ratio) & np.isfinite(discount)
        place = np.flatnonzero(usable)
        self.forward_ratio[place], self.discount[place] = forward_ratio[place], discount[place]
        self.vol[: vol.size], self.vol_us[: vol.size] = vol, vol_us
        if delta is not None:
            self.delta[: delta.size] = delta
        self.priced_us = priced_us

    def restore(self, rows: pa.Table) -> None:
        """Take over the session so far: positions, volumes, last prices and the log.

        Quotes, spots and marks come back with the feed, the last pricing with the engine.

        Parameters
        ----------
        rows : pyarrow.Table
            `tables.LIVE_TRADES` of the session, of one lane or several; contracts that appeared
            within the session are added to the listing.

        Raises
        ------
        BadInputError
            When rows of a lane are missing or double, or are of contracts that no lane lists.
        """
        from streaming.core.restoring import enter

        enter(self, rows)

    def replay(
        self, first: int, kinds: NDArray[np.int8], cancels: Ints, is_comparable: NDArray[np.int8]
    ) -> None:
        """Enter rows of the log that `restore` has filled in, from the first one on."""
        self._kernels.restore(self._state(), first, kinds, cancels, is_comparable)

    def _state(self) -> Any:
        return self._kernels.State(
            self._numbers, self._instants, self._lanes, self._slices, self._delta[0],
            self.log.records, self._log_spot, self.log.index,
        )  # fmt: skip


def _contracts(listing: Listing, options: BookOptions) -> NDArray[np.void]:
    """Return what kernels know of each contract."""
    found = np.empty(listing.size, records.CONTRACTS)
    for name in ("expires_us", "strike", "multiplier", "lane", "slice_id", "partner", "is_call"):
        found[name] = getattr(listing, name)
    today = np.array([listing.sessions[lane.symbol].toordinal() for lane in listing.lanes])
    ends_today = listing.expiry_day == (today - _EPOCH)[listing.lane]
    seconds = np.where(ends_today, options.zero_dte_fresh_seconds, options.fresh_seconds)
    found["fresh_us"] = np.round(seconds * 1e6)
    return found


def _widened(rows: NDArray[Any], used: int, room: int, blank: float) -> NDArray[Any]:
    """Return rows with room for more columns; what is not used yet is blank."""
    wider = np.full((rows.shape[0], room), blank, rows.dtype)
    wider[:, :used] = rows[:, :used]
    return wider


def _ready(values: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """Return the array in the one form that kernels are compiled for."""
    if values.dtype == np.bool_:
        values = values.view(np.int8)
    if values.dtype == kind and values.flags.c_contiguous and values.flags.writeable:
        return values
    return np.require(values, kind, ("C", "W"))

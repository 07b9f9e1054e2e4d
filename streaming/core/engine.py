"""Events in, rows out: the clock of a desk, cut into seconds by when events were received.

Belongs here: cutting events at the ends of seconds, handing trades to their lanes, restoring a
session. Does not belong here: what happens at the end of a second (`lane`), rows (`rows`), any wall
clock: live, replay and tests run this code and get the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.rates import RateCurve
from dealer_assets.errors import BadInputError
from dealer_assets.tables import Table
from streaming.core.book import Book
from streaming.core.ended import Ended, EngineOptions
from streaming.core.events import Events
from streaming.core.flow import SECOND_US, Prints
from streaming.core.lane import Lane
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.core.rows import Ledger
from streaming.core.trade_rows import restored_prints
from streaming.core.trades import Trades
from streaming.core.view import LaneView

__all__ = ["Engine", "EngineOptions"]


class Engine:
    """Per-second totals, flow bars and full pricings of one desk and session.

    Parameters
    ----------
    listing : Listing
        Contracts; may grow between calls.
    feed : str
        Where events come from: polygon, deribit, simulator.
    sequences : Sequences
        Numbers of the rows.
    options : EngineOptions, optional
        What is done when.
    curve : RateCurve or None
        Rate curve known when the session opened.

    Attributes
    ----------
    book : Book
        State of the market and of the session's flow.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        feed: str,
        sequences: Sequences,
        options: EngineOptions | None = None,
        curve: RateCurve | None = None,
    ) -> None:
        options = options or EngineOptions()
        self.book = Book(listing, options=options.book)
        self._listing = listing
        self._feed = feed
        self._sequences = sequences
        self._lanes = [
            Lane(listing, number, self.book, feed=feed, options=options, curve=curve)
            for number in range(len(listing.lanes))
        ]
        self._by_symbol = {lane.symbol: lane for lane in self._lanes}
        self._ledger = Ledger(listing, feed=feed, sequences=sequences)
        self._end_us = -1
        self._now_us = -1
        self._views: dict[str, LaneView] = {}

    @property
    def now_us(self) -> int:
        """The desk's clock, microseconds since 1970; -1 before the first event."""
        return self._now_us

    @property
    def spots(self) -> dict[str, float]:
        """Spot [USD] by underlying, of those that have one."""
        values = {lane.symbol: float(self.book.spot[lane.number]) for lane in self._lanes}
        return {symbol: spot for symbol, spot in values.items() if spot > 0.0}

    def apply(self, events: Events) -> None:
        """Take in events, ending every second that they lie beyond.

        Parameters
        ----------
        events : Events
            In order of receipt, not older than those before.
        """
        at, count, received = 0, len(events), events.received_us
        while at < count:
            self._pass(int(received[at]))
            stop = at + max(1, int(np.searchsorted(received[at:], self._end_us)))
            trades = self.book.apply(events.take(slice(at, stop)))
            if len(trades):
                self._ledger.add_trades(trades)
                self._spread(trades)
            at = stop
        if count:
            self._now_us = max(self._now_us, int(received[-1]))
            self._views.clear()

    def advance(self, now_us: int) -> None:
        """Let time pass without events.

        Parameters
        ----------
        now_us : int
            Microseconds since 1970; earlier than the clock changes nothing.
        """
        self._pass(now_us)
        self._now_us = max(self._now_us, now_us)
        self._views.clear()

    def take(self) -> list[tuple[Table, str, pa.Table]]:
        """Return the rows made since the last call: table, underlying, rows in its schema."""
        return self._ledger.take()

    def restore(self, trades: Mapping[str, pa.Table]) -> None:
        """Take over the session so far, before the first event.

        Parameters
        ----------
        trades : mapping of str to pyarrow.Table
            All rows of `tables.LIVE_TRADES` of the session, by underlying.

        Raises
        ------
        BadInputError
            When they are not as many as the numbers say exist.
        """
        self._require_all(trades)
        for symbol, rows in trades.items():
            if not rows.num_rows:
                continue
            lane = self._by_symbol[symbol]
            ordered = rows.sort_by("stream_sequence")
            self.book.restore(ordered)
            prints = restored_prints(ordered, self._listing, lane.session_day)
            emitted = self._sequences.peek(tables.LIVE_FLOW.name, symbol)
            self._ledger.add(lane.number, Ended(flow=lane.flow.restore(prints, emitted=emitted)))
        self._views.clear()

    def _require_all(self, trades: Mapping[str, pa.Table]) -> None:
        for lane in self._lanes:
            exist = self._sequences.peek(tables.LIVE_TRADES.name, lane.symbol)
            found = trades[lane.symbol].num_rows if lane.symbol in trades else 0
            if exist != found:
                raise BadInputError(
                    f"{lane.symbol} {lane.session_date}: expected the {exist:,} live trades that "
                    f"were written, found {found:,}: recover the journal before restoring"
                )

    def view(self, underlying: str) -> LaneView:
        """Return what is known of an underlying now; the same object until something happens."""
        found = self._views.get(underlying)
        if found is None:
            found = self._views[underlying] = self._view(self._by_symbol[underlying])
        return found

    def _pass(self, now_us: int) -> None:
        """End all seconds that are over by an instant; the first call starts the clock."""
        if self._end_us < 0:
            self._end_us = (now_us // SECOND_US + 1) * SECOND_US
            for lane in self._lanes:
                self._ledger.add(lane.number, lane.catch_up(self._end_us - SECOND_US))
        while self._end_us <= now_us:
            for lane in self._lanes:
                self._ledger.add(lane.number, lane.end_second(self._end_us))
            self._end_us += SECOND_US

    def _spread(self, trades: Trades) -> None:
        """Hand trades to the flow of their lanes."""
        listing, c = self._listing, trades.contract.astype(np.int64)
        number = listing.lane[c]
        for lane in self._lanes:
            own = np.flatnonzero(number == lane.number)
            if not own.size:
                continue
            mine = c[own]
            prints = Prints.of(
                mine,
                trades.received_us[own],
                is_call=listing.is_call[mine],
                is_zero_dte=listing.expiry_day[mine] == lane.session_day,
                size=trades.size[own],
                volume=trades.volume[own],
                dealer=trades.dealer_contracts[own],
                premium=trades.premium[own],
                hedge_flow=trades.hedge_flow[own],
                gamma_flow=trades.gamma_flow[own],
            )
            lane.flow.add(prints)

    def _view(self, lane: Lane) -> LaneView:
        symbols = self._listing.symbols
        return LaneView(
            underlying=lane.symbol,
            feed=self._feed,
            session_date=lane.session_date,
            now_us=self._now_us,
            is_open=lane.is_open(self._now_us),
            spot=float(self.book.spot[lane.number]),
            spot_us=int(self.book.spot_us[lane.number]),
            spot_source=lane.spot_source,
            totals=lane.totals,
            history=tuple(lane.history),
            pricing=lane.pricing,
            contracts=lane.contracts(),
            watched=tuple(symbols[i] for i in lane.window.watched.tolist()),
            flow=lane.flow.cumulative.copy(),
            contracts_listed=lane.contracts_listed,
            symbols=symbols,
        )

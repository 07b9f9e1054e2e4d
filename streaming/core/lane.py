"""One underlying of a desk, second by second: pricing, totals, window, bars.

Belongs here: what is due at the end of a second and what it rests on. Does not belong here: the
clock and the cutting of events (`engine`), quotes and positions (`book`), rows (`rows`).
"""

from __future__ import annotations

from collections import deque
from datetime import date, datetime, timedelta

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Ints
from dealer_assets.domain.flow.bars import MEASURES, Bars
from dealer_assets.domain.flow.totals import Revaluation, Valued
from dealer_assets.domain.flow.window import Window
from dealer_assets.domain.rates import RateCurve
from dealer_assets.tables.live import LIVE_RECONCILED, NAIVE, SESSION_FLOW
from streaming.core.book import Book
from streaming.core.ended import ContractBars, Ended, EngineOptions, Strikes
from streaming.core.flow import MINUTE, MINUTE_US, SECOND, LaneFlow
from streaming.core.listing import Listing
from streaming.core.pricing import LanePricer
from streaming.core.view import ContractView, ModelTotals, Pricing, SecondTotals

LEAST_QUOTED = 6
"""Fresh two-sided quotes before the first pricing: three pairs can tell a forward. From there on
the chain is also priced whenever twice as many are quoted as the last time."""

_VOLUME, _BOUGHT, _SOLD = (
    MEASURES.index(name) for name in ("volume_contracts", "bought_contracts", "sold_contracts")
)
_EPOCH_DAY = date(1970, 1, 1)


class Lane:
    """One underlying of a desk.

    Parameters
    ----------
    listing : Listing
        Contracts of the desk.
    number : int
        Which of its lanes.
    book : Book
        State of the market, kept by the engine.
    feed : str
        Where events come from.
    options : EngineOptions
        What is done when.
    curve : RateCurve or None
        Rate curve known when the session opened.
    """

    def __init__(
        self,
        listing: Listing,
        number: int,
        book: Book,
        *,
        feed: str,
        options: EngineOptions,
        curve: RateCurve | None,
    ) -> None:
        asset = listing.lanes[number]
        self.symbol = asset.symbol
        self.number = number
        self.session_date = listing.sessions[asset.symbol]
        self.session_day = (self.session_date - _EPOCH_DAY).days
        self.opens_us = _us(sessions.session_open(asset.calendar, self.session_date))
        self.ends_us = _us(sessions.quotes_end(asset.calendar, self.session_date))
        self.flow = LaneFlow()
        self.window = Window(options.zero_dte_strikes)
        self.pricing: Pricing | None = None
        self.totals: SecondTotals | None = None
        self.history: deque[SecondTotals] = deque(maxlen=options.history_seconds)
        self._listing, self._book, self._options = listing, book, options
        self._pricer = LanePricer(listing, number, feed=feed, curve=curve)
        self._version = -1
        self._own: Ints = np.empty(0, np.int64)
        self._zero_dte: Ints = np.empty(0, np.int64)
        self._place: Ints = np.empty(0, np.int64)
        self._active: Revaluation | None = None
        self._active_until_us = -1
        self._mattering: tuple[int, ...] = ()
        self._valued: Valued | None = None
        self._quoted_at_pricing = LEAST_QUOTED // 2
        self._counts = np.zeros(7, np.int64)
        self._interest = np.zeros(2)

    @property
    def contracts_listed(self) -> int:
        """Contracts of the underlying."""
        self._refresh()
        return int(self._own.size)

    @property
    def spot_source(self) -> str:
        """Where spot comes from."""
        return self._pricer.spot_source(self._book)

    def is_open(self, at_us: int) -> bool:
        """Tell whether the session's options quote at an instant."""
        return self.opens_us <= at_us <= self.ends_us

    def end_second(self, end_us: int) -> Ended:
        """Do what is due when a second is over.

        Parameters
        ----------
        end_us : int
            Its end, microseconds since 1970; the book has taken in everything before it.
        """
        self._refresh()
        ended = Ended()
        bars = [(SECOND, self.flow.close(SECOND, end_us, self.window.watched))]
        if end_us % MINUTE_US == 0:
            bars.append((MINUTE, self.flow.close(MINUTE, end_us)))
        self._follow(end_us)
        if self.is_open(end_us):
            ended.totals = self._total(end_us)
            if ended.totals and end_us % (self._options.strike_seconds * 1_000_000) == 0:
                ended.strikes = self._strikes(end_us)
        for interval, (by_bucket, by_contract) in bars:
            if by_bucket is not None:
                ended.flow.append(by_bucket)
            if by_contract.key.size:
                ended.contract_flow.append(self._contract_bars(interval, end_us, by_contract))
        return ended

    def catch_up(self, now_us: int) -> Ended:
        """End bars that a restart left open and that are over by an instant."""
        self._refresh()
        ended = Ended()
        for interval in (SECOND, MINUTE):
            end_us = self.flow.open_end_us(interval)
            if not 0 <= end_us <= now_us:
                continue
            watched = self.window.watched if interval == SECOND else None
            by_bucket, by_contract = self.flow.close(interval, end_us, watched)
            if by_bucket is not None:
                ended.flow.append(by_bucket)
            if by_contract.key.size:
                ended.contract_flow.append(self._contract_bars(interval, end_us, by_contract))
        return ended

    def contracts(self) -> ContractView | None:
        """Copy what is known by contract; None before the first full pricing."""
        active, valued, book = self._active, self._valued, self._book
        if active is None or valued is None:
            return None
        c = active.contract
        return ContractView(
            contract=c,
            expires_us=active.expires_us,
            expiry_day=self._listing.expiry_day[c].astype(np.int64),
            strike=self._listing.strike[c],
            is_call=active.is_call.astype(np.bool_),
            is_zero_dte=active.is_zero_dte.astype(np.bool_),
            vol=active.vol,
            multiplier=active.multiplier,
            unit=valued.unit,
            open_interest=book.open_interest[c],
            customer=book.customer[c],
            customer_mean=book.customer_mean[c],
            settled=self._listing.settled_position[c],
            volume=book.volume[c],
            bid=book.bid[c],
            ask=book.ask[c],
            last_price=book.last_price[c],
            spot=valued.spot,
        )

    def _refresh(self) -> None:
        """Find the lane's contracts anew when the listing has grown."""
        if self._version == self._listing.version:
            return
        self._version = self._listing.version
        self._own = np.flatnonzero(self._listing.lane == self.number)
        today = self._listing.expiry_day[self._own] == self.session_day
        self._zero_dte = self._own[today]
        self._index_active()

    def _follow(self, now_us: int) -> None:
        is_alive = self._listing.expires_us[self._zero_dte] > now_us
        spot = float(self._book.spot[self.number])
        if not self.window.holds(spot, int(is_alive.sum())):
            strike = self._listing.strike[self._zero_dte]
            self.window.follow(spot, contract=self._zero_dte, strike=strike, is_alive=is_alive)

    def _count(self, now_us: int) -> None:
        from dealer_assets.domain.kernels.exposure_sums import lane_counts

        book = self._book
        lane_counts(
            self._own,
            now_us,
            book.fresh_us,
            self._listing.expires_us,
            book.quote_us,
            book.bid,
            book.ask,
            book.open_interest,
            book.customer,
            book.traded,
            self._listing.settled_position,
            book.customer_mean,
            self._counts,
            self._interest,
        )

    def _total(self, now_us: int) -> SecondTotals | None:
        """Price the chain if that is due, value it and sum it; None before the first pricing."""
        self._count(now_us)
        is_priced = self._is_due(now_us) and self._price(now_us)
        if self.pricing is None:
            return None
        active = self._activated(now_us, anew=is_priced)
        spot = float(self._book.spot[self.number])
        self._valued = active.exactly() if is_priced else active.at(spot, now_us)
        self.totals = self._totals(now_us, self._by_model(self._valued))
        self.history.append(self.totals)
        return self.totals

    def _is_due(self, now_us: int) -> bool:
        if now_us % (self._options.price_seconds * 1_000_000) == 0:
            return True
        has_spot = bool(self._book.spot[self.number] > 0.0)
        return has_spot and int(self._counts[1]) >= 2 * self._quoted_at_pricing

    def _price(self, now_us: int) -> bool:
        self._quoted_at_pricing = max(int(self._counts[1]), self._quoted_at_pricing)
        found = self._pricer.price(self._book, now_us)
        if found is not None:
            self.pricing = found
        return found is not None

    def _activated(self, now_us: int, *, anew: bool) -> Revaluation:
        """Return the priced contracts that have open interest or a trade."""
        active = self._active
        mattering = tuple(self._counts[4:6].tolist())
        is_same = self._mattering == mattering and now_us < self._active_until_us
        if active is not None and is_same and not anew:
            return active
        assert self.pricing is not None
        everything, book = self.pricing.revaluation, self._book
        c = everything.contract
        matters = (book.open_interest[c] > 0.0) | book.traded[c] | (book.customer[c] != 0.0)
        matters |= np.nan_to_num(self._listing.settled_position[c]) != 0.0
        chosen = np.flatnonzero(matters & (everything.expires_us > now_us))
        active = everything.take(chosen)
        self._active = active
        self._active_until_us = int(active.expires_us.min(initial=np.iinfo(np.int64).max))
        self._mattering = mattering
        self._index_active()
        return active

    def _index_active(self) -> None:
        self._place = np.full(self._listing.size, -1, np.int64)
        if self._active is not None:
            self._place[self._active.contract] = np.arange(self._active.contract.size)

    def _by_model(self, valued: Valued) -> dict[str, ModelTotals]:
        """Sum the positions of every model that can be told; the others' are not 0 but unknown."""
        book, listing = self._book, self._listing
        naive, flow = valued.sums(open_interest=book.open_interest, customer=book.customer)
        with_interest, with_flow, moved = (int(self._counts[i]) for i in (2, 3, 6))
        models = {SESSION_FLOW: ModelTotals(flow, with_flow, flow.positions)}
        if with_interest:
            models = {NAIVE: ModelTotals(naive, with_interest, naive.positions), **models}
        if listing.has_settled(self.number):
            sums, sd = valued.moved(
                listing.settled, mean=book.customer_mean, variance=book.customer_variance
            )
            total, settled = self._interest.tolist()
            share = settled / total if total > 0.0 else float("nan")
            models[LIVE_RECONCILED] = ModelTotals(sums, moved, sums.positions, sd, share)
        return models

    def _totals(self, now_us: int, models: dict[str, ModelTotals]) -> SecondTotals:
        alive, fresh = (int(count) for count in self._counts[:2])
        session = self.flow.cumulative.sum(axis=1)
        volume = float(session[_VOLUME])
        signed = float(session[_BOUGHT] + session[_SOLD])
        assert self.pricing is not None
        return SecondTotals(
            at_us=now_us,
            spot=float(self._book.spot[self.number]),
            spot_source=self.spot_source,
            spot_age_us=now_us - int(self._book.spot_us[self.number]),
            models=models,
            priced_us=self.pricing.at_us,
            trades=int(self._book.trades_seen[self.number]),
            signed_share=signed / volume if volume > 0.0 else float("nan"),
            quoted_share=fresh / alive if alive else 0.0,
        )

    def _strikes(self, now_us: int) -> Strikes | None:
        """Contracts that traded and are priced; None when nothing did."""
        valued, book = self._valued, self._book
        assert valued is not None
        traded = np.flatnonzero(book.traded[valued.contract])
        if not traded.size:
            return None
        c = valued.contract[traded]
        position = 0.0 - book.customer[c]  # not -0.0 where nothing is held
        return Strikes(
            at_us=now_us,
            spot=valued.spot,
            contract=c,
            volume=book.volume[c],
            position=position,
            open_interest=book.open_interest[c],
            exposures=valued.unit[:, traded] * position,
        )

    def _contract_bars(self, interval: int, end_us: int, bars: Bars) -> ContractBars:
        c, book = bars.key, self._book
        delta, gamma = np.full(c.size, np.nan), np.full(c.size, np.nan)
        is_current = self.totals is not None and self.totals.at_us == end_us
        if self._valued is not None and is_current:
            place = self._place[c]
            known = place >= 0
            delta[known] = self._valued.delta[place[known]]
            gamma[known] = self._valued.gamma[place[known]]
        return ContractBars(
            interval=interval,
            end_us=end_us,
            bars=bars,
            is_watched=(c[:, None] == self.window.watched).any(axis=1),
            last_price=book.last_price[c],
            vol=book.vol[c],
            delta=delta,
            gamma=gamma,
            spot=float(book.spot[self.number]),
        )


def _us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=instant.tzinfo)) // timedelta(microseconds=1)

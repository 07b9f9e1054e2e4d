"""One session of one simulated underlying, put together: listing, path, positions, clock.

Belongs here: what the chain and the tape both need, so that they agree. Does not belong here: rows
of a table (`chain_rows`, `tape_rows`), or single prints (`tape`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers.simulator import market
from dealer_assets.providers.simulator.dealing import trade_prices
from dealer_assets.providers.simulator.flow import Flow, session_flow
from dealer_assets.providers.simulator.listing import Floats, Ints, session_listing
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.providers.simulator.quotes import Session
from dealer_assets.underlyings import Underlying, underlying


@dataclass(frozen=True)
class MarketDay:
    """Everything that is fixed for a session; n contracts of m series, M minutes.

    Parameters
    ----------
    entry : Underlying
        Registry entry.
    day : datetime.date
        The session.
    density : float
        As given to `session_listing`.
    opened : datetime.datetime
        UTC instant of the open.
    session : Session
        Listing and path.
    flow : Flow
        Positions and volumes.
    clock : float64 array, shape (M + 1,)
        Share of the session's activity done by each minute.
    last_minute : int64 array, shape (m,)
        Minute by which each series has done its whole volume.
    clock_at_end : float64 array, shape (m,)
        `clock` at that minute; 1 for a series that expired before the open.
    symbol_rank : int64 array, shape (n,)
        Place of each contract's symbol among all.
    """

    entry: Underlying
    day: date
    density: float
    opened: datetime
    session: Session
    flow: Flow
    clock: Floats
    last_minute: Ints
    clock_at_end: Floats
    symbol_rank: Ints

    def volume_at(self, index: Ints, minutes: Ints) -> Floats:
        """Return contracts traded by minutes of the session, shape (len(index), len(minutes))."""
        last = self.session.path.minutes
        ends = (self.session.listing.expires_us - self.session.open_us) // 60_000_000
        live = np.minimum(np.minimum(minutes[None, :], ends[:, None]), last)
        done = np.minimum(self.clock[live] / self.clock_at_end[:, None], 1.0)
        share = done[self.session.listing.slice_id[index]]
        total, phase = self.flow.volume[index, None], self.flow.phase[index, None]
        return np.minimum(np.floor(total * share + phase), total)

    def minute_of(self, index: Ints, volume: Floats) -> Floats:
        """Return the fractional minute at which contracts reached a volume, positive; (k,)."""
        share = (volume - self.flow.phase[index]) / self.flow.volume[index]
        share = np.maximum(share, 0.0) * self.clock_at_end[self.session.listing.slice_id[index]]
        minutes = np.arange(self.session.path.minutes + 1, dtype=np.float64)
        return np.asarray(np.interp(share, self.clock, minutes))


@lru_cache(maxsize=16)
def market_day(seed: int, symbol: str, *, day: date, density: float) -> MarketDay:
    """Return a session of the simulated market.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    day : datetime.date
        A session of the underlying's calendar.
    density : float
        As given to `session_listing`.

    Raises
    ------
    NoDataError
        Before 2012 and after 2035.
    BadInputError
        When the day is no session.
    """
    entry = underlying(symbol)
    if not market.FIRST <= day <= market.LAST:
        raise NoDataError(
            f"the simulated market exists from {market.FIRST} to {market.LAST}, "
            f"found {day}: ask for a session in between"
        )
    opened = sessions.session_open(entry.calendar, day)
    listing = session_listing(seed, symbol, day=day, density=density)
    session = Session(
        seed=seed,
        symbol=symbol,
        profile=profile_of(entry),
        listing=listing,
        path=market.day_path(seed, symbol, day),
        open_us=int(opened.timestamp()) * 1_000_000,
    )
    minutes = session.path.minutes
    clock = market.activity_clock(entry.calendar, minutes)
    # a series does its whole volume by its expiry, or by the last minute that can be asked for:
    # around the clock that is the one before the next day's first
    last = minutes - (entry.calendar == "24/7")
    ends = np.clip((listing.expires_us - session.open_us) // 60_000_000, 0, last)
    return MarketDay(
        entry=entry,
        day=day,
        density=density,
        opened=opened,
        session=session,
        flow=session_flow(seed, symbol, day=day, density=density),
        clock=clock,
        last_minute=ends,
        clock_at_end=np.where(ends > 0, clock[ends], 1.0),
        symbol_rank=np.argsort(np.argsort(np.array(listing.columns["symbol"].to_pylist()))),
    )


def traded_by(market_day: MarketDay, minute: int) -> tuple[Floats, Floats, Ints]:
    """Return volume so far, last price (NaN without one) and its instant [us] (0 without); (n,)."""
    session, flow = market_day.session, market_day.flow
    n = session.listing.strike.size
    volume = market_day.volume_at(np.arange(n), np.array([minute]))[:, 0]
    traded = np.flatnonzero(volume > 0.0)
    when = market_day.minute_of(traded, volume[traded])
    when = np.minimum(when, session.live_minute(minute)[traded])
    last_price = np.full(n, np.nan)
    last_price[traded] = trade_prices(
        session,
        traded,
        minute=when.astype(np.int64),
        open_interest=flow.open_interest[traded],
        buy_share=flow.buy_share[traded],
    )
    last_trade_us = np.zeros(n, np.int64)
    last_trade_us[traded] = session.open_us + (when * 60.0).astype(np.int64) * 1_000_000
    return volume, last_price, last_trade_us


def open_minute(underlying: Underlying, at: datetime) -> tuple[datetime, date]:
    """Floor an instant to its minute, and refuse it when nothing quotes then.

    Raises
    ------
    NoDataError
        Outside open hours, on holidays, and before 2012 or after 2035.
    BadInputError
        When the instant has no time zone.
    """
    if at.tzinfo is None:
        raise BadInputError(f"expected an instant with a time zone, found {at.isoformat()}")
    instant = at.astimezone(UTC).replace(second=0, microsecond=0)
    if not market.FIRST <= instant.date() <= market.LAST:
        raise NoDataError(
            f"the simulated market exists from {market.FIRST} to {market.LAST}, "
            f"found {instant:%Y-%m-%d}: ask for a session in between"
        )
    calendar = underlying.calendar
    day = sessions.session_of(calendar, instant)
    if not sessions.is_open(calendar, instant) or day < market.FIRST:
        following = sessions.next_session(calendar, day)
        spans = " or ".join(
            f"{sessions.session_open(calendar, d):%Y-%m-%d %H:%M} to "
            f"{sessions.quotes_end(calendar, d):%H:%M} UTC"
            for d in (day, following)
        )
        raise NoDataError(
            f"{underlying.symbol} options do not quote at {instant:%Y-%m-%d %H:%M} UTC: "
            f"ask for an instant in a session, {spans}"
        )
    return instant, day

"""Open interest and volume of every contract of a session.

Belongs here: who holds and trades how much. Does not belong here: prices. Open interest is a smooth
function of the session, and a session's volume is at least its change to the next session, so that
``|change of open interest| <= volume`` for every contract that is listed in both. Both look back
only: the open interest of a session knows closes up to the second session before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.listing import Floats, Listing, session_listing
from dealer_assets.providers.simulator.market import closes, day_number
from dealer_assets.providers.simulator.noise import combine, normal, stream_key, uniform
from dealer_assets.providers.simulator.profiles import Profile, profile_of
from dealer_assets.underlyings import underlying

_OPEN_INTEREST_SHARE = {
    "daily": 0.04,
    "weekly": 0.10,
    "monthly": 0.60,
    "quarter": 0.45,
    "leaps": 0.80,
}
"""Open interest of a mature series over the profile's scale: it gathers in monthlies."""

_WIDTH = {"daily": 0.022, "weekly": 0.04, "monthly": 0.09, "quarter": 0.09, "leaps": 0.16}
"""Spread of positions over log strike, at an at-the-money vol of `_USUAL_VOL`."""

_USUAL_VOL = 0.14
_PUT_CENTRE, _PUT_TAIL, _CALL_CENTRE = -0.7, 2.0, 0.6
"""In widths: puts are held below the money with a long tail, calls above."""

_REFERENCE_DAYS = 30
"""Positions gather around the mean close of this many days: they were opened along the way."""

_KNOT_DAYS = 8
"""A contract's own appeal drifts between random values this far apart."""

_GROWTH_SHARE = 0.35
"""Share of a series' life after which open interest reaches 63 % of its final size."""

_VOLUME_BY_DAYS = ((0, 1.0), (1, 0.32), (4, 0.12), (10, 0.05), (45, 0.03), (400, 0.008))
"""Days to expiry and a series' volume over the profile's scale, interpolated."""


@dataclass(frozen=True)
class Flow:
    """Positions and trades of one session; arrays of shape (n,) along its listing.

    Parameters
    ----------
    open_interest : float64 array
        As published for the session, whole contracts.
    volume : float64 array
        Contracts traded by the end of the session, whole.
    phase : float64 array
        In (0, 1): staggers the instants at which contracts trade.
    """

    open_interest: Floats
    volume: Floats
    phase: Floats


@lru_cache(maxsize=24)
def session_flow(seed: int, symbol: str, *, day: date, density: float) -> Flow:
    """Return open interest and volume of a session's listing.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    day : datetime.date
        A session of the simulated market.
    density : float
        As given to `session_listing`.

    Returns
    -------
    Flow
    """
    listing = session_listing(seed, symbol, day=day, density=density)
    calendar = underlying(symbol).calendar
    today = open_interest(seed, symbol, listing=listing, day=day)
    tomorrow_day = sessions.next_session(calendar, day)
    tomorrow = open_interest(seed, symbol, listing=listing, day=tomorrow_day)
    expires_today = np.array([s.expiry_date <= day for s in listing.series])[listing.slice_id]
    change = np.where(expires_today, 0.0, np.abs(tomorrow - today))
    phase = uniform(
        stream_key(seed, "phase", symbol), combine(listing.contract_id, day_number(day))
    )
    turnover = _turnover(seed, symbol, listing=listing, day=day)
    return Flow(today, change + np.floor(turnover + phase), phase)


def open_interest(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Return the open interest published for a session, shape (n,).

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    listing : Listing
        Contracts asked for; of this session or the one before.
    day : datetime.date
        The session.

    Returns
    -------
    float64 array, shape (n,)
        Whole contracts; 0 on the day a series is listed.
    """
    entry = underlying(symbol)
    profile = profile_of(entry)
    known = sessions.previous_session(entry.calendar, day)
    known = sessions.previous_session(entry.calendar, known)
    last = day_number(known) + 1
    reference = float(closes(seed, symbol)[last - _REFERENCE_DAYS : last].mean())

    mature = np.array([_OPEN_INTEREST_SHARE[s.expiry_class] for s in listing.series])
    age = np.array([(day - s.listed_on).days for s in listing.series], np.float64)
    life = np.array([(s.expiry_date - s.listed_on).days for s in listing.series], np.float64)
    size = mature * -np.expm1(-np.maximum(age, 0.0) / (_GROWTH_SHARE * life))
    width = _widths(listing, profile)

    i = listing.slice_id
    x = np.log(listing.strike / reference) / width[i]
    put_side = x - _PUT_CENTRE
    put = np.exp(-0.5 * np.where(put_side < 0.0, put_side / _PUT_TAIL, put_side) ** 2)
    call = np.exp(-0.5 * (x - _CALL_CENTRE) ** 2)
    shape = np.where(listing.is_call, call, put)
    per_strike = profile.strike_step / (reference * width[i])
    own = np.exp(0.8 * normal(stream_key(seed, "appeal", symbol), listing.contract_id))
    drift = _drift(seed, symbol, listing=listing, day=day)
    wanted = profile.open_interest * size[i] * shape * per_strike * own * drift
    return np.floor(wanted * _roundness(listing, profile))


def _widths(listing: Listing, profile: Profile) -> Floats:
    scale = 0.5 * (profile.smile.short_vol + profile.smile.long_vol) / _USUAL_VOL
    return np.array([_WIDTH[s.expiry_class] * scale for s in listing.series])


def _roundness(listing: Listing, profile: Profile) -> Floats:
    """Appeal of round strikes: each rounder level multiplies it."""
    appeal = np.full(listing.strike.size, 0.4)
    for unit in profile.round_strikes:
        away = np.abs(listing.strike / unit - np.round(listing.strike / unit))
        appeal *= np.where(away < 1e-9, 2.0, 1.0)
    return appeal


def _drift(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Slow random factor of each contract, linear between knots."""
    # counted in weekdays where weekends do not trade, or Mondays would see three days of change
    is_daily = underlying(symbol).calendar == "24/7"
    number = day_number(day) if is_daily else (day.toordinal() - 1) // 7 * 5 + min(day.weekday(), 4)
    knot, rest = divmod(number, _KNOT_DAYS)
    key = stream_key(seed, "drift", symbol)
    before = normal(key, combine(listing.contract_id, knot))
    after = normal(key, combine(listing.contract_id, knot + 1))
    share = rest / _KNOT_DAYS
    return np.asarray(np.exp(0.3 * (before * (1.0 - share) + after * share)))


def _turnover(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Contracts traded for reasons other than a change of open interest, shape (n,)."""
    profile = profile_of(underlying(symbol))
    previous = float(closes(seed, symbol)[day_number(day) - 1])
    days = np.array([(s.expiry_date - day).days for s in listing.series], np.float64)
    ends, shares = zip(*_VOLUME_BY_DAYS, strict=True)
    size = np.interp(np.maximum(days, 0.0), ends, shares)
    vol = 0.5 * (profile.smile.short_vol + profile.smile.long_vol)
    width = vol * np.sqrt((days + 1.5) / 365.0)
    i = listing.slice_id
    x = np.log(listing.strike / previous) / width[i]
    shape = np.exp(-0.5 * np.where(listing.is_call, x - 0.3, x + 0.3) ** 2)
    per_strike = profile.strike_step / (previous * width[i])
    address = combine(listing.contract_id, day_number(day))
    noise = np.exp(0.7 * normal(stream_key(seed, "turnover", symbol), address))
    scale = profile.volume * size[i] * per_strike * noise
    return np.asarray(scale * shape * np.sqrt(_roundness(listing, profile)))

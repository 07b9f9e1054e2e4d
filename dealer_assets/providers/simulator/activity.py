"""How much of every contract is held and, for its own sake, traded.

Belongs here: open interest and turnover by contract. Does not belong here: who holds it (`truth`),
or a session's volume (`flow`). Both look back only: the open interest of a session knows closes up
to the second session before. It starts from 0 on the day a contract is listed, a strike added to an
old series too, and is a smooth function of the session from then on.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.listing import Floats, Listing
from dealer_assets.providers.simulator.market import closes, day_number
from dealer_assets.providers.simulator.noise import combine, normal, stream_key
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
"""Share of a contract's life after which open interest reaches 63 % of its final size."""

_VOLUME_BY_DAYS = ((0, 1.0), (1, 0.32), (4, 0.12), (10, 0.05), (45, 0.03), (400, 0.008))
"""Days to expiry and a series' volume over the profile's scale, interpolated."""


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
        Whole contracts; 0 on the session a contract is listed.
    """
    profile = profile_of(underlying(symbol))
    i = listing.slice_id
    mature = np.array([_OPEN_INTEREST_SHARE[s.expiry_class] for s in listing.series])
    ends = np.array([s.expiry_date.toordinal() for s in listing.series], np.int64)
    age = (day.toordinal() - listing.listed_on).astype(np.float64)
    life = np.maximum(ends[i] - listing.listed_on, 1).astype(np.float64)
    size = mature[i] * -np.expm1(-np.maximum(age, 0.0) / (_GROWTH_SHARE * life))

    x = moneyness(seed, symbol, listing=listing, day=day)
    put_side = x - _PUT_CENTRE
    put = np.exp(-0.5 * np.where(put_side < 0.0, put_side / _PUT_TAIL, put_side) ** 2)
    call = np.exp(-0.5 * (x - _CALL_CENTRE) ** 2)
    shape = np.where(listing.is_call, call, put)
    reference = _reference(seed, symbol, day)
    per_strike = profile.strike_step / (reference * widths(listing, profile)[i])
    own = np.exp(0.8 * normal(stream_key(seed, "appeal", symbol), listing.contract_id))
    drift = _drift(seed, symbol, listing=listing, day=day)
    wanted = profile.open_interest * size * shape * per_strike * own * drift
    return np.asarray(np.floor(wanted * _roundness(listing, profile)))


def moneyness(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Return log strike over the market's reference level, in widths of each series, shape (n,)."""
    width = widths(listing, profile_of(underlying(symbol)))[listing.slice_id]
    return np.asarray(np.log(listing.strike / _reference(seed, symbol, day)) / width)


def widths(listing: Listing, profile: Profile) -> Floats:
    """Return the spread of positions over log strike of each series, shape (m,)."""
    scale = 0.5 * (profile.smile.short_vol + profile.smile.long_vol) / _USUAL_VOL
    return np.array([_WIDTH[s.expiry_class] * scale for s in listing.series])


def clock(symbol: str, day: date) -> int:
    """Count days as positions move: weekdays where weekends do not trade.

    Otherwise Mondays would see three days of change.
    """
    if underlying(symbol).calendar == "24/7":
        return day_number(day)
    return (day.toordinal() - 1) // 7 * 5 + min(day.weekday(), 4)


def turnover(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Return contracts traded for reasons other than a change of holdings, shape (n,)."""
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


def _reference(seed: int, symbol: str, day: date) -> float:
    calendar = underlying(symbol).calendar
    known = sessions.previous_session(calendar, sessions.previous_session(calendar, day))
    last = day_number(known) + 1
    return float(closes(seed, symbol)[last - _REFERENCE_DAYS : last].mean())


def _roundness(listing: Listing, profile: Profile) -> Floats:
    """Appeal of round strikes: each rounder level multiplies it."""
    appeal = np.full(listing.strike.size, 0.4)
    for unit in profile.round_strikes:
        away = np.abs(listing.strike / unit - np.round(listing.strike / unit))
        appeal *= np.where(away < 1e-9, 2.0, 1.0)
    return appeal


def _drift(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Slow random factor of each contract, linear between knots."""
    knot, rest = divmod(clock(symbol, day), _KNOT_DAYS)
    key = stream_key(seed, "drift", symbol)
    before = normal(key, combine(listing.contract_id, knot))
    after = normal(key, combine(listing.contract_id, knot + 1))
    share = rest / _KNOT_DAYS
    return np.asarray(np.exp(0.3 * (before * (1.0 - share) + after * share)))

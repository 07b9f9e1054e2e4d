"""Where the simulated market stands: spot and log vol at any minute of any session.

Belongs here: price paths. Does not belong here: options. A day's close comes from increments summed
from a fixed epoch (once per process, 0.03 s); minutes inside a day are a Brownian bridge between
its closes, so that any instant is reached without the ones before it. Log level and log vol revert
to their trends, and move against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.noise import combine, counters, normal, stream_key
from dealer_assets.providers.simulator.profiles import ANCHOR, US_LARGE, Factor, profile_of
from dealer_assets.underlyings import Calendar, underlying

Floats = NDArray[np.float64]

FIRST, LAST = date(2012, 1, 1), date(2035, 12, 31)
"""Sessions the simulated market has."""

_EPOCH = date(2009, 1, 1)
"""Earlier than FIRST, so that paths have forgotten their start and listings have a past."""

_LOG_VOL_BOUNDS = (-0.7, 1.4)
_OVERNIGHT_SHARE = 0.3
"""Share of a session day's variance that falls into the opening gap."""


@dataclass(frozen=True)
class DayPath:
    """One session of one underlying, minute by minute from open (0) to close (M).

    Parameters
    ----------
    spot : float64 array, shape (M + 1,)
        Underlying price [USD], rounded to cents.
    log_vol : float64 array, shape (M + 1,)
        State of log vol; 0 is usual.
    """

    spot: Floats
    log_vol: Floats

    @property
    def minutes(self) -> int:
        """Minutes from open to close."""
        return self.spot.size - 1


@dataclass(frozen=True)
class _Daily:
    """Closes of a factor, one per calendar day from the epoch, shape (n,)."""

    log_level: Floats
    log_vol: Floats


def day_number(day: date) -> int:
    """Return the index of a calendar day in `closes`."""
    return (day - _EPOCH).days


@lru_cache(maxsize=32)
def closes(seed: int, symbol: str) -> Floats:
    """Return the closes of an underlying [USD], one per calendar day, indexed by `day_number`.

    Days without a session repeat (weekends) or drift unseen (holidays).
    """
    profile = profile_of(underlying(symbol))
    return np.asarray(profile.ratio * np.exp(_daily(seed, profile.factor).log_level))


@lru_cache(maxsize=32)
def _daily(seed: int, factor: Factor) -> _Daily:
    count = day_number(LAST) + 1
    days = counters(0, count)
    trades = np.ones(count, np.bool_)
    if factor.calendar != "24/7":
        trades = (np.arange(count) + _EPOCH.weekday()) % 7 < 5
    market = normal(stream_key(seed, "return", US_LARGE.name), days)
    own = normal(stream_key(seed, "return", factor.name), days)
    share = factor.market_share
    shock = share * market + np.sqrt(1.0 - share**2) * own
    vol_own = normal(stream_key(seed, "vol", factor.name), days)
    vol_shock = factor.leverage * shock + np.sqrt(1.0 - factor.leverage**2) * vol_own

    gap, log_vol = np.zeros(count), np.zeros(count)
    y = h = 0.0
    low, high = _LOG_VOL_BOUNDS
    for i in range(count):
        if trades[i]:
            y += -factor.reversion * y + factor.daily_vol * float(np.exp(h)) * shock[i]
            h += -factor.vol_reversion * h + factor.vol_of_vol * vol_shock[i]
            h = min(max(h, low), high)
        gap[i], log_vol[i] = y, h
    years = (np.arange(count) - day_number(ANCHOR)) / 365.0
    return _Daily(np.log(factor.level) + factor.growth * years + gap, log_vol)


@lru_cache(maxsize=256)
def day_path(seed: int, symbol: str, day: date) -> DayPath:
    """Return the minute path of a session.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    day : datetime.date
        A session of the underlying's calendar, from FIRST to LAST.

    Returns
    -------
    DayPath
    """
    entry = underlying(symbol)
    profile = profile_of(entry)
    factor = profile.factor
    daily, i = _daily(seed, factor), day_number(day)
    x0, x1 = daily.log_level[i - 1], daily.log_level[i]
    h0, h1 = daily.log_vol[i - 1], daily.log_vol[i]
    span = sessions.session_close(entry.calendar, day) - sessions.session_open(entry.calendar, day)
    minutes = int(span.total_seconds()) // 60
    overnight = 0.0 if entry.calendar == "24/7" else _OVERNIGHT_SHARE

    sigma = factor.daily_vol * np.exp(h0)
    draws = normal(stream_key(seed, "minute", factor.name), combine(counters(0, minutes + 1), i))
    clock = activity_clock(entry.calendar, minutes)
    steps = np.sqrt(np.diff(clock)) * draws[1:]
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    bridge = sigma * np.sqrt(1.0 - overnight) * (walk - clock * walk[-1])
    opening_noise = sigma * np.sqrt(overnight * (1.0 - overnight)) * draws[0]
    opening = x0 + overnight * (x1 - x0) + opening_noise
    x = opening + (x1 - opening) * clock + bridge

    passed = overnight + (1.0 - overnight) * clock
    vol_beta = factor.leverage * factor.vol_of_vol / factor.daily_vol
    log_vol = h0 + (h1 - h0) * passed + vol_beta * (x - x0 - (x1 - x0) * passed)
    tracking = profile.tracking_noise * normal(
        stream_key(seed, "tracking", symbol), combine(counters(0, minutes + 1), i)
    )
    return DayPath(np.round(profile.ratio * np.exp(x + tracking), 2), log_vol)


@lru_cache(maxsize=8)
def activity_clock(calendar: Calendar, minutes: int) -> Floats:
    """Return the share of a session's activity done by each minute, 0 to 1, shape (minutes + 1,).

    A U shape in sessions with an open and a close, nearly even around the clock.
    """
    at = np.arange(minutes) + 0.5
    if calendar == "24/7":
        weight = 1.0 + 0.3 * np.sin(2.0 * np.pi * (at / minutes - 0.35))
    else:
        weight = 1.0 + 1.5 * np.exp(-at / 25.0) + 1.2 * np.exp((at - minutes) / 25.0)
    done = np.concatenate([[0.0], np.cumsum(weight)])
    return np.asarray(done / done[-1])

"""The exchange's interest rates: par yields, overnight fixings, and when each is published.

Belongs here: deterministic numbers near the simulator's flat rate, by date. Does not belong here:
any publisher's format (`rates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.domain.rates import PUBLISHED, SIMPLE_UP_TO_YEARS
from dealer_assets.providers.simulator.noise import combine, counters, normal, stream_key
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.underlyings import underlying

Floats = NDArray[np.float64]

FIRST = date(2015, 1, 2)
"""First day with rates."""

_COLUMBUS_MONTH, _VETERANS = 10, (11, 11)


@dataclass(frozen=True)
class Tenor:
    """A constant maturity under its publishers' names.

    Parameters
    ----------
    csv, xml, fred : str
        Column of the Treasury's CSV, element of its XML, series of FRED.
    years : float
        Maturity.
    since : datetime.date
        First day published.
    """

    csv: str
    xml: str
    fred: str
    years: float
    since: date = FIRST


TENORS = (
    Tenor("1 Mo", "BC_1MONTH", "DGS1MO", 1 / 12),
    Tenor("1.5 Month", "BC_1_5MONTH", "", 1.5 / 12, date(2025, 2, 18)),
    Tenor("2 Mo", "BC_2MONTH", "", 2 / 12, date(2018, 10, 16)),
    Tenor("3 Mo", "BC_3MONTH", "DGS3MO", 0.25),
    Tenor("4 Mo", "BC_4MONTH", "", 4 / 12, date(2022, 10, 19)),
    Tenor("6 Mo", "BC_6MONTH", "DGS6MO", 0.5),
    Tenor("1 Yr", "BC_1YEAR", "DGS1", 1.0),
    Tenor("2 Yr", "BC_2YEAR", "DGS2", 2.0),
    Tenor("3 Yr", "BC_3YEAR", "DGS3", 3.0),
    Tenor("5 Yr", "BC_5YEAR", "DGS5", 5.0),
    Tenor("7 Yr", "BC_7YEAR", "DGS7", 7.0),
    Tenor("10 Yr", "BC_10YEAR", "DGS10", 10.0),
    Tenor("20 Yr", "BC_20YEAR", "DGS20", 20.0),
    Tenor("30 Yr", "BC_30YEAR", "DGS30", 30.0),
)


def is_business_day(day: date) -> bool:
    """Tell whether bonds trade: sessions of New York but Columbus and Veterans Day."""
    if not sessions.is_session("XNYS", day):
        return False
    columbus = day.month == _COLUMBUS_MONTH and day.weekday() == 0 and 8 <= day.day <= 14
    veterans = date(day.year, *_VETERANS)
    observed = veterans + timedelta(days={5: -1, 6: 1}.get(veterans.weekday(), 0))
    return not columbus and day != observed


def next_business_day(day: date) -> date:
    """Return the first business day after a day."""
    day += timedelta(days=1)
    while not is_business_day(day):
        day += timedelta(days=1)
    return day


def business_days(first: date, last: date) -> list[date]:
    """Return the business days from first to last, both included, ascending."""
    span = sessions.sessions_between("XNYS", max(first, FIRST), last)
    return [day for day in span if is_business_day(day)]


def par_yields(seed: int, days: Sequence[date]) -> Floats:
    """Return par yields in per cent with two decimals, shape (days, tenors).

    The simulator's flat rate, a slope of half a per cent to thirty years, and a level that drifts
    by some basis points.
    """
    rate = profile_of(underlying("SPX")).rate
    years = np.array([tenor.years for tenor in TENORS])
    simple = np.expm1(rate * years) / years
    flat = np.where(years <= SIMPLE_UP_TO_YEARS, simple, 2.0 * np.expm1(0.5 * rate))
    slope = 0.005 * np.maximum(np.log(years) / np.log(30.0), 0.0)
    own = 0.0001 * normal(stream_key(seed, "tenor"), _addresses(days, len(TENORS)))
    level = _level(seed, days)[:, None]
    total = flat + slope + level + own.reshape(len(days), len(TENORS))
    return np.asarray(np.round(100.0 * total, 2))


def fixings(seed: int, series: str, days: Sequence[date]) -> Floats:
    """Return SOFR or EFFR in per cent with two decimals (simple, actual/360), shape (n,)."""
    rate = profile_of(underlying("SPX")).rate * 360.0 / 365.0
    below = {"SOFR": 0.0, "EFFR": 0.0004}[series]
    own = 0.0001 * normal(stream_key(seed, series), _addresses(days, 1))
    return np.round(100.0 * (rate - below + _level(seed, days) + own), 2)


def published_at(series: str, day: date) -> datetime:
    """Return when a day's value can first be read.

    Parameters
    ----------
    series : str
        ``TREASURY`` (evening of the day), ``SOFR``, ``EFFR`` (next business morning), or a FRED
        series of Treasury yields (next business afternoon).
    day : datetime.date
        Date of the value.
    """
    if series == "TREASURY":
        return datetime.combine(day, PUBLISHED, sessions.NEW_YORK)
    clock = {"SOFR": time(8, 0), "EFFR": time(9, 0)}.get(series, time(16, 15))
    return datetime.combine(next_business_day(day), clock, sessions.NEW_YORK)


def published_days(series: str, first: date, last: date, *, now: datetime) -> list[date]:
    """Return the business days of a range whose values are out, ascending."""
    last = min(last, now.astimezone(sessions.NEW_YORK).date())
    days = business_days(first, last)
    while days and published_at(series, days[-1]) > now:
        days.pop()
    return days


def _level(seed: int, days: Sequence[date]) -> Floats:
    number = np.array([day.toordinal() for day in days], np.float64)
    wave = 0.0006 * np.sin(2.0 * np.pi * (number + seed) / 97.0)
    return wave + 0.0001 * normal(stream_key(seed, "level"), _addresses(days, 1))


def _addresses(days: Sequence[date], count: int) -> NDArray[np.uint64]:
    number = np.repeat(np.array([day.toordinal() for day in days], np.int64), count)
    return combine(np.tile(counters(0, count), len(days)), number)

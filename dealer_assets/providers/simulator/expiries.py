"""Which expiries a root lists on a session.

Belongs here: the listing calendar. Does not belong here: strikes (`listing`). An expiry once listed
stays listed until its last session, because each class has one horizon and an expiry belongs to the
class with the longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from dealer_assets.domain import sessions, us_sessions
from dealer_assets.providers.simulator.profiles import Profile
from dealer_assets.underlyings import Root, Underlying

_LEAPS_MONTHS = (1, 6, 12)
_QUARTER_MONTHS = (3, 6, 9, 12)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Series:
    """One expiry of one root.

    Parameters
    ----------
    root : Root
        Registry entry of the root.
    expiry_date : datetime.date
        Listed expiry date.
    listed_on : datetime.date
        First day it was listed.
    expiry_class : str
        ``daily``, ``weekly``, ``monthly``, ``quarter`` or ``leaps``.
    """

    root: Root
    expiry_date: date
    listed_on: date
    expiry_class: str


def listed_series(underlying: Underlying, profile: Profile, *, day: date) -> list[Series]:
    """Return the series listed throughout a session, sorted by root and expiry.

    PM and 08:00 UTC series stay for the whole session they expire in; AM series have traded for
    the last time the session before. US expiries after the calendar's last year are not listed.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    profile : Profile
        Its listing numbers.
    day : datetime.date
        A session.

    Returns
    -------
    list of Series
    """
    found: list[Series] = []
    for root in underlying.roots:
        classes = profile.classes(root, underlying)
        first = day + _ONE_DAY if root.settlement == "am" else day
        by_date: dict[date, Series] = {}
        for name in sorted(classes, key=lambda c: -profile.horizons.get(c, 0)):
            horizon = profile.horizons.get(name)
            if horizon is None:
                continue
            for expiry in _expiries(name, underlying, profile, first=first, horizon=horizon):
                if first <= expiry <= day + timedelta(days=horizon):
                    listed_on = expiry - timedelta(days=horizon)
                    by_date.setdefault(expiry, Series(root, expiry, listed_on, name))
        found += by_date.values()
    return sorted(found, key=lambda s: (s.root.symbol, s.expiry_date))


def _expiries(
    name: str, underlying: Underlying, profile: Profile, *, first: date, horizon: int
) -> Iterator[date]:
    """Yield expiry dates of a class, on sessions, from around `first` to past the horizon."""
    calendar = underlying.calendar
    last = first + timedelta(days=horizon + 7)
    if calendar != "24/7":
        last = min(last, us_sessions.LAST)
    if name == "daily":
        yield from sessions.sessions_between(calendar, first, last)
        return
    for day in _scheduled(name, underlying, profile, first=first, last=last):
        yield sessions.session_on_or_before(calendar, day)


def _scheduled(
    name: str, underlying: Underlying, profile: Profile, *, first: date, last: date
) -> Iterator[date]:
    """Yield the days a class expires on before holidays move them."""
    weekday = profile.expiry_weekday
    if name == "weekly":
        day = first + timedelta(days=(weekday - first.weekday()) % 7)
        while day <= last:
            yield day
            day += timedelta(days=7)
        return
    months = {"leaps": _LEAPS_MONTHS, "quarter": _QUARTER_MONTHS}.get(name, range(1, 13))
    year, month = first.year, first.month
    while date(year, month, 1) <= last:
        following = date(year + month // 12, month % 12 + 1, 1)
        if month in months:
            day = _month_day(name, underlying, year=year, month=month, weekday=weekday)
            if day <= last:
                yield day
        year, month = following.year, following.month


def _month_day(name: str, underlying: Underlying, *, year: int, month: int, weekday: int) -> date:
    last_day = date(year + month // 12, month % 12 + 1, 1) - _ONE_DAY
    if underlying.calendar == "24/7":  # Deribit's monthlies and quarterlies: the last Friday
        return last_day - timedelta(days=(last_day.weekday() - weekday) % 7)
    if name == "quarter":
        return last_day
    first_day = date(year, month, 1)
    return first_day + timedelta(days=(weekday - first_day.weekday()) % 7 + 14)

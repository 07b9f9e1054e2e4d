"""When published rates can first be read.

Belongs here: publishers' hours and the days on which banks are closed and the exchange is not. Does
not belong here: payloads (`reference_rates`), the Treasury's curve (`domain/rates.py`).

========================  =======================================================================
SOFR and its relatives    next business day, 08:00 New York
EFFR and OBFR             next business day, 09:00
a revised fixing          next business day, 14:30: the New York Fed corrects on that day or not
FRED's series             next business day, 18:00: the H.15 comes at 16:15, FRED takes it in later
FRED's vintages           18:00 of the day they are dated
========================  =======================================================================

Where a holiday differs the later day counts: a value is never known too early.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from dealer_assets.domain import us_sessions
from dealer_assets.domain.sessions import NEW_YORK, is_session, next_session

_REPO_HOUR, _FUNDS_HOUR, _REVISED_HOUR = time(8, 0), time(9, 0), time(14, 30)
_FRED_HOUR = time(18, 0)
_LONGEST_PAUSE = timedelta(days=4)
_REPO_RATES = frozenset({"SOFR", "BGCR", "TGCR"})


def next_business_day(day: date) -> date:
    """Return the first day after a day on which both exchange and banks are open.

    Outside the years of `us_sessions` four days count, the longest week-end.
    """
    if not us_sessions.FIRST <= day < us_sessions.LAST - 2 * _LONGEST_PAUSE:
        return day + _LONGEST_PAUSE
    day = next_session("XNYS", day)
    while _is_bank_holiday(day):
        day = next_session("XNYS", day)
    return day


def business_day_on_or_before(day: date) -> date:
    """Return the latest day, not after a day, on which both exchange and banks are open."""
    while not is_session("XNYS", day) or _is_bank_holiday(day):
        day -= timedelta(days=1)
    return day


def _is_bank_holiday(day: date) -> bool:
    """Tell Columbus and Veterans Day, on which the exchange trades."""
    is_columbus = day.month == 10 and day.weekday() == 0 and 8 <= day.day <= 14
    is_veterans = (day.month, day.day) == (11, 11)
    is_observed = (day.month, day.day) == (11, 12) and day.weekday() == 0
    return is_columbus or is_veterans or is_observed


def nyfed_known_at(series: str, day: date, *, is_revised: bool) -> datetime:
    """Return the UTC instant from which a fixing of a date counts as known."""
    hour = _REPO_HOUR if series in _REPO_RATES else _FUNDS_HOUR
    return _at(next_business_day(day), _REVISED_HOUR if is_revised else hour)


def fred_known_at(day: date) -> datetime:
    """Return the UTC instant from which FRED's value of a date counts as known."""
    return _at(next_business_day(day), _FRED_HOUR)


def vintage_known_at(day: date) -> datetime:
    """Return the UTC instant from which a vintage of FRED counts as known."""
    return _at(day, _FRED_HOUR)


def _at(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, NEW_YORK).astimezone(UTC)

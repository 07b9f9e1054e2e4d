"""The vendor's market status: now, and holidays to come.

Belongs here: what is open at an instant, in the vendor's words. Does not belong here: prices.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dealer_assets.domain import sessions, us_sessions

_EARLY, _LATE = time(4), time(20)
_EXCHANGES = ("NYSE", "NASDAQ")
_INDEX_GROUPS = (
    "cccy",
    "cgi",
    "dow_jones",
    "ftse_russell",
    "msci",
    "mstar",
    "mstarc",
    "nasdaq",
    "s_and_p",
    "societe_generale",
)
_HOLIDAYS = {
    1: ("New Years Day", "Martin Luther King, Jr. Day"),
    2: ("Washington's Birthday",),
    3: ("Good Friday",),
    4: ("Good Friday",),
    5: ("Memorial Day",),
    6: ("Juneteenth",),
    7: ("Independence Day",),
    9: ("Labor Day",),
    11: ("Thanksgiving",),
    12: ("Christmas",),
}
_YEAR_BEGINS = 10
"""Until this day a closure in January is New Year's."""


def phase(now: datetime) -> str:
    """Return ``open``, ``early_trading``, ``late_trading`` or ``closed``: the shares' market."""
    local = now.astimezone(sessions.NEW_YORK)
    day = local.date()
    if not sessions.is_session("XNYS", day):
        return "closed"
    if sessions.session_open("XNYS", day) <= now < sessions.session_close("XNYS", day):
        return "open"
    if _EARLY <= local.time() < _LATE:
        return "early_trading" if now < sessions.session_open("XNYS", day) else "late_trading"
    return "closed"


def index_phase(now: datetime) -> str:
    """Return the phase of an index in the vendor's words."""
    return {"open": "regular_trading"}.get(phase(now), phase(now))


def status_now(now: datetime) -> dict[str, Any]:
    """Return the body of the market's status at an instant [UTC]."""
    found = phase(now)
    market = "extended-hours" if found.endswith("_trading") else found
    indices = "open" if found == "open" else "closed"
    return {
        "market": market,
        "earlyHours": found == "early_trading",
        "afterHours": found == "late_trading",
        "serverTime": now.astimezone(sessions.NEW_YORK).isoformat(timespec="seconds"),
        "exchanges": dict.fromkeys(("nyse", "nasdaq", "otc"), market),
        "currencies": {"fx": "open" if now.weekday() < 5 else "closed", "crypto": "open"},
        "indicesGroups": dict.fromkeys(_INDEX_GROUPS, indices),
    }


def upcoming(now: datetime) -> list[dict[str, str]]:
    """Return the closures and early closes of the year that follows, one row per exchange."""
    today = now.astimezone(sessions.NEW_YORK).date()
    special = us_sessions.CLOSURES | us_sessions.EARLY_CLOSES
    days = sorted(d for d in special if today <= d <= today + timedelta(days=365))
    return [_row(day, exchange) for day in days for exchange in _EXCHANGES]


def _row(day: date, exchange: str) -> dict[str, str]:
    names = _HOLIDAYS.get(day.month, ("Special Closing",))
    name = names[-1] if day.day > _YEAR_BEGINS else names[0]
    row = {"exchange": exchange, "name": name, "date": day.isoformat()}
    if day in us_sessions.CLOSURES:
        return row | {"status": "closed"}
    opened, closed = (f(day) for f in (_opened, _closed))
    return row | {"status": "early-close", "open": opened, "close": closed}


def _opened(day: date) -> str:
    return _stamp(sessions.session_open("XNYS", day))


def _closed(day: date) -> str:
    return _stamp(sessions.session_close("XNYS", day))


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

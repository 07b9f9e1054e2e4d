"""Partitions: one per session of a calendar.

Belongs here: how sessions become Dagster partition keys. Does not belong here: which days trade
(`domain/sessions.py`), or when runs start (`schedules`).

Holidays are excluded one by one and weekends by cron: a Monday-to-Friday cron as the schedule would
make Friday's partition exist only on Monday. ``end_offset=1`` makes today's partition exist while
its session runs; the last key on a Saturday is therefore next Monday's, so keys are picked by date.
"""

from __future__ import annotations

from datetime import date, datetime, time
from functools import cache

import dagster as dg

from dealer_assets.domain import us_sessions
from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.settings import settings
from dealer_assets.underlyings import Calendar

_WEEKENDS = "0 0 * * 0,6"
SLUGS: dict[Calendar, str] = {"XNYS": "xnys", "24/7": "always"}
"""How a calendar is written in the names of jobs and schedules."""


@cache
def partitions_of(calendar: Calendar) -> dg.DailyPartitionsDefinition:
    """Return the date partitions of a calendar, one object for all of its lanes."""
    first = settings().first_session
    if calendar == "24/7":
        return dg.DailyPartitionsDefinition(first.isoformat(), timezone="UTC", end_offset=1)
    closures = [d for d in sorted(us_sessions.CLOSURES) if d >= first]
    return dg.DailyPartitionsDefinition(
        first.isoformat(),
        timezone=str(NEW_YORK),
        end_offset=1,
        exclusions=[_WEEKENDS, *(datetime.combine(d, time(0), NEW_YORK) for d in closures)],
    )


def session_of_key(key: str) -> date:
    """Return the session date of a partition key."""
    return date.fromisoformat(key)

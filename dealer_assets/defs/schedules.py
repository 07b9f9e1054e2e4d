"""Schedules: every minute, every hour, end of day; the calendar decides, not cron alone.

Belongs here: when jobs start. Does not belong here: what they select (`jobs`).
Cron proposes the ticks, in the calendar's own time zone so that daylight saving needs no care; the
exchange calendar disposes: holidays, early closes and weekends are skipped with the reason shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from dealer_assets.defs.jobs import calendars, job_name
from dealer_assets.defs.partitions import SLUGS
from dealer_assets.domain import sessions
from dealer_assets.settings import settings
from dealer_assets.underlyings import Calendar

_ZONE: dict[Calendar, str] = {"XNYS": "America/New_York", "24/7": "UTC"}
_MINUTES: dict[Calendar, Sequence[str]] = {
    # three crons make the ticks 09:30 to 16:31; one cron over 9-16 would fire 480 times a day.
    # A provider that is 15 minutes behind shows the last quotes, of 16:15, at 16:30
    "XNYS": ("30-59 9 * * 1-5", "* 10-15 * * 1-5", "0-31 16 * * 1-5"),
    "24/7": ("* * * * *",),
}
_HOURS: dict[Calendar, Sequence[str]] = {
    # what minutes read and do not make (settled positions, traded volume) is there from the first
    # minutes on; a provider that is 15 minutes behind has nothing at 09:32 and comes at 09:47
    "XNYS": ("32 9 * * 1-5", "47 9 * * 1-5", "2 10-16 * * 1-5"),
    "24/7": ("2 * * * *",),
}
_MORNING: dict[Calendar, str] = {"XNYS": "5 11 * * 1-5", "24/7": "5 11 * * *"}
_END_OF_DAY: dict[Calendar, str] = {"XNYS": "35 16 * * 1-5", "24/7": "5 0 * * *"}
# half an hour after the last quotes, and a minute: `lake/compaction.py` refuses to come earlier
_COMPACTION: dict[Calendar, str] = {"XNYS": "46 16 * * 1-5", "24/7": "31 0 * * *"}


def intraday_tick(
    calendar: Calendar, at: datetime, *, job: str, delay: timedelta = timedelta(0)
) -> dg.RunRequest | dg.SkipReason:
    """Request the running session's partition while its quotes can be read; else say why not.

    `delay` is how far behind the market the provider is.
    """
    seen = at - delay
    day = sessions.session_of(calendar, seen)
    if not sessions.is_open(calendar, seen):
        close = sessions.quotes_end(calendar, day)
        return dg.SkipReason(
            f"{calendar} is closed at {at:%Y-%m-%d %H:%M} UTC; last quotes {close}"
        )
    return dg.RunRequest(
        run_key=f"{job}-{at:%Y%m%dT%H%M}", job_name=job, partition_key=day.isoformat()
    )


def end_of_day_tick(calendar: Calendar, at: datetime, *, job: str) -> dg.RunRequest | dg.SkipReason:
    """Request the session that has just ended; a holiday's tick finds nothing new and skips."""
    day = sessions.session_of(calendar, at)
    if calendar == "24/7":
        day = sessions.previous_session(calendar, day)
    elif day != at.astimezone(sessions.NEW_YORK).date():
        return dg.SkipReason(f"{at:%Y-%m-%d} is no session of {calendar}")
    return dg.RunRequest(run_key=f"{job}-end-{day}", job_name=job, partition_key=day.isoformat())


def morning_tick(calendar: Calendar, at: datetime, *, job: str) -> dg.RunRequest | dg.SkipReason:
    """Request the session before the running day: what is published about it is out by now."""
    day = sessions.session_of(calendar, at)
    if calendar != "24/7" and day != at.astimezone(sessions.NEW_YORK).date():
        return dg.SkipReason(f"{at:%Y-%m-%d} is no session of {calendar}")
    before = sessions.previous_session(calendar, day)
    return dg.RunRequest(
        run_key=f"{job}-morning-{before}", job_name=job, partition_key=before.isoformat()
    )


def _tick_time(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(UTC)


def _intraday(
    name: str, crons: Sequence[str], calendar: Calendar, job: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{name}_{SLUGS[calendar]}",
        cron_schedule=list(crons),
        execution_timezone=_ZONE[calendar],
        job_name=job,
        description=f"{name} while {calendar} options quote: job {job} on today's partition.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return intraday_tick(calendar, _tick_time(context), job=job, delay=settings().delay)

    return tick


def _after_close(
    name: str, crons: dict[Calendar, str], calendar: Calendar, job: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{name}_{SLUGS[calendar]}",
        cron_schedule=crons[calendar],
        execution_timezone=_ZONE[calendar],
        job_name=job,
        description=f"After the last quotes of a {calendar} session: job {job} on it.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return end_of_day_tick(calendar, _tick_time(context), job=job)

    return tick


def _morning(calendar: Calendar, job: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"morning_{SLUGS[calendar]}",
        cron_schedule=_MORNING[calendar],
        execution_timezone=_ZONE[calendar],
        job_name=job,
        description=f"What is published the morning after a {calendar} session: job {job}.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return morning_tick(calendar, _tick_time(context), job=job)

    return tick


@dg.definitions
def defs() -> dg.Definitions:
    """Five schedules per calendar; all start stopped, the user turns them on in the UI."""
    schedules: list[dg.ScheduleDefinition] = []
    for calendar in calendars():
        session = job_name("session", calendar)
        schedules += [
            _intraday("every_minute", _MINUTES[calendar], calendar, job_name("intraday", calendar)),
            _intraday("every_hour", _HOURS[calendar], calendar, session),
            _after_close("end_of_day", _END_OF_DAY, calendar, session),
            _after_close("compaction", _COMPACTION, calendar, job_name("compaction", calendar)),
            _morning(calendar, job_name("morning", calendar)),
        ]
    return dg.Definitions(schedules=schedules)

"""The pipeline with its clock moved into a trading session, for `minute_ticks.py`.

A rehearsal needs an open market on any day of the week: the platform's clock and the schedule's
ticks are moved by the same number of seconds, everything else is what production runs.
"""

import os
from datetime import UTC, timedelta

import dagster as dg

from dealer_assets.definitions import build
from dealer_assets.defs.resources import Platform
from dealer_assets.defs.schedules import intraday_tick

OFFSET = int(os.environ["BENCH_CLOCK_OFFSET_SECONDS"])


@dg.schedule(
    cron_schedule="* * * * *",
    job_name="intraday_xnys",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def rehearsed_minute(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every minute of the wall clock is a minute of the rehearsed session."""
    at = context.scheduled_execution_time.astimezone(UTC) + timedelta(seconds=OFFSET)
    return intraday_tick("XNYS", at, job="intraday_xnys")


defs = dg.Definitions.merge(
    build(Platform(clock_offset_seconds=OFFSET)), dg.Definitions(schedules=[rehearsed_minute])
)

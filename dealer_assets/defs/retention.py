"""The job that moves old sessions to the next tier, and its schedule.

Belongs here: op, job, schedule. Does not belong here: what is due, and the moves
(`lake/retention.py`). It shares the pool of the marts' build: models read files by glob, and must
not find a session twice while its parts are moved.
"""

from typing import Any

import dagster as dg

from dealer_assets.defs.resources import Platform
from dealer_assets.lake.retention import Windows, retain as carry_out_all

JOB = "retention"


@dg.op(
    name="retain_sessions",
    pool="warehouse",
    description="Packs, folds and sends away what is due, one partition after the other.",
)
def retain_sessions(context: dg.OpExecutionContext, platform: Platform) -> None:
    """Do what is due; partitions that had to stay fail the run when all others are done."""
    settings, lake = platform.settings, platform.lake()
    if not lake.is_local:
        _require_alone(context)
    windows = Windows(settings.retention_hot_sessions, settings.retention_warm_sessions)
    done = list(carry_out_all(lake, platform.now(), windows))
    moved = [one for one in done if not one.problem]
    told: dict[str, Any] = {
        "partitions_moved": len(moved),
        "bytes_before": sum(one.step.bytes for one in moved),
        "bytes_after": sum(one.bytes_after for one in moved),
    }
    context.log.info(f"retention: {told}")
    problems = [one.problem for one in done if one.problem]
    if problems:
        raise dg.Failure("\n".join(problems), metadata=told, allow_retries=False)


def _require_alone(context: dg.OpExecutionContext) -> None:
    """Refuse to run beside others: a lake on S3 cannot hold writers off."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    others = [r for r in context.instance.get_runs(filters) if r.run_id != context.run_id]
    if others:
        raise dg.Failure(
            f"{len(others)} other runs are at work (first: {others[0].job_name} "
            f"{others[0].run_id[:8]}), and a lake on S3 cannot hold them off: expected none; start "
            "the job again when they have ended",
            allow_retries=False,
        )


@dg.job(
    name=JOB,
    executor_def=dg.in_process_executor,
    description="Old sessions: parts into one file a table, older ones to cold storage.",
)
def retention() -> None:
    """One op over the whole lake."""
    retain_sessions()


RETENTION_SCHEDULE = dg.ScheduleDefinition(
    name="retention_daily",
    job=retention,
    cron_schedule="20 3 * * *",
    execution_timezone="America/New_York",
    description="Every night, when no US session runs and publishers are asleep.",
)


@dg.definitions
def defs() -> dg.Definitions:
    """One job and its schedule; it starts stopped, as all do."""
    return dg.Definitions(jobs=[retention], schedules=[RETENTION_SCHEDULE])

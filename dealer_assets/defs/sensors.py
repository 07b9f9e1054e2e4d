"""Sensors: files in the inbox, and runs that failed.

Belongs here: what is watched, and the requests that follow. Does not belong here: what happens to a
file (`inbox`), or schedules.
"""

import json
from datetime import UTC, datetime

import dagster as dg

from dealer_assets.defs.delivered import events_of
from dealer_assets.defs.jobs import SESSION_TABLES
from dealer_assets.defs.partitions import partitions_of
from dealer_assets.defs.resources import Platform
from dealer_assets.intake.inbox import Delivery, identity, put_away, take, waiting
from dealer_assets.settings import settings
from dealer_assets.tables import CHAIN_SNAPSHOTS
from dealer_assets.underlyings import underlying

_FILES_PER_TICK = 5
"""A file takes up to a second to import, and a sensor tick may last sixty."""


def partition_requests(deliveries: list[Delivery]) -> list[dg.RunRequest]:
    """Request every table of each partition that a delivery touched, once per partition."""
    requests: dict[tuple[str, str], dg.RunRequest] = {}
    for delivery in deliveries:
        for outcome in delivery.outcomes:
            if outcome.table != CHAIN_SNAPSHOTS.name:
                continue  # nothing is derived from it yet; `events_of` reports it
            if outcome.underlying not in settings().lanes or outcome.session_date is None:
                continue  # refused, or an underlying without a lane: `dealer backfill` builds it
            key = outcome.session_date.isoformat()
            partitions = partitions_of(underlying(outcome.underlying).calendar)
            if not partitions.has_partition_key(key):
                continue  # stored, but before DEALER_FIRST_SESSION: the graph has no such partition
            requests[outcome.underlying, key] = dg.RunRequest(
                run_key=f"inbox:{identity(delivery.path)}:{outcome.underlying}:{key}",
                partition_key=key,
                asset_selection=[
                    dg.AssetKey([outcome.underlying, table.name]) for table in SESSION_TABLES
                ],
                tags={"dealer/source": delivery.path.name},
            )
    return list(requests.values())


@dg.sensor(
    name="inbox",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=dg.AssetSelection.all(),
    description=(
        "A chain file dropped into the inbox folder becomes a snapshot and a run of its partition; "
        "a bad one goes to inbox/rejected with the reason beside it."
    ),
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Import waiting files; put away those whose runs the previous tick has requested.

    The cursor lists imported files and why any was refused. Dagster stores it together with the
    run requests, so a file is moved only when its runs are certain, and a crash repeats an import,
    which changes nothing.
    """
    folder = platform.settings.inbox
    folder.mkdir(parents=True, exist_ok=True)
    recorded: dict[str, list[str]] = json.loads(context.cursor) if context.cursor else {}
    for path in waiting(folder):
        if identity(path) in recorded:
            put_away(path, recorded[identity(path)])
    new = waiting(folder)[:_FILES_PER_TICK]
    if not new:
        context.update_cursor("{}")
        return dg.SkipReason(f"no new file in {folder}")
    deliveries = take(platform.lake(), new, curves_since=platform.settings.first_curve)
    for delivery in deliveries:
        for outcome in delivery.outcomes:
            context.log.info(f"{outcome.source}: {outcome.status} {outcome.reason}")
    return dg.SensorResult(
        run_requests=partition_requests(deliveries),
        asset_events=events_of([o for d in deliveries for o in d.outcomes]),
        cursor=json.dumps({identity(d.path): d.refusals for d in deliveries}),
    )


@dg.run_failure_sensor(
    name="run_failure",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
    description="Every failed run becomes one line in the alert log and in the daemon's log.",
)
def run_failure_sensor(context: dg.RunFailureSensorContext) -> None:
    """Append one JSON line per failed run to the alert log."""
    run = context.dagster_run
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run.run_id,
        "job": run.job_name,
        "partition": run.tags.get("dagster/partition"),
        "message": context.failure_event.message,
        "steps": [event.step_key for event in context.get_step_failure_events()],
    }
    path = settings().alert_log
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    context.log.error(f"run {run.run_id} of {run.job_name} failed: {line['message']}")


@dg.definitions
def defs() -> dg.Definitions:
    """Sensors of this module."""
    return dg.Definitions(sensors=[inbox_sensor, run_failure_sensor])

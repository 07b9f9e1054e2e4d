"""Sensors: files in the inbox, runs that failed and those that succeeded after one.

Belongs here: what is watched, and the requests that follow. Does not belong here: what happens to a
file (`inbox`), or schedules.
"""

import json
from datetime import UTC, datetime

import dagster as dg

from dealer_assets.alerts.redaction import redacted
from dealer_assets.defs.alerts import store_of
from dealer_assets.defs.delivered import events_of
from dealer_assets.defs.jobs import SESSION_TABLES
from dealer_assets.defs.partitions import partitions_of
from dealer_assets.defs.resources import Platform
from dealer_assets.domain.alerting import quality
from dealer_assets.domain.alerting.table import Rule, rules_of
from dealer_assets.errors import BadInputError
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
    description="Every failed run becomes an alert and one line in the daemon's log.",
)
def run_failure_sensor(context: dg.RunFailureSensorContext, platform: Platform) -> None:
    """Raise one alert per failed run, dated by the run's end: seen twice, it is one."""
    run, rule = context.dagster_run, _failed_run_rule(platform)
    message = redacted(str(context.failure_event.message))
    context.log.error(f"run {run.run_id} of {run.job_name} failed: {message}")
    if not rule.is_on:
        return
    found = quality.failed_run(
        rule,
        job=what_ran(run),
        partition=run.tags.get("dagster/partition"),
        run_id=run.run_id,
        message=message,
        steps=[str(event.step_key) for event in context.get_step_failure_events()],
        at=_end_of(context, platform),
    )
    with store_of(platform) as store:
        store.raise_alerts(found.alerts, platform.now())


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="run_success",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
    description="A run that succeeds resolves the alert of the same job and partition.",
)
def run_success_sensor(context: dg.RunStatusSensorContext, platform: Platform) -> None:
    """Resolve what a run of the same job and partition had raised before."""
    if not platform.settings.alert_store.exists():
        return
    run = context.dagster_run
    found = quality.run_succeeded(
        _failed_run_rule(platform),
        job=what_ran(run),
        partition=run.tags.get("dagster/partition"),
        at=_end_of(context, platform),
    )
    with store_of(platform) as store:
        store.raise_alerts((), platform.now(), endings=found.endings)


def what_ran(run: dg.DagsterRun) -> str:
    """Return a run's job; of a run of chosen assets the first of them and how many there are.

    Such runs have no job of their own: the success of other assets must not end their alert.
    """
    if not run.asset_selection or not run.job_name.startswith("__"):
        return run.job_name
    names = sorted(key.to_user_string() for key in run.asset_selection)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more assets"


def _failed_run_rule(platform: Platform) -> Rule:
    """Return the rule; as declared where the setting is wrong, which runs then fail of."""
    try:
        return rules_of(platform.settings.alert_rules)["failed_run"]
    except BadInputError:
        return rules_of("")["failed_run"]


def _end_of(context: dg.RunStatusSensorContext, platform: Platform) -> datetime:
    """Return when a run had ended; where nobody wrote it down, now."""
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    if record is None or record.end_time is None:
        return platform.now()
    return datetime.fromtimestamp(record.end_time, UTC)


@dg.definitions
def defs() -> dg.Definitions:
    """Sensors of this module."""
    return dg.Definitions(sensors=[inbox_sensor, run_failure_sensor, run_success_sensor])

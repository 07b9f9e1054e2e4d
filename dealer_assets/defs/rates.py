"""Rate assets: Treasury's curve and the overnight fixings, under USD.

Belongs here: asset shells, their job and schedule. Does not belong here: reading publishers
(`providers`), or what a curve says (`domain/rates.py`).
"""

from collections.abc import Mapping
from datetime import UTC, date, timedelta
from typing import Any

import dagster as dg

from dealer_assets import tables
from dealer_assets.curves import CURRENCY
from dealer_assets.defs.checks import check_specs, schema_result
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.resources import Platform
from dealer_assets.intake.published import collect_curves, collect_fixings
from dealer_assets.lake.reader import list_parts, read_part, sessions_held

TREASURY_KEY = dg.AssetKey([CURRENCY, tables.TREASURY_CURVE.name])
FIXINGS_KEY = dg.AssetKey([CURRENCY, tables.REFERENCE_RATES.name])
_LATEST = timedelta(days=7)
_SIMULATED = "not asked: simulated chains bring their own curve"


@dg.asset(
    key=TREASURY_KEY,
    description=f"{tables.TREASURY_CURVE.doc} Grain: {tables.TREASURY_CURVE.grain}.",
    partitions_def=partitions_of("XNYS"),
    group_name="rates",
    kinds={"parquet"},
    check_specs=check_specs(tables.TREASURY_CURVE, TREASURY_KEY),
)
def treasury_curve(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Par yields of the partition's date, and of the week before it where those are missing."""
    first, last = _dates(context)
    with platform.rates() as rates:
        if rates is None:
            return _result(tables.TREASURY_CURVE, platform, last, {"treasury": _SIMULATED})
        stored, findings = collect_curves(platform.lake(), rates, first, last)
    told = ", ".join(finding.code for finding in findings) or "none"
    counts = {"curves_written": stored.written, "curves_held": stored.held, "findings": told}
    return _result(tables.TREASURY_CURVE, platform, last, counts)


@dg.asset(
    key=FIXINGS_KEY,
    description=f"{tables.REFERENCE_RATES.doc} Grain: {tables.REFERENCE_RATES.grain}.",
    partitions_def=partitions_of("XNYS"),
    group_name="rates",
    kinds={"parquet"},
    check_specs=check_specs(tables.REFERENCE_RATES, FIXINGS_KEY),
)
def reference_rates(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """SOFR, EFFR and FRED's series of the partition's date and of the week before it."""
    first, last = _dates(context)
    with platform.rates() as rates:
        if rates is None:
            return _result(tables.REFERENCE_RATES, platform, last, {"rates": _SIMULATED})
        outcomes = collect_fixings(platform.lake(), rates, first, last)
    told = {finding.code for outcome in outcomes for finding in outcome.findings}
    rows = sum(outcome.contracts for outcome in outcomes)
    counts = {"rows": rows, "findings": ", ".join(sorted(told)) or "none"}
    return _result(tables.REFERENCE_RATES, platform, last, counts)


def _result(
    table: tables.Table, platform: Platform, last: date, metadata: Mapping[str, Any]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Report a refresh, and the schema check of the newest date held up to the partition's."""
    lake = platform.lake()
    days = [day for day in sessions_held(lake, table, CURRENCY) if day <= last][-1:]
    parts = [part for day in days for part in list_parts(lake, table, CURRENCY, day)]
    rows = [read_part(lake, table, part) for part in parts]
    newest = days[0] if days else last
    return dg.MaterializeResult(
        metadata={**metadata, "newest_date": newest.isoformat() if days else "none"},
        check_results=[schema_result(table, rows, symbol=CURRENCY, session_date=newest)],
    )


def _dates(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """Return the range and the week before: a fixing is published the morning after its date."""
    keys = context.partition_key_range
    return session_of_key(keys.start) - _LATEST, session_of_key(keys.end)


RATES_JOB = dg.define_asset_job(
    "rates",
    selection=dg.AssetSelection.assets(TREASURY_KEY, FIXINGS_KEY),
    executor_def=dg.in_process_executor,
    description="Treasury's curve and the overnight fixings of a date.",
)


@dg.schedule(
    name="rates_daily",
    cron_schedule=["45 8 * * 1-5", "35 18 * * 1-5"],
    execution_timezone="America/New_York",
    job=RATES_JOB,
    description="After the fixings of the morning and the curve of the evening.",
)
def rates_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request the newest session's date; a holiday has neither."""
    at = context.scheduled_execution_time.astimezone(UTC)
    key = at.date().isoformat()
    if not partitions_of("XNYS").has_partition_key(key):
        return dg.SkipReason(f"{key} is no session: nothing is published")
    return dg.RunRequest(run_key=f"rates-{at:%Y%m%dT%H%M}", partition_key=key)


@dg.definitions
def defs() -> dg.Definitions:
    """Two assets, their job and their schedule."""
    return dg.Definitions(
        assets=[treasury_curve, reference_rates], jobs=[RATES_JOB], schedules=[rates_daily]
    )

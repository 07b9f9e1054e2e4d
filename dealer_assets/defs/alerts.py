"""Alert assets: rules asked of a session, and the history of its alerts as a lake table.

Belongs here: asset shells, and the sensors that need no run: data and feeds are watched where runs
stop, and what users do to alerts comes into the lake. Does not belong here: rules
(`domain/alerting`), what they are shown (`derived/alert_view.py`), sending (`alert_delivery`).
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from dealer_assets import tables
from dealer_assets.alerts.model import PLATFORM, Raised
from dealer_assets.alerts.store import AlertStore
from dealer_assets.defs.checks import check_specs, evaluate
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.alert_view import View
from dealer_assets.derived.alerting import (
    Exported,
    about_data,
    about_market,
    export_session,
    hand_over,
    is_exported,
)
from dealer_assets.domain import sessions
from dealer_assets.domain.alerting.table import rules_of
from dealer_assets.lake.refresh import Refreshed
from dealer_assets.settings import settings
from dealer_assets.underlyings import Underlying, underlying

PLATFORM_KEY = dg.AssetKey([PLATFORM, tables.ALERTS.name])

_HISTORY_SECONDS = 900
"""How often alerts that changed outside a run come into the lake."""

_OVERLAP = timedelta(minutes=10)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def store_of(platform: Platform) -> AlertStore:
    """Open the alert store."""
    hours = platform.settings.alert_max_age_hours
    return AlertStore(platform.settings.alert_store, deliver_within=timedelta(hours=hours))


def view_of(platform: Platform, asset: Underlying, day: date) -> View:
    """Return what the rules are shown of a session."""
    told = platform.settings
    kept = told.alert_store.with_name("looked_at")
    return View(platform.lake(), asset, day, platform.now(), told.delay, kept)


@lane_assets(
    tables.ALERTS,
    also_after=(
        tables.EXPOSURE_LEVELS,
        tables.DEALER_REGIMES,
        tables.STRIKE_CHANGES,
        tables.ANOMALY_SCORES,
        tables.UNDERLYING_SCORES,
    ),
    group="alerts",
)
def alerts(lane: Lane) -> Result:
    """Alerts of a session: rules asked, what is new taken once, every step of their lives told.

    A rerun raises nothing twice. What is older than `DEALER_ALERT_MAX_AGE_HOURS` is told and never
    sent, so that sessions of the past can be filled in.
    """
    from dealer_assets.reports.alert_pictures import alerts_picture

    rules = rules_of(lane.platform.settings.alert_rules)
    view = view_of(lane.platform, lane.underlying, lane.session_date)
    found = about_market(view, rules, model=lane.platform.settings.model) + about_data(view, rules)
    with store_of(lane.platform) as store:
        raised = hand_over(store, view, found)
        exported = export_session(lane.lake, store, lane.underlying.symbol, lane.session_date)
    picture = lane.picture(lambda: alerts_picture(exported.rows))
    return lane.result(_refreshed(exported), {"alerts": picture, **_told(raised)})


def _refreshed(exported: Exported) -> Refreshed:
    written = ("session",) if exported.is_changed else ()
    return Refreshed(written, int(not written), 0, exported.rows.num_rows)


def _told(raised: Raised) -> dict[str, int]:
    return {
        "alerts_raised": len(raised.taken),
        "alerts_held_already": len(raised.duplicates),
        "alerts_cooled_down": len(raised.cooled),
        "alerts_ended": len(raised.ended),
    }


@dg.asset(
    key=PLATFORM_KEY,
    partitions_def=partitions_of("24/7"),
    group_name=PLATFORM.lower(),
    kinds={"parquet"},
    tags={"layer": "alerts", "underlying": PLATFORM},
    description=f"Failed runs, by UTC day. {tables.ALERTS.doc} Grain: {tables.ALERTS.grain}.",
    check_specs=check_specs(tables.ALERTS, PLATFORM_KEY),
    code_version=str(tables.ALERTS.version),
)
def platform_alerts(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare class
    """Alerts that concern no underlying alone, as the store holds them."""
    from dealer_assets.reports.alert_pictures import alerts_picture
    from dealer_assets.reports.pictures import markdown_image

    day = session_of_key(context.partition_key)
    with store_of(platform) as store:
        exported = export_session(platform.lake(), store, PLATFORM, day)
    of_platform = replace(underlying(settings().lanes[0]), symbol=PLATFORM)
    return dg.MaterializeResult(
        metadata={
            "alerts": dg.MetadataValue.md(markdown_image(alerts_picture(exported.rows))),
            "dagster/row_count": exported.rows.num_rows,
            "parts_written": int(exported.is_changed),
        },
        check_results=evaluate(
            tables.ALERTS, [exported.rows], underlying=of_platform, session_date=day
        ),
    )


@dg.sensor(
    name="alert_watch",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Asks the rules about data and feeds of every session that quotes now: where data is bad, "
        "runs stop and could not tell. Old alerts that nobody resolved lapse."
    ),
)
def alert_watch_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Look at data and feeds once; nothing is computed."""
    raised = watch(platform)
    for symbol, told in raised.items():
        if told.taken or told.ended:
            context.log.info(f"{symbol}: {len(told.taken)} alerts raised, {len(told.ended)} ended")
    return dg.SkipReason(f"looked at {', '.join(raised) or 'nothing: no session quotes'}")


def watch(platform: Platform) -> dict[str, Raised]:
    """Ask the rules about data and feeds of every running session; return what came of it."""
    rules = rules_of(platform.settings.alert_rules)
    seen = platform.now() - platform.settings.delay
    raised: dict[str, Raised] = {}
    with store_of(platform) as store:
        store.lapse(platform.now())
        for lane in map(underlying, settings().lanes):
            if sessions.is_open(lane.calendar, seen):
                view = view_of(platform, lane, sessions.session_of(lane.calendar, seen))
                raised[lane.symbol] = hand_over(store, view, about_data(view, rules))
    return raised


@dg.sensor(
    name="alert_history",
    minimum_interval_seconds=_HISTORY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=dg.AssetSelection.assets(PLATFORM_KEY)
    | dg.AssetSelection.assets(
        *(dg.AssetKey([symbol, tables.ALERTS.name]) for symbol in settings().lanes)
    ),
    description=(
        "Alerts that were sent, acknowledged or resolved outside a run come into the lake: a run "
        "of the alerts asset for each session concerned."
    ),
)
def alert_history_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Request the sessions whose alerts changed since the last tick; its cursor is that instant.

    It looks back beyond it: a step is dated before it waits for its turn to be written, and the
    clock may have been set back.
    """
    now = platform.now()
    cursor = datetime.fromisoformat(context.cursor) if context.cursor else _NEVER
    since = max(min(cursor, now) - _OVERLAP, _NEVER)
    if not platform.settings.alert_store.exists():
        return dg.SkipReason("no alert was raised yet")
    with store_of(platform) as store:
        changed = [
            (symbol, day)
            for symbol, day in store.sessions_changed(since)
            if not is_exported(platform.lake(), store, symbol, day)
        ]
    requests = [request for what in changed if (request := _request(*what, now=now))]
    return dg.SensorResult(run_requests=requests, cursor=now.isoformat())


def _request(symbol: str, day: date, *, now: datetime) -> dg.RunRequest | None:
    """Request one session's alerts; None where the graph has no such partition."""
    calendar = "24/7"
    if symbol != PLATFORM:
        if symbol not in settings().lanes:
            return None
        calendar = underlying(symbol).calendar
    if not partitions_of(calendar).has_partition_key(day.isoformat()):
        return None
    return dg.RunRequest(
        run_key=f"alerts:{symbol}:{day}:{now:%Y%m%dT%H%M%S}",
        partition_key=day.isoformat(),
        asset_selection=[dg.AssetKey([symbol, tables.ALERTS.name])],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Alerts of every lane and of the platform, and their two sensors."""
    return dg.Definitions(
        assets=[*alerts, platform_alerts], sensors=[alert_watch_sensor, alert_history_sensor]
    )

"""Live tables: what the streaming process writes, and how Dagster hears of it.

Belongs here: their place in the lineage, their checks, the sensors that look into the lake. Does
not belong here: the streaming process, which knows nothing of Dagster; verdicts
(`domain/flow/watch.py`); reading live parts (`live_sessions`); what a session's end asks for
(`live_close`).

No run makes a live table. Where a web server is configured (DEALER_DAGSTER_URL) the streaming
process reports to it; where none is, the sensor `live_parts` finds the parts. Checks are judged by
the sensor `live_checks`, without a run: a process a minute would cost more than the stream.
"""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.rates import TREASURY_KEY
from dealer_assets.defs.resources import Platform
from dealer_assets.derived import live_sessions
from dealer_assets.derived.live_sessions import Judged
from dealer_assets.domain import sessions
from dealer_assets.settings import settings
from dealer_assets.underlyings import Underlying, underlying

_PARTS_EVERY_SECONDS = 300
_CHECKS_EVERY_SECONDS = 60
_ENDED_WATCHED_FOR = timedelta(hours=1)
"""A 24/7 session is followed by the next without a pause: its last parts come after that has begun,
and `compaction` folds it within the hour."""
_REPEAT_AFTER = timedelta(minutes=15)
"""A verdict that stays the same is told again this often: each is a row in Dagster's database."""

_MADE_OF: dict[str, tuple[tables.Table, ...]] = {
    tables.LIVE_TRADES.name: (tables.LISTED_CONTRACTS,),
    tables.LIVE_GAMMA.name: (
        tables.LISTED_CONTRACTS,
        tables.OPEN_INTEREST,
        tables.DEALER_POSITIONS,
        tables.LIVE_TRADES,
    ),
    tables.LIVE_STRIKES.name: (tables.OPEN_INTEREST, tables.LIVE_TRADES),
    tables.LIVE_FLOW.name: (tables.LIVE_TRADES,),
    tables.LIVE_CONTRACT_FLOW.name: (tables.LIVE_TRADES,),
}
"""What of the lake a live table rests on: listing, open interest and settled positions as held when
the stream starts. Quotes come from the feed alone; gaps, rejects and heartbeats are of nothing in
the lake."""

_CHECKS = {
    (tables.LIVE_GAMMA.name, live_sessions.FRESH): "Totals keep coming while options quote.",
    (tables.STREAM_HEARTBEATS.name, live_sessions.FRESH): "The process lives while options quote.",
    (tables.STREAM_HEARTBEATS.name, live_sessions.HEALTHY): "The process says that it is well.",
    (tables.FEED_GAPS.name, live_sessions.GAPS): "What a feed missed was fetched afterwards.",
} | {
    (table.name, live_sessions.NUMBERS): "Rows are numbered without holes, each there once."
    for table in tables.LIVE_TABLES
}


def lanes() -> tuple[Underlying, ...]:
    """Return the configured lanes."""
    return tuple(map(underlying, settings().lanes))


def live_specs() -> list[dg.AssetSpec]:
    """Return one external asset for each lane and live table."""
    return [
        dg.AssetSpec(
            dg.AssetKey([lane.symbol, table.name]),
            deps=[
                *(dg.AssetKey([lane.symbol, made.name]) for made in _MADE_OF.get(table.name, ())),
                *([TREASURY_KEY] if table is tables.LIVE_GAMMA and lane.kind != "crypto" else []),
            ],
            description=(
                f"{table.doc} Grain: {table.grain}. Written by the streaming process, part by part."
            ),
            group_name=lane.symbol.lower(),
            kinds={"parquet"},
            tags={"layer": "live", "underlying": lane.symbol},
            partitions_def=partitions_of(lane.calendar),
        )
        for lane in lanes()
        for table in tables.LIVE_TABLES
    ]


def live_checks(lane: Underlying) -> dg.AssetChecksDefinition:
    """Return the checks of a lane's live tables, all judged together."""
    specs = [
        dg.AssetCheckSpec(check, asset=dg.AssetKey([lane.symbol, table]), description=doc)
        for (table, check), doc in _CHECKS.items()
    ]

    @dg.multi_asset_check(specs=specs, name=f"live_checks_{lane.symbol.lower()}")
    def judge(
        context: dg.AssetCheckExecutionContext, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        key = context.run.tags.get("dagster/partition")
        day = session_of_key(key) if key else _current_session(platform, lane)
        for judged in judge_session(platform, lane, day, with_rows=True):
            yield dg.AssetCheckResult(
                asset_key=dg.AssetKey([lane.symbol, judged.table]),
                check_name=judged.check,
                **_told(judged, day),
            )

    return judge


def judge_session(
    platform: Platform, lane: Underlying, day: date, *, with_rows: bool
) -> list[Judged]:
    """Judge a lane's live tables of a session; with the numbers of all rows, or without."""
    lake = platform.lake()
    judged = live_sessions.judge_running(
        lake,
        lane,
        day,
        now=platform.now(),
        seconds_per_part=platform.settings.stream_seconds_per_part,
    )
    return judged + (live_sessions.judge_rows(lake, lane, day) if with_rows else [])


def _told(judged: Judged, day: date) -> dict[str, Any]:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    return {
        "passed": judged.verdict.holds,
        "severity": error if judged.is_grave else warn,
        "description": judged.verdict.text,
        "metadata": {"session": day.isoformat(), **judged.verdict.numbers},
    }


def _current_session(platform: Platform, lane: Underlying) -> date:
    return sessions.session_of(lane.calendar, platform.now())


def _watched_sessions(platform: Platform, lane: Underlying) -> tuple[date, ...]:
    """Return the sessions to look at, ascending: the current one, and one that has just ended."""
    day = _current_session(platform, lane)
    is_new = platform.now() - sessions.session_open(lane.calendar, day) < _ENDED_WATCHED_FOR
    if lane.calendar == "24/7" and is_new:
        return sessions.previous_session(lane.calendar, day), day
    return (day,)


def _watched(platform: Platform) -> list[tuple[Underlying, date]]:
    return [(lane, day) for lane in lanes() for day in _watched_sessions(platform, lane)]


def _cursor(known: dict[str, Any], watched: list[tuple[Underlying, date]]) -> str:
    """Return a cursor without sessions that are looked at no more."""
    kept = tuple(f"{day}/{lane.symbol}/" for lane, day in watched)
    return json.dumps({place: told for place, told in known.items() if place.startswith(kept)})


@dg.sensor(
    name="live_parts",
    minimum_interval_seconds=_PARTS_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "New parts of the live tables of running sessions, and of one just ended, become "
        "materializations. Idle where DEALER_DAGSTER_URL is set: the streaming process then "
        "reports by itself."
    ),
)
def live_parts_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Report each live table that has a part the cursor does not know.

    The cursor names the newest part reported of each session's table. Dagster stores it together
    with the events, so that a crash repeats neither.
    """
    if platform.settings.dagster_url:
        return dg.SkipReason("the streaming process reports to the web server by itself")
    known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    events: list[dg.AssetMaterialization] = []
    lake = platform.lake()
    watched = _watched(platform)
    for lane, day in watched:
        for table in tables.LIVE_TABLES:
            place = f"{day}/{lane.symbol}/{table.name}"
            found = live_sessions.grown(
                lake, table, lane.symbol, day, newer_than=known.get(place, "")
            )
            if found is None:
                continue
            known[place] = found.newest
            events.append(
                dg.AssetMaterialization(
                    asset_key=dg.AssetKey([lane.symbol, table.name]),
                    partition=day.isoformat(),
                    metadata={
                        "dagster/row_count": found.rows,
                        "parts": found.parts,
                        "newest_part": found.newest,
                        "last_row": found.rows - 1,
                        "last_known_at": found.last_known_at.isoformat(),
                        "lag_seconds": (platform.now() - found.last_known_at).total_seconds(),
                    },
                )
            )
    if not events:
        return dg.SkipReason("no new part of a live table in the running sessions")
    return dg.SensorResult(asset_events=events, cursor=_cursor(known, watched))


@dg.sensor(
    name="live_checks",
    minimum_interval_seconds=_CHECKS_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Freshness, health and gaps of the running sessions' live tables, judged every minute; "
        "told when a verdict changes and every quarter of an hour."
    ),
)
def live_checks_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Judge what changes within a session; the cursor holds what was told last, and when.

    The last verdict told is the one that a check's page shows: whatever is told of a session that
    has ended, the current one's verdict is told after it.
    """
    told: dict[str, list[Any]] = json.loads(context.cursor) if context.cursor else {}
    now = platform.now().timestamp()
    events: list[dg.AssetCheckEvaluation] = []
    watched = _watched(platform)
    for lane, day in watched:
        is_closed = now > sessions.quotes_end(lane.calendar, day).timestamp()
        for judged in judge_session(platform, lane, day, with_rows=False):
            place = f"{day}/{lane.symbol}/{judged.table}/{judged.check}"
            state = [judged.verdict.holds, judged.is_grave]
            *before, at = told.get(place, [0.0])
            check = dg.AssetCheckKey(dg.AssetKey([lane.symbol, judged.table]), judged.check)
            is_news = before != state or any(event.asset_check_key == check for event in events)
            if not is_news and (is_closed or now - at < _REPEAT_AFTER.total_seconds()):
                continue
            told[place] = [*state, now]
            events.append(
                dg.AssetCheckEvaluation(
                    asset_key=check.asset_key, check_name=check.name, **_told(judged, day)
                )
            )
    if not events:
        return dg.SkipReason("every verdict is as it was told last")
    return dg.SensorResult(asset_events=events, cursor=_cursor(told, watched))


@dg.definitions
def defs() -> dg.Definitions:
    """Live tables, their checks and sensors."""
    return dg.Definitions(
        assets=live_specs(),
        asset_checks=[live_checks(lane) for lane in lanes()],
        sensors=[live_parts_sensor, live_checks_sensor],
    )

"""Jobs: which assets run together.

Belongs here: selections and executors. Does not belong here: when they run (`schedules`,
`sensors`).

One run serves every lane of a calendar: a Dagster run costs seconds of process start, the work of a
lane costs tenths. The in-process executor saves another process start per step.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs import combined
from dealer_assets.defs.partitions import SLUGS
from dealer_assets.settings import settings
from dealer_assets.underlyings import Calendar, Underlying, underlying

INTRADAY_TABLES = (
    tables.CHAIN_SNAPSHOTS,
    tables.FORWARDS,
    tables.CONTRACT_GREEKS,
    tables.VOL_SURFACE,
    tables.SURFACE_QUALITY,
    tables.DEALER_EXPOSURE,
    tables.GAMMA_PROFILE,
    tables.EXPOSURE_LEVELS,
    tables.EXPOSURE_METRICS,
    tables.DEALER_REGIMES,
    tables.ALERTS,
)
TAPE_TABLES = (
    tables.LISTED_CONTRACTS,
    tables.INDEX_VALUES,
    tables.OPTION_BARS,
    tables.OPTION_TRADES,
    tables.OPTION_QUOTES,
    tables.BLOCK_TRADES,
    tables.SIGNED_FLOW,
)
"""A past session's tape, from which its chains can be put together."""

MORNING_TABLES = (
    tables.ACCOUNT_VOLUME,
    tables.LIVE_RECONCILIATION,
    tables.LEVEL_SCORES,
    tables.SIGNED_FLOW,
    tables.POSITION_SCORES,
    tables.ANOMALY_EVALUATION,
)
"""Published the morning after, and what can be compared with it only then."""

LIVE_COMPACTION = "live_compaction"
"""Asset of a lane that stands for its live parts being folded; it has no table of its own."""

SESSION_TABLES = (
    *INTRADAY_TABLES,
    tables.UNDERLYING_BARS,
    tables.OPEN_INTEREST,
    tables.DEALER_POSITIONS,
    tables.GREEK_SURFACE,
    tables.LEVEL_BAND,
    tables.SCENARIO_GRID,
    tables.VOLUME_DELTAS,
    tables.DATA_ANOMALIES,
    tables.DAILY_HISTORY,
    tables.CONTRACT_FEATURES,
    tables.FEATURE_BASELINES,
    tables.ANOMALY_SCORES,
    tables.PIN_LEVELS,
    tables.STRIKE_CHANGES,
    tables.LEVEL_SCORES,
    tables.SIGNED_FLOW,
    tables.UNDERLYING_SCORES,
)
"""What a minute does not need is left to the hour and the end of day.

Pins and changes by strike are among it: settled positions stand still within a session of US
options, so that from minute to minute prices alone move them; the next run lays out every snapshot
there is, none is passed over. What today's trades change by the minute, the live tables tell.
"""


_TABLES = {
    "intraday": INTRADAY_TABLES,
    "session": SESSION_TABLES,
    "tape": TAPE_TABLES,
    "morning": MORNING_TABLES,
}


def lanes_of(calendar: Calendar) -> tuple[Underlying, ...]:
    """Return the configured lanes that follow a calendar."""
    lanes = (underlying(symbol) for symbol in settings().lanes)
    return tuple(lane for lane in lanes if lane.calendar == calendar)


def calendars() -> tuple[Calendar, ...]:
    """Return the calendars that at least one configured lane follows."""
    return tuple(calendar for calendar in SLUGS if lanes_of(calendar))


def job_name(kind: str, calendar: Calendar) -> str:
    """Return a job's name: ``intraday_xnys``, ``session_always`` …."""
    return f"{kind}_{SLUGS[calendar]}"


def tables_of(kind: str, lane: Underlying) -> tuple[tables.Table, ...]:
    """Return the tables that a job brings up to date for a lane."""
    return tuple(
        table
        for table in _TABLES[kind]
        if table is not tables.BLOCK_TRADES or lane.kind == "crypto"  # elsewhere files bring them
        if table is not tables.UNDERLYING_BARS or lane.kind != "index" or lane.traded_as
    )


def _job(kind: str, calendar: Calendar, doc: str) -> Any:
    keys = [
        dg.AssetKey([lane.symbol, table.name])
        for lane in lanes_of(calendar)
        for table in tables_of(kind, lane)
    ]
    keys += combined.keys() if kind == "session" and calendar == combined.GROUP.calendar else []
    return dg.define_asset_job(
        job_name(kind, calendar),
        selection=dg.AssetSelection.assets(*keys) - _freshness(keys),
        executor_def=dg.in_process_executor,
        description=doc,
        tags={"calendar": SLUGS[calendar]},
    )


def _compaction(calendar: Calendar) -> Any:
    lanes = [lane.symbol for lane in lanes_of(calendar)]
    live = [dg.AssetKey([lane, table.name]) for lane in lanes for table in tables.LIVE_TABLES]
    return dg.define_asset_job(
        job_name("compaction", calendar),
        selection=dg.AssetSelection.assets(*(dg.AssetKey([ln, LIVE_COMPACTION]) for ln in lanes))
        | dg.AssetSelection.checks_for_assets(*live),
        executor_def=dg.in_process_executor,
        description="Checks of a session's live tables, then their parts folded into one each.",
        tags={"calendar": SLUGS[calendar]},
    )


def _freshness(keys: list[dg.AssetKey]) -> dg.AssetSelection:
    """Select the freshness checks: a sensor judges them; a backfill of 2022 is not overdue."""
    levels = [key for key in keys if key.path[-1] == tables.EXPOSURE_LEVELS.name]
    return dg.AssetSelection.checks(*(dg.AssetCheckKey(key, "freshness_check") for key in levels))


@dg.definitions
def defs() -> dg.Definitions:
    """Five jobs per calendar: intraday, session, tape, the morning after, live parts folded."""
    intraday = "Newest snapshot of every lane to exposures and levels."
    session = "Every table of a session, from chains to daily history."
    tape = "A past session's listing, index values, bars, trades and quotes."
    morning = "What is published the morning after a session."
    return dg.Definitions(
        jobs=[
            job
            for calendar in calendars()
            for job in (
                _job("intraday", calendar, intraday),
                _job("session", calendar, session),
                _job("tape", calendar, tape),
                _job("morning", calendar, morning),
                _compaction(calendar),
            )
        ]
    )

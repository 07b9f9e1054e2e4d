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
)
SESSION_TABLES = (
    *INTRADAY_TABLES,
    tables.GREEK_SURFACE,
    tables.LEVEL_BAND,
    tables.SCENARIO_GRID,
    tables.VOLUME_DELTAS,
    tables.DAILY_HISTORY,
)
"""What a minute does not need is left to the hour and the end of day."""


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


def _job(kind: str, calendar: Calendar, wanted: tuple[tables.Table, ...], doc: str) -> Any:
    keys = [
        dg.AssetKey([lane.symbol, table.name]) for lane in lanes_of(calendar) for table in wanted
    ]
    return dg.define_asset_job(
        job_name(kind, calendar),
        selection=dg.AssetSelection.assets(*keys) - _freshness(keys),
        executor_def=dg.in_process_executor,
        description=doc,
        tags={"calendar": SLUGS[calendar]},
    )


def _freshness(keys: list[dg.AssetKey]) -> dg.AssetSelection:
    """Select the freshness checks: a sensor judges them; a backfill of 2022 is not overdue."""
    levels = [key for key in keys if key.path[-1] == tables.EXPOSURE_LEVELS.name]
    return dg.AssetSelection.checks(*(dg.AssetCheckKey(key, "freshness_check") for key in levels))


@dg.definitions
def defs() -> dg.Definitions:
    """Two jobs per calendar: the intraday chain to levels, and the whole session."""
    intraday = "Newest snapshot of every lane to exposures and levels."
    session = "Every table of a session, from chains to daily history."
    return dg.Definitions(
        jobs=[
            job
            for calendar in calendars()
            for job in (
                _job("intraday", calendar, INTRADAY_TABLES, intraday),
                _job("session", calendar, SESSION_TABLES, session),
            )
        ]
    )

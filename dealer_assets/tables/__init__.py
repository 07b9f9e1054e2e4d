"""The data dictionary: every lake table's grain, key, columns, types and units, once.

Belongs here: what a table *is*. The Arrow schema, the blocking schema checks, the dbt sources and
`docs/tables.md` are derived from these entries. Does not belong here: how rows are made (`domain`,
`providers`) or where they lie (`lake/layout.py`).

Two clocks are on every row: `event_at`, the venue's instant the row describes, and `known_at`, the
instant it could first be read. `known_at` of a derived row is the latest `known_at` of its inputs,
never the time of computation, so that a rerun writes the same bytes.
"""

from __future__ import annotations

from dealer_assets.tables.base import (
    CONTRACT,
    EXERCISES,
    FLIP_STATUSES,
    FORWARD_METHODS,
    FORWARD_QUALITIES,
    ID,
    INSTANT,
    IV_REASONS,
    IV_SOURCES,
    MODELS,
    PRICING_MODELS,
    RATE_SOURCES,
    RIGHTS,
    SETTLEMENTS,
    SPOT_SOURCES,
    Column,
    PartKind,
    Table,
)
from dealer_assets.tables.chains import CHAIN_SNAPSHOTS, CHAIN_SOURCES, REJECTED_ROWS
from dealer_assets.tables.exposure import (
    DEALER_EXPOSURE,
    EXPOSURE_LEVELS,
    GAMMA_PROFILE,
    LEVEL_BAND,
    SCENARIO_GRID,
)
from dealer_assets.tables.history import DAILY_HISTORY, VOLUME_DELTAS
from dealer_assets.tables.pricing import CONTRACT_GREEKS, FORWARDS
from dealer_assets.tables.rates import TREASURY_CURVE
from dealer_assets.tables.surface import GREEK_SURFACE, SURFACE_QUALITY, VOL_SURFACE

__all__ = [
    "CHAIN_SNAPSHOTS",
    "CHAIN_SOURCES",
    "CONTRACT",
    "CONTRACT_GREEKS",
    "DAILY_HISTORY",
    "DEALER_EXPOSURE",
    "EXERCISES",
    "EXPOSURE_LEVELS",
    "FLIP_STATUSES",
    "FORWARDS",
    "FORWARD_METHODS",
    "FORWARD_QUALITIES",
    "GAMMA_PROFILE",
    "GREEK_SURFACE",
    "ID",
    "INSTANT",
    "IV_REASONS",
    "IV_SOURCES",
    "LEVEL_BAND",
    "MODELS",
    "PRICING_MODELS",
    "RATE_SOURCES",
    "REJECTED_ROWS",
    "RIGHTS",
    "SCENARIO_GRID",
    "SETTLEMENTS",
    "SPOT_SOURCES",
    "SURFACE_QUALITY",
    "TABLES",
    "TREASURY_CURVE",
    "VOLUME_DELTAS",
    "VOL_SURFACE",
    "Column",
    "PartKind",
    "Table",
    "table",
]

TABLES: tuple[Table, ...] = (
    CHAIN_SNAPSHOTS,
    CHAIN_SOURCES,
    REJECTED_ROWS,
    TREASURY_CURVE,
    FORWARDS,
    CONTRACT_GREEKS,
    VOL_SURFACE,
    GREEK_SURFACE,
    SURFACE_QUALITY,
    DEALER_EXPOSURE,
    EXPOSURE_LEVELS,
    GAMMA_PROFILE,
    LEVEL_BAND,
    SCENARIO_GRID,
    VOLUME_DELTAS,
    DAILY_HISTORY,
)


def table(name: str) -> Table:
    """Return the dictionary entry of a table by name.

    Raises
    ------
    KeyError
        When no table has this name; the message lists those that exist.
    """
    for entry in TABLES:
        if entry.name == name:
            return entry
    raise KeyError(f"no table {name!r}; the dictionary has {[t.name for t in TABLES]}")

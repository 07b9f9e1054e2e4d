"""Rule about single strikes: positions that changed far more than those of their neighbours.

Belongs here: which changes speak, and in which words. Does not belong here: what changed, and
whether it stands out (`domain/exposure/changes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.alerting.alert import Alert, Found
from dealer_assets.domain.alerting.scored import MOST_LISTED
from dealer_assets.domain.alerting.table import Rule

Row = Mapping[str, Any]

CHANGE_COLUMNS = (
    "event_at",
    "known_at",
    "model",
    "strike",
    "spot",
    "position_z",
    "is_alert_candidate",
    "alert_text",
)
"""Columns of `strike_changes` that are read."""


def strike_changed(rule: Rule, underlying: str, day: date, changes: pa.Table) -> Found:
    """Return one alert for each snapshot with strikes whose positions changed enough.

    Parameters
    ----------
    rule : Rule
        Its threshold is a robust z, beyond that of a candidate.
    underlying : str
        Registry symbol.
    day : datetime.date
        Session.
    changes : pyarrow.Table
        `CHANGE_COLUMNS` of `strike_changes`, one model.
    """
    enough = pc.fill_null(pc.greater_equal(pc.abs(changes["position_z"]), rule.threshold), False)
    loud = changes.filter(pc.and_(changes["is_alert_candidate"], enough))
    snapshots: dict[datetime, list[Row]] = {}
    for row in loud.to_pylist():
        snapshots.setdefault(row["event_at"], []).append(row)
    return Found(tuple(_alert(rule, underlying, day, snapshots[at]) for at in sorted(snapshots)))


def _alert(rule: Rule, underlying: str, day: date, rows: list[Row]) -> Alert:
    ordered = sorted(rows, key=lambda row: (-abs(row["position_z"]), row["strike"]))
    top = ordered[0]
    many = f"{len(rows)} strikes" if len(rows) > 1 else "1 strike"
    lines = [str(row["alert_text"]) for row in ordered]
    if len(lines) > MOST_LISTED:
        lines[MOST_LISTED:] = [f"and {len(lines) - MOST_LISTED} more"]
    return rule.alert(
        underlying,
        day,
        event_at=top["event_at"],
        known_at=max(row["known_at"] for row in rows),
        dedupe_key="strikes",
        title=f"positions changed at {many}, most at {top['strike']:,.6g}",
        body="\n".join(lines) + f"\nSpot {top['spot']:,.2f}, position model {top['model']}.",
        facts={
            "strikes": len(rows),
            "first": top["strike"],
            "position_z": top["position_z"],
            "spot": top["spot"],
            "model": top["model"],
        },
    )

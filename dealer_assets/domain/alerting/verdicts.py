"""What must hold of the history of alerts: pure checks of rows.

Belongs here: each check as ``(holds, text, numbers)``. Does not belong here: their names and
whether they block (`invariants`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa

Found = tuple[bool, str, dict[str, float]]

_AFTER = {
    "new": {"new", "delivered", "acknowledged", "resolved"},
    "delivered": {"delivered", "acknowledged", "resolved"},
    "acknowledged": {"acknowledged", "resolved"},
    "resolved": {"resolved"},
}


def steps_are_whole(rows: pa.Table) -> Found:
    """Hold steps against 1, 2, 3, ... from being raised on, and states against their order."""
    bad = sum(not _is_whole(life) for life in _lives(rows))
    text = f"expected steps 1, 2, 3, ... from raised, states forwards only; found {bad} others"
    return bad == 0, text, {"alerts": bad}


def _is_whole(life: list[dict[str, Any]]) -> bool:
    numbered = [row["step"] for row in life] == list(range(1, len(life) + 1))
    states = [row["state"] for row in life]
    forwards = all(b in _AFTER[a] for a, b in pairwise(states))
    return numbered and life[0]["happening"] == "raised" and forwards


def historical_ones_were_not_sent(rows: pa.Table) -> Found:
    """Hold alerts of the past against having been sent."""
    tried = ("attempted", "delivered")
    bad = sum(row["is_historical"] and row["happening"] in tried for row in rows.to_pylist())
    return bad == 0, f"expected no attempt to send what is historical, found {bad}", {"steps": bad}


def _lives(rows: pa.Table) -> list[list[dict[str, Any]]]:
    lives: dict[str, list[dict[str, Any]]] = {}
    for row in rows.select(["alert_id", "step", "happening", "state"]).to_pylist():
        lives.setdefault(row["alert_id"], []).append(row)
    return [sorted(life, key=lambda row: row["step"]) for life in lives.values()]

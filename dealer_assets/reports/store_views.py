"""What the store holds and what is due to move, as terminal tables and JSON.

Belongs here: wording and layout. Does not belong here: counting (`lake/statistics.py`), deciding
(`lake/retention.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from dealer_assets.lake.retention import ACTIONS, Step
from dealer_assets.lake.statistics import Held
from dealer_assets.reports.terminal import plain_table

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_words(count: float) -> str:
    """Say a number of bytes in at most four digits: 999 B, 1.5 MB."""
    for unit in _UNITS:
        if abs(count) < 1000.0 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000.0
    raise AssertionError


def held_view(rows: Sequence[Held]) -> Table:
    """Show what the lake holds, one line per underlying and table; sessions by tier."""
    numbers = ("hot", "warm", "cold", "files", *(("rows",) if _is_counted(rows) else ()), "size")
    table = plain_table("lake", "", "table", "first", "newest", right=numbers)
    for row in sorted(rows, key=lambda row: row.underlying):
        newest = f"{row.newest:%Y-%m-%d %H:%M}" if row.newest else f"{row.last:%Y-%m-%d}"
        counted = (f"{row.rows:,}",) if row.rows is not None else ()
        table.add_row(
            row.underlying,
            row.table,
            str(row.first),
            newest,
            f"{row.single:,}",
            f"{row.packed:,}",
            f"{row.cold:,}",
            f"{row.files:,}",
            *counted,
            size_words(row.bytes),
        )
    return table


def _is_counted(rows: Sequence[Held]) -> bool:
    return any(row.rows is not None for row in rows)


def totals(rows: Sequence[Held]) -> dict[str, int]:
    """Add up: tables, files, bytes, and bytes in cold storage."""
    return {
        "tables": len({row.table for row in rows}),
        "files": sum(row.files for row in rows),
        "bytes": sum(row.bytes for row in rows),
        "cold_bytes": sum(row.cold_bytes for row in rows),
    }


def held_document(rows: Sequence[Held]) -> list[dict[str, Any]]:
    """Return the holdings as JSON values: dates and instants as text."""
    return [
        {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in asdict(row).items()}
        for row in rows
    ]


def plan_view(steps: Sequence[Step]) -> Table:
    """Show what is due, one line per action, table and underlying."""
    table = plain_table(
        "due", "do", "underlying", "table", "from", "to", right=("sessions", "files", "size")
    )
    for (action, symbol, name), group in _grouped(steps).items():
        days = [step.session_date for step in group]
        table.add_row(
            action,
            symbol,
            name,
            str(min(days)),
            str(max(days)),
            f"{len(days):,}",
            f"{sum(step.files for step in group):,}",
            size_words(sum(step.bytes for step in group)),
        )
    return table


def plan_words(steps: Sequence[Step]) -> str:
    """Say in one line what the plan comes to."""
    if not steps:
        return "nothing is due"
    told = []
    for action, meaning in ACTIONS.items():
        mine = [step for step in steps if step.action == action]
        if mine:
            size = size_words(sum(step.bytes for step in mine))
            told.append(f"{action} {len(mine):,} partitions, {size} ({meaning})")
    return "; ".join(told)


def _grouped(steps: Sequence[Step]) -> Mapping[tuple[str, str, str], list[Step]]:
    groups: dict[tuple[str, str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.action, step.underlying, step.table.name), []).append(step)
    return dict(sorted(groups.items()))

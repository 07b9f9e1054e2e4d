"""The cache and the doctor in the terminal.

Belongs here: their tables. Does not belong here: looking (`doctor`, `lake/cache`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from dealer_assets.doctor import Check
    from dealer_assets.lake.cache import CacheHolding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_UNITS = ("B", "kB", "MB", "GB", "TB")


def doctor_view(checks: Sequence[Check]) -> Table:
    """Show every check with its verdict."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    view.add_column("")
    view.add_column("what", no_wrap=True)
    view.add_column("found", overflow="fold")
    for check in checks:
        colour = _COLOURS[check.verdict]
        view.add_row(f"[{colour}]{check.verdict}[/{colour}]", check.subject, check.detail)
    return view


def cache_view(holdings: Sequence[CacheHolding]) -> Table:
    """Show what is held: a line per provider, dataset and underlying."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("provider, dataset", "of", "first", "last"):
        view.add_column(name, no_wrap=True)
    for name in ("whole", "part", "pieces", "size"):
        view.add_column(name, justify="right", no_wrap=True)
    for held in holdings:
        view.add_row(
            f"{held.provider} {held.dataset}",
            held.underlying,
            held.first.isoformat(),
            held.last.isoformat(),
            f"{held.complete:,}",
            f"{held.partial:,}",
            f"{held.pieces:,}",
            _size(held.bytes),
        )
    return view


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} {_UNITS[-1]}"

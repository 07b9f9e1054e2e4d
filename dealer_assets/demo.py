"""The demo: ten simulated sessions through every asset, and a report of what came out.

Belongs here: which sessions, and the report's contents. Does not belong here: how runs are executed
(`runner`) or bars drawn (`cli`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.panel import Panel

from dealer_assets.runner import Run, with_lanes
from dealer_assets.settings import PROJECT, settings

if TYPE_CHECKING:
    from dealer_assets.lake.storage import Lake

_CALENDARS: tuple[tuple[str, ...], ...] = (("SPX", "SPY"), ("BTC",))


_FLOW_SESSIONS = 2
"""A session of trades takes longer than all of its chains; two show what positions rest on."""


@dataclass(frozen=True)
class Step:
    """Lanes that share a calendar, and their sessions, oldest first."""

    symbols: tuple[str, ...]
    sessions: tuple[date, ...]

    @property
    def with_flow(self) -> tuple[date, ...]:
        """Sessions before the last whose trades are classified too, for its positions."""
        return self.sessions[-1 - _FLOW_SESSIONS : -1]


@dataclass(frozen=True)
class Plan:
    """What the demo runs."""

    steps: tuple[Step, ...]


def plan(now: datetime, *, sessions: int) -> Plan:
    """Choose the last `sessions` finished sessions of each calendar, and the simulator.

    Parameters
    ----------
    now : datetime.datetime
        UTC now.
    sessions : int
        How many.
    """
    from dealer_assets.domain.sessions import previous_session, quotes_end, session_of
    from dealer_assets.underlyings import underlying

    os.environ["DEALER_PROVIDER"] = "simulator"
    settings.cache_clear()
    with_lanes(*(symbol for symbols in _CALENDARS for symbol in symbols))
    steps = []
    for symbols in _CALENDARS:
        calendar = underlying(symbols[0]).calendar
        day = session_of(calendar, now)
        if quotes_end(calendar, day) >= now:
            day = previous_session(calendar, day)
        days = [day]
        while len(days) < sessions:
            days.append(previous_session(calendar, days[-1]))
        steps.append(Step(symbols, tuple(reversed(days))))
    return Plan(tuple(steps))


def report(done: Plan, runs: Sequence[Run], *, seconds: float) -> RenderableType:
    """Report levels, rows, checks and timing, draw the picture, and say what to type next."""
    from dealer_assets import tables
    from dealer_assets.lake.reader import scan
    from dealer_assets.reports.terminal import levels_table, models_table
    from dealer_assets.sources import lake_of

    lake = lake_of(settings())
    symbols = [symbol for step in done.steps for symbol in step.symbols]
    first = min(step.sessions[0] for step in done.steps)
    levels = scan(lake, tables.EXPOSURE_LEVELS, underlyings=symbols, first=first)
    last = _last_of_sessions(levels.to_pylist())
    of_symbols = [row for symbol in symbols for row in last if row["underlying"] == symbol]
    headline = settings().model
    shown = [row for row in of_symbols if row["model"] == headline]
    newest = {row["underlying"]: row["session_date"] for row in shown}
    models = [row for row in of_symbols if row["session_date"] == newest.get(row["underlying"])]
    _draw(lake, symbols[0], done.steps[0].sessions[-1])
    return Group(
        "",
        levels_table(shown, model=headline),
        "",
        models_table(models),
        "",
        _rows_table(lake, symbols, first),
        "",
        _checks_table(runs),
        "",
        _next(seconds),
    )


def _draw(lake: Lake, symbol: str, session: date) -> None:
    """Draw the gamma profile of a session's last snapshot."""
    from dealer_assets import tables
    from dealer_assets.lake.reader import list_parts, read_part
    from dealer_assets.reports.pictures import profile_picture

    profile, levels = (
        read_part(lake, table, list_parts(lake, table, symbol, session)[-1])
        for table in (tables.GAMMA_PROFILE, tables.EXPOSURE_LEVELS)
    )
    path = picture_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(profile_picture(profile, levels, headline=settings().model, dpi=130))


def picture_path() -> Path:
    """Return where the demo draws the newest gamma profile."""
    return settings().data / "demo" / "gamma_profile.png"


def _shown(path: Path) -> str:
    """Shorten a path to how it is typed from the project's root."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def _event_at(row: dict[str, Any]) -> datetime:
    instant: datetime = row["event_at"]
    return instant


def _last_of_sessions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep each underlying's and model's last snapshot of each session, oldest session first."""
    last: dict[tuple[str, date, str], dict[str, Any]] = {}
    for row in sorted(rows, key=_event_at):
        last[row["underlying"], row["session_date"], row["model"]] = row
    return [last[key] for key in sorted(last)]


def _rows_table(lake: Lake, symbols: list[str], first: date) -> RenderableType:
    from dealer_assets import tables
    from dealer_assets.lake.reader import scan
    from dealer_assets.reports.terminal import counts_table

    def count(table: tables.Table, symbol: str) -> int:
        rows = scan(lake, table, underlyings=[symbol], first=first, columns=["event_at"])
        return int(rows.num_rows)

    ours = [table for table in tables.TABLES if table is not tables.TREASURY_CURVE]
    rows = {t.name: [count(t, symbol) for symbol in symbols] for t in ours}
    return counts_table("rows in the lake", symbols, rows)


def _checks_table(runs: Sequence[Run]) -> RenderableType:
    from dealer_assets.reports.terminal import counts_table

    rows: dict[str, list[int]] = {}
    for run in runs:
        line = rows.setdefault(run.name, [0, 0, 0, 0, 0])
        found = (run.checks_passed, run.checks_warned, run.checks_failed, round(run.seconds))
        for place, value in enumerate((1, *found)):
            line[place] += value
    columns = ("runs", "checks passed", "warned", "blocked", "seconds")
    return counts_table("runs and asset checks", columns, rows)


def _next(seconds: float) -> Panel:
    return Panel(
        f"picture of the newest gamma profile: {_shown(picture_path())}\n"
        f"reporting marts: {_shown(settings().warehouse)} (any DuckDB client opens it)\n\n"
        "next:\n"
        "  make dev                              the same data in the Dagster UI\n"
        "  .venv/bin/dealer status               what the lake holds\n"
        "  .venv/bin/dealer levels FILE          price a real chain file\n"
        "  .venv/bin/dealer import FILE ...      put real chains into the lake\n"
        "  .venv/bin/dealer --help               everything else",
        title=f"done in {seconds:.0f} s",
        title_align="left",
    )

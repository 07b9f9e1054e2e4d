"""Keeps the reporter told of what the lake holds of the sessions.

Belongs here: looking at the live tables' newest parts. Does not belong here: reports (`report`).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import date

import pyarrow.compute as pc

from dealer_assets.errors import DealerError
from dealer_assets.lake.layout import first_sequence_of
from dealer_assets.lake.reader import list_parts, part_rows, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.sources import lake_of
from dealer_assets.tables.live import LIVE_TABLES
from streaming.process.report import Reporter
from streaming.process.runtime import Runtime

LOOK_SECONDS = 30.0

LAST_SECONDS = 3.0
"""How long the end of the process waits for the last look and the last reports."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """Sessions of a desk by underlying, and the desk's health in words."""

    days: dict[str, date]
    health: str


async def report(runtime: Runtime) -> None:
    """Report until cancelled, to the web server that the settings name."""
    reporter = Reporter(runtime.settings.dagster_url or "")
    sending = asyncio.create_task(reporter.run())
    lake = lake_of(runtime.settings)
    watched: dict[str, _Watched] = {}
    try:
        while not sending.done():
            await asyncio.sleep(LOOK_SECONDS)
            await _look_at_all(runtime, reporter, lake, watched)
        await sending
    finally:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await _look_at_all(runtime, reporter, lake, watched)
                    reporter.stop()
                    await asyncio.wait({sending})
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _look_at_all(
    runtime: Runtime, reporter: Reporter, lake: Lake, watched: dict[str, _Watched]
) -> None:
    """Look at the session of every desk, and once more at one that ended since the last look.

    A session's last parts are written before the next one is opened, so that this sees them all.
    """
    health = runtime.health()["desks"]
    for desk in runtime.desks:
        if desk.session is None:
            continue
        days = dict(desk.session.desk.start.sessions)
        before = watched.get(desk.name)
        if before is not None and before.days != days:
            await asyncio.to_thread(_look, reporter, lake, before)
        words = "; ".join(health[desk.name]["problems"]) or "ok"
        watched[desk.name] = _Watched(days, words)
        await asyncio.to_thread(_look, reporter, lake, watched[desk.name])


def _look(reporter: Reporter, lake: Lake, watched: _Watched) -> None:
    """Note every live table of a session; a lake that does not answer is looked at again."""
    try:
        for symbol, day in watched.days.items():
            for table in LIVE_TABLES:
                parts = list_parts(lake, table, symbol, day)
                if parts:
                    known = read_part(lake, table, parts[-1], columns=["known_at"])["known_at"]
                    reporter.note(
                        table.name,
                        symbol,
                        day,
                        rows=first_sequence_of(parts[-1].name) + part_rows(lake, parts[-1]),
                        parts=len(parts),
                        last_known_at=pc.max(known).as_py(),
                        health=watched.health,
                    )
    except DealerError:
        return  # the sink says what is wrong with the lake

"""Keeps the reporter told of what the lake holds of the session.

Belongs here: looking at the live tables' newest parts. Does not belong here: reports (`report`).
"""

from __future__ import annotations

import asyncio
from datetime import date

import pyarrow.compute as pc

from dealer_assets.errors import DealerError
from dealer_assets.lake.layout import first_sequence_of
from dealer_assets.lake.reader import list_parts, part_rows, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.sources import lake_of
from dealer_assets.tables.live import LIVE_TABLES
from streaming.report import Reporter
from streaming.runtime import Runtime

LOOK_SECONDS = 30.0


async def report(runtime: Runtime) -> None:
    """Report until cancelled, to the web server that the settings name."""
    reporter = Reporter(runtime.settings.dagster_url or "")
    sending = asyncio.create_task(reporter.run())
    lake = lake_of(runtime.settings)
    try:
        while not sending.done():
            await asyncio.sleep(LOOK_SECONDS)
            for desk in runtime.desks:
                if desk.session is not None:
                    health = "; ".join(runtime.health()["problems"]) or "ok"
                    days = dict(desk.session.desk.start.sessions)
                    await asyncio.to_thread(_look, reporter, lake, days, health)
        await sending
    finally:
        reporter.stop()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _look(reporter: Reporter, lake: Lake, days: dict[str, date], health: str) -> None:
    """Note every live table of a session; a lake that does not answer is looked at again."""
    try:
        for symbol, day in days.items():
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
                        health=health,
                    )
    except DealerError:
        return  # the sink says what is wrong with the lake

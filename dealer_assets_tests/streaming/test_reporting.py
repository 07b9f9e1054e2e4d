"""What the reporter is told of: ended sessions, a desk's own health, the end of the process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

import streaming.process.reporting
from dealer_assets import tables
from dealer_assets.lake.storage import Lake
from dealer_assets.settings import settings
from dealer_assets.sources import lake_of
from dealer_assets_tests.live_rows import DAY, row, stream
from streaming.process.report import Reporter
from streaming.process.reporting import report
from streaming.process.runtime import Runtime

NEXT = DAY + timedelta(days=1)


class Process:
    """Stands in for the runtime: a crypto desk on a session, a US desk that is unwell."""

    def __init__(self) -> None:
        self.settings = settings()
        self.desks = [SimpleNamespace(name="crypto", session=None)]
        self.problems: list[str] = []
        self.on(DAY)

    def on(self, day: date) -> None:
        start = SimpleNamespace(sessions={"BTC": day})
        self.desks[0].session = SimpleNamespace(desk=SimpleNamespace(start=start))

    def health(self) -> dict[str, Any]:
        desks = {"crypto": {"problems": self.problems}, "us": {"problems": ["no spot"]}}
        return {"problems": ["us: no spot"], "desks": desks}


class Told:
    """What the web server took: table, partition, rows, health."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str]] = []
        self.hangs = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.hangs:
            await asyncio.sleep(30)
        assert request.url.path == "/report_asset_materialization/BTC/live_gamma"
        said = json.loads(request.content)
        figures = said["metadata"]
        self.rows.append((said["partition"], figures["dagster/row_count"], figures["health"]))
        return httpx.Response(200, json={})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The web server; looks and reports come fast."""
    server = Told()

    def reporter(url: str) -> Reporter:
        return Reporter(url, every_seconds=0.0, transport=httpx.MockTransport(server))

    monkeypatch.setattr(streaming.process.reporting, "Reporter", reporter)
    monkeypatch.setattr(streaming.process.reporting, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr("streaming.process.report._TICK_SECONDS", 0.005)
    return server


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty lake, and settings that name a web server."""
    monkeypatch.setenv("DEALER_DAGSTER_URL", "http://127.0.0.1:3000")
    settings.cache_clear()
    yield lake_of(settings())
    settings.cache_clear()


def part(lake: Lake, day: date, *, first: int) -> None:
    """Write a part of ten rows."""
    rows = [row(tables.LIVE_GAMMA) for _ in range(10)]
    stream(lake, tables.LIVE_GAMMA, rows, first=first, underlying="BTC", day=day)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  another task makes it true
            await asyncio.sleep(0.01)


def reporting(body: Callable[[Process], Any]) -> None:
    """Report beside a test's steps, then cancel as the supervisor does."""

    async def main() -> None:
        process = Process()
        task = asyncio.create_task(report(cast("Runtime", process)))
        await body(process)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())


def test_the_last_part_of_a_session_is_told_after_the_next_has_begun(
    lake: Lake, told: Told
) -> None:
    async def body(process: Process) -> None:
        part(lake, DAY, first=0)
        await until(lambda: len(told.rows) == 1)
        part(lake, DAY, first=10)  # between two looks the session ends and the next one begins
        part(lake, NEXT, first=0)
        process.on(NEXT)
        await until(lambda: len(told.rows) == 3)

    reporting(body)
    ended, begun = DAY.isoformat(), NEXT.isoformat()
    assert told.rows[0] == (ended, 10, "ok")
    assert sorted(told.rows[1:]) == [(ended, 20, "ok"), (begun, 10, "ok")]


def test_health_is_that_of_the_tables_own_desk(lake: Lake, told: Told) -> None:
    async def body(process: Process) -> None:
        part(lake, DAY, first=0)
        await until(lambda: len(told.rows) == 1)
        process.problems = ["31 s behind", "disk full"]
        await until(lambda: len(told.rows) == 2)

    reporting(body)
    assert [health for *_, health in told.rows] == ["ok", "31 s behind; disk full"]


def test_the_end_of_the_process_tells_what_was_written_since_the_last_look(
    lake: Lake, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(process: Process) -> None:
        part(lake, DAY, first=0)
        await until(lambda: len(told.rows) == 1)
        monkeypatch.setattr(streaming.process.reporting, "LOOK_SECONDS", 60.0)
        await asyncio.sleep(0.1)
        part(lake, DAY, first=10)

    reporting(body)
    assert [rows for _, rows, _ in told.rows] == [10, 20]


def test_a_web_server_that_hangs_holds_the_end_up_no_longer_than_allowed(
    lake: Lake, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming.process.reporting, "LAST_SECONDS", 0.1)
    told.hangs = True
    cancelled: list[float] = []

    async def body(process: Process) -> None:
        part(lake, DAY, first=0)
        await asyncio.sleep(0.1)
        cancelled.append(time.monotonic())

    reporting(body)
    assert time.monotonic() - cancelled[0] < 30.0
    assert told.rows == []

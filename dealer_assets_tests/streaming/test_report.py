"""Reports to Dagster's web server: coalesced, patient, and never in the stream's way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dealer_assets.errors import BadInputError
from streaming.process.report import Reporter

DAY = date(2026, 11, 20)
KNOWN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


class Server:
    """Stands in for the web server: remembers what it was told, and fails as it is asked to."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.fault: Exception | None = None
        self.attempts = 0
        self.hangs = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.attempts += 1
        if self.hangs:
            await asyncio.sleep(30)
        if self.fault:
            raise self.fault
        if self.status == 200:
            assert request.headers["content-type"] == "application/json"
            self.told.append((request.url.path, json.loads(request.content)))
        return httpx.Response(self.status, json={})


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def reporter(server: Server, clock: Clock, **options: Any) -> Reporter:
    options = {"every_seconds": 300.0, "retry_seconds": 10.0} | options
    return Reporter(
        "http://127.0.0.1:3000/",
        now=lambda: datetime(2026, 11, 20, 15, 0, 2, tzinfo=UTC),
        clock=clock,
        transport=httpx.MockTransport(server),
        **options,
    )


def note(to: Reporter, rows: int = 100, *, table: str = "live_gamma", health: str = "ok") -> None:
    to.note(table, "SPX", DAY, rows=rows, parts=2, last_known_at=KNOWN, health=health)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  another task makes it true
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.process.report._TICK_SECONDS", 0.005)


def running(body: Callable[[Reporter, Server, Clock], Any], **options: Any) -> Server:
    """Run a reporter beside a test's steps, then stop it."""
    server, clock = Server(), Clock()

    async def main() -> None:
        subject = reporter(server, clock, **options)
        task = asyncio.create_task(subject.run())
        await body(subject, server, clock)
        subject.stop()
        await task

    asyncio.run(main())
    return server


def test_a_table_is_reported_with_its_partition_and_figures() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject)
        await until(lambda: bool(server.told))

    server = running(body)
    assert server.told == [
        (
            "/report_asset_materialization/SPX/live_gamma",
            {
                "partition": "2026-11-20",
                "metadata": {
                    "dagster/row_count": 100,
                    "parts": 2,
                    "first_new_row": 0,
                    "last_row": 99,
                    "last_known_at": "2026-11-20T15:00:00+00:00",
                    "lag_seconds": 2.0,
                    "health": "ok",
                },
            },
        )
    ]


def test_reports_of_a_table_are_coalesced_to_the_newest_state() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject, 100)
        await until(lambda: len(server.told) == 1)
        for rows in (110, 120, 130):
            note(subject, rows)
            await asyncio.sleep(0.02)
        assert len(server.told) == 1
        assert subject.state.waiting == 1
        clock.seconds = 300.0
        await until(lambda: len(server.told) == 2)

    server = running(body)
    figures = server.told[1][1]["metadata"]
    assert (figures["first_new_row"], figures["last_row"]) == (100, 129)


def test_a_change_of_health_does_not_wait() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject)
        await until(lambda: len(server.told) == 1)
        note(subject, 101, health="stalled")
        await until(lambda: len(server.told) == 2)

    server = running(body)
    assert [told["metadata"]["health"] for _, told in server.told] == ["ok", "stalled"]


def test_words_of_health_that_change_are_no_news_until_all_is_well() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject, health="nothing received for 31 s")
        await until(lambda: len(server.told) == 1)
        for look in range(2, 30):
            clock.seconds = 30.0 * look  # many times `every_seconds`, too
            note(subject, health=f"nothing received for {30 * look + 1} s")
            await asyncio.sleep(0.01)
        assert (len(server.told), subject.state.waiting) == (1, 0)
        note(subject)
        await until(lambda: len(server.told) == 2)

    server = running(body)
    assert [t["metadata"]["health"] for _, t in server.told] == ["nothing received for 31 s", "ok"]


def test_new_rows_bring_the_newest_words() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject, health="31 s behind")
        await until(lambda: len(server.told) == 1)
        note(subject, 101, health="61 s behind")
        await asyncio.sleep(0.03)
        assert len(server.told) == 1
        clock.seconds = 300.0
        await until(lambda: len(server.told) == 2)

    server = running(body)
    assert server.told[1][1]["metadata"]["health"] == "61 s behind"


def test_what_is_unchanged_is_not_reported_again() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject)
        await until(lambda: len(server.told) == 1)
        note(subject)
        clock.seconds = 1000.0
        await asyncio.sleep(0.05)

    assert len(running(body).told) == 1


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda s: setattr(s, "fault", httpx.ConnectError("refused")), "ConnectError"),
        (lambda s: setattr(s, "status", 503), "HTTP 503"),
        (lambda s: setattr(s, "hangs", True), "TimeoutError"),
    ],
    ids=["down", "failing", "hanging"],
)
def test_a_web_server_that_is_away_is_told_the_newest_state_when_it_is_back(
    break_it: Callable[[Server], None], words: str
) -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        break_it(server)
        note(subject, 1)
        note(subject, 1, table="live_flow")
        await until(lambda: subject.state.failed == 1)
        assert subject.state.last_error == words
        assert subject.state.waiting == 2
        note(subject, 2)
        server.fault, server.status, server.hangs = None, 200, False
        await asyncio.sleep(0.03)
        assert server.attempts == 1  # it waits before it asks again
        clock.seconds = 10.0
        await until(lambda: len(server.told) == 2)
        assert (subject.state.sent, subject.state.failed) == (2, 1)
        assert subject.state.last_error == ""

    server = running(body, timeout_seconds=0.05)
    rows = {path.rpartition("/")[2]: t["metadata"]["dagster/row_count"] for path, t in server.told}
    assert rows == {"live_gamma": 2, "live_flow": 1}


def test_pauses_double_while_the_web_server_is_away() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        server.status = 500
        note(subject)
        for failed, seconds in ((1, 0.0), (2, 10.0), (3, 30.0), (4, 70.0)):
            clock.seconds = seconds
            await until(lambda failed=failed: subject.state.failed == failed)
            clock.seconds = seconds + 9.9 * 2 ** (failed - 1)
            await asyncio.sleep(0.02)
            assert subject.state.failed == failed

    running(body)


def test_noting_returns_at_once_while_a_report_hangs() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        server.hangs = True
        note(subject)
        await until(lambda: server.attempts == 1)
        started = asyncio.get_running_loop().time()
        for rows in range(10_000):
            note(subject, rows)
        assert asyncio.get_running_loop().time() - started < 0.5

    running(body, timeout_seconds=0.1)


def test_stopping_reports_what_still_waits() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject, 100)
        await until(lambda: len(server.told) == 1)
        note(subject, 150)

    assert running(body).told[-1][1]["metadata"]["dagster/row_count"] == 150


def test_a_session_that_has_passed_is_forgotten() -> None:
    async def body(subject: Reporter, server: Server, clock: Clock) -> None:
        note(subject)
        await until(lambda: len(server.told) == 1)
        later = date(2026, 11, 23)
        subject.note("live_gamma", "SPX", later, rows=5, parts=1, last_known_at=KNOWN)
        await until(lambda: len(server.told) == 2)
        assert subject.state.waiting == 0

    assert [t["partition"] for _, t in running(body).told] == ["2026-11-20", "2026-11-23"]


@pytest.mark.parametrize("url", ["", "127.0.0.1:3000", "ftp://host", "http://user:word@host:3000"])
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(BadInputError, match="DEALER_DAGSTER_URL") as refused:
        Reporter(url)
    assert "word" not in str(refused.value)


@pytest.mark.slow
def test_dagsters_own_web_server_takes_the_report(tmp_path: Path) -> None:
    import dagster as dg
    from dagster._core.workspace.context import (  # noqa: TID251  its web server has no public door
        WorkspaceProcessContext,
    )
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget  # noqa: TID251
    from dagster_webserver.webserver import DagsterWebserver

    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with (
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
    ):
        app = DagsterWebserver(workspace).create_asgi_app()
        subject = Reporter("http://127.0.0.1:3000", transport=httpx.ASGITransport(app))
        note(subject, 100)
        subject.stop()
        asyncio.run(subject.run())
        event = instance.get_latest_materialization_event(dg.AssetKey(["SPX", "live_gamma"]))
    assert event is not None
    assert (subject.state.sent, subject.state.failed) == (1, 0)
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == "2026-11-20"
    assert event.asset_materialization.metadata["last_row"].value == 99

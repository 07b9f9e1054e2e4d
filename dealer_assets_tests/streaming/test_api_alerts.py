"""Alerts over the live API and its page: seen, acknowledged, resolved, by whom it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from dealer_assets.alerts.model import Alert, identity
from dealer_assets.alerts.store import AlertStore
from streaming.api.access import Access
from streaming.api.app import build_app
from streaming.api.hub import Hub
from streaming.api.server import serve

NOW = datetime.now(UTC)
TOKEN = "a-token-planted-by-the-test"


def alert(number: int, *, title: str = "") -> Alert:
    at = NOW - timedelta(minutes=10 - number)
    return Alert(
        alert_id=identity("flip_crossed", "SPX", str(number), at),
        rule="flip_crossed",
        underlying="SPX",
        session_date=date(2026, 11, 20),
        event_at=at,
        known_at=at,
        severity="warning",
        title=title or f"Alert {number}",
        body="Spot 5,890 is below the flip of 5,912.",
        dedupe_key=str(number),
        facts={"flip": 5912.0},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "alerts" / "alerts.sqlite"
    with AlertStore(file) as store:
        store.raise_alerts([alert(1), alert(2)], NOW)
    return file


@asynccontextmanager
async def serving(path: Path | None, access: Access | None = None) -> AsyncIterator[str]:
    app = build_app(Hub(dict), access or Access(host="127.0.0.1"), alerts=path)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(serve(app, host="127.0.0.1", port=0, on_ready=port.set_result))
    try:
        yield f"http://127.0.0.1:{await asyncio.wait_for(port, 60)}"
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


def test_an_alert_is_listed_acknowledged_and_resolved(path):
    one, two = alert(1).alert_id, alert(2).alert_id

    async def check() -> None:
        async with serving(path) as url, aiohttp.ClientSession(url) as http:
            listed = await (await http.get("/alerts")).json()
            assert [a["alert_id"] for a in listed["alerts"]] == [two, one]
            assert listed["alerts"][0]["facts"] == {"flip": 5912.0}
            remark = {"by": "ana", "note": "known"}
            for _ in range(2):  # repeating it changes nothing
                done = await http.post(f"/alerts/{one}/acknowledge", json=remark)
                assert done.status == 200
            body = await done.json()
            assert body["state"] == "acknowledged"
            steps = [(s["happening"], s["by"], s["detail"]) for s in body["history"]]
            assert steps == [("raised", "platform", ""), ("acknowledged", "ana", "known")]
            assert (await (await http.post(f"/alerts/{two}/resolve")).json())["state"] == "resolved"
            assert (await http.post(f"/alerts/{two}/acknowledge")).status == 409
            listed = await (await http.get("/alerts")).json()
            assert [a["alert_id"] for a in listed["alerts"]] == [one]
            everything = await (await http.get("/alerts?state=all")).json()
            assert len(everything["alerts"]) == 2
            shown = await (await http.get(f"/alerts/{two}")).json()
            assert shown["history"][-1]["by"] == "live API"

    asyncio.run(check())


def test_an_unknown_alert_is_404_and_a_wrong_parameter_422(path):
    async def check() -> None:
        async with serving(path) as url, aiohttp.ClientSession(url) as http:
            assert (await http.get("/alerts/0123")).status == 404
            assert (await http.post("/alerts/0123/acknowledge")).status == 404
            assert (await http.get("/alerts?state=odd")).status == 422
            long = {"by": "x" * 81}
            wrong = await http.post(f"/alerts/{alert(1).alert_id}/resolve", json=long)
            assert wrong.status == 422

    asyncio.run(check())


def test_without_a_store_there_are_no_alerts_and_none_is_made(tmp_path):
    async def check() -> None:
        for path in (None, tmp_path / "alerts.sqlite"):
            async with serving(path) as url, aiohttp.ClientSession(url) as http:
                assert (await (await http.get("/alerts")).json())["alerts"] == []
                assert (await http.post("/alerts/0123/resolve")).status == 404

    asyncio.run(check())
    assert not list(tmp_path.iterdir())


def test_token_and_origin_guard_alerts_and_only_the_empty_page_is_open(path):
    access = Access(host="127.0.0.1", token=SecretStr(TOKEN))
    route = f"/alerts/{alert(1).alert_id}/acknowledge"

    async def check() -> None:
        async with serving(path, access) as url, aiohttp.ClientSession(url) as http:
            assert (await http.get("/alerts")).status == 401
            assert (await http.post(route)).status == 401
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            foreign = bearer | {"Origin": "https://elsewhere.example"}
            assert (await http.post(route, headers=foreign)).status == 403
            page = await http.get("/alerts/page")
            text = await page.text()
            assert page.status == 200
            assert "Alert 1" not in text
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            assert (await http.get("/alerts/page", headers={"Host": "evil.example"})).status == 403
            assert (await http.post(route, headers=bearer)).status == 200

    asyncio.run(check())


def test_a_store_that_cannot_be_used_is_told_in_words_that_the_page_can_show(tmp_path):
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(b"not a database" * 100)

    async def check() -> None:
        async with serving(path) as url, aiohttp.ClientSession(url) as http:
            for answer in (await http.get("/alerts"), await http.post("/alerts/x/resolve")):
                assert answer.status == 503
                assert "it is damaged" in (await answer.json())["detail"]

    asyncio.run(check())

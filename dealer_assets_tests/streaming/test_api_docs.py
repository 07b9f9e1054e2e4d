"""docs/streaming.md against what the process answers, counts and is set by."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dealer_assets.settings import Settings, settings
from dealer_assets.tables.live import LIVE_MODELS, LIVE_RECONCILIATION, LIVE_TABLES
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.engine_tape import run, tape
from dealer_assets_tests.streaming.test_api import a_view
from dealer_assets_tests.streaming.test_live_reconciled import engine_with, settled_of
from streaming.api import documents
from streaming.api.access import Access
from streaming.api.app import build_app
from streaming.api.hub import Hub
from streaming.api.metrics import HealthCollector
from streaming.api.stream import SCHEMA
from streaming.clock import PlayClock, us_of
from streaming.core.view import LaneView
from streaming.desk.opening import open_session
from streaming.desk.session import Pace, Session
from streaming.process import supervisor
from streaming.process.health import desk_health

DOC = Path(__file__).parents[2] / "docs" / "streaming.md"
HEAD = "Head of every document"


@cache
def text() -> str:
    return DOC.read_text(encoding="utf-8")


def tables(heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading, each as rows of cells, titles first."""
    body = re.split(rf"^#+ {re.escape(heading)}$", text(), flags=re.M)[1]
    body = re.split(r"^#+ ", body, flags=re.M)[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", body, flags=re.M):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.split("\n")]
        found.append([row for row in rows if row != [""] and not set(row[0]) <= {"-"}])
    return found


def keys(heading: str, place: int = 0) -> set[str]:
    """Return the code words of a table's first column."""
    rows = tables(heading)[place][1:]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row[0])}


@cache
def priced() -> LaneView:
    """A view with a full pricing: of the simulator's first minutes."""
    one = tape("SPX")
    engine, events = engine_with(one, settled_of("SPX"))
    run(engine, events, one.opens + timedelta(minutes=3))
    return engine.view("SPX")


def test_head_and_snapshot():
    body, tick = documents.snapshot(a_view()), documents.tick(a_view())
    assert set(tick) - {"models", "flow"} == keys(HEAD)
    assert set(body) == keys(HEAD) | keys("`/snapshot`")
    assert set(body["models"]) == set(LIVE_MODELS)
    assert set(body["models"]["naive"]) == keys("Exposures")
    assert set(body["flow"]) == keys("Flow totals")


def test_flow():
    body = documents.flow(a_view())
    assert set(body) == keys(HEAD) | {"total", "buckets", "watched"}
    assert set(body["total"]) == keys("Flow totals")
    assert set(body["buckets"][0]) == keys("`/flow`", 0)
    assert set(body["watched"][0]) == keys("`/flow`", 1)


def test_history_and_heatmap():
    history = documents.history(a_view(), model="naive", seconds=3, every=1)
    assert set(history) == keys(HEAD) | {"model", "columns"}
    assert set(history["columns"]) == keys("`/history`")
    cells = documents.heatmap(a_view(), model="naive", measure="gamma", within_pct=5.0, expiries=3)
    assert set(cells) == keys(HEAD) | keys("`/heatmap`")


@pytest.mark.parametrize("model", LIVE_MODELS)
def test_levels_and_scenario(model):
    levels = documents.levels(priced(), model=model)
    assert set(levels) == keys(HEAD) | {"model", "levels"}
    assert set(levels["levels"]) == keys("`/levels`")
    scenario = documents.scenario(priced(), model=model)
    assert set(scenario) == keys(HEAD) | {"model", "columns"}
    assert set(scenario["columns"]) == keys("`/scenario`")


def test_routes_with_their_parameters_and_defaults():
    app = build_app(Hub(dict), Access(host="127.0.0.1"))
    served: dict[tuple[str, str], Any] = {}
    for path, operations in app.openapi()["paths"].items():
        parameters = [
            parameter
            for operation in operations.values()
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "query"
        ]
        for parameter in parameters:
            served[path, parameter["name"]] = str(parameter["schema"]["default"])
    told = {(row[0].strip("`"), row[1].strip("`")): row[2] for row in tables("Parameters")[0][1:]}
    assert told == served
    for path in app.openapi()["paths"]:
        assert f"`{path}`" in text()


def test_health_of_a_desk(data_dir, monkeypatch):
    monkeypatch.setenv("DEALER_SIMULATOR_DENSITY", "0.02")
    settings.cache_clear()
    day, lane = date(2025, 12, 18), underlying("BTC")
    clock = PlayClock(us_of(datetime(2025, 12, 18, tzinfo=UTC)), speed=0.0)
    opened = open_session(
        settings(), [lane], day, feed_name="simulator", clock=clock, records=False
    )

    async def told() -> set[str]:
        pace = Pace(inbox_bytes=1 << 20, conflates=False, ticks=False)
        session = Session(opened.desk, opened.feed, opened.sink, clock=clock, pace=pace)
        found = set(desk_health(session, {}))
        await session.finish()
        return found

    assert asyncio.run(told()) == keys("Health and metrics", 1)
    opened.asker.close()


def test_metrics():
    names = set()
    for family in HealthCollector(Hub(dict)).collect():
        names.add(family.name + ("_total" if family.type == "counter" else ""))
    assert keys("Health and metrics", 2) == names


def test_settings_with_their_defaults():
    told = {row[0].strip("`"): row[1] for row in tables("Settings")[0][1:]}
    held = {}
    for name, field in Settings.model_fields.items():
        if name.startswith("stream_"):
            default = field.default
            is_unset = default is None or default == ""
            held[f"DEALER_{name.upper()}"] = "-" if is_unset else str(default)
    assert {name: default.lower() for name, default in told.items()} == {
        name: default.lower() for name, default in held.items()
    }


def test_tables_exit_codes_and_the_schema_of_messages():
    named = {table.name for table in LIVE_TABLES} | {LIVE_RECONCILIATION.name}
    assert keys("What is stored") == named
    codes = {int(row[0]) for row in tables("Exit codes")[0][1:]}
    assert codes == {
        supervisor.ENDED,
        supervisor.REFUSED,
        supervisor.USAGE,
        supervisor.CRASHED,
        supervisor.FULL,
        supervisor.FORCED,
    }
    assert f"`{SCHEMA}`" in text()

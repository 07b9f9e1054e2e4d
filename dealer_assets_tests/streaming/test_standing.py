"""What `dealer live` says on the terminal while it works."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.test_api import a_view
from streaming.core.view import ModelTotals
from streaming.process import standing


def runtime_of(desk: Any, **changes: Any) -> Any:
    known = {
        "desks": [desk],
        "hub": SimpleNamespace(view=lambda symbol: a_view()),
        "health": lambda: {"desks": {desk.name: {"problems": ["12 s behind"]}}},
        "choice": SimpleNamespace(session=None),
    }
    return SimpleNamespace(**(known | changes))


def desk_of(*, feed: str = "simulator", **changes: Any) -> Any:
    state = SimpleNamespace(last_us=1, phase="live")
    session = SimpleNamespace(feed=SimpleNamespace(state=state))
    known = {
        "name": "us",
        "lanes": (underlying("SPX"),),
        "feed_name": feed,
        "sleeps_until": None,
        "session": session,
    }
    return SimpleNamespace(**(known | changes))


def test_numbers_of_every_lane_and_what_is_wrong():
    desk = desk_of()
    assert standing.line_of(runtime_of(desk), desk) == (
        "15:30:00 UTC  SPX 5,000.00 naive +0.10 flow ? bn  7 trades; 12 s behind"
    )


def test_the_estimate_is_told_with_its_error():
    view = a_view()
    sums = view.totals.models["naive"].sums
    models = {**view.totals.models, "live_reconciled": ModelTotals(sums, 100, 90, 2e7, 0.9)}
    line = standing.numbers_of([replace(view, totals=replace(view.totals, models=models))])
    assert "SPX 5,000.00 naive +0.10 flow ? reconciled +0.10±0.02 bn" in line


def test_an_underlying_without_a_pricing_says_so():
    line = standing.numbers_of([replace(a_view(), totals=None), a_view(underlying="SPY")])
    assert "SPX not priced yet | SPY 5,000.00" in line


def test_a_closed_desk_says_until_when_and_how_to_play_a_simulated_session():
    until = datetime(2026, 11, 23, 14, 25, tzinfo=UTC)
    desk = desk_of(sleeps_until=until)
    line = standing.line_of(runtime_of(desk), desk)
    assert line == (
        "us desk: closed until 2026-11-23 14:25 UTC; `--session 2026-11-20` plays a simulated "
        "session now"
    )
    real = desk_of(feed="polygon", sleeps_until=until)
    assert standing.line_of(runtime_of(real), real).endswith("closed until 2026-11-23 14:25 UTC")


def test_opening_and_connecting_are_said():
    opening = desk_of(session=None)
    assert standing.line_of(runtime_of(opening), opening) == "us desk: opening the session"
    waiting = desk_of()
    waiting.session.feed.state.last_us, waiting.session.feed.state.phase = -1, "connecting"
    assert "connecting, nothing received yet" in standing.line_of(runtime_of(waiting), waiting)


def test_what_does_not_change_is_said_once(monkeypatch):
    monkeypatch.setattr(standing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(standing, "PLAYED_SECONDS", 0.001)
    desk = desk_of()
    said: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> list[str]:
        played = SimpleNamespace(session=date(2026, 11, 20))
        runtime = runtime_of(desk, choice=played)
        telling = asyncio.ensure_future(standing.tell(runtime, said.put_nowait))
        first = await said.get()
        await asyncio.sleep(0.02)
        desk.session = None
        lines = [first, await said.get()]
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        return lines

    assert [line.split()[0] for line in asyncio.run(listen())] == ["15:30:00", "us"]

"""Every fault of Polygon's WebSocket, through the whole process, one after the other.

`TRIALS` has a row per fault. The process lives through all of them in one session; afterwards each
loss is in `feed_gaps`, and the trades are the market's, each once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dealer_assets_tests.exchange import polygon_ws_faults as bad
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.exchange.world import KEY
from dealer_assets_tests.streaming.chaos_market import OPEN, Market, Outcome, market
from dealer_assets_tests.streaming.chaos_process import Process, configured, hasty, process

OPEN_US = int(OPEN.timestamp() * 1e6)
PREFIX = "polygon_ws_"
OPTIONS: dict[str, Any] = {"where": "/options"}


@dataclass(frozen=True)
class Trial:
    """A fault, and what comes of it.

    Parameters
    ----------
    armed : dict
        Options of the fault.
    reconnects : bool
        The connection is closed as well: the fault meets the next one.
    gap : str
        Reason of the gap that is recorded; blank: none is.
    second_gap : str
        Reason of another one behind it.
    says : str
        What health says of it meanwhile, in words.
    loses : bool
        Some of a frame's trades, at most five, are missing for good.
    added : int
        Rows beyond the market's prints.
    """

    armed: dict[str, Any] = field(default_factory=lambda: dict(OPTIONS))
    reconnects: bool = False
    gap: str = ""
    second_gap: str = ""
    says: str = ""
    loses: bool = False
    added: int = 0


TRIALS: dict[str, Trial] = {
    "handshake_status": Trial(
        OPTIONS | {"status": 503}, reconnects=True, gap="closed", says="HTTP 503"
    ),
    "auth_timeout": Trial(reconnects=True, gap="closed", says="auth_timeout"),
    "not_authorized": Trial(
        {"where": "Q.", "times": None}, reconnects=True, gap="closed", says="not authorized"
    ),
    "max_connections": Trial(
        reconnects=True, gap="closed", second_gap="max_connections", says="max_connections"
    ),
    "close": Trial(gap="closed", says="code 1000"),
    "abort": Trial(gap="aborted", says="aborted"),
    "freeze": Trial(gap="silent", says="not even pongs"),
    "slow_consumer": Trial(gap="slow_consumer", says="slow_consumer"),
    "silent": Trial({"where": "O:", "times": None}, gap="silent", says="without data"),
    "big_frame": Trial(),
    # its numbers have holes at the best of times: the morning's reconciliation finds these
    "sequence_gap": Trial(loses=True),
    "cancel": Trial({}, added=1),
    "object_frame": Trial(),
    "not_json": Trial(),
    "unknown_event": Trial(),
}
ELSEWHERE = {"auth_failed", "newest_goes"}
"""Faults that end the process, or need a rival: tests of their own."""


def test_every_websocket_fault_has_a_trial() -> None:
    assert bad.CLOSE in KNOWN
    named = {PREFIX + name for name in (*TRIALS, *ELSEWHERE)}
    assert named == {name for name in KNOWN if name.startswith(PREFIX)}


@pytest.fixture
def settings_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Market], Path]:
    """Point the settings at a market."""

    def point(at: Market) -> Path:
        configured(at, tmp_path / "data", monkeypatch)
        return tmp_path / "data"

    return point


async def suffer(live: Process, name: str, trial: Trial) -> None:
    """Show the process a fault, and wait until it is at work again."""
    faults, state = live.market.world.faults, live.session.feed.state
    faults.clear()
    drops = state.drops
    faults.arm(PREFIX + name, **trial.armed)
    if trial.reconnects:
        faults.arm(bad.CLOSE, **OPTIONS)
    if trial.gap:
        await live.until(lambda: state.drops > drops)
    if trial.says:
        await live.until(lambda: trial.says in f"{state.problem} {state.refused}")
    if trial.armed.get("times", 1) == 1:
        await live.until(lambda: any(taken == PREFIX + name for taken, _ in faults.taken))
    faults.clear()
    await live.until_live()
    await live.until_trades(3)


@pytest.mark.chaos
def test_the_process_outlives_every_fault_and_misses_nothing_it_can_know_of(
    settings_of: Callable[[Market], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        market(after=5.0) as venue,
        hasty(monkeypatch, quiet_seconds=3.0, silent_seconds=2.0),
    ):
        data = settings_of(venue)

        async def main() -> int:
            async with process(venue) as live:
                await live.until_live()
                await live.until_trades(3)
                for name, trial in TRIALS.items():
                    await suffer(live, name, trial)
                await live.until_whole()
                assert live.health["parts"]["us feed"] == "running"
                assert live.health["desks"]["us"]["restarts"] == 0
                return await live.ended()

        assert asyncio.run(main()) == 0
        found = Outcome.of(data, venue.symbol)
        found.assert_numbered()
        found.assert_clock_never_back()
        trials = TRIALS.values()
        assert sum(trial.loses for trial in trials) == 1
        found.assert_whole(
            venue, OPEN_US, lost=range(1, 6), added=sum(trial.added for trial in trials)
        )
    gaps = [gap for gap in found.gaps if gap["channel"] == "options"]
    noted = [gap["reason"] for gap in gaps if gap["status"] == "open"]
    reasons = [reason for t in trials for reason in (t.gap, t.second_gap) if reason]
    assert noted == ["start", "connecting", *reasons]
    assert [g["reason"] for g in gaps if g["status"] == "backfilled"] == noted
    rejects = {row["reason"] for row in found.rows("feed_rejects").to_pylist()}
    assert rejects == {"not_json", "unknown_event"}


def test_a_refused_key_ends_the_process_in_words(
    settings_of: Callable[[Market], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with market(after=5.0) as venue, hasty(monkeypatch):
        settings_of(venue)
        venue.world.faults.arm(PREFIX + "auth_failed", **OPTIONS)

        async def main() -> tuple[int, str]:
            async with process(venue) as live:
                return await asyncio.wait_for(live.task, 60.0), live.runtime.supervisor.reason

        code, reason = asyncio.run(main())
    assert code == 1
    assert "auth_failed" in reason


async def rival(url: str) -> str:
    """Connect with the same key until sent away; return the last words."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{url}/options") as socket:
        await socket.send_str(json.dumps({"action": "auth", "params": KEY}))
        await socket.send_str(json.dumps({"action": "subscribe", "params": "T.*"}))
        words = ""
        async for message in socket:
            words = str(message.data)
    return words


@pytest.mark.chaos
def test_of_two_processes_of_one_key_the_newest_goes_and_the_other_misses_nothing(
    settings_of: Callable[[Market], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with market(after=5.0) as venue, hasty(monkeypatch):
        data = settings_of(venue)
        venue.world.faults.arm(PREFIX + "newest_goes", times=None)

        async def main() -> int:
            async with process(venue) as live:
                await live.until_live()
                await live.until_trades(3)
                socket = venue.url.replace("http", "ws", 1)
                assert "max_connections" in await asyncio.wait_for(rival(socket), 60.0)
                await live.until_trades(3)
                await live.until_whole()
                assert live.session.feed.state.drops == 0
                return await live.ended()

        assert asyncio.run(main()) == 0
        Outcome.of(data, venue.symbol).assert_whole(venue, OPEN_US)

"""A full disk, a lake that is away, clocks that jump, Dagster and API down: nothing is lost of it.

Meanwhile health says what is wrong; afterwards the lake holds every trade once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import streaming.desk.opening
import streaming.keeping.journal
import streaming.keeping.part_writer
import streaming.process.reporting
from dealer_assets.errors import LakeUnavailableError
from dealer_assets.settings import settings
from dealer_assets_tests.streaming.chaos_market import (
    OPEN,
    ExchangeClock,
    Market,
    Outcome,
    market,
)
from dealer_assets_tests.streaming.chaos_process import Process, configured, hasty, process
from streaming.keeping.sink import Sink
from streaming.process.reporting import report
from streaming.process.running import serving

OPEN_US = int(OPEN.timestamp() * 1e6)
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def shared() -> Iterator[Market]:
    with market(after=5.0) as found:
        yield found


@pytest.fixture
def venue(shared: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    """A market some seconds after the open, without faults; the settings point at it."""
    shared.restart(after=5.0)
    configured(shared, tmp_path / "data", monkeypatch)
    with hasty(monkeypatch):
        yield shared


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch, *places: tuple[Any, str]) -> Iterator[list[str]]:
    """Let functions fail as on a full disk; yields a list of those that were called."""
    called: list[str] = []

    def refusing(name: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            called.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return refuse

    with monkeypatch.context() as patch:
        for owner, name in places:
            patch.setattr(owner, name, refusing(name))
        yield called


def assert_whole(found: Outcome, venue: Market) -> None:
    found.assert_numbered()
    found.assert_clock_never_back()
    assert found.assert_whole(venue, OPEN_US) > 20


def problems(live: Process) -> str:
    return "; ".join(live.health["problems"])


@pytest.mark.parametrize(
    "where",
    [*(pytest.param(place, marks=pytest.mark.chaos) for place in ("journal", "lake")), "both"],
)
def test_a_disk_that_is_full_for_a_while_costs_nothing(
    venue: Market, data: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    journal = (streaming.keeping.journal.Journal, "append")
    lake = (streaming.keeping.part_writer, "write_part")
    places = {"journal": [journal], "lake": [lake], "both": [journal, lake]}[where]

    async def main() -> int:
        async with process(venue) as live:
            await live.until_live()
            await live.until_trades(5)
            with full(monkeypatch, *places) as called:
                await live.until(lambda: called)
                await live.until(lambda: "No space left" in problems(live))
                await live.until_trades(15)
            await live.until(lambda: live.session.sink.state.is_ok)
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)
    assert not list((data / "stream").rglob("*.journal"))


@pytest.mark.chaos
def test_a_disk_that_stays_full_ends_the_process_with_a_code_and_the_next_one_goes_on(
    venue: Market, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming.desk.opening, "Sink", partial(Sink, memory_mb=0))

    async def stalled() -> int:
        async with process(venue) as live:
            await live.until_live()
            await live.until_trades(5)
            with full(monkeypatch, (streaming.keeping.journal.Journal, "append")):
                return await asyncio.wait_for(live.task, 60.0)

    async def recovered() -> int:
        async with process(venue) as live:
            await live.until_live()
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(stalled()) == 5
    assert asyncio.run(recovered()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)


@pytest.mark.chaos
def test_a_lake_that_is_away_for_a_while_costs_nothing(
    venue: Market, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> int:
        async with process(venue) as live:
            await live.until_live()
            with monkeypatch.context() as patch:

                def away(*_: Any, **__: Any) -> Any:
                    raise LakeUnavailableError("the lake does not answer")

                patch.setattr(streaming.keeping.part_writer, "write_part", away)
                await live.until(lambda: "the lake does not answer" in problems(live))
                await live.until_trades(10)
            await live.until(lambda: live.session.sink.state.is_ok)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)


@pytest.mark.chaos
@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US])
def test_a_wall_clock_that_jumps_and_comes_back_loses_no_trade(
    venue: Market, data: Path, step_us: int
) -> None:
    clock = ExchangeClock(venue.world.clock)

    async def main() -> int:
        async with process(venue, clock=clock) as live:
            await live.until_live()
            await live.until_trades(5)
            await live.until_whole()
            clock.wrong_by_us = step_us
            await live.until_trades(10)
            clock.wrong_by_us = 0
            await live.until_trades(10)
            assert not [state for state in live.health["parts"].values() if state == "failed"]
            return await live.ended()

    assert asyncio.run(main()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)


@pytest.mark.chaos
def test_a_clock_that_jumps_while_the_connection_is_lost_hides_no_gap(
    venue: Market, data: Path
) -> None:
    clock = ExchangeClock(venue.world.clock)

    async def main() -> int:
        async with process(venue, clock=clock) as live:
            await live.until_live()
            await live.until_trades(5)
            await live.until_whole()
            clock.wrong_by_us = -HOUR_US // 60  # a minute back, just before
            venue.world.faults.arm("polygon_ws_abort", where="/options")
            await live.until(lambda: live.session.feed.state.drops == 1)
            clock.wrong_by_us = 0
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)


@pytest.mark.chaos
@pytest.mark.parametrize("fault", ["polygon_503", "polygon_refused", "polygon_truncated"])
def test_a_venue_whose_rest_is_down_is_asked_again(venue: Market, data: Path, fault: str) -> None:
    async def main() -> int:
        async with process(venue) as live:
            await live.until_live()
            await live.until_trades(5)
            await live.until_whole()
            venue.world.faults.arm(fault, times=3, where="/v3/")
            venue.world.faults.arm("polygon_ws_close", where="/options")
            await live.until(lambda: live.session.feed.state.drops == 1)
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    found = Outcome.of(data, venue.symbol)
    assert "backfilled" in found.statuses("closed"), found.told_gaps()
    assert_whole(found, venue)


@pytest.mark.chaos
def test_a_venue_whose_rest_stays_down_leaves_a_gap_that_says_so(venue: Market, data: Path) -> None:
    async def main() -> int:
        async with process(venue) as live:
            await live.until_live()
            await live.until_trades(5)
            await live.until_whole()
            venue.world.faults.arm("polygon_401", times=None, where="/v3/")
            venue.world.faults.arm("polygon_ws_close", where="/options")
            await live.until(lambda: live.session.feed.state.drops == 1)
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    found = Outcome.of(data, venue.symbol)
    assert found.statuses("closed") == ["open", "not_backfilled"]
    (told,) = [gap for gap in found.gaps if gap["status"] == "not_backfilled"]
    assert "polygon" in str(told["detail"]).lower()
    found.assert_numbered()
    assert not found.prints(OPEN_US, found.live_until_us) - venue.printed(OPEN_US, 2**62)


@pytest.mark.chaos
def test_dagster_that_refuses_or_hangs_stops_nothing(
    venue: Market, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming.process.reporting, "LOOK_SECONDS", 0.05)

    async def main(url: str) -> int:
        own = settings().model_copy(update={"dagster_url": url})
        async with process(venue, report=report, own=own) as live:
            await live.until_live()
            await live.until_trades(10)
            await live.until_whole()
            assert live.health["parts"]["report"] == "running"
            return await live.ended()

    with socket.socket() as deaf:  # takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(5)
        assert asyncio.run(main(f"http://127.0.0.1:{deaf.getsockname()[1]}")) == 0
    assert asyncio.run(main("http://127.0.0.1:1")) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)


def test_a_taken_api_port_ends_the_process_in_words(venue: Market) -> None:
    async def main(port: int) -> tuple[int, str]:
        own = settings().model_copy(update={"stream_port": port})
        async with process(venue, serve=serving(own, lambda _: None)) as live:
            code = await asyncio.wait_for(live.task, 60.0)
            return code, live.runtime.supervisor.reason

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        code, reason = asyncio.run(main(port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in reason
    assert "DEALER_STREAM_PORT" in reason


@pytest.mark.chaos
def test_a_storm_of_api_clients_costs_no_trade(venue: Market, data: Path) -> None:
    ports: list[int] = []

    def say(text: str) -> None:
        ports.append(int(text.split(":")[2].split(" ")[0]))

    async def main() -> int:
        async with process(venue, serve=serving(settings(), say)) as live:
            await live.until_live()
            await live.until(lambda: ports)
            base = f"http://127.0.0.1:{ports[0]}"
            async with httpx.AsyncClient(base_url=base, timeout=60.0) as client:
                for _ in range(3):
                    asked = [client.get(path) for path in ("/health", "/snapshot") * 25]
                    answers = await asyncio.gather(*asked)
                    assert {answer.status_code for answer in answers} <= {200, 404, 429, 503}
                told: dict[str, Any] = {}
                async with asyncio.timeout(60.0):
                    while "desks" not in told:  # of too many clients some are sent away
                        told = (await client.get("/health")).json()
                        await asyncio.sleep(0.05)
            assert told["desks"]["us"]["acknowledged_trades"] <= live.session.acknowledged_trades
            await live.until_trades(5)
            await live.until_whole()
            return await live.ended()

    assert asyncio.run(main()) == 0
    assert_whole(Outcome.of(data, venue.symbol), venue)

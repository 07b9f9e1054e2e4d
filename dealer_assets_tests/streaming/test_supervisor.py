"""The supervisor restarts what crashes, gives up with a code, and ends in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from streaming.feeds.base import FeedRefusedError
from streaming.keeping.sink_state import ExhaustedError
from streaming.process.supervisor import (
    CRASHED,
    ENDED,
    FORCED,
    FULL,
    REFUSED,
    Part,
    Patience,
    Supervisor,
)

QUICK = Patience(crashes=3, window_seconds=60.0, first_delay_seconds=0.001)


async def forever() -> None:
    await asyncio.Event().wait()


def part_that(
    name: str, *outcomes: BaseException | None, **options: bool
) -> tuple[Part, list[int]]:
    """A part that raises or returns the outcomes one after the other, then runs for ever."""
    calls: list[int] = []

    async def run() -> None:
        calls.append(1)
        if len(calls) > len(outcomes):
            await forever()
        outcome = outcomes[len(calls) - 1]
        if outcome is not None:
            raise outcome

    return Part(name, run, **options), calls


def run_until_end(*parts: Part, patience: Patience = QUICK) -> tuple[int, Supervisor]:
    async def main() -> tuple[int, Supervisor]:
        supervisor = Supervisor(parts, patience=patience)
        return await asyncio.wait_for(supervisor.run(), 60.0), supervisor

    return asyncio.run(main())


def test_the_end_of_a_part_that_ends_the_run_is_the_end() -> None:
    part, _ = part_that("recording", None, ends_run=True)
    code, supervisor = run_until_end(part, Part("api", forever))
    assert code == ENDED
    assert supervisor.reason == "recording ended"
    assert supervisor.states["recording"].phase == "ended"


def test_a_crashed_part_is_started_again_and_its_crash_is_told() -> None:
    part, calls = part_that("feed", ValueError("odd"), None, ends_run=True)
    code, supervisor = run_until_end(part)
    assert (code, len(calls)) == (ENDED, 2)
    assert supervisor.states["feed"].crashes == 1
    assert supervisor.states["feed"].problem == "ValueError: odd"


def test_a_part_that_keeps_crashing_is_given_up_with_a_code() -> None:
    part, calls = part_that("api", *[OSError("port taken")] * 9)
    code, supervisor = run_until_end(part)
    assert (code, len(calls)) == (CRASHED, 3)
    assert supervisor.reason == "api failed 3 times: OSError: port taken"
    assert supervisor.states["api"].phase == "failed"


def test_crashes_far_apart_are_forgiven() -> None:
    part, calls = part_that("feed", *[OSError("reset")] * 6, None, ends_run=True)
    patience = Patience(crashes=3, window_seconds=0.0, first_delay_seconds=0.001)
    code, _ = run_until_end(part, patience=patience)
    assert (code, len(calls)) == (ENDED, 7)


def test_a_refusing_venue_is_not_asked_again() -> None:
    part, calls = part_that("polygon", FeedRefusedError("unknown key"))
    code, supervisor = run_until_end(part)
    assert (code, len(calls)) == (REFUSED, 1)
    assert "unknown key" in supervisor.reason


def test_a_desk_that_failed_is_not_trusted_again() -> None:
    part, calls = part_that("desk", ValueError("impossible"), restarts=False)
    assert (run_until_end(part)[0], len(calls)) == (CRASHED, 1)


def test_a_full_disk_has_a_code_of_its_own() -> None:
    part, _ = part_that("desk", ExhaustedError("no space left"), restarts=False)
    code, supervisor = run_until_end(part)
    assert code == FULL
    assert "no space left" in supervisor.reason


def test_parts_are_cancelled_in_order() -> None:
    order: list[str] = []

    def noting(name: str) -> Part:
        async def run() -> None:
            try:
                await forever()
            finally:
                order.append(name)

        return Part(name, run)

    async def main() -> None:
        supervisor = Supervisor([noting("feed"), noting("clock"), noting("desk")])
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        supervisor.stop("enough")
        await running

    asyncio.run(main())
    assert order == ["feed", "clock", "desk"]


def test_parts_may_join_and_leave_while_it_runs() -> None:
    async def main() -> None:
        supervisor = Supervisor([Part("a", forever)])
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        supervisor.add(Part("b", forever))
        await asyncio.sleep(0)
        assert supervisor.states["b"].phase == "running"
        await supervisor.remove("a")
        assert list(supervisor.states) == ["b"]
        supervisor.stop("enough")
        assert await running == ENDED

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_code_0_after_the_drain(number: signal.Signals) -> None:
    async def main() -> tuple[int, list[str]]:
        supervisor = Supervisor([Part("feed", forever)])
        undo = supervisor.listen()
        drained: list[str] = []

        async def drain() -> None:
            await asyncio.sleep(0)
            drained.append("flushed")

        try:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
            await asyncio.wait_for(supervisor.run(), 60.0)
            return await supervisor.drained(drain()), drained
        finally:
            undo()

    assert asyncio.run(main()) == (ENDED, ["flushed"])


def test_a_second_signal_cuts_the_drain_short() -> None:
    async def main() -> int:
        supervisor = Supervisor([Part("feed", forever)])
        undo = supervisor.listen()
        try:
            loop = asyncio.get_running_loop()
            loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(supervisor.run(), 60.0)
            loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
            return await asyncio.wait_for(supervisor.drained(forever()), 60.0)
        finally:
            undo()

    assert asyncio.run(main()) == FORCED


def test_a_failing_drain_is_not_hidden() -> None:
    async def main() -> None:
        supervisor = Supervisor()

        async def drain() -> None:
            raise OSError("no space left")

        await supervisor.drained(drain())

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(main())


def test_a_part_that_sees_the_drain_is_cancelled_after_it() -> None:
    order: list[str] = []

    def until_cancelled(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            try:
                await forever()
            finally:
                order.append(name)

        return run

    async def drain() -> None:
        order.append("drained")

    async def main() -> None:
        parts = [
            Part("report", until_cancelled("report"), sees_drain=True),
            Part("desk", until_cancelled("desk")),
        ]
        supervisor = Supervisor(parts)
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        supervisor.stop("enough")
        await running
        await supervisor.drained(drain())

    asyncio.run(main())
    assert order == ["desk", "drained", "report"]

"""Keeps the process's parts alive, says which crash, and ends them in order.

Belongs here: restarts, back-off, giving up, signals, exit codes. Does not belong here: what a part
does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dealer_assets.errors import DealerError
from streaming.feeds.base import FeedRefusedError
from streaming.keeping.sink_state import ExhaustedError

ENDED, REFUSED, USAGE, CRASHED, FULL, FORCED = 0, 1, 2, 4, 5, 130
"""Exit codes: ended or drained after a signal; refused for good by a venue or by settings; wrong
usage; a part kept crashing; disk full and memory's bound reached; a second signal cut the drain
short. A service manager should start the process anew after 4 and 5, not after 1 and 2."""

Phase = Literal["idle", "running", "waiting", "ended", "failed"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """Something that runs as long as the process.

    Parameters
    ----------
    name : str
        For people.
    run : callable
        Starts it; called anew after a crash.
    ends_run : bool
        Its return ends the process (the end of a recording); otherwise a return is an end of its
        own.
    restarts : bool
        False: a crash ends the process at once, because its state cannot be trusted any more.
    sees_drain : bool
        Cancelled after the drain, not before it: what tells others of the process's work.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    ends_run: bool = False
    restarts: bool = True
    sees_drain: bool = False


@dataclass(slots=True)
class PartState:
    """How a part is doing; read by health and heartbeats.

    Parameters
    ----------
    phase : str
        idle, running, waiting (to be started anew), ended, failed (given up).
    crashes : int
        Since the start.
    problem : str
        The last crash in words; blank when there was none.
    """

    phase: Phase = "idle"
    crashes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a crashing part is given up.

    Parameters
    ----------
    crashes : int
        So many crashes ...
    window_seconds : float
        ... within so many seconds.
    first_delay_seconds, longest_delay_seconds : float
        Pause before a restart: doubled with every crash in the window.
    """

    crashes: int = 5
    window_seconds: float = 300.0
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 30.0


@dataclass(slots=True)
class _Stop:
    """Why the process ends."""

    code: int = ENDED
    reason: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs parts side by side until one ends the run, a signal comes, or one is given up.

    Parameters
    ----------
    parts : iterable of Part
        Cancelled in this order at the end: what brings frames in comes first.
    patience : Patience
        When to give up.

    Attributes
    ----------
    states : dict of str to PartState
        By part.
    """

    def __init__(self, parts: Iterable[Part] = (), *, patience: Patience | None = None) -> None:
        self._parts: list[Part] = []
        self._patience = patience or Patience()
        self._stop = _Stop()
        self._forced = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_running = False
        self.states: dict[str, PartState] = {}
        for part in parts:
            self.add(part)

    @property
    def reason(self) -> str:
        """Why the process ends, in words; blank while it runs."""
        return self._stop.reason

    @property
    def is_stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stop.asked.is_set()

    def add(self, part: Part) -> None:
        """Add a part; started at once when the others run."""
        self._parts.append(part)
        self.states[part.name] = PartState()
        if self._is_running:
            self._begin(part)

    async def remove(self, name: str) -> None:
        """Cancel a part and forget it."""
        self._parts = [part for part in self._parts if part.name != name]
        self.states.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            await _cancelled(task)

    def stop(self, reason: str, code: int = ENDED) -> None:
        """Ask for the end; the first reason and code stay."""
        if not self._stop.asked.is_set():
            self._stop.code, self._stop.reason = code, reason
            self._stop.asked.set()

    async def run(self) -> int:
        """Run until the end is asked for, cancel the parts in order, return the exit code.

        Parts that see the drain run on until `drained`.
        """
        self._is_running = True
        for part in self._parts:
            self._begin(part)
        try:
            await self._stop.asked.wait()
        except BaseException:
            await self._end(self._parts)
            raise
        await self._end([part for part in self._parts if not part.sees_drain])
        return self._stop.code

    async def _end(self, parts: Sequence[Part]) -> None:
        self._is_running = False
        for part in parts:
            task = self._tasks.pop(part.name, None)
            if task is not None:
                await _cancelled(task)

    async def drained(self, work: Awaitable[None]) -> int:
        """Await the last work (draining, flushing) unless a second signal cuts it short.

        Then the parts that saw it are cancelled.
        """
        task = asyncio.ensure_future(work)
        forced = asyncio.ensure_future(self._forced.wait())
        try:
            await asyncio.wait({task, forced}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return self._stop.code
            _log.error("a second signal cut the drain short: what the journal holds is kept")
            return FORCED
        finally:
            await _cancelled(task)
            await self._end(self._parts)
            await _cancelled(forced)

    def listen(self) -> Callable[[], None]:
        """Stop at SIGTERM and SIGINT, at once at the second; return what undoes this."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._signalled, number.name)

        def undo() -> None:
            for number in signals:
                loop.remove_signal_handler(number)

        return undo

    def _signalled(self, name: str) -> None:
        if self.is_stopping:
            self._forced.set()
        self.stop(name)

    def _begin(self, part: Part) -> None:
        self._tasks[part.name] = asyncio.create_task(self._keep(part), name=part.name)

    async def _keep(self, part: Part) -> None:
        state = self.states[part.name]
        crashed: deque[float] = deque()
        while True:
            state.phase = "running"
            try:
                await part.run()
            except FeedRefusedError as error:
                return self._refused(part, state, str(error))
            except ExhaustedError as error:
                return self._given_up(part, state, str(error), FULL)
            except Exception as error:  # noqa: BLE001  # whatever it is: said, counted, tried again
                state.crashes += 1
                state.problem = f"{type(error).__name__}: {error}"
                if isinstance(error, DealerError):  # it says what to do; its place does not help
                    _log.warning("part %s: %s", part.name, error)
                else:
                    _log.exception("part %s crashed", part.name)
                if not part.restarts or self._is_too_much(crashed):
                    return self._given_up(part, state, state.problem, CRASHED)
            else:
                state.phase = "ended"
                if part.ends_run:
                    self.stop(f"{part.name} ended")
                return None
            state.phase = "waiting"
            await asyncio.sleep(self._delay(len(crashed)))

    def _refused(self, part: Part, state: PartState, problem: str) -> None:
        state.phase, state.problem = "failed", problem
        self.stop(f"{part.name} was refused: {problem}", REFUSED)

    def _given_up(self, part: Part, state: PartState, problem: str, code: int) -> None:
        state.phase, state.problem = "failed", problem
        times = f" {state.crashes} times" if state.crashes > 1 else ""
        self.stop(f"{part.name} failed{times}: {problem}", code)

    def _is_too_much(self, crashed: deque[float]) -> bool:
        """Note a crash; tell whether the part is to be given up."""
        now = asyncio.get_running_loop().time()
        crashed.append(now)
        while crashed[0] < now - self._patience.window_seconds:
            crashed.popleft()
        return len(crashed) >= self._patience.crashes

    def _delay(self, crashes: int) -> float:
        delay = self._patience.first_delay_seconds * 2.0 ** (crashes - 1)
        return min(delay, self._patience.longest_delay_seconds)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; its own failure was dealt with where it happened."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task})

"""Whose time it is: the wall's, or a session's that is played again at some speed.

Belongs here: the clocks that feeds and the runtime are given. Does not belong here: what a row is
dated by; that is `Frame.received_us` alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the time and waits for one."""

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        ...

    async def until(self, at_us: int) -> None:
        """Wait for an instant; of the past, let other tasks have their turn."""
        ...


STEP_US = 1_000_000
"""A wall clock that is this far from where it should be was set, not slewed."""

BELIEVED_AFTER_US = 60_000_000
"""A set clock is followed when it has stayed so for a minute: some are set back at once."""


class WallClock:
    """The wall's time, without its jumps.

    It runs by the machine's monotonic clock from where the wall stood at the start, so that a wall
    that is set forward and back does not freeze a stream whose time never goes back.

    Parameters
    ----------
    wall_ns, steady_ns : callable
        The two clocks, nanoseconds.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._offset_us = (wall_ns() - steady_ns()) // 1000
        self._off_since_us: int | None = None

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        steady_us = self._steady_ns() // 1000
        offset_us = self._wall_ns() // 1000 - steady_us
        if abs(offset_us - self._offset_us) < STEP_US:
            self._off_since_us = None
        elif self._off_since_us is None:
            self._off_since_us = steady_us
        elif steady_us - self._off_since_us >= BELIEVED_AFTER_US:
            self._offset_us, self._off_since_us = offset_us, None
        return steady_us + self._offset_us

    async def until(self, at_us: int) -> None:
        """Wait for an instant."""
        await asyncio.sleep(max((at_us - self.now_us()) / 1e6, 0.0))


class PlayClock:
    """A time that starts where it is told and runs at its own speed.

    Parameters
    ----------
    start_us : int
        Where it starts, microseconds since 1970; it stands there until first asked to wait.
    speed : float
        Seconds of it in a second of the wall; 0: it jumps to whatever is waited for.
    """

    def __init__(self, start_us: int, *, speed: float = 1.0) -> None:
        self._start_us = start_us
        self._speed = speed
        self._wall_start: float | None = None

    def go_on_at(self, start_us: int) -> None:
        """Start later than planned; before it is first asked to wait."""
        self._start_us = max(self._start_us, start_us)

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        if self._wall_start is None or not self._speed:
            return self._start_us
        return self._start_us + round((time.monotonic() - self._wall_start) * self._speed * 1e6)

    async def until(self, at_us: int) -> None:
        """Wait for an instant."""
        if self._wall_start is None:
            self._wall_start = time.monotonic()
        if not self._speed:
            # no turn for others: frames of a jumping clock are delivered many at a time
            self._start_us = max(self._start_us, at_us)
            return
        await asyncio.sleep(max((at_us - self.now_us()) / 1e6 / self._speed, 0.0))


def us_of(instant: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)

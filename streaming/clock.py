"""Whose time it is: the wall's, or a session's that is played again at some speed.

Belongs here: the clocks that feeds and the runtime are given. Does not belong here: what a row is
dated by; that is `Frame.received_us` alone.
"""

from __future__ import annotations

import asyncio
import time
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


class WallClock:
    """The wall's time."""

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        return time.time_ns() // 1000

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

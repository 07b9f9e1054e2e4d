"""A feed that makes its frames itself, and waits when told to.

Belongs here: pausing, and pace by a clock. Does not belong here: where the frames come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from streaming.clock import Clock
from streaming.core.events import Frame
from streaming.feeds.base import Deliver, Feed


class PlayedFeed(Feed):
    """Delivers frames that are known beforehand, each when its time has come.

    Parameters
    ----------
    clock : Clock
        Pace: a frame is delivered once the clock reaches its `received_us`.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._is_open = asyncio.Event()
        self._is_open.set()

    def pause(self) -> None:
        """Deliver nothing until resumed; no frame is lost."""
        self._is_open.clear()
        self.state.phase = "waiting"

    def resume(self) -> None:
        """Go on."""
        self._is_open.set()
        self.state.phase = "live"

    async def _play(self, stretches: Iterator[Sequence[Frame]], deliver: Deliver) -> None:
        """Deliver frames in order at the clock's pace; ends with the last."""
        state = self.state
        state.phase, state.since_us = "live", self._clock.now_us()
        state.connects += 1
        reached = self._clock.now_us()
        for frames in stretches:
            for frame in frames:
                if frame.received_us > reached:
                    await self._clock.until(frame.received_us)
                    reached = max(self._clock.now_us(), frame.received_us)
                while not self._is_open.is_set():
                    await self._is_open.wait()
                deliver(frame)
                state.last_us = frame.received_us
            await asyncio.sleep(0)
        state.phase, state.since_us = "stopped", self._clock.now_us()

"""Between feeds and a desk: frames wait here, and load is met by a declared policy.

Belongs here: the queue, its bounds, the consumer's pace. Does not belong here: what is in a frame.

Policy, in this order: below ``limit_bytes`` everything is taken as it came. Above it, quotes are
conflated: frames are still decoded and recorded, but of a contract's quotes between two of its
trades only the newest of a second is used, and the rest are counted. Above twice the limit, reading
is paused where the feed's sockets can be; the venue's own buffer then fills. A trade is never
dropped. Replays do not conflate: their reader waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from streaming.core.events import Frame
from streaming.desk.control import conflate_mark

_SLICE_BYTES, _SLICE_FRAMES = 1 << 20, 8192
"""Handed to the desk at once when so much waits: some 15 ms of work, a sixth of it the fixed cost
of a call; then other tasks have their turn."""

_CONFLATED_BYTES, _CONFLATED_FRAMES = 4 << 20, 65_536
"""The same while quotes are conflated: the longer the stretch, the more of them fall together."""

Consume = Callable[[Sequence[Frame]], None]


@runtime_checkable
class Pausable(Protocol):
    """A feed that can stop reading for a while."""

    def pause(self) -> None:
        """Stop reading; whatever comes waits at the venue or in the kernel."""

    def resume(self) -> None:
        """Read again."""


class Inbox:
    """A queue of frames, bounded in bytes, emptied by one consumer on the event loop.

    Parameters
    ----------
    consume : callable
        Takes frames in order; synchronous.
    limit_bytes : int
        Bytes that may wait before quotes are conflated; twice as many pause the feeds.
    feeds : sequence
        Feeds; those that are `Pausable` are paused.
    conflates : bool
        False in replays: feeds are paused at the limit instead.
    gather_seconds : float
        How long frames gather before they are handed on; a desk's fixed cost per call is then
        shared by many.

    Attributes
    ----------
    bytes_waiting, frames_waiting : int
        What waits now.
    frames_taken, bytes_taken : int
        What was handed on since the start.
    is_paused : bool
        Whether feeds are paused.
    pauses, conflations : int
        How often feeds were paused, and slices conflated.
    last_us : int
        Clock of the newest frame delivered, microseconds since 1970; 0 before the first.
    clock_steps : int
        Frames whose clock was behind an earlier one's; they take the earlier one's.
    """

    def __init__(
        self,
        consume: Consume,
        *,
        limit_bytes: int,
        feeds: Sequence[object] = (),
        conflates: bool = True,
        gather_seconds: float = 0.0,
    ) -> None:
        self._consume = consume
        self._limit = limit_bytes
        self._pause_above = limit_bytes * 2 if conflates else limit_bytes
        self._feeds = [feed for feed in feeds if isinstance(feed, Pausable)]
        self._conflates = conflates
        self._gather = gather_seconds
        self._queue: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self.last_us = 0
        self._is_conflating = False
        self.bytes_waiting = 0
        self.frames_taken = self.bytes_taken = 0
        self.is_paused = False
        self.pauses = self.conflations = self.clock_steps = 0

    @property
    def frames_waiting(self) -> int:
        """Frames that wait now."""
        return len(self._queue)

    def deliver(self, frame: Frame) -> None:
        """Take a frame at once; on the event loop's thread."""
        if frame.received_us < self.last_us:  # the wall clock was set back
            frame = frame._replace(received_us=self.last_us)
            self.clock_steps += 1
        self.last_us = frame.received_us
        if not self._queue:
            self._arrived.set()
            self._emptied.clear()
        self._queue.append(frame)
        self.bytes_waiting += len(frame.payload)
        if self.bytes_waiting > self._pause_above and not self.is_paused:
            self.is_paused = True
            self.pauses += 1
            for feed in self._feeds:
                feed.pause()

    async def run(self) -> None:
        """Hand frames to the consumer until cancelled, other tasks having their turn in between."""
        while True:
            await self._arrived.wait()
            if self._gather:
                await asyncio.sleep(self._gather)
            self._arrived.clear()
            while self._queue:
                self.take_slice()
                await asyncio.sleep(0)

    async def drain(self) -> None:
        """Hand everything that waits to the consumer; after `run` was cancelled."""
        while self._queue:
            self.take_slice()
            await asyncio.sleep(0)

    def drop(self) -> None:
        """Forget what waits; of frames that can be had again."""
        self._queue.clear()
        self.bytes_waiting = 0
        self._emptied.set()

    async def emptied(self) -> None:
        """Wait until all that was delivered is used; while `run` runs."""
        if self._queue:
            await self._emptied.wait()

    def take_slice(self) -> int:
        """Hand the next frames to the consumer and return how many they were."""
        frames = self._next()
        marked = frames
        if self._is_conflating and frames:
            marked = [conflate_mark(len(frames), frames[0].received_us), *frames]
            self.conflations += 1
        self._consume(marked)
        self.frames_taken += len(frames)
        if not self._queue:
            self._emptied.set()
        if self.is_paused and self.bytes_waiting <= self._pause_above // 2:
            self.is_paused = False
            for feed in self._feeds:
                feed.resume()
        return len(frames)

    def _next(self) -> list[Frame]:
        if self._conflates:
            most = self._limit // 2 if self._is_conflating else self._limit
            self._is_conflating = self.bytes_waiting > most
        is_long = self._is_conflating
        bytes_left = _CONFLATED_BYTES if is_long else _SLICE_BYTES
        frames_left = _CONFLATED_FRAMES if is_long else _SLICE_FRAMES
        taken: list[Frame] = []
        size = 0
        while self._queue and len(taken) < frames_left and size < bytes_left:
            frame = self._queue.popleft()
            taken.append(frame)
            size += len(frame.payload)
        self.bytes_waiting -= size
        self.bytes_taken += size
        return taken

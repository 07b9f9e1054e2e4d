"""Plays a recording: the same frames, at any speed.

Belongs here: the feed. Does not belong here: the recording's bytes (`recording`).
"""

from __future__ import annotations

from collections.abc import Iterator

from streaming.clock import PlayClock
from streaming.core.events import Frame
from streaming.feeds.base import Deliver
from streaming.feeds.pausing import PlayedFeed
from streaming.recordings.recording import Recording

_TOGETHER = 8192
"""Frames that are read ahead: a desk's fixed cost by the call is shared by many."""


class RecordedFeed(PlayedFeed):
    """Delivers the frames of a recording, or of a window of it, and ends.

    Parameters
    ----------
    recording : Recording
        What to play.
    speed : float
        1: as it came; 200: two hundred times as fast; 0: as fast as it is taken.
    from_us, until_us : int, optional
        Window in microseconds since 1970; the end is not included.

    Raises
    ------
    BadInputError
        When the recording holds no frame.
    """

    name = "recorded"

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 0.0,
        from_us: int | None = None,
        until_us: int | None = None,
    ) -> None:
        first_us = recording.span_us[0]
        begin_us = first_us if from_us is None else max(from_us, first_us)
        self.clock = PlayClock(begin_us, speed=speed)
        super().__init__(self.clock)
        self._recording = recording
        self._window = (from_us, until_us)

    async def run(self, deliver: Deliver) -> None:
        """Deliver the window's frames and return."""
        from_us, until_us = self._window
        blocks = self._recording.read(from_us=from_us, until_us=until_us)
        await self._play(_stretches(blocks), deliver)


def _stretches(blocks: Iterator[list[Frame]]) -> Iterator[list[Frame]]:
    held: list[Frame] = []
    for block in blocks:
        held += block
        if len(held) >= _TOGETHER:
            yield held
            held = []
    if held:
        yield held

"""The exchange's clock: any instant, any speed.

Belongs here: the time that the exchange believes. Does not belong here: waiting; handlers that wait
do so in real time.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """A clock that starts at an instant and runs at a speed.

    Parameters
    ----------
    start : datetime.datetime
        UTC instant it shows first.
    speed : float
        Virtual seconds per real second; 0 stands still until `set` is called.
    """

    def __init__(self, start: datetime, *, speed: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._set(start, speed)

    def now(self) -> datetime:
        """Return the UTC instant that counts as now."""
        with self._lock:
            passed = time.monotonic() - self._begun
            return self._start + timedelta(seconds=passed * self.speed)

    def set(self, instant: datetime | None = None, *, speed: float | None = None) -> None:
        """Jump to an instant, change the speed, or both; what is left out stays as it is."""
        start = self.now() if instant is None else instant
        with self._lock:
            self._set(start, self.speed if speed is None else speed)

    def _set(self, start: datetime, speed: float) -> None:
        if start.tzinfo is None:
            raise ValueError(f"expected an instant with a time zone, found {start.isoformat()}")
        if speed < 0:
            raise ValueError(f"expected a speed of 0 or more, found {speed}")
        self._start, self.speed = start.astimezone(UTC), speed
        self._begun = time.monotonic()

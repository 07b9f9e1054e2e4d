"""Which channels are wanted, which the venue acknowledged, and how fast to ask for the rest.

Belongs here: the difference between the two, chunks, credits. Does not belong here: requests and
replies (`session`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

_RAW, _SLOWER = ".raw", ".100ms"


class Credits:
    """A bucket of calls that refills with time.

    Parameters
    ----------
    most : float
        Calls that may be made at once.
    per_second : float
        Calls that come back.
    now : float
        Seconds.
    """

    def __init__(self, most: float, per_second: float, *, now: float) -> None:
        self._most, self._per_second = most, per_second
        self._left, self._seen = most, now

    def pay(self, now: float) -> bool:
        """Take one call; False when none is left."""
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Subscriptions:
    """Channels of one session.

    Parameters
    ----------
    wanted : iterable of str
        In order of importance.
    per_call : int
        Channels of one call at most.

    Attributes
    ----------
    wanted : dict of str to None
        In order.
    confirmed : set of str
        Acknowledged.
    refused : dict of str to str
        Not acknowledged, and why.
    """

    def __init__(self, wanted: Iterable[str], per_call: int) -> None:
        self.wanted: dict[str, None] = dict.fromkeys(wanted)
        self.confirmed: set[str] = set()
        self.refused: dict[str, str] = {}
        self._misses: dict[str, int] = {}
        self._per_call = per_call

    def missing(self, busy: Collection[str]) -> tuple[str, ...]:
        """Return what to subscribe next, but for channels that are being asked for."""
        return self._chunk(
            c
            for c in self.wanted
            if c not in self.confirmed and c not in self.refused and c not in busy
        )

    def surplus(self, busy: Collection[str]) -> tuple[str, ...]:
        """Return what to unsubscribe next, but for channels that are being asked for."""
        return self._chunk(
            sorted(c for c in self.confirmed if c not in self.wanted and c not in busy)
        )

    def _chunk(self, channels: Iterable[str]) -> tuple[str, ...]:
        return tuple(channels)[: self._per_call]

    def acknowledge(self, asked: Iterable[str], accepted: Collection[str]) -> None:
        """Hold what was accepted against what was asked for; the rest is missing once more."""
        for channel in asked:
            if channel in accepted:
                self.confirmed.add(channel)
                self._misses.pop(channel, None)
                continue
            misses = self._misses[channel] = self._misses.get(channel, 0) + 1
            if misses > 1:
                self.refused[channel] = "not acknowledged twice: the venue has no such channel"

    def drop(self, channels: Iterable[str], why: str) -> None:
        """Ask for channels no more."""
        for channel in channels:
            self.refused[channel] = why
            self.confirmed.discard(channel)

    def slow_down(self, channels: Iterable[str]) -> None:
        """Want every 100 ms what is not to be had raw."""
        raw = {channel for channel in channels if channel.endswith(_RAW)}
        self.drop(raw, "raw needs authentication: followed every 100 ms instead")
        self.wanted = dict.fromkeys(
            name.removesuffix(_RAW) + _SLOWER if name in raw else name for name in self.wanted
        )

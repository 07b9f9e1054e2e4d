"""How long to wait before connecting again.

Belongs here: the arithmetic of waiting. Does not belong here: sleeping, or why a connection ended.
"""

from __future__ import annotations

import random


class Backoff:
    """Exponential with full jitter; forgiven only by a connection that lasted.

    A venue that accepts a connection and ends it at once must not be hammered: a connection counts
    as a success when it was stable for a while, not when it came about.

    Parameters
    ----------
    first_seconds, most_seconds : float
        Upper bound of the first delay and of any; it doubles from one to the other.
    stable_seconds : float
        A connection that lived so long starts the count anew.
    cooldown_seconds : float
        Least delay after one of `cooldown_reasons`: another process of the same account is
        connected, and the two would otherwise throw one another out in turns.
    cooldown_reasons : frozenset of str
        Reasons that need the long pause.
    draw : random.Random, optional
        Where the jitter comes from; tests bring a seeded one.
    """

    def __init__(
        self,
        *,
        first_seconds: float = 0.5,
        most_seconds: float = 60.0,
        stable_seconds: float = 10.0,
        cooldown_seconds: float = 60.0,
        cooldown_reasons: frozenset[str] = frozenset({"max_connections"}),
        draw: random.Random | None = None,
    ) -> None:
        self._first, self._most = first_seconds, most_seconds
        self._stable, self._cooldown = stable_seconds, cooldown_seconds
        self._cooldown_reasons = cooldown_reasons
        self._draw = draw or random.Random()
        self.failures = 0
        """Connections in a row that failed or did not last."""

    def lived(self, seconds: float) -> None:
        """Take note of how long a connection was live [s]; only a stable one is a success."""
        if seconds >= self._stable:
            self.failures = 0

    def next_delay(self, reason: str = "", *, at_least: float = 0.0) -> float:
        """Return how long to wait now [s], and count the failure.

        Parameters
        ----------
        reason : str
            Code of why the last connection ended, see `Gap.reason`.
        at_least : float
            What the venue itself asked for [s], e.g. in ``Retry-After``.
        """
        bound = min(self._most, self._first * 2.0 ** min(self.failures, 60))
        self.failures += 1
        delay = self._draw.uniform(0.0, bound)
        if reason in self._cooldown_reasons:
            # spread, so that two processes do not come back in step
            delay = self._cooldown * self._draw.uniform(1.0, 1.25)
        return max(delay, at_least)

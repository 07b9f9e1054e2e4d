"""What a channel has still to get, what goes out as one message, who may send.

Belongs here: decisions over the queue, the deliverers' lock, the account of a pass. Does not belong
here: sending (`delivery`).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from dealer_assets.alerts.model import ChannelState, Queued

LONGEST_REST = timedelta(hours=1)
"""Longest pause before a channel is tried again, also where its service asks for more."""


@dataclass
class Delivered:
    """What one pass did.

    Parameters
    ----------
    is_busy : bool
        Another deliverer was at work: nothing was done.
    confirmed : dict of str to int
        Alerts confirmed, by channel.
    messages : dict of str to int
        Messages that took, parts counted.
    failures : dict of str to str
        The failure that a channel stopped at, without secrets.
    held, given_up, waiting : int
        Alerts newly held by quiet hours, given up, and still new afterwards.
    """

    is_busy: bool = False
    confirmed: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    held: int = 0
    given_up: int = 0
    waiting: int = 0

    @property
    def words(self) -> str:
        """Return it in one line."""
        if self.is_busy:
            return "another deliverer is at work"
        told = [f"{count} confirmed by {name}" for name, count in self.confirmed.items() if count]
        told += [f"{name} failed: {why}" for name, why in self.failures.items()]
        counts = {"held": self.held, "given up": self.given_up, "waiting": self.waiting}
        told += [f"{count} {word}" for word, count in counts.items() if count]
        return "; ".join(told) or "nothing to deliver"


def is_open(queued: Queued, channel: str) -> bool:
    """Tell whether a channel has still to get an alert: not confirmed, and not given up."""
    state = queued.channel(channel)
    return state is None or not (_is_given_up(state) or state.status == "delivered")


def _is_given_up(state: ChannelState) -> bool:
    return state.status == "failed" and state.retry_at is None


def is_paused(state: ChannelState, now: datetime) -> bool:
    """Tell whether a channel has to wait; for longer than it ever should, the clock went back."""
    return state.retry_at is not None and now < state.retry_at <= now + LONGEST_REST


def failures_of(queue: Sequence[Queued], channel: str) -> int:
    """Return how often the alert that heads a channel's queue was tried."""
    head = next((queued for queued in queue if is_open(queued, channel)), None)
    state = head.channel(channel) if head else None
    return state.attempts if state else 0


def status_of(queued: Queued, channel: str) -> str:
    """Return how a channel stands with an alert; ``pending`` where it was never tried."""
    state = queued.channel(channel)
    return state.status if state else "pending"


def batches(pending: Sequence[Queued], digest_over: int) -> Iterator[tuple[Sequence[Queued], str]]:
    """Yield what goes out as one message, with why, in order; a single alert has no why."""
    if len(pending) > digest_over:
        yield pending, "together: many wait"
        return
    run: list[Queued] = []
    for queued in pending:
        if queued.not_before is not None:
            run.append(queued)
            continue
        if run:
            yield run, "held by quiet hours"
            run = []
        yield [queued], ""
    if run:
        yield run, "held by quiet hours"


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the deliverers' lock; yields False where another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

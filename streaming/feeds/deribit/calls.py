"""Requests under way: numbered, waiting for their replies, or for being sent again.

Belongs here: ids and instants. Does not belong here: what a reply or an error means
(`session`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

_MOST_DOUBLINGS = 6


@dataclass(frozen=True)
class SessionRules:
    """How the session is held; the defaults keep the venue's limits.

    Parameters
    ----------
    heartbeat_seconds : int
        Interval of the venue's heartbeats; it allows none below 10.
    answer_seconds : float
        How long a reply is waited for.
    retry_seconds : float
        Pause before a request is sent again; doubles with each attempt.
    attempts : int
        How often a request is sent at most.
    channels_per_call : int
        Channels of one subscription; the venue suggests at most 500.
    calls, calls_per_second : float
        Subscriptions that may be sent at once, and that may follow: 3,000 credits each of 30,000,
        refilled at 10,000 a second, less a margin.
    renew_share : float
        Share of the token's life after which it is renewed.
    """

    heartbeat_seconds: int = 10
    answer_seconds: float = 10.0
    retry_seconds: float = 1.0
    attempts: int = 4
    channels_per_call: int = 500
    calls: float = 8.0
    calls_per_second: float = 2.5
    renew_share: float = 0.8


@dataclass(slots=True)
class Call:
    """A request.

    Parameters
    ----------
    method : str
        Of JSON-RPC.
    params : dict
        Its parameters.
    done : callable
        Takes the member ``result`` of the reply, JSON.
    may_fail : bool
        The session does not depend on it.
    channels : tuple of str
        That it subscribes, or gives up.
    attempts : int
        How often it was sent.
    due : float
        When its reply is late, or, while it waits, when to send it; seconds.
    """

    method: str
    params: dict[str, Any]
    done: Callable[[bytes], None]
    may_fail: bool = False
    channels: tuple[str, ...] = ()
    attempts: int = 0
    due: float = 0.0


class Calls:
    """Requests of one session.

    Parameters
    ----------
    rules : SessionRules
        How long to wait.

    Attributes
    ----------
    outbox : list of str
        Messages to send, in order.
    """

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        self._open: dict[int, Call] = {}
        self._waiting: list[Call] = []
        self._ids = 0
        self.outbox: list[str] = []

    @property
    def channels(self) -> set[str]:
        """Channels that are being asked for."""
        return {name for call in (*self._open.values(), *self._waiting) for name in call.channels}

    def send(self, call: Call, now: float) -> None:
        """Send a request under a new id."""
        self._ids += 1
        call.attempts += 1
        call.due = now + self._rules.answer_seconds
        self._open[self._ids] = call
        request = {"jsonrpc": "2.0", "id": self._ids, "method": call.method, "params": call.params}
        self.outbox.append(msgspec.json.encode(request).decode())

    def send_later(self, call: Call, now: float) -> None:
        """Send a request again after a pause that doubles with each attempt."""
        doublings = min(call.attempts - 1, _MOST_DOUBLINGS)
        call.due = now + self._rules.retry_seconds * 2.0**doublings
        self._waiting.append(call)

    def answered(self, number: int | str | None) -> Call | None:
        """Take out the request of a reply; None when there is none."""
        return self._open.pop(number, None) if isinstance(number, int) else None

    def late(self, now: float) -> list[Call]:
        """Take out the requests whose reply is late."""
        numbers = [number for number, call in self._open.items() if now >= call.due]
        return [self._open.pop(number) for number in numbers]

    def rested(self, now: float) -> list[Call]:
        """Take out the requests whose pause is over."""
        found = [call for call in self._waiting if now >= call.due]
        self._waiting = [call for call in self._waiting if now < call.due]
        return found

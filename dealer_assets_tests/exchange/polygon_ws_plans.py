"""Polygon's accounts on the WebSocket: what a plan may have, and how many connections.

Belongs here: keys, plans, limits, the cap on connections. Does not belong here: what is said
(`polygon_ws`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY

Cluster = Literal["options", "indices"]
CHANNELS: dict[str, tuple[str, ...]] = {
    "options": ("T", "Q", "A", "AM", "FMV"),
    "indices": ("V", "A", "AM"),
}
"""Channels a cluster knows; a subscription to another one is not answered."""

DELAY = timedelta(minutes=15)


@dataclass(frozen=True)
class Limits:
    """What the server allows; tests shorten the times.

    Parameters
    ----------
    auth_seconds : float
        Real time to authenticate in.
    connections_per_cluster : int
        Of one account, real-time and delayed hosts together.
    quotes_per_connection : int
        Contracts of channel ``Q``.
    quotes_refusal : str
        Message of the status ``error`` for more of them, or for ``Q.*``; the vendor's is unknown.
    buffer_bytes : int
        Unread data after which a reader is too slow.
    socket_bytes : int or None
        Kernel buffer of each socket; None leaves the system's.
    events_per_frame : int
        Events of a full frame.
    events_per_tick : int
        Events sent at once; a clock that passes more is followed later.
    tick_seconds : float
        Real time between two looks at the clock.
    underlyings : tuple of str
        Whose options ``T.*``, ``A.*`` and ``AM.*`` send; others only by contract.
    """

    auth_seconds: float = 10.0
    connections_per_cluster: int = 1
    quotes_per_connection: int = 1_000
    quotes_refusal: str = "maximum number of quote subscriptions exceeded"
    buffer_bytes: int = 8 * 1024**2
    socket_bytes: int | None = None
    events_per_frame: int = 500
    events_per_tick: int = 2_000
    tick_seconds: float = 0.05
    underlyings: tuple[str, ...] = ("SPX",)


class Evictable(Protocol):
    """A connection that can be told to go."""

    def evict(self) -> None:
        """Say why and close."""
        ...


class Accounts:
    """Connections that have subscribed, by account and cluster, oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[str, str], list[Evictable]] = defaultdict(list)

    def subscribed(self, key: str, cluster: Cluster, who: Evictable, *, newest_goes: bool) -> None:
        """Count a connection after its first ack, and send one away when they are too many."""
        held = self._held[key, cluster]
        if who in held:
            return
        held.append(who)
        if len(held) > self._most:
            held.pop(-1 if newest_goes else 0).evict()

    def left(self, who: Evictable) -> None:
        """Forget a connection."""
        for held in self._held.values():
            if who in held:
                held.remove(who)


def is_known(key: str) -> bool:
    """Whether a key authenticates."""
    return key in (KEY, DELAYED_KEY)


def is_mute(key: str, *, is_delayed_host: bool) -> bool:
    """Whether the host accepts the key and then neither confirms nor sends anything."""
    return key == DELAYED_KEY and not is_delayed_host


def may_have(channel: str, *, is_delayed_host: bool) -> bool:
    """Whether a plan that may use the host covers a channel: quotes are real-time only."""
    return channel != "FMV" and not (channel == "Q" and is_delayed_host)

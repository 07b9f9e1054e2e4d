"""The one shape of every feed: simulator, recordings and venues are of equal rank.

Belongs here: the contract of a feed and of a decoder. Does not belong here: any venue.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dealer_assets.errors import DealerError
from streaming.core.events import Decoded, Frame

Phase = Literal["idle", "connecting", "authenticating", "live", "waiting", "stopped"]

Deliver = Callable[[Frame], None]
"""Takes a frame at once and never blocks; called on the event loop's thread."""


class FeedRefusedError(DealerError):
    """The venue refuses for good (key, plan, malformed request): trying again will not help."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time in which a channel delivered nothing it would have delivered.

    Parameters
    ----------
    feed, channel : str
        Where.
    from_us, until_us : int
        Microseconds since 1970: last message received before, first moment of being live again.
    reason : str
        Code: closed, aborted, silent, refused, max_connections, slow_consumer, start, ...
    """

    feed: str
    channel: str
    from_us: int
    until_us: int
    reason: str


@dataclass(slots=True)
class FeedState:
    """What a feed says about itself; read by health, heartbeats and the API.

    Parameters
    ----------
    phase : str
        Where in its life a connection is; the least lively of several.
    since_us : int
        Microseconds since 1970 of entering it.
    last_us : int
        When the last message was received; -1 before the first.
    connects, drops : int
        Connections that went live, and those lost.
    wanted, confirmed : int
        Subscriptions asked for and acknowledged.
    refused : list of str
        Subscriptions that the venue refused or never acknowledged, in words.
    notes : list of str
        Those words of `refused` that name a declared fallback: known, and no problem.
    problem : str
        The last thing that went wrong, in words, credentials struck out; blank when nothing did.
    trouble : str
        What is wrong now though the connection is live, in words; blank when nothing is.
    """

    phase: Phase = "idle"
    since_us: int = -1
    last_us: int = -1
    connects: int = 0
    drops: int = 0
    wanted: int = 0
    confirmed: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    trouble: str = ""


class Feed(ABC):
    """Delivers a venue's messages until it is cancelled.

    A feed reconnects by itself, with back-off. `run` returns only when there is nothing more to
    come (the end of a recording) and raises `FeedRefusedError` when trying again will not help.
    Its clock is a parameter, so that tests and replays bring their own.
    """

    name: str

    def __init__(self) -> None:
        self.state = FeedState()
        self.on_gap: Callable[[Gap], None] = lambda gap: None

    @abstractmethod
    async def run(self, deliver: Deliver) -> None:
        """Connect, subscribe and deliver frames.

        Raises
        ------
        FeedRefusedError
            When the venue refuses for good.
        """

    def follow(self, spots: dict[str, float]) -> None:  # noqa: B027  # most feeds have no window
        """Take note of spot [USD] by underlying; feeds that quote a window of strikes follow it."""


class Decoder(Protocol):
    """Turns frames of one feed into events; holds no state that a restart would miss."""

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """Decode frames in order; never raises on what is in them."""
        ...

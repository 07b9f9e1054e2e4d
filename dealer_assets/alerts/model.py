"""What the store knows of an alert: states, steps, attempts.

Belongs here: dataclasses, closed vocabularies, the table of transitions. Does not belong here: SQL
(`store.py`), what an alert is (`domain/alerting/alert.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dealer_assets.domain.alerting.alert import (
    PLATFORM as PLATFORM,
    SEVERITIES as SEVERITIES,
    Alert as Alert,
    Ending as Ending,
    Fact as Fact,
    identity as identity,
)

State = Literal["new", "delivered", "acknowledged", "resolved"]
STATES: tuple[State, ...] = ("new", "delivered", "acknowledged", "resolved")

TRANSITIONS: dict[State, tuple[State, ...]] = {
    "new": ("delivered", "acknowledged", "resolved"),
    "delivered": ("acknowledged", "resolved"),
    "acknowledged": ("resolved",),
    "resolved": (),
}
"""Where a state may go. Whoever reads the list may acknowledge before anything was sent."""

Happening = Literal[
    "raised", "held", "attempted", "doubtful", "failed", "delivered", "acknowledged", "resolved"
]
HAPPENINGS: tuple[Happening, ...] = (
    "raised",  # taken into the store
    "held",  # not to be sent before an instant: quiet hours
    "attempted",  # a channel is about to be sent to; written before anything is sent
    "doubtful",  # an attempt whose end nobody saw: it may or may not have arrived
    "failed",
    "delivered",  # one channel confirmed
    "acknowledged",
    "resolved",
)

Delivery = Literal["pending", "attempted", "doubtful", "failed", "delivered"]


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended.

    Parameters
    ----------
    status : {"delivered", "failed"}
        Confirmed by the receiver, or not.
    detail : str
        In words, without secrets: it is stored, shown and exported.
    retry_at : datetime.datetime or None
        Of a failure: not to be tried again before.
    """

    status: Literal["delivered", "failed"]
    detail: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """An attempt that has begun.

    Parameters
    ----------
    number : int
        From 1, by alert and channel.
    is_repeat_of_doubtful : bool
        An attempt before it never ended here, and may have arrived: the message should say so.
    """

    number: int
    is_repeat_of_doubtful: bool


@dataclass(frozen=True)
class ChannelState:
    """How far one channel got with an alert.

    Parameters
    ----------
    channel : str
        Name without secrets.
    status : {"attempted", "doubtful", "failed", "delivered"}
        Of the last attempt; ``attempted`` is under way, or was killed.
    attempts : int
        Attempts so far.
    retry_at : datetime.datetime or None
        Not to be tried again before.
    at : datetime.datetime
        When the last attempt began or ended.
    detail : str
        What was said of it.
    """

    channel: str
    status: Delivery
    attempts: int
    retry_at: datetime | None
    at: datetime
    detail: str


@dataclass(frozen=True)
class Queued:
    """An alert as the store holds it.

    Parameters
    ----------
    alert : Alert
        What was raised.
    sequence : int
        Order in which alerts were raised, over all underlyings.
    state : str
        One of `STATES`.
    raised_at : datetime.datetime
        When it came into the store.
    not_before : datetime.datetime or None
        Held until then, by quiet hours.
    is_historical : bool
        Too old when it was raised: never sent.
    cooled : int
        Alerts of the same key that its cool-down kept quiet.
    channels : tuple of ChannelState
        Channels that were tried, by name.
    """

    alert: Alert
    sequence: int
    state: State
    raised_at: datetime
    not_before: datetime | None = None
    is_historical: bool = False
    cooled: int = 0
    channels: tuple[ChannelState, ...] = ()

    def channel(self, name: str) -> ChannelState | None:
        """Return how far a channel got; None when it was never tried."""
        return next((c for c in self.channels if c.channel == name), None)


@dataclass(frozen=True)
class Step:
    """One line of an alert's history; lines are only ever added.

    Parameters
    ----------
    alert_id : str
        The alert.
    step : int
        From 1.
    at : datetime.datetime
        When.
    happening : str
        One of `HAPPENINGS`.
    state : str
        State of the alert afterwards.
    by : str
        Who: a user's name, ``platform``, or ``delivery``.
    channel : str
        Where to; empty where none was meant.
    detail : str
        In words.
    """

    alert_id: str
    step: int
    at: datetime
    happening: Happening
    state: State
    by: str
    channel: str
    detail: str


@dataclass(frozen=True)
class Raised:
    """What became of alerts that were handed to the store, by id in the order of `event_at`.

    Parameters
    ----------
    taken : tuple of str
        New in the store; those of them that are historical are resolved already.
    duplicates : tuple of str
        Held already.
    cooled : tuple of str
        Kept quiet by another alert of the same key.
    ended : tuple of str
        Resolved by this call, because their condition has ended.
    """

    taken: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    cooled: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()

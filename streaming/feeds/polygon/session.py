"""What is said on one Polygon connection: greeting, key, subscriptions, and what became of each.

Belongs here: the book-keeping as a state machine that is told the time, and so needs neither socket
nor clock. Does not belong here: connecting again (`polygon`), data (`decode`).

A refusal names no channel, an unknown channel and a repetition are not answered at all: what a
subscription came to is only known from what was confirmed until a deadline.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from pydantic import SecretStr

Stage = Literal["greeting", "authenticating", "subscribing", "live"]

_LONGEST_TEXT = 160
_FAREWELLS = frozenset({"max_connections", "slow_consumer", "force_disconnect", "auth_timeout"})
_HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long is waited for what [s].

    Parameters
    ----------
    greeting_seconds : float
        For the server's greeting, before the key is sent without one.
    auth_seconds : float
        For the answer to the key.
    ack_seconds : float
        For the confirmation of a subscription; what is not confirmed then counts as refused.
    mute_seconds : float
        Of no answer to any subscription, after which another connection is tried.
    pace_seconds : float
        Between two requests.
    batch : int
        Subscriptions of a request.
    """

    greeting_seconds: float = 2.0
    auth_seconds: float = 10.0
    ack_seconds: float = 10.0
    mute_seconds: float = 120.0
    pace_seconds: float = 0.05
    batch: int = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a connection is to be given up.

    Parameters
    ----------
    reason : str
        Code, see `Gap.reason`.
    words : str
        What was expected, what was found, what to do.
    is_final : bool
        Another connection would not help.
    """

    reason: str
    words: str
    is_final: bool = False


def read(payload: bytes) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the statuses of a message, and whether there is anything but statuses in it.

    Statuses share messages with data. What cannot be read is data: its decoder counts it.
    """
    if b'"status"' not in payload:
        return [], True
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], True
    events = found if isinstance(found, list) else [found]
    statuses: list[Mapping[str, Any]] = [
        e for e in events if isinstance(e, dict) and e.get("ev") == "status"
    ]
    return statuses, len(statuses) < len(events)


class PolygonSession:
    """One connection's conversation.

    Parameters
    ----------
    key : SecretStr
        Sent in a message only, struck out of everything the server says.
    essentials : sequence of str
        Subscriptions that make the connection live, e.g. ``T.*``.
    now : float
        Seconds of any steady clock; so are all other times.
    times : SessionTimes
        How long is waited.
    """

    def __init__(
        self, key: SecretStr, essentials: Iterable[str], now: float, times: SessionTimes
    ) -> None:
        self._key, self._essentials, self._times = key, tuple(essentials), times
        self.stage: Stage = "greeting"
        self.verdict: Verdict | None = None
        self.live_at: float | None = None
        self.wanted: dict[str, None] = {}
        self.confirmed: set[str] = set()
        self._since = now
        self._is_greeted = False
        self._held: dict[str, float] = {}  # asked for and not given up since, and when
        self._to_ask: deque[str] = deque()
        self._to_drop: deque[str] = deque()
        self._next_request_at = now
        self._errors: Counter[str] = Counter()
        self._answering: set[str] = set()  # channels of which something was ever confirmed
        self._shut: set[str] = set()  # channels that are not asked for again
        self.want(())

    # what is wanted

    def want(self, params: Iterable[str]) -> None:
        """Say which subscriptions are wanted from now on, the most important first."""
        self.wanted = dict.fromkeys((*self._essentials, *params))
        self._to_drop = deque(param for param in self._held if param not in self.wanted)
        self._to_ask = deque(
            param
            for param in self.wanted
            if param not in self._held and _channel(param) not in self._shut
        )

    # what the server says

    def opened(self, now: float) -> None:
        """Take note that the connection is open."""
        self._since = now

    def hear(self, statuses: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take note of the statuses of a message."""
        for status in statuses:
            self._take(status, now)
        self._settle(now)

    def _take(self, status: Mapping[str, Any], now: float) -> None:
        word = str(status.get("status", "")).lower()
        text = self.without_key(str(status.get("message", "")))
        if word == "success":
            self._acknowledged(text)
        elif word == "error" and self.stage in ("subscribing", "live"):
            self._errors[text] += 1
        elif word == "connected":
            self._is_greeted = True
        elif word == "auth_success":
            if self.stage in ("greeting", "authenticating"):
                self._enter("subscribing", now)
        elif word == "auth_failed":
            self._give_up(
                "auth_failed",
                f"expected Polygon to accept the key, was answered auth_failed ({text}): check "
                "DEALER_POLYGON_API_KEY and whether the plan has WebSockets of this cluster",
                is_final=True,
            )
        elif word in _FAREWELLS:
            self._give_up(word, f"Polygon ends the connection: {word} ({text})")

    def _acknowledged(self, text: str) -> None:
        action, _, params = text.partition(": ")
        for param in (name.strip() for name in params.split(",")):
            if action.startswith("subscribed") and param in self._held:
                self.confirmed.add(param)
                self._answering.add(_channel(param))

    def without_key(self, text: str) -> str:
        """Return the beginning of a text, the key struck out."""
        secret = self._key.get_secret_value()
        return (text.replace(secret, _HIDDEN) if secret else text)[:_LONGEST_TEXT]

    # what is to be said

    def step(self, now: float) -> list[str]:
        """Return what is to be sent now; sets `verdict` when the connection is to be given up."""
        self._settle(now)
        if self.verdict is not None:
            return []
        if self.stage == "greeting":
            if not self._is_greeted and now < self._since + self._times.greeting_seconds:
                return []
            self._enter("authenticating", now)
            return [_request("auth", self._key.get_secret_value())]
        if self.stage == "authenticating" or now < self._next_request_at:
            return []
        return self._next_request(now)

    def _next_request(self, now: float) -> list[str]:
        """Give up first, so that a cap on subscriptions is never passed."""
        queue = self._to_drop or self._to_ask
        batch = [queue.popleft() for _ in range(min(self._times.batch, len(queue)))]
        if not batch:
            return []
        self._next_request_at = now + self._times.pace_seconds
        if queue is self._to_drop:
            for param in batch:
                del self._held[param]
                self.confirmed.discard(param)
            return [_request("unsubscribe", ",".join(batch))]
        self._held.update(dict.fromkeys(batch, now))
        return [_request("subscribe", ",".join(batch))]

    def due(self, now: float) -> float:
        """Return after how many seconds `step` has something to do, if nothing is heard before."""
        times = self._times
        if self.stage == "greeting":
            at = self._since + times.greeting_seconds
        elif self.stage == "authenticating":
            at = self._since + times.auth_seconds
        elif self._to_drop or self._to_ask:
            at = self._next_request_at
        else:
            pending = [t for p, t in self._held.items() if p not in self.confirmed]
            deadlines = [t + times.ack_seconds for t in pending]
            deadlines.append(self._since + times.mute_seconds)
            at = min((t for t in deadlines if t > now), default=now + times.mute_seconds)
        return max(at - now, 0.0)

    # what became of it

    def _enter(self, stage: Stage, now: float) -> None:
        self.stage, self._since = stage, now

    def _give_up(self, reason: str, words: str, *, is_final: bool = False) -> None:
        self.verdict = self.verdict or Verdict(reason, words, is_final)

    def _settle(self, now: float) -> None:
        """Draw conclusions from what was confirmed, and from what was not in time."""
        if self.stage == "authenticating" and now >= self._since + self._times.auth_seconds:
            self._give_up(
                "auth_timeout",
                f"expected an answer to the key within {self._times.auth_seconds:g} s, found none",
            )
        if self.stage == "subscribing":
            self._settle_subscriptions(now)
        if self.stage in ("subscribing", "live"):
            self._shut_channels(now)

    def _settle_subscriptions(self, now: float) -> None:
        overdue = self._overdue(now)
        if self.confirmed:
            if all(p in self.confirmed or p in overdue for p in self._essentials):
                self._enter("live", now)
                self.live_at = now
            return
        is_mute = now >= self._since + self._times.mute_seconds
        refusals = self._errors.total()
        if overdue and refusals and (is_mute or refusals >= len(overdue)):
            self._give_up(
                "not_authorized",
                "expected Polygon to confirm at least one subscription, none was "
                f"({self._said()}): the plan of this key has none of these channels",
                is_final=True,
            )
        elif is_mute:
            self._give_up("mute", self._mute_words(self._times.mute_seconds))

    def _overdue(self, now: float) -> set[str]:
        latest = now - self._times.ack_seconds
        return {p for p, at in self._held.items() if at <= latest and p not in self.confirmed}

    def _shut_channels(self, now: float) -> None:
        """Stop asking for channels of which nothing was ever confirmed, where refusals were heard.

        A rotation would otherwise ask for another few hundred of them every few seconds.
        """
        if self._errors and (self._to_ask or self._to_drop):
            silent = {_channel(p) for p in self._overdue(now)} - self._answering - self._shut
            if silent:
                self._shut |= silent
                self._to_ask = deque(p for p in self._to_ask if _channel(p) not in self._shut)

    def refused(self, now: float) -> list[str]:
        """Return in words what was asked for in vain; a line per channel."""
        overdue = self._overdue(now)
        if overdue and not self.confirmed and not self._errors:
            return [self._mute_words(self._times.ack_seconds)]
        by_channel: dict[str, list[str]] = {channel: [] for channel in self._shut}
        for param in overdue:
            by_channel.setdefault(_channel(param), []).append(param)
        return [
            self._refused_words(channel, sorted(params))
            for channel, params in sorted(by_channel.items())
        ]

    def _refused_words(self, channel: str, params: list[str]) -> str:
        if channel in self._shut:
            return f"{channel}: none was confirmed, not asked for any more ({self._said()})"
        asked = sum(_channel(param) == channel for param in self._held)
        examples = ", ".join(params[:3])
        return (
            f"{channel}: {len(params)} of {asked} refused or unknown, e.g. {examples} "
            f"({self._said()})"
        )

    def _said(self) -> str:
        if not self._errors:
            return "the venue said nothing"
        said = (f"{text!r} {count} times" for text, count in self._errors.most_common(3))
        return f"the venue named none and said {', '.join(said)}"

    def _mute_words(self, seconds: float) -> str:
        return (
            f"authenticated, but no subscription was answered within {seconds:g} s: so does a host "
            "of real-time data with the key of a delayed plan; set DEALER_POLYGON_WS_URL to the "
            "delayed host, or change the plan"
        )


def _channel(param: str) -> str:
    return param.partition(".")[0]


def _request(action: str, params: str) -> str:
    return json.dumps({"action": action, "params": params}, separators=(",", ":"))

"""A desk to deliver alerts from: made alerts, a clock that is set by hand, a sender that fakes.

Belongs here: what several tests of delivery share. Does not belong here: assertions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dealer_assets.alerts.channels import Channel
from dealer_assets.alerts.messages import Message
from dealer_assets.alerts.model import Alert, identity
from dealer_assets.alerts.sender import Answer, Description

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
REFUSED = Answer(False, status=500, detail="HTTP 500")
LATE = Answer(False, is_doubtful=True, detail="no answer in 1 s: cut off")


def alert(number: int, **changes: Any) -> Alert:
    """The alert of a number, a second after the one before it, a while ago."""
    at = NOW - timedelta(minutes=30) + timedelta(milliseconds=number)
    known: dict[str, Any] = {
        "alert_id": identity("score_at_least", "SPX", str(number), at),
        "rule": "score_at_least",
        "underlying": "SPX",
        "session_date": date(2026, 11, 20),
        "event_at": at,
        "known_at": at,
        "severity": "warning",
        "title": f"Alert {number}",
        "body": "Volume 14x its bucket's median for this hour.",
        "dedupe_key": str(number),
    }
    return Alert(**(known | changes))


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class FakeSender:
    """A service that answers as it is told.

    Parameters
    ----------
    answers : callable
        Channel's name, message -> Answer.
    largest : int
        Of a message.
    """

    answers: Callable[[str, Message], Answer] = lambda name, message: Answer(True, status=200)
    largest: int = 32_768
    problem: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Channel and title of every message that was tried."""
    arrived: list[tuple[str, Message]] = field(default_factory=list)

    def describe(self, channel: Channel) -> Description:
        return Description("Fake", self.largest, self.problem)

    def send(self, channel: Channel, message: Message) -> Answer:
        self.asked.append((channel.name, message.title))
        answer = self.answers(channel.name, message)
        if answer.is_accepted:
            self.arrived.append((channel.name, message))
        return answer

    def titles(self, channel: str) -> list[str]:
        """Titles that a channel confirmed, in order."""
        return [message.title for name, message in self.arrived if name == channel]

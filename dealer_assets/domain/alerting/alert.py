"""What an alert is, and how it gets its identity.

Belongs here: the dataclass and its vocabulary. Does not belong here: rules (`rules.py`), states and
delivery (`alerts/model.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

PLATFORM = "PLATFORM"
"""Stands as underlying of what concerns no lane alone: failed runs."""

SEVERITIES = ("notice", "warning", "severe")
"""Ascending."""

Fact = str | float | int | bool | None


@dataclass(frozen=True)
class Alert:
    """Something that a user should look at.

    Parameters
    ----------
    alert_id : str
        Hash of rule, underlying, dedupe key and `event_at`, and of the severity where the rows
        decide it: the same thing found twice is one, found worse it is another.
    rule : str
        Name of the rule.
    underlying : str
        Registry symbol, or `PLATFORM`.
    session_date : datetime.date
        Session it belongs to; of `PLATFORM` the UTC day.
    event_at : datetime.datetime
        When it began to be so (aware).
    known_at : datetime.datetime
        Latest `known_at` of the rows it was found in.
    severity : str
        One of `SEVERITIES`.
    title, body : str
        Words: one line; the rest.
    dedupe_key : str
        What tells two alerts of a rule and underlying apart; the cool-down is kept for each.
    facts : mapping
        Numbers behind the words.
    cool_down : datetime.timedelta
        How far from another alert of the same key it has to lie.
    last_seen_at : datetime.datetime or None
        Of a condition: the last instant at which it was seen to hold; None: it has no end.
    """

    alert_id: str
    rule: str
    underlying: str
    session_date: date
    event_at: datetime
    known_at: datetime
    severity: str
    title: str
    body: str
    dedupe_key: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    cool_down: timedelta = timedelta(0)
    last_seen_at: datetime | None = None


@dataclass(frozen=True)
class Ending:
    """A condition that has ended: its alerts from before are resolved.

    Parameters
    ----------
    rule, underlying, dedupe_key : str
        Of the alerts that it ends.
    at : datetime.datetime
        When it had ended; alerts of something that began then or later stay.
    """

    rule: str
    underlying: str
    dedupe_key: str
    at: datetime


@dataclass(frozen=True)
class Found:
    """What rules find in rows.

    Parameters
    ----------
    alerts : tuple of Alert
        Candidates: whether one is taken is decided by `cooling`.
    endings : tuple of Ending
        Conditions that have ended.
    """

    alerts: tuple[Alert, ...] = ()
    endings: tuple[Ending, ...] = ()

    def __add__(self, other: Found) -> Found:
        return Found(self.alerts + other.alerts, self.endings + other.endings)


def identity(rule: str, underlying: str, dedupe_key: str, event_at: datetime) -> str:
    """Return an alert's id: 20 hexadecimal digits, the same in every process and year."""
    text = "\x1f".join((rule, underlying, dedupe_key, f"{event_at.timestamp():.6f}"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]

"""Tries what alerts are sent by, and looks at how delivery stands.

Belongs here: one test message a channel, and the doctor's line. Does not belong here: delivery of
what was raised (`delivery`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dealer_assets.alerts.channels import LOG, Channel, SenderProcess, channels_of
from dealer_assets.alerts.logfile import LogFile
from dealer_assets.alerts.messages import Message, message_of
from dealer_assets.alerts.model import PLATFORM, Alert, Queued, identity
from dealer_assets.alerts.policy import policy_of
from dealer_assets.alerts.quiet import quiet_hours
from dealer_assets.alerts.sender import Answer
from dealer_assets.alerts.store import AlertStore
from dealer_assets.domain.alerting.table import rules_of
from dealer_assets.errors import DealerError
from dealer_assets.settings import Settings

_OVERDUE = timedelta(hours=1)
_LOOKED_AT = 10_000


@dataclass(frozen=True)
class Trial:
    """What came of a test message on one channel.

    Parameters
    ----------
    channel : str
        Its name.
    service : str
        What the URL leads to; empty where it cannot be used.
    answer : Answer
        What the service said, or why it was not asked.
    """

    channel: str
    service: str
    answer: Answer


@dataclass(frozen=True)
class Standing:
    """How delivery stands, in one line.

    Parameters
    ----------
    verdict : {"ok", "warn", "fail"}
        Whether alerts arrive.
    detail : str
        What was found, and what to do.
    """

    verdict: Literal["ok", "warn", "fail"]
    detail: str


def trial_alert(now: datetime) -> Alert:
    """Return an alert that says it is a test; it is not stored."""
    rule = "test"
    return Alert(
        alert_id=identity(rule, PLATFORM, rule, now),
        rule=rule,
        underlying=PLATFORM,
        session_date=now.date(),
        event_at=now,
        known_at=now,
        severity="notice",
        title="Test of dealer alerts",
        body="If you can read this, alerts arrive here. Odd letters: < & > * _ ` é 漢 😀",
        dedupe_key=rule,
    )


def try_channels(settings: Settings, now: datetime) -> list[Trial]:
    """Send one message through every configured URL, whatever the mode; without any, to the log.

    Raises
    ------
    BadInputError
        When DEALER_ALERT_URLS cannot be read.
    """
    message = message_of(trial_alert(now))
    channels = channels_of(settings.alert_urls)
    if not channels:
        return [Trial(LOG, "log", LogFile(settings.alert_log).append(message))]
    with SenderProcess(settings.alert_send_seconds) as sender:
        return [_tried(sender, channel, message) for channel in channels]


def _tried(sender: SenderProcess, channel: Channel, message: Message) -> Trial:
    description = sender.describe(channel)
    if description.problem:
        return Trial(channel.name, "", Answer(False, detail=description.problem))
    return Trial(channel.name, description.service, sender.send(channel, message))


def standing(settings: Settings, now: datetime) -> Standing:
    """Look at settings, channels and queue without sending anything."""
    try:
        policy = policy_of(settings)
        quiet_hours(settings.alert_quiet)  # also where it is not asked yet: told before it matters
        rules_of(settings.alert_rules)
        problems = _unusable(settings)
        waiting = _waiting(settings)
    except DealerError as error:
        return Standing("fail", str(error))
    names = ", ".join(channel.name for channel in policy.channels)
    told = f"{settings.alert_mode} to {names}; {len(waiting):,} waiting"
    if problems:
        return Standing("fail", f"{told}; {'; '.join(problems)}")
    failing = [(q, c) for q in waiting for c in q.channels if c.status == "failed"]
    if failing:
        queued, state = failing[0]
        text = f"{told}; {state.channel} failed {state.attempts} times, last: {state.detail}"
        is_overdue = now - queued.raised_at > _OVERDUE
        return Standing("fail" if is_overdue else "warn", text)
    overdue = [q for q in waiting if q.not_before is None and now - q.raised_at > _OVERDUE]
    if overdue:
        return Standing(
            "warn",
            f"{told}, the oldest for over an hour: is the sensor `alert_delivery` on? "
            "`dealer alerts deliver` sends them now",
        )
    return Standing("ok", told)


def _unusable(settings: Settings) -> list[str]:
    channels = channels_of(settings.alert_urls)
    if settings.alert_mode == "log" or not channels:
        return []
    with SenderProcess(settings.alert_send_seconds) as sender:
        found = [(channel.name, sender.describe(channel).problem) for channel in channels]
    return [f"{name}: {problem}" for name, problem in found if problem]


def _waiting(settings: Settings) -> list[Queued]:
    if not settings.alert_store.exists():
        return []
    with AlertStore(settings.alert_store) as store:
        return store.listing("new", _LOOKED_AT)[::-1]

"""Alerts as documents: what the live API answers and `--json` prints.

Belongs here: keys of the documents. Does not belong here: routes, tables for the terminal.

Instants are ISO 8601 in UTC, unknown is null. Nothing in here holds a secret: channels are names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dealer_assets.alerts.model import Queued, Step


def document_of(queued: Queued, steps: Iterable[Step] = ()) -> dict[str, Any]:
    """Return an alert, with its history where steps are given."""
    alert = queued.alert
    document: dict[str, Any] = {
        "alert_id": alert.alert_id,
        "state": queued.state,
        "severity": alert.severity,
        "rule": alert.rule,
        "underlying": alert.underlying,
        "session_date": alert.session_date.isoformat(),
        "event_at": alert.event_at.isoformat(),
        "known_at": alert.known_at.isoformat(),
        "raised_at": queued.raised_at.isoformat(),
        "not_before": _instant(queued.not_before),
        "title": alert.title,
        "body": alert.body,
        "facts": dict(alert.facts),
        "cooled": queued.cooled,
        "channels": [
            {
                "channel": state.channel,
                "status": state.status,
                "attempts": state.attempts,
                "at": state.at.isoformat(),
                "retry_at": _instant(state.retry_at),
                "detail": state.detail,
            }
            for state in queued.channels
        ],
    }
    told = [
        {
            "step": step.step,
            "at": step.at.isoformat(),
            "happening": step.happening,
            "state": step.state,
            "by": step.by,
            "channel": step.channel,
            "detail": step.detail,
        }
        for step in steps
    ]
    return document | ({"history": told} if told else {})


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

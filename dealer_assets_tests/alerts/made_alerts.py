"""Made-up alerts for tests: all of one session, told apart by key or instant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from dealer_assets.alerts.model import Alert, identity

DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NOW = AT + timedelta(hours=1)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def alert(
    key: str = "above",
    *,
    at: datetime = AT,
    rule: str = "flip_crossed",
    underlying: str = "SPX",
    severity: str = "warning",
    cool_down: timedelta = timedelta(0),
    last_seen_at: datetime | None = None,
) -> Alert:
    return Alert(
        alert_id=identity(rule, underlying, key, at),
        rule=rule,
        underlying=underlying,
        session_date=DAY,
        event_at=at,
        known_at=at,
        severity=severity,
        title=f"{underlying} {key}",
        body="in words",
        dedupe_key=key,
        facts={"spot": 6500.25, "model": "naive", "is_simulated": False},
        cool_down=cool_down,
        last_seen_at=last_seen_at,
    )


def queue(count: int) -> list[Alert]:
    """Alerts a second apart, each of a key of its own."""
    return [
        replace(alert(f"key {i}", at=AT + timedelta(seconds=i)), title=f"SPX number {i}")
        for i in range(count)
    ]

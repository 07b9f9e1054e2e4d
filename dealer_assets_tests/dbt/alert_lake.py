"""Alerts of the hand-made lake, and their seeded violation.

Belongs here: SPX and the platform: one alert that was sent and acknowledged, one of long ago, one
failed run. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

ALERT_RULES = {"alerts_historical_ones_are_never_sent"}


def alert_rows(days: tuple[date, ...], clock: time, zone: Any) -> Rows:
    """Return the rows of `alerts`."""
    first, last = (datetime.combine(day, clock, tzinfo=zone) for day in (days[0], days[-1]))
    sent = ("raised", "attempted", "doubtful", "attempted", "delivered", "acknowledged")
    failed = {"underlying": "PLATFORM", "rule": "failed_run"}
    return {
        "alerts": [
            *_life("aa", last, *sent, rule="flip_crossed"),
            *_life("bb", first, "raised", "resolved", rule="flip_crossed", is_historical=True),
            *_life("cc", last, "raised", **failed),
        ]
    }


def _life(alert_id: str, at: datetime, *happenings: str, **values: Any) -> list[Row]:
    states = {"delivered": "delivered", "acknowledged": "acknowledged", "resolved": "resolved"}
    told = {"is_historical": False, "severity": "warning"} | values
    return [
        row(
            tables.ALERTS,
            at=at + timedelta(minutes=step),
            session_date=at.date(),
            alert_id=alert_id,
            step=step,
            happening=happening,
            state=states.get(happening, "new"),
            alert_at=at,
            alert_known_at=at,
            channel="log" if happening in ("attempted", "delivered") else "",
            **told,
        )
        for step, happening in enumerate(happenings, start=1)
    ]


def violate_alerts(rows: Rows) -> None:
    """Send what was historical."""
    old = next(r for r in rows["alerts"] if r["alert_id"] == "bb")
    rows["alerts"].append(old | {"step": 3, "happening": "attempted", "state": "resolved"})

"""What becomes of a found alert: taken, known already, or kept quiet by one that went before.

Belongs here: the decision, as a pure function of instants. Does not belong here: where earlier
alerts are kept (`alerts/store.py`), how long a rule cools down (`table.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from dealer_assets.domain.alerting.alert import SEVERITIES, Alert

Decision = Literal["taken", "duplicate", "cooled"]

DELIVER_WITHIN = timedelta(hours=6)
"""An alert about something older than this is stored as resolved and never sent: a backfill of
last year, or of a night the machine was off, must not wake anybody."""


def decide(alert: Alert, *, is_known: bool, earlier: Sequence[tuple[datetime, str]]) -> Decision:
    """Decide about one alert.

    Parameters
    ----------
    alert : Alert
        As a rule found it.
    is_known : bool
        Its id is held already.
    earlier : sequence of (datetime.datetime, str)
        `event_at` and severity of held alerts of the same rule, underlying and dedupe key, before
        or after it.

    Returns
    -------
    {"taken", "duplicate", "cooled"}

    Notes
    -----
    The cool-down is measured between what happened, not between runs, and to both sides: a rerun,
    a rebuild and a late snapshot decide the same. A condition that is still seen to hold when the
    cool-down of the alert before it is over is taken then: it must not stay unsaid. What is worse
    than all that was told is told at once; the same instant computed anew, and found no worse, is
    the alert that is held.
    """
    rank = SEVERITIES.index(alert.severity)
    as_bad = [at for at, severity in earlier if SEVERITIES.index(severity) >= rank]
    if is_known or alert.event_at in as_bad:
        return "duplicate"
    if any(_is_too_near(alert, at) for at in as_bad):
        return "cooled"
    return "taken"


def _is_too_near(alert: Alert, at: datetime) -> bool:
    if abs(alert.event_at - at) >= alert.cool_down:
        return False
    outlasts = alert.last_seen_at is not None and alert.last_seen_at >= at + alert.cool_down
    return not (outlasts and alert.event_at > at)


def is_historical(alert: Alert, now: datetime, *, within: timedelta = DELIVER_WITHIN) -> bool:
    """Tell whether an alert is too old to be sent; a condition is as old as it was last seen."""
    return now - (alert.last_seen_at or alert.event_at) > within

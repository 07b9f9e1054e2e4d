"""The table of what happened to alerts.

Belongs here: columns and closed vocabularies. Does not belong here: the store alerts live in
(`alerts/`), the rules that raise them (`domain/alerting`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, INSTANT, Column, Table

ALERT_RULES = (
    "score_at_least",
    "underlying_score_at_least",
    "flip_crossed",
    "wall_shifted",
    "regime_changed",
    "strike_changed",
    "feed_gap",
    "stale_data",
    "failed_run",
    "data_problem",
    "test",
)
"""What raises alerts; `test` is what `dealer alerts test` sends."""

ALERT_SEVERITIES = ("notice", "warning", "severe")
ALERT_STATES = ("new", "delivered", "acknowledged", "resolved")
ALERT_HAPPENINGS = (
    "raised",
    "held",
    "attempted",
    "doubtful",
    "failed",
    "delivered",
    "acknowledged",
    "resolved",
)

ALERTS = Table(
    name="alerts",
    doc="What happened to alerts: one row for each step from being raised to being resolved.",
    grain="underlying or PLATFORM x session x alert x step",
    key=("alert_id", "step"),
    part="session",
    columns=(
        *ID,  # both clocks are the step's own instant: nothing of it was known before
        Column("alert_id", pa.string(), "-", "Hash of rule, underlying, key, begin, severity."),
        Column("step", pa.int32(), "1", "Number of the step, from 1.", lower=1),
        Column("happening", pa.string(), "-", "What happened.", allowed=ALERT_HAPPENINGS),
        Column("state", pa.string(), "-", "State of the alert afterwards.", allowed=ALERT_STATES),
        Column("done_by", pa.string(), "-", "A user's name, platform, or delivery."),
        Column("channel", pa.string(), "-", "Where to, without secrets; blank: nowhere."),
        Column("detail", pa.string(), "-", "In words, without secrets; blank: nothing to say."),
        Column("rule", pa.string(), "-", "Rule that raised it.", allowed=ALERT_RULES),
        Column("severity", pa.string(), "-", "How much it matters.", allowed=ALERT_SEVERITIES),
        Column("alert_at", INSTANT, "UTC", "When what it is about began."),
        Column("alert_known_at", INSTANT, "UTC", "When the rows it was found in were known."),
        Column("last_seen_at", INSTANT, "UTC", "Condition last seen; null: it has no end.", True),
        Column("is_historical", pa.bool_(), "-", "Too old when it was raised: never sent."),
        Column("cooled", pa.int64(), "alerts", "Alerts its cool-down kept quiet.", lower=0),
        Column("dedupe_key", pa.string(), "-", "What the cool-down is kept for."),
        Column("title", pa.string(), "-", "One line."),
        Column("body", pa.string(), "-", "The rest."),
        Column("facts", pa.string(), "-", "Numbers behind the words, as JSON."),
    ),
)

"""Table of what anomaly scores are worth, measured by anomalies put in by hand.

Belongs here: the evaluation's columns and words. Does not belong here: the scores (`scores`), how
they are measured (`domain/anomaly/evaluation.py`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, Column, Table

EVALUATION_METHODS = ("own", "plain_z3", "p_without_bh")
"""Our scores; a plain z-score above 3 that knows no bucket; our p-values under the target, without
control of the false discovery rate."""

EVALUATION_MEASURES = (
    "recall",
    "recall_at_alert_rate",
    "precision",
    "false_discovery",
    "any_false_discovery",
    "alert_rate",
    "confirmation",
    "confirmation_base",
)
"""Share found of what was put in; the same when each method alerts equally often; share put in of
what was found there; mean share of discoveries that are false, over snapshots; share of snapshots
with any; share of rows alerted on as they stand; flagged contracts whose open interest rose by the
next morning; contracts like them, not flagged, of which it rose as much."""

INJECTED_KINDS = (
    "none",
    "volume",
    "iv",
    "spread",
    "premium",
    "open_interest",
    "sweep",
)
"""What was put in; `none` is the session as it stands."""

ALL_SLOTS = -1

EVALUATION_SEVERITIES = ("any", "notice", "warning", "severe")

ANOMALY_EVALUATION = Table(
    name="anomaly_evaluation",
    doc="What the session's anomaly scores are worth: found, missed and false, beside plain rules.",
    grain="underlying x session x method x measure x injected kind x size x slot x severity",
    key=("method", "measure", "injected_kind", "injected_size", "slot", "severity"),
    part="session",
    columns=(
        *ID,
        Column("method", pa.string(), "-", "Who judges.", allowed=EVALUATION_METHODS),
        Column("measure", pa.string(), "-", "What is counted.", allowed=EVALUATION_MEASURES),
        Column("injected_kind", pa.string(), "-", "What was put in.", allowed=INJECTED_KINDS),
        Column(
            "injected_size",
            pa.float64(),
            "1",
            "Factor; half-spreads for `iv`, share of open interest for `open_interest`; 0 for "
            "`none`.",
            lower=0.0,
        ),
        Column(
            "slot",
            pa.int32(),
            "hour",
            "Hour of the session's clock; -1 is all of them.",
            lower=ALL_SLOTS,
            upper=23,
        ),
        Column("severity", pa.string(), "-", "Of the alerts.", allowed=EVALUATION_SEVERITIES),
        Column(
            "hits",
            pa.float64(),
            "1",
            "Of the trials; of `false_discovery` the shares' sum.",
            lower=0.0,
        ),
        Column("trials", pa.float64(), "1", "Rows, discoveries, snapshots or pairs.", lower=0.0),
        Column(
            "value", pa.float64(), "1", "Hits over trials; null without trials.", True, lower=0.0
        ),
        Column(
            "is_null_known",
            pa.bool_(),
            "-",
            "The chain is simulated: nothing but what was put in is an anomaly. Otherwise what the "
            "session itself held stands among the false.",
        ),
        Column("history_sessions", pa.int32(), "sessions", "Behind the baseline.", lower=0),
        Column("seed", pa.int64(), "1", "Of the choice of contracts."),
    ),
)

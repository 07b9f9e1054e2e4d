"""Tables of what is usual for monitored contracts, and of how unusual each one is.

Belongs here: columns, closed words. Does not belong here: how they are computed
(`domain/anomaly`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, Column, Table
from dealer_assets.tables.features import FEATURE_KINDS, UNSCORED_REASONS

BASELINE_KINDS = ("session", "cell", "contract", "habit", "typical", "curve", "composite")
SEVERITIES = ("none", "notice", "warning", "severe")
HISTORY_STATUSES = ("none", "thin", "ok")

BURSTS = ("volume_burst", "iv_residual_burst")
"""Measures beside the features: a poll against the session's earlier polls of the contract."""

MEASURES = (*FEATURE_KINDS, *BURSTS)

FEATURE_BASELINES = Table(
    name="feature_baselines",
    doc="What is usual for monitored contracts when a session opens, by up to 60 sessions before.",
    grain="underlying x session x kind x measure x cell, contract or place of a curve",
    key=(
        "kind",
        "measure",
        "level",
        "right",
        "moneyness_bucket",
        "dte_bucket",
        "slot",
        "symbol",
        "place",
    ),
    part="session",
    columns=(
        *ID,
        Column(
            "kind",
            pa.string(),
            "-",
            "What the row tells: a session of history; location and scale of a cell; a contract's "
            "own effect (sum of session means in location, sessions in rows); variance within "
            "(location) and between contracts (scale); a snapshot's typical spread (scale); a "
            "point of a measure's curve of ranks or of the composite's (value in location, values "
            "at or above it in rows; the last point has the Pareto index of the tail in scale).",
            allowed=BASELINE_KINDS,
        ),
        Column("measure", pa.string(), "-", "Feature or burst; blank: none or the composite."),
        Column(
            "level",
            pa.int32(),
            "-",
            "Of a cell: 0 is the cell, 4 everything; of a curve: class of liquidity.",
            lower=0,
        ),
        Column("right", pa.string(), "-", "Call or put; blank: any."),
        Column("moneyness_bucket", pa.string(), "-", "Bucket; blank: any."),
        Column("dte_bucket", pa.string(), "-", "Bucket of days to expiry; blank: any."),
        Column("slot", pa.int32(), "hour", "Poll; -1: any.", lower=-1, upper=23),
        Column("symbol", pa.string(), "-", "Contract; blank: any."),
        Column("place", pa.int32(), "1", "Place in a curve, or days since 1970.", lower=0),
        Column("location", pa.float64(), "see kind", "On the scale of comparison.", True),
        Column("scale", pa.float64(), "see kind", "Median absolute deviation x 1.4826.", True),
        Column("rows", pa.int64(), "1", "Rows or values behind it.", lower=0),
        Column("sessions", pa.int32(), "sessions", "Sessions behind it.", lower=0),
    ),
)

_Z = tuple(
    Column(f"z_{name}", pa.float64(), "1", "Standardised residual.", True) for name in MEASURES
)

ANOMALY_SCORES = Table(
    name="anomaly_scores",
    doc="How unusual each monitored contract is at a poll, with false discoveries controlled.",
    grain="underlying x poll x monitored contract",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *ID,
        *CONTRACT,
        Column("is_simulated", pa.bool_(), "-", "Of the simulated market."),
        Column("slot", pa.int32(), "hour", "Poll.", lower=0, upper=23),
        Column("spot", pa.float64(), "USD", "Underlying price.", lower=1e-9),
        Column("moneyness", pa.float64(), "1", "strike / spot.", lower=0.0),
        Column("days_to_expiry", pa.int32(), "days", "Calendar days to expiry."),
        Column("p_value", pa.float64(), "1", "Composite's rank in history.", True, (), 0.0, 1.0),
        Column("q_value", pa.float64(), "1", "Least target that marks it.", True, (), 0.0, 1.0),
        Column("score", pa.float64(), "0-100", "20 x -log10 p_value.", True, (), 0.0, 100.0),
        Column("is_anomaly", pa.bool_(), "-", "q_value at most 5 %, history long enough."),
        Column("severity", pa.string(), "-", "By q_value.", allowed=SEVERITIES),
        Column("drivers", pa.list_(pa.string()), "-", "Measures that drove it, strongest first."),
        Column("driver_p_values", pa.list_(pa.float64()), "1", "Their own ranks in history."),
        Column("words", pa.string(), "-", "Drivers in words; blank: nothing stands out."),
        Column("history_status", pa.string(), "-", "none, thin, ok.", allowed=HISTORY_STATUSES),
        Column("history_sessions", pa.int32(), "sessions", "Sessions behind it.", lower=0),
        Column(
            "unscored_reason",
            pa.string(),
            "-",
            "Null: scored.",
            True,
            (*UNSCORED_REASONS, "no_history", "no_feature"),
        ),
        Column("volume_contracts", pa.float64(), "contracts", "Volume compared.", True, lower=0.0),
        Column(
            "usual_volume_contracts",
            pa.float64(),
            "contracts",
            "Usual at this poll for the contract, the snapshot's shift included.",
            True,
        ),
        Column(
            "volume_level",
            pa.int32(),
            "-",
            "Level of back-off of volume: 0 is its own cell.",
            lower=0,
        ),
        Column(
            "volume_shift",
            pa.float64(),
            "1",
            "Taken out of the whole snapshot, in scales of a cell.",
            True,
        ),
        Column("iv_residual_shift", pa.float64(), "1", "The same of the vol residual.", True),
        *_Z,
    ),
)

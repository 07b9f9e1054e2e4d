"""The table of an underlying's measures at each poll, scored against its own last sessions.

Belongs here: the measures with unit and the readings they rest on, and the columns. Does not belong
here: how they are measured or scored (`domain/anomaly/underlying`), scores of contracts (`scores`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, MODEL, Column, Table
from dealer_assets.tables.scores import SEVERITIES

MEASURE_UNITS: dict[str, str] = {
    "spot_return": "expected moves",
    "flip_jump": "expected moves",
    "flip_distance": "expected moves",
    "net_gamma_share": "1",
    "net_gamma_change": "1",
    "gross_gamma_change": "ln",
    "put_call_gamma": "ln",
    "atm_vol_30d": "vol points",
    "atm_vol_30d_change": "vol points",
    "term_slope_30_7": "vol points",
    "term_slope_90_30": "vol points",
    "skew_25d_30d": "vol points",
    "skew_25d_30d_change": "vol points",
    "butterfly_25d_30d": "vol points",
    "implied_less_realised": "vol points",
    "vol_index": "vol points",
    "vol_index_change": "vol points",
    "vol_index_less_atm": "vol points",
    "put_call_volume": "ln",
    "put_call_open_interest": "ln",
    "open_interest_change": "ln",
    "volume_session": "ln contracts",
    "volume_hour": "ln contracts",
    "max_pain_distance": "expected moves",
}
"""Measure to unit; ``ln``: logarithm of a ratio. See `docs/methods/underlying_scores.md`."""

MEASURE_STATUSES = ("ok", "thin", "no_history", "not_determined")
"""Scored against twenty sessions or more; against fewer, and so never an anomaly; against none;
the snapshot does not tell the measure."""

MEASURE_HISTORIES = ("slot", "near", "closings", "none")
"""Polls of the same slot; within two hours of it; the last of each session; none."""


def _float(name: str, unit: str, doc: str) -> Column:
    return Column(name, pa.float64(), unit, doc, True)


def _share(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "1", doc, True, lower=0.0, upper=1.0)


UNDERLYING_SCORES = Table(
    name="underlying_scores",
    doc="What an underlying's chain measures at a poll, and how unusual that is for it.",
    grain="underlying x poll x measure",
    key=("event_at", "measure"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("is_simulated", pa.bool_(), "-", "The chain is simulated."),
        Column("slot", pa.int32(), "hour", "Local hour the poll stands for.", lower=0, upper=23),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column(
            "expected_move_usd",
            pa.float64(),
            "USD",
            "One session's standard deviation of spot by ATM vol; null: no vol.",
            True,
            lower=0.0,
        ),
        Column("measure", pa.string(), "-", "What is measured.", allowed=tuple(MEASURE_UNITS)),
        Column("unit", pa.string(), "-", "Unit of value, centre and scale."),
        _float("value", "by unit", "The measure; null: not determined."),
        _float("centre", "by unit", "Median of the history."),
        Column(
            "scale",
            pa.float64(),
            "by unit",
            "Robust standard deviation of the history about its centre.",
            True,
            lower=0.0,
        ),
        _float("z", "1", "(value - centre) / scale; null: the history does not vary."),
        _share("percentile", "Share of the history below value, ties by half."),
        _share("p_value", "Two-sided: how often the history would be as far from its centre."),
        _share("q_value", "p_value after Benjamini-Hochberg over the poll's scored measures."),
        Column("is_anomaly", pa.bool_(), "-", "q_value is at or below the target; status is ok."),
        Column(
            "score",
            pa.float64(),
            "0-100",
            "20 points a decade of p_value; null: status is not ok.",
            True,
            lower=0.0,
            upper=100.0,
        ),
        Column("severity", pa.string(), "-", "Class of q_value.", allowed=SEVERITIES),
        Column("status", pa.string(), "-", "What it rests on.", allowed=MEASURE_STATUSES),
        Column("history_from", pa.string(), "-", "Which polls.", allowed=MEASURE_HISTORIES),
        Column("history_sessions", pa.int32(), "sessions", "How many.", lower=0),
        Column("words", pa.string(), "-", "The row in one sentence, or why it tells nothing."),
    ),
)

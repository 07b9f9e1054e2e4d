"""The rows of a poll: every measure with its standing, controlled over the poll's measures.

Belongs here: joining values, history, control and words to rows. Does not belong here: any of these
by itself. Nothing later than the poll enters: facts and history are cut before they come here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.anomaly.discovery import TARGET, q_values
from dealer_assets.domain.anomaly.grades import points_of, severity_of
from dealer_assets.domain.anomaly.underlying import words
from dealer_assets.domain.anomaly.underlying.facts import Facts
from dealer_assets.domain.anomaly.underlying.history import LEAST_SESSIONS, History
from dealer_assets.domain.anomaly.underlying.measures import MEASURES, Measure
from dealer_assets.domain.anomaly.underlying.standing import standing
from dealer_assets.tables.scores import SEVERITIES

Row = dict[str, Any]


def score_poll(
    now: Facts,
    values: Mapping[str, float],
    history: History,
    *,
    before: Facts | None,
    slot: int,
    shared: Row,
) -> pa.Table:
    """Score every measure of a poll against earlier sessions.

    Parameters
    ----------
    now, before : Facts
        Of the poll, and of the closing before it where held.
    values : mapping of str to float
        `values_of` them.
    history : History
        Earlier sessions.
    slot : int
        The poll's.
    shared : dict
        Columns that all rows have: underlying, session_date, model, is_simulated.

    Returns
    -------
    pyarrow.Table
        `tables.UNDERLYING_SCORES` schema, one row a measure. Measures with a thin history are not
        in the family that false discoveries are counted in, and never anomalies.
    """
    rows = [_placed(m, values[m.name], history, now, before, slot) for m in MEASURES]
    family = [row["p_value"] if row["status"] == "ok" else np.nan for row in rows]
    q = q_values(np.array(family, np.float64))
    same = shared | {
        "event_at": now.event_at,
        "known_at": now.known_at,
        "slot": slot,
        "spot": now.spot,
        "expected_move_usd": now.expected_move_usd,
    }
    graded = [
        row | _graded(p_value, float(own)) | same
        for row, p_value, own in zip(rows, family, q, strict=True)
    ]
    return pa.Table.from_pylist(
        [{name: _stored(value) for name, value in row.items()} for row in graded],
        schema=tables.UNDERLYING_SCORES.schema,
    ).sort_by([("event_at", "ascending"), ("measure", "ascending")])


def _placed(
    measure: Measure, value: float, history: History, now: Facts, before: Facts | None, slot: int
) -> Row:
    row: Row = {
        "measure": measure.name,
        "unit": measure.unit,
        "value": value,
        "history_from": "none",
        "history_sessions": 0,
    }
    if not math.isfinite(value):
        text = words.not_determined(measure, now, before)
        return row | {"status": "not_determined", "words": text}
    past = history.past(measure, slot, known_at=now.known_at)
    if not past.values.size:
        text = words.without_history(measure, value)
        return row | {"status": "no_history", "words": text}
    found = standing(value, past.values)
    count = past.values.size
    return row | {
        "centre": found.centre,
        "scale": found.scale,
        "z": found.z,
        "percentile": found.percentile,
        "p_value": found.p_value,
        "status": "ok" if count >= LEAST_SESSIONS else "thin",
        "history_from": past.source,
        "history_sessions": count,
        "words": words.told(measure, value, found, source=past.source, sessions=count),
    }


def _graded(p_value: float, q_value: float) -> Row:
    return {
        "q_value": q_value,
        "is_anomaly": q_value <= TARGET,
        "score": float(points_of(np.array(p_value))),
        "severity": SEVERITIES[int(severity_of(np.array(q_value)))],
    }


def _stored(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

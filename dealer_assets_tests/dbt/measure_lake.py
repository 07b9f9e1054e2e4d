"""Scored measures of the hand-made lake, and their seeded violations.

Belongs here: SPX only: a vol that is an anomaly at the late polls, a flip without a value, a skew
with too short a history. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def measure_rows(days: tuple[date, ...], clocks: tuple[time, time], zone: Any) -> Rows:
    """Return the rows of `underlying_scores`."""
    rows: list[Row] = []
    for day in days:
        for clock in clocks:
            at = datetime.combine(day, clock, tzinfo=zone)
            rows += [_vol(at, is_late=clock == clocks[1]), _flip(at), _skew(at)]
    return {"underlying_scores": rows}


def _measured(at: datetime, measure: str, **told: Any) -> Row:
    nothing: Row = {
        "value": None,
        "centre": None,
        "scale": None,
        "z": None,
        "percentile": None,
        "p_value": None,
        "q_value": None,
        "score": None,
        "is_anomaly": False,
        "severity": "none",
        "status": "not_determined",
        "history_from": "none",
        "history_sessions": 0,
    }
    shared: Row = {"at": at, "session_date": at.date(), "model": "naive", "slot": at.hour - 5}
    return row(tables.UNDERLYING_SCORES, **shared, measure=measure, **(nothing | told))


def _vol(at: datetime, *, is_late: bool) -> Row:
    p = 0.001 if is_late else 0.5
    told: Row = {"value": 30.0, "centre": 20.0, "scale": 1.0, "z": 10.0, "percentile": 1.0}
    told |= {"p_value": p, "q_value": p, "score": 60.0 if is_late else 6.0}
    told |= {"is_anomaly": is_late, "severity": "severe" if is_late else "none", "status": "ok"}
    return _measured(at, "atm_vol_30d", **told, history_from="slot", history_sessions=60)


def _flip(at: datetime) -> Row:
    return _measured(at, "flip_jump")


def _skew(at: datetime) -> Row:
    told: Row = {"value": 6.0, "centre": 5.0, "scale": 1.0, "z": 1.0, "percentile": 1.0}
    told |= {"p_value": 0.1, "status": "thin", "history_from": "slot", "history_sessions": 9}
    return _measured(at, "skew_25d_30d", **told)


def violate_measures(rows: Rows) -> None:
    """Seed one violation per rule of this mart."""
    scores = rows["underlying_scores"]
    scores[3]["history_sessions"] = 19  # the first late vol
    scores[1]["value"] = 1.0
    scores[0]["severity"] = "notice"
    scores[2]["score"] = 20.0


MEASURE_RULES = {
    "measures_anomaly_needs_a_history",
    "measures_value_fits_the_status",
    "measures_severity_fits_the_mark",
    "measures_scores_are_of_judged_rows",
}

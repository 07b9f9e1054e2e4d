"""Evaluations of the hand-made lake, and their seeded violation.

Belongs here: SPX only: our scores and the plain rule over every session; ours find 8 of 10 volumes
put in, then 9 of 10. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

EVALUATION_RULES = {"precision_found_are_of_the_injected"}


def evaluation_rows(days: tuple[date, ...], clock: time, zone: Any) -> Rows:
    """Return the rows of `anomaly_evaluation`."""
    rows: list[Row] = []
    for n, day in enumerate(days):
        at = datetime.combine(day, clock, tzinfo=zone)
        for method in ("own", "plain_z3"):
            rows += [
                _told(at, method, "recall", min(8.0 + n, 10.0), 10.0, kind="volume", size=10.0),
                _told(at, method, "precision", 8.0, 8.0, kind="volume", size=10.0),
                _told(at, method, "false_discovery", 0.5, 8.0, kind="volume", size=10.0),
                _told(at, method, "any_false_discovery", float(method != "own"), 8.0),
                _told(at, method, "alert_rate", 1.0, 100.0),
                _told(at, method, "alert_rate", 1.0, 10.0, slot=9),
            ]
    return {"anomaly_evaluation": rows}


def _told(
    at: datetime,
    method: str,
    measure: str,
    hits: float,
    trials: float,
    *,
    kind: str = "none",
    size: float = 0.0,
    slot: int = tables.ALL_SLOTS,
) -> Row:
    return row(
        tables.ANOMALY_EVALUATION,
        at=at,
        session_date=at.date(),
        method=method,
        measure=measure,
        injected_kind=kind,
        injected_size=size,
        slot=slot,
        severity="any",
        hits=hits,
        trials=trials,
        value=hits / trials,
        is_null_known=True,
        history_sessions=60,
        seed=1,
    )


def violate_evaluation(rows: Rows) -> None:
    """Find more than was put in."""
    spoilt = next(r for r in rows["anomaly_evaluation"] if r["measure"] == "recall")
    spoilt["hits"] = 11.0

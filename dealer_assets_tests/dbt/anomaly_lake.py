"""Scores of the hand-made lake's monitored contracts, and their seeded violations.

Belongs here: SPX only, one poll a session of two puts: the first is marked in the second and third
session, the second never. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def anomaly_rows(days: tuple[date, ...], clocks: tuple[time, time], zone: Any) -> Rows:
    """Return the rows of `anomaly_scores`: of the last session two polls, which mark the first."""
    rows: list[Row] = []
    for number, day in enumerate(days):
        for clock in clocks if day == days[-1] else clocks[:1]:
            at = datetime.combine(day, clock, tzinfo=zone)
            rows += [_put(at, 4300.0, is_marked=number > 0), _put(at, 4350.0, is_marked=False)]
    return {"anomaly_scores": rows}


def _put(at: datetime, strike: float, *, is_marked: bool) -> Row:
    return row(
        tables.ANOMALY_SCORES,
        at=at,
        session_date=at.date(),
        symbol=f"SPXW261218P0{strike:.0f}000",
        is_simulated=True,
        slot=10,
        spot=5000.0,
        moneyness=strike / 5000.0,
        days_to_expiry=30,
        p_value=1e-4 if is_marked else 0.5,
        q_value=2e-4 if is_marked else 0.5,
        score=80.0 if is_marked else 6.0,
        is_anomaly=is_marked,
        severity="severe" if is_marked else "none",
        drivers=["volume_burst"] if is_marked else [],
        driver_p_values=[1e-5] if is_marked else [],
        words="volume 9.0 sd above the pace of its earlier polls today" if is_marked else "",
        history_status="ok",
        history_sessions=60,
    )


def violate_anomalies(rows: Rows) -> None:
    """Seed one violation per rule of the mart."""
    rows["anomaly_scores"][2]["q_value"] = 0.06


ANOMALY_RULES = {"marked_contracts_are_within_the_target"}

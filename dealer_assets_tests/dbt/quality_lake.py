"""Data problems of the hand-made lake, and their seeded violations.

Belongs here: SPX only. A quote that stands on the first day, resets on the second. Does not belong
here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

QUALITY_RULES = (
    "data_anomalies_of_contracts_name_them",
    "data_anomalies_that_block_are_of_the_snapshot",
)


def quality_rows(days: tuple[date, ...], clock: time, zone: Any) -> Rows:
    """Return the rows of `data_anomalies`."""
    one, two = (datetime.combine(day, clock, tzinfo=zone) for day in days[:2])
    return {
        "data_anomalies": [
            _row(one, "frozen_contracts", scope="contracts", symbols=["SPXW261218C05000000"]),
            _row(two, "zero_bids", scope="snapshot", symbols=[]),
        ]
    }


def _row(at: datetime, kind: str, *, scope: str, symbols: list[str]) -> Row:
    return row(
        tables.DATA_ANOMALIES,
        at=at,
        session_date=at.date(),
        kind=kind,
        action=tables.ANOMALY_ACTIONS[kind],
        scope=scope,
        contracts=1,
        share=0.5,
        symbols=symbols,
        spoils=["quotes"],
    )


def violate_quality(rows: Rows) -> None:
    """Seed one violation a rule."""
    standing, reset = rows["data_anomalies"]
    standing["symbols"] = []
    reset |= {"scope": "contracts", "symbols": ["SPXW261218C05000000"]}

"""Rows of `data_anomalies` for the tests of its checks.

Belongs here: a row that every check passes, and the fault of each. Does not belong here: finding
anything (`test_data_anomalies`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.anomaly.data.judgement import rows_of
from dealer_assets.domain.anomaly.data.scene import Found
from dealer_assets.domain.anomaly.data.verdicts import check_name

AT = datetime(2025, 6, 10, 15, 0, tzinfo=UTC)


def anomaly(kind: str, *, is_mended: bool = False) -> pa.Table:
    """One row: ten of forty contracts, told by an import."""
    found = Found(kind, "this", "that", 10, source="import", is_mended=is_mended)
    return rows_of(
        [found],
        underlying="SPX",
        session_date=AT.date(),
        event_at=AT,
        known_at=AT,
        contracts=40,
    )


def quality_tables() -> dict[str, pa.Table]:
    """Expired series that the import left out: told, and no check fails for it."""
    return {tables.DATA_ANOMALIES.name: anomaly("open_interest_left_of_expired", is_mended=True)}


def quality_faults() -> dict[tuple[str, str], Callable[[pa.Table], pa.Table]]:
    """Return one fault a kind: the row that says it was found."""
    return {
        (tables.DATA_ANOMALIES.name, check_name(kind)): _fault(kind)
        for kind in tables.ANOMALY_ACTIONS
    }


def _fault(kind: str) -> Callable[[pa.Table], pa.Table]:
    return lambda _: anomaly(kind)

"""Rows of features, scores and alerts for the tests of their checks.

Belongs here: a table that every check passes, and the fault of each. Does not belong here: how they
are computed (`test_contract_features`, `test_anomaly_scores`, `test_measure_scores`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.tables import Table
from dealer_assets_tests.live_rows import clock, row

Fault = Callable[[pa.Table], pa.Table]
Replaced = Callable[[pa.Table, str, list[Any]], pa.Table]


def scored_tables() -> dict[str, pa.Table]:
    """Return one row a table, of an alert two."""
    return {
        "contract_features": _of(
            tables.CONTRACT_FEATURES,
            previous_at=None,
            unscored_reason=None,
            package_contracts=None,
            volume_delta_contracts=3.0,
            volume_contracts_netted=3.0,
            mid=2.0,
            multiplier=100.0,
            premium_usd=600.0,
            vega_usd_per_vol_point=0.5,
            vega_traded_usd_per_vol_point=150.0,
        ),
        "anomaly_scores": _of(
            tables.ANOMALY_SCORES, q_value=0.5, is_anomaly=False, history_status="ok"
        ),
        "underlying_scores": _of(
            tables.UNDERLYING_SCORES,
            value=1.0,
            p_value=0.5,
            q_value=0.5,
            is_anomaly=False,
            status="ok",
        ),
        "alerts": _of(
            tables.ALERTS,
            {"step": 1, "happening": "raised", "state": "new"},
            {"step": 2, "happening": "delivered", "state": "delivered"},
            is_historical=False,
        ),
    }


def scored_faults(replaced: Replaced) -> dict[tuple[str, str], Fault]:
    """Return what makes each check fail, and no other."""

    def with_values(column: str, *values: Any) -> Fault:
        return lambda rows: replaced(rows, column, list(values))

    return {
        ("contract_features", "features_follow_volume"): with_values("premium_usd", 601.0),
        ("contract_features", "nothing_from_later"): with_values("previous_at", clock("15:00:00")),
        ("contract_features", "enough_is_scored"): with_values("unscored_reason", "no_quote"),
        ("anomaly_scores", "marks_follow_control"): with_values("is_anomaly", True),
        ("underlying_scores", "anomalies_follow_control"): with_values("is_anomaly", True),
        ("underlying_scores", "statuses_fit"): with_values("value", None),
        ("underlying_scores", "history_is_held"): _thin(replaced),
        ("alerts", "steps_are_whole"): with_values("step", 1, 3),
        ("alerts", "historical_ones_were_not_sent"): with_values("is_historical", True, True),
    }


def _thin(replaced: Replaced) -> Fault:
    """Of a thin history nothing is controlled, so its q-value is not told."""
    return lambda rows: replaced(replaced(rows, "status", ["thin"]), "q_value", [None])


def _of(table: Table, *steps: dict[str, Any], **values: Any) -> pa.Table:
    rows = [row(table, **values | step) for step in steps or ({},)]
    return pa.Table.from_pylist(rows, schema=table.schema)

"""Rows of an evaluation for tests, and what is wrong in spoilt ones.

Belongs here: one made-up evaluation and its seeded faults. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Fault = Callable[[pa.Table], pa.Table]


def told(**values: Any) -> dict[str, Any]:
    """Return the share of snapshots with a false discovery, or another measure, as a row."""
    usual = {
        "method": "own",
        "measure": "any_false_discovery",
        "injected_kind": "none",
        "injected_size": 0.0,
        "slot": tables.ALL_SLOTS,
        "severity": "any",
        "hits": 1.0,
        "trials": 8.0,
        "value": 0.125,
        "is_null_known": True,
    }
    return row(tables.ANOMALY_EVALUATION, **{**usual, **values})


def evaluation(*rows: dict[str, Any]) -> pa.Table:
    """Return rows of `told` as a table."""
    return pa.Table.from_pylist(list(rows), schema=tables.ANOMALY_EVALUATION.schema)


def evaluation_tables() -> dict[str, pa.Table]:
    """Return a sound evaluation by its table's name."""
    return {tables.ANOMALY_EVALUATION.name: evaluation(told())}


def evaluation_faults() -> dict[tuple[str, str], Fault]:
    """Return what spoils it, by table and invariant."""
    name = tables.ANOMALY_EVALUATION.name
    return {
        (name, "shares_add_up"): lambda _: evaluation(told(value=0.25)),
        (name, "false_discovery_within_target"): lambda _: evaluation(told(hits=4.0, value=0.5)),
    }

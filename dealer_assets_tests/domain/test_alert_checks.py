"""The checks of the alerts table: each seeded fault is found by the check that is meant for it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.live_rows import row

WHOLE = [
    {"step": 1, "happening": "raised", "state": "new"},
    {"step": 2, "happening": "attempted", "state": "new"},
    {"step": 3, "happening": "delivered", "state": "delivered"},
    {"step": 4, "happening": "resolved", "state": "resolved"},
    {"step": 5, "happening": "delivered", "state": "resolved"},
]


def failing(steps: list[dict[str, Any]], **values: Any) -> set[str]:
    made = [
        row(tables.ALERTS, alert_id="aa", **({"is_historical": False} | values | s)) for s in steps
    ]
    rows = pa.Table.from_pylist(made, schema=tables.ALERTS.schema)
    spx = underlying("SPX")
    return {i.name for i in INVARIANTS["alerts"] if not i.judge(rows, spx).holds}


def test_a_whole_life_and_no_alert_at_all_hold_every_check() -> None:
    assert failing(WHOLE) == set()
    assert failing([]) == set()


@pytest.mark.parametrize(
    "steps",
    [
        WHOLE[1:],
        [WHOLE[0], WHOLE[2]],
        [WHOLE[0] | {"happening": "attempted"}],
        [*WHOLE[:4], WHOLE[4] | {"state": "delivered"}],
    ],
    ids=["no beginning", "a gap", "not raised", "backwards"],
)
def test_a_life_with_a_fault_is_found(steps: list[dict[str, Any]]) -> None:
    assert failing(steps) == {"steps_are_whole"}


def test_a_historical_alert_that_was_sent_is_found() -> None:
    assert failing(WHOLE, is_historical=True) == {"historical_ones_were_not_sent"}

"""Every real failure of data in the collection is caught as one, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.invariants import INVARIANTS, is_sound
from dealer_assets.intake.outcome import Outcome
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.underlyings import underlying
from dealer_assets_tests.recorded_failures import FAILURES, Failure, imported, judged


def _name(failure: Failure) -> str:
    return failure.files[-1].rpartition("/")[2]


Imported = Callable[[Failure], tuple[Lake, list[Outcome]]]


@pytest.fixture(scope="module")
def imports(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Import files into a lake of their own, each set of them once."""

    @cache
    def of(files: tuple[str, ...]) -> tuple[Lake, list[Outcome]]:
        folder = tmp_path_factory.mktemp("failure")
        lake = open_lake(str(folder / "lake"))
        return lake, imported(Failure("", files), lake, shared_data, folder)

    return lambda failure: of(failure.files)


@pytest.mark.parametrize("failure", FAILURES, ids=_name)
def test_a_recorded_failure_is_caught_as_a_problem_of_the_data(
    failure: Failure, imports: Imported
) -> None:
    lake, outcomes = imports(failure)
    rows = judged(failure, lake)

    if failure.refusal:
        assert {outcome.status for outcome in outcomes} == {"refused"}
        assert failure.refusal in outcomes[-1].reason
    assert set(failure.kinds) <= set(rows["kind"].to_pylist())
    if failure.statuses:
        assert outcomes[-1].status in failure.statuses
    _assert_stopped(failure, rows)


def _assert_stopped(failure: Failure, rows: pa.Table) -> None:
    """What blocks stops everything derived; what is told fails the check of its name."""
    found = {row["kind"]: row for row in rows.to_pylist()}
    blocks = {kind for kind in failure.kinds if tables.ANOMALY_ACTIONS[kind] == "block"}
    if failure.where is None:
        return
    asset = underlying(failure.where[0])
    assert is_sound(tables.DATA_ANOMALIES.name, rows, asset) != bool(blocks)
    verdicts = {
        check.name: check.judge(rows, asset).holds for check in INVARIANTS["data_anomalies"]
    }
    failed = {kind for kind in found if not verdicts[f"no_{kind}"]}
    mended = {kind for kind, row in found.items() if not row["spoils"]}
    assert failed | mended >= set(failure.kinds)
    assert all(row["words"].endswith(".") and row["expected"] for row in found.values())


def test_the_jump_of_the_count_is_told_on_its_day_alone(imports: Imported) -> None:
    (jump,) = (f for f in FAILURES if "open_interest_unit_jump" in f.kinds)
    lake, _ = imports(jump)
    (row,) = (
        row for row in judged(jump, lake).to_pylist() if row["kind"] == "open_interest_unit_jump"
    )
    assert "13,304,363 to 24,471,525" in row["found"]
    assert "open_interest" in row["spoils"]

    for day in ("2026-08-14", "2026-08-18"):
        rows = judged(replace(jump, where=("SPX", day)), lake)
        assert "open_interest_unit_jump" not in rows["kind"].to_pylist()

"""Files dropped into the inbox: imported, or returned with a reason; no crash loses one."""

import json
from pathlib import Path

import dagster as dg
import pytest

from dealer_assets.defs.resources import Platform
from dealer_assets.defs.sensors import inbox_sensor
from dealer_assets.settings import settings


@pytest.fixture
def inbox(data_dir: Path) -> Path:
    folder = settings().inbox
    folder.mkdir(parents=True)
    return folder


def tick(cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(
            cursor=cursor, instance=instance, resources={"platform": Platform()}
        )
        return inbox_sensor(context)


def test_a_dropped_file_becomes_a_snapshot_and_a_run_of_its_partition(
    inbox: Path, made_up_chain
) -> None:
    (inbox / "chain.csv").write_text(made_up_chain.text())
    result = tick()
    assert len(result.run_requests) == 1
    request = result.run_requests[0]
    assert request.partition_key == "2023-05-19"
    assert {key.path[0] for key in request.asset_selection} == {"SPX"}
    assert len(list((settings().data / "lake" / "chain_snapshots").rglob("201500.parquet"))) == 1
    assert (inbox / "chain.csv").exists(), "it stays until the run request is recorded"


def test_the_next_tick_puts_the_file_away_and_requests_nothing(inbox: Path, made_up_chain) -> None:
    (inbox / "chain.csv").write_text(made_up_chain.text())
    first = tick()
    second = tick(first.cursor)
    assert isinstance(second, dg.SkipReason)
    assert not (inbox / "chain.csv").exists()
    assert (inbox / "imported" / "chain.csv").exists()


def test_a_crash_before_the_cursor_is_stored_repeats_the_same_request(
    inbox: Path, made_up_chain
) -> None:
    (inbox / "chain.csv").write_text(made_up_chain.text())
    first, again = tick(), tick()
    assert first.run_requests[0].run_key == again.run_requests[0].run_key


def test_a_bad_file_goes_to_rejected_with_the_reason_beside_it(inbox: Path) -> None:
    (inbox / "page.csv").write_text("<html><body>403</body></html>")
    first = tick()
    assert first.run_requests == []
    tick(first.cursor)
    assert (inbox / "rejected" / "page.csv").exists()
    reason = (inbox / "rejected" / "page.csv.reason.txt").read_text()
    assert "web page" in reason


def test_unfinished_and_hidden_files_are_left_alone(inbox: Path) -> None:
    (inbox / "chain.csv.part").write_text("half")
    (inbox / ".hidden").write_text("x")
    assert isinstance(tick(), dg.SkipReason)
    assert (inbox / "chain.csv.part").exists()


def test_many_files_are_taken_a_few_per_tick(inbox: Path, made_up_chain) -> None:
    for n in range(7):
        (inbox / f"{n}.csv").write_text("<html>")
    first = tick()
    assert len(json.loads(first.cursor)) == 5
    second = tick(first.cursor)
    assert len(json.loads(second.cursor)) == 2

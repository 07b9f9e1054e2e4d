"""A derived table that also reads what it said of the snapshot before."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from dealer_assets.lake.layout import part_name
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.refresh import PREVIOUS, refresh_snapshots
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, FORWARDS
from dealer_assets_tests.lake.conftest import EVENT_AT, SESSION

HOW = {"underlying": "SPX", "session_date": SESSION}


def store(lake, rows):
    event_at = rows["event_at"][0].as_py()
    name = part_name(CHAIN_SNAPSHOTS, event_at=event_at)
    write_part(lake, CHAIN_SNAPSHOTS, rows, name=name, **HOW)


def counting(rows):
    """One row of `forwards` whose pairs are one more than the snapshot's before."""
    chain, before = rows["chain_snapshots"], rows[PREVIOUS]
    pairs = before["pairs"][0].as_py() + 1 if before.num_rows else 1
    known = {n: chain[n][0].as_py() for n in ("underlying", "session_date", "event_at", "known_at")}
    row = known | {
        "root": "SPXW",
        "expiry_date": date(2026, 12, 18),
        "expires_at": EVENT_AT + timedelta(days=28),
        "year_fraction": 0.1,
        "spot_source": "simulated",
        "rate_source": "zero",
        "method": "none",
        "quality": "none",
        "pairs": pairs,
        "is_deamericanised": False,
    }
    return pa.Table.from_pylist([row], schema=FORWARDS.schema)


def refreshed(lake):
    return refresh_snapshots(
        lake, FORWARDS, sources=[CHAIN_SNAPSHOTS], derive=counting, with_previous=True, **HOW
    )


def pairs(lake):
    parts = list_parts(lake, FORWARDS, "SPX", SESSION)
    return [read_part(lake, FORWARDS, part)["pairs"][0].as_py() for part in parts]


@pytest.fixture
def held(local_lake, chain_rows):
    for minute in (0, 2):
        store(local_lake, chain_rows(event_at=EVENT_AT + timedelta(minutes=minute)))
    return local_lake


def test_each_snapshot_sees_the_one_before_and_the_first_sees_nothing(held):
    assert len(refreshed(held).written) == 2
    assert pairs(held) == [1, 2]


def test_running_again_keeps_every_part(held):
    refreshed(held)
    again = refreshed(held)
    assert (again.written, again.kept) == ((), 2)


def test_a_snapshot_that_arrives_in_between_renews_those_after_it_only(held, chain_rows):
    refreshed(held)
    store(held, chain_rows(event_at=EVENT_AT + timedelta(minutes=1)))
    done = refreshed(held)
    assert (len(done.written), done.kept) == (2, 1)
    assert pairs(held) == [1, 2, 3]

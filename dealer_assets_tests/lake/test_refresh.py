"""Derived tables that also read the snapshot before, or what is held of the whole session."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from dealer_assets.lake.layout import SESSION_PART, part_name
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.refresh import PREVIOUS, refresh_snapshots
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, FORWARDS, SIGNED_FLOW
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


LATER = EVENT_AT + timedelta(hours=3)


def of_session(volume):
    """The session's one part of a table that every snapshot may read."""
    row = {
        "underlying": "SPX",
        "session_date": SESSION,
        "event_at": EVENT_AT,
        "known_at": LATER,
        "symbol": "SPXW261218C06000000",
        "root": "SPXW",
        "expiry_date": date(2026, 12, 18),
        "expires_at": EVENT_AT + timedelta(days=28),
        "strike": 6000.0,
        "right": "call",
        "source": "tape",
        "trades": 1,
        "volume_contracts": volume,
        "signed_volume_contracts": 0.0,
        "apart_volume_contracts": 0.0,
        "customer_net_contracts": 0.0,
        "customer_net_sd_contracts": 0.0,
        "squared_size_contracts2": 1.0,
    }
    return pa.Table.from_pylist([row], schema=SIGNED_FLOW.schema)


def settle(lake, volume):
    write_part(lake, SIGNED_FLOW, of_session(volume), name=SESSION_PART, **HOW)


def reading(lake, *, takes=True):
    """Pairs of each snapshot: the session's volume, dated by it, or nothing of it."""

    def derive(rows):
        flow = rows["signed_flow"]
        row = counting({**rows, PREVIOUS: FORWARDS.schema.empty_table()})
        if not flow.num_rows or not takes:
            return row
        taken = row.to_pylist()[0] | {"pairs": int(flow["volume_contracts"][0].as_py())}
        return pa.Table.from_pylist([taken | {"known_at": LATER}], schema=FORWARDS.schema)

    return refresh_snapshots(
        lake,
        FORWARDS,
        sources=[CHAIN_SNAPSHOTS],
        session_sources=[SIGNED_FLOW],
        derive=derive,
        **HOW,
    )


def test_snapshots_are_derived_without_a_session_source_that_is_not_held(held):
    assert len(reading(held).written) == 2
    assert pairs(held) == [1, 1]


def test_a_session_source_that_arrives_or_changes_renews_every_snapshot_once(held):
    reading(held)
    settle(held, 7.0)
    assert len(reading(held).written) == 2
    assert pairs(held) == [7, 7]
    assert (reading(held).written, reading(held).kept) == ((), 2)
    settle(held, 9.0)
    assert len(reading(held).written) == 2
    assert pairs(held) == [9, 9]


@pytest.mark.parametrize("takes", [True, False])
def test_only_rows_that_take_from_a_session_source_wait_for_it(held, takes):
    settle(held, 7.0)
    reading(held, takes=takes)
    for part in list_parts(held, FORWARDS, "SPX", SESSION):
        (known,) = read_part(held, FORWARDS, part)["known_at"].to_pylist()
        assert (known == LATER) is takes

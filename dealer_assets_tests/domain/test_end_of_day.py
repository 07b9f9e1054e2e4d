"""End of day by hand: half days, clock changes, missing, double and late polls, halts, expiries."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.history import daily_history, summary, volume_deltas
from dealer_assets.domain.sessions import gaps_between
from dealer_assets.errors import BadInputError
from dealer_assets.lake.layout import SESSION_PART, snapshot_part
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.refresh import Refreshed, refresh_session
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.tiers import pack_session
from dealer_assets.lake.writer import write_part
from dealer_assets_tests.domain.synthetic import chain, contract

DAY = date(2026, 11, 20)
HALF_DAY = date(2026, 11, 27)
PUT, CALL = (5900.0, "put"), (6000.0, "call")


def utc(day: date, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def poll(at, *, put=0.0, call=0.0, bid=10.0, expiry=date(2026, 12, 18)):
    """One poll of a put and a call; `put` and `call` are their counters, None: not in the chain."""
    held = [
        contract(strike, right, expiry=expiry, volume_contracts=count, bid=bid, ask=bid + 0.2)
        for (strike, right), count in ((PUT, put), (CALL, call))
        if count is not None
    ]
    return chain(held, event_at=at)


def end_of_day(*polls: pa.Table) -> dict[tuple[float, str], dict[str, Any]]:
    rows = pa.concat_tables(polls)
    no_vols = tables.CONTRACT_GREEKS.schema.empty_table()
    found = daily_history(rows, volume_deltas(rows), priced=no_vols)
    assert found.schema == tables.DAILY_HISTORY.schema
    return {(row["strike"], row["right"]): row for row in found.to_pylist()}


def hourly(day: date, *clocks: str) -> list[pa.Table]:
    """Polls whose put has traded 10 more each time, the bid 1 higher."""
    return [
        poll(utc(day, clock), put=10.0 * n, bid=10.0 + n) for n, clock in enumerate(clocks, start=1)
    ]


REGULAR = ("14:32", "15:02", "16:02", "17:02", "18:02", "19:02", "20:02", "21:02")


def test_regular_day_ends_with_its_last_poll_after_the_close():
    row = end_of_day(*hourly(DAY, *REGULAR))[PUT]
    assert (row["event_at"], row["last_poll_at"]) == (utc(DAY, "21:02"), utc(DAY, "21:02"))
    assert (row["snapshots"], row["session_snapshots"]) == (8, 8)
    assert (row["bid"], row["volume_contracts"]) == (18.0, 80.0)
    assert (row["minutes_before_close"], row["is_before_close"]) == (-2.0, False)
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (60.0, False)


def test_half_day_ends_at_one_in_new_york():
    row = end_of_day(*hourly(HALF_DAY, "14:32", "15:02", "16:02", "17:02", "18:02"))[PUT]
    assert (row["minutes_before_close"], row["is_before_close"]) == (-2.0, False)
    assert (row["volume_contracts"], row["is_interrupted"]) == (50.0, False)
    early = end_of_day(*hourly(HALF_DAY, "14:32", "15:02", "16:02", "17:02"))[PUT]
    assert (early["minutes_before_close"], early["is_before_close"]) == (58.0, True)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 10, 30), "13:32", "20:02"),  # the Friday before clocks go back
        (date(2026, 11, 2), "14:32", "21:02"),  # the Monday after
        (date(2026, 3, 6), "14:32", "21:02"),  # the Friday before they go forward
        (date(2026, 3, 9), "13:32", "20:02"),
    ],
)
def test_close_moves_in_utc_with_daylight_saving(day: date, first: str, last: str):
    row = end_of_day(*hourly(day, first, last))[PUT]
    assert row["session_date"] == day
    assert (row["minutes_before_close"], row["is_before_close"]) == (-2.0, False)
    assert row["longest_gap_minutes"] == 388.0  # from 2 minutes after the open to the close


def test_missing_poll_changes_neither_volume_nor_end_and_is_no_interruption():
    clocks = [clock for clock in REGULAR if clock != "17:02"]
    polls = [poll(utc(DAY, c), put=10.0 * (REGULAR.index(c) + 1)) for c in clocks]
    row = end_of_day(*polls)[PUT]
    assert (row["volume_contracts"], row["snapshots"]) == (80.0, 7)
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (120.0, False)


def test_half_day_with_carry_over_double_poll_correction_and_a_late_last_poll():
    """Yesterday's 500, then 5, the same again, 20, corrected to 18, 25 at 14:30 New York."""
    clocks = ("14:30", "14:40", "14:41", "16:02", "17:02", "19:30")
    counters = (500.0, 5.0, 5.0, 20.0, 18.0, 25.0)
    polls = [poll(utc(HALF_DAY, c), put=n) for c, n in zip(clocks, counters, strict=True)]
    row = end_of_day(*polls)[PUT]
    assert row["volume_contracts"] == 5.0 + 15.0 + 5.0
    assert (row["event_at"], row["snapshots"]) == (utc(HALF_DAY, "19:30"), 6)
    assert (row["minutes_before_close"], row["is_before_close"]) == (-90.0, False)
    # 14:41 to 16:02; the late poll ends a stretch that lasted from 17:02 to the close at 18:00
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (81.0, False)


def test_missing_poll_on_the_first_day_after_clocks_change():
    day = date(2026, 11, 2)
    polls = [poll(utc(day, c), put=n) for c, n in (("15:02", 7.0), ("17:02", 9.0), ("21:02", 30.0))]
    row = end_of_day(*polls)[PUT]
    assert (row["volume_contracts"], row["minutes_before_close"]) == (30.0, -2.0)
    # 32, 120 and 238 minutes: the last is less than twice the median
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (238.0, False)


def test_utc_day_in_which_clocks_change_in_new_york_has_24_hours():
    def at(hour):
        held = [contract(60000, "put", root="BTC", expiry=date(2026, 12, 25))]
        instant = datetime(2026, 11, 1, hour, 2, tzinfo=UTC)
        return chain(held, symbol="BTC", event_at=instant, spot=60000.0)

    (row,) = end_of_day(*(at(hour) for hour in range(24))).values()
    assert (row["minutes_before_close"], row["longest_gap_minutes"]) == (58.0, 60.0)
    assert (row["session_snapshots"], row["is_interrupted"]) == (24, False)


def test_holiday_without_a_snapshot_has_no_rows():
    none = tables.CHAIN_SNAPSHOTS.schema.empty_table()
    found = daily_history(
        none, volume_deltas(none), priced=tables.CONTRACT_GREEKS.schema.empty_table()
    )
    assert found.schema == tables.DAILY_HISTORY.schema
    assert found.num_rows == 0


def test_missing_last_poll_is_told():
    row = end_of_day(*hourly(DAY, *REGULAR[:-1]))[PUT]
    assert (row["minutes_before_close"], row["is_before_close"]) == (58.0, True)
    assert row["volume_contracts"] == 70.0


def test_poll_of_the_same_content_later_trades_nothing():
    again = poll(utc(DAY, "21:05"), put=80.0, bid=18.0)
    row = end_of_day(*hourly(DAY, *REGULAR), again)[PUT]
    assert (row["volume_contracts"], row["bid"], row["snapshots"]) == (80.0, 18.0, 9)
    assert row["event_at"] == utc(DAY, "21:05")


def test_polls_out_of_order_give_the_same_rows():
    polls = hourly(DAY, *REGULAR)
    assert end_of_day(*polls[::-1]) == end_of_day(*polls[4:], *polls[:4]) == end_of_day(*polls)


def test_contract_that_left_the_chain_is_told_from_those_that_stayed():
    polls = hourly(DAY, *REGULAR[:-1])
    rows = end_of_day(*polls, poll(utc(DAY, "21:02"), put=None))
    assert (rows[CALL]["is_before_close"], rows[CALL]["event_at"]) == (False, utc(DAY, "21:02"))
    assert (rows[PUT]["is_before_close"], rows[PUT]["event_at"]) == (True, utc(DAY, "20:02"))
    assert rows[PUT]["last_poll_at"] == utc(DAY, "21:02")
    assert (rows[PUT]["snapshots"], rows[PUT]["session_snapshots"]) == (7, 8)


def test_contract_that_expires_in_the_morning_ends_with_its_expiry():
    morning = {**contract(*PUT, root="SPX", expiry=DAY, volume_contracts=3.0)}  # AM: 09:30
    before = chain([morning], event_at=utc(DAY, "14:30"))
    (settled,) = end_of_day(before).values()
    assert (settled["minutes_before_close"], settled["is_before_close"]) == (0.0, False)


def test_halt_of_two_hours_is_flagged():
    opened = utc(DAY, "14:30")
    minutes = [*range(1, 60), *range(180, 391)]  # nothing from 10:29 to 12:30
    polls = [poll(opened + timedelta(minutes=m), put=float(m)) for m in minutes]
    row = end_of_day(*polls)[PUT]
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (121.0, True)
    assert (row["volume_contracts"], row["is_before_close"]) == (390.0, False)


def test_halt_until_the_close_leaves_rows_before_the_close():
    opened = utc(DAY, "14:30")
    row = end_of_day(*(poll(opened + timedelta(minutes=m)) for m in range(1, 200)))[PUT]
    assert (row["minutes_before_close"], row["is_before_close"]) == (191.0, True)


def test_few_snapshots_spread_evenly_over_a_past_session_are_no_interruption():
    row = end_of_day(*hourly(DAY, "16:45", "19:00", "21:15"))[PUT]
    assert (row["longest_gap_minutes"], row["is_interrupted"]) == (135.0, False)


def test_poll_before_the_next_open_belongs_to_the_day_and_is_late():
    morning = utc(DAY + timedelta(days=3), "14:00")  # Monday, half an hour before the open
    rows = end_of_day(*hourly(DAY, *REGULAR), poll(morning, put=80.0, bid=99.0))
    assert rows[PUT]["session_date"] == DAY
    assert rows[PUT]["minutes_before_close"] == -(3 * 1440 - 7 * 60)
    assert (rows[PUT]["longest_gap_minutes"], rows[PUT]["is_interrupted"]) == (60.0, False)


def test_utc_day_ends_at_midnight_and_the_last_hourly_run_stands_for_it():
    def at(hour):
        held = [contract(60000, "put", root="BTC", expiry=date(2026, 12, 25))]
        instant = datetime(2026, 11, 20, hour, 2, tzinfo=UTC)
        return chain(held, symbol="BTC", event_at=instant, spot=60000.0)

    (row,) = end_of_day(*(at(hour) for hour in range(24))).values()
    assert (row["minutes_before_close"], row["is_before_close"]) == (58.0, False)
    (row,) = end_of_day(*(at(hour) for hour in range(23))).values()
    assert (row["minutes_before_close"], row["is_before_close"]) == (118.0, True)


def test_holiday_has_no_stretches_to_measure():
    with pytest.raises(BadInputError, match="is no session"):
        gaps_between("XNYS", date(2026, 11, 26), [])


def test_summary_says_how_whole_the_day_is():
    rows = pa.concat_tables(hourly(DAY, *REGULAR[:-1]))
    no_vols = tables.CONTRACT_GREEKS.schema.empty_table()
    found = summary(daily_history(rows, volume_deltas(rows), priced=no_vols))
    assert found["contracts_before_close"] == 2
    assert found["session_snapshots"] == 7
    assert summary(tables.DAILY_HISTORY.schema.empty_table()) == {"session_snapshots": 0}


def stored(lake: Lake, *polls: pa.Table):
    for rows in polls:
        name = snapshot_part(rows["event_at"][0].as_py())
        where: dict[str, Any] = {"underlying": "SPX", "session_date": DAY, "name": name}
        write_part(lake, tables.CHAIN_SNAPSHOTS, rows, **where)


def run(lake: Lake) -> Refreshed:
    def derive(held: Any) -> pa.Table:
        rows = held["chain_snapshots"]
        no_vols = tables.CONTRACT_GREEKS.schema.empty_table()
        return daily_history(rows, volume_deltas(rows), priced=no_vols)

    return refresh_session(
        lake,
        tables.DAILY_HISTORY,
        sources=[tables.CHAIN_SNAPSHOTS],
        underlying="SPX",
        session_date=DAY,
        derive=derive,
    )


def written(lake: Lake) -> bytes:
    path = f"daily_history/underlying=SPX/date={DAY}/{SESSION_PART}"
    data = lake.read(path)
    assert data is not None
    return bytes(data.to_pybytes())


def test_run_twice_late_and_over_a_packed_session_gives_the_same_bytes(tmp_path: Path):
    at_once, late = (open_lake(str(tmp_path / name)) for name in ("at_once", "late"))
    polls = hourly(DAY, *REGULAR)
    stored(at_once, *polls)
    assert run(at_once).written == (SESSION_PART,)
    assert run(at_once).kept == 1
    # the other's polls come late and out of order, with runs in between
    stored(late, *polls[::2])
    run(late)
    stored(late, *polls[1::2], polls[0])
    run(late)
    assert written(late) == written(at_once)
    pack_session(late, tables.CHAIN_SNAPSHOTS, underlying="SPX", session_date=DAY)
    assert run(late).kept == 1
    assert written(late) == written(at_once)
    held = read_partition(late, tables.DAILY_HISTORY, "SPX", DAY)
    assert held["volume_contracts"].to_pylist() == [80.0, 0.0]

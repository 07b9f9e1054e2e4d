"""Polls: the first snapshot of each hour, whatever comes later."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, strategies as st

from dealer_assets.domain.anomaly.polls import polls_of, usual_spans
from dealer_assets.domain.sessions import instants_of

DAY = date(2026, 11, 19)
HALF_DAY = date(2026, 11, 27)
BEFORE_DST, AFTER_DST = date(2026, 10, 30), date(2026, 11, 2)


def at(text, day=DAY):
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=UTC)


def polls(*clocks, day=DAY, calendar="XNYS", usual=()):
    return polls_of(calendar, day, [at(clock, day) for clock in clocks], usual=usual)


def told(found):
    return [(p.slot, f"{p.at:%H:%M}", p.interval_minutes) for p in found]


def test_first_snapshot_at_or_after_each_full_hour_is_the_poll():
    found = polls("14:31", "14:59", "15:00", "15:01", "16:07", "16:59", "17:00")
    assert told(found) == [
        (9, "14:31", 1.0), (10, "15:00", 29.0), (11, "16:07", 67.0), (12, "17:00", 53.0),
    ]  # fmt: skip
    assert found[0].previous_at is None
    assert found[1].previous_at == at("14:31")


def test_minute_runs_and_hourly_runs_find_the_same_polls():
    minutes = instants_of("XNYS", DAY, count=405)
    hourly = [at("14:31"), *(at(f"{hour}:00") for hour in range(15, 22))]
    by_minute, by_hour = (polls_of("XNYS", DAY, found) for found in (minutes, hourly))
    assert by_minute == by_hour
    assert [poll.slot for poll in by_minute] == [9, 10, 11, 12, 13, 14, 15, 16]


def test_three_snapshots_a_day_are_three_polls():
    assert told(polls_of("XNYS", DAY, instants_of("XNYS", DAY, count=3))) == [
        (11, "16:45", 135.0), (14, "19:00", 135.0), (16, "21:15", 135.0),
    ]  # fmt: skip


def test_missing_poll_makes_the_next_interval_longer():
    found = polls("15:00", "16:00", "18:00")
    assert told(found)[-1] == (13, "18:00", 120.0)
    assert [poll.slots_spanned for poll in found] == [2, 1, 2]


def test_snapshot_told_twice_or_out_of_order_changes_nothing():
    assert polls("16:00", "15:00", "15:00", "15:30", "16:00") == polls("15:00", "16:00")


def test_before_the_open_and_of_another_session_there_is_no_poll():
    assert told(polls("13:00", "14:29", "14:30")) == [(9, "14:30", 0.0)]
    assert polls_of("XNYS", DAY, [at("14:30", date(2026, 11, 20))]) == []


def test_after_the_close_the_first_snapshot_belongs_to_the_closing_hour():
    assert told(polls("20:00", "23:30")) == [(15, "20:00", 330.0), (16, "23:30", 210.0)]
    assert told(polls("20:00", "21:05", "23:30")) == [(15, "20:00", 330.0), (16, "21:05", 65.0)]


def test_half_day_ends_with_the_hour_of_its_close():
    found = polls("15:00", "16:00", "17:00", "18:00", "18:15", "20:00", day=HALF_DAY)
    assert [poll.slot for poll in found] == [10, 11, 12, 13]


def test_slots_keep_the_local_hour_across_the_clock_change():
    summer, winter = polls("14:00", day=BEFORE_DST), polls("15:00", day=AFTER_DST)
    assert [p.slot for p in summer] == [p.slot for p in winter] == [10]
    assert summer[0].interval_minutes == winter[0].interval_minutes == 30.0


def test_calendar_around_the_clock_has_an_hour_of_utc_for_slot():
    found = polls("00:00", "00:30", "08:00", "23:59", calendar="24/7")
    assert told(found) == [(0, "00:00", 0.0), (8, "08:00", 480.0), (23, "23:59", 959.0)]


def test_interval_is_long_only_against_what_is_usual_at_its_slot():
    hourly = usual_spans([polls("14:30", "15:00", "16:00", "17:00")] * 3)
    assert hourly == ((9, 1), (10, 1), (11, 1), (12, 1))
    found = polls("14:30", "15:00", "17:00", usual=hourly)
    assert [poll.is_long for poll in found] == [False, False, True]
    thrice = usual_spans([polls_of("XNYS", DAY, instants_of("XNYS", DAY, count=3))])
    again = polls_of("XNYS", DAY, instants_of("XNYS", DAY, count=3), usual=thrice)
    assert not any(poll.is_long for poll in again)


def test_without_sessions_before_nothing_is_long():
    assert not any(poll.is_long for poll in polls("16:00", "20:00"))


def test_usual_is_the_most_frequent_span_and_of_equally_frequent_ones_the_shortest():
    one, two = polls("15:00", "16:00"), polls("14:30", "16:00")
    assert dict(usual_spans([one, two, two]))[11] == 2
    assert dict(usual_spans([one, two]))[11] == 1


@given(st.lists(st.integers(0, 520), min_size=1, max_size=40), st.integers(0, 520))
def test_later_snapshots_never_change_an_earlier_poll(minutes, cut):
    start = at("14:00")
    instants = [start + timedelta(minutes=minute) for minute in minutes]
    known = [instant for instant in instants if instant <= start + timedelta(minutes=cut)]
    whole = polls_of("XNYS", DAY, instants)
    assert polls_of("XNYS", DAY, known) == whole[: len(polls_of("XNYS", DAY, known))]

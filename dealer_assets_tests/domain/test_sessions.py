"""Calendars and clocks: the table against the library, expiry instants, year fractions."""

import warnings
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain import us_sessions
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.domain.sessions import (
    expiry_instant,
    is_early_close,
    is_open,
    is_session,
    next_session,
    previous_session,
    quotes_end,
    session_close,
    session_of,
    session_on_or_before,
    session_open,
    sessions_between,
    year_fraction,
)
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import underlying_of_root


def utc(year, month, day, hour=0, minute=0, second=0):
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@pytest.fixture
def quiet_library():
    """exchange_calendars 4.13 reads Series.values, which pandas 3.1 deprecates: not ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Series.values", category=Warning)
        yield


def all_days():
    count = (us_sessions.LAST - us_sessions.FIRST).days
    return [us_sessions.FIRST + timedelta(days=number) for number in range(count + 1)]


def test_table_equals_the_library_day_by_day(quiet_library):
    import exchange_calendars

    library = exchange_calendars.get_calendar(
        "XNYS", start=str(us_sessions.FIRST), end=str(us_sessions.LAST)
    )
    sessions = {session.date() for session in library.sessions}
    early = {session.date() for session in library.early_closes}
    assert (us_sessions.FIRST.year, us_sessions.LAST.year) == (2006, 2036)
    assert [day for day in all_days() if is_session("XNYS", day)] == sorted(sessions)
    assert [day for day in all_days() if is_early_close("XNYS", day)] == sorted(early)


def test_opens_and_closes_equal_the_library_instant_by_instant(quiet_library):
    import exchange_calendars

    library = exchange_calendars.get_calendar("XNYS", start="2024-01-01", end="2026-12-31")
    for session in library.sessions:
        day = session.date()
        assert session_open("XNYS", day) == library.session_open(session)
        assert session_close("XNYS", day) == library.session_close(session)


@pytest.mark.parametrize(
    ("symbol", "instant"),
    [
        ("O:SPXW251219C05900000", utc(2025, 12, 19, 21)),
        ("O:SPX251219C05900000", utc(2025, 12, 19, 14, 30)),
        ("O:SPXW251128P06000000", utc(2025, 11, 28, 18)),  # the day after Thanksgiving
        ("O:SPXW260717C06000500", utc(2026, 7, 17, 20)),  # daylight saving
    ],
)
def test_expiry_vectors_of_the_vendor_protocol(symbol, instant):
    contract = parse_osi(symbol)
    entry = underlying_of_root(contract.root)
    settlement = entry.root(contract.root).settlement
    assert expiry_instant(settlement, entry.calendar, contract.expiry_date) == instant


@pytest.mark.parametrize(
    ("settlement", "calendar", "listed", "instant"),
    [
        ("twap", "24/7", date(2024, 12, 27), utc(2024, 12, 27, 8)),
        ("twap", "24/7", date(2024, 12, 25), utc(2024, 12, 25, 8)),
        ("pm", "XNYS", date(2012, 1, 21), utc(2012, 1, 20, 21)),  # Saturday of the old monthlies
        ("am", "XNYS", date(2012, 1, 21), utc(2012, 1, 20, 14, 30)),
        ("pm", "XNYS", date(2025, 4, 18), utc(2025, 4, 17, 20)),  # Good Friday: the Thursday
        ("pm", "XNYS", date(2024, 12, 24), utc(2024, 12, 24, 18)),  # Christmas Eve closes early
        ("am", "XNYS", date(2025, 11, 28), utc(2025, 11, 28, 14, 30)),  # and opens as ever
    ],
)
def test_expiry_instants_of_odd_days(settlement, calendar, listed, instant):
    assert expiry_instant(settlement, calendar, listed) == instant


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2025, 3, 7), utc(2025, 3, 7, 14, 30), utc(2025, 3, 7, 21)),
        (date(2025, 3, 10), utc(2025, 3, 10, 13, 30), utc(2025, 3, 10, 20)),
        (date(2025, 10, 31), utc(2025, 10, 31, 13, 30), utc(2025, 10, 31, 20)),
        (date(2025, 11, 3), utc(2025, 11, 3, 14, 30), utc(2025, 11, 3, 21)),
        (date(2025, 7, 3), utc(2025, 7, 3, 13, 30), utc(2025, 7, 3, 17)),
    ],
)
def test_opens_and_closes_around_clock_changes_and_early_closes(day, opens, closes):
    assert session_open("XNYS", day) == opens
    assert session_close("XNYS", day) == closes
    assert quotes_end("XNYS", day) == closes + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("instant", "session"),
    [
        (utc(2025, 6, 10, 13, 29, 59), date(2025, 6, 9)),  # before the open
        (utc(2025, 6, 10, 13, 30), date(2025, 6, 10)),  # at the open
        (utc(2025, 6, 10, 23, 59), date(2025, 6, 10)),  # evening
        (utc(2025, 6, 11, 3, 59), date(2025, 6, 10)),  # past midnight UTC, same New York day
        (utc(2025, 6, 9, 12, 0), date(2025, 6, 6)),  # Monday before the open
        (utc(2025, 6, 7, 16), date(2025, 6, 6)),  # Saturday
        (utc(2025, 6, 8, 16), date(2025, 6, 6)),  # Sunday
        (utc(2025, 6, 19, 16), date(2025, 6, 18)),  # Juneteenth
        (utc(2025, 11, 28, 20), date(2025, 11, 28)),  # after an early close
    ],
)
def test_instant_sees_the_session_that_opened_last(instant, session):
    assert session_of("XNYS", instant) == session


def test_session_of_takes_any_time_zone():
    from zoneinfo import ZoneInfo

    tokyo = utc(2025, 6, 10, 15).astimezone(ZoneInfo("Asia/Tokyo"))
    assert session_of("XNYS", tokyo) == date(2025, 6, 10)
    late = datetime(2025, 6, 11, 3, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert session_of("24/7", late) == date(2025, 6, 10)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (utc(2025, 6, 10, 13, 30), True),
        (utc(2025, 6, 10, 20, 15), True),
        (utc(2025, 6, 10, 20, 15, 1), False),
        (utc(2025, 6, 10, 13, 29), False),
        (utc(2025, 6, 8, 16), False),
        (utc(2025, 11, 28, 18, 16), False),
    ],
)
def test_options_quote_from_the_open_to_a_quarter_past_the_close(instant, expected):
    assert is_open("XNYS", instant) is expected


def test_every_day_is_a_session_of_a_calendar_without_closures():
    christmas = date(2024, 12, 25)
    assert is_session("24/7", christmas)
    assert not is_early_close("24/7", christmas)
    assert session_open("24/7", christmas) == utc(2024, 12, 25)
    assert session_close("24/7", christmas) == utc(2024, 12, 26)
    last = quotes_end("24/7", christmas)
    assert session_of("24/7", last) == christmas
    assert session_of("24/7", last + timedelta(microseconds=1)) == date(2024, 12, 26)
    assert is_open("24/7", last)


def test_neighbouring_sessions_pass_over_weekends_and_holidays():
    assert previous_session("XNYS", date(2025, 12, 26)) == date(2025, 12, 24)
    assert next_session("XNYS", date(2025, 12, 24)) == date(2025, 12, 26)
    assert session_on_or_before("XNYS", date(2025, 6, 8)) == date(2025, 6, 6)
    assert session_on_or_before("XNYS", date(2025, 6, 6)) == date(2025, 6, 6)
    assert next_session("24/7", date(2025, 6, 6)) == date(2025, 6, 7)


def test_sessions_between_includes_both_ends():
    found = sessions_between("XNYS", date(2025, 7, 3), date(2025, 7, 8))
    assert found == [date(2025, 7, 3), date(2025, 7, 7), date(2025, 7, 8)]
    assert sessions_between("XNYS", date(2025, 7, 8), date(2025, 7, 3)) == []


@pytest.mark.parametrize("function", [session_open, session_close, quotes_end])
def test_day_that_is_no_session_has_no_open_or_close(function):
    with pytest.raises(BadInputError, match=r"2025-06-08 is no session.*2025-06-06"):
        function("XNYS", date(2025, 6, 8))


@pytest.mark.parametrize(
    ("day", "session", "early"),
    [
        (date(2005, 12, 30), True, False),
        (date(2005, 11, 25), True, True),
        (date(2005, 12, 26), False, False),
        (date(2037, 1, 1), False, False),
        (date(2037, 1, 2), True, False),
        (date(2037, 11, 27), True, True),
    ],
)
def test_day_outside_the_table_is_answered_by_the_library(quiet_library, day, session, early):
    assert is_session("XNYS", day) is session
    assert is_early_close("XNYS", day) is early


def test_sessions_run_on_over_the_end_of_the_table(quiet_library):
    assert next_session("XNYS", date(2036, 12, 31)) == date(2037, 1, 2)
    assert previous_session("XNYS", date(2006, 1, 3)) == date(2005, 12, 30)


def test_year_fraction_is_actual_over_365_without_a_leap_correction():
    assert year_fraction(utc(2024, 1, 1), utc(2025, 1, 1)) == pytest.approx(366 / 365, rel=1e-15)
    assert year_fraction(utc(2025, 1, 1), utc(2025, 1, 1, 0, 0, 1)) == 1 / (365 * 86_400)
    assert year_fraction(utc(2025, 1, 2), utc(2025, 1, 1)) == pytest.approx(-1 / 365)


def test_year_fraction_counts_hours_that_passed_over_a_clock_change():
    before, after = expiry_instant("pm", "XNYS", date(2025, 3, 7)), utc(2025, 3, 10, 20)
    assert year_fraction(before, after) * 365 * 24 == pytest.approx(71.0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30 * 365 * 86_400))
def test_session_of_an_instant_has_opened_and_the_next_has_not(seconds):
    instant = utc(2006, 1, 5) + timedelta(seconds=seconds)
    day = session_of("XNYS", instant)
    assert session_open("XNYS", day) <= instant
    assert instant < session_open("XNYS", next_session("XNYS", day))

"""Dating: which session a chain belongs to when header, name and contents disagree."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.domain.sessions import NEW_YORK, is_session, quotes_end
from dealer_assets.errors import UndatedChainError
from dealer_assets.providers.dating import Dating, Evidence, date_chain

WEDNESDAY = date(2023, 5, 10)
WHOLE = Evidence(calendar="XNYS", has_daily_expiries=True, is_complete=True, first_expiry=WEDNESDAY)


def new_york(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=NEW_YORK).astimezone(UTC)


def codes(dating: Dating) -> list[str]:
    return [finding.code for finding in dating.findings]


def test_a_download_in_the_session_is_dated_fifteen_minutes_earlier():
    dating = date_chain(replace(WHOLE, downloaded_at=new_york(2023, 5, 10, 15, 10)))

    assert dating.session_date == WEDNESDAY
    assert dating.event_at == new_york(2023, 5, 10, 14, 55)
    assert dating.known_at == new_york(2023, 5, 10, 15, 10)
    assert codes(dating) == []


@pytest.mark.parametrize(
    ("downloaded", "first_expiry", "session", "found"),
    [
        (new_york(2023, 5, 10, 22, 37), date(2023, 5, 10), date(2023, 5, 10), []),
        (new_york(2023, 5, 13, 4, 33), date(2023, 5, 12), date(2023, 5, 12), []),
        (new_york(2023, 5, 29, 11, 4), date(2023, 5, 30), date(2023, 5, 26), []),
        (
            new_york(2023, 5, 16, 6, 30),
            date(2023, 5, 15),
            date(2023, 5, 15),
            ["pre_open_download"],
        ),
        (
            new_york(2023, 5, 16, 9, 40),
            date(2023, 5, 16),
            date(2023, 5, 15),
            ["pre_open_download"],
        ),
    ],
    ids=["evening", "saturday", "memorial day", "before the open", "delay reaches behind the open"],
)
def test_a_download_after_the_close_is_the_last_session_at_its_end(
    downloaded, first_expiry, session, found
):
    dating = date_chain(replace(WHOLE, first_expiry=first_expiry, downloaded_at=downloaded))

    assert dating.session_date == session
    assert dating.event_at == quotes_end("XNYS", session)
    assert dating.known_at == downloaded
    assert codes(dating) == found


def test_an_early_close_ends_the_quotes_at_a_quarter_past_one():
    day = date(2023, 11, 24)
    evidence = replace(WHOLE, first_expiry=day, downloaded_at=new_york(2023, 11, 24, 20, 0))

    assert date_chain(evidence).event_at == new_york(2023, 11, 24, 13, 15)


def test_the_stated_instant_of_the_quotes_wins_over_the_download():
    evidence = replace(
        WHOLE,
        quoted_at=new_york(2023, 5, 10, 11, 2),
        downloaded_at=new_york(2023, 5, 10, 11, 30),
    )
    dating = date_chain(evidence)

    assert dating.event_at == new_york(2023, 5, 10, 11, 2)
    assert dating.known_at == new_york(2023, 5, 10, 11, 30)


def test_quotes_without_a_download_are_known_one_vendor_delay_later():
    quoted = new_york(2023, 5, 10, 11, 2)

    assert date_chain(replace(WHOLE, quoted_at=quoted)).known_at == quoted + VENDOR_DELAY


def test_a_listed_series_that_expired_refutes_a_later_header():
    downloaded = new_york(2023, 5, 12, 9, 13)
    dating = date_chain(replace(WHOLE, downloaded_at=downloaded))

    assert dating.session_date == WEDNESDAY
    assert dating.event_at == quotes_end("XNYS", WEDNESDAY)
    assert dating.known_at == downloaded
    assert codes(dating) == ["header_date_after_expired_series"]


def test_a_saturday_expiry_dates_to_the_friday_before():
    evidence = replace(
        WHOLE, first_expiry=date(2014, 5, 17), downloaded_at=new_york(2014, 5, 21, 12, 0)
    )

    assert date_chain(evidence).session_date == date(2014, 5, 16)


@pytest.mark.parametrize(
    ("named", "expired", "session"),
    [
        (date(2023, 5, 23), False, date(2023, 5, 23)),
        (date(2023, 5, 22), False, date(2023, 5, 22)),
        (None, True, date(2023, 5, 23)),
        (None, False, date(2023, 5, 22)),
        (date(2023, 1, 2), False, date(2023, 5, 22)),
    ],
    ids=["named day", "named eve", "expired series", "living series", "impossible name"],
)
def test_a_whole_daily_chain_refutes_a_header_of_days_before_its_first_expiry(
    named, expired, session
):
    evidence = replace(
        WHOLE,
        first_expiry=date(2023, 5, 23),
        first_expiry_looks_expired=expired,
        downloaded_at=new_york(2023, 5, 13, 19, 50),
        named_date=named,
    )
    dating = date_chain(evidence)

    assert dating.session_date == session
    assert codes(dating)[0] == "header_date_before_first_expiry"
    assert dating.known_at == dating.event_at + VENDOR_DELAY


@pytest.mark.parametrize("change", [{"is_complete": False}, {"has_daily_expiries": False}])
def test_the_first_expiry_says_nothing_about_a_partial_or_weekly_chain(change):
    evidence = replace(
        WHOLE,
        first_expiry=date(2023, 6, 16),
        downloaded_at=new_york(2023, 5, 10, 20, 0),
        **change,
    )
    dating = date_chain(evidence)

    assert dating.session_date == WEDNESDAY
    assert codes(dating) == []


def test_two_sessions_without_an_expiry_are_tolerated():
    evidence = replace(
        WHOLE, first_expiry=date(2022, 2, 9), downloaded_at=new_york(2022, 2, 4, 20, 0)
    )

    assert codes(date_chain(evidence)) == []


def test_header_and_contents_win_over_the_name():
    evidence = replace(
        WHOLE, downloaded_at=new_york(2023, 5, 10, 20, 0), named_date=date(2023, 5, 9)
    )
    dating = date_chain(evidence)

    assert dating.session_date == WEDNESDAY
    assert codes(dating) == ["file_name_date_mismatch"]


def test_a_name_of_the_weekend_after_agrees_with_friday():
    evidence = replace(
        WHOLE,
        first_expiry=date(2023, 5, 12),
        downloaded_at=new_york(2023, 5, 13, 10, 0),
        named_date=date(2023, 5, 14),
    )

    assert codes(date_chain(evidence)) == []


def test_without_a_header_the_name_dates_the_chain():
    dating = date_chain(replace(WHOLE, named_date=WEDNESDAY))

    assert dating.event_at == quotes_end("XNYS", WEDNESDAY)
    assert dating.known_at == dating.event_at + VENDOR_DELAY
    assert codes(dating) == ["date_from_file_name"]


@pytest.mark.parametrize("named", [None, date(2023, 5, 11), date(2023, 3, 1)])
def test_without_header_and_credible_name_a_whole_daily_chain_dates_itself(named):
    dating = date_chain(replace(WHOLE, named_date=named))

    assert dating.session_date == WEDNESDAY
    assert codes(dating)[0] == "date_inferred_from_expiries"


@pytest.mark.parametrize("named", [None, date(2023, 6, 1)])
def test_a_partial_chain_without_header_and_credible_name_is_refused(named):
    with pytest.raises(UndatedChainError, match="put the session's date into the name"):
        date_chain(replace(WHOLE, is_complete=False, named_date=named))


def test_a_venue_that_never_closes_has_no_pre_open():
    evidence = Evidence(
        calendar="24/7",
        has_daily_expiries=True,
        is_complete=True,
        first_expiry=date(2026, 4, 14),
        quoted_at=datetime(2026, 4, 13, 5, 31, tzinfo=UTC),
        downloaded_at=datetime(2026, 4, 13, 5, 32, tzinfo=UTC),
    )
    dating = date_chain(evidence)

    assert dating.session_date == date(2026, 4, 13)
    assert dating.event_at == evidence.quoted_at
    assert codes(dating) == []


@given(
    minutes=st.integers(0, 7 * 365 * 24 * 60),
    days_to_expiry=st.integers(-20, 400),
    named=st.none() | st.dates(date(2020, 1, 1), date(2026, 12, 1)),
    is_complete=st.booleans(),
)
def test_any_evidence_gives_a_session_within_its_bounds(
    minutes, days_to_expiry, named, is_complete
):
    downloaded = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    first_expiry = downloaded.date() + timedelta(days=days_to_expiry)
    dating = date_chain(
        replace(
            WHOLE,
            first_expiry=first_expiry,
            downloaded_at=downloaded,
            named_date=named,
            is_complete=is_complete,
        )
    )

    assert is_session("XNYS", dating.session_date)
    assert dating.session_date <= first_expiry
    assert dating.event_at <= quotes_end("XNYS", dating.session_date)
    assert dating.known_at >= dating.event_at

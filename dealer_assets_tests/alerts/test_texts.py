"""Texts: parts, digests, quiet hours' words, and what no text may show."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from dealer_assets.alerts.messages import (
    REPEAT,
    Message,
    digest_of,
    message_of,
    parts_of,
    weight,
)
from dealer_assets.alerts.quiet import quiet_hours
from dealer_assets.alerts.redaction import HIDDEN, redacted, secrets_of
from dealer_assets.errors import BadInputError
from dealer_assets_tests.alerts.alert_desk import alert

LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])


@given(
    st.text(LETTERS, max_size=60),
    st.text(st.one_of(LETTERS, st.just("\n"), st.just(" "), st.just("&")), max_size=3000),
    st.sampled_from([500, 1024, 2000, 4096]),
)
def test_parts_fit_with_title_and_mark_and_hold_every_letter_once(title, body, largest):
    parts = parts_of(Message(title, body, "notice"), largest)
    assert all(weight(REPEAT + p.title + p.body) + 16 <= largest for p in parts)
    assert "".join("".join(p.body for p in parts).split()) == "".join(body.split())
    assert parts == parts_of(Message(title, body, "notice"), largest)


def test_a_short_message_is_one_unnumbered_part():
    message = message_of(alert(7))
    assert parts_of(message, 1024) == (message,)
    assert message.body.endswith(f"14:30:00 UTC · score_at_least · warning · {alert(7).alert_id}")


def test_parts_break_at_lines_or_words():
    body = "\n".join("one two three four five six" for _ in range(100))
    parts = parts_of(Message("T", body, "notice"), 500)
    assert [p.title for p in parts] == [f"T ({n}/{len(parts)})" for n in range(1, len(parts) + 1)]
    assert all(line in body.split("\n") for p in parts for line in p.body.split("\n"))


@given(st.integers(1, 300), st.sampled_from([300, 1024, 2000, 32768]))
def test_a_digest_is_one_message_and_counts_what_it_leaves_out(count, largest):
    alerts = [alert(n, severity="severe" if n % 50 == 7 else "notice") for n in range(count)]
    digest = digest_of(alerts, "together", largest)
    assert len(parts_of(digest, largest)) == 1
    assert digest.alerts == tuple(alerts)
    assert digest.severity == ("severe" if count > 7 else "notice")
    lines = digest.body.splitlines()
    left_out = int(lines[-1].split()[1].replace(",", "")) if "more:" in lines[-1] else 0
    assert len(lines) - bool(left_out) + left_out == count
    if count > 7 and len(lines) > 1:
        assert "severe" in lines[0]


@pytest.mark.parametrize(
    ("at", "is_quiet"),
    [
        ("2026-11-20T02:59:59+00:00", False),
        ("2026-11-20T03:00:00+00:00", True),
        ("2026-11-20T11:59:59+00:00", True),
        ("2026-11-20T12:00:00+00:00", False),
        ("2026-07-20T02:00:00+00:00", True),  # summer: an hour earlier in UTC
        ("2026-07-20T11:00:00+00:00", False),
    ],
)
def test_quiet_hours_over_midnight_follow_the_zones_clock(at, is_quiet):
    hours = quiet_hours("22:00-07:00 America/New_York")
    assert hours is not None
    assert hours.covers(datetime.fromisoformat(at)) is is_quiet


@given(st.integers(0, 366 * 24 * 60))
def test_quiet_ends_within_a_day_and_is_then_over(minutes):
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    for words in ("22:00-07:00 America/New_York", "01:30-02:30 America/New_York", "9:00-17:00"):
        hours = quiet_hours(words)
        assert hours is not None
        end = hours.end_after(now)
        assert now <= end <= now + timedelta(hours=25)
        assert not hours.covers(end)


@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]
)
def test_quiet_ends_on_the_days_of_a_clock_change_too(day):
    for words in ("00:30-01:30", "01:30-02:30", "22:00-07:00"):
        hours = quiet_hours(f"{words} America/New_York")
        assert hours is not None
        for quarter in range(96):
            now = day + timedelta(minutes=15 * quarter)
            end = hours.end_after(now)
            assert now <= end <= now + timedelta(hours=10)
            assert not hours.covers(end)


@pytest.mark.parametrize(
    ("words", "now", "ends"),
    [
        # the night of 8 March 2026 has no 02:30: the clock goes from 01:59 to 03:00
        ("01:30-02:30", "2026-03-08T06:45:00+00:00", "2026-03-08T07:00:00+00:00"),
        ("22:00-07:00", "2026-03-08T04:00:20+00:00", "2026-03-08T11:00:00+00:00"),
        # the night of 1 November shows 01:00 to 02:00 twice: each time to its end
        ("22:00-01:30", "2026-11-01T05:10:00+00:00", "2026-11-01T05:30:00+00:00"),
        ("22:00-01:30", "2026-11-01T06:10:00+00:00", "2026-11-01T06:30:00+00:00"),
        ("22:00-07:00", "2026-11-01T05:10:00+00:00", "2026-11-01T12:00:00+00:00"),
    ],
)
def test_quiet_ends_at_the_first_loud_minute_where_the_clock_skips_or_repeats_it(words, now, ends):
    hours = quiet_hours(f"{words} America/New_York")
    assert hours is not None
    assert hours.end_after(datetime.fromisoformat(now)) == datetime.fromisoformat(ends)


@pytest.mark.parametrize(
    "words", ["22-7", "25:00-07:00", "22:00-07:00 Mars/Base", "08:00-08:00", "22:00-07:00 a b"]
)
def test_quiet_hours_that_cannot_be_read_are_refused_with_an_example(words):
    with pytest.raises(BadInputError, match="expected hours like 22:00-07:00 America/New_York"):
        quiet_hours(words)
    assert quiet_hours(" ") is None


TOKEN, PASSWORD = "pl4nted/t0ken+of=this", "p4ss w0rd"
URL = (
    f"json://bob:{quote(PASSWORD, safe='')}@desk.example:8080/hooks/{quote(TOKEN, safe='')}"
    "?+X-Key=an0ther-s3cret&:k=v"
)


@pytest.mark.parametrize(
    "spelled",
    [
        TOKEN,
        quote(TOKEN, safe=""),
        TOKEN.upper(),
        URL,
        PASSWORD,
        b64encode(f"bob:{PASSWORD}".encode()).decode(),
        "an0ther-s3cret",
        f"https://api.telegram.org/bot{TOKEN}/sendMessage",
        "/api/webhooks/123456789012345678/abcdef",
    ],
)
def test_a_secret_is_struck_out_in_every_spelling(spelled):
    told = redacted(f"POST failed: {spelled} (retry)", secrets_of(URL))
    assert spelled.lower() not in told.lower()
    assert told.startswith("POST failed: ")
    assert HIDDEN in told


def test_words_of_an_answer_are_kept():
    told = redacted("HTTP 400: message text is empty", secrets_of(URL))
    assert told == "HTTP 400: message text is empty"

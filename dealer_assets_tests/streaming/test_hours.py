"""When desks work: late enough for what a delayed feed sends last."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dealer_assets.domain.sessions import quotes_end
from dealer_assets.settings import Settings
from streaming.desk.sourcing import delay_of
from streaming.hours import LATE, span_at, span_of

DELAY = timedelta(minutes=15)


@pytest.mark.parametrize("day", [date(2025, 12, 18), date(2025, 11, 28)])
def test_a_delayed_feed_is_listened_to_until_it_has_sent_the_last_print(day: date) -> None:
    prompt, late = span_of("XNYS", day), span_of("XNYS", day, delay=DELAY)
    assert late.end - DELAY == prompt.end == quotes_end("XNYS", day) + LATE
    assert late.begin == prompt.begin
    assert span_at("XNYS", prompt.end, delay=DELAY) == late
    assert span_at("XNYS", late.end, delay=DELAY).day > day


def test_around_the_clock_sessions_follow_each_other_whatever_the_delay() -> None:
    day = date(2025, 12, 18)
    assert span_of("24/7", day, delay=DELAY) == span_of("24/7", day)
    assert span_of("24/7", day).end == datetime(2025, 12, 19, tzinfo=UTC)


def test_only_polygon_s_delayed_host_is_late() -> None:
    prompt, late = (
        Settings(polygon_ws_url=f"wss://{host}.polygon.io") for host in ("socket", "delayed")
    )
    assert delay_of(prompt, "polygon") == timedelta(0)
    assert delay_of(late, "polygon") == DELAY
    assert delay_of(late, "deribit") == delay_of(late, "simulator") == timedelta(0)

"""Verdicts on what a stream wrote: fresh, healthy, whole; and when it is nobody's fault."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.flow.watch import (
    judge_freshness,
    judge_gaps,
    judge_health,
    judge_numbers,
    judge_spot,
)
from dealer_assets.domain.invariants import Verdict
from dealer_assets_tests.live_rows import clock, numbered, row


def freshness(last: datetime | None, now: datetime, *, has_run: bool = True) -> Verdict:
    return judge_freshness(
        last,
        what="heartbeat",
        has_run=has_run,
        now=now,
        opened=clock("14:30:00"),
        ended=clock("21:15:00"),
        seconds_per_part=60.0,
    )


@pytest.mark.parametrize(
    ("last", "now", "holds"),
    [
        ("15:00:00", "15:00:05", True),
        ("15:00:00", "15:02:00", True),  # a minute of silence, and one for the open part
        ("15:00:00", "15:02:01", False),
        ("21:14:30", "23:00:00", True),  # followed to its end
        ("20:00:00", "23:00:00", False),  # stopped an hour before it
    ],
)
def test_a_stream_is_fresh_for_a_minute_and_the_time_a_part_stays_open(
    last: str, now: str, holds: bool
) -> None:
    assert freshness(clock(last), clock(now)).holds == holds


def test_a_stale_verdict_says_what_was_expected_and_found() -> None:
    text = freshness(clock("15:00:00"), clock("15:30:00")).text
    assert "no older than 120 s" in text
    assert "2026-11-20 15:00:00 UTC, 1800 s old" in text


def test_a_stream_that_never_ran_is_not_running_and_no_failure() -> None:
    verdict = freshness(None, clock("18:00:00"), has_run=False)
    assert verdict.holds
    assert verdict.text.startswith("not running")


def test_a_process_that_lives_and_totals_nothing_is_told_from_the_open() -> None:
    assert freshness(None, clock("14:31:00")).holds
    assert not freshness(None, clock("14:33:00")).holds


def spot(at: str, age_seconds: float, now: str) -> Verdict:
    total = row(tables.LIVE_GAMMA, at=clock(at), spot_age_seconds=age_seconds, spot_source="index")
    return judge_spot(
        total,
        now=clock(now),
        opened=clock("14:30:00"),
        closed=clock("21:00:00"),
        seconds_per_part=60.0,
    )


@pytest.mark.parametrize(
    ("at", "age_seconds", "now", "holds"),
    [
        ("15:29:10", 1.0, "15:30:00", True),
        ("15:30:00", 120.0, "15:30:00", True),  # a minute of silence, and one for the open part
        ("15:30:00", 121.0, "15:30:00", False),
        ("15:29:00", 61.0, "15:30:00", False),  # it has aged since the row was written
        ("14:31:00", 63_000.0, "14:31:30", True),  # last night's, until one has had its time
        ("14:33:00", 63_000.0, "14:33:30", False),
        ("21:14:00", 840.0, "21:14:30", True),  # an index stands still from the close
        ("21:14:00", 4_500.0, "21:14:30", False),  # this one did before
    ],
)
def test_totals_of_a_spot_that_stands_still_while_the_session_is_open_fail(
    at: str, age_seconds: float, now: str, holds: bool
) -> None:
    assert spot(at, age_seconds, now).holds == holds


def test_a_dead_spot_is_told_with_its_age() -> None:
    dead = spot("15:30:00", 1800.0, "15:30:00")
    assert dead.text.startswith("live gamma goes on with a spot that is 1,800 s old: expected")
    assert "found spot (index) of 2026-11-20 15:00:00 UTC" in dead.text
    assert dead.numbers == {"spot_age_seconds": 1800.0, "allowed_seconds": 120.0}
    assert "went on to the close" in spot("21:14:00", 4_500.0, "22:00:00").text


def beat(**values: Any) -> dict[str, Any]:
    return row(tables.STREAM_HEARTBEATS, feed="polygon", phase="live", **values)


def test_an_unhealthy_heartbeat_names_its_problems() -> None:
    verdict = judge_health(beat(is_healthy=False, problems=["no_spot", "queue_full"]))
    assert not verdict.holds
    assert verdict.text == "no_spot, queue_full at 15:00:00 UTC, feed polygon live"
    assert judge_health(beat(is_healthy=True)).holds
    assert judge_health(None).holds


def gaps(*entries: dict[str, Any]) -> pa.Table:
    made = [
        row(tables.FEED_GAPS, feed="polygon", channel="options", reason="closed_1006", **entry)
        for entry in entries
    ]
    return numbered(tables.FEED_GAPS, made)


def gap(start: str, until: str, status: str) -> dict[str, Any]:
    return {"event_at": clock(start), "until": clock(until), "status": status}


def test_a_gap_that_was_fetched_whole_holds_by_its_last_row() -> None:
    rows = gaps(gap("15:00:00", "15:00:30", "open"), gap("15:00:00", "15:00:30", "backfilled"))
    verdict = judge_gaps(rows, has_run=True)
    assert verdict.holds
    assert verdict.text == "1 gaps, 30 s, all trades fetched"


@pytest.mark.parametrize("status", ["open", "partial", "not_backfilled"])
def test_gaps_that_are_not_whole_are_listed(status: str) -> None:
    rows = gaps(gap("15:00:00", "15:00:30", "backfilled"), gap("16:00:00", "16:05:00", status))
    verdict = judge_gaps(rows, has_run=True)
    assert not verdict.holds
    assert f"polygon/options 16:00:00-16:05:00 UTC {status} (closed_1006)" in verdict.text
    assert verdict.numbers == {"gaps": 2.0, "not_whole": 1.0, "seconds": 330.0}


def test_many_gaps_are_counted_beyond_the_first_ten() -> None:
    rows = gaps(*[gap(f"15:{m:02d}:00", f"15:{m:02d}:30", "open") for m in range(13)])
    assert judge_gaps(rows, has_run=True).text.endswith(" and 3 more")


def test_no_gap_and_no_stream_both_hold() -> None:
    assert judge_gaps(gaps(), has_run=True).text == "no gap"
    assert judge_gaps(gaps(), has_run=False).text.startswith("not running")


@pytest.mark.parametrize(
    ("parts", "holds", "words"),
    [
        ([], True, "0 rows"),
        ([(100, 50), (0, 100)], True, "150 rows"),
        ([(0, 100), (120, 10), (140, 1)], False, "100-119"),
        ([(0, 100), (90, 20)], False, "10 rows twice"),
        ([(5, 10)], False, "0-4"),
    ],
)
def test_row_numbers_follow_on_one_another(
    parts: list[tuple[int, int]], holds: bool, words: str
) -> None:
    verdict = judge_numbers(parts)
    assert verdict.holds == holds
    assert words in verdict.text

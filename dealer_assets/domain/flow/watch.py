"""Whether a live session's record is fresh, healthy and whole.

Belongs here: verdicts on what the streaming process wrote, for a given instant. Does not belong
here: reading the lake (`live_sessions`), when it is judged and who hears of it (`defs/live.py`).

A stream that never ran in a session is not running, which is no failure: nobody said it should.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from dealer_assets.domain.invariants import Verdict

SILENCE = timedelta(seconds=60)
"""Heartbeats come every ten seconds and totals every second: after a minute something is wrong."""

NOT_RUNNING = "not running: no stream wrote anything of this session"

_LISTED = 10
"""Gaps spelled out in a verdict; the rest is counted."""


def judge_freshness(
    last: datetime | None,
    *,
    what: str,
    has_run: bool,
    now: datetime,
    opened: datetime,
    ended: datetime,
    seconds_per_part: float,
) -> Verdict:
    """Tell whether a table's newest row is as new as it should be.

    Parameters
    ----------
    last : datetime.datetime or None
        `known_at` of the newest row in the lake; None where there is none.
    what : str
        What the rows are, for the words.
    has_run : bool
        Whether the stream wrote anything at all of the session.
    now : datetime.datetime
        Instant of the judgement.
    opened, ended : datetime.datetime
        When the session's options start and stop quoting.
    seconds_per_part : float
        How long rows may wait in an open part before they can be read.

    Returns
    -------
    Verdict
        After the session: whether it was followed to its end.
    """
    if not has_run:
        return Verdict(True, NOT_RUNNING, {})
    allowed = SILENCE + timedelta(seconds=seconds_per_part)
    until = min(now, ended)
    age = (until - (last or opened)).total_seconds()
    numbers = {"age_seconds": age, "allowed_seconds": allowed.total_seconds()}
    seen = f"{last:%Y-%m-%d %H:%M:%S} UTC" if last else "none of this session"
    if timedelta(seconds=age) <= allowed:
        return Verdict(True, f"newest {what}: {seen}", numbers)
    if now > ended:
        text = f"the session went on to {ended:%H:%M:%S} UTC; newest {what}: {seen}"
    else:
        text = (
            f"expected {what} no older than {allowed.total_seconds():.0f} s, found {seen}, "
            f"{age:.0f} s old: look at the streaming process"
        )
    return Verdict(False, text, numbers)


def judge_spot(
    total: Mapping[str, Any],
    *,
    now: datetime,
    opened: datetime,
    closed: datetime,
    seconds_per_part: float,
) -> Verdict:
    """Tell whether totals are of a spot that still moves: they go on every second without one.

    Parameters
    ----------
    total : mapping
        Newest row of `tables.LIVE_GAMMA`.
    now : datetime.datetime
        Instant of the judgement.
    opened, closed : datetime.datetime
        When the session opens and closes; options quote on for a while, an index may not.
    seconds_per_part : float
        How long rows may wait in an open part before they can be read.
    """
    allowed = SILENCE + timedelta(seconds=seconds_per_part)
    spot_at = total["event_at"] - timedelta(seconds=total["spot_age_seconds"])
    age = (min(now, closed) - max(spot_at, opened)).total_seconds()
    numbers = {"spot_age_seconds": max(age, 0.0), "allowed_seconds": allowed.total_seconds()}
    seen = f"spot ({total['spot_source']}) of {spot_at:%Y-%m-%d %H:%M:%S} UTC"
    if timedelta(seconds=age) <= allowed:
        return Verdict(True, seen, numbers)
    if now > closed:
        text = f"live gamma went on to the close with a spot that was {age:,.0f} s old: {seen}"
    else:
        text = (
            f"live gamma goes on with a spot that is {age:,.0f} s old: expected no older than "
            f"{allowed.total_seconds():.0f} s, found {seen}; look at the feed"
        )
    return Verdict(False, text, numbers)


def judge_health(heartbeat: Mapping[str, Any] | None) -> Verdict:
    """Tell whether the process itself said that it was well.

    Parameters
    ----------
    heartbeat : mapping or None
        Newest row of `tables.STREAM_HEARTBEATS`.
    """
    if heartbeat is None:
        return Verdict(True, NOT_RUNNING, {})
    names = ("queue_bytes", "lag_p99_ms", "rejected_messages", "conflated_quotes", "drops")
    numbers = {name: float(heartbeat[name]) for name in names if heartbeat[name] is not None}
    at = f"at {heartbeat['event_at']:%H:%M:%S} UTC, feed {heartbeat['feed']} {heartbeat['phase']}"
    if heartbeat["is_healthy"]:
        return Verdict(True, f"healthy {at}", numbers)
    return Verdict(False, f"{', '.join(heartbeat['problems']) or 'unhealthy'} {at}", numbers)


def judge_gaps(rows: pa.Table, *, has_run: bool) -> Verdict:
    """Tell what the feed missed and could not fetch afterwards.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.FEED_GAPS` of the session; the last row of a gap tells what became of it.
    has_run : bool
        Whether the stream wrote anything at all of the session.
    """
    if not has_run:
        return Verdict(True, NOT_RUNNING, {})
    gaps: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows.sort_by("stream_sequence").to_pylist():
        gaps[row["feed"], row["channel"], row["event_at"]] = row
    lost = [gap for gap in gaps.values() if gap["status"] != "backfilled"]
    missed = sum((gap["until"] - gap["event_at"]).total_seconds() for gap in gaps.values())
    numbers = {"gaps": float(len(gaps)), "not_whole": float(len(lost)), "seconds": missed}
    if not lost:
        found = f"{len(gaps)} gaps, {missed:.0f} s, all trades fetched" if gaps else "no gap"
        return Verdict(True, found, numbers)
    words = [
        f"{gap['feed']}/{gap['channel']} {gap['event_at']:%H:%M:%S}-{gap['until']:%H:%M:%S} UTC "
        f"{gap['status']} ({gap['reason']})"
        for gap in lost[:_LISTED]
    ]
    more = f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
    return Verdict(False, f"trades may be missing: {'; '.join(words)}{more}", numbers)


def judge_numbers(numbers: Sequence[tuple[int, int]]) -> Verdict:
    """Tell whether every row of a table's session is there once.

    Parameters
    ----------
    numbers : sequence of (int, int)
        First row's number and count of rows of each part, in any order.
    """
    expected = rows = doubled = 0
    holes: list[str] = []
    for first, count in sorted(numbers):
        if first > expected:
            holes.append(f"{expected}-{first - 1}")
        doubled += max(0, min(expected, first + count) - first)
        expected = max(expected, first + count)
        rows += count
    told = {"rows": float(rows), "holes": float(len(holes)), "doubled_rows": float(doubled)}
    if holes or doubled:
        return Verdict(
            False,
            f"expected rows 0 to {expected - 1} once each, found holes {holes[:_LISTED]} and "
            f"{doubled} rows twice",
            told,
        )
    return Verdict(True, f"{rows} rows, none missing", told)

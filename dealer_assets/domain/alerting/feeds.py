"""Rules about live feeds: those that are away, and gaps whose trades could not be fetched.

Belongs here: heartbeats and gaps to alerts. Does not belong here: why a feed is away
(`streaming/process/health.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from dealer_assets.domain.alerting.alert import Alert, Found
from dealer_assets.domain.alerting.table import Rule

Row = Mapping[str, Any]

GAP_COLUMNS = (
    "event_at",
    "known_at",
    "stream_sequence",
    "feed",
    "channel",
    "until",
    "reason",
    "status",
    "detail",
)
"""Columns of `feed_gaps` that are read."""

BEAT_COLUMNS = ("event_at", "known_at", "feed", "phase", "problems")
"""Columns of `stream_heartbeats` that are read."""

LIVE, _STOPPED = "live", "stopped"
_UNFILLED = ("partial", "not_backfilled")


def feed_gap(rule: Rule, underlying: str, day: date, gaps: pa.Table, beats: pa.Table) -> Found:
    """Return alerts of feeds that are not live, and of gaps whose trades could not be fetched.

    Parameters
    ----------
    rule : Rule
        Its threshold is a length in seconds.
    underlying : str
        Registry symbol.
    day : datetime.date
        Session.
    gaps : pyarrow.Table
        `GAP_COLUMNS` of `feed_gaps`.
    beats : pyarrow.Table
        `BEAT_COLUMNS` of `stream_heartbeats`.
    """
    found = Found(tuple(_unfilled(rule, underlying, day, gaps)))
    feeds: dict[str, list[Row]] = {}
    for row in beats.sort_by("event_at").to_pylist():
        feeds.setdefault(row["feed"], []).append(row)
    for feed, rows in sorted(feeds.items()):
        found += _outages(rule, underlying, day, feed, rows)
    return found


def _unfilled(rule: Rule, underlying: str, day: date, gaps: pa.Table) -> Iterable[Alert]:
    newest = {}  # a gap has a row for each thing that became of it
    for row in gaps.sort_by("stream_sequence").to_pylist():
        newest[row["feed"], row["channel"], row["event_at"]] = row
    for (feed, channel, at), row in sorted(newest.items()):
        seconds = (row["until"] - at).total_seconds()
        if row["status"] not in _UNFILLED or seconds < rule.threshold:
            continue
        yield rule.alert(
            underlying,
            day,
            event_at=at,
            known_at=row["known_at"],
            dedupe_key=f"{feed} {channel}",
            title=f"feed {feed} lacks trades of {seconds:.0f} s",
            body=(
                f"Channel {channel} was away from {at:%H:%M:%S} to {row['until']:%H:%M:%S} UTC "
                f"({row['reason']}); {row['status'].replace('_', ' ')}. {row['detail']}"
            ).strip(),
            facts={"feed": feed, "channel": channel, "seconds": seconds, "status": row["status"]},
        )


def _outages(rule: Rule, underlying: str, day: date, feed: str, beats: list[Row]) -> Found:
    found = Found()
    since: Row | None = None
    last: Row | None = None
    is_live = False  # of what was before the first beat nothing is known: it may have to be ended
    for row in beats:
        if row["phase"] not in (LIVE, _STOPPED):
            since, last, is_live = since or row, row, False
            continue
        if not is_live:
            found += _outage(rule, underlying, day, feed, since, last)
            found += Found((), (rule.ending(underlying, feed, row["event_at"]),))
        since = last = None
        is_live = True
    return found + _outage(rule, underlying, day, feed, since, last)


def _outage(
    rule: Rule, underlying: str, day: date, feed: str, since: Row | None, last: Row | None
) -> Found:
    if since is None or last is None:
        return Found()
    seconds = (last["event_at"] - since["event_at"]).total_seconds()
    if seconds < rule.threshold:
        return Found()
    problems = "; ".join(last["problems"]) or "no more is known"
    alert = rule.alert(
        underlying,
        day,
        event_at=since["event_at"],
        known_at=last["known_at"],
        dedupe_key=feed,
        title=f"feed {feed} is not live",
        body=f"Since {since['event_at']:%H:%M:%S} UTC it is {last['phase']}: {problems}.",
        facts={"feed": feed, "phase": last["phase"]},
        last_seen_at=last["event_at"],
    )
    return Found((alert,))

"""Rules about the platform itself: wrong data, data that stands still, runs that failed.

Belongs here: what is told of data as data. Does not belong here: live feeds (`feeds`), anything
about the market; none of these is ever told as a market anomaly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import pyarrow as pa

from dealer_assets.domain.alerting.alert import PLATFORM, Found
from dealer_assets.domain.alerting.table import Rule

Row = Mapping[str, Any]

PROBLEM_COLUMNS = (
    "event_at",
    "known_at",
    "kind",
    "action",
    "contracts",
    "share",
    "spoils",
    "words",
)
"""Columns of `data_anomalies` that are read."""

USUAL_GAPS = 3
"""Snapshots are late once the newest is older than this many usual gaps."""

GAPS_LOOKED_AT = 10
"""The usual gap is the median of so many of the newest."""

LEAST_SNAPSHOTS = 3
"""Fewer do not tell a usual gap, and may be somebody's look by hand: they are never late."""


def data_problem(
    rule: Rule, underlying: str, day: date, problems: pa.Table, instants: Sequence[datetime]
) -> Found:
    """Return one alert for each run of snapshots with the same problems of their data.

    Parameters
    ----------
    rule : Rule
        Its threshold is the share of contracts that a flag has to spoil; a block always speaks.
    underlying : str
        Registry symbol.
    day : datetime.date
        Session.
    problems : pyarrow.Table
        `PROBLEM_COLUMNS` of `data_anomalies`.
    instants : sequence of datetime.datetime
        Of all snapshots that were judged, so that one without a problem ends what was.
    """
    speaks: dict[datetime, list[Row]] = {at: [] for at in instants}
    for row in problems.to_pylist():
        rows = speaks.setdefault(row["event_at"], [])
        if row["action"] == "block" or (row["spoils"] and row["share"] >= rule.threshold):
            rows.append(row)
    found = Found()
    first: list[Row] = []
    key = ""
    last_at: datetime | None = None
    for at in sorted(speaks):
        now_key = "+".join(sorted(row["kind"] for row in speaks[at]))
        if now_key != key:
            found += _problem(rule, underlying, day, key, first, last_at, at)
            key, first = now_key, speaks[at]
        last_at = at
    return found + _problem(rule, underlying, day, key, first, last_at, None)


def _problem(
    rule: Rule,
    underlying: str,
    day: date,
    key: str,
    rows: list[Row],
    last_at: datetime | None,
    ended_at: datetime | None,
) -> Found:
    if not rows:
        return Found()
    kinds = key.replace("_", " ").split("+")
    blocks = any(row["action"] == "block" for row in rows)
    what = "data cannot be scored" if blocks else "part of the data cannot be used"
    alert = rule.alert(
        underlying,
        day,
        event_at=rows[0]["event_at"],
        known_at=max(row["known_at"] for row in rows),
        dedupe_key=key,
        title=f"{what}: {', '.join(kinds)}",
        body="\n".join(row["words"] for row in rows),
        facts={
            "kinds": key,
            "is_blocked": blocks,
            "contracts": max(row["contracts"] for row in rows),
            "share": max(row["share"] for row in rows),
        },
        last_seen_at=last_at,
    )
    endings = () if ended_at is None else (rule.ending(underlying, key, ended_at),)
    return Found((alert,), endings)


def stale_data(
    rule: Rule,
    underlying: str,
    day: date,
    *,
    instants: Sequence[datetime],
    opened: datetime,
    quotes_end: datetime,
    now: datetime,
) -> Found:
    """Return an alert while the newest snapshot of a running session is too old.

    Parameters
    ----------
    rule : Rule
        Its threshold is an age in minutes.
    underlying : str
        Registry symbol.
    day : datetime.date
        The session that options quote in.
    instants : sequence of datetime.datetime
        Snapshots held of it.
    opened, quotes_end : datetime.datetime
        Of the session, as the provider shows it: a delayed one is behind.
    now : datetime.datetime
        Instant of the question.

    Notes
    -----
    Late is older than the threshold and than `USUAL_GAPS` of the session's own gaps. The alert is
    dated by the newest snapshot, so that asking every minute raises it once. A session with fewer
    than `LEAST_SNAPSHOTS` says nothing: nobody may have meant to follow it, and whoever did is
    told of the runs that failed.
    """
    held = sorted(instants)
    if not held:
        return Found()
    newest = held[-1]
    endings = (rule.ending(underlying, "snapshots", newest),)
    if len(held) < LEAST_SNAPSHOTS:
        return Found((), endings)
    limit = timedelta(minutes=max(rule.threshold, _patience_minutes(held)))
    if not opened <= now <= quotes_end or now - newest <= limit:
        return Found((), endings)
    minutes = (now - newest) / timedelta(minutes=1)
    alert = rule.alert(
        underlying,
        day,
        event_at=newest,
        known_at=newest,
        dedupe_key="snapshots",
        title=f"no new snapshot for {minutes:.0f} minutes",
        body=(
            f"Options quote, and the newest snapshot is of {newest:%H:%M:%S} UTC; late is more "
            f"than {limit / timedelta(minutes=1):.0f} minutes. Look at the schedules and the "
            "provider: `dealer doctor`."
        ),
        facts={
            "newest_at": newest.isoformat(),
            "limit_minutes": limit / timedelta(minutes=1),
            "snapshots": len(held),
        },
        last_seen_at=now,
    )
    return Found((alert,), endings)


def _patience_minutes(held: Sequence[datetime]) -> float:
    gaps = [(b - a) / timedelta(minutes=1) for a, b in pairwise(held[-GAPS_LOOKED_AT - 1 :])]
    return USUAL_GAPS * median(gaps)


def failed_run(
    rule: Rule,
    *,
    job: str,
    partition: str | None,
    run_id: str,
    message: str,
    steps: Sequence[str],
    at: datetime,
) -> Found:
    """Return the alert of one failed run.

    Parameters
    ----------
    rule : Rule
        From the table of rules.
    job, partition, run_id : str
        Which run.
    message : str
        What it said, without secrets.
    steps : sequence of str
        Steps that failed.
    at : datetime.datetime
        When it had failed.
    """
    of = f" of {partition}" if partition else ""
    alert = rule.alert(
        PLATFORM,
        at.date(),
        event_at=at,
        known_at=at,
        dedupe_key=run_key(job, partition),
        title=f"run of {job}{of} failed",
        body=f"{message}\nSteps: {', '.join(steps) or 'none'}. Run {run_id}.",
        facts={"job": job, "partition": partition, "run_id": run_id},
        last_seen_at=at,
    )
    return Found((alert,))


def run_succeeded(rule: Rule, *, job: str, partition: str | None, at: datetime) -> Found:
    """Return the end of what `failed_run` told of a job and partition."""
    return Found((), (rule.ending(PLATFORM, run_key(job, partition), at),))


def run_key(job: str, partition: str | None) -> str:
    """Return what the cool-down of failed runs is kept for."""
    return f"{job} {partition}" if partition else job

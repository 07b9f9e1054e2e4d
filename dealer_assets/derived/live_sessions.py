"""What the streaming process left in the lake: is it fresh and whole, and was it right.

Belongs here: reading live parts for verdicts and reports, and for the morning's reconciliation.
Does not belong here: verdicts and comparisons themselves (`domain/flow`), writing live tables
(the streaming process), when any of it happens (`defs/live.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.flow.reconcile import reconcile
from dealer_assets.domain.flow.watch import (
    judge_freshness,
    judge_gaps,
    judge_health,
    judge_numbers,
    judge_spot,
)
from dealer_assets.domain.invariants import Verdict
from dealer_assets.intake.records import held
from dealer_assets.lake.layout import SESSION_PART, first_sequence_of
from dealer_assets.lake.reader import list_parts, part_rows, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.underlyings import Underlying

FRESH, HEALTHY, GAPS, NUMBERS = "fresh", "healthy", "no_feed_gaps", "no_missing_rows"
"""Names of the checks of live tables."""


@dataclass(frozen=True)
class Judged:
    """One check of one live table.

    Parameters
    ----------
    table, check : str
        What was judged.
    verdict : Verdict
        What was found.
    is_grave : bool
        Whether somebody has to act now; otherwise it is a warning.
    """

    table: str
    check: str
    verdict: Verdict
    is_grave: bool


@dataclass(frozen=True)
class Grown:
    """What a live table of a session holds.

    Parameters
    ----------
    parts, rows : int
        Parts that can be read, and their rows.
    newest : str
        Name of the newest part.
    last_known_at : datetime.datetime
        `known_at` of the newest row.
    """

    parts: int
    rows: int
    newest: str
    last_known_at: datetime


def grown(
    lake: Lake, table: tables.Table, symbol: str, day: date, *, newer_than: str = ""
) -> Grown | None:
    """Return what a live table of a session holds; None when its newest part is known already.

    One listing, and one part to read where there is news.
    """
    parts = list_parts(lake, table, symbol, day)
    if not parts or parts[-1].name == newer_than:
        return None
    last = parts[-1]
    known = read_part(lake, table, last, columns=["known_at"])["known_at"]
    rows = first_sequence_of(last.name) + len(known)
    return Grown(len(parts), rows, last.name, pc.max(known).as_py())


def judge_running(
    lake: Lake, asset: Underlying, day: date, *, now: datetime, seconds_per_part: float
) -> list[Judged]:
    """Judge a session's freshness, health and gaps; reads the newest parts only.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    now : datetime.datetime
        Instant of the judgement.
    seconds_per_part : float
        How long rows may wait in an open part before they can be read.

    Returns
    -------
    list of Judged
        While options quote a stream that ran and fell silent is grave, and one whose spot stands
        still; afterwards it is a warning.
    """
    gamma, beats = tables.LIVE_GAMMA, tables.STREAM_HEARTBEATS
    heartbeat = _newest(lake, beats, asset.symbol, day)
    total = _newest(lake, gamma, asset.symbol, day)
    has_run = heartbeat is not None or total is not None
    ended = sessions.quotes_end(asset.calendar, day)
    clock: dict[str, Any] = {
        "has_run": has_run,
        "now": now,
        "opened": sessions.session_open(asset.calendar, day),
        "ended": ended,
        "seconds_per_part": seconds_per_part,
    }
    gaps = read_partition(lake, tables.FEED_GAPS, asset.symbol, day)
    is_running = now <= ended
    verdicts = (
        (gamma, FRESH, _judge_totals(asset, day, total, clock)),
        (beats, FRESH, judge_freshness(_known(heartbeat), what="heartbeat", **clock)),
        (beats, HEALTHY, judge_health(heartbeat)),
        (tables.FEED_GAPS, GAPS, judge_gaps(gaps, has_run=has_run)),
    )
    return [
        Judged(table.name, check, verdict, is_grave=is_running and check == FRESH)
        for table, check, verdict in verdicts
    ]


def _judge_totals(
    asset: Underlying, day: date, total: dict[str, Any] | None, clock: dict[str, Any]
) -> Verdict:
    """Judge that totals come, and that they are not of a spot which stands still."""
    fresh = judge_freshness(_known(total), what="total of live gamma", **clock)
    if total is None or not fresh.holds:
        return fresh
    spot = judge_spot(
        total,
        now=clock["now"],
        opened=clock["opened"],
        closed=sessions.session_close(asset.calendar, day),
        seconds_per_part=clock["seconds_per_part"],
    )
    text = f"{fresh.text}, {spot.text}" if spot.holds else spot.text
    return Verdict(spot.holds, text, fresh.numbers | spot.numbers)


def judge_rows(lake: Lake, asset: Underlying, day: date) -> list[Judged]:
    """Judge whether every row of every live table is there once; looks at all footers."""
    judged = []
    for table in tables.LIVE_TABLES:
        parts = list_parts(lake, table, asset.symbol, day)
        numbers = [(first_sequence_of(part.name), part_rows(lake, part)) for part in parts]
        judged.append(Judged(table.name, NUMBERS, judge_numbers(numbers), is_grave=True))
    return judged


def _newest(lake: Lake, table: tables.Table, symbol: str, day: date) -> dict[str, Any] | None:
    parts = list_parts(lake, table, symbol, day)
    if not parts:
        return None
    rows = read_part(lake, table, parts[-1])
    row: dict[str, Any] = rows.slice(rows.num_rows - 1).to_pylist()[0]
    return row


def _known(row: dict[str, Any] | None) -> datetime | None:
    return row["known_at"] if row else None


@dataclass(frozen=True)
class Reconciled:
    """What became of a session's reconciliation.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.LIVE_RECONCILIATION`; none where the stream never ran.
    status : str
        ``stored``, ``current``, or ``not_running``.
    tape, open_interest : str
        What the live trades were held against, in words.
    """

    rows: pa.Table
    status: str
    tape: str
    open_interest: str


def reconcile_session(lake: Lake, asset: Underlying, day: date) -> Reconciled:
    """Hold a session's live trades against what the lake holds of it by now, and store the rows.

    Nothing is fetched: without a published tape, or without open interest of both mornings, the
    rows and the words say so. Asked again when more is held, the rows are replaced.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    """
    table = tables.LIVE_RECONCILIATION
    live = read_partition(lake, tables.LIVE_TRADES, asset.symbol, day)
    if not live.num_rows:
        return Reconciled(table.schema.empty_table(), "not_running", "no live trade", "")
    published = held(lake, tables.OPTION_TRADES, asset.symbol, day)
    tape = f"{published.num_rows:,} published prints" if published.num_rows else _NO_TAPE
    before, after, counted = _open_interest(lake, asset, day)
    rows = reconcile(
        live,
        published if published.num_rows else None,
        before=before,
        after=after,
        closed_at=sessions.session_close(asset.calendar, day),
    )
    written = write_part(
        lake, table, rows, underlying=asset.symbol, session_date=day, name=SESSION_PART
    )
    return Reconciled(rows, "stored" if written.changed else "current", tape, counted)


_NO_TAPE = "no published tape is held: fetch it (job tape, `dealer history`) and run this again"


def _open_interest(
    lake: Lake, asset: Underlying, day: date
) -> tuple[pa.Table | None, pa.Table | None, str]:
    """Settled counts of both mornings from one provider, or why there are none."""
    if asset.calendar == "24/7":
        return None, None, "not compared: the venue counts at any instant, not at a session's end"
    following = sessions.next_session(asset.calendar, day)
    counts = [held(lake, tables.OPEN_INTEREST, asset.symbol, d) for d in (day, following)]
    absent = [d for d, rows in zip((day, following), counts, strict=True) if not rows.num_rows]
    if absent:
        return None, None, f"not compared: none is held of {' and '.join(map(str, absent))}"
    providers = [set(rows["provider"].to_pylist()) for rows in counts]
    shared = providers[0] & providers[1]
    if not shared:
        return None, None, f"not compared: {providers[0]} and {providers[1]} counted"
    name = max(sorted(shared), key=lambda p: sum(_of(rows, p).num_rows for rows in counts))
    before, after = (_of(rows, name) for rows in counts)
    return before, after, f"{name}: sessions {day} and {following}"


def _of(rows: pa.Table, provider: str) -> pa.Table:
    return rows.filter(pc.equal(rows["provider"], provider))

"""Open interest that is missing, wiped, of another session or of another count.

Belongs here: verdicts on counts, in a chain and among a session's published ones. Does not belong
here: which count a chain's is (`domain/open_interest.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.data.scene import Found, Pair, Scene
from dealer_assets.domain.columns import Bools, floats, of_word
from dealer_assets.domain.open_interest import repeats_open_interest

WIPED_SHARE = 0.9
WIPED_LEAST_ROWS = 50
"""As at import (`providers/doubts.py`): sound recorded chains have at most 71 % of rows without."""

JUMP = 1.5
"""Of the same contracts from one session to the next, as `providers/occ_history.py` has it for
totals: recorded sessions stay within 12 %."""

JUMP_LEAST = 1_000.0
JUMP_LEAST_CONTRACTS = 100
"""Fewer contracts may grow by half in a day, in a new expiry say."""


def holdings_found(scene: Scene) -> Iterator[Found]:
    """Yield what is wrong with a snapshot's open interest."""
    counts = floats(scene.now, "open_interest_contracts")
    unknown = np.isnan(counts)
    if unknown.any():
        yield _missing(scene, unknown)
    if unknown.all():
        return
    if _is_wiped(scene.now):
        yield Found(
            "wiped_open_interest",
            f"{_none_share(scene.now):.0%} of {scene.contracts:,} contracts have none",
            f"under {WIPED_SHARE:.0%}",
            scene.contracts,
        )
        return
    yield from _left_of_expired(scene)
    comparable = scene.closing.num_rows > 0 and not _is_wiped(scene.closing)
    if comparable and not scene.is_continuous:
        yield from _of_the_day_before(scene)


def _missing(scene: Scene, unknown: Bools) -> Found:
    chosen = None if unknown.all() else scene.now["symbol"].filter(pa.array(unknown)).to_pylist()
    return Found(
        "open_interest_missing",
        f"{int(unknown.sum()):,} of {scene.contracts:,} contracts come without a count",
        "a count, 0 where nobody holds any",
        int(unknown.sum()),
        None if chosen is None else tuple(sorted(chosen)),
    )


def _none_share(rows: pa.Table) -> float:
    return float(np.mean(~(floats(rows, "open_interest_contracts") > 0.0)))


def _is_wiped(rows: pa.Table) -> bool:
    volume = float(np.nansum(floats(rows, "volume_contracts")))
    enough = volume > 0.0 or rows.num_rows > WIPED_LEAST_ROWS
    return enough and _none_share(rows) >= WIPED_SHARE


def _left_of_expired(scene: Scene) -> Iterator[Found]:
    """Series over before the session began: those of today rightly stand until the morning."""
    over = pc.less(scene.now["expiry_date"], scene.now["session_date"][0])
    held = pc.greater(scene.now["open_interest_contracts"], 0.0)
    rows = scene.now.filter(pc.fill_null(pc.and_(over, held), False))
    if rows.num_rows:
        yield Found(
            "open_interest_left_of_expired",
            f"{rows.num_rows:,} series that expired before the session have open interest",
            "none: they are over",
            rows.num_rows,
            tuple(sorted(rows["symbol"].to_pylist())),
        )


def _of_the_day_before(scene: Scene) -> Iterator[Found]:
    if repeats_open_interest(scene.closing, scene.now):
        yield Found(
            "shifted_open_interest",
            "no contract that traded in the session before has another count than it had then",
            "counts that took in the session before",
            scene.contracts,
        )
        return
    jump = _jump(scene.with_closing)
    if jump is not None:
        yield Found("open_interest_unit_jump", jump, _NO_JUMP, scene.contracts)


_NO_JUMP = f"a change by less than a factor of {JUMP:g} in a session"


def _jump(pair: Pair) -> str | None:
    then, now = pair.both("open_interest_contracts")
    known = np.isfinite(then) & np.isfinite(now) & ((then > 0.0) | (now > 0.0))
    before, after = float(then[known].sum()), float(now[known].sum())
    if known.sum() < JUMP_LEAST_CONTRACTS or min(before, after) < JUMP_LEAST:
        return None
    if max(before / after, after / before) <= JUMP:
        return None
    return (
        f"the same {int(known.sum()):,} contracts go from {before:,.0f} to {after:,.0f} in a "
        "session"
    )


@dataclass(frozen=True)
class Counts:
    """A session's published open interest, and what its import told of it.

    Parameters
    ----------
    session_date : datetime.date
        The session that opens with it.
    rows, before : pyarrow.Table
        `tables.OPEN_INTEREST` of the session and of the one before.
    rejected : pyarrow.Table
        `tables.REJECTED_ROWS` of the session.
    coverage : pyarrow.Table
        `tables.FEED_COVERAGE` of the session.
    """

    session_date: date
    rows: pa.Table
    before: pa.Table
    rejected: pa.Table
    coverage: pa.Table


def counts_found(counts: Counts) -> Iterator[Found]:
    """Yield what is wrong with a session's published open interest."""
    told = of_word(counts.coverage, "dataset", "open_interest")
    jumps = [*_told_jumps(told, counts.session_date), *_seen_jumps(counts)]
    if jumps:
        source = "import" if told.num_rows and _told_jumps(told, counts.session_date) else "rows"
        yield Found(
            "open_interest_unit_jump", jumps[0], _NO_JUMP, counts.rows.num_rows, source=source
        )
    expired = of_word(counts.rejected, "reason", "expired_series")
    if expired.num_rows:
        yield Found(
            "open_interest_left_of_expired",
            f"{expired.num_rows:,} lines of {_names(expired)} are of series that expired before "
            "the session: quarantined",
            "none: they are over",
            expired.num_rows,
            source="import",
            is_mended=True,
        )
    yield from _incomplete(told, counts)


def _names(rows: pa.Table) -> str:
    return ", ".join(sorted(set(rows["source_name"].to_pylist())))


def _told_jumps(told: pa.Table, day: date) -> list[str]:
    """Texts of the finding ``open_interest_jump`` that name the session."""
    texts = [text for many in told["findings_text"].to_pylist() for text in many.split("; ")]
    return [text for text in texts if text.startswith(_JUMP_TEXT) and f"session {day}:" in text]


_JUMP_TEXT = "open interest of all series goes from"


def _seen_jumps(counts: Counts) -> list[str]:
    """Jumps of the same contracts as one provider counts them."""
    found = []
    for provider in sorted(set(counts.rows["provider"].to_pylist())):
        then, now = (of_word(rows, "provider", provider) for rows in (counts.before, counts.rows))
        jump = _jump(Pair.of(then, now)) if then.num_rows else None
        found += [] if jump is None else [f"{provider}: {jump}"]
    return found


def _incomplete(told: pa.Table, counts: Counts) -> Iterator[Found]:
    partial = told.filter(pc.invert(told["is_complete"]))
    if partial.num_rows:
        codes = sorted({code for many in partial["findings"].to_pylist() for code in many})
        yield Found(
            "open_interest_missing",
            f"{_names(partial)} is not complete ({', '.join(codes)})",
            "every series' count",
            counts.rows.num_rows,
            source="import",
            is_mended=True,
        )

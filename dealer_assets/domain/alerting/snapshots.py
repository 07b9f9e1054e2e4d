"""Rules that compare snapshots with those before: spot and flip, walls, regimes.

Belongs here: walking through rows in time order. Does not belong here: reading them, scores
(`scored`), data and feeds (`quality`).

Each rule takes the rows of one position model, of the last snapshots of the session before (they
say where things stood, and raise nothing) and of the session. Rows that do not determine what a
rule asks for are passed over: they neither raise nor end anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from dealer_assets.domain.alerting.alert import Found
from dealer_assets.domain.alerting.table import Rule

Row = Mapping[str, Any]

LEVEL_COLUMNS = (
    "session_date",
    "event_at",
    "known_at",
    "model",
    "spot",
    "flip_price",
    "flip_status",
    "flip_lo",
    "flip_hi",
    "call_wall",
    "put_wall",
    "call_wall_stability",
    "put_wall_stability",
    "is_publishable",
)
"""Columns of `exposure_levels` that these rules read."""

REGIME_COLUMNS = (
    "session_date",
    "event_at",
    "known_at",
    "model",
    "spot",
    "regime",
    "rule",
    "margin",
    "nearest_regime",
)
"""Columns of `dealer_regimes` that these rules read."""

WALL_STABILITY = 0.8
"""Share of a band's draws in which a wall has to stay, to be held against another one."""

NEUTRAL = "neutral"


@dataclass(frozen=True)
class _Change:
    """A state that became another one, and the rows at which it was so."""

    was: str
    known_at: datetime
    rows: tuple[Row, ...]

    @property
    def row(self) -> Row:
        return self.rows[0]

    @property
    def last(self) -> Row:
        return self.rows[-1]


def flip_crossed(rule: Rule, underlying: str, day: date, levels: pa.Table) -> Found:
    """Return crossings of spot through the flip, and those that were undone.

    Parameters
    ----------
    rule : Rule
        From the table of rules.
    underlying : str
        Registry symbol.
    day : datetime.date
        Session.
    levels : pyarrow.Table
        `LEVEL_COLUMNS` of `exposure_levels`, one model; rows of earlier sessions may come first.

    Notes
    -----
    The flip's own inferred band is the hysteresis, and no less than the threshold: within it spot
    is on neither side. A flip that is not `ok`, has no band or comes of a snapshot that cannot be
    published says nothing.
    """
    found = Found()

    def side_of(row: Row) -> str | None:
        return _side(row, rule.threshold)

    for change in _changes(levels, side_of, day):
        row, side = change.row, side_of(change.row)
        assert side is not None
        title = f"spot {row['spot']:,.2f} went {side} the flip {row['flip_price']:,.2f}"
        what = "long" if side == "above" else "short"
        alert = rule.alert(
            underlying,
            day,
            event_at=row["event_at"],
            known_at=change.known_at,
            dedupe_key=side,
            title=title,
            body=(
                f"Spot {row['spot']:,.2f}, flip {row['flip_price']:,.2f} with band "
                f"{row['flip_lo']:,.2f} to {row['flip_hi']:,.2f}; spot was {change.was} it. "
                f"{side.capitalize()} the flip dealers are {what} gamma, by position model "
                f"{row['model']}."
            ),
            facts={
                name: row[name] for name in ("spot", "flip_price", "flip_lo", "flip_hi", "model")
            },
            last_seen_at=change.last["event_at"],
        )
        found += Found((alert,), (rule.ending(underlying, change.was, row["event_at"]),))
    return found


def _side(row: Row, least_pct: float) -> str | None:
    told = row["is_publishable"] and row["flip_status"] == "ok"
    if not told or row["flip_lo"] is None or row["flip_hi"] is None:
        return None
    least = row["spot"] * least_pct / 100.0
    if row["spot"] > max(row["flip_hi"], row["flip_price"] + least):
        return "above"
    return "below" if row["spot"] < min(row["flip_lo"], row["flip_price"] - least) else None


def regime_changed(rule: Rule, underlying: str, day: date, regimes: pa.Table) -> Found:
    """Return changes of the regime's label; parameters as `flip_crossed`, of `REGIME_COLUMNS`.

    Notes
    -----
    A label speaks once it has held as long as the threshold says, dated by when it began: labels
    that come and go within minutes do not speak.
    """
    found = Found()
    least = timedelta(minutes=rule.threshold)
    for change in _changes(regimes, lambda row: row["regime"], day):
        row = change.row
        label = row["regime"]
        ending = rule.ending(underlying, change.was, row["event_at"])
        held = [r for r in change.rows if r["event_at"] - row["event_at"] >= least]
        if label == NEUTRAL or not held:
            found += Found((), (ending,))
            continue
        alert = rule.alert(
            underlying,
            day,
            event_at=row["event_at"],
            known_at=max(change.known_at, held[0]["known_at"]),
            dedupe_key=label,
            title=f"regime is {label.replace('_', ' ')}, was {change.was.replace('_', ' ')}",
            body=(
                f"Decided by {row['rule']}. Next came "
                f"{(row['nearest_regime'] or 'none').replace('_', ' ')}. Spot {row['spot']:,.2f}, "
                f"position model {row['model']}."
            ),
            facts={
                "regime": label,
                "was": change.was,
                "margin": row["margin"],
                "spot": row["spot"],
                "model": row["model"],
            },
            last_seen_at=change.last["event_at"],
        )
        found += Found((alert,), (ending,))
    return found


def wall_shifted(rule: Rule, underlying: str, day: date, levels: pa.Table) -> Found:
    """Return shifts of the call and put wall; parameters as `flip_crossed`.

    Notes
    -----
    Only walls that stay in `WALL_STABILITY` of the band's draws are compared: two strikes that take
    turns are no shift. The step is measured against spot, from the last wall that was told.
    """
    return _wall(rule, underlying, day, levels, "call") + _wall(
        rule, underlying, day, levels, "put"
    )


def _wall(rule: Rule, underlying: str, day: date, levels: pa.Table, side: str) -> Found:
    alerts = []
    last: Row | None = None
    for row in _in_order(levels):
        stability = row[f"{side}_wall_stability"]
        wall = row[f"{side}_wall"]
        if not row["is_publishable"] or wall is None or (stability or 0.0) < WALL_STABILITY:
            continue
        if last is None:
            last = row
            continue
        was = last[f"{side}_wall"]
        step = 100.0 * (wall - was) / row["spot"]
        if abs(step) < rule.threshold or step == 0.0:
            continue
        if row["session_date"] == day:
            alerts.append(
                rule.alert(
                    underlying,
                    day,
                    event_at=row["event_at"],
                    known_at=max(last["known_at"], row["known_at"]),
                    dedupe_key=side,
                    title=f"{side} wall at {wall:,.6g}, was {was:,.6g}",
                    body=(
                        f"It shifted by {step:+.2f} % of spot {row['spot']:,.2f} since "
                        f"{last['event_at']:%Y-%m-%d %H:%M} UTC, and stays in "
                        f"{100 * stability:.0f} % of the draws; position model {row['model']}."
                    ),
                    facts={
                        "side": side,
                        "wall": wall,
                        "was": was,
                        "step_pct": step,
                        "spot": row["spot"],
                        "model": row["model"],
                    },
                )
            )
        last = row
    return Found(tuple(alerts))


def _changes(rows: pa.Table, state_of: Callable[[Row], str | None], day: date) -> Iterator[_Change]:
    """Yield the changes of a state within a session; rows without a state are passed over."""
    under_way: _Change | None = None
    held: list[Row] = []
    last: Row | None = None
    for row in _in_order(rows):
        state = state_of(row)
        if state is None:
            continue
        was = None if last is None else state_of(last)
        if was is not None and state != was and last is not None:
            if under_way is not None:
                yield replace(under_way, rows=tuple(held))
            known_at = max(last["known_at"], row["known_at"])
            is_of_day = row["session_date"] == day
            under_way = _Change(was, known_at, ()) if is_of_day else None
            held = []
        held.append(row)
        last = row
    if under_way is not None:
        yield replace(under_way, rows=tuple(held))


def _in_order(rows: pa.Table) -> list[Row]:
    told: list[Row] = rows.sort_by("event_at").to_pylist()
    return told

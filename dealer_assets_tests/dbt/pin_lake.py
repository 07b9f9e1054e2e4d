"""Pins, changes and scores of the hand-made lake, and their seeded violations.

Belongs here: SPX only: at 5000 a pin whose position changes by the late snapshot, at 5100 a strike
that repels and does not change; from the second session on a wall that held and a flip that is
none. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from itertools import pairwise
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def pin_rows(days: tuple[date, ...], clocks: tuple[time, time], zone: Any) -> Rows:
    """Return the rows of `pin_levels`, `strike_changes` and `level_scores`."""
    rows: Rows = {"pin_levels": [], "strike_changes": [], "level_scores": []}
    for day in days:
        early, late = (datetime.combine(day, clock, tzinfo=zone) for clock in clocks)
        for at in (early, late):
            rows["pin_levels"] += [_pin(at), _pin(at, strike=5100.0, force=-25.0)]
        rows["strike_changes"] += [_change(late, early, 5000.0), _change(late, early, 5100.0)]
    for before, day in pairwise(days):
        rows["level_scores"] += _scores(
            datetime.combine(before, clocks[1], tzinfo=zone),
            datetime.combine(day, clocks[1], tzinfo=zone),
        )
    return rows


def _shared(at: datetime) -> Row:
    return {"at": at, "session_date": at.date(), "model": "naive"}


def _pin(at: datetime, *, strike: float = 5000.0, force: float = 75.0) -> Row:
    return row(
        tables.PIN_LEVELS,
        **_shared(at),
        strike=strike,
        spot=5000.0,
        pin_force_usd_per_pct=force,
        pin_direction="holds" if force > 0 else "repels",
        pin_strength=abs(force) / 100.0,
        strength_rank=1 if force > 0 else 2,
        is_pin=force > 0,
        pin_rank=1 if force > 0 else None,
    )


def _change(at: datetime, before: datetime, strike: float) -> Row:
    moved = 30.0 if strike == 5000.0 else 0.0
    return row(
        tables.STRIKE_CHANGES,
        **_shared(at),
        strike=strike,
        previous_at=before,
        first_at=before,
        position_change_contracts=moved,
        book_change_contracts=0.0,
        force_change_usd_per_pct=moved - 4.0,
        force_by_position_usd_per_pct=moved,
        force_by_book_usd_per_pct=0.0,
        force_by_price_usd_per_pct=-4.0,
        gamma_by_position_usd_per_pct=moved,
        position_z=moved,
        force_z=0.0,
        threshold_z=5.0,
        change_kind="position" if moved else "none",
        is_changed=bool(moved),
        is_alert_candidate=bool(moved),
        alert_text="5,000: +30 contracts" if moved else None,
    )


def _scores(set_at: datetime, at: datetime) -> list[Row]:
    prices = {
        "open_price": 5000.0,
        "high_price": 5101.0,
        "low_price": 4990.0,
        "close_price": 5050.0,
    }
    shared = _shared(at) | prices | {"set_at": set_at, "reference_price": 5000.0}
    wall = {
        "level_price": 5100.0,
        "distance_moves": 1.0,
        "is_scored": True,
        "is_touched": True,
        "is_held": True,
        "is_closed_beyond": False,
        "close_distance_moves": 0.5,
        "trailing_sessions": 1,
        "trailing_touched": 1,
        "touched_share": 1.0,
        "held_share": 1.0,
    }
    return [
        row(tables.LEVEL_SCORES, **shared, level_kind="call_wall", **wall),
        row(tables.LEVEL_SCORES, **shared, level_kind="flip", level_state="none"),
    ]


def violate_pins(rows: Rows) -> None:
    """Seed one violation per rule of these marts."""
    pins, changes, scores = (rows[n] for n in ("pin_levels", "strike_changes", "level_scores"))
    pins[0]["pin_rank"] = None
    pins[3]["pin_direction"] = "holds"
    pins[4]["pin_strength"] = 1.5
    changes[0]["force_by_book_usd_per_pct"] = 9.0
    changes[2]["alert_text"] = None
    changes[4]["first_at"] = changes[4]["event_at"]
    scores[0]["is_touched"] = False
    scores[0] |= {"is_held": None, "is_closed_beyond": None}
    scores[2]["is_closed_beyond"] = None
    scores[1]["set_at"] = scores[1]["event_at"]
    scores[3]["trailing_touched"] = 7


PIN_RULES = {
    "pins_pull_and_have_a_rank",
    "pins_direction_fits_the_force",
    "pins_strength_is_a_share",
    "changes_are_the_sum_of_their_causes",
    "changes_alerts_are_of_positions",
    "changes_look_back",
    "scores_touched_is_what_prices_span",
    "scores_only_touched_levels_hold_or_break",
    "scores_levels_are_settled_before",
    "scores_trailing_touched_are_of_the_sessions",
}

"""Settled positions and their scores of the hand-made lake, and their seeded violations.

Belongs here: SPX only, one call at every session: dealers are long a part of it, and the score is
half as wrong as the constant fraction. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

OPENED = time(14, 30)


def position_rows(days: tuple[date, ...], closed: time, zone: Any) -> Rows:
    """Return the rows of `dealer_positions` and `position_scores`."""
    rows: Rows = {"dealer_positions": [], "position_scores": []}
    for day in days:
        opened = datetime.combine(day, OPENED, tzinfo=zone)
        rows["dealer_positions"] += [_settled(opened, "reconciled"), _settled(opened, "taker_flow")]
        ended = datetime.combine(day, closed, tzinfo=zone)
        rows["position_scores"] += [_scored(ended, "naive"), _scored(ended, "reconciled")]
    return rows


def _settled(at: datetime, model: str) -> Row:
    is_ours = model == "reconciled"
    return row(
        tables.DEALER_POSITIONS,
        at=at,
        session_date=at.date(),
        model=model,
        symbol="SPXW261218C05000000",
        open_interest_contracts=100.0,
        open_interest_state="ok",
        position_contracts=40.0 if is_ours else 130.0,
        position_sd_contracts=10.0 if is_ours else 0.0,
        position_lo_contracts=24.0 if is_ours else None,
        position_hi_contracts=56.0 if is_ours else None,
        evidence_share=0.5 if is_ours else None,
    )


def _scored(at: datetime, model: str) -> Row:
    return row(
        tables.POSITION_SCORES,
        at=at,
        session_date=at.date(),
        model=model,
        change_error_contracts=5.0,
        baseline_error_contracts=10.0,
        change_skill=0.5,
        change_coverage=0.9,
        truth_coverage=None,
        net_coverage=None,
    )


def violate_positions(rows: Rows) -> None:
    """Seed one violation of each rule, each in a row of its own."""
    ours = [r for r in rows["dealer_positions"] if r["model"] == "reconciled"]
    ours[0]["position_contracts"] = 101.0
    ours[1]["position_lo_contracts"] = 60.0
    ours[2]["evidence_share"] = 1.5
    rows["position_scores"][0]["change_skill"] = 0.6
    rows["position_scores"][1]["truth_coverage"] = 1.5


POSITION_RULES = {
    "positions_are_within_sound_open_interest",
    "positions_quantiles_are_in_order",
    "positions_evidence_is_a_share",
    "scores_skill_is_of_their_errors",
    "scores_coverages_are_shares",
}

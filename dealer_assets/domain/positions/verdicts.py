"""What must hold of settled positions, and whether a session's score is what is usual.

Belongs here: judging rows of `tables.DEALER_POSITIONS` and `tables.POSITION_SCORES`. Does not
belong here: the measures (`score`), which checks there are (`dealer_assets.domain.invariants`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.positions.score import LEADING, LEAST_HISTORY, NAIVE

SKILL_FALL = 0.15
"""By how much the skill may be below its own median before it counts as drift, if its lead over the
naive rule's skill of the same session has fallen by as much: what the constant fraction happens to
be worth changes from session to session, and is in both."""

COVERAGE_RANGE = (0.75, 0.99)
COVERAGE_SHIFT = 0.08
"""A 90 % interval that covers less or more than this, or that much else than usual, is no such. On
simulated sessions the shift is up to 0.079; with sides turned about 0.08 to 0.14."""

ECE_MOST = 0.05
ECE_RISE = 0.03


LEAST_OK = 0.5
"""Share of contracts whose counts are worth comparing, below which a morning tells little."""

_SLACK = 1e-6

Told = tuple[bool, str, dict[str, float]]
"""Fields of `invariants.Verdict`: whether it holds, in words, figures."""


def within_open_interest(rows: pa.Table) -> Told:
    """Tell whether no estimated position is greater than a sound count of open interest."""
    own = rows.filter(pc.equal(rows["model"], LEADING))
    is_ok = equals(own, "open_interest_state", "ok")
    position, count = (
        floats(own, f"{name}_contracts")[is_ok] for name in ("position", "open_interest")
    )
    beyond = int(np.sum(np.abs(position) > count + _SLACK))
    return (
        beyond == 0,
        f"expected no estimated position above its open interest, found {beyond}",
        {"beyond": beyond},
    )


def quantiles_in_order(rows: pa.Table) -> Told:
    """Tell whether no interval is reversed."""
    lo, hi = floats(rows, "position_lo_contracts"), floats(rows, "position_hi_contracts")
    wrong = int(np.sum(lo > hi + _SLACK))
    return wrong == 0, f"expected 5 % <= 95 % quantiles, found {wrong} reversed", {"n": wrong}


def counts_compared(rows: pa.Table) -> Told:
    """Tell whether the morning's open interest was worth comparing with the one before."""
    own = rows.filter(pc.equal(rows["model"], LEADING))
    states = {
        s["values"]: s["counts"] for s in own["open_interest_state"].value_counts().to_pylist()
    }
    share = states.get("ok", 0) / own.num_rows if own.num_rows else 1.0
    found = ", ".join(f"{name} {n:,}" for name, n in sorted(states.items())) or "no row"
    return (
        share >= LEAST_OK and not states.get("wiped"),
        f"expected open interest worth comparing with the morning before, found: {found}",
        {"ok_share": share},
    )


def score_is_usual(rows: pa.Table) -> Told:
    """Tell whether a session's skill, coverage and odds of sides are those of sessions before."""
    reasons, figures = drifts(rows)
    text = "; ".join(reasons) or "skill, coverage and odds of sides are what is usual"
    return not reasons, text, figures


def drifts(rows: pa.Table) -> tuple[list[str], dict[str, float]]:
    """Return what is out of the usual in a session's scores, and the figures.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.POSITION_SCORES` of one session.

    Returns
    -------
    (list of str, dict of str to float)
        Reasons in words, none where nothing drifts; figures of the leading model.
    """
    own = [row for row in rows.to_pylist() if row["model"] == LEADING]
    if not own:
        return [], {}
    row = own[0]
    names = ("change_skill", "change_coverage", "net_coverage", "sign_ece", "truth_coverage")
    figures = {name: row[name] for name in names if row[name] is not None}
    beside = next((other for other in rows.to_pylist() if other["model"] == NAIVE), None)
    return [*_skill(row, beside), *_coverage(row), *_signs(row)], figures


def _has_history(row: dict[str, Any]) -> bool:
    return bool(row["sessions_before"] >= LEAST_HISTORY)


def _skill(row: dict[str, Any], beside: dict[str, Any] | None) -> list[str]:
    skill, usual = row["change_skill"], row["usual_skill"]
    ruled, often = (beside[f"{which}_skill"] if beside else None for which in ("change", "usual"))
    is_paired = ruled is not None and often is not None
    if not _has_history(row) or not _fell(skill, usual):
        return []
    if is_paired and not _fell(skill - ruled, usual - often):
        return []
    return [f"skill at changes of open interest fell to {skill:.2f}, usual is {usual:.2f}"]


def _fell(found: float | None, usual: float | None) -> bool:
    return found is not None and usual is not None and found < usual - SKILL_FALL


def _coverage(row: dict[str, Any]) -> list[str]:
    low, high = COVERAGE_RANGE
    reasons = [
        f"{name.replace('_', ' ')} is {row[name]:.0%}, expected {low:.0%} to {high:.0%}"
        for name in ("net_coverage", "truth_coverage")
        if row[name] is not None and not low <= row[name] <= high
    ]
    found, usual = row["change_coverage"], row["usual_change_coverage"]
    if found is None or usual is None or not _has_history(row):
        return reasons
    if abs(found - usual) > COVERAGE_SHIFT:
        reasons.append(f"change coverage is {found:.0%}, usual is {usual:.0%}")
    return reasons


def _signs(row: dict[str, Any]) -> list[str]:
    found, usual = row["sign_ece"], row["usual_ece"]
    if found is None:
        return []
    least = ECE_MOST if usual is None or not _has_history(row) else usual + ECE_RISE
    return [f"odds of sides are off by {found:.3f} on average"] if found > least else []

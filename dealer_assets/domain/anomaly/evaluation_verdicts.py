"""What must hold of an evaluation: pure checks of rows.

Belongs here: each check as ``(holds, text, numbers)``. Does not belong here: their names and
whether they block (`domain/invariants`).
"""

from __future__ import annotations

from math import comb

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import floats

Found = tuple[bool, str, dict[str, float]]

ALLOWED_FALSE_SHARE = 0.07
"""Share of snapshots with any false discovery that is still let pass, at a target of 5 %."""

_CHANCE = 0.05
"""One session is few snapshots: it warns when so many false ones are rarer than this at the
allowed share."""

_RELATIVE = 1e-9


def false_discovery_within_target(rows: pa.Table) -> Found:
    """Hold the snapshots with a false discovery against what the allowed share makes likely.

    Only where it is known that nothing is to be found, which is on simulated chains.
    """
    own = rows.filter(
        pc.and_(
            pc.and_(pc.equal(rows["method"], "own"), rows["is_null_known"]),
            pc.equal(rows["measure"], "any_false_discovery"),
        )
    )
    hits, trials = (int(floats(own, name).sum()) for name in ("hits", "trials"))
    if not trials:
        text = "not judged: of a real session nobody knows which discoveries are false"
        return True, text, {"snapshots": 0}
    chance = _at_least(hits, trials, ALLOWED_FALSE_SHARE)
    text = (
        f"expected a false discovery in at most {ALLOWED_FALSE_SHARE:.0%} of snapshots, found it "
        f"in {hits} of {trials}: so many happen in {chance:.1%} of such sessions"
    )
    return chance > _CHANCE, text, {"false": hits, "snapshots": trials, "chance": chance}


def _at_least(hits: int, trials: int, share: float) -> float:
    """Return the chance of so many hits or more."""
    less = sum(comb(trials, k) * share**k * (1.0 - share) ** (trials - k) for k in range(hits))
    return max(0.0, 1.0 - less)


def shares_add_up(rows: pa.Table) -> Found:
    """Hold every value against hits over trials; there are no more hits than trials."""
    hits, trials, value = (floats(rows, name) for name in ("hits", "trials", "value"))
    has_none = trials == 0.0
    gap = np.abs(value * trials - hits) / np.maximum(hits, 1.0)
    wrong = np.where(has_none, np.isfinite(value) | (hits > 0.0), ~(gap <= _RELATIVE))
    bad = int((wrong | (hits > trials * (1.0 + _RELATIVE))).sum())
    return bad == 0, f"expected value = hits / trials, found {bad} other rows", {"n": bad}

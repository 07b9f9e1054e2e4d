"""What must hold of the features of a poll: pure checks of rows.

Belongs here: each check as ``(holds, text, numbers)``. Does not belong here: their names and
whether they block (`domain/invariants`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats, floats, integers

Found = tuple[bool, str, dict[str, float]]

LEAST_SCORED_SHARE = 0.5
"""A poll of which less can be scored is worth a look: quotes or data are missing."""

_RELATIVE = 1e-9


def features_follow_volume(rows: pa.Table) -> Found:
    """Hold every feature made of volume against the row's own volume, mid, vega and multiplier."""
    volume, size = floats(rows, "volume_contracts_netted"), floats(rows, "multiplier")
    package = np.nan_to_num(floats(rows, "package_contracts"))
    netted = np.maximum(floats(rows, "volume_delta_contracts") - package, 0.0)
    wrong = {
        "volume": _differs(volume, netted),
        "premium": _differs(floats(rows, "premium_usd"), volume * floats(rows, "mid") * size),
        "vega": _differs(
            floats(rows, "vega_traded_usd_per_vol_point"),
            volume * floats(rows, "vega_usd_per_vol_point") * size,
        ),
    }
    found = ", ".join(f"{count} {name}" for name, count in wrong.items() if count)
    text = f"expected volume, premium and vega of each row to fit, found {found or 'none wrong'}"
    return not found, text, {name: float(count) for name, count in wrong.items()}


def _differs(stated: Floats, computed: Floats) -> int:
    """Count where both are known and differ."""
    with np.errstate(invalid="ignore"):
        return int(np.sum(np.abs(stated - computed) > _RELATIVE * np.abs(computed)))


def nothing_from_later(rows: pa.Table) -> Found:
    """Hold each row's poll against the one before it, and what it was read from against both."""
    event = integers(rows, "event_at")
    before = integers(rows.filter(pc.is_valid(rows["previous_at"])), "previous_at")
    mine = event[np.array(pc.is_valid(rows["previous_at"]).to_numpy())]
    late = int(np.sum(before >= mine))
    text = f"expected the poll before to lie before, found {late} rows where it does not"
    return not late, text, {"rows": float(late)}


def enough_is_scored(rows: pa.Table) -> Found:
    """Tell when of most contracts nothing can be scored."""
    share = 1.0 - rows["unscored_reason"].null_count / max(rows.num_rows, 1)
    reasons = pc.value_counts(rows["unscored_reason"].drop_null()).to_pylist()
    said = ", ".join(f"{r['counts']} {r['values']}" for r in reasons) or "none"
    text = (
        f"expected at least {LEAST_SCORED_SHARE:.0%} of contracts that can be scored, found "
        f"{1.0 - share:.0%}; not scored: {said}"
    )
    return 1.0 - share >= LEAST_SCORED_SHARE, text, {"scored_share": 1.0 - share}

"""What must hold of metrics, regimes, traded volume and combined exposure.

Belongs here: the comparisons, each a verdict in words with its numbers. Does not belong here: names
and severity of the checks (`invariants`), other tables' rules.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import floats
from dealer_assets.domain.exposure.metrics import ALL, METRICS

Found = tuple[bool, str, dict[str, float]]
"""Whether it holds, expected and found in words, the figures behind it."""

_RELATIVE = 1e-9
_TOTAL = "total"
_NET = "net_gamma_exposure_usd_per_pct"


def buckets_add_up(rows: pa.Table) -> Found:
    """Hold the sum over expiry buckets against the row of all of them."""
    is_all = np.array(pc.equal(rows["dte_bucket"], ALL).to_numpy())
    gross = floats(rows, "gross_gamma_exposure_usd_per_pct")
    scale = max(float(np.nansum(gross[is_all])), 1.0)
    worst = 0.0
    for column in METRICS.values():
        values = floats(rows, column)
        most = max(scale, float(np.nansum(np.abs(values))))
        away = abs(float(values[is_all].sum() - values[~is_all].sum()))
        worst = max(worst, away / most)
    text = f"expected buckets to sum to all of them, found a difference of {worst:.1e} of gross"
    return worst <= _RELATIVE, text, {"difference": worst}


def pressure_adds_up(rows: pa.Table) -> Found:
    """Hold the parts of hedge pressure against the whole."""
    whole = floats(rows, "hpp_usd")
    parts = [floats(rows, f"hpp_{name}_usd") for name in ("gamma", "vanna", "charm")]
    told = np.isfinite(whole)
    size = np.sum(np.abs(parts), axis=0)
    away = np.abs(whole - np.sum(parts, axis=0))[told] / np.maximum(size[told], 1.0)
    worst = float(away.max(initial=0.0))
    text = f"expected gamma, vanna and charm to sum to hpp_usd, found {worst:.1e} of their size off"
    return worst <= _RELATIVE, text, {"difference": worst}


def volume_measured(rows: pa.Table) -> Found:
    """Tell whether exposures are scaled by a measured volume that is no old one."""
    statuses = rows["adv_status"].unique().to_pylist()
    fine = {"ok", "short"} >= set(statuses)
    text = f"expected a traded volume of the last sessions, found adv_status {statuses or 'no row'}"
    return fine, text, {"rows": float(rows.num_rows)}


def label_follows_rule(rows: pa.Table) -> Found:
    """Hold labels against the margin of the rule that is said to have decided."""
    labels = np.array([label or "" for label in rows["regime"].to_pylist()], np.str_)
    decided = (labels != "neutral") & (labels != "")
    margin = floats(rows, "margin")
    nearest = floats(rows, "nearest_margin")
    bad = int(np.sum(decided & ~(margin >= 0.0)) + np.sum(~decided & (nearest >= 0.0)))
    text = f"expected a rule behind every label and none behind neutral, found {bad} rows otherwise"
    return bad == 0, text, {"rows": float(bad)}


def prices_in_order(rows: pa.Table) -> Found:
    """Hold low and high against open and close, and volume against notional."""
    low, high = floats(rows, "low"), floats(rows, "high")
    first, last = floats(rows, "open"), floats(rows, "close")
    inside = (low <= np.minimum(first, last)) & (np.maximum(first, last) <= high)
    price = floats(rows, "notional_usd") / np.maximum(floats(rows, "volume_units"), 1e-300)
    traded = floats(rows, "volume_units") > 0.0
    # an average price lies between low and high; a venue's own dollars may be rounded
    priced = ~traded | ((price >= 0.8 * low) & (price <= 1.25 * high))
    bad = int(np.sum(~inside | ~priced))
    text = f"expected prices within low and high, and dollars to match them, found {bad} bars not"
    return bad == 0, text, {"bars": float(bad)}


def members_add_up(rows: pa.Table) -> Found:
    """Hold the total of every model against its members."""
    is_total = np.array(pc.equal(rows["member"], _TOTAL).to_numpy())
    gross = floats(rows, "gross_gamma_exposure_usd_per_pct")
    net = floats(rows, _NET)
    models = np.array(rows["model"].to_pylist(), np.str_)
    worst = 0.0
    for model in np.unique(models):
        of = models == model
        away = abs(float(net[of & is_total].sum() - net[of & ~is_total].sum()))
        worst = max(worst, away / max(float(gross[of & is_total].sum()), 1.0))
    text = f"expected members to sum to the total, found a difference of {worst:.1e} of gross"
    return worst <= _RELATIVE, text, {"difference": worst}

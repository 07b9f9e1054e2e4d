"""What must hold of pins, of changes by strike and of scores: pure checks of rows.

Belongs here: each check as ``(holds, text, numbers)``. Does not belong here: their names and
whether they block (`invariants`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Bools, floats

Found = tuple[bool, str, dict[str, float]]

_RELATIVE = 1e-9


def strengths_add_up(rows: pa.Table) -> Found:
    """Hold strengths against the forces' parts of their sum, by snapshot and model."""
    force, strength = np.abs(floats(rows, "pin_force_usd_per_pct")), floats(rows, "pin_strength")
    instants = rows["event_at"].to_pylist()
    labels = [f"{a}|{b}" for a, b in zip(instants, rows["model"].to_pylist(), strict=True)]
    _, where = np.unique(np.array(labels, dtype=str), return_inverse=True)
    total = np.bincount(where, weights=force)[where] if force.size else force
    gap = np.abs(np.nan_to_num(strength) * total - force) / np.maximum(total, 1.0)
    worst = float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0))
    text = f"expected strength = |force| / sum of |force|, found a gap of {worst:.1e}"
    return worst <= _RELATIVE, text, {"gap": min(worst, 1e300)}


def changes_add_up(rows: pa.Table) -> Found:
    """Hold the change of a force against its parts: all are told or none."""
    whole = floats(rows, "force_change_usd_per_pct")
    parts = sum(floats(rows, f"force_by_{part}_usd_per_pct") for part in _PARTS)
    scale = np.maximum(np.abs(floats(rows, "pin_force_usd_per_pct")) + np.abs(whole), 1.0)
    told = np.isfinite(whole) | np.isfinite(parts)
    gap = np.nan_to_num(np.abs(whole - parts) / scale, nan=np.inf)[told]
    worst = float(np.max(gap, initial=0.0))
    text = f"expected force change = its three parts, found a gap of {worst:.1e}"
    return worst <= _RELATIVE, text, {"gap": min(worst, 1e300)}


_PARTS = ("position", "book", "price")


def outcomes_fit_prices(rows: pa.Table) -> Found:
    """Hold outcomes against prices: touched is what they span; nothing untouched held or broke."""
    level = floats(rows, "level_price")
    low, high = floats(rows, "low_price"), floats(rows, "high_price")
    scored, touched = _flag(rows, "is_scored"), _flag(rows, "is_touched")
    held, beyond = _flag(rows, "is_held"), _flag(rows, "is_closed_beyond")
    spans = (low <= level) & (level <= high)
    wrong = (touched != (spans & scored)) | ((held | beyond) & ~touched) | (held & beyond)
    wrong |= ~(low <= high)
    bad = int(wrong.sum())
    return bad == 0, f"expected outcomes that the prices tell, found {bad} others", {"n": bad}


def _flag(rows: pa.Table, name: str) -> Bools:
    return np.array(rows[name].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False))

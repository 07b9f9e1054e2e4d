"""One word for what dealers' hedging does to the market, and the numbers that decided it.

Belongs here: from metrics and their past to inputs, a label and its row. Does not belong here: the
rules (`regime_rules`), thresholds (`thresholds`), how long labels last (`persistence`). Source:
`docs/methods/regimes.md`.

A session begins without memory, so that no day depends on the order in which days were computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, floats
from dealer_assets.domain.conventions import PROFILE_HALF_WIDTH
from dealer_assets.domain.exposure.metrics import ALL
from dealer_assets.domain.exposure.regime_rules import INPUTS, Judged, judge_rules
from dealer_assets.domain.exposure.thresholds import Thresholds, thresholds_of

NEUTRAL = "neutral"
_LONGEST_GAP_DAYS = 4
"""The last closing snapshot counts as the day before when it is no older: a long weekend."""


def regimes_of(metrics: pa.Table, history: pa.Table, previous: pa.Table) -> pa.Table:
    """Label one snapshot, model by model.

    Parameters
    ----------
    metrics : pyarrow.Table
        `tables.EXPOSURE_METRICS` of the snapshot.
    history : pyarrow.Table
        The same of closing snapshots of earlier sessions, bucket `all`, any models; of its columns
        `PAST_COLUMNS`.
    previous : pyarrow.Table
        Rows of this function for the session's snapshot before; none for its first.

    Returns
    -------
    pyarrow.Table
        `tables.DEALER_REGIMES` schema, one row per model; empty when there are no metrics.
    """
    schema = tables.DEALER_REGIMES.schema
    rows = []
    for row in metrics.filter(pc.equal(metrics["dte_bucket"], ALL)).to_pylist():
        past = history.filter(_like(history, row)).sort_by("event_at")
        before = previous.filter(pc.equal(previous["model"], row["model"])).to_pylist()
        rows.append(_labelled(row, past, before[0] if before else {}))
    return pa.Table.from_pylist(rows, schema=schema)


def _like(history: pa.Table, row: Mapping[str, Any]) -> pa.Array:
    """Select closings of the same model, simulated if the row is: one is no past of the other."""
    model = pc.equal(history["model"], row["model"])
    return pc.and_(model, pc.equal(history["is_simulated"], row["is_simulated"]))


def _labelled(row: Mapping[str, Any], past: pa.Table, before: Mapping[str, Any]) -> dict[str, Any]:
    scale = "adv" if row["adv_usd"] is not None else "usd"
    inputs = _inputs(row, past, scale)
    thresholds = thresholds_of(_history(past, scale, row["adv_instrument"]))
    if scale == "usd":  # a declared share of volume says nothing of dollars
        inputs |= {name: float("nan") for name in _unscaled(thresholds)}
    held = before.get("regime") or ""
    judged = judge_rules(inputs, thresholds, held=held)
    known = [j for j in judged if np.isfinite(j.margin)]
    chosen = next((j for j in known if j.holds), None)
    others = [j for j in known if j is not chosen]
    nearest = max(others, key=lambda j: j.margin, default=None)
    return {
        **{name: row[name] for name in ("underlying", "session_date", "event_at", "model", "spot")},
        "known_at": _latest_known(row, past, before),
        "regime": chosen.rule.regime if chosen else NEUTRAL if known else None,
        "rule": _rule_text(chosen, known),
        "margin": _or_none(chosen.margin) if chosen else None,
        "deciding_input": chosen.input if chosen else nearest.input if nearest else None,
        "nearest_regime": nearest.rule.regime if nearest else None,
        "nearest_margin": nearest.margin if nearest else None,
        "rules_not_judged": [j.rule.regime for j in judged if j not in known],
        "is_held": bool(chosen and chosen.is_held),
        "scale": scale,
        "adv_status": row["adv_status"],
        "thresholds_from": thresholds.source,
        "static_thresholds": list(thresholds.static),
        "history_sessions": thresholds.sessions,
        **{name: _or_none(inputs[name]) for name in INPUTS},
        **{f"threshold_{name}": value for name, value in thresholds.enter.items()},
    }


def _rule_text(chosen: Judged | None, known: list[Judged]) -> str:
    if chosen:
        return f"{chosen.rule.regime}: {chosen.text}"
    return "neutral: no rule holds" if known else "undetermined: every rule lacks an input"


def _latest_known(row: Mapping[str, Any], past: pa.Table, before: Mapping[str, Any]) -> Any:
    known = [row["known_at"], before.get("known_at"), pc.max(past["known_at"]).as_py()]
    return max(instant for instant in known if instant is not None)


def _unscaled(thresholds: Thresholds) -> list[str]:
    """Return the scaled inputs of which only a declared threshold is known."""
    names = {"gamma": "gamma_high", "vanna_flow": "vanna_flow", "charm_flow": "charm_flow"}
    names |= {"hedge_flow": "hedge_flow"}
    return [metric for metric, name in names.items() if name in thresholds.static]


_COLUMNS: dict[str, dict[str, str]] = {
    "adv": {
        "gamma": "ngi_over_adv",
        "vanna_flow": "hpp_vanna_over_adv",
        "charm_flow": "hpp_charm_over_adv",
        "hedge_flow": "hpp_over_adv",
    },
    "usd": {
        "gamma": "net_gamma_exposure_usd_per_pct",
        "vanna_flow": "hpp_vanna_usd",
        "charm_flow": "hpp_charm_usd",
        "hedge_flow": "hpp_usd",
    },
}


PAST_COLUMNS = (
    *("session_date", "event_at", "known_at", "model", "spot", "is_simulated", "adv_instrument"),
    *(column for columns in _COLUMNS.values() for column in columns.values()),
)
"""What is read of closings."""


def _history(past: pa.Table, scale: str, instrument: str | None) -> dict[str, Floats]:
    """Return the past of every metric; shares of another instrument's volume are not told."""
    found = {name: floats(past, column) for name, column in _COLUMNS[scale].items()}
    if scale == "adv":
        same = np.array([name == instrument for name in past["adv_instrument"].to_pylist()], bool)
        found = {name: np.where(same, values, np.nan) for name, values in found.items()}
    spot = floats(past, "spot")
    move = np.full(spot.size, np.nan)
    days = past["session_date"].combine_chunks().cast(pa.int32()).to_numpy()
    near = np.diff(days) <= _LONGEST_GAP_DAYS
    move[1:] = np.where(near, 100.0 * np.abs(spot[1:] / spot[:-1] - 1.0), np.nan)
    return found | {"move_pct": move}


def _inputs(row: Mapping[str, Any], past: pa.Table, scale: str) -> dict[str, float]:
    inputs = {name: _number(row[column]) for name, column in _COLUMNS[scale].items()}
    charm, vanna = abs(inputs["charm_flow"]), abs(inputs["vanna_flow"])
    gamma = abs(inputs["hedge_flow"] - inputs["vanna_flow"] - inputs["charm_flow"])
    return inputs | {
        "vanna_lead": vanna - max(gamma, charm) if np.isfinite(gamma) else float("nan"),
        "charm_lead": charm - max(gamma, vanna) if np.isfinite(gamma) else float("nan"),
        "flip_distance": _flip_distance(row),
        "move_pct": _move(row, past),
    }


def _flip_distance(row: Mapping[str, Any]) -> float:
    """Return how far the flip is: 15 % where there is none, 0 where it is ill-conditioned."""
    if row["flip_status"] == "none_in_range":
        return PROFILE_HALF_WIDTH
    if row["flip_pct"] is None or row["flip_status"] == "ill_conditioned":
        return 0.0
    return abs(float(row["flip_pct"]))


def _move(row: Mapping[str, Any], past: pa.Table) -> float:
    """Return |change of spot| since the last closing, or since the session's first snapshot [%]."""
    if past.num_rows:
        last = past.slice(past.num_rows - 1).to_pylist()[0]
        if (row["session_date"] - last["session_date"]).days <= _LONGEST_GAP_DAYS:
            return 100.0 * abs(float(row["spot"]) / float(last["spot"]) - 1.0)
    if row["drift_snapshots"] == 1:
        return float("nan")
    return abs(float(row["spot_change_pct"]))


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

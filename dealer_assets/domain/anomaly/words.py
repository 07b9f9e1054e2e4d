"""Scores as rows: what drove each, in words.

Belongs here: choosing drivers, phrasing them, filling `tables.ANOMALY_SCORES`. Does not belong
here: the numbers (`scores.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.anomaly.scores import SEVERITIES, Scores
from dealer_assets.domain.anomaly.standard import (
    FEATURES,
    IV_BURST,
    IV_RESIDUAL,
    MEASURES,
    VOLUME,
    VOLUME_BURST,
    WEIGHTS,
    from_scale,
)
from dealer_assets.domain.columns import Floats, Ints, floats, nullable, words

TELLING = 0.01
"""A row at this p-value or below is put in words, and so is each of its measures."""

MOST_DRIVERS = 3

_OF_VOLUME = frozenset(
    {
        VOLUME,
        "premium_usd",
        "vega_traded_usd_per_vol_point",
        "premium_over_vega",
        "volume_over_open_interest",
    }
)
"""Measures that say the same once more: the strongest of them is enough."""

_NAMED = {
    VOLUME: "volume",
    "premium_usd": "premium",
    "vega_traded_usd_per_vol_point": "vega traded",
    "premium_over_vega": "premium over vega",
    "volume_over_open_interest": "volume over open interest",
    "spread_relative": "spread",
}
_FEW_TIMES, _MOST_TIMES = 9.95, 1_000.0


def score_rows(features: pa.Table, scores: Scores, *, known_at: datetime | None = None) -> pa.Table:
    """Return scores as rows of `tables.ANOMALY_SCORES`.

    Parameters
    ----------
    features : pyarrow.Table
        Rows that were scored, `tables.CONTRACT_FEATURES`.
    scores : Scores
        Theirs, in the same order.
    known_at : datetime.datetime, optional
        Since when the baseline is known: no row is known before it.
    """
    table = tables.ANOMALY_SCORES
    chosen, own_p, told = _explained(features, scores)
    column = {name: j for j, name in enumerate(scores.names)}
    feature_at = {feature.name: j for j, feature in enumerate(FEATURES)}
    volume, residual = feature_at[VOLUME], feature_at[IV_RESIDUAL]
    n = features.num_rows
    columns = {
        "known_at": _known(features, known_at),
        "p_value": nullable(scores.p_value),
        "q_value": nullable(scores.q_value),
        "score": nullable(scores.score),
        "is_anomaly": pa.array(scores.is_anomaly),
        "severity": words(SEVERITIES, scores.severity),
        "drivers": chosen,
        "driver_p_values": own_p,
        "words": told,
        "history_status": pa.repeat(scores.history_status, n),
        "history_sessions": pa.array(np.full(n, scores.history_sessions, np.int32)),
        "unscored_reason": _reason(features, scores),
        "volume_contracts": features[VOLUME],
        "usual_volume_contracts": nullable(_usual(scores, volume)),
        "volume_level": pa.array(scores.level[volume][scores.cell].astype(np.int32)),
        "volume_shift": nullable(scores.shift[volume][scores.snapshot]),
        "iv_residual_shift": nullable(scores.shift[residual][scores.snapshot]),
        **{f"z_{name}": nullable(scores.z[j]) for name, j in column.items()},
    }
    arrays = [
        columns[item.name] if item.name in columns else features[item.name] for item in table.schema
    ]
    return pa.Table.from_arrays([_cast(a, f) for a, f in zip(arrays, table.schema, strict=True)],
                                schema=table.schema)  # fmt: skip


def _cast(column: pa.Array | pa.ChunkedArray, item: pa.Field) -> pa.Array | pa.ChunkedArray:
    return column if column.type == item.type else column.cast(item.type)


def _known(features: pa.Table, known_at: datetime | None) -> pa.ChunkedArray:
    own = features["known_at"]
    if known_at is None:
        return own
    least = pa.scalar(known_at, own.type)
    return pc.if_else(pc.less(own, least), least, own)


def _reason(features: pa.Table, scores: Scores) -> pa.ChunkedArray:
    none = "no_history" if scores.history_status == "none" else "no_feature"
    unscored = pa.array(np.isnan(scores.p_value))
    return pc.if_else(
        pc.is_valid(features["unscored_reason"]),
        features["unscored_reason"],
        pc.if_else(unscored, none, pa.scalar(None, pa.string())),
    )


def drivers_of(scores: Scores, row: int) -> list[int]:
    """Return the measures that drove a row, strongest first: by weight over their own p-value."""
    p = scores.p[:, row]
    strength = np.where(p <= TELLING, WEIGHTS / p, 0.0)
    found: list[int] = []
    for j in np.argsort(-strength, kind="stable").tolist():
        if strength[j] <= 0.0 or len(found) == MOST_DRIVERS:
            break
        is_more_of_it = scores.names[j] in _OF_VOLUME
        if not (is_more_of_it and any(scores.names[k] in _OF_VOLUME for k in found)):
            found.append(j)
    return found


def _explained(features: pa.Table, scores: Scores) -> tuple[pa.Array, pa.Array, pa.Array]:
    drivers: list[list[str]] = [[]] * features.num_rows
    ranks: list[list[float]] = [[]] * features.num_rows
    told = [""] * features.num_rows
    values = [
        floats(features, feature.name) if feature.name in features.column_names else None
        for feature in FEATURES
    ]
    rows: Ints = np.flatnonzero(np.nan_to_num(scores.p_value, nan=1.0) <= TELLING)
    for row in rows.tolist():
        found = drivers_of(scores, row)
        drivers[row] = [scores.names[j] for j in found]
        ranks[row] = [float(scores.p[j, row]) for j in found]
        told[row] = "; ".join(_phrase(scores, values, j, row) for j in found)
    return (
        pa.array(drivers, pa.list_(pa.string())),
        pa.array(ranks, pa.list_(pa.float64())),
        pa.array(told, pa.string()),
    )


def _usual(scores: Scores, j: int) -> Floats:
    """Return what was usual in the feature's own unit: of an amount no less than nothing."""
    told = from_scale(FEATURES[j], scores.usual[j])
    return np.asarray(np.maximum(told, 0.0)) if FEATURES[j].scale == "log" else told


def _phrase(scores: Scores, values: list[Floats | None], j: int, row: int) -> str:
    name, z = scores.names[j], float(scores.z[j, row])
    if name == VOLUME_BURST:
        return f"volume {z:.1f} sd above the pace of its earlier polls today"
    if name == IV_BURST:
        return f"IV residual {z:+.1f} robust sd from its earlier polls today"
    column = values[j]
    value = float(column[row]) if column is not None else float("nan")
    usual = float(_usual(scores, j)[row])
    if name in _NAMED:
        return f"{_NAMED[name]} {_times(value, usual, j)} its usual for this hour"
    return _OWN_PHRASE[name](value, usual)


def _signed(value: float) -> str:
    """Spell a value with its sign, nothing without one."""
    text = f"{value:+.1f}"
    return "0.0" if text in {"-0.0", "+0.0"} else text


def _times(value: float, usual: float, j: int) -> str:
    """Phrase a ratio; what is usual counts as its unit at least: 5 over 0 is no infinity."""
    ratio = value / max(usual, MEASURES[j].unit)
    if ratio > _MOST_TIMES:
        return f"more than {_MOST_TIMES:,.0f}x"
    return f"{ratio:.1f}x" if ratio < _FEW_TIMES else f"{ratio:,.0f}x"


_OWN_PHRASE: dict[str, Callable[[float, float], str]] = {
    IV_RESIDUAL: lambda value, usual: f"IV {value:+.1f} half-spreads (usual {_signed(usual)})",
    "open_interest_change_contracts": lambda value, usual: (
        f"open interest {value:+,.0f} since the session before (usual {usual:+,.0f})"
    ),
    "open_probability": lambda value, usual: f"{value:.0%} of volume opens (usual {usual:.0%})",
    "flow_imbalance": lambda value, usual: f"flow {value:+.0%} one-sided (usual {usual:+.0%})",
    "sweep_share": lambda value, usual: f"sweeps {value:.0%} of prints (usual {usual:.0%})",
    "burst_share": lambda value, usual: f"{value:.0%} of prints in one minute (usual {usual:.0%})",
}

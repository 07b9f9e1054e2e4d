"""What must hold of an underlying's scores.

Belongs here: the comparisons, each a verdict in words with its numbers. Does not belong here: names
and severity of the checks (`domain/invariants`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.discovery import TARGET, q_values
from dealer_assets.domain.columns import floats

Found = tuple[bool, str, dict[str, float]]
"""Whether it holds, expected and found in words, the figures behind it."""

_RELATIVE = 1e-9


def anomalies_follow_control(rows: pa.Table) -> Found:
    """Hold q-values and marks of each poll against its p-values, and marks against the history."""
    wrong = 0
    for at in rows["event_at"].unique():
        poll = rows.filter(pc.equal(rows["event_at"], at))
        is_ok = np.array(pc.equal(poll["status"], "ok").to_numpy())
        expected = q_values(np.where(is_ok, floats(poll, "p_value"), np.nan))
        q = floats(poll, "q_value")
        marked = np.array(poll["is_anomaly"].to_pylist(), np.bool_)
        fine = np.isclose(q, expected, rtol=_RELATIVE, atol=0.0, equal_nan=True)
        wrong += int(np.count_nonzero(~fine | (marked != (expected <= TARGET))))
    text = f"expected marks by the false-discovery control over each poll, found {wrong} others"
    return wrong == 0, text, {"rows": float(wrong)}


def statuses_fit(rows: pa.Table) -> Found:
    """Hold the status of every row against what it tells."""
    has_value = np.isfinite(floats(rows, "value"))
    has_p = np.isfinite(floats(rows, "p_value"))
    status = np.array(rows["status"].to_pylist(), dtype=object)
    compared = np.isin(status, ("ok", "thin"))
    wrong = int(np.count_nonzero((has_value == (status == "not_determined")) | (has_p != compared)))
    text = f"expected every status to say what its row tells, found {wrong} that do not"
    return wrong == 0, text, {"rows": float(wrong)}


def history_is_held(rows: pa.Table) -> Found:
    """Tell whether measures that the snapshot tells have a history long enough to be judged."""
    told = rows.filter(pc.not_equal(rows["status"], "not_determined"))
    short = int(np.count_nonzero(pc.not_equal(told["status"], "ok").to_numpy()))
    text = (
        f"expected twenty earlier sessions of every measure, found {short} of {told.num_rows} "
        "measures with fewer: they are shown, and make no anomaly"
    )
    return short == 0, text, {"rows": float(short)}

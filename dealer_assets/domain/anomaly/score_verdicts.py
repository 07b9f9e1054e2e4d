"""What must hold of stored scores whatever the market does.

Belongs here: verdicts that `domain/invariants.py` names. Does not belong here: the scores.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.discovery import TARGET
from dealer_assets.domain.columns import floats


def marks_follow_control(rows: pa.Table) -> tuple[bool, str, dict[str, float]]:
    """Judge that exactly those are marked whose q-value is within the target, of a long history.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ANOMALY_SCORES`.

    Returns
    -------
    tuple of bool, str, dict
        Verdict, words, numbers.
    """
    q = np.nan_to_num(floats(rows, "q_value"), nan=1.0)
    is_long = np.asarray(pc.equal(rows["history_status"], "ok").to_numpy())
    marked = np.asarray(rows["is_anomaly"].to_numpy())
    wrong = int(np.sum(marked != ((q <= TARGET) & is_long)))
    text = (
        f"{int(marked.sum())} of {rows.num_rows} contracts are marked; {wrong} of all against "
        f"their q-value at a target of {100 * TARGET:.0f} %"
    )
    return wrong == 0, text, {"marked": float(marked.sum()), "wrong": float(wrong)}

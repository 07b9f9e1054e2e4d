"""What an asset page says of an underlying's measures, in words.

Belongs here: texts from stored rows. Does not belong here: pictures (`measure_pictures`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa


def measure_metadata(rows: pa.Table) -> dict[str, Any]:
    """Say what stands out, and what the rows rest on.

    Parameters
    ----------
    rows : pyarrow.Table
        A session's polls, `tables.UNDERLYING_SCORES` schema.

    Returns
    -------
    dict of str to int or str
        Polls, anomalies of the session, those of the last poll in words, measures by status there.
    """
    polls = sorted(set(rows["event_at"].to_pylist()))
    told = [row for row in rows.to_pylist() if row["event_at"] == polls[-1]] if polls else []
    statuses = Counter(row["status"] for row in told)
    unusual = [f"{row['severity']}: {row['words']}" for row in told if row["is_anomaly"]]
    return {
        "polls": len(polls),
        "anomalies_of_session": sum(rows["is_anomaly"].to_pylist()),
        "unusual_now": "; ".join(unusual) or "nothing",
        "measures_now": ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))
        or "none",
    }

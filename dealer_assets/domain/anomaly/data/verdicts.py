"""What the checks of `data_anomalies` say: one check a kind.

Belongs here: verdicts on stored rows. Does not belong here: finding what is wrong (`judgement`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.columns import of_word


def check_name(kind: str) -> str:
    """Name a kind's check."""
    return f"no_{kind}"


def is_blocking(kind: str) -> bool:
    """Tell whether a kind stops features and scores."""
    return tables.ANOMALY_ACTIONS[kind] == "block"


def absent(rows: pa.Table, kind: str) -> tuple[bool, str, dict[str, float]]:
    """Judge whether a kind is absent from snapshots, or mended.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.DATA_ANOMALIES` of one or more snapshots.
    kind : str
        One of `tables.ANOMALY_ACTIONS`.

    Returns
    -------
    (bool, str, dict of str to float)
        Whether it holds, in words, and with how many snapshots and contracts. Where the import
        left the rows concerned out, so that nothing held is spoilt, it holds and says so.
    """
    found = of_word(rows, "kind", kind).to_pylist()
    spoilt = [row for row in found if row["spoils"] or not tables.ANOMALY_SPOILS[kind]]
    numbers = {
        "snapshots": float(len(spoilt)),
        "contracts": float(sum(row["contracts"] for row in spoilt)),
    }
    if spoilt:
        last = spoilt[-1]
        return False, f"expected {last['expected']}; found {last['found']}", numbers
    if found:
        return True, f"mended at import: {found[-1]['found']}", numbers
    return True, "not found", numbers

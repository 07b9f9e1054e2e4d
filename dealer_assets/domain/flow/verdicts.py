"""What must hold of signed flow, whatever was traded.

Belongs here: judging rows of `tables.SIGNED_FLOW`. Does not belong here: which checks there are
(`dealer_assets.domain.invariants`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import floats

_RELATIVE = 1e-9


def flow_within_volume(rows: pa.Table) -> tuple[bool, str, dict[str, float]]:
    """Tell whether rows of `tables.SIGNED_FLOW` claim no more than was traded.

    Returns
    -------
    holds, text, numbers
        As fields of `invariants.Verdict`.
    """
    volume, signed = floats(rows, "volume_contracts"), floats(rows, "signed_volume_contracts")
    sd, squared = floats(rows, "customer_net_sd_contracts"), floats(rows, "squared_size_contracts2")
    net, odds = floats(rows, "customer_net_contracts"), floats(rows, "mean_confidence")
    pairs = (
        (signed, volume),
        (floats(rows, "apart_volume_contracts"), volume),
        (np.abs(net), signed),
        (sd * sd, squared),
        (np.nan_to_num(odds), np.ones(odds.size)),
    )
    beyond = sum(int(np.sum(less > more + _RELATIVE * (1.0 + more))) for less, more in pairs)
    return (
        beyond == 0,
        "expected signed and apart volume within the volume, net buying within the signed one, its "
        f"variance within the squared sizes and odds within 1, found {beyond} beyond",
        {"beyond": beyond},
    )

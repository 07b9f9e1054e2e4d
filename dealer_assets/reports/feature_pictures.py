"""What an asset page shows of a poll's features: volume by moneyness, counts, reasons.

Belongs here: drawing and wording them. Does not belong here: computing them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import floats
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence


def feature_metadata(rows: pa.Table, monitored: str) -> dict[str, str | int | float]:
    """Sum up the newest poll in words and numbers.

    Parameters
    ----------
    rows : pyarrow.Table
        One poll, `tables.CONTRACT_FEATURES`.
    monitored : str
        What is monitored, as configured.
    """
    if not rows.num_rows:
        return {"monitored": monitored, "contracts": 0}
    traded = floats(rows, "volume_contracts_netted")
    return {
        "monitored": monitored,
        "contracts": rows.num_rows,
        "slot": int(rows["slot"][0].as_py()),
        "interval_minutes": float(rows["interval_minutes"][0].as_py()),
        "contracts_traded": int(np.sum(traded > 0.0)),
        "volume_contracts": float(np.nansum(traded)),
        "premium_usd": float(np.nansum(floats(rows, "premium_usd"))),
        "unscored": _counted(rows, "unscored_reason"),
        "withheld": _counted(rows, "withheld_reason"),
        "is_tape_held": str(rows["package_contracts"].null_count < rows.num_rows),
    }


def _counted(rows: pa.Table, column: str) -> str:
    counts = pc.value_counts(rows[column].drop_null()).to_pylist()
    return ", ".join(f"{c['values']} {c['counts']:,}" for c in counts) or "none"


def volume_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw the volume of a poll's interval by moneyness, puts and calls.

    Parameters
    ----------
    rows : pyarrow.Table
        One poll, `tables.CONTRACT_FEATURES`.
    dpi : int
        Dots per inch.
    """
    if not rows.num_rows:
        return sentence("no monitored contract at the newest poll", dpi=dpi)
    figure, axes = drawing(7.5, 3.2)
    for right, colour in (("put", RUST), ("call", TEAL)):
        some = rows.filter(pc.equal(rows["right"], right))
        if some.num_rows:
            # one line a strike: those of several expiries would hide each other
            place, which = np.unique(floats(some, "moneyness"), return_inverse=True)
            volume = np.nan_to_num(floats(some, "volume_delta_contracts"))
            summed = np.bincount(which.reshape(-1), weights=volume)
            axes.vlines(place, 0.0, summed, color=colour, linewidth=1.0, label=right)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_xlabel("strike / spot", fontsize=8)
    axes.set_ylabel("contracts", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    first = rows.slice(0, 1).to_pylist()[0]
    stamp = first["event_at"].strftime("%Y-%m-%d %H:%M UTC")
    minutes = first["interval_minutes"]
    axes.set_title(
        f"Volume in the {minutes:,.0f} minutes to {stamp}: {first['underlying']}",
        loc="left",
        fontsize=10,
    )
    return png_bytes(figure, dpi=dpi)

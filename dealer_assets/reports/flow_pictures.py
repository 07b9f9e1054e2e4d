"""Pictures of signed flow as PNG bytes.

Belongs here: drawing what customers bought and sold. Does not belong here: computing more than sums
by strike.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import equals, floats
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

_CALLS, _PUTS, _MUTED = TEAL, RUST, GREY
_STRIKES = 40
"""Strikes that are drawn: those with most volume."""


def signed_flow_picture(flow: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw customers' net buying by strike, calls and puts apart, with two standard deviations.

    Parameters
    ----------
    flow : pyarrow.Table
        One session of `tables.SIGNED_FLOW`; of several sources the tape or live trades are drawn.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.

    Returns
    -------
    bytes
        PNG.
    """
    if not flow.num_rows:
        return sentence("no print, live trade or exchange's count of the session is held", dpi=dpi)
    held = set(flow["source"].to_pylist())
    source = next(name for name in ("tape", "live", "open_close") if name in held)
    flow = flow.filter(pc.equal(flow["source"], source))
    strike, place = np.unique(floats(flow, "strike"), return_inverse=True)
    volume = np.bincount(place, weights=floats(flow, "volume_contracts"))
    shown = np.sort(np.argsort(-volume, kind="stable")[:_STRIKES])
    net, variance = (
        floats(flow, "customer_net_contracts"),
        floats(flow, "customer_net_sd_contracts"),
    )
    figure, axes = drawing(7.5, 3.6)
    x = np.arange(shown.size)
    is_call = equals(flow, "right", "call")
    for side, offset, colour, word in (
        (is_call, -0.2, _CALLS, "calls"),
        (~is_call, 0.2, _PUTS, "puts"),
    ):
        total = np.bincount(place, weights=net * side, minlength=strike.size)
        spread = np.sqrt(np.bincount(place, weights=variance**2 * side, minlength=strike.size))
        axes.bar(
            x + offset,
            total[shown],
            width=0.4,
            color=colour,
            label=f"{word}: {total.sum():+,.0f} ± {2.0 * np.sqrt((spread**2).sum()):,.0f}",
            yerr=2.0 * spread[shown],
            error_kw={"elinewidth": 0.7, "ecolor": _MUTED},
        )
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    every = max(1, shown.size // 10)
    axes.set_xticks(x[::every], [f"{strike[i]:g}" for i in shown[::every]])
    axes.set_xlabel(f"strike (the {shown.size} with most volume)")
    axes.set_ylabel("customers' net [contracts]")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    name, day = flow["underlying"][0].as_py(), flow["session_date"][0].as_py()
    axes.set_title(f"Customers bought net: {name} {day}, {source}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)

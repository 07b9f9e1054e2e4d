"""Pictures of the tape as PNG bytes.

Belongs here: drawing trades. Does not belong here: computing more than sums by time.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.cancels import cancels_of
from dealer_assets.domain.columns import floats
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

_CALLS, _PUTS, _MUTED = TEAL, RUST, GREY
_BIN_MINUTES = 5


def volume_picture(trades: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw contracts traded every five minutes: calls upwards, puts downwards.

    Parameters
    ----------
    trades : pyarrow.Table
        One session of `tables.OPTION_TRADES`; a cancel takes its size off when it is printed.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.

    Returns
    -------
    bytes
        PNG.
    """
    if not trades.num_rows:
        return sentence("no trade in the session", dpi=dpi)
    from matplotlib.dates import DateFormatter

    figure, axes = drawing(7.5, 3.6)
    size = floats(trades, "size_contracts") * np.where(cancels_of(trades), -1.0, 1.0)
    is_call = np.array(pc.equal(trades["right"], "call").to_numpy())
    instants = trades["event_at"].to_numpy().astype("datetime64[m]")
    step = np.timedelta64(_BIN_MINUTES, "m")
    place = ((instants - instants.min()) // step).astype(np.int64)
    starts = (instants.min() + np.arange(place.max() + 1) * step).astype("datetime64[us]")
    for side, sign, colour, word in (
        (is_call, 1.0, _CALLS, "calls"),
        (~is_call, -1.0, _PUTS, "puts"),
    ):
        volume = np.bincount(place[side], weights=size[side], minlength=starts.size)
        label = f"{word}: {volume.sum():,.0f}"
        axes.fill_between(
            starts, sign * volume, step="post", color=colour, alpha=0.8, linewidth=0, label=label
        )
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.set_xlabel("UTC")
    axes.set_ylabel(f"contracts in {_BIN_MINUTES} minutes")
    name, day = trades["underlying"][0].as_py(), trades["session_date"][0].as_py()
    axes.set_title(f"Contracts traded: {name} {day}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)

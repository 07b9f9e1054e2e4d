"""Pictures of live sessions as PNG bytes.

Belongs here: drawing what was compared. Does not belong here: comparing it (`domain/flow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Floats, floats
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIVE, _MISSING, _MUTED = TEAL, RUST, GREY


def reconciliation_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw each contract's live volume by its published volume, or by its open interest's change.

    A contract below the line of the first traded more than was seen live. A contract above the
    line of the second, drawn where no published tape is held, changed by more than its volume.

    Parameters
    ----------
    rows : pyarrow.Table
        One session of `tables.LIVE_RECONCILIATION`.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.

    Returns
    -------
    bytes
        PNG.
    """
    live = floats(rows, "live_volume_contracts")
    published = floats(rows, "published_volume_contracts")
    change = np.abs(
        floats(rows, "open_interest_after_contracts")
        - floats(rows, "open_interest_before_contracts")
    )
    is_compared = bool(np.isfinite(published).any())
    if not is_compared and not np.isfinite(change).any():
        return sentence("neither published prints nor open interest to compare with", dpi=dpi)
    figure, axes = drawing(7.5, 3.6)
    if is_compared:
        missing = np.nan_to_num(floats(rows, "missing_prints")) > 0
        _scatter(axes, published, live, missing, words=("as published", "prints missing live"))
        axes.set_xlabel("published volume [contracts]")
        axes.set_ylabel("live volume [contracts]")
    else:
        words = ("within its volume", "beyond its volume")
        _scatter(axes, live, change, change > live, words=words)
        axes.set_xlabel("live volume [contracts]")
        axes.set_ylabel("change of open interest [contracts]")
    name, day = rows["underlying"][0].as_py(), rows["session_date"][0].as_py()
    axes.set_title(f"Live against published: {name} {day}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def _scatter(
    axes: Axes, x: Floats, y: Floats, is_odd: np.ndarray, *, words: tuple[str, str]
) -> None:
    """Contracts by two counts on logarithmic axes that show zero, and the line where both agree."""
    known = np.isfinite(x) & np.isfinite(y)
    for wanted, colour, word in ((~is_odd, _LIVE, words[0]), (is_odd, _MISSING, words[1])):
        shown = known & wanted
        label = f"{word}: {np.sum(shown):,} contracts"
        axes.scatter(x[shown], y[shown], s=7, color=colour, alpha=0.6, linewidths=0, label=label)
    top = float(max(x[known].max(initial=1.0), y[known].max(initial=1.0)))
    axes.plot([0.0, top], [0.0, top], color=_MUTED, linewidth=0.8)
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("symlog", linthresh=1.0)
    axes.legend(frameon=False, fontsize=8, loc="upper left")

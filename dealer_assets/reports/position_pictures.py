"""Pictures of dealers' positions and of their daily score as PNG bytes.

Belongs here: drawing. Does not belong here: estimating or scoring (`domain/positions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Bools, Floats, equals, floats
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CALL, _PUT, _MUTED = TEAL, RUST, GREY
_STRIKES = 60


def positions_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw the position of the strikes with most open interest, with its 90 % interval.

    Parameters
    ----------
    rows : pyarrow.Table
        One session of `tables.DEALER_POSITIONS`.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.

    Returns
    -------
    bytes
        PNG. Contracts of a strike are added up over expiries; their errors as if independent.
    """
    own = rows.filter(pc.equal(rows["model"], "reconciled"))
    if not own.num_rows:
        return sentence("no position: neither open interest nor earlier positions", dpi=dpi)
    figure, axes = drawing(7.5, 3.6)
    strike = floats(own, "strike")
    count = np.nan_to_num(floats(own, "open_interest_contracts"))
    shown = _heaviest(strike, count)
    calls = equals(own, "right", "call")
    width = 0.4 * float(np.min(np.diff(shown))) if shown.size > 1 else 1.0
    for wanted, colour, word, shift in ((calls, _CALL, "calls", -0.5), (~calls, _PUT, "puts", 0.5)):
        _bars(axes, own, strike, wanted, shown, colour=colour, word=word, place=shift * width)
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.set_xlabel("strike")
    axes.set_ylabel("dealers' position [contracts]")
    axes.legend(frameon=False, fontsize=8)
    name, day = own["underlying"][0].as_py(), own["session_date"][0].as_py()
    axes.set_title(f"Settled positions by strike, 90 %: {name} {day}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def scores_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw skill and coverage of the sessions up to one.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.POSITION_SCORES` in order of time.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.
    """
    own = rows.filter(pc.equal(rows["model"], "reconciled"))
    if not own.num_rows:
        return sentence("no session has been scored yet", dpi=dpi)
    figure, axes = drawing(7.5, 3.6)
    days = [day.isoformat()[5:] for day in own["session_date"].to_pylist()]
    series = (
        ("change_skill", _CALL, "skill at changes of open interest"),
        ("change_coverage", _PUT, "their coverage (90 % wanted)"),
        ("truth_coverage", _MUTED, "coverage of true positions"),
    )
    for column, colour, word in series:
        values = floats(own, column)
        if np.isfinite(values).any():
            axes.plot(days, values, marker="o", markersize=3, color=colour, label=word)
    axes.axhline(0.9, color=_MUTED, linewidth=0.8, linestyle=":")
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.set_ylim(min(-0.1, *axes.get_ylim()), 1.05)
    axes.set_xticks(range(0, len(days), max(1, len(days) // 8)))
    axes.legend(frameon=False, fontsize=8, loc="best")
    name, day = own["underlying"][0].as_py(), own["session_date"][-1].as_py()
    axes.set_title(f"Daily score up to {day}: {name}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def _heaviest(strike: Floats, count: Floats) -> Floats:
    """Strikes with most open interest, ascending."""
    values, place = np.unique(strike, return_inverse=True)
    held = np.bincount(place.reshape(-1), weights=count)
    return np.sort(values[np.argsort(-held, kind="stable")[:_STRIKES]])


def _bars(
    axes: Axes,
    rows: pa.Table,
    strike: Floats,
    wanted: Bools,
    shown: Floats,
    *,
    colour: str,
    word: str,
    place: float,
) -> None:
    use = wanted & np.isin(strike, shown)
    at = np.searchsorted(shown, strike[use])
    sums = np.bincount(at, weights=floats(rows, "position_contracts")[use], minlength=shown.size)
    sd = np.nan_to_num(floats(rows, "position_sd_contracts"))[use]
    error = 1.645 * np.sqrt(np.bincount(at, weights=sd**2, minlength=shown.size))
    axes.errorbar(
        shown + place,
        sums,
        yerr=error,
        fmt="o",
        markersize=2.5,
        color=colour,
        elinewidth=0.7,
        label=word,
    )

"""Pictures and words of what anomaly scores are worth.

Belongs here: drawing and wording. Does not belong here: counting what is drawn
(`domain/anomaly/evaluation.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import floats
from dealer_assets.reports.palette import AMBER, GREY, INK, RUST, TEAL
from dealer_assets.reports.pictures import png_bytes, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD_WORDS = {
    "own": "scores, FDR 5 %",
    "plain_z3": "plain z > 3",
    "p_without_bh": "p < 5 % alone",
}
_COLOURS = {"own": TEAL, "plain_z3": RUST, "p_without_bh": AMBER}
_ALLOWED = 0.07
_LEAST_RATE = 1e-5

Totals = dict[tuple[Any, ...], float]


def totals(rows: pa.Table, measure: str, *by: str) -> Totals:
    """Return hits over trials of a measure, added up over sessions, by method and more columns.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ANOMALY_EVALUATION` of any number of sessions.
    measure : str
        One of `tables.EVALUATION_MEASURES`.
    by : str
        Columns beside `method`.

    Returns
    -------
    dict of tuple to float
        Without those that had no trial.
    """
    kept = rows.filter(pc.equal(rows["measure"], measure))
    hits, trials = floats(kept, "hits"), floats(kept, "trials")
    keys = list(zip(*(kept[name].to_pylist() for name in ("method", *by)), strict=True))
    sums: dict[tuple[Any, ...], list[float]] = {}
    for key, hit, trial in zip(keys, hits.tolist(), trials.tolist(), strict=True):
        held = sums.setdefault(key, [0.0, 0.0])
        held[0] += hit
        held[1] += trial
    return {key: hit / trial for key, (hit, trial) in sums.items() if trial}


def evaluation_words(rows: pa.Table) -> str:
    """Say in a few lines what was found, missed and false, method by method."""
    if not rows.num_rows:
        return "nothing evaluated"
    told = []
    recall = totals(rows, "recall", "injected_kind", "injected_size")
    false = totals(rows, "any_false_discovery")
    rate = totals(rows, "alert_rate", "slot", "severity")
    is_known = all(rows["is_null_known"].to_pylist())
    for method, words in METHOD_WORDS.items():
        found = [
            f"{_named(kind, size, ' ')} {recall[(method, kind, size)]:.0%}"
            for kind, size in (("volume", 10.0), ("iv", 3.0))
            if (method, kind, size) in recall
        ]
        any_false = false.get((method,), float("nan"))
        what = "a false one" if is_known else "any discovery"
        alerts = rate.get((method, tables.ALL_SLOTS, "any"), float("nan"))
        told.append(
            f"{words}: finds {', '.join(found) or 'nothing that was put in'}; {what} in "
            f"{any_false:.1%} of snapshots; alerts on {alerts:.2%} of rows"
        )
    return "\n".join(told)


def evaluation_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw recall by what was put in, what is false, and alerts by hour, method beside method.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ANOMALY_EVALUATION` of one or more sessions, added up; zero rows draw a sentence.
    dpi : int
        Dots per inch; the figure is 7.5 by 7.2 inches.

    Returns
    -------
    bytes
        PNG.
    """
    if not rows.num_rows:
        return sentence("nothing evaluated: no features or no baseline are held", dpi=dpi)
    figure, panels = _panels()
    _recalls(panels[0], rows, "recall", "Found of what was put in, at each method's own threshold")
    _recalls(panels[1], rows, "recall_at_alert_rate", "The same, all alerting equally often")
    _false(panels[2], rows)
    _hours(panels[3], rows)
    panels[0].legend(frameon=False, fontsize=7, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.34))
    return png_bytes(figure, dpi=dpi)


def _panels() -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 7.2), layout="constrained")
    grid = figure.add_gridspec(3, 2)
    places = (grid[0, :], grid[1, :], grid[2, 0], grid[2, 1])
    return figure, [figure.add_subplot(place) for place in places]


def _recalls(axes: Axes, rows: pa.Table, measure: str, title: str) -> None:
    shares = totals(rows, measure, "injected_kind", "injected_size")
    kinds = sorted(
        {key[1:] for key in shares}, key=lambda k: (tables.INJECTED_KINDS.index(k[0]), k[1])
    )
    _grouped(axes, [_named(*kind) for kind in kinds], lambda m, i: shares.get((m, *kinds[i])))
    axes.axhline(0.8, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(0.0, 1.0)
    _frame(axes, title, "share found")


def _false(axes: Axes, rows: pa.Table) -> None:
    known = all(rows["is_null_known"].to_pylist())
    standing = totals(rows, "any_false_discovery")
    put = totals(rows, "false_discovery")
    shown = (standing, put)
    named = ["snapshots with any,\nnothing put in", "false share,\nanomalies put in"]
    _grouped(axes, named, lambda m, i: shown[i].get((m,)))
    axes.axhline(_ALLOWED, color=INK, linewidth=0.8, linestyle=":")
    axes.set_ylim(0.0, 1.0)
    _frame(axes, "False discoveries" if known else "Discoveries nobody put in", "share")


def _hours(axes: Axes, rows: pa.Table) -> None:
    rate = totals(rows, "alert_rate", "slot", "severity")
    slots = sorted({key[1] for key in rate if key[1] != tables.ALL_SLOTS})
    for method, colour in _COLOURS.items():
        told = [rate.get((method, slot, "any"), np.nan) for slot in slots]
        axes.plot(
            slots, np.maximum(told, _LEAST_RATE), "o-", color=colour, markersize=3, linewidth=1.2
        )
    axes.set_yscale("log")
    axes.set_xticks(slots)
    axes.set_xlabel("hour of the session's clock", fontsize=8)
    _frame(axes, "Alerts by hour (at the bottom: none)", "share of rows")


def _grouped(axes: Axes, names: list[str], value: Any) -> None:
    width = 0.8 / len(METHOD_WORDS)
    for j, (method, words) in enumerate(METHOD_WORDS.items()):
        at = np.arange(len(names)) + (j - 1) * width
        told = [value(method, i) for i in range(len(names))]
        heights = [np.nan if v is None else v for v in told]
        axes.bar(at, heights, width=0.9 * width, color=_COLOURS[method], label=words)
    axes.set_xticks(np.arange(len(names)), names, fontsize=7)


def _frame(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel(label, fontsize=8)
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _named(kind: str, size: float, gap: str = "\n") -> str:
    if kind == "iv":
        return f"IV {size:g}{gap}half-{gap.strip(' ')}spreads"
    if kind == "open_interest":
        return f"OI{gap}+{size:.0%}"
    return f"{kind}{gap}{size:g}x"

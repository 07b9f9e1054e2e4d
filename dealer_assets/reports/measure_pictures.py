"""Pictures of an underlying's measures against their history, as PNG bytes.

Belongs here: drawing them. Does not belong here: computing what is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import floats
from dealer_assets.reports.palette import AMBER, GREY, INK, RUST, TEAL
from dealer_assets.reports.pictures import drawing, empty_figure, png_bytes, sentence
from dealer_assets.tables.measures import MEASURE_UNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADES = {"none": TEAL, "notice": AMBER, "warning": AMBER, "severe": RUST}
_REACH = 6.0
"""Robust deviations drawn; what lies further out stands at the edge with its number."""


def standing_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw every measure of the last poll in robust deviations, earlier polls of the session pale.

    Parameters
    ----------
    rows : pyarrow.Table
        A session's polls, `tables.UNDERLYING_SCORES` schema.
    dpi : int
        Dots per inch.
    """
    if not rows.num_rows:
        return sentence("no poll of this session has levels to measure", dpi=dpi)
    names = [name for name in MEASURE_UNITS if name in set(rows["measure"].to_pylist())]
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    figure, axes = drawing(7.5, 1.2 + 0.21 * len(names), left=1.9)
    last = pc.max(rows["event_at"])
    is_now = pc.equal(rows["event_at"], last)
    _dots(axes, rows.filter(pc.invert(is_now)), place, pale=True)
    now = rows.filter(is_now)
    _dots(axes, now, place, pale=False)
    for row in now.to_pylist():
        if row["z"] is None:
            why = row["status"].replace("_", " ")
            axes.text(0.1, place[row["measure"]], why, fontsize=7, color=GREY, va="center")
    axes.set_yticks(list(place.values()), [name.replace("_", " ") for name in place], fontsize=8)
    axes.set_xlim(-_REACH - 0.8, _REACH + 0.8)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.grid(axis="y", color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("robust deviations from the median of the last sessions", fontsize=8)
    row = now.to_pylist()[0]
    count = sum(now["is_anomaly"].to_pylist())
    axes.set_title(
        f"{row['underlying']} {row['event_at']:%Y-%m-%d %H:%M} UTC, model {row['model']}: "
        f"{count or 'no'} {'measure stands' if count == 1 else 'measures stand'} out",
        fontsize=9,
        loc="left",
    )
    return png_bytes(figure, dpi=dpi)


def _dots(axes: Axes, rows: pa.Table, place: dict[str, int], *, pale: bool) -> None:
    rows = rows.filter(pc.is_valid(rows["z"]))
    z = floats(rows, "z")
    height = np.array([place[name] for name in rows["measure"].to_pylist()], np.float64)
    shade = [_SHADES[word] for word in rows["severity"].to_pylist()]
    axes.scatter(
        np.clip(z, -_REACH, _REACH),
        height,
        s=10 if pale else 34,
        c="#c3c9d1" if pale else shade,
        linewidths=0,
        zorder=2 if pale else 3,
    )
    for value, at in zip(z, height, strict=True):
        if abs(value) > _REACH and not pale:
            axes.annotate(
                f"{value:+.0f}",
                (np.sign(value) * _REACH, at),
                xytext=(np.sign(value) * 5, 0),
                textcoords="offset points",
                ha="left" if value > 0 else "right",
                va="center",
                fontsize=7,
                color=INK,
            )


def calendar_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw measures over sessions, shaded by the highest score of the session, anomalies marked.

    Parameters
    ----------
    rows : pyarrow.Table
        Many sessions, `tables.UNDERLYING_SCORES` schema.
    dpi : int
        Dots per inch.
    """
    if not rows.num_rows:
        return sentence("no session has measures", dpi=dpi)
    days = sorted(set(rows["session_date"].to_pylist()))
    names = list(MEASURE_UNITS)
    best = np.full((len(names), len(days)), np.nan)
    marked: set[tuple[int, int]] = set()
    day_at = {day: i for i, day in enumerate(days)}
    name_at = {name: i for i, name in enumerate(names)}
    wanted = ["session_date", "measure", "score", "is_anomaly"]
    for day, name, score, is_anomaly in zip(*(rows[c].to_pylist() for c in wanted), strict=True):
        at = name_at[name], day_at[day]
        best[at] = np.nanmax([best[at], score]) if score is not None else best[at]
        if is_anomaly:
            marked.add(at)
    figure = empty_figure(7.5, 0.9 + 0.19 * len(names))
    axes = figure.add_axes((0.26, 0.1, 0.72, 0.82))
    axes.imshow(best, aspect="auto", cmap="Greys", vmin=0.0, vmax=100.0, interpolation="nearest")
    for y, x in marked:
        axes.plot(x, y, "s", color=RUST, markersize=3)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=7)
    step = max(1, len(days) // 8)
    axes.set_xticks(range(0, len(days), step), [f"{d:%d %b}" for d in days[::step]], fontsize=7)
    axes.set_title(
        f"{rows['underlying'][0].as_py()} {days[0]} to {days[-1]}: highest score of a session, "
        "anomalies in red",
        fontsize=9,
        loc="left",
    )
    return png_bytes(figure, dpi=dpi)

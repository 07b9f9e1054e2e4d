"""Pictures of results as PNG bytes.

Belongs here: drawing. Does not belong here: computing what is drawn, or where the bytes go.
matplotlib is imported inside: it costs a second, and most commands draw nothing.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import floats, of_word
from dealer_assets.reports.palette import GREY, INK, RUST, TEAL, VIOLET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONG, _SHORT, _INK, _MUTED, _FLIP = TEAL, RUST, INK, GREY, VIOLET
_OTHERS = ("#c77d0a", "#2f6db0", "#a3477f", "#5b7f2b", "#7a5c3e", "#3f9aa8")
"""Colours of the models beside the headline's."""

_TOP = 0.97
"""Height of the spot's label; its line is solid, the others are dashed."""

_STRIKES_SHOWN = 0.08
"""By-strike bars are drawn within 8 % of spot: further out they are too small to see."""


def markdown_image(png: bytes, *, title: str = "") -> str:
    """Wrap PNG bytes as a Markdown image that needs no file and no server."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def profile_picture(
    profile: pa.Table, levels: pa.Table, *, headline: str | None = None, dpi: int = 80
) -> bytes:
    """Draw net dealer gamma over spot levels, with spot, the flip and its band, and the walls.

    Dotted: the same if the smile moved with spot. Shaded: the flip if open interest were a session
    old. Other models are thin lines with a dot at their flip, and a bar where it has a band.

    Parameters
    ----------
    profile : pyarrow.Table
        One snapshot, `tables.GAMMA_PROFILE` schema; zero rows draw an empty frame that says so.
    levels : pyarrow.Table
        Its `tables.EXPOSURE_LEVELS` rows.
    headline : str, optional
        The model whose levels are marked; the first there is, where it is not given or not there.
    dpi : int
        Dots per inch; the figure is 7.5 by 3.6 inches.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = _frame()
    if profile.num_rows == 0 or levels.num_rows == 0:
        return _unavailable(figure, axes, "no contract counts: no profile", dpi=dpi)
    first, *others = _models(profile, headline)
    row = of_word(levels, "model", first).to_pylist()[0]
    unit, word = unit_of(floats(profile, "gamma_exposure_usd_per_pct"))
    own = of_word(profile, "model", first)
    spot_level = floats(own, "spot_level")
    gamma = floats(own, "gamma_exposure_usd_per_pct") / unit
    axes.plot(spot_level, gamma, color=_INK, linewidth=1.6, label=first)
    axes.fill_between(spot_level, gamma, 0.0, where=gamma > 0, color=_LONG, alpha=0.25)
    axes.fill_between(spot_level, gamma, 0.0, where=gamma < 0, color=_SHORT, alpha=0.25)
    moving = floats(own, "gamma_exposure_sticky_moneyness_usd_per_pct") / unit
    axes.plot(spot_level, moving, color=_FLIP, linewidth=0.9, linestyle=":")
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.set_xlim(spot_level[0], spot_level[-1])
    if row["flip_oi_age_lo"] is not None:
        axes.axvspan(row["flip_oi_age_lo"], row["flip_oi_age_hi"], color=_FLIP, alpha=0.12)
    _draw_others(axes, profile, levels, others, unit=unit)
    _mark_levels(axes, row, span=(spot_level[0], spot_level[-1]))
    axes.set_xlabel("spot level [USD]")
    axes.set_ylabel(f"dealer gamma [{word} USD per 1 %]")
    axes.set_title(_title("Gamma profile", row), fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def _draw_others(
    axes: Axes, profile: pa.Table, levels: pa.Table, models: list[str], *, unit: float
) -> None:
    """Draw the profiles of further models, and where each has its flip."""
    for model, color in zip(models, _OTHERS, strict=False):
        own = of_word(profile, "model", model)
        gamma = floats(own, "gamma_exposure_usd_per_pct") / unit
        axes.plot(floats(own, "spot_level"), gamma, color=color, linewidth=1.2, label=model)
        row = of_word(levels, "model", model)
        axes.plot(floats(row, "flip_price"), np.zeros(row.num_rows), "o", color=color, markersize=5)
        ends = floats(row, "flip_lo"), floats(row, "flip_hi")
        axes.hlines(np.zeros(row.num_rows), *ends, color=color, linewidth=5, alpha=0.35)
    if models:
        axes.legend(frameon=False, fontsize=8, loc="lower right")


def _mark_levels(axes: Axes, row: dict[str, Any], *, span: tuple[float, float]) -> None:
    _mark(axes, row["spot"], f"spot {row['spot']:,.6g}", color=_INK, height=_TOP)
    if row["flip_price"] is not None:
        label = f"flip {row['flip_price']:,.6g} ({row['flip_status']})"
        left = row["flip_price"] < row["spot"]
        _mark(axes, row["flip_price"], label, color=_FLIP, height=0.88, to_left=left)
    for name, color, height in (("call_wall", _LONG, 0.79), ("put_wall", _SHORT, 0.70)):
        if row[name] is not None and span[0] < row[name] < span[1]:
            label = f"{name.replace('_', ' ')} {row[name]:,.6g}"
            left = row[name] < row["spot"]
            _mark(axes, row[name], label, color=color, height=height, to_left=left)


def strike_picture(exposure: pa.Table, *, headline: str | None = None, dpi: int = 80) -> bytes:
    """Draw dealer gamma by strike, calls and puts apart, all expiries: one panel per model.

    Parameters
    ----------
    exposure : pyarrow.Table
        One snapshot, `tables.DEALER_EXPOSURE` schema.
    headline : str, optional
        The model on top; the first there is, where it is not given or not there.
    dpi : int
        Dots per inch.

    Returns
    -------
    bytes
        PNG; the panels share both axes.
    """
    if exposure.num_rows == 0:
        figure, axes = _frame()
        return _unavailable(figure, axes, "no contract counts", dpi=dpi)
    row = exposure.slice(0, 1).to_pylist()[0]
    near = np.abs(floats(exposure, "strike") / row["spot"] - 1.0) <= _STRIKES_SHOWN
    shown = exposure.filter(pa.array(near))
    unit, word = unit_of(floats(shown, "gamma_exposure_usd_per_pct"))
    models = _models(exposure, headline)
    figure, panels = _panels(len(models))
    for model, axes in zip(models, panels, strict=True):
        _strike_bars(axes, of_word(shown, "model", model), unit=unit)
        _mark(axes, row["spot"], f"spot {row['spot']:,.6g}", color=_INK, height=_TOP)
        axes.set_ylabel(
            f"dealer gamma [{word} USD per 1 %]" if len(models) == 1 else word, fontsize=9
        )
        axes.set_title(_title("Gamma by strike", row | {"model": model}), fontsize=10, loc="left")
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    panels[-1].set_xlabel("strike [USD]" + (f"; gamma in {word} USD per 1 %" if models[1:] else ""))
    return png_bytes(figure, dpi=dpi)


def _strike_bars(axes: Axes, exposure: pa.Table, *, unit: float) -> None:
    levels, where = np.unique(floats(exposure, "strike"), return_inverse=True)
    gamma = floats(exposure, "gamma_exposure_usd_per_pct") / unit
    is_call = np.array(exposure["right"].to_pylist()) == "call"
    width = float(np.clip(380.0 / max(levels.size, 1), 0.6, 8.0))  # points; the axes are 420 wide
    for side, color, label in ((is_call, _LONG, "calls"), (~is_call, _SHORT, "puts")):
        height = np.bincount(where, weights=np.where(side, gamma, 0.0), minlength=levels.size)
        # one collection instead of one patch per strike: a tenth of the drawing time
        axes.vlines(levels, 0.0, height, color=color, linewidth=width, alpha=0.8, label=label)
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)


def _models(rows: pa.Table, headline: str | None) -> list[str]:
    """Name the models there are, the headline first."""
    held = sorted(set(rows["model"].unique().to_pylist()))
    return sorted(held, key=lambda model: model != headline)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels one above the other, on one pair of scales."""
    if count == 1:
        figure, axes = _frame()
        return figure, [axes]
    each = 2.3
    height = each * count + 0.5
    figure = empty_figure(7.5, height)
    panels: list[Axes] = []
    for place in range(count):
        bottom = (0.5 + each * (count - 1 - place)) / height
        box = (0.1, bottom, 0.88, (each - 0.4) / height)
        first = panels[0] if panels else None
        axes = figure.add_axes(box, sharex=first, sharey=first)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, labelbottom=place == count - 1)
        axes.xaxis.set_major_formatter("{x:,.6g}")
        panels.append(axes)
    return figure, panels


def empty_figure(width: float, height: float) -> Figure:
    """Return a figure without axes; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def drawing(width: float, height: float, *, left: float = 0.75) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes in the house style; sizes in inches.

    Margins are fixed: matplotlib's own layout draws everything three times.
    """
    figure = empty_figure(width, height)
    axes = figure.add_axes(
        (left / width, 0.5 / height, 1.0 - (left + 0.15) / width, 1.0 - 0.85 / height)
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _frame() -> tuple[Figure, Axes]:
    figure, axes = drawing(7.5, 3.6)
    axes.xaxis.set_major_formatter("{x:,.6g}")
    return figure, axes


def sentence(why: str, *, dpi: int) -> bytes:
    """Draw a sentence where there is nothing else to draw."""
    figure = empty_figure(6.0, 1.2)
    figure.text(0.5, 0.5, why, ha="center", va="center", color=_INK)
    return png_bytes(figure, dpi=dpi)


def _mark(
    axes: Axes, x: float, label: str, *, color: str, height: float, to_left: bool = False
) -> None:
    """Draw a vertical line with its label on the side where it crosses no other line."""
    axes.axvline(x, color=color, linewidth=1.0, linestyle="--" if height < _TOP else "-")
    axes.annotate(
        label,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if to_left else 4, 0),
        textcoords="offset points",
        ha="right" if to_left else "left",
        va="top",
        fontsize=8,
        color=color,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )


def unit_of(values: Any) -> tuple[float, str]:
    """Choose billions or millions, whichever the largest value reads better in."""
    largest = float(np.max(np.abs(values), initial=0.0))
    return (1e9, "bn") if largest >= 1e9 else (1e6, "m")


def _title(what: str, row: dict[str, Any]) -> str:
    stamp = row["event_at"].strftime("%Y-%m-%d %H:%M UTC")
    return f"{what}: {row['underlying']} {stamp}, model {row['model']}"


def _unavailable(figure: Figure, axes: Axes, why: str, *, dpi: int) -> bytes:
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=_MUTED)
    return png_bytes(figure, dpi=dpi)


def png_bytes(figure: Figure, *, dpi: int) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    # No software stamp: the same rows draw the same bytes
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()

"""Pictures and words of pins, of changes by strike and of scores.

Belongs here: drawing and wording. Does not belong here: computing what is drawn (`domain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats, floats
from dealer_assets.reports.palette import GREY, INK, RUST, TEAL, VIOLET
from dealer_assets.reports.pictures import empty_figure, png_bytes, sentence, unit_of
from dealer_assets.tables.pins import LEVEL_KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PULL, _PUSH, _INK, _MUTED, _BOOK = TEAL, RUST, INK, GREY, VIOLET
_WIDTHS_SHOWN = 4.0
"""Strikes are drawn within this many kernel widths of spot."""

_MOVES_SHOWN = 6.0
"""Levels further than this from spot are drawn at the frame's edge."""


def pin_words(pins: pa.Table) -> str:
    """Name a snapshot's pins in words, model by model."""
    if not pins.num_rows:
        return "none: no contract counts"
    told = []
    for model in sorted(set(pins["model"].to_pylist())):
        rows = pins.filter(pc.and_(pc.equal(pins["model"], model), pins["is_pin"]))
        rows = rows.sort_by("pin_rank")
        strikes = [
            f"{strike:,.6g} ({share:.0%})"
            for strike, share in zip(
                rows["strike"].to_pylist(), rows["pin_strength"].to_pylist(), strict=True
            )
        ]
        told.append(f"{model}: {', '.join(strikes) or 'no strike stands out'}")
    return "; ".join(told)


def alert_words(changes: pa.Table) -> str:
    """Put a snapshot's alert candidates in words, and how many changes prices alone made."""
    if not changes.num_rows:
        return "none: no contract counts"
    if changes["previous_at"][0].as_py() is None:
        return "none: the session's first snapshot has nothing to be compared with"
    candidates = changes.filter(changes["is_alert_candidate"])
    texts = [
        f"{model} {text}"
        for model, text in zip(
            candidates["model"].to_pylist(), candidates["alert_text"].to_pylist(), strict=True
        )
    ]
    kinds = changes["change_kind"].to_pylist()
    apart = (
        f"{kinds.count('price')} strikes moved by prices alone, {kinds.count('book')} by contracts "
        "that entered or left"
    )
    return "; ".join([*texts, apart])


def score_words(scores: pa.Table) -> str:
    """Say how often levels were touched and held over the trailing sessions, beside chance."""
    rows = scores.filter(pc.is_valid(scores["touched_share_p"]))
    if not rows.num_rows:
        return "nothing scored over enough sessions to be compared with chance"
    told = []
    for row in rows.to_pylist():
        held = (
            ""
            if row["held_share"] is None or row["held_share_base"] is None
            else f", held {row['held_share']:.0%} (chance {row['held_share_base']:.0%})"
        )
        told.append(
            f"{row['model']} {row['level_kind']}: touched {row['touched_share']:.0%} of "
            f"{row['trailing_sessions']} (chance {row['touched_share_base']:.0%}){held}"
        )
    return "; ".join(told)


def pin_picture(pins: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw pin force by strike around spot, one panel a model; pins carry their strikes.

    Parameters
    ----------
    pins : pyarrow.Table
        One snapshot, `tables.PIN_LEVELS` schema; zero rows draw a sentence.
    dpi : int
        Dots per inch; 7.5 inches wide, 2.6 inches a model.

    Returns
    -------
    bytes
        PNG.
    """
    if not pins.num_rows:
        return sentence("no contract counts: no pins", dpi=dpi)
    models = sorted(set(pins["model"].to_pylist()))
    figure, panels = _panels(len(models))
    for axes, model in zip(panels, models, strict=True):
        rows = _shown(pins.filter(pc.equal(pins["model"], model)))
        _bars(axes, rows, "pin_force_usd_per_pct", colours=(_PULL, _PUSH))
        for row in rows.filter(rows["is_pin"]).to_pylist():
            _name(axes, row["strike"], f"{row['strike']:,.6g}", rank=row["pin_rank"])
        _frame(axes, rows, f"Pin force, model {model}", "force")
    panels[-1].set_xlabel("strike [USD]", fontsize=8)
    return png_bytes(figure, dpi=dpi)


def change_picture(changes: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw what changed the force at each strike since the snapshot before, by cause.

    Parameters
    ----------
    changes : pyarrow.Table
        One snapshot, `tables.STRIKE_CHANGES` schema; zero rows, or a session's first snapshot,
        draw a sentence.
    dpi : int
        Dots per inch.

    Returns
    -------
    bytes
        PNG.
    """
    told = changes.filter(pc.is_valid(changes["force_change_usd_per_pct"]))
    if not told.num_rows:
        return sentence("nothing to compare with: the session's first snapshot", dpi=dpi)
    models = sorted(set(told["model"].to_pylist()))
    figure, panels = _panels(len(models))
    for axes, model in zip(panels, models, strict=True):
        rows = _shown(told.filter(pc.equal(told["model"], model)))
        unit = _unit(rows, "force_change_usd_per_pct")[0]
        strike = floats(rows, "strike")
        causes = (("position", _PULL, -1), ("book", _BOOK, 0), ("price", _MUTED, 1))
        step = float(np.min(np.diff(strike), initial=np.inf)) if strike.size > 1 else 1.0
        for cause, colour, side in causes:
            height = floats(rows, f"force_by_{cause}_usd_per_pct") / unit
            axes.vlines(strike + side * step / 5, 0.0, height, color=colour, linewidth=2.0)
            axes.plot([], [], color=colour, linewidth=2.0, label=f"by {cause}")
        axes.legend(frameon=False, fontsize=7, loc="lower right")
        _frame(axes, rows, f"Change of pin force, model {model}", "change")
    panels[-1].set_xlabel("strike [USD]", fontsize=8)
    return png_bytes(figure, dpi=dpi)


def score_picture(scores: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw a session's levels against its prices, and the trailing shares beside chance.

    Parameters
    ----------
    scores : pyarrow.Table
        One session, `tables.LEVEL_SCORES` schema; the first model's rows are drawn. Zero rows draw
        a sentence.
    dpi : int
        Dots per inch.

    Returns
    -------
    bytes
        PNG.
    """
    if not scores.num_rows:
        return sentence("nothing scored: no levels of the session before, or no prices", dpi=dpi)
    model = min(scores["model"].to_pylist())
    rows = {
        row["level_kind"]: row
        for row in scores.filter(pc.equal(scores["model"], model)).to_pylist()
    }
    kinds = [kind for kind in LEVEL_KINDS if kind in rows]
    figure = empty_figure(9.0, 3.6)
    left = figure.add_axes((0.19, 0.14, 0.42, 0.72))
    right = figure.add_axes((0.65, 0.14, 0.33, 0.72))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
    _session(left, rows, kinds)
    _trailing(right, rows, kinds)
    first = rows[kinds[0]]
    title = f"Levels of {first['set_at']:%Y-%m-%d}: {first['underlying']}, model {model}"
    left.set_title(title, fontsize=9, loc="left")
    return png_bytes(figure, dpi=dpi)


def _session(axes: Axes, rows: dict[str, Any], kinds: list[str]) -> None:
    first = rows[kinds[0]]
    reference = first["reference_price"]
    move = (first["expected_move_usd"] or 0.01 * reference) / reference
    low, high, close = (
        float(np.log(first[f"{name}_price"] / reference)) / move
        for name in ("low", "high", "close")
    )
    axes.axvspan(low, high, color=_MUTED, alpha=0.25)
    axes.axvline(close, color=_INK, linewidth=1.0)
    for place, kind in enumerate(kinds):
        row = rows[kind]
        if row["distance_moves"] is None:
            continue
        at = float(np.clip(row["distance_moves"], -_MOVES_SHOWN, _MOVES_SHOWN))
        colour = _PULL if row["is_held"] else _PUSH if row["is_closed_beyond"] else _INK
        face = colour if row["is_touched"] else "white"
        axes.plot([at], [place], "o", color=colour, markerfacecolor=face, markersize=6)
    axes.set_xlim(-_MOVES_SHOWN - 0.5, _MOVES_SHOWN + 0.5)
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axes.set_xlabel("expected moves from the close before; band: the session", fontsize=8)


def _trailing(axes: Axes, rows: dict[str, Any], kinds: list[str]) -> None:
    shares = (("touched_share", _INK, -0.15, "touched"), ("held_share", _PULL, 0.15, "held"))
    for name, colour, shift, word in shares:
        axes.plot([], [], "o", color=colour, markersize=5, label=word)
        for place, kind in enumerate(kinds):
            found, base = rows[kind][name], rows[kind][f"{name}_base"]
            if found is None or base is None:
                continue
            axes.plot([base, found], [place + shift] * 2, color=colour, linewidth=1.0, alpha=0.5)
            axes.plot([base], [place + shift], "|", color=colour, markersize=9)
            axes.plot([found], [place + shift], "o", color=colour, markersize=5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_yticks([])
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    sessions = max(row["trailing_sessions"] for row in rows.values())
    axes.set_xlabel(f"share, trailing {sessions} sessions; bar: by chance", fontsize=8)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    height = 2.6 * count + 0.3
    figure = empty_figure(7.5, height)
    panels = []
    for place in range(count):
        bottom = (height - 2.6 * (place + 1) + 0.25) / height
        axes = figure.add_axes((0.11, bottom, 0.87, 2.0 / height))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_formatter("{x:,.6g}")
        panels.append(axes)
    return figure, panels


def _shown(rows: pa.Table) -> pa.Table:
    """Strikes within `_WIDTHS_SHOWN` kernel widths of spot; all when none is."""
    away = np.abs(np.log(floats(rows, "strike") / floats(rows, "spot")))
    near = away <= _WIDTHS_SHOWN * floats(rows, "reach_share")
    return rows.filter(pa.array(near)) if near.any() else rows


def _unit(rows: pa.Table, column: str) -> tuple[float, str]:
    values: Floats = floats(rows, column)
    return unit_of(values[np.isfinite(values)])


def _bars(axes: Axes, rows: pa.Table, column: str, *, colours: tuple[str, str]) -> None:
    unit = _unit(rows, column)[0]
    strike, height = floats(rows, "strike"), floats(rows, column) / unit
    width = float(np.clip(380.0 / max(strike.size, 1), 0.6, 8.0))
    for is_shown, colour in ((height > 0.0, colours[0]), (height <= 0.0, colours[1])):
        axes.vlines(strike[is_shown], 0.0, height[is_shown], color=colour, linewidth=width)


def _name(axes: Axes, strike: float, label: str, *, rank: int) -> None:
    axes.annotate(
        label,
        (strike, 1.0 - 0.1 * (rank - 1)),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="top",
        fontsize=8,
        color=_INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )


def _frame(axes: Axes, rows: pa.Table, what: str, quantity: str) -> None:
    row = rows.slice(0, 1).to_pylist()[0]
    column = "pin_force_usd_per_pct" if quantity == "force" else "force_change_usd_per_pct"
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.axvline(row["spot"], color=_INK, linewidth=1.0)
    axes.set_ylabel(f"{quantity} [{_unit(rows, column)[1]} USD per 1 %]", fontsize=8)
    stamp = f"{row['underlying']} {row['event_at']:%Y-%m-%d %H:%M} UTC, spot {row['spot']:,.6g}"
    axes.set_title(f"{what}: {stamp}", fontsize=9, loc="left")

"""What an asset page shows of scores: a heat map of moneyness by time, p-values against chance.

Belongs here: drawing and wording them. Does not belong here: computing them.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.discovery import TARGET
from dealer_assets.domain.columns import floats, integers
from dealer_assets.reports.palette import GREY, INK, RUST, TEAL
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

_STEP = 0.0125
"""Width in moneyness of a row of the heat map."""

_BLANK = "#eceff2"
_WORST = 5
_MOST_HOURS_LABELLED = 12


def score_metadata(rows: pa.Table) -> dict[str, str | int | float]:
    """Sum up the newest poll in words and numbers.

    Parameters
    ----------
    rows : pyarrow.Table
        One poll, `tables.ANOMALY_SCORES`.
    """
    if not rows.num_rows:
        return {"contracts": 0}
    scored = rows.filter(pc.is_valid(rows["p_value"]))
    worst = scored.sort_by([("p_value", "ascending")]).slice(0, _WORST).to_pylist()
    lines = [f"- {row['symbol']} {row['score']:.0f}: {row['words'] or 'usual'}" for row in worst]
    return {
        "contracts": rows.num_rows,
        "contracts_scored": scored.num_rows,
        "anomalies": int(pc.sum(rows["is_anomaly"]).as_py() or 0),
        "history": f"{rows['history_status'][0]}, {rows['history_sessions'][0]} sessions",
        "volume_shift": float(rows["volume_shift"][0].as_py() or 0.0),
        "highest": "\n".join(lines) or "none",
    }


def heat_map(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw a session's highest score by moneyness and poll; what is marked has a ring.

    Parameters
    ----------
    rows : pyarrow.Table
        A session's polls, `tables.ANOMALY_SCORES`.
    dpi : int
        Dots per inch.
    """
    rows = rows.filter(pc.is_valid(rows["score"]))
    if not rows.num_rows:
        return sentence("no contract is scored yet", dpi=dpi)
    from matplotlib.colors import LinearSegmentedColormap

    polls, column = np.unique(integers(rows, "event_at"), return_inverse=True)
    line = np.floor(floats(rows, "moneyness") / _STEP + 1e-9).astype(np.int64)
    least, most = int(line.min()), int(line.max())
    highest = np.full((most - least + 1, polls.size), np.nan)
    np.fmax.at(highest, (line - least, column), floats(rows, "score"))
    figure, axes = drawing(7.5, 3.8)
    shades = LinearSegmentedColormap.from_list("score", [_BLANK, "#f2d7a6", RUST, "#5a1a10"])
    edges = (least + np.arange(most - least + 2)) * _STEP
    image = axes.pcolormesh(
        np.arange(polls.size + 1) - 0.5,
        edges,
        np.ma.masked_invalid(highest),
        cmap=shades,
        vmin=0.0,
        vmax=100.0,
    )
    marked = np.array(rows["is_anomaly"].to_numpy(zero_copy_only=False))
    place = (line + 0.5) * _STEP
    axes.plot(column[marked], place[marked], "o", markersize=9, markerfacecolor="none", color=INK)
    stamps = [at.strftime("%H:%M") for at in _instants(polls)]
    step = 1 + polls.size // _MOST_HOURS_LABELLED
    axes.set_xticks(np.arange(polls.size)[::step], stamps[::step], fontsize=8)
    axes.set_xlabel("poll [UTC]", fontsize=8)
    axes.set_ylabel("strike / spot", fontsize=8)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("highest score", fontsize=8)
    first = rows.slice(0, 1).to_pylist()[0]
    axes.set_title(
        f"{first['underlying']} {first['session_date']}: highest score, "
        f"{int(marked.sum())} marked at {TARGET:.0%} (rings)",
        loc="left",
        fontsize=10,
    )
    return png_bytes(figure, dpi=dpi)


def rank_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw p-values of a session against those of chance, on log scales.

    Along the diagonal nothing differs from history; below it at the left end lie the anomalies.

    Parameters
    ----------
    rows : pyarrow.Table
        A session's polls, `tables.ANOMALY_SCORES`.
    dpi : int
        Dots per inch.
    """
    p = np.sort(floats(rows, "p_value"))
    p = p[~np.isnan(p)]
    if not p.size:
        return sentence("no contract is scored yet", dpi=dpi)
    figure, axes = drawing(5.0, 3.8)
    chance = (np.arange(p.size) + 0.5) / p.size
    axes.plot([chance[0], 1.0], [chance[0], 1.0], color=GREY, linewidth=0.9, label="chance")
    axes.plot(chance, p, color=TEAL, linewidth=1.4, label="found")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("p-value by chance", fontsize=8)
    axes.set_ylabel("p-value by rank in history", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(f"{p.size:,} p-values of a session", loc="left", fontsize=10)
    return png_bytes(figure, dpi=dpi)


def _instants(microseconds: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[datetime]:
    return list(pa.array(microseconds).cast(pa.timestamp("us", tz="UTC")).to_pylist())

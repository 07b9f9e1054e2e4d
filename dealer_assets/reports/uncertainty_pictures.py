"""Pictures of uncertainty as PNG bytes: flips under conventions, forced flows of scenarios.

Belongs here: drawing the band and scenario tables. Does not belong here: computing either.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import floats, of_word
from dealer_assets.reports.palette import GREY, INK, RUST, TEAL, VIOLET
from dealer_assets.reports.pictures import drawing, png_bytes, sentence, unit_of

_INK, _MUTED, _BAND, _OPEN = INK, GREY, VIOLET, RUST
_BUY, _SELL = TEAL, RUST


def band_picture(variants: pa.Table, levels: pa.Table, *, headline: str, dpi: int = 80) -> bytes:
    """Draw the flip under every convention, with the inferred band behind them.

    Parameters
    ----------
    variants : pyarrow.Table
        One snapshot, `tables.LEVEL_BAND` schema.
    levels : pyarrow.Table
        Its `tables.EXPOSURE_LEVELS` rows.
    headline : str
        The model to show.
    dpi : int
        Dots per inch.
    """
    variants, levels = of_word(variants, "model", headline), of_word(levels, "model", headline)
    flips = floats(variants, "flip_price") if variants.num_rows else np.empty(0)
    if not np.isfinite(flips).any():
        return sentence("no convention has a flip in range", dpi=dpi)
    names = variants["variant"].to_pylist()
    figure, axes = drawing(7.5, 0.2 * len(names) + 1.0, left=2.1)
    if levels.num_rows:
        row = levels.to_pylist()[0]
        if row["flip_lo"] is not None:
            axes.axvspan(
                row["flip_lo"], row["flip_hi"], color=_BAND, alpha=0.25, label="inferred band"
            )
        axes.axvline(row["spot"], color=_INK, linewidth=1.0, label="spot")
        axes.legend(frameon=False, fontsize=7)
    is_open = np.array(variants["in_inferred_band"].to_pylist())
    for y, (flip, remains) in enumerate(zip(flips, is_open, strict=True)):
        axes.plot(flip, y, "o", color=_OPEN if remains else _MUTED, markersize=4)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("flip [USD]; coloured: the chain leaves the convention open")
    axes.set_title(f"Zero gamma under every convention, model {headline}", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def scenario_picture(grid: pa.Table, *, headline: str, dpi: int = 80) -> bytes:
    """Draw forced dealer flow over spot and vol shifts now, as a heat map with its numbers.

    Parameters
    ----------
    grid : pyarrow.Table
        One snapshot, `tables.SCENARIO_GRID` schema.
    headline : str
        The model to show: forced flows of two models in one cell could not be read.
    dpi : int
        Dots per inch.
    """
    grid = of_word(grid, "model", headline)
    if grid.num_rows == 0:
        return sentence("no contract counts: no scenario", dpi=dpi)
    now = grid.filter(pa.compute.equal(grid["hours_ahead"], 0.0))
    spot, vol = floats(now, "spot_shift_pct"), floats(now, "vol_shift_points")
    spots, vols = np.unique(spot), np.unique(vol)
    flow = np.full((vols.size, spots.size), np.nan)
    flow[np.searchsorted(vols, vol), np.searchsorted(spots, spot)] = floats(now, "forced_flow_usd")
    unit, word = unit_of(flow)
    figure, axes = drawing(7.5, 3.8)
    most = float(np.nanmax(np.abs(flow))) / unit
    mesh = axes.imshow(
        flow / unit, aspect="auto", cmap="RdYlGn", origin="lower", vmin=-most, vmax=most
    )
    axes.set_xticks(range(spots.size), [f"{s:+g} %" for s in spots], fontsize=7)
    axes.set_yticks(range(vols.size), [f"{v:+g}" for v in vols], fontsize=7)
    for (i, j), value in np.ndenumerate(flow / unit):
        axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=5, color=_INK)
    axes.set_xlabel("spot")
    axes.set_ylabel("vol points")
    axes.set_title(
        f"Forced dealer flow [{word} USD], now, model {headline}; > 0 buys", fontsize=10, loc="left"
    )
    figure.colorbar(mesh, ax=axes).ax.tick_params(labelsize=7)
    return png_bytes(figure, dpi=dpi)

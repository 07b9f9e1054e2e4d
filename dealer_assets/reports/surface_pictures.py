"""Pictures of the volatility surface as PNG bytes: smiles, total variance, a Greek over the grid.

Belongs here: drawing what the surface tables and their quotes say. Does not belong here: fitting
(`domain/surface`), the frame all pictures share (`pictures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import floats
from dealer_assets.domain.surface.quotes import Quotes
from dealer_assets.domain.surface.rows import surface_from
from dealer_assets.reports.palette import GREY, RUST, TEAL
from dealer_assets.reports.pictures import drawing, empty_figure, png_bytes, sentence

Floats = NDArray[np.float64]
_MUTED, _FIT, _QUOTE = GREY, RUST, TEAL
_COLUMNS = 3
_SMALL = 7


@dataclass(frozen=True)
class Smile:
    """One expiry's quotes and the line fitted to them; arrays over quotes (n,) and line (m,).

    Parameters
    ----------
    title : str
        Root, expiry and method.
    k, bid, ask : float64 array, shape (n,)
        Log-moneyness and the vols of bid and ask; NaN where a price has none.
    line_k, line_vol : float64 array, shape (m,)
        The fitted smile.
    years : float
        Years that carry the slice's variance.
    """

    title: str
    k: Floats
    bid: Floats
    ask: Floats
    line_k: Floats
    line_vol: Floats
    years: float


_SMILES_SHOWN = 6
_LINE_POINTS = 121
_REACH = 5.0
"""Smiles are drawn within this many deviations of the forward: the rest is not readable."""

_SHORTEST_DAYS = 2.5
"""Nearer slices are left out of the carry: a cent of forward is whole per cents a year there."""


def smiles_of(surface: pa.Table, quotes: Quotes) -> list[Smile]:
    """Put quotes and fitted lines together, one smile per slice that has a line, by expiry.

    Parameters
    ----------
    surface : pyarrow.Table
        One snapshot, `tables.VOL_SURFACE` schema.
    quotes : Quotes
        The snapshot's.
    """
    if surface.num_rows == 0:
        return []
    fitted = surface_from(surface)
    made = []
    for i in np.flatnonzero(fitted.usable & np.isfinite(fitted.low)):
        deviation = float(np.sqrt(fitted.total_variance(np.zeros(1), np.array([i]))[0]))
        reach = _REACH * deviation
        low, high = max(fitted.low[i], -reach), min(fitted.high[i], reach)
        own = quotes.slice_id == i
        own &= (quotes.log_moneyness >= low) & (quotes.log_moneyness <= high)
        line = np.linspace(low, high, _LINE_POINTS)
        days = fitted.years[i] * 365.0
        made.append(
            Smile(
                title=f"{fitted.root[i]} {days:.3g} d, {fitted.method[i]}",
                k=quotes.log_moneyness[own],
                bid=quotes.vol_bid[own],
                ask=quotes.vol_ask[own],
                line_k=line,
                line_vol=fitted.implied_vol(line, np.full(line.size, i)),
                years=float(fitted.years[i]),
            )
        )
    return made


def chosen(smiles: Sequence[Smile], count: int = _SMILES_SHOWN) -> list[Smile]:
    """Choose smiles spread evenly over the expiries, the first and last among them."""
    if len(smiles) <= count:
        return list(smiles)
    return [smiles[i] for i in np.linspace(0, len(smiles) - 1, count).round().astype(int)]


def smile_picture(smiles: Sequence[Smile], *, title: str, dpi: int = 80) -> bytes:
    """Draw smiles with a bar from bid to ask for every quote and the fitted line through them."""
    if not smiles:
        return sentence("no slice has quotes", dpi=dpi)
    lines = -(-len(smiles) // _COLUMNS)
    figure = empty_figure(3.2 * _COLUMNS, 2.2 * lines + 0.4)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    grid = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    figure.subplots_adjust(
        left=0.06, right=0.985, top=1.0 - 0.3 / lines, bottom=0.2 / lines, wspace=0.25, hspace=0.45
    )
    for axes, smile in zip(grid, smiles, strict=False):
        axes.vlines(smile.k, smile.bid, smile.ask, color=_QUOTE, linewidth=1.2, alpha=0.7)
        axes.plot(smile.line_k, smile.line_vol, color=_FIT, linewidth=1.2)
        axes.axvline(0.0, color=_MUTED, linewidth=0.6)
        axes.set_title(smile.title, fontsize=8, loc="left")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=_SMALL)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(smiles) :]:
        axes.set_visible(False)
    grid[0].set_ylabel("implied vol", fontsize=_SMALL)
    grid[0].set_xlabel("ln(K / F)", fontsize=_SMALL)
    return png_bytes(figure, dpi=dpi)


def variance_picture(smiles: Sequence[Smile], *, title: str, dpi: int = 80) -> bytes:
    """Draw total variance of every slice: lines that cross are calendar arbitrage."""
    if not smiles:
        return sentence("no slice has a smile", dpi=dpi)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm

    figure, axes = drawing(7.5, 3.8)
    days = np.array([max(smile.years * 365.0, 1e-2) for smile in smiles])
    norm, colors = LogNorm(days.min(), max(days.max(), days.min() * 1.01)), colormaps["viridis"]
    lines = [np.column_stack([smile.line_k, smile.line_vol**2 * smile.years]) for smile in smiles]
    # one collection instead of one line per slice: a fifth of the drawing time
    axes.add_collection(LineCollection(lines, array=days, cmap=colors, norm=norm, linewidth=1.0))
    axes.autoscale_view()
    axes.set_yscale("log")
    axes.set_xlabel("ln(K / F)")
    axes.set_ylabel("total variance")
    axes.set_title(title, fontsize=10, loc="left")
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=axes)
    bar.set_label("days to expiry", fontsize=8)
    bar.ax.tick_params(labelsize=_SMALL)
    return png_bytes(figure, dpi=dpi)


def forward_picture(forwards: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw the term structure of rate and carry over the slices of one snapshot.

    Parameters
    ----------
    forwards : pyarrow.Table
        One snapshot, `tables.FORWARDS` schema.
    """
    if forwards.num_rows == 0:
        return sentence("no live slice", dpi=dpi)
    figure, axes = drawing(7.5, 2.8)
    days = forwards["year_fraction"].to_numpy() * 365.0
    shown = days >= _SHORTEST_DAYS
    for name, color in (("rate", _FIT), ("carry", _QUOTE)):
        axes.plot(days[shown], floats(forwards, name)[shown], ".", color=color, label=name)
    axes.set_xscale("log")
    axes.yaxis.set_major_formatter("{x:.1%}")
    axes.set_xlabel("days to expiry")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("Rate and carry by expiry slice", fontsize=10, loc="left")
    return png_bytes(figure, dpi=dpi)


def greek_picture(grid: pa.Table, greeks: Sequence[str], *, dpi: int = 80) -> bytes:
    """Draw vol and Greeks over constant maturities and put deltas as heat maps.

    Parameters
    ----------
    grid : pyarrow.Table
        One snapshot, `tables.GREEK_SURFACE` schema.
    greeks : sequence of str
        Columns to draw beside the vol.
    dpi : int
        Dots per inch.
    """
    rows = grid.filter(pa.compute.equal(grid["axis"], "put_delta"))
    if rows.num_rows == 0:
        return sentence("the grid has no point", dpi=dpi)
    tenor, delta = rows["tenor_days"].to_numpy(), rows["coordinate"].to_numpy()
    tenors, deltas = np.unique(tenor), np.unique(delta)
    place = np.searchsorted(deltas, delta), np.searchsorted(tenors, tenor)
    names = ("implied_vol", *greeks)
    figure = empty_figure(3.6 * len(names), 3.0)
    figure.subplots_adjust(left=0.06, right=0.985, top=0.9, bottom=0.1, wspace=0.2)
    for number, name in enumerate(names, start=1):
        values = np.full((deltas.size, tenors.size), np.nan)
        values[place] = rows[name].to_numpy()
        axes = figure.add_subplot(1, len(names), number)
        mesh = axes.imshow(values, aspect="auto", cmap="viridis", origin="lower")
        axes.set_xticks(range(tenors.size), [f"{t:g}d" for t in tenors], fontsize=_SMALL)
        shown = range(0, deltas.size, 3)
        axes.set_yticks(shown, [f"{deltas[i]:.0%}" for i in shown], fontsize=_SMALL)
        axes.set_title(name.replace("_", " "), fontsize=9, loc="left")
        axes.set_ylabel("put delta" if number == 1 else "", fontsize=8)
        figure.colorbar(mesh, ax=axes).ax.tick_params(labelsize=_SMALL)
    return png_bytes(figure, dpi=dpi)

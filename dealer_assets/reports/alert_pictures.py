"""Picture of a session's alerts: when which rule spoke, and what became of it.

Belongs here: drawing. Does not belong here: words of single alerts (`alert_views`), rules.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from dealer_assets.reports.palette import AMBER, BLUE, GREY, INK, RUST
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

_LEAST_MARGIN = timedelta(minutes=5)
"""Left and right of what is drawn: a single instant has no width to choose ticks by."""

_COLOURS = {"notice": BLUE, "warning": AMBER, "severe": RUST}


def alerts_picture(rows: pa.Table, *, dpi: int = 80) -> bytes:
    """Draw alerts over time, a line a rule, coloured by severity.

    Full: open; hollow: resolved; crosses: historical, never sent. A bar leads to where a condition
    was last seen.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ALERTS` of one partition; zero rows draw an empty frame that says so.
    dpi : int
        Dots per inch; the figure is 7.5 inches wide.

    Returns
    -------
    bytes
        PNG.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.lines import Line2D

    if not rows.num_rows:
        return sentence("no alert", dpi=dpi)
    last = {row["alert_id"]: row for row in rows.sort_by("step").to_pylist()}
    rules = sorted({row["rule"] for row in last.values()}, reverse=True)
    figure, axes = drawing(7.5, 1.4 + 0.35 * len(rules), left=1.75)
    for row in last.values():
        y, colour = rules.index(row["rule"]), _COLOURS[row["severity"]]
        if row["last_seen_at"] is not None:
            ends = [row["alert_at"], max(row["last_seen_at"], row["alert_at"])]
            axes.plot(ends, [y, y], color=colour, linewidth=3, alpha=0.3, solid_capstyle="butt")
        marker = "x" if row["is_historical"] else "o"
        face = "none" if row["state"] == "resolved" and marker == "o" else colour
        axes.plot(
            row["alert_at"], y, marker, color=colour, markerfacecolor=face, markersize=7, zorder=3
        )
    axes.set_yticks(range(len(rules)), [rule.replace("_", " ") for rule in rules])
    axes.set_ylim(-0.6, len(rules) - 0.4)
    shown = [at for row in last.values() for at in (row["alert_at"], row["last_seen_at"]) if at]
    margin = max((max(shown) - min(shown)) / 20, _LEAST_MARGIN)
    axes.set_xlim(min(shown) - margin, max(shown) + margin)
    locator = AutoDateLocator(minticks=3)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))  # type: ignore[no-untyped-call]
    axes.set_xlabel("UTC", fontsize=8)
    axes.grid(axis="y", color=GREY, alpha=0.2)
    found = [s for s in _COLOURS if any(row["severity"] == s for row in last.values())]
    handles = [Line2D([], [], color=_COLOURS[s], marker="o", linestyle="", label=s) for s in found]
    if any(row["state"] == "resolved" and not row["is_historical"] for row in last.values()):
        handles.append(
            Line2D([], [], color=GREY, marker="o", mfc="none", linestyle="", label="resolved")
        )
    if any(row["is_historical"] for row in last.values()):
        handles.append(Line2D([], [], color=GREY, marker="x", linestyle="", label="historical"))
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=8)
    axes.set_title(f"{len(last)} alerts", fontsize=10, loc="left", color=INK)
    return png_bytes(figure, dpi=dpi)

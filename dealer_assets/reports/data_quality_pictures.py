"""Pictures of data problems as PNG bytes, and their counts.

Belongs here: drawing which kinds were found when. Does not belong here: finding them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from dealer_assets.reports.palette import AMBER, GREY, RUST
from dealer_assets.reports.pictures import drawing, png_bytes, sentence

_MOST_INSTANTS = 400


def kinds_counted(rows: pa.Table) -> dict[str, int]:
    """Return how many snapshots each kind was found in, by kind; `tables.DATA_ANOMALIES` rows."""
    return dict(sorted(Counter(rows["kind"].to_pylist()).items()))


def anomalies_picture(rows: pa.Table, snapshots: Sequence[datetime], *, dpi: int = 80) -> bytes:
    """Draw kinds against snapshots: a mark where a kind was found, darker where it blocks.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.DATA_ANOMALIES` of a session, or of several.
    snapshots : sequence of datetime.datetime
        UTC instants that were judged.
    dpi : int
        Dots per inch; the figure is 7.5 inches wide.

    Returns
    -------
    bytes
        PNG.
    """
    if not rows.num_rows:
        return sentence(f"nothing wrong with the data of {len(snapshots)} snapshots", dpi=dpi)
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    found = rows.to_pylist()
    kinds = sorted({row["kind"] for row in found}, reverse=True)
    figure, axes = drawing(7.5, 1.2 + 0.3 * len(kinds), left=1.9)
    instants = sorted({*snapshots, *(row["event_at"] for row in found)})[-_MOST_INSTANTS:]
    at = np.array([t.replace(tzinfo=None) for t in instants], "datetime64[us]")
    for place in range(len(kinds)):
        axes.scatter(at, np.full(at.size, place), marker="|", s=30, color=GREY, alpha=0.35)
    for action, colour in (("block", RUST), ("flag", AMBER)):
        some = [row for row in found if row["action"] == action and row["event_at"] in instants]
        axes.scatter(
            np.array([row["event_at"].replace(tzinfo=None) for row in some], "datetime64[us]"),
            [kinds.index(row["kind"]) for row in some],
            s=[18.0 + 60.0 * row["share"] for row in some],
            color=colour,
            label=action,
            zorder=3,
        )
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], fontsize=8)
    axes.set_ylim(-0.7, len(kinds) - 0.3)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("UTC; size: share of the contracts")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    axes.set_title(f"Data problems: {found[0]['underlying']}", fontsize=10, loc="right")
    return png_bytes(figure, dpi=dpi)

"""The BTC figures and the picture of `docs/methods/underlying_scores.md`.

Belongs here: from a lake that `make_regime_study` filled to scores of every poll, counts and the
picture. Does not belong here: any formula. Run as a module with the lake's folder and the picture's
file; the lake gets one more table.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived.measuring import SESSION_SOURCES, measuring, session_rows
from dealer_assets.domain.columns import floats
from dealer_assets.lake.reader import sessions_held
from dealer_assets.lake.refresh import refresh_snapshots
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.reports.measure_pictures import calendar_picture
from dealer_assets.underlyings import underlying

LOG = logging.getLogger("study")
ASSET = underlying("BTC")
MODEL = "naive"
SOURCES = (tables.CHAIN_SNAPSHOTS, tables.EXPOSURE_LEVELS, tables.VOL_SURFACE)
"""Without data anomalies: the recorded months are scored as they are."""


def score(lake: Lake) -> pa.Table:
    """Score every session in order, and return all rows."""
    no_anomaly = {"data_anomalies": tables.DATA_ANOMALIES.schema.empty_table()}
    found = [tables.UNDERLYING_SCORES.schema.empty_table()]
    for day in sessions_held(lake, tables.EXPOSURE_LEVELS, ASSET.symbol):
        derive = measuring(lake, ASSET, day, model=MODEL)
        refresh_snapshots(
            lake,
            tables.UNDERLYING_SCORES,
            sources=SOURCES,
            session_sources=SESSION_SOURCES,
            underlying=ASSET.symbol,
            session_date=day,
            derive=lambda rows, d=derive: d.derive({**rows, **no_anomaly}),  # type: ignore[misc]
            options=derive.options,
        )
        found.append(session_rows(lake, ASSET, day))
    return pa.concat_tables(found)


def report(rows: pa.Table) -> None:
    """Log alert rates, by poll, session and measure, beside the plain rule's."""
    judged = rows.filter(pc.equal(rows["status"], "ok"))
    marked = judged.filter(judged["is_anomaly"])
    plain = judged.filter(pa.array(np.abs(floats(judged, "z")) > 3.0))
    for name, chosen in (("judged", judged), ("anomalies", marked), ("|z| > 3", plain)):
        polls, days = (pc.count_distinct(chosen[c]).as_py() for c in ("event_at", "session_date"))
        LOG.info("%s: %d rows, %d polls, %d sessions", name, chosen.num_rows, polls, days)
    LOG.info("severities %s", Counter(marked["severity"].to_pylist()))
    LOG.info("history %s", Counter(judged["history_from"].to_pylist()))
    for name in sorted(set(judged["measure"].to_pylist())):
        own = judged.filter(pc.equal(judged["measure"], name))
        p = floats(own, "p_value")
        LOG.info(
            "%-24s %4d judged, p <= 5 %%: %.3f, 1 %%: %.3f, anomalies %d",
            *(name, own.num_rows, np.mean(p <= 0.05), np.mean(p <= 0.01)),
            sum(own["is_anomaly"].to_pylist()),
        )
    for day in sorted(set(marked["session_date"].to_pylist())):
        own = marked.filter(pc.equal(marked["session_date"], day)).sort_by("p_value")
        names = list(dict.fromkeys(own["measure"].to_pylist()))
        LOG.info("%s %s; %s", day, ", ".join(names), own["words"][0].as_py())


def main() -> None:
    """Score, report, draw."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("lake")
    parser.add_argument("picture", type=Path)
    asked = parser.parse_args()
    begun = time.process_time()
    rows = score(open_lake(asked.lake))
    LOG.info("%.0f s of CPU", time.process_time() - begun)
    report(rows)
    asked.picture.write_bytes(calendar_picture(rows, dpi=110))


if __name__ == "__main__":
    main()

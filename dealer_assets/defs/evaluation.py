"""The evaluation asset: what the session's anomaly scores were worth.

Belongs here: the asset shell. Does not belong here: what is read (`derived/evaluating.py`), put in
and counted (`domain/anomaly`), drawing (`reports`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import evaluating
from dealer_assets.lake.refresh import Refreshed


@lane_assets(
    tables.ANOMALY_EVALUATION,
    sources=[tables.CONTRACT_FEATURES, tables.FEATURE_BASELINES, tables.OPEN_INTEREST],
    group="anomalies",
    kinds={"numpy"},
)
def anomaly_evaluation(lane: Lane) -> Result:
    """Put anomalies of known size into copies of the session, and count what the scores find.

    Beside a plain z > 3 and p-values without control; and whether the next morning's open interest
    confirms what was flagged. Nothing is fetched.
    """
    from dealer_assets.reports.evaluation_pictures import evaluation_picture, evaluation_words

    asset, day = lane.underlying, lane.session_date
    done = evaluating.evaluate_session(lane.lake, asset, day, now=lane.platform.now())
    recent = evaluating.recent_evaluations(lane.lake, asset, day)
    written = ("session",) if done.status == "stored" else ()
    return lane.result(
        Refreshed(written, int(done.status == "current"), 0, done.rows.num_rows),
        {
            "status": done.status,
            "report": evaluation_words(done.rows),
            "recent_sessions": evaluation_words(recent),
            "picture": lane.picture(lambda: evaluation_picture(recent)),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=anomaly_evaluation)

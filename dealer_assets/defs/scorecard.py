"""The scorecard asset: how the session's levels fared, beside random ones.

Belongs here: the asset shell. Does not belong here: outcomes and chance (`domain/scorecard`),
reading more than one session (`level_history`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import level_history
from dealer_assets.lake.refresh import Refreshed
from dealer_assets.reports.pin_pictures import score_picture, score_words


@lane_assets(
    tables.LEVEL_SCORES,
    sources=[tables.EXPOSURE_LEVELS, tables.INDEX_VALUES],
    from_previous=[tables.EXPOSURE_LEVELS, tables.PIN_LEVELS, tables.LEVEL_SCORES],
    group="exposure",
)
def level_scores(lane: Lane) -> Result:
    """How the levels of the session before fared in this one, beside matched random levels.

    Levels and pins are those of the session before, prices those of this session.
    """
    done = level_history.score_session(
        lane.lake, lane.underlying, lane.session_date, now=lane.platform.now()
    )
    written = ("session",) if done.status == "stored" else ()
    return lane.result(
        Refreshed(written, int(not written), 0, done.rows.num_rows),
        {
            "status": done.status,
            "trailing": score_words(done.rows),
            "picture": lane.picture(lambda: score_picture(done.rows)),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=level_scores)

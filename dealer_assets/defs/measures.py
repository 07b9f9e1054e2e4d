"""The asset of an underlying's measures: what its chain tells at a poll, and how unusual it is.

Belongs here: the asset shell and what its page shows. Does not belong here: measures and scores
(`domain/anomaly/underlying`), reading earlier sessions (`derived/measuring`), drawing.
"""

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import measuring
from dealer_assets.reports.measure_pictures import standing_picture
from dealer_assets.reports.measure_wording import measure_metadata


@lane_assets(
    tables.UNDERLYING_SCORES,
    sources=measuring.SOURCES,
    session_sources=measuring.SESSION_SOURCES,
    # so that a backfill scores every earlier session before this one's history is read
    from_previous=(tables.UNDERLYING_SCORES,),
    group="anomalies",
    kinds={"numpy"},
)
def underlying_scores(lane: Lane) -> Result:
    """Score flip, gamma, smile, term structure, volume of each poll against the last sessions."""
    found = measuring.measuring(
        lane.lake, lane.underlying, lane.session_date, model=lane.platform.settings.model
    )
    done = lane.refresh(found.derive, found.options)
    polls = measuring.session_rows(lane.lake, lane.underlying, lane.session_date)
    picture = lane.picture(lambda: standing_picture(polls))
    return lane.result(done, {**measure_metadata(polls), "standing": picture})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*underlying_scores])

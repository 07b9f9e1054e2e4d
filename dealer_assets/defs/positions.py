"""Assets of dealers' settled positions and of their daily score.

Belongs here: asset shells. Does not belong here: what is read (`settling`, `scoring`), what
follows from it (`domain/positions`), drawing (`reports`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import scoring, settling
from dealer_assets.lake.refresh import Refreshed


@lane_assets(
    tables.DEALER_POSITIONS,
    sources=[tables.CHAIN_SNAPSHOTS, tables.OPEN_INTEREST],
    from_previous=[tables.SIGNED_FLOW, tables.DEALER_POSITIONS],
    group="positions",
    kinds={"numpy"},
)
def dealer_positions(lane: Lane) -> Result:
    """Settle dealers' position of every contract the session opens with, with its error.

    From the positions, flow and block legs of the session before, and both mornings' open
    interest. Nothing is fetched; a gap starts again from the prior, and says so.
    """
    from dealer_assets.reports.position_pictures import positions_picture

    done = settling.settle_session(lane.lake, lane.underlying, lane.session_date)
    picture = lane.picture(lambda: positions_picture(done.rows))
    written = ("session",) if done.status == "stored" else ()
    return lane.result(
        Refreshed(written, int(done.status == "current"), 0, done.rows.num_rows),
        {"picture": picture, **settling.described(done)},
    )


@lane_assets(
    tables.POSITION_SCORES,
    sources=[tables.DEALER_POSITIONS, tables.SIGNED_FLOW, tables.OPEN_INTEREST],
    from_previous=[tables.POSITION_SCORES],
    group="positions",
    kinds={"numpy"},
)
def position_scores(lane: Lane) -> Result:
    """Score the session's positions and flow by the next morning's open interest.

    Signs are scored where the venue tells the taker, intervals where the truth is known.
    """
    from dealer_assets.reports.position_pictures import scores_picture

    asset, day, config = lane.underlying, lane.session_date, lane.platform.settings
    market = scoring.Market(config.simulator_seed, config.simulator_density)
    done = scoring.score_session(lane.lake, asset, day, market=market)
    recent = scoring.recent_scores(lane.lake, asset, day)
    written = ("session",) if done.status == "stored" else ()
    return lane.result(
        Refreshed(written, int(done.status == "current"), 0, done.rows.num_rows),
        {"picture": lane.picture(lambda: scores_picture(recent)), "status": done.status},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*dealer_positions, *position_scores])

"""History assets: what a session's snapshots sum up to.

Belongs here: asset shells. Does not belong here: the arithmetic (`domain/history.py`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain import history


@lane_assets(tables.VOLUME_DELTAS, sources=[tables.CHAIN_SNAPSHOTS], group="history")
def volume_deltas(lane: Lane) -> Result:
    """Contracts traded between snapshots; the first of a session is its cumulative volume."""
    done = lane.refresh(lambda rows: history.volume_deltas(rows["chain_snapshots"]))
    return lane.result(done)


@lane_assets(
    tables.DAILY_HISTORY,
    sources=[tables.CHAIN_SNAPSHOTS, tables.VOLUME_DELTAS, tables.CONTRACT_GREEKS],
    group="history",
)
def daily_history(lane: Lane) -> Result:
    """Last snapshot of every contract of a session, with the session's volume."""
    done = lane.refresh(
        lambda rows: history.daily_history(
            rows["chain_snapshots"], rows["volume_deltas"], priced=rows["contract_greeks"]
        )
    )
    return lane.result(done, history.summary(lane.newest()))


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*volume_deltas, *daily_history])

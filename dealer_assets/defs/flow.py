"""The signed flow asset: what customers bought net in a session, contract by contract.

Belongs here: the asset shell. Does not belong here: which source is read (`evidence`), sides and
sums (`domain/flow`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import evidence


@lane_assets(tables.SIGNED_FLOW, sources=evidence.SOURCES, group="flow")
def signed_flow(lane: Lane) -> Result:
    """Add up customers' net buying by contract, with its error.

    From the published tape where it is held, else from live trades; market makers' own counts
    stand beside them. Nothing is fetched.
    """
    from dealer_assets.reports.flow_pictures import signed_flow_picture

    done = lane.refresh(lambda r: evidence.session_flow(r, lane.underlying, lane.session_date))
    flow = lane.newest()
    picture = lane.picture(lambda: signed_flow_picture(flow))
    return lane.result(done, {"picture": picture, **evidence.described(flow)})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*signed_flow])

"""Chain assets: what was quoted.

Belongs here: the asset that asks the provider. Does not belong here: merging and storing
(`ingest`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.ingest import collect
from dealer_assets.lake.refresh import Refreshed


@lane_assets(tables.CHAIN_SNAPSHOTS, group="ingest")
def chain_snapshots(lane: Lane) -> Result:
    """Option chains as quoted; the running session gains its newest snapshot, a past one stays."""
    outcomes = collect(
        lane.lake,
        lane.platform.provider(),
        symbol=lane.underlying.symbol,
        session_date=lane.session_date,
        now=lane.platform.now(),
        per_session=lane.platform.settings.simulator_snapshots,
    )
    stored = tuple(o.event_at.strftime("%H%M%S.parquet") for o in outcomes if o.event_at)
    done = Refreshed(stored, 0, 0, sum(o.contracts for o in outcomes))
    newest = lane.newest()
    return lane.result(
        done,
        {
            "provider": newest["provider"][0].as_py(),
            "spot": newest["spot"][0].as_py() or float("nan"),
            "rejected_rows": sum(o.rejected for o in outcomes),
            "findings": ", ".join(f.code for o in outcomes for f in o.findings) or "none",
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=chain_snapshots)

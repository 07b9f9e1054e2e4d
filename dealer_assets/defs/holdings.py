"""Assets of published holdings: open interest kept day by day, OCC's volume by account.

Belongs here: asset shells. Does not belong here: who publishes what (`providers`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.intake.history import archive_open_interest
from dealer_assets.intake.published import collect_account_volume, collect_open_interest
from dealer_assets.lake.refresh import Refreshed


@lane_assets(tables.OPEN_INTEREST, sources=[tables.CHAIN_SNAPSHOTS], group="holdings")
def open_interest(lane: Lane) -> Result:
    """Open interest of the session from its chain, and from OCC where that is asked."""
    kept = archive_open_interest(lane.lake, lane.underlying, session_date=lane.session_date)
    now = lane.platform.now()
    with lane.platform.occ() as occ:
        also = collect_open_interest(lane.lake, occ, lane.underlying, lane.session_date, now=now)
    rows = sum(outcome.contracts for outcome in (kept, *also.outcomes) if outcome)
    written = tuple(o.source for o in (kept, *also.outcomes) if o and o.status == "stored")
    return lane.result(Refreshed(written, 0, 0, rows), {"occ": also.detail})


@lane_assets(tables.ACCOUNT_VOLUME, group="holdings")
def account_volume(lane: Lane) -> Result:
    """OCC's cleared volume by type of account; published the morning after."""
    now = lane.platform.now()
    with lane.platform.occ() as occ:
        done = collect_account_volume(lane.lake, occ, lane.underlying, lane.session_date, now=now)
    written = tuple(o.source for o in done.outcomes if o.status == "stored")
    rows = sum(outcome.contracts for outcome in done.outcomes)
    return lane.result(Refreshed(written, 0, 0, rows), {"occ": done.detail})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*open_interest, *account_volume])

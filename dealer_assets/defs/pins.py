"""Pin assets: which strikes pull or push, and what changed at them.

Belongs here: asset shells. Does not belong here: kernels and splits (`domain/exposure`), drawing
(`reports`).
"""

from __future__ import annotations

import dagster as dg
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.exposure import changes, pins
from dealer_assets.lake.refresh import PREVIOUS, Inputs
from dealer_assets.level_history import exposure_before
from dealer_assets.reports.pin_pictures import alert_words, change_picture, pin_picture, pin_words


@lane_assets(
    tables.PIN_LEVELS,
    sources=[tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS],
    group="exposure",
    kinds={"numpy"},
)
def pin_levels(lane: Lane) -> Result:
    """Pin force of every strike: where hedging pulls spot, where it pushes it away."""
    done = lane.refresh(
        lambda rows: pins.pin_levels(rows["dealer_exposure"], rows["exposure_levels"])
    )
    newest = lane.newest()
    picture = lane.picture(lambda: pin_picture(newest))
    return lane.result(done, {"pins": pin_words(newest), "force_by_strike": picture})


@lane_assets(
    tables.STRIKE_CHANGES,
    sources=[tables.DEALER_EXPOSURE, tables.PIN_LEVELS],
    group="exposure",
    kinds={"numpy"},
)
def strike_changes(lane: Lane) -> Result:
    """Compare every strike with the snapshot before: did positions change it, or prices alone."""

    def changed(rows: Inputs) -> pa.Table:
        previous = rows[PREVIOUS]
        symbol, day = lane.underlying.symbol, lane.session_date
        before = exposure_before(lane.lake, symbol, day, previous)
        return changes.strike_changes(
            rows["dealer_exposure"], rows["pin_levels"], before=before, previous=previous
        )

    done = lane.refresh(changed, with_previous=True)
    newest = lane.newest()
    picture = lane.picture(lambda: change_picture(newest))
    return lane.result(done, {"alerts": alert_words(newest), "changes": picture})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*pin_levels, *strike_changes])

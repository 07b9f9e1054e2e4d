"""Pin assets: which strikes pull or push, and what changed at them.

Belongs here: asset shells. Does not belong here: kernels and splits (`domain/exposure`), drawing
(`reports`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.exposure import changes, pins
from dealer_assets.lake.refresh import PREVIOUS, before_of
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
    exposure = tables.DEALER_EXPOSURE
    done = lane.refresh(
        lambda rows: changes.strike_changes(
            rows["dealer_exposure"],
            rows["pin_levels"],
            before=rows[before_of(exposure)],
            previous=rows[PREVIOUS],
        ),
        with_previous=True,
        previous_sources=[exposure],
    )
    newest = lane.newest()
    picture = lane.picture(lambda: change_picture(newest))
    return lane.result(done, {"alerts": alert_words(newest), "changes": picture})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*pin_levels, *strike_changes])

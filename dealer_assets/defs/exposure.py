"""Exposure assets: what the dealers hold, and the levels that follow.

Belongs here: asset shells and what their pages show. Does not belong here: formulas
(`domain/exposure`) or drawing (`reports`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.exposure.snapshot import exposures_of, levels_of, profile_of
from dealer_assets.reports.pictures import markdown_image, profile_picture, strike_picture
from dealer_assets.reports.wording import level_metadata


@lane_assets(
    tables.DEALER_EXPOSURE, sources=[tables.CONTRACT_GREEKS], group="exposure", kinds={"numpy"}
)
def dealer_exposure(lane: Lane) -> Result:
    """Dealer delta, gamma, vanna, charm and volga in USD by strike, expiry and right."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: exposures_of(rows["contract_greeks"], model=model), {"model": model}
    )
    picture = markdown_image(strike_picture(lane.newest()))
    return lane.result(done, {"model": model, "gamma_by_strike": dg.MetadataValue.md(picture)})


@lane_assets(
    tables.GAMMA_PROFILE, sources=[tables.CONTRACT_GREEKS], group="exposure", kinds={"numpy"}
)
def gamma_profile(lane: Lane) -> Result:
    """Net dealer gamma re-priced over spot levels."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: profile_of(rows["contract_greeks"], model=model), {"model": model}
    )
    return lane.result(done, {"model": model})


@lane_assets(
    tables.EXPOSURE_LEVELS,
    sources=[tables.CHAIN_SNAPSHOTS, tables.CONTRACT_GREEKS],
    also_after=[tables.GAMMA_PROFILE],
    group="exposure",
    kinds={"numpy"},
)
def exposure_levels(lane: Lane) -> Result:
    """Net exposures, zero-gamma level with its status, walls, max pain and quality."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: levels_of(rows["chain_snapshots"], rows["contract_greeks"], model=model),
        {"model": model},
    )
    levels = lane.newest()
    picture = markdown_image(profile_picture(lane.newest(tables.GAMMA_PROFILE), levels))
    shown = {"gamma_profile": dg.MetadataValue.md(picture), **level_metadata(levels)}
    return lane.result(done, shown)


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*dealer_exposure, *gamma_profile, *exposure_levels])

"""Exposure assets: what the dealers hold, and the levels that follow.

Belongs here: asset shells and what their pages show. Does not belong here: formulas
(`domain/exposure`) or drawing (`reports`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.exposure.fitted import Fitted, fitted_of
from dealer_assets.domain.exposure.snapshot import (
    band_of,
    exposures_of,
    levels_of,
    profile_of,
    scenarios_of,
)
from dealer_assets.lake.refresh import Inputs
from dealer_assets.reports.pictures import profile_picture, strike_picture
from dealer_assets.reports.uncertainty_pictures import band_picture, scenario_picture
from dealer_assets.reports.wording import level_metadata

_PRICED = (tables.CONTRACT_GREEKS, tables.SURFACE_QUALITY)
"""Quality is a source: a snapshot whose surface a blocking check stops has no exposure."""

_FITTED = (tables.FORWARDS, tables.VOL_SURFACE)


@lane_assets(tables.DEALER_EXPOSURE, sources=_PRICED, group="exposure", kinds={"numpy"})
def dealer_exposure(lane: Lane) -> Result:
    """Dealer delta, gamma, vanna, charm and volga in USD by strike, expiry and right."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: exposures_of(rows["contract_greeks"], model=model), {"model": model}
    )
    picture = lane.picture(lambda: strike_picture(lane.newest()))
    return lane.result(done, {"model": model, "gamma_by_strike": picture})


@lane_assets(tables.GAMMA_PROFILE, sources=(*_PRICED, *_FITTED), group="exposure", kinds={"numpy"})
def gamma_profile(lane: Lane) -> Result:
    """Net dealer gamma re-priced over spot levels, vols sticky by strike and by moneyness."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: profile_of(rows["contract_greeks"], model=model, market=_fitted(rows)),
        {"model": model},
    )
    return lane.result(done, {"model": model})


@lane_assets(
    tables.EXPOSURE_LEVELS,
    sources=(tables.CHAIN_SNAPSHOTS, *_PRICED, *_FITTED),
    also_after=(tables.GAMMA_PROFILE,),
    group="exposure",
    kinds={"numpy"},
)
def exposure_levels(lane: Lane) -> Result:
    """Net exposures, zero-gamma level with status and band, walls, expected move and quality."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: levels_of(
            rows["chain_snapshots"], rows["contract_greeks"], model=model, market=_fitted(rows)
        ),
        {"model": model},
    )
    levels = lane.newest()
    picture = lane.picture(lambda: profile_picture(lane.newest(tables.GAMMA_PROFILE), levels))
    return lane.result(done, {"gamma_profile": picture, **level_metadata(levels)})


@lane_assets(
    tables.LEVEL_BAND,
    sources=(tables.CHAIN_SNAPSHOTS, *_PRICED, *_FITTED),
    also_after=(tables.EXPOSURE_LEVELS,),
    group="exposure",
    kinds={"numpy"},
)
def level_band(lane: Lane) -> Result:
    """Levels under every declared convention: what choices alone move."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: band_of(
            rows["chain_snapshots"], rows["contract_greeks"], model=model, market=_fitted(rows)
        ),
        {"model": model},
    )
    picture = lane.picture(lambda: band_picture(lane.newest(), lane.newest(tables.EXPOSURE_LEVELS)))
    return lane.result(done, {"model": model, "flips": picture})


@lane_assets(tables.SCENARIO_GRID, sources=_PRICED, group="exposure", kinds={"numpy"})
def scenario_grid(lane: Lane) -> Result:
    """Re-price the book over spot, vol and time: what dealers would be forced to trade."""
    model = lane.platform.settings.model
    done = lane.refresh(
        lambda rows: scenarios_of(rows["contract_greeks"], model=model), {"model": model}
    )
    picture = lane.picture(lambda: scenario_picture(lane.newest()))
    return lane.result(done, {"model": model, "forced_flow": picture})


def _fitted(rows: Inputs) -> Fitted:
    return fitted_of(rows["forwards"], rows["vol_surface"], rows["surface_quality"])


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(
        assets=[
            *dealer_exposure,
            *gamma_profile,
            *exposure_levels,
            *level_band,
            *scenario_grid,
        ]
    )

"""Exposure assets: what the dealers hold, and the levels that follow.

Belongs here: asset shells and what their pages show. Does not belong here: formulas
(`domain/exposure`) or drawing (`reports`).

Every configured model has its own rows; conventions are varied for the headline model only, and its
bands are the whole ones. Models that estimate positions read those settled for the session; where
none are held they are left out, and the asset's page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import dagster as dg
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Metadata, Result, lane_assets
from dealer_assets.domain.exposure.fitted import Fitted, fitted_of
from dealer_assets.domain.exposure.side_by_side import (
    chosen_models,
    left_out,
    reads_settled,
    side_by_side,
)
from dealer_assets.domain.exposure.snapshot import (
    band_of,
    exposures_of,
    levels_of,
    profile_of,
    scenarios_of,
)
from dealer_assets.lake.refresh import Inputs, Refreshed
from dealer_assets.reports.pictures import profile_picture, strike_picture
from dealer_assets.reports.uncertainty_pictures import band_picture, scenario_picture
from dealer_assets.reports.wording import level_metadata, models_markdown, models_metadata

_PRICED = (tables.CONTRACT_GREEKS, tables.SURFACE_QUALITY)
"""Quality is a source: a snapshot whose surface a blocking check stops has no exposure."""

_FITTED = (tables.FORWARDS, tables.VOL_SURFACE)

_SETTLED = (tables.DEALER_POSITIONS,)


@lane_assets(
    tables.DEALER_EXPOSURE,
    sources=_PRICED,
    session_sources=_SETTLED,
    group="exposure",
    kinds={"numpy"},
)
def dealer_exposure(lane: Lane) -> Result:
    """Dealer delta, gamma, vanna, charm and volga in USD by strike, expiry and right."""
    done = _refresh(
        lane,
        lambda model, rows: exposures_of(
            rows["contract_greeks"], model=model, settled=_settled(rows)
        ),
    )
    headline = lane.platform.settings.model
    picture = lane.picture(lambda: strike_picture(lane.newest(), headline=headline))
    return lane.result(done, {**_said(lane), "gamma_by_strike": picture})


@lane_assets(
    tables.GAMMA_PROFILE,
    sources=(*_PRICED, *_FITTED),
    session_sources=_SETTLED,
    group="exposure",
    kinds={"numpy"},
)
def gamma_profile(lane: Lane) -> Result:
    """Net dealer gamma re-priced over spot levels, vols sticky by strike and by moneyness."""
    done = _refresh(
        lane,
        lambda model, rows: profile_of(
            rows["contract_greeks"],
            model=model,
            settled=_settled(rows),
            market=_fitted(rows),
        ),
    )
    return lane.result(done, _said(lane))


@lane_assets(
    tables.EXPOSURE_LEVELS,
    sources=(tables.CHAIN_SNAPSHOTS, *_PRICED, *_FITTED),
    session_sources=_SETTLED,
    also_after=(tables.GAMMA_PROFILE,),
    group="exposure",
    kinds={"numpy"},
)
def exposure_levels(lane: Lane) -> Result:
    """Net exposures, zero-gamma level with status and band, walls, expected move and quality."""
    headline = lane.platform.settings.model
    done = _refresh(
        lane,
        lambda model, rows: levels_of(
            rows["chain_snapshots"],
            rows["contract_greeks"],
            model=model,
            settled=_settled(rows),
            market=_fitted(rows),
            conventions=model == headline,
        ),
        options={"headline": headline},
    )
    levels = lane.newest()
    picture = lane.picture(
        lambda: profile_picture(lane.newest(tables.GAMMA_PROFILE), levels, headline=headline)
    )
    shown = {"gamma_profile": picture, **level_metadata(levels, headline=headline)}
    shown["levels_by_model"] = dg.MetadataValue.md(models_markdown(levels))
    return lane.result(done, {**_said(lane), **shown})


@lane_assets(
    tables.LEVEL_BAND,
    sources=(tables.CHAIN_SNAPSHOTS, *_PRICED, *_FITTED),
    session_sources=_SETTLED,
    also_after=(tables.EXPOSURE_LEVELS,),
    group="exposure",
    kinds={"numpy"},
)
def level_band(lane: Lane) -> Result:
    """Levels under every declared convention: what choices alone move."""
    headline = lane.platform.settings.model
    done = _refresh(
        lane,
        lambda model, rows: band_of(
            rows["chain_snapshots"],
            rows["contract_greeks"],
            model=model,
            settled=_settled(rows),
            market=_fitted(rows),
        ),
        models=(headline,),
    )
    picture = lane.picture(
        lambda: band_picture(lane.newest(), lane.newest(tables.EXPOSURE_LEVELS), headline=headline)
    )
    return lane.result(done, {**_said(lane, models=(headline,)), "flips": picture})


@lane_assets(
    tables.SCENARIO_GRID,
    sources=_PRICED,
    session_sources=_SETTLED,
    group="exposure",
    kinds={"numpy"},
)
def scenario_grid(lane: Lane) -> Result:
    """Re-price the book over spot, vol and time: what dealers would be forced to trade."""
    done = _refresh(
        lane,
        lambda model, rows: scenarios_of(
            rows["contract_greeks"], model=model, settled=_settled(rows)
        ),
    )
    headline = lane.platform.settings.model
    picture = lane.picture(lambda: scenario_picture(lane.newest(), headline=headline))
    return lane.result(done, {**_said(lane), "forced_flow": picture})


def _models(lane: Lane) -> tuple[str, ...]:
    configured = lane.platform.settings
    return chosen_models(configured.model, configured.models)


def _refresh(
    lane: Lane,
    derive: Callable[[str, Inputs], pa.Table],
    *,
    models: Sequence[str] | None = None,
    options: Mapping[str, str] = {},
) -> Refreshed:
    """Derive the rows of every model; positions are an input only where a model reads them."""
    wanted = _models(lane) if models is None else models
    return lane.refresh(
        lambda rows: side_by_side(wanted, lambda model: derive(model, rows)),
        {"models": ",".join(sorted(wanted)), **options},
        session_sources=lane.session_sources if reads_settled(wanted) else (),
    )


def _said(lane: Lane, *, models: Sequence[str] | None = None) -> Metadata:
    """Say which models there are, and of those left out why."""
    wanted = _models(lane) if models is None else models
    missing = left_out(wanted, lane.newest(tables.DEALER_POSITIONS))
    return models_metadata(wanted, headline=lane.platform.settings.model, missing=missing)


def _settled(rows: Inputs) -> pa.Table | None:
    return rows.get(tables.DEALER_POSITIONS.name)


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

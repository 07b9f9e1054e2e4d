"""Surface assets: the fitted smiles, their quality, and the grid with Greeks.

Belongs here: asset shells and what their pages show. Does not belong here: fitting
(`domain/surface`) or drawing (`reports`).
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.surface.quotes import chain_quotes
from dealer_assets.domain.surface.rows import grid_of, quality_of, surface_of
from dealer_assets.lake.refresh import PREVIOUS
from dealer_assets.reports.surface_pictures import (
    Smile,
    chosen,
    greek_picture,
    smile_picture,
    smiles_of,
    variance_picture,
)
from dealer_assets.reports.wording import surface_metadata

_QUOTED = (tables.CHAIN_SNAPSHOTS, tables.CONTRACT_GREEKS)


@lane_assets(tables.VOL_SURFACE, sources=_QUOTED, group="surface", kinds={"numpy"})
def vol_surface(lane: Lane) -> Result:
    """Arbitrage-free smiles of every expiry slice; an earlier fit stands in, flagged with age."""
    done = lane.refresh(
        lambda rows: surface_of(rows["chain_snapshots"], rows["contract_greeks"], rows[PREVIOUS]),
        with_previous=True,
    )

    @cache  # quotes are inverted anew for the pictures: once, and only where they are drawn
    def smiles() -> list[Smile]:
        return smiles_of(lane.newest(), chain_quotes(*(lane.newest(table) for table in _QUOTED)))

    title = "Bid to ask, and the fitted smile"
    pictures = {
        "smiles": lane.picture(lambda: smile_picture(chosen(smiles()), title=title)),
        "total_variance": lane.picture(lambda: variance_picture(smiles(), title="Total variance")),
    }
    return lane.result(done, pictures)


@lane_assets(
    tables.SURFACE_QUALITY,
    sources=(*_QUOTED, tables.VOL_SURFACE),
    group="surface",
    kinds={"numpy"},
)
def surface_quality(lane: Lane) -> Result:
    """How well the surface describes its quotes; a blocking check stops exposures on a bad one."""
    done = lane.refresh(
        lambda rows: quality_of(
            rows["chain_snapshots"], rows["contract_greeks"], rows["vol_surface"]
        )
    )
    return lane.result(done, surface_metadata(lane.newest()))


@lane_assets(tables.GREEK_SURFACE, sources=[tables.VOL_SURFACE], group="surface", kinds={"numpy"})
def greek_surface(lane: Lane) -> Result:
    """Vol and Greeks at constant maturities, by moneyness and by delta."""
    done = lane.refresh(lambda rows: grid_of(rows["vol_surface"]))
    picture = lane.picture(lambda: greek_picture(lane.newest(), ("gamma", "vanna", "charm")))
    return lane.result(done, {"greeks": picture})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*vol_surface, *surface_quality, *greek_surface])

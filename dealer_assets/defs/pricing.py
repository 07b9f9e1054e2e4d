"""Pricing assets: our own vols and Greeks.

Belongs here: the asset shell. Does not belong here: any formula (`domain/pricing`).
"""

from __future__ import annotations

import dagster as dg
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.domain.pricing.chain import price_chain


@lane_assets(
    tables.CONTRACT_GREEKS, sources=[tables.CHAIN_SNAPSHOTS], group="pricing", kinds={"numpy"}
)
def contract_greeks(lane: Lane) -> Result:
    """Implied vols and Greeks of every live contract, priced from its own slice's forward."""
    done = lane.refresh(lambda rows: price_chain(rows["chain_snapshots"]))
    newest = lane.newest()
    sources = pc.value_counts(newest["iv_source"]).to_pylist()
    methods = pc.value_counts(newest["forward_method"]).to_pylist()
    return lane.result(
        done,
        {
            "vol_sources": {item["values"]: item["counts"] for item in sources},
            "forward_methods": {item["values"]: item["counts"] for item in methods},
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=contract_greeks)

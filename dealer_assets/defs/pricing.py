"""Pricing assets: forwards of the slices, then our own vols and Greeks.

Belongs here: the asset shell. Does not belong here: any formula (`domain/pricing`).
"""

from __future__ import annotations

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.curves import identity
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.defs.rates import TREASURY_KEY
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.reports.surface_pictures import forward_picture


@lane_assets(
    tables.FORWARDS,
    sources=[tables.CHAIN_SNAPSHOTS],
    needs=[TREASURY_KEY],
    group="pricing",
    kinds={"numpy"},
)
def forwards(lane: Lane) -> Result:
    """Forward, discount and carry of every expiry slice, from call-put parity and the curve."""
    choice = lane.rate_curve()
    done = lane.refresh(
        lambda rows: forwards_of(rows["chain_snapshots"], curve=choice.curve),
        {"rate_curve": identity(choice.curve), **_switches(lane)},
    )
    newest = lane.newest()
    return lane.result(
        done,
        {
            "rate_curve": f"{choice.status}, {choice.curve.date if choice.curve else 'no date'}",
            "methods": _counts(newest, "method"),
            "rate_sources": _counts(newest, "rate_source"),
            "term_structure": lane.picture(lambda: forward_picture(newest)),
        },
    )


@lane_assets(
    tables.CONTRACT_GREEKS,
    sources=[tables.CHAIN_SNAPSHOTS, tables.FORWARDS],
    needs=[TREASURY_KEY],
    group="pricing",
    kinds={"numpy"},
)
def contract_greeks(lane: Lane) -> Result:
    """Implied vols and Greeks of every live contract, priced from its own slice's forward."""
    done = lane.refresh(
        lambda rows: price_chain(rows["chain_snapshots"], rows["forwards"]), _switches(lane)
    )
    newest = lane.newest()
    return lane.result(
        done,
        {
            "vol_sources": _counts(newest, "iv_source"),
            "forward_methods": _counts(newest, "forward_method"),
            "pricing_models": _counts(newest, "pricing_model"),
        },
    )


def _switches(lane: Lane) -> dict[str, str]:
    """Name what the registry decides about pricing, so that a changed entry renews the parts."""
    return {"early_exercise": str(lane.underlying.prices_early_exercise)}


def _counts(rows: pa.Table, column: str) -> dict[str, int]:
    """Count the words of a column, for an asset's page."""
    return {item["values"]: item["counts"] for item in pc.value_counts(rows[column]).to_pylist()}


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*forwards, *contract_greeks])

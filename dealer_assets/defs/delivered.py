"""Tables that files fill: no run makes them, the inbox reports them.

Belongs here: their place in the lineage. Does not belong here: reading files (`imports`), or
watching for them (`sensors`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from dealer_assets import tables
from dealer_assets.intake.outcome import Outcome
from dealer_assets.settings import settings
from dealer_assets.underlyings import underlying

DELIVERED = (
    tables.OPEN_CLOSE,
    tables.FUTURES_OPTION_SETTLEMENTS,
    tables.SWAP_OPTION_REPORTS,
    tables.BLOCK_TRADES,
)
"""Tables that only a file dropped into the inbox, or `dealer import`, writes."""


def events_of(outcomes: Sequence[Outcome]) -> list[dg.AssetMaterialization]:
    """Report what a delivery stored as materializations of the tables it went into."""
    names = {table.name for table in DELIVERED}
    return [
        dg.AssetMaterialization(
            asset_key=dg.AssetKey([outcome.underlying, outcome.table]),
            partition=outcome.session_date.isoformat(),
            metadata={
                "source": outcome.source,
                "dagster/row_count": outcome.contracts,
                "rejected_rows": outcome.rejected,
                "is_complete": not outcome.is_partial,
                "findings": ", ".join(f.code for f in outcome.findings) or "none",
            },
        )
        for outcome in outcomes
        if outcome.table in names and outcome.underlying and outcome.session_date
    ]


@dg.definitions
def defs() -> dg.Definitions:
    """One external asset for each lane and table."""
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                dg.AssetKey([symbol, table.name]),
                description=f"{table.doc} Grain: {table.grain}. Comes from files.",
                group_name=symbol.lower(),
                kinds={"parquet"},
                tags={"layer": "delivered", "underlying": symbol},
            )
            for symbol in settings().lanes
            for table in DELIVERED
            if table is not tables.BLOCK_TRADES or underlying(symbol).kind != "crypto"
        ]
    )

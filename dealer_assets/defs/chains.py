"""Chain assets: what was quoted.

Belongs here: the asset that asks the provider. Does not belong here: merging and storing
(`collection`, `ingest`), judging what came (`derived/data_quality.py`).
"""

from __future__ import annotations

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived.data_quality import judge_session
from dealer_assets.intake.collection import collect
from dealer_assets.lake.refresh import Refreshed

_TAPE = (
    tables.LISTED_CONTRACTS,
    tables.INDEX_VALUES,
    tables.OPTION_BARS,
    tables.OPTION_TRADES,
    tables.OPTION_QUOTES,
)


@lane_assets(tables.CHAIN_SNAPSHOTS, also_after=_TAPE, group="ingest")
def chain_snapshots(lane: Lane) -> Result:
    """Option chains as quoted; a past session that nobody collected is built from its tape."""
    with lane.platform.provider(lane.underlying) as provider:
        outcomes = collect(
            lane.lake,
            provider,
            symbol=lane.underlying.symbol,
            session_date=lane.session_date,
            now=lane.platform.now(),
            per_session=lane.platform.settings.past_snapshots,
            rebuild=lane.rebuild,
        )
    stored = tuple(o.event_at.strftime("%H%M%S.parquet") for o in outcomes if o.event_at)
    # here, because this asset's blocking checks end the run before the table's own asset is reached
    judged = judge_session(lane.lake, lane.underlying, lane.session_date, only=stored)
    done = Refreshed(stored, 0, 0, sum(o.contracts for o in outcomes))
    newest = lane.newest()
    return lane.result(
        done,
        {
            "provider": newest["provider"][0].as_py(),
            "spot": newest["spot"][0].as_py() or float("nan"),
            "data_anomalies": judged.rows,
            "rejected_rows": sum(o.rejected for o in outcomes),
            "findings": ", ".join(f.code for o in outcomes for f in o.findings) or "none",
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=chain_snapshots)

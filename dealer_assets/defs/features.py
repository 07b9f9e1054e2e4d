"""Features assets: what monitored contracts did from poll to poll.

Belongs here: the asset shell and what its page shows. Does not belong here: polls and features
(`domain/anomaly`), what is read for them (`derived/featuring.py`).
"""

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived.featuring import SNAPSHOT_SOURCES, refresh_features
from dealer_assets.domain.anomaly.universe import universe_of
from dealer_assets.reports.feature_pictures import feature_metadata, volume_picture


@lane_assets(
    tables.CONTRACT_FEATURES,
    sources=(*SNAPSHOT_SOURCES, tables.VOLUME_DELTAS),
    also_after=(tables.OPTION_TRADES, tables.LIVE_TRADES),
    from_previous=(tables.CHAIN_SNAPSHOTS, tables.DATA_ANOMALIES),
    group="anomalies",
    kinds={"numpy"},
)
def contract_features(lane: Lane) -> Result:
    """Volume, premium, vol residual, spread and flow of every monitored contract at each poll."""
    universe = universe_of(lane.platform.settings.monitor)
    done = refresh_features(
        lane.lake, lane.underlying, lane.session_date, universe=universe, rebuild=lane.rebuild
    )
    newest = lane.newest()
    shown = feature_metadata(newest, str(universe.of(lane.underlying.symbol)))
    return lane.result(done, {**shown, "volume": lane.picture(lambda: volume_picture(newest))})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*contract_features])

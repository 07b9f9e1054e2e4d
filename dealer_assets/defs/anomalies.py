"""Anomaly assets: what is usual when a session opens, and how unusual each contract is at a poll.

Belongs here: asset shells and what their pages show. Does not belong here: the statistics
(`domain/anomaly`), what is read for them (`derived/anomalies.py`), drawing.
"""

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived.anomalies import refresh_baseline, refresh_scores, session_scores
from dealer_assets.derived.trailing import is_simulated
from dealer_assets.reports.anomaly_pictures import heat_map, rank_picture, score_metadata


@lane_assets(
    tables.FEATURE_BASELINES,
    from_previous=(tables.CONTRACT_FEATURES,),
    also_after=(tables.CHAIN_SNAPSHOTS,),
    group="anomalies",
    kinds={"numba"},
)
def feature_baselines(lane: Lane) -> Result:
    """Location and scale by cell, contracts' own effects and ranks, of up to 60 sessions before."""
    simulated = is_simulated(lane.lake, lane.underlying, lane.session_date)
    done = refresh_baseline(
        lane.lake, lane.underlying, lane.session_date, simulated=simulated, rebuild=lane.rebuild
    )
    rows = lane.newest()
    return lane.result(done, {"history_sessions": rows["kind"].to_pylist().count("session")})


@lane_assets(
    tables.ANOMALY_SCORES,
    sources=(tables.CONTRACT_FEATURES, tables.FEATURE_BASELINES),
    group="anomalies",
    kinds={"numba"},
)
def anomaly_scores(lane: Lane) -> Result:
    """Score, q-value, severity and drivers of every monitored contract at each poll."""
    where = (lane.lake, lane.underlying, lane.session_date)
    done = refresh_scores(*where, rebuild=lane.rebuild)
    rows = session_scores(*where)
    pictures = {
        "scores": lane.picture(lambda: heat_map(rows)),
        "p-values": lane.picture(lambda: rank_picture(rows)),
    }
    return lane.result(done, {**score_metadata(lane.newest()), **pictures})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*feature_baselines, *anomaly_scores])

"""The asset of what is wrong with a session's data.

Belongs here: the asset shell. Does not belong here: detectors (`domain/anomaly/data`), which parts
are compared (`derived/data_quality.py`).
"""

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived.data_quality import judge_session
from dealer_assets.lake.reader import read_partition
from dealer_assets.reports.data_quality_pictures import anomalies_picture, kinds_counted


@lane_assets(
    tables.DATA_ANOMALIES,
    sources=(tables.CHAIN_SNAPSHOTS,),
    also_after=(tables.OPEN_INTEREST,),
    group="quality",
)
def data_anomalies(lane: Lane) -> Result:
    """Judge the data of every snapshot, before anything in it is scored."""
    done = judge_session(lane.lake, lane.underlying, lane.session_date, rebuild=lane.rebuild)
    where = (lane.underlying.symbol, lane.session_date)
    rows = read_partition(lane.lake, lane.table, *where)
    snapshots = read_partition(lane.lake, tables.CHAIN_SNAPSHOTS, *where, columns=["event_at"])[
        "event_at"
    ].unique()
    picture = lane.picture(lambda: anomalies_picture(rows, snapshots.to_pylist()))
    return lane.result(done, {"anomalies": picture, **kinds_counted(rows)})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=data_anomalies)

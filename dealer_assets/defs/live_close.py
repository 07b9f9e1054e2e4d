"""What follows a live session: folding its parts, comparing it with the published tape.

Belongs here: asset shells. Does not belong here: folding (`lake/compaction.py`), comparing
(`live_sessions`, `domain/flow/reconcile.py`), when it is done (`schedules`).
"""

from datetime import date

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.checks import evaluate
from dealer_assets.defs.jobs import LIVE_COMPACTION
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.resources import Platform
from dealer_assets.derived import live_sessions
from dealer_assets.domain.flow.reconcile import summary
from dealer_assets.errors import LakeError
from dealer_assets.lake.compaction import compact_session
from dealer_assets.lake.refresh import Refreshed
from dealer_assets.settings import settings
from dealer_assets.underlyings import Underlying, underlying


def live_compaction(lane: Underlying) -> dg.AssetsDefinition:
    """Return the asset that stands for a lane's session being folded into one part a table."""

    @dg.asset(
        key=dg.AssetKey([lane.symbol, LIVE_COMPACTION]),
        deps=[dg.AssetKey([lane.symbol, table.name]) for table in tables.LIVE_TABLES],
        partitions_def=partitions_of(lane.calendar),
        group_name=lane.symbol.lower(),
        kinds={"parquet"},
        tags={"layer": "live", "underlying": lane.symbol},
        description=(
            "A session's live parts, folded into one for each table, half an hour after its last "
            "quotes. Rows stay as they are; repeated, it changes nothing."
        ),
    )
    def compact(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare class
        return compact_lane(platform, lane, session_of_key(context.partition_key))

    return compact


def compact_lane(platform: Platform, lane: Underlying, day: date) -> Result:
    """Fold every live table of a session; one that cannot be folded does not keep the others.

    Raises
    ------
    dagster.Failure
        When tables could not be folded; the words say which and why.
    """
    lake, now = platform.lake(), platform.now()
    metadata: dict[str, int] = {}
    refused: list[str] = []
    for table in tables.LIVE_TABLES:
        try:
            done = compact_session(lake, table, underlying=lane.symbol, session_date=day, now=now)
        except LakeError as error:
            refused.append(str(error))
            continue
        metadata[f"{table.name}_rows"] = done.rows
        metadata[f"{table.name}_parts_folded"] = done.folded
    if refused:
        raise dg.Failure("\n".join(refused), metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


@lane_assets(
    tables.LIVE_RECONCILIATION,
    sources=[tables.LIVE_TRADES, tables.OPTION_TRADES, tables.OPEN_INTEREST],
    group="live",
)
def live_reconciliation(lane: Lane) -> Result:
    """Live trades held against the published tape and the next morning's open interest.

    Open interest is the session's and the next one's. Nothing is fetched; what is not held is told.
    """
    from dealer_assets.reports.live_pictures import reconciliation_picture

    done = live_sessions.reconcile_session(lane.lake, lane.underlying, lane.session_date)
    if done.status == "not_running":
        return _not_running(lane)
    totals = summary(done.rows)
    told = {name: value for name, value in vars(totals).items() if value is not None}
    written = ("session",) if done.status == "stored" else ()
    return lane.result(
        Refreshed(written, int(not written), 0, done.rows.num_rows),
        {
            "picture": lane.picture(lambda: reconciliation_picture(done.rows)),
            "published_tape": done.tape,
            "open_interest": done.open_interest,
            **told,
        },
    )


def _not_running(lane: Lane) -> Result:
    checks = evaluate(lane.table, [], underlying=lane.underlying, session_date=lane.session_date)
    return dg.MaterializeResult(
        metadata={"status": "not running: the session has no live trade"}, check_results=checks
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Compaction and reconciliation of every lane."""
    lanes = map(underlying, settings().lanes)
    return dg.Definitions(assets=[*(live_compaction(lane) for lane in lanes), *live_reconciliation])

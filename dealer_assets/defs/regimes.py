"""Regime assets: traded volume, metrics over it, and the label they add up to.

Belongs here: asset shells and what their pages show. Does not belong here: formulas
(`domain/exposure`), reading earlier sessions (`trailing`), fetching (`traded`), drawing.
"""

import dagster as dg
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.derived import trailing
from dealer_assets.domain.exposure.metrics import metrics_of
from dealer_assets.domain.exposure.persistence import persistence_texts
from dealer_assets.domain.exposure.regimes import PAST_COLUMNS, regimes_of
from dealer_assets.intake.traded import collect_bars
from dealer_assets.lake.refresh import PREVIOUS, Refreshed
from dealer_assets.reports.regime_pictures import metrics_picture, regime_picture
from dealer_assets.underlyings import Underlying


def is_traded(lane: Underlying) -> bool:
    """Tell whether a lane has traded volume: its own, or that of what stands for it."""
    return lane.kind != "index" or bool(lane.traded_as)


@lane_assets(tables.UNDERLYING_BARS, only=is_traded, group="regimes")
def underlying_bars(lane: Lane) -> Result:
    """Day bars of what is traded, of the session and of those before it that are missing."""
    with lane.platform.history(lane.underlying) as source:
        found = collect_bars(
            lane.lake,
            source.providers,
            lane.underlying,
            session_date=lane.session_date,
            now=lane.platform.now(),
            rebuild=lane.rebuild,
        )
    done = Refreshed(("session",) * found.sessions_written, found.sessions_held, 0, 0)
    told = {"missing_sessions": len(found.missing), "refusals": found.refusals or "none"}
    return lane.result(done, told | {f.code: f.text for f in found.findings})


@lane_assets(
    tables.EXPOSURE_METRICS,
    sources=(tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS, tables.VOL_SURFACE),
    also_after=(tables.UNDERLYING_BARS,),
    group="regimes",
    kinds={"numpy"},
)
def exposure_metrics(lane: Lane) -> Result:
    """NGI, VSS, CHL_24h, VOLG and hedge pressure by expiry bucket, in USD and over volume."""
    simulated = trailing.is_simulated(lane.lake, lane.underlying, lane.session_date)
    adv = trailing.adv_known(lane.lake, lane.underlying, lane.session_date, simulated=simulated)
    done = lane.refresh(
        lambda rows: metrics_of(
            rows["dealer_exposure"],
            rows["exposure_levels"],
            rows["vol_surface"],
            rows[PREVIOUS],
            adv=adv,
            is_simulated=simulated,
        ),
        {"adv": adv.identity, "simulated": str(simulated)},
        with_previous=True,
    )
    headline = lane.platform.settings.model
    picture = lane.picture(lambda: metrics_picture(lane.newest(), headline=headline))
    return lane.result(done, {"adv": adv.identity, "metrics": picture})


@lane_assets(
    tables.DEALER_REGIMES,
    sources=(tables.EXPOSURE_METRICS,),
    # so that a backfill makes every earlier session's metrics before a session's label
    from_previous=(tables.DEALER_REGIMES,),
    group="regimes",
    kinds={"numpy"},
)
def dealer_regimes(lane: Lane) -> Result:
    """Label of each snapshot, with the rule, inputs, thresholds and margins that decided it."""
    where = (lane.lake, lane.underlying, lane.session_date)
    history = trailing.closings(*where, columns=PAST_COLUMNS)
    done = lane.refresh(
        lambda rows: regimes_of(rows["exposure_metrics"], history, rows[PREVIOUS]),
        {"history": trailing.identity(history)},
        with_previous=True,
    )
    rows = trailing.closings(*where, table=tables.DEALER_REGIMES)
    rows = pa.concat_tables([rows, lane.newest()])
    headline = lane.platform.settings.model
    picture = lane.picture(lambda: regime_picture(rows, headline=headline))
    return lane.result(done, {**persistence_texts(rows), "regimes": picture})


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(assets=[*underlying_bars, *exposure_metrics, *dealer_regimes])

"""Root of the pipeline's code location: merges the modules of `defs`, in lineage order.

They are listed, not discovered: loading the folder as components costs 3 s of CPU in every run.
"""

import dagster as dg

from dealer_assets.defs import (
    alert_delivery,
    alerts,
    anomalies,
    chains,
    combined,
    data_quality,
    delivered,
    evaluation,
    exposure,
    features,
    flow,
    freshness,
    history,
    holdings,
    jobs,
    live,
    live_close,
    measures,
    pins,
    positions,
    pricing,
    rates,
    regimes,
    retention,
    schedules,
    scorecard,
    sensors,
    surface,
    tape,
)
from dealer_assets.defs.resources import Platform

_MODULES = (
    rates,
    tape,
    flow,
    chains,
    holdings,
    data_quality,
    delivered,
    pricing,
    surface,
    positions,
    exposure,
    pins,
    scorecard,
    regimes,
    combined,
    evaluation,
    history,
    features,
    anomalies,
    live,
    live_close,
    measures,
    alerts,
    alert_delivery,
    jobs,
    schedules,
    sensors,
    retention,
    freshness,
)


def build(platform: Platform) -> dg.Definitions:
    """Assemble the code location around a platform; tests and rehearsals bring their own."""
    return dg.Definitions.merge(
        *(module.defs() for module in _MODULES),
        dg.Definitions(resources={"platform": platform}, executor=dg.in_process_executor),
    )


defs = build(Platform())

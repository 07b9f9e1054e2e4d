"""Freshness: which partition should exist by when.

Belongs here: deadlines. Does not belong here: checks of what a partition holds (`checks`).
"""

from __future__ import annotations

import warnings

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.jobs import calendars, lanes_of

_DEADLINES = {"XNYS": ("0 17 * * 1-5", "America/New_York"), "24/7": ("30 0 * * *", "UTC")}


@dg.definitions
def defs() -> dg.Definitions:
    """One freshness check per lane on its levels, and the sensor that evaluates them."""
    checks: list[dg.AssetChecksDefinition] = []
    with warnings.catch_warnings():
        # Dagster prefers FreshnessPolicy, but judges that per asset; these judge each partition
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        for calendar in calendars():
            cron, zone = _DEADLINES[calendar]
            keys = [
                dg.AssetKey([lane.symbol, tables.EXPOSURE_LEVELS.name])
                for lane in lanes_of(calendar)
            ]
            checks += dg.build_time_partition_freshness_checks(
                assets=keys, deadline_cron=cron, timezone=zone
            )
        sensor = dg.build_sensor_for_freshness_checks(
            freshness_checks=checks, name="freshness", minimum_interval_seconds=300
        )
    return dg.Definitions(asset_checks=checks, sensors=[sensor])

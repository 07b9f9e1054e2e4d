"""Delivery of alerts: a sensor that asks the queue every half minute.

Belongs here: when delivery is asked. Does not belong here: delivery (`alerts/delivery`), raising
alerts (`alerts`). What it writes names channels; no URL of one reaches Dagster.
"""

import dagster as dg

from dealer_assets.alerts.delivery import deliver_due
from dealer_assets.defs.resources import Platform
from dealer_assets.errors import DealerError


@dg.sensor(
    name="alert_delivery",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Sends what waits in the alert store: to data/alerts.log, or, with DEALER_ALERT_MODE=send, "
        "to the services of DEALER_ALERT_URLS; what fails is tried again until it is confirmed."
    ),
)
def alert_delivery_sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SkipReason:
    """Deliver for less than a tick; the reason to skip tells what was done."""
    try:
        done = deliver_due(platform.settings)
    except DealerError as error:
        context.log.error(str(error))
        return dg.SkipReason(str(error))
    for channel, why in done.failures.items():
        context.log.warning(f"{channel}: {why}")
    return dg.SkipReason(done.words)


@dg.definitions
def defs() -> dg.Definitions:
    """Sensor of this module."""
    return dg.Definitions(sensors=[alert_delivery_sensor])

"""The process's health as metrics.

Belongs here: names and types of metrics. Does not belong here: measuring; `Hub.health` has it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from streaming.api.hub import Hub

Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)

_COUNTERS = {
    "messages": "Messages received.",
    "quotes": "Quotes received.",
    "trades": "Trades received.",
    "conflated_quotes": "Quotes skipped for newer ones under load.",
    "rejected_messages": "Messages that could not be used.",
    "acknowledged_trades": "Trades that stand in the journal.",
    "drops": "Connections lost.",
    "restarts": "Parts of the process started anew.",
}
_GAUGES = {
    "is_healthy": "1 when fresh, moving and written.",
    "queue_bytes": "Frames waiting [bytes].",
    "lag_p50_ms": "Receipt to journal, median [ms].",
    "lag_p99_ms": "Receipt to journal, 99 % quantile [ms].",
    "venue_lag_p50_ms": "Venue to receipt, median [ms].",
    "rss_mb": "Memory of the process [MB].",
    "seconds_since_message": "Age of the newest message [s].",
}


class HealthCollector(Collector):
    """Reads the hub's health whenever metrics are asked for.

    Parameters
    ----------
    hub : Hub
        Whose `health` has one document a desk under ``desks``.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing: names are known only once desks are."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield one family a metric, with a sample a desk that knows it."""
        desks: Mapping[str, Mapping[str, Any]] = self._hub.health().get("desks", {})
        for name, text in _COUNTERS.items():
            yield _filled(CounterMetricFamily(f"dealer_{name}", text, labels=["desk"]), name, desks)
        for name, text in _GAUGES.items():
            yield _filled(GaugeMetricFamily(f"dealer_{name}", text, labels=["desk"]), name, desks)


def _filled(family: Family, name: str, desks: Mapping[str, Mapping[str, Any]]) -> Family:
    for desk, document in desks.items():
        value = document.get(name)
        if value is not None:
            family.add_metric([desk], float(value))
    return family

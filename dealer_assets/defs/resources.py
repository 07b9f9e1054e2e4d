"""Resources: thin configuration that builds plain objects of the lower layers.

Belongs here: what an asset is handed. Does not belong here: behaviour; `Platform` only builds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from dealer_assets.ingest import lake_of, provider_of
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import ChainProvider
from dealer_assets.settings import Settings, settings


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configured lake and provider.

    Attributes
    ----------
    clock_offset_seconds : int
        Added to the clock, to rehearse a trading day on a weekend; zero in production.
    """

    clock_offset_seconds: int = 0

    @property
    def settings(self) -> Settings:
        """The process's settings."""
        return settings()

    def lake(self) -> Lake:
        """Open the lake."""
        return lake_of(self.settings)

    def provider(self) -> ChainProvider:
        """Build the provider of new snapshots."""
        return provider_of(self.settings)

    def now(self) -> datetime:
        """Return the UTC instant that counts as now: the only clock of the asset graph."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset_seconds)

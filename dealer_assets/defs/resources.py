"""Resources: thin configuration that builds plain objects of the lower layers.

Belongs here: what an asset is handed. Does not belong here: behaviour; `Platform` only builds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from dealer_assets import sources
from dealer_assets.intake.history import HistorySource
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Provider
from dealer_assets.settings import Settings, settings
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:
    from dealer_assets.providers.occ_live import OccProvider
    from dealer_assets.providers.rates_live import RatesProvider


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configured lake, cache and providers.

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
        return sources.lake_of(self.settings)

    def provider(self, asset: Underlying) -> Provider:
        """Build the provider of an underlying's snapshots."""
        return sources.provider_of(self.settings, asset)

    def history(self, asset: Underlying) -> HistorySource:
        """Build what the past of an underlying is asked of."""
        return HistorySource(
            sources.history_providers(self.settings, asset),
            sources.cache_of(self.settings),
            self.settings.quoted_contracts,
        )

    def occ(self) -> AbstractContextManager[OccProvider | None]:
        """Build OCC's provider, to be closed; None where chains are simulated."""
        if self.settings.provider == sources.SIMULATOR:
            return nullcontext()
        return sources.occ_of(self.settings)

    def rates(self) -> AbstractContextManager[RatesProvider | None]:
        """Build the provider of rates, to be closed; None where chains are simulated."""
        if self.settings.provider == sources.SIMULATOR:
            return nullcontext()
        return sources.rates_of(self.settings)

    def now(self) -> datetime:
        """Return the UTC instant that counts as now: the only clock of the asset graph."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset_seconds)

"""From settings to the things they configure: lake, cache, providers.

Belongs here: which provider serves an underlying, and how each is built. Does not belong here: what
a provider does. Vendors' modules are imported only when they are asked for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from dealer_assets.errors import BadInputError
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.settings import Settings

if TYPE_CHECKING:
    from dealer_assets.lake.cache import HistoryCache
    from dealer_assets.providers.base import Provider
    from dealer_assets.providers.occ_live import OccProvider
    from dealer_assets.providers.rates_live import RatesProvider
    from dealer_assets.underlyings import Underlying

SIMULATOR = "simulator"


def lake_of(settings: Settings) -> Lake:
    """Open the configured lake."""
    return open_lake(
        settings.lake_root,
        s3_endpoint=settings.s3_endpoint,
        s3_region=settings.s3_region,
        cold_uri=settings.cold_root,
    )


def cache_of(settings: Settings) -> HistoryCache:
    """Open the cache of fetched history."""
    from dealer_assets.lake.cache import HistoryCache

    store = open_lake(
        settings.cache_root, s3_endpoint=settings.s3_endpoint, s3_region=settings.s3_region
    )
    return HistoryCache(store)


def provider_of(settings: Settings, asset: Underlying) -> Provider:
    """Build the provider of an underlying's snapshots.

    The configured one where it serves the underlying, else Deribit where that does.

    Raises
    ------
    BadInputError
        When neither serves it, or a key is missing; the message names the setting.
    """
    found = build(settings.provider, settings)
    if found.serves(asset):
        return found
    if asset.kind == "crypto":
        other = build("deribit", settings)
        if other.serves(asset):
            return other
    raise BadInputError(
        f"provider {settings.provider!r} does not serve {asset.symbol}: its registry entry has "
        f"symbols of {', '.join(sorted(asset.vendor_symbols)) or 'no vendor'}. Choose one of them "
        "(DEALER_PROVIDER), or add a vendor symbol to dealer_assets/underlyings.py"
    )


def history_providers(settings: Settings, asset: Underlying) -> list[Provider]:
    """Build the providers of past trades, quotes and bars of an underlying, the preferred first."""
    names: list[str] = []
    if settings.history_provider == "flatfiles":
        names = ["flatfiles", *(["polygon"] if settings.polygon_api_key else [])]  # for the listing
    elif settings.history_provider != "auto":
        names = [settings.history_provider]
    elif settings.provider == SIMULATOR:
        names = [SIMULATOR]
    elif asset.kind == "crypto":
        names = ["deribit"]
    else:
        names = ["flatfiles"] if settings.flatfiles_access_key else []
        names += ["polygon"] if settings.polygon_api_key else []
    found = [build(name, settings) for name in names]
    return [provider for provider in found if provider.serves(asset)]


def build(name: str, settings: Settings) -> Provider:
    """Build a provider by name.

    Raises
    ------
    BadInputError
        When its key is missing, or the name is none.
    """
    makers = {
        "simulator": _simulator,
        "cboe": _cboe,
        "polygon": _polygon,
        "flatfiles": _flatfiles,
        "deribit": _deribit,
    }
    if name not in makers:
        raise BadInputError(f"unknown provider {name!r}: expected one of {', '.join(makers)}")
    return makers[name](settings)


def _simulator(settings: Settings) -> Provider:
    from dealer_assets.providers.simulator.provider import SimulatorProvider

    return SimulatorProvider(seed=settings.simulator_seed, density=settings.simulator_density)


def _cboe(settings: Settings) -> Provider:
    from dealer_assets.providers.cboe_live import CboeProvider

    return CboeProvider(base_url=settings.cboe_base_url)


def _polygon(settings: Settings) -> Provider:
    from dealer_assets.providers.polygon.provider import PolygonProvider

    if settings.polygon_api_key is None:
        raise BadInputError(
            "provider 'polygon' needs a key: set DEALER_POLYGON_API_KEY (or POLYGON_API_KEY, "
            "MASSIVE_API_KEY), or choose DEALER_PROVIDER=cboe, which needs none"
        )
    return PolygonProvider(
        settings.polygon_api_key,
        base_url=settings.polygon_rest_url,
        delay=timedelta(minutes=settings.polygon_delay_minutes),
        per_second=settings.polygon_requests_per_second,
    )


def _flatfiles(settings: Settings) -> Provider:
    from dealer_assets.providers.flatfiles.provider import FlatFilesProvider
    from dealer_assets.providers.flatfiles.store import s3_client

    if settings.flatfiles_access_key is None or settings.flatfiles_secret_key is None:
        raise BadInputError(
            "flat files need their own pair of keys: set DEALER_FLATFILES_ACCESS_KEY and "
            "DEALER_FLATFILES_SECRET_KEY, as shown on the vendor's dashboard"
        )
    client = s3_client(
        settings.flatfiles_url, settings.flatfiles_access_key, settings.flatfiles_secret_key
    )
    # it is asked only when a session is not held whole, or is rebuilt: then the newest counts
    return FlatFilesProvider(client, settings.data / "flatfiles", asks_for_newer=True)


def _deribit(settings: Settings) -> Provider:
    from dealer_assets.providers.deribit.provider import DeribitProvider

    return DeribitProvider(
        base_url=settings.deribit_rest_url, history_url=settings.deribit_history_url
    )


def occ_of(settings: Settings) -> OccProvider:
    """Build OCC's provider."""
    from dealer_assets.providers.occ_live import OccProvider

    return OccProvider(base_url=settings.occ_url)


def rates_of(settings: Settings) -> RatesProvider:
    """Build the provider of rates."""
    from dealer_assets.providers.rates_live import RatesProvider

    return RatesProvider(
        treasury_url=settings.treasury_url,
        nyfed_url=settings.nyfed_url,
        fred_url=settings.fred_url,
        fred_api_url=settings.fred_api_url,
        fred_api_key=settings.fred_api_key,
    )

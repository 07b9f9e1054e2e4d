"""From settings to feeds and fillers: what a desk listens to, and whom it asks after a gap.

Belongs here: the choice and the building. Does not belong here: what a feed does. Venues' modules
are imported only when they are listened to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

from dealer_assets import sources
from dealer_assets.errors import BadInputError
from dealer_assets.settings import Settings
from dealer_assets.underlyings import Underlying
from streaming.clock import Clock
from streaming.core.listing import Listing
from streaming.feeds.base import Feed
from streaming.start import DeskName

if TYPE_CHECKING:
    from dealer_assets.providers.base import Provider
    from dealer_assets.providers.polygon.provider import PolygonProvider
    from dealer_assets.providers.simulator.provider import SimulatorProvider
    from streaming.feeds.backfill import Filler

SIMULATOR, POLYGON, DERIBIT = "simulator", "polygon", "deribit"

CHANNELS = {SIMULATOR: "tape", POLYGON: "options", DERIBIT: "market"}
"""The channel of each feed that trades come on."""


def feed_name(settings: Settings, desk: DeskName, wanted: str = "auto") -> str:
    """Return the feed of a desk.

    Parameters
    ----------
    settings : Settings
        `DEALER_STREAM_FEED` and `DEALER_PROVIDER`.
    desk : {"us", "crypto"}
        Desk.
    wanted : str
        What the command line wants; auto: what the settings say.

    Raises
    ------
    BadInputError
        When the settings name a source without a feed, or one that has not the desk's underlyings.
    """
    name = settings.stream_feed if wanted == "auto" else wanted
    if name == "auto":
        if settings.provider == SIMULATOR:
            return SIMULATOR
        name = DERIBIT if desk == "crypto" else settings.provider
    elif name in (POLYGON, DERIBIT) and desk == "crypto":
        name = DERIBIT
    fits = {SIMULATOR: ("us", "crypto"), POLYGON: ("us",), DERIBIT: ("crypto",)}
    if desk not in fits.get(name, ()):
        raise BadInputError(
            f"expected a feed of the {desk} desk, found {name!r}: choose simulator, or polygon for "
            "US underlyings (DEALER_STREAM_FEED or --feed); Deribit serves crypto alone, and "
            "Cboe's delayed quotes are no stream"
        )
    return name


def providers_of(
    settings: Settings, feed: str, lanes: tuple[Underlying, ...]
) -> dict[str, Provider]:
    """Return the provider that tells listing and open interest, by underlying."""
    provider = sources.build(feed, settings)
    return {lane.symbol: provider for lane in lanes}


def delay_of(settings: Settings, feed: str) -> timedelta:
    """Return how late a feed is by design: Polygon's delayed host is, by the name in its URL."""
    if feed != POLYGON:
        return timedelta(0)
    from streaming.feeds.polygon.feed import socket_delay

    return socket_delay(settings.polygon_ws_url)


def require_key(settings: Settings, feed: str) -> None:
    """Refuse a feed whose key is missing.

    Raises
    ------
    BadInputError
        The message names the setting.
    """
    sources.build(feed, settings).close()


def feed_of(
    settings: Settings,
    feed: str,
    listing: Listing,
    *,
    sessions_of: Mapping[str, date],
    clock: Clock,
) -> Feed:
    """Build a feed.

    Raises
    ------
    BadInputError
        When a key is missing; the message names the setting.
    """
    if feed == POLYGON:
        return _polygon(settings, listing, clock)
    if feed == DERIBIT:
        return _deribit(settings, listing, clock)
    from streaming.feeds.simulator import SimulatorFeed

    return SimulatorFeed(
        cast("SimulatorProvider", sources.build(SIMULATOR, settings)),
        lanes=listing.lanes,
        sessions_of=dict(sessions_of),
        clock=clock,
        quoted=settings.stream_quoted_contracts,
    )


def _polygon(settings: Settings, listing: Listing, clock: Clock) -> Feed:
    from streaming.feeds.polygon.feed import PolygonFeed
    from streaming.feeds.rotation import Rotation

    if settings.polygon_api_key is None:
        raise BadInputError(
            "feed 'polygon' needs a key: set DEALER_POLYGON_API_KEY (or POLYGON_API_KEY, "
            "MASSIVE_API_KEY), or choose --feed simulator, which needs none"
        )
    return PolygonFeed(
        url=settings.polygon_ws_url,
        key=settings.polygon_api_key,
        listing=listing,
        quoted=Rotation(
            listing,
            cap=settings.stream_quoted_contracts,
            window_strikes=settings.stream_zero_dte_strikes,
        ),
        now_us=clock.now_us,
    )


def _deribit(settings: Settings, listing: Listing, clock: Clock) -> Feed:
    from streaming.feeds.deribit.feed import DeribitFeed, DeribitOptions
    from streaming.feeds.deribit.session import Credentials
    from streaming.feeds.deribit.talk import TalkOptions

    credentials = None
    if settings.deribit_client_id and settings.deribit_client_secret:
        credentials = Credentials(settings.deribit_client_id, settings.deribit_client_secret)
    return DeribitFeed(
        url=settings.deribit_ws_url,
        lanes=listing.lanes,
        now_us=clock.now_us,
        credentials=credentials,
        options=DeribitOptions(
            talk=TalkOptions(tickers=settings.stream_deribit_tickers, cross_check=True)
        ),
    )


@dataclass(frozen=True)
class Asker:
    """Who is asked after a gap, and what ends the asking."""

    filler: Filler
    close: Callable[[], None]


def asker_of(settings: Settings, feed: str, listing: Listing, clock: Clock) -> Asker:
    """Build what fetches the trades of a gap."""
    if feed == DERIBIT:
        return _deribit_asker(settings, listing, clock)
    provider = sources.build(feed, settings)
    if feed == POLYGON:
        from streaming.feeds.polygon.fill import PolygonFiller

        polygon = cast("PolygonProvider", provider)
        behind = delay_of(settings, feed)  # DEALER_POLYGON_DELAY_MINUTES is of REST
        filler = PolygonFiller(polygon, listing, now_us=clock.now_us, behind=behind)
        return Asker(filler, provider.close)
    from streaming.feeds.simulator_fill import SimulatorFiller

    market = cast("SimulatorProvider", provider)
    return Asker(SimulatorFiller(market, listing), provider.close)


def _deribit_asker(settings: Settings, listing: Listing, clock: Clock) -> Asker:
    from dealer_assets.providers.deribit.client import DeribitApi
    from dealer_assets.providers.deribit.provider import HISTORY_PER_SECOND, PER_SECOND
    from dealer_assets.providers.patience import Patience
    from streaming.feeds.deribit.fill import DeribitFiller

    api = DeribitApi(
        base_url=settings.deribit_rest_url,
        history_url=settings.deribit_history_url,
        per_second=PER_SECOND,
        history_per_second=HISTORY_PER_SECOND,
        patience=Patience(),
    )
    return Asker(DeribitFiller(api, listing, now_us=clock.now_us), api.close)

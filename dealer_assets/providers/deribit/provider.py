"""Deribit as a provider: each capability as requests, rows and provenance.

Belongs here: the contract of `Provider`, settings, closing. Does not belong here: fields, units and
the order of requests (one module per topic).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from dealer_assets.errors import BadInputError, NoDataError, ProviderError
from dealer_assets.providers.base import (
    Capability,
    ChainSnapshot,
    Keep,
    KeepNothing,
    Probe,
    Provider,
    Records,
)
from dealer_assets.providers.deribit.blocks import block_records
from dealer_assets.providers.deribit.chain import raw_chain, spot_of
from dealer_assets.providers.deribit.client import DeribitApi
from dealer_assets.providers.deribit.columns import identity
from dealer_assets.providers.deribit.families import families_of
from dealer_assets.providers.deribit.listing import (
    listed_records,
    open_interest_records,
)
from dealer_assets.providers.deribit.market import ask_index, ask_market
from dealer_assets.providers.deribit.near_money import with_tickers
from dealer_assets.providers.deribit.probes import probe_all
from dealer_assets.providers.deribit.sessions import (
    Asked,
    gather_blocks,
    gather_lists,
    gather_tape,
    value_records,
)
from dealer_assets.providers.deribit.trades import trade_records
from dealer_assets.providers.deribit.underlying_bars import fetch_underlying_bars
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:  # 80 ms, and only a live request needs it
    import httpx

DEFAULT_BASE_URL = "https://www.deribit.com"
"""Deribit's public host; settings may name its test market, tests a local server."""

DEFAULT_HISTORY_URL = "https://history.deribit.com"
"""The host that remembers trades older than 24 hours."""

PER_SECOND, HISTORY_PER_SECOND = 15.0, 4.0
"""Requests a second: Deribit publishes no limit for anonymous callers; these were never refused."""

_OLDEST_QUESTION = timedelta(days=1)


class DeribitProvider(Provider):
    """Deribit's public market data; no key needed.

    Parameters
    ----------
    base_url, history_url : str
        Main and history host.
    per_second, history_per_second : float
        Requests a second to each.
    patience : Patience, optional
        Attempts and pauses.
    tickers : int
        Contracts nearest to the money whose sizes and Greeks are asked for, one request each.
    clock : callable
        UTC now: decides what the main host still remembers and which sessions are over.
    transport : httpx.BaseTransport, optional
        Replaces the network in tests.

    Raises
    ------
    BadInputError
        When a URL, a pace or the number of tickers cannot be.
    """

    name = "deribit"
    gives_whole_sessions = True
    capabilities: frozenset[Capability] = frozenset(
        {
            "chain",
            "listing",
            "trades",
            "open_interest",
            "index_values",
            "underlying_bars",
            "blocks",
        }
    )

    def __init__(
        self,
        *,
        base_url: str = DEFAULT_BASE_URL,
        history_url: str = DEFAULT_HISTORY_URL,
        per_second: float = PER_SECOND,
        history_per_second: float = HISTORY_PER_SECOND,
        patience: Patience | None = None,
        tickers: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not (per_second > 0 and history_per_second > 0 and tickers >= 0):
            raise BadInputError(
                "expected requests per second above 0 and tickers of 0 or more, found "
                f"{per_second:g}, {history_per_second:g} and {tickers}"
            )
        self._api = DeribitApi(
            base_url=base_url,
            history_url=history_url,
            per_second=per_second,
            history_per_second=history_per_second,
            patience=patience or Patience(),
            transport=transport,
        )
        self._tickers = tickers
        self._clock = clock

    def __enter__(self) -> DeribitProvider:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the current chain; see `Provider.snapshot`.

        Raises
        ------
        ProviderError
            When the coin-settled summary cannot be had, or `at` lies more than a day before it.
        BadInputError
            When more rows than a few cannot be believed.
        """
        families = families_of(underlying)
        market = ask_market(self._api, underlying, families)
        index, notes = ask_index(self._api, families[0])
        summary = market.summary
        if summary.made_at - at > _OLDEST_QUESTION:
            raise ProviderError(
                f"Deribit serves the current chain only (made {summary.made_at:%Y-%m-%d %H:%M} "
                f"UTC), asked for {at:%Y-%m-%d %H:%M} UTC: import recorded files or use a provider "
                "that replays"
            )
        if self._tickers:
            summary = with_tickers(self._api, summary, underlying, families, count=self._tickers)
        spot, doubts = spot_of(summary, index)
        from dealer_assets.providers.assembly import assemble

        return assemble(
            raw_chain(
                summary,
                underlying,
                spot=spot,
                source_name=f"deribit-{underlying.symbol}-book-summary",
                source_sha256=market.sha256,
                notes=[*notes, *doubts],
            )
        )

    def listing(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the contracts of a session; see `Provider.listing`.

        Raises
        ------
        ProviderError
            When a list cannot be had.
        """
        name = _name("listing", underlying, session_date)
        return listed_records(
            gather_lists(self._asked(underlying, session_date, keep)),
            underlying,
            session_date=session_date,
            now=self._clock(),
            source_name=name,
            source_sha256=identity(name),
        )

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest of the running session; see `Provider.open_interest`.

        Raises
        ------
        NoDataError
            When the session is not the one that is running.
        """
        summary = ask_market(self._api, underlying, families_of(underlying)).summary
        if summary.made_at.date() != session_date:
            raise NoDataError(
                f"Deribit shows the open interest of now ({summary.made_at:%Y-%m-%d %H:%M} UTC) "
                f"only, asked for {session_date}: import recorded chains"
            )
        name = _name("open-interest", underlying, session_date)
        return open_interest_records(
            summary,
            underlying,
            session_date=session_date,
            source_name=name,
            source_sha256=identity(name),
        )

    def trades(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        keep: Keep | None = None,
    ) -> Records:
        """Return the trades of a session; see `Provider.trades`.

        Raises
        ------
        ProviderError
            When a page cannot be had; pages that are held are not asked for again.
        """
        found = gather_tape(self._asked(underlying, session_date, keep))
        name = _name("trades", underlying, session_date)
        return trade_records(
            found.trades,
            underlying,
            families_of(underlying),
            session_date=session_date,
            source_name=name,
            source_sha256=identity(name, *sorted(symbols or ())),
            is_complete=found.is_complete,
            findings=found.findings,
            symbols=symbols,
        )

    def blocks(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return block legs of a session; see `Provider.blocks`.

        Raises
        ------
        ProviderError
            When a page cannot be had; pages that are held are not asked for again.
        """
        found = gather_blocks(self._asked(underlying, session_date, keep))
        name = _name("blocks", underlying, session_date)
        return block_records(
            found.trades,
            found.requests,
            found.combos,
            underlying,
            families_of(underlying),
            session_date=session_date,
            source_name=name,
            source_sha256=identity(name),
            is_complete=found.is_complete,
            findings=found.findings,
        )

    def index_values(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return index, delivery price and DVOL of a session; see `Provider.index_values`.

        Raises
        ------
        ProviderError
            When one of them cannot be asked for.
        """
        name = _name("index-values", underlying, session_date)
        return value_records(
            self._asked(underlying, session_date, keep),
            source_name=name,
            source_sha256=identity(name),
        )

    def underlying_bars(self, underlying: Underlying, *, first: date, last: date) -> Records:
        """Return day bars of the perpetual; see `Provider.underlying_bars`.

        Raises
        ------
        ProviderError
            When a chart cannot be had.
        """
        return fetch_underlying_bars(
            self._api, underlying, first=first, last=last, now=self._clock()
        )

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at clock, summary, DVOL and history host once each; see `Provider.probe`."""
        return probe_all(self._api, families_of(underlying)[0], now=now)

    def _asked(self, underlying: Underlying, session_date: date, keep: Keep | None) -> Asked:
        held = KeepNothing() if keep is None else keep  # an empty one is one all the same
        return Asked(self._api, underlying, session_date, self._clock, held)


def _name(what: str, underlying: Underlying, session_date: date) -> str:
    return f"deribit-{what}-{underlying.symbol}-{session_date}"

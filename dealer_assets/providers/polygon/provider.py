"""Polygon (Massive) as a provider: what it offers, over REST.

Belongs here: the methods of the contract, each a few lines over the module that does it, and what
is remembered between calls (today's reference, a refused index value). Does not belong here: fields
of answers, or streaming.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError, NoDataError, NotEntitledError
from dealer_assets.providers.base import ChainSnapshot, Keep, Probe, Provider, Records
from dealer_assets.providers.patience import Pace, Patience
from dealer_assets.providers.polygon.client import PolygonClient
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:
    from pydantic import SecretStr

    from dealer_assets.providers.polygon.chosen import Chosen
    from dealer_assets.providers.polygon.errand import Errand
    from dealer_assets.providers.polygon.reference import Reference
    from dealer_assets.providers.polygon.spot import SpotQuote

DEFAULT_BASE_URL = "https://api.polygon.io"
MOST_PER_SECOND = 100.0
"""The vendor asks to stay below, whatever the plan."""

_OLDEST_QUESTION = timedelta(hours=12)


def _now() -> datetime:
    return datetime.now(UTC)


class PolygonProvider(Provider):
    """The vendor's REST interface.

    Parameters
    ----------
    api_key : SecretStr
        Sent in a header only.
    base_url : str
        ``https://api.polygon.io``, ``https://api.massive.com`` or a test exchange.
    delay : datetime.timedelta
        How far behind the market the plan is: nothing, or 15 minutes.
    per_second : float
        Requests a second at most, over all threads.
    threads : int
        Requests under way at once.
    timeout_seconds : float
        Longest silence, at connecting or between two bytes.
    total_seconds : float
        Longest duration of one attempt, however steadily it drips.
    patience : Patience, optional
        Attempts and pauses.
    clock : callable
        Returns UTC now: tells whether a session is over.

    Raises
    ------
    BadInputError
        When key, base URL, pace or threads cannot be.
    """

    name = "polygon"
    capabilities = frozenset(
        {
            "chain",
            "listing",
            "trades",
            "quotes",
            "bars",
            "open_interest",
            "index_values",
            "underlying_bars",
        }
    )

    def __init__(
        self,
        api_key: SecretStr,
        *,
        base_url: str = DEFAULT_BASE_URL,
        delay: timedelta = timedelta(0),
        per_second: float = 90.0,
        threads: int = 16,
        timeout_seconds: float = 20.0,
        total_seconds: float = 60.0,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        if not 0.0 < per_second <= MOST_PER_SECOND or threads < 1:
            raise BadInputError(
                f"expected above 0 and at most {MOST_PER_SECOND:g} requests a second on at least "
                f"one thread, found {per_second:g} on {threads}"
            )
        patience = patience or Patience()
        self.delay = delay
        self.client = PolygonClient(
            api_key,
            base_url=base_url,
            pace=Pace(per_second),
            patience=patience,
            threads=threads,
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._references: dict[str, Reference] = {}
        self._refused: dict[str, tuple[date, NotEntitledError]] = {}

    def __repr__(self) -> str:
        """Name the host; never the key."""
        return f"PolygonProvider({self.client!r}, delay={self.delay})"

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self.client.close()

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the current chain; see `Provider.snapshot`.

        Its instant is that of the newest quote, floored to the minute; partial when a contract of
        the reference did not come.

        Raises
        ------
        ProviderError
            When the vendor cannot be asked or refuses; when `at` is long past.
        BadInputError
            When more of the answer cannot be believed than `assembly` allows.
        """
        from dealer_assets.providers.polygon.reference import vendor_ticker
        from dealer_assets.providers.polygon.snapshots import Request, take_chain

        ticker = vendor_ticker(underlying)
        self._require_now(at)
        request = Request(
            underlying,
            at,
            delay=self.delay,
            reference=self._reference(underlying, at),
            ask_value=lambda: self._index_value(ticker, at),
        )
        return take_chain(self.client, request)

    def _require_now(self, at: datetime) -> None:
        now = self._clock()
        if at.tzinfo is None:
            raise BadInputError(f"expected an instant with a time zone, found {at.isoformat()}")
        if now - at > _OLDEST_QUESTION:
            raise NoDataError(
                f"Polygon serves the current chain only (now {now:%Y-%m-%d %H:%M} UTC), asked for "
                f"{at:%Y-%m-%d %H:%M} UTC: put it together from its tape (dealer history), or "
                "import files"
            )

    def _reference(self, underlying: Underlying, at: datetime) -> Reference:
        """Return what is listed today, asked for once: listings change once a day."""
        from dealer_assets.providers.polygon.reference import fetch_reference

        day = at.astimezone(sessions.NEW_YORK).date()
        with self._lock:
            held = self._references.get(underlying.symbol)
        if held is not None and held.day == day:
            return held
        found = fetch_reference(self.client, underlying, day=day)
        with self._lock:
            self._references[underlying.symbol] = found
        return found

    def _index_value(self, ticker: str, at: datetime) -> SpotQuote:
        """Return the value of an index; a plan that has none is asked once a day."""
        from dealer_assets.providers.polygon.market import ask_index_value

        day = at.astimezone(sessions.NEW_YORK).date()
        refused = self._refused.get(ticker)
        if refused is not None and refused[0] == day:
            raise refused[1]
        try:
            return ask_index_value(self.client, ticker)
        except NotEntitledError as error:
            self._refused[ticker] = (day, error)
            raise

    def chosen(self, symbols: Sequence[str]) -> Chosen:
        """Return quotes, open interest and greeks of chosen contracts now, 250 in a request.

        Parameters
        ----------
        symbols : sequence of str
            Canonical option symbols; names that the vendor refuses are listed in the answer.

        Raises
        ------
        NotEntitledError
            When the plan has no snapshots.
        """
        from dealer_assets.providers.polygon.chosen import fetch_chosen

        return fetch_chosen(self.client, symbols)

    def listing(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the contracts listed in a session; see `Provider.listing`.

        Past sessions are asked for as of their day, those that have expired since included.
        """
        from dealer_assets.providers.polygon.reference import fetch_listed

        sessions.session_open(underlying.calendar, session_date)  # raises when it is none
        today = self._clock().astimezone(sessions.NEW_YORK).date()
        if session_date > today:
            raise NoDataError(f"session {session_date} has not begun: its listing may still change")
        return fetch_listed(
            self.client,
            underlying,
            session_date=session_date,
            is_past=session_date < today,
            keep=keep,
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

        Without symbols every listed contract is asked for: one request each.
        """
        from dealer_assets.providers.polygon.history import fetch_trades

        errand = self._errand(underlying, session_date, keep)
        return fetch_trades(errand, self._wanted(errand, symbols))

    def quotes(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str],
        keep: Keep | None = None,
    ) -> Records:
        """Return the quotes of chosen contracts of a session; see `Provider.quotes`."""
        from dealer_assets.providers.polygon.history import fetch_quotes

        return fetch_quotes(self._errand(underlying, session_date, keep), symbols)

    def bars(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        interval: Literal["minute", "day"] = "minute",
        keep: Keep | None = None,
    ) -> Records:
        """Return minute or day bars of a session; see `Provider.bars`.

        Without symbols every listed contract is asked for: one request each.
        """
        from dealer_assets.providers.polygon.history import fetch_bars

        errand = self._errand(underlying, session_date, keep)
        return fetch_bars(errand, self._wanted(errand, symbols), interval=interval)

    def index_values(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the underlying's values in a session; see `Provider.index_values`."""
        from dealer_assets.providers.polygon.index_values import fetch_index_values

        return fetch_index_values(self._errand(underlying, session_date, keep))

    def underlying_bars(self, underlying: Underlying, *, first: date, last: date) -> Records:
        """Return day bars of a share or fund; see `Provider.underlying_bars`."""
        from dealer_assets.providers.polygon.underlying_bars import fetch_underlying_bars

        return fetch_underlying_bars(
            self.client, underlying, first=first, last=last, now=self._clock(), delay=self.delay
        )

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest of the running session; see `Provider.open_interest`.

        Raises
        ------
        NoDataError
            For any other session: the vendor keeps no history of open interest, and when in the
            night its snapshot takes the next count is not known.
        """
        now = self._clock()
        today = now.astimezone(sessions.NEW_YORK).date()
        if session_date != today or sessions.session_of(underlying.calendar, now) != today:
            raise NoDataError(
                f"Polygon shows the open interest of the running session only, from its open to "
                f"midnight New York, asked for {session_date} at {now:%Y-%m-%d %H:%M} UTC: the "
                "vendor has no history of it, so every session's has to be kept while it runs"
            )
        from dealer_assets.providers.chain_open_interest import open_interest_records

        return open_interest_records(self.snapshot(underlying, at=now), underlying)

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at clock, reference, chain, quotes and index value; see `Provider.probe`."""
        from dealer_assets.providers.polygon.probes import look

        return look(self.client, underlying, now=now, delay=self.delay)

    def _errand(self, underlying: Underlying, session_date: date, keep: Keep | None) -> Errand:
        from dealer_assets.providers.polygon.errand import Errand

        return Errand(self.client, underlying, session_date, self._clock(), self.delay, keep)

    def _wanted(self, errand: Errand, symbols: Sequence[str] | None) -> Sequence[str]:
        if symbols is not None:
            return symbols
        listed = self.listing(errand.underlying, session_date=errand.session_date)
        found: list[str] = listed.rows["symbol"].to_pylist()
        return found

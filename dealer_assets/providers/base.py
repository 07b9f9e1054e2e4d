"""What a provider is, and what it hands over.

Belongs here: the contract between vendors' code and the rest. Does not belong here: storage (a
provider never writes), numbers derived from quotes, or any vendor's field name. The error tree is
drawn in `dealer_assets/errors.py`.

Every provider passes `dealer_assets_tests/providers/test_contract.py`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Literal, NoReturn, Protocol, Self

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.rates import RateCurve
from dealer_assets.errors import NotOfferedError
from dealer_assets.underlyings import Underlying

Capability = Literal[
    "chain",
    "listing",
    "trades",
    "quotes",
    "bars",
    "open_interest",
    "index_values",
    "underlying_bars",
    "rates",
    "blocks",
]
"""What a provider may offer; each word but ``chain`` (`snapshot`) is the method that answers."""

ADJUSTED_ROOT = "adjusted_root"
"""Quarantine reason of series whose terms a corporate action changed."""


@dataclass(frozen=True)
class Finding:
    """Something about a source that disagrees with itself or with what is expected.

    Parameters
    ----------
    code : str
        Stable snake_case word, e.g. ``header_date_after_expired_series``.
    text : str
        What was expected, what was found, what was done about it.
    """

    code: str
    text: str


@dataclass(frozen=True)
class ChainSnapshot:
    """One chain at one instant, as delivered by one source.

    Parameters
    ----------
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Exchange-local trading date of the quotes.
    event_at, known_at : datetime.datetime
        UTC instants: what the quotes stand for, and when they could first be read.
    provider : str
        Provider or file format.
    source_name, source_sha256 : str
        Name without folder, and hash of the payload as received.
    rows : pyarrow.Table
        Schema of `tables.CHAIN_SNAPSHOTS`, sorted by its key.
    rejected : pyarrow.Table
        Schema of `tables.REJECTED_ROWS`; possibly empty.
    is_partial : bool
        The source does not hold the whole chain.
    findings : tuple of Finding
        What was odd; empty when nothing was.
    """

    underlying: str
    session_date: date
    event_at: datetime
    known_at: datetime
    provider: str
    source_name: str
    source_sha256: str
    rows: pa.Table
    rejected: pa.Table = field(default_factory=lambda: tables.REJECTED_ROWS.schema.empty_table())
    is_partial: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def impossible(self) -> int:
        """Quarantined rows that are errors; adjusted series are real, only not ours."""
        return sum(reason != ADJUSTED_ROOT for reason in self.rejected["reason"].to_pylist())


@dataclass(frozen=True)
class Records:
    """Rows of one table from one source: what every file and request but a chain becomes.

    Parameters
    ----------
    table : tables.Table
        Dictionary entry of the rows; a table cut by batch, or by session.
    rows : pyarrow.Table
        Its schema, sorted by its key; may span several underlyings and sessions.
    provider : str
        Provider or file format.
    source_name : str
        File name or request, without folder, key or token.
    source_sha256 : str
        Hash of the payload as received; of a request over many pages, of the request's identity,
        so that asking again replaces the same part.
    rejected : pyarrow.Table
        Schema of `tables.REJECTED_ROWS`; possibly empty.
    is_complete : bool
        Everything asked for was received: the session is over and no page is missing.
    findings : tuple of Finding
        What was odd; empty when nothing was.
    """

    table: tables.Table
    rows: pa.Table
    provider: str
    source_name: str
    source_sha256: str
    rejected: pa.Table = field(default_factory=lambda: tables.REJECTED_ROWS.schema.empty_table())
    is_complete: bool = True
    findings: tuple[Finding, ...] = ()


class Keep(Protocol):
    """Where fetched payloads are kept, so that nothing that is held is fetched again.

    One exists per provider, dataset, underlying and session (`lake/cache.py`).
    """

    def get(self, piece: str) -> bytes | None:
        """Return a payload that is held and whole, or None."""
        ...

    def put(self, piece: str, payload: bytes) -> None:
        """Keep a payload under a name; the same name again replaces it."""
        ...


class KeepNothing:
    """A `Keep` that holds nothing: every payload is fetched."""

    def get(self, piece: str) -> bytes | None:
        """Return None."""
        return None

    def put(self, piece: str, payload: bytes) -> None:
        """Forget the payload."""


@dataclass(frozen=True)
class Probe:
    """What one look at a source found, for `dealer doctor`.

    Parameters
    ----------
    source : str
        Provider and what was asked, e.g. ``polygon chain SPX``.
    is_reachable : bool
        It answered at all.
    is_entitled : bool or None
        The credentials cover it; None when it did not answer.
    data_at : datetime.datetime or None
        UTC instant of the newest data it showed.
    is_live : bool
        The data moves with the market: when that is open, old data is a warning.
    server_time : datetime.datetime or None
        Its own clock, for the skew of ours.
    detail : str
        In words: what was found, what to do.
    """

    source: str
    is_reachable: bool
    is_entitled: bool | None = None
    data_at: datetime | None = None
    server_time: datetime | None = None
    detail: str = ""
    is_live: bool = False


class Provider(ABC):
    """A source that can be asked.

    A provider overrides the method of each capability it declares; the others refuse. Methods that
    answer for a whole session take a `Keep` and fetch only what it does not hold.

    Attributes
    ----------
    name : str
        Stable word stored with every row.
    capabilities : frozenset of str
        What it offers.
    can_replay : bool
        Whether `snapshot` answers for past instants (the simulator does; a live feed does not).
    gives_whole_sessions : bool
        Whether trades and bars come for all contracts at once, not contract by contract.
    delay : datetime.timedelta
        How far behind the market the quotes are when they can be read.
    """

    name: str
    capabilities: frozenset[Capability] = frozenset()
    can_replay: bool = False
    gives_whole_sessions: bool = False
    delay: timedelta = timedelta(0)

    def serves(self, underlying: Underlying) -> bool:
        """Tell whether the provider knows the underlying; by the registry's vendor symbols."""
        return self.name in underlying.vendor_symbols

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the chain of an underlying.

        Parameters
        ----------
        underlying : Underlying
            Registry entry.
        at : datetime.datetime
            UTC instant the caller asks for: now for a live feed, any session instant when
            `can_replay`.

        Returns
        -------
        ChainSnapshot
            Complete, or marked partial.

        Raises
        ------
        ProviderError
            When the vendor cannot be asked, refuses, or has nothing.
        """
        self._refuse("chain")

    def listing(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the contracts listed in a session (`tables.LISTED_CONTRACTS`)."""
        self._refuse("listing")

    def trades(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        keep: Keep | None = None,
    ) -> Records:
        """Return the trades of a session (`tables.OPTION_TRADES`).

        Parameters
        ----------
        underlying : Underlying
            Registry entry.
        session_date : datetime.date
            Session.
        symbols : sequence of str, optional
            Canonical symbols to ask for; None: all that the provider can give.
        keep : Keep, optional
            Where payloads are kept.
        """
        self._refuse("trades")

    def quotes(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str],
        keep: Keep | None = None,
    ) -> Records:
        """Return the quotes of chosen contracts of a session (`tables.OPTION_QUOTES`)."""
        self._refuse("quotes")

    def bars(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        interval: Literal["minute", "day"] = "minute",
        keep: Keep | None = None,
    ) -> Records:
        """Return minute or day bars of a session (`tables.OPTION_BARS`)."""
        self._refuse("bars")

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest a session opened with (`tables.OPEN_INTEREST`)."""
        self._refuse("open_interest")

    def index_values(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the underlying's values in a session (`tables.INDEX_VALUES`)."""
        self._refuse("index_values")

    def underlying_bars(self, underlying: Underlying, *, first: date, last: date) -> Records:
        """Return day bars of what is traded for an underlying (`tables.UNDERLYING_BARS`).

        Parameters
        ----------
        underlying : Underlying
            Registry entry; for an index the bars are those of its `traded_as`.
        first, last : datetime.date
            Sessions, both included; those that are not over are left out.
        """
        self._refuse("underlying_bars")

    def rates(self, first: date, last: date) -> Records:
        """Return published rates of a range of dates (`tables.REFERENCE_RATES`)."""
        self._refuse("rates")

    def blocks(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return block legs of a session (`tables.BLOCK_TRADES`)."""
        self._refuse("blocks")

    def rate_curve(self, day: date) -> RateCurve | None:
        """Return the discount curve of a date, or None when the provider has none.

        Only a provider whose market has its own rates has one; real chains take the Treasury's.
        """
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; a provider is not used afterwards."""
        return

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at each source of the provider once, quickly, without raising for a vendor's fault.

        Parameters
        ----------
        underlying : Underlying
            What to ask for.
        now : datetime.datetime
            UTC now.
        """
        return ()

    def _refuse(self, capability: Capability) -> NoReturn:
        offered = ", ".join(sorted(self.capabilities)) or "nothing"
        raise NotOfferedError(
            f"provider {self.name!r} does not offer {capability}: it offers {offered}; choose "
            "another provider (DEALER_PROVIDER), or import files (dealer import FILE)"
        )

"""What a provider is, and the snapshot it hands over.

Belongs here: the contract between vendors' code and the rest. Does not belong here: storage (a
provider never writes), numbers derived from quotes, or any vendor's field name. The error tree is
drawn in `dealer_assets/errors.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.rates import RateCurve
from dealer_assets.underlyings import Underlying

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


class ChainProvider(ABC):
    """A source that can be asked for chains.

    Attributes
    ----------
    name : str
        Stable word stored with every row.
    can_replay : bool
        Whether `snapshot` answers for past instants (the simulator does; a live feed does not).
    delay : datetime.timedelta
        How far behind the market the quotes are when they can be read.
    """

    name: str
    can_replay: bool = False
    delay: timedelta = timedelta(0)

    @abstractmethod
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

    def rate_curve(self, day: date) -> RateCurve | None:
        """Return the discount curve of a date, or None when the provider has none.

        Only a provider whose market has its own rates has one; real chains take the Treasury's.
        """
        return None

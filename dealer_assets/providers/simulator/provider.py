"""The simulator as a provider: snapshots and the tape of the embedded market.

Belongs here: instants and sessions in, rows out. Does not belong here: how the market moves
(`market`), what is listed (`listing`), held (`flow`), quoted (`quotes`) and traded (`tape`), or
columns (`chain_rows`, `tape_rows`). There is no payload, so `source_sha256` is the hash of the
source's name, which determines every row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.rates import SIMPLE_UP_TO_YEARS, RateCurve, curve_from_par
from dealer_assets.errors import BadInputError
from dealer_assets.providers.base import ChainSnapshot, Finding, Keep, Provider, Records
from dealer_assets.providers.record_rows import Source as RowSource
from dealer_assets.providers.simulator.bars import underlying_bars
from dealer_assets.providers.simulator.chain_rows import chain_rows
from dealer_assets.providers.simulator.listing import DEFAULT_DENSITY, Ints
from dealer_assets.providers.simulator.market_day import MarketDay, market_day, open_minute
from dealer_assets.providers.simulator.prints import Prints
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.providers.simulator.tape import contract_prints, session_prints
from dealer_assets.providers.simulator.tape_quotes import quotes_table
from dealer_assets.providers.simulator.tape_rows import (
    FEED_LATENCY,
    Source,
    bars_table,
    index_table,
    listing_table,
    open_interest_table,
    trades_table,
)
from dealer_assets.providers.underlying_bar_rows import bar_rows, traded
from dealer_assets.underlyings import Underlying, underlying as registry_entry

_ONE_MINUTE = timedelta(minutes=1)
_MAX_DENSITY = 2.0


class SimulatorProvider(Provider):
    """A market that exists only here: any session from 2012 to 2035, the same for everyone.

    A snapshot is a pure function of seed, density, underlying and minute: no state, no clock.

    Parameters
    ----------
    seed : int
        Which market.
    density : float
        How far from the money strikes stay fine, in (0, 2]: 0.5 lists about 10,000 SPX contracts,
        1.0 about 18,000.

    Raises
    ------
    BadInputError
        When the density is out of range.
    """

    name = "simulator"
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
    can_replay = True
    gives_whole_sessions = True

    def __init__(self, *, seed: int = 7, density: float = DEFAULT_DENSITY) -> None:
        if not 0.0 < density <= _MAX_DENSITY:
            raise BadInputError(
                f"expected a simulator density in (0, {_MAX_DENSITY:g}], found {density:g}: "
                f"{DEFAULT_DENSITY:g} is the default, 1 is as dense as real chains"
            )
        self.seed = seed
        self.density = density

    def serves(self, underlying: Underlying) -> bool:
        """Every underlying has a simulated market."""
        return True

    def rate_curve(self, day: date) -> RateCurve:
        """Return the flat curve that simulated US chains are discounted with."""
        rate = profile_of(registry_entry("SPX")).rate
        tenors = np.array([1.0 / 12.0, 0.25, 0.5, 1.0, 2.0, 5.0])
        par = np.where(tenors <= SIMPLE_UP_TO_YEARS, np.expm1(rate * tenors) / tenors, 0.0)
        par = np.where(tenors > SIMPLE_UP_TO_YEARS, 2.0 * np.expm1(0.5 * rate), par)
        return curve_from_par(day, tenors, par)

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the simulated chain at the minute that holds an instant.

        Parameters
        ----------
        underlying : Underlying
            Registry entry.
        at : datetime.datetime
            Instant with a time zone; floored to the minute.

        Returns
        -------
        ChainSnapshot
            Whole chain, no finding. US quotes go on for 15 minutes after the close; the last of
            them is the close snapshot.

        Raises
        ------
        NoDataError
            Outside open hours, on holidays, and before 2012 or after 2035.
        BadInputError
            When the instant has no time zone.
        """
        event_at, session_date = open_minute(underlying, at)
        day = self._day(underlying, session_date)
        minute = (event_at - day.opened) // _ONE_MINUTE
        known_at = event_at + FEED_LATENCY
        stamps = {"session_date": session_date, "event_at": event_at, "known_at": known_at}
        name = self._source_name(f"{underlying.symbol} {event_at:%Y-%m-%dT%H:%MZ}")
        return ChainSnapshot(
            underlying=underlying.symbol,
            session_date=session_date,
            event_at=event_at,
            known_at=known_at,
            provider=self.name,
            source_name=name,
            source_sha256=hashlib.sha256(name.encode()).hexdigest(),
            rows=chain_rows(day, minute, stamps=stamps),
        )

    def listing(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the contracts listed in a session."""
        source = self._source("listing", underlying, session_date)
        rows = listing_table(self._day(underlying, session_date), source=source)
        return self._records(tables.LISTED_CONTRACTS, rows, source)

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest a session opens with, readable from the open."""
        source = self._source("open_interest", underlying, session_date)
        rows = open_interest_table(self._day(underlying, session_date), source=source)
        return self._records(tables.OPEN_INTEREST, rows, source)

    def index_values(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return the underlying's price, minute by minute from the open to the close."""
        source = self._source("index_values", underlying, session_date)
        rows = index_table(self._day(underlying, session_date), source=source)
        return self._records(tables.INDEX_VALUES, rows, source)

    def underlying_bars(self, underlying: Underlying, *, first: date, last: date) -> Records:
        """Return day bars; every session asked for is there, also those that are not over."""
        source = self._source_name(f"underlying_bars {underlying.symbol}")
        named = RowSource(self.name, source, hashlib.sha256(source.encode()).hexdigest())
        bars = underlying_bars(self.seed, traded(underlying), first=first, last=last)
        return self._records(
            tables.UNDERLYING_BARS, bar_rows(bars, underlying, named), Source(self.name, source)
        )

    def trades(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        keep: Keep | None = None,
    ) -> Records:
        """Return every print of a session, cancelled ones and their cancels included.

        Prices are in USD, of coins in the coin, as `price_currency` says.
        """
        source = self._source("trades", underlying, session_date, symbols)
        day = self._day(underlying, session_date)
        prints, findings = self._prints(day, symbols)
        rows = _only(trades_table(day, prints, source=source), symbols)
        return self._records(tables.OPTION_TRADES, rows, source, findings)

    def quotes(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str],
        keep: Keep | None = None,
    ) -> Records:
        """Return the quote changes of chosen contracts, minute by minute and some in between."""
        source = self._source("quotes", underlying, session_date, symbols)
        day = self._day(underlying, session_date)
        index, findings = _listed(day, symbols)
        rows = quotes_table(day, index, source=source)
        return self._records(tables.OPTION_QUOTES, rows, source, findings)

    def bars(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        interval: Literal["minute", "day"] = "minute",
        keep: Keep | None = None,
    ) -> Records:
        """Return bars of the prints that count, in USD."""
        source = self._source(f"{interval}_bars", underlying, session_date, symbols)
        day = self._day(underlying, session_date)
        prints, findings = self._prints(day, symbols)
        rows = bars_table(day, prints, interval=interval, source=source)
        return self._records(tables.OPTION_BARS, _only(rows, symbols), source, findings)

    def _day(self, underlying: Underlying, session_date: date) -> MarketDay:
        return market_day(self.seed, underlying.symbol, day=session_date, density=self.density)

    def _prints(
        self, day: MarketDay, symbols: Sequence[str] | None
    ) -> tuple[Prints, tuple[Finding, ...]]:
        """Return prints of chosen contracts; of all where they are numbered across contracts."""
        index, findings = _listed(day, symbols or ())
        if symbols is None or day.entry.calendar == "24/7":
            symbol = day.entry.symbol
            return session_prints(self.seed, symbol, day=day.day, density=self.density), findings
        return contract_prints(day, index), findings

    def _records(
        self, table: tables.Table, rows: pa.Table, source: Source, findings: Sequence[Finding] = ()
    ) -> Records:
        return Records(
            table=table,
            rows=rows,
            provider=self.name,
            source_name=source.name,
            source_sha256=hashlib.sha256(source.name.encode()).hexdigest(),
            findings=tuple(findings),
        )

    def _source(
        self,
        what: str,
        underlying: Underlying,
        session_date: date,
        symbols: Sequence[str] | None = None,
    ) -> Source:
        name = self._source_name(f"{what} {underlying.symbol} {session_date}")
        if symbols is not None:
            which = hashlib.sha256(",".join(sorted(symbols)).encode()).hexdigest()[:12]
            name += f" contracts={which}"
        return Source(self.name, name)

    def _source_name(self, what: str) -> str:
        name = f"simulator {what} seed={self.seed}"
        return name if self.density == DEFAULT_DENSITY else f"{name} density={self.density:g}"


def _listed(day: MarketDay, symbols: Sequence[str]) -> tuple[Ints, tuple[Finding, ...]]:
    """Find symbols in a session's listing; those that are not there are a finding."""
    place = {name: i for i, name in enumerate(day.session.listing.columns["symbol"].to_pylist())}
    missing = sorted({name for name in symbols if name not in place})
    index = np.array(sorted({place[name] for name in symbols if name in place}), np.int64)
    if not missing:
        return index, ()
    text = (
        f"{len(missing)} of {len(set(symbols))} contracts asked for are not listed on {day.day}, "
        f"{missing[0]} among them: nothing was returned for them"
    )
    return index, (Finding("symbols_not_listed", text),)


def _only(rows: pa.Table, symbols: Sequence[str] | None) -> pa.Table:
    if symbols is None:
        return rows
    return rows.filter(pc.is_in(rows["symbol"], pa.array(symbols, pa.string())))

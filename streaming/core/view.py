"""What is known of one underlying at a moment: all that the live API shows.

Belongs here: shapes that stay as they are while the engine moves on. Does not belong here: how they
come about (`lane`, `engine`), JSON (`api`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.conventions import PER_PCT
from dealer_assets.domain.flow.totals import DELTA, GAMMA, Revaluation, Sums
from dealer_assets.tables.live import LIVE_RECONCILED, NAIVE

if TYPE_CHECKING:  # pricing a chain is needed by few importers of this module
    from dealer_assets.domain.exposure.snapshot import Exposure


@dataclass(frozen=True, slots=True)
class ModelTotals:
    """Exposures of one model's positions at one instant.

    Parameters
    ----------
    sums : Sums
        Exposures.
    contracts, contracts_priced : int
        Contracts with a position, and those of them with a vol: only these are in the sums.
    net_gamma_sd : float
        Standard deviation of net gamma by the positions' error [USD per 1 %]; NaN where the model
        tells none.
    settled_share : float
        Open interest of contracts whose settled position is known; NaN where it is not asked for.
    """

    sums: Sums
    contracts: int
    contracts_priced: int
    net_gamma_sd: float = nan
    settled_share: float = nan


@dataclass(frozen=True, slots=True)
class SecondTotals:
    """Totals of one underlying at the end of a second.

    Parameters
    ----------
    at_us : int
        Instant, microseconds since 1970.
    spot : float
        USD.
    spot_source : str
        One of `tables.SPOT_SOURCES`.
    spot_age_us : int
        Its age.
    models : mapping of str to ModelTotals
        By model; ``naive`` is absent while no open interest is known, ``live_reconciled`` where
        the session has no settled positions.
    priced_us : int
        When the whole chain was last priced.
    trades : int
        Prints of the session so far.
    signed_share : float
        Share of volume with a side; NaN before the first trade.
    quoted_share : float
        Live contracts with a fresh quote.
    """

    at_us: int
    spot: float
    spot_source: str
    spot_age_us: int
    models: Mapping[str, ModelTotals]
    priced_us: int
    trades: int
    signed_share: float
    quoted_share: float


@dataclass(frozen=True)
class Pricing:
    """One full pricing of an underlying's chain.

    Parameters
    ----------
    at_us : int
        Instant, microseconds since 1970.
    chain : pyarrow.Table
        The chain from the book, `tables.CHAIN_SNAPSHOTS` schema, sorted by its key.
    forwards : pyarrow.Table
        `tables.FORWARDS`.
    priced : pyarrow.Table
        `tables.CONTRACT_GREEKS`, one row per row of the chain.
    contract : int64 array, shape (n,)
        Number in the listing of each row of the chain.
    revaluation : Revaluation
        Those with a vol, ready to be valued at other spots and instants.
    """

    at_us: int
    chain: pa.Table
    forwards: pa.Table
    priced: pa.Table
    contract: Ints
    revaluation: Revaluation

    @cached_property
    def exposure(self) -> Exposure:
        """Book, profile and levels by the naive rule, without bands; computed at first use."""
        from dealer_assets.domain.exposure.snapshot import expose

        return expose(self.chain, self.priced, model=NAIVE, resamples=0)

    @cached_property
    def scenarios(self) -> pa.Table:
        """Rows of `tables.SCENARIO_GRID` by the naive rule; computed at first use."""
        from dealer_assets.domain.exposure.snapshot import scenarios_of

        return scenarios_of(self.priced, model=NAIVE)


@dataclass(frozen=True)
class ContractView:
    """Priced contracts with open interest or a trade; arrays of shape (n,).

    Parameters
    ----------
    contract : int64 array
        Number of each in the listing; its symbol is ``symbols[contract]``.
    expires_us : int64 array
        Expiry instant, microseconds since 1970.
    expiry_day : int64 array
        Listed expiry date, days since 1970.
    strike : float64 array
        USD.
    is_call, is_zero_dte : bool array
        Calls; contracts that expire in the session.
    vol : float64 array
        Vol of the last full pricing, decimal.
    multiplier : float64 array
        Units of the underlying a contract.
    unit : float64 array, shape (5, n)
        Exposures of one contract held by dealers: delta, gamma, vanna, charm, volga, in the units
        of the totals.
    open_interest, customer, volume : float64 array
        Contracts; customers' signed position of the session; open interest NaN where unknown.
    customer_mean : float64 array
        What that is expected to be by the odds of every side [contracts].
    settled : float64 array
        Dealers' position that the session opened with [contracts]; NaN where not known.
    bid, ask, last_price : float64 array
        USD; NaN where there is none.
    spot : float
        At which they are valued [USD].
    """

    contract: Ints
    expires_us: Ints
    expiry_day: Ints
    strike: Floats
    is_call: Bools
    is_zero_dte: Bools
    vol: Floats
    multiplier: Floats
    unit: Floats
    open_interest: Floats
    customer: Floats
    customer_mean: Floats
    settled: Floats
    volume: Floats
    bid: Floats
    ask: Floats
    last_price: Floats
    spot: float

    def position(self, model: str) -> Floats:
        """Dealers' position by a model of `LIVE_MODELS` [contracts]; NaN where not known."""
        if model == NAIVE:
            return np.where(self.is_call, self.open_interest, -self.open_interest)
        if model == LIVE_RECONCILED:
            return np.asarray(self.settled - self.customer_mean)
        return 0.0 - self.customer

    def exposures(self, model: str) -> Floats:
        """Return exposures by a model of `LIVE_MODELS`, shape (5, n), in the order of `unit`."""
        return np.asarray(self.unit * self.position(model))

    @property
    def delta(self) -> Floats:
        """Per 1.0 of spot."""
        return np.asarray(self.unit[DELTA] / (self.multiplier * self.spot))

    @property
    def gamma(self) -> Floats:
        """Per 1.0 of spot [1/USD]."""
        return np.asarray(self.unit[GAMMA] / (self.multiplier * self.spot**2 * PER_PCT))


@dataclass(frozen=True)
class LaneView:
    """One underlying at a moment; never changes, may be read by any thread.

    Parameters
    ----------
    underlying, feed : str
        Registry symbol; where events come from.
    session_date : datetime.date
        Session.
    now_us : int
        Clock of the events, microseconds since 1970; -1 before the first.
    is_open : bool
        The session's options quote at that moment.
    spot : float
        Last value [USD]; NaN before the first.
    spot_us : int
        When it was received; -1 before the first.
    spot_source : str
        One of `tables.SPOT_SOURCES`.
    totals : SecondTotals or None
        The latest; None before the first full pricing.
    history : tuple of SecondTotals
        The last hour's, oldest first, the latest included.
    pricing : Pricing or None
        The last full pricing.
    contracts : ContractView or None
        Exposures by contract as of `totals`; None before the first full pricing.
    watched : tuple of str
        Symbols of the 0DTE window around the money.
    flow : float64 array, shape (9, 16)
        Cumulative flow of the session, measures of `domain.flow.bars.MEASURES` by bucket.
    contracts_listed : int
        Contracts of the underlying.
    symbols : sequence of str
        All symbols of the desk by number; shared, grows.
    """

    underlying: str
    feed: str
    session_date: date
    now_us: int
    is_open: bool
    spot: float
    spot_us: int
    spot_source: str
    totals: SecondTotals | None
    history: tuple[SecondTotals, ...]
    pricing: Pricing | None
    contracts: ContractView | None
    watched: tuple[str, ...]
    flow: Floats
    contracts_listed: int
    symbols: Sequence[str]

    @property
    def spot_age_us(self) -> int | None:
        """Age of spot; None without one."""
        return self.now_us - self.spot_us if self.spot_us >= 0 else None

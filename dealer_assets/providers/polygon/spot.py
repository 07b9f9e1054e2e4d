"""What the underlying is worth: the vendor's value when it is fresh, else what its quotes imply.

Belongs here: the ladder of sources and how stale each may be. Does not belong here: the questions
to the vendor (`market`), the forwards of a whole chain (`domain/forward.py`).

An options plan has no index data, so the value beside the rows may be absent, or a quarter of an
hour old beside quotes of this second; gamma around a spot of another instant is worse than one
around a spot implied by the quotes themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.domain.parity import Pairs, centres
from dealer_assets.domain.sessions import expiry_instant, session_close
from dealer_assets.errors import ProviderError
from dealer_assets.providers.doubts import PARITY_LEAST_PAIRS
from dealer_assets.providers.polygon.clocks import ChainClock, Note
from dealer_assets.providers.polygon.fields import instants, naive, numbers, texts, utc
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.symbol_columns import SymbolColumns, read_symbols
from dealer_assets.underlyings import Underlying

STALE_AFTER = timedelta(minutes=5)
"""A value further than this from the quotes in time is of another state of the market."""


@dataclass(frozen=True)
class SpotQuote:
    """A price of the underlying.

    Parameters
    ----------
    value : float
        USD.
    at : datetime.datetime or None
        UTC instant, when told.
    source : str
        Of `tables.base.SPOT_SOURCES`.
    is_delayed : bool
        The plan delivers it late.
    """

    value: float
    at: datetime | None
    source: str
    is_delayed: bool = False


def newest_spot(rows: pa.StructArray, *, at: datetime) -> SpotQuote | None:
    """Return the newest price of the underlying beside the rows of a chain.

    Parameters
    ----------
    rows : pyarrow.StructArray
        With a field ``underlying_asset``: ``value`` for indices, ``price`` for shares.
    at : datetime.datetime
        UTC instant at which the chain was asked for: a delayed price is no newer than its delay
        allows, whatever its clock says.
    """
    index = numbers(rows, "underlying_asset", "value")
    share = numbers(rows, "underlying_asset", "price")
    value = np.where(index > 0, index, share)
    usable = np.flatnonzero(np.isfinite(value) & (value > 0))
    if not usable.size:
        return None
    clocks = instants(rows, "underlying_asset", "last_updated")[usable]
    ages = np.where(np.isnat(clocks), np.datetime64(0, "us"), clocks)
    row = usable[np.argmax(ages)]
    clock = clocks[np.argmax(ages)]
    is_delayed = texts(rows, "underlying_asset", "timeframe")[int(row)].as_py() == "DELAYED"
    told = None if np.isnat(clock) else utc(clock)
    if is_delayed:
        told = min(told or at, at - VENDOR_DELAY)
    source = "index" if index[row] > 0 else "last_trade"
    return SpotQuote(float(value[row]), told, source, is_delayed)


def staleness(spot: SpotQuote, clock: ChainClock, underlying: Underlying) -> str | None:
    """Tell in words by how much a price is of another instant than a chain's quotes.

    After the close options quote on for a while and an index stands still, which is no staleness; a
    share trades on, which is, beside quotes of the close.

    Returns
    -------
    str or None
        None when it is fresh enough, or nothing is told.
    """
    if spot.at is None:
        return None
    close = session_close(underlying.calendar, clock.session)
    spot_at = min(spot.at, close) if underlying.kind == "index" else spot.at
    behind, ahead = min(clock.newest, close) - spot_at, spot_at - clock.newest
    if behind > STALE_AFTER:
        return f"{behind} older"
    return f"{ahead} newer" if ahead > STALE_AFTER else None


def parity_spot(raw: RawChain, clock: ChainClock, underlying: Underlying) -> float | None:
    """Return the forward that the nearest live expiry's quotes imply, standing in for spot.

    Parameters
    ----------
    raw : RawChain
        With quotes.
    clock : ChainClock
        When they are of; expired series are passed over.
    underlying : Underlying
        Whose roots count.

    Returns
    -------
    float or None
        USD: median of K + C - P where call and put cost the same; None when no expiry has
        `doubts.PARITY_LEAST_PAIRS` pairs quoted on both sides.
    """
    columns = read_symbols(raw.symbols)
    bid, ask = raw.floats["bid"], raw.floats["ask"]
    live = columns.readable & (bid > 0) & (ask >= bid) & np.isfinite(ask)
    for days in np.unique(columns.expiries[live]):
        for code, name in enumerate(columns.root_names):
            root = underlying.root(name)
            if root is None:
                continue
            ends = expiry_instant(root.settlement, underlying.calendar, days.item())
            here = live & (columns.expiries == days) & (columns.root_codes == code)
            if naive(ends) <= naive(clock.newest):
                continue
            found = _implied(columns, here, 0.5 * (bid + ask))
            if found is not None:
                return found
    return None


def _implied(columns: SymbolColumns, here: np.ndarray, middle: np.ndarray) -> float | None:
    calls, puts = np.flatnonzero(here & columns.is_call), np.flatnonzero(here & ~columns.is_call)
    strikes, of_call, of_put = np.intersect1d(
        columns.strikes[calls], columns.strikes[puts], return_indices=True
    )
    if strikes.size < PARITY_LEAST_PAIRS:
        return None
    pairs = Pairs(
        slice_id=np.zeros(strikes.size, np.int64),
        strike=strikes,
        difference=middle[calls[of_call]] - middle[puts[of_put]],
        half_spread=np.ones(strikes.size),
    )
    return float(centres(pairs, 1)[0])


@dataclass(frozen=True)
class Ladder:
    """The sources of spot of one chain, the best first.

    In this order: the value beside the rows, the index's own value, the forward that the quotes
    imply, the previous close.

    Parameters
    ----------
    underlying : Underlying
        Registry entry; only an index has a value of its own to ask for.
    clock : ChainClock
        When the chain is of.
    ask_value, ask_close : callable
        Ask the vendor; may raise `ProviderError`.
    """

    underlying: Underlying
    clock: ChainClock
    ask_value: Callable[[], SpotQuote]
    ask_close: Callable[[], SpotQuote]

    def climb(self, raw: RawChain, beside: SpotQuote | None) -> RawChain:
        """Give a chain the price of the first source that is fresh enough; None when none is.

        Parameters
        ----------
        raw : RawChain
            The chain.
        beside : SpotQuote or None
            The value beside its rows.
        """
        notes: list[Note] = []
        spot = self._fresh(beside, notes)
        if spot is None and self.underlying.kind == "index":
            spot = self._fresh(_asked(self.ask_value, notes), notes)
        if spot is None:
            implied = parity_spot(raw, self.clock, self.underlying)
            spot = None if implied is None else SpotQuote(implied, None, "parity")
        if spot is None:
            spot = _asked(self.ask_close, notes)
        value, source = (spot.value, spot.source) if spot else (None, None)
        return replace(raw, spot=value, spot_source=source, notes=(*raw.notes, *notes))

    def _fresh(self, spot: SpotQuote | None, notes: list[Note]) -> SpotQuote | None:
        gap = staleness(spot, self.clock, self.underlying) if spot else None
        if spot is None or gap is None:
            return spot
        text = (
            f"the vendor's price of {self.underlying.symbol}, {spot.value:g}, is {gap} than the "
            "quotes: not used"
        )
        notes.append(("spot_stale", text))
        return None


def _asked(ask: Callable[[], SpotQuote], notes: list[Note]) -> SpotQuote | None:
    try:
        return ask()
    except ProviderError as error:
        notes.append(("spot_refused", str(error)))
        return None

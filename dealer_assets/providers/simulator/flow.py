"""Open interest and volume of every contract of a session, put together.

Belongs here: what a session's chain and tape add up to. Does not belong here: prices, or where the
numbers come from (`activity`, `truth`). A session's volume is at least what customers open and
close for good, and so at least the change of open interest, and of dealers' positions, to the next
session; it is even where customers' net purchases are even, so that whole trades add up to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from dealer_assets.providers.simulator.activity import turnover
from dealer_assets.providers.simulator.listing import Floats, session_listing
from dealer_assets.providers.simulator.market import day_number
from dealer_assets.providers.simulator.noise import combine, stream_key, uniform
from dealer_assets.providers.simulator.truth import Truth, session_truth


@dataclass(frozen=True)
class Flow:
    """Positions and trades of one session; arrays of shape (n,) along its listing.

    Parameters
    ----------
    open_interest : float64 array
        As published for the session, whole contracts.
    volume : float64 array
        Contracts traded by the end of the session, whole.
    phase : float64 array
        In (0, 1): staggers the instants at which contracts trade.
    truth : Truth
        Who holds the open interest, and what the volume changes in that.
    """

    open_interest: Floats
    volume: Floats
    phase: Floats
    truth: Truth

    @property
    def bought(self) -> Floats:
        """Contracts that customers buy, whole; they sell the rest of the volume."""
        return np.asarray(0.5 * (self.volume + self.truth.customer_net))

    @property
    def buy_share(self) -> Floats:
        """Share of the volume that customers buy; a half where there is none."""
        return np.where(self.volume > 0.0, self.bought / np.maximum(self.volume, 1.0), 0.5)

    @property
    def bought_to_open(self) -> Floats:
        """Of `bought`, what makes customers' long contracts more; the rest closes short ones."""
        return np.maximum(self.truth.longs_change, 0.0) + self._round_trips

    @property
    def sold_to_open(self) -> Floats:
        """Of what customers sell, what makes their short contracts more; the rest closes longs."""
        closed = np.maximum(-self.truth.longs_change, 0.0) + self._round_trips
        return np.asarray(self.volume - self.bought - closed)

    @property
    def _round_trips(self) -> Floats:
        """Contracts that one customer buys to open and another, or he himself, sells to close."""
        return np.floor(0.25 * (self.volume - self.truth.least_volume))


@lru_cache(maxsize=24)
def session_flow(seed: int, symbol: str, *, day: date, density: float) -> Flow:
    """Return open interest and volume of a session's listing.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    day : datetime.date
        A session of the simulated market.
    density : float
        As given to `session_listing`.

    Returns
    -------
    Flow
    """
    listing = session_listing(seed, symbol, day=day, density=density)
    truth = session_truth(seed, symbol, day=day, density=density)
    phase = uniform(
        stream_key(seed, "phase", symbol), combine(listing.contract_id, day_number(day))
    )
    least = truth.least_volume
    more = np.maximum(turnover(seed, symbol, listing=listing, day=day) - least, 0.0)
    # in pairs: what is bought besides is sold besides
    volume = least + 2.0 * np.floor(0.5 * more + phase)
    return Flow(truth.open_interest, volume, phase, truth)

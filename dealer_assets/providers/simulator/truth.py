"""Who holds what in the simulated market: the answer that position estimates are measured against.

Belongs here: dealers' positions and customers' net trades by contract. Does not belong here: open
interest (`activity`), volume (`flow`), single prints (`tape`).

Customers of several kinds hold a share of each contract's open interest, each by its own habit
(`habits`); dealers as one group hold the opposite of their sum. With H the customers' net holding
and OI the open interest, customers are long and short

    L = OI and S = OI - H   where H >= 0,        L = OI + H and S = OI   where H < 0

contracts: dealers net among themselves, so that the longer side of the customers is the open
interest. Over a session, customers' net purchases are the change of H, and the contracts they open
and close are the changes of L and S. Nothing here knows a later price than `activity` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.activity import clock, open_interest, turnover
from dealer_assets.providers.simulator.habits import customer_shares, last_day_shares
from dealer_assets.providers.simulator.listing import Bools, Floats, Listing, session_listing
from dealer_assets.underlyings import underlying


@dataclass(frozen=True)
class Truth:
    """Holders of one session's contracts; arrays of shape (n,) along its listing.

    Parameters
    ----------
    open_interest : float64 array
        That the session opens with.
    dealer_position : float64 array
        Dealers' position as a group that the session opens with, > 0 long; whole contracts.
    customer_net : float64 array
        Customers' buys minus sells in the session, whole contracts.
    longs_change, shorts_change : float64 array
        Change of customers' long and short contracts over the session: opened minus closed.
    """

    open_interest: Floats
    dealer_position: Floats
    customer_net: Floats
    longs_change: Floats
    shorts_change: Floats

    @property
    def least_volume(self) -> Floats:
        """Contracts that have to trade for these changes; as even or odd as `customer_net`."""
        return np.asarray(np.abs(self.longs_change) + np.abs(self.shorts_change))


def dealer_positions(seed: int, symbol: str, *, day: date, density: float) -> Floats:
    """Return dealers' settled position in every contract that a session opens with.

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
    float64 array, shape (n,)
        Whole contracts along the session's listing, > 0 long, never more than the open interest;
        0 for contracts listed that session.
    """
    return session_truth(seed, symbol, day=day, density=density).dealer_position


def customer_net(seed: int, symbol: str, *, day: date, density: float) -> Floats:
    """Return customers' buys minus sells of a session; arguments as of `dealer_positions`.

    Returns
    -------
    float64 array, shape (n,)
        Whole contracts along the session's listing: minus the change of dealers' position to the
        next session. For contracts that expire that day, what was traded on their last day.
    """
    return session_truth(seed, symbol, day=day, density=density).customer_net


@lru_cache(maxsize=24)
def session_truth(seed: int, symbol: str, *, day: date, density: float) -> Truth:
    """Return the holders of a session's contracts; arguments as of `dealer_positions`.

    The arrays are shared: they cannot be written to.
    """
    listing = session_listing(seed, symbol, day=day, density=density)
    following = sessions.next_session(underlying(symbol).calendar, day)
    held = open_interest(seed, symbol, listing=listing, day=day)
    held_then = open_interest(seed, symbol, listing=listing, day=following)
    net = _customers(seed, symbol, listing=listing, day=day, held=held)
    net_then = _customers(seed, symbol, listing=listing, day=following, held=held_then)

    ends = np.array([s.expiry_date <= day for s in listing.series], np.bool_)[listing.slice_id]
    held_then = np.where(ends, held, held_then)
    traded = _last_day(seed, symbol, listing=listing, day=day, net=net, ends=ends)
    net_then = np.where(ends, net + traded, net_then)
    held_then = np.maximum(held_then, np.abs(net_then))  # last-day trades may open new ones

    longs, shorts = _sides(net, held)
    longs_then, shorts_then = _sides(net_then, held_then)
    truth = Truth(held, 0.0 - net, net_then - net, longs_then - longs, shorts_then - shorts)
    for values in vars(truth).values():
        values.flags.writeable = False
    return truth


def _customers(seed: int, symbol: str, *, listing: Listing, day: date, held: Floats) -> Floats:
    """Return customers' net holding [contracts], shape (n,)."""
    shares = customer_shares(seed, symbol, listing=listing, day=day)
    # whoever they are, customers cannot hold more than there is
    return np.asarray(np.trunc(np.tanh(np.sum(list(shares.values()), axis=0)) * held))


def _last_day(
    seed: int, symbol: str, *, listing: Listing, day: date, net: Floats, ends: Bools
) -> Floats:
    """Return what customers trade net in contracts on the day they expire, shape (n,)."""
    part = last_day_shares(seed, symbol, listing=listing, number=clock(symbol, day))
    bought = part * turnover(seed, symbol, listing=listing, day=day)
    return np.where(ends, np.trunc(bought - 0.4 * net), 0.0)


def _sides(net: Floats, held: Floats) -> tuple[Floats, Floats]:
    """Split open interest into customers' long and short contracts."""
    return held + np.minimum(net, 0.0), held - np.maximum(net, 0.0)

"""The watched window: today's expiries, a few strikes on each side of the money, following spot.

Belongs here: which contracts are in it, what a move of spot adds and removes. Does not belong here:
subscribing to them (feeds), what is made of them (the streaming engine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints

REACH = 0.6
"""Share of the way to a neighbouring strike after which the window's middle moves there: halfway
would make it flutter while spot stays between two strikes."""


@dataclass(frozen=True, slots=True)
class WindowChange:
    """What became of a window.

    Parameters
    ----------
    watched, added, removed : int64 array
        Contracts now in it, those new in it, those no longer in it; ascending.
    """

    watched: Ints
    added: Ints
    removed: Ints


class Window:
    """Contracts that expire today, ATM +- n strikes, of one underlying.

    Parameters
    ----------
    strikes_each_side : int
        How many strikes on each side of the middle; 0 watches the middle alone.
    """

    def __init__(self, strikes_each_side: int) -> None:
        self._each_side = strikes_each_side
        self._middle = float("nan")
        self._lower = self._upper = float("nan")
        self._alive = -1
        self.watched: Ints = np.empty(0, np.int64)

    def holds(self, spot: float, alive: int) -> bool:
        """Tell, at no cost, that `follow` would change nothing.

        Parameters
        ----------
        spot : float
            USD; NaN changes nothing.
        alive : int
            How many of today's contracts have not expired.
        """
        return alive == self._alive and not (spot < self._lower or spot > self._upper)

    def follow(
        self, spot: float, *, contract: Ints, strike: Floats, is_alive: Bools
    ) -> WindowChange:
        """Move the window to where spot is.

        Parameters
        ----------
        spot : float
            USD; NaN leaves the window where it is.
        contract : int64 array, shape (n,)
            Today's contracts, ascending, by whatever number they have.
        strike : float64 array, shape (n,)
            USD.
        is_alive : bool array, shape (n,)
            Not expired yet; the others leave the window.
        """
        self._alive = int(is_alive.sum())
        ladder = np.unique(strike[is_alive])
        self._recentre(ladder, spot)
        place = np.flatnonzero(ladder == self._middle)
        chosen = ladder[:0]
        if place.size:
            first = max(0, int(place[0]) - self._each_side)
            chosen = ladder[first : int(place[0]) + self._each_side + 1]
        watched = contract[is_alive & np.isin(strike, chosen)]
        change = WindowChange(
            watched=watched,
            added=np.setdiff1d(watched, self.watched),
            removed=np.setdiff1d(self.watched, watched),
        )
        self.watched = watched
        return change

    def _recentre(self, ladder: Floats, spot: float) -> None:
        """Take the strike nearest to spot, the old one as long as spot is within its reach."""
        place = int(np.searchsorted(ladder, self._middle))
        is_listed = place < ladder.size and ladder[place] == self._middle
        is_within = self._lower <= spot <= self._upper
        if ladder.size and spot > 0.0 and not (is_listed and is_within):
            place = int(np.argmin(np.abs(ladder - spot)))
            self._middle, is_listed = float(ladder[place]), True
        self._lower, self._upper = -np.inf, np.inf
        if not is_listed:  # any spot is news, unless there is nothing to watch
            self._lower = np.inf if ladder.size else -np.inf
            return
        if place > 0:
            self._lower = self._middle - REACH * float(ladder[place] - ladder[place - 1])
        if place + 1 < ladder.size:
            self._upper = self._middle + REACH * float(ladder[place + 1] - ladder[place])

"""Which contracts are quoted now, where a venue lets only a few of very many be.

Belongs here: the choice, a plain function of listing, spot and turn. Does not belong here: asking
the venue for them (`polygon`), or what their quotes are used for (`book`, `pricing`).

::

    always      today's strikes around the money, so that the watched window moves within them
                both rights at the money of every expiry: the forward of each comes from them
                then whatever is likely to carry most gamma
    in turns    all others, so that each gets a quote now and then
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints
from streaming.core.listing import Listing

_YEAR_US = 365.0 * 86_400e6
_LEAST_YEARS = 3600e6 / _YEAR_US
_ROUGH_VOL = 0.2
_SPARE_STRIKES = 2
_SPOT_GRID = 0.001
_NEAR_YEARS = 30.0 / 365.0


class Rotation:
    """Chooses the contracts to be quoted.

    Parameters
    ----------
    listing : Listing
        All contracts; looked at anew at every choice, so that it may grow.
    cap : int
        Most contracts at a time; 0 quotes none.
    window_strikes : int
        Watched strikes on each side of the money of today's expiries; two more are quoted.
    rotating_share : float
        Share of the cap, 0 to 1, that the others get in turns; without use where all find room.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        cap: int = 1000,
        window_strikes: int = 3,
        rotating_share: float = 0.2,
    ) -> None:
        self._listing, self.cap = listing, cap
        self._each_side = window_strikes + _SPARE_STRIKES
        self._in_turns = int(cap * rotating_share)
        self._session_day = np.array(
            [
                np.datetime64(listing.sessions[lane.symbol], "D").astype(np.int64)
                for lane in listing.lanes
            ]
        )

    def choose(self, spots: Mapping[str, float], *, now_us: int, turn: int) -> Ints:
        """Return contracts to be quoted, the most important first.

        Parameters
        ----------
        spots : mapping of str to float
            USD by underlying. Without one, the strike that splits the open interest of the next
            thirty days stands in.
        now_us : int
            Microseconds since 1970; what has expired is not quoted.
        turn : int
            Counts up; each turn others of those that are not always quoted have theirs.

        Returns
        -------
        int64 array, shape (at most cap,)
            Rows of the listing, none twice.
        """
        alive = np.flatnonzero(self._listing.expires_us > now_us)
        if alive.size <= self.cap:
            return alive
        spot = np.array([self._spot(i, spots, now_us) for i in range(len(self._listing.lanes))])
        away = np.log(self._listing.strike[alive] / spot[self._listing.lane[alive]])
        always = _first_of(
            self._window(alive, spot),
            self._at_the_money(alive, away),
            alive[np.argsort(-self._importance(alive, away, now_us), kind="stable")],
        )[: self.cap - self._in_turns]
        return np.concatenate([always, self._turn(alive, always, turn)])

    def _spot(self, lane: int, spots: Mapping[str, float], now_us: int) -> float:
        told = spots.get(self._listing.lanes[lane].symbol, float("nan"))
        if isfinite(told) and told > 0.0:
            return told
        listing = self._listing
        near = (listing.lane == lane) & (listing.expires_us > now_us)
        soon = near & (listing.expires_us <= now_us + _NEAR_YEARS * _YEAR_US)
        near = soon if soon.any() else near
        if not near.any():
            return 1.0
        strike, weight = listing.strike[near], np.nan_to_num(listing.open_interest[near])
        order = np.argsort(strike, kind="stable")
        total = np.cumsum(weight[order] if weight.any() else np.ones(order.size))
        return float(strike[order][np.searchsorted(total, total[-1] / 2.0)])

    def _window(self, alive: Ints, spot: Floats) -> Ints:
        """Return today's contracts at the strikes around spot."""
        listing, found = self._listing, [np.empty(0, np.int64)]
        is_today = listing.expiry_day[alive] == self._session_day[listing.lane[alive]]
        for lane in range(spot.size):
            todays = alive[is_today & (listing.lane[alive] == lane)]
            strikes = np.unique(listing.strike[todays])
            order = np.argsort(np.abs(strikes - spot[lane]), kind="stable")
            near = strikes[order[: 2 * self._each_side + 1]]
            found.append(todays[np.isin(listing.strike[todays], near)])
        return np.concatenate(found)

    def _at_the_money(self, alive: Ints, away: Floats) -> Ints:
        """Return both rights at the strike of each slice nearest to spot, next expiries first."""
        slices = self._listing.slice_id[alive]
        nearest = np.full(len(self._listing.slices), np.inf)
        np.minimum.at(nearest, slices, np.abs(away))
        found = alive[np.abs(away) == nearest[slices]]
        soonest: Ints = found[np.argsort(self._listing.expires_us[found], kind="stable")]
        return soonest

    def _importance(self, alive: Ints, away: Floats, now_us: int) -> Floats:
        """Return the log of the gamma [USD] a contract may carry, at a vol that all share.

        Spot is on a grid, so that the choice stays as it is while spot hardly moves.
        """
        listing = self._listing
        years = np.maximum((listing.expires_us[alive] - now_us) / _YEAR_US, _LEAST_YEARS)
        away = np.round(away / _SPOT_GRID) * _SPOT_GRID
        open_interest = listing.open_interest[alive]
        known = np.isfinite(open_interest)
        usual = float(np.median(open_interest[known])) if known.any() else 0.0
        # the root: today's trades come near the money, whatever was held there yesterday
        held = np.sqrt(1.0 + np.where(known, open_interest, usual)) * listing.multiplier[alive]
        deviations: Floats = away / (_ROUGH_VOL * np.sqrt(years))
        size: Floats = np.log(held * listing.strike[alive]) - 0.5 * np.log(years)
        return size - 0.5 * deviations**2

    def _turn(self, alive: Ints, always: Ints, turn: int) -> Ints:
        """Return whose turn it is, by place in the listing, so that none is ever passed over."""
        size = self._listing.size
        is_other: Bools = np.zeros(size, np.bool_)
        is_other[alive] = True
        is_other[always] = False
        if self._in_turns == 0:
            return np.empty(0, np.int64)
        first = turn * self._in_turns % size
        rolled = np.flatnonzero(np.roll(is_other, -first))[: self._in_turns]
        return (rolled + first) % size


def _first_of(*choices: Ints) -> Ints:
    """Return all of several choices in order, each once."""
    flat = np.concatenate(choices)
    _, places = np.unique(flat, return_index=True)
    return flat[np.sort(places)]

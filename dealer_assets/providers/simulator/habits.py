"""Habits of the simulated customers: the share of open interest that each kind holds, and when.

Belongs here: who wants what. Does not belong here: contracts or dealers (`truth`). Magnitudes are
chosen, none is fitted: dealers hold a part of the open interest, long calls above and short puts
below the money on the whole, and for a good part of the contracts the other way round.

Kinds: *overwriters* sell calls at and above the money, *holders* own calls below it instead of
shares; *hedgers* buy puts below the money, *writers* sell puts near it; *spreaders* are long one
strike and short one nearby; *speculators* take any side, more of it as the expiry comes near, on
the last days with the mood of the day. Overwriters, hedgers and writers are more or less busy from
month to month, as one. A speculator's path starts at 0 when its contract is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from dealer_assets.providers.simulator.activity import clock, moneyness, widths
from dealer_assets.providers.simulator.listing import Floats, Listing
from dealer_assets.providers.simulator.noise import combine, normal, stream_key
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.underlyings import underlying

KINDS: Final = ("overwriter", "holder", "hedger", "writer", "spreader", "speculator")

_MOOD_KNOTS = 15
"""Days between the random values that a kind's business moves between."""

_PATH_TERMS = 6
_PATH_DAYS = 18.0
"""A speculators' path has moved by 63 % of its variance in the last so many days."""

_SPREAD_WIDTHS = 0.3
"""Distance of the strikes of a spread, in widths of its series."""

_SPREAD_DAYS = 60.0


@dataclass(frozen=True)
class _Sizes:
    """Shares of open interest: of the kinds with a side, and deviations of those without."""

    overwriter: float
    holder: float
    hedger: float
    writer: float
    spreader: float
    speculator: float


_INDEX = _Sizes(0.34, 0.22, 0.34, 0.32, 0.20, 0.42)
_SHARE = _Sizes(0.30, 0.15, 0.22, 0.24, 0.15, 0.50)
_COIN = _Sizes(0.30, 0.18, 0.24, 0.20, 0.15, 0.50)


def customer_shares(seed: int, symbol: str, *, listing: Listing, day: date) -> dict[str, Floats]:
    """Return the share of open interest that each kind of customer holds net.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    listing : Listing
        Contracts asked for; of this session or the one before.
    day : datetime.date
        The session that opens with these holdings.

    Returns
    -------
    dict of str to float64 array, shape (n,)
        By kind, > 0 long; together not bounded.
    """
    kind = underlying(symbol).kind
    size = {"crypto": _COIN, "equity": _SHARE}.get(kind, _INDEX)
    number = clock(symbol, day)
    x = moneyness(seed, symbol, listing=listing, day=day)
    is_call = listing.is_call
    busy = {who: 1.0 + 0.2 * _mood(seed, symbol, who, number) for who in KINDS[:4]}
    calls = np.where(is_call, 1.0, 0.0)
    puts = 1.0 - calls
    return {
        "overwriter": -size.overwriter * busy["overwriter"] * calls * _step(2.5 * (x + 0.1)),
        "holder": size.holder * busy["holder"] * calls * _step(-2.5 * (x + 0.5)),
        "hedger": size.hedger * busy["hedger"] * puts * _step(-2.0 * (x - 0.3)),
        "writer": -size.writer * busy["writer"] * puts * np.exp(-2.0 * (x + 0.2) ** 2),
        "spreader": size.spreader * _spread(seed, symbol, listing=listing, day=day),
        "speculator": size.speculator * _path(seed, symbol, listing=listing, day=day),
    }


def last_day_shares(seed: int, symbol: str, *, listing: Listing, number: int) -> Floats:
    """Return speculators' net part of the turnover of contracts that expire, shape (n,).

    Parameters
    ----------
    seed, symbol, listing
        As of `customer_shares`.
    number : int
        The day, as `activity.clock` counts.
    """
    own = normal(stream_key(seed, "last day", symbol), combine(listing.contract_id, number))
    mood = [_draw(stream_key(seed, "last day", symbol, right), number) for right in ("put", "call")]
    return np.asarray(0.05 * own + 0.02 * np.array(mood)[listing.is_call.astype(np.int64)])


def _step(z: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


def _draw(key: int, number: int) -> float:
    return float(normal(key, np.array([number], np.uint64))[0])


def _mood(seed: int, symbol: str, who: str, number: int) -> float:
    """Slow random number of a kind of customer, linear between knots."""
    knot, rest = divmod(number, _MOOD_KNOTS)
    key, share = stream_key(seed, "mood", symbol, who), rest / _MOOD_KNOTS
    return (1.0 - share) * _draw(key, knot) + share * _draw(key, knot + 1)


def _days_left(symbol: str, listing: Listing, day: date) -> Floats:
    number = clock(symbol, day)
    return np.array([clock(symbol, s.expiry_date) - number for s in listing.series], np.float64)


def _spread(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Legs of spreads: one sign in the lower half of a stretch of strikes, the other above."""
    width = widths(listing, profile_of(underlying(symbol)))
    place = np.floor(np.log(listing.strike) / (_SPREAD_WIDTHS * width[listing.slice_id]))
    stretch, half = np.divmod(place.astype(np.int64), 2)
    words = [stream_key(seed, s.root.symbol, s.expiry_date.isoformat()) for s in listing.series]
    address = combine(np.array(words, np.uint64)[listing.slice_id], stretch * 2 + listing.is_call)
    size = normal(stream_key(seed, "spread", symbol), address)
    left = np.maximum(_days_left(symbol, listing, day), 0.0)[listing.slice_id]
    near = 0.5 + 0.5 * np.exp(-left / _SPREAD_DAYS)
    return np.asarray((2.0 * half - 1.0) * size * near)


def _path(seed: int, symbol: str, *, listing: Listing, day: date) -> Floats:
    """Return a Brownian path of each contract's own: 0 when listed, of variance 1 at expiry.

    Its clock runs faster as the expiry comes near. The first terms of the Karhunen-Loeve series
    give the path at any instant without those before.
    """
    left = _days_left(symbol, listing, day)[listing.slice_id]
    listed, place = np.unique(listing.listed_on, return_inverse=True)
    number = clock(symbol, day)
    ages = [number - clock(symbol, date.fromordinal(first)) for first in listed.tolist()]
    age = np.maximum(np.array(ages, np.float64)[place], 0.0)
    begin = np.exp(-(left + age) / _PATH_DAYS)
    passed = (np.exp(-np.maximum(left, 0.0) / _PATH_DAYS) - begin) / np.maximum(1.0 - begin, 1e-9)
    path = np.zeros(passed.size)
    for term in range(_PATH_TERMS):
        turns = (term + 0.5) * np.pi
        key = stream_key(seed, "path", symbol, term)
        path += np.sqrt(2.0) / turns * np.sin(turns * passed) * normal(key, listing.contract_id)
    return path

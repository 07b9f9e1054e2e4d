"""Where an underlying stands at any second, not only at the minutes that chains have.

Belongs here: prices between minutes, and averages of them. Does not belong here: chains (`world`).
A recorded market stands still at the price it was recorded at.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator import market
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def prices(world: World, symbol: str, seconds: Ints) -> Floats:
    """Return an underlying's price at seconds of the epoch, shape (n,) [USD].

    Between two minutes on the line that joins them; outside a session the nearest price of it.
    """
    provider = world.market
    if not isinstance(provider, SimulatorProvider):
        return np.full(seconds.size, standing_price(world.chain(symbol)))
    out = np.empty(seconds.size)
    if not out.size:
        return out
    calendar = underlying(symbol).calendar
    # a session never begins twice in an hour, so one look per hour and end finds them all
    marks = np.unique(np.concatenate([seconds // 3600 * 3600, seconds[:1], seconds[-1:]]))
    days = sorted({sessions.session_of(calendar, _instant(int(mark))) for mark in marks})
    opens = np.array([int(sessions.session_open(calendar, day).timestamp()) for day in days])
    which = np.maximum(np.searchsorted(opens, seconds, side="right") - 1, 0)
    for i in np.unique(which):
        path = market.day_path(provider.seed, symbol, days[i]).spot
        rows = np.flatnonzero(which == i)
        out[rows] = np.interp((seconds[rows] - opens[i]) / 60.0, np.arange(path.size), path)
    return np.round(out, 2)


def standing_price(chain: pa.Table) -> float:
    """Return a chain's spot; where a recording has none, its first forward or middle strike."""
    for column in ("spot", "venue_forward"):
        known = chain[column].drop_null()
        if len(known):
            return float(known[0].as_py())
    return float(np.median(chain["strike"].to_numpy()))


def _instant(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def price(world: World, symbol: str, at: datetime) -> float:
    """Return an underlying's price at the second that holds an instant."""
    return float(prices(world, symbol, np.array([int(at.timestamp())], np.int64))[0])


def average(world: World, symbol: str, first: datetime, last: datetime) -> float:
    """Return the mean of the prices of each second from `first` to `last`, the latter left out."""
    begin, end = int(first.timestamp()), int(last.timestamp())
    return round(float(prices(world, symbol, np.arange(begin, end, dtype=np.int64)).mean()), 2)


def delivery_price(world: World, symbol: str, day: date) -> float:
    """Return the settlement price of 08:00 UTC of a day: the mean of the half hour before."""
    end = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    return average(world, symbol, end - timedelta(minutes=30), end)

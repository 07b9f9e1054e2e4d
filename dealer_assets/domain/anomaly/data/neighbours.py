"""A contract's quote held against those of the strikes beside it.

Belongs here: which quotes stand while the market beside them moves. Does not belong here: whole
chains that stand (`domain/standstill.py`).

No model is needed: of one expiry and side, options on strikes next to each other move alike. A
quote that stands is wrong when the middles beside it, of quotes that do move, have all moved the
same way by more than its own bid-ask spreads: it cannot be right both then and now. A series that
stands as a whole is held against spot.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.anomaly.data.scene import Pair, spot_of
from dealer_assets.domain.columns import Bools, Floats, Ints, floats, integers

BESIDE = 3
"""Moving quotes looked at on either side."""

LEAST_BESIDE = 4
"""Of those six that have to be there: at least one on either side."""

SPREADS = 2.0
"""Middles beside a standing quote must all have moved by more than this many of its spreads."""

NEAR = 0.05
LEAST_NEAR = 6
LEAST_DELTA = 0.3
"""A series near the money (strike within `NEAR` of spot) must move by at least this share of what
spot moved; with fewer two-sided quotes there nothing is said of the series."""


def stands_while_market_moves(pair: Pair) -> Bools:
    """Mark quotes that stand while all moving quotes beside them, or spot, move away.

    Parameters
    ----------
    pair : Pair
        Two snapshots' shared contracts, n rows.

    Returns
    -------
    bool array, shape (n,)
    """
    order, series = _by_series(pair.now)
    bids, asks = (tuple(side[order] for side in pair.both(name)) for name in ("bid", "ask"))
    (bid_then, bid), (ask_then, ask) = bids, asks
    two_sided = (bid > 0.0) & (ask > bid) & (bid_then > 0.0) & (ask_then > bid_then)
    stands = two_sided & (bid == bid_then) & (ask == ask_then)
    change = 0.5 * (bid + ask - bid_then - ask_then)
    away = _least_beside(change, series, moving=two_sided & ~stands)
    found = stands & (away > SPREADS * (ask - bid))
    near = two_sided & (np.abs(floats(pair.now, "strike")[order] / spot_of(pair.now) - 1.0) <= NEAR)
    move = abs(spot_of(pair.now) - spot_of(pair.then))
    found |= stands & _whole_series(series, near, stands=stands, spread=ask - bid, move=move)
    marked = np.zeros(order.size, dtype=np.bool_)
    marked[order] = found
    return marked


def _by_series(rows: pa.Table) -> tuple[Ints, Ints]:
    """Order by series (root, expiry, right) and strike; the series' number in that order."""
    root = rows["root"].combine_chunks().dictionary_encode().indices.to_numpy()
    right = rows["right"].combine_chunks().dictionary_encode().indices.to_numpy()
    series = (integers(rows, "expiry_date") * 16 + root) * 2 + right
    order = np.lexsort((floats(rows, "strike"), series))
    return order, np.unique(series[order], return_inverse=True)[1]


def _least_beside(change: Floats, series: Ints, *, moving: Bools) -> Floats:
    """Least common move of the moving quotes beside each, 0 where they disagree or are too few.

    Returns
    -------
    float64 array, shape (n,)
        Absolute, in the quotes' currency.
    """
    there = np.flatnonzero(moving)
    count = np.arange(series.size)
    if not there.size:
        return np.zeros(series.size)
    next_one = np.searchsorted(there, count)
    least, greatest = np.full(series.size, np.inf), np.full(series.size, -np.inf)
    telling: NDArray[np.int64] = np.zeros(series.size, dtype=np.int64)
    for step in range(-BESIDE, BESIDE):
        place = next_one + step
        inside = (place >= 0) & (place < there.size)
        row = there[np.where(inside, place, 0)]
        tells = inside & (series[row] == series)
        value = change[row]
        least = np.where(tells, np.minimum(least, value), least)
        greatest = np.where(tells, np.maximum(greatest, value), greatest)
        telling += tells
    common = np.maximum(np.maximum(least, -greatest), 0.0)
    return np.where(telling >= LEAST_BESIDE, common, 0.0)


def _whole_series(
    series: Ints, near: Bools, *, stands: Bools, spread: Floats, move: float
) -> Bools:
    """Mark the rows of series all of which stands near the money while spot moves enough."""
    count = int(series.max()) + 1 if series.size else 0
    quotes = np.bincount(series[near], minlength=count)
    still = np.bincount(series[near & stands], minlength=count)
    widest = np.zeros(count)
    np.maximum.at(widest, series[near], spread[near])
    is_whole = (quotes >= LEAST_NEAR) & (still == quotes)
    is_whole &= LEAST_DELTA * move > SPREADS * widest
    return np.asarray(is_whole[series])

"""What no tape tells of a print: how much of it opened positions, and what kind of customer it was.

Belongs here: truth of single prints that only studies ask for. Does not belong here: their sides
(`Prints.is_buy`), which the tape is made with.
"""

from __future__ import annotations

import numpy as np

from dealer_assets.providers.simulator.habits import KINDS, customer_shares
from dealer_assets.providers.simulator.listing import Bools, Floats, Ints
from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import combine, counters, stream_key, uniform
from dealer_assets.providers.simulator.prints import Prints

_ANYONE = np.array([0.02, 0.02, 0.02, 0.02, 0.05, 0.3])
"""Business of each of `KINDS` in a contract besides its holding, as a share of open interest."""


def opened_contracts(market: MarketDay, prints: Prints) -> Floats:
    """Return how many contracts of each print open a customer's position, shape (k,).

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        All prints of some contracts, as `tape.contract_prints` returns them.

    Returns
    -------
    float64 array, shape (k,)
        From 0 to the print's size: one order may close a position and open another. By contract
        the bought ones add up to `Flow.bought_to_open`, the sold ones to `Flow.sold_to_open`;
        0 for prints that do not count.
    """
    flow, opened = market.flow, np.zeros(prints.size.size)
    for is_buy, to_open in ((True, flow.bought_to_open), (False, flow.sold_to_open)):
        rows = np.flatnonzero(prints.counts & (prints.is_buy == is_buy))
        rows = rows[np.argsort(prints.contract[rows], kind="stable")]
        if not rows.size:
            continue
        contract = prints.contract[rows]
        first = np.concatenate([[0], np.flatnonzero(np.diff(contract)) + 1])
        counts = np.diff(np.append(first, rows.size))
        sums = np.cumsum(prints.size[rows])
        before = np.concatenate([[0.0], sums[first[1:] - 1]])
        total = np.repeat(np.append(before[1:], sums[-1]) - before, counts)
        end = sums - np.repeat(before, counts)
        # they stand together somewhere in the session, over its end back to its start
        key = stream_key(market.session.seed, "opened", market.entry.symbol, int(is_buy))
        ids = combine(market.session.listing.contract_id[contract], market.day.toordinal())
        start = np.floor(total * uniform(key, ids))
        part = to_open[contract]
        begin = end - prints.size[rows]
        opened[rows] = _covered(end, start, part, total) - _covered(begin, start, part, total)
    return opened


def customers_of(market: MarketDay, prints: Prints, *, is_opening: Bools) -> Ints:
    """Return the kind of customer of each print, as places in `habits.KINDS`, shape (k,).

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        Some of its prints, cancelled ones too.
    is_opening : bool array, shape (k,)
        Whether the print opens rather than closes.

    Notes
    -----
    Drawn by holdings: who is long on the whole buys to open and sells to close.
    """
    session = market.session
    shares = customer_shares(
        session.seed, market.entry.symbol, listing=session.listing, day=market.day
    )
    held = np.stack([shares[kind] for kind in KINDS], axis=1)
    is_holder = prints.is_buy == is_opening
    key = stream_key(session.seed, "customer", market.entry.symbol)
    ids = session.listing.contract_id[prints.contract]
    draw = uniform(key, combine(ids, prints.event_us) ^ counters(0, prints.size.size))
    kinds = np.zeros(prints.size.size, np.int64)
    for way, rows in ((1.0, is_holder), (-1.0, ~is_holder)):
        reach = np.cumsum(np.maximum(way * held, 0.0) + _ANYONE, axis=1)
        reach /= reach[:, -1:]
        kinds[rows] = (draw[rows, None] > reach[prints.contract[rows]]).sum(axis=1)
    return kinds


def _covered(z: Floats, start: Floats, part: Floats, total: Floats) -> Floats:
    """Length of [0, z) in a stretch of a circle of length `total`."""
    late = np.clip(z - start, 0.0, part)
    early = np.clip(z - start + total, 0.0, part) - np.clip(total - start, 0.0, part)
    return np.asarray(late + early)

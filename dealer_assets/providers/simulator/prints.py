"""Prints of a simulated session as arrays.

Belongs here: what a print is, its codes, its order. Does not belong here: how prints come about
(`tape`), or rows of tables (`tape_rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.simulator.listing import Bools, Floats, Ints
from dealer_assets.providers.simulator.noise import Words

EXCHANGES = np.array(
    [300, 301, 302, 303, 304, 307, 309, 312, 313, 315, 316, 318, 319, 322, 323, 325], np.int64
)
"""Exchange codes as the US tape's vendor numbers them, in 300..325."""

CANCELS = (201, 203, 205, 207)
MULTI_LEG = 232
"""From this condition on (to 247) a print is a leg of a package."""


@dataclass(frozen=True)
class Prints:
    """Prints of a session in order of time, then symbol; arrays of shape (n,).

    Parameters
    ----------
    contract : int64 array
        Index into the session's listing.
    event_us : int64 array
        Microseconds since 1970; whole milliseconds around the clock.
    ordinal : int64 array
        Number among the prints of its contract and instant.
    size : float64 array
        Contracts: whole, or tenths around the clock.
    price : float64 array
        USD, or coin around the clock.
    price_usd : float64 array
        USD, in the convention of `tables.CHAIN_SNAPSHOTS`: coin times forward.
    condition, exchange : int64 array
        Codes of the US tape; 0 around the clock.
    counts : bool array
        Adds to the volume: neither cancelled nor a cancel.
    is_buy : bool array
        The taker bought.
    minute : int64 array
        Minute of the session.
    vol : float64 array
        Vol of the price, decimal; 0 on the US tape, which prints none.
    is_last : bool array
        Last of its contract's minute (or dealt in one sweep with it).
    block : int64 array
        Number of the block it is a leg of, from 1; 0 for none.
    """

    contract: Ints
    event_us: Ints
    ordinal: Ints
    size: Floats
    price: Floats
    price_usd: Floats
    condition: Ints
    exchange: Ints
    counts: Bools
    is_buy: Bools
    minute: Ints
    vol: Floats
    is_last: Bools
    block: Ints

    def take(self, rows: NDArray[np.int64] | Bools) -> Prints:
        """Return chosen prints, in the order given."""
        return Prints(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def bits(word: Words, first: int, count: int) -> Ints:
    """Return some bits of a random word: a uniform whole number below ``2 ** count``."""
    return ((word >> np.uint64(first)) & np.uint64((1 << count) - 1)).astype(np.int64)


def joined(parts: Sequence[Prints]) -> Prints:
    """Return prints of several parts, one after the other."""
    return Prints(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Prints)}
    )


def in_order(prints: Prints, *, symbol_rank: Ints) -> Prints:
    """Return prints sorted by time, then symbol, with their ordinals.

    Parameters
    ----------
    prints : Prints
        In any order.
    symbol_rank : int64 array
        Place of each contract's symbol among all.
    """
    first_us = prints.event_us.min() if prints.event_us.size else 0
    key = (prints.event_us - first_us) * symbol_rank.size + symbol_rank[prints.contract]
    order = np.argsort(key, kind="stable")
    key = key[order]
    places = np.arange(key.size)
    begins = np.concatenate([[True], key[1:] != key[:-1]])[: key.size]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    return replace(prints.take(order), ordinal=places - first)

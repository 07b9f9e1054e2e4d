"""Sides of prints: whose prices suggest them, and whose sizes add up to the truth.

Belongs here: which prints customers bought. Does not belong here: what they bought in all
(`truth`), or what prices tell (`dealing`).

A contract's prints are sorted by a random number that leans to the buyers the more the price does,
and customers bought the first of them, up to the volume they buy. A price thereby tells of its side
what `dealing` says, and sizes add up. The print on the border is cut in two, if it has to be: one
trade of a contract and session may show as two at one instant and price, bought and sold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dealer_assets.providers.simulator.listing import Bools, Floats, Ints
from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import Words, combine
from dealer_assets.providers.simulator.prints import EXCHANGES, Prints, bits

_LEVELS = 1 << 16
_CHANCE = (np.arange(_LEVELS) + 0.5) / _LEVELS
_LOG_ODDS = np.log(_CHANCE / (1.0 - _CHANCE))
"""Of evenly spread random numbers: a standard logistic variable, by 16 random bits."""

_SCALE = 2.0**18
_FARTHEST = 15.9


def sides_of(word: Words, odds: Floats) -> Bools:
    """Draw sides of prints by themselves, shape (k,); True: bought."""
    return np.asarray(_LOG_ODDS[bits(combine(word, 1), 0, 16)] < odds)


def with_sides(
    market: MarketDay, prints: Prints, *, units: Ints, odds: Floats, word: Words, place: Ints
) -> tuple[Prints, Prints]:
    """Return the prints with the sides that add up to customers' net purchases, and cut-off parts.

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        All prints that count of some contracts, by contract.
    units : int64 array, shape (k,)
        Their sizes, of which ten are a contract around the clock.
    odds : float64 array, shape (k,)
        Log odds that each was bought, by its price.
    word : uint64 array, shape (k,)
        Random; the same for prints of one sweep.
    place : int64 array, shape (k,)
        In its minute, 0 to 7: tells prints of one sweep apart.
    """
    if not units.size:
        return prints, prints
    first = np.concatenate([[0], np.flatnonzero(np.diff(prints.contract)) + 1])
    counts = np.diff(np.append(first, units.size))
    row = np.repeat(np.arange(first.size), counts)
    order = _by_leaning(row, odds, word, place)
    total = np.cumsum(units[order])
    before_contract = np.concatenate([[0], total[first[1:] - 1]])
    end = total - before_contract[row]  # sorting keeps contracts where they are
    scale = np.rint(units[0] / prints.size[0]).astype(np.int64)
    contract = prints.contract[first]
    flow = market.flow
    bought = 0.5 * (flow.volume[contract] + flow.truth.customer_net[contract])
    bought = (np.rint(bought).astype(np.int64) * scale)[row]
    begin = end - units[order]
    is_buy = np.empty(units.size, np.bool_)
    is_buy[order] = end <= bought
    cut = np.flatnonzero((begin < bought) & (end > bought))
    at, part = order[cut], (bought - begin)[cut]
    rest = prints.take(at)
    size = prints.size.copy()
    size[at] = part / scale
    rest = replace(rest, size=(units[at] - part) / scale, is_buy=np.zeros(at.size, np.bool_))
    if scale == 1:
        rest = replace(rest, exchange=EXCHANGES[bits(word[at], 54, 4)])
    is_buy[at] = True
    return replace(prints, size=size, is_buy=is_buy), rest


def _by_leaning(row: Ints, odds: Floats, word: Words, place: Ints) -> Ints:
    """Sort prints within their contracts, those that lean to the buyers first."""
    own = combine(word, 2)
    leaning = np.clip(_LOG_ODDS[bits(own, 0, 16)] - odds, -_FARTHEST, _FARTHEST)
    # contract, leaning, random bits, place: no two are equal, so that any sort gives one order
    key = (row << 24 | ((leaning + 16.0) * _SCALE).astype(np.int64)) << 22
    return np.argsort(key | bits(own, 16, 19) << 3 | place)

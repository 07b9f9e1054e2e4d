"""Cancels of mistaken prints.

Belongs here: when a print is cancelled, and by which condition. Does not belong here: the mistaken
prints themselves (`tape`). Conditions follow the US tape: 207 when the print was its contract's
only one so far, 205 when it was the first, 203 when it was the latest, else 201.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dealer_assets.providers.simulator.listing import Bools, Ints
from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import combine, stream_key, uniform
from dealer_assets.providers.simulator.prints import CANCELS, Prints

_ANY, _LATEST, _FIRST, _ONLY = CANCELS
_SOONEST_US, _LATEST_US = 50_000, 600_000_000
_MINUTE_US = 60_000_000


def with_cancels(market: MarketDay, mistaken: Prints, *, counting: Prints) -> tuple[Prints, Prints]:
    """Return the mistaken prints that can be told apart from all others, and their cancels.

    Parameters
    ----------
    market : MarketDay
        The session.
    mistaken : Prints
        Prints on top of the volume.
    counting : Prints
        All others of the same contracts.
    """
    session = market.session
    ids = session.listing.contract_id[mistaken.contract]
    draw = uniform(
        stream_key(session.seed, "cancel", session.symbol), combine(ids, mistaken.event_us)
    )
    wait = _SOONEST_US + (draw**3 * _LATEST_US).astype(np.int64)
    cancelled_us = mistaken.event_us + wait
    ends = market.last_minute[session.listing.slice_id[mistaken.contract]] * _MINUTE_US
    kept = (cancelled_us < session.open_us + ends) & _is_alone(mistaken, counting)
    mistaken, cancelled_us = mistaken.take(kept), cancelled_us[kept]
    condition = _conditions(mistaken, cancelled_us, counting=counting)
    minute = (cancelled_us - session.open_us) // _MINUTE_US
    cancels = replace(mistaken, event_us=cancelled_us, condition=condition, minute=minute)
    return mistaken, cancels


def _is_alone(mistaken: Prints, counting: Prints) -> Bools:
    """Tell whether no other print of the contract has the same price, size and exchange."""
    own = _looks(mistaken)
    names, counts = np.unique(own, return_counts=True)
    if not names.size:
        return np.zeros(0, np.bool_)
    others = _looks(counting)
    place = np.minimum(np.searchsorted(names, others), names.size - 1)
    taken = np.unique(place[names[place] == others])
    counts[taken] += 1
    return np.asarray(counts[np.searchsorted(names, own)] == 1)


def _looks(prints: Prints) -> Ints:
    """Pack what a cancel repeats into one number."""
    cents = np.round(prints.price * 100.0).astype(np.int64)
    packed = (prints.contract << 24 | cents) << 18 | prints.size.astype(np.int64)
    return np.asarray(packed << 5 | (prints.exchange - 300))


def _conditions(mistaken: Prints, cancelled_us: Ints, *, counting: Prints) -> Ints:
    contracts = np.unique(mistaken.contract)
    if not contracts.size:
        return mistaken.condition
    place = np.minimum(np.searchsorted(contracts, counting.contract), contracts.size - 1)
    same = contracts[place] == counting.contract
    start_us = min(int(mistaken.event_us.min()), int(counting.event_us.min()))
    own = _keys(mistaken.contract, mistaken.event_us - start_us)
    others = _keys(counting.contract[same], counting.event_us[same] - start_us)
    keys = np.sort(np.concatenate([others, own]))
    begins = np.searchsorted(keys, _keys(mistaken.contract, np.zeros_like(cancelled_us)))
    before = np.searchsorted(keys, own) - begins
    until = _keys(mistaken.contract, cancelled_us - start_us)
    between = np.searchsorted(keys, until) - begins - before - 1
    is_only = (before == 0) & (between == 0)
    choices = [(is_only, _ONLY), (before == 0, _FIRST), (between == 0, _LATEST)]
    return np.select([c for c, _ in choices], [code for _, code in choices], _ANY)


def _keys(contract: Ints, offset_us: Ints) -> Ints:
    return np.asarray(contract << 40 | offset_us)

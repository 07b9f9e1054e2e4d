"""Fewer quotes under load: of each contract only those that a trade or a second sees.

Belongs here: which quotes may go. Does not belong here: when (`inbox`).
"""

from __future__ import annotations

import numpy as np

from streaming.core.events import MARK, QUOTE, TRADE, Events

_SECOND_US = 1_000_000


def conflated(events: Events) -> tuple[Events, int]:
    """Leave out quotes and marks that a newer one of their contract and second replaces.

    A quote stays when the contract's next event is a trade, so that every trade meets the quote it
    would have met; quotes of the other right may be older than without conflation.

    Parameters
    ----------
    events : Events
        In order.

    Returns
    -------
    Events, int
        What stays, in order; how many were left out.
    """
    passing = np.flatnonzero((events.kind == QUOTE) | (events.kind == MARK))
    printed = np.flatnonzero(events.kind == TRADE)
    rows = np.sort(np.concatenate([passing, printed]))
    is_mark = events.kind[rows] == MARK
    key = events.contract[rows].astype(np.int64) * 2 + is_mark
    order = rows[np.argsort(key, kind="stable")]
    before, after = order[:-1], order[1:]
    replaced = (
        (events.kind[before] != TRADE)
        & (events.kind[before] == events.kind[after])
        & (events.contract[before] == events.contract[after])
        & (events.received_us[before] // _SECOND_US == events.received_us[after] // _SECOND_US)
    )
    gone = before[replaced]
    kept = np.ones(len(events), np.bool_)
    kept[gone] = False
    return events.take(kept), int(gone.size)

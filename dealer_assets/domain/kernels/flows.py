"""Vols of judged trades, and what dealers must trade on their account.

Belongs here: choosing a vol, and flows from Greeks. Does not belong here: judging trades (`book`),
inverting prices and Greeks (`implied_vol`, `greeks`), which run before and between these two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import kernel

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Records = Any
"""Arrays of the layouts in `domain.flow.records`."""

QUOTE, OTHER_SIDE, SURFACE, VENUE, NONE = range(5)
"""`tables.live.LIVE_VOL_SOURCES`, which a test compares."""

PER_PCT = 0.01


@kernel
def choose_vols(judged: Records, vols: Floats, vol: Floats, age_us: Floats, source: Codes) -> None:
    """Fill `vol`, `age_us` and `source`, shape (k,), with the first usable of each trade.

    `vols`, shape (2 k,), has those of the trades' own quotes, then their partners'.
    """
    n = judged.size
    for j in range(n):
        trade = judged[j]
        vol[j], age_us[j], source[j] = np.nan, np.nan, NONE
        if not trade.years > 0.0:
            continue
        if vols[j] > 0.0:
            vol[j], age_us[j], source[j] = vols[j], trade.quote_age_us, QUOTE
        elif vols[n + j] > 0.0:
            vol[j], age_us[j], source[j] = vols[n + j], trade.other_age_us, OTHER_SIDE
        elif trade.surface_vol > 0.0:
            vol[j], age_us[j], source[j] = trade.surface_vol, trade.surface_age_us, SURFACE
        elif trade.venue_vol > 0.0:
            vol[j], age_us[j], source[j] = trade.venue_vol, trade.venue_age_us, VENUE


@kernel
def settle(
    judged: Records, delta: Floats, gamma: Floats, log: Records, first_row: int,
    hedge_flow: Floats, gamma_flow: Floats,
) -> None:  # fmt: skip
    """Fill flows, shape (k,), and those of the log; a cancel has minus its print's.

    Dealers hedge the opposite of their position's delta. 0 where side or Greeks are unknown.
    """
    for j in range(judged.size):
        trade = judged[j]
        hedge, change = 0.0, 0.0
        if trade.cancels >= 0:
            taken = log[trade.cancels]
            hedge, change = 0.0 - taken.hedge_flow, 0.0 - taken.gamma_flow
        else:
            units, spot = trade.dealer_contracts * trade.multiplier, trade.spot
            if units != 0.0:
                hedge = -units * delta[j] * spot
                change = units * gamma[j] * spot * spot * PER_PCT
            hedge = hedge if hedge - hedge == 0.0 else 0.0
            change = change if change - change == 0.0 else 0.0
        hedge_flow[j], log[first_row + j].hedge_flow = hedge, hedge
        gamma_flow[j], log[first_row + j].gamma_flow = change, change


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    from dealer_assets.domain.flow import records

    none, judged = np.empty(0), np.empty(0, records.JUDGED)
    choose_vols(judged, none, none, none, np.empty(0, np.int8))
    settle(judged, none, none, np.empty(0, records.LOG), 0, none, none)

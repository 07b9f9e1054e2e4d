"""What a session's trades say of customers' net, before anything is believed.

Belongs here: evidence of flow as arrays, its reliability, its likelihood. Does not belong here:
sides of prints (`domain.flow`), positions (`posterior`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats
from dealer_assets.domain.positions.assumptions import DECLARED, Assumptions

_LEAST_RELIABILITY = 0.03
"""Of sides right less than 59 times of 100, told by ticks alone, nothing is believed: what they are
worth is less certain than what they say, and all contracts without quotes would err as one."""


@dataclass(frozen=True)
class Flow:
    """A session's evidence by contract; arrays of shape (n,).

    Parameters
    ----------
    volume : float64 array
        Traded contracts; NaN where no trades are held.
    net, net_sd : float64 array
        Expected customers' buys minus sells, and its standard deviation [contracts].
    squared_size : float64 array
        Sum of squared sizes of prints [contracts^2].
    is_exact : bool array
        Counted, not classified.
    """

    volume: Floats
    net: Floats
    net_sd: Floats
    squared_size: Floats
    is_exact: Bools


def reliability(flow: Flow) -> Floats:
    """Return how much classified trades are worth, 0 nothing, 1 exact; shape (n,)."""
    most = np.where(flow.squared_size > 0.0, flow.squared_size, 1.0)
    share = np.clip(1.0 - flow.net_sd**2 / most, 0.0, 1.0)
    share = np.where(share > _LEAST_RELIABILITY, share, 0.0)
    return np.where(flow.is_exact, 1.0, np.where(flow.squared_size > 0.0, share, 0.0))


def net_told(flow: Flow, assumed: Assumptions = DECLARED) -> tuple[Floats, Floats]:
    """Return customers' net as the trades alone tell it, without any belief before.

    Parameters
    ----------
    flow : Flow
        A session's evidence, n contracts.
    assumed : Assumptions
        Declared constants.

    Returns
    -------
    (float64 array, float64 array), shapes (n,)
        Mean [contracts] and variance [contracts^2]; infinite where trades tell nothing, 0 where
        nothing traded.

    Notes
    -----
    Options without a bid print at the ask whoever deals: all sides are told alike, and wrong. Of an
    expected net, what neither customers' whole volume nor chance (2 sd) could make is such an error
    of all prints at once, and the contract's variance takes it in.
    """
    worth = reliability(flow)
    told = (worth > 0.0) & ~np.isnan(flow.volume)
    safe = np.where(told, worth, 1.0)
    volume = np.nan_to_num(flow.volume)
    excess = np.abs(flow.net) - safe * volume - 2.0 * np.sqrt(safe) * flow.net_sd
    shared = np.hypot(assumed.bias * volume, np.maximum(excess, 0.0))
    shared = np.where(flow.is_exact, 0.0, shared)
    variance = (flow.net_sd**2 * safe + shared**2) / safe**2
    is_idle = flow.volume == 0.0
    variance = np.where(is_idle, 0.0, np.where(told, variance, np.inf))
    return np.where(told & ~is_idle, flow.net / safe, 0.0), variance

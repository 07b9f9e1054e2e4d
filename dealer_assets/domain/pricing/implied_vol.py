"""Implied vol of Black-76 prices, with a reason for every contract that has none.

Belongs here: inverting prices, one array at a time, and the vocabulary of reasons. Does not belong
here: the arithmetic (`domain/kernels/implied_vol.py`), which price to invert, or what to use where
there is none (`pricing/chain.py`).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.pricing.kernel_inputs import flatten

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class IvReason(IntEnum):
    """Why a price has no implied vol, or OK; names in lower case are the stored words."""

    OK = 0
    BELOW_INTRINSIC = 1
    ABOVE_BOUND = 2
    NO_BID = 3
    NO_QUOTE = 4
    CROSSED = 5
    ZERO_TIME = 6
    BAD_INPUT = 7


REASON_WORDS = tuple(reason.name.lower() for reason in IvReason)


def implied_vol(
    price: Floats, F: Floats, *, K: Floats, T: Floats, D: Floats, is_call: Bools
) -> tuple[Floats, NDArray[np.int8]]:
    """Invert Black-76.

    Parameters
    ----------
    price : float64 array, shape (n,)
        Discounted option price [USD].
    F, K : float64 array, shape (n,)
        Forward and strike [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    vol : float64 array, shape (n,)
        Annualised vol, decimal; NaN unless the reason is OK. Full double accuracy for
        out-of-the-money prices; in the money it is limited by the price's own rounding.
    reason : int8 array, shape (n,)
        Values of `IvReason`: OK, BELOW_INTRINSIC (no time value left), ABOVE_BOUND, ZERO_TIME,
        BAD_INPUT. Never raises on bad numbers and never returns a finite vol for them.
    """
    from dealer_assets.domain.kernels.implied_vol import (
        implied_vols,
    )  # lazily: numba is slow to load

    shape, (price, F, K, T, D), calls = flatten(price, F, K, T, D, is_call=is_call)
    vol, reason = np.empty(calls.size), np.empty(calls.size, np.int8)
    implied_vols(price, F, K, T, D, calls, vol, reason)
    return vol.reshape(shape), reason.reshape(shape)

"""Dealer position models: who is assumed, or estimated, to be long what.

Belongs here: one function per model, all with one signature. Does not belong here: Greeks or
dollars (`aggregate`). Source: `docs/methods/exposure.md`, section on position models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import BadInputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
PositionModel = Callable[[Bools, Floats], Floats]


def naive(is_call: Bools, open_interest: Floats) -> Floats:
    """Dealers long every call and short every put of the open interest.

    Parameters
    ----------
    is_call : bool array, shape (n,)
        True for calls.
    open_interest : float64 array, shape (n,)
        Open interest [contracts]; NaN where not known.

    Returns
    -------
    float64 array, shape (n,)
        Signed dealer position [contracts], > 0 long; NaN where open interest is.

    Notes
    -----
    The field's common assumption (customers overwrite calls and buy puts); right in sign for index
    options on most days, and for nothing else by law.
    Source: SqueezeMetrics, The Implied Order Book (2020).
    """
    return np.where(is_call, open_interest, -open_interest)


MODELS: dict[str, PositionModel] = {"naive": naive}


def position_model(name: str) -> PositionModel:
    """Return a model by name.

    Raises
    ------
    BadInputError
        When there is no such model; the message lists those that exist.
    """
    if name not in MODELS:
        raise BadInputError(f"unknown position model {name!r}: expected one of {sorted(MODELS)}")
    return MODELS[name]

"""Dealer position models: who is assumed, or estimated, to be long what.

Belongs here: one function per model, all with one signature, and what each reads. Does not belong
here: Greeks or dollars (`domain.exposure`), how the evidence comes about (`flow_evidence`,
`posterior`). Source: `docs/methods/positions.md`.

Every model is linear in what it reads: twice the holdings are twice the positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import BadInputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Holdings:
    """What is known of every contract's holders; arrays of shape (n,), NaN where not known.

    Parameters
    ----------
    is_call : bool array
        True for calls.
    open_interest : float64 array
        Settled open interest [contracts].
    customer_net : float64 array, optional
        Customers' buys minus sells since the contract was first followed [contracts].
    market_maker_net : float64 array, optional
        Market makers' counted buys minus sells since then [contracts].
    posterior_mean, posterior_sd : float64 array, optional
        Of dealers' position [contracts].
    """

    is_call: Bools
    open_interest: Floats
    customer_net: Floats | None = None
    market_maker_net: Floats | None = None
    posterior_mean: Floats | None = None
    posterior_sd: Floats | None = None


@dataclass(frozen=True)
class Positions:
    """Dealers' positions as a group; arrays of shape (n,), NaN where the model tells none.

    Parameters
    ----------
    contracts : float64 array
        > 0 long.
    sd : float64 array
        Standard deviation; 0 where the model declares or counts; NaN where it tells none.
    """

    contracts: Floats
    sd: Floats


PositionModel = Callable[[Holdings], Positions]


def naive(held: Holdings) -> Positions:
    """Dealers long every call and short every put of the open interest.

    Notes
    -----
    The field's common assumption (customers overwrite calls and buy puts); right in sign for index
    options on most days, and for nothing else by law.
    Source: SqueezeMetrics, The Implied Order Book (2020).
    """
    return _declared(np.where(held.is_call, held.open_interest, -held.open_interest))


def inverted(held: Holdings) -> Positions:
    """Dealers short every call and long every put: the naive rule's opposite."""
    return _declared(np.where(held.is_call, -held.open_interest, held.open_interest))


def long_gamma(held: Holdings) -> Positions:
    """Dealers long everything: the most hedging against the move that they can do."""
    return _declared(held.open_interest.copy())


def short_gamma(held: Holdings) -> Positions:
    """Dealers short everything: the most hedging with the move that they can do."""
    return _declared(-held.open_interest)


def taker_flow(held: Holdings) -> Positions:
    """Opposite to customers' net trades since the contract was first followed."""
    return _declared(-_told(held.customer_net, held))


def open_close(held: Holdings) -> Positions:
    """Market makers' own buys minus sells, as the exchange counted them."""
    return _declared(_told(held.market_maker_net, held))


def reconciled(held: Holdings) -> Positions:
    """Posterior mean and deviation of prior, flow and changes of open interest."""
    return Positions(_told(held.posterior_mean, held), _told(held.posterior_sd, held))


MODELS: dict[str, PositionModel] = {
    "naive": naive,
    "inverted": inverted,
    "long_gamma": long_gamma,
    "short_gamma": short_gamma,
    "taker_flow": taker_flow,
    "open_close": open_close,
    "reconciled": reconciled,
}

OF_OPEN_INTEREST = ("naive", "inverted", "long_gamma", "short_gamma")
"""Models that need nothing but the chain itself; the others read `tables.DEALER_POSITIONS`."""


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


def _declared(contracts: Floats) -> Positions:
    """Return positions without an error of their own."""
    return Positions(contracts, np.where(np.isfinite(contracts), 0.0, np.nan))


def _told(values: Floats | None, held: Holdings) -> Floats:
    return np.full(held.open_interest.shape, np.nan) if values is None else values

"""Black-76 prices and spot Greeks of European options, vectorised over contracts.

Belongs here: what a price and each Greek mean, and their units. Does not belong here: the
arithmetic (`domain/kernels/greeks.py`), solving for vol (`implied_vol`), choosing forwards
(`domain/forward.py`), positions or dollars (`domain/exposure`).

Notation: `F` forward, `D` discount factor, `S` spot, `K` strike, `T` years, `sigma` vol. The carry
is what the forward implies: ``F = S exp(b T)``, ``D = exp(-r T)``, and ``F``, ``D`` move with ``T``
at constant ``b`` and ``r``. Source: Haug, The Complete Guide to Option Pricing Formulas, 2nd ed.,
chapter 2 (generalised Black-Scholes-Merton); units in `docs/methods/conventions.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.pricing.kernel_inputs import flatten

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Greeks:
    """Price and Greeks of n contracts, each a contiguous float64 array of shape (n,).

    NaN wherever an input is NaN, or vol or time is not positive: there a Greek is not defined, and
    the caller says why by reason code. The fields are in the order of the kernel's rows.

    Parameters
    ----------
    price : array
        USD per unit of underlying.
    delta : array
        d price / d spot.
    gamma : array
        d delta / d spot [1/USD].
    vega : array
        Price for +1 vol point.
    theta : array
        Price for one calendar day passing.
    rho : array
        Price for +1 % rate, dividend yield held.
    vanna : array
        Delta for +1 vol point.
    charm : array
        Delta for one calendar day passing.
    volga : array
        Vega for +1 vol point.
    speed : array
        d gamma / d spot [1/USD^2].
    zomma : array
        Gamma for +1 vol point.
    color : array
        Gamma for one calendar day passing.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    charm: Floats
    volga: Floats
    speed: Floats
    zomma: Floats
    color: Floats


def black_price(
    F: Floats, K: Floats, *, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Floats:
    """Black-76 price.

    Parameters
    ----------
    F, K : float64 array, shape (n,)
        Forward and strike [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    sigma : float64 array, shape (n,)
        Annualised vol, decimal.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    float64 array, shape (n,)
        Discounted intrinsic value where ``T <= 0``, ``sigma == 0`` or a price is 0; NaN where an
        input is NaN or infinite, or a price, the vol or the discount factor negative.

    Notes
    -----
    Source: Haug, section 1.1.3 (Black 1976).
    """
    from dealer_assets.domain.kernels.greeks import prices  # lazily: numba is slow to load

    shape, (F, K, T, sigma, D), calls = flatten(F, K, T, sigma, D, is_call=is_call)
    value = np.empty(calls.size)
    prices(F, K, T, sigma, D, calls, value)
    return value.reshape(shape)


def black_greeks(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Greeks:
    """Price and spot Greeks up to the third order, in the units of `Greeks`.

    Parameters
    ----------
    F, K, S : float64 array, shape (n,)
        Forward, strike and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    sigma : float64 array, shape (n,)
        Annualised vol, decimal.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    Greeks
        NaN where any input is NaN, not positive, or beyond 1e-100 and 1e100; never raises on bad
        numbers.

    Notes
    -----
    Haug 2.1-2.7 with cost of carry ``b = ln(F/S)/T`` and rate ``r = -ln(D)/T``. Charm, color and
    theta are for time *passing*, hence minus the derivative in `T`, over 365.
    """
    from dealer_assets.domain.kernels.greeks import ROWS, all_greeks

    shape, (F, K, S, T, sigma, D), calls = flatten(F, K, S, T, sigma, D, is_call=is_call)
    rows = np.empty((len(ROWS), calls.size))
    all_greeks(F, K, S, T, sigma, D, calls, rows)
    return Greeks(*(row.reshape(shape) for row in rows))

"""Black-76 prices and spot Greeks of European options, vectorised over contracts.

Belongs here: closed-form price and Greeks. Does not belong here: solving for vol (`implied_vol`),
choosing forwards (`domain/forward.py`), positions or dollars (`domain/exposure`).

Notation: `F` forward, `D` discount factor, `S` spot, `K` strike, `T` years, `sigma` vol. The carry
is what the forward implies: ``F = S exp(b T)``, ``D = exp(-r T)``, and ``F``, ``D`` move with ``T``
at constant ``b`` and ``r``. Source: Haug, The Complete Guide to Option Pricing Formulas, 2nd ed.,
chapter 2 (generalised Black-Scholes-Merton); units in `docs/methods/conventions.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import DAYS_PER_YEAR, VOL_POINT

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_INV_SQRT_2PI = 0.3989422804014327
_RATE_POINT = 0.01


@dataclass(frozen=True)
class Greeks:
    """Price and Greeks of n contracts, each a float64 array of shape (n,).

    NaN wherever an input is NaN, or vol or time is not positive: there a Greek is not defined, and
    the caller says why by reason code.

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
        Discounted intrinsic value where ``T <= 0`` or ``sigma == 0``; NaN where an input is NaN or
        the vol negative.

    Notes
    -----
    Source: Haug, section 1.1.3 (Black 1976).
    """
    from scipy.special import ndtr  # 0.4 s of import, paid only where something is priced

    sign = np.where(is_call, 1.0, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = sigma * np.sqrt(np.maximum(T, 0.0))
        d1 = np.log(F / K) / total + 0.5 * total
        d2 = d1 - total
        value = D * sign * (F * ndtr(sign * d1) - K * ndtr(sign * d2))
    intrinsic = D * np.maximum(sign * (F - K), 0.0)
    price = np.where(total > 0.0, value, intrinsic)
    bad = np.isnan(F + K + T + sigma + D) | (sigma < 0.0)
    return np.asarray(np.where(bad, np.nan, price))


def black_greeks(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Greeks:
    """Price and first- and second-order spot Greeks, in the units of `Greeks`.

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
        NaN where `T` or `sigma` is not positive or any input is NaN; never raises on NaN.

    Notes
    -----
    Haug 2.1-2.7 with cost of carry ``b = ln(F/S)/T`` and rate ``r = -ln(D)/T``. Charm and theta are
    for time *passing*, hence minus the derivative in `T`, over 365.
    """
    from scipy.special import ndtr

    bad = ~((T > 0.0) & (sigma > 0.0) & (F > 0.0) & (K > 0.0) & (S > 0.0) & (D > 0.0))
    F, K, S, T, D = (np.where(bad, np.nan, values) for values in (F, K, S, T, D))
    sign = np.where(is_call, 1.0, -1.0)
    root_t = np.sqrt(T)
    total = sigma * root_t
    d1 = np.log(F / K) / total + 0.5 * total
    d2 = d1 - total
    density = _INV_SQRT_2PI * np.exp(-0.5 * d1 * d1)
    n1, n2 = ndtr(sign * d1), ndtr(sign * d2)
    carry = np.log(F / S) / T
    rate = -np.log(D) / T
    growth = D * F / S  # exp((b - r) T)

    delta = sign * growth * n1
    gamma = growth * density / (S * total)
    vega = S * growth * density * root_t
    theta = (
        -0.5 * S * growth * density * sigma / root_t
        - (carry - rate) * S * delta
        - sign * rate * K * D * n2
    )
    charm = -growth * density * (carry / total - 0.5 * d2 / T) - (carry - rate) * delta
    return Greeks(
        price=sign * D * (F * n1 - K * n2),
        delta=delta,
        gamma=gamma,
        vega=vega * VOL_POINT,
        theta=theta / DAYS_PER_YEAR,
        rho=sign * K * T * D * n2 * _RATE_POINT,
        vanna=-growth * density * d2 / sigma * VOL_POINT,
        charm=charm / DAYS_PER_YEAR,
        volga=vega * d1 * d2 / sigma * VOL_POINT * VOL_POINT,
    )

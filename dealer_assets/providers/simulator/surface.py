"""The vol surface: SSVI, free of static arbitrage by construction.

Belongs here: total variance, vols and forwards as pure functions. Does not belong here: prices
(`domain/pricing/black.py`) or what the parameters are (`profiles`).

With at-the-money total variance ``theta(T)`` strictly increasing, fixed ``rho`` and
``phi(theta) = eta theta^-gamma (1 + theta)^(gamma - 1)``, slices never cross, and no butterfly is
negative while ``eta (1 + |rho|) <= 2``. Source: Gatheral and Jacquier, Arbitrage-free SVI
volatility surfaces (2014), theorems 4.1 and 4.2, equation 4.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.simulator.profiles import Profile, Smile

Floats = NDArray[np.float64]

_LONG_END_SHARE = 0.3
"""A shock to log vol moves the long end by this share of itself."""

_CARRY_SPEED = 4.0


def atm_variance(years: Floats, log_vol: Floats, *, smile: Smile) -> Floats:
    """At-the-money total variance, strictly increasing in time.

    Parameters
    ----------
    years : float64 array, shape (n,)
        Year fractions, positive.
    log_vol : float64 array, shape (n,)
        State of the market's log vol; 0 is its usual level.
    smile : Smile
        Surface parameters.

    Returns
    -------
    float64 array, shape (n,)
    """
    short = (smile.short_vol * np.exp(log_vol)) ** 2
    long = (smile.long_vol * np.exp(_LONG_END_SHARE * log_vol)) ** 2
    settled = -np.expm1(-smile.reversion * years) / smile.reversion
    return np.asarray(long * (years - settled) + short * settled)


def total_variance(log_moneyness: Floats, theta: Floats, *, smile: Smile) -> Floats:
    """SSVI total variance at ``log(K / F)``; arrays of shape (n,)."""
    phi = smile.eta * theta**-smile.gamma * (1.0 + theta) ** (smile.gamma - 1.0)
    x = phi * log_moneyness
    root = np.sqrt((x + smile.rho) ** 2 + 1.0 - smile.rho**2)
    return np.asarray(0.5 * theta * (1.0 + smile.rho * x + root))


def fair_vols(log_moneyness: Floats, years: Floats, *, log_vol: Floats, smile: Smile) -> Floats:
    """Noiseless implied vols of the simulated market.

    Parameters
    ----------
    log_moneyness : float64 array, shape (n,)
        ``log(K / F)``.
    years : float64 array, shape (n,)
        Year fractions, positive.
    log_vol : float64 array, shape (n,)
        State of the market's log vol.
    smile : Smile
        Surface parameters.

    Returns
    -------
    float64 array, shape (n,)
        Annualised vols, decimal.
    """
    theta = atm_variance(years, log_vol, smile=smile)
    return np.sqrt(total_variance(log_moneyness, theta, smile=smile) / years)


def forwards(spot: Floats, years: Floats, *, profile: Profile) -> Floats:
    """Return forwards from spot and the profile's carry curve [USD]; arrays of shape (n,)."""
    slope = profile.carry_short - profile.carry_long
    carry = profile.carry_long + slope * np.exp(-_CARRY_SPEED * np.maximum(years, 0.0))
    return np.asarray(spot * np.exp(carry * years))

"""A position as it is told: mean, deviation and quantiles within the open interest.

Belongs here: the cut-off normal. Does not belong here: the belief that is cut off (`posterior`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Floats

_LEAST_SD = 1e-9
"""Contracts; a smaller deviation is none."""


@dataclass(frozen=True)
class Interval:
    """A position as told to the outside; arrays of shape (n,) [contracts].

    Parameters
    ----------
    mean, sd : float64 array
        Of the posterior within the open interest.
    lo, hi : float64 array
        Its 5 % and 95 % quantiles.
    """

    mean: Floats
    sd: Floats
    lo: Floats
    hi: Floats


def bounded(mean: Floats, sd: Floats, open_interest: Floats) -> Interval:
    """Return mean, deviation and quantiles of positions that open interest bounds.

    Parameters
    ----------
    mean, sd : float64 array, shape (n,)
        Gaussian beliefs [contracts].
    open_interest : float64 array, shape (n,)
        Settled [contracts]; NaN: no bound.

    Returns
    -------
    Interval
        Of the Gaussian cut off at plus and minus open interest.

    Notes
    -----
    The bound is not fed back: cutting the same belief every morning would count it every morning.
    """
    from scipy.special import ndtr, ndtri

    bound = np.where(np.isnan(open_interest), np.inf, open_interest)
    is_spread = (sd > _LEAST_SD) & (bound > 0.0)
    scale = np.where(is_spread, sd, 1.0)
    # a belief far beyond the bound is one at the bound: the tails would be numbers without digits
    centre = np.clip(mean, -bound - 3.0 * scale, bound + 3.0 * scale)
    low, high = (-bound - centre) / scale, (bound - centre) / scale
    below, above = ndtr(low), ndtr(high)
    mass = np.maximum(above - below, 1e-12)
    at_low, at_high = _density(low), _density(high)
    shift = (at_low - at_high) / mass
    slope = (_times(low, at_low) - _times(high, at_high)) / mass
    inner = scale * np.sqrt(np.clip(1.0 + slope - shift**2, 0.0, 1.0))
    quantiles = [centre + scale * ndtri(below + q * mass) for q in (0.05, 0.95)]
    exact = np.clip(mean, -bound, bound)
    told = [np.clip(v, -bound, bound) for v in (centre + scale * shift, *quantiles)]
    middle, lo, hi = (np.where(is_spread, v, exact) for v in told)
    return Interval(middle, np.where(is_spread, inner, 0.0), lo, hi)


def _density(x: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi))


def _times(x: Floats, density: Floats) -> Floats:
    return np.where(np.isinf(x), 0.0, np.where(np.isinf(x), 0.0, x) * density)

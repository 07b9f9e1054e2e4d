"""Implied vol of Black-76 prices, with a reason for every contract that has none.

Belongs here: inverting one price. Does not belong here: which price to invert, or what to use where
there is none (`pricing/chain.py`).

Method: the out-of-the-money time value is solved in total vol ``s = sigma sqrt(T)`` by Halley steps
on the *logarithm* of the normalised price, kept inside a bracket. The normalised price is written
with erfcx, so that wings down to 1e-300 keep their digits. Source: Jäckel, Let's Be Rational
(2015), sections 2-3, for the normalisation; the solver is a plain safeguarded one.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SQRT_2 = np.sqrt(2.0)
_LOG_HALF = np.log(0.5)
_SQRT_2_OVER_PI = np.sqrt(2.0 / np.pi)
_TWO_OVER_SQRT_PI = 2.0 / np.sqrt(np.pi)
_SERIES_BELOW, _SERIES_NEAR = 0.005, 5.0
"""Where the Taylor series is exact to rounding and the plain difference is not."""

_MAX_STEPS = 64
_TOLERANCE = 4.0e-16
_TOTAL_VOL_CEILING = 40.0
"""Normalised prices equal their bound in float64 long before this total vol."""


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
    price, F, K, T, D = np.broadcast_arrays(price, F, K, T, D)
    reason = np.zeros(price.shape, np.int8)
    finite = np.isfinite(price) & np.isfinite(F) & np.isfinite(K) & np.isfinite(T) & np.isfinite(D)
    bad = ~finite | (F <= 0.0) | (K <= 0.0) | (D <= 0.0) | (price < 0.0)
    with np.errstate(all="ignore"):
        undiscounted = price / D
        intrinsic = np.maximum(np.where(is_call, F - K, K - F), 0.0)
        # Time value as the out-of-the-money option of the same strike: parity removes the intrinsic
        beta = (undiscounted - intrinsic) / np.sqrt(F * K)
        x = -np.abs(_log_ratio(F, K))
        # Compared in dollars as well: a price at its bound can round below it once normalised
        at_bound = (beta >= np.exp(0.5 * x)) | (undiscounted >= np.where(is_call, F, K))
    reason[at_bound] = IvReason.ABOVE_BOUND
    reason[~(beta > 0.0)] = IvReason.BELOW_INTRINSIC
    reason[T <= 0.0] = IvReason.ZERO_TIME
    reason[bad] = IvReason.BAD_INPUT

    vol = np.full(price.shape, np.nan)
    good = reason == IvReason.OK
    total = _total_vol(x[good], beta[good])
    vol[good] = total / np.sqrt(T[good])
    lost = good.copy()
    lost[good] = ~np.isfinite(total)
    reason[lost] = IvReason.ABOVE_BOUND
    return vol, reason


def _log_ratio(F: Floats, K: Floats) -> Floats:
    """``ln(F / K)``; near the money from the exact difference, as F / K rounds away its digits."""
    gap = (F - K) / K
    return np.asarray(np.where(np.abs(gap) < 0.5, np.log1p(gap), np.log(F / K)))


def _erfcx_difference(a: Floats, e: Floats) -> Floats:
    """``erfcx(a - e) - erfcx(a + e)``; for small `e` from its Taylor series, without cancellation.

    The derivatives follow ``y' = 2 a y - 2 / sqrt(pi)``, ``y(n+1) = 2 a y(n) + 2 n y(n-1)``.
    """
    from scipy.special import erfcx  # lazily: scipy.special costs 0.4 s to import

    difference = erfcx(a - e) - erfcx(a + e)
    small = (e < _SERIES_BELOW) & (a < _SERIES_NEAR)
    if small.any():
        a, e = a[small], e[small]
        y1 = 2.0 * a * erfcx(a) - _TWO_OVER_SQRT_PI
        y2 = 2.0 * (a * y1 + erfcx(a))
        y3 = 2.0 * (a * y2 + 2.0 * y1)
        y4 = 2.0 * (a * y3 + 3.0 * y2)
        y5 = 2.0 * (a * y4 + 4.0 * y3)
        difference[small] = -2.0 * e * (y1 + e * e / 6.0 * (y3 + e * e / 20.0 * y5))
    return np.asarray(difference)


def _log_price(x: Floats, s: Floats) -> tuple[Floats, Floats]:
    """Log of the normalised out-of-the-money price, and its derivative in total vol.

    Both come from the same erfcx difference; it is positive for every positive `s`.
    """
    h, t = x / s, 0.5 * s
    # erfcx(z) overflows below z = -26; there the price is at its bound and the caller's bracket
    # closes from above, so infinity is the right signal
    difference = _erfcx_difference(-h / _SQRT_2, t / _SQRT_2)
    log_price = _LOG_HALF + np.log(difference) - 0.5 * (h * h + t * t)
    return log_price, _SQRT_2_OVER_PI / difference


def _total_vol(x: Floats, beta: Floats) -> Floats:
    """Solve ``log b(x, s) = log beta`` for s; arrays of shape (n,), all solvable."""
    target = np.log(beta)
    # At the money b(s) ~ s / sqrt(2 pi); far out the inflection point sqrt(2|x|) starts Newton
    # on the side from which the log-price, being concave there, never overshoots the bracket
    s = np.maximum(np.sqrt(2.0 * np.abs(x)), np.sqrt(2.0 * np.pi) * beta)
    s = np.clip(s, 1e-8, _TOTAL_VOL_CEILING)
    low, high = np.zeros_like(s), np.full_like(s, _TOTAL_VOL_CEILING)
    active = np.arange(s.size)
    with np.errstate(all="ignore"):
        for _ in range(_MAX_STEPS):
            if active.size == 0:
                break
            xa, sa = x[active], s[active]
            value, slope = _log_price(xa, sa)
            error = value - target[active]
            above = ~(error < 0.0)
            high[active] = np.where(above, np.minimum(high[active], sa), high[active])
            low[active] = np.where(above, low[active], np.maximum(low[active], sa))
            curvature = xa * xa / sa**3 - 0.25 * sa - slope
            newton = error / slope
            step = newton / np.maximum(1.0 - 0.5 * newton * curvature, 0.5)
            proposal = sa - step
            inside = (proposal > low[active]) & (proposal < high[active])
            middle = 0.5 * (low[active] + high[active])
            new = np.where(inside, proposal, middle)
            s[active] = new
            done = np.abs(new - sa) <= _TOLERANCE * sa
            done |= (high[active] - low[active]) <= _TOLERANCE * sa
            active = active[~done]
    return np.where(s < _TOTAL_VOL_CEILING * (1.0 - 1e-9), s, np.nan)

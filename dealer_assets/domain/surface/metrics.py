"""Numbers that describe each smile: level, skew, curvature, risk reversals, butterflies.

Belongs here: one number per slice and name. Does not belong here: constant maturities (`grid`),
the quality of the fit (`quality`).

Deltas are forward deltas, undiscounted: N(d1) for calls, N(-d1) for puts (positive here), with d1
from the smile's own vol at the strike. ``25`` is the strike where that is 0.25.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats
from dealer_assets.domain.surface.model import Surface
from dealer_assets.domain.surface.smiles import total_variance

_WIDEST = 15.0
"""Strikes of a delta are sought within this many at-the-money total vols."""

_HALVINGS = 48


@dataclass(frozen=True)
class SmileMetrics:
    """Metrics per slice, float64 of shape (m,); NaN without a smile. Vols are annualised, decimal.

    Parameters
    ----------
    atm_vol : float64 array
        Vol at k = 0.
    skew : float64 array
        d vol / d k at k = 0.
    curvature : float64 array
        d2 vol / d k2 at k = 0.
    risk_reversal_25, risk_reversal_10 : float64 array
        Vol of the call less vol of the put at forward delta 0.25 or 0.10.
    butterfly_25, butterfly_10 : float64 array
        Mean of those two vols less `atm_vol`.
    quoted_25, quoted_10 : bool array
        Both strikes lie in the slice's domain.
    forward_vol : float64 array
        Vol between this expiry and the nearest earlier one with a smile, at k = 0; the first
        slice's is its `atm_vol`. NaN where variance falls or no time passes.
    """

    atm_vol: Floats
    skew: Floats
    curvature: Floats
    risk_reversal_25: Floats
    risk_reversal_10: Floats
    butterfly_25: Floats
    butterfly_10: Floats
    quoted_25: Bools
    quoted_10: Bools
    forward_vol: Floats


def strike_of_delta(
    put_delta: Floats, variance: Callable[[Floats], Floats], *, scale: Floats
) -> Floats:
    """Log-moneyness at which the forward put delta N(-d1) has given values.

    Parameters
    ----------
    put_delta : float64 array, shape (m, n)
        Between 0 and 1; a call's delta c is the put delta 1 - c.
    variance : function
        Total variance of each row at k of shape (m, n).
    scale : float64 array, shape (m,)
        At-the-money total vol of each row.

    Returns
    -------
    float64 array, shape (m, n)
        By bisection, to 1e-13 total vols; NaN where the delta is not reached within 15 of them.
    """
    from scipy.special import ndtri

    target = ndtri(put_delta)
    low = np.broadcast_to(-_WIDEST * scale[:, None], target.shape).copy()
    high = -low

    def short(k: Floats) -> Floats:
        w = variance(k)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.sqrt(np.where(w > 0.0, w, np.nan))
            return np.asarray((k - 0.5 * w) / total - target)

    with np.errstate(invalid="ignore"):
        reached = (short(low) < 0.0) & (short(high) > 0.0)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = short(middle) < 0.0
            low = np.where(below, middle, low)
            high = np.where(below, high, middle)
    return np.where(reached, 0.5 * (low + high), np.nan)


def smile_metrics(surface: Surface) -> SmileMetrics:
    """Describe every slice of a surface."""
    m = surface.years.size
    row = np.arange(m)
    w, slope, bend = total_variance(np.zeros(m), row, surface.params)
    years = surface.years
    with np.errstate(invalid="ignore", divide="ignore"):
        atm = np.sqrt(np.where(w > 0.0, w, np.nan) / years)
        skew = slope / (2.0 * atm * years)
        curvature = (bend / (2.0 * years) - skew * skew) / atm
    deltas = np.broadcast_to(np.array([0.25, 0.75, 0.10, 0.90]), (m, 4))
    k = strike_of_delta(
        deltas,
        lambda at: surface.total_variance(at, row[:, None]),
        scale=np.sqrt(np.where(w > 0.0, w, np.nan)),
    )
    vol = surface.implied_vol(k, row[:, None])
    with np.errstate(invalid="ignore"):
        quoted = (k >= surface.low[:, None]) & (k <= surface.high[:, None])
    return SmileMetrics(
        atm_vol=atm,
        skew=skew,
        curvature=curvature,
        risk_reversal_25=vol[:, 1] - vol[:, 0],
        risk_reversal_10=vol[:, 3] - vol[:, 2],
        butterfly_25=0.5 * (vol[:, 0] + vol[:, 1]) - atm,
        butterfly_10=0.5 * (vol[:, 2] + vol[:, 3]) - atm,
        quoted_25=quoted[:, 0] & quoted[:, 1],
        quoted_10=quoted[:, 2] & quoted[:, 3],
        forward_vol=_forward_vol(np.where(surface.usable, w, np.nan), years),
    )


def _forward_vol(w: Floats, years: Floats) -> Floats:
    out = np.full(w.size, np.nan)
    rows = np.flatnonzero(np.isfinite(w))
    rise = np.diff(w[rows], prepend=0.0)
    time = np.diff(years[rows], prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        out[rows] = np.sqrt(np.where((rise >= 0.0) & (time > 0.0), rise / time, np.nan))
    return out

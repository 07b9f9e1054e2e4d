"""Constant maturities of a fitted surface: vol at the money, skew, butterfly.

Belongs here: interpolation between slices that rest on quotes. Does not belong here: fitting
(`domain/surface`). Nothing is extrapolated: a maturity outside the fitted slices is not determined.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Floats, floats
from dealer_assets.domain.conventions import DAYS_PER_YEAR, VOL_POINT

_RESTING = ("fit", "aged")
"""Slices whose smile comes of quotes, not of neighbours or a rule."""


def atm_vol(surface: pa.Table, days: float) -> float:
    """Return the vol at the forward at a constant maturity.

    Parameters
    ----------
    surface : pyarrow.Table
        One snapshot, `tables.VOL_SURFACE` schema.
    days : float
        Maturity in calendar days.

    Returns
    -------
    float
        Vol points; linear in total variance between the slices around it, NaN outside them.
    """
    years, vol = _slices(surface, "atm_vol")
    at = days / DAYS_PER_YEAR
    variance = _between(at, years, vol * vol * years)
    return float(np.sqrt(variance / at)) / VOL_POINT


def smile_term(surface: pa.Table, column: str, days: float) -> float:
    """Return a difference of vols (`risk_reversal_25`, `butterfly_25`) at a constant maturity.

    Returns
    -------
    float
        Vol points; linear in time between the slices around it, NaN outside them.
    """
    years, values = _slices(surface, column)
    return _between(days / DAYS_PER_YEAR, years, values) / VOL_POINT


def _slices(surface: pa.Table, column: str) -> tuple[Floats, Floats]:
    """Years and values of slices that rest on quotes; of two of one maturity the first."""
    years, values = floats(surface, "year_fraction"), floats(surface, column)
    rests = np.isin(np.array(surface["method"].to_pylist(), dtype=object), _RESTING)
    told = rests & np.isfinite(values) & (years > 0.0)
    years, first = np.unique(years[told], return_index=True)
    return years, values[told][first]


def _between(at: float, years: Floats, values: Floats) -> float:
    if not years.size or not years[0] <= at <= years[-1]:
        return float("nan")
    return float(np.interp(at, years, values))

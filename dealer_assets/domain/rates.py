"""Discount rates from par-yield curves, and which curve was known at an instant.

Belongs here: par yields to zero rates, interpolation, publication time and age. Does not belong
here: vendors' files (`providers`), the chain's own rates (`domain/forward.py`).
Source and conventions: `docs/methods/rates.md`.

Inside this module a yield is per year and decimal (0.05 is 5 %), a tenor is in years, and a zero
rate is continuously compounded: a dollar in `t` years is worth ``exp(-r t)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.errors import BadInputError

Floats = NDArray[np.float64]
CurveStatus = Literal["ok", "stale", "too_old", "none"]

PUBLISHED = time(18, 0)
"""Treasury publishes the curve of a date by this New York time of that date."""

STALE_AFTER_DAYS = 7
"""A curve older than this many calendar days is used and flagged. Long week-ends are 4 days."""

REFUSED_AFTER_DAYS = 30
"""A curve older than this is not used at all."""

SIMPLE_UP_TO_YEARS = 0.5
"""Up to here a yield is simple interest (a bill); beyond, par of a half-yearly coupon bond."""

HIGHEST_YIELD = 0.5
"""A yield of more than 50 % (or less than minus as much) is one in per cent."""

_PERIOD = 0.5


@dataclass(frozen=True)
class RateCurve:
    """Zero rates of one date; the arrays have shape (n,), tenors ascending, nothing missing.

    Parameters
    ----------
    date : datetime.date
        New York date that the curve describes.
    tenor_years : float64 array
        Tenor [years].
    par_yield : float64 array
        Par yield as published, bond-equivalent [1/year, decimal].
    zero_rate : float64 array
        Continuously compounded zero rate [1/year, decimal].
    """

    date: date
    tenor_years: Floats
    par_yield: Floats
    zero_rate: Floats

    def rate_at(self, years: Floats | float) -> Floats:
        """Zero rate at any tenor: linear in (rate x tenor) between, flat outside the tenors.

        Parameters
        ----------
        years : float64 array or float
            Tenor [years], any shape.

        Returns
        -------
        float64 array
            Same shape. NaN where `years` is NaN. At and below 0 the first rate.
        """
        t = np.asarray(years, np.float64)
        first, last = self.tenor_years[0], self.tenor_years[-1]
        inside = np.clip(t, first, last)
        grown = np.interp(inside, self.tenor_years, self.zero_rate * self.tenor_years)
        return np.asarray(grown / inside)

    def discount_at(self, years: Floats | float) -> Floats:
        """Discount factor ``exp(-r t)`` at any tenor, with the rate of `rate_at`."""
        t = np.asarray(years, np.float64)
        return np.asarray(np.exp(-self.rate_at(t) * t))


@dataclass(frozen=True)
class CurveChoice:
    """Which curve serves an instant, and how good it is.

    Parameters
    ----------
    curve : RateCurve or None
        None with status ``too_old`` and ``none``.
    status : {"ok", "stale", "too_old", "none"}
        ``stale``: older than `STALE_AFTER_DAYS`, used; ``too_old``: older than
        `REFUSED_AFTER_DAYS`, refused; ``none``: no curve had been published.
    age_days : int or None
        Calendar days in New York from the latest curve's date to the instant.
    """

    curve: RateCurve | None
    status: CurveStatus
    age_days: int | None


def zero_rates(tenor_years: Floats, par_yields: Floats) -> Floats:
    """Convert par yields to continuously compounded zero rates.

    Parameters
    ----------
    tenor_years : float64 array, shape (n,)
        Ascending, positive [years].
    par_yields : float64 array, shape (n,)
        Bond-equivalent yields, decimal, finite.

    Returns
    -------
    float64 array, shape (n,)
        NaN where the yields leave no positive discount factor.

    Notes
    -----
    Up to half a year ``r = ln(1 + y t) / t``. Beyond, the yield is the coupon of a half-yearly bond
    at par and the discount factors are bootstrapped on half-year steps,
    ``D_k = (1 - y_k / 2 (D_1 + ... + D_k-1)) / (1 + y_k / 2)``, yields between published tenors
    linear. At half a year both rules give ``2 ln(1 + y / 2)``. Source: Hull, bootstrap method.
    """
    short = tenor_years <= SIMPLE_UP_TO_YEARS
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.log1p(par_yields * tenor_years) / tenor_years
        if not short.all():
            log_discount = _bootstrapped(tenor_years, par_yields)
            rate[~short] = -log_discount[~short] / tenor_years[~short]
    return np.asarray(rate)


def _bootstrapped(tenor_years: Floats, par_yields: Floats) -> Floats:
    """Logarithm of the discount factor at every tenor; between half-year steps linear."""
    steps = int(np.ceil(tenor_years[-1] / _PERIOD - 1e-9))
    grid = _PERIOD * np.arange(1, steps + 1)
    half_coupon = 0.5 * np.interp(grid, tenor_years, par_yields)
    annuity = 0.0
    discount = np.empty(steps)
    for k in range(steps):
        discount[k] = (1.0 - half_coupon[k] * annuity) / (1.0 + half_coupon[k])
        annuity += discount[k]
    with_start = np.append(0.0, np.log(discount))
    return np.asarray(np.interp(tenor_years, np.append(0.0, grid), with_start))


def curve_from_par(day: date, tenor_years: Floats, par_yields: Floats) -> RateCurve:
    """Build the curve of a date from par yields; missing tenors are skipped.

    Parameters
    ----------
    day : datetime.date
        New York date of the curve.
    tenor_years : float64 array, shape (n,)
        Tenors [years], any order.
    par_yields : float64 array, shape (n,)
        Decimal; NaN where not published.

    Raises
    ------
    BadInputError
        When no yield is known, a tenor is not positive or comes twice, or the yields are beyond
        `HIGHEST_YIELD` or leave no positive discount factor.
    """
    known = np.isfinite(par_yields)
    tenors, yields = tenor_years[known], par_yields[known]
    order = np.argsort(tenors, kind="stable")
    tenors, yields = tenors[order], yields[order]
    if tenors.size == 0 or tenors[0] <= 0.0 or np.any(np.diff(tenors) <= 0.0):
        raise BadInputError(
            f"rate curve of {day}: expected at least one yield and different positive tenors, "
            f"found tenors {tenors.tolist()} years; check the file's columns"
        )
    rates = zero_rates(tenors, yields)
    if not np.isfinite(rates).all() or np.abs(yields).max() > HIGHEST_YIELD:
        raise BadInputError(
            f"rate curve of {day}: expected decimal yields of plausible size, found "
            f"{yields.tolist()}; are they in per cent?"
        )
    return RateCurve(day, tenors, yields, rates)


def published_at(day: date) -> datetime:
    """Instant (UTC) from which the curve of a date counts as known."""
    return datetime.combine(day, PUBLISHED, NEW_YORK).astimezone(UTC)


def curve_as_of(curves: Iterable[RateCurve], instant: datetime) -> CurveChoice:
    """Choose the latest curve that had been published at an instant.

    Parameters
    ----------
    curves : iterable of RateCurve
        Any order. Of two curves of one date the first counts.
    instant : datetime.datetime
        With time zone.

    Returns
    -------
    CurveChoice
        Never a curve of the future, never silently an old one.

    Raises
    ------
    BadInputError
        When `instant` has no time zone.
    """
    if instant.tzinfo is None:
        raise BadInputError(f"expected an instant with time zone, found {instant}; attach UTC")
    local = instant.astimezone(NEW_YORK)
    last = local.date() if local.time() >= PUBLISHED else local.date() - timedelta(days=1)
    latest = max((c for c in curves if c.date <= last), key=lambda c: c.date, default=None)
    if latest is None:
        return CurveChoice(None, "none", None)
    age = (local.date() - latest.date).days
    if age > REFUSED_AFTER_DAYS:
        return CurveChoice(None, "too_old", age)
    return CurveChoice(latest, "stale" if age > STALE_AFTER_DAYS else "ok", age)


def curve_columns(curves: Sequence[RateCurve]) -> dict[str, NDArray[np.generic]]:
    """Return curves as columns, one row per date and tenor, ready for an Arrow table.

    Returns
    -------
    dict
        ``date`` (datetime64[D]), ``tenor_years``, ``par_yield``, ``zero_rate`` (float64), rows in
        the order of `curves`, tenors ascending.
    """
    sizes = [curve.tenor_years.size for curve in curves]
    days = np.array([curve.date for curve in curves], "datetime64[D]")
    return {
        "date": np.repeat(days, sizes),
        "tenor_years": _joined(curve.tenor_years for curve in curves),
        "par_yield": _joined(curve.par_yield for curve in curves),
        "zero_rate": _joined(curve.zero_rate for curve in curves),
    }


def curves_from_columns(columns: Mapping[str, NDArray[np.generic]]) -> list[RateCurve]:
    """Rebuild curves from the columns of `curve_columns`, ascending by date.

    Zero rates are taken as stored, not converted anew. Rows may come in any order; every date and
    tenor must be there once.
    """
    day = np.asarray(columns["date"], "datetime64[D]")
    tenor = np.asarray(columns["tenor_years"], np.float64)
    order = np.lexsort((tenor, day))
    bounds = np.flatnonzero(np.diff(day[order]).astype(np.int64)) + 1
    return [
        RateCurve(
            day[rows[0]].astype(object),
            tenor[rows],
            np.asarray(columns["par_yield"], np.float64)[rows],
            np.asarray(columns["zero_rate"], np.float64)[rows],
        )
        for rows in np.split(order, bounds)
        if rows.size
    ]


def _joined(parts: Iterable[Floats]) -> Floats:
    listed = list(parts)
    return np.concatenate(listed) if listed else np.empty(0)

"""How good a surface is, and whether numbers may rest on it.

Belongs here: measures per slice and snapshot, the thresholds, the words for what is wrong. Does not
belong here: fitting, what a caller does about a bad surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.surface.model import Surface
from dealer_assets.domain.surface.quotes import Quotes, clean

BASIS_POINT = 1e-4
"""One basis point of vol."""

ATM_STRIKES = 5
"""The at-the-money error is over this many strikes, the nearest to the forward."""

MIN_IN_SPREAD = 0.90
"""Share of out-of-the-money quotes whose model vol lies between bid and ask."""

MAX_CHI, FAR = 1.5, 5.0
"""Root mean square of residuals in half-spreads, each taken as `FAR` at most: the fit passes by
stale quotes on purpose, and a handful of them says nothing about it."""

MAX_ATM_ERROR_BP = 30.0
"""Median over slices of the mean absolute at-the-money error."""

MIN_FITTED_SHARE = 0.80
"""Share of expiries with method ``fit``."""

MAX_PARITY_RESIDUAL = 3.0
"""Median residual of put-call parity in half-spreads."""

REASONS = (
    "no_quotes",
    "few_in_spread",
    "large_residuals",
    "atm_missed",
    "butterfly_arbitrage",
    "calendar_arbitrage",
    "few_fitted",
    "parity_off",
)
"""Words for what is wrong with a surface, in the order in which they are listed."""


@dataclass(frozen=True)
class SliceQuality:
    """Measures per slice, shape (m,).

    Parameters
    ----------
    quotes : int64 array
        Quotes that entered the fit.
    in_spread : float64 array
        Share of them inside bid-ask; NaN without quotes that have a spread.
    chi : float64 array
        Root mean square residual in half-spreads; NaN without quotes.
    atm_error_bp : float64 array
        Mean absolute error of the `ATM_STRIKES` nearest strikes [bp of vol]; NaN without quotes.
    butterfly_violation, calendar_violation : bool array
        Arbitrage on the slice's domain.
    parity_residual : float64 array
        In half-spreads, passed through.
    """

    quotes: Ints
    in_spread: Floats
    chi: Floats
    atm_error_bp: Floats
    butterfly_violation: Bools
    calendar_violation: Bools
    parity_residual: Floats


@dataclass(frozen=True)
class SurfaceQuality:
    """Measures of one snapshot.

    Parameters
    ----------
    slices : SliceQuality
        Per slice.
    in_spread, chi : float
        Over all quotes.
    bounded_chi : float
        `chi` with no residual above `FAR`; what is judged.
    atm_error_bp, parity_residual : float
        Medians over slices.
    butterfly_violations, calendar_violations : int
        Numbers of fitted slices; one makes a surface unsound. What stands in for a slice that is
        not fitted promises nothing and is not counted: `fitted_share` bounds it.
    fitted_share : float
        Share of slices with method ``fit``.
    reasons : tuple of str
        What is wrong, words of `REASONS`; empty for a sound surface.
    """

    slices: SliceQuality
    in_spread: float
    chi: float
    bounded_chi: float
    atm_error_bp: float
    parity_residual: float
    butterfly_violations: int
    calendar_violations: int
    fitted_share: float
    reasons: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong."""
        return not self.reasons


def surface_quality(surface: Surface, quotes: Quotes) -> SurfaceQuality:
    """Measure a surface against the quotes it was fitted to.

    Parameters
    ----------
    surface : Surface
        Slices as in `quotes`.
    quotes : Quotes
        The same object that `fit.fit_surface` was given.

    Returns
    -------
    SurfaceQuality
        A snapshot without any quote has NaN measures and the reason ``no_quotes``.
    """
    kept, half_spread = clean(quotes)
    m = kept.years.size
    row = kept.slice_id
    vol = surface.implied_vol(kept.log_moneyness, row)
    with np.errstate(invalid="ignore"):
        error = np.abs(vol - kept.vol)
        low = np.where(np.isfinite(kept.vol_bid), kept.vol_bid, 0.0)
        inside = (vol >= low * (1.0 - 1e-9)) & (vol <= kept.vol_ask * (1.0 + 1e-9))
    error = np.where(np.isfinite(vol), error, np.inf)
    scaled = error / half_spread
    spread = np.isfinite(kept.vol_ask)
    slices = SliceQuality(
        quotes=np.bincount(row, minlength=m).astype(np.int64),
        in_spread=_share(row[spread], inside[spread], m),
        chi=np.sqrt(_share(row, scaled**2, m)),
        atm_error_bp=_atm_error(kept, error),
        butterfly_violation=surface.after.butterfly_violated,
        calendar_violation=surface.after.calendar_violated,
        parity_residual=kept.parity_residual,
    )
    return _summary(
        slices,
        in_spread=float(inside[spread].mean()) if spread.any() else float("nan"),
        scaled=scaled,
        method=surface.method,
    )


def _share(row: Ints, values: NDArray[np.generic], m: int) -> Floats:
    size = np.bincount(row, minlength=m)
    total = np.bincount(row, values.astype(np.float64), minlength=m)
    return np.where(size > 0, total / np.maximum(size, 1), np.nan)


def _atm_error(quotes: Quotes, error: Floats) -> Floats:
    first = quotes.first
    out = np.full(quotes.years.size, np.nan)
    for i in range(out.size):
        part = slice(first[i], first[i + 1])
        if part.start < part.stop:
            near = np.argsort(np.abs(quotes.log_moneyness[part]), kind="stable")[:ATM_STRIKES]
            out[i] = error[part][near].mean() / BASIS_POINT
    return out


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def _summary(
    slices: SliceQuality, *, in_spread: float, scaled: Floats, method: NDArray[np.str_]
) -> SurfaceQuality:
    m = max(method.size, 1)
    atm, parity = _median(slices.atm_error_bp), _median(slices.parity_residual)
    is_fit = method == "fit"
    butterfly = int((slices.butterfly_violation & is_fit).sum())
    calendar = int((slices.calendar_violation & is_fit).sum())
    fitted = float(is_fit.sum() / m)
    bounded = _rms(np.minimum(scaled, FAR))
    found = (
        not slices.quotes.any(),
        in_spread < MIN_IN_SPREAD,
        bounded > MAX_CHI,
        atm > MAX_ATM_ERROR_BP,
        butterfly > 0,
        calendar > 0,
        fitted < MIN_FITTED_SHARE,
        parity > MAX_PARITY_RESIDUAL,
    )
    return SurfaceQuality(
        slices=slices,
        in_spread=in_spread,
        chi=_rms(scaled),
        bounded_chi=bounded,
        atm_error_bp=atm,
        parity_residual=parity,
        butterfly_violations=butterfly,
        calendar_violations=calendar,
        fitted_share=fitted,
        reasons=tuple(word for word, is_so in zip(REASONS, found, strict=True) if is_so),
    )

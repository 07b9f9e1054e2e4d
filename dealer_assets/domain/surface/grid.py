"""The surface at constant maturities: vols and Greeks by log-moneyness and by delta.

Belongs here: the published coordinates and what stands at them. Does not belong here: slices as
listed (`metrics`), interpolation (`model`).

Shapes: t tenors, x log-moneyness points, d deltas. A point outside the listed range or a domain
has a value by the rule of `model.VOL_RULES` that stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats
from dealer_assets.domain.conventions import DAYS_PER_YEAR
from dealer_assets.domain.pricing.black import Greeks, black_greeks
from dealer_assets.domain.surface.metrics import strike_of_delta
from dealer_assets.domain.surface.model import Surface

TENOR_DAYS = (1.0, 7.0, 14.0, 30.0, 60.0, 91.0, 182.0, 365.0)
LOG_MONEYNESS = tuple(round(0.02 * i, 2) for i in range(-15, 11))
"""ln(K/F) from -0.30 to 0.20."""

PUT_DELTAS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Forward put deltas N(-d1) from 0.05 (deep put wing) to 0.95 (call wing)."""


@dataclass(frozen=True)
class GridPart:
    """One coordinate system of the grid, arrays of shape (t, n).

    Parameters
    ----------
    coordinate : float64 array, shape (n,)
        Log-moneyness, or forward put delta.
    log_moneyness : float64 array
        k of each point.
    strike : float64 array
        ``forward exp(k)`` [USD].
    vol : float64 array
        Annualised, decimal; NaN where there is none.
    rule : int8 array
        Index into `model.VOL_RULES`.
    greeks : Greeks
        Of the out-of-the-money option there (call at k >= 0), in the units of `Greeks`; NaN without
        a vol or a spot.
    """

    coordinate: Floats
    log_moneyness: Floats
    strike: Floats
    vol: Floats
    rule: NDArray[np.int8]
    greeks: Greeks


@dataclass(frozen=True)
class Grid:
    """Constant-maturity surface.

    Parameters
    ----------
    tenor_days : float64 array, shape (t,)
        Calendar days.
    forward, discount : float64 array, shape (t,)
        At the tenors; log-linear between slices.
    by_moneyness, by_delta : GridPart
        Points at constant ln(K/F) and at constant forward put delta.
    """

    tenor_days: Floats
    forward: Floats
    discount: Floats
    by_moneyness: GridPart
    by_delta: GridPart


def surface_grid(
    surface: Surface,
    *,
    tenor_days: tuple[float, ...] = TENOR_DAYS,
    log_moneyness: tuple[float, ...] = LOG_MONEYNESS,
    put_deltas: tuple[float, ...] = PUT_DELTAS,
) -> Grid:
    """Evaluate a surface at constant maturities.

    Parameters
    ----------
    surface : Surface
        As fitted.
    tenor_days : tuple of float
        Calendar days, positive.
    log_moneyness : tuple of float
        ln(K/F).
    put_deltas : tuple of float
        Forward put deltas, between 0 and 1.

    Returns
    -------
    Grid
        With NaN and the rule ``none`` throughout when no slice has a smile.
    """
    days = np.array(tenor_days, np.float64)
    years = days / DAYS_PER_YEAR
    forward, discount = surface.forward_at(years), surface.discount_at(years)
    terms = (years, forward, discount)
    x = np.array(log_moneyness, np.float64)
    deltas = np.array(put_deltas, np.float64)
    centre, _ = surface.vol_at(np.zeros(years.size), years)

    def variance(k: Floats) -> Floats:
        vol, _ = surface.vol_at(k, years[:, None])
        return np.asarray(vol * vol * years[:, None])

    wanted = np.broadcast_to(deltas, (days.size, deltas.size))
    k = strike_of_delta(wanted, variance, scale=centre * np.sqrt(years))
    return Grid(
        tenor_days=days,
        forward=forward,
        discount=discount,
        by_moneyness=_part(surface, x, np.broadcast_to(x, (days.size, x.size)), terms=terms),
        by_delta=_part(surface, deltas, k, terms=terms),
    )


def _part(
    surface: Surface, coordinate: Floats, k: Floats, *, terms: tuple[Floats, Floats, Floats]
) -> GridPart:
    years, forward, discount = (values[:, None] for values in terms)
    vol, rule = surface.vol_at(k, years)
    strike = forward * np.exp(k)
    flat = [np.broadcast_to(v, k.shape).reshape(-1) for v in (forward, strike, years, discount)]
    greeks = black_greeks(
        flat[0],
        flat[1],
        S=np.full(k.size, surface.spot),
        T=flat[2],
        sigma=vol.reshape(-1),
        D=flat[3],
        is_call=(k >= 0.0).reshape(-1),
    )
    shaped = {
        name: np.asarray(values).reshape(k.shape)
        for name, values in vars(greeks).items()
        if values is not None
    }
    return GridPart(coordinate, np.array(k), strike, vol, rule, Greeks(**shaped))

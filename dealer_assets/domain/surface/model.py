"""The fitted surface of one snapshot and what can be asked of it.

Belongs here: a surface's arrays, vols on slices and between expiries, forwards between them.
Does not belong here: how it was fitted (`fit`), what is published of it (`metrics`, `grid`).

Between two expiries total variance is linear in time at constant k = ln(K/F); log forward and log
discount are linear in time too. Wherever an answer leaves the listed range, its rule says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.surface.arbitrage import Slacks
from dealer_assets.domain.surface.smiles import total_variance

METHODS = ("fit", "aged", "interpolated", "rule", "none")
"""How a slice got its smile, best first; see `fit.fit_surface`."""

VOL_RULES = ("inside", "wing", "before_first", "after_last", "none")
"""Where a vol between expiries comes from.

``inside`` two listed expiries and both their domains; ``wing`` outside a domain, on the smile's
continuation; ``before_first`` and ``after_last`` the vol of the first or last smile at the same k,
which is total variance proportional to time; ``none`` no vol."""

_INSIDE, _WING, _BEFORE, _AFTER, _NONE = range(5)


@dataclass(frozen=True)
class Surface:
    """A surface of m slices by ascending expiry instant, then root.

    Parameters
    ----------
    root : str array, shape (m,)
        Option root.
    expires_at : int64 array, shape (m,)
        Expiry instant [us since 1970 UTC].
    years, forward, discount : float64 array, shape (m,)
        ACT/365 to expiry, forward [USD], discount factor.
    params : float64 array, shape (m, COLUMNS)
        Smiles; the columns and the formula are in `smiles`. The first five are raw SVI's a, b,
        rho, m, sigma. NaN where the method is ``none``.
    method : str array, shape (m,)
        Word of `METHODS`.
    age_seconds : float64 array, shape (m,)
        Age of an aged smile's fit; 0 for a fit, NaN otherwise.
    quote_count : int64 array, shape (m,)
        Quotes that entered.
    low, high : float64 array, shape (m,)
        Domain in k: quoted strikes and half an at-the-money total vol more. Arbitrage is looked at
        there; beyond, the smile is continued.
    before, after : Slacks
        No-arbitrage slacks of the unconstrained fit and of the surface; `before` is NaN for slices
        that are not fitted.
    spot : float
        Underlying [USD], NaN when unknown.
    """

    root: NDArray[np.str_]
    expires_at: Ints
    years: Floats
    forward: Floats
    discount: Floats
    params: Floats
    method: NDArray[np.str_]
    age_seconds: Floats
    quote_count: Ints
    low: Floats
    high: Floats
    before: Slacks
    after: Slacks
    spot: float

    @property
    def usable(self) -> Bools:
        """Slices with a smile, shape (m,)."""
        return np.asarray((self.method != "none") & np.isfinite(self.params).all(axis=1))

    def total_variance(self, k: Floats, slice_id: Ints) -> Floats:
        """Total variance at k on slices, of the broadcast shape; NaN where there is no smile."""
        return total_variance(k, slice_id, self.params)[0]

    def implied_vol(self, k: Floats, slice_id: Ints) -> Floats:
        """Vol at k = ln(K/F) on slices.

        Parameters
        ----------
        k : float64 array
            Log-moneyness.
        slice_id : int64 array of the same or a broadcastable shape
            Slices, -1 for none.

        Returns
        -------
        float64 array of the broadcast shape
            Annualised, decimal. NaN for NaN k, for a slice without a smile, and where a smile that
            is not free of arbitrage has no positive variance.
        """
        slice_id = np.asarray(slice_id, np.int64)
        known = (slice_id >= 0) & (slice_id < self.years.size)
        row = np.where(known, slice_id, -1)
        w = self.total_variance(k, row)
        years = self.years[np.where(known, slice_id, 0)] if self.years.size else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(w > 0.0, np.sqrt(w / years), np.nan))

    def vol_at(self, k: Floats, years: Floats) -> tuple[Floats, NDArray[np.int8]]:
        """Vol at any k and time.

        Parameters
        ----------
        k, years : float64 arrays of broadcastable shapes
            Log-moneyness to the forward of that time, and year fraction.

        Returns
        -------
        vol : float64 array of the broadcast shape
            Annualised, decimal; NaN where there is none.
        rule : int8 array of the same shape
            Index into `VOL_RULES`.

        Notes
        -----
        Where the later smile is below the earlier one (outside their domains, or on slices that
        are not fitted) the earlier total variance is kept, so that variance never falls with time.
        """
        k, years = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(years, np.float64))
        rows = np.flatnonzero(self.usable)
        if rows.size == 0:
            return np.full(k.shape, np.nan), np.full(k.shape, _NONE, np.int8)
        listed = self.years[rows]
        after = np.searchsorted(listed, years, side="right")
        earlier = rows[np.clip(after - 1, 0, rows.size - 1)]
        later = rows[np.clip(after, 0, rows.size - 1)]
        w0, w1 = self.total_variance(k, earlier), self.total_variance(k, later)
        t0, t1 = self.years[earlier], self.years[later]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(t1 > t0, (years - t0) / (t1 - t0), 0.0)
            w = w0 + share * (np.maximum(w1, w0) - w0)
            w = np.where(years < listed[0], w0 * years / t0, w)
            w = np.where(years > listed[-1], w0 * years / t0, w)
            vol = np.sqrt(np.where(w > 0.0, w, np.nan) / years)
        needs_later = (share > 0.0) & (later != earlier)
        wing = (k < self.low[earlier]) | (k > self.high[earlier])
        wing |= needs_later & ((k < self.low[later]) | (k > self.high[later]))
        rule = np.where(wing, _WING, _INSIDE)
        rule = np.where(years < listed[0], _BEFORE, rule)
        rule = np.where(years > listed[-1], _AFTER, rule)
        return vol, np.where(np.isnan(vol), _NONE, rule).astype(np.int8)

    def forward_at(self, years: Floats) -> Floats:
        """Forward at any time [USD]: log-linear between spot and slices, flat carry beyond."""
        start = np.log(self.spot) if self.spot > 0.0 else np.nan
        return np.exp(self._along_time(np.log(self._positive(self.forward)), start, years))

    def discount_at(self, years: Floats) -> Floats:
        """Discount factor at any time: log-linear from 1 today, flat rate beyond the last slice."""
        return np.exp(self._along_time(np.log(self._positive(self.discount)), 0.0, years))

    @staticmethod
    def _positive(values: Floats) -> Floats:
        return np.where(values > 0.0, values, np.nan)

    def _along_time(self, logs: Floats, start: float, years: Floats) -> Floats:
        known = np.isfinite(logs) & (self.years > 0.0)
        x, first = np.unique(self.years[known], return_index=True)
        y = logs[known][first]
        if np.isfinite(start):
            x, y = np.concatenate([[0.0], x]), np.concatenate([[start], y])
        years = np.asarray(years, np.float64)
        if x.size == 0:
            return np.full(years.shape, np.nan)
        slope = (y[-1] - y[0]) / (x[-1] - x[0]) if x.size > 1 else 0.0
        inside = np.interp(years, x, y)
        beyond = np.maximum(years - x[-1], 0.0) - np.maximum(x[0] - years, 0.0)
        return np.asarray(inside + beyond * slope)

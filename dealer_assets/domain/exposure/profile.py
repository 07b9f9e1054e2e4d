"""The gamma profile: the whole book re-priced on a grid of spots, and every zero of it.

Belongs here: profile values and crossings. Does not belong here: which crossing is the headline or
whether it can be trusted (`levels`).

Sticky strike: each contract keeps its vol, and forwards move in proportion to spot. Then
``d1`` is linear in ``u = ln(S'/S)`` and the profile is ``exp(u) * sum w_i phi(a_i + b_i u)``, an
exact full re-pricing. Source: `docs/methods/levels.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import PER_PCT, PROFILE_HALF_WIDTH, PROFILE_LEVELS
from dealer_assets.domain.exposure.aggregate import Book

Floats = NDArray[np.float64]

_INV_SQRT_2PI = 0.3989422804014327
_BISECTIONS = 60
_CHUNK_LEVELS = 64
_WIDTH_PER_STEP = 2.0
"""Contracts whose total vol is under this many grid steps get their strikes as extra levels."""


@dataclass(frozen=True)
class Profile:
    """A book's re-pricing function.

    Parameters
    ----------
    spot : float
        Spot the book stands at [USD].
    levels : float64 array, shape (k,)
        Ascending spot levels of the regular grid [USD].
    gamma_usd_per_pct : float64 array, shape (k,)
        Net dealer gamma exposure at each level.
    crossings : float64 array, shape (c,)
        Every zero found, ascending [USD].
    slopes : float64 array, shape (c,)
        Change of the profile per +1 % spot at each crossing [USD per 1 %, per 1 %].
    """

    spot: float
    levels: Floats
    gamma_usd_per_pct: Floats
    crossings: Floats
    slopes: Floats


class _Repricer:
    """Net gamma exposure as a function of ``u = ln(S'/S)``."""

    def __init__(self, book: Book) -> None:
        total = book.vol * np.sqrt(book.years)
        d1 = np.log(book.forward / book.strike) / total + 0.5 * total
        growth = book.discount * book.forward / book.spot
        weight = book.position * book.multiplier * growth * book.spot * PER_PCT / total
        # A call and a put of one strike have one vol, hence one gamma: fold them to halve the work
        label = np.stack([d1, total], axis=1)
        unique, where = np.unique(label, axis=0, return_inverse=True)
        self._offset = unique[:, 0]
        self._total = unique[:, 1]
        self._weight = np.bincount(where.reshape(-1), weights=weight) * _INV_SQRT_2PI
        self.strike_u = np.log(book.strike / book.forward)
        self.total = total

    def __call__(self, u: Floats) -> Floats:
        """Net gamma exposure at each u, shape (k,) [USD per 1 %]."""
        values = np.empty(u.size)
        for start in range(0, u.size, _CHUNK_LEVELS):  # bounds the temporary to 64 x n
            part = u[start : start + _CHUNK_LEVELS]
            d1 = self._offset + part[:, None] / self._total
            values[start : start + _CHUNK_LEVELS] = np.exp(part) * (
                np.exp(-0.5 * d1 * d1) @ self._weight
            )
        return values

    def slope(self, u: Floats) -> Floats:
        """Exact derivative per +1 % spot, shape (k,) [USD per 1 %, per 1 %]."""
        d1 = self._offset + u[:, None] / self._total
        density = np.exp(-0.5 * d1 * d1)
        change = density @ self._weight - (density * d1) @ (self._weight / self._total)
        return np.asarray(np.exp(u) * change * PER_PCT)


def gamma_profile(book: Book) -> Profile:
    """Re-price a book over spot +- 15 % and find every zero of its net gamma.

    Parameters
    ----------
    book : Book
        Contracts that count, not empty.

    Returns
    -------
    Profile
        The grid is uniform in spot and holds spot itself. Zeros are searched on a finer grid,
        which also holds the strikes (and their midpoints) of contracts too short-dated for the
        regular step, then refined by bisection to the last digit.
    """
    reprice = _Repricer(book)
    grid = np.log1p(np.linspace(-PROFILE_HALF_WIDTH, PROFILE_HALF_WIDTH, PROFILE_LEVELS))
    fine = _with_short_dated_strikes(grid, reprice)
    zeros = _zeros(reprice, fine)
    return Profile(
        spot=book.spot,
        levels=book.spot * np.exp(grid),
        gamma_usd_per_pct=reprice(grid),
        crossings=book.spot * np.exp(zeros),
        slopes=reprice.slope(zeros) if zeros.size else np.empty(0),
    )


def _with_short_dated_strikes(grid: Floats, reprice: _Repricer) -> Floats:
    step = grid[-1] - grid[-2]
    halves = np.sort(np.concatenate([grid, 0.5 * (grid[:-1] + grid[1:])]))
    narrow = reprice.total < _WIDTH_PER_STEP * step
    peaks = np.unique(reprice.strike_u[narrow])
    peaks = peaks[(peaks > grid[0]) & (peaks < grid[-1])]
    return np.unique(np.concatenate([halves, peaks, 0.5 * (peaks[:-1] + peaks[1:])]))


def _zeros(reprice: _Repricer, u: Floats) -> Floats:
    """Every sign change between neighbours of `u`, bisected together; exact zeros are kept."""
    values = reprice(u)
    sign = np.sign(values)
    change = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    low, high, sign_low = u[change], u[change + 1], sign[change]
    for _ in range(_BISECTIONS if change.size else 0):
        middle = 0.5 * (low + high)
        same = np.sign(reprice(middle)) == sign_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    # A book that is empty, or zero over a stretch, has no isolated zero there to report
    touching = (sign[1:-1] == 0) & (sign[:-2] * sign[2:] < 0)
    return np.sort(np.concatenate([0.5 * (low + high), u[1:-1][touching]]))

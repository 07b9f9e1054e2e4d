"""Net gamma as a function of spot: what is summed, how vols move along, and where it is zero.

Belongs here: the terms of a book, sticky strike and sticky moneyness as two functions of
``u = ln(S'/S)``, and finding all their zeros. Does not belong here: books (`profile`), conventions
(`variants`), draws (`bootstrap`), the sums themselves (`kernels/profile`).

Both functions leave out the factor ``e**u``, which has no zero.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import PROFILE_HALF_WIDTH, PROFILE_LEVELS
from dealer_assets.domain.surface import smiles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_Places = tuple[Floats, Ints, Ints, Floats, Floats, Floats, Floats]

_INV_SQRT_2PI = 0.3989422804014327
_WIDTH_PER_STEP = 2.0
"""Contracts whose total vol is under this many grid steps get their strikes as extra levels."""

_ROUNDS = 60
_CLOSE = 1e-9
"""A Newton step in u under this ends the search: what is left is its square over the total vol of
the sharpest contract."""

_NARROW = 4e-16
"""A bracket of this width in u cannot be halved any more."""

_ROOM = 0.05
"""Moneyness that a table covers beyond what its contracts can reach."""

_LEAST_SHARE = 0.1
"""A moved vol never falls below this share of the contract's own; contracts held there are
counted."""


@dataclass(frozen=True)
class Smile:
    """Fitted smiles of n contracts in m slices.

    Parameters
    ----------
    parameters : float64 array, shape (m, 5) or (m, COLUMNS)
        Rows of `surface/smiles.py`, or their first five columns: raw SVI (a, b, rho, m, sigma) of
        total variance. NaN where a slice has no fit.
    slice_id : int64 array, shape (n,)
        Slice of each contract; negative for none.
    """

    parameters: Floats
    slice_id: Ints

    def take(self, index: NDArray[np.intp]) -> Smile:
        """Return the smiles of chosen contracts."""
        return Smile(self.parameters, self.slice_id[index])

    @property
    def rows(self) -> Floats:
        """Parameters with all columns of `surface/smiles.py`; raw SVI has no correction."""
        m, columns = self.parameters.shape
        if columns == smiles.COLUMNS:
            return self.parameters
        rows = np.zeros((m, smiles.COLUMNS))
        rows[:, : smiles.RAW] = self.parameters
        rows[:, smiles.RAW] = 1.0  # scale of the correction, which is zero
        return rows

    def variance(self, k: Floats) -> Floats:
        """Total variance at log-moneyness `k`, shape (n,); NaN where nothing is fitted."""
        return smiles.total_variance(k, self.slice_id, self.rows)[0]


def smile_of(parameters: Floats, slice_id: Ints) -> Smile:
    """Give contracts the smiles of their slices; parameters as `Smile`."""
    return Smile(parameters, slice_id)


@dataclass(frozen=True)
class _Tables:
    """Total vols of all slices as cubics over cells of one grid step, highest moneyness first.

    As spot rises by a step, a contract moves on by one cell. `top` is where a slice's table begins,
    `base` its first cell, `cells` their number; all slices' coefficients follow each other, with
    a constant stretch at the end for slices without a fit.
    """

    top: Floats
    base: Ints
    cells: Ints
    coefficients: Floats
    is_fitted: NDArray[np.bool_]

    @classmethod
    def of(cls, smile: Smile, k: Floats) -> _Tables:
        """Tabulate every slice as far as its contracts can move."""
        m = smile.parameters.shape[0]
        start, step = grid()
        has = smile.slice_id >= 0
        low, high = np.zeros(m), np.zeros(m)
        np.minimum.at(low, smile.slice_id[has], k[has])
        np.maximum.at(high, smile.slice_id[has], k[has])
        top = high - start + _ROOM
        bottom = low - start - step * PROFILE_LEVELS - _ROOM
        cells = np.ceil((top - bottom) / step).astype(np.int64)
        base = np.concatenate([[0], np.cumsum(cells + 1)])
        slice_id = np.repeat(np.arange(m), cells + 1)
        at = top[slice_id] - step * (np.arange(slice_id.size) - base[slice_id])
        with np.errstate(invalid="ignore", divide="ignore"):
            variance, slope, _ = smiles.total_variance(at, slice_id, smile.rows)
            value = np.sqrt(variance)
            change = -0.5 * step * slope / value
            good = np.isfinite(value) & np.isfinite(change) & (value > 0.0)
        fitted = np.ones(m, np.bool_)
        fitted[slice_id[~good]] = False
        rise = np.diff(value, append=1.0)  # the last of a slice is the end of its last cell only
        after = np.append(change[1:], 0.0)
        cubic = np.stack(
            [value, change, 3.0 * rise - 2.0 * change - after, change + after - 2.0 * rise]
        )
        constant = np.zeros((4, PROFILE_LEVELS + 1))
        constant[0] = 1.0
        return cls(top, base, cells, np.concatenate([cubic, constant], axis=1), fitted)

    def arguments(self, slice_id: Ints) -> _Places:
        """Return where each contract's table is, and the coefficients."""
        fitted = (slice_id >= 0) & self.is_fitted[slice_id]
        c0, c1, c2, c3 = self.coefficients
        return (
            np.where(fitted, self.top[slice_id], 0.0),
            np.where(fitted, self.base[slice_id], self.base[-1]),
            np.where(fitted, self.cells[slice_id], PROFILE_LEVELS),
            c0,
            c1,
            c2,
            c3,
        )


@dataclass(frozen=True)
class Terms:
    """What net gamma depends on: arrays of shape (n,), one entry per strike of a slice.

    Parameters
    ----------
    log_moneyness : float64 array
        ``ln(K/F)`` at spot.
    total_vol : float64 array
        ``sigma sqrt(T)``, positive.
    amount : float64 array
        ``q m D F x 0.01``: times ``phi(d1) / s`` it is the gamma exposure [USD per 1 %].
    """

    log_moneyness: Floats
    total_vol: Floats
    amount: Floats


class Repricing(Protocol):
    """Net gamma exposure as a function of u, without its factor ``e**u`` (which has no zero)."""

    @property
    def peaks(self) -> Floats:
        """Return u of peaks that a regular grid could step over, ascending."""
        ...

    def on_grid(self, start: float, step: float, levels: int) -> Floats:
        """Values at ``start + j step``, shape (levels,)."""
        ...

    def values(self, u: Floats) -> Floats:
        """Values at any u, shape (k,)."""
        ...

    def with_slopes(self, u: Floats) -> tuple[Floats, Floats]:
        """Values and derivatives in u, each of shape (k,)."""
        ...


def fold_starts(terms: Terms) -> NDArray[np.intp]:
    """Return where a new strike begins, shape (m,).

    A call and a put of one strike that share a vol have one gamma: neighbours with equal moneyness
    and vol are one term. Rows are sorted so that the two rights are neighbours.
    """
    k, s = terms.log_moneyness, terms.total_vol
    new = np.ones(k.size, np.bool_)
    new[1:] = (k[1:] != k[:-1]) | (s[1:] != s[:-1])
    return np.flatnonzero(new)


def fold(terms: Terms) -> Terms:
    """Add up the amounts of each strike, and leave out strikes where nothing is left."""
    starts = fold_starts(terms)
    amount = np.add.reduceat(terms.amount, starts) if starts.size else terms.amount
    kept = np.flatnonzero(amount != 0.0)
    starts = starts[kept]
    return Terms(terms.log_moneyness[starts], terms.total_vol[starts], amount[kept])


def grid() -> tuple[float, float]:
    """Return first u and step of the published levels: from -15 %, equal ratios, u = 0 among them.

    The last level lies at +15 % or just above.
    """
    low, high = np.log1p(-PROFILE_HALF_WIDTH), np.log1p(PROFILE_HALF_WIDTH)
    below = int(np.floor(low / (low - high) * (PROFILE_LEVELS - 1)))
    return float(low), float(-low / below)


def points(start: float, step: float, levels: int) -> Floats:
    """Return ``start + j step`` for j = 0..levels - 1."""
    return np.asarray(start + step * np.arange(levels, dtype=np.float64))


class StickyStrike:
    """Every strike keeps its total vol."""

    def __init__(self, terms: Terms) -> None:
        s = terms.total_vol
        self.slope = 1.0 / s
        self.offset = 0.5 * s - terms.log_moneyness * self.slope
        self.weight = terms.amount * self.slope * _INV_SQRT_2PI
        self._total = s
        self._peak = terms.log_moneyness

    @property
    def peaks(self) -> Floats:
        """Return u of the strikes narrower than the grid."""
        _, step = grid()
        return np.unique(self._peak[self._total < _WIDTH_PER_STEP * step])

    def on_grid(self, start: float, step: float, levels: int) -> Floats:
        """Values by recurrence; contracts too sharp for it directly."""
        from dealer_assets.domain.kernels import profile as kernels

        out = np.empty(levels)
        sharp = self.slope * step > kernels.MAX_SLOPE_STEP
        if not sharp.any():
            kernels.density_on_grid(start, step, self.offset, self.slope, self.weight, out)
            return out
        smooth = ~sharp
        a, b, w = self.offset, self.slope, self.weight
        kernels.density_on_grid(start, step, a[smooth], b[smooth], w[smooth], out)
        direct = np.empty(levels)
        u = points(start, step, levels)
        kernels.density_at(u, a[sharp], b[sharp], w[sharp], direct)
        return out + direct

    def values(self, u: Floats) -> Floats:
        """Values at any u."""
        from dealer_assets.domain.kernels import profile as kernels

        out = np.empty(u.size)
        kernels.density_at(np.ascontiguousarray(u), self.offset, self.slope, self.weight, out)
        return out

    def with_slopes(self, u: Floats) -> tuple[Floats, Floats]:
        """Values and exact derivatives."""
        from dealer_assets.domain.kernels import profile as kernels

        out, change = np.empty(u.size), np.empty(u.size)
        u = np.ascontiguousarray(u)
        kernels.density_slope_at(u, self.offset, self.slope, self.weight, out, change)
        return out, change


class StickyMoneyness:
    """Every contract follows its slice's smile to its new moneyness and keeps its distance to it.

    Contracts whose slice has no fit, or a fit that is not positive throughout the profile, keep
    their vol and are counted in `unfitted`. A vol held at a tenth of the contract's own counts in
    `floored`.
    """

    def __init__(self, terms: Terms, smile: Smile) -> None:
        tables = _Tables.of(smile, terms.log_moneyness)
        self._table = tables.arguments(smile.slice_id)
        fitted = (smile.slice_id >= 0) & tables.is_fitted[smile.slice_id]
        self.unfitted = int(np.count_nonzero(~fitted))
        self._set(terms)

    def _set(self, terms: Terms) -> None:
        from dealer_assets.domain.kernels import profile as kernels

        _, self._step = grid()
        self._k, self._s = terms.log_moneyness, terms.total_vol
        fitted = np.empty(self._k.size)
        kernels.smile_at(self._step, self._k, *self._table, fitted)
        # Without a fit the smile is the constant 1: s(u) = 1 + (s - 1)
        self._residual = self._s - fitted
        amount = terms.amount * _INV_SQRT_2PI
        self._arguments = (self._k, amount, self._residual, _LEAST_SHARE * self._s, *self._table)

    def with_terms(self, terms: Terms) -> StickyMoneyness:
        """Return the same smiles around other terms of the same contracts."""
        other = copy(self)
        other._set(terms)
        return other

    @property
    def floored(self) -> int:
        """Contracts whose vol is held at its floor somewhere in the profile."""
        from dealer_assets.domain.kernels import profile as kernels

        start, step = grid()
        least = np.empty(self._k.size)
        top, base, cells, c0 = self._table[:4]
        kernels.least_smile_over(start, step, PROFILE_LEVELS, self._k, top, base, cells, c0, least)
        return int(np.count_nonzero(least + self._residual < _LEAST_SHARE * self._s))

    @property
    def peaks(self) -> Floats:
        """Return u of the strikes narrower than the grid."""
        _, step = grid()
        return np.unique(self._k[self._s < _WIDTH_PER_STEP * step])

    def on_grid(self, start: float, step: float, levels: int) -> Floats:
        """Values at equal steps; fast at the tables' own."""
        from dealer_assets.domain.kernels import profile as kernels

        if step != self._step or levels > PROFILE_LEVELS:
            return self.values(points(start, step, levels))
        out = np.empty(levels)
        kernels.moving_density_on_grid(start, step, *self._arguments, out)
        return out

    def values(self, u: Floats) -> Floats:
        """Values at any u."""
        return self.with_slopes(u)[0]

    def with_slopes(self, u: Floats) -> tuple[Floats, Floats]:
        """Values and exact derivatives."""
        from dealer_assets.domain.kernels import profile as kernels

        out, change = np.empty(u.size), np.empty(u.size)
        u = np.ascontiguousarray(u)
        kernels.moving_density_at(u, self._step, *self._arguments, out, change)
        return out, change


def zeros_between(repricing: Repricing, u: Floats, values: Floats) -> Floats:
    """Find every zero: sign changes on the grid and between narrow peaks, ascending.

    Parameters
    ----------
    repricing : Repricing
        The function.
    u, values : float64 array, shape (k,)
        A grid, ascending, and the function on it.

    Returns
    -------
    float64 array
        u of every zero, to the last digit. A stretch of zeros has no isolated zero to report.
    """
    peaks = repricing.peaks
    peaks = peaks[(peaks > u[0]) & (peaks < u[-1])]
    if peaks.size:
        extra = np.concatenate([peaks, 0.5 * (peaks[:-1] + peaks[1:])])
        u = np.concatenate([u, extra])
        order = np.argsort(u, kind="stable")
        u, values = u[order], np.concatenate([values, repricing.values(extra)])[order]
    sign = np.sign(values)
    change = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    touching = (sign[1:-1] == 0) & (sign[:-2] * sign[2:] < 0)
    found = polish(repricing, u[change], u[change + 1])
    return np.sort(np.concatenate([found, u[1:-1][touching]]))


def polish(repricing: Repricing, low: Floats, high: Floats) -> Floats:
    """Refine brackets together by Newton steps, each kept inside its bracket by bisection.

    Parameters
    ----------
    repricing : Repricing
        The function.
    low, high : float64 array, shape (c,)
        Brackets; their ends were seen with opposite signs.

    Returns
    -------
    float64 array, shape (c,)
        One zero per bracket. Where exact values at the ends agree in sign, one of them is zero
        within rounding; that end is returned.
    """
    c = low.size
    if c == 0:
        return np.empty(0)
    ends = repricing.values(np.concatenate([low, high]))
    first, last = ends[:c], ends[c:]
    lost = np.sign(first) * np.sign(last) >= 0
    with np.errstate(invalid="ignore"):
        x = low - first * (high - low) / (last - first)
    x = np.where((x > low) & (x < high), x, 0.5 * (low + high))
    x = np.where(lost, np.where(np.abs(first) <= np.abs(last), low, high), x)
    low, high, sign_low = low.copy(), high.copy(), np.sign(first)
    active = np.flatnonzero(~lost)
    for _ in range(_ROUNDS):
        if active.size == 0:
            break
        at = x[active]
        value, slope = repricing.with_slopes(at)
        left = np.sign(value) == sign_low[active]
        low[active] = np.where(left, at, low[active])
        high[active] = np.where(left, high[active], at)
        with np.errstate(divide="ignore", invalid="ignore"):
            target = at - value / slope
        inside = (target > low[active]) & (target < high[active])
        x[active] = np.where(inside, target, 0.5 * (low[active] + high[active]))
        x[active] = np.where(value == 0.0, at, x[active])
        newton = inside & (np.abs(target - at) <= _CLOSE)
        done = newton | (value == 0.0) | (high[active] - low[active] <= _NARROW)
        active = active[~done]
    return x

"""Resampling: how far flip, net gamma and walls move within the errors of what was quoted.

Belongs here: the error model of forwards, vols and open interest, and the resamples. Does not
belong here: conventions (`variants`), what the spread means (`band`). Sources of the numbers:
`docs/methods/bands.md`.

Errors are drawn around our own inference: a forward moves by its standard error and every vol of
its slice with it, because the prices stay; a vol moves by a share of its quote's half-spread,
partly with its whole slice; open interest moves by a share of itself, partly with its whole slice
and right; a position that is estimated moves by its own error, partly with all of its right
(`position_error`). The seed is fixed: same input, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import PROFILE_LEVELS
from dealer_assets.domain.exposure.market import Market, of_strike
from dealer_assets.domain.exposure.position_error import PositionError
from dealer_assets.domain.exposure.repricing import (
    Smile,
    StickyMoneyness,
    StickyStrike,
    Terms,
    fold_starts,
    grid,
    points,
    polish,
)
from dealer_assets.domain.exposure.variants import strike_gamma

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 20_230_616
RESAMPLES = 200
RESAMPLES_BESIDE = 100
"""Of a model beside the headline: half of the time, and the ends of its far wider band stay within
a quarter of a standard deviation."""

VOL_ERROR_IN_HALF_SPREADS = 0.41
"""Standard error of a mid's vol in half-spreads: the residual of mids to a smooth fit."""

VOL_ERROR_SHARED = 0.5
"""Share of that variance which all strikes of a slice have in common."""

UNQUOTED_VOL_ERROR = 0.10
"""Relative standard error of a vol that no quote of its strike tells."""

FORWARD_ERROR_PER_YEAR = 0.005
"""Standard error of a carry that no pair of the slice tells [1/year]."""

ONE_DAY_OI_ERRORS = ((0, 0.39, 0.36), (7, 0.18, 0.11), (45, 0.10, 0.053), (None, 0.056, 0.021))
"""Upper bound of calendar days to expiry, then what one session changes: the OI-weighted root mean
square log change of a contract, and of the sum over a slice and right. Measured on eleven
consecutive sessions of SPX, August 2026."""

_INV_SQRT_2PI = 0.3989422804014327
_MAD = 1.4826
_LEAST_RESIDUAL = 0.1
_NEAR_MONEY = 0.02

_MOST = 0.5
"""A resampled total vol stays within this share of its own."""

_LOCAL_ROUNDS = 6
_LOCAL_REACH = 0.03
_LOCAL_CLOSE = 1e-9
"""Sticky moneyness: the zero is followed from where it was, this far in u and to this."""


@dataclass(frozen=True)
class Errors:
    """Standard errors behind a bootstrap.

    Parameters
    ----------
    forward : float64 array, shape (m,)
        Of each slice's forward [USD].
    total_vol : float64 array, shape (n,)
        Of each contract's total vol.
    oi, oi_shared : float64 array, shape (n,)
        Relative, of each contract's open interest: its own part, and the part it has in common
        with its slice and right.
    position : PositionError, optional
        Relative, of each contract's position; none without it.
    """

    forward: Floats
    total_vol: Floats
    oi: Floats
    oi_shared: Floats
    position: PositionError | None = None


@dataclass(frozen=True)
class Resamples:
    """Levels of every resample, arrays of shape (r,); NaN where a resample has none.

    Parameters
    ----------
    flip : float64 array
        Zero nearest to spot, sticky strike [USD].
    flip_sticky_moneyness : float64 array
        The zero that the book's own becomes, sticky moneyness [USD].
    net_gamma_usd_per_pct : float64 array
        At spot.
    call_wall, put_wall : float64 array
        Strikes [USD].
    """

    flip: Floats
    flip_sticky_moneyness: Floats
    net_gamma_usd_per_pct: Floats
    call_wall: Floats
    put_wall: Floats


def quote_errors(market: Market, forward_error: Floats | None = None) -> Errors:
    """Take the errors of forwards and vols from the quotes, open interest as published.

    Parameters
    ----------
    market : Market
        The snapshot.
    forward_error : float64 array, shape (m,), optional
        Standard error of each slice's forward [USD]; NaN where not known. Without it, it is taken
        from the residual of parity: 1.48 x median residual x half-spread / sqrt(pairs).

    Returns
    -------
    Errors
    """
    forward = market.slice_forward[market.slice_id]
    s = market.total_vol
    with np.errstate(all="ignore"):
        k = np.log(market.strike / forward)
        d = 0.5 * s - k / s
        vega = (
            market.slice_discount[market.slice_id] * forward * _INV_SQRT_2PI * np.exp(-0.5 * d * d)
        )  # of total vol
        half = 0.5 * (market.ask - market.bid)
        quoted = np.where(
            market.is_out_of_money(forward) & market.is_two_sided, half / vega, np.nan
        )
    quoted = of_strike(market, quoted)
    rough = UNQUOTED_VOL_ERROR * s
    known = market.is_determined & np.isfinite(quoted)
    error = np.where(known, VOL_ERROR_IN_HALF_SPREADS * quoted, rough)
    own = _parity_errors(market)
    given = own if forward_error is None else forward_error
    zero = np.zeros(s.size)
    return Errors(
        forward=np.where(np.isfinite(given), given, own),
        total_vol=np.minimum(np.nan_to_num(error), _MOST * np.nan_to_num(s)),
        oi=zero,
        oi_shared=zero,
    )


def one_day_old(market: Market) -> Errors:
    """Return the errors of open interest that is one session old, and of nothing else."""
    days = (market.slice_day - market.session_day).astype(np.int64)
    bounds = [bound for bound, _, _ in ONE_DAY_OI_ERRORS if bound is not None]
    row = np.searchsorted(bounds, days, side="left")
    table = np.array([[own, shared] for _, own, shared in ONE_DAY_OI_ERRORS])[row]
    per_slice = np.sqrt(np.maximum(table[:, 0] ** 2 - table[:, 1] ** 2, 0.0))
    return Errors(
        forward=np.zeros(market.slice_years.size),
        total_vol=np.zeros(market.strike.size),
        oi=per_slice[market.slice_id],
        oi_shared=table[market.slice_id, 1],
    )


def _parity_errors(market: Market) -> Floats:
    """Take each slice's standard error from its parity residual, shape (m,) [USD]."""
    forward = market.slice_forward
    error = FORWARD_ERROR_PER_YEAR * market.slice_years * forward
    half = np.where(market.is_two_sided, 0.5 * (market.ask - market.bid), np.nan)
    near = np.abs(market.strike / forward[market.slice_id] - 1.0) < _NEAR_MONEY
    usable = np.flatnonzero(near & np.isfinite(half))
    bounds = np.searchsorted(market.slice_id[usable], np.arange(forward.size + 1))
    for i in range(forward.size):
        part = half[usable[bounds[i] : bounds[i + 1]]]
        pairs, residual = market.slice_pairs[i], market.slice_residual[i]
        if market.slice_is_parity[i] and part.size and pairs > 0 and np.isfinite(residual):
            # A pair's half-width is that of two quotes; the floor is what rounding to ticks leaves
            width = 2.0 * float(np.median(part))
            error[i] = _MAD * max(float(residual), _LEAST_RESIDUAL) * width / np.sqrt(pairs)
    return np.nan_to_num(error)


@dataclass(frozen=True)
class _Draw:
    """Errors brought into the order of one book's strikes and contracts."""

    forward: Floats
    vol_shared: Floats
    vol_own: Floats
    has_vol: bool
    has_oi: bool
    oi: NDArray[np.float32]
    oi_shared: NDArray[np.float32]
    oi_block: Ints
    oi_mean: NDArray[np.float32]
    position: PositionError | None

    @classmethod
    def of(
        cls,
        errors: Errors,
        market: Market,
        index: NDArray[np.intp],
        starts: NDArray[np.intp],
    ) -> _Draw:
        error = errors.total_vol[index[starts]]
        own, shared = errors.oi[index], errors.oi_shared[index]
        return cls(
            forward=errors.forward,
            vol_shared=error * np.sqrt(VOL_ERROR_SHARED),
            vol_own=error * np.sqrt(1.0 - VOL_ERROR_SHARED),
            has_vol=bool(error.any() or errors.forward.any()),
            has_oi=bool(own.any() or shared.any()),
            oi=own.astype(np.float32),
            oi_shared=shared.astype(np.float32),
            oi_block=2 * market.slice_id[index] + market.is_call[index],
            oi_mean=(-0.5 * (own * own + shared * shared)).astype(np.float32),
            position=errors.position.at(index) if errors.position else None,
        )

    def oi_factor(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Log-normal with mean 1: open interest is not negative. Seven digits are enough."""
        blocks = rng.standard_normal(2 * self.forward.size, dtype=np.float32)
        own = rng.standard_normal(self.oi.size, dtype=np.float32)
        draw = self.oi * own + self.oi_shared * blocks[self.oi_block] + self.oi_mean
        return np.asarray(np.exp(draw))


class Resampler:
    """One snapshot's book, ready to be drawn again within its errors.

    Parameters
    ----------
    market : Market
        The snapshot.
    terms : Terms
        Terms of the contracts that count, our convention, in the market's order.
    index : int array, shape (k,)
        Their places in the market's arrays.
    smile : Smile or None
        Fitted smile of each of the market's contracts, for sticky moneyness.
    """

    def __init__(
        self, market: Market, terms: Terms, index: NDArray[np.intp], smile: Smile | None
    ) -> None:
        self._market, self._index = market, index
        self._starts = fold_starts(terms)
        head = index[self._starts]
        self._k = terms.log_moneyness[self._starts]
        self._s = terms.total_vol[self._starts]
        self._amount = terms.amount
        self._slice = market.slice_id[head]
        self._forward = market.slice_forward[self._slice]
        self._strikes, self._where = np.unique(market.strike[head], return_inverse=True)
        self._mills = price_keeping_slope(self._k, self._s)
        self._smile = None
        self._home = float("nan")
        if smile is not None:
            folded = self._folded(self._k, self._s, self._amount)
            self._smile = StickyMoneyness(folded, smile.take(head))
            self._home = nearest_on_grid(self._smile)

    @property
    def home(self) -> float:
        """Return u of the book's own zero under sticky moneyness; NaN without a smile or a zero."""
        return self._home

    def _folded(self, k: Floats, s: Floats, amount: Floats) -> Terms:
        return Terms(k, s, np.add.reduceat(amount, self._starts))

    def draw(
        self, errors: Errors, *, count: int, seed: int = SEED, with_moneyness: bool = True
    ) -> Resamples:
        """Draw resamples; the same arguments give the same bytes.

        Parameters
        ----------
        errors : Errors
            Standard errors, in the market's order.
        count : int
            Resamples.
        seed : int
            Seed; every resample has its own stream.
        with_moneyness : bool
            Follow the zero under sticky moneyness as well; otherwise it is NaN.

        Returns
        -------
        Resamples
        """
        out = np.full((5, count), np.nan)
        drawer = _Draw.of(errors, self._market, self._index, self._starts)
        for i in range(count):
            rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, i))))
            out[:, i] = self._levels(self._one(drawer, rng), with_moneyness=with_moneyness)
        spot = self._market.spot
        return Resamples(spot * np.exp(out[0]), spot * np.exp(out[1]), out[2], out[3], out[4])

    def _one(self, errors: _Draw, rng: np.random.Generator) -> Terms:
        amount = self._amount
        if errors.has_oi:
            amount = amount * errors.oi_factor(rng)
        if errors.position is not None:
            amount = amount * (1.0 + errors.position.draw(rng))  # possibly of the other sign
        if not errors.has_vol:
            return self._folded(self._k, self._s, amount)
        slices = errors.forward.size
        shift = (errors.forward * rng.standard_normal(slices))[self._slice] / self._forward
        shared = rng.standard_normal(slices)[self._slice]
        own = rng.standard_normal(self._s.size, dtype=np.float32)
        change = errors.vol_shared * shared + errors.vol_own * own + self._mills * shift
        limit = _MOST * self._s
        change = np.minimum(np.maximum(change, -limit), limit)
        return self._folded(self._k - shift, self._s + change, amount)

    def _levels(
        self, terms: Terms, *, with_moneyness: bool
    ) -> tuple[float, float, float, float, float]:
        flip = nearest_on_grid(StickyStrike(terms))
        moving = float("nan")
        if with_moneyness and self._smile is not None and np.isfinite(self._home):
            moving = _follow(self._smile.with_terms(terms), self._home)
        gamma = strike_gamma(terms)
        net = np.bincount(self._where, weights=gamma, minlength=self._strikes.size)
        high, low = int(net.argmax()), int(net.argmin())
        call = self._strikes[high] if net[high] > 0.0 else np.nan
        put = self._strikes[low] if net[low] < 0.0 else np.nan
        return flip, moving, float(gamma.sum()), float(call), float(put)


def price_keeping_slope(k: Floats, s: Floats) -> Floats:
    """Return d s / d ln F at a fixed out-of-the-money price, shape (n,).

    A call's ``-N(d1) / phi(d1)``, a put's ``N(-d1) / phi(d1)``: the Mills ratio, by erfcx.
    """
    from scipy.special import erfcx

    d = 0.5 * s - k / s
    ratio = np.sqrt(0.5 * np.pi) * erfcx(np.where(k >= 0.0, -d, d) / np.sqrt(2.0))
    return np.asarray(np.where(k >= 0.0, -ratio, ratio))


def nearest_on_grid(repricing: StickyStrike | StickyMoneyness) -> float:
    """Return u of the zero nearest to spot among the levels' sign changes; NaN for none."""
    start, step = grid()
    values = repricing.on_grid(start, step, PROFILE_LEVELS)
    change = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    if change.size == 0:
        return float("nan")
    middle = np.abs(np.expm1(start + step * (change + 0.5)))
    near = change[np.argsort(middle, kind="stable")[:2]]
    u = points(start, step, PROFILE_LEVELS)
    zeros = polish(repricing, u[near], u[near + 1])
    return float(zeros[np.argmin(np.abs(np.expm1(zeros)))])


def _follow(repricing: StickyMoneyness, home: float) -> float:
    """Follow one zero from `home` by Newton steps; NaN when it is not found nearby."""
    u = home
    for _ in range(_LOCAL_ROUNDS):
        value, slope = repricing.with_slopes(np.array([u]))
        if slope[0] == 0.0:
            return float("nan")
        step = float(value[0] / slope[0])
        u -= step
        if abs(u - home) > _LOCAL_REACH:
            return float("nan")
        if abs(step) < _LOCAL_CLOSE:
            return u
    return float("nan")

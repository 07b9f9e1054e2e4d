"""American options with constant carry: price, implied vol, Greeks, and European equivalents.

Belongs here: the public functions over arrays of contracts, reasons, units, and taking the
early-exercise premium out of call-put parity. Does not belong here: arithmetic
(`kernels/american*.py`), which contracts are American (`underlyings`), fitting forwards
(`domain/forward.py`).

Notation as in `black`: ``F = S exp(b T)``, ``D = exp(-r T)``; the dividend yield is ``q = r - b``.
Cash dividends enter through an expiry's forward: as a yield spread over life with the printed spot,
or as paid at once with `escrowed_spot` in its place, which is far better for shares and funds. What
either costs, and all measured errors, are in `docs/methods/american.md`. Source: Andersen, Lake and
Offengenden (2016), named in `kernels/american_boundary.py`.

Contracts of one expiry share a boundary, so the functions are fast for whole chains (2.5 us a
price) and slow for scattered contracts (50 us each).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import DAYS_PER_YEAR, VOL_POINT
from dealer_assets.domain.pricing.black import Greeks, black_greeks
from dealer_assets.domain.pricing.implied_vol import IvReason, implied_vol
from dealer_assets.domain.pricing.kernel_inputs import flatten

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Flags = NDArray[np.uint8]
Codes = NDArray[np.int8]
Ints = NDArray[np.int64]

RHO_BUMP = 1e-4
"""Rise of the rate for rho, relative to the larger of rate and yield; so is rho's error."""

_PENDING = -1
_SCATTERED = 8
"""More than one group in so many contracts: expiries are not next to each other, so sort."""

_EDGE = 1e-9
"""A vol this near to the edge of a piece of boundary gets both pieces: rounding decides which."""

_RATE_POINT = 0.01
_NAMES = (
    "price", "delta", "gamma", "vega", "theta", "rho",
    "vanna", "charm", "volga", "speed", "zomma", "color",
)  # fmt: skip
_DAY = 1.0 / DAYS_PER_YEAR
_UNITS = (
    1.0, 1.0, 1.0, VOL_POINT, _DAY, _RATE_POINT,
    VOL_POINT, _DAY, VOL_POINT * VOL_POINT, 1.0, VOL_POINT, _DAY,
)  # fmt: skip


class ExerciseRegime(IntEnum):
    """When exercise before expiry can pay."""

    NEVER = 0
    """Never: the American price is the European one."""

    SINGLE = 1
    """Beyond one boundary."""

    DOUBLE = 2
    """Between two boundaries (puts with q < r < 0, calls with r < q < 0): not priced, NaN."""

    UNKNOWN = 3
    """Forward, spot, time or discount is no usable number, or early exercise can pay and rate or
    yield times life is above 3, which the quadrature does not resolve: NaN."""


@dataclass(frozen=True)
class EuropeanParity:
    """Call-put pairs of American quotes as if they were European; arrays of shape (n,).

    Parameters
    ----------
    difference : float64 array
        Call minus put without their premiums [USD]; as quoted where `corrected` is False.
    call_premium, put_premium : float64 array
        What was taken off [USD]; 0 where `corrected` is False.
    corrected : bool array
        False where the out-of-the-money quote has no American vol.
    """

    difference: Floats
    call_premium: Floats
    put_premium: Floats
    corrected: Bools


@dataclass
class _Boundaries:
    """Exercise boundaries of a chain, solved for the total vols asked for so far."""

    group: Ints
    facts: Floats
    terms: Floats
    wanted: Codes
    rows: Ints
    powers: Floats
    roots: Floats

    def solve(self) -> None:
        """Solve what is wanted and missing."""
        from dealer_assets.domain.kernels import american_boundary as kernels

        single = self.facts[:, 2] == kernels.SINGLE
        missing = int(((self.wanted == 1) & (self.rows < 0) & single[:, None]).sum())
        first = self.powers.shape[0]
        more = np.empty((missing, kernels.VOLS, kernels.OUTER + 1))
        self.powers = np.concatenate([self.powers, more])
        kernels.solve(self.facts, self.wanted, self.rows, self.powers, first)

    def want(self, total_vol: Floats, spot_to_strike: Floats) -> None:
        """Ask for the boundaries that matter at total vols; both shape (n,), NaN asks for nothing.

        `spot_to_strike` is that of the unit put: spot over strike, for calls strike over spot.
        """
        from dealer_assets.domain.kernels import american, american_boundary as kernels

        a, c, _, log_largest = self.facts[self.group].T
        with np.errstate(all="ignore"):
            place = (np.log(total_vol) - kernels.LOWEST_LOG_VOL) / kernels.PIECE_WIDTH
            away = np.log(spot_to_strike) - log_largest - np.maximum(c - a, 0.0)
            near = away < total_vol * (american.FAR + 0.5 * total_vol) + _EDGE
        inside = near & (place > -_EDGE) & (place < kernels.PIECES + _EDGE)
        for shift in (-_EDGE, _EDGE):
            piece = np.clip(place[inside] + shift, 0, kernels.PIECES - 1).astype(np.int64)
            self.wanted[self.group[inside], piece] = 1


def _boundaries(F: Floats, S: Floats, T: Floats, D: Floats, is_call: Flags) -> _Boundaries:
    """Group contracts by expiry and right, nothing solved yet."""
    from dealer_assets.domain.kernels import american_boundary as kernels

    n = F.size
    group = np.empty(n, np.int64)
    facts, terms = np.empty((n, kernels.FACTS)), np.empty((n, 2, kernels.OUTER))
    count = kernels.expiries(F, S, T, D, is_call, group, facts, terms)
    if count > 2 + n // _SCATTERED:
        order = np.lexsort((is_call, D, F, S, T))
        place = np.empty(n, np.int64)
        count = kernels.expiries(
            F[order], S[order], T[order], D[order], is_call[order], place, facts, terms
        )
        group[order] = place
    return _Boundaries(
        group=group,
        facts=facts[:count].copy(),
        terms=terms[:count].copy(),
        wanted=np.zeros((count, kernels.PIECES), np.int8),
        rows=np.full((count, kernels.PIECES), -1, np.int64),
        powers=np.empty((0, kernels.VOLS, kernels.OUTER + 1)),
        roots=kernels.SIN_OUTER,
    )


def _total_vol(sigma: Floats, T: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(sigma * np.sqrt(np.maximum(T, 0.0)))


def _unit_spot(S: Floats, K: Floats, calls: Flags) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(np.where(calls == 1, K / S, S / K))


def escrowed_spot(F: Floats, *, D: Floats) -> Floats:
    """Spot less the present value of all that is paid on it until expiry: ``F D``.

    Given as `S` to the functions of this module, it makes the rest carry like cash: puts are
    exercised as after the dividend, calls never. The printed spot would spread a dividend over
    life, as a yield, and so keep puts from being exercised that would be.

    Parameters
    ----------
    F, D : float64 array, shape (n,)
        Forward [USD] and discount factor.

    Returns
    -------
    float64 array, shape (n,)
        USD; NaN where an input is NaN. Deltas and gammas by it are those by the printed spot.
    """
    return np.asarray(F * D)


def exercise_regime(F: Floats, *, S: Floats, T: Floats, D: Floats, is_call: Bools) -> Codes:
    """Tell when early exercise can pay, and so why a price is NaN.

    Parameters
    ----------
    F, S : float64 array, shape (n,)
        Forward and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    int8 array, shape (n,)
        Values of `ExerciseRegime`; UNKNOWN where an input is NaN or infinite, or F, S or D is not
        positive, or as there.
    """
    shape, (F, S, T, D), calls = flatten(F, S, T, D, is_call=is_call)
    found = _boundaries(F, S, T, D, calls)
    return np.asarray(found.facts[found.group, 2].astype(np.int8)).reshape(shape)


def american_price(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Floats:
    """Price American options.

    Parameters
    ----------
    F, K, S : float64 array, shape (n,)
        Forward, strike and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    sigma : float64 array, shape (n,)
        Annualised vol, decimal.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    float64 array, shape (n,)
        USD; error below 1e-7 of the strike at usual rates. Exercise value where ``T <= 0``, the
        best certain exercise where ``sigma == 0``. NaN where an input is NaN, the vol is negative
        or ``sigma sqrt(T)`` is 128 or more, and in `ExerciseRegime` DOUBLE and UNKNOWN.
    """
    price, _ = _priced(F, K, S=S, T=T, sigma=sigma, D=D, is_call=is_call)
    return price


def early_exercise_premium(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Floats:
    """American price less European price, for the same inputs as `american_price`.

    Parameters
    ----------
    F, K, S : float64 array, shape (n,)
        Forward, strike and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    sigma : float64 array, shape (n,)
        Annualised vol, decimal.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    float64 array, shape (n,)
        USD, not negative; computed by itself, so that small premiums keep their digits, down to
        1e-13 of the strike, which count as 0. 0 where ``T <= 0``, NaN as in `american_price`.
    """
    _, premium = _priced(F, K, S=S, T=T, sigma=sigma, D=D, is_call=is_call)
    return premium


def _priced(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> tuple[Floats, Floats]:
    from dealer_assets.domain.kernels import american as kernels

    shape, (F, K, S, T, sigma, D), calls = flatten(F, K, S, T, sigma, D, is_call=is_call)
    found = _boundaries(F, S, T, D, calls)
    found.want(_total_vol(sigma, T), _unit_spot(S, K, calls))
    found.solve()
    price, premium = np.empty(F.size), np.empty(F.size)
    kernels.chain_prices(
        F, K, S, T, sigma, D, calls,
        found.group, found.facts, found.terms, found.rows, found.powers, found.roots,
        price, premium,
    )  # fmt: skip
    return price.reshape(shape), premium.reshape(shape)


def american_implied_vol(
    price: Floats, F: Floats, *, K: Floats, S: Floats, T: Floats, D: Floats, is_call: Bools
) -> tuple[Floats, Codes]:
    """Invert `american_price`.

    Parameters
    ----------
    price : float64 array, shape (n,)
        American option price [USD].
    F, K, S : float64 array, shape (n,)
        Forward, strike and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    vol : float64 array, shape (n,)
        Annualised vol, decimal; NaN unless the reason is OK. It reprices to rounding; against the
        true vol its error is the price's error over vega, which matters where nearly all of the
        price is exercise value.
    reason : int8 array, shape (n,)
        Values of `IvReason`: OK, BELOW_INTRINSIC (at or under the value of exercise, now or at the
        best certain moment), ABOVE_BOUND, ZERO_TIME, BAD_INPUT (also in `ExerciseRegime` DOUBLE and
        UNKNOWN).
    """
    from dealer_assets.domain.kernels import american as kernels

    shape, (price, F, K, S, T, D), calls = flatten(price, F, K, S, T, D, is_call=is_call)
    found = _boundaries(F, S, T, D, calls)
    # A European vol is too high by what early exercise is worth: a start, exact where that is 0
    start, _ = implied_vol(price, F, K=K, T=T, D=D, is_call=calls == 1)
    vol = np.array(start)
    found.want(_total_vol(vol, T), _unit_spot(S, K, calls))
    reason = np.full(F.size, _PENDING, np.int8)
    pending = F.size
    while pending:
        found.solve()
        pending = kernels.chain_vols(
            price, F, K, S, T, calls,
            found.group, found.facts, found.terms, found.rows, found.powers, found.roots,
            found.wanted, vol, reason,
        )  # fmt: skip
    return vol.reshape(shape), reason.reshape(shape)


def american_greeks(
    F: Floats, K: Floats, *, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Bools
) -> Greeks:
    """Price and Greeks of American options, in the units of `Greeks`.

    Parameters
    ----------
    F, K, S : float64 array, shape (n,)
        Forward, strike and spot [USD].
    T : float64 array, shape (n,)
        Years to expiry.
    sigma : float64 array, shape (n,)
        Annualised vol, decimal.
    D : float64 array, shape (n,)
        Discount factor to expiry.
    is_call : bool array, shape (n,)
        True for calls.

    Returns
    -------
    Greeks
        European closed form plus those of the premium. Where exercise now is best the price is the
        exercise value, delta 1 or -1, all others 0. NaN as in `black_greeks` and `american_price`.

    Notes
    -----
    By spot the premium's integral is differentiated, by time the pricing equation is used, by vol
    and rate there are differences (relative steps 2e-3 and 1e-4). Near the boundary, where gamma
    jumps, the third and fourth derivatives by spot lose their digits: see
    `docs/methods/american.md`.
    """
    from dealer_assets.domain.kernels import american_boundary, american_greeks

    shape, (F, K, S, T, sigma, D), calls = flatten(F, K, S, T, sigma, D, is_call=is_call)
    found = _boundaries(F, S, T, D, calls)
    found.want(_total_vol(sigma, T), _unit_spot(S, K, calls))
    found.solve()
    group_calls = np.zeros(found.facts.shape[0], np.uint8)
    group_calls[found.group] = calls
    facts, terms = found.facts.copy(), found.terms.copy()
    american_boundary.bump_rates(facts, terms, group_calls, RHO_BUMP)
    powers = np.empty_like(found.powers)
    rows = np.full_like(found.rows, -1)
    american_boundary.solve(facts, found.wanted, rows, powers, 0)
    exercised, premium = np.empty(F.size, np.int8), np.empty((len(_NAMES), F.size))
    american_greeks.premium_greeks(
        F, K, S, T, sigma, D, calls,
        found.group, found.rows, found.facts, found.terms, found.powers,
        facts, terms, powers, found.roots, exercised, premium,
    )  # fmt: skip
    european = black_greeks(F, K, S=S, T=T, sigma=sigma, D=D, is_call=calls == 1)
    sign = np.where(calls == 1, 1.0, -1.0)
    intrinsic = sign * (S - K)
    now = exercised == 1
    whole = {}
    for field in fields(Greeks):
        index = _NAMES.index(field.name)
        held = getattr(european, field.name) + premium[index] * _UNITS[index]
        whole[field.name] = np.where(now, 0.0, held)
    whole["price"] = np.where(
        now, intrinsic, np.maximum(whole["price"], np.maximum(european.price, intrinsic))
    )
    whole["delta"] = np.where(now, sign, whole["delta"])
    return Greeks(**{name: values.reshape(shape) for name, values in whole.items()})


def european_parity(
    strike: Floats,
    call: Floats,
    *,
    put: Floats,
    spot: Floats,
    forward: Floats,
    discount: Floats,
    years: Floats,
) -> EuropeanParity:
    """Take the early-exercise premiums out of call-put pairs, given a forward.

    Parity holds for European prices only. The caller fits forwards to the quoted differences, calls
    this with them, fits again to the result, and so on until the forwards stand still. On the
    escrowed spot of the newest forwards a round leaves under 0.04 of the error up to half a year,
    0.14 at two years, so that two or three rounds bring 1e-6; on the printed spot it leaves 0.17.

    Parameters
    ----------
    strike, call, put : float64 array, shape (n,)
        Strike and both mids of each pair [USD].
    spot, forward, discount, years : float64 array, shape (n,)
        Spot (better escrowed) and forward [USD], discount factor and years of each pair's expiry.

    Returns
    -------
    EuropeanParity
        Both premiums are at the American vol of the out-of-the-money quote: the in-the-money one
        has little vol in it. Pairs without such a vol keep their quoted difference and are flagged.
    """
    strike, call, put = np.asarray(strike), np.asarray(call), np.asarray(put)
    out_of_money = strike >= forward
    vol, reason = american_implied_vol(
        np.where(out_of_money, call, put),
        forward,
        K=strike,
        S=spot,
        T=years,
        D=discount,
        is_call=out_of_money,
    )
    both = np.repeat(np.array([True, False]), strike.size)
    forward, spot, years, discount, strike = np.broadcast_arrays(
        forward, spot, years, discount, strike
    )
    premium = early_exercise_premium(
        np.tile(forward, 2),
        np.tile(strike, 2),
        S=np.tile(spot, 2),
        T=np.tile(years, 2),
        sigma=np.tile(vol, 2),
        D=np.tile(discount, 2),
        is_call=both,
    )
    corrected = (reason == IvReason.OK) & np.isfinite(premium.reshape(2, -1)).all(axis=0)
    of_call, of_put = np.where(corrected, premium.reshape(2, -1), 0.0)
    return EuropeanParity(
        difference=call - put - (of_call - of_put),
        call_premium=of_call,
        put_premium=of_put,
        corrected=corrected,
    )

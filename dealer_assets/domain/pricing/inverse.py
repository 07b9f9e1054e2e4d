"""Coin-settled options: value and Greeks in coin, and settlement on an average of the index.

Belongs here: what distinguishes Deribit's inverse options from ordinary ones. Does not belong here:
the Black formula (`black`), which contracts are concerned (`underlyings`), vendors' fields.
Source: `docs/methods/inverse.md`.

Two independent steps. `coin_greeks` turns any USD value into coin. `twap_adjust` and `twap_greeks`
account for a settlement price that is the time-weighted average of the last half hour: less
variance before that window, and inside it a known part beside an unknown one.

Notation as in `black`; `w` is the averaging window [years], `tau` what is left of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import DAYS_PER_YEAR, SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import Greeks, black_greeks

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Words = NDArray[np.str_]

TWAP_WINDOW_YEARS = 1800.0 / SECONDS_PER_YEAR
"""Deribit settles on the average of its index over the half hour before 08:00 UTC."""

_RATE_POINT = 0.01
_SPOT_POWERS = {
    "price": 0, "delta": 1, "gamma": 2, "speed": 3, "vega": 0, "vanna": 1, "zomma": 2, "volga": 0,
}  # fmt: skip
"""How many derivatives by the underlying each Greek has that is not by time."""


@dataclass(frozen=True)
class CoinGreeks:
    """Value ``v = V / S`` of n contracts in coin, per unit of underlying; arrays of shape (n,).

    Parameters
    ----------
    price : float64 array
        Coin.
    premium_adjusted_delta : float64 array
        ``S dv/dS = delta - V/S``: coins to hold against the position when profit counts in coin.
    premium_adjusted_gamma : float64 array
        Change of the premium-adjusted delta for +1 USD of spot.
    gamma : float64 array
        ``d2v/dS2`` [coin/USD**2].
    vega : float64 array
        Coin for +1 vol point.
    theta : float64 array
        Coin for one calendar day passing.
    premium_adjusted_vanna, premium_adjusted_charm : float64 array
        Change of the premium-adjusted delta for +1 vol point, for one calendar day passing.
    volga : float64 array
        Vega for +1 vol point.
    """

    price: Floats
    premium_adjusted_delta: Floats
    premium_adjusted_gamma: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    premium_adjusted_vanna: Floats
    premium_adjusted_charm: Floats
    volga: Floats


@dataclass(frozen=True)
class TwapTerms:
    """The equivalent ordinary option of n contracts settled on an average; arrays of shape (n,).

    Parameters
    ----------
    strike : float64 array
        Strike of the equivalent option [USD]; not positive where exercise is `certain`.
    years : float64 array
        Years that carry variance.
    scale : float64 array
        Share of the settlement price still to come, 1 before the window.
    status : array of str
        ``before`` the window; ``inside`` it with a known average; ``average_assumed`` inside with
        the caller's assumption; ``no_average``: inside and nothing known, all terms NaN;
        ``expired``; ``bad_input``.
    certain : bool array
        The average so far has decided: a call will be exercised, a put will not.
    """

    strike: Floats
    years: Floats
    scale: Floats
    status: Words
    certain: Bools


def coin_greeks(greeks: Greeks, S: Floats) -> CoinGreeks:
    """Turn USD value and Greeks into coin.

    Parameters
    ----------
    greeks : Greeks
        Per unit of underlying, in USD, derivatives by the price `S`.
    S : float64 array, shape (n,)
        Price of the coin [USD]. Deribit quotes coin prices in the future of the option's own
        expiry; to agree with it, pass the forward here and as `S` to `black_greeks`.

    Returns
    -------
    CoinGreeks
        NaN where a Greek is, or where `S` is not positive.

    Notes
    -----
    Product rule on ``V(S, sigma, t) / S``.
    """
    coin = 1.0 / np.where(S > 0.0, S, np.nan)
    price = greeks.price * coin
    delta = greeks.delta - price
    return CoinGreeks(
        price=price,
        premium_adjusted_delta=delta,
        premium_adjusted_gamma=greeks.gamma - delta * coin,
        gamma=(greeks.gamma - 2.0 * delta * coin) * coin,
        vega=greeks.vega * coin,
        theta=greeks.theta * coin,
        premium_adjusted_vanna=greeks.vanna - greeks.vega * coin,
        premium_adjusted_charm=greeks.charm - greeks.theta * coin,
        volga=greeks.volga * coin,
    )


def twap_years(T: Floats, window: float = TWAP_WINDOW_YEARS) -> Floats:
    """Years that carry variance when the settlement price is an average.

    Parameters
    ----------
    T : float64 array, any shape
        Years to the end of the window.
    window : float, optional
        Length of the averaging window [years], positive.

    Returns
    -------
    float64 array
        ``T - 2 w / 3`` before the window, ``T / 3`` inside, 0 at and after the end; NaN for NaN.

    Notes
    -----
    Of a Brownian path the average over `w` has a third of the variance of its end. The lognormal
    average's exact log second moment is ``x / 3 + x**2 / 36 + ...`` with ``x = sigma**2 w``: at
    100 % vol the relative difference is 5e-6 of the window's part. Source: Turnbull and Wakeman
    (1991), second moment of the arithmetic average without drift.
    """
    left = np.maximum(T, 0.0)
    return np.asarray(np.where(left >= window, left - window * (2.0 / 3.0), left / 3.0))


def average_so_far(
    expected: Floats, S: Floats, T: Floats, window: float = TWAP_WINDOW_YEARS
) -> Floats:
    """Average of the index so far that an expected settlement price contains.

    Parameters
    ----------
    expected : float64 array, shape (n,)
        Expected settlement price [USD]: inside the window Deribit's price of the expiring series.
    S : float64 array, shape (n,)
        Index now [USD].
    T : float64 array, shape (n,)
        Years to the end of the window.
    window : float, optional
        Length of the averaging window [years].

    Returns
    -------
    float64 array, shape (n,)
        ``(expected - (1 - e) S) / e`` with e the elapsed share; NaN outside the window and where a
        price is not positive. Pass it to `twap_adjust` as `average`, with the index as future: the
        expected settlement price then comes back exactly.
    """
    inside = (T > 0.0) & (window > T) & (expected > 0.0) & (S > 0.0)
    elapsed = np.where(inside, 1.0 - T / window, np.nan)
    return np.asarray((expected - (1.0 - elapsed) * S) / elapsed)


def twap_adjust(
    K: Floats,
    T: Floats,
    *,
    average: Floats | float,
    assumed_average: float = float("nan"),
    window: float = TWAP_WINDOW_YEARS,
) -> TwapTerms:
    """Find the ordinary option that an option on the average is equivalent to.

    Parameters
    ----------
    K : float64 array, shape (n,)
        Strike [USD].
    T : float64 array, shape (n,)
        Years to the end of the window.
    average : float64 array, shape (n,), or float
        Average of the index so far in the window [USD]; not read before the window, NaN when not
        known.
    assumed_average : float, optional
        What to take inside the window where `average` is not known, e.g. the index now. Such rows
        are named ``average_assumed``. Without it they are ``no_average`` and NaN.
    window : float, optional
        Length of the averaging window [years].

    Returns
    -------
    TwapTerms
        With elapsed share e and average A: ``K' = (K - e A) / (1 - e)``, scale ``1 - e``,
        variance over a third of what is left.
    """
    shape = np.broadcast(K, T).shape
    known = np.broadcast_to(np.asarray(average, np.float64), shape)
    assumed = ~(known > 0.0)
    known = np.where(assumed, assumed_average, known)
    inside = (T > 0.0) & (window > T)
    scale = np.where(inside, T / window, 1.0)
    bad = ~((K > 0.0) & np.isfinite(K) & np.isfinite(T))
    unknown = inside & ~((known > 0.0) & np.isfinite(known))

    status = np.where(inside, np.where(assumed, "average_assumed", "inside"), "before")
    status = np.where(unknown, "no_average", status)
    status = np.where(T <= 0.0, "expired", status)
    status = np.where(bad, "bad_input", status)
    usable = np.isin(status, ("before", "inside", "average_assumed"))
    strike = np.where(inside, (K - (1.0 - scale) * known) / scale, K)
    return TwapTerms(
        strike=np.where(usable, strike, np.nan),
        years=np.where(usable, twap_years(T, window), np.nan),
        scale=np.where(usable, scale, np.nan),
        status=status,
        certain=usable & (strike <= 0.0),
    )


def twap_greeks(
    F: Floats,
    terms: TwapTerms,
    *,
    S: Floats,
    T: Floats,
    sigma: Floats,
    is_call: Bools,
    window: float = TWAP_WINDOW_YEARS,
) -> Greeks:
    """Price and Greeks in USD of an undiscounted option on the average, in the units of `Greeks`.

    Parameters
    ----------
    F : float64 array, shape (n,)
        Future of the expiry [USD]: what the part of the average still to come is worth. Inside the
        window not the expected settlement price, which contains the part that is past.
    terms : TwapTerms
        Of `twap_adjust`.
    S : float64 array, shape (n,)
        Spot [USD] by which the Greeks differentiate; carry ``ln(F/S)/T`` stays as it is.
    T, sigma : float64 array, shape (n,)
        Years to the end of the window and vol.
    is_call : bool array, shape (n,)
        True for calls.
    window : float, optional
        Length of the averaging window [years], as given to `twap_adjust`.

    Returns
    -------
    Greeks
        NaN as in `black_greeks`, and where the terms are. Where exercise is certain, value and
        delta of the linear claim, whatever the vol.

    Notes
    -----
    Time Greeks are for time passing at constant spot while the average goes on accumulating it:
    inside the window the settlement price is fixed bit by bit, so delta decays by ``N(d2)/w`` per
    year beside the ordinary charm. This follows from the pricing equation of the average,
    ``V_t + F V_I + sigma**2 F**2 V_FF / 2 = 0`` with I the integral of the index, differentiated.
    (That the integral grows by the future, not the spot, is 0.3 USD in 60,000 at 10 % carry.)
    """
    ordinary = black_greeks(
        F,
        terms.strike,
        S=F,
        T=terms.years,
        sigma=sigma,
        D=np.ones_like(F),
        is_call=is_call,
    )
    sign = np.where(is_call, 1.0, -1.0)
    inside = terms.scale < 1.0
    by_future = {
        field.name: terms.scale * getattr(ordinary, field.name) for field in fields(Greeks)
    }
    per_day = np.where(inside, 1.0 / (window * DAYS_PER_YEAR), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        in_the_money = ordinary.rho / (terms.years * terms.strike * _RATE_POINT)  # sign N(sign d2)
        by_future["rho"] = by_future["rho"] * T / terms.years
        by_future["charm"] = by_future["charm"] - in_the_money * per_day
        if "color" in by_future:
            fixed = 2.0 * ordinary.gamma * F / terms.strike * per_day
            by_future["color"] = by_future["color"] - fixed
    _decide(by_future, terms, F=F, T=T, sign=sign, window=window)
    return _by_spot(by_future, F=F, S=S, T=T)


def _decide(
    by_future: dict[str, Floats],
    terms: TwapTerms,
    *,
    F: Floats,
    T: Floats,
    sign: Floats,
    window: float,
) -> None:
    """Replace the rows whose exercise is certain by the linear claim, or by nothing."""
    call = np.where(sign > 0.0, 1.0, 0.0)
    claim = {
        "price": call * terms.scale * (F - terms.strike),
        "delta": call * terms.scale,
        "charm": -call / (window * DAYS_PER_YEAR),
        "rho": call * terms.scale * terms.strike * T * _RATE_POINT,
    }
    good = terms.certain & (F > 0.0)
    for name, values in by_future.items():
        decided = np.where(good, claim.get(name, np.zeros_like(F)), np.nan)
        by_future[name] = np.where(terms.certain, decided, values)


def _by_spot(by_future: dict[str, Floats], *, F: Floats, S: Floats, T: Floats) -> Greeks:
    """Turn derivatives by the future into derivatives by the spot, at constant carry."""
    valid = (S > 0.0) & (T > 0.0) & (F > 0.0)
    growth = np.where(valid, F, np.nan) / np.where(valid, S, 1.0)
    carry_day = np.log(growth) / np.where(valid, T, 1.0) / DAYS_PER_YEAR
    moved = F * carry_day  # by which the future falls in a day at constant spot
    out = {
        name: by_future[name] * growth**power
        for name, power in _SPOT_POWERS.items()
        if name in by_future
    }
    out["rho"] = by_future["rho"] + 0.0 * growth
    out["theta"] = by_future["theta"] - moved * by_future["delta"]
    fallen = by_future["gamma"] * moved + by_future["delta"] * carry_day
    out["charm"] = growth * (by_future["charm"] - fallen)
    if "color" in by_future:
        fallen = by_future["speed"] * moved + 2.0 * by_future["gamma"] * carry_day
        out["color"] = growth**2 * (by_future["color"] - fallen)
    return Greeks(**out)

"""The declared conventions: the same chain's levels under each, ours and the published ones.

Belongs here: the list, and one convention's flip, net gamma and walls. Does not belong here: errors
of the data (`bootstrap`), what the spread means (`band`). Sources: `docs/methods/bands.md`.

A clock enters gamma only through vols that are not ours: a price tells total vol ``sigma sqrt(T)``,
and nothing else of T enters. So clocks are varied with the vendor's vols and with flat rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain import us_sessions
from dealer_assets.domain.conventions import DAYS_PER_YEAR, FLIP_FAR_SHARE, PER_PCT, PROFILE_LEVELS
from dealer_assets.domain.exposure.market import Market, derive_total_vols, total_vols_at_ask
from dealer_assets.domain.exposure.repricing import (
    Smile,
    StickyStrike,
    Terms,
    fold,
    grid,
    points,
    zeros_between,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_INV_SQRT_2PI = 0.3989422804014327

FLAT_RATE = 0.05
"""Flat rate and dividend yield that published tools hard-code or take as a default."""

FLAT_DIVIDEND = 0.013

MIN_OPEN_INTEREST = 100.0
"""The filter by open interest keeps contracts with at least this."""

_SESSION_DAYS = 6.5 / 24.0

AM_TO_CLOSE_YEARS = _SESSION_DAYS / DAYS_PER_YEAR
"""From the opening print to the close: what treating AM settlement as PM adds."""

NIGHT_WEIGHT = 0.35
"""Share of a business day's variance that falls into its night. Measured: SPY, opens and closes of
2010 to 2026, nights between consecutive days, returns cut at 5 %."""

CLOSED_DAY_WEIGHT = 0.08
"""Variance that a day without a session adds to the night, in business days. Measured alike, on
weekends; QQQ 2021 to 2026 gives 0.31 and 0.04."""

_BUSINESS_YEAR = 252.0
_VARIANCE_YEAR = _BUSINESS_YEAR + CLOSED_DAY_WEIGHT * (DAYS_PER_YEAR - _BUSINESS_YEAR)
_HOLIDAYS = np.array(sorted(us_sessions.CLOSURES), dtype="datetime64[D]")


@dataclass(frozen=True)
class Convention:
    """One way to derive the levels of a chain.

    Parameters
    ----------
    name : str
        Name in the table of variants.
    axis : str
        What it varies against ours: ``base``, ``forward``, ``clock``, ``vol``, ``unquoted``,
        ``filter``, ``settlement`` or ``published`` (several at once, as a published tool has them).
    forward : str
        ``parity`` (as priced), ``zero`` (r = q = 0), ``flat`` (r, q = 0) or ``flat_dividend``.
    clock : str
        ``instant`` (ACT/365), ``calendar_days`` (whole days / 365), ``business_days`` (NYSE days /
        252), ``weekdays_262`` (weekdays / 262), ``weekdays_252`` or ``business_time`` (nights
        and closed days at their weight).
    vol : str
        ``own`` (out-of-the-money mids inverted), ``surface`` (fitted), ``vendor`` (printed, ours
        where there is none), ``vendor_only`` (printed, else the contract is dropped), ``ask`` or
        ``half_ask`` (ours, but strikes without a bid from their ask, or half of it).
    keep : str
        ``all``, ``two_sided``, ``open_interest``, ``volume`` or ``determined``.
    is_am_at_close : bool
        AM-settled series live until the close of their expiry date.
    """

    name: str
    axis: str
    forward: str = "parity"
    clock: str = "instant"
    vol: str = "own"
    keep: str = "all"
    is_am_at_close: bool = False


BASE = Convention("base", "base")

CONVENTIONS: tuple[Convention, ...] = (
    BASE,
    Convention("forward_zero", "forward", forward="zero"),
    Convention("forward_flat", "forward", forward="flat"),
    Convention("forward_flat_dividend", "forward", forward="flat_dividend"),
    Convention("clock_calendar_days", "clock", clock="calendar_days"),
    Convention("clock_business_days", "clock", clock="business_days"),
    Convention("clock_business_time", "clock", clock="business_time"),
    Convention("vol_surface", "vol", vol="surface"),
    Convention("vol_vendor", "vol", vol="vendor"),
    Convention("vol_vendor_calendar_days", "vol", vol="vendor", clock="calendar_days"),
    Convention("vol_vendor_business_days", "vol", vol="vendor", clock="business_days"),
    Convention("vol_vendor_business_time", "vol", vol="vendor", clock="business_time"),
    Convention("unquoted_at_ask", "unquoted", vol="ask"),
    Convention("unquoted_at_half_ask", "unquoted", vol="half_ask"),
    Convention("filter_determined", "filter", keep="determined"),
    Convention("filter_two_sided", "filter", keep="two_sided"),
    Convention("filter_open_interest", "filter", keep="open_interest"),
    Convention("filter_volume", "filter", keep="volume"),
    Convention("settlement_close", "settlement", is_am_at_close=True),
    Convention("settlement_close_vendor", "settlement", vol="vendor", is_am_at_close=True),
    Convention(
        "published_zero_rate_262",
        "published",
        forward="zero",
        clock="weekdays_262",
        vol="vendor_only",
    ),
    Convention(
        "published_flat_rate_252",
        "published",
        forward="flat",
        clock="weekdays_252",
        vol="vendor_only",
    ),
    Convention(
        "published_flat_dividend_252",
        "published",
        forward="flat_dividend",
        clock="weekdays_252",
        vol="vendor_only",
    ),
    Convention(
        "published_flat_dividend_365",
        "published",
        forward="flat_dividend",
        vol="vendor_only",
        is_am_at_close=True,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """A chain's levels under one convention.

    Parameters
    ----------
    convention : Convention
        Which.
    contracts : int
        Contracts in the sums.
    flip : float
        Crossing nearest to spot [USD]; NaN where there is none in range.
    status : str
        ``ok``, ``far`` or ``none_in_range``.
    net_gamma_usd_per_pct, gross_gamma_usd_per_pct : float
        At spot.
    call_wall, put_wall : float
        Strikes of the largest and the most negative net gamma [USD]; NaN where none has the sign.
    """

    convention: Convention
    contracts: int
    flip: float
    status: str
    net_gamma_usd_per_pct: float
    gross_gamma_usd_per_pct: float
    call_wall: float
    put_wall: float


def clock_years(market: Market, convention: Convention) -> Floats:
    """Year fraction of each slice under a convention's clock, shape (m,), positive."""
    days = (market.slice_day - market.session_day).astype(np.float64)
    own = market.slice_years
    if convention.is_am_at_close:
        own = own + np.where(market.slice_is_am, AM_TO_CLOSE_YEARS, 0.0)
    clock = convention.clock
    if clock == "instant":
        return own
    if clock == "calendar_days":
        return np.maximum(days, 1.0) / DAYS_PER_YEAR
    if clock in ("weekdays_262", "weekdays_252"):
        weekdays = np.busday_count(market.session_day, market.slice_day).astype(np.float64)
        return np.asarray(np.maximum(weekdays, 1.0) / float(clock.removeprefix("weekdays_")))
    if market.calendar == "24/7":
        return own if clock == "business_time" else np.maximum(days, 1.0) / DAYS_PER_YEAR
    business = np.busday_count(market.session_day, market.slice_day, holidays=_HOLIDAYS)
    business = business.astype(np.float64)
    if clock == "business_days":
        return np.asarray(np.maximum(business, 1.0) / _BUSINESS_YEAR)
    # What a PM series has beyond its whole days is what is left of today's session, as a day
    left = own * DAYS_PER_YEAR - days + np.where(market.slice_is_am, _SESSION_DAYS, 0.0)
    sessions = np.clip(left / _SESSION_DAYS, 0.0, 1.0)
    sessions = sessions + np.maximum(business - market.slice_is_am, 0.0)
    weighted = (1.0 - NIGHT_WEIGHT) * sessions + NIGHT_WEIGHT * business
    weighted += CLOSED_DAY_WEIGHT * np.maximum(days - business, 0.0)
    return np.asarray(np.maximum(weighted, 1e-6) / _VARIANCE_YEAR)


def slice_terms(market: Market, convention: Convention, years: Floats) -> tuple[Floats, Floats]:
    """Forward and discount of each slice under a convention, each of shape (m,)."""
    if convention.forward == "parity":
        return market.slice_forward, market.slice_discount
    rate = 0.0 if convention.forward == "zero" else FLAT_RATE
    dividend = FLAT_DIVIDEND if convention.forward == "flat_dividend" else 0.0
    return market.spot * np.exp((rate - dividend) * years), np.exp(-rate * years)


def _total_vols(
    market: Market, convention: Convention, forward: Floats, discount: Floats, years: Floats
) -> Floats:
    if convention.vol in ("vendor", "vendor_only"):
        printed = market.vendor_vol * np.sqrt(years[market.slice_id])
        missing = market.total_vol if convention.vol == "vendor" else np.nan
        return np.where(np.isfinite(printed), printed, missing)
    if convention.vol in ("ask", "half_ask"):
        return total_vols_at_ask(market, 1.0 if convention.vol == "ask" else 0.5)
    if convention.forward == "parity":
        return market.total_vol
    return derive_total_vols(market, forward, discount)


def _kept(market: Market, keep: str) -> Bools:
    if keep == "two_sided":
        return market.is_two_sided
    if keep == "open_interest":
        return np.asarray(market.open_interest >= MIN_OPEN_INTEREST)
    if keep == "volume":
        return np.asarray(market.volume > 0.0)
    if keep == "determined":
        return market.is_determined
    return np.ones(market.strike.size, np.bool_)


def terms_under(
    market: Market, convention: Convention, smile: Smile | None
) -> tuple[Terms, NDArray[np.intp]]:
    """Return a convention's terms, and which contracts they are of.

    Parameters
    ----------
    market : Market
        The snapshot.
    convention : Convention
        Which way.
    smile : Smile or None
        Fitted smile of each contract, for ``surface``; contracts without a fit keep their own vol.

    Returns
    -------
    terms : Terms
        Arrays of shape (k,), one entry per contract that counts.
    index : int array, shape (k,)
        Their places in the market's arrays.
    """
    years = clock_years(market, convention)
    forward, discount = slice_terms(market, convention, years)
    total = _total_vols(market, convention, forward, discount, years)
    of_contract = forward[market.slice_id]
    with np.errstate(invalid="ignore"):
        k = np.log(market.strike / of_contract)
        if convention.vol == "surface" and smile is not None:
            fitted = np.sqrt(np.maximum(smile.variance(k), 0.0))
            total = np.where(fitted > 0.0, fitted, total)
        counted = (
            (total > 0.0) & np.isfinite(total) & np.isfinite(of_contract) & (market.position != 0.0)
        )
    index = np.flatnonzero(counted & _kept(market, convention.keep))
    growth = (discount * forward)[market.slice_id[index]]
    amount = market.position[index] * market.multiplier[index] * growth * PER_PCT
    return Terms(k[index], total[index], amount), index


def strike_gamma(terms: Terms) -> Floats:
    """Gamma exposure of each term at spot, shape (k,) [USD per 1 %]."""
    s = terms.total_vol
    d = 0.5 * s - terms.log_moneyness / s
    return np.asarray(terms.amount / s * _INV_SQRT_2PI * np.exp(-0.5 * d * d))


def walls(strike: Floats, gamma: Floats) -> tuple[float, float]:
    """Strikes of the largest and the most negative net gamma; NaN where none has the sign."""
    strikes, where = np.unique(strike, return_inverse=True)
    net = np.bincount(where, weights=gamma, minlength=strikes.size)
    if net.size == 0:
        return float("nan"), float("nan")
    high, low = int(net.argmax()), int(net.argmin())
    call = float(strikes[high]) if net[high] > 0.0 else float("nan")
    put = float(strikes[low]) if net[low] < 0.0 else float("nan")
    return call, put


def nearest_zero(terms: Terms) -> float:
    """Return u of the zero nearest to spot; NaN where there is none in range."""
    folded = fold(terms)
    if folded.amount.size == 0:
        return float("nan")
    repricing = StickyStrike(folded)
    start, step = grid()
    u = points(start, step, PROFILE_LEVELS)
    zeros = zeros_between(repricing, u, repricing.on_grid(start, step, PROFILE_LEVELS))
    return float(zeros[np.argmin(np.abs(np.expm1(zeros)))]) if zeros.size else float("nan")


def outcome_under(market: Market, convention: Convention, smile: Smile | None) -> Outcome:
    """Derive flip, net gamma and walls under one convention; parameters as `terms_under`."""
    terms, index = terms_under(market, convention, smile)
    gamma = strike_gamma(terms)
    u = nearest_zero(terms)
    call, put = walls(market.strike[index], gamma)
    return Outcome(
        convention=convention,
        contracts=int(index.size),
        flip=market.spot * float(np.exp(u)),
        status=flip_status(u),
        net_gamma_usd_per_pct=float(gamma.sum()),
        gross_gamma_usd_per_pct=float(np.abs(gamma).sum()),
        call_wall=call,
        put_wall=put,
    )


def flip_status(u: float) -> str:
    """``none_in_range``, ``far`` or ``ok`` for the u of a flip, NaN for none."""
    if np.isnan(u):
        return "none_in_range"
    return "far" if abs(np.expm1(u)) > FLIP_FAR_SHARE else "ok"

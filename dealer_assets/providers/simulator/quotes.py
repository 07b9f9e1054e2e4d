"""Fair prices and what the market makers show of them.

Belongs here: prices on the simulated surface, spreads, ticks, sizes, missing and stale
quotes. Does not belong here: the path of spot (`market`) or who trades (`flow`). Every function is
of (contract, minute) alone, so that a stale quote is the very quote of half an hour earlier.

European prices are Black-76; American ones carry the early-exercise premium on the spot less what
is paid until expiry. Shares pay a dividend yield, not dividends. Delta, gamma and vega, which only
shape spreads and trades, are European throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.american import early_exercise_premium, escrowed_spot
from dealer_assets.domain.pricing.black import black_greeks, black_price
from dealer_assets.providers.simulator.listing import Bools, Floats, Ints, Listing
from dealer_assets.providers.simulator.market import DayPath
from dealer_assets.providers.simulator.noise import combine, normal, stream_key, uniform
from dealer_assets.providers.simulator.profiles import Profile, Tick
from dealer_assets.providers.simulator.surface import fair_vols, forwards

MISSING_SHARE, STALE_SHARE = 0.005, 0.01
STALE_MINUTES = 30

_ONE_MINUTE_YEARS = 60.0 / SECONDS_PER_YEAR
_INTRINSIC_HALF_SPREAD = 0.0008
"""Half-spread per dollar in the money: dealers charge for the hedge."""

_TICK_SHARE = 0.3
_OPENING_EXTRA, _OPENING_MINUTES = 0.8, 10.0
"""Spreads are wider by this share at the open, fading over these minutes."""

_DEEP_DELTA = 0.985
"""Beyond it in-the-money contracts are deep: vendors invert no vol from such a price."""


@dataclass(frozen=True)
class Session:
    """One session of one underlying, as everything here needs it.

    Parameters
    ----------
    seed : int
        Seed of the market.
    symbol : str
        Registry symbol.
    profile : Profile
        Its numbers.
    listing : Listing
        Its contracts.
    path : DayPath
        Its minutes.
    open_us : int
        Opening instant, microseconds since 1970.
    """

    seed: int
    symbol: str
    profile: Profile
    listing: Listing
    path: DayPath
    open_us: int

    def live_minute(self, minute: int) -> Ints:
        """Return the minute each contract's quote stands for, shape (n,): stops at its expiry."""
        ends = (self.listing.expires_us - self.open_us) // 60_000_000
        return np.minimum(minute, ends)[self.listing.slice_id]


@dataclass(frozen=True)
class Fair:
    """Noiseless values of some contracts, each a float64 array of shape (k,).

    Parameters
    ----------
    price : array
        Fair price [USD]; intrinsic value at expiry.
    forward : array
        Forward [USD].
    years : array
        Year fraction; 0 at expiry.
    vol : array
        Implied vol, decimal.
    delta, gamma, vega : array
        Spot Greeks in the units of `domain.pricing.black.Greeks`; 0 at expiry.
    """

    price: Floats
    forward: Floats
    years: Floats
    vol: Floats
    delta: Floats
    gamma: Floats
    vega: Floats


def fair_values(session: Session, index: Ints, *, minute: Ints) -> Fair:
    """Value contracts at a minute of the session.

    Parameters
    ----------
    session : Session
        Market and listing.
    index : int64 array, shape (k,)
        Contracts of the listing.
    minute : int64 array, shape (k,)
        Minutes since the open, not after the contract's expiry.

    Returns
    -------
    Fair
    """
    listing, profile = session.listing, session.profile
    strike, is_call = listing.strike[index], listing.is_call[index]
    at = np.minimum(minute, session.path.minutes)  # the underlying stands still after the close
    spot, log_vol = session.path.spot[at], session.path.log_vol[at]
    left_us = listing.expires_us[listing.slice_id[index]] - session.open_us - minute * 60_000_000
    years = np.maximum(left_us, 0) / 1e6 / SECONDS_PER_YEAR
    forward = forwards(spot, years, profile=profile)
    vol = fair_vols(
        np.log(strike / forward),
        np.maximum(years, _ONE_MINUTE_YEARS),
        log_vol=log_vol,
        smile=profile.smile,
    )
    discount = np.exp(-profile.rate * years)
    greeks = black_greeks(forward, strike, S=spot, T=years, sigma=vol, D=discount, is_call=is_call)
    intrinsic = black_price(forward, strike, T=years, sigma=0.0 * vol, D=discount, is_call=is_call)
    live = years > 0.0
    if listing.series[0].root.exercise == "american":
        premium = early_exercise_premium(
            forward,
            strike,
            S=escrowed_spot(forward, D=discount),
            T=years,
            sigma=vol,
            D=discount,
            is_call=is_call,
        )
        greeks = replace(greeks, price=greeks.price + np.nan_to_num(premium))
    # kernels subtract two large numbers: in the far wings that leaves 1e-12 of either sign
    price = np.maximum(np.where(live, greeks.price, intrinsic), 0.0)
    return Fair(
        price=price,
        forward=forward,
        years=years,
        vol=vol,
        delta=np.where(live, greeks.delta, 0.0),
        gamma=np.where(live, greeks.gamma, 0.0),
        vega=np.where(live, greeks.vega, 0.0),
    )


def bid_ask(
    session: Session, index: Ints, *, minute: Ints, fair: Fair, open_interest: Floats
) -> tuple[Floats, Floats]:
    """Return the two-sided quote that brackets each fair price.

    Parameters
    ----------
    session : Session
        Market and listing.
    index : int64 array, shape (k,)
        Contracts of the listing.
    minute : int64 array, shape (k,)
        Minutes since the open.
    fair : Fair
        Their values at that minute.
    open_interest : float64 array, shape (k,)
        Liquidity: spreads are tighter where more is held.

    Returns
    -------
    bid, ask : float64 array, shape (k,)
        On the tick grid [USD]; ``bid <= fair <= ask``, ``bid < ask``, bid 0 when there is none.
    """
    profile, ids = session.profile, session.listing.contract_id[index]
    unit = fair.forward if profile.tick.of_forward else np.ones(index.size)
    own = np.exp(0.25 * normal(stream_key(session.seed, "spread", session.symbol), ids))
    liquidity = 1.7 / (1.0 + 0.25 * np.log10(1.0 + open_interest))
    opening = 1.0 + _OPENING_EXTRA * np.exp(-minute / _OPENING_MINUTES)
    is_call, strike = session.listing.is_call[index], session.listing.strike[index]
    intrinsic = np.maximum(np.where(is_call, 1.0, -1.0) * (fair.forward - strike), 0.0)
    half = profile.spread_vol_points * fair.vega * (1.0 + fair.years)
    half = (half + _INTRINSIC_HALF_SPREAD * intrinsic) * own * liquidity * opening
    half += _TICK_SHARE * profile.tick.small * unit
    address = combine(ids, minute + session.open_us // 60_000_000)
    lean = 0.8 * uniform(stream_key(session.seed, "lean", session.symbol), address) - 0.4
    low = _on_tick(fair.price - half * (1.0 - lean), unit, tick=profile.tick, upwards=False)
    high = _on_tick(fair.price + half * (1.0 + lean), unit, tick=profile.tick, upwards=True)
    return low, high


def _on_tick(price: Floats, unit: Floats, *, tick: Tick, upwards: bool) -> Floats:
    """Round to the tick grid, away from the fair price; never below 0."""
    units = np.maximum(price, 0.0) / unit
    step = np.where(units < tick.threshold, tick.small, tick.large)
    # the small slack keeps a price that already lies on the grid where it is
    count = np.ceil(units / step - 1e-9) if upwards else np.floor(units / step + 1e-9)
    return np.round(count * step * unit, 4)


def displayed_quotes(
    session: Session, *, minute: int, fair: Fair, open_interest: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return bid, ask and their sizes as a vendor would show them at a minute.

    Parameters
    ----------
    session : Session
        Market and listing.
    minute : int
        Minutes since the open.
    fair : Fair
        Values of all contracts at `Session.live_minute`.
    open_interest : float64 array, shape (n,)
        Of all contracts.

    Returns
    -------
    bid, ask, bid_size, ask_size : float64 array, shape (n,)
        USD and contracts. NaN in all four where there is no quote (0.5 % of rows); the quote of
        30 minutes earlier in 1 % of rows. Size 0 beside bid 0.
    """
    everything = np.arange(session.listing.strike.size)
    at = session.live_minute(minute)
    bid, ask = bid_ask(session, everything, minute=at, fair=fair, open_interest=open_interest)
    ids = session.listing.contract_id
    address = combine(ids, at + session.open_us // 60_000_000)
    fate = uniform(stream_key(session.seed, "fate", session.symbol), address)
    stale = np.flatnonzero(
        (fate >= MISSING_SHARE) & (fate < MISSING_SHARE + STALE_SHARE) & (at >= STALE_MINUTES)
    )
    if stale.size:
        then = at[stale] - STALE_MINUTES
        bid[stale], ask[stale] = bid_ask(
            session,
            stale,
            minute=then,
            fair=fair_values(session, stale, minute=then),
            open_interest=open_interest[stale],
        )
    bid_size, ask_size = quote_sizes(session, everything, minute=at, open_interest=open_interest)
    bid_size = np.where(bid > 0.0, bid_size, 0.0)
    quotes = np.stack([bid, ask, bid_size, ask_size])
    quotes[:, fate < MISSING_SHARE] = np.nan
    return quotes[0], quotes[1], quotes[2], quotes[3]


def quote_sizes(
    session: Session, index: Ints, *, minute: Ints, open_interest: Floats
) -> tuple[Floats, Floats]:
    """Return the sizes at bid and ask of contracts at a minute, whole and positive, shape (k,)."""
    address = combine(session.listing.contract_id[index], minute + session.open_us // 60_000_000)
    key = stream_key(session.seed, "size", session.symbol)
    depth = 12.0 * (1.0 + np.log10(1.0 + open_interest))
    bid_size = np.ceil(depth * np.exp(0.8 * normal(key, address)))
    return bid_size, np.ceil(depth * np.exp(0.8 * normal(key + 1, address)))


def vendor_greeks(fair: Fair, *, is_call: Bools, is_deribit: bool) -> tuple[Floats, Floats, Floats]:
    """Return vol, delta and gamma as vendors print them.

    Parameters
    ----------
    fair : Fair
        Values of n contracts.
    is_call : bool array, shape (n,)
        True for calls.
    is_deribit : bool
        Deribit marks every live contract and prints gamma with five decimals. Cboe prints four,
        and nothing for contracts deep in the money, about 10 % of a chain.

    Returns
    -------
    vol, delta, gamma : float64 array, shape (n,)
        NaN where nothing is printed; always at expiry.
    """
    hidden = fair.years <= 0.0
    if not is_deribit:
        sign = np.where(is_call, 1.0, -1.0)
        hidden |= sign * fair.delta > _DEEP_DELTA
    printed = ((fair.vol, 4), (fair.delta, 4), (fair.gamma, 5 if is_deribit else 4))
    vol, delta, gamma = (
        np.where(hidden, np.nan, np.round(values, decimals)) for values, decimals in printed
    )
    return vol, delta, gamma

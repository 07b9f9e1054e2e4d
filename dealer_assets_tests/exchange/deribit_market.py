"""The shared market as Deribit quotes it at any second: coin-margined and USDC options.

Belongs here: making a `deribit_chain.Chain`. Does not belong here: JSON (`deribit_bodies`), trades
(`deribit_trades`), or where prices come from (`world`, `paths`).

Between the minutes of the shared market every index tick re-marks all: forwards move with the
index, marks are Black-76 at the printed vol, quotes move with the marks on the tick grid. Expired
series pass through the states of `STATES` and then leave.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.pricing.black import black_price
from dealer_assets.providers.simulator.noise import combine, stream_key, uniform
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.deribit_chain import STATES, Chain
from dealer_assets_tests.exchange.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FUTURES_FOR_ALL_FROM = {"BTC": date(2026, 8, 1), "USDC": date(2026, 4, 1)}
"""From here every option expiry has a listed future; before, dailies and weeklies are ``SYN.``."""

USDC_RATIO = 0.9998
"""Index in USDC over the index in USD: close, and never equal."""

_USDC_STRIKE_STEP, _USDC_MOST_DAYS, _USDC_TICK = 4_000.0, 60, 5.0
_YEAR_US = 365.0 * 86_400e6
_EXPIRED_VOL = 2.5


class DeribitMarket:
    """The shared market in Deribit's terms; chains are kept for the newest seconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._chains = lru_cache(maxsize=16)(self._build)

    def now(self) -> datetime:
        """Return the second that counts as now."""
        return self.world.clock.now().replace(microsecond=0)

    def index(self, name: str, at: datetime | None = None) -> float:
        """Return the price of ``btc_usd`` or ``btc_usdc`` at an instant."""
        second = int((self.now() if at is None else at).timestamp())
        return float(self.indices(name, np.array([second], np.int64))[0])

    def indices(self, name: str, seconds: Ints) -> Floats:
        """Return the prices of an index at seconds of the epoch, shape (n,)."""
        prices = paths.prices(self.world, "BTC", seconds)
        return prices if name == "btc_usd" else np.round(prices * USDC_RATIO, 2)

    def chain(self, currency: str, at: datetime | None = None) -> Chain:
        """Return the options of ``BTC`` or ``USDC`` at a second (now), expired ones of the day too.

        Archived ones have left.
        """
        return self._chains(currency, (self.now() if at is None else at).replace(microsecond=0))

    def _build(self, currency: str, at: datetime) -> Chain:
        minute = self.world.quoted_at("BTC", at)
        # a recorded market stands at its own session, whatever the clock says
        at = at if at - minute < timedelta(minutes=1) and at >= minute else minute
        coin = _coin_chain(self.world, minute=minute, at=at)
        return coin if currency == "BTC" else _usdc_chain(coin)


def _column(table: pa.Table, name: str) -> Floats:
    column = table[name].cast(pa.float64()).combine_chunks()
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _coin_chain(world: World, *, minute: datetime, at: datetime) -> Chain:
    table = world.chain("BTC", minute)
    now_us = int(at.timestamp()) * 1_000_000
    expires = table["expires_at"].cast(pa.int64()).combine_chunks().to_numpy()
    table = table.filter(pa.array(now_us - expires < STATES[-1][0] * 1e6))
    expires = table["expires_at"].cast(pa.int64()).combine_chunks().to_numpy()
    spot = paths.standing_price(table)
    index = paths.price(world, "BTC", at)
    strike = _column(table, "strike")
    listed_forward = np.nan_to_num(_column(table, "venue_forward"), nan=spot)
    forward = np.round(listed_forward * (index / spot), 2)
    years = (expires - now_us) / _YEAR_US
    vol = np.round(_vols(table), 4)
    vol = np.where(years > 0.0, vol, _EXPIRED_VOL)
    is_call = np.array(table["right"].to_pylist()) == "call"
    mark = _marks(forward, strike, years=years, vol=vol, is_call=is_call)
    # the quote of the minute, moved by as much as the mark has moved since
    minute_us = int(minute.timestamp()) * 1_000_000
    then = _marks(
        listed_forward,
        strike,
        years=(expires - minute_us) / _YEAR_US,
        vol=vol,
        is_call=is_call,
    )
    bid = _moved(_column(table, "bid") / listed_forward, mark - then, upwards=False)
    ask = _moved(_column(table, "ask") / listed_forward, mark - then, upwards=True)
    ids = np.arange(strike.size, dtype=np.uint64)
    wobble = 0.6 + 0.8 * uniform(stream_key("deribit amounts"), combine(ids, now_us // 1_000_000))
    amounts = [
        np.where(side > 0.0, np.round(np.nan_to_num(_column(table, size)) * wobble, 1), 0.0)
        for side, size in ((bid, "bid_size_contracts"), (ask, "ask_size_contracts"))
    ]
    return Chain(
        currency="BTC",
        at=at,
        index=index,
        name=table["symbol"].to_pylist(),
        expires_us=expires,
        strike=strike,
        forward=forward,
        vol=vol,
        years=years,
        is_call=is_call,
        is_synthetic=_synthetic(table, at),
        mark=mark,
        bid=bid,
        ask=ask,
        bid_amount=amounts[0],
        ask_amount=amounts[1],
        open_interest=np.nan_to_num(_column(table, "open_interest_contracts")),
        volume=np.nan_to_num(_column(table, "volume_contracts")),
        last=np.round(_column(table, "last_price") / listed_forward, 4),
    )


def _vols(table: pa.Table) -> Floats:
    vol = _column(table, "vendor_implied_vol")
    usual = float(np.nanmedian(vol)) if np.isfinite(vol).any() else 0.5
    return np.where(np.isfinite(vol) & (vol > 0.0), vol, usual)


def _marks(
    forward: Floats, strike: Floats, *, years: Floats, vol: Floats, is_call: Bools
) -> Floats:
    """Black-76 in coin, eight decimals; intrinsic value from expiry on."""
    value = black_price(
        forward,
        strike,
        T=np.maximum(years, 0.0),
        sigma=vol,
        D=np.ones_like(forward),
        is_call=is_call,
    )
    return np.round(value / forward, 8)


def _moved(quote: Floats, move: Floats, *, upwards: bool) -> Floats:
    """Move coin quotes and put them on the tick grid; 0 stays 0, and becomes it where unknown."""
    wanted = np.maximum(np.nan_to_num(quote) + move, 0.0001 if upwards else 0.0)
    step = np.where(wanted < 0.005, 0.0001, 0.0005)
    # the quote of the minute is on the grid but for the rounding of dollars: the slack keeps it
    count = np.ceil(wanted / step - 0.02) if upwards else np.floor(wanted / step + 0.02)
    return np.where(np.nan_to_num(quote) > 0.0, np.round(count * step, 4), 0.0)


def _synthetic(table: pa.Table, at: datetime) -> Bools:
    """Expiries without a listed future: before the reform all but the last Fridays of months."""
    expiry = table["expiry_date"].to_pylist()
    if at.date() >= FUTURES_FOR_ALL_FROM["BTC"]:
        return np.zeros(len(expiry), np.bool_)
    monthly = {day: (day + timedelta(days=7)).month != day.month for day in set(expiry)}
    return np.array([not (monthly[day] and day.weekday() == 4) for day in expiry])


def _usdc_chain(coin: Chain) -> Chain:
    """Return the linear options: near expiries and round strikes of the coin's, prices in USDC."""
    midnight_us = int(coin.at.timestamp()) // 86_400 * 86_400_000_000
    near = coin.expires_us < midnight_us + _USDC_MOST_DAYS * 86_400_000_000
    keep = np.flatnonzero(near & (coin.strike % _USDC_STRIKE_STEP == 0.0))
    forward = np.round(coin.forward[keep] * USDC_RATIO, 2)
    scale = coin.forward[keep]
    bid = np.floor(coin.bid[keep] * scale / _USDC_TICK) * _USDC_TICK
    ask = np.ceil(coin.ask[keep] * scale / _USDC_TICK) * _USDC_TICK
    mark = _marks(
        forward,
        coin.strike[keep],
        years=coin.years[keep],
        vol=coin.vol[keep],
        is_call=coin.is_call[keep],
    )
    return Chain(
        currency="USDC",
        at=coin.at,
        index=round(coin.index * USDC_RATIO, 2),
        name=[coin.name[i].replace("BTC-", "BTC_USDC-", 1) for i in keep],
        expires_us=coin.expires_us[keep],
        strike=coin.strike[keep],
        forward=forward,
        vol=coin.vol[keep],
        years=coin.years[keep],
        is_call=coin.is_call[keep],
        is_synthetic=coin.is_synthetic[keep] & (coin.at.date() < FUTURES_FOR_ALL_FROM["USDC"]),
        mark=np.round(mark * forward, 4),
        bid=bid,
        ask=ask,
        bid_amount=np.where(bid > 0.0, coin.bid_amount[keep], 0.0),
        ask_amount=coin.ask_amount[keep],
        open_interest=np.round(coin.open_interest[keep] * 0.3, 2),
        volume=np.zeros(keep.size),
        last=np.full(keep.size, np.nan),
    )

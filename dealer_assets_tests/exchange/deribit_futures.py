"""Deribit's futures and perpetuals: amounts in USD where they are inverse, in coin where linear.

Belongs here: their numbers, rows and trades. Does not belong here: options.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from dealer_assets.providers.simulator.noise import counters, stream_key, uniform
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.deribit_bodies import (
    Body,
    change_id,
    instrument_id,
    levels,
    milliseconds,
    settlement_period,
)
from dealer_assets_tests.exchange.deribit_chain import state_of
from dealer_assets_tests.exchange.deribit_market import DeribitMarket

TRADE_SECONDS = 20
"""A perpetual trades once in so many seconds."""

_FOR_EVER = datetime(3000, 1, 1, 8, tzinfo=UTC)
_PERPETUAL_PREMIUM = 4.5


@dataclass(frozen=True)
class Future:
    """One future at one second.

    Parameters
    ----------
    name : str
        Instrument name.
    at : datetime.datetime
        The second.
    expiry : datetime.datetime or None
        None for a perpetual.
    price, index : float
        Mark and index.
    is_inverse : bool
        Settled in coin, amounts in USD.
    """

    name: str
    at: datetime
    expiry: datetime | None
    price: float
    index: float
    is_inverse: bool

    @property
    def tick(self) -> float:
        """Price step."""
        return 0.5 if self.expiry is None else 2.5

    @property
    def state(self) -> str:
        """State of the book."""
        if self.expiry is None:
            return "open"
        return state_of(int(self.expiry.timestamp() * 1e6), self.at)

    @property
    def open_interest(self) -> float:
        """In USD where inverse, in coin where linear."""
        share = 0.2 + stream_key("oi", self.name) % 1000 / 1000.0
        usd = (8e8 if self.expiry is None else 3e7) * share // 10 * 10
        return usd if self.is_inverse else round(usd / self.price, 3)

    @property
    def amounts(self) -> tuple[float, float]:
        """Best bid's and best ask's amount, in USD where inverse, in coin where linear."""
        key = stream_key("depth", self.name)
        draws = uniform(key, counters(int(self.at.timestamp()), 2))
        usd = np.floor(draws * 20_000.0) * 10.0 + 10.0
        if not self.is_inverse:
            usd = np.round(usd / self.price, 4)
        return float(usd[0]), float(usd[1])

    @property
    def quote(self) -> tuple[float, float]:
        """Best bid and ask."""
        bid = np.floor(self.price / self.tick) * self.tick
        return float(bid), float(bid + self.tick)


def futures(market: DeribitMarket, currency: str, at: datetime | None = None) -> list[Future]:
    """Return the futures of ``BTC`` (inverse) or ``USDC`` (linear), the perpetual first."""
    chain = market.chain(currency, at)
    name = "BTC-PERPETUAL" if chain.is_coin else "BTC_USDC-PERPETUAL"
    price = round(chain.index + _PERPETUAL_PREMIUM, 2)
    found = [Future(name, chain.at, None, price, chain.index, chain.is_coin)]
    _, rows = np.unique(chain.expires_us, return_index=True)
    for i in rows.tolist():
        if not chain.is_synthetic[i]:
            name = chain.name[i].rsplit("-", 2)[0]
            expiry = datetime.fromtimestamp(chain.expires_us[i] / 1e6, UTC)
            price = float(chain.forward[i])
            found.append(Future(name, chain.at, expiry, price, chain.index, chain.is_coin))
    return found


def instrument(future: Future) -> Body:
    """Return one row of `public/get_instruments`."""
    expiry = future.expiry or _FOR_EVER
    period = "perpetual" if future.expiry is None else settlement_period(expiry)
    listed = datetime(2018, 8, 14, tzinfo=UTC) if future.expiry is None else expiry
    currency = "BTC" if future.is_inverse else "USDC"
    return {
        "state": future.state,
        "price_index": "btc_usd" if future.is_inverse else "btc_usdc",
        "kind": "future",
        "instrument_name": future.name,
        "max_leverage": 50,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "instrument_type": "reversed" if future.is_inverse else "linear",
        "future_type": "reversed" if future.is_inverse else "linear",
        "expiration_timestamp": milliseconds(expiry),
        "creation_timestamp": milliseconds(
            listed if future.expiry is None else listed - timedelta(days=90)
        ),
        "instrument_id": instrument_id(future.name),
        "is_active": future.state == "open",
        "tick_size": future.tick,
        "contract_size": 10.0 if future.is_inverse else 0.0001,
        "min_trade_amount": 10.0 if future.is_inverse else 0.0001,
        "max_liquidation_commission": 0.0075,
        "block_trade_commission": 0.00025,
        "block_trade_min_trade_amount": 200000,
        "block_trade_tick_size": 0.01,
        "settlement_currency": currency,
        "settlement_period": period,
        "base_currency": "BTC",
        "counter_currency": "USD" if future.is_inverse else "USDC",
        "quote_currency": "USD" if future.is_inverse else "USDC",
        "tick_size_steps": [],
    }


def summary(future: Future) -> Body:
    """Return one row of `public/get_book_summary_by_currency`."""
    bid, ask = future.quote
    usd = future.open_interest * (1.0 if future.is_inverse else future.price) * 0.3 // 10 * 10
    body: Body = {
        "high": bid,
        "low": bid,
        "last": bid,
        "instrument_name": future.name,
        "bid_price": bid,
        "ask_price": ask,
        "open_interest": future.open_interest,
        "mark_price": round(future.price, 2),
        "creation_timestamp": milliseconds(future.at),
        "estimated_delivery_price": future.index,
        "price_change": 0.0,
        "volume": round(usd / future.price, 8),
        "base_currency": "BTC",
        "quote_currency": "USD" if future.is_inverse else "USDC",
        "volume_usd": usd,
        "volume_notional": usd,
        "mid_price": (bid + ask) / 2.0,
    }
    if future.expiry is None:
        body |= {"current_funding": 0.0, "funding_8h": 1.583e-05}
    return body


def ticker(future: Future) -> Body:
    """Return `public/ticker` of a future."""
    rows = summary(future)
    kept = ("volume", "volume_usd", "volume_notional", "high", "low", "price_change")
    bid_amount, ask_amount = future.amounts
    body: Body = {
        "timestamp": milliseconds(future.at),
        "state": future.state,
        "stats": {name: rows[name] for name in kept},
        "index_price": future.index,
        "instrument_name": future.name,
        "last_price": rows["last"],
        "settlement_price": rows["mark_price"],
        "min_price": round(future.price * 0.985, 1),
        "max_price": round(future.price * 1.015, 1),
        "open_interest": future.open_interest,
        "mark_price": rows["mark_price"],
        "estimated_delivery_price": future.index,
        "best_ask_price": rows["ask_price"],
        "best_bid_price": rows["bid_price"],
        "best_ask_amount": ask_amount,
        "best_bid_amount": bid_amount,
    }
    if future.expiry is None:
        body |= {"current_funding": 0.0, "funding_8h": 1.583e-05, "interest_value": 0.0249}
    return body


def quote(future: Future) -> Body:
    """Return the data of channel ``quote``."""
    best = [f"best_{side}_{what}" for side in ("ask", "bid") for what in ("price", "amount")]
    body = ticker(future)
    return {name: body[name] for name in ("timestamp", "instrument_name", *best)}


def book_levels(future: Future, depth: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return bids and asks, best first."""
    (bid, ask), (bid_amount, ask_amount) = future.quote, future.amounts
    return (
        levels((bid, bid_amount), -future.tick, depth),
        levels((ask, ask_amount), future.tick, depth),
    )


def order_book(future: Future, depth: int) -> Body:
    """Return `public/get_order_book` of a future."""
    bids, asks = book_levels(future, depth)
    return ticker(future) | {
        "change_id": change_id(future.name, future.at),
        "bids": bids,
        "asks": asks,
    }


def perpetual_trades(market: DeribitMarket, first_ms: int, last_ms: int) -> list[Body]:
    """Return trades of BTC-PERPETUAL in a range of instants, both included: amounts in USD."""
    name, every = "BTC-PERPETUAL", TRADE_SECONDS * 1000
    numbers = np.arange(-(-first_ms // every), last_ms // every + 1, dtype=np.int64)
    if not numbers.size:
        return []
    index = paths.prices(market.world, "BTC", numbers * TRADE_SECONDS)
    draws = uniform(stream_key("perpetual", market.world.seed), numbers.astype(np.uint64))
    return [
        _trade(name, int(number), float(at_index), float(draw))
        for number, at_index, draw in zip(numbers, index, draws, strict=True)
    ]


def _trade(name: str, number: int, index: float, draw: float) -> Body:
    amount = float(int(draw * 1000.0) * 10 + 10)
    body: dict[str, Any] = {
        "timestamp": number * TRADE_SECONDS * 1000,
        "price": round((index + _PERPETUAL_PREMIUM) * 2.0) / 2.0,
        "amount": amount,
        "direction": "buy" if int(draw * 1e6) % 2 else "sell",
        "index_price": index,
        "instrument_name": name,
        "trade_seq": number,
        "mark_price": round(index + _PERPETUAL_PREMIUM, 2),
        "tick_direction": int(draw * 1e5) % 4,
        "trade_id": f"{2_000_000_000 + number}",
        "contracts": amount / 10.0,
    }
    return body

"""Deribit's rows as JSON: instruments, tickers, book summaries, order books of options.

Belongs here: field names, units and oddities of option rows. Does not belong here: numbers
(`deribit_market`), futures (`deribit_futures`), trades (`deribit_trades`), or methods.

Units: `mark_iv` is percent, prices of coin-margined options are coin, Greeks have five decimals. A
side without an order is 0.0 in a ticker and null in a book summary. Marks have eight decimals in
summaries and trades, four in tickers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dealer_assets.providers.simulator.noise import stream_key
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.deribit_chain import Chain, is_listed
from dealer_assets_tests.exchange.deribit_market import DeribitMarket

Body = dict[str, Any]

BOOK_LEVELS = 20
_WINDOW = timedelta(minutes=30)
_UUIDS = {
    "BTC": "5b71fc48-3dd3-540c-809b-f8c94d0e68b5",
    "USDC": "2b92315d-eab7-5bef-84fa-089a131333f5",
    "USD": "d2a2c5a8-7c5f-5a3e-8a4e-6a2f5f1d9b11",
}


def milliseconds(at: datetime) -> int:
    """Return an instant in Deribit's unit."""
    return int(at.timestamp() * 1000.0)


def instrument_id(name: str) -> int:
    """Return a number that stands for a name for ever."""
    return 100_000 + stream_key("deribit instrument", name) % 900_000


def settlement_period(expiry: datetime) -> str:
    """Return ``day``, ``week`` or ``month`` from the expiry's place in the calendar."""
    if expiry.weekday() != 4:
        return "day"
    return "month" if (expiry + timedelta(days=7)).month != expiry.month else "week"


def option_instrument(chain: Chain, i: int) -> Body:
    """Return one row of `public/get_instruments`."""
    expiry = datetime.fromtimestamp(chain.expires_us[i] / 1e6, UTC)
    state, is_coin = chain.state[i], chain.is_coin
    listed_days = {"day": 4, "week": 28, "month": 370}[settlement_period(expiry)]
    return {
        "state": state,
        "price_index": "btc_usd" if is_coin else "btc_usdc",
        "kind": "option",
        "instrument_name": chain.name[i],
        "maker_commission": 0.0003,
        "taker_commission": 0.0003,
        "instrument_type": "reversed" if is_coin else "linear",
        "expiration_timestamp": milliseconds(expiry),
        "instrument_id": instrument_id(chain.name[i]),
        "underlying_type": "crypto",
        "product_group": "BTC",
        "creation_timestamp": milliseconds(expiry - timedelta(days=listed_days)),
        "is_active": is_listed(state),
        "contract_size": 1.0,
        "tick_size": 0.0001 if is_coin else 5.0,
        "strike": float(chain.strike[i]),
        "counter_currency": "USD" if is_coin else "USDC",
        "option_type": "call" if chain.is_call[i] else "put",
        "min_trade_amount": 0.1 if is_coin else 0.01,
        "block_trade_commission": 0.0003,
        "block_trade_min_trade_amount": 25 if is_coin else 1,
        "block_trade_tick_size": 0.0001 if is_coin else 1,
        "settlement_currency": chain.currency,
        "settlement_period": settlement_period(expiry),
        "base_currency": "BTC",
        "index_id": 1000033 if is_coin else 12000001,
        "quote_currency": chain.currency,
        "tick_size_steps": [{"tick_size": 0.0005, "above_price": 0.005}] if is_coin else [],
        "lot_size": 1,
        "base_currency_uuid": _UUIDS["BTC"],
        "quote_currency_uuid": _UUIDS[chain.currency],
    }


def underlying_index(chain: Chain, i: int) -> str:
    """Return the future an option is priced off: listed, ``SYN.`` or, at expiry, the index."""
    if chain.years[i] <= 0.0:
        return "index_price"
    future = chain.name[i].rsplit("-", 2)[0]
    return f"SYN.{future}" if chain.is_synthetic[i] else future


def option_summary(chain: Chain, i: int) -> Body:
    """Return one row of `public/get_book_summary_by_currency`: no Greeks, no index price."""
    bid, ask = _or_null(chain.bid[i]), _or_null(chain.ask[i])
    last = _or_null(chain.last[i])
    volume = float(chain.volume[i])
    return {
        "high": last,
        "low": last,
        "last": last,
        "instrument_name": chain.name[i],
        "bid_price": bid,
        "ask_price": ask,
        "mark_price": float(chain.mark[i]),
        "creation_timestamp": milliseconds(chain.at),
        "price_change": None,
        "volume": volume,
        "mark_iv": round(100.0 * float(chain.vol[i]), 2),
        "interest_rate": 0.0,
        "underlying_price": float(chain.forward[i]),
        "underlying_index": underlying_index(chain, i),
        "open_interest": float(chain.open_interest[i]),
        "base_currency": "BTC",
        "estimated_delivery_price": chain.index,
        "quote_currency": chain.currency,
        "volume_usd": round(volume * float(chain.mark[i]) * _unit(chain), 2),
        "mid_price": None if bid is None or ask is None else round((bid + ask) / 2.0, 8),
    }


def _unit(chain: Chain) -> float:
    return chain.index if chain.is_coin else 1.0


def _or_null(price: float) -> float | None:
    return float(price) if price > 0.0 else None


def option_ticker(market: DeribitMarket, chain: Chain, i: int) -> Body:
    """Return `public/ticker` of an option; at expiry with the words and zeros Deribit shows."""
    mark = round(float(chain.mark[i]), 4)
    last, volume = chain.last[i], float(chain.volume[i])
    traded = last > 0.0 and volume > 0.0
    # without trades some rows say null and some 0.0
    quiet = None if instrument_id(chain.name[i]) % 2 else 0.0
    return {
        "timestamp": milliseconds(chain.at),
        "state": chain.state[i],
        "stats": {
            "high": float(last) if traded else None,
            "low": float(last) if traded else None,
            "price_change": 0.0 if traded else None,
            "volume": volume if traded else quiet,
            "volume_usd": round(volume * float(chain.mark[i]) * _unit(chain), 2),
        },
        "greeks": {name: float(values[i]) for name, values in chain.greeks.items()},
        "index_price": chain.index,
        "instrument_name": chain.name[i],
        "last_price": float(last) if last > 0.0 else None,
        "settlement_price": round(float(chain.mark[i]), 8),
        "min_price": max(round(mark - 0.04 * mark - 0.02, 4), 0.0001),
        "max_price": round(mark + 0.04 * mark + 0.02, 4),
        "open_interest": float(chain.open_interest[i]),
        "mark_price": mark,
        "interest_rate": 0.0,
        "estimated_delivery_price": estimated_delivery_price(market, chain, i),
        "best_ask_price": float(chain.ask[i]),
        "best_bid_price": float(chain.bid[i]),
        "mark_iv": round(100.0 * float(chain.vol[i]), 2),
        "bid_iv": float(chain.bid_vol[i]),
        "ask_iv": float(chain.ask_vol[i]),
        "underlying_price": float(chain.forward[i]),
        "underlying_index": underlying_index(chain, i),
        "best_ask_amount": float(chain.ask_amount[i]),
        "best_bid_amount": float(chain.bid_amount[i]),
    }


def estimated_delivery_price(market: DeribitMarket, chain: Chain, i: int) -> float | str:
    """Return the index; in the last half hour the average so far; the word ``expired`` after."""
    expiry = datetime.fromtimestamp(chain.expires_us[i] / 1e6, UTC)
    if chain.at >= expiry:
        return "expired"
    begun = expiry - _WINDOW
    if chain.at <= begun:
        return chain.index
    return paths.average(market.world, "BTC", begun, chain.at)


def quote(chain: Chain, i: int) -> Body:
    """Return the data of channel ``quote``."""
    return {
        "timestamp": milliseconds(chain.at),
        "instrument_name": chain.name[i],
        "best_ask_price": float(chain.ask[i]),
        "best_bid_price": float(chain.bid[i]),
        "best_ask_amount": float(chain.ask_amount[i]),
        "best_bid_amount": float(chain.bid_amount[i]),
    }


def option_levels(chain: Chain, i: int, depth: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return bids and asks, best first: the best quote and what stands behind it."""
    step = (0.0005 if chain.mark[i] >= 0.005 else 0.0001) if chain.is_coin else 5.0
    bid = (float(chain.bid[i]), float(chain.bid_amount[i]))
    ask = (float(chain.ask[i]), float(chain.ask_amount[i]))
    return levels(bid, -step, depth), levels(ask, step, depth)


def levels(best: tuple[float, float], step: float, depth: int) -> list[list[float]]:
    """Return levels of (price, amount) from the best one away from the market."""
    price, amount = best
    if price <= 0.0:
        return []
    found = [
        [round(price + k * step, 4), round(amount * (1.0 + 0.5 * k), 1)]
        for k in range(min(depth, BOOK_LEVELS))
    ]
    return [level for level in found if level[0] > 0.0]


def option_book(market: DeribitMarket, chain: Chain, i: int, depth: int) -> Body:
    """Return `public/get_order_book` of an option."""
    bids, asks = option_levels(chain, i, depth)
    return option_ticker(market, chain, i) | {
        "change_id": change_id(chain.name[i], chain.at),
        "bids": bids,
        "asks": asks,
    }


def change_id(name: str, at: datetime) -> int:
    """Return a number that grows with every second of a book."""
    return instrument_id(name) * 10_000_000_000 + int(at.timestamp())


def window_book(name: str, at: datetime, bids: list[Any], asks: list[Any]) -> Body:
    """Return the data of channel ``book`` with group ``none``: the whole window."""
    return {
        "timestamp": milliseconds(at),
        "instrument_name": name,
        "change_id": change_id(name, at),
        "bids": bids,
        "asks": asks,
    }

"""Deribit's combinations: those that traded in the last day, as combos and as instruments.

Belongs here: what a combination's name means. Does not belong here: their trades.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dealer_assets.domain.instruments import parse_deribit
from dealer_assets_tests.exchange.deribit_bodies import (
    Body,
    instrument_id,
    milliseconds,
    settlement_period,
)
from dealer_assets_tests.exchange.deribit_market import DeribitMarket
from dealer_assets_tests.exchange.deribit_prints import Ask
from dealer_assets_tests.exchange.deribit_trades import DeribitTape

_DAY_MS = 86_400_000


class Combos:
    """Combinations of the tape."""

    def __init__(self, market: DeribitMarket, tape: DeribitTape) -> None:
        self._market, self._tape = market, tape

    def active(self, currency: str) -> list[Body]:
        """Return `public/get_combos`."""
        now = milliseconds(self._market.world.clock.now())
        ask = Ask("option_combo", currency, now - _DAY_MS, now)
        found: dict[str, Body] = {}
        for trade in self._tape.trades(ask):
            name = trade["instrument_name"]
            if _expiry(name) > self._market.now():
                created = trade["timestamp"] // 1000 * 1000 - 60_000
                found.setdefault(name, _combo(name, created))
        return [found[name] for name in sorted(found)]

    def instruments(self, currency: str) -> list[Body]:
        """Return rows of `public/get_instruments` of kind ``option_combo``."""
        return [_instrument(combo) for combo in self.active(currency)]


def legs(name: str) -> list[Body]:
    """Return the legs of a combination of two strikes or rights, with their signed ratio."""
    coin, shape, expiry, strikes = name.split("-")
    low, _, high = strikes.partition("_")
    pairs = {
        "CS": ((low, "C", 1), (high, "C", -1)),
        "PS": ((high, "P", 1), (low, "P", -1)),
        "STRG": ((low, "P", 1), (high, "C", 1)),
        "STRD": ((low, "C", 1), (low, "P", 1)),
    }[shape]
    return [
        {"amount": amount, "instrument_name": f"{coin}-{expiry}-{strike}-{right}"}
        for strike, right, amount in pairs
    ]


def _expiry(name: str) -> datetime:
    day = parse_deribit(legs(name)[0]["instrument_name"]).expiry_date
    return datetime(day.year, day.month, day.day, 8, tzinfo=UTC)


def _combo(name: str, created_ms: int) -> Body:
    return {
        "id": name,
        "state": "active",
        "legs": legs(name),
        "instrument_id": instrument_id(name),
        "creation_timestamp": created_ms,
        "state_timestamp": created_ms + 303,
    }


def _instrument(combo: Body) -> Body:
    expiry = _expiry(combo["id"])
    day = expiry - timedelta(hours=8)
    return {
        "state": "open",
        "price_index": "btc_usd",
        "kind": "option_combo",
        "instrument_name": combo["id"],
        "maker_commission": 0.0,
        "taker_commission": 0.0,
        "instrument_type": "reversed",
        "expiration_timestamp": milliseconds(expiry),
        "is_active": True,
        "creation_timestamp": combo["creation_timestamp"],
        "instrument_id": combo["instrument_id"],
        "tick_size": 0.0001,
        "contract_size": 1.0,
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "settlement_currency": "BTC",
        "min_trade_amount": 0.1,
        "settlement_period": settlement_period(day),
        "counter_currency": "USD",
        "tick_size_steps": [],
    }

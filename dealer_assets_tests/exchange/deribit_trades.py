"""Deribit's trades: option prints, packages, blocks and RFQs of the shared tape.

Belongs here: the tape in Deribit's words. Does not belong here: the tape itself
(`providers/simulator/tape`), one day of it (`deribit_prints`), which channel or method asks.

A combination is printed twice: its legs as options (with `combo_id`), the package as an
`option_combo` with the same legs nested. Blocks of even number were RFQs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.providers.simulator import market as simulated
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.deribit_bodies import Body
from dealer_assets_tests.exchange.deribit_futures import perpetual_trades
from dealer_assets_tests.exchange.deribit_market import USDC_RATIO, DeribitMarket
from dealer_assets_tests.exchange.deribit_prints import (
    Ask,
    Day,
    Ints,
    days_of,
    option_trade,
    package_id,
    rfq_id,
    rows_of,
)

USDC_EVERY = 25
"""Every so many-th print of each coin option has a twin among the USDC options."""

_NUMBERED_DAYS, _SEQUENCES = 16, 1_000_000
_DAY_MS = 86_400_000
_LONG_AGO = timedelta(days=365)
_KINDS = {
    "option": ("option",),
    "option_combo": ("option_combo",),
    "combo": ("option_combo",),
    "future": ("future",),
    "any": ("option", "option_combo", "future"),
}


class DeribitTape:
    """Trades of any range of instants, of a market that has a tape; of others none."""

    def __init__(self, market: DeribitMarket) -> None:
        self.market = market
        self._first = market.world.clock.now().date() - timedelta(days=1)
        self._day = lru_cache(maxsize=8)(self._load)

    def day(self, day: date) -> Day:
        """Return the prints of a UTC day."""
        return self._day(day)

    def _load(self, day: date) -> Day:
        world = self.market.world
        assert world.market is not None
        gone_by = (day - self._first).days
        base = (5_000 + gone_by // _NUMBERED_DAYS) * _SEQUENCES
        if "trades" not in world.market.capabilities or not (
            simulated.FIRST <= day <= simulated.LAST
        ):
            return Day(day, rows_of(tables.OPTION_TRADES.schema.empty_table()), {}, base)
        rows = rows_of(world.market.trades(underlying("BTC"), session_date=day).rows)
        # numbers run on from day to day for some days, and then begin at a higher round number
        if gone_by % _NUMBERED_DAYS:
            return Day(day, rows, self.day(day - timedelta(days=1)).count(), base)
        return Day(day, rows, {}, base)

    def trades(self, ask: Ask) -> list[Body]:
        """Return the trades that are asked for, up to now."""
        last_ms = min(ask.last_ms, int(self.market.world.clock.now().timestamp() * 1000.0))
        found: list[Body] = []
        for day in days_of(ask.first_ms, last_ms, newest_first=ask.newest_first):
            start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
            first, last = max(ask.first_ms, start), min(last_ms, start + _DAY_MS - 1)
            within = replace(ask, first_ms=first, last_ms=last)
            part = [
                body for kind in _KINDS.get(ask.kind, ()) for body in self._part(kind, within, day)
            ]
            part.sort(key=_order, reverse=ask.newest_first)
            found += part
            if ask.limit is not None and len(found) >= ask.limit:
                return found[: ask.limit]
        return found

    def _part(self, kind: str, ask: Ask, day: date) -> Iterator[Body]:
        is_coin = ask.currency in ("BTC", "any")
        if kind == "future":
            if is_coin and ask.instrument in (None, "BTC-PERPETUAL"):
                yield from perpetual_trades(self.market, ask.first_ms, ask.last_ms)
            return
        prints = self.day(day)
        begin = int(np.searchsorted(prints.at_ms, ask.first_ms, side="left"))
        end = int(np.searchsorted(prints.at_ms, ask.last_ms, side="right"))
        if kind == "option_combo":
            if is_coin:
                yield from self._packages(prints, begin, end, ask)
            return
        rows = np.arange(begin, end)
        if is_coin:
            chosen = rows
            if ask.instrument is not None:
                chosen = rows[prints.symbol[begin:end] == ask.instrument]
            yield from self.bodies(prints, ask.cut(chosen))
        if ask.currency in ("USDC", "any"):
            twins = rows[prints.number[begin:end] % USDC_EVERY == 0]
            yield from self._usdc(prints, twins, ask)

    def bodies(self, prints: Day, rows: Ints) -> list[Body]:
        """Return option trades of chosen rows of a day."""
        recent_us = (self.market.now() - _LONG_AGO).timestamp() * 1e6
        return [
            option_trade(prints, row, has_contracts=row["at_us"] > recent_us)
            for row in prints.rows.take(pa.array(rows)).to_pylist()
        ]

    def _packages(self, prints: Day, begin: int, end: int, ask: Ask) -> Iterator[Body]:
        starts = prints.packages
        for row in starts[(starts >= begin) & (starts < end)].tolist():
            body = self.package(prints, row)
            if ask.instrument in (None, body["instrument_name"]):
                yield body

    def package(self, prints: Day, row: int) -> Body:
        """Return the package that the block of a row is: nested legs, its price maybe negative."""
        block = prints.rows["block_id"][row].as_py()
        legs = self.bodies(prints, np.array(prints.blocks[block], np.int64))
        number = package_id(prints.day, block)
        signs = [1.0 if leg["direction"] == "buy" else -1.0 for leg in legs]
        names = ("timestamp", "index_price", "starbase_timestamp", "starbase_match_id")
        body = {name: legs[0][name] for name in names}
        return body | {
            "price": _net([leg["price"] for leg in legs], signs),
            "amount": min(leg["amount"] for leg in legs),
            "direction": legs[0]["direction"],
            "instrument_name": legs[0]["combo_id"],
            "trade_seq": prints.day.toordinal() * 1000 + int(block.rpartition("-")[2]) % 1000,
            "mark_price": _net([leg["mark_price"] for leg in legs], signs),
            "tick_direction": 1,
            "legs": legs,
            "contracts": min(leg["amount"] for leg in legs),
            "trade_id": number,
        }

    def _usdc(self, prints: Day, rows: Ints, ask: Ask) -> Iterator[Body]:
        listed = self.market.chain("USDC").row
        wanted = listed if ask.instrument is None else {ask.instrument}
        twins = [_twin(name) for name in prints.symbol[rows]]
        chosen = [i for i, name in enumerate(twins) if name in listed and name in wanted]
        for body in self.bodies(prints, ask.cut(rows[chosen])):
            index = round(body["index_price"] * USDC_RATIO, 2)
            kept = ("timestamp", "direction", "tick_direction", "iv", "amount")
            yield {one: body[one] for one in kept} | {
                "instrument_name": _twin(body["instrument_name"]),
                "trade_id": f"USDC-{body['trade_id']}",
                "trade_seq": body["trade_seq"] // USDC_EVERY,
                "price": round(body["price"] * index / 5.0) * 5.0,
                "mark_price": round(body["mark_price"] * index, 4),
                "index_price": index,
                "contracts": body["amount"],
            }

    def rfqs(self, first_ms: int, last_ms: int) -> Iterator[Body]:
        """Return the block RFQs that ended in a range of instants, both included, newest first."""
        for day in days_of(first_ms, last_ms, newest_first=True):
            prints = self.day(day)
            found = []
            for block, rows in prints.blocks.items():
                number, at_ms = rfq_id(block), int(prints.at_ms[rows[0]])
                if number is not None and first_ms <= at_ms <= last_ms:
                    found.append((at_ms, number, rows))
            for _, number, rows in sorted(found, reverse=True):
                yield self._rfq(prints, rows, number)

    def _rfq(self, prints: Day, rows: list[int], number: int) -> Body:
        legs = self.bodies(prints, np.array(rows, np.int64))
        signs = [1.0 if leg["direction"] == "buy" else -1.0 for leg in legs]
        amount, direction = min(leg["amount"] for leg in legs), legs[0]["direction"]
        price = _net([leg["price"] for leg in legs], signs)
        body: Body = {
            "id": number,
            "timestamp": legs[0]["timestamp"],
            "amount": amount,
            "direction": direction,
            "mark_price": _net([leg["mark_price"] for leg in legs], signs),
            "trades": [{"price": price, "amount": amount, "direction": direction}],
            "legs": [
                {
                    "price": leg["price"],
                    "direction": leg["direction"],
                    "instrument_name": leg["instrument_name"],
                    "ratio": max(round(leg["amount"] / amount), 1),
                }
                for leg in legs
            ],
            "combo_id": legs[0].get("combo_id"),
            "index_prices": {"btc_usd": legs[0]["index_price"]},
        }
        if number % 8 == 0:
            body["hedge"] = {
                "instrument_name": "BTC-PERPETUAL",
                "direction": "sell" if direction == "buy" else "buy",
                "price": legs[0]["index_price"],
                "amount": round(amount * legs[0]["index_price"] / 10.0) * 10.0,
            }
        return body


def _net(prices: list[float], signs: list[float]) -> float:
    return round(sum(p * s for p, s in zip(prices, signs, strict=True)) * signs[0], 8)


def _twin(name: str) -> str:
    return name.replace("BTC-", "BTC_USDC-", 1)


def _order(body: Body) -> tuple[int, int, str]:
    return body["timestamp"], len(body["trade_id"]), body["trade_id"]

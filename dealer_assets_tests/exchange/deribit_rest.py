"""Deribit's public methods, the same over HTTP and WebSocket.

Belongs here: methods by name, their parameters and results. Does not belong here: HTTP
(`deribit`), sessions and subscriptions (`deribit_ws`), rows (`deribit_bodies` and its siblings).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import dropwhile, islice
from typing import Any

from dealer_assets.errors import NoDataError
from dealer_assets_tests.exchange import (
    deribit_bodies as bodies,
    deribit_futures as futures,
    deribit_history as history,
)
from dealer_assets_tests.exchange.deribit_chain import is_listed
from dealer_assets_tests.exchange.deribit_combos import Combos
from dealer_assets_tests.exchange.deribit_listings import Listings
from dealer_assets_tests.exchange.deribit_market import DeribitMarket
from dealer_assets_tests.exchange.deribit_parameters import Parameters
from dealer_assets_tests.exchange.deribit_prints import Ask
from dealer_assets_tests.exchange.deribit_rules import RpcError, authenticate, invalid
from dealer_assets_tests.exchange.deribit_trades import DeribitTape
from dealer_assets_tests.exchange.world import World

INDEX_NAMES = ("btc_usd", "btc_usdc")
_DAY_MS = 86_400_000
_RESOLUTIONS = {"1": 1, "60": 60, "3600": 3600, "43200": 43_200, "1D": 86_400}
_CHART_MINUTES = ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720")
_RFQ_DAYS = 7


class Api:
    """What can be called, of one host.

    Parameters
    ----------
    world : World
        The market.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.market = DeribitMarket(world)
        self.tape = DeribitTape(self.market)
        self.combos = Combos(self.market, self.tape)
        lists = Listings(self.market, self.combos)
        self._methods: dict[str, Callable[[Parameters], Any]] = {
            "auth": lambda p: authenticate(p.given),
            "get_block_rfq_trades": self._rfqs,
            "get_book_summary_by_currency": self._summaries,
            "get_book_summary_by_instrument": self._summary,
            "get_combo_details": self._combo,
            "get_combo_ids": lambda p: [c["id"] for c in self.combos.active(p.currency())],
            "get_combos": lambda p: self.combos.active(p.currency()),
            "get_contract_size": lambda p: {"contract_size": lists.one(p)["contract_size"]},
            "get_delivery_prices": self._delivery_prices,
            "get_expirations": lists.expirations,
            "get_index_chart_data": self._index_chart,
            "get_index_price": self._index_price,
            "get_index_price_names": self._index_names,
            "get_instrument": lists.one,
            "get_instruments": lists.instruments,
            "get_last_settlements_by_currency": self._settlements,
            "get_last_trades_by_currency": self._trades,
            "get_last_trades_by_currency_and_time": self._trades,
            "get_last_trades_by_instrument": self._trades,
            "get_last_trades_by_instrument_and_time": self._trades,
            "get_order_book": self._order_book,
            "get_time": lambda p: bodies.milliseconds(world.clock.now()),
            "get_tradingview_chart_data": self._chart,
            "get_volatility_index_data": self._volatility_index,
            "hello": lambda p: {"version": "1.2.26"},
            "status": lambda p: {"locked": "false", "locked_indices": []},
            "test": self._test,
            "ticker": self._ticker,
        }

    def call(self, method: str, given: Mapping[str, Any], *, is_history: bool = False) -> Any:
        """Return the result of a method.

        Parameters
        ----------
        method : str
            With its ``public/``.
        given : mapping
            Parameters, as text (GET) or typed (JSON).
        is_history : bool
            Of the history host, which knows trades for ever and no volatility index.

        Raises
        ------
        RpcError
            As Deribit names it.
        """
        scope, _, name = method.partition("/")
        if scope == "private":
            raise RpcError(13009, "unauthorized", {"reason": "invalid_token"}, status=401)
        call = self._methods.get(name) if scope == "public" else None
        if call is None:
            raise RpcError(-32601, "Method not found")
        if is_history and name == "get_volatility_index_data":
            raise invalid("method", "not available on this host")
        try:
            return call(Parameters(given, is_history=is_history))
        except NoDataError as error:  # a recorded market need not have coins
            raise RpcError(13503, "unavailable", str(error), status=503) from error

    def _test(self, p: Parameters) -> Any:
        if p.given.get("expected_result") == "exception":
            raise RpcError(-32000, "Exception", "expected_result_exception")
        return {"version": "1.2.26"}

    def _summaries(self, p: Parameters) -> list[Any]:
        kind, found = p.kind(), []
        for currency in p.currencies():
            chain = self.market.chain(currency)
            if kind in ("option", "any"):
                rows = range(len(chain.name))
                found += [
                    bodies.option_summary(chain, i) for i in rows if is_listed(chain.state[i])
                ]
            if kind in ("future", "any"):
                found += [
                    futures.summary(f)
                    for f in futures.futures(self.market, currency)
                    if is_listed(f.state)
                ]
        return found

    def _summary(self, p: Parameters) -> list[Any]:
        name = p.instrument()
        rows = self._summaries(Parameters({"currency": "any"}))
        found = [row for row in rows if row["instrument_name"] == name]
        if not found:
            raise RpcError(13020, "not_found")
        return found

    def _ticker(self, p: Parameters) -> Any:
        return self.ticker(p.instrument())

    def ticker(self, name: str) -> Any:
        """Return the ticker of an instrument; 13020 when it is unknown or archived."""
        chain = self.market.chain("USDC" if name.startswith("BTC_USDC") else "BTC")
        if name in chain.row:
            return bodies.option_ticker(self.market, chain, chain.row[name])
        return futures.ticker(self._future(name))

    def _future(self, name: str) -> futures.Future:
        currency = "USDC" if name.startswith("BTC_USDC") else "BTC"
        for future in futures.futures(self.market, currency):
            if future.name == name:
                return future
        raise RpcError(13020, "not_found")

    def _order_book(self, p: Parameters) -> Any:
        name, depth = p.instrument(), p.number("depth", 5, most=10_000)
        chain = self.market.chain("USDC" if name.startswith("BTC_USDC") else "BTC")
        if name not in chain.row:
            return futures.order_book(self._future(name), depth)
        i = chain.row[name]
        if not is_listed(chain.state[i]):
            raise RpcError(13019, "orderbook_closed")
        return bodies.option_book(self.market, chain, i, depth)

    def _index_price(self, p: Parameters) -> Any:
        price = self.market.index(p.choice("index_name", INDEX_NAMES))
        return {"estimated_delivery_price": price, "index_price": price}

    def _index_chart(self, p: Parameters) -> Any:
        return history.index_chart(
            self.market,
            name=p.choice("index_name", INDEX_NAMES),
            span=p.choice("range", tuple(history.INDEX_CHARTS)),
        )

    def _index_names(self, p: Parameters) -> list[Any]:
        if not p.flag("extended"):
            return list(INDEX_NAMES)
        both = {"future_combo_enabled": True, "option_combo_enabled": True}
        return [{"name": name} | both for name in INDEX_NAMES]

    def _delivery_prices(self, p: Parameters) -> Any:
        return history.delivery_prices(
            self.market,
            p.choice("index_name", INDEX_NAMES),
            offset=p.number("offset", 0, least=0),
            count=p.number("count", 10, most=1_000),
        )

    def _settlements(self, p: Parameters) -> Any:
        kind = p.given.get("type")
        if kind not in (None, "settlement", "delivery", "bankruptcy"):
            raise invalid("type", "unknown value")
        return history.settlements(
            self.market,
            p.currency(),
            kind=kind,
            count=p.number("count", 20, most=1_000),
            continuation=p.given.get("continuation"),
        )

    def _volatility_index(self, p: Parameters) -> Any:
        if p.currency() != "BTC":
            return {"data": [], "continuation": None}
        return history.volatility_index(
            self.market,
            start_ms=p.required("start_timestamp"),
            end_ms=p.required("end_timestamp"),
            seconds=_RESOLUTIONS[p.choice("resolution", tuple(_RESOLUTIONS))],
        )

    def _chart(self, p: Parameters) -> Any:
        resolution = p.choice("resolution", (*_CHART_MINUTES, "1D"))
        return history.candles(
            self.market,
            self.tape,
            p.instrument(),
            start_ms=p.required("start_timestamp"),
            end_ms=p.required("end_timestamp"),
            minutes=1_440 if resolution == "1D" else int(resolution),
        )

    def _combo(self, p: Parameters) -> Any:
        wanted = p.given.get("combo_id")
        for combo in self.combos.active("BTC"):
            if combo["id"] == wanted:
                return combo
        raise RpcError(13020, "not_found")

    def _rfqs(self, p: Parameters) -> Any:
        count, token = p.number("count", 20, most=1_000), p.given.get("continuation")
        if p.currency() not in ("BTC", "any"):
            return {"continuation": None, "block_rfqs": []}
        now = bodies.milliseconds(self.world.clock.now())
        last = now if token is None else p.stamp_of(token)
        rows = self.tape.rfqs(now - _RFQ_DAYS * _DAY_MS, last)
        if token is not None:  # the token names the last one shown
            rows = dropwhile(lambda row: _mark(row) != token, rows)
            next(rows, None)
        found = list(islice(rows, count + 1))
        more, found = len(found) > count, found[:count]
        return {"continuation": _mark(found[-1]) if more else None, "block_rfqs": found}

    def _trades(self, p: Parameters) -> Any:
        now = bodies.milliseconds(self.world.clock.now())
        is_ranged = "start_timestamp" in p.given
        first = p.number("start_timestamp", now - _DAY_MS)
        last = p.number("end_timestamp", now)
        count = p.number("count", 10, most=1_000)
        is_full = p.is_history and p.flag("include_old")
        if first < now - _DAY_MS and not is_full:
            return {"trades": [], "has_more": False}  # older trades are not said to be missing
        default = "asc" if is_ranged else "desc"
        sorting = p.choice("sorting", ("asc", "desc", "default"), default="default")
        name = p.given.get("instrument_name")
        kind, currency = (p.kind(), p.currency()) if name is None else _kind_of(str(name))
        by_number = {"start_seq", "end_seq"} & set(p.given)
        ask = Ask(
            kind,
            currency,
            first,
            last,
            instrument=name,
            newest_first=(default if sorting == "default" else sorting) == "desc",
            limit=None if by_number else count + 1,
        )
        found = self.tape.trades(ask)
        if by_number:
            least, most = p.number("start_seq", 0), p.number("end_seq", 10**18)
            found = [trade for trade in found if least <= trade["trade_seq"] <= most]
        return {"trades": found[:count], "has_more": len(found) > count}


def _mark(row: Mapping[str, Any]) -> str:
    return f"{row['timestamp']}:{row['id']}"


def _kind_of(name: str) -> tuple[str, str]:
    currency = "USDC" if name.startswith("BTC_USDC") else "BTC"
    parts = name.split("-")
    if len(parts) == 2:
        return "future", currency
    return ("option" if parts[-1] in ("C", "P") else "option_combo"), currency

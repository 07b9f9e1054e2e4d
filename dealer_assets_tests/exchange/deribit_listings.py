"""What Deribit lists: instruments and expirations.

Belongs here: methods about what exists. Does not belong here: prices (`deribit_rest`), one row
(`deribit_bodies` and its siblings).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dealer_assets_tests.exchange import deribit_bodies as bodies, deribit_futures as futures
from dealer_assets_tests.exchange.deribit_chain import is_listed
from dealer_assets_tests.exchange.deribit_combos import Combos
from dealer_assets_tests.exchange.deribit_market import DeribitMarket
from dealer_assets_tests.exchange.deribit_parameters import Parameters
from dealer_assets_tests.exchange.deribit_rules import RpcError


class Listings:
    """Methods of listings; arguments and results as Deribit has them."""

    def __init__(self, market: DeribitMarket, combos: Combos) -> None:
        self._market, self._combos = market, combos

    def instruments(self, p: Parameters) -> list[Any]:
        kind, expired = p.kind(), p.flag("expired")
        found: list[Any] = []
        for currency in p.currencies():
            if kind in ("option", "any"):
                found += self._options(currency, expired=expired)
            if kind in ("future", "any"):
                rows = [futures.instrument(f) for f in futures.futures(self._market, currency)]
                found += [row for row in rows if is_listed(row["state"]) is not expired]
            if kind in ("option_combo", "combo", "any") and not expired:
                found += self._combos.instruments(currency)
        return found

    def _options(self, currency: str, *, expired: bool) -> list[Any]:
        now = self._market.now()
        chains = [self._market.chain(currency, now)]
        if expired:
            ends = [now.replace(hour=8, minute=0, second=1) - timedelta(days=i) for i in range(3)]
            chains = [self._market.chain(currency, end) for end in ends if end <= now]
        found: dict[str, bodies.Body] = {}
        for chain in chains:
            for i, name in enumerate(chain.name):
                gone = chain.expires_us[i] <= chain.at.timestamp() * 1e6 if expired else None
                if gone or (gone is None and is_listed(chain.state[i])):
                    found.setdefault(name, bodies.option_instrument(chain, i))
        if expired:
            for row in found.values():
                row |= {"is_active": False, "state": "archivized"}
        return list(found.values())

    def one(self, p: Parameters) -> Any:
        name = p.instrument()
        currency = "USDC" if name.startswith("BTC_USDC") else "BTC"
        for expired in (False, True):
            asked = {"currency": currency, "kind": "any", "expired": expired}
            for row in self.instruments(Parameters(asked)):
                if row["instrument_name"] == name:
                    return row
        raise RpcError(13020, "not_found")

    def expirations(self, p: Parameters) -> Any:
        currency = str(p.given.get("currency", "")) or "any"
        kind = p.choice("kind", ("option", "future", "any"), default="any")
        kinds = ("option", "future") if kind == "any" else (kind,)
        if currency == "any":
            return {one: self._dates("BTC", one) for one in kinds}
        names = ("BTC", "USDC") if currency == "grouped" else (currency.upper(),)
        return {name.lower(): {one: self._dates(name, one) for one in kinds} for name in names}

    def _dates(self, currency: str, kind: str) -> list[str]:
        if currency not in ("BTC", "USDC"):
            return []
        if kind == "future":
            found = futures.futures(self._market, currency)
            return [f.name.partition("-")[2] for f in [*found[1:], found[0]]]
        chain = self._market.chain(currency)
        ends: dict[str, int] = {}
        for i, name in enumerate(chain.name):
            if is_listed(chain.state[i]):
                ends[name.split("-")[1]] = int(chain.expires_us[i])
        return sorted(ends, key=ends.__getitem__)

"""Deribit's two hosts without a network: answers by method, and what was asked.

Belongs here: what the tests of the Deribit provider share. Does not belong here: the test exchange,
which has a market of its own (`dealer_assets_tests/exchange`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import httpx

from dealer_assets.domain.instruments import parse_deribit
from dealer_assets.providers.deribit import DeribitProvider
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying

BTC = underlying("BTC")
MAIN, HISTORY = "main.test", "history.test"
Ask = Callable[[str, dict[str, str]], Any]


@dataclass
class Deribit:
    """Both hosts.

    Parameters
    ----------
    answers : mapping of str to object
        Method to result, to a response, or to a function of host and parameters that returns one
        of both. Methods that are missing answer -32601.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def respond(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        params = dict(request.url.params)
        self.asked.append((request.url.host, method, params))
        if method not in self.answers:
            return error(-32601, "Method not found")
        answer = self.answers[method]
        if callable(answer):
            answer = answer(request.url.host, params)
        if isinstance(answer, httpx.Response):
            return answer
        return result(answer)

    def methods(self, host: str | None = None) -> list[str]:
        return [method for at, method, _ in self.asked if host in (None, at)]

    def provider(self, now: datetime, **settings: Any) -> DeribitProvider:
        """Return a provider that asks these hosts and never waits."""
        settings = {"patience": Patience(attempts=3, sleep=lambda _: None)} | settings
        return DeribitProvider(
            base_url=f"https://{MAIN}",
            history_url=f"https://{HISTORY}",
            clock=lambda: now,
            transport=httpx.MockTransport(self.respond),
            **settings,
        )


def result(value: Any, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"jsonrpc": "2.0", "result": value, "testnet": False} | more)


def error(code: int, message: str, *, status: int = 400, **more: Any) -> httpx.Response:
    body = {"jsonrpc": "2.0", "error": {"code": code, "message": message} | more}
    return httpx.Response(status, json=body)


def by_currency(**answers: Any) -> Ask:
    """Return an answer that depends on the parameter ``currency``; nothing for others."""
    return lambda _, params: answers.get(params["currency"], [])


def instrument(name: str, **changes: Any) -> dict[str, Any]:
    """Return a row of ``get_instruments`` as the name says."""
    said = parse_deribit(name)
    ends = datetime.combine(said.expiry_date, time(8), UTC)
    return {
        "instrument_name": name,
        "kind": "option",
        "state": "open",
        "strike": said.strike,
        "option_type": said.right,
        "contract_size": 1.0,
        "creation_timestamp": 1577836800000,
        "expiration_timestamp": milliseconds(ends),
    } | changes


def instruments(*names: str) -> Ask:
    """Return the answer of ``get_instruments`` for these names, none of them expired."""

    def answer(_: str, params: dict[str, str]) -> list[dict[str, Any]]:
        if params["expired"] == "true":
            return []
        linear = params["currency"] == "USDC"
        return [instrument(name) for name in names if ("_" in name) == linear]

    return answer


def trade(number: int, at_ms: int, name: str = "BTC-26JUN26-90000-C", **changes: Any) -> Any:
    """Return a trade as printed."""
    return {
        "trade_id": str(number),
        "trade_seq": number,
        "timestamp": at_ms,
        "instrument_name": name,
        "price": 0.0125,
        "amount": 1.5,
        "direction": "buy",
        "iv": 45.5,
        "mark_price": 0.0126,
        "index_price": 86000.0,
        "tick_direction": 0,
        "contracts": 1.5,
    } | changes


def recorded(folder: Path, name: str) -> Any:
    """Return a recorded payload, of an answer its result."""
    found = json.loads((folder / name).read_text())
    return found["result"] if isinstance(found, dict) and "result" in found else found


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)

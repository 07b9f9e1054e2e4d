"""Deribit's subscription channels: what each sends between two instants.

Belongs here: channel names in, notifications' data out. Does not belong here: sessions, acks
(`deribit_ws`), rows (`deribit_bodies` and its siblings), channels of instruments' lives
(`deribit_lives`).

A state (ticker, quote, book, marks) is sent once on subscribing and then for the newest second; at
high speed of the clock seconds between are left out. Trades and index prices leave nothing out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from dealer_assets_tests.exchange import (
    deribit_bodies as bodies,
    deribit_states as states,
    paths,
)
from dealer_assets_tests.exchange.deribit_history import dvol
from dealer_assets_tests.exchange.deribit_lives import Creations, States
from dealer_assets_tests.exchange.deribit_parameters import CURRENCIES, KINDS
from dealer_assets_tests.exchange.deribit_prints import Ask
from dealer_assets_tests.exchange.deribit_rest import INDEX_NAMES, Api
from dealer_assets_tests.exchange.deribit_rules import MAINTENANCE
from dealer_assets_tests.exchange.deribit_states import INTERVALS, Fresh, Source

_TRADES_A_FRAME = 100
_MOST_SECONDS = 300
_HALF_HOUR = timedelta(minutes=30)


def is_raw(channel: str) -> bool:
    """Whether a channel needs authentication."""
    return channel.endswith(".raw")


def needs_tape(channel: str) -> bool:
    """Whether a channel sends trades."""
    return channel.startswith(("trades.", "block_rfq."))


def source(api: Api, channel: str) -> Source | None:
    """Return what a channel sends, or None for a name that is no channel."""
    words = channel.split(".")
    for makers, head in ((_BY_TWO, ".".join(words[:2])), (_BY_ONE, words[0])):
        if head in makers:
            return makers[head](api, words[head.count(".") + 1 :])
    return None


def _seconds(since: datetime, now: datetime) -> list[int]:
    """Seconds of the epoch that began in (since, now]; the newest few of very many."""
    first, last = int(since.timestamp()) + 1, int(now.timestamp())
    return list(range(max(first, last - _MOST_SECONDS + 1), last + 1))


def _trades(api: Api, words: list[str]) -> Source | None:
    if words[-1] not in INTERVALS:
        return None
    if len(words) == 3 and words[0] in KINDS and words[1] in CURRENCIES:
        kind, currency, name = words[0], words[1], None
    elif len(words) == 2 and states.row(api, words[0]) is not None:
        name = words[0]
        kind = "option" if name.count("-") == 3 else "future"
        currency = "USDC" if name.startswith("BTC_USDC") else "BTC"
    else:
        return None

    def send(since: datetime, now: datetime) -> Iterator[Any]:
        first, last = bodies.milliseconds(since) + 1, bodies.milliseconds(now)
        found = api.tape.trades(Ask(kind, currency, first, last, instrument=name))
        for i in range(0, len(found), _TRADES_A_FRAME):
            yield found[i : i + _TRADES_A_FRAME]

    return send


def _price_index(api: Api, words: list[str]) -> Source | None:
    if len(words) != 1 or words[0] not in INDEX_NAMES:
        return None
    fresh = Fresh()

    def send(since: datetime, now: datetime) -> Iterator[Any]:
        seconds = _seconds(since, now) or ([int(now.timestamp())] if fresh(now) else [])
        fresh(now)
        prices = api.market.indices(words[0], np.array(seconds, np.int64)).tolist()
        for second, price in zip(seconds, prices, strict=True):
            yield {"timestamp": second * 1000, "index_name": words[0], "price": price}

    return send


def _volatility_index(api: Api, words: list[str]) -> Source | None:
    if words != ["btc_usd"]:
        return None
    fresh = Fresh()

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        if fresh(now):
            second = int(now.timestamp())
            vol = float(dvol(api.market, np.array([second], np.int64))[0])
            yield {"timestamp": second * 1000, "volatility": vol, "index_name": words[0]}

    return send


def _expiration_price(api: Api, words: list[str]) -> Source | None:
    if len(words) != 1 or words[0] not in INDEX_NAMES:
        return None
    fresh = Fresh()

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        if not fresh(now):
            return
        at = now.replace(microsecond=0)
        expiry = at.replace(hour=8, minute=0, second=0)
        expiry = expiry if at < expiry else expiry + timedelta(days=1)
        left, ratio = expiry - at, api.market.index(words[0]) / api.market.index("btc_usd")
        inside = left < _HALF_HOUR
        price = api.market.index("btc_usd")
        if inside:
            price = paths.average(api.world, "BTC", expiry - _HALF_HOUR, at)
        yield {
            "seconds": int(left.total_seconds()),
            "price": round(price * ratio, 2),
            "is_estimated": inside,
        }

    return send


def _rfqs(api: Api, words: list[str]) -> Source | None:
    if len(words) != 1 or words[0] not in CURRENCIES:
        return None

    def send(since: datetime, now: datetime) -> Iterator[Any]:
        if words[0] in ("BTC", "any"):
            found = api.tape.rfqs(bodies.milliseconds(since) + 1, bodies.milliseconds(now))
            yield from reversed(list(found))

    return send


def _platform_state(api: Api, words: list[str]) -> Source | None:
    if words == ["public_methods_state"]:
        return _once({"allow_unauthenticated_public_requests": True})
    if words:
        return None
    fresh, was = Fresh(), [False]

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        is_down = api.world.faults.active(MAINTENANCE, "platform_state") is not None
        if is_down != was[0]:
            was[0] = is_down
            yield {"maintenance": is_down}
        if fresh(now):  # one index after the other says that it is not locked
            name = INDEX_NAMES[int(now.timestamp()) % len(INDEX_NAMES)]
            yield {"locked": False, "price_index": name, "reasons": []}

    return send


def _once(data: Any) -> Source:
    left = [data]

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        while left:
            yield left.pop()

    return send


def _lives(kind: type[States | Creations]) -> Callable[[Api, list[str]], Source | None]:
    def make(api: Api, words: list[str]) -> Source | None:
        if len(words) != 2 or words[0] not in KINDS or words[1] not in CURRENCIES:
            return None
        return kind(api.market, *words).between

    return make


_BY_ONE: dict[str, Callable[[Api, list[str]], Source | None]] = {
    "ticker": states.ticker,
    "incremental_ticker": states.incremental_ticker,
    "quote": states.quote,
    "book": states.book,
    "trades": _trades,
    "deribit_price_index": _price_index,
    "deribit_volatility_index": _volatility_index,
    "estimated_expiration_price": _expiration_price,
    "platform_state": _platform_state,
}
_BY_TWO: dict[str, Callable[[Api, list[str]], Source | None]] = {
    "markprice.options": states.marks,
    "block_rfq.trades": _rfqs,
    "instrument.state": _lives(States),
    "instrument.creation": _lives(Creations),
}

"""Deribit's channels of states: ticker, incremental ticker, quote, book, marks.

Belongs here: what is sent because a second has begun or a quote has changed. Does not belong here:
events such as trades (`deribit_channels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from dealer_assets_tests.exchange import deribit_bodies as bodies, deribit_futures as futures
from dealer_assets_tests.exchange.deribit_chain import Chain
from dealer_assets_tests.exchange.deribit_rest import INDEX_NAMES, Api

Source = Callable[[datetime, datetime], Iterable[Any]]
"""Called with the instants (since, now]; yields the data of each notification due."""

INTERVALS = ("raw", "100ms", "agg2")
_DEPTHS = ("1", "10", "20")


class Fresh:
    """Tells the first look, and each in which a second has begun."""

    def __init__(self) -> None:
        self._seen: int | None = None

    def __call__(self, now: datetime) -> bool:
        second = int(now.timestamp())
        is_new, self._seen = second != self._seen, second
        return is_new


def ticker(api: Api, words: list[str]) -> Source | None:
    """Return ``ticker.{instrument}.{interval}``."""
    if len(words) != 2 or words[1] not in INTERVALS or row(api, words[0]) is None:
        return None
    fresh = Fresh()

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        if fresh(now) and row(api, words[0]) is not None:
            yield api.ticker(words[0])

    return send


def incremental_ticker(api: Api, words: list[str]) -> Source | None:
    """Return ``incremental_ticker.{instrument}``: all once, then what changed."""
    if len(words) != 1 or row(api, words[0]) is None:
        return None
    fresh = Fresh()
    shown: dict[str, Any] = {}

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        if not fresh(now) or row(api, words[0]) is None:
            return
        body = api.ticker(words[0])
        changes = _changes(shown, body)
        if not shown:
            yield {"type": "snapshot"} | body
        elif changes.keys() - {"timestamp"}:
            same = {"type": "change", "instrument_name": words[0], "timestamp": body["timestamp"]}
            yield same | changes
        shown.update(body)

    return send


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return what differs; of nested objects only the members that do."""
    found: dict[str, Any] = {}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            value = _changes(before, value)
            if not value:
                continue
        elif name in old and before == value:
            continue
        found[name] = value
    return found


def row(api: Api, name: str) -> tuple[Chain, int] | futures.Future | None:
    """Return where an instrument is, or None when there is no such one."""
    chain = api.market.chain("USDC" if name.startswith("BTC_USDC") else "BTC")
    if name in chain.row:
        return chain, chain.row[name]
    listed = futures.futures(api.market, chain.currency)
    return next((future for future in listed if future.name == name), None)


def quote(api: Api, words: list[str]) -> Source | None:
    """Return ``quote.{instrument}``."""
    if len(words) != 1 or row(api, words[0]) is None:
        return None
    last: list[Any] = [None]

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        found = row(api, words[0])
        if found is None:
            return
        body = _quote_of(found)
        if last[0] != body | {"timestamp": 0}:
            yield body
        last[0] = body | {"timestamp": 0}

    return send


def _quote_of(found: tuple[Chain, int] | futures.Future) -> dict[str, Any]:
    if isinstance(found, futures.Future):
        return futures.quote(found)
    return bodies.quote(*found)


def book(api: Api, words: list[str]) -> Source | None:
    """Return ``book.{instrument}.none.{depth}.{interval}``; other books are not served here."""
    is_window = len(words) == 4 and words[1] == "none" and words[2] in _DEPTHS
    if not is_window or words[3] not in INTERVALS or row(api, words[0]) is None:
        return None
    name, depth, fresh = words[0], int(words[2]), Fresh()

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        found = row(api, name) if fresh(now) else None
        if found is None:
            return
        if isinstance(found, futures.Future):
            yield bodies.window_book(name, found.at, *futures.book_levels(found, depth))
        else:
            chain, i = found
            yield bodies.window_book(name, chain.at, *bodies.option_levels(chain, i, depth))

    return send


def marks(api: Api, words: list[str]) -> Source | None:
    """Return ``markprice.options.{index}``: vols are decimals here."""
    if len(words) != 1 or words[0] not in INDEX_NAMES:
        return None
    currency = "BTC" if words[0] == "btc_usd" else "USDC"
    fresh = Fresh()
    shown: dict[str, tuple[float, float]] = {}

    def send(_: datetime, now: datetime) -> Iterator[Any]:
        if not fresh(now):
            return
        chain = api.market.chain(currency)
        stamp, batch = bodies.milliseconds(chain.at), []
        rounded = np.round(chain.mark, 4).tolist()
        for name, mark, vol in zip(chain.name, rounded, chain.vol.tolist(), strict=True):
            if shown.get(name) != (mark, vol):  # a batch holds what changed, not the chain
                shown[name] = (mark, vol)
                batch.append(
                    {
                        "timestamp": stamp,
                        "iv": round(vol, 4),
                        "instrument_name": name,
                        "mark_price": mark,
                    }
                )
        if batch:
            yield batch

    return send

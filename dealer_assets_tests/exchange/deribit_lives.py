"""When Deribit's instruments come and go: listing at 00:00 UTC, expiry at 08:00 UTC.

Belongs here: the changes of state between two instants. Does not belong here: the states
themselves (`deribit_market`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dealer_assets_tests.exchange import deribit_futures as futures
from dealer_assets_tests.exchange.deribit_bodies import Body, milliseconds, option_instrument
from dealer_assets_tests.exchange.deribit_chain import STATES, day_start
from dealer_assets_tests.exchange.deribit_market import DeribitMarket

_ONE_SECOND = timedelta(seconds=1)
_MOST_DAYS = 3


class _Lives:
    """Instruments of a kind and currency; ``any`` is all."""

    def __init__(self, market: DeribitMarket, kind: str, currency: str) -> None:
        self._market = market
        self._options, self._futures = kind in ("option", "any"), kind in ("future", "any")
        self._currencies = [c for c in ("BTC", "USDC") if currency in (c, "any")]

    def _listed(self, at: datetime) -> dict[str, Body]:
        """Instruments that exist at an instant."""
        found: dict[str, Body] = {}
        for currency in self._currencies:
            if self._options:
                chain = self._market.chain(currency, at)
                rows = (option_instrument(chain, i) for i in range(len(chain.name)))
                found |= {row["instrument_name"]: row for row in rows}
            if self._futures:
                rows = (futures.instrument(f) for f in futures.futures(self._market, currency, at))
                found |= {row["instrument_name"]: row for row in rows}
        return found

    def _new(self, since: datetime, now: datetime) -> Iterator[tuple[datetime, Body]]:
        """Instruments listed in (since, now]."""
        for midnight in _days(since, now):
            if since < midnight <= now:
                before = self._listed(midnight - _ONE_SECOND)
                for name, row in self._listed(midnight).items():
                    if name not in before:
                        yield midnight, row


class Creations(_Lives):
    """Data of ``instrument.creation``: the whole instrument, once."""

    def between(self, since: datetime, now: datetime) -> Iterator[Any]:
        """Yield what was listed in (since, now]."""
        for _, row in self._new(since, now):
            yield row


class States(_Lives):
    """Data of ``instrument.state``."""

    def between(self, since: datetime, now: datetime) -> Iterator[Any]:
        """Yield the changes in (since, now]."""
        for at, row in self._new(since, now):
            yield _state(at, "open", row["instrument_name"])
        for midnight in _days(since, now):
            expiry = midnight + timedelta(hours=8)
            stamp = milliseconds(expiry)
            for after, state in STATES[1:]:
                at = expiry + timedelta(seconds=after)
                if since < at <= now:
                    for name, row in self._listed(expiry + _ONE_SECOND).items():
                        if row["expiration_timestamp"] == stamp:
                            yield _state(at, state, name)


def _state(at: datetime, state: str, name: str) -> Body:
    return {"timestamp": milliseconds(at), "state": state, "instrument_name": name}


def _days(since: datetime, now: datetime) -> list[datetime]:
    """Return midnights of the days that touch (since, now], the newest few of very many."""
    first, last = since.astimezone(UTC).date(), now.astimezone(UTC).date()
    count = min((last - first).days, _MOST_DAYS)
    return [day_start(last - timedelta(days=count - i)) for i in range(count + 1)]

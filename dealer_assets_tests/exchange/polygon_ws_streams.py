"""Polygon's streams by session: made once, in a thread of their own, for all connections.

Belongs here: which stream a subscription needs, and when it is there. Does not belong here: what
is in it (`polygon_ws_events`). Until a stream is made nothing is due; waiting loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from dealer_assets.domain import sessions
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.errors import DealerError
from dealer_assets.underlyings import REGISTRY, underlying, underlying_of_root
from dealer_assets_tests.exchange import polygon_ws_events as events
from dealer_assets_tests.exchange.polygon_ws_events import Stream, Tape
from dealer_assets_tests.exchange.world import World

INDICES = tuple(entry.symbol for entry in REGISTRY if entry.kind == "index")
_MOST_STREAMS = 256


@lru_cache(maxsize=100_000)
def underlying_of(ticker: str) -> str | None:
    """Return the underlying of ``O:...``, or None for what is no listed option."""
    try:
        return underlying_of_root(parse_osi(ticker).root).symbol if ticker[:2] == "O:" else None
    except DealerError:
        return None


class Streams:
    """The streams of a world, by session; made once for all connections."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="polygon-streams")
        self._tape = lru_cache(maxsize=4)(self._read)  # trades and bars are of the same prints
        self._made: dict[tuple[Any, ...], Future[Stream | None]] = {}

    def session(self, symbol: str, at: datetime) -> date:
        """Return the session of an underlying that an instant belongs to."""
        return sessions.session_of(underlying(symbol).calendar, at)

    def get(
        self, channel: str, symbol: str, day: date, contracts: Sequence[str] = ()
    ) -> Future[Stream | None]:
        """Return a stream, perhaps still in the making; its result is None where nothing is sent.

        Parameters
        ----------
        channel : str
            ``T``, ``Q``, ``A`` or ``AM`` of options; ``V``, ``IA`` or ``IAM`` of an index.
        symbol : str
            Underlying.
        day : datetime.date
            Session.
        contracts : sequence of str
            Polygon's tickers, for ``Q``.
        """
        key = (channel, symbol, day, tuple(contracts))
        if key not in self._made:
            self._made[key] = self._pool.submit(self._make, *key)
            while len(self._made) > _MOST_STREAMS:
                del self._made[next(iter(self._made))]
        return self._made[key]

    def _make(
        self, channel: str, symbol: str, day: date, contracts: tuple[str, ...]
    ) -> Stream | None:
        if channel == "V":
            return events.index_values(self._world, symbol, day)
        if channel in ("IA", "IAM"):
            return events.index_bars(self._world, symbol, day, channel[1:])
        market = self._world.market
        assert market is not None
        needed = "quotes" if channel == "Q" else "trades"
        if needed not in market.capabilities:
            return None
        entry = underlying(symbol)
        if channel == "Q":
            names = sorted(contract.removeprefix("O:") for contract in contracts)
            return events.quotes(market.quotes(entry, session_date=day, symbols=names).rows)
        tape = self._tape(symbol, day)
        return events.trades(tape) if channel == "T" else events.bars(tape, channel)

    def _read(self, symbol: str, day: date) -> Tape:
        assert self._world.market is not None
        return events.tape_of(self._world.market.trades(underlying(symbol), session_date=day).rows)


def instant(at_us: int) -> datetime:
    """Return an instant from microseconds."""
    return datetime.fromtimestamp(at_us / 1e6, UTC)

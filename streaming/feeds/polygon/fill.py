"""Polygon's trades of a gap, over REST.

Belongs here: which contracts to ask for, their trades as events. Does not belong here: the
comparison with the log (`backfill`), requests and pages (`dealer_assets.providers.polygon`).

The vendor has trades contract by contract only. Which contracts traded is told by the chain's
snapshot: the last trade is not older than the gap, or the day's volume is not the book's (a late
print may have an old time, a print and its cancel leave the volume as it was). A snapshot older
than the gap's end does not tell, and the answer says so. A delayed plan's socket is late by as much
as its REST, so a gap there is of an earlier time of the venue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Ints
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.errors import BadInputError, DealerError, ProviderError
from dealer_assets.underlyings import Underlying
from streaming.core.book import Book
from streaming.core.events import (
    FIRST_CONDITION,
    OTHER_CONDITION,
    TRADE,
    Events,
    concatenated,
    no_events,
)
from streaming.core.listing import Listing
from streaming.feeds.backfill import (
    MARGIN_US,
    Filled,
    are_new,
    asked_from,
    logged,
    nothing_filled,
    prints_of,
)
from streaming.feeds.base import Gap
from streaming.feeds.polygon.scan import LARGEST, LARGEST_EXCHANGE

if TYPE_CHECKING:  # 0.3 s, and only a gap needs it
    from dealer_assets.providers.polygon.pages import Listing as Listed
    from dealer_assets.providers.polygon.provider import PolygonProvider
    from dealer_assets.providers.polygon.reference import Reference

PAGE_ROWS = 50_000
_MS_US, _US_NS = 1000, 1000
_CHANNEL = "options"
_NAMED = 3
_STILL = np.timedelta64(60, "s")
"""Before the end of quoting the last quote of a whole chain is not older."""


class PolygonFiller:
    """Fetches the trades that a gap of the options socket has missed.

    Parameters
    ----------
    provider : PolygonProvider
        Whom to ask.
    listing : Listing
        Of the desk.
    now_us : callable
        The process's clock [us since 1970].
    margin_us : int
        How far beyond the gap is asked.
    behind : datetime.timedelta, optional
        How late the socket is: a gap there is of so much earlier a time of the venue. As late as
        the provider by default.
    """

    def __init__(
        self,
        provider: PolygonProvider,
        listing: Listing,
        *,
        now_us: Callable[[], int],
        margin_us: int = MARGIN_US,
        behind: timedelta | None = None,
    ) -> None:
        self._provider = provider
        self._listing = listing
        self._now_us = now_us
        self._margin_us = margin_us
        self._behind = provider.delay if behind is None else behind

    def fill(self, gap: Gap, book: Book) -> Filled:
        """Fetch the trades of a gap and return those that the log lacks; see `Filler.fill`.

        Of a gap on another channel than the options' there is nothing to fetch: values of an index
        that were missed are of no use any more.
        """
        if gap.channel != _CHANNEL:
            return Filled(no_events(), 0, True, "values are not fetched afterwards")
        behind_us = self._behind // timedelta(microseconds=1)
        until = gap.until_us - behind_us
        first = asked_from(gap, book, margin_us=self._margin_us, behind=self._behind)
        end = (until + self._margin_us) // _MS_US * _MS_US
        try:
            asked = self._traded(book, first, until)
            fetched, doubts = self._fetch(asked.symbols, first, end)
        except DealerError as error:
            return nothing_filled(str(error))
        known = logged(book.log, first, end)
        new = are_new(prints_of(fetched), known)
        events = fetched.take(new)
        events.received_us[:] = self._now_us()
        told = [*asked.doubts, *doubts]
        return Filled(
            events,
            known=int((~new).sum()),
            complete=not told,
            detail="; ".join(told),
            unlisted=asked.unlisted,
        )

    def _traded(self, book: Book, first_us: int, until_us: int) -> _Asked:
        """Return the contracts that may have traded in a stretch of time."""
        from dealer_assets.providers.polygon.chain import CHAIN_ROW
        from dealer_assets.providers.polygon.fields import joined
        from dealer_assets.providers.polygon.snapshots import PAGES_MISSING, fetch_chain

        symbols: list[str] = []
        unlisted: list[str] = []
        doubts: list[str] = []
        for lane in self._listing.lanes:
            reference = _reference(self._listing, lane)
            fetched = fetch_chain(self._provider.client, lane, reference)
            doubts += [text for code, text in fetched.notes if code == PAGES_MISSING]
            rows, _ = joined(fetched.pages, CHAIN_ROW)
            session = self._listing.sessions[lane.symbol]
            doubts += _doubts(rows, lane, session, until_us)
            names, may_have = _recent(rows, self._listing, book, first_us, session)
            for name in names[may_have].tolist():
                if self._listing.index_of(name) >= 0:
                    symbols.append(name)
                elif _is_ours(name, lane):
                    unlisted.append(name)
        if unlisted:
            doubts.append(f"{len(unlisted)} contracts that traded were not listed: {unlisted[0]}")
        return _Asked(symbols, doubts, tuple(unlisted))

    def _fetch(
        self, symbols: Sequence[str], first_us: int, end_us: int
    ) -> tuple[Events, list[str]]:
        """Return the trades of contracts in a stretch of time, and what is amiss."""
        client = self._provider.client
        results = client.run([partial(self._ask, s, first_us, end_us) for s in symbols])
        batches: list[Events] = []
        doubts: list[str] = []
        for symbol, result in zip(symbols, results, strict=True):
            if result is None or isinstance(result, ProviderError):
                doubts.append(f"{symbol}: {result or 'not begun, the vendor does not answer'}")
                continue
            if result.failure is not None:
                doubts.append(f"{symbol}: {result.failure}")
            events, bad = _trades(result, self._listing.index_of(symbol))
            batches.append(events)
            if bad:
                doubts.append(f"{symbol}: {bad} trades that cannot be believed")
        events = concatenated(batches)
        events = events.take((events.event_us >= first_us) & (events.event_us < end_us))
        return events.take(np.argsort(events.event_us, kind="stable")), _few(doubts)

    def _ask(self, symbol: str, first_us: int, end_us: int) -> Listed:
        from dealer_assets.providers.polygon.client import Ask
        from dealer_assets.providers.polygon.pages import fetch_listing
        from dealer_assets.providers.polygon.ticks import TRADE_ROW

        kwargs = {
            "timestamp_gte": first_us * _US_NS,
            "timestamp_lt": end_us * _US_NS,
            "order": "asc",
            "sort": "timestamp",
            "limit": PAGE_ROWS,
        }
        question = Ask(f"trades of {symbol} in a gap", "list_trades", (f"O:{symbol}",), kwargs)
        return fetch_listing(self._provider.client, question, TRADE_ROW)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Contracts that may have traded, what is amiss, and those that the listing lacks."""

    symbols: list[str]
    doubts: list[str]
    unlisted: tuple[str, ...]


def _reference(listing: Listing, lane: Underlying) -> Reference:
    """Return what the listing has of a lane, as the provider's chain wants it."""
    from dealer_assets.providers.polygon.reference import Reference

    number = listing.lanes.index(lane)
    days = listing.expiry_day[listing.lane == number].astype("datetime64[D]")
    return Reference(
        listing.sessions[lane.symbol],
        frozenset(),
        dict(sorted(Counter(days.tolist()).items())),
    )


def _doubts(rows: pa.StructArray, lane: Underlying, session: date, until_us: int) -> list[str]:
    """Return why a chain does not tell all contracts that traded until an instant."""
    from dealer_assets.domain.sessions import quotes_end
    from dealer_assets.providers.polygon.fields import instants, naive, numbers

    traded_at = instants(rows, "last_trade", "sip_timestamp")
    if np.isnat(traded_at).all() and not (numbers(rows, "day", "volume") > 0).any():
        return [f"the chain of {lane.symbol} tells neither last trades nor volume"]
    stamps = np.concatenate([traded_at, instants(rows, "last_quote", "last_updated")])
    newest = stamps[~np.isnat(stamps)].max() if not np.isnat(stamps).all() else None
    needed = min(np.datetime64(until_us, "us"), naive(quotes_end(lane.calendar, session)) - _STILL)
    if newest is not None and newest < needed:
        return [f"the chain of {lane.symbol} is of {newest} UTC, before the gap's end: ask later"]
    return []


def _recent(
    rows: pa.StructArray, listing: Listing, book: Book, first_us: int, session: date
) -> tuple[NDArray[np.object_], Bools]:
    """Return the contracts of a chain, and which may have traded since an instant."""
    from dealer_assets.domain.sessions import NEW_YORK
    from dealer_assets.providers.polygon.fields import (
        bare_symbols,
        instants,
        naive,
        numbers,
        texts,
    )

    names = np.array(bare_symbols(texts(rows, "details", "ticker")).to_pylist(), object)
    places = np.array([listing.index_of(name) for name in names], np.int64)
    seen = np.zeros(names.size)
    has = (places >= 0) & (places < book.volume.size)
    seen[has] = book.volume[places[has]]
    lately = instants(rows, "last_trade", "sip_timestamp") >= np.datetime64(first_us, "us")
    midnight = naive(datetime.combine(session, time(0), NEW_YORK))
    is_carried_over = instants(rows, "day", "last_updated") < midnight
    volume = numbers(rows, "day", "volume")
    return names, lately | ((volume > 0) & (volume != seen) & ~is_carried_over)


def _is_ours(name: str, lane: Underlying) -> bool:
    try:
        return lane.root(parse_osi(name).root) is not None
    except BadInputError:
        return False


def _trades(found: Listed, contract: int) -> tuple[Events, int]:
    """Return the rows of a contract as events, and how many cannot be believed."""
    from dealer_assets.providers.polygon.fields import instants, joined, numbers
    from dealer_assets.providers.polygon.ticks import TRADE_ROW

    rows, damaged = joined(found.pages, TRADE_ROW)
    at = instants(rows, "sip_timestamp")
    price, size = numbers(rows, "price"), numbers(rows, "size")
    good = ~damaged & ~np.isnat(at) & (price >= 0) & (price <= LARGEST) & (size > 0)
    good &= size <= LARGEST
    exchange = pc.fill_null(pc.struct_field(rows, ["exchange"]), -1).to_numpy(zero_copy_only=False)
    events = no_events(len(rows))
    events.kind[:] = TRADE
    events.contract[:] = contract
    events.event_us[:] = at.astype(np.int64)
    events.a[:] = price
    events.size_a[:] = size
    events.exchange[:] = np.where((exchange >= 0) & (exchange <= LARGEST_EXCHANGE), exchange, -1)
    events.conditions[:] = _condition_bits(pc.struct_field(rows, ["conditions"]))
    events.is_backfill[:] = True
    return events.take(good), int((~good).sum())


def _condition_bits(codes: pa.ListArray) -> Ints:
    """Return lists of codes as bits of `Events.conditions`; 0 where there are none."""
    found = np.zeros(len(codes), np.int64)
    rows = pc.list_parent_indices(codes).to_numpy(zero_copy_only=False)
    values = pc.list_flatten(codes)
    place = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    place -= FIRST_CONDITION
    inside = (place >= 0) & (place < 50)
    bits = np.where(inside, np.int64(1) << np.clip(place, 0, 49), OTHER_CONDITION)
    np.bitwise_or.at(found, rows, bits)
    return found


def _few(doubts: list[str]) -> list[str]:
    """Return a few doubts for many."""
    more = [f"and {len(doubts) - _NAMED} more contracts"] if len(doubts) > _NAMED else []
    return doubts[:_NAMED] + more

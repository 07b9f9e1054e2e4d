"""Deribit's trades of a gap, over REST.

Belongs here: asking the tape and handing its rows to the decoder. Does not belong here: pages and
hosts (`dealer_assets.providers.deribit.tape`), units (`events`), the comparison with the
log (`backfill`).

A row of the tape has the fields of a notification, so it is decoded as one: a trade fetched is the
same trade as one received. The main host answers for 24 hours, then with silence; the tape turns to
the history host for what is older, and says what it could not prove.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from dealer_assets.errors import DealerError
from streaming.core.book import Book
from streaming.core.events import TRADE, Frame, no_events
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
from streaming.feeds.deribit.decode import FEED, DeribitDecoder

if TYPE_CHECKING:  # 80 ms, and only a gap needs it
    from dealer_assets.providers.deribit.client import DeribitApi

_MS_US = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeribitFiller:
    """Fetches the trades that a gap has missed.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    listing : Listing
        Of the desk.
    now_us : callable
        The process's clock [us since 1970].
    margin_us : int
        How far beyond the gap is asked.
    """

    def __init__(
        self,
        api: DeribitApi,
        listing: Listing,
        *,
        now_us: Callable[[], int],
        margin_us: int = MARGIN_US,
    ) -> None:
        self._api = api
        self._listing = listing
        self._now_us = now_us
        self._margin_us = margin_us

    def fill(self, gap: Gap, book: Book) -> Filled:
        """Fetch the trades of a gap and return those that the log lacks; see `Filler.fill`."""
        first = asked_from(gap, book, margin_us=self._margin_us)
        end = (gap.until_us + self._margin_us) // _MS_US * _MS_US
        try:
            rows, doubts = self._rows(first, end)
        except DealerError as error:
            return nothing_filled(str(error))
        now_us = self._now_us()
        decoded = DeribitDecoder(self._listing).decode([_as_received(rows, now_us)])
        doubts += [f"{r.messages} trades refused ({r.reason}): {r.sample}" for r in decoded.rejects]
        if decoded.unlisted:
            few = f"{len(decoded.unlisted)} contracts that traded were not listed"
            doubts.append(f"{few}: {decoded.unlisted[0]}")
        events = decoded.events.take(decoded.events.kind == TRADE)
        events = events.take((events.event_us >= first) & (events.event_us < end))
        events = events.take(np.argsort(events.event_us, kind="stable"))
        events.is_backfill[:] = True
        new = are_new(prints_of(events), logged(book.log, 0, np.iinfo(np.int64).max))
        return Filled(
            events.take(new) if len(events) else no_events(),
            known=int((~new).sum()),
            complete=not doubts,
            detail="; ".join(doubts),
            unlisted=decoded.unlisted,
        )

    def _rows(self, first_us: int, end_us: int) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the tape of all currencies, and what is missing of it."""
        from dealer_assets.providers.deribit.families import families_of
        from dealer_assets.providers.deribit.tape import Tape

        rows: list[dict[str, Any]] = []
        doubts: list[str] = []
        lanes = [lane for lane in self._listing.lanes if FEED in lane.vendor_symbols]
        for currency in dict.fromkeys(f.currency for lane in lanes for f in families_of(lane)):
            tape = Tape(self._api, currency=currency, clock=self._clock, keep=None)
            taken = tape.read(_instant(first_us), _instant(end_us))
            rows += taken.trades.values()
            if not taken.is_whole:
                doubts += [finding.text for finding in taken.findings]
            if taken.unusable:
                doubts.append(f"{len(taken.unusable)} trades without number or time")
        return rows, doubts

    def _clock(self) -> datetime:
        return _instant(self._now_us())


def _instant(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _as_received(rows: list[dict[str, Any]], now_us: int) -> Frame:
    params = {"channel": "trades.option.any.100ms", "data": rows}
    message = {"jsonrpc": "2.0", "method": "subscription", "params": params}
    payload = json.dumps(message, separators=(",", ":")).encode()
    return Frame(FEED, "fill", now_us, payload)

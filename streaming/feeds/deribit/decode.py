"""Deribit's frames to events.

Belongs here: telling messages apart, reading them, counting what cannot be used. Does not belong
here: units and judgement of numbers (`events`), shapes (`messages`), replies that
only the session waits for (`session`).

Neither event nor reject: replies and heartbeats, channels without a table of ours (platform state,
volatility index, delivery price), and instruments of other roots, futures and combinations. Legs of
combinations are trades of their options; packages are left out, so nothing counts twice.

One reply does become events: rows of the book summary, which the feed asks for, are the only quotes
of contracts whose ticker is not followed. Their sizes are NaN: not told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from streaming.core.events import Decoded, Frame, Reject
from streaming.core.listing import Listing
from streaming.feeds.deribit.events import Batch, Spot
from streaming.feeds.deribit.messages import (
    UNREADABLE,
    Envelope,
    IndexPrice,
    Life,
    Mark,
    Notification,
    Params,
    Summary,
    Ticker,
    Trade,
    is_option,
    reason_of,
    sample_of,
)

FEED = "deribit"

_UNLISTED, _FOREIGN, _OTHER, _GARBLED = -1, -2, -3, -4
"""Instead of a row: an option of our roots; another root; a future or combination of ours; what
ends like an option of ours and is none."""

_MOST_NAMES = 100_000

_CHANNEL = b'"channel":"'
_HEAD = 7
"""Bytes of a channel that tell the kinds below apart."""

_ticker = msgspec.json.Decoder(Notification[Ticker])
_trades = msgspec.json.Decoder(Notification[list[Trade]])
_marks = msgspec.json.Decoder(Notification[list[Mark]])
_index = msgspec.json.Decoder(Notification[IndexPrice])
_life = msgspec.json.Decoder(Notification[Life])
_envelope = msgspec.json.Decoder(Envelope)
_any = msgspec.json.Decoder(Params[msgspec.Raw])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_one_trade = msgspec.json.Decoder(Trade)
_one_mark = msgspec.json.Decoder(Mark)
_one_summary = msgspec.json.Decoder(Summary)

_UNUSED = ("platform_state", "deribit_volatility_index.", "estimated_expiration_price.")


@dataclass(slots=True)
class _Refused:
    """Messages of one reason."""

    messages: int
    sample: str
    received_us: int


@dataclass(slots=True)
class _Work:
    """One call of `decode`."""

    frames: Sequence[Frame]
    batch: Batch
    refused: dict[str, _Refused] = field(default_factory=dict)
    unlisted: dict[str, None] = field(default_factory=dict)
    place: int = 0
    """Of the frame at hand."""
    order: int = 0
    """Items so far."""
    is_used: bool = False
    """Something was made of the frame at hand, were it a reject."""

    def refuse(self, reason: str, places: Sequence[int]) -> None:
        """Count messages that cannot be used."""
        self.is_used = True
        for place in places:
            frame = self.frames[place]
            known = self.refused.get(reason)
            if known is None:
                sample = sample_of(frame.payload)
                self.refused[reason] = _Refused(1, sample, frame.received_us)
            else:
                known.messages += 1
                known.received_us = max(known.received_us, frame.received_us)


class DeribitDecoder:
    """Decodes frames of Deribit.

    Parameters
    ----------
    listing : Listing
        Its lanes say which roots are ours.
    cross_check : bool
        Also make SPOT events of the index printed with tickers and trades, and of the marks of
        perpetual and futures. Only for readers that send them through `IndexCheck`: futures are no
        spot.
    """

    def __init__(self, listing: Listing, *, cross_check: bool = False) -> None:
        from dealer_assets.providers.deribit.families import families_of

        self._listing, self._cross_check = listing, cross_check
        mine = [
            (number, family)
            for number, lane in enumerate(listing.lanes)
            if FEED in lane.vendor_symbols
            for family in families_of(lane)
        ]
        self._lane_of_root = {family.root.symbol: number for number, family in mine}
        self._inverse_roots = {f.root.symbol for _, f in mine if f.is_inverse}
        self._lane_of_index = {f.index_name: number for number, f in mine if f.is_inverse}
        self._rows: dict[str, int] = {}
        self._is_inverse = np.zeros(0, np.bool_)
        self._version = -1
        self._kinds: dict[bytes, Callable[[_Work, bytes], None]] = {
            b"ticker.": self._read_ticker,
            b"trades.": self._read_trades,
            b"markpri": self._read_marks,
        }

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """Decode frames in order; never raises on what is in them."""
        self._look_up()
        received = np.array([frame.received_us for frame in frames], np.int64)
        work = _Work(frames, Batch(received, self._is_inverse, self._listing.multiplier, _nothing))
        work.batch.refuse = work.refuse
        messages = passed_over = 0
        for work.place, frame in enumerate(frames):
            payload = frame.payload
            if not payload:
                continue
            messages += 1
            work.is_used = False
            try:
                at = payload.find(_CHANNEL)
                head = payload[at + len(_CHANNEL) : at + len(_CHANNEL) + _HEAD] if at >= 0 else b""
                self._kinds.get(head, self._read_any)(work, payload)
            except UNREADABLE as error:
                work.refuse(reason_of(error), [work.place])
            passed_over += not work.is_used
        return Decoded(
            events=work.batch.events(),
            rejects=tuple(
                Reject(FEED, reason, one.messages, one.sample, one.received_us)
                for reason, one in sorted(work.refused.items())
            ),
            unlisted=tuple(work.unlisted),
            messages=messages,
            passed_over=passed_over,
        )

    # names

    def _look_up(self) -> None:
        """Take over what the listing has grown by."""
        if self._version == self._listing.version:
            return
        symbols = self._listing.symbols
        roots = [symbol.partition("-")[0] for symbol in symbols]
        self._is_inverse = np.array([root in self._inverse_roots for root in roots], np.bool_)
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}
        self._version = self._listing.version

    def _row(self, work: _Work, name: str) -> int:
        """Return the row of an instrument that is looked up; negative: see `_UNLISTED`."""
        row = self._rows.get(name)
        if row is None:
            row = self._judge(name)
            if len(self._rows) < _MOST_NAMES:
                self._rows[name] = row
        if row >= 0:
            work.is_used = True
        elif row == _UNLISTED:
            work.is_used = True
            work.unlisted[name] = None
        elif row == _GARBLED:
            work.refuse("unknown_symbol", [work.place])
        return row

    def _judge(self, name: str) -> int:
        if name.partition("-")[0] not in self._lane_of_root:
            return _FOREIGN
        if is_option(name):
            return _UNLISTED
        return _GARBLED if name.endswith(("-C", "-P")) else _OTHER

    # channels that come often

    def _read_ticker(self, work: _Work, payload: bytes) -> None:
        self._take_ticker(work, _ticker.decode(payload).params.data)

    def _take_ticker(self, work: _Work, ticker: Ticker) -> None:
        row = self._row(work, ticker.instrument_name)
        work.order += 1
        if row >= 0:
            work.batch.tickers.add(ticker, row, work.place, work.order)
        if self._cross_check and row != _FOREIGN:
            self._check_spot(work, ticker, row)

    def _check_spot(self, work: _Work, ticker: Ticker | Trade, row: int) -> None:
        root, _, rest = ticker.instrument_name.partition("-")
        if root not in self._inverse_roots:
            return  # of another index
        if row != _OTHER:
            source = "ticker_index" if isinstance(ticker, Ticker) else "trade_index"
            price = ticker.index_price
        else:
            source = "perpetual" if rest == "PERPETUAL" else "future"
            price = ticker.mark_price if "-" not in rest and isinstance(ticker, Ticker) else None
        if price is not None:
            spot = Spot(ticker.timestamp, price, source)
            work.is_used = True
            work.batch.spots.add(spot, self._lane_of_root[root], work.place, work.order)

    def _read_trades(self, work: _Work, payload: bytes) -> None:
        try:
            trades = _trades.decode(payload).params.data
        except msgspec.ValidationError:
            trades = _each(work, _params(payload).data, _one_trade)
        add = work.batch.trades.add
        for trade in trades:
            row = self._row(work, trade.instrument_name)
            work.order += 1
            if row >= 0:
                add(trade, row, work.place, work.order)
                if self._cross_check:
                    self._check_spot(work, trade, row)

    def _read_marks(self, work: _Work, payload: bytes) -> None:
        try:
            marks = _marks.decode(payload).params.data
        except msgspec.ValidationError:
            marks = _each(work, _params(payload).data, _one_mark)
        add = work.batch.marks.add
        for mark in marks:
            row = self._row(work, mark.instrument_name)
            work.order += 1
            if row >= 0:
                add(mark, row, work.place, work.order)

    # all others

    def _read_any(self, work: _Work, payload: bytes) -> None:
        message = _envelope.decode(payload)
        if message.method == "subscription":
            self._read_channel(work, payload, _params(payload).channel)
        elif bytes(message.result):
            self._read_summary(work, bytes(message.result))
        elif message.method != "heartbeat" and message.error is None:
            work.refuse("unknown_event", [work.place])

    def _read_channel(self, work: _Work, payload: bytes, channel: str) -> None:
        kind = self._kinds.get(channel[:_HEAD].encode())
        if kind is not None:  # written with other blanks or in another order
            kind(work, payload)
        elif channel.startswith("deribit_price_index."):
            self._take_index(work, _index.decode(payload).params.data)
        elif channel.startswith(("instrument.state.", "instrument.creation.")):
            life = _life.decode(payload).params.data
            if life.state == "open":
                self._row(work, life.instrument_name)
        elif not channel.startswith(_UNUSED):
            work.refuse("unknown_event", [work.place])

    def _take_index(self, work: _Work, index: IndexPrice) -> None:
        lane = self._lane_of_index.get(index.index_name)
        work.order += 1
        if lane is not None:
            spot = Spot(index.timestamp, index.price, "price_index")
            work.is_used = True
            work.batch.spots.add(spot, lane, work.place, work.order)

    def _read_summary(self, work: _Work, result: bytes) -> None:
        """Read the rows of a book summary; all other results are of no interest here."""
        if not result.startswith(b"[{") or b'"open_interest"' not in result[:2000]:
            return
        for row in _each(work, msgspec.Raw(result), _one_summary):
            self._take_ticker(work, row.ticker())


def _nothing(reason: str, places: Sequence[int]) -> None:
    """Stand in until the work exists that counts."""


def _params(payload: bytes) -> Params[msgspec.Raw]:
    params = _envelope.decode(payload).params
    if not bytes(params):
        raise msgspec.ValidationError("Object missing required field `params`")
    return _any.decode(params)


def _each(work: _Work, raw: msgspec.Raw, decoder: msgspec.json.Decoder[Any]) -> list[Any]:
    """Read the elements of an array one by one, so that a bad one costs no other."""
    found = []
    for element in _raws.decode(raw):
        try:
            found.append(decoder.decode(element))
        except UNREADABLE as error:
            work.refuse(reason_of(error), [work.place])
    return found

"""Polygon's frames to events: batches of them, in order, every message accounted for.

Belongs here: joining frames, the order of what fast and exact reader found, counting. Does not
belong here: reading bytes (`scan`), what a message must hold (`exact`), sockets.

What becomes of the vendor's events: ``T`` a TRADE, ``Q`` a QUOTE, ``V`` a SPOT. Bars (``A``,
``AM``) of an underlying are a SPOT too, their close at their end: whoever subscribes to them has no
``V``. Bars of options, ``FMV``, ``LV``, statuses, and whatever is not of the desk's roots and
tickers (``T.*`` brings the whole market) are passed over.

::

    messages = events + messages of rejects + passed over
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streaming.core.events import Decoded, Events, Frame, Reject, concatenated, no_events
from streaming.core.listing import Listing
from streaming.feeds.polygon import exact, scan
from streaming.feeds.polygon.names import names_of

FEED = "polygon"


class PolygonDecoder:
    """Reads the frames of both clusters, options and indices.

    Parameters
    ----------
    listing : Listing
        Of the desk; its growth is noticed.
    """

    def __init__(self, listing: Listing) -> None:
        scan.warm()  # no compiling in the middle of a tick
        self._listing = listing
        self._roots = [
            root.symbol for lane in listing.lanes for root in (*lane.roots, *lane.side_roots)
        ]
        self._tickers = [lane.vendor_symbols.get(FEED, "") for lane in listing.lanes]
        self._judge = exact.Judge(listing.index_of, self._roots, self._tickers)
        self._version = -1
        self._learn()

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """Decode frames in order; never raises on what is in them.

        A message of a contract that the listing lacks is named in ``unlisted`` and counted among
        the rejects (``unlisted``): if the caller could add it, it decodes the frames once more and
        uses the second answer; if not, the count stands.
        """
        if self._version != self._listing.version:
            self._learn()
        if not frames:
            return Decoded(no_events())
        payloads = [frame.payload for frame in frames]
        received = np.fromiter((frame.received_us for frame in frames), np.int64, len(frames))
        scanned = scan.scan(payloads, received, self._names)
        if scanned.is_plain.all():
            return Decoded(
                scanned.events, messages=scanned.messages, passed_over=scanned.passed_over
            )
        return self._with_odd_frames(frames, scanned)

    def _learn(self) -> None:
        """Take note of the listing's symbols."""
        self._version = self._listing.version
        self._names = names_of(self._listing.symbols, self._roots, self._tickers)

    def _with_odd_frames(self, frames: Sequence[Frame], scanned: scan.Scanned) -> Decoded:
        """Read what the scanner left, and put both in order."""
        tally = _Tally(self._judge)
        for place in np.flatnonzero(~scanned.is_plain).tolist():
            tally.read(frames[place], place)
        plain = np.repeat(np.arange(len(frames)), np.diff(scanned.until, prepend=0))
        order = np.argsort(np.concatenate([plain, tally.places]), kind="stable")
        events = concatenated([scanned.events, tally.events()]).take(order)
        return Decoded(
            events,
            rejects=tuple(tally.rejects.values()),
            unlisted=tuple(tally.unlisted),
            messages=scanned.messages + tally.messages,
            passed_over=scanned.passed_over + tally.passed_over,
        )


class _Tally:
    """What the exact reader finds, frame by frame."""

    def __init__(self, judge: exact.Judge) -> None:
        self._judge = judge
        self._rows: list[exact.Row] = []
        self._received: list[int] = []
        self.places: list[int] = []
        self.rejects: dict[str, Reject] = {}
        self.unlisted: dict[str, None] = {}
        self.messages = 0
        self.passed_over = 0

    def events(self) -> Events:
        return exact.events_of(self._rows, self._received)

    def read(self, frame: Frame, place: int) -> None:
        """Judge the messages of the frame at a place in the batch."""
        messages = exact.read_frame(frame.payload)
        if isinstance(messages, exact.Refused):
            self.messages += 1
            self._reject(messages.reason, frame.payload, frame.received_us)
            return
        self.messages += len(messages)
        for message in messages:
            verdict = self._judge.judge(message, frame.received_us)
            if isinstance(verdict, exact.Row):
                self._rows.append(verdict)
                self._received.append(frame.received_us)
                self.places.append(place)
            elif isinstance(verdict, exact.Unlisted):
                self.unlisted[verdict.symbol] = None
                self._reject("unlisted", message, frame.received_us)
            elif isinstance(verdict, exact.Refused):
                self._reject(verdict.reason, message, frame.received_us)
            else:
                self.passed_over += 1

    def _reject(self, reason: str, found: object, received_us: int) -> None:
        before = self.rejects.get(reason)
        count = before.messages if before else 0
        sample = before.sample if before else exact.sample(found)
        self.rejects[reason] = Reject(FEED, reason, count + 1, sample, received_us)

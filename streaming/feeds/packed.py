"""Events as bytes: what the simulator feed sends, and how recordings hold what was backfilled.

Belongs here: one frame's layout and its decoder. Does not belong here: where events come from.

A frame names its contracts and lanes itself, so that it can be read against any listing: a header,
the names as text, then one fixed-size record an event, all little-endian. `received_us` is not in
it: an event is received when its frame is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Ints
from streaming.core.events import SPOT, TYPES, Decoded, Events, Frame, Reject, no_events

if TYPE_CHECKING:
    from streaming.core.listing import Listing

_HEADER = struct.Struct("<4sIIII")
_MAGIC = b"EVT1"
_SEPARATOR = "\n"
_RECORD = np.dtype(
    sorted(
        ((name, kind) for name, kind in TYPES.items() if name != "received_us"),
        key=lambda field: -np.dtype(field[1]).itemsize,
    )
).newbyteorder("<")


def pack(events: Events, symbols: Sequence[str], lanes: Sequence[str]) -> bytes:
    """Write events as one frame's payload.

    Parameters
    ----------
    events : Events
        In order; their `received_us` is not kept.
    symbols : sequence of str
        Names that `Events.contract` counts, e.g. `Listing.symbols`.
    lanes : sequence of str
        Names that `Events.contract` of a `SPOT` counts.
    """
    is_spot = events.kind == SPOT
    records = np.zeros(len(events), _RECORD)
    for name in _RECORD.names or ():
        records[name] = getattr(events, name)
    contracts, place = np.unique(events.contract[~is_spot], return_inverse=True)
    records["contract"][~is_spot] = place
    names = [symbols[i] for i in contracts.tolist()] + list(lanes)
    text = _SEPARATOR.join(names).encode()
    header = _HEADER.pack(_MAGIC, len(events), contracts.size, len(lanes), len(text))
    return b"".join((header, text, records.tobytes()))


@dataclass(frozen=True, slots=True)
class _Opened:
    """One frame taken apart."""

    contracts: list[str]
    lanes: list[str]
    records: bytes
    events: int
    received_us: int


class PackedDecoder:
    """Reads frames that `pack` wrote.

    Parameters
    ----------
    listing : Listing
        Contracts and lanes that names are looked up in; it may grow between calls.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._lanes = {lane.symbol: i for i, lane in enumerate(listing.lanes)}

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """Decode frames in order; one that is damaged is a reject, whole."""
        opened, rejects = [], []
        for frame in frames:
            found = _open(frame)
            if isinstance(found, Reject):
                rejects.append(found)
            elif found is not None:
                opened.append(found)
        if not opened:
            return Decoded(no_events(), tuple(rejects), messages=len(frames))
        records = np.frombuffer(b"".join(one.records for one in opened), _RECORD)
        rows, unlisted = self._rows(opened, records)
        known = rows >= 0
        rejects += self._strangers(opened, records, known)
        events = _events(records, rows, opened)
        if not known.all():
            events = events.take(known)
        return Decoded(events, tuple(rejects), tuple(unlisted), len(frames))

    def _rows(self, opened: list[_Opened], records: NDArray[np.void]) -> tuple[Ints, list[str]]:
        """Return the listing's row (or lane) of every event, -1 where it has none."""
        listing, lanes = self._listing, self._lanes
        found: list[int] = []
        unlisted: dict[str, None] = {}
        starts, lane_starts = [], []
        for one in opened:
            starts.append(len(found))
            for name in one.contracts:
                row = listing.index_of(name)
                if row < 0:
                    unlisted[name] = None
                found.append(row)
            lane_starts.append(len(found))
            found += [lanes.get(name, -1) for name in one.lanes]
        found.append(-1)
        counts = [one.events for one in opened]
        start = np.where(
            records["kind"] == SPOT, np.repeat(lane_starts, counts), np.repeat(starts, counts)
        )
        return np.array(found, np.int64)[start + records["contract"]], list(unlisted)

    def _strangers(
        self, opened: list[_Opened], records: NDArray[np.void], known: NDArray[np.bool_]
    ) -> list[Reject]:
        """Count values of underlyings that this desk does not have."""
        lost = int((~known & (records["kind"] == SPOT)).sum())
        if not lost:
            return []
        feed, at = "packed", opened[-1].received_us
        return [Reject(feed, "unknown_lane", lost, ",".join(opened[-1].lanes)[:200], at)]


def _open(frame: Frame) -> _Opened | Reject | None:
    """Take a frame apart; None for a tick, a reject when it is damaged."""
    payload = frame.payload
    if not payload:
        return None
    problem = "cut off"
    if len(payload) >= _HEADER.size:
        magic, n, contracts, lanes, length = _HEADER.unpack_from(payload)
        body = _HEADER.size + length
        if magic != _MAGIC:
            problem = "not packed events"
        elif len(payload) == body + n * _RECORD.itemsize:
            names = payload[_HEADER.size : body].decode(errors="replace").split(_SEPARATOR)
            records = payload[body:]
            if _counts_fit(records, names, contracts, lanes):
                return _Opened(names[:contracts], names[contracts:], records, n, frame.received_us)
            problem = "an event names no contract"
    sample = f"{problem}: {payload[:40]!r}"[:200]
    return Reject(frame.feed, "bad_packed", 1, sample, frame.received_us)


def _counts_fit(records: bytes, names: list[str], contracts: int, lanes: int) -> bool:
    """Tell whether every event's contract is one of the names."""
    if names == [""]:
        names.clear()
    if len(names) != contracts + lanes:
        return False
    events = np.frombuffer(records, _RECORD)
    most = np.where(events["kind"] == SPOT, lanes, contracts)
    return bool(((events["contract"] >= 0) & (events["contract"] < most)).all())


def _events(records: NDArray[np.void], rows: Ints, opened: list[_Opened]) -> Events:
    received = np.repeat(
        np.array([one.received_us for one in opened], np.int64), [one.events for one in opened]
    )
    columns = {name: np.ascontiguousarray(records[name]) for name in _RECORD.names or ()}
    columns |= {"contract": rows.astype(np.int32), "received_us": received}
    return Events(**columns)

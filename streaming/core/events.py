"""What travels through the process: frames as received, events as decoded, what was refused.

Belongs here: the shapes that feeds, decoders, book and recordings share, and the codes in them.
Does not belong here: any venue's wire format (`feeds`), or what follows from an event (`book`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints

QUOTE, TRADE, SPOT, MARK, OPEN_INTEREST = range(5)
"""Values of `Events.kind`: best bid and offer; a print; the underlying's value; the venue's own
price and vol of a contract; open interest of a contract."""

FIRST_CONDITION = 200
"""Bit i of `Events.conditions` is condition code 200 + i of the US tape, for i < 50."""

BLOCK, COMBO, LIQUIDATION, OTHER_CONDITION = (1 << 50), (1 << 51), (1 << 52), (1 << 53)
"""Bits of `Events.conditions` that other venues use; the last is a US code outside 200 to 249."""


class Frame(NamedTuple):
    """One message as it came off a socket; what recordings hold.

    A tuple, as there is one for every message and a dataclass takes three times as long to make.

    Parameters
    ----------
    feed : str
        Which feed it belongs to, and so which decoder reads it: polygon, deribit, simulator.
    channel : str
        Connection within the feed, e.g. ``options`` or ``indices``.
    received_us : int
        Microseconds since 1970 when it was received; never decreasing within a process.
    payload : bytes
        The message. Empty: nothing came, only time passed (a clock tick).
    """

    feed: str
    channel: str
    received_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """Decoded events in order of arrival; arrays of shape (n,), contiguous.

    Parameters
    ----------
    kind : int8 array
        `QUOTE`, `TRADE`, `SPOT`, `MARK` or `OPEN_INTEREST`.
    contract : int32 array
        Row of the `Listing`; of a `SPOT` the row of its lane in the listing's lanes.
    event_us, received_us : int64 array
        Microseconds since 1970 of the venue and of receipt; the second never decreases.
    a, b : float64 array
        QUOTE: bid and ask [USD], 0 when there is none. TRADE: price [USD], NaN. SPOT: value [USD],
        NaN. MARK: price [USD], vol [decimal]. OPEN_INTEREST: contracts, NaN.
    size_a, size_b : float64 array
        QUOTE: sizes at bid and ask [contracts]. TRADE: size [contracts], index printed with the
        trade [USD] or NaN. Otherwise NaN.
    sequence : int64 array
        Venue's sequence number of the contract; -1 where it tells none.
    number : int64 array
        Venue's own number of a trade; -1 where it tells none.
    exchange : int16 array
        Venue's code of the exchange of a trade, or of the source of a SPOT; -1 where it tells none.
    conditions : int64 array
        Bits of a trade's conditions, see `FIRST_CONDITION`.
    taker : int8 array
        1: the buyer was the aggressor; -1: the seller; 0: not told.
    is_backfill : bool array
        Fetched after a gap instead of received in time.
    """

    kind: NDArray[np.int8]
    contract: NDArray[np.int32]
    event_us: Ints
    received_us: Ints
    a: Floats
    b: Floats
    size_a: Floats
    size_b: Floats
    sequence: Ints
    number: Ints
    exchange: NDArray[np.int16]
    conditions: Ints
    taker: NDArray[np.int8]
    is_backfill: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.kind.size

    def take(self, index: Ints | NDArray[np.bool_] | slice) -> Events:
        """Return chosen events."""
        return Events(*(np.ascontiguousarray(getattr(self, f.name)[index]) for f in fields(self)))


TYPES: dict[str, type[np.generic]] = {
    "kind": np.int8,
    "contract": np.int32,
    "event_us": np.int64,
    "received_us": np.int64,
    "a": np.float64,
    "b": np.float64,
    "size_a": np.float64,
    "size_b": np.float64,
    "sequence": np.int64,
    "number": np.int64,
    "exchange": np.int16,
    "conditions": np.int64,
    "taker": np.int8,
    "is_backfill": np.bool_,
}
"""Type of each array of `Events`, in order."""


def no_events(n: int = 0) -> Events:
    """Return n blank events, to be filled in."""
    blank = {"a": np.nan, "b": np.nan, "size_a": np.nan, "size_b": np.nan}
    blank |= {"contract": -1, "sequence": -1, "number": -1, "exchange": -1}
    return Events(*(np.full(n, blank.get(name, 0), kind) for name, kind in TYPES.items()))


def concatenated(batches: list[Events]) -> Events:
    """Return several batches as one, in order."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return no_events()
    return Events(*(np.concatenate([getattr(b, name) for b in batches]) for name in TYPES))


@dataclass(frozen=True, slots=True)
class Reject:
    """Messages that could not be used.

    Parameters
    ----------
    feed : str
        Feed.
    reason : str
        Code: not_json, not_array, unknown_event, missing_field, bad_number, unknown_symbol, ...
    messages : int
        How many.
    sample : str
        The beginning of one of them, at most 200 characters, credentials struck out.
    received_us : int
        When the last of them was received.
    """

    feed: str
    reason: str
    messages: int
    sample: str
    received_us: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder made of frames.

    Parameters
    ----------
    events : Events
        In order of arrival.
    rejects : tuple of Reject
        What it could not use, by reason.
    unlisted : tuple of str
        Well-formed symbols that the listing does not hold yet; the caller adds them with
        `Listing.add` and decodes the same frames again, so that no trade is lost.
    messages : int
        Messages seen, statuses and rejected ones included.
    passed_over : int
        Of them, those that are no events by design: statuses, channels and underlyings that nobody
        here follows.
    """

    events: Events
    rejects: tuple[Reject, ...] = ()
    unlisted: tuple[str, ...] = ()
    messages: int = 0
    passed_over: int = 0

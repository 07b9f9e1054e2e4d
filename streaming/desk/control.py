"""Frames that the process makes itself, so that a replay sees what the live process saw.

Belongs here: their channels and payloads. Does not belong here: what follows from them
(`pipeline`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from streaming.core.events import Events, Frame
from streaming.core.listing import Listing
from streaming.feeds.base import Gap
from streaming.feeds.packed import pack
from streaming.keeping.heartbeat import GapNote

CONTROL = "desk"
"""Feed of these frames."""

TICK, GAP, FILL, LIST, SEED, CONFLATE = "tick", "gap", "fill", "list", "seed", "conflate"
"""Channels: only time passed; a gap and what became of it; trades fetched after a gap; contracts to
take in; quotes and spots older than now, which never replace newer ones; the mark before frames
whose quotes are to be conflated."""


def tick(now_us: int) -> Frame:
    """Say that time passed."""
    return Frame(CONTROL, TICK, now_us, b"")


def gap_frame(note: GapNote, now_us: int) -> Frame:
    """Say what became of a gap."""
    return Frame(CONTROL, GAP, now_us, json.dumps(asdict(note), sort_keys=True).encode())


def read_gap(payload: bytes) -> GapNote:
    """Read what `gap_frame` wrote."""
    told = json.loads(payload)
    return GapNote(**(told | {"gap": Gap(**told["gap"])}))


def packed_frame(channel: str, events: Events, listing: Listing, now_us: int) -> Frame:
    """Carry events: a backfill (`FILL`) or quotes and spots of a snapshot (`SEED`)."""
    lanes = [lane.symbol for lane in listing.lanes]
    return Frame(CONTROL, channel, now_us, pack(events, listing.symbols, lanes))


def list_frame(symbols: Sequence[str], now_us: int) -> Frame:
    """Say which contracts are to be taken in."""
    return Frame(CONTROL, LIST, now_us, json.dumps(list(symbols)).encode())


def read_list(payload: bytes) -> list[str]:
    """Read what `list_frame` wrote."""
    return [str(symbol) for symbol in json.loads(payload)]


def conflate_mark(frames: int, at_us: int) -> Frame:
    """Say that so many frames after this one are decoded together and their quotes conflated."""
    return Frame(CONTROL, CONFLATE, at_us, str(frames).encode())

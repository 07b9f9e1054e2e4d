"""Frames of Polygon for tests, and the plainest reader of them there is.

The reader shares nothing with the decoder: `json`, one message after the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from dealer_assets.underlyings import underlying
from streaming.core.events import QUOTE, SPOT, TRADE, Events, Frame
from streaming.core.listing import Listing

DAY = date(2025, 12, 18)
NOW_MS = 1_766_070_000_000
NOW_US = NOW_MS * 1000
SYMBOLS = tuple(
    f"{root}{day}{right}{strike * 1000:08d}"
    for root, strikes in (("SPXW", range(6700, 6760, 5)), ("SPX", (6700,)), ("SPY", (670, 675)))
    for day in ("251218", "251219")
    for right in "CP"
    for strike in strikes
)
Row = tuple[Any, ...]


def listing(symbols: Sequence[str] = SYMBOLS) -> Listing:
    lanes = (underlying("SPX"), underlying("SPY"))
    made = Listing(lanes, {lane.symbol: DAY for lane in lanes})
    assert made.add(symbols) == ()
    return made


def frame(messages: Any, received_us: int = NOW_US) -> Frame:
    text = messages if isinstance(messages, bytes) else json.dumps(messages).encode()
    return Frame("polygon", "options", received_us, text)


def trade(symbol: str = SYMBOLS[0], **fields: Any) -> dict[str, Any]:
    body = {"ev": "T", "sym": f"O:{symbol}", "x": 302, "p": 12.35, "s": 4, "c": [227]}
    return body | {"t": NOW_MS, "q": 7} | fields


def quote(symbol: str = SYMBOLS[0], **fields: Any) -> dict[str, Any]:
    body = {"ev": "Q", "sym": f"O:{symbol}", "bx": 302, "ax": 301, "bp": 1.1, "ap": 1.25}
    return body | {"bs": 10, "as": 20, "t": NOW_MS, "q": 8} | fields


def value(**fields: Any) -> dict[str, Any]:
    return {"ev": "V", "val": 6723.41, "T": "I:SPX", "t": NOW_MS} | fields


def rows_of(events: Events) -> list[Row]:
    """Return events as tuples that compare, NaN as None."""
    columns = [getattr(events, name).tolist() for name in events.__slots__]
    return [
        tuple(None if isinstance(v, float) and math.isnan(v) else v for v in row)
        for row in zip(*columns, strict=True)
    ]


def plain_reading(frames: Sequence[Frame], made: Listing) -> tuple[list[Row], int]:
    """Return the events of valid frames as `rows_of` writes them, and messages that are none."""
    rows: list[Row] = []
    others = 0
    for one in frames:
        for message in json.loads(one.payload):
            row = _plain(message, one.received_us, made)
            if row is None:
                others += 1
            else:
                rows.append(row)
    return rows, others


def _plain(m: dict[str, Any], received_us: int, made: Listing) -> Row | None:
    ev = m["ev"]
    if ev in ("T", "Q"):
        row = made.index_of(m["sym"].removeprefix("O:"))
        if row < 0:
            return None
        if ev == "T":
            bits = 0
            for code in m.get("c") or []:
                bits |= 1 << (code - 200) if 200 <= code < 250 else 1 << 53
            return (
                *(TRADE, row, m["t"] * 1000, received_us, float(m["p"]), None, float(m["s"]), None),
                *(m.get("q", -1), -1, m.get("x", -1), bits, 0, False),
            )
        sides = [float(m.get(name) or 0.0) for name in ("bp", "ap")]
        sizes = [None if m.get(name) is None else float(m[name]) for name in ("bs", "as")]
        at = m["t"] * 1000
        return (QUOTE, row, at, received_us, *sides, *sizes, m.get("q", -1), -1, -1, 0, 0, False)
    if ev not in ("V", "A", "AM"):
        return None
    ticker, price, clock = ("T", "val", "t") if ev == "V" else ("sym", "c", "e")
    lane = {"I:SPX": 0, "SPY": 1}.get(m[ticker])
    if lane is None:
        return None
    source = ("V", "A", "AM").index(ev)
    spot = (float(m[price]), None, None, None, -1, -1, source, 0, 0, False)
    return (SPOT, lane, m[clock] * 1000, received_us, *spot)

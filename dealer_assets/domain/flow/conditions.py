"""Conditions of a trade: bits, the kind of print they make it, and their spelling in the lake.

Belongs here: what codes mean for side and volume. Does not belong here: which side it was
(`sides`), how a vendor spells a condition.

Bit i is code 200 + i of the US tape, for i < 50; the bits above are words of other venues.
Source of the codes: the trade conditions that the US option tape's vendors publish
(`docs/methods/trade_sides.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Ints, words
from dealer_assets.tables.live import TRADE_CLASSES

FIRST_CODE, CODES = 200, 50
"""The first code that has a bit of its own, and how many have one."""

WORDS: dict[str, int] = {"block": 50, "combo": 51, "liquidation": 52, "other": 53}
"""Bits by word; ``other`` is a code of the US tape that has no bit."""

CANCELS = (201, 203, 205, 207)
"""Cancelled; last, opening or only print cancelled."""

LATE = (202, 204, 206, 208)
"""Reported late or out of sequence: the quote has moved on since."""

MULTI_LEG = tuple(range(232, 248))
"""Legs of packages, of options alone or with stock, and compressions: prices of the whole."""

OUTSIDE_HOURS = (248,)

_CODE = re.compile(r"\s*(\d+|[a-z]+)\s*")


def bits_of(conditions: Iterable[int | str]) -> int:
    """Return the bits of US codes and of `WORDS`; what is neither is ``other``."""
    bits = 0
    for condition in conditions:
        if isinstance(condition, str):
            place = WORDS.get(condition, WORDS["other"])
        elif FIRST_CODE <= condition < FIRST_CODE + CODES:
            place = condition - FIRST_CODE
        else:
            place = WORDS["other"]
        bits |= 1 << place
    return bits


CLASS_OF_BITS: tuple[tuple[str, int], ...] = (
    ("cancel", bits_of(CANCELS)),
    ("block", bits_of(["block"])),
    ("combo", bits_of(["combo"])),
    ("multi_leg", bits_of(MULTI_LEG)),
    ("late", bits_of(LATE)),
    ("outside_hours", bits_of(OUTSIDE_HOURS)),
)
"""Kind of print by bits; the first that shares a bit with the trade counts, else ``regular``."""

COMPARABLE = ("regular", "outside_hours")
"""Kinds of print whose price is one of the order book, at the moment it is reported."""


def classes_of(bits: Ints) -> NDArray[np.int8]:
    """Return the kind of each print as its place in ``TRADE_CLASSES``, shape (n,)."""
    found = np.full(bits.shape, TRADE_CLASSES.index("regular"), np.int8)
    for name, mask in reversed(CLASS_OF_BITS):
        found[(bits & mask) != 0] = TRADE_CLASSES.index(name)
    return found


def text_of(bits: Ints) -> pa.Array:
    """Spell out conditions, comma-separated; blank where there are none, shape (n,)."""
    distinct, place = np.unique(bits, return_inverse=True)
    return words([_spelt(one) for one in distinct.tolist()], place)


def bits_of_text(conditions: pa.Array | pa.ChunkedArray) -> Ints:
    """Read what `text_of` wrote, shape (n,)."""
    if isinstance(conditions, pa.ChunkedArray):
        conditions = conditions.combine_chunks()
    encoded = conditions.dictionary_encode()
    spelt = [bits_of(_parsed(text)) for text in encoded.dictionary.to_pylist()]
    places: Ints = np.array(spelt, np.int64)[encoded.indices.to_numpy()]
    return places


def _spelt(bits: int) -> str:
    codes = [str(FIRST_CODE + place) for place in range(CODES) if bits >> place & 1]
    codes += [word for word, place in WORDS.items() if bits >> place & 1]
    return ",".join(codes)


def _parsed(text: str) -> list[int | str]:
    return [int(code) if code.isdigit() else code for code in _CODE.findall(text)]

"""Random numbers with an address: any draw of any day without drawing those before it.

Belongs here: counter-based uniform and normal numbers. Does not belong here: what they stand for.
Source: the splitmix64 finaliser (Steele, Lea, Flood 2014), applied to (key, index).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_SECOND_DRAW = 0xD1B54A32D192ED03


def stream_key(*words: str | int) -> int:
    """Return the 64-bit key of a named stream; other words give an unrelated stream."""
    text = "/".join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _scramble(words: Words) -> Words:
    z = words + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def combine(ids: Words, index: NDArray[np.int64] | int) -> Words:
    """Address a draw by two counters, e.g. a contract and a minute; shape as broadcast."""
    counter = np.atleast_1d(np.asarray(index, np.int64)).astype(np.uint64)
    return _scramble(ids ^ _scramble(counter))


def uniform(key: int, index: Words) -> Floats:
    """Return one uniform number in (0, 1) per index, shape (n,)."""
    z = _scramble(_scramble(index) + np.uint64(key & _MASK))
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(key: int, index: Words) -> Floats:
    """Return one standard normal number per index, shape (n,) (Box-Muller)."""
    radius = np.sqrt(-2.0 * np.log(uniform(key, index)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(key ^ _SECOND_DRAW, index)))


def counters(first: int, count: int) -> Words:
    """Return `count` consecutive indices from `first` (not negative)."""
    return np.arange(first, first + count, dtype=np.uint64)

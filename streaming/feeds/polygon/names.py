"""Symbols and tickers of Polygon, looked up as bytes.

Belongs here: the table of names, and what a name that is not in it may be. Does not belong here:
messages (`scan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Ints
from streaming.feeds.json_bytes import (
    LETTERS,
    WORD,
    Bytes,
    are_digits,
    code_of,
    compiled,
    fold,
    inlined,
    peek,
    start_of,
    word_at,
)

UNSURE, PASSED = -1, -2
"""Instead of a row: whether to use it is for the exact reader to say; nobody here follows it."""

_WORDS = 3  # of a symbol
_ROOT, _TAIL = 6, 15  # letters of a root at most; of date, right and strike together
_MIX = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB)


class Names(NamedTuple):
    """What symbols are looked up in.

    Parameters
    ----------
    letters : int64 array, shape (n, 3)
        Symbols of the listing without ``O:``, zeros behind, eight letters a number.
    table : int32 array, shape (power of two,)
        Open-addressed hash table of their rows; -1 where free.
    roots : int64 array
        Roots of the desk, as little-endian numbers of their letters.
    tickers : int64 array, shape (lanes,)
        The vendor's tickers of the underlyings, likewise; 0 for one too long.
    """

    letters: Ints
    table: NDArray[np.int32]
    roots: Ints
    tickers: Ints


def names_of(symbols: Sequence[str], roots: Sequence[str], tickers: Sequence[str]) -> Names:
    """Return the look-up table of symbols.

    Parameters
    ----------
    symbols : sequence of str, length n
        Of the listing, in its order; those that are no OSI symbols are never found.
    roots : sequence of str
        Roots the desk follows.
    tickers : sequence of str
        The vendor's ticker of each lane.
    """
    usable = [s if len(s) <= _ROOT + _TAIL and s.isascii() else "" for s in symbols]
    letters = np.array(usable or [""], f"S{WORD * _WORDS}").view(np.int64).reshape(-1, _WORDS)
    table = np.full(1 << int(2.5 * len(usable) + 8).bit_length(), -1, np.int32)
    _fill(letters, table)
    codes = [code_of(t) if t.isascii() and len(t) <= LETTERS else 0 for t in tickers]
    return Names(
        letters,
        table,
        np.array([code_of(root) for root in roots], np.int64),
        np.array(codes, np.int64),
    )


@inlined
def _slot_of(first: int, second: int, third: int, mask: int) -> int:
    h = (first * _MIX[0]) ^ (second * _MIX[1]) ^ (third * _MIX[2])
    h = (h ^ (h >> 32)) * _MIX[0]
    return (h ^ (h >> 29)) & mask


@compiled
def _fill(letters: Ints, table: NDArray[np.int32]) -> None:
    mask = table.size - 1
    for row in range(letters.shape[0]):
        first, second, third = letters[row, 0], letters[row, 1], letters[row, 2]
        if first == 0:
            continue
        at = _slot_of(first, second, third, mask)
        while table[at] >= 0:
            at = (at + 1) & mask
        table[at] = row


@inlined
def _row_of(b: Bytes, i: int, j: int, names: Names) -> int:
    """Return the row of the symbol in [i, j), of 16 to 21 letters, or -1."""
    first, second = word_at(b, i), word_at(b, i + WORD)
    third = start_of(b, i + 2 * WORD, j)
    mask = names.table.size - 1
    at = _slot_of(first, second, third, mask)
    while names.table[at] >= 0:
        row: int = names.table[at]
        if (
            names.letters[row, 0] == first
            and names.letters[row, 1] == second
            and names.letters[row, 2] == third
        ):
            return row
        at = (at + 1) & mask
    return -1


@inlined
def _is_foreign(b: Bytes, i: int, j: int, roots: Ints) -> bool:
    """Tell whether [i, j) is surely a contract of a root that nobody here follows."""
    tail = j - _TAIL
    month = (peek(b, tail + 2) - 48) * 10 + peek(b, tail + 3) - 48
    day = (peek(b, tail + 4) - 48) * 10 + peek(b, tail + 5) - 48
    right = peek(b, tail + 6)
    if not (are_digits(b, tail, tail + 6) and 1 <= month <= 12 and 1 <= day <= 28):
        return False
    if not ((right == 67 or right == 80) and are_digits(b, tail + 7, j)):
        return False
    for k in range(i, tail):
        if not (48 <= peek(b, k) <= 57 or 65 <= peek(b, k) <= 90):
            return False
    root = fold(b, i, tail)
    for code in roots:  # noqa: SIM110  # compiled: a loop
        if code == root:
            return False
    return True


@inlined
def contract_of(b: Bytes, i: int, j: int, names: Names) -> int:
    """Return the row of an option's ticker in [i, j), or PASSED or UNSURE."""
    if j - i < 2 or peek(b, i) != 79 or peek(b, i + 1) != 58:
        return PASSED if j > i else UNSURE
    i += 2
    if not _TAIL < j - i <= _TAIL + _ROOT:
        return UNSURE
    row = _row_of(b, i, j, names)
    if row >= 0:
        return row
    return PASSED if _is_foreign(b, i, j, names.roots) else UNSURE


@inlined
def lane_of(b: Bytes, i: int, j: int, names: Names) -> int:
    """Return the lane of a ticker, or PASSED or UNSURE."""
    code = fold(b, i, j)
    for lane in range(names.tickers.size):
        if code > 0 and names.tickers[lane] == code:
            return lane
    is_option = j - i > 2 and peek(b, i) == 79 and peek(b, i + 1) == 58
    return PASSED if code > 0 or is_option else UNSURE

"""JSON as bytes: what kernels need to read the plain part of it, and how they are compiled.

Belongs here: reading one word, text or number at a place. Does not belong here: any venue's fields.

Text is plain if it is printable ASCII without escapes, a number if it has no exponent. Whoever
reads asks for nothing else and, where it finds anything else, does not go on: a full JSON reader
decides then. A buffer must end in a byte 0, with `PADDING` bytes more behind it. No reader here
moves beyond a byte 0, and words are read whole.

Kernels here count no references (``_nrt``): they allocate nothing, and counting for a dozen arrays
at each call of a function costs four times the reading itself. They are not compiled as the
pricing kernels are (`dealer_assets.domain.kernels.compilation`), whose fast-math may replace a
division by a multiplication: a price would then be a bit off from what other readers find.

numba notices a change of a cached kernel's own file only. The cache is therefore named after the
contents of the files whose functions and constants kernels take over.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Bytes = NDArray[np.uint8]

WORD, LETTERS = 8, 7
"""Letters of a word, and those of them that leave its sign alone."""

PADDING = 32

_ONES = 0x0101010101010101
_BLANKS, _QUOTES, _SLASHES = 0x20 * _ONES, 0x22 * _ONES, 0x5C * _ONES
_HIGH = -0x7F7F7F7F7F7F7F80
_EXACT = 1 << 53
_DIGITS, _LENGTH = 18, 40
_POWER = np.array([10.0**k for k in range(_DIGITS + 1)])

_ROOM = Path(__file__).parent
_SHARED = ("json_bytes.py", "polygon/names.py", "../core/events.py")


def _cache_folder() -> str:
    contents = b"".join((_ROOM / name).read_bytes() for name in _SHARED)
    name = f"kernels-{hashlib.sha256(contents).hexdigest()[:12]}"
    given = numba.config.CACHE_DIR
    base = Path(given) if given else _ROOM / "__pycache__"
    if not given and not os.access(_ROOM, os.W_OK):
        base = Path(tempfile.gettempdir()) / f"dealer-kernels-{os.getuid()}"
    return str(base / name)


_CACHE = _cache_folder()


def compiled(function: Kernel) -> Kernel:
    """Compile a function called from Python: machine code kept on disk, the GIL released."""
    given = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _CACHE  # read once, when the decorator is applied
    try:
        made = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function)
    finally:
        numba.config.CACHE_DIR = given
    return made  # type: ignore[no-any-return]


def inlined(function: Kernel) -> Kernel:
    """Compile a function that kernels inline; it has no machine code of its own."""
    return njit(forceinline=True, error_model="numpy", _nrt=False)(function)  # type: ignore[no-any-return]


def code_of(text: str) -> int:
    """Return at most `LETTERS` ASCII letters as a number, the first in its lowest bits."""
    return int.from_bytes(text.encode("ascii"), "little")


@intrinsic  # type: ignore[untyped-decorator]
def peek(typing: Any, b: Any, i: Any) -> Any:
    """Return the byte at i; saves the look at whether i counts from the end."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte = builder.load(builder.gep(data, [args[1]]))
        return builder.zext(byte, context.get_value_type(types.int64))

    return types.int64(b, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def word_at(typing: Any, b: Any, i: Any) -> Any:
    """Return the eight bytes from i on as one number, the first in its lowest bits."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        word = context.get_value_type(types.int64).as_pointer()
        return builder.load(builder.bitcast(builder.gep(data, [args[1]]), word), align=1)

    return types.int64(b, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(typing: Any, word: Any) -> Any:
    """Return the number of zero bits below the lowest one bit."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.int64(types.int64), emit


@inlined
def start_of(b: Bytes, i: int, j: int) -> int:
    """Return the first letters of [i, j), at most eight, as a number."""
    if j <= i:
        return 0
    word: int = word_at(b, i)
    return word & ((1 << (8 * (j - i))) - 1) if j - i < WORD else word


@inlined
def fold(b: Bytes, i: int, j: int) -> int:
    """Return the letters in [i, j) as a number; -1 when they are too many."""
    return start_of(b, i, j) if j - i <= LETTERS else -1


@inlined
def are_digits(b: Bytes, i: int, j: int) -> bool:
    """Tell whether all of [i, j) are digits."""
    for k in range(i, j):  # noqa: SIM110  # compiled: a loop
        if not 48 <= peek(b, k) <= 57:
            return False
    return True


@inlined
def skip(b: Bytes, i: int) -> int:
    """Return the first place from i on that is no blank of JSON."""
    found = peek(b, i)
    while found <= 32 and (found == 32 or found == 10 or found == 13 or found == 9):
        i += 1
        found = peek(b, i)
    return i


@inlined
def _odd_letters(word: int) -> int:
    """Return eight letters' high bits: the lowest one set is of the first that is not plain.

    Not plain are quotes, backslashes, control characters and what is beyond ASCII; bits above the
    lowest may be wrong.
    """
    quote = word ^ _QUOTES
    slash = word ^ _SLASHES
    found = (quote - _ONES) & ~quote | (slash - _ONES) & ~slash | (word - _BLANKS) & ~word | word
    return found & _HIGH


@inlined
def text_end(b: Bytes, i: int) -> int:
    """Return where the text that begins at i has its closing quote; -1: unsure."""
    odd = _odd_letters(word_at(b, i))
    while odd == 0:
        i += WORD
        odd = _odd_letters(word_at(b, i))
    end = i + (_trailing_zeros(odd) >> 3)
    return end if peek(b, end) == 34 else -1


@inlined
def _digits(b: Bytes, i: int, mantissa: int, digits: int) -> tuple[int, int, int]:
    """Read digits on; return the place behind them, the number so far, its digits."""
    while 48 <= peek(b, i) <= 57:
        if digits < _DIGITS:
            mantissa = mantissa * 10 + (peek(b, i) - 48)
        digits += 1
        i += 1
    return i, mantissa, digits


@inlined
def number(b: Bytes, i: int, slot: int, value: Floats, whole: Ints) -> tuple[int, bool]:
    """Read a number.

    Parameters
    ----------
    b : uint8 array
        Text.
    i : int
        Where it begins.
    slot : int
        Where its value goes in `value`, and in `whole` if it is an integer (else -1).
    value, whole : float64 and int64 array
        Written, if the number is plain.

    Returns
    -------
    int, bool
        The place behind it, -1 when that is not sure; whether it is not plain: negative, or with
        more digits than a double surely holds.
    """
    begin = i
    if peek(b, i) == 45:
        i += 1
    leading = peek(b, i)
    i, mantissa, digits = _digits(b, i, 0, 0)
    if digits == 0 or (leading == 48 and digits > 1):
        return -1, True
    places = 0
    if peek(b, i) == 46:
        before = digits
        i, mantissa, digits = _digits(b, i + 1, mantissa, digits)
        places = digits - before
        if places == 0:
            return -1, True
    if (peek(b, i) | 32) == 101 or i - begin > _LENGTH:  # an exponent
        return -1, True
    if peek(b, begin) == 45 or digits > _DIGITS or (places > 0 and mantissa > _EXACT):
        return i, True
    value[slot] = mantissa / _POWER[places]
    whole[slot] = mantissa if places == 0 else -1
    return i, False

"""Polygon's frames byte by byte: the fast way from text to events.

Belongs here: a strict reader of the plain subset of JSON that the vendor writes, the table of
symbols it looks names up in. Does not belong here: anything that is not plain, reasons of refusal
(`exact`), putting batches together (`decode`).

The scanner accepts a frame only as a whole and only when it is sure: well-formed JSON to the last
byte, every field it uses of the right kind, in range and once. On the first doubt (an escape, an
exponent, null, a nested value, bytes beyond ASCII, a number that a double does not hold exactly,
an impossible value, a symbol to be listed) it leaves the frame to the exact reader, which decides.
So the two never disagree, and speed is lost on odd frames only.

Safety: frames lie in one buffer, each with a byte 0 behind it, and the position moves past a byte
only after that byte was seen to be another one, hence never beyond the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints
from streaming.core.events import FIRST_CONDITION, OTHER_CONDITION, QUOTE, SPOT, TRADE, Events
from streaming.feeds.json_bytes import (
    PADDING,
    Bytes,
    code_of,
    compiled,
    fold,
    inlined,
    number,
    peek,
    skip,
    text_end,
)
from streaming.feeds.polygon.names import PASSED, UNSURE, Names, contract_of, lane_of, names_of

FIRST_MS, LAST_MS = 946_684_800_000, 4_102_444_800_000
"""2000 and 2100: a count in another unit than milliseconds lies outside."""

FAR_OFF_US = 2 * 86_400_000_000
"""A venue's time that differs more from that of receipt is no time of this message."""

LARGEST = 1e15
"""No price or size is larger."""

LARGEST_EXCHANGE, LARGEST_SEQUENCE = 32_767, 1 << 62
VALUE, SECOND_BAR, MINUTE_BAR = range(3)
"""`Events.exchange` of a SPOT: from channel V, A or AM."""

USED = ("ev", "sym", "T", "c", "p", "s", "t", "q", "x", "bp", "ap", "bs", "as", "val", "e")
"""Names of fields that mean something here; their places are the scanner's numbers of them."""

_EV, _SYM, _TICKER, _C, _P, _S, _T, _Q, _X, _BP, _AP, _BS, _AS, _VAL, _E = range(len(USED))
_SPARE = len(USED)  # where the numbers of all other fields go
_ARRAY = 1 << (_SPARE + 1)  # bit beside those of odd numbers: field c holds an array
_EVENT = 0


_CODES = [code_of(name) for name in USED]
_MODULUS = next(m for m in range(len(USED), 999) if len({c % m for c in _CODES}) == len(USED))
_SLOT = np.full(_MODULUS, _SPARE, np.int64)
_SLOT[[c % _MODULUS for c in _CODES]] = np.arange(len(USED))
_NAME = np.array([*_CODES, -1], np.int64)
_EV_T, _EV_Q, _EV_V, _EV_A, _EV_AM = (code_of(word) for word in ("T", "Q", "V", "A", "AM"))
_EV_STATUS, _EV_FMV, _EV_LV = (code_of(word) for word in ("status", "FMV", "LV"))


class Out(NamedTuple):
    """Arrays of `Events` that the scanner writes, in order."""

    kind: NDArray[np.int8]
    contract: NDArray[np.int32]
    event_us: Ints
    received_us: Ints
    a: Floats
    b: Floats
    size_a: Floats
    size_b: Floats
    sequence: Ints
    exchange: NDArray[np.int16]
    conditions: Ints


class _Scratch(NamedTuple):
    value: Floats  # of each number of a message, by slot
    whole: Ints  # the same where it is an integer, else -1
    begin: Ints  # of each text of a message
    end: Ints


def scan(payloads: Sequence[bytes], received: Ints, names: Names) -> Scanned:
    """Read frames.

    Parameters
    ----------
    payloads : sequence of bytes, length n
        Frames as received.
    received : int64 array, shape (n,)
        When each was received, in microseconds since 1970.
    names : Names
        What symbols are looked up in.
    """
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    buffer = np.frombuffer(b"\0".join([*payloads, bytes(PADDING)]), np.uint8)
    ends = np.cumsum(lengths + 1) - 1
    starts = ends - lengths
    room = buffer.size // 40 + 1  # no event is written in fewer letters
    out = _room(room)
    slots = _SPARE + 1
    whole, begin, end = (np.zeros(slots, np.int64) for _ in range(3))
    into = _Scratch(np.zeros(slots), whole, begin, end)
    until = np.empty(starts.size, np.int64)
    is_plain = np.empty(starts.size, np.bool_)
    found, messages, passed = _scan(
        buffer, starts, ends, received, names, into, out, until, is_plain
    )
    columns = {name: getattr(out, name)[:found] for name in Out._fields}
    events = Events(
        **columns,
        number=np.full(found, -1, np.int64),
        taker=np.zeros(found, np.int8),
        is_backfill=np.zeros(found, np.bool_),
    )
    return Scanned(events, until, is_plain, int(messages), int(passed))


def _room(n: int) -> Out:
    return Out(
        kind=np.empty(n, np.int8),
        contract=np.empty(n, np.int32),
        event_us=np.empty(n, np.int64),
        received_us=np.empty(n, np.int64),
        a=np.empty(n),
        b=np.empty(n),
        size_a=np.empty(n),
        size_b=np.empty(n),
        sequence=np.empty(n, np.int64),
        exchange=np.empty(n, np.int16),
        conditions=np.empty(n, np.int64),
    )


class Scanned(NamedTuple):
    """What the scanner found in n frames.

    Parameters
    ----------
    events : Events
        Of the plain frames, in order.
    until : int64 array, shape (n,)
        Events of the frames up to and including each.
    is_plain : bool array, shape (n,)
        False: nothing was taken from this frame, the exact reader must see it.
    messages, passed_over : int
        Of the plain frames: all, and those that are no events.
    """

    events: Events
    until: Ints
    is_plain: NDArray[np.bool_]
    messages: int
    passed_over: int


def warm() -> None:
    """Compile, or load, everything here."""
    names = names_of(["SPXW251219C05900000"], ["SPXW"], ["I:SPX"])
    scan([b"[]"], np.zeros(1, np.int64), names)


@inlined
def _conditions(b: Bytes, i: int, into: _Scratch) -> tuple[int, int]:
    """Read an array of codes behind its bracket; return the place behind it (-1: unsure), bits."""
    bits = 0
    i = skip(b, i)
    if peek(b, i) == 93:
        return i + 1, bits
    while True:
        i, is_odd = number(b, i, _SPARE, into.value, into.whole)
        if i < 0 or is_odd or into.whole[_SPARE] < 0:
            return -1, 0
        code = into.whole[_SPARE] - FIRST_CONDITION
        bits |= 1 << code if 0 <= code < 50 else OTHER_CONDITION
        i = skip(b, i)
        if peek(b, i) == 93:
            return i + 1, bits
        if peek(b, i) != 44:
            return -1, 0
        i = skip(b, i + 1)


@inlined
def _value(b: Bytes, i: int, slot: int, into: _Scratch) -> tuple[int, int, int]:
    """Read a value; return the place behind it (-1: unsure), bits of what is odd, conditions."""
    if peek(b, i) == 34:
        end = text_end(b, i + 1)
        if end < 0 or _TICKER < slot < _SPARE:
            return -1, 0, 0
        into.begin[slot] = i + 1
        into.end[slot] = end
        return end + 1, 0, 0
    if peek(b, i) == 91 and slot == _C:
        i, bits = _conditions(b, i + 1, into)
        return i, _ARRAY, bits
    if slot <= _TICKER:
        return -1, 0, 0
    i, is_odd = number(b, i, slot, into.value, into.whole)
    return i, 1 << slot if is_odd else 0, 0


@inlined
def _message(b: Bytes, i: int, into: _Scratch) -> tuple[int, int, int, int]:
    """Read an object behind its brace.

    Returns the place behind it (-1: unsure), bits of the slots seen, of those whose number is not
    plain with `_ARRAY`, and the conditions.
    """
    seen = 0
    odd = 0
    conditions = 0
    while True:
        i = skip(b, i)
        if peek(b, i) != 34:
            return -1, 0, 0, 0
        end = text_end(b, i + 1)
        if end < 0:
            return -1, 0, 0, 0
        code = fold(b, i + 1, end)
        slot = _SLOT[code % _MODULUS] if code >= 0 else _SPARE
        if _NAME[slot] != code:
            slot = _SPARE
        if slot < _SPARE and seen >> slot & 1:
            return -1, 0, 0, 0
        seen |= 1 << slot
        i = skip(b, end + 1)
        if peek(b, i) != 58:
            return -1, 0, 0, 0
        i, is_odd, bits = _value(b, skip(b, i + 1), slot, into)
        if i < 0:
            return -1, 0, 0, 0
        odd |= is_odd
        conditions |= bits
        i = skip(b, i)
        if peek(b, i) == 125:
            return i + 1, seen, odd, conditions
        if peek(b, i) != 44:
            return -1, 0, 0, 0
        i += 1


@inlined
def _instant(ms: int, received_us: int) -> int:
    """Return an instant in microseconds; -1 for what is none."""
    if not FIRST_MS <= ms < LAST_MS:
        return -1
    us = ms * 1000
    if received_us >= FIRST_MS * 1000 and abs(us - received_us) > FAR_OFF_US:
        return -1
    return us


@inlined
def _number_or_none(into: _Scratch, seen: int, slot: int, largest: int) -> int:
    """Return an integer; -1 where there is none, -2 where it is none."""
    if not seen >> slot & 1:
        return -1
    found = into.whole[slot]
    return found if 0 <= found <= largest else -2


@inlined
def _price(into: _Scratch, seen: int, slot: int, otherwise: float) -> float:
    """Return a number that may be missing; infinite where it is impossible."""
    if not seen >> slot & 1:
        return otherwise
    return into.value[slot] if into.value[slot] <= LARGEST else np.inf


@inlined
def _trade(into: _Scratch, seen: int, conditions: int, m: int, out: Out) -> int:
    needed = 1 << _P | 1 << _S | 1 << _T
    size = into.value[_S]
    exchange = _number_or_none(into, seen, _X, LARGEST_EXCHANGE)
    at = _instant(into.whole[_T], out.received_us[m])
    if seen & needed != needed or not 0.0 < size <= LARGEST or into.value[_P] > LARGEST:
        return UNSURE
    if at < 0 or exchange < -1:
        return UNSURE
    out.kind[m] = TRADE
    out.event_us[m] = at
    out.a[m] = into.value[_P]
    out.b[m] = np.nan
    out.size_a[m] = size
    out.size_b[m] = np.nan
    out.exchange[m] = exchange
    out.conditions[m] = conditions
    return _EVENT


@inlined
def _quote(into: _Scratch, seen: int, m: int, out: Out) -> int:
    at = _instant(into.whole[_T], out.received_us[m])
    bid = _price(into, seen, _BP, 0.0)
    ask = _price(into, seen, _AP, 0.0)
    bid_size = _price(into, seen, _BS, np.nan)
    ask_size = _price(into, seen, _AS, np.nan)
    if not seen >> _T & 1 or at < 0 or not seen & (1 << _BP | 1 << _AP):
        return UNSURE
    if np.isinf(bid + ask) or np.isinf(bid_size) or np.isinf(ask_size):
        return UNSURE
    out.kind[m] = QUOTE
    out.event_us[m] = at
    out.a[m] = bid
    out.b[m] = ask
    out.size_a[m] = bid_size
    out.size_b[m] = ask_size
    out.exchange[m] = -1
    out.conditions[m] = 0
    return _EVENT


@inlined
def _spot(into: _Scratch, seen: int, slots: tuple[int, int], source: int, m: int, out: Out) -> int:
    price, clock = slots
    at = _instant(into.whole[clock], out.received_us[m])
    if not (seen >> price & 1 and seen >> clock & 1) or at < 0:
        return UNSURE
    if not 0.0 < into.value[price] <= LARGEST:
        return UNSURE
    out.kind[m] = SPOT
    out.event_us[m] = at
    out.a[m] = into.value[price]
    out.b[m] = np.nan
    out.size_a[m] = np.nan
    out.size_b[m] = np.nan
    out.sequence[m] = -1
    out.exchange[m] = source
    out.conditions[m] = 0
    return _EVENT


_TRADE_FIELDS = 1 << _P | 1 << _S | 1 << _T | 1 << _Q | 1 << _X | 1 << _C
_QUOTE_FIELDS = 1 << _T | 1 << _Q | 1 << _BP | 1 << _AP | 1 << _BS | 1 << _AS


@inlined
def _option(
    b: Bytes, seen: int, odd: int, bits: int, names: Names, into: _Scratch, m: int, out: Out
) -> int:
    """Judge a trade or quote."""
    if not seen >> _SYM & 1:
        return UNSURE
    row = contract_of(b, into.begin[_SYM], into.end[_SYM], names)
    if row < 0:
        return row
    out.contract[m] = row
    sequence = _number_or_none(into, seen, _Q, LARGEST_SEQUENCE)
    out.sequence[m] = sequence
    if sequence < -1:
        return UNSURE
    if peek(b, into.begin[_EV]) == _EV_Q:
        return UNSURE if odd & _QUOTE_FIELDS else _quote(into, seen, m, out)
    if odd & _TRADE_FIELDS or (seen >> _C & 1 and not odd & _ARRAY):
        return UNSURE
    return _trade(into, seen, bits, m, out)


@inlined
def _index(
    b: Bytes, ev: int, seen: int, odd: int, names: Names, into: _Scratch, m: int, out: Out
) -> int:
    """Judge a value or bar."""
    ticker = _TICKER if ev == _EV_V else _SYM
    if not seen >> ticker & 1:
        return UNSURE
    lane = lane_of(b, into.begin[ticker], into.end[ticker], names)
    if lane < 0:
        return lane
    out.contract[m] = lane
    if ev == _EV_V:
        return (
            UNSURE if odd & (1 << _VAL | 1 << _T) else _spot(into, seen, (_VAL, _T), VALUE, m, out)
        )
    if odd & (1 << _C | 1 << _E | _ARRAY):
        return UNSURE
    return _spot(into, seen, (_C, _E), SECOND_BAR if ev == _EV_A else MINUTE_BAR, m, out)


@inlined
def _judge(
    b: Bytes, seen: int, odd: int, bits: int, names: Names, into: _Scratch, m: int, out: Out
) -> int:
    """Write what a message says at place m; return _EVENT, PASSED or UNSURE."""
    if not seen >> _EV & 1:
        return UNSURE
    ev = fold(b, into.begin[_EV], into.end[_EV])
    if ev in (_EV_T, _EV_Q):
        return _option(b, seen, odd, bits, names, into, m, out)
    if ev in (_EV_V, _EV_A, _EV_AM):
        return _index(b, ev, seen, odd, names, into, m, out)
    return PASSED if ev in (_EV_STATUS, _EV_FMV, _EV_LV) else UNSURE


@inlined
def _frame(
    b: Bytes, i: int, end: int, received_us: int, names: Names, into: _Scratch, m: int, out: Out
) -> tuple[int, int]:
    """Read one frame; return how many events stand then (-1: unsure), and messages passed over."""
    passed = 0
    i = skip(b, i)
    if peek(b, i) != 91:
        return -1, 0
    i = skip(b, i + 1)
    if peek(b, i) == 93 and skip(b, i + 1) == end:
        return m, 0
    while True:
        if peek(b, i) != 123 or m >= out.kind.size:
            return -1, 0
        i, seen, odd, bits = _message(b, i + 1, into)
        if i < 0:
            return -1, 0
        out.received_us[m] = received_us
        verdict = _judge(b, seen, odd, bits, names, into, m, out)
        if verdict == UNSURE:
            return -1, 0
        if verdict == _EVENT:
            m += 1
        else:
            passed += 1
        i = skip(b, i)
        if peek(b, i) != 44:
            break
        i = skip(b, i + 1)
    return (m, passed) if peek(b, i) == 93 and skip(b, i + 1) == end else (-1, 0)


@compiled
def _scan(
    b: Bytes,
    starts: Ints,
    ends: Ints,
    received: Ints,
    names: Names,
    into: _Scratch,
    out: Out,
    until: Ints,
    is_plain: NDArray[np.bool_],
) -> tuple[int, int, int]:
    """Read all frames; return the number of events, of messages, of messages passed over."""
    m = 0
    passed_over = 0
    for f in range(starts.size):
        is_plain[f] = True
        if ends[f] > starts[f]:
            found, passed = _frame(b, starts[f], ends[f], received[f], names, into, m, out)
            is_plain[f] = found >= 0
            if found >= 0:
                m = found
                passed_over += passed
        until[f] = m
    return m, m + passed_over, passed_over

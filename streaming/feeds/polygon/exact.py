"""Polygon's messages by the book: what any JSON reader finds, judged field by field.

Belongs here: the rules of what a message must hold, and the reason when it does not. Does not
belong here: speed (`scan`, which must agree with this wherever it is sure).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dealer_assets.domain.instruments import parse_osi
from dealer_assets.errors import BadInputError
from streaming.core.events import (
    FIRST_CONDITION,
    OTHER_CONDITION,
    QUOTE,
    SPOT,
    TRADE,
    TYPES,
    Events,
    no_events,
)
from streaming.feeds.polygon.scan import (
    FAR_OFF_US,
    FIRST_MS,
    LARGEST,
    LARGEST_EXCHANGE,
    LARGEST_SEQUENCE,
    LAST_MS,
    MINUTE_BAR,
    SECOND_BAR,
    USED,
    VALUE,
)

SAMPLE_LENGTH = 200
_USED = frozenset(USED)
_OPTION = re.compile(r"O:([A-Z0-9]{1,6})\d{6}[CP]\d{8}", re.ASCII)
_SECRET = re.compile(
    r"(?i)((?:api_?key|token|secret|password|params)[\"']?\s*[:=]\s*[\"']?)[\w.~+/-]{6,}"
)
_NOT_USED = frozenset({"status", "FMV", "LV"})


class Row(NamedTuple):
    """One event, as the arrays of `Events` of the same names."""

    kind: int
    contract: int
    event_us: int
    a: float
    b: float = math.nan
    size_a: float = math.nan
    size_b: float = math.nan
    sequence: int = -1
    exchange: int = -1
    conditions: int = 0


class Unlisted(NamedTuple):
    """A well-formed symbol of a followed root that the listing lacks."""

    symbol: str


class Refused(NamedTuple):
    """Why a message is no event: a reason code."""

    reason: str


class RefusedError(Exception):
    """Raised within this module with the code of the reason."""


Verdict = Row | Unlisted | Refused | None
"""None: a message that is no event by design."""


class _Repeated(dict[str, Any]):
    """An object in which a used name stands twice."""


def read_frame(payload: bytes) -> list[Any] | Refused:
    """Return the messages of a frame; one that came without its array is taken as one message."""
    try:
        found = json.loads(
            payload.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):  # of UTF-8, JSON, too many digits
        return Refused("not_json")
    if isinstance(found, dict):
        return [found]
    return found if isinstance(found, list) else Refused("not_array")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs if name in _USED]
        if len(set(names)) < len(names):
            return _Repeated(found)
    return found


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


class Judge:
    """Judges messages.

    Parameters
    ----------
    index_of : callable
        Row of a symbol without ``O:`` in the listing; -1 when absent.
    roots : sequence of str
        Roots the desk follows.
    tickers : sequence of str
        The vendor's ticker of each lane.
    """

    def __init__(
        self, index_of: Callable[[str], int], roots: Sequence[str], tickers: Sequence[str]
    ) -> None:
        self._index_of = index_of
        self._roots = frozenset(roots)
        self._lanes = {ticker: lane for lane, ticker in enumerate(tickers) if ticker}

    def judge(self, message: object, received_us: int) -> Verdict:
        """Return what a message is; raises nothing."""
        if not isinstance(message, dict):
            return Refused("not_object")
        if isinstance(message, _Repeated):
            return Refused("repeated_field")
        fields = {name: value for name, value in message.items() if value is not None}
        try:
            return self._judge(fields, received_us)
        except RefusedError as error:
            return Refused(str(error))

    def _judge(self, fields: dict[str, Any], received_us: int) -> Verdict:
        ev = _text(fields, "ev")
        if ev in ("T", "Q"):
            found = self._contract(_text(fields, "sym"))
            if not isinstance(found, int):
                return found
            make = _trade if ev == "T" else _quote
            return make(fields, found, received_us)
        if ev in ("V", "A", "AM"):
            return self._spot(ev, fields, received_us)
        if ev in _NOT_USED:
            return None
        raise RefusedError("unknown_event")

    def _contract(self, ticker: str) -> int | Unlisted | None:
        if not ticker.startswith("O:"):
            return None  # a share or an index: no option
        symbol = ticker[2:]
        row = self._index_of(symbol) if _OPTION.fullmatch(ticker) else -1
        if row >= 0:
            return row
        try:
            root = parse_osi(symbol).root if _OPTION.fullmatch(ticker) else ""
        except BadInputError:
            root = ""
        if not root:
            raise RefusedError("unknown_symbol")
        return Unlisted(symbol) if root in self._roots else None

    def _spot(self, ev: str, fields: dict[str, Any], received_us: int) -> Row | None:
        lane = self._lanes.get(_text(fields, "T" if ev == "V" else "sym"))
        if lane is None:
            return None
        price, clock = ("val", "t") if ev == "V" else ("c", "e")
        value = _number(fields, price, "bad_price")
        if value <= 0:
            raise RefusedError("bad_price")
        source = {"V": VALUE, "A": SECOND_BAR, "AM": MINUTE_BAR}[ev]
        return Row(SPOT, lane, _instant(fields, clock, received_us), value, exchange=source)


def _trade(fields: dict[str, Any], contract: int, received_us: int) -> Row:
    size = _number(fields, "s", "bad_size")
    if size <= 0:
        raise RefusedError("bad_size")
    return Row(
        TRADE,
        contract,
        _instant(fields, "t", received_us),
        _number(fields, "p", "bad_price"),
        size_a=size,
        sequence=_count(fields, "q", LARGEST_SEQUENCE),
        exchange=_count(fields, "x", LARGEST_EXCHANGE),
        conditions=condition_bits(fields.get("c", [])),
    )


def _quote(fields: dict[str, Any], contract: int, received_us: int) -> Row:
    if "bp" not in fields and "ap" not in fields:
        raise RefusedError("missing_field")
    return Row(
        QUOTE,
        contract,
        _instant(fields, "t", received_us),
        _number({"bp": 0.0} | fields, "bp", "bad_price"),
        _number({"ap": 0.0} | fields, "ap", "bad_price"),
        _number(fields, "bs", "bad_size") if "bs" in fields else math.nan,
        _number(fields, "as", "bad_size") if "as" in fields else math.nan,
        sequence=_count(fields, "q", LARGEST_SEQUENCE),
    )


def condition_bits(codes: object) -> int:
    """Return a list of condition codes as the bits of `Events.conditions`.

    Raises
    ------
    RefusedError
        When it is no list of integers of 0 or more.
    """
    if not isinstance(codes, list):
        raise RefusedError("bad_conditions")
    bits = 0
    for code in codes:
        if type(code) is not int or code < 0:
            raise RefusedError("bad_conditions")
        place = code - FIRST_CONDITION
        bits |= 1 << place if 0 <= place < 50 else OTHER_CONDITION
    return bits


def _text(fields: dict[str, Any], name: str) -> str:
    found = fields.get(name)
    if found is None:
        raise RefusedError("missing_field")
    if not isinstance(found, str) or not found:
        raise RefusedError("unknown_event" if name == "ev" else "unknown_symbol")
    return found


def _number(fields: dict[str, Any], name: str, reason: str) -> float:
    found = fields.get(name)
    if found is None:
        raise RefusedError("missing_field")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise RefusedError(reason)
    if not 0 <= found <= LARGEST:  # infinity and NaN too
        raise RefusedError(reason)
    return float(found) + 0.0  # no negative zero


def _count(fields: dict[str, Any], name: str, largest: int) -> int:
    found = fields.get(name, -1)
    if type(found) is not int or not 0 <= found <= largest:
        if name in fields:
            raise RefusedError("bad_number")
        return -1
    return found


def _instant(fields: dict[str, Any], name: str, received_us: int) -> int:
    found = fields.get(name)
    if found is None:
        raise RefusedError("missing_field")
    if type(found) is not int or not FIRST_MS <= found < LAST_MS:
        raise RefusedError("bad_time")
    us = found * 1000
    if received_us >= FIRST_MS * 1000 and abs(us - received_us) > FAR_OFF_US:
        raise RefusedError("bad_time")
    return us


def events_of(rows: Sequence[Row], received_us: Sequence[int]) -> Events:
    """Return rows as arrays."""
    events = no_events(len(rows))
    if rows:
        for name, values in zip(Row._fields, zip(*rows, strict=True), strict=True):
            getattr(events, name)[:] = np.array(values, TYPES[name])
    events.received_us[:] = received_us
    return events


def sample(found: object) -> str:
    """Return the beginning of a message or frame, whatever looks like a credential struck out."""
    if isinstance(found, bytes):
        text = found[: 2 * SAMPLE_LENGTH].decode("utf-8", "replace")
    else:
        text = json.dumps(found)[: 2 * SAMPLE_LENGTH]
    text = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return _SECRET.sub(r"\1[hidden]", text)[:SAMPLE_LENGTH]

"""Filters, order, limits and cursors of the vendor's listings.

Belongs here: from a query to the rows of one page and the cursor of the next. Does not belong here:
what a row looks like (`polygon_book`, `polygon_reference`), HTTP (`polygon_rest`).

A cursor is opaque base64. It holds the question and the last row's place in the order, so that a
listing goes on at the right row although rows come and go between two pages; nothing holds the
pages of one listing together in time.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qsl, urlencode

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Query = Mapping[str, str]

_OPERATORS = {
    "": np.equal,
    ".gt": np.greater,
    ".gte": np.greater_equal,
    ".lt": np.less,
    ".lte": np.less_equal,
}


class BadQueryError(ValueError):
    """A parameter that the vendor answers with 400."""


@dataclass(frozen=True)
class Shelf:
    """What a listing of contracts can be filtered and sorted by; n contracts.

    Parameters
    ----------
    tickers : sequence of str, length n
        With ``O:``.
    strikes : float64 array, shape (n,)
        Strike prices.
    days : int64 array, shape (n,)
        Proleptic ordinals of expiry dates.
    is_call : bool array, shape (n,)
        True for calls.
    """

    tickers: Sequence[str]
    strikes: NDArray[np.float64]
    days: Ints
    is_call: Bools

    def __post_init__(self) -> None:
        order = np.argsort(np.array(self.tickers, dtype=np.str_), kind="stable")
        rank = np.empty(order.size, np.int64)
        rank[order] = np.arange(order.size)
        object.__setattr__(self, "_rank", rank)
        object.__setattr__(self, "_sorted", [self.tickers[i] for i in order.tolist()])

    def page(self, query: Query, *, most: int) -> tuple[list[int], dict[str, str] | None]:
        """Return the rows of one page, and the place where the next begins, if there is one.

        Parameters
        ----------
        query : mapping of str to str
            The question; with ``ap`` and ``as`` of the page before.
        most : int
            Largest limit.

        Raises
        ------
        BadQueryError
            When a parameter cannot be read.
        """
        limit = read_limit(query, default=10, most=most)
        kept = np.flatnonzero(self._matches(query))
        values = self._sort_values(query.get("sort", "ticker"))[kept]
        rank: Ints = getattr(self, "_rank")[kept]  # noqa: B009
        is_descending = is_desc(query, default=False)
        if "ap" in query:
            ahead = self._ahead(query, values, rank, is_descending=is_descending)
            kept, values, rank = kept[ahead], values[ahead], rank[ahead]
        order = np.lexsort((rank, values))
        order = order[::-1] if is_descending else order
        chosen = kept[order[:limit]].tolist()
        if kept.size <= limit:
            return chosen, None
        last = order[limit - 1]
        return chosen, {"ap": self.tickers[chosen[-1]], "as": repr(float(values[last]))}

    def _ahead(
        self, query: Query, values: NDArray[np.float64], rank: Ints, *, is_descending: bool
    ) -> Bools:
        names: list[str] = getattr(self, "_sorted")  # noqa: B009
        place = bisect_left(names, query["ap"])
        is_there = place < len(names) and names[place] == query["ap"]
        at = place if is_there else place - 0.5
        value = float(query.get("as", "0"))
        if is_descending:
            return np.asarray((values < value) | ((values == value) & (rank < at)))
        return np.asarray((values > value) | ((values == value) & (rank > at)))

    def _sort_values(self, name: str) -> NDArray[np.float64]:
        if name in ("ticker", "underlying_ticker"):
            return np.zeros(len(self.tickers))
        if name not in ("expiration_date", "strike_price"):
            raise BadQueryError(f"sort: {name} is not one of the fields that can be sorted by")
        return self.strikes if name == "strike_price" else self.days.astype(np.float64)

    def _matches(self, query: Query) -> Bools:
        kept = np.ones(len(self.tickers), np.bool_)
        for suffix, compare in _OPERATORS.items():
            strike, expiry = f"strike_price{suffix}", f"expiration_date{suffix}"
            if strike in query:
                kept &= compare(self.strikes, read_number(query, strike))
            if expiry in query:
                kept &= compare(self.days, read_date(query, expiry).toordinal())
        if "ticker" in query:
            kept &= np.array([name == query["ticker"] for name in self.tickers], np.bool_)
        right = query.get("contract_type")
        if right is not None:
            if right not in ("call", "put"):
                raise BadQueryError(f"contract_type: {right} is not one of call, put")
            kept &= self.is_call == (right == "call")
        return kept


def read_limit(query: Query, *, default: int, most: int) -> int:
    """Return the rows a page may have; larger limits than the vendor's are refused."""
    text = query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadQueryError(f"limit: {text} is not a whole number from 1 to {most}")
    return int(text)


def is_desc(query: Query, *, default: bool) -> bool:
    """Tell whether the order asked for is descending."""
    order = query.get("order", "desc" if default else "asc")
    if order not in ("asc", "desc"):
        raise BadQueryError(f"order: {order} is not one of asc, desc")
    return order == "desc"


def read_number(query: Query, name: str) -> float:
    """Return a number of the query."""
    try:
        return float(query[name])
    except ValueError:
        raise BadQueryError(f"{name}: {query[name]} is not a number") from None


def read_date(query: Query, name: str) -> date:
    """Return a date of the query."""
    try:
        return date.fromisoformat(query[name])
    except ValueError:
        raise BadQueryError(f"{name}: {query[name]} is not a date like 2026-11-20") from None


def write_cursor(query: Query, place: Mapping[str, str]) -> str:
    """Return the cursor of the page that begins after a place."""
    state = {k: v for k, v in query.items() if k.lower() not in ("apikey", "cursor")}
    return base64.urlsafe_b64encode(urlencode(state | {**place}).encode()).decode().rstrip("=")


def read_query(query: Query) -> dict[str, str]:
    """Return the question, a cursor's where there is one.

    Raises
    ------
    BadQueryError
        When the cursor is none of ours.
    """
    if "cursor" not in query:
        return dict(query)
    cursor = query["cursor"]
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        found = dict(parse_qsl(text, strict_parsing=True, keep_blank_values=True))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        found = {}
    if "ap" not in found:
        raise BadQueryError("cursor: cannot be read")
    return found

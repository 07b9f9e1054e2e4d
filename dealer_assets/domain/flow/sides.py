"""Which side of a trade the customer was on: the rules, one print at a time, to be read.

Belongs here: the rules, their order and their declared confidence. Does not belong here: which
prints may be compared with a quote at all (`conditions`), the same rules over millions of prints
(`dealer_assets.domain.kernels.book`, which a property test compares with this).
Why these rules, and what they are worth: `docs/methods/trade_sides.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

from dealer_assets.domain.flow.conditions import COMPARABLE

SAME_PRICE = 1e-9
"""Relative distance within which a price is the midpoint: 0.15 is the mid of 0.1 and 0.2."""

TICK_FLOOR_USD = 0.025
"""A difference not larger than this is no tick: half the usual tick of five cents."""

TICK_FRESH_SECONDS = 300.0
"""Oldest print that a price is compared with."""

MOST_REFERENCES = 2
"""Prints that a price is compared with at most: the last; where that is no tick, the one before."""

CONFIDENCE: dict[str, float] = {
    "taker_side": 1.0,
    "trade_size": 0.72,
    "quote": 0.62,
    "depth": 0.59,
    "midpoint_tick": 0.57,
    "tick": 0.57,
}
"""Declared probability that the side is right, by what told it."""

AT_QUOTE = 0.68
"""Of ``quote``, where the price is the quote itself and not inside or beyond."""

OF_SHARES: dict[str, float] = {
    "trade_size": 0.75,
    "quote": 0.70,
    "at_quote": 0.76,
    "depth": 0.62,
    "midpoint_tick": 0.60,
    "tick": 0.60,
}
"""The same of options on ETFs and shares, where studies find 72 to 75 % of all sides right against
57 to 72 % of index options'."""

BLOCK_TAKER = 0.6
"""Of ``taker_side`` of a block or a combination's leg: the venue names who asked for the price, and
not whether the other side is a dealer."""


def confidence_of(kind: str) -> dict[str, float]:
    """Return the declared probability of every rule, ``at_quote`` and ``block_taker`` among them.

    Parameters
    ----------
    kind : str
        Of the underlying, as the registry has it: ``index``, ``etf``, ``equity`` or ``crypto``.
    """
    told = {**CONFIDENCE, "at_quote": AT_QUOTE, "block_taker": BLOCK_TAKER}
    return {**told, **OF_SHARES} if kind in ("etf", "equity") else told


@dataclass(frozen=True, slots=True)
class Reference:
    """A comparable print of the contract before the one that is judged.

    Parameters
    ----------
    price : float
        USD.
    spot : float
        Spot that it met [USD]; NaN where none was known, or none of that moment.
    age_seconds : float
        How long before; negative when it was printed afterwards.
    """

    price: float
    spot: float
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Print:
    """A trade and what was known when it was received.

    Parameters
    ----------
    trade_class : str
        Kind of print, of ``TRADE_CLASSES``; not ``cancel``.
    taker : int
        1: the buyer was the aggressor; -1: the seller; 0: the venue does not tell.
    price, size : float
        USD, contracts.
    bid, ask, bid_size, ask_size : float
        Quote [USD, contracts]; 0 where a side is missing, NaN before the first.
    quote_state : str
        Of ``QUOTE_STATES``, as `quote_state` gives it.
    spot : float
        Spot that it meets [USD]; NaN where none is known, or none of that moment.
    delta : float
        Of the contract, of the last full pricing; NaN where it has none.
    references : tuple of Reference
        Comparable prints of the contract that still stand, newest first.
    """

    trade_class: str
    taker: int
    price: float
    size: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    quote_state: str
    spot: float = nan
    delta: float = nan
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """Customer's side (1 bought, -1 sold, 0 unknown), what told it, and how sure that is."""

    sign: int
    basis: str
    confidence: float


UNKNOWN = Side(0, "none", nan)


def quote_state(bid: float, ask: float, *, age_us: float, fresh_us: float) -> str:
    """Tell what a quote is worth.

    Parameters
    ----------
    bid, ask : float
        USD; 0 where a side is missing, NaN before the first quote.
    age_us : float
        Its age; negative when it came after the trade.
    fresh_us : float
        The oldest age that is believed.

    Returns
    -------
    str
        Of ``QUOTE_STATES``.
    """
    if not (bid > 0.0 or ask > 0.0):
        return "none"
    if not 0.0 <= age_us <= fresh_us:
        return "stale"
    if not (bid > 0.0 and ask > 0.0):
        return "one_sided"
    if bid > ask:
        return "crossed"
    return "locked" if bid == ask else "ok"


def side_of(
    trade: Print,
    *,
    kind: str = "index",
    uses_rules: bool = True,
    tick_floor_usd: float = TICK_FLOOR_USD,
    tick_fresh_seconds: float = TICK_FRESH_SECONDS,
) -> Side:
    """Tell the customer's side by the first rule that decides.

    Parameters
    ----------
    trade : Print
        The trade; a cancel takes the side of the print it takes back and does not come here.
    kind : str
        Of the underlying; see `confidence_of`.
    uses_rules : bool
        False: only what the venue tells.
    tick_floor_usd, tick_fresh_seconds : float
        Least difference that is a tick; oldest print that a price is compared with.

    Returns
    -------
    Side
        `UNKNOWN` when nothing decides.
    """
    told = confidence_of(kind)
    if trade.taker != 0:
        sure = told["taker_side" if trade.trade_class in COMPARABLE else "block_taker"]
        return Side(trade.taker, "taker_side", sure)
    if not uses_rules or trade.trade_class not in COMPARABLE:
        return UNKNOWN
    basis, side = "tick", None
    if trade.quote_state in ("ok", "locked"):
        basis = "midpoint_tick"
        side = _by_size(trade, told) or _by_quote(trade, told) or _by_depth(trade, told)
    elif trade.quote_state == "one_sided":
        side = _by_lone_quote(trade, told)
    if side:
        return side
    sign = tick_of(trade, floor_usd=tick_floor_usd, fresh_seconds=tick_fresh_seconds)
    return Side(sign, basis, told[basis]) if sign else UNKNOWN


def _by_size(trade: Print, told: Mapping[str, float]) -> Side | None:
    """Tell by a size that equals one side's: there a customer's own limit order was filled."""
    is_bid, is_ask = trade.size == trade.bid_size, trade.size == trade.ask_size
    if trade.size <= 0.0 or is_bid == is_ask:
        return None
    return Side(1 if is_bid else -1, "trade_size", told["trade_size"])


def _by_quote(trade: Print, told: Mapping[str, float]) -> Side | None:
    """Tell by the midpoint: above it customers buy, below they sell."""
    mid = 0.5 * (trade.bid + trade.ask)
    if abs(trade.price - mid) <= SAME_PRICE * mid:
        return None
    sign = 1 if trade.price > mid else -1
    is_at = trade.price == (trade.ask if sign > 0 else trade.bid)
    return Side(sign, "quote", told["at_quote" if is_at else "quote"])


def _by_lone_quote(trade: Print, told: Mapping[str, float]) -> Side | None:
    """Tell by the only quoted side: a price at it or beyond, no other."""
    if trade.ask > 0.0:
        sign, tells, is_at = 1, trade.price >= trade.ask, trade.price == trade.ask
    else:
        sign, tells, is_at = -1, trade.price <= trade.bid, trade.price == trade.bid
    if not tells:
        return None
    return Side(sign, "quote", told["at_quote" if is_at else "quote"])


def _by_depth(trade: Print, told: Mapping[str, float]) -> Side | None:
    """Tell by sizes at the midpoint: customers buy where more is offered than bid."""
    if trade.ask_size == trade.bid_size or isnan(trade.ask_size) or isnan(trade.bid_size):
        return None
    return Side(1 if trade.ask_size > trade.bid_size else -1, "depth", told["depth"])


def tick_of(trade: Print, *, floor_usd: float, fresh_seconds: float) -> int:
    """Tell by the last print moved to now's spot; never by the next one.

    A price moves with spot whoever trades, so only what is left of the difference is a customer's.

    Parameters
    ----------
    trade : Print
        The trade.
    floor_usd, fresh_seconds : float
        Least difference that is a tick; oldest print that it is compared with.

    Returns
    -------
    int
        1: above where spot has carried the last print, or that one being no tick the one before;
        -1: below; 0: nothing tells.
    """
    for before in trade.references[:MOST_REFERENCES]:
        if not 0.0 <= before.age_seconds <= fresh_seconds:
            return 0
        moved = 0.0
        if trade.spot != before.spot:
            moved = trade.delta * (trade.spot - before.spot)
        difference = trade.price - (before.price + moved)
        if isnan(difference):
            return 0
        if abs(difference) > floor_usd:
            return 1 if difference > 0.0 else -1
    return 0

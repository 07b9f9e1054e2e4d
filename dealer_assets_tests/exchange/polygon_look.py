"""How a chain is shown: plan, the opening bell, and the faults that last.

Belongs here: which variant of a chain an answer holds. Does not belong here: making it
(`polygon_columns`, `polygon_book`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dealer_assets.domain import sessions
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.polygon_answers import Account
from dealer_assets_tests.exchange.world import World

BELL = timedelta(seconds=30)
"""From the open until this long after it the day's bar is old and nobody quotes."""

for _name, _doc in {
    "no_greeks": "lasting: no greeks and no vol in any row",
    "no_quotes": "lasting: no `last_quote` in any row",
    "frozen_quotes": "lasting: quotes stand still, all else moves; `minutes` old (30)",
    "shifted_oi": "lasting: open interest of the session before",
    "wiped_oi": "lasting: open interest 0 in every row; `absent` (false) leaves the field out",
    "wobbling_oi": "lasting: open interest of one contract in twenty differs from call to call",
    "carried_volume": "lasting: the day's bar is the last session's, all day long",
    "no_underlying_value": "lasting: `underlying_asset` without its value",
}.items():
    declare(f"polygon_{_name}", _doc)


@dataclass(frozen=True)
class Look:
    """How a chain is shown: the account's plan, and the faults that last.

    Parameters
    ----------
    timeframe : str
        ``REAL-TIME`` or ``DELAYED``.
    is_bell : bool
        In the half minute after the open.
    has_quotes, has_greeks, has_value : bool
        Blocks that are there.
    quotes_at : datetime.datetime or None
        Instant whose quotes are shown; None: the chain's own.
    open_interest : str
        ``true``, ``shifted``, ``wiped``, ``absent`` or ``wobbling``.
    is_carried : bool
        The day's bar is the last session's.
    """

    timeframe: str
    is_bell: bool
    has_quotes: bool
    has_greeks: bool
    has_value: bool
    quotes_at: datetime | None
    open_interest: str
    is_carried: bool


def look_of(
    world: World, symbol: str, *, where: str, account: Account, seen_at: datetime, calls: int
) -> Look:
    """Return how a chain is shown to an account at an instant.

    Parameters
    ----------
    world : World
        Its faults decide.
    symbol : str
        Registry symbol.
    where : str
        Path and query of the request, for faults with a place.
    account : Account
        Its plan.
    seen_at : datetime.datetime
        Instant whose market it sees [UTC].
    calls : int
        Requests so far; makes wobbling data wobble.
    """

    def lasting(name: str) -> Any:
        return world.faults.active(f"polygon_{name}", where)

    calendar = underlying(symbol).calendar
    opened = sessions.session_open(calendar, sessions.session_of(calendar, seen_at))
    frozen, wiped = lasting("frozen_quotes"), lasting("wiped_oi")
    minute = world.quoted_at(symbol, seen_at)
    shown = "true"
    if wiped is not None:
        shown = "absent" if wiped.get("absent") else "wiped"
    elif lasting("shifted_oi") is not None:
        shown = "shifted"
    elif lasting("wobbling_oi") is not None:
        shown = f"wobbling{calls % 2}"
    is_bell = opened <= seen_at < opened + BELL
    quotes_at = None
    if frozen is not None:
        then = minute - timedelta(minutes=int(frozen.get("minutes", 30)))
        quotes_at = world.quoted_at(symbol, max(then, opened) if minute >= opened else then)
    return Look(
        timeframe=account.timeframe,
        is_bell=is_bell,
        has_quotes=account.has_quotes and lasting("no_quotes") is None,
        has_greeks=lasting("no_greeks") is None,
        has_value=lasting("no_underlying_value") is None,
        quotes_at=quotes_at,
        open_interest=shown,
        is_carried=is_bell or lasting("carried_volume") is not None,
    )

"""How much of a chain the quotes of a past session cover at an instant.

Belongs here: which contracts have a quote, how old it is, whether parity can answer. Does not
belong here: whether a listing is whole (`coverage`), snapshots (`reconstruct`).
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow.compute as pc

from dealer_assets.domain.columns import Bools, Ints, equals
from dealer_assets.domain.listed import ListedChain
from dealer_assets.domain.remarks import Remark
from dealer_assets.domain.tape import LastQuotes

NEAR = timedelta(days=30)
"""Expiries within this reach hold most of the gamma; the quotes have to cover them."""

LEAST_COVERED = 0.9
"""A chain whose near expiries are quoted to a smaller share is marked partial."""

_MICROSECOND = timedelta(microseconds=1)


def has_pair(chain: ListedChain, quotes: LastQuotes, alive: Ints) -> bool:
    """Tell whether a call and the put of its strike both have two sides.

    Parameters
    ----------
    chain : ListedChain
        Contracts of the session.
    quotes : LastQuotes
        Of all of them.
    alive : int64 array, shape (m,)
        Those that count.
    """
    is_call = equals(chain.columns, "right", "call")
    same: Bools = np.ones(max(is_call.size - 1, 0), np.bool_)
    for name in ("root", "expiry_date", "strike"):
        column = chain.columns[name].combine_chunks()
        same &= np.array(pc.equal(column[1:], column[:-1]))
    here = np.zeros(is_call.size, np.bool_)
    here[alive] = ((quotes.bid > 0.0) & (quotes.ask >= quotes.bid))[alive]
    return bool((same & is_call[:-1] & here[:-1] & here[1:]).any())


def quote_cover(
    chain: ListedChain, quotes: LastQuotes | None, now_us: int, alive: Ints, *, stale_us: int
) -> tuple[bool, tuple[Remark, ...]]:
    """Judge whether the quotes cover the near expiries, and how old they are.

    Parameters
    ----------
    chain : ListedChain
        Contracts of the session.
    quotes : LastQuotes or None
        Of all of them at the instant; None when no quotes are held.
    now_us : int
        Instant, microseconds since 1970.
    alive : int64 array, shape (m,)
        Contracts that count.
    stale_us : int
        Age in microseconds from which a quote is remarked upon.

    Returns
    -------
    is_partial : bool
        They cover less than `LEAST_COVERED` of the expiries within `NEAR`.
    remarks : tuple of Remark
        Shares and counts.
    """
    if quotes is None:
        text = "no quotes of the session are held: bid and ask are unknown"
        return True, (Remark("no_quotes", text),)
    remarks = []
    near = alive[chain.expires_us[alive] <= now_us + NEAR // _MICROSECOND]
    near = near if near.size else alive
    share = float((quotes.event_us[near] >= 0).mean())
    quoted_us = quotes.event_us[alive][quotes.event_us[alive] >= 0]
    if share < LEAST_COVERED:
        text = (
            f"quotes cover {share:.0%} of {near.size:,} contracts that expire within {NEAR.days} "
            f"days ({quoted_us.size:,} of {alive.size:,} in all), expected {LEAST_COVERED:.0%}: "
            "the others have neither bid nor ask"
        )
        remarks.append(Remark("partial_quotes", text))
    stale = int((now_us - quoted_us > stale_us).sum())
    if stale:
        text = f"{stale:,} of {quoted_us.size:,} quotes are older than {stale_us / 60e6:g} minutes"
        remarks.append(Remark("stale_quotes", text))
    return share < LEAST_COVERED, (*remarks, *of_unlisted("quotes", quotes.unlisted))


def of_unlisted(what: str, count: int) -> tuple[Remark, ...]:
    """Remark on rows of contracts that the listing does not have; nothing when there are none."""
    if not count:
        return ()
    text = f"{count:,} {what} are of contracts that the listing does not have: left out"
    return (Remark(f"unlisted_{what}", text),)

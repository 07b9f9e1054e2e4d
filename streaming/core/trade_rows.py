"""Trades as rows of `tables.LIVE_TRADES`, and back into what a restart needs of them.

Belongs here: the two layouts, side by side. Does not belong here: judging trades (`book`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Ints, equals, floats, integers, nullable, words
from dealer_assets.domain.flow.bars import net_volume
from dealer_assets.domain.flow.conditions import text_of
from dealer_assets.tables.base import RIGHTS
from dealer_assets.tables.events import TAKER_SIDES
from dealer_assets.tables.live import LIVE_VOL_SOURCES, QUOTE_STATES, SIGN_BASES, TRADE_CLASSES
from streaming.core.flow import Prints
from streaming.core.listing import Listing


def trade_columns(t: Mapping[str, Any], listing: Listing) -> dict[str, Any]:
    """Lay out trades of one lane, but for what tells the contract.

    Parameters
    ----------
    t : mapping of str to array
        Fields of `Trades` by name.
    listing : Listing
        Contracts.
    """
    side = np.where(t["sign"] > 0, 0, 1)
    columns: dict[str, Any] = {
        "event_at": t["event_us"],
        "known_at": t["received_us"],
        "multiplier": listing.multiplier[t["contract"]],
        "price_usd": t["price"],
        "size_contracts": t["size"],
        "exchange": _exchanges(t["exchange"]),
        "conditions": text_of(t["conditions"]),
        "venue_sequence": _known(t["venue_sequence"]),
        "trade_number": _known(t["number"]),
        "trade_class": words(TRADE_CLASSES, t["trade_class"]),
        "cancels_sequence": _known(t["cancels_sequence"]),
        "is_backfilled": t["is_backfill"],
        "bid": nullable(t["bid"]),
        "ask": nullable(t["ask"]),
        "quote_age_seconds": nullable(t["quote_age_us"] / 1e6),
        "quote_state": words(QUOTE_STATES, t["quote_state"]),
        "side": _where(words(TAKER_SIDES, side), t["sign"] != 0),
        "side_basis": words(SIGN_BASES, t["basis"]),
        "side_confidence": nullable(t["confidence"]),
        "dealer_contracts": t["dealer_contracts"],
        "implied_vol": nullable(t["vol"]),
        "vol_source": words(LIVE_VOL_SOURCES, t["vol_source"]),
        "vol_age_seconds": nullable(t["vol_age_us"] / 1e6),
        "spot": nullable(t["spot"]),
        "spot_age_seconds": nullable(t["spot_age_us"] / 1e6),
        "premium_usd": t["premium"],
        "hedge_flow_usd": t["hedge_flow"],
        "gamma_flow_usd_per_pct": t["gamma_flow"],
    }
    return columns | {name: nullable(t[name]) for name in ("delta", "gamma", "vanna", "charm")}


def restored_prints(rows: pa.Table, listing: Listing, session_day: int) -> Prints:
    """Read back from rows of one lane what its flow is made of.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.LIVE_TRADES`, in order of number.
    listing : Listing
        Holds all their contracts.
    session_day : int
        Session, days since 1970.
    """
    place = pc.index_in(rows["symbol"].combine_chunks(), value_set=pa.array(listing.symbols))
    volume = net_volume(
        floats(rows, "size_contracts"),
        is_cancel=equals(rows, "trade_class", "cancel"),
        is_matched=np.array(pc.is_valid(rows["cancels_sequence"]).to_numpy()),
    )
    return Prints.of(
        np.array(place.to_numpy(zero_copy_only=False), np.int64),
        integers(rows, "known_at"),
        is_call=equals(rows, "right", RIGHTS[0]),
        is_zero_dte=integers(rows, "expiry_date") == session_day,
        size=floats(rows, "size_contracts"),
        volume=volume,
        dealer=floats(rows, "dealer_contracts"),
        premium=floats(rows, "premium_usd"),
        hedge_flow=floats(rows, "hedge_flow_usd"),
        gamma_flow=floats(rows, "gamma_flow_usd_per_pct"),
    )


def _known(values: Ints) -> pa.Array:
    """Return numbers, with null for -1."""
    return pa.array(values, mask=values < 0)


def _where(array: pa.Array, is_known: Bools) -> pa.Array:
    return pc.if_else(pa.array(is_known), array, pa.scalar(None, array.type))


def _exchanges(codes: NDArray[np.int16]) -> pa.Array:
    found, place = np.unique(codes, return_inverse=True)
    names = ["" if code < 0 else str(code) for code in found.tolist()]
    return words(names, place)

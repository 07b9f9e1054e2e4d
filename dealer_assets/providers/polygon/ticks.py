"""Trades, quotes and bars: the vendor's rows of many contracts to rows of our tables.

Belongs here: field names, clocks, what cannot be believed. Does not belong here: fetching
(`history`).

Trades carry neither an id nor a sequence number, so equal prints are told apart by their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.providers.polygon.contracts import Contracts
from dealer_assets.providers.polygon.errand import Window
from dealer_assets.providers.polygon.fields import (
    COUNT,
    NUMBER,
    TEXT,
    Bools,
    Instants,
    instants,
    naive,
    numbers,
)
from dealer_assets.providers.record_quarantine import quarantine
from dealer_assets.providers.record_rows import Place, Source, build

TRADE_ROW = pa.struct(
    [
        ("sip_timestamp", COUNT),
        ("price", NUMBER),
        ("size", NUMBER),
        ("exchange", COUNT),
        ("conditions", pa.list_(COUNT)),
        ("correction", COUNT),
        ("sequence_number", COUNT),
        ("id", TEXT),
    ]
)
QUOTE_ROW = pa.struct(
    [
        ("sip_timestamp", COUNT),
        ("bid_price", NUMBER),
        ("ask_price", NUMBER),
        ("bid_size", NUMBER),
        ("ask_size", NUMBER),
        ("bid_exchange", COUNT),
        ("ask_exchange", COUNT),
        ("sequence_number", COUNT),
    ]
)
BAR_ROW = pa.struct([(name, NUMBER) for name in "ohlcv"] + [("t", COUNT), ("n", COUNT)])

_MINUTE = np.timedelta64(60, "s")


@dataclass(frozen=True)
class Ticks:
    """Rows of many contracts of one session.

    Parameters
    ----------
    rows : pyarrow.StructArray, length n
        Contract after contract, each in the vendor's order.
    damaged : bool array, shape (n,)
        Rows that could not be read.
    owner : int64 array, shape (n,)
        Index of each row's contract.
    contracts : Contracts
        The m contracts, all believed.
    window : Window
        The session.
    delay : datetime.timedelta
        How far behind the market the plan is.
    source : Source
        Where the rows came from.
    """

    rows: pa.StructArray
    damaged: Bools
    owner: NDArray[np.int64]
    contracts: Contracts
    window: Window
    delay: timedelta
    source: Source


Built = tuple[pa.Table, pa.Table]
"""Rows, and rejected rows."""


def trades_table(ticks: Ticks) -> Built:
    """Return trades as rows of `tables.OPTION_TRADES`, and what is rejected."""
    at = instants(ticks.rows, "sip_timestamp")
    price, size = numbers(ticks.rows, "price"), numbers(ticks.rows, "size")
    reasons = _reasons(ticks, at, values=(price, size), negative=(size,))

    def columns(kept: NDArray[np.int64]) -> dict[str, pa.Array]:
        rows = ticks.rows.take(pa.array(kept))
        return {
            "ordinal": _ordinals(ticks.owner[kept], at[kept]),
            "price": pa.array(price[kept]),
            "price_currency": pa.repeat(pa.scalar("USD"), kept.size),
            "size_contracts": pa.array(size[kept]),
            "conditions": _joined_codes(pc.struct_field(rows, ["conditions"])),
            "exchange": _code(rows, "exchange"),
            "correction": pc.struct_field(rows, ["correction"]).cast(pa.int32()),
            "sequence": pc.struct_field(rows, ["sequence_number"]),
            "trade_id": pc.struct_field(rows, ["id"]),
            "sign_rule": pa.repeat(pa.scalar("unsigned"), kept.size),
        }

    return _built(tables.OPTION_TRADES, ticks, at, reasons=reasons, columns=columns)


def quotes_table(ticks: Ticks) -> Built:
    """Return quotes as rows of `tables.OPTION_QUOTES`, and what is rejected.

    A side that is missing has price 0 and no exchange. A bid above the ask stays, as every row of a
    tape does; chains that are put together from it judge it.
    """
    at = instants(ticks.rows, "sip_timestamp")
    sides = {name: numbers(ticks.rows, name) for name in ("bid_price", "ask_price")}
    bid, ask = (np.nan_to_num(side, nan=0.0, posinf=np.inf) for side in sides.values())
    sizes = {name: numbers(ticks.rows, f"{name}_size") for name in ("bid", "ask")}
    reasons = _reasons(ticks, at, values=(bid, ask), negative=(bid, ask, *sizes.values()))

    def columns(kept: NDArray[np.int64]) -> dict[str, pa.Array]:
        rows = ticks.rows.take(pa.array(kept))
        return {
            "ordinal": _ordinals(ticks.owner[kept], at[kept]),
            "bid": pa.array(bid[kept]),
            "ask": pa.array(ask[kept]),
            **{
                f"{side}_size_contracts": pa.array(size[kept], mask=np.isnan(size[kept]))
                for side, size in sizes.items()
            },
            **{f"{side}_exchange": _code(rows, f"{side}_exchange") for side in sizes},
            "sequence": pc.struct_field(rows, ["sequence_number"]),
        }

    return _built(tables.OPTION_QUOTES, ticks, at, reasons=reasons, columns=columns)


def bars_table(ticks: Ticks, *, interval: Literal["minute", "day"]) -> Built:
    """Return bars as rows of `tables.OPTION_BARS`, and what is rejected.

    A bar is known once it has ended: a minute later, or a day's at the end of quoting.
    """
    at = instants(ticks.rows, "t", unit="ms")
    prices = {name: numbers(ticks.rows, name) for name in "ohlc"}
    volume = numbers(ticks.rows, "v")
    everything = (*prices.values(), volume)
    reasons = _reasons(ticks, at, values=everything, negative=everything)
    reasons[(reasons == "") & (prices["h"] < prices["l"])] = "high_below_low"
    good = np.flatnonzero(reasons == "")
    order = good[np.lexsort((good, at[good], ticks.owner[good]))]
    again = (np.diff(ticks.owner[order]) == 0) & (at[order][1:] == at[order][:-1])
    reasons[order[1:][again]] = "duplicate_row"
    ends = at + _MINUTE
    if interval == "day":
        ends = np.full(at.size, naive(ticks.window.quotes_end))

    def columns(kept: NDArray[np.int64]) -> dict[str, pa.Array]:
        names = zip(("open", "high", "low", "close"), "ohlc", strict=True)
        return {
            "interval": pa.repeat(pa.scalar(interval), kept.size),
            **{ours: pa.array(prices[theirs][kept]) for ours, theirs in names},
            "volume_contracts": pa.array(volume[kept]),
            "trades": pc.struct_field(ticks.rows, ["n"]).take(pa.array(kept)),
        }

    return _built(tables.OPTION_BARS, ticks, at, reasons=reasons, columns=columns, known=ends)


def _reasons(
    ticks: Ticks,
    at: Instants,
    *,
    values: Sequence[NDArray[np.float64]],
    negative: Sequence[NDArray[np.float64]],
) -> NDArray[np.object_]:
    """Give every row its reason; the first that applies wins."""
    reasons = np.full(at.size, "", dtype=object)

    def reject(where: Bools, reason: str) -> None:
        reasons[where & (reasons == "")] = reason

    reject(ticks.damaged, "not_a_number")
    reject(np.isnat(at), "bad_clock")
    reject((at < naive(ticks.window.first)) | (at >= naive(ticks.window.end)), "other_session")
    for value in values:
        reject(~np.isfinite(value), "not_a_number")
    for value in negative:
        reject(value < 0, "negative_value")
    return reasons


def _built(
    table: tables.Table,
    ticks: Ticks,
    at: Instants,
    *,
    reasons: NDArray[np.object_],
    columns: Callable[[NDArray[np.int64]], Mapping[str, Any]],
    known: Instants | None = None,
) -> Built:
    good, bad = np.flatnonzero(reasons == ""), np.flatnonzero(reasons != "")
    good = good[np.lexsort((good, at[good], ticks.owner[good]))]
    known = (at if known is None else known) + np.timedelta64(ticks.delay)
    everything = np.arange(len(ticks.contracts.reasons))
    owner = pa.array(ticks.owner[good])
    filled: dict[str, Any] = {
        name: column.take(owner) for name, column in ticks.contracts.columns(everything).items()
    }
    filled |= _place(ticks, at[good], known[good]).columns()
    filled |= columns(good)
    missing = [f for f in table.schema if f.name not in filled and f.nullable]
    filled |= {f.name: pa.nulls(good.size, f.type) for f in missing}
    opened = naive(sessions.session_open(ticks.window.underlying.calendar, ticks.window.day))
    stamped: Instants = np.where(np.isnat(at[bad]), opened, at[bad])
    symbols = ticks.contracts.found.canonical.take(pa.array(ticks.owner[bad]))
    rejected = quarantine(
        ticks.source,
        reasons=reasons[bad],
        places=_place(ticks, stamped, stamped + np.timedelta64(ticks.delay)),
        underlyings=[ticks.window.underlying.symbol] * bad.size,
        row_numbers=bad + 1,
        raw_texts=[json.dumps(ticks.rows[row].as_py()) for row in bad.tolist()],
        symbols=symbols.to_pylist(),
    )
    return build(table, filled, ticks.source), rejected


def _place(ticks: Ticks, at: Instants, known: Instants) -> Place:
    return Place(np.full(at.size, np.datetime64(ticks.window.day, "D")), at, known)


def _ordinals(owner: NDArray[np.int64], at: Instants) -> pa.Array:
    """Count the prints of one contract and instant; rows are sorted by both."""
    if not at.size:
        return pa.array([], pa.int32())
    begins = np.concatenate([[True], (np.diff(owner) != 0) | (at[1:] != at[:-1])])
    place = np.arange(at.size)
    first = np.maximum.accumulate(np.where(begins, place, 0))
    return pa.array((place - first).astype(np.int32))


def _code(rows: pa.StructArray, field: str) -> pa.StringArray:
    """Return a code as text; blank where the vendor has none, or 0 for a missing side."""
    codes = pc.struct_field(rows, [field])
    told = pc.fill_null(pc.not_equal(codes, 0), fill_value=False)
    return pc.if_else(told, pc.fill_null(codes.cast(pa.string()), ""), "")


def _joined_codes(codes: pa.ListArray) -> pa.StringArray:
    """Return lists of codes as text with commas; blank where there is none."""
    return pc.fill_null(pc.binary_join(codes.cast(pa.list_(pa.string())), ","), "")

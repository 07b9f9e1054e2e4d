"""Brings a book back to where it was from the rows that the lake has of the session.

Belongs here: reading `tables.LIVE_TRADES` into the log. Does not belong here: what a print changes
(`dealer_assets.domain.kernels.book`), finding the rows (`sink`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.columns import Ints, floats, integers
from dealer_assets.domain.flow.conditions import COMPARABLE, bits_of_text
from dealer_assets.errors import BadInputError
from dealer_assets.tables.live import TRADE_CLASSES

if TYPE_CHECKING:
    from streaming.core.book import Book

_SIGNS = {"buy": 1, "sell": -1}


def enter(book: Book, rows: pa.Table) -> None:
    """Enter stored trades into a book as if they had just been judged; see `Book.restore`."""
    if not rows.num_rows:
        return
    rows = rows.sort_by("stream_sequence")  # not by time: the wall clock may have been set back
    contract = _numbers_of(book, rows)
    sequence = integers(rows, "stream_sequence")
    lane = book.listing.lane[contract]
    _require_order(book, lane, sequence)
    first, log = book.log.size, book.log
    book.reserve(rows.num_rows)
    stored: dict[str, NDArray[Any]] = {
        "contract": contract,
        "sequence": sequence,
        "event_us": integers(rows, "event_at"),
        "price": floats(rows, "price_usd"),
        "size_contracts": floats(rows, "size_contracts"),
        "exchange": _exchanges(rows),
        "conditions": bits_of_text(rows["conditions"]),
        "number": _integers_or(rows, "trade_number", -1),
        "sign": _codes(rows["side"], _SIGNS),
        "confidence": floats(rows, "side_confidence"),
        "hedge_flow": floats(rows, "hedge_flow_usd"),
        "gamma_flow": floats(rows, "gamma_flow_usd_per_pct"),
    }
    for name, values in stored.items():
        log.records[name][first : first + rows.num_rows] = values
    log.size += rows.num_rows
    age_us = np.round(floats(rows, "spot_age_seconds") * 1e6)
    is_met = (age_us >= 0.0) & (age_us <= book.fresh_us[contract])
    book.log_spot[first:] = np.where(is_met, floats(rows, "spot"), np.nan)
    kinds = _codes(rows["trade_class"], {name: i for i, name in enumerate(TRADE_CLASSES)})
    cancels = _rows_of(book, lane, _integers_or(rows, "cancels_sequence", -1))
    np.add.at(book.trades_seen, lane, 1)
    book.replay(first, kinds, cancels, np.array([n in COMPARABLE for n in TRADE_CLASSES], np.int8))


def _numbers_of(book: Book, rows: pa.Table) -> Ints:
    """Return the listing's number of each row's contract; those it lacks are added to it."""
    names = rows["symbol"].unique().to_pylist()
    refused = book.listing.add(names)
    if refused:
        raise BadInputError(
            f"expected stored trades of contracts that the desk lists, found {len(refused)} of "
            f"others, e.g. {refused[0]}: restore the rows of this desk's underlyings and session"
        )
    book.grow()
    numbers = np.array([book.listing.index_of(name) for name in names], np.int64)
    place = pc.index_in(rows["symbol"], value_set=pa.array(names))
    found: Ints = numbers[np.array(place.to_numpy())]
    return found


def _require_order(book: Book, lane: Ints, sequence: Ints) -> None:
    """Refuse rows that are missing or double: positions would silently be wrong."""
    for number, underlying in enumerate(book.listing.lanes):
        found, start = sequence[lane == number], int(book.trades_seen[number])
        if not np.array_equal(found, np.arange(start, start + found.size)):
            raise BadInputError(
                f"expected the stored trades of {underlying.symbol} numbered from {start} without "
                f"holes, found {found.size} rows of which the numbers do not follow each other: "
                "restore all rows of the session in one call for each underlying"
            )


def _rows_of(book: Book, lane: Ints, sequence: Ints) -> Ints:
    """Return the row of the log that has each sequence in its lane; -1 for -1."""
    found = np.full(sequence.size, -1, np.int64)
    lanes = book.listing.lane[book.log.contract]
    for number in np.unique(lane[sequence >= 0]).tolist():
        mine = (lane == number) & (sequence >= 0)
        found[mine] = np.flatnonzero(lanes == number)[sequence[mine]]
    return found


def _integers_or(rows: pa.Table, column: str, default: int) -> Ints:
    return np.array(rows[column].combine_chunks().fill_null(default).to_numpy(), np.int64)


def _codes(column: pa.ChunkedArray, codes: dict[str, int]) -> NDArray[np.int8]:
    """Return the code of each word; 0 for null."""
    place = pc.index_in(column, value_set=pa.array(list(codes), pa.string())).fill_null(-1)
    values = np.array([*codes.values(), 0], np.int8)
    found: NDArray[np.int8] = values[np.array(place.to_numpy())]
    return found


def _exchanges(rows: pa.Table) -> NDArray[np.int16]:
    """Read exchange codes as `rows` writes them; -1 where blank or no number."""
    encoded = rows["exchange"].combine_chunks().dictionary_encode()
    codes = [int(t) if t.isdigit() else -1 for t in encoded.dictionary.to_pylist()]
    found: NDArray[np.int16] = np.array(codes, np.int16)[encoded.indices.to_numpy()]
    return found

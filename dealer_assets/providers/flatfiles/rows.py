"""From a sorted day of one underlying to the rows of our tables, and what is not believed of it.

Belongs here: which symbols are ours, ordinals of equal prints, our columns. Does not belong here:
cells and numbers (`sorting`), files (`store`, `provider`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Ints
from dealer_assets.domain.sessions import expiry_instant, session_close
from dealer_assets.errors import BadInputError
from dealer_assets.providers.flatfiles.sorting import INSTANT
from dealer_assets.providers.symbol_columns import SymbolColumns, read_symbols
from dealer_assets.underlyings import Underlying

_MINUTE_US = 60_000_000
_MISSING_SIDE = "0"
"""Exchange of a side that nobody quotes."""


@dataclass(frozen=True)
class Origin:
    """Where rows come from: what every one of them repeats.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Day of the file.
    known_at : datetime.datetime
        UTC instant from which the file can be read.
    provider, source_name, source_sha256 : str
        As in `base.Records`.
    """

    underlying: Underlying
    session_date: date
    known_at: datetime
    provider: str
    source_name: str
    source_sha256: str

    @property
    def constants(self) -> dict[str, object]:
        """Columns that all rows share."""
        return {
            "underlying": self.underlying.symbol,
            "session_date": self.session_date,
            "known_at": self.known_at,
            "provider": self.provider,
            "source_name": self.source_name,
        }


@dataclass(frozen=True)
class Day:
    """Rows of one underlying, sorted by event (microseconds), symbol and the tape's own order.

    Parameters
    ----------
    raw : pyarrow.Table, shape (n,)
        Columns of the sorted file, believed rows only.
    contracts : pyarrow.Table, shape (n,)
        Columns of `tables.CONTRACT`; no column for indices.
    event_us : int64 array, shape (n,)
        Microseconds since 1970.
    ordinal : int64 array, shape (n,)
        Number among the rows of the same symbol and microsecond.
    rejected : pyarrow.Table
        Schema of `tables.REJECTED_ROWS`.
    """

    raw: pa.Table
    contracts: pa.Table
    event_us: Ints
    ordinal: Ints
    rejected: pa.Table


def option_day(
    day: pa.Table, origin: Origin, *, unique: bool = False, symbols: frozenset[str] | None = None
) -> Day:
    """Take an underlying's rows out of a sorted day.

    Parameters
    ----------
    day : pyarrow.Table
        Columns of `sorting.day_to_parquet`, in its order.
    origin : Origin
        Whose rows, from where.
    unique : bool
        A contract has one row an instant: others are rejected.
    symbols : frozenset of str, optional
        Canonical symbols wanted; all of the underlying's when absent.

    Returns
    -------
    Day
    """
    encoded = day["ticker"].combine_chunks().dictionary_encode()
    code = encoded.indices.fill_null(0).to_numpy().astype(np.int64)
    read = read_symbols(encoded.dictionary.to_pylist())
    listed = [origin.underlying.root(root) is not None for root in read.root_names]
    is_listed = read.readable & np.array([*listed, False])[read.root_codes]  # -1 is the last
    is_foreign = read.readable & ~is_listed
    if symbols is not None:
        wanted = pc.is_in(read.canonical, value_set=pa.array(sorted(symbols), pa.string()))
        is_foreign |= read.readable & ~wanted.to_numpy(zero_copy_only=False)
    is_bad = ~read.readable | (is_listed & ~(read.strikes > 0.0))

    reason = _reasons(day)
    reason[(reason == "") & is_bad[code]] = "bad_symbol"
    reason[is_foreign[code]] = "foreign"
    rank = np.argsort(np.argsort(np.array(encoded.dictionary.to_pylist(), dtype=object)))
    contracts = _contracts(read, origin.underlying, is_listed & ~is_bad)
    return _ordered(
        day, origin, reason=reason, rank=rank[code], unique=unique, of=(contracts, code)
    )


def index_day(day: pa.Table, origin: Origin) -> Day:
    """Take the rows of one index or share out of a sorted day.

    Parameters
    ----------
    day : pyarrow.Table
        Columns of `sorting.day_to_parquet`, of one symbol.
    origin : Origin
        From where.
    """
    none = pa.table({"none": pa.nulls(1)}), np.zeros(day.num_rows, np.int64)
    same = np.zeros(day.num_rows, np.int64)
    return _ordered(day, origin, reason=_reasons(day), rank=same, unique=False, of=none)


def _reasons(day: pa.Table) -> NDArray[np.object_]:
    return np.array(pc.fill_null(day["reason"], "").to_pylist(), dtype=object)


def _ordered(
    day: pa.Table,
    origin: Origin,
    *,
    reason: NDArray[np.object_],
    rank: Ints,
    unique: bool,
    of: tuple[pa.Table, Ints],
) -> Day:
    instants = pc.fill_null(day[INSTANT], 0).combine_chunks()
    event_us = instants.to_numpy().astype(np.int64) // 1000
    believed = np.flatnonzero(reason == "")
    order = believed[np.lexsort((believed, rank[believed], event_us[believed]))]
    ordinal = _ordinals(event_us[order], rank[order])
    if unique and (ordinal > 0).any():
        reason[order[ordinal > 0]] = "duplicate_row"
        order, ordinal = order[ordinal == 0], ordinal[ordinal == 0]
    contracts, code = of
    return Day(
        raw=day.take(pa.array(order)),
        contracts=contracts.take(pa.array(code[order])),
        event_us=event_us[order],
        ordinal=ordinal,
        rejected=_rejected(day, origin, reason),
    )


def _ordinals(event_us: Ints, rank: Ints) -> Ints:
    """Return each row's number in its run of equal instant and symbol, from 0."""
    place = np.arange(event_us.size)
    begins = np.ones(event_us.size, np.bool_)
    begins[1:] = (event_us[1:] != event_us[:-1]) | (rank[1:] != rank[:-1])
    return place - np.maximum.accumulate(np.where(begins, place, 0))


def _contracts(read: SymbolColumns, underlying: Underlying, usable: Bools) -> pa.Table:
    """Return the contract columns of each distinct symbol, null where it is none of ours."""
    expiries = read.expiries.astype(np.int64)
    slices, place = np.unique(
        np.stack([read.root_codes[usable], expiries[usable]]), axis=1, return_inverse=True
    )
    ends = np.full(usable.size, np.datetime64("NaT"), "datetime64[us]")
    ends[usable] = np.array(
        [
            _expiry(underlying, read.root_names[code], day)
            for code, day in zip(slices[0].tolist(), slices[1].tolist(), strict=True)
        ],
        "datetime64[us]",
    )[place]
    names = pa.array([*read.root_names, None], pa.string())
    columns = {
        "symbol": read.canonical,
        "root": names.take(pa.array(read.root_codes % len(names))),  # -1 is the null
        "expiry_date": pa.array(read.expiries).cast(pa.date32()),
        "expires_at": pa.array(ends).cast(tables.INSTANT),
        "strike": pa.array(read.strikes, mask=np.isnan(read.strikes)),
        "right": pa.array(tables.RIGHTS).take(pa.array((~read.is_call).astype(np.int64))),
    }
    return pa.table(columns)


def _expiry(underlying: Underlying, root_name: str, day: int) -> np.datetime64:
    root = underlying.root(root_name)
    if root is None:
        raise BadInputError(f"root {root_name} is not listed for {underlying.symbol}")
    expiry_date: date = np.datetime64(day, "D").item()
    end = expiry_instant(root.settlement, underlying.calendar, expiry_date)
    return np.datetime64(end.replace(tzinfo=None), "us")  # numpy has no zones; all is UTC


def _rejected(day: pa.Table, origin: Origin, reason: NDArray[np.object_]) -> pa.Table:
    bad = np.flatnonzero((reason != "") & (reason != "foreign"))
    found = day.take(pa.array(bad)).append_column("why", pa.array(reason[bad], pa.string()))
    found = found.sort_by("row_number")
    close = session_close(origin.underlying.calendar, origin.session_date)
    columns: dict[str, pa.ChunkedArray] = {
        "row_number": found["row_number"],
        "symbol": found["ticker"],
        "reason": found["why"],
        "raw_text": pc.coalesce(found["raw_text"], found["ticker"]),
    }
    constants = origin.constants | {"event_at": close, "source_sha256": origin.source_sha256}
    return _fill(tables.REJECTED_ROWS, columns, constants, bad.size)


def trade_rows(day: Day, origin: Origin) -> pa.Table:
    """Return trades, `tables.OPTION_TRADES` schema; nothing in a file tells who bought."""
    raw = day.raw
    columns = _tape(day) | {
        "price": raw["price"],
        "size_contracts": raw["size"],
        "conditions": _text(raw["conditions"]),
        "exchange": _text(raw["exchange"]),
        "correction": raw["correction"].cast(pa.int32(), safe=False),
    }
    constants = origin.constants | {"price_currency": "USD", "sign_rule": "unsigned"}
    return _fill(tables.OPTION_TRADES, columns, constants, raw.num_rows)


def quote_rows(day: Day, origin: Origin) -> pa.Table:
    """Return quotes, `tables.OPTION_QUOTES` schema; a missing side has price and size 0."""
    raw = day.raw
    columns = _tape(day) | {"sequence": raw["sequence_number"]}
    for side in ("bid", "ask"):
        venue = _text(raw[f"{side}_exchange"])
        columns[side] = raw[f"{side}_price"]
        columns[f"{side}_size_contracts"] = raw[f"{side}_size"]
        columns[f"{side}_exchange"] = pc.if_else(pc.equal(venue, _MISSING_SIDE), "", venue)
    return _fill(tables.OPTION_QUOTES, columns, origin.constants, raw.num_rows)


def bar_rows(day: Day, origin: Origin, *, interval: str) -> pa.Table:
    """Return bars, `tables.OPTION_BARS` schema; volumes may be fractions."""
    raw = day.raw
    columns = _tape(day) | {name: raw[name] for name in ("open", "high", "low", "close")}
    columns |= {"volume_contracts": raw["volume"], "trades": raw["transactions"]}
    constants = origin.constants | {"interval": interval}
    return _fill(tables.OPTION_BARS, columns, constants, raw.num_rows)


def value_rows(day: Day, origin: Origin) -> pa.Table:
    """Return values, `tables.INDEX_VALUES` schema: a bar's close, dated by the end of its minute.

    Of several values in one microsecond the last stays.
    """
    is_bar = "close" in day.raw.column_names
    last = np.flatnonzero(np.diff(day.event_us, append=np.iinfo(np.int64).max) != 0)
    raw = day.raw.take(pa.array(last))
    columns = {
        "event_at": _instants(day.event_us[last] + (_MINUTE_US if is_bar else 0)),
        "value": raw["close" if is_bar else "value"],
    }
    constants = origin.constants | {"kind": "spot"}
    return _fill(tables.INDEX_VALUES, columns, constants, last.size)


def _tape(day: Day) -> dict[str, pa.Array | pa.ChunkedArray]:
    columns = {name: day.contracts[name] for name in day.contracts.column_names}
    return columns | {"event_at": _instants(day.event_us), "ordinal": pa.array(day.ordinal)}


def _instants(microseconds: Ints) -> pa.Array:
    return pa.array(microseconds).cast(pa.timestamp("us")).cast(tables.INSTANT)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(pc.fill_null(column, ""))


def _fill(
    table: tables.Table,
    columns: Mapping[str, pa.Array | pa.ChunkedArray],
    constants: Mapping[str, object],
    count: int,
) -> pa.Table:
    """Return rows of a table: its columns, its constants, and null for what a file has not."""
    arrays = []
    for field in table.schema:
        if field.name in columns:
            arrays.append(columns[field.name].cast(field.type))
        else:
            value = pa.scalar(constants.get(field.name), field.type)
            arrays.append(pa.repeat(value, count))
    return pa.table(arrays, schema=table.schema)

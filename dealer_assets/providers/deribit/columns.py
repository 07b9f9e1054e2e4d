"""Deribit's rows as columns: numbers, texts, instants, contracts, the quarantine of a batch.

Belongs here: reading that forgives, because one odd cell must not cost a page: text where a number
belongs becomes infinity, and whoever needs the number quarantines the row. Does not belong here:
any method's field names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.errors import GarbledAnswerError
from dealer_assets.providers.csv_fields import LARGEST_NUMBER
from dealer_assets.providers.json_fields import RowTexts
from dealer_assets.providers.symbol_columns import SymbolColumns, read_symbols
from dealer_assets.underlyings import Underlying

Floats = NDArray[np.float64]
Instants = NDArray[np.datetime64]
Object = dict[str, Any]

PER_CENT = 100.0

_NUMBER_TYPES = frozenset({float, int, type(None)})


def objects(value: Any, asked: str) -> list[Object]:
    """Return a list of JSON objects.

    Raises
    ------
    GarbledAnswerError
        When it is anything else.
    """
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    raise GarbledAnswerError(
        f"Deribit answered {asked} with {type(value).__name__} {str(value)[:80]!r}: expected a "
        "list of objects"
    )


def member(holder: Any, field: str, asked: str) -> Any:
    """Return a member that an answer must have.

    Raises
    ------
    GarbledAnswerError
        When the answer is no object, or lacks it.
    """
    if isinstance(holder, dict) and field in holder:
        return holder[field]
    raise GarbledAnswerError(
        f"Deribit answered {asked} without {field!r}, found {str(holder)[:120]!r}"
    )


def numbers(rows: Sequence[Mapping[str, Any]], field: str) -> Floats:
    """Return a field as float64, shape (n,): NaN for null and absent, infinity for no number."""
    values = [row.get(field) for row in rows]
    if not set(map(type, values)) <= _NUMBER_TYPES:
        return np.array([number(value) for value in values], np.float64)
    try:
        found = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return np.array([number(value) for value in values], np.float64)
    return np.where(np.abs(found) > LARGEST_NUMBER, np.inf, found)


def number(value: Any) -> float:
    """Return one JSON value as `numbers` does."""
    if value is None:
        return float("nan")
    if type(value) not in (int, float) or abs(value) > LARGEST_NUMBER:
        return float("inf")
    return float(value)


def texts(rows: Sequence[Mapping[str, Any]], field: str) -> list[str]:
    """Return a field as text; blank for null, absent, and what is no text."""
    found = [row.get(field) for row in rows]
    return [value if isinstance(value, str) and value.isascii() else "" for value in found]


def ids(rows: Sequence[Mapping[str, Any]], field: str) -> list[str | None]:
    """Return a field of ids, text or integer, as text; None for null and absent."""
    found = [row.get(field) for row in rows]
    return [str(v) if isinstance(v, str | int) and v != "" else None for v in found]


def instants(milliseconds: Floats) -> Instants:
    """Return milliseconds of the epoch as datetime64[us]; NaT where they are none."""
    sound = np.isfinite(milliseconds) & (milliseconds > 0) & (milliseconds < 1e14)
    stamps = np.where(sound, milliseconds, 0).astype(np.int64).astype("datetime64[ms]")
    return np.where(sound, stamps.astype("datetime64[us]"), np.datetime64("NaT", "us"))


def aware(instant: np.datetime64) -> datetime:
    """Return a UTC instant of numpy as a datetime."""
    found: datetime = instant.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def naive(instant: datetime) -> np.datetime64:
    """Return a UTC instant for numpy, which has no zones."""
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def milliseconds_of(instant: datetime) -> int:
    """Return a UTC instant as Deribit writes it."""
    return round(instant.timestamp() * 1000)


def instant_column(values: Instants) -> pa.Array:
    """Return instants for storage; NaT is null."""
    return pa.array(values.astype("datetime64[us]")).cast(tables.INSTANT)


@dataclass(frozen=True)
class Contracts:
    """What names say, and whether they are contracts of the underlying; n rows.

    Parameters
    ----------
    columns : SymbolColumns
        By name.
    known : bool array, shape (n,)
        The name can be read and its root is listed for the underlying.
    expires_at : datetime64[us] array, shape (n,)
        NaT where not known.
    """

    columns: SymbolColumns
    known: NDArray[np.bool_]
    expires_at: Instants

    def arrow(self, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return the contract columns of a table for chosen rows."""
        columns = self.columns.take(rows)
        names = pa.array(columns.root_names, pa.string())
        return {
            "symbol": columns.canonical,
            "root": names.take(pa.array(columns.root_codes)),
            "expiry_date": pa.array(columns.expiries).cast(pa.date32()),
            "expires_at": instant_column(self.expires_at[rows]),
            "strike": pa.array(columns.strikes),
            "right": pc.if_else(pa.array(columns.is_call), "call", "put"),
        }

    def terms(self, rows: NDArray[np.int64], underlying: Underlying) -> dict[str, pa.Array]:
        """Return exercise, settlement and multiplier of chosen rows, which have to be known."""
        roots = [underlying.root(name) for name in self.columns.root_names]
        codes = pa.array(self.columns.root_codes[rows])
        return {
            name: pa.array([root and getattr(root, name) for root in roots], kind).take(codes)
            for name, kind in (
                ("exercise", pa.string()),
                ("settlement", pa.string()),
                ("multiplier", pa.float64()),
            )
        }


def read_contracts(names: Sequence[str], underlying: Underlying) -> Contracts:
    """Read instrument names, each distinct one once: a day has few beside its trades."""
    distinct = pa.array(names, pa.string()).dictionary_encode()
    unique = read_symbols(distinct.dictionary.to_pylist())
    roots = [underlying.root(name) for name in unique.root_names]
    listed = np.array([root is not None for root in roots] + [False])  # code -1 is unreadable
    known = listed[unique.root_codes] & (unique.strikes > 0)
    ends = np.full(len(unique.strikes), np.datetime64("NaT", "us"))
    for row in np.flatnonzero(known).tolist():
        root = roots[unique.root_codes[row]]
        if root is not None:
            day: date = unique.expiries[row].item()
            ends[row] = naive(expiry_instant(root.settlement, underlying.calendar, day))
    where = distinct.indices.to_numpy().astype(np.int64)
    return Contracts(unique.take(where), known[where], ends[where])


def identity(*parts: object) -> str:
    """Return the hash that stands for a request of many pages: asking again replaces its part."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()


def constants(count: int, **values: object) -> dict[str, pa.Array]:
    """Return columns whose rows all have one value."""
    types = {"session_date": pa.date32(), "event_at": tables.INSTANT, "known_at": tables.INSTANT}
    return {
        name: pa.repeat(pa.scalar(value, types.get(name)), count) for name, value in values.items()
    }


def table_of(table: tables.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return columns as the table stores them, sorted by its key."""
    schema = table.schema
    arrays = [
        column.cast(field.type) if column.type != field.type else column
        for field, column in ((field, columns[field.name]) for field in schema)
    ]
    rows = pa.Table.from_arrays(arrays, schema=schema)
    return rows.sort_by([(name, "ascending") for name in table.key])


def quarantine(
    rows: Sequence[Object],
    reasons: NDArray[np.object_],
    *,
    symbols: Sequence[str],
    event_at: Instants,
    constants_of_batch: Mapping[str, object],
) -> pa.Table:
    """Return the rejected rows of a batch.

    Parameters
    ----------
    rows : sequence of object, length n
        As received.
    reasons : array of str, shape (n,)
        Empty where the row is believed.
    symbols : sequence of str, length n
        As far as readable.
    event_at : datetime64[us] array, shape (n,)
        Where not known, the ``event_at`` of the batch stands in.
    constants_of_batch : mapping
        ``underlying``, ``session_date``, ``event_at``, ``provider``, ``source_name``,
        ``source_sha256``.
    """
    bad = np.flatnonzero(reasons != "")
    fallback = constants_of_batch["event_at"]
    raw = RowTexts(rows)
    stamps = [fallback if np.isnat(event_at[i]) else aware(event_at[i]) for i in bad]
    columns = constants(bad.size, **constants_of_batch)
    columns["event_at"] = columns["known_at"] = pa.array(stamps, tables.INSTANT)
    columns |= {
        "row_number": pa.array(bad + 1, pa.int64()),
        "symbol": pa.array([symbols[i] or None for i in bad.tolist()], pa.string()),
        "reason": pa.array(reasons[bad].tolist(), pa.string()),
        "raw_text": pa.array([raw[i] for i in bad.tolist()], pa.string()),
    }
    return table_of(tables.REJECTED_ROWS, columns)

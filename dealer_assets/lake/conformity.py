"""Rows against the dictionary: what a table's entry promises is checked, or the rows are refused.

Belongs here: enforcing `dealer_assets.tables` on Arrow rows, before they are written and in asset
checks. Does not belong here: storing them (`lake/writer.py`), or what must hold between columns
(`domain/invariants.py`).
"""

from __future__ import annotations

from datetime import date
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.errors import SchemaError
from dealer_assets.tables import Column, Table

_REMEDY = (
    "fix the rows, or change the entry in dealer_assets/tables/, raise its version and rebuild"
)


def conform(
    table: Table,
    rows: pa.Table,
    *,
    underlying: str | None = None,
    session_date: date | None = None,
) -> pa.Table:
    """Return the rows as the table stores them: columns in order, typed, sorted by key.

    Parameters
    ----------
    table : Table
        The dictionary entry.
    rows : pyarrow.Table, shape (n,)
        Columns in any order. Another type of the same family is cast when nothing is lost. NaN
        becomes null where null is legal.
    underlying : str, optional
        Symbol that every row has to name; not looked at when absent.
    session_date : datetime.date, optional
        Date that every row has to name; not looked at when absent.

    Returns
    -------
    pyarrow.Table, shape (n,)

    Raises
    ------
    SchemaError
        On a missing, unknown or double column; a lossy cast; null, NaN or infinity where there
        may be none; a value outside vocabulary or bounds; a row of another partition; a key that
        occurs twice. The message names column, expectation, finding and the first example.
    """
    _refuse_other_columns(table, rows)
    columns = [_conform_column(table, entry, rows.column(entry.name)) for entry in table.columns]
    typed = pa.Table.from_arrays(columns, schema=table.schema)
    for name, value in (("underlying", underlying), ("session_date", session_date)):
        if value is not None:
            array = typed.column(name)
            refuse(
                pc.not_equal(array, pa.scalar(value, array.type)),
                array,
                where=f"table {table.name}, column {name}",
                expected=f"the partition's {value}",
            )
    if _is_numbered(table, typed):
        return typed
    ordered = typed.take(pc.sort_indices(typed, sort_keys=[(k, "ascending") for k in table.key]))
    _refuse_double_keys(table, ordered)
    return ordered.combine_chunks()


def _is_numbered(table: Table, typed: pa.Table) -> bool:
    """Tell whether the key is one number that ascends: then nothing is to be sorted or double."""
    if len(table.key) != 1 or not pa.types.is_integer(typed.schema.field(table.key[0]).type):
        return False
    numbers = typed.column(table.key[0]).combine_chunks().to_numpy()
    return bool((numbers[1:] > numbers[:-1]).all())


def _refuse_other_columns(table: Table, rows: pa.Table) -> None:
    expected = [column.name for column in table.columns]
    found = rows.column_names
    missing = [name for name in expected if name not in found]
    unknown = sorted(set(found) - set(expected))
    double = sorted({name for name in found if found.count(name) > 1})
    if missing or unknown or double:
        raise SchemaError(
            f"table {table.name}: expected the columns of its dictionary entry, found missing "
            f"{missing}, unknown {unknown}, double {double}; {_REMEDY}"
        )


def _conform_column(table: Table, column: Column, chunked: pa.ChunkedArray) -> pa.Array:
    where = f"table {table.name}, column {column.name}"
    array = chunked.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    array = _without_nan(column, array, where)
    array = _cast(array, column.type, where)
    if not column.nullable and array.null_count:
        refuse(pc.is_null(array), array, where=where, expected="no null")
    if column.allowed:
        known = pc.is_in(array, value_set=pa.array(column.allowed, array.type))
        outside = pc.and_(pc.invert(known), pc.is_valid(array))
        refuse(outside, array, where=where, expected=f"one of {list(column.allowed)}")
    if column.lower is not None:
        below = pc.less(array, column.lower)
        refuse(below, array, where=where, expected=f"at least {column.lower:g} {column.unit}")
    if column.upper is not None:
        above = pc.greater(array, column.upper)
        refuse(above, array, where=where, expected=f"at most {column.upper:g} {column.unit}")
    return array


def _without_nan(column: Column, array: pa.Array, where: str) -> pa.Array:
    """Null for NaN where null is legal; NaN elsewhere and infinity anywhere are refused."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        values = array.flatten()
        if pa.types.is_floating(values.type):
            odd = pc.invert(pc.is_finite(values))
            refuse(odd, values, where=f"{where}, list elements", expected="finite numbers")
        return array
    if not pa.types.is_floating(array.type):
        return array
    is_nan = pc.is_nan(array)
    if pc.any(is_nan).as_py():
        if not column.nullable:
            refuse(is_nan, array, where=where, expected="a number in every row")
        array = pc.if_else(is_nan, pa.scalar(None, array.type), array)
    refuse(pc.is_inf(array), array, where=where, expected="finite numbers")
    return array


def _family(kind: pa.DataType) -> str:
    """Types between which a cast keeps the meaning: 5 may become 5.0, never "5" or 1970-01-01."""
    types = pa.types
    families = (
        ("number", (types.is_integer, types.is_float32, types.is_float64)),
        ("text", (types.is_string, types.is_large_string, types.is_string_view)),
        ("date", (types.is_date,)),
    )
    for family, tests in families:
        if any(test(kind) for test in tests):
            return family
    if types.is_list(kind) or types.is_large_list(kind):
        return f"list of {_family(kind.value_type)}"
    if types.is_timestamp(kind):
        return "instant" if kind.tz else "local time"  # a clock without zone is no instant
    return str(kind)


def _cast(array: pa.Array, target: pa.DataType, where: str) -> pa.Array:
    if array.type == target:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if _family(array.type) == "list of null" and _family(target).startswith("list of"):
        return array.cast(target)  # lists that are all empty do not know what of
    if _family(array.type) != _family(target):
        _refuse_type(array, target, where)
    cast_from = array.type
    try:
        cast = array.cast(target, safe=False)
        back = cast.cast(array.type, safe=False)
    except pa.ArrowException as error:
        raise SchemaError(
            f"{where}: expected {target}, found {array.type} that cannot become it: {error}; "
            f"{_REMEDY}"
        ) from error
    if not back.equals(array):
        if pa.types.is_timestamp(array.type):
            # as text: a nanosecond instant has no Python value without pandas
            array, back = array.cast(pa.string()), back.cast(pa.string())
        lost = np.array([a != b for a, b in zip(array.to_pylist(), back.to_pylist(), strict=True)])
        expected = f"{target} without loss (it is {cast_from})"
        refuse(pa.array(lost), array, where=where, expected=expected)
    return cast


def _refuse_type(array: pa.Array, target: pa.DataType, where: str) -> NoReturn:
    example = f", e.g. {array[0].as_py()!r}" if len(array) else ""
    raise SchemaError(f"{where}: expected {target}, found {array.type}{example}; {_REMEDY}")


def refuse(
    bad: pa.ChunkedArray | pa.Array,
    values: pa.ChunkedArray | pa.Array,
    *,
    where: str,
    expected: str,
) -> None:
    """Raise with count and first example when any element of a mask is true.

    Parameters
    ----------
    bad : boolean array, shape (n,)
        True where a value is refused; null counts as false.
    values : array, shape (n,)
        The values judged, for the example.
    where : str
        Table and column, for the message.
    expected : str
        What would have been right, for the message.

    Raises
    ------
    SchemaError
        When any element is true.
    """
    if not pc.any(bad).as_py():
        return
    first = pc.index(bad, True).as_py()
    raise SchemaError(
        f"{where}: expected {expected}, found {values[first].as_py()!r} in row {first} "
        f"({pc.sum(bad).as_py()} of {len(bad)} rows); {_REMEDY}"
    )


def _refuse_double_keys(table: Table, ordered: pa.Table) -> None:
    count = ordered.num_rows
    if count < 2:
        return
    same = pa.array(np.ones(count - 1, dtype=bool))
    for name in table.key:
        array = ordered.column(name).combine_chunks()
        same = pc.and_(same, pc.equal(array.slice(1), array.slice(0, count - 1)))
    if pc.any(same).as_py():
        first = pc.index(same, True).as_py()
        key = ordered.select(list(table.key)).slice(first, 1).to_pylist()[0]
        raise SchemaError(
            f"table {table.name}: expected one row per key, found {pc.sum(same).as_py()} more; "
            f"the first is {key}; {_REMEDY}"
        )

"""Rows against the dictionary: every promise of an entry is refused by name when it is broken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets.errors import SchemaError
from dealer_assets.lake.conformity import conform
from dealer_assets.tables import CHAIN_SNAPSHOTS, Column, Table

Rows = Callable[..., pa.Table]
SESSION = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

TYPED = Table(
    name="typed",
    doc="One column of every type in use.",
    grain="row",
    key=("count",),
    part="session",
    columns=(
        Column("count", pa.int32(), "1", "Key.", lower=0, upper=1000),
        Column("small", pa.float32(), "1", "Narrow float.", True),
        Column("text", pa.string(), "-", "Text.", True),
        Column("at", pa.timestamp("us", tz="UTC"), "UTC", "Instant.", True),
        Column("day", pa.date32(), "-", "Date.", True),
        Column("is_it", pa.bool_(), "-", "Flag.", True),
        Column("levels", pa.list_(pa.float64()), "1", "Numbers.", True),
    ),
)


def _typed(**changes: pa.Array) -> pa.Table:
    arrays = {c.name: pa.nulls(2, c.type) for c in TYPED.columns}
    arrays["count"] = pa.array([1, 2], pa.int32())
    return pa.table(arrays | changes)


def _check(rows: pa.Table) -> pa.Table:
    return conform(CHAIN_SNAPSHOTS, rows, underlying="SPX", session_date=SESSION)


def test_columns_are_put_in_order_and_rows_sorted_by_key(chain_rows: Rows) -> None:
    rows = chain_rows(6)
    shuffled = rows.take(pa.array([5, 0, 3, 1, 4, 2])).select(sorted(rows.column_names))
    found = _check(shuffled)
    assert found.schema.equals(CHAIN_SNAPSHOTS.schema)
    assert found["strike"].to_pylist() == [6000.0, 6000.0, 6005.0, 6005.0, 6010.0, 6010.0]
    assert found["right"].to_pylist() == ["call", "put"] * 3


def test_zero_rows_are_accepted(chain_rows: Rows) -> None:
    assert _check(chain_rows(0)).num_rows == 0


def test_missing_unknown_and_double_columns_are_named(chain_rows: Rows) -> None:
    rows = chain_rows()
    with pytest.raises(SchemaError, match=r"missing \['bid'\]"):
        _check(rows.drop_columns(["bid"]))
    with pytest.raises(SchemaError, match=r"unknown \['gamma'\]"):
        _check(rows.append_column("gamma", pa.array([0.0] * 6)))
    with pytest.raises(SchemaError, match=r"double \['bid'\]"):
        _check(rows.append_column("bid", rows["bid"]))


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("strike", [6000.0, None, 6000.0, 6005.0, 6010.0, 6010.0], "no null"),
        ("strike", [6000.0, np.nan, 6000.0, 6005.0, 6010.0, 6010.0], "a number in every row"),
        ("spot", [np.inf] * 6, "finite numbers"),
        ("right", ["call", "straddle"] * 3, r"one of \['call', 'put'\]"),
        ("right", ["call", None] * 3, "no null"),
        ("bid", [0.0, -0.01, 0.0, 0.0, 0.0, 0.0], "at least 0 USD"),
        ("multiplier", [0.0] * 6, "at least 1e-09"),
        ("underlying", ["SPX"] * 5 + ["SPY"], "the partition's SPX"),
        ("session_date", [SESSION] * 5 + [date(2026, 11, 19)], "the partition's 2026-11-20"),
    ],
)
def test_value_that_breaks_the_entry_is_refused_with_column_and_example(
    chain_rows: Rows, column: str, values: list[Any], expected: str
) -> None:
    with pytest.raises(SchemaError, match=rf"column {column}: expected {expected}.*in row \d"):
        _check(chain_rows(6, **{column: values}))


def test_upper_bound_is_refused_above_and_accepted_at_the_bound() -> None:
    assert conform(TYPED, _typed(count=pa.array([1, 1000], pa.int32()))).num_rows == 2
    with pytest.raises(SchemaError, match=r"column count: expected at most 1000.*found 1001"):
        conform(TYPED, _typed(count=pa.array([1, 1001], pa.int32())))


def test_nan_becomes_null_where_null_is_legal(chain_rows: Rows) -> None:
    found = _check(chain_rows(2, ask=[np.nan, 2.0]))
    assert found["ask"].to_pylist() == [None, 2.0]


def test_nan_in_a_list_is_refused() -> None:
    with pytest.raises(SchemaError, match="levels, list elements: expected finite numbers"):
        conform(TYPED, _typed(levels=pa.array([[1.0, np.nan], []])))


def test_key_that_occurs_twice_is_refused_with_the_key(chain_rows: Rows) -> None:
    rows = chain_rows(4)
    with pytest.raises(SchemaError, match=r"one row per key, found 1 more.*'strike': 6005.0"):
        _check(pa.concat_tables([rows, rows.slice(3)]))


@pytest.mark.parametrize(
    ("column", "given", "stored"),
    [
        ("count", pa.array([1.0, 2.0]), [1, 2]),
        ("count", pa.array([1, 2], pa.int64()), [1, 2]),
        ("small", pa.array([0.5, np.nan]), [0.5, None]),
        ("small", pa.array([1, 2], pa.int64()), [1.0, 2.0]),
        ("small", pa.nulls(2), [None, None]),
        ("text", pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        ("text", pa.array(["a", None]).dictionary_encode(), ["a", None]),
        ("at", pa.array([NOON, None], pa.timestamp("ns", tz="America/New_York")), [NOON, None]),
        ("day", pa.array([SESSION, None], pa.date64()), [SESSION, None]),
        ("levels", pa.array([[1.5], None], pa.large_list(pa.float32())), [[1.5], None]),
        ("levels", pa.array([[], []]), [[], []]),
    ],
)
def test_cast_that_loses_nothing_is_made(column: str, given: pa.Array, stored: list[Any]) -> None:
    found = conform(TYPED, _typed(**{column: given}))
    assert found.schema.equals(TYPED.schema)
    assert found[column].to_pylist() == stored


@pytest.mark.parametrize(
    ("column", "given", "message"),
    [
        ("count", pa.array([1.0, 2.5]), r"int32 without loss.*found 2.5"),
        ("count", pa.array([1, 2**40]), r"int32 without loss.*found 1099511627776"),
        ("count", pa.array(["1", "2"]), r"expected int32, found string, e.g. '1'"),
        ("small", pa.array([0.5, 0.1]), r"float without loss.*found 0.1"),
        ("text", pa.array([1, 2]), r"expected string, found int64, e.g. 1"),
        ("at", pa.array([NOON.replace(tzinfo=None)] * 2), r"found timestamp\[us\], e.g."),
        ("at", pa.array([1, 2001], pa.timestamp("ns", tz="UTC")), r"without loss.*found"),
        ("day", pa.array([NOON, NOON]), r"expected date32\[day\], found timestamp"),
        ("is_it", pa.array([0, 1]), r"expected bool, found int64, e.g. 0"),
        ("levels", pa.array([["1"], []]), r"found list<item: string>"),
    ],
)
def test_cast_that_loses_or_guesses_is_refused(column: str, given: pa.Array, message: str) -> None:
    with pytest.raises(SchemaError, match=rf"table typed, column {column}: .*{message}"):
        conform(TYPED, _typed(**{column: given}))


def test_every_refusal_says_what_to_do(chain_rows: Rows) -> None:
    with pytest.raises(SchemaError, match="fix the rows, or change the entry"):
        _check(chain_rows(6, bid=[-1.0] * 6))

"""Rows of live tables for tests: a row states what matters, everything else is made up.

Belongs here: making up legal rows from the dictionary, and putting them into a lake as the
streaming process does. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from dealer_assets.lake.layout import stream_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import INSTANT, Column, Table

DAY = date(2026, 11, 20)
"""A Friday; New York opens at 14:30 UTC, quotes end at 21:15."""

CALL = "SPXW261120C05000000"
PUT = "SPXW261120P05000000"


def clock(text: str, day: date = DAY) -> datetime:
    """Return a UTC instant of a day, from ``HH:MM:SS``."""
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=UTC)


def row(table: Table, **values: Any) -> dict[str, Any]:
    """Return a legal row of a table; `at` sets both instants, a symbol its contract."""
    at = values.pop("at", clock("15:00:00"))
    made = {column.name: _made_up(column) for column in table.columns}
    made |= {"underlying": "SPX", "session_date": DAY, "event_at": at, "known_at": at}
    if "symbol" in made:
        symbol = values.get("symbol", CALL)
        made |= {
            "symbol": symbol,
            "root": symbol[:-15],
            "expiry_date": datetime.strptime(symbol[-15:-9], "%y%m%d").replace(tzinfo=UTC).date(),
            "expires_at": clock("21:00:00"),
            "strike": int(symbol[-8:]) / 1000.0,
            "right": "call" if symbol[-9] == "C" else "put",
        }
    unknown = set(values) - set(made)
    assert not unknown, f"{table.name} has no columns {unknown}"
    return made | values


def numbered(table: Table, rows: Sequence[dict[str, Any]], *, first: int = 0) -> pa.Table:
    """Return rows of `row` as a table, numbered on from the first."""
    numbers = [entry | {"stream_sequence": first + i} for i, entry in enumerate(rows)]
    return pa.Table.from_pylist(numbers, schema=table.schema)


def stream(
    lake: Lake,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    first: int = 0,
    underlying: str = "SPX",
    day: date = DAY,
) -> None:
    """Write rows as one part of a live table, as the streaming process does."""
    own = [entry | {"underlying": underlying, "session_date": day} for entry in rows]
    write_part(
        lake,
        table,
        numbered(table, own, first=first),
        underlying=underlying,
        session_date=day,
        name=stream_part("us", first),
        provenance={"stream": "us"},
    )


def _made_up(column: Column) -> Any:
    kind = column.type
    if column.nullable:
        return None
    if column.allowed:
        return column.allowed[0]
    if pa.types.is_list(kind):
        return []
    if kind == INSTANT:
        return clock("15:00:00")
    if pa.types.is_date32(kind):
        return DAY
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_string(kind):
        return "x"
    return 1 if column.lower else 0

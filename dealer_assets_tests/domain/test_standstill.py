"""Quotes that stand still are told from a quiet market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets.domain.standstill import stands_still
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying

SPX = underlying("SPX")
NOON = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)
SIMULATOR = SimulatorProvider(density=0.05)


def chain(at: datetime) -> pa.Table:
    return SIMULATOR.snapshot(SPX, at=at).rows


def repeated(rows: pa.Table, at: datetime) -> pa.Table:
    """The same quotes under a later clock, with Greeks that move."""
    columns = {name: rows[name] for name in rows.column_names}
    columns["event_at"] = pa.array([at] * rows.num_rows, rows.schema.field("event_at").type)
    columns["vendor_delta"] = pc.multiply(rows["vendor_delta"], 1.01)
    return pa.table(columns, schema=rows.schema)


def test_quotes_repeated_for_five_minutes_of_trading_are_frozen() -> None:
    rows = chain(NOON)
    assert stands_still(rows, repeated(rows, NOON + timedelta(minutes=5)), SPX)


def test_a_market_that_moves_is_not() -> None:
    assert not stands_still(chain(NOON), chain(NOON + timedelta(minutes=5)), SPX)


@pytest.mark.parametrize(
    ("earlier", "minutes"),
    [(NOON, 4), (datetime(2026, 11, 19, 20, 57, tzinfo=UTC), 10)],
    ids=["too soon to tell", "quotes rest after the close"],
)
def test_what_cannot_be_told_is_not_told(earlier: datetime, minutes: int) -> None:
    rows = chain(earlier)
    assert not stands_still(rows, repeated(rows, earlier + timedelta(minutes=minutes)), SPX)


def test_one_quote_that_moved_is_enough() -> None:
    rows = chain(NOON)
    later = repeated(rows, NOON + timedelta(minutes=6))
    bid = later["bid"].to_pylist()
    bid[17] = (bid[17] or 0.0) + 0.05
    place = later.schema.get_field_index("bid")
    later = later.set_column(place, later.schema.field(place), pa.array(bid, pa.float64()))
    assert not stands_still(rows, later, SPX)

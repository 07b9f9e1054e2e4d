"""Restoring a book from the lake's rows: what comes later is judged as if nothing had happened."""

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import BadInputError
from dealer_assets_tests.streaming.tape import (
    CALL,
    NOON_US,
    arrays_of,
    book_of,
    listing,
    quote,
    random_tape,
    same,
    spot,
    state_of,
    tape,
    trade,
)
from streaming.core.book import Book, BookOptions, Trades
from streaming.core.trade_rows import trade_columns

SPY_CALL = "SPY251219C00600000"


def rows_of(trades, book, lane=0):
    """Return one lane's trades as the lake has them, but for columns that nothing is read from."""
    mine = book.listing.lane[trades.contract] == lane
    taken = {
        field.name: getattr(trades, field.name)[mine]
        for field in fields(Trades)
        if field.name != "first_row"
    }
    columns = trade_columns(taken, book.listing)
    columns["stream_sequence"] = taken["sequence"]
    columns["symbol"] = book.listing.columns["symbol"].take(pa.array(taken["contract"]))
    schema = tables.LIVE_TRADES.schema
    return pa.table({name: pa.array(columns[name]).cast(schema.field(name).type)
                     if not isinstance(columns[name], pa.ChunkedArray) else columns[name]
                     for name in columns})  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 400))
def test_later_trades_are_judged_the_same_but_for_quotes(seed, cut):
    events = random_tape(seed)
    before, after = events.take(slice(0, cut)), events.take(slice(cut, None))
    told = after.take(after.kind == 1)
    running, restarted = book_of(), book_of(log_room=1)
    rows = rows_of(running.apply(before), running)
    restarted.restore(rows)
    positions = ("volume", "customer", "customer_mean", "customer_variance", "last_price")
    positions += ("last_us", "traded", "trades_seen")
    assert same(*([getattr(b, name) for name in positions] for b in (restarted, running)))
    fresh = tape(spot(NOON_US, 6_000.0), *(quote(c, NOON_US, 20.0, 21.0) for c in range(3)))
    moved = [tape(fresh.take(slice(None)), told) for _ in range(2)]
    for book in (running, restarted):
        book.delta[:] = 0.5, -0.5, np.nan
    running.mark_vol[:] = np.nan  # of the market the restarted book knows nothing yet
    expected, found = running.apply(moved[0]), restarted.apply(moved[1])
    assert same(arrays_of(found), arrays_of(expected))
    log = slice(-len(restarted.log.records.dtype.names), None)
    assert same(state_of(restarted)[log], state_of(running)[log])
    assert same([restarted.log_spot], [running.log_spot])


def test_tick_after_a_restart_is_compared_with_the_print_before_it_moved_with_spot():
    running = book_of()
    done = running.apply(tape(spot(NOON_US, 6_000.0), trade(0, NOON_US, 5.0)))
    restarted = book_of()
    restarted.restore(rows_of(done, running))
    restarted.delta[0] = 0.5
    moved = spot(NOON_US + 1, 6_004.0)
    found = restarted.apply(tape(moved, trade(0, NOON_US + 1, 6.5)))
    assert found.sign.tolist() == [-1]


def test_cancel_after_a_restart_takes_back_the_print_before_it():
    running = book_of()
    done = running.apply(
        tape(spot(NOON_US, 6e3), quote(1, NOON_US, 20.0, 21.0), trade(1, NOON_US, 21.0))
    )
    restarted = book_of()
    restarted.restore(rows_of(done, running))
    found = restarted.apply(trade(1, NOON_US + 1, 21.0, codes=[201]))
    assert found.hedge_flow[0] == -done.hedge_flow[0] != 0.0
    assert found.gamma_flow[0] == -done.gamma_flow[0] != 0.0
    assert (found.sequence[0], found.cancels_sequence[0]) == (1, 0)
    assert restarted.volume[1] == restarted.customer[1] == 0.0


def test_lanes_are_restored_one_after_the_other():
    running = book_of(CALL, SPY_CALL)
    done = running.apply(tape(*(trade(i % 2, NOON_US + i, 5.0 + i, taker=1) for i in range(6))))
    restarted = book_of(CALL, SPY_CALL)
    for lane in (1, 0):
        restarted.restore(rows_of(done, running, lane))
    assert restarted.trades_seen.tolist() == [3, 3]
    found = restarted.apply(tape(*(trade(c, NOON_US + 9, 5.0 + c, codes=[201]) for c in (0, 1))))
    assert found.cancels_sequence.tolist() == [0, 0]
    assert found.sequence.tolist() == [3, 3]


def test_contracts_that_appeared_within_the_session_appear_again():
    running = book_of(CALL, SPY_CALL)
    done = running.apply(trade(1, NOON_US, 5.0, taker=1))
    restarted = Book(listing(CALL), options=BookOptions(log_room=16))
    restarted.restore(rows_of(done, running, lane=1))
    assert restarted.listing.symbols == [CALL, SPY_CALL]
    assert restarted.customer.tolist() == [0.0, 3.0]


@pytest.mark.parametrize("kept", [[1, 2], [0, 2], [0, 0, 1]])
def test_missing_and_double_rows_are_refused(kept):
    running = book_of()
    done = running.apply(tape(*(trade(0, NOON_US + i, 5.0) for i in range(3))))
    restarted = book_of()
    with pytest.raises(BadInputError, match="without holes"):
        restarted.restore(rows_of(done, running).take(pa.array(kept)))
    assert restarted.log.size == 0


def test_rows_of_another_desk_are_refused():
    running = book_of()
    rows = rows_of(running.apply(trade(0, NOON_US, 5.0)), running)
    other = Book(listing("SPY251219C00600000", lanes=("SPY",)), options=BookOptions(log_room=16))
    with pytest.raises(BadInputError, match="restore the rows of this desk"):
        other.restore(rows)


def test_no_rows_change_nothing():
    book = book_of()
    book.restore(tables.LIVE_TRADES.schema.empty_table())
    assert book.log.size == 0

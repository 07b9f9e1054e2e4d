"""Settled positions moved by the session's trades: by hand, against the batch side, when absent."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.columns import floats
from dealer_assets.domain.exposure.aggregate import book_of
from dealer_assets.domain.flow.settled import Settled
from dealer_assets.domain.flow.totals import Valued
from dealer_assets.errors import BadInputError
from dealer_assets.lake.storage import open_lake
from dealer_assets.tables.base import exposures as exposure_columns
from dealer_assets_tests.streaming import small_market
from dealer_assets_tests.streaming.engine_tape import (
    Tape,
    engine_of,
    events_of,
    listing_of,
    run,
    taken,
    tape,
    us,
    whole,
)
from dealer_assets_tests.streaming.tape import (
    CALL,
    NOON_US,
    PUT,
    SESSION,
    TODAY,
    listing,
    quote,
    spot,
    tape as joined,
    trade,
)
from streaming.core.book import Book, BookOptions
from streaming.core.events import TRADE
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.desk.pipeline import Desk
from streaming.keeping.sink import Sink
from streaming.recordings.recording import Recorder, Recording

MODEL = "live_reconciled"
EXPOSURES = (
    "delta_usd",
    "gamma_usd_per_pct",
    "vanna_usd_per_vol_pt",
    "charm_usd_per_day",
    "volga_usd_per_vol_pt2",
)
NET = [column.name for column in exposure_columns("net_")]


def settled_rows(contracts: pa.Table, position: Any, sd: Any, **more: Any) -> pa.Table:
    """Rows of `DEALER_POSITIONS` of some listed contracts."""
    n = contracts.num_rows
    given = {
        "model": ["reconciled"] * n,
        "open_interest_state": ["ok"] * n,
        "position_contracts": position,
        "position_sd_contracts": sd,
        "sessions_of_flow": [1] * n,
        "is_since_listing": [False] * n,
        **more,
    }
    schema = tables.DEALER_POSITIONS.schema
    columns = {}
    for field in schema:
        if field.name in given:
            columns[field.name] = pa.array(given[field.name], field.type)
        elif field.name in contracts.column_names:
            columns[field.name] = contracts[field.name].combine_chunks().cast(field.type)
        else:
            columns[field.name] = pa.nulls(n, field.type)
    for name in set(more) - set(schema.names):  # columns that the table has got since
        columns[name] = pa.array(more[name])
    return pa.table(columns)


@cache
def settled_of(symbol: str) -> pa.Table:
    """Positions of all but every tenth contract of a tape."""
    listed = tape(symbol).listed
    random = np.random.default_rng(4)
    position = np.round(random.normal(0.0, 300.0, listed.num_rows))
    sd = np.round(random.uniform(0.0, 80.0, listed.num_rows))
    kept = np.arange(listed.num_rows) % 10 > 0
    return settled_rows(listed, position, sd).filter(pa.array(kept))


def engine_with(one: Tape, settled: pa.Table | None, **options: Any) -> Any:
    listed = Listing.of([listing_of(one).lanes[0]], one.listed, one.interest, settled)
    return engine_of(listed, one, **options), events_of(listed, one)


def of_model(rows: pa.Table, model: str = MODEL) -> pa.Table:
    return rows.filter(pc.equal(rows["model"], model))


# --- by hand ------------------------------------------------------------------------------------


def test_trades_are_expected_to_move_positions_by_the_odds_of_their_sides():
    book = Book(listing(), options=BookOptions(log_room=16))
    call, put, today = range(3)
    book.apply(
        joined(
            spot(NOON_US, 6_000.0),
            quote(put, NOON_US, 20.0, 21.0),
            trade(call, NOON_US, 5.0, size=3.0, taker=1),  # told: bought for certain
            trade(call, NOON_US, 5.5, size=5.0),  # no quote, no fresh print to compare with
            trade(put, NOON_US, 20.0, size=4.0),  # at the bid: sold, right in 68 %
            trade(put, NOON_US, 21.0, size=7.0),  # at the ask, to be taken back
            trade(today, NOON_US, 1.0, size=2.0),
        )
    )
    told = trade(put, NOON_US + 1, 21.0, size=7.0, codes=[201])
    assert book.apply(told).cancels_sequence[0] == 3
    sold, tick = -4.0 * (2 * 0.68 - 1), 0.57  # the second print of the call: a tick above
    assert book.customer_mean.tolist() == pytest.approx([3.0 + 5.0 * (2 * tick - 1), sold, 0.0])
    expected = [25.0 * 4 * tick * (1 - tick), 16.0 * 4 * 0.68 * 0.32, 4.0]
    assert book.customer_variance.tolist() == pytest.approx(expected, rel=1e-12)
    assert book.customer.tolist() == [8.0, -4.0, 0.0]


def test_sums_and_deviation_of_three_contracts_by_hand():
    gamma = np.array([2.0, 3.0, 5.0, 7.0])
    valued = Valued(
        contract=np.arange(4),
        unit=np.stack([gamma * 10, gamma, gamma * 0, gamma * 0 + 1, gamma]),
        multiplier=np.full(4, 100.0),
        is_call=np.array([1, 0, 1, 0], np.uint8),
        is_zero_dte=np.array([0, 0, 1, 0], np.uint8),
        spot=100.0,
    )
    settled = Settled(
        position=np.array([10.0, -6.0, 0.0, np.nan]),
        variance=np.array([4.0, 9.0, 0.0, 100.0]),
        common=np.zeros(4),
        kind=np.zeros(4, np.int64),
    )
    mean, variance = np.array([3.0, -1.0, 2.0, 50.0]), np.array([25.0, 16.0, 4.0, 9.0])
    sums, sd = valued.moved(settled, mean=mean, variance=variance)
    # positions 7, -5, -2; the last is not known
    assert sums.net == (20 * 7 - 30 * 5 - 50 * 2, 2 * 7 - 3 * 5 - 5 * 2, 0.0, 0.0, -11.0)
    assert (sums.call_gamma, sums.put_gamma, sums.zero_dte_gamma) == (4.0, -15.0, -10.0)
    assert (sums.gross_gamma, sums.positions) == (14.0 + 15.0 + 10.0, 3)
    assert sd == pytest.approx(np.sqrt(4 * 29 + 9 * 25 + 25 * 4.0))
    # of one kind the first two err together: one deviation moves them by 3 and -1 contracts
    alike = settled._replace(common=np.array([3.0, -1.0, 0.0, 8.0]), kind=np.array([0, 0, 1, 0]))
    together = valued.moved(alike, mean=mean, variance=variance)[1]
    assert together**2 == pytest.approx(sd**2 + (2 * 3.0 - 3 * 1.0) ** 2)


def test_error_of_a_kind_is_told_apart_from_a_contracts_own():
    contracts = listing().columns.slice(0, 2)
    rows = settled_rows(
        contracts,
        [10.0, -6.0],
        [5.0, 2.0],
        kind=["call near week", None],
        kind_share_sd=[0.1, None],
        kind_loading_contracts=[30.0, None],  # 3 of the filter's 5, as 3 and 4 make 5
        filter_sd_contracts=[4.0, None],
    )
    found = Settled.of(rows, [PUT, CALL, TODAY])
    np.testing.assert_array_equal(found.position, [-6.0, 10.0, np.nan])
    np.testing.assert_allclose(found.variance, [4.0, 16.0, 0.0], rtol=1e-12)
    np.testing.assert_allclose(found.common, [0.0, 3.0, 0.0], rtol=1e-12)
    assert found.kind[0] != found.kind[1]


# --- which contracts ----------------------------------------------------------------------------


def test_who_nobody_can_have_held_before_starts_at_0_and_others_without_a_row_are_left_out():
    one = tape("SPX")
    names = one.listed["symbol"].to_pylist()
    followed, fresh, uncounted, left_out = names[:4]
    created = pc.if_else(
        pc.equal(one.listed["symbol"], fresh),
        one.listed["session_date"].cast(tables.INSTANT),
        pa.scalar(None, tables.INSTANT),
    )
    place = one.listed.schema.get_field_index("listed_at")
    listed = one.listed.set_column(place, one.listed.schema.field(place), created)
    interest = one.interest.filter(pc.not_equal(one.interest["symbol"], uncounted))
    settled = settled_rows(one.listed.slice(0, 1), [7.0], [2.0])
    found = Listing.of([listing_of(one).lanes[0]], listed, interest, settled)
    position = dict(zip(found.symbols, found.settled.position.tolist(), strict=True))
    assert (position[followed], position[fresh], position[uncounted]) == (7.0, 0.0, 0.0)
    held = found.open_interest[found.index_of(left_out)]
    assert held > 0.0
    assert np.isnan(position[left_out])
    assert found.settled.variance[found.index_of(followed)] == 4.0
    # what appears within the session is of the session
    new = followed[:-8] + f"{int(followed[-8:]) + 1:08d}"
    assert found.add([new]) == ()
    assert found.settled.position[found.index_of(new)] == 0.0


def test_without_a_listing_nothing_is_new():
    one = tape("SPX")
    settled = settled_rows(one.listed.slice(0, 1), [7.0], [2.0])
    lane, names = listing_of(one).lanes[0], one.listed["symbol"].to_pylist()
    nothing = one.listed.slice(0, 0)
    day = {"SPX": one.listed["session_date"][0].as_py()}
    found = Listing.of([lane], nothing, None, settled, sessions_of=day)
    found.add(names[:2])
    np.testing.assert_array_equal(found.settled.position, [7.0, np.nan])


def test_positions_of_another_session_are_refused():
    one = tape("SPX")
    settled = settled_of("SPX")
    place = settled.schema.get_field_index("session_date")
    late = settled.set_column(
        place, settled.schema.field(place), pa.array([SESSION] * settled.num_rows)
    )
    with pytest.raises(BadInputError, match="expected settled positions of SPX of the session"):
        engine_with(one, late)


# --- the engine ---------------------------------------------------------------------------------


def by_symbol(rows: pa.Table, values: Any) -> dict[str, float]:
    """Sums of values by contract."""
    found: dict[str, float] = {}
    for name, value in zip(rows["symbol"].to_pylist(), values, strict=True):
        found[name] = found.get(name, 0.0) + value
    return found


def opened(one: Tape) -> dict[str, float]:
    """Positions that the session opened with; 0 of what has no open interest yet."""
    settled = settled_of(one.symbol)
    held = one.interest.filter(pc.greater(one.interest["open_interest_contracts"], 0.0))
    fresh = set(one.listed["symbol"].to_pylist()) - set(held["symbol"].to_pylist())
    known = by_symbol(settled, floats(settled, "position_contracts"))
    return dict.fromkeys(fresh, 0.0) | known


def expected_flow(trades: pa.Table) -> tuple[dict[str, float], dict[str, float]]:
    """Expected change of dealers' positions by live trades, and its variance, by contract."""
    p = np.nan_to_num(floats(trades, "side_confidence"), nan=0.5)
    is_cancel = pc.equal(trades["trade_class"], "cancel").to_numpy()
    matched = trades["cancels_sequence"].is_valid().to_numpy()
    counts = np.where(is_cancel, -1.0 * matched, 1.0)
    square = counts * floats(trades, "size_contracts") ** 2 * 4 * p * (1 - p)
    change = floats(trades, "dealer_contracts") * (2 * p - 1)
    return by_symbol(trades, change), by_symbol(trades, square)


@pytest.mark.parametrize("symbol", ["SPX", "BTC"])
def test_totals_are_the_batch_sides_of_settled_less_expected_flow(symbol):
    one = tape(symbol)
    engine, events = engine_with(one, settled_of(symbol))
    rows = run(engine, events, one.at(2))
    row = of_model(rows["live_gamma", symbol]).to_pylist()[-1]
    view = engine.view(symbol)
    assert row["event_at"] == row["priced_at"] == one.at(2)
    held = opened(one)
    change, square = expected_flow(rows["live_trades", symbol])

    def position(names: list[str]) -> np.ndarray:
        return np.array([held.get(name, np.nan) + change.get(name, 0.0) for name in names])

    priced = view.pricing.priced
    book = book_of(priced, position(priced["symbol"].to_pylist()), model=MODEL)
    theirs = np.stack([getattr(book, name) for name in EXPOSURES])
    ours = np.array([row[name] for name in NET])
    gross = np.abs(theirs).sum(axis=1)
    assert np.abs((ours - theirs.sum(axis=1)) / gross).max() < 1e-9
    assert row["contracts_priced"] == book.rows.num_rows
    settled = settled_of(symbol)
    own = by_symbol(settled, floats(settled, "position_sd_contracts") ** 2)
    names = book.rows["symbol"].to_pylist()
    variance = np.array([own.get(name, 0.0) + square.get(name, 0.0) for name in names])
    unit = book.gamma_usd_per_pct / book.position
    assert row["net_gamma_sd_usd_per_pct"] == pytest.approx(np.sqrt(unit**2 @ variance), rel=1e-6)
    assert 0.8 < row["settled_open_interest_share"] < 1.0
    shown = [view.symbols[c] for c in view.contracts.contract.tolist()]
    np.testing.assert_allclose(view.contracts.position(MODEL), position(shown), atol=1e-9)


def test_other_models_are_as_without_settled_positions():
    one = tape("SPX")
    rows = []
    for settled in (None, settled_of("SPX")):
        engine, events = engine_with(one, settled)
        rows.append(run(engine, events, one.at(1)))
    without, with_them = rows
    number = with_them["live_gamma", "SPX"].schema.get_field_index("stream_sequence")
    for model in ("naive", "session_flow"):
        plain, ours = (of_model(r["live_gamma", "SPX"], model) for r in rows)
        assert ours.remove_column(number).equals(plain.remove_column(number))
        assert ours["net_gamma_sd_usd_per_pct"].null_count == ours.num_rows
        assert ours["settled_open_interest_share"].null_count == ours.num_rows
    assert not of_model(without["live_gamma", "SPX"]).num_rows
    for key in without.keys() - {("live_gamma", "SPX")}:
        assert without[key].equals(with_them[key])


def test_any_cut_gives_the_same_rows_and_a_restart_goes_on_the_same():
    one, random = tape("SPX"), np.random.default_rng(1)
    until, cut_us = one.at(2), us(one.at(0.7))
    engine, events = engine_with(one, settled_of("SPX"))
    events = events.take(events.received_us < us(until))
    expected = run(engine, events, until)
    engine, _ = engine_with(one, settled_of("SPX"))
    collected: dict = {}
    at = 0
    while at < len(events):
        size = int(random.integers(1, 400))
        engine.apply(events.take(slice(at, at + size)))
        at += size
    engine.advance(us(until))
    taken(engine, collected)
    assert whole(collected)["live_gamma", "SPX"].equals(expected["live_gamma", "SPX"])

    is_before = events.received_us < cut_us
    trades = expected["live_trades", "SPX"]
    stored = trades.slice(0, int((is_before & (events.kind == TRADE)).sum()))
    sequences = Sequences({("live_trades", "SPX"): stored.num_rows})
    second, _ = engine_with(one, settled_of("SPX"), sequences=sequences)
    second.restore({"SPX": stored})
    second.book.apply(events.take(is_before & (events.kind != TRADE)))
    rows = run(second, events.take(~is_before), until)
    last, theirs = (of_model(r["live_gamma", "SPX"]).to_pylist()[-1] for r in (rows, expected))
    assert last | {"stream_sequence": 0} == theirs | {"stream_sequence": 0}


def test_a_lane_without_settled_positions_has_no_rows_of_the_model_beside_one_that_has():
    tapes = [tape("SPX"), tape("SPY")]
    both = listing_of(*tapes)
    listed = pa.concat_tables([one.listed for one in tapes])
    interest = pa.concat_tables([one.interest for one in tapes])
    made = Listing.of(both.lanes, listed, interest, settled_of("SPX"))
    rows = run(engine_of(made, *tapes), events_of(made, *tapes), tapes[0].at(0.3))
    assert of_model(rows["live_gamma", "SPX"]).num_rows > 5
    assert not of_model(rows["live_gamma", "SPY"]).num_rows


def test_a_desk_and_the_replay_of_its_recording_start_with_the_same_positions(tmp_path: Path):
    begun = small_market.start("crypto")
    n = begun.listed.num_rows
    given = replace(begun, settled=settled_rows(begun.listed, np.arange(1.0, n + 1), np.ones(n)))
    recorder = Recorder(tmp_path, given, started_us=small_market.OPEN_US)
    recorder.close()
    opened_with = []
    for number, start in enumerate((given, Recording(recorder.folder).start())):
        lake = open_lake(str(tmp_path / f"lake{number}"))
        journal = tmp_path / f"journal{number}"
        sink = Sink(lake, journal, stream="simulator", sessions=start.sessions)
        desk = Desk.open(start, sink)
        sink.close()
        assert desk.listing.has_settled(0)
        opened_with.append(desk.listing.settled)
    for ours, theirs in zip(*opened_with, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert opened_with[0].position.sum() == n * (n + 1) / 2

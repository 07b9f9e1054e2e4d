"""The engine: seconds, bars, positions by contract, restarts; results depend on events alone."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.columns import floats, integers
from dealer_assets.domain.flow.bars import MEASURES
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets_tests.streaming.engine_tape import (
    engine_of,
    events_of,
    listing_of,
    run,
    taken,
    tape,
    us,
    whole,
)
from streaming.core.events import OPEN_INTEREST, QUOTE, SPOT, TRADE, Events, concatenated
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.core.trade_rows import restored_prints

LIVE = {table.name: table for table in tables.LIVE_TABLES}
US = ("SPX", "SPY")
OPTIONS = {"price_seconds": 20, "strike_seconds": 60}
MINUTES = 3

Rows = dict[tuple[str, str], pa.Table]


@cache
def us_desk() -> tuple[Events, Rows]:
    """Three minutes of SPX and SPY together: events and all rows they give at once."""
    tapes = [tape(symbol) for symbol in US]
    listing = listing_of(*tapes)
    events = events_of(listing, *tapes)
    events = events.take(events.received_us < us(tapes[0].at(MINUTES)))
    return events, run(engine_of(listing, *tapes, **OPTIONS), events, tapes[0].at(MINUTES))


def fresh(**options):
    tapes = [tape(symbol) for symbol in US]
    return engine_of(listing_of(*tapes), *tapes, **(OPTIONS | options))


def end_us() -> int:
    return us(tape("SPX").at(MINUTES))


def only(rows: pa.Table, **values: object) -> pa.Table:
    for name, value in values.items():
        rows = rows.filter(pc.equal(rows[name], value))
    return rows


def same(one: Rows, other: Rows) -> None:
    assert one.keys() == other.keys()
    for key, rows in one.items():
        assert rows.equals(other[key]), key


def test_all_rows_are_as_the_dictionary_says():
    rows = us_desk()[1]
    assert {name for name, _ in rows} == {
        "live_trades",
        "live_gamma",
        "live_strikes",
        "live_flow",
        "live_contract_flow",
    }
    for (name, symbol), some in rows.items():
        assert conform(LIVE[name], some, underlying=symbol).equals(some)


def test_rows_are_numbered_without_holes():
    for rows in us_desk()[1].values():
        assert rows["stream_sequence"].to_pylist() == list(range(rows.num_rows))


@pytest.mark.parametrize("seed", [1, 2])
def test_chunks_of_any_size_give_the_same_rows(seed):
    events, expected = us_desk()
    engine, rng = fresh(), np.random.default_rng(seed)
    collected: dict = {}
    at = 0
    while at < len(events):
        size = int(rng.integers(1, 400))
        engine.apply(events.take(slice(at, at + size)))
        at += size
        if rng.random() < 0.3:
            taken(engine, collected)
    engine.advance(end_us())
    taken(engine, collected)
    same(whole(collected), expected)


def test_events_one_by_one_give_the_same_rows():
    events, _ = us_desk()
    first = us(tape("SPX").at(0.5))
    events = events.take(events.received_us < first)
    at_once = run(fresh(), events, tape("SPX").at(0.5))
    engine, collected = fresh(), {}
    for i in range(len(events)):
        engine.apply(events.take(slice(i, i + 1)))
    engine.advance(first)
    taken(engine, collected)
    same(whole(collected), at_once)


def test_ticks_in_between_change_nothing():
    events, expected = us_desk()
    engine, collected = fresh(), {}
    for cut_us in range(us(tape("SPX").opens), end_us() + 1, 300_000):
        received = events.received_us
        engine.apply(events.take((received >= cut_us - 300_000) & (received < cut_us)))
        engine.advance(cut_us)
        taken(engine, collected)
    engine.apply(events.take(events.received_us >= cut_us))
    engine.advance(end_us())
    taken(engine, collected)
    same(whole(collected), expected)


def test_silent_seconds_have_totals_too():
    events, _ = us_desk()
    opens = tape("SPX").opens
    rows = run(
        fresh(), events.take(events.received_us < us(opens) + 10**7), opens + timedelta(seconds=90)
    )
    seconds = only(rows["live_gamma", "SPX"], model="naive")
    stamps = integers(seconds, "event_at")
    assert np.diff(stamps).tolist() == [1_000_000] * (stamps.size - 1)
    assert stamps[-1] == us(opens) + 90 * 10**6
    assert len(set(floats(seconds, "net_gamma_exposure_usd_per_pct")[20:].tolist())) > 60


def test_there_are_no_totals_before_a_first_pricing():
    events, _ = us_desk()
    no_quotes = events.take(events.kind != QUOTE)
    rows = run(fresh(), no_quotes, tape("SPX").at(MINUTES))
    assert ("live_gamma", "SPX") not in rows
    assert ("live_strikes", "SPX") not in rows
    assert (
        rows["live_trades", "SPX"]["implied_vol"].null_count == rows["live_trades", "SPX"].num_rows
    )
    assert rows["live_flow", "SPX"].num_rows > 0


def test_without_a_spot_parity_tells_it():
    events, _ = us_desk()
    rows = run(fresh(), events.take(events.kind != SPOT), tape("SPX").at(MINUTES))
    found = only(rows["live_gamma", "SPX"], model="naive")
    assert set(found["spot_source"].to_pylist()) == {"parity"}
    true = us_desk()[1]["live_gamma", "SPX"]["spot"][-1].as_py()
    assert found["spot"][-1].as_py() == pytest.approx(true, rel=2e-3)


def without_interest(symbol: str = "SPX"):
    one = tape(symbol)
    listing = Listing.of([listing_of(one).lanes[0]], one.listed)
    return one, listing


def test_unknown_open_interest_is_not_zero_gamma():
    one, listing = without_interest()
    engine = engine_of(listing, one, **OPTIONS)
    rows = run(engine, events_of(listing, one), one.at(1))["live_gamma", "SPX"]
    assert set(rows["model"].to_pylist()) == {"session_flow"}


def test_open_interest_that_comes_within_the_session_counts_from_then_on():
    one, listing = without_interest()
    engine = engine_of(listing, one, **OPTIONS)
    events = events_of(listing, one)
    told = events.take(np.zeros(listing.size, np.int64))
    told.kind[:], told.contract[:] = OPEN_INTEREST, np.arange(listing.size)
    told.a[:] = listing_of(one).open_interest
    told.received_us[:] = us(one.at(0.5))
    before, after = (
        events.received_us < told.received_us[0],
        events.received_us >= told.received_us[0],
    )
    events = concatenated([events.take(before), told, events.take(after)])
    rows = only(run(engine, events, one.at(1))["live_gamma", "SPX"], model="naive")
    assert rows["event_at"][0].as_py() == one.at(0.5) + timedelta(seconds=1)
    assert rows["contracts"][0].as_py() == rows["contracts_priced"][0].as_py() > 100


def test_contracts_without_a_vol_are_counted_but_not_priced():
    one = tape("SPX")
    listing = listing_of(one)
    events = events_of(listing, one)
    silent = listing.slices[int(listing.slice_id[0])]
    is_silent = (listing.slice_id == 0)[np.where(events.kind == SPOT, 0, events.contract)]
    events = events.take((events.kind != QUOTE) | ~is_silent)
    rows = run(engine_of(listing, one, **OPTIONS), events, one.at(1))["live_gamma", "SPX"]
    last = only(rows, model="naive").to_pylist()[-1]
    assert silent.lane == 0
    assert last["contracts"] - last["contracts_priced"] == (listing.slice_id == 0).sum()


def test_totals_stop_when_quotes_do_and_trades_do_not():
    one = tape("SPX")
    listing = listing_of(one)
    engine = engine_of(listing, one, **OPTIONS)
    events = events_of(listing, one)
    events = events.take(events.received_us < us(one.at(1)))
    shift = int(timedelta(hours=6, minutes=44).total_seconds() * 1e6)  # 16:14 New York
    events.received_us[:] += shift
    late = events.take(np.flatnonzero(events.kind == TRADE)[-1:])
    late.received_us[:] = us(one.opens) + int(timedelta(hours=7).total_seconds() * 1e6)
    rows = run(engine, concatenated([events, late]), one.opens + timedelta(hours=7, minutes=2))
    assert rows["live_gamma", "SPX"]["event_at"][-1].as_py() == one.opens + timedelta(
        hours=6, minutes=45
    )
    assert integers(rows["live_trades", "SPX"], "known_at")[-1] == late.received_us[0]
    assert integers(rows["live_flow", "SPX"], "event_at")[-1] == late.received_us[0]


def recomputed(rows: Rows, listing: Listing, symbol: str, length_us: int, by: str) -> dict:
    """Bars from stored trades alone, prints added one by one."""
    trades = rows["live_trades", symbol]
    session_day = integers(trades, "session_date")[0]
    prints = restored_prints(trades, listing, int(session_day))
    key = prints.bucket if by == "bucket" else prints.contract
    bars: dict[tuple[int, int], list[float]] = {}
    for i in range(key.size):
        start = int(prints.received_us[i]) // length_us * length_us
        bar = bars.setdefault((start, int(key[i])), [0.0] * len(MEASURES))
        for m in range(len(MEASURES)):
            bar[m] += prints.added[m, i]
    return bars


@pytest.mark.parametrize(("interval", "length_us"), [("second", 10**6), ("minute", 60 * 10**6)])
@pytest.mark.parametrize("symbol", US)
def test_bars_follow_from_the_stored_trades_alone(symbol, interval, length_us):
    rows = us_desk()[1]
    listing = listing_of(*(tape(name) for name in US))
    expected = recomputed(rows, listing, symbol, length_us, "bucket")
    found = only(rows["live_flow", symbol], interval=interval)
    words = [
        (r, t, s)
        for r in ("call", "put")
        for t in ("0dte", "other")
        for s in ("1", "2-9", "10-99", "100+")
    ]
    assert found.num_rows == len(expected)
    running = dict.fromkeys(words, 0.0)
    for row in found.to_pylist():
        bucket = (row["right"], row["tenor"], row["size_bucket"])
        bar = expected[int(row["event_at"].timestamp() * 1e6), words.index(bucket)]
        assert [row[name] for name in MEASURES] == bar
        assert (row["known_at"] - row["event_at"]) == timedelta(microseconds=length_us)
        running[bucket] += row["hedge_flow_usd"]
        assert row["cumulative_hedge_flow_usd"] == pytest.approx(
            running[bucket], rel=1e-9, abs=1e-3
        )


@pytest.mark.parametrize("symbol", US)
def test_contract_minutes_are_those_of_everything_that_traded(symbol):
    rows = us_desk()[1]
    listing = listing_of(*(tape(name) for name in US))
    expected = recomputed(rows, listing, symbol, 60 * 10**6, "contract")
    found = only(rows["live_contract_flow", symbol], interval="minute")
    assert found.num_rows == len(expected)
    for row in found.to_pylist():
        key = (int(row["event_at"].timestamp() * 1e6), listing.index_of(row["symbol"]))
        assert [row[name] for name in MEASURES] == expected[key]
        assert row["gamma"] >= 0.0  # none where exercise is certain
        assert row["implied_vol"] > 0.0


def test_contract_seconds_are_those_of_the_watched_window():
    rows = us_desk()[1]["live_contract_flow", "SPX"]
    seconds = only(rows, interval="second")
    assert seconds.num_rows > 50
    assert set(seconds["is_watched"].to_pylist()) == {True}
    assert pc.all(pc.equal(seconds["expiry_date"], seconds["session_date"])).as_py()
    away = np.abs(floats(seconds, "strike") / floats(seconds, "spot") - 1.0)
    assert away.max() < 0.02
    assert set(only(rows, interval="minute")["is_watched"].to_pylist()) == {True, False}


@pytest.mark.parametrize("symbol", US)
def test_strikes_sum_to_the_totals_of_the_sessions_flow(symbol):
    rows = us_desk()[1]
    strikes = rows["live_strikes", symbol]
    assert strikes["event_at"].unique().to_pylist() == [tape("SPX").at(m) for m in (1, 2, 3)]
    for at in strikes["event_at"].unique():
        here = only(strikes, event_at=at)
        total = only(rows["live_gamma", symbol], event_at=at, model="session_flow").to_pylist()[0]
        for name in (
            "delta_exposure_usd",
            "gamma_exposure_usd_per_pct",
            "charm_exposure_usd_per_day",
        ):
            gross = np.abs(floats(here, name)).sum()
            assert floats(here, name).sum() == pytest.approx(total[f"net_{name}"], abs=1e-9 * gross)
        assert (floats(here, "position_contracts") != 0.0).sum() == total["contracts_priced"]


def test_a_backfilled_trade_lands_in_the_bar_of_its_receipt():
    events, expected = us_desk()
    late = events.take(np.flatnonzero((events.kind == TRADE) & (events.contract < 160))[:1])
    late.is_backfill[:] = True
    late.received_us[:] = us(tape("SPX").at(2.5)) + 500_000
    late.sequence[:] = -1
    before = events.received_us <= late.received_us[0]
    rows = run(
        fresh(),
        concatenated([events.take(before), late, events.take(~before)]),
        tape("SPX").at(MINUTES),
    )
    trade = only(rows["live_trades", "SPX"], is_backfilled=True)
    assert trade.num_rows == 1
    assert integers(trade, "event_at")[0] == late.event_us[0]
    second = tape("SPX").at(2.5)
    for table, at, more in (("live_flow", second, 1), ("live_flow", tape("SPX").opens, 0)):
        counts = [
            pc.sum(only(found[table, "SPX"], event_at=at, interval="second")["trades"]).as_py() or 0
            for found in (rows, expected)
        ]
        assert counts[0] - counts[1] == more


def test_a_contract_that_appears_within_the_session_is_priced_from_the_next_pricing():
    one = tape("SPX")
    listing = listing_of(one)
    engine = engine_of(listing, one, **OPTIONS)
    events = events_of(listing, one)
    events = events.take(events.received_us < us(one.at(1)))
    begun = events.received_us < us(one.at(0.5))
    engine.apply(events.take(begun))
    model = listing.index_of(listing.symbols[-1])
    root, day = (
        listing.slices[int(listing.slice_id[model])].root,
        listing.slices[int(listing.slice_id[model])],
    )
    symbol = f"{root}{day.expiry_date:%y%m%d}C{round((listing.strike.max() + 2.5) * 1000):08d}"
    assert listing.add([symbol]) == ()
    trade = events.take(np.flatnonzero(events.kind == TRADE)[:1])
    trade.contract[:], trade.taker[:] = listing.index_of(symbol), 1
    trade.received_us[:] = us(one.at(0.5))
    engine.apply(trade)
    engine.apply(events.take(~begun))
    engine.advance(us(one.at(1)))
    collected: dict = {}
    taken(engine, collected)
    rows = whole(collected)
    assert symbol in rows["live_trades", "SPX"]["symbol"].to_pylist()
    assert symbol in rows["live_strikes", "SPX"]["symbol"].to_pylist()


@pytest.mark.parametrize("lost_flow", [0, 5, 60])
@pytest.mark.parametrize("seconds", [61.0, 75.35])
def test_after_a_restart_everything_goes_on_as_if_nothing_had_happened(seconds, lost_flow):
    events, expected = us_desk()
    opens = us(tape("SPX").opens)
    cut_us = opens + int(seconds * 1e6)
    first, collected = fresh(), {}
    first.apply(events.take(events.received_us < cut_us))
    taken(first, collected)
    before = whole(collected)
    trades = {symbol: before["live_trades", symbol] for symbol in US}
    kept = {key: rows.num_rows for key, rows in before.items()}
    for symbol in US:  # the journal had not got them yet
        kept["live_flow", symbol] = max(0, kept["live_flow", symbol] - lost_flow)
    tapes = [tape(symbol) for symbol in US]
    second = engine_of(listing_of(*tapes), *tapes, sequences=Sequences(kept), **OPTIONS)
    second.restore(trades)
    standing = standing_quotes(events, cut_us)
    second.book.apply(standing)
    rows = run(second, events.take(events.received_us >= cut_us), tape("SPX").at(MINUTES))
    for symbol in US:
        key = ("live_flow", symbol)
        joined = pa.concat_tables([before[key].slice(0, kept[key]), rows[key]])
        assert joined["stream_sequence"].to_pylist() == list(range(joined.num_rows))
        assert drop_vols(joined).equals(drop_vols(expected[key]))
        over = integers(joined, "known_at") <= cut_us  # what the first had to say stays as it was
        assert joined.filter(pa.array(over)).equals(expected[key].filter(pa.array(over)))
        for words in (("call", "0dte", "1"), ("put", "other", "2-9")):
            bucket = dict(zip(("right", "tenor", "size_bucket"), words, strict=True))
            own = only(joined, interval="second", **bucket)
            np.testing.assert_allclose(
                floats(own, "cumulative_hedge_flow_usd"), floats(own, "hedge_flow_usd").cumsum()
            )
        for name in ("live_trades", "live_strikes"):
            later = rows[name, symbol]
            numbers = later["stream_sequence"]
            if name == "live_strikes":  # as soon as the chain is priced anew
                assert later.num_rows
            assert drop_vols(later).equals(
                drop_vols(expected[name, symbol].slice(numbers[0].as_py()))
            )
        later = rows["live_gamma", symbol]
        at = pc.greater_equal(later["event_at"], tape("SPX").at(2))
        theirs = expected["live_gamma", symbol]
        theirs = theirs.filter(pc.greater_equal(theirs["event_at"], tape("SPX").at(2)))
        number = later.schema.get_field_index("stream_sequence")
        assert later.filter(at).remove_column(number).equals(theirs.remove_column(number))


def standing_quotes(events: Events, until_us: int) -> Events:
    """Quotes and spots before an instant: what a feed tells anew."""
    return events.take((events.received_us < until_us) & (events.kind != TRADE))


def drop_vols(rows: pa.Table) -> pa.Table:
    """Leave out what rests on the last pricing, which a restart does not remember."""
    told = ("implied_vol", "vol_", "delta", "gamma", "vanna", "charm", "hedge_flow", "volga")
    told += ("absolute_hedge", "cumulative")
    return rows.select([name for name in rows.column_names if not name.startswith(told)])


def test_a_restart_with_rows_missing_is_refused():
    expected = us_desk()[1]
    taken_rows = {
        ("live_trades", symbol): expected["live_trades", symbol].num_rows for symbol in US
    }
    tapes = [tape(symbol) for symbol in US]
    engine = engine_of(listing_of(*tapes), *tapes, sequences=Sequences(taken_rows))
    with pytest.raises(BadInputError, match="recover the journal"):
        engine.restore({"SPX": expected["live_trades", "SPX"].slice(1)})
    with pytest.raises(BadInputError, match="SPY"):
        engine.restore({"SPX": expected["live_trades", "SPX"]})


def test_a_view_stays_as_it_was():
    events, _ = us_desk()
    engine = fresh()
    half = us(tape("SPX").at(1))
    engine.apply(events.take(events.received_us < half))
    engine.advance(half)
    view = engine.view("SPX")
    assert engine.view("SPX") is view
    held = (view.spot, view.totals, view.flow.copy(), view.contracts.customer.copy())
    exposures = view.contracts.exposures("session_flow").copy()
    engine.apply(events.take(events.received_us >= half))
    assert engine.view("SPX") is not view
    assert (view.spot, view.totals) == held[:2]
    np.testing.assert_array_equal(view.flow, held[2])
    np.testing.assert_array_equal(view.contracts.customer, held[3])
    np.testing.assert_array_equal(view.contracts.exposures("session_flow"), exposures)


def test_a_view_sums_to_its_totals():
    events, rows = us_desk()
    engine = fresh()
    run(engine, events, tape("SPX").at(MINUTES))
    view = engine.view("SPX")
    for model, found in view.totals.models.items():
        by_contract = np.nansum(view.contracts.exposures(model), axis=1)
        gross = np.nansum(np.abs(view.contracts.exposures(model)), axis=1)
        assert np.abs((by_contract - found.sums.net) / gross).max() < 1e-12
    assert view.history[-1] is view.totals
    assert len(view.history) == only(rows["live_gamma", "SPX"], model="naive").num_rows
    assert len(view.watched) == 14
    assert view.is_open
    assert view.spot_age_us >= 0
    closed = rows["live_trades", "SPX"]
    assert view.flow[0].sum() == closed.num_rows
    assert view.flow[6].sum() == pytest.approx(floats(closed, "hedge_flow_usd").sum(), rel=1e-9)

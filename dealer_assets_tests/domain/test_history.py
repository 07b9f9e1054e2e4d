"""A session's history: volume between snapshots, the last snapshot of each contract."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.history import daily_history, volume_deltas
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets_tests.domain.synthetic import EVENT_AT, chain, contract, quoted

HOUR = timedelta(hours=1)


def session(*volumes, strike=6000.0, right="call", **quote):
    """One contract's snapshots, an hour apart, with these volume counters."""
    return [
        chain([contract(strike, right, volume_contracts=volume, **quote)], event_at=at)
        for volume, at in zip(volumes, hours(), strict=False)
        if volume != "absent"
    ]


def hours():
    return [EVENT_AT + number * HOUR for number in range(5)]


def deltas_of(*snapshots):
    rows = volume_deltas(pa.concat_tables(snapshots)).to_pylist()
    return [
        ((row["event_at"] - EVENT_AT) // HOUR, row["volume_delta_contracts"], row["is_reset"])
        for row in rows
    ]


def test_first_delta_is_the_whole_counter_and_later_ones_the_difference():
    assert deltas_of(*session(10.0, 10.0, 25.0)) == [(0, 10.0, False), (2, 15.0, False)]


def test_counter_that_goes_back_is_flagged_and_starts_anew():
    expected = [(0, 500.0, False), (1, 20.0, True), (2, 10.0, False)]
    assert deltas_of(*session(500.0, 20.0, 30.0)) == expected


def test_counter_that_reads_zero_was_wiped_and_trades_nothing():
    assert deltas_of(*session(500.0, 0.0)) == [(0, 500.0, False)]


def test_snapshot_without_a_volume_is_skipped_not_read_as_zero():
    assert deltas_of(*session(10.0, None, 25.0)) == [(0, 10.0, False), (2, 15.0, False)]


def test_contract_that_appears_late_starts_with_its_whole_counter():
    assert deltas_of(*session("absent", 7.0, 9.0)) == [(1, 7.0, False), (2, 2.0, False)]


def test_contracts_that_did_not_trade_have_no_rows():
    assert deltas_of(*session(0.0, 0.0)) == []


def test_contracts_do_not_mix():
    calls, puts = session(10.0, 12.0), session(100.0, 100.0, right="put")
    other = session(3.0, 4.0, strike=6005.0)
    rows = volume_deltas(pa.concat_tables(calls + puts + other)).to_pylist()
    found = [(r["strike"], r["right"], r["volume_delta_contracts"]) for r in rows]
    assert found == [
        (6000.0, "call", 10.0),
        (6000.0, "call", 2.0),
        (6000.0, "put", 100.0),
        (6005.0, "call", 3.0),
        (6005.0, "call", 1.0),
    ]


def test_roots_of_one_date_strike_and_right_do_not_mix():
    am = session(10.0, 12.0, root="SPX")
    pm = session(1000.0, 1001.0)
    rows = volume_deltas(pa.concat_tables(am + pm)).to_pylist()
    found = [(row["root"], row["volume_delta_contracts"]) for row in rows]
    assert found == [("SPX", 10.0), ("SPX", 2.0), ("SPXW", 1000.0), ("SPXW", 1.0)]


@pytest.mark.parametrize("snapshots", [[], session(None, None)])
def test_session_without_any_volume_gives_an_empty_typed_table(snapshots):
    rows = pa.concat_tables(snapshots) if snapshots else tables.CHAIN_SNAPSHOTS.schema.empty_table()
    found = volume_deltas(rows)
    assert found.num_rows == 0
    assert found.schema == tables.VOLUME_DELTAS.schema


def day(chains):
    """History of a session, from its chains alone."""
    priced = pa.concat_tables([price_chain(snapshot) for snapshot in chains])
    rows = pa.concat_tables(chains)
    return daily_history(rows, volume_deltas(rows), priced=priced)


def quoted_day():
    """Three snapshots of five strikes; a sixth strike in the middle one only."""
    chains = []
    for number, at in enumerate(hours()[:3]):
        strikes = [5800, 5900, 6000, 6100, 6200] + ([6300] if number == 1 else [])
        contracts = quoted(
            strikes,
            vol=0.18 + 0.01 * number,
            event_at=at,
            volume_contracts=5.0 * number,
            open_interest_contracts=40.0 + number,
        )
        chains.append(chain(contracts, event_at=at, spot=6000.0))
    return chains


@pytest.fixture(scope="module")
def chains():
    return quoted_day()


def test_daily_history_has_one_row_per_contract_with_its_last_snapshot(chains):
    table = day(chains)
    assert table.schema == tables.DAILY_HISTORY.schema
    rows = {(row["strike"], row["right"]): row for row in table.to_pylist()}
    assert len(rows) == 12
    row = rows[6000.0, "call"]
    assert (row["snapshots"], row["event_at"]) == (3, EVENT_AT + 2 * HOUR)
    assert (row["volume_contracts"], row["open_interest_contracts"]) == (10.0, 42.0)
    assert row["implied_vol"] == pytest.approx(0.20, rel=1e-6)
    late = rows[6300.0, "put"]
    assert (late["snapshots"], late["event_at"]) == (1, EVENT_AT + HOUR)
    assert late["implied_vol"] == pytest.approx(0.19, rel=1e-6)


def test_daily_vol_is_the_last_known_one(chains):
    dark = [
        item | {"bid": 0.0, "ask": 0.0} for item in quoted([5900, 6000, 6100], vol=0.2, spot=6000.0)
    ]
    last = chain(dark, event_at=hours()[3])
    rows = {(row["strike"], row["right"]): row for row in day([*chains, last]).to_pylist()}
    row = rows[6000.0, "call"]
    assert row["event_at"] == hours()[3]
    assert row["ask"] == 0.0
    assert row["implied_vol"] == pytest.approx(0.20, rel=1e-6)


def test_daily_volume_is_what_was_counted_since_the_counter_began_anew():
    snapshots = session(500.0, 20.0, 30.0, bid=100.0, ask=101.0)  # yesterday's, then today's
    (row,) = day(snapshots).to_pylist()
    assert row["volume_contracts"] == 30.0


@pytest.mark.parametrize("dip", [990.0, 0.0, None])
def test_corrected_or_wiped_counter_trades_nothing_until_its_old_high(dip):
    found = [(delta, is_reset) for _, delta, is_reset in deltas_of(*session(1000.0, dip, 1010.0))]
    assert found == [(1000.0, False), (10.0, False)]


def test_contract_that_never_traded_or_priced_has_volume_zero_and_no_vol():
    snapshots = session(0.0, None)
    (row,) = day(snapshots).to_pylist()
    assert (row["snapshots"], row["volume_contracts"], row["implied_vol"]) == (2, 0.0, None)


def test_daily_history_of_no_chains_is_empty_and_typed():
    empty = (tables.CHAIN_SNAPSHOTS, tables.VOLUME_DELTAS, tables.CONTRACT_GREEKS)
    rows, deltas, priced = (table.schema.empty_table() for table in empty)
    found = daily_history(rows, deltas, priced=priced)
    assert found.num_rows == 0
    assert found.schema == tables.DAILY_HISTORY.schema


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_history_does_not_depend_on_the_order_of_rows(seed):
    chains = quoted_day()
    rows = pa.concat_tables(chains)
    priced = pa.concat_tables([price_chain(snapshot) for snapshot in chains])
    rng = np.random.default_rng(seed)
    mixed = rows.take(pa.array(rng.permutation(rows.num_rows)))
    deltas = volume_deltas(rows)
    assert volume_deltas(mixed).equals(deltas)
    mixed_history = daily_history(
        mixed,
        deltas.take(pa.array(rng.permutation(deltas.num_rows))),
        priced=priced.take(pa.array(rng.permutation(priced.num_rows))),
    )
    assert mixed_history.equals(daily_history(rows, deltas, priced=priced))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 50).map(float)), min_size=1, max_size=5))
def test_deltas_are_never_negative_and_add_up_to_the_counter_since_its_last_reset(counters):
    found = deltas_of(*session(*counters))
    assert all(delta >= 0.0 for _, delta, _ in found)
    since = 0.0
    for _, delta, is_reset in found:
        since = delta if is_reset else since + delta
    high = 0.0
    for volume in counters:
        if volume is not None:
            high = volume if 0.0 < volume < 0.5 * high else max(high, volume)
    assert since == high

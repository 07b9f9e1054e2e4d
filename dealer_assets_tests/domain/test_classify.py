"""Sides of a published tape: the live book's, print by print, and never of what came later."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.flow.classify import BatchOptions, classify
from dealer_assets.domain.flow.prevailing import deltas_of, prevailing, tape_of
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.tables.live import QUOTE_STATES, SIGN_BASES, TRADE_CLASSES
from dealer_assets.underlyings import underlying
from dealer_assets_tests.labelled_tapes import CALL, OPEN_US, PUT, TODAY, made_up, simulated
from streaming.core.book import Book, BookOptions
from streaming.core.listing import Listing
from streaming.feeds.simulator import session_tape

NOON_US = OPEN_US + 5_400 * 1_000_000
DAY = date(2026, 11, 20)
STRETCH_US = 10_000_000


def trades(*rows):
    """Rows (second, price, more) of one contract at noon."""
    many = [{"second": r[0], "price": r[1], "size": 3.0, **(r[2] if r[2:] else {})} for r in rows]
    return made_up(
        tables.OPTION_TRADES,
        len(many),
        symbol=[row.get("symbol", CALL) for row in many],
        event_at=[NOON_US + round(row["second"] * 1e6) for row in many],
        ordinal=list(range(len(many))),
        price=[row["price"] for row in many],
        size_contracts=[row["size"] for row in many],
        conditions=[row.get("codes", "") for row in many],
        exchange=[row.get("exchange", "302") for row in many],
        taker_side=[row.get("taker") for row in many],
        price_currency=[row.get("currency", "USD") for row in many],
        underlying_price=[row.get("index") for row in many],
        block_id=[row.get("block") for row in many],
    )


def quotes(*rows):
    """Rows (second, bid, ask, bid_size, ask_size) of the call."""
    made = {
        name: [float(row[1 + i]) for row in rows]
        for i, name in enumerate(("bid", "ask", "bid_size_contracts", "ask_size_contracts"))
    }
    at = [NOON_US + round(row[0] * 1e6) for row in rows]
    return made_up(
        tables.OPTION_QUOTES, len(rows), event_at=at, ordinal=list(range(len(rows))), **made
    )


def spots(*rows):
    at, value = [NOON_US + round(row[0] * 1e6) for row in rows], [row[1] for row in rows]
    return made_up(tables.INDEX_VALUES, len(rows), event_at=at, kind="spot", value=value)


NO_QUOTES, NO_SPOTS = quotes(), spots()


def told(trades_, quotes_=NO_QUOTES, spots_=NO_SPOTS, **options):
    found = classify(trades_, quotes_, spots_, options=BatchOptions(**options))
    return [(int(s), SIGN_BASES[b]) for s, b in zip(found.sign, found.basis, strict=True)]


def test_each_print_meets_the_last_quote_at_or_before_it():
    quoted = quotes((0, 4.0, 6.0, 10, 20), (10, 8.0, 9.0, 10, 20))
    found = told(trades((9.9, 7.0), (10, 7.0), (11, 8.6)), quoted)
    assert found == [(1, "quote"), (-1, "quote"), (1, "quote")]


def test_published_quote_stands_until_it_changes_but_not_over_a_hole_in_the_record():
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    assert told(trades((1799, 6.0)), quoted) == [(1, "quote")]
    assert told(trades((1801, 6.0)), quoted) == [(0, "none")]


def test_print_before_the_first_quote_has_no_quote():
    found = classify(trades((1, 6.0)), quotes((2, 4.0, 6.0, 10, 20)), NO_SPOTS)
    assert QUOTE_STATES[found.quote_state[0]] == "none"
    assert found.sign[0] == 0


def test_quote_of_another_contract_tells_nothing():
    assert told(trades((1, 6.0, {"symbol": PUT})), quotes((0, 4.0, 6.0, 10, 20))) == [(0, "none")]


def test_size_that_equals_one_side_is_that_sides_limit_order():
    quoted = quotes((0, 4.0, 6.0, 3, 20))
    assert told(trades((1, 4.0)), quoted) == [(1, "trade_size")]


def test_cancel_strikes_its_print_out_and_has_its_side():
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    made = trades((1, 6.0), (2, 6.0), (3, 6.0, {"codes": "201"}), (4, 4.0))
    found = classify(made, quoted, NO_SPOTS)
    assert found.sign.tolist() == [1, 1, 1, -1]
    assert found.cancels.tolist() == [-1, -1, 1, -1]
    assert found.stands.tolist() == [True, False, False, True]
    assert SIGN_BASES[found.basis[2]] == "cancelled_print"


@pytest.mark.parametrize(("codes", "kind"), [("232", "multi_leg"), ("202", "late")])
def test_packages_and_late_prints_have_no_side_and_are_no_reference(codes, kind):
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    found = classify(trades((1, 6.0, {"codes": codes})), quoted, NO_SPOTS)
    assert (found.sign[0], TRADE_CLASSES[found.trade_class[0]]) == (0, kind)
    after = trades((1, 6.0, {"codes": codes}), (2, 7.0))
    assert told(after, spots_=spots((0, 6_000.0)), uses_deltas=False) == [(0, "none")] * 2


def test_venues_word_goes_before_the_rules_unless_it_is_hidden():
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    made = trades((1, 6.0, {"taker": "sell"}))
    assert told(made, quoted) == [(-1, "taker_side")]
    assert told(made, quoted, uses_taker=False) == [(1, "quote")]
    assert told(trades((1, 6.0)), quoted, uses_side_rules=False) == [(0, "none")]


def test_block_has_the_takers_side_at_the_odds_of_blocks():
    found = classify(trades((1, 6.0, {"taker": "buy", "block": "B-1"})), NO_QUOTES, NO_SPOTS)
    assert TRADE_CLASSES[found.trade_class[0]] == "block"
    assert found.confidence[0] == 0.6


def test_price_in_coin_is_compared_in_dollars_and_without_index_only_the_venue_tells():
    coin = {"currency": "BTC", "index": 60_000.0, "taker": None}
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    assert told(trades((1, 0.0001, coin)), quoted) == [(1, "quote")]
    lost = coin | {"index": None}
    found = told(trades((1, 0.0001, lost), (2, 0.0001, lost | {"taker": "sell"})), quoted)
    assert found == [(0, "none"), (-1, "taker_side")]


def test_tick_is_what_is_left_after_spot_has_carried_the_last_print():
    rising = spots((0, 6_000.0), (29, 6_010.0))
    # about half of ten points of spot: 25 would be worth 30 by now
    made = trades((1, 25.0), (30, 26.0))
    assert told(made, spots_=rising)[1] == (-1, "tick")
    assert told(made, spots_=rising, uses_deltas=False)[1] == (0, "none")
    assert told(made, spots_=spots((0, 6_000.0)))[1] == (1, "tick")


def test_delta_of_a_print_is_no_reference_before_the_next_stretch():
    rising = spots((0, 6_000.0), (4, 6_010.0))
    assert told(trades((1, 25.0), (5, 26.0)), spots_=rising)[1] == (0, "none")


def test_spot_that_stopped_coming_is_met_by_no_print():
    stood = spots((0, 6_000.0))
    made = trades((1, 25.0), (59, 27.0), (62, 29.0))
    assert told(made, spots_=stood) == [(0, "none"), (1, "tick"), (0, "none")]
    today = trades((1, 25.0, {"symbol": TODAY}), (16, 27.0, {"symbol": TODAY}))
    assert told(today, spots_=stood) == [(0, "none")] * 2


def test_delta_is_implied_by_the_quote_or_else_by_the_print():
    made = trades((1, 25.0), (2, 25.0, {"symbol": PUT}), (3, 25.0, {"codes": "232"}))
    tape = tape_of(made)
    fresh = np.full(2, 60_000_000)
    stood = prevailing(
        tape, quotes((2.5, 24.0, 26.0, 1, 2)), spots((0, 6_000.0)), quote_stands_us=10**9,
        spot_fresh_us=fresh,
    )  # fmt: skip
    delta = deltas_of(tape, stood)
    assert delta[0] == pytest.approx(0.5, abs=0.02)
    assert delta[1] == pytest.approx(-0.5, abs=0.02)
    assert delta[2] == pytest.approx(delta[0], abs=1e-4)  # a package's leg, but quoted


def test_empty_tape_has_no_prints():
    found = classify(trades(), NO_QUOTES, NO_SPOTS)
    assert found.sign.size == 0


PRICES = st.sampled_from([3.9, 4.0, 4.5, 5.0, 5.5, 6.0, 6.1])
ROW = st.tuples(
    st.integers(0, 100), PRICES, st.sampled_from(["", "", "", "201", "232", "202"]),
    st.sampled_from([CALL, PUT, TODAY]),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=12),
    quoted=st.lists(st.tuples(st.integers(0, 100), PRICES, PRICES), max_size=6),
    values=st.lists(st.tuples(st.integers(0, 100), st.sampled_from([6e3, 6.01e3])), max_size=5),
    until=st.integers(0, 100),
)
def test_what_comes_later_changes_no_side(rows, quoted, values, until):
    def told_of(last):
        made = trades(
            *((r[0], r[1], {"codes": r[2], "symbol": r[3]}) for r in rows if r[0] <= last)
        )
        q = quotes(*((t, bid, ask, 3.0, 10.0) for t, bid, ask in quoted if t <= last))
        s = spots(*((t, value) for t, value in values if t <= last))
        found = classify(made, q, s)
        key = found.tape.event_us * 100 + found.tape.contract
        sure = np.nan_to_num(found.confidence, nan=-1.0)
        return key, np.stack([found.sign, found.basis, found.cancels, sure], axis=1)

    key, early = told_of(until)
    whole_key, whole = told_of(100)
    assert key.tolist() == whole_key[: key.size].tolist()
    assert early.tolist() == whole[: key.size].tolist()


@pytest.fixture(scope="module")
def simulated_hour():
    """An hour of a simulated session as published, and as the live process hears it."""
    made = simulated("XSP", DAY, density=0.05, quoted=60)
    provider, lane = SimulatorProvider(seed=2, density=0.05), underlying("XSP")
    streamed = session_tape(provider, [lane], {"XSP": DAY}, quoted=60)
    listed = provider.listing(lane, session_date=DAY).rows
    listing = Listing.of([lane], listed, None, sessions_of={"XSP": DAY})
    events = streamed.events.take(streamed.events.event_us < streamed.open_us + 3_600_000_000)
    place = np.array([listing.index_of(name) for name in streamed.symbols], np.int32)
    is_spot = events.kind == 2
    events.contract[~is_spot] = place[events.contract[~is_spot]]
    events.received_us[:] = events.event_us
    return made, listing, events


def test_batch_gives_the_sides_of_the_live_process_on_the_same_tape(simulated_hour):
    made, listing, events = simulated_hour
    # a quote that stands is told again live; here both may believe it as long
    limits = {"zero_dte_fresh_seconds": 1800.0, "fresh_seconds": 1800.0}
    batch = classify(*made.rows.values(), options=BatchOptions(**limits))
    book = Book(listing, options=BookOptions(**limits, log_room=1 << 16))
    symbols = batch.tape.contracts["symbol"].to_pylist()
    number = np.array([listing.index_of(symbol) for symbol in symbols])[batch.tape.contract]
    row = {int(r): i for i, r in enumerate(batch.tape.row)}  # of the published table
    delta, compared = np.full(listing.size, np.nan), []
    stretch = events.event_us // STRETCH_US
    for part in np.split(np.arange(len(events)), np.flatnonzero(np.diff(stretch)) + 1):
        live = book.apply(events.take(part))
        prints = np.array([row[int(n)] for n in live.number], np.int64)
        for name in ("sign", "basis", "trade_class", "quote_state", "confidence"):
            ours, theirs = getattr(batch, name)[prints], getattr(live, name)
            assert np.array_equal(ours, theirs, equal_nan=name == "confidence"), name
        known = prints[np.isfinite(batch.delta[prints])]
        delta[number[known]] = batch.delta[known]
        take_over(book, delta)
        compared.append(prints)
    prints = np.concatenate(compared)
    found = {SIGN_BASES[code] for code in batch.basis[prints]}
    assert prints.size > 1_000
    assert {"quote", "tick", "cancelled_print", "none"} <= found


def take_over(book, delta):
    """Let a pricing of the live process tell these deltas."""
    slices = len(book.listing.slices)
    book.price_with(
        forward_ratio=np.full(slices, np.nan),
        discount=np.full(slices, np.nan),
        vol=np.full(delta.size, np.nan),
        vol_us=np.full(delta.size, -1),
        priced_us=0,
        delta=delta,
    )


@pytest.mark.parametrize(
    ("symbol", "rules"),
    [("SPX", (0.62, 0.68, 0.57)), ("SPY", (0.70, 0.76, 0.60)), ("NVDA", (0.70, 0.76, 0.60))],
)
def test_sides_of_index_options_are_declared_less_sure_than_those_of_shares(symbol, rules):
    prints = trades((1, 5.9), (2, 6.0), (200, 5.0), (201, 5.5))
    name = pa.array([symbol] * prints.num_rows)
    prints = prints.set_column(prints.schema.get_field_index("underlying"), "underlying", name)
    found = classify(
        prints,
        quotes((0, 4.0, 6.0, 10, 20)),
        spots((199, 4000.0), (200, 4000.0), (201, 4000.0)),
        options=BatchOptions(quote_stands_seconds=60.0),
    )
    assert [SIGN_BASES[code] for code in found.basis] == ["quote", "quote", "none", "tick"]
    assert found.confidence[[0, 1, 3]].tolist() == list(rules)

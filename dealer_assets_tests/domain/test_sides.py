"""Sides of trades: each rule by hand, and the kernel against the readable rules."""

from datetime import date
from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.flow import conditions, sides
from dealer_assets.domain.flow.sides import Print, Reference, quote_state, side_of
from dealer_assets.domain.kernels import book as kernel, flows
from dealer_assets.domain.pricing.black import black_greeks, black_price
from dealer_assets.providers.simulator.market_day import market_day
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.tape import contract_prints
from dealer_assets.tables import live
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.tape import CALL, NOON_US, PUT, listing, quote, spot, tape, trade
from streaming.core import events as streamed
from streaming.core.book import Book, BookOptions
from streaming.core.listing import Listing
from streaming.core.pricing import LanePricer
from streaming.feeds.simulator import session_tape

NOW, DELTA = 6_010.0, 0.5


def seen(price, spot=NOW, age=1.0):
    return Reference(price, spot, age)


def print_of(price=5.0, size=3.0, bid=4.0, ask=6.0, bid_size=10.0, ask_size=20.0, **more):
    more = {"trade_class": "regular", "taker": 0, "quote_state": "ok", "spot": NOW} | more
    more["references"] = tuple(more.pop("after", ()))
    return Print(
        price=price, size=size, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size, **more
    )


def told(**of):
    side = side_of(print_of(**of))
    return side.sign, side.basis


def test_price_above_the_midpoint_is_bought_and_below_it_sold():
    assert told(price=5.5) == (1, "quote")
    assert told(price=4.5) == (-1, "quote")


def test_price_at_the_quote_is_surer_than_inside_or_beyond():
    at, inside, beyond = (side_of(print_of(price=p)).confidence for p in (6.0, 5.9, 6.1))
    assert at == sides.AT_QUOTE > inside == beyond


def test_size_that_equals_one_side_is_that_sides_limit_order():
    assert told(price=6.0, size=20.0) == (-1, "trade_size")
    assert told(price=4.0, size=10.0) == (1, "trade_size")


def test_size_that_equals_both_sides_or_is_zero_tells_nothing():
    assert told(price=6.0, size=10.0, ask_size=10.0) == (1, "quote")
    assert told(price=6.0, size=0.0, ask_size=0.0) == (1, "quote")


def test_midpoint_goes_to_the_deeper_side_then_to_the_tick():
    assert told(price=5.0) == (1, "depth")
    assert told(price=5.0, bid_size=30.0) == (-1, "depth")
    assert told(price=5.0, ask_size=10.0, after=[seen(4.9)]) == (1, "midpoint_tick")
    two = [seen(5.0), seen(5.1)]
    assert told(price=5.0, ask_size=nan, after=two) == (-1, "midpoint_tick")


def ticked(price, *after, **more):
    return told(price=price, quote_state="none", after=after, **more)


def test_tick_is_what_is_left_after_the_last_print_moved_with_spot():
    risen = seen(5.0, spot=NOW - 4.0)  # worth 7 by now
    assert ticked(6.9, risen, delta=DELTA) == (-1, "tick")
    assert ticked(7.1, risen, delta=DELTA) == (1, "tick")
    assert ticked(7.0, risen, delta=DELTA) == (0, "none")
    assert ticked(3.1, risen, delta=-DELTA) == (1, "tick")


def test_tick_without_delta_or_spot_tells_only_while_spot_stands_still():
    assert ticked(5.1, seen(5.0)) == (1, "tick")
    assert ticked(5.1, seen(5.0, spot=NOW - 0.01)) == (0, "none")
    assert ticked(5.1, seen(5.0, spot=nan), delta=DELTA) == (0, "none")
    assert ticked(5.1, seen(5.0), delta=DELTA, spot=nan) == (0, "none")
    assert ticked(5.1, seen(5.0, spot=nan), delta=DELTA, spot=nan) == (0, "none")


def test_difference_within_the_floor_is_no_tick_and_leaves_it_to_the_print_before():
    assert ticked(5.02, seen(5.0)) == (0, "none")
    assert ticked(5.02, seen(5.0), seen(5.1)) == (-1, "tick")
    assert ticked(5.02, seen(5.0), seen(5.01), seen(5.1)) == (0, "none")
    risen = seen(4.0, spot=NOW - 4.0)  # worth 6 by now
    assert ticked(5.02, seen(5.0), risen, delta=DELTA) == (-1, "tick")


def test_print_that_is_old_or_came_later_is_no_reference():
    limit = sides.TICK_FRESH_SECONDS
    assert ticked(5.1, seen(5.0, age=limit)) == (1, "tick")
    assert ticked(5.1, seen(5.0, age=limit + 1e-6)) == (0, "none")
    assert ticked(5.1, seen(5.0, age=-1e-6)) == (0, "none")
    assert ticked(5.0, seen(5.0), seen(4.0, age=limit + 1e-6)) == (0, "none")


def test_midpoint_of_decimals_is_recognised():
    assert 0.5 * (0.1 + 0.2) != 0.15
    assert told(price=0.15, bid=0.1, ask=0.2) == (1, "depth")


@pytest.mark.parametrize("state", ["crossed", "stale", "none"])
def test_without_a_usable_quote_only_the_tick_tells(state):
    assert told(price=6.0, quote_state=state, after=[seen(5.0)]) == (1, "tick")
    assert told(price=6.0, quote_state=state) == (0, "none")


def test_one_sided_quote_tells_at_its_side_and_beyond():
    assert told(price=6.0, bid=0.0, quote_state="one_sided") == (1, "quote")
    assert told(price=4.0, ask=0.0, quote_state="one_sided") == (-1, "quote")
    assert told(price=5.0, bid=0.0, quote_state="one_sided", after=[seen(4.0)]) == (1, "tick")


@pytest.mark.parametrize("kind", ["late", "multi_leg", "block", "combo"])
def test_prices_that_are_not_of_the_book_have_a_side_only_when_the_venue_tells(kind):
    assert told(price=6.0, trade_class=kind, after=[seen(1.0)]) == (0, "none")
    side = side_of(print_of(trade_class=kind, taker=-1))
    assert (side.sign, side.basis, side.confidence) == (-1, "taker_side", sides.BLOCK_TAKER)


def test_taker_goes_before_every_rule():
    assert told(price=6.0, size=20.0, taker=-1) == (-1, "taker_side")


def test_quote_is_judged_by_age_then_sides_then_order():
    def worth(bid, ask, age=0.0):
        return quote_state(bid, ask, age_us=age, fresh_us=1e6)

    assert worth(nan, nan) == worth(0.0, 0.0) == "none"
    assert worth(4.0, 6.0, 1e6) == "ok"
    assert worth(4.0, 6.0, 1e6 + 1) == worth(4.0, 6.0, -1) == "stale"
    assert worth(0.0, 6.0) == worth(4.0, 0.0) == "one_sided"
    assert (worth(6.0, 4.0), worth(4.0, 4.0)) == ("crossed", "locked")


def test_cancel_goes_before_every_other_condition_and_late_after_multi_leg():
    bits = np.array([conditions.bits_of(codes) for codes in CODES])
    found = [live.TRADE_CLASSES[code] for code in conditions.classes_of(bits)]
    assert found == ["cancel", "multi_leg", "late", "regular", "outside_hours", "block", "combo"]


CODES = ([232, 201], [204, 233], [206], [209, 227], [248], ["combo", "block"], ["combo", 202])


def test_conditions_survive_their_spelling():
    bits = np.array(
        [conditions.bits_of(codes) for codes in (*CODES, [], [7, 300], ["liquidation"])]
    )
    text = conditions.text_of(bits)
    assert text.to_pylist()[:3] == ["201,232", "204,233", "206"]
    assert text.to_pylist()[-3:] == ["", "other", "liquidation"]
    assert np.array_equal(conditions.bits_of_text(text), bits)
    assert np.array_equal(conditions.bits_of_text(pa.chunked_array([text])), bits)


PRICES = st.sampled_from([0.0, 0.1, 0.15, 0.2, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0])
AGES = st.sampled_from([0, 1_000_000, 150_000_000])
SPOTS = st.sampled_from([nan, 6_000.0, 6_001.0, 6_000.02])
SIZES = st.sampled_from([0.0, 1.0, 3.0, 10.0, 20.0, nan])


@settings(max_examples=400, deadline=None)
@given(
    before=st.lists(st.tuples(PRICES, AGES, SPOTS), max_size=3),
    spot_now=SPOTS,
    delta=st.sampled_from([nan, 0.5, -0.5, 0.0]),
    price=PRICES,
    size=st.sampled_from([0.0, 1.0, 3.0, 10.0]),
    bid=PRICES,
    ask=PRICES,
    sizes=st.tuples(SIZES, SIZES),
    age_us=st.sampled_from([0, 59_999_999, 60_000_000, 60_000_001]),
    taker=st.sampled_from([0, 0, 0, 1, -1]),
    codes=st.sampled_from([(), (219,), (202,), (233,), (248,), ("block",)]),
    uses_rules=st.booleans(),
)
def test_kernel_gives_the_sides_of_the_readable_rules(
    before, spot_now, delta, price, size, bid, ask, sizes, age_us, taker, codes, uses_rules
):
    book = Book(listing(PUT), options=BookOptions(uses_side_rules=uses_rules, log_room=16))
    told_delta(book, np.array([delta]))
    events, references = [], []
    at_us, known = NOON_US - sum(age for _, age, _ in before), nan
    for reference, age, value in before:
        if value == value:
            known = value
            events.append(spot(at_us, value))
        events.append(trade(0, at_us, reference))
        references.insert(0, Reference(reference, known, (NOON_US - at_us) / 1e6))
        at_us += age
        known = known if age <= 60_000_000 else nan  # as old as a quote may be
    if spot_now == spot_now:
        known = spot_now
        events.append(spot(NOON_US, spot_now))
    made = quote(0, NOON_US - age_us, bid, ask, *sizes)
    events += [made, trade(0, NOON_US, price, size, codes, taker=taker)]
    found = book.apply(tape(*events))
    kind = conditions.classes_of(np.array([conditions.bits_of(codes)]))[0]
    expected = side_of(
        Print(
            trade_class=live.TRADE_CLASSES[kind],
            taker=taker,
            price=price,
            size=size,
            bid=bid,
            ask=ask,
            bid_size=sizes[0],
            ask_size=sizes[1],
            quote_state=quote_state(bid, ask, age_us=age_us, fresh_us=60e6),
            spot=known,
            delta=delta,
            references=tuple(references),
        ),
        uses_rules=uses_rules,
    )
    assert found.sign[-1] == expected.sign
    assert live.SIGN_BASES[found.basis[-1]] == expected.basis
    sure = found.confidence[-1]
    assert sure == expected.confidence or (isnan(sure) and isnan(expected.confidence))


def told_delta(book, delta):
    """Let a pricing tell nothing but deltas."""
    unknown, slices = np.full(delta.size, nan), len(book.listing.slices)
    book.price_with(
        forward_ratio=np.full(slices, nan),
        discount=np.full(slices, nan),
        vol=unknown,
        vol_us=np.full(delta.size, -1),
        priced_us=NOON_US,
        delta=delta,
    )


def test_contract_that_spot_carries_along_gets_sides_that_do_not_follow_spot():
    random = np.random.default_rng(5)
    n, strike, vol = 2_000, np.full(1, 6_000.0), np.full(1, 0.12)
    path = 6_000.0 + np.cumsum(random.normal(0.0, 0.4, n))
    is_buy = random.random(n) < 0.5
    book = Book(listing(CALL, PUT), options=BookOptions(log_room=1 << 13))
    expires_us = book.listing.expires_us[0]
    rights = np.array([True]), np.array([False])
    found, paid = [], []
    for i, spot_now in enumerate(path):
        at_us = NOON_US + i * 5_000_000
        market = {"sigma": vol, "T": np.array([(expires_us - at_us) / 1e6 / SECONDS_PER_YEAR])}
        F, D = np.full(1, spot_now), np.ones(1)
        if i % 12 == 0:  # a full pricing a minute
            greeks = [
                black_greeks(F, strike, S=F, D=D, is_call=right, **market) for right in rights
            ]
            told_delta(book, np.concatenate([one.delta for one in greeks]))
        worth = [float(black_price(F, strike, D=D, is_call=right, **market)[0]) for right in rights]
        half = 0.3 if is_buy[i] else -0.3
        prices = [round((value + half) / 0.05) * 0.05 for value in worth]
        paid.append(prices)
        events = tape(spot(at_us, spot_now), *(trade(c, at_us, p) for c, p in enumerate(prices)))
        found.append(book.apply(events).sign)
    truth = np.where(is_buy, 1, -1)[1:]
    step = np.sign(np.diff(path))
    for sign, prices, way in zip(np.array(found).T, np.array(paid).T, (1.0, -1.0), strict=True):
        sign, old = sign[1:], np.sign(np.diff(prices))
        is_known = sign != 0
        assert np.mean(is_known) > 0.5
        assert np.mean(sign[is_known] == truth[is_known]) > 0.6
        assert abs(alike(sign, step)) < 0.1
        assert way * alike(old, step) > 0.25  # what the bare difference would tell


def test_guessed_flow_of_the_simulator_is_no_copy_of_spot():
    day = date(2026, 11, 20)
    provider, lane = SimulatorProvider(seed=2, density=0.3), underlying("XSP")
    listed = provider.listing(lane, session_date=day).rows
    made = Listing.of([lane], listed, None, sessions_of={"XSP": day})
    told = session_tape(provider, [lane], {"XSP": day}, quoted=60)
    place = np.array([made.index_of(name) for name in told.symbols], np.int32)
    events = told.events.take(told.events.received_us <= told.open_us + 3_600_000_000)
    is_spot = events.kind == streamed.SPOT
    events.contract[~is_spot] = place[events.contract[~is_spot]]
    book, pricer = Book(made), LanePricer(made, 0, feed="simulator", curve=None)
    market = market_day(provider.seed, "XSP", day=day, density=provider.density)
    prints = contract_prints(market, np.arange(len(told.symbols)))
    guessed, true, spots = [], [], []
    for minute in range(60):
        end_us = told.open_us + (minute + 1) * 60_000_000
        inside = (events.received_us > end_us - 60_000_000) & (events.received_us <= end_us)
        found = book.apply(events.take(inside))
        right = np.where(prints.is_buy[found.number], 1, -1) * found.sign
        guessed.append(found.hedge_flow.sum())
        true.append((right * found.hedge_flow).sum())
        spots.append(book.spot[0])
        pricer.price(book, end_us)
    moves = np.diff(spots, prepend=spots[0])
    assert abs(alike(true, moves)) < 0.3  # true flow has nothing to do with spot
    assert abs(alike(np.cumsum(guessed), spots)) < 0.5
    assert abs(alike(guessed, moves)) < 0.3
    assert alike(guessed, true) > 0.5  # some 70 % of the sides are right


def alike(left, right):
    return np.corrcoef(left, right)[0, 1]


def test_codes_of_the_kernels_are_those_of_the_vocabularies():
    bases = ("taker_side", "trade_size", "quote", "depth", "midpoint_tick", "tick")
    assert live.SIGN_BASES[:6] == bases
    assert live.SIGN_BASES[kernel.CANCELLED_PRINT] == "cancelled_print"
    assert live.SIGN_BASES[kernel.NOTHING] == "none"
    assert (len(live.SIGN_BASES), len(live.SIGN_BASES) + 1) == (kernel.AT_QUOTE, kernel.BLOCK_TAKER)
    states = ("ok", "locked", "crossed", "one_sided", "stale", "none")
    assert states == live.QUOTE_STATES
    codes = (kernel.OK, kernel.LOCKED, kernel.CROSSED, kernel.ONE_SIDED, kernel.STALE)
    assert (*codes, kernel.NO_QUOTE) == tuple(range(len(states)))
    assert live.TRADE_CLASSES[kernel.CANCEL] == "cancel"
    assert live.TRADE_CLASSES[0] == "regular"
    assert live.LIVE_VOL_SOURCES == ("quote", "other_side", "surface", "venue", "none")
    assert (flows.QUOTE, flows.OTHER_SIDE, flows.SURFACE, flows.VENUE, flows.NONE) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert kernel.SAME_PRICE == sides.SAME_PRICE
    assert kernel.MOST_REFERENCES == sides.MOST_REFERENCES
    kinds = ("QUOTE", "TRADE", "SPOT", "MARK", "OPEN_INTEREST")
    assert all(getattr(kernel, kind) == getattr(streamed, kind) for kind in kinds)
    assert kernel.Events._fields == tuple(streamed.TYPES)


def test_bits_of_conditions_are_those_of_events():
    bits = {name: 1 << place for name, place in conditions.WORDS.items()}
    assert bits["block"] == streamed.BLOCK
    assert bits["combo"] == streamed.COMBO
    assert bits["liquidation"] == streamed.LIQUIDATION
    assert bits["other"] == streamed.OTHER_CONDITION
    assert conditions.FIRST_CODE == streamed.FIRST_CONDITION

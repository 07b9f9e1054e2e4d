"""Sides of trades: each rule by hand, and the kernel against the readable rules."""

from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.flow import conditions, sides
from dealer_assets.domain.flow.sides import Print, quote_state, side_of
from dealer_assets.domain.kernels import book as kernel, flows
from dealer_assets.tables import live
from dealer_assets_tests.streaming.tape import NOON_US, PUT, listing, quote, tape, trade
from streaming import events as streamed
from streaming.book import Book, BookOptions


def print_of(price=5.0, size=3.0, bid=4.0, ask=6.0, bid_size=10.0, ask_size=20.0, **more):
    more = {"trade_class": "regular", "taker": 0, "quote_state": "ok"} | more
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


def test_midpoint_goes_to_the_deeper_side_then_to_the_last_differing_price():
    assert told(price=5.0) == (1, "depth")
    assert told(price=5.0, bid_size=30.0) == (-1, "depth")
    assert told(price=5.0, ask_size=10.0, last=4.9) == (1, "midpoint_tick")
    assert told(price=5.0, ask_size=nan, last=5.0, differing=5.1) == (-1, "midpoint_tick")


def test_midpoint_of_decimals_is_recognised():
    assert 0.5 * (0.1 + 0.2) != 0.15
    assert told(price=0.15, bid=0.1, ask=0.2) == (1, "depth")


@pytest.mark.parametrize("state", ["crossed", "stale", "none"])
def test_without_a_usable_quote_only_the_tick_tells(state):
    assert told(price=6.0, quote_state=state, last=5.0) == (1, "tick")
    assert told(price=6.0, quote_state=state) == (0, "none")


def test_one_sided_quote_tells_at_its_side_and_beyond():
    assert told(price=6.0, bid=0.0, quote_state="one_sided") == (1, "quote")
    assert told(price=4.0, ask=0.0, quote_state="one_sided") == (-1, "quote")
    assert told(price=5.0, bid=0.0, quote_state="one_sided", last=4.0) == (1, "tick")


@pytest.mark.parametrize("kind", ["late", "multi_leg", "block", "combo"])
def test_prices_that_are_not_of_the_book_have_a_side_only_when_the_venue_tells(kind):
    assert told(price=6.0, trade_class=kind, last=1.0) == (0, "none")
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
SIZES = st.sampled_from([0.0, 1.0, 3.0, 10.0, 20.0, nan])


@settings(max_examples=400, deadline=None)
@given(
    before=st.lists(PRICES, max_size=3),
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
    before, price, size, bid, ask, sizes, age_us, taker, codes, uses_rules
):
    book = Book(listing(PUT), options=BookOptions(uses_side_rules=uses_rules, log_room=16))
    quoted_us = NOON_US - age_us
    tape_so_far = [trade(0, quoted_us - 1, p) for p in before]
    met = tape(
        *tape_so_far,
        quote(0, quoted_us, bid, ask, *sizes),
        trade(0, NOON_US, price, size, codes, taker=taker),
    )
    found = book.apply(met)
    differing = [p for p in before if p != before[-1]]
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
            last=before[-1] if before else nan,
            differing=differing[-1] if differing else nan,
        ),
        uses_rules=uses_rules,
    )
    assert found.sign[-1] == expected.sign
    assert live.SIGN_BASES[found.basis[-1]] == expected.basis
    sure = found.confidence[-1]
    assert sure == expected.confidence or (isnan(sure) and isnan(expected.confidence))


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

"""Polygon's frames become events, or are counted: never both, never neither."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets_tests.streaming.polygon_frames import (
    NOW_MS,
    NOW_US,
    SYMBOLS,
    frame,
    listing,
    plain_reading,
    quote,
    rows_of,
    trade,
    value,
)
from streaming.core.events import FIRST_CONDITION, OTHER_CONDITION, TRADE, Decoded, Frame
from streaming.feeds.polygon.decode import PolygonDecoder

LISTING = listing()
DECODER = PolygonDecoder(LISTING)


def decode(*messages: Any, received_us: int = NOW_US) -> Decoded:
    return DECODER.decode([frame(list(messages), received_us)])


def reasons(decoded: Decoded) -> dict[str, int]:
    return {reject.reason: reject.messages for reject in decoded.rejects}


def assert_accounted(decoded: Decoded) -> None:
    refused = sum(reject.messages for reject in decoded.rejects)
    assert decoded.messages == len(decoded.events) + refused + decoded.passed_over


def test_a_trade_holds_what_the_venue_says() -> None:
    (row,) = rows_of(decode(trade(c=[209, 232, 17])).events)
    bits = 1 << (209 - FIRST_CONDITION) | 1 << (232 - FIRST_CONDITION) | OTHER_CONDITION
    expected = (TRADE, 0, NOW_US, NOW_US, 12.35, None, 4.0, None, 7, -1, 302, bits, 0, False)
    assert row == expected


def test_a_trade_without_conditions_has_none() -> None:
    body = trade()
    del body["c"]
    assert decode(body).events.conditions.tolist() == [0]


def test_quotes_values_and_index_bars_are_read() -> None:
    bar = {"ev": "A", "sym": "I:SPX", "op": 1.0, "o": 1.0, "c": 6725.5, "h": 1.0, "l": 1.0}
    bar |= {"s": NOW_MS - 1000, "e": NOW_MS}
    found = decode(quote(), value(), bar, bar | {"ev": "AM", "sym": "SPY", "c": 670.25})
    assert found.events.a.tolist() == [1.1, 6723.41, 6725.5, 670.25]
    assert found.events.contract.tolist() == [0, 0, 0, 1]
    assert found.events.exchange.tolist() == [-1, 0, 1, 2]
    assert not found.rejects


def test_a_quote_with_one_side_has_zero_on_the_other() -> None:
    found = decode(quote(bp=None, bs=None), {k: v for k, v in quote().items() if k != "ap"})
    assert found.events.a.tolist() == [0.0, 1.1]
    assert found.events.b.tolist() == [1.25, 0.0]
    assert np.isnan(found.events.size_a[0])


def test_statuses_option_bars_and_other_markets_are_passed_over() -> None:
    found = decode(
        {"ev": "status", "status": "success", "message": 'subscribed to: "T.*"'},
        {"ev": "status", "status": "auth_success", "message": "authenticated"},
        {"ev": "AM", "sym": f"O:{SYMBOLS[0]}", "v": 1, "c": 2.5, "s": NOW_MS, "e": NOW_MS},
        {"ev": "FMV", "fmv": 1.5, "sym": f"O:{SYMBOLS[0]}", "t": NOW_MS * 1_000_000},
        {"ev": "LV", "val": 1.5, "sym": f"O:{SYMBOLS[0]}", "t": NOW_MS * 1_000_000},
        trade("AAPL251219C00150000"),
        trade("NVDA1251219P00150000", p="cheap"),
        trade(sym="TSLA"),
        value(T="I:NDX"),
    )
    assert (found.messages, found.passed_over, len(found.events)) == (9, 9, 0)
    assert found.rejects == ()


def test_a_new_contract_of_a_followed_root_is_named_and_decoded_once_it_is_listed() -> None:
    made = listing(SYMBOLS[:2])
    decoder = PolygonDecoder(made)
    frames = [frame([trade(), trade("SPXW260116C06900000"), trade("SPY251231P00600000")])]
    first = decoder.decode(frames)
    assert first.unlisted == ("SPXW260116C06900000", "SPY251231P00600000")
    assert reasons(first) == {"unlisted": 2}
    assert made.add(first.unlisted) == ()
    second = decoder.decode(frames)
    assert second.unlisted == second.rejects == ()
    assert second.events.contract.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (trade(p=-0.01), "bad_price"),
        (trade(p="1.5"), "bad_price"),
        (trade(p=True), "bad_price"),
        (trade(p=1e300), "bad_price"),
        (trade(p=[1]), "bad_price"),
        (trade(p=None), "missing_field"),
        (trade(s=0), "bad_size"),
        (trade(s=-3), "bad_size"),
        (trade(t=NOW_MS // 1000), "bad_time"),
        (trade(t=NOW_MS * 1000), "bad_time"),
        (trade(t=NOW_MS + 0.5), "bad_time"),
        (trade(t=NOW_MS + 3 * 86_400_000), "bad_time"),
        (trade(t=NOW_MS - 3 * 86_400_000), "bad_time"),
        (trade(q=-1), "bad_number"),
        (trade(q=1.5), "bad_number"),
        (trade(x=70_000), "bad_number"),
        (trade(c=227), "bad_conditions"),
        (trade(c=["227"]), "bad_conditions"),
        (trade(c=[-5]), "bad_conditions"),
        (trade(c=[[227]]), "bad_conditions"),
        (trade("SPXW251219C0590000"), "unknown_symbol"),
        (trade("SPXW251319C05900000"), "unknown_symbol"),
        (trade("SPXW250230C05900000"), "unknown_symbol"),
        (trade("AAPL211022C000150000"), "unknown_symbol"),
        (trade(sym=""), "unknown_symbol"),
        (trade(sym=5), "unknown_symbol"),
        (trade(sym=None), "missing_field"),
        (quote(bp=-1.0), "bad_price"),
        (quote(bs=-1), "bad_size"),
        (quote(bp=None, ap=None), "missing_field"),
        (value(val=0), "bad_price"),
        (value(T=None), "missing_field"),
        ({"ev": "X"}, "unknown_event"),
        ({"ev": 5}, "unknown_event"),
        ({}, "missing_field"),
        ([], "not_object"),
        (5, "not_object"),
        (None, "not_object"),
    ],
)
def test_a_bad_message_is_refused_with_its_reason_and_its_neighbours_are_kept(
    message: Any, reason: str
) -> None:
    found = decode(trade(q=1), message, quote(q=2))
    assert found.events.sequence.tolist() == [1, 2]
    assert reasons(found) == {reason: 1}
    assert_accounted(found)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[", "not_json"),
        (b"  ", "not_json"),
        (b"[]]", "not_json"),
        (b"\x00", "not_json"),
        (b"\xef\xbb\xbf[]", "not_json"),
        (b'[{"ev":"T",}]', "not_json"),
        (b'[{"ev":"T"},]', "not_json"),
        (b'[{"ev":"T" "sym":"x"}]', "not_json"),
        (b'[{"ev":"V","val":NaN,"T":"I:SPX","t":1766070000000}]', "not_json"),
        (b'[{"ev":"V","val":01,"T":"I:SPX","t":1766070000000}]', "not_json"),
        (b'[{"ev":"V","val":1.,"T":"I:SPX","t":1766070000000}]', "not_json"),
        (b'[{"ev":"V","val":1,"T":"I:SP\xff","t":1766070000000}]', "not_json"),
        (b'[{"ev":"V","val":1,"T":"I:SPX\n","t":1766070000000}]', "not_json"),
        (b"[" + b"9" * 5000 + b"]", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not_json"),
        (b"5", "not_array"),
        (b"null", "not_array"),
        (b'"[]"', "not_array"),
        (b'[{"ev":"V","val":1,"val":2,"T":"I:SPX","t":1766070000000}]', "repeated_field"),
        (b'[{"ev":"V","val":1e400,"T":"I:SPX","t":1766070000000}]', "bad_price"),
    ],
)
def test_a_garbled_frame_is_refused_as_one_and_costs_no_other(payload: bytes, reason: str) -> None:
    good = frame([trade()])
    found = DECODER.decode([good, frame(payload), good])
    assert len(found.events) == 2
    assert reasons(found) == {reason: 1}
    assert len(found.rejects[0].sample) <= 200


def test_a_message_that_comes_without_its_array_is_not_lost() -> None:
    found = DECODER.decode([frame(json.dumps(trade()).encode())])
    assert (len(found.events), found.messages) == (1, 1)


def test_clock_ticks_and_empty_arrays_hold_no_message() -> None:
    found = DECODER.decode([frame(b""), frame(b" [ ] "), frame([])])
    assert (found.messages, len(found.events), found.rejects) == (0, 0, ())
    assert DECODER.decode([]).messages == 0


def test_odd_frames_keep_their_place_among_the_others() -> None:
    odd = json.dumps([trade(q=2), trade(q=3)]).replace('"ev"', '"\\u0065v"').encode()
    found = DECODER.decode(
        [frame([trade(q=1)], NOW_US), frame(odd, NOW_US + 1), frame([quote(q=4)])]
    )
    assert found.events.sequence.tolist() == [1, 2, 3, 4]
    assert found.events.received_us.tolist() == [NOW_US, NOW_US + 1, NOW_US + 1, NOW_US]


def test_results_do_not_depend_on_how_frames_are_batched() -> None:
    rng = random.Random(3)
    frames = [
        frame([trade(q=i), quote(q=i), {"ev": rng.choice("TX")}], NOW_US + i) for i in range(50)
    ]
    whole = DECODER.decode(frames)
    singly = [DECODER.decode([one]) for one in frames]
    assert rows_of(whole.events) == [row for one in singly for row in rows_of(one.events)]
    assert whole.messages == sum(one.messages for one in singly)


def test_a_frame_of_two_mebibytes_is_read_whole() -> None:
    messages = [trade(SYMBOLS[i % len(SYMBOLS)], q=i) for i in range(20_000)]
    payload = json.dumps(messages).encode()
    assert len(payload) > 2 << 20
    found = DECODER.decode([Frame("polygon", "options", NOW_US, payload)])
    assert found.events.sequence.tolist() == list(range(20_000))


def test_samples_show_no_credentials() -> None:
    found = decode({"ev": "echo", "action": "auth", "params": "abcDEF1234567890"})
    assert "abcDEF" not in found.rejects[0].sample
    assert "[hidden]" in found.rejects[0].sample


PRICES = (
    st.floats(0, 20_000).map(lambda x: round(x, 4)) | st.integers(0, 10**15) | st.floats(0, 1e15)
)
SIZES = st.integers(1, 10**6) | st.floats(0.001, 1e6)
TIMES = st.integers(NOW_MS - 86_400_000, NOW_MS + 86_400_000)
NAMES = st.sampled_from([*SYMBOLS, "AAPL251219C00150000", "2SPX251219C00150000"])
OTHERS = st.dictionaries(
    st.text(max_size=9).filter(lambda k: k not in ("ev", "T", "sym")),
    st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(-10, 10),
    max_size=3,
)
CODES = st.none() | st.lists(st.integers(0, 400), max_size=4)
TRADES = st.builds(
    lambda name, **fields: trade(name, **fields),
    NAMES, p=PRICES, s=SIZES, t=TIMES, c=CODES, q=st.integers(0, 1 << 62), x=st.integers(0, 32767),
)  # fmt: skip
QUOTES = st.builds(
    lambda name, **fields: quote(name, **fields),
    NAMES, bp=PRICES, ap=PRICES | st.none(), bs=SIZES, t=TIMES, q=st.integers(0, 10**12),
)  # fmt: skip
VALUES = st.builds(
    value, val=st.floats(0.01, 1e6), T=st.sampled_from(["I:SPX", "I:NDX", "SPY"]), t=TIMES
)


@st.composite
def valid_frames(draw: st.DrawFn) -> Frame:
    messages = draw(st.lists(TRADES | QUOTES | VALUES, max_size=6))
    spoken = [
        dict(draw(st.permutations(list((draw(OTHERS) | message).items())))) for message in messages
    ]
    blanks = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")]))
    text = json.dumps(spoken, separators=blanks, ensure_ascii=draw(st.booleans()))
    return Frame("polygon", "options", NOW_US, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(st.lists(valid_frames(), max_size=3))
def test_valid_frames_are_read_as_any_json_reader_reads_them(frames: list[Frame]) -> None:
    frames = [one for one in frames if b"\xed" not in one.payload]  # lone surrogates are no UTF-8
    found = DECODER.decode(frames)
    expected, others = plain_reading(frames, LISTING)
    assert found.rejects == ()
    assert rows_of(found.events) == expected
    assert found.passed_over == others

"""Batching: the same events, however they are cut, give the same trades and state."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.conventions import PER_PCT, SECONDS_PER_YEAR
from dealer_assets.domain.kernels import book as kernel, flows, greeks
from dealer_assets_tests.streaming.tape import arrays_of, book_of, random_tape, same, state_of
from streaming.core import book as streamed


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_of_the_same_events_gives_the_same_bits(seed, cuts):
    events = random_tape(seed)
    whole, parts = book_of(), book_of(log_room=1)
    for book in (whole, parts):
        book.delta[:] = 0.5, -0.5, np.nan
    expected = whole.apply(events)
    edges = [0, *sorted(cuts), len(events)]
    found = [parts.apply(events.take(slice(a, b))) for a, b in pairwise(edges)]
    joined = [np.concatenate(arrays) for arrays in zip(*map(arrays_of, found), strict=True)]
    assert same(joined, arrays_of(expected))
    assert same(state_of(parts), state_of(whole))
    assert same([parts.log_spot], [whole.log_spot])
    assert parts.counts == whole.counts


def test_one_by_one_is_the_same_too():
    events = random_tape(7)
    whole, single = book_of(), book_of()
    expected = whole.apply(events)
    found = [single.apply(events.take(slice(i, i + 1))) for i in range(len(events))]
    assert same(
        [np.concatenate(a) for a in zip(*map(arrays_of, found), strict=True)], arrays_of(expected)
    )
    assert same(state_of(single), state_of(whole))


def test_events_that_are_read_only_or_strided_are_taken_too():
    events = random_tape(3)
    doubled = type(events)(*(np.repeat(getattr(events, f.name), 2)[::2] for f in fields(events)))
    for field in fields(events):
        getattr(doubled, field.name).flags.writeable = False
    assert same(arrays_of(book_of().apply(doubled)), arrays_of(book_of().apply(events)))


def test_kernels_are_compiled_for_one_form_of_arguments():
    kernel.warm()
    entries = (kernel.walk, kernel.restore, kernel.move_index, flows.choose_vols, flows.settle)
    assert [len(entry.signatures) for entry in entries] == [1] * len(entries)
    rows = (streamed._DELTA, streamed._GAMMA, streamed._VANNA, streamed._CHARM)
    assert [greeks.ROWS[row] for row in rows] == ["delta", "gamma", "vanna", "charm"]
    assert len(greeks.ROWS) == streamed._GREEKS
    assert (kernel.YEAR_US, flows.PER_PCT) == (SECONDS_PER_YEAR * 1e6, PER_PCT)
    assert len(kernel.COUNTS) == kernel.UNMATCHED + 1

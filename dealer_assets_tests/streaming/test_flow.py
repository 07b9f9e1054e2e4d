"""Open bars and cumulative flow of one underlying, restarts included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from streaming.core.flow import MINUTE, MINUTE_US, SECOND, SECOND_US, FlowBars, LaneFlow, Prints

START_US = 1_766_068_200_000_000  # a whole minute


def prints_at(offsets_us: list[int], seed: int = 0) -> Prints:
    rng = np.random.default_rng(seed)
    n = len(offsets_us)
    volume = rng.integers(1, 200, n).astype(float)
    return Prints.of(
        rng.integers(0, 20, n),
        START_US + np.array(sorted(offsets_us), np.int64),
        is_call=rng.random(n) < 0.5,
        is_zero_dte=rng.random(n) < 0.5,
        size=volume,
        volume=volume,
        dealer=rng.choice([-1.0, 0.0, 1.0], n) * volume,
        premium=rng.normal(size=n),
        hedge_flow=rng.normal(size=n) * 1e6,
        gamma_flow=rng.normal(size=n),
    )


def played(flow: LaneFlow, prints: Prints, until_us: int) -> list[FlowBars]:
    """What a clock that runs second by second closes."""
    found = []
    for end_us in range(START_US + SECOND_US, until_us + 1, SECOND_US):
        inside = (prints.received_us >= end_us - SECOND_US) & (prints.received_us < end_us)
        if inside.any():
            flow.add(prints.take(inside))
        closed = [flow.close(SECOND, end_us)[0]]
        closed += [flow.close(MINUTE, end_us)[0]] if end_us % MINUTE_US == 0 else []
        found += [bars for bars in closed if bars is not None]
    return found


def rows_of(blocks: list[FlowBars]) -> list[tuple]:
    return [
        (b.interval, b.start_us, b.end_us, int(key), *sums.tolist(), *total.tolist())
        for b in blocks
        for key, sums, total in zip(b.bars.key, b.bars.sums.T, b.cumulative.T, strict=True)
    ]


@settings(max_examples=30, deadline=None)
@given(
    offsets=st.lists(st.integers(0, 150 * SECOND_US), min_size=1, max_size=30),
    share=st.floats(0, 1),
)
def test_after_a_restart_exactly_the_rows_that_did_not_exist_follow(offsets, share):
    prints = prints_at(offsets)
    until_us = START_US + 4 * MINUTE_US
    everything = rows_of(played(LaneFlow(), prints, until_us))
    emitted = round(share * len(everything))
    flow = LaneFlow()
    later = flow.restore(prints, emitted=emitted)
    for end_us in range(START_US + SECOND_US, until_us + 1, SECOND_US):
        later += flow.close_until(end_us)
    assert rows_of(later) == everything[emitted:]


def test_a_bar_that_a_restart_left_open_takes_in_what_comes_after():
    prints = prints_at([0, 400_000, 900_000, 30 * SECOND_US, 50 * SECOND_US])
    whole = rows_of(played(LaneFlow(), prints, START_US + MINUTE_US))
    flow = LaneFlow()
    later = flow.restore(prints.take(slice(0, 2)), emitted=0)
    assert later == []
    flow.add(prints.take(slice(2, 3)))
    for end_us in range(START_US + SECOND_US, START_US + MINUTE_US + 1, SECOND_US):
        inside = (prints.received_us >= end_us - SECOND_US) & (prints.received_us < end_us)
        if inside[3:].any():
            flow.add(prints.take(inside))
        later += flow.close_until(end_us)
    assert rows_of(later) == whole


@pytest.mark.parametrize("watched", [[3], [3, 4], []])
def test_bars_by_contract_are_of_the_watched_alone(watched):
    prints = prints_at(list(range(0, SECOND_US, 5_000)))
    flow = LaneFlow()
    flow.add(prints)
    _, bars = flow.close(SECOND, START_US + SECOND_US, np.array(watched, np.int64))
    assert bars.key.tolist() == watched
    _, bars = flow.close(MINUTE, START_US + MINUTE_US)
    assert bars.key.tolist() == sorted(set(prints.contract.tolist()))


def test_nothing_traded_is_no_row():
    flow = LaneFlow()
    by_bucket, by_contract = flow.close(SECOND, START_US + SECOND_US)
    assert by_bucket is None
    assert not by_contract.key.size
    assert flow.open_end_us(SECOND) == -1

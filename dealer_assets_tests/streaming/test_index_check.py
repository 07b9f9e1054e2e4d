"""Sources of spot held against one another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from streaming.core.events import QUOTE, SPOT, Events, no_events
from streaming.feeds.index_check import SOURCES, CheckOptions, IndexCheck, SpotSieve

S = 1_000_000


def feed(check: IndexCheck, at_s: float, **values: float) -> None:
    for name, value in values.items():
        check.observe(name, value, int(at_s * S))


def spots(*rows: tuple[float, str, float]) -> Events:
    """SPOT events of (second, source, value)."""
    events = no_events(len(rows))
    events.kind[:] = SPOT
    events.contract[:] = 0
    events.received_us[:] = [int(at * S) for at, _, _ in rows]
    events.exchange[:] = [SOURCES.index(source) for _, source, _ in rows]
    events.a[:] = [value for _, _, value in rows]
    return events


def test_sources_that_agree_give_median_spread_and_the_best_ranked() -> None:
    check = IndexCheck()
    feed(check, 1, perpetual=60_060.0, ticker_index=60_000.0, price_index=60_010.0)
    found = check.judge(1 * S)
    assert (found.used, found.value, found.median) == ("price_index", 60_010.0, 60_010.0)
    assert found.spread == pytest.approx(60.0 / 60_010.0)
    assert (found.deviant, found.stale, found.remarks) == ((), (), [])


def test_a_source_that_deviates_for_long_is_put_aside_until_it_agrees() -> None:
    check = IndexCheck()
    for second in range(8):
        feed(check, second, price_index=61_000.0, ticker_index=60_000.0, perpetual=60_030.0)
        found = check.judge(second * S)
        assert (found.deviant == ("price_index",)) is (second >= 5)
        assert found.used == ("ticker_index" if second >= 5 else "price_index")
    assert found.remarks == ["price_index is away from the other sources: not used"]
    feed(check, 8, price_index=60_010.0)
    assert check.judge(8 * S).used == "price_index"


def test_a_jump_that_reaches_sources_one_by_one_puts_none_aside() -> None:
    check = IndexCheck()
    feed(check, 0, price_index=60_000.0, ticker_index=60_000.0, perpetual=60_000.0)
    feed(check, 1, price_index=62_000.0)
    feed(check, 2, ticker_index=62_000.0)
    feed(check, 3, perpetual=62_000.0)
    assert check.judge(4 * S).deviant == ()


def test_a_stale_source_is_not_used() -> None:
    check = IndexCheck()
    feed(check, 0, price_index=60_000.0)
    feed(check, 9, ticker_index=60_500.0)
    found = check.judge(9 * S)
    assert (found.used, found.value, found.stale) == ("ticker_index", 60_500.0, ("price_index",))
    late = check.judge(60 * S)
    assert late.used == ""
    assert math.isnan(late.value)
    assert "no source of spot can be believed" in late.remarks


def test_two_sources_that_disagree_are_told_apart_by_rank_alone() -> None:
    check = IndexCheck()
    for second in range(20):
        feed(check, second, price_index=60_000.0, perpetual=66_000.0)
    found = check.judge(19 * S)
    assert (found.used, found.deviant) == ("price_index", ())
    assert found.spread == pytest.approx(6_000.0 / 63_000.0)


def test_a_source_put_aside_is_not_trusted_because_the_others_fall_silent() -> None:
    check = IndexCheck()
    for second in range(7):
        feed(check, second, price_index=61_000.0, ticker_index=60_000.0, perpetual=60_030.0)
    for second in range(7, 20):
        feed(check, second, price_index=61_000.0)
    found = check.judge(19 * S)
    assert (found.used, found.deviant) == ("", ("price_index",))


def test_futures_may_carry_a_basis() -> None:
    check = IndexCheck(CheckOptions(deviant_after_seconds=0.0))
    feed(check, 0, price_index=60_000.0, ticker_index=60_000.0, future=60_900.0, parity=60_100.0)
    assert check.judge(0).deviant == ()
    feed(check, 1, future=63_000.0)
    assert check.judge(1 * S).deviant == ("future",)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_what_is_no_price_is_passed_over(value: float) -> None:
    check = IndexCheck()
    feed(check, 0, price_index=value)
    assert check.judge(0).used == ""


def test_the_sieve_lets_the_used_source_pass_and_all_else_untouched() -> None:
    rows = []
    for second in range(10):
        rows += [(second, "price_index", 61_000.0), (second, "ticker_index", 60_000.0)]
        rows += [(second, "perpetual", 60_010.0)]
    events = spots(*rows)
    events.kind[4] = QUOTE
    found = SpotSieve().sift(events)
    used = [SOURCES[i] for i in found.exchange[found.kind == SPOT]]
    assert used == ["price_index"] * 5 + ["ticker_index"] * 5
    assert (found.kind == QUOTE).sum() == 1
    untold = no_events(2)
    untold.kind[:] = SPOT
    assert len(SpotSieve().sift(untold)) == 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(SOURCES), st.sampled_from([60e3, 60.1e3, 66e3])
        ),
        max_size=40,
    ),
    st.integers(1, 7),
)
def test_the_sieve_gives_the_same_however_events_are_batched(
    steps: list[tuple[int, str, float]], size: int
) -> None:
    seconds = np.cumsum([step for step, _, _ in steps]) if steps else []
    rows = [(float(at), *step[1:]) for at, step in zip(seconds, steps, strict=True)]
    events = spots(*rows)
    sieve = SpotSieve()
    parts = [sieve.sift(events.take(slice(i, i + size))) for i in range(0, len(events), size)]
    whole = SpotSieve().sift(events)
    joined = np.concatenate([np.zeros(0), *(part.a for part in parts)])
    np.testing.assert_array_equal(whole.a, joined)

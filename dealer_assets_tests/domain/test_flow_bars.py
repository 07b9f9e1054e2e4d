"""Flow bars and the watched window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.flow.bars import (
    BUCKETS,
    MEASURES,
    additions,
    bars_of,
    bucket_of,
    names_of,
    net_volume,
)
from dealer_assets.domain.flow.window import REACH, Window


def _added(**columns):
    arrays = {name: np.array(values, float) for name, values in columns.items()}
    volume = arrays.pop("volume")
    zeros = np.zeros(volume.size)
    rest = dict.fromkeys(("dealer", "premium", "hedge_flow", "gamma_flow"), zeros)
    return dict(zip(MEASURES, additions(volume, **(rest | arrays)), strict=True))


def test_a_bucket_is_right_tenor_and_size_of_the_print():
    size = np.array([1.0, 0.1, 2.0, 9.0, 10.0, 99.0, 100.0, 5000.0])
    right, tenor, place = names_of(
        bucket_of(np.array([True] * 4 + [False] * 4), np.array([True, False] * 4), size)
    )
    assert right.tolist() == [0] * 4 + [1] * 4
    assert tenor.tolist() == [0, 1] * 4
    assert place.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_buckets_number_all_combinations_once():
    right, tenor, place = names_of(np.arange(BUCKETS))
    assert len(set(zip(right.tolist(), tenor.tolist(), place.tolist(), strict=True))) == BUCKETS


def test_a_customers_buy_is_bought_volume_and_positive_premium():
    added = _added(volume=[3], dealer=[-3], premium=[900], hedge_flow=[-50], gamma_flow=[-7])
    assert {name: values[0] for name, values in added.items()} == {
        "trades": 1,
        "volume_contracts": 3,
        "bought_contracts": 3,
        "sold_contracts": 0,
        "premium_usd": 900,
        "signed_premium_usd": 900,
        "hedge_flow_usd": -50,
        "absolute_hedge_flow_usd": 50,
        "gamma_flow_usd_per_pct": -7,
    }


@pytest.mark.parametrize("dealer", [-3.0, 3.0, 0.0])
def test_a_cancel_takes_back_everything_but_the_count_of_prints(dealer):
    added = _added(
        volume=[3, -3],
        dealer=[dealer, -dealer],
        premium=[900, -900],
        hedge_flow=[50, -50],
        gamma_flow=[7, -7],
    )
    assert added.pop("trades").sum() == 2
    for name, values in added.items():
        assert values.sum() == 0.0, name


def test_a_cancel_of_an_unknown_print_takes_nothing_back():
    volume = net_volume(
        np.array([5.0, 5.0, 5.0]),
        is_cancel=np.array([False, True, True]),
        is_matched=np.array([False, True, False]),
    )
    assert volume.tolist() == [5.0, -5.0, 0.0]


def test_a_print_without_a_side_is_volume_alone():
    added = _added(volume=[4], premium=[100])
    assert added["volume_contracts"] == 4
    assert added["bought_contracts"] == added["sold_contracts"] == 0
    assert added["signed_premium_usd"] == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1e6, 1e6)), max_size=60))
def test_bars_add_prints_up_in_their_order(prints):
    key = np.array([k for k, _ in prints], np.int64)
    added = np.tile(np.array([v for _, v in prints], float), (len(MEASURES), 1))
    bars = bars_of(key, added)
    same = bars_of(key, added, groups=6)
    assert same.key.tolist() == bars.key.tolist()
    np.testing.assert_array_equal(same.sums, bars.sums)
    assert bars.key.tolist() == sorted(set(key.tolist()))
    for place, k in enumerate(bars.key.tolist()):
        total = 0.0
        for other, value in prints:
            total += value if other == k else 0.0
        assert bars.sums[0, place] == total


LADDER = np.array([90.0, 95.0, 100.0, 105.0, 110.0])
STRIKE = np.repeat(LADDER, 2)  # call and put
CONTRACT = np.arange(50, 60)
ALIVE = np.ones(10, bool)


def _follow(window, spot, alive=ALIVE):
    return window.follow(spot, contract=CONTRACT, strike=STRIKE, is_alive=alive)


def test_the_window_holds_both_rights_of_the_strikes_around_the_money():
    change = _follow(Window(1), 101.0)
    assert change.watched.tolist() == [52, 53, 54, 55, 56, 57]
    assert change.added.tolist() == change.watched.tolist()
    assert change.removed.tolist() == []


def test_the_window_follows_spot_and_says_what_changed():
    window = Window(1)
    _follow(window, 101.0)
    change = _follow(window, 104.5)
    assert change.added.tolist() == [58, 59]
    assert change.removed.tolist() == [52, 53]


def test_the_window_is_cut_at_the_end_of_the_listing():
    assert _follow(Window(2), 50.0).watched.tolist() == [50, 51, 52, 53, 54, 55]


def test_the_window_does_not_flutter_between_two_strikes():
    window = Window(0)
    _follow(window, 100.0)
    for spot in (102.4, 102.6, 102.4, 100.0 + REACH * 5.0):
        assert window.holds(spot, 10)
        assert not _follow(window, spot).added.size
    assert not window.holds(103.1, 10)
    assert _follow(window, 103.1).watched.tolist() == [56, 57]
    assert not _follow(window, 102.4).added.size


def test_the_window_moves_on_when_its_middle_expires():
    window = Window(0)
    _follow(window, 100.0)
    alive = ALIVE.copy()
    alive[4:6] = False
    assert not window.holds(100.0, 8)
    change = _follow(window, 101.0, alive)
    assert change.removed.tolist() == [54, 55]
    assert change.watched.tolist() == [56, 57]


def test_an_empty_window_waits_for_a_spot():
    window = Window(1)
    assert not _follow(window, float("nan")).watched.size
    assert window.holds(float("nan"), 10)
    assert not window.holds(100.0, 10)
    assert _follow(window, 100.0).watched.size


def test_nothing_that_expires_today_is_watched_when_nothing_does():
    window = Window(3)
    none = np.empty(0, np.int64)
    change = window.follow(100.0, contract=none, strike=none.astype(float), is_alive=none == 0)
    assert not change.watched.size
    assert window.holds(105.0, 0)

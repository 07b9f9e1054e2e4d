"""What is monitored: the grammar, its refusals, the edges of buckets."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dealer_assets.domain.anomaly.universe import (
    DEFAULT_MONITOR,
    DTE_NAMES,
    MONEYNESS_NAMES,
    dte_codes,
    moneyness_codes,
    universe_of,
)
from dealer_assets.errors import BadInputError


def holds(text, moneyness, days, right="put", symbol="SPX"):
    universe = universe_of(text).of(symbol)
    return universe.holds(np.array([moneyness]), np.array([days]), np.array([right == "put"]))[0]


@pytest.mark.parametrize(
    ("moneyness", "days", "right", "expected"),
    [
        (0.80, 20, "put", True),
        (0.95, 45, "put", True),
        (0.7999, 30, "put", False),
        (0.9501, 30, "put", False),
        (0.9, 19, "put", False),
        (0.9, 46, "put", False),
        (0.9, 30, "call", False),
    ],
)
def test_default_monitors_puts_from_80_to_95_percent_and_20_to_45_days_edges_included(
    moneyness, days, right, expected
):
    assert holds(DEFAULT_MONITOR, moneyness, days, right) == expected


def test_strike_on_an_edge_but_for_rounding_is_inside():
    assert holds(DEFAULT_MONITOR, 5699.999999999999 / 6000.0 * (1.0 + 1e-15), 30)


def test_slices_add_up_and_any_right_takes_both():
    text = "put 0.8-0.95 20-45d, any 0.98-1.02 0-1d"
    assert holds(text, 1.0, 0, "call")
    assert holds(text, 1.0, 0, "put")
    assert holds(text, 0.9, 30, "put")
    assert not holds(text, 0.9, 0, "call")


def test_underlying_with_slices_of_its_own_is_monitored_by_these_alone():
    text = "put 0.8-0.95 20-45d, BTC:call 1.0-1.5 1-60d"
    assert holds(text, 1.2, 30, "call", "BTC")
    assert not holds(text, 0.9, 30, "put", "BTC")
    assert not holds(text, 1.2, 30, "call", "SPX")


def test_underlying_without_any_slice_is_not_monitored():
    assert not holds("BTC:any 0.5-1.5 0-400d", 1.0, 30, "put", "SPX")


def test_spelling_is_read_back_as_the_same():
    text = "put 0.80-0.95 20-45d,btc:ANY 0.5 - 1.5  0-400 d"
    universe = universe_of(text)
    assert str(universe) == "put 0.8-0.95 20-45d, BTC:any 0.5-1.5 0-400d"
    assert universe_of(str(universe)) == universe


@pytest.mark.parametrize(
    "text",
    ["", "put", "put 0.8-0.95", "puts 0.8-0.95 20-45d", "put 0.95-0.8 20-45d",
     "put 0.8-0.95 45-20d", "put -0.8-0.95 20-45d", "put 0.8-0.95 20-45d,", "put 80%-95% 20-45d"],
)  # fmt: skip
def test_nonsense_is_refused_with_an_example(text):
    with pytest.raises(BadInputError, match=r"DEALER_MONITOR.*put 0\.80-0\.95 20-45d"):
        universe_of(text)


def test_moneyness_buckets_hold_their_lower_edge():
    names = [MONEYNESS_NAMES[i] for i in moneyness_codes(np.array([0.49, 0.5, 0.874, 0.875, 1.5]))]
    assert names == ["below 0.500", "0.500", "0.850", "0.875", "1.500 and above"]


def test_every_edge_lies_in_the_bucket_it_names_though_floats_round():
    edges = np.array([float(name) for name in MONEYNESS_NAMES[1:-1]])
    for spot in (1.0, 5979.37, 7.3e4):
        codes = moneyness_codes((edges * spot) / spot)
        assert codes.tolist() == list(range(1, edges.size + 1))


def test_days_fall_into_the_declared_buckets():
    days = np.array([0, 1, 2, 7, 8, 19, 20, 32, 33, 45, 46, 90, 91, 700])
    assert [DTE_NAMES[i] for i in dte_codes(days)] == [
        "0-1", "0-1", "2-7", "2-7", "8-19", "8-19", "20-32", "20-32", "33-45", "33-45", "46-90",
        "46-90", "91+", "91+",
    ]  # fmt: skip


@given(st.lists(st.floats(0.01, 10.0), min_size=2, max_size=20))
def test_buckets_rise_with_moneyness(values):
    codes = moneyness_codes(np.sort(np.array(values)))
    assert (np.diff(codes) >= 0).all()
    assert codes.min() >= 0
    assert codes.max() < len(MONEYNESS_NAMES)

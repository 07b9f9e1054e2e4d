"""Implied vol: round trips from mpmath prices, a reason for every bad price, never a guess."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.pricing.implied_vol import REASON_WORDS, IvReason, implied_vol
from dealer_assets_tests.domain.answers import read_answers

MAX_RELATIVE_ERROR = 1e-10
"""NUMERICS: what an out-of-the-money vol has to reach; a stored vol needs 1e-7 (float32 Greeks)."""

AT_BOUND_ELASTICITY = 1e-3
"""A price that moves less than this, relative to a relative move of vol, is at its bound: rounding
it to a double loses a thousand times more than the solver may."""

ITM_PRICE_ROUNDINGS = 16.0
"""An in-the-money price carries its intrinsic's rounding into the time value; so many units in the
last place of the price, divided by vega, is all that any solver can promise."""


def solve(price=5.0, F=100.0, K=100.0, T=0.25, D=1.0, is_call=True):
    values = np.array([[price], [F], [K], [T], [D]], np.float64)
    vol, reason = implied_vol(
        values[0], values[1], K=values[2], T=values[3], D=values[4], is_call=np.array([is_call])
    )
    return float(vol[0]), REASON_WORDS[reason[0]]


@pytest.fixture(scope="module")
def answers():
    return read_answers("implied_vol_reference.csv")


@pytest.fixture(scope="module")
def solved(answers):
    return implied_vol(
        answers["price"],
        answers["F"],
        K=answers["K"],
        T=answers["T"],
        D=answers["D"],
        is_call=answers["is_call"] > 0.0,
    )


def test_vol_of_mpmath_prices_comes_back_to_ten_digits(answers, solved):
    inside = answers["elasticity"] > AT_BOUND_ELASTICITY
    vol, reason = solved
    assert np.all(reason[inside] == IvReason.OK)
    error = np.abs(vol[inside] / answers["vol"][inside] - 1.0)
    assert error.max() <= MAX_RELATIVE_ERROR


def test_answers_file_reaches_the_deep_wings(answers):
    assert answers["price"].min() < 1e-245
    assert (answers["vol"].min(), answers["vol"].max()) == (0.001, 5.0)
    assert np.sum(answers["elasticity"] > AT_BOUND_ELASTICITY) > 500


def test_vol_at_the_bound_is_a_vol_near_or_refused(answers, solved):
    at_bound = answers["elasticity"] <= AT_BOUND_ELASTICITY
    vol, reason = solved
    refused = reason[at_bound] == IvReason.ABOVE_BOUND
    assert at_bound.any()
    assert np.all(refused == np.isnan(vol[at_bound]))
    assert np.all(refused | (vol[at_bound] > 0.5 * answers["vol"][at_bound]))


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"price": 0.0}, "below_intrinsic"),
        ({"price": 0.0, "K": 120.0}, "below_intrinsic"),
        ({"price": -1.0}, "bad_input"),
        ({"price": np.nan}, "bad_input"),
        ({"price": np.inf}, "bad_input"),
        ({"price": -np.inf}, "bad_input"),
        ({"price": 9.0, "K": 90.0}, "below_intrinsic"),
        ({"price": 10.0, "K": 90.0}, "below_intrinsic"),
        ({"price": 9.0, "K": 110.0, "is_call": False}, "below_intrinsic"),
        ({"price": 100.0}, "above_bound"),
        ({"price": 101.0}, "above_bound"),
        ({"price": 110.0, "K": 110.0, "is_call": False}, "above_bound"),
        ({"price": 95.0, "D": 0.95}, "above_bound"),
        ({"T": 0.0}, "zero_time"),
        ({"T": -1.0}, "zero_time"),
        ({"T": np.nan}, "bad_input"),
        ({"T": np.inf}, "bad_input"),
        ({"K": np.nan}, "bad_input"),
        ({"K": 0.0}, "bad_input"),
        ({"K": -100.0}, "bad_input"),
        ({"F": np.nan}, "bad_input"),
        ({"F": 0.0}, "bad_input"),
        ({"F": np.inf}, "bad_input"),
        ({"D": np.nan}, "bad_input"),
        ({"D": 0.0}, "bad_input"),
        ({"D": -1.0}, "bad_input"),
    ],
)
def test_bad_price_gives_nan_and_its_reason(terms, reason):
    vol, found = solve(**terms)
    assert np.isnan(vol)
    assert found == reason


def test_bad_time_outranks_a_bad_price_but_bad_input_outranks_both():
    assert solve(price=0.0, T=0.0)[1] == "zero_time"
    assert solve(price=np.nan, T=0.0)[1] == "bad_input"


def test_bad_contract_leaves_its_neighbours_alone():
    price = np.array([5.0, np.nan, 5.0])
    ones = np.ones(3)
    vol, reason = implied_vol(
        price, 100 * ones, K=100 * ones, T=0.25 * ones, D=ones, is_call=np.full(3, True)
    )
    assert vol[0] == vol[2] == solve()[0]
    assert reason.tolist() == [IvReason.OK, IvReason.BAD_INPUT, IvReason.OK]


def test_no_contracts_give_empty_arrays():
    none = np.empty(0)
    vol, reason = implied_vol(none, none, K=none, T=none, D=none, is_call=np.empty(0, np.bool_))
    assert (vol.shape, reason.shape) == ((0,), (0,))


def test_put_and_call_of_one_strike_give_one_vol():
    terms = {"F": np.array([100.0]), "K": np.array([104.0])}
    market = {"T": np.array([0.5]), "D": np.array([0.98])}
    prices = [
        black_price(**terms, **market, sigma=np.array([0.3]), is_call=np.array([side]))
        for side in (True, False)
    ]
    vols = [
        implied_vol(price, **terms, **market, is_call=np.array([side]))[0][0]
        for price, side in zip(prices, (True, False), strict=True)
    ]
    np.testing.assert_allclose(vols, 0.3, rtol=1e-13)


@settings(max_examples=150, deadline=None)
@given(
    st.floats(0.02, 3.0),
    st.floats(1e-4, 5.0),
    st.floats(-4.0, 4.0),
    st.floats(0.5, 1.1),
    st.booleans(),
)
def test_vol_round_trip_is_as_good_as_the_price_allows(sigma, years, deviation, discount, is_call):
    F = np.array([100.0])
    K = F * np.exp(deviation * sigma * np.sqrt(years))
    terms = {"K": K, "T": np.array([years]), "D": np.array([discount])}
    price = black_price(F, sigma=np.array([sigma]), is_call=np.array([is_call]), **terms)
    bumped = black_price(F, sigma=np.array([sigma * 1.001]), is_call=np.array([is_call]), **terms)
    vega_share = float((bumped - price)[0]) / 0.001  # price change for a doubling, linearised
    vol, reason = implied_vol(price, F, is_call=np.array([is_call]), **terms)
    rounding = np.finfo(np.float64).eps * float(discount * max(F[0], K[0]))
    attainable = ITM_PRICE_ROUNDINGS * rounding / max(vega_share, 1e-300)
    if attainable < 1e-3:
        assert reason[0] == IvReason.OK
        assert abs(vol[0] / sigma - 1.0) <= attainable + MAX_RELATIVE_ERROR


@settings(max_examples=400, deadline=None)
@given(
    price=st.floats(),
    F=st.floats(),
    K=st.floats(),
    T=st.floats(),
    D=st.floats(),
    is_call=st.booleans(),
)
def test_bad_input_never_raises_and_never_gets_a_finite_vol(price, F, K, T, D, is_call):
    vol, reason = solve(price, F, K, T, D, is_call)
    finite = all(np.isfinite(value) for value in (price, F, K, T, D))
    positive = finite and min(F, K, T, D) > 0.0 and price >= 0.0
    if not positive:
        assert np.isnan(vol)
    assert np.isfinite(vol) == (reason == "ok")


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 250.0), st.floats(1.0, 200.0), st.booleans())
def test_price_outside_its_bounds_is_refused_by_the_right_reason(price, strike, is_call):
    intrinsic = max(100.0 - strike, 0.0) if is_call else max(strike - 100.0, 0.0)
    bound = 100.0 if is_call else strike
    vol, reason = solve(price=price, K=strike, is_call=is_call)
    if price <= intrinsic:
        assert reason == "below_intrinsic"
    elif price >= bound:
        assert reason == "above_bound"
    else:
        assert vol > 0.0 or reason in ("above_bound", "below_intrinsic")  # within rounding of one


@settings(max_examples=100, deadline=None)
@given(st.floats(0.1, 60.0), st.floats(1.01, 1.5), st.floats(80.0, 120.0))
def test_vol_rises_with_price(price, factor, strike):
    low, reason = solve(price=price, K=strike, is_call=strike >= 100.0)
    high, reason_high = solve(price=price * factor, K=strike, is_call=strike >= 100.0)
    if reason == reason_high == "ok":
        assert high > low

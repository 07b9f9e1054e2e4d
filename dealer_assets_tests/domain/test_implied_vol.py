"""Implied vol: round trips from mpmath prices, a reason for every bad price, never a guess."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.kernels import implied_vol as kernel
from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.pricing.implied_vol import REASON_WORDS, IvReason, implied_vol
from dealer_assets_tests.domain.answers import read_answers

EPS = float(np.finfo(np.float64).eps)

MAX_RELATIVE_ERROR = 1e-11
"""What an out-of-the-money vol has to reach; a stored vol needs 1e-7 (float32 Greeks)."""

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


def test_vol_of_mpmath_prices_comes_back_to_eleven_digits(answers, solved):
    inside = answers["elasticity"] > AT_BOUND_ELASTICITY
    vol, reason = solved
    assert np.all(reason[inside] == IvReason.OK)
    error = np.abs(vol[inside] / answers["vol"][inside] - 1.0)
    assert error.max() <= MAX_RELATIVE_ERROR


def test_answers_file_reaches_the_deep_wings(answers):
    assert answers["price"].min() < 1e-280
    assert (answers["vol"].min(), answers["vol"].max()) == (0.001, 140.0)
    assert np.sum(answers["elasticity"] > AT_BOUND_ELASTICITY) > 700


def test_vol_in_the_money_is_as_good_as_its_price_allows(answers):
    vol, reason = implied_vol(
        answers["parity_price"],
        answers["F"],
        K=answers["K"],
        T=answers["T"],
        D=answers["D"],
        is_call=answers["is_call"] == 0.0,
    )
    time_value = answers["price"] * answers["elasticity"]
    rounding = ITM_PRICE_ROUNDINGS * EPS * answers["D"] * np.maximum(answers["F"], answers["K"])
    with np.errstate(divide="ignore"):
        attainable = rounding / time_value
    good = attainable < 1e-3
    assert good.sum() > 250
    assert np.all(reason[good] == IvReason.OK)
    error = np.abs(vol[good] / answers["vol"][good] - 1.0)
    assert np.all(error <= attainable[good] + MAX_RELATIVE_ERROR)


def test_vol_at_the_bound_is_a_vol_near_or_refused(answers, solved):
    at_bound = answers["elasticity"] <= AT_BOUND_ELASTICITY
    vol, reason = solved
    refused = reason[at_bound] == IvReason.ABOVE_BOUND
    assert at_bound.any()
    assert np.all(refused == np.isnan(vol[at_bound]))
    # One unit in the last place below its bound a price has a total vol of 16, whatever it was
    root = np.sqrt(answers["T"][at_bound])
    expected = np.minimum(0.5 * answers["vol"][at_bound] * root, 14.0)
    assert np.all(refused | (vol[at_bound] * root > expected))


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
    rounding = EPS * float(discount * max(F[0], K[0]))
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


def out_of_the_money_price(F, K, total):
    """Undiscounted price by mpmath, with digits for any total vol and any two doubles."""
    with mp.workdps(60 + 2 * max(0, int(-mp.log10(total)))):
        F, K = mp.mpf(F), mp.mpf(K)
        x = abs(mp.log(F / K))
        d1 = -x / total + total / 2
        least = min(F, K)
        if d1 > 2:
            missing = mp.erfc(d1 / mp.sqrt(2)) + mp.exp(x) * mp.erfc((total - d1) / mp.sqrt(2))
            return least * (1 - missing / 2)
        root = mp.sqrt(2)
        return least * (mp.erfc(-d1 / root) - mp.exp(x) * mp.erfc((total - d1) / root)) / 2


def price_error(price, F, K, T, D, is_call, vol):
    """Distance of the vol's price from the given one, over what rounding alone can move it by."""
    with mp.workdps(60):
        total = mp.mpf(vol) * mp.sqrt(mp.mpf(T))
        otm = out_of_the_money_price(F, K, total)
        in_money = (F > K) == is_call
        value = mp.mpf(D) * (otm + (abs(mp.mpf(F) - mp.mpf(K)) if in_money else 0))
        h = abs(mp.log(mp.mpf(F) / mp.mpf(K))) / total
        vega = mp.mpf(D) * mp.sqrt(mp.mpf(F) * mp.mpf(K)) * mp.npdf(h) * mp.exp(-total * total / 8)
        vol_rounding = vega * total * 1e-12
        # ln(F / K) up to 1400 is a double as well, and its rounding moves the price by as much
        logs = 1 + abs(mp.log(mp.mpf(F) / mp.mpf(K)))
        price_rounding = 8 * EPS * logs * max(mp.mpf(price), mp.mpf(D) * otm)
        if in_money or otm > 0.5 * min(F, K):  # F - K, or the bound, is rounded as well
            price_rounding += 8 * EPS * mp.mpf(D) * max(F, K)
        smallest = (mp.mpf(D) + 1) * mp.mpf(5e-324)
        return abs(value - mp.mpf(price)) / (vol_rounding + price_rounding + smallest)


WILD = st.one_of(
    st.floats(0.0, allow_infinity=False),
    st.floats(-320.0, 308.0).map(lambda power: 10.0**power),
    st.floats(-3.0, 3.0).map(lambda power: 10.0**power),
    st.sampled_from([5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1.0]),
)


@settings(max_examples=400, deadline=None)
@given(WILD, WILD, WILD, WILD, st.one_of(WILD, st.just(1.0)), st.booleans(), st.floats(0.0, 1.0))
def test_wild_input_is_repriced_or_refused(price, F, K, T, D, is_call, share):
    bound = (F if is_call else K) * D
    intrinsic = max(F - K if is_call else K - F, 0.0) * D
    inside = intrinsic + share * (bound - intrinsic)
    for given_price in (price, inside, inside * 1e-30):
        vol, reason = solve(given_price, F, K, T, D, is_call)
        assert math.isfinite(vol) == (reason == "ok")
        if reason == "ok":
            assert vol > 0.0
            assert price_error(given_price, F, K, T, D, is_call, vol) <= 1.0


@settings(max_examples=200, deadline=None)
@given(
    st.floats(1e-3, 1e5),
    st.floats(-7.0, 7.0),
    st.floats(-2.0, 2.0),
    st.floats(-7.0, 1.0),
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_any_price_between_its_bounds_is_repriced(F, log_ratio, shrink, years, share, is_call):
    K = F * math.exp(log_ratio * 10.0 ** min(shrink, 0.0))
    otm = is_call == (F < K)
    share = share**40 if otm else share
    price = (0.0 if otm else abs(F - K)) + share * min(F, K)
    vol, reason = solve(price, F, K, 10.0**years, 1.0, is_call)
    assert math.isfinite(vol) == (reason == "ok")
    if reason == "ok":
        assert price_error(price, F, K, 10.0**years, 1.0, is_call, vol) <= 1.0
    elif otm and 1e-300 < share < 0.99:
        pytest.fail(f"refused as {reason}")


def test_kernels_reasons_are_the_vocabularys():
    for name in ("OK", "BELOW_INTRINSIC", "ABOVE_BOUND", "ZERO_TIME", "BAD_INPUT"):
        assert getattr(kernel, name) == IvReason[name]


def test_one_contract_gives_what_the_array_gives(answers, solved):
    names = ("price", "F", "K", "T", "D")
    found = [
        kernel.implied_vol_of(*(float(answers[name][i]) for name in names), bool(side))
        for i, side in enumerate(answers["is_call"])
    ]
    vols, reasons = np.array(found).T
    np.testing.assert_array_equal(reasons, solved[1])
    # Scalar code fuses other products and sums than vector code
    np.testing.assert_allclose(vols, solved[0], rtol=1e-12)


def test_one_bad_contract_gives_its_reason():
    assert kernel.implied_vol_of(5.0, 100.0, 100.0, 0.0, 1.0, True)[1] == IvReason.ZERO_TIME
    assert kernel.implied_vol_of(math.nan, 100.0, 100.0, 1.0, 1.0, True)[1] == IvReason.BAD_INPUT


@pytest.mark.parametrize("count", [1, 3, 5, 511, 512, 513, 1300])
def test_every_place_in_a_block_gives_the_same_vol(answers, solved, count):
    names = ("price", "F", "K", "T", "D")
    price, F, K, T, D = (np.resize(answers[name], count) for name in names)
    is_call = np.resize(answers["is_call"], count) > 0.0
    vol, reason = implied_vol(price, F, K=K, T=T, D=D, is_call=is_call)
    np.testing.assert_array_equal(reason, np.resize(solved[1], count))
    np.testing.assert_allclose(vol, np.resize(solved[0], count), rtol=1e-12)


def test_any_kind_of_array_compiles_one_kernel_only():
    ones = np.ones(6)
    frozen = ones.copy()
    frozen.flags.writeable = False
    for values in (ones, ones[::2], frozen, ones.astype(np.float32), ones.reshape(2, 3)):
        vol, reason = implied_vol(
            0.1 * values, values, K=values, T=values, D=1.0, is_call=values > 0
        )
        assert vol.shape == reason.shape == values.shape
    kernel.implied_vol_of(0.1, 1.0, 1.0, 1.0, 1.0, True)
    assert (len(kernel.implied_vols.signatures), len(kernel.implied_vol_of.signatures)) == (1, 1)


@pytest.mark.parametrize("price", [1e-200, 1e-160, 1e-155])
@pytest.mark.parametrize("F", [1e40, 1e95, 1e241])
def test_a_far_guess_is_not_taken_for_the_answer(price, F):
    """A large error makes a small step of third order; quotients on the way must not underflow."""
    vol, reason = solve(price, F, 1e-149, 1.0, 1.0, False)
    assert reason == "ok"
    assert price_error(price, F, 1e-149, 1.0, 1.0, False, vol) <= 1.0
    scaled, reason = solve(price * 1e60, F * 1e-40, 1e-89, 1.0, 1.0, False)
    assert reason == "ok"
    assert price_error(price * 1e60, F * 1e-40, 1e-89, 1.0, 1.0, False, scaled) <= 1.0


@pytest.mark.parametrize("x", [5.0, 20.0, 66.25, 150.0, 200.0])
@pytest.mark.parametrize("total", [0.9, 3.4, 8.0, 20.0])
def test_vol_of_strikes_that_no_exchange_lists(x, total):
    """Far outside its fit the guess is negative, and -s solves the equation as s does."""
    K = math.exp(x)
    price = float(out_of_the_money_price(1.0, K, mp.mpf(total)))
    if 1e-300 < price < 0.999:
        vol, reason = solve(price, 1.0, K, 1.0, 1.0, True)
        assert reason == "ok"
        assert vol == pytest.approx(total, rel=1e-11)

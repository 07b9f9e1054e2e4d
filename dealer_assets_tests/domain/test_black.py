"""Black-76 kernel: answers file, textbook, QuantLib, identities, properties, edges."""

from dataclasses import fields

import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.conventions import DAYS_PER_YEAR, VOL_POINT
from dealer_assets.domain.kernels.greeks import PER_DAY, POINT, ROWS, all_greeks, prices
from dealer_assets.domain.pricing.black import Greeks, black_greeks, black_price
from dealer_assets_tests.domain.answers import read_answers

GREEKS = ("delta", "gamma", "vega", "theta", "rho")
GREEKS += ("vanna", "charm", "volga", "speed", "zomma", "color")
DAYS = 365.0
EPS = float(np.finfo(np.float64).eps)

MAX_RELATIVE_ERROR = 1e-11
"""Rounding d1 at twenty deviations costs 1e-13 by itself; a stored Greek needs 1e-7."""

CARRY_ROUNDINGS = 4.0
"""F, S and D are doubles: their own rounding moves the carry ln(F/S)/T by EPS/T, hence theta by
EPS S/T and charm by EPS/T. Values below a few of these are rounding, in any implementation."""

QUANTLIB_ERROR = 1e-9
"""QuantLib's normal distribution is good to 1e-10 or so in the range used here."""


def greeks_of(inputs):
    return black_greeks(
        inputs["F"],
        inputs["K"],
        S=inputs["S"],
        T=inputs["T"],
        sigma=inputs["sigma"],
        D=inputs["D"],
        is_call=inputs["is_call"] > 0.0,
    )


def price_of(inputs):
    return black_price(
        inputs["F"],
        inputs["K"],
        T=inputs["T"],
        sigma=inputs["sigma"],
        D=inputs["D"],
        is_call=inputs["is_call"] > 0.0,
    )


def market(S=42.0, K=40.0, T=0.5, sigma=0.2, r=0.1, q=0.0, is_call=True):
    """One contract in the textbooks' terms, as arrays of shape (1,)."""
    values = {"F": S * np.exp((r - q) * T), "D": np.exp(-r * T)}
    values |= {"S": S, "K": K, "T": T, "sigma": sigma, "is_call": is_call}
    return {name: np.array([float(value)]) for name, value in values.items()}


@pytest.fixture(scope="module")
def answers():
    return read_answers("black_reference.csv")


@pytest.mark.parametrize("name", ["price", *GREEKS])
def test_price_and_every_greek_agree_with_mpmath(answers, name):
    found = getattr(greeks_of(answers), name)
    noise = CARRY_ROUNDINGS * EPS * answers["D"] * answers["F"] / answers["S"] / answers["T"] / DAYS
    allowance = {"theta": noise * answers["S"], "charm": noise}.get(name, 0.0)
    error = np.abs(found - answers[name])
    worst = np.max(error - MAX_RELATIVE_ERROR * np.abs(answers[name]) - allowance)
    assert answers[name].size == 480
    assert worst <= 0.0


def test_answers_file_spans_a_minute_to_ten_years_and_twenty_deviations(answers):
    deviations = np.log(answers["K"] / answers["F"]) / answers["sigma"] / np.sqrt(answers["T"])
    assert answers["T"].min() == pytest.approx(1 / 525_600)
    assert answers["T"].max() == 10.0
    assert (answers["sigma"].min(), answers["sigma"].max()) == (0.01, 3.0)
    assert (deviations.min(), deviations.max()) == (pytest.approx(-20.0), pytest.approx(20.0))


def test_price_alone_equals_the_price_among_the_greeks(answers):
    # Two compiled loops: the machine fuses a product and a sum in one and not in the other
    np.testing.assert_allclose(price_of(answers), greeks_of(answers).price, rtol=4 * EPS)


@pytest.mark.parametrize(("is_call", "value"), [(True, 4.76), (False, 0.81)])
def test_price_of_hull_example_15_6(is_call, value):
    """Hull, Options, Futures and Other Derivatives, 10th ed., Example 15.6: to the cent."""
    assert round(float(price_of(market(is_call=is_call))[0]), 2) == value


def test_price_of_hull_futures_put():
    """Hull, 10th ed., Example 18.6: put on crude futures at 20, four months, 9 %, 25 %: 1.12."""
    put = market(S=20.0, K=20.0, T=4 / 12, sigma=0.25, r=0.09, q=0.09, is_call=False)
    assert round(float(price_of(put)[0]), 2) == 1.12


@pytest.mark.parametrize(
    ("name", "value", "decimals", "unit"),
    [
        ("delta", 0.522, 3, 1.0),
        ("theta", -4.31, 2, 1 / 365),
        ("gamma", 0.066, 3, 1.0),
        ("vega", 12.1, 1, 0.01),
        ("rho", 8.91, 2, 0.01),
    ],
)
def test_greeks_of_hull_chapter_19(name, value, decimals, unit):
    """Hull, 10th ed., chapter 19: S = 49, K = 50, r = 5 %, vol 20 %, 20 weeks; printed digits."""
    call = market(S=49.0, K=50.0, T=0.3846, sigma=0.2, r=0.05)
    assert round(float(getattr(greeks_of(call), name)[0]) / unit, decimals) == value


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("years", [1 / 365, 0.25, 3.0])
@pytest.mark.parametrize("sigma", [0.08, 0.6])
@pytest.mark.parametrize("moneyness", [0.9, 1.0, 1.15])
def test_greeks_agree_with_quantlib(is_call, years, sigma, moneyness):
    case = market(S=100.0, K=100 * moneyness, T=years, sigma=sigma, r=0.04, q=0.015)
    case["is_call"] = np.array([float(is_call)])
    F, K, D = (float(case[name][0]) for name in ("F", "K", "D"))
    payoff = QuantLib.PlainVanillaPayoff(
        QuantLib.Option.Call if is_call else QuantLib.Option.Put, K
    )
    theirs = QuantLib.BlackCalculator(payoff, F, sigma * np.sqrt(years), D)
    found = greeks_of(case)
    expected = {
        "price": theirs.value(),
        "delta": theirs.delta(100.0),
        "gamma": theirs.gamma(100.0),
        "vega": theirs.vega(years) * 0.01,
        "theta": theirs.theta(100.0, years) / 365,
        "rho": theirs.rho(years) * 0.01,
    }
    for name, value in expected.items():
        # Absolute floor: wings here fall to 1e-130, where QuantLib's tail keeps no digits
        close = pytest.approx(value, rel=QUANTLIB_ERROR, abs=1e-12)
        assert float(getattr(found, name)[0]) == close, name


def test_parity_holds_for_the_price_and_every_greek(answers):
    call, put = (
        greeks_of(answers | {"is_call": np.full(answers["F"].size, side)}) for side in (1.0, 0.0)
    )
    F, K, S, D, T = (answers[name] for name in ("F", "K", "S", "D", "T"))
    growth, carry, rate = D * F / S, np.log1p((F - S) / S) / T, -np.log(D) / T
    turnover = (np.abs(carry) + np.abs(rate)) / DAYS  # where b = r the two cancel but for rounding
    expected = {
        "price": (D * (F - K), D * (F + K)),
        "delta": (growth, growth),
        "gamma": (0.0, call.gamma),
        "vega": (0.0, call.vega),
        "theta": (
            -((carry - rate) * S * growth + rate * K * D) / DAYS,
            np.abs(call.theta) + np.abs(put.theta) + turnover * D * F + np.abs(rate) * K * D,
        ),
        "rho": (K * T * D * 0.01, K * T * D * 0.01),
        "vanna": (0.0, np.abs(call.vanna)),
        "charm": (
            -(carry - rate) * growth / DAYS,
            np.abs(call.charm) + np.abs(put.charm) + growth * turnover,
        ),
        "volga": (0.0, np.abs(call.volga)),
        "speed": (0.0, np.abs(call.speed)),
        "zomma": (0.0, np.abs(call.zomma)),
        "color": (0.0, np.abs(call.color)),
    }
    assert set(expected) == {"price", *GREEKS}
    for name, (difference, scale) in expected.items():
        gap = np.abs(getattr(call, name) - getattr(put, name) - difference)
        assert np.all(gap <= 1e-12 * scale), name


def test_price_at_expiry_is_intrinsic():
    strikes = np.array([90.0, 100.0, 110.0])
    ones = np.ones(3)
    for years in (0.0, -0.1):
        given_time = {"T": years * ones, "sigma": 0.2 * ones, "D": 0.9 * ones}
        call = black_price(100 * ones, strikes, is_call=np.full(3, True), **given_time)
        put = black_price(100 * ones, strikes, is_call=np.full(3, False), **given_time)
        np.testing.assert_allclose(call, [9.0, 0.0, 0.0], atol=1e-12)
        np.testing.assert_allclose(put, [0.0, 0.0, 9.0], atol=1e-12)


def test_price_without_vol_is_the_discounted_intrinsic_of_the_forward():
    case = market(S=100.0, K=90.0, T=2.0, sigma=0.0, r=0.05)
    assert price_of(case)[0] == pytest.approx(100.0 - 90.0 * np.exp(-0.1), rel=1e-14)


def test_price_of_negative_vol_is_nan():
    assert np.isnan(price_of(market(sigma=-0.2))[0])
    assert np.isnan(price_of(market(sigma=-0.2, T=0.0))[0])


@pytest.mark.parametrize("name", ["F", "K", "T", "sigma", "D"])
def test_price_is_nan_for_nan_in_any_input(name):
    assert np.isnan(price_of(market() | {name: np.array([np.nan])})[0])


def test_price_at_zero_strike_and_zero_forward_is_the_limit():
    call, put = market(), market(is_call=False)
    zero = {"K": np.array([0.0])}, {"F": np.array([0.0])}
    assert price_of(call | zero[0])[0] == pytest.approx((call["D"] * call["F"])[0])
    assert price_of(put | zero[0])[0] == 0.0
    assert price_of(call | zero[1])[0] == 0.0
    assert price_of(put | zero[1])[0] == pytest.approx((put["D"] * put["K"])[0])


@pytest.mark.parametrize("name", ["F", "K"])
def test_price_of_negative_forward_or_strike_is_nan(name):
    assert np.isnan(price_of(market() | {name: np.array([-1.0])})[0])


@pytest.mark.parametrize("name", ["F", "K", "S", "T", "sigma", "D"])
@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0, np.inf, -np.inf, 1e-120, 1e120])
def test_every_greek_is_nan_without_a_warning_for_a_bad_input(name, value):
    found = greeks_of(market() | {name: np.array([value])})
    for greek in ("price", *GREEKS):
        assert np.isnan(getattr(found, greek)[0]), greek


def test_a_bad_contract_leaves_its_neighbours_alone():
    good = market()
    both = {name: np.repeat(value, 2) for name, value in good.items()}
    both["sigma"] = np.array([np.nan, good["sigma"][0]])
    for name in ("price", *GREEKS):
        values = getattr(greeks_of(both), name)
        assert np.isnan(values[0])
        assert values[1] == getattr(greeks_of(good), name)[0]


def test_no_contracts_give_empty_arrays():
    none = {name: np.empty(0) for name in market()}
    assert price_of(none).shape == (0,)
    assert greeks_of(none).charm.shape == (0,)


CONTRACTS = st.fixed_dictionaries(
    {
        "S": st.floats(0.01, 1e5),
        "K": st.floats(0.01, 1e5),
        "T": st.floats(2e-6, 10.0),
        "sigma": st.floats(1e-3, 5.0),
        "r": st.floats(-0.02, 0.12),
        "q": st.floats(-0.02, 0.12),
        "is_call": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(CONTRACTS)
def test_price_lies_between_intrinsic_and_its_bound(terms):
    case = market(**terms)
    F, K, D = (float(case[name][0]) for name in ("F", "K", "D"))
    value = float(price_of(case)[0])
    rounding = 8 * EPS * D * max(F, K)
    intrinsic = D * max(F - K, 0.0) if terms["is_call"] else D * max(K - F, 0.0)
    assert intrinsic - rounding <= value <= D * (F if terms["is_call"] else K) + rounding


@settings(max_examples=150, deadline=None)
@given(CONTRACTS, st.floats(1.0001, 3.0))
def test_price_rises_with_vol_and_falls_away_with_strike(terms, factor):
    case = market(**terms)
    rounding = 8 * EPS * float((case["D"] * (case["F"] + factor * case["K"]))[0])
    value = float(price_of(case)[0])
    more_vol = float(price_of(case | {"sigma": factor * case["sigma"]})[0])
    higher = float(price_of(case | {"K": factor * case["K"]})[0])
    assert more_vol >= value - rounding
    gain = value - higher if terms["is_call"] else higher - value
    assert gain >= -rounding


@settings(max_examples=150, deadline=None)
@given(CONTRACTS, st.integers(-6, 6))
def test_price_is_homogeneous_in_forward_and_strike(terms, power):
    factor = 2.0**power  # exact in floating point, so that equality is exact as well
    case = market(**terms)
    scaled = case | {name: factor * case[name] for name in ("S", "F", "K")}
    once, twice = greeks_of(case), greeks_of(scaled)
    exact = {"rtol": 0.0, "atol": 1e-300}  # but for denormal numbers, which have fewer digits
    np.testing.assert_allclose(twice.price, factor * once.price, **exact)
    np.testing.assert_allclose(twice.delta, once.delta, **exact)
    np.testing.assert_allclose(twice.gamma * factor, once.gamma, **exact)
    np.testing.assert_allclose(twice.charm, once.charm, **exact)
    np.testing.assert_allclose(twice.speed * factor * factor, once.speed, **exact)
    np.testing.assert_allclose(twice.color * factor, once.color, **exact)


@settings(max_examples=150, deadline=None)
@given(CONTRACTS)
def test_greeks_keep_their_signs_and_bounds(terms):
    case = market(**terms)
    found = greeks_of(case)
    growth = float((case["D"] * case["F"] / case["S"])[0])
    delta = float(found.delta[0]) * (1.0 if terms["is_call"] else -1.0)
    assert 0.0 <= delta <= growth * (1 + 4 * EPS)
    assert found.gamma[0] >= 0.0
    assert found.vega[0] >= 0.0
    assert found.rho[0] * (1.0 if terms["is_call"] else -1.0) >= 0.0


def test_fields_are_the_kernels_rows_in_order():
    assert tuple(field.name for field in fields(Greeks)) == ROWS


def test_kernel_shares_the_projects_units():
    assert (POINT, PER_DAY) == (VOL_POINT, 1.0 / DAYS_PER_YEAR)


@pytest.mark.parametrize("count", [1, 3, 4, 255, 256, 257, 1000])
def test_every_place_in_a_block_gives_the_same_numbers(answers, count):
    repeated = {name: np.resize(values[:7], count) for name, values in answers.items()}
    few = greeks_of({name: values[:7] for name, values in answers.items()})
    for name in ("price", *GREEKS):
        expected = np.resize(getattr(few, name), count)
        # A block's last contracts take the loop's scalar remainder, which may round otherwise
        np.testing.assert_allclose(getattr(greeks_of(repeated), name), expected, rtol=1e-13)


def test_any_kind_of_array_compiles_one_kernel_only():
    greeks_of(market())
    prices_before = price_of(market())[0]
    case = {name: np.repeat(values, 6) for name, values in market().items()}
    strided = {name: values[::2] for name, values in case.items()}
    frozen = {name: values.copy() for name, values in case.items()}
    for values in frozen.values():
        values.flags.writeable = False
    single = {name: values.astype(np.float32) for name, values in case.items()}
    for inputs in (strided, frozen, single):
        greeks_of(inputs)
        price_of(inputs)
    whole = black_greeks(42, 40, S=42, T=1, sigma=[0.2, 0.3], D=1, is_call=True)
    assert whole.color.shape == (2,)
    assert price_of(market())[0] == prices_before
    assert (len(all_greeks.signatures), len(prices.signatures)) == (1, 1)


@settings(max_examples=150, deadline=None)
@given(*[st.floats()] * 6, st.booleans())
def test_wild_input_gives_nan_everywhere_or_numbers_everywhere(F, K, S, T, sigma, D, is_call):
    numbers = {"F": F, "K": K, "S": S, "T": T, "sigma": sigma, "D": D, "is_call": is_call}
    case = {name: np.array([float(value)]) for name, value in numbers.items()}
    found = greeks_of(case)
    good = all(1e-100 < value < 1e100 for value in (F, K, S, T, sigma, D))
    for name in ("price", *GREEKS):
        assert np.isfinite(getattr(found, name)[0]) == good, name
    price = price_of(case)[0]
    allowed = min(F, K, sigma, D) >= 0.0 and np.isfinite([F, K, T, sigma, D]).all()
    assert allowed or np.isnan(price)


@settings(max_examples=150, deadline=None)
@given(st.floats(1e-90, 1e90), st.floats(1e-90, 1e90), st.floats(1e-90, 1e90), st.booleans())
def test_greeks_of_extreme_inputs_stay_within_their_bounds(K, years, sigma, is_call):
    case = {"F": 100.0, "S": 100.0, "D": 1.0, "K": K, "T": years, "sigma": sigma}
    found = greeks_of(
        {n: np.array([v]) for n, v in case.items()} | {"is_call": np.array([is_call])}
    )
    assert 0.0 <= found.price[0] <= max(100.0, K)
    assert 0.0 <= abs(found.delta[0]) <= 1.0
    assert found.gamma[0] >= 0.0
    assert found.vega[0] >= 0.0


ORDINARY = st.fixed_dictionaries(
    {
        "K": st.floats(60.0, 160.0),
        "T": st.floats(0.02, 3.0),
        "sigma": st.floats(0.08, 1.5),
        "r": st.floats(-0.02, 0.1),
        "q": st.floats(-0.02, 0.1),
        "is_call": st.booleans(),
    }
)
BUMPS = {"S": 100.0 * 2e-5, "sigma": 2e-5, "T": 2e-5}
SIZES = {
    "price": lambda root: 100.0,
    "delta": lambda root: 1.0,
    "gamma": lambda root: 0.01 / root,
    "vega": lambda root: 1.0,
    "vanna": lambda root: 0.01 / root,
    "theta": lambda root: 1.0 / root,
    "charm": lambda root: 1.0 / root,
}
"""What a Greek of a contract at 100 is of the order of, for rounding and the bump's error."""

DERIVATIVES = (
    ("delta", "price", "S", 1.0),
    ("gamma", "delta", "S", 1.0),
    ("speed", "gamma", "S", 1.0),
    ("vega", "price", "sigma", 0.01),
    ("vanna", "delta", "sigma", 0.01),
    ("vanna", "vega", "S", 1.0),
    ("volga", "vega", "sigma", 0.01),
    ("zomma", "gamma", "sigma", 0.01),
    ("zomma", "vanna", "S", 1.0),
    ("theta", "price", "T", -1 / 365),
    ("charm", "delta", "T", -1 / 365),
    ("charm", "theta", "S", 1.0),
    ("color", "gamma", "T", -1 / 365),
    ("color", "charm", "S", 1.0),
)


@settings(max_examples=100, deadline=None)
@given(ORDINARY)
def test_every_greek_is_the_derivative_of_the_one_below_it(terms):
    """Central differences of the kernel's own numbers, error of the order of the bump squared."""

    def bumped(name, bump):
        given_terms = {"S": 100.0, **terms}
        return greeks_of(market(**given_terms | {name: given_terms[name] + bump}))

    centre = greeks_of(market(S=100.0, **terms))
    sides = {name: (bumped(name, bump), bumped(name, -bump)) for name, bump in BUMPS.items()}
    root = terms["sigma"] * np.sqrt(terms["T"])
    for name, of, by, unit in DERIVATIVES:
        up, down = (getattr(side, of)[0] for side in sides[by])
        slope = (up - down) / (2.0 * BUMPS[by]) * unit
        bump = BUMPS[by] / {"S": 100.0 * root, "sigma": root, "T": min(terms["T"], 1.0)}[by]
        size = max(abs(getattr(centre, of)[0]), SIZES[of](root)) / BUMPS[by] * abs(unit)
        assert abs(slope - getattr(centre, name)[0]) <= 20.0 * size * (bump**3 + 1e-13), (name, of)

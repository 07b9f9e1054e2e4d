"""The gamma profile: exact at spot, equal to a brute-force reprice, and every zero found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from dealer_assets import tables
from dealer_assets.domain.conventions import PROFILE_HALF_WIDTH
from dealer_assets.domain.exposure.profile import gamma_profile
from dealer_assets.domain.exposure.snapshot import profile_of
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets_tests.domain.synthetic import book_of, position, priced

EXACT = 1e-12
"""Relative to gross gamma: the profile and the book are sums of the same terms in another order."""

ROOT = 1e-12
"""Relative to spot: bisection goes to the last digit, brentq to four roundings."""

SLOPE = 1e-5
"""Relative: what a central difference of the brute force can confirm."""

MINUTE = 1 / 525_600


def reprice(book, spot):
    """Net gamma exposure at another spot by a full reprice, vols sticky by strike."""
    ratio = spot / book.spot
    greeks = black_greeks(
        book.forward * ratio,
        book.strike,
        S=np.full(book.strike.size, spot),
        T=book.years,
        sigma=book.vol,
        D=book.discount,
        is_call=book.is_call,
    )
    return float((book.position * greeks.gamma * book.multiplier).sum() * spot**2 * 0.01)


def roots_between(book, spots):
    """Zeros of the brute force, one between each pair of neighbouring spots of opposite sign."""
    values = [reprice(book, spot) for spot in spots]
    return [
        brentq(lambda s: reprice(book, s), low, high, xtol=1e-13 * low, rtol=8.9e-16)
        for low, high, a, b in zip(spots[:-1], spots[1:], values[:-1], values[1:], strict=True)
        if a * b < 0
    ]


@pytest.fixture(scope="module")
def index_book():
    """Three expiries with skew, carry and a put-heavy wing: one flip below spot."""
    contracts = []
    for years, rate, carry in ((0.02, 0.05, 0.035), (0.15, 0.045, 0.03), (1.2, 0.04, 0.025)):
        for strike in range(70, 131, 2):
            vol = 0.18 - 0.3 * np.log(strike / 100) * (0.2 + years) ** -0.25
            terms = {
                "years": years,
                "vol": max(float(vol), 0.07),
                "forward": 100 * np.exp(carry * years),
                "discount": np.exp(-rate * years),
            }
            contracts.append(position(strike, "call", 50.0 + 8 * max(strike - 96, 0), **terms))
            contracts.append(position(strike, "put", 50.0 + 6 * max(104 - strike, 0), **terms))
    return book_of(contracts)


def test_profile_spans_the_declared_width_and_holds_spot(index_book):
    profile = gamma_profile(index_book)
    assert profile.levels[0] == pytest.approx(100 * (1 - PROFILE_HALF_WIDTH), rel=EXACT)
    assert profile.levels[-1] == pytest.approx(100 * (1 + PROFILE_HALF_WIDTH), rel=EXACT)
    assert np.abs(profile.levels - 100.0).min() < 100 * EXACT
    assert np.all(np.diff(profile.levels) > 0)
    assert profile.levels.size >= 121


def test_profile_at_spot_is_the_net_gamma_of_the_book(index_book):
    profile = gamma_profile(index_book)
    at_spot = profile.gamma_usd_per_pct[np.argmin(np.abs(profile.levels - 100.0))]
    gross = np.abs(index_book.gamma_usd_per_pct).sum()
    assert abs(at_spot - index_book.gamma_usd_per_pct.sum()) <= EXACT * gross
    assert gross > 0.0


@pytest.mark.parametrize("share", [0.86, 0.93, 0.99, 1.04, 1.15])
def test_profile_elsewhere_is_a_full_reprice(index_book, share):
    profile = gamma_profile(index_book)
    nearest = int(np.argmin(np.abs(profile.levels - 100.0 * share)))
    expected = reprice(index_book, profile.levels[nearest])
    gross = np.abs(index_book.gamma_usd_per_pct).sum()
    assert abs(profile.gamma_usd_per_pct[nearest] - expected) <= EXACT * gross


def test_crossings_and_slopes_are_those_of_the_brute_force(index_book):
    profile = gamma_profile(index_book)
    expected = roots_between(index_book, np.linspace(85.0, 115.0, 601))
    assert len(expected) == 1
    np.testing.assert_allclose(profile.crossings, expected, rtol=ROOT)
    (root,) = expected
    step = 1e-4 * root
    slope = (reprice(index_book, root + step) - reprice(index_book, root - step)) / (2 * step)
    assert profile.slopes[0] == pytest.approx(slope * root * 0.01, rel=SLOPE)


def test_every_one_of_three_crossings_is_found_with_its_slope():
    terms = {"years": 5 / 365, "vol": 0.15}
    book = book_of(
        [
            position(89, "call", 100, **terms),
            position(96, "put", 100, **terms),
            position(104, "call", 100, **terms),
            position(111, "put", 100, **terms),
        ]
    )
    profile = gamma_profile(book)
    expected = roots_between(book, [89.0, 96.0, 104.0, 111.0])
    assert len(expected) == 3
    np.testing.assert_allclose(profile.crossings, expected, rtol=ROOT)
    assert [np.sign(slope) for slope in profile.slopes] == [-1.0, 1.0, -1.0]


@pytest.mark.parametrize("minutes", [1, 5, 30])
def test_crossings_closer_than_the_grid_step_are_found_minutes_before_expiry(minutes):
    terms = {"years": minutes * MINUTE, "vol": 0.10, "days": 0}
    spacing = 5000 * 0.10 * np.sqrt(minutes * MINUTE) * 2.5  # strikes two and a half sd apart
    strikes = 5000 + spacing * np.arange(-4, 5)
    book = book_of(
        [
            position(strike, "call" if number % 2 else "put", 100, **terms)
            for number, strike in enumerate(strikes)
        ],
        spot=5000.0,
    )
    profile = gamma_profile(book)
    expected = roots_between(book, strikes)
    assert len(expected) == 8
    if minutes == 1:
        assert np.diff(expected).max() < np.diff(profile.levels).min()
    np.testing.assert_allclose(profile.crossings, expected, rtol=ROOT)


def test_narrow_expiry_inside_a_wide_book_adds_its_two_crossings():
    wide = [position(5000, "call", 100, years=0.25, vol=0.15)]
    narrow = [position(5051.3, "put", 60, years=MINUTE, vol=0.10, days=0)]
    book = book_of(wide + narrow, spot=5000.0)
    expected = roots_between(book, [5040.0, 5051.3, 5060.0])
    assert len(expected) == 2
    profile = gamma_profile(book)
    assert np.diff(expected)[0] < np.diff(profile.levels).min()
    np.testing.assert_allclose(profile.crossings, expected, rtol=ROOT)


def test_crossing_exactly_on_a_grid_point_is_found_once():
    # At spot itself, which the grid holds: open interest makes the two gammas there equal
    call, put = position(104, "call", 100), position(97, "put", 100)
    put_gamma, call_gamma = book_of([call, put]).gamma_usd_per_pct
    ratio = -float(call_gamma / put_gamma)
    book = book_of([call, put | {"open_interest": 100 * ratio}])
    profile = gamma_profile(book)
    near_spot = profile.crossings[np.abs(profile.crossings - 100.0) < 0.01]
    np.testing.assert_allclose(near_spot, [100.0], rtol=1e-6)


def test_book_of_one_sign_has_no_crossing():
    profile = gamma_profile(book_of([position(k, "call", 10) for k in (90, 100, 110)]))
    assert profile.crossings.size == 0
    assert profile.slopes.size == 0
    assert np.all(profile.gamma_usd_per_pct > 0.0)


def test_book_that_is_zero_everywhere_has_no_crossing():
    profile = gamma_profile(book_of([position(100, "call", 10), position(100, "put", 10)]))
    assert profile.crossings.size == 0
    np.testing.assert_array_equal(profile.gamma_usd_per_pct, 0.0)


def test_profile_rows_are_the_profile():
    contracts = priced([position(95, "put", 10), position(105, "call", 10)])
    rows = profile_of(contracts, model="naive")
    profile = gamma_profile(book_of([position(95, "put", 10), position(105, "call", 10)]))
    assert rows.schema == tables.GAMMA_PROFILE.schema
    np.testing.assert_array_equal(rows["spot_level"].to_numpy(), profile.levels)
    np.testing.assert_array_equal(
        rows["gamma_exposure_usd_per_pct"].to_numpy(), profile.gamma_usd_per_pct
    )
    assert set(rows["spot"].to_pylist()) == {100.0}


@pytest.mark.parametrize("contracts", [[], [position(100, "call", None)]])
def test_profile_of_nothing_that_counts_is_empty_and_typed(contracts):
    rows = profile_of(priced(contracts), model="naive")
    assert rows.num_rows == 0
    assert rows.schema == tables.GAMMA_PROFILE.schema


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_sign_change_of_the_reprice_goes_without_a_crossing(seed):
    rng = np.random.default_rng(seed)
    book = book_of(
        [
            position(
                float(strike),
                str(right),
                float(rng.integers(1, 1000)),
                years=float(years),
                vol=float(rng.uniform(0.05, 0.6)),
            )
            for strike, right, years in zip(
                rng.uniform(85, 115, 24),
                rng.choice(["call", "put"], 24),
                rng.choice([MINUTE * 20, 1 / 365, 0.1, 1.0], 24),
                strict=True,
            )
        ]
    )
    profile = gamma_profile(book)
    gross = np.abs(book.gamma_usd_per_pct).sum()
    bounds = np.concatenate([[85.0], profile.crossings, [115.0]])
    probes = bounds[:-1] + np.outer([0.02, 0.25, 0.5, 0.75, 0.98], np.diff(bounds))
    signs = np.array([[reprice(book, spot) for spot in row] for row in probes])
    signs = np.where(np.abs(signs) <= EXACT * gross, 0.0, np.sign(signs))
    assert np.all(signs.max(axis=0) - signs.min(axis=0) <= 1.0)  # one sign between two crossings
    for root, slope in zip(profile.crossings, profile.slopes, strict=True):
        rounding = EXACT * gross + abs(slope) * 1e-9
        assert abs(reprice(book, root)) <= rounding

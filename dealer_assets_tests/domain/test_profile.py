"""The gamma profile: exact at spot, equal to a brute-force reprice, and every zero found."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq

from dealer_assets import tables
from dealer_assets.domain.conventions import PROFILE_HALF_WIDTH, PROFILE_LEVELS
from dealer_assets.domain.exposure.profile import gamma_profile, sticky_moneyness_profile
from dealer_assets.domain.exposure.repricing import Smile, smile_of
from dealer_assets.domain.exposure.snapshot import profile_of
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.surface import smiles
from dealer_assets_tests.domain.synthetic import book_of, position, priced

EXACT = 1e-12
"""Relative to gross gamma: the profile and the book are sums of the same terms in another order."""

ROOT = 1e-12
"""Relative to spot: bisection goes to the last digit, brentq to four roundings."""

TABLE = 1e-5
"""Relative to gross gamma: what cubics between tabulated vols leave of a sharp smile."""

TABLE_ROOT = 1e-6
"""Relative to spot: what that makes of a zero."""

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


def svi(parameters, k):
    """Total variance of raw SVI."""
    a, b, rho, m, sigma = parameters
    return a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


def reprice_moving(book, smile, spot):
    """Net gamma at another spot, each vol following its smile and keeping its distance to it."""
    ratio = spot / book.spot
    k = np.log(book.strike / book.forward)
    parameters = smile.parameters[smile.slice_id].T
    before = np.sqrt(svi(parameters, k) / book.years)
    after = np.sqrt(svi(parameters, k - np.log(ratio)) / book.years)
    moved = np.maximum(book.vol + after - before, 0.1 * book.vol)
    greeks = black_greeks(
        book.forward * ratio,
        book.strike,
        S=np.full(book.strike.size, spot),
        T=book.years,
        sigma=np.where(np.isnan(before), book.vol, moved),
        D=book.discount,
        is_call=book.is_call,
    )
    return float((book.position * greeks.gamma * book.multiplier).sum() * spot**2 * 0.01)


def roots_between(book, spots, function=reprice):
    """Zeros of the brute force, one between each pair of neighbouring spots of opposite sign."""
    values = [function(book, spot) for spot in spots]
    return [
        brentq(lambda s: function(book, s), low, high, xtol=1e-13 * low, rtol=8.9e-16)
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
    ratio = profile.levels[1:] / profile.levels[:-1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=EXACT)
    assert profile.levels[-2] < 100 * (1 + PROFILE_HALF_WIDTH) <= profile.levels[-1]
    assert np.abs(profile.levels - 100.0).min() < 100 * EXACT
    assert profile.levels.size == PROFILE_LEVELS


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


SKEWED = ((0.02, (0.0004, 0.012, -0.6, 0.005, 0.03)), (0.15, (0.002, 0.03, -0.5, 0.01, 0.08)))


@pytest.fixture(scope="module")
def skewed_book():
    """Two expiries whose vols lie about an SVI smile, and a third without a fit; with its smile."""
    rng = np.random.default_rng(7)
    contracts, order = [], []
    for number, (years, parameters) in enumerate(SKEWED):
        for strike in range(80, 121):
            vol = np.sqrt(svi(parameters, np.log(strike / 100)) / years)
            vol = float(vol + 0.002 * rng.normal())
            terms = {"years": years, "vol": vol}
            contracts.append(position(strike, "call", 50.0 + 8 * max(strike - 96, 0), **terms))
            contracts.append(position(strike, "put", 50.0 + 9 * max(104 - strike, 0), **terms))
            order += [number, number]
    for strike in (95, 105):
        contracts.append(position(strike, "call", 300.0, years=1.0, vol=0.2))
    book = book_of(contracts)
    slices = np.searchsorted([0.02, 0.15, 1.0], np.round(book.years, 6))
    parameters = np.array([*(p for _, p in SKEWED), (np.nan,) * 5])
    return book, smile_of(parameters, slices)


def test_sticky_moneyness_equals_sticky_strike_at_spot(skewed_book):
    book, smile = skewed_book
    moving, fixed = sticky_moneyness_profile(book, smile), gamma_profile(book)
    at = int(np.argmin(np.abs(moving.levels - 100.0)))
    gross = np.abs(book.gamma_usd_per_pct).sum()
    assert abs(moving.gamma_usd_per_pct[at] - fixed.gamma_usd_per_pct[at]) <= EXACT * gross
    assert abs(moving.gamma_usd_per_pct - fixed.gamma_usd_per_pct).max() > 0.01 * gross
    assert (moving.sticky, moving.unfitted_contracts) == ("moneyness", 2)


def test_sticky_moneyness_is_a_full_reprice_with_moved_vols(skewed_book):
    book, smile = skewed_book
    profile = sticky_moneyness_profile(book, smile)
    gross = np.abs(book.gamma_usd_per_pct).sum()
    expected = [reprice_moving(book, smile, spot) for spot in profile.levels[::24]]
    np.testing.assert_allclose(profile.gamma_usd_per_pct[::24], expected, atol=TABLE * gross)


def test_sticky_moneyness_crossings_and_slopes_are_those_of_the_brute_force(skewed_book):
    book, smile = skewed_book

    def moving(book, spot):
        return reprice_moving(book, smile, spot)

    profile = sticky_moneyness_profile(book, smile)
    expected = roots_between(book, np.linspace(85.0, 115.0, 401), moving)
    assert len(expected) >= 1
    np.testing.assert_allclose(profile.crossings, expected, rtol=TABLE_ROOT)
    for root, slope in zip(expected, profile.slopes, strict=True):
        step = 1e-4 * root
        change = (moving(book, root + step) - moving(book, root - step)) / (2 * step)
        assert slope == pytest.approx(change * root * 0.01, rel=1e-4)


@pytest.mark.parametrize(
    ("parameters", "is_fitted"),
    [
        ((0.01, 0.0, 0.0, 0.0, 1.0), True),  # flat: the smile moves nothing
        ((np.nan,) * 5, False),
        ((-0.1, 0.1, 0.0, 0.0, 0.1), False),  # negative variance at the money: not a smile
    ],
)
def test_a_smile_that_cannot_be_used_leaves_the_vols_where_they_are(
    index_book, parameters, is_fitted
):
    n = index_book.strike.size
    smile = Smile(np.array([parameters]), np.zeros(n, np.int64))
    profile = sticky_moneyness_profile(index_book, smile)
    fixed = gamma_profile(index_book)
    np.testing.assert_allclose(profile.crossings, fixed.crossings, rtol=ROOT)
    strikes = n // 2  # a call and a put of one strike are one
    assert profile.unfitted_contracts == (0 if is_fitted else strikes)


def test_contracts_of_no_slice_keep_their_vols(index_book):
    n = index_book.strike.size
    smile = Smile(np.array([[0.01, 0.1, -0.5, 0.0, 0.1]]), np.full(n, -1))
    profile = sticky_moneyness_profile(index_book, smile)
    np.testing.assert_allclose(profile.crossings, gamma_profile(index_book).crossings, rtol=ROOT)
    assert profile.unfitted_contracts == n // 2


def test_a_vol_that_would_fall_through_zero_is_held_and_counted():
    book = book_of([position(100, "call", 10, years=0.1, vol=0.05)])
    smile = Smile(np.array([[0.0005, 0.4, -0.9, 0.0, 0.01]]), np.zeros(1, np.int64))
    profile = sticky_moneyness_profile(book, smile)
    assert profile.floored_contracts == 1
    expected = [reprice_moving(book, smile, spot) for spot in profile.levels[::40]]
    np.testing.assert_allclose(profile.gamma_usd_per_pct[::40], expected, rtol=1e-4, atol=1e-6)


def test_moving_vols_follow_a_smile_with_its_correction():
    """The spline of `surface/smiles.py` on top of raw SVI is part of the smile."""
    row = np.zeros((1, smiles.COLUMNS))
    row[0, : smiles.RAW] = (0.001, 0.02, -0.5, 0.0, 0.06)
    row[0, 5:8] = (0.05, -3.0, 3.0)
    row[0, smiles.FIRST_KNOT :] = 3e-4 * np.sin(np.arange(smiles.KNOTS))
    contracts = [position(k, "call", 10, years=0.1, vol=0.2) for k in range(80, 121, 5)]
    book = book_of(contracts)
    smile = Smile(row, np.zeros(book.strike.size, np.int64))
    profile = sticky_moneyness_profile(book, smile)
    k = np.log(book.strike / book.forward)
    for at in (40, 120, 200):
        u = np.log(profile.levels[at] / book.spot)
        total = [np.sqrt(smile.variance(x)) for x in (k, k - u)]
        s = book.vol * np.sqrt(book.years) + total[1] - total[0]
        d = 0.5 * s - (k - u) / s
        weight = book.position * book.multiplier * book.spot * 0.01
        expected = np.exp(u) * (weight / s * np.exp(-0.5 * d * d)).sum() / np.sqrt(2 * np.pi)
        assert profile.gamma_usd_per_pct[at] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_alternating_book_has_one_crossing_between_each_pair_of_strikes(count):
    strikes = 100 * np.exp(np.linspace(-0.12, 0.12, count + 1))
    book = book_of(
        [
            position(
                strike, "call" if i % 2 else "put", 100 * 100 / strike, years=1 / 730, vol=0.12
            )
            for i, strike in enumerate(strikes)
        ]
    )
    profile = gamma_profile(book)
    np.testing.assert_allclose(profile.crossings, roots_between(book, strikes), rtol=ROOT)
    assert profile.crossings.size == count


@pytest.mark.parametrize(
    ("levels", "step"), [(1, 0.01), (61, 0.002), (241, 0.00126), (500, 0.0006)]
)
def test_recurrence_over_a_uniform_grid_is_the_direct_sum(levels, step):
    from dealer_assets.domain.kernels import profile as kernels

    rng = np.random.default_rng(levels)
    total = rng.uniform(2.5, 400.0, 1500) * step
    b = 1.0 / total
    a = -rng.normal(0.0, 0.3, total.size) * b
    w = rng.normal(0.0, 1.0, total.size) * b
    u = -0.4 * levels * step + step * np.arange(levels)
    recurrence, direct = np.empty(levels), np.empty(levels)
    kernels.density_on_grid(float(u[0]), step, a, b, w, recurrence)
    kernels.density_at(u, a, b, w, direct)
    truth = np.exp(-0.5 * (a + np.outer(u, b)) ** 2)
    peak = (truth @ np.abs(w)).max()
    np.testing.assert_allclose(recurrence, truth @ w, rtol=0, atol=1e-12 * peak)
    np.testing.assert_allclose(direct, truth @ w, rtol=0, atol=1e-13 * peak)


def test_kernels_hold_up_with_no_contract_and_with_extreme_ones():
    from dealer_assets.domain.kernels import profile as kernels

    none = np.empty(0)
    out = np.full(5, np.nan)
    kernels.density_on_grid(-0.1, 0.05, none, none, none, out)
    np.testing.assert_array_equal(out, 0.0)
    b = np.array([1e-6, 1.0, 1e6])
    a, w = np.array([500.0, -1e5, 0.0]), np.ones(3)
    kernels.density_at(np.linspace(-0.1, 0.1, 5), a, b, w, out)
    np.testing.assert_allclose(out, [0, 0, 1.0, 0, 0], atol=1e-15)

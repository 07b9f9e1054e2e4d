"""Forwards from parity: planted truth comes back, every fallback rung is reached and named."""

import gzip
from dataclasses import fields
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.forward import (
    CARRY_ERROR,
    CURVE_RATE_ERROR,
    MAX_PAIRS,
    RATE_BAND,
    Pairs,
    Slices,
    fit_slices,
    venue_slices,
)
from dealer_assets.domain.rates import curve_as_of, curve_from_par
from dealer_assets.providers.files import read_chain_file
from dealer_assets.providers.treasury import parse_par_yields

EXACT = 1e-10
"""Quotes without noise determine forward and discount to rounding."""

SPOT = 6000.0
RATE, CARRY = 0.045, 0.03
HALF_SPREAD = 1.0


def discount_at(years, rate=RATE):
    return np.exp(-rate * np.asarray(years))


def forward_at(years, carry=CARRY):
    return SPOT * np.exp(carry * np.asarray(years))


def pairs_of(years, *, counts=41, rate=RATE, noise=None, step=25.0):
    """Pairs of every slice on a grid of strikes around the forward, with `noise` in USD added."""
    counts = np.broadcast_to(counts, (len(years),))
    parts = []
    for number, (t, count) in enumerate(zip(years, counts, strict=True)):
        strike = SPOT + step * (np.arange(count) - count // 2)
        difference = discount_at(t, rate) * (forward_at(t) - strike)
        parts.append((np.full(count, number), strike, difference))
    slice_id, strike, difference = (np.concatenate(column) for column in zip(*parts, strict=True))
    if noise is not None:
        difference = difference + noise[: difference.size]
    return Pairs(slice_id.astype(np.int64), strike, difference, np.full(strike.size, HALF_SPREAD))


def fit(pairs, years, spot=SPOT, curve=None):
    return fit_slices(pairs, np.asarray(years, np.float64), spot=spot, curve=curve)


def curve_at(rate):
    """A curve whose continuously compounded rate is `rate` at half a year and beyond."""
    tenors = np.array([0.5, 1.0, 30.0])
    return curve_from_par(date(2023, 9, 13), tenors, np.full(3, 2.0 * np.expm1(0.5 * rate)))


NO_PAIRS = Pairs(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


def test_exact_quotes_give_forward_and_discount_back():
    years = [0.02, 0.3, 0.5, 1.0, 3.0]
    slices = fit(pairs_of(years), years)
    np.testing.assert_allclose(slices.forward, forward_at(years), rtol=EXACT)
    np.testing.assert_allclose(slices.discount, discount_at(years), rtol=EXACT)
    assert slices.method.tolist() == ["parity"] * 5
    assert slices.pairs.tolist() == [MAX_PAIRS] * 5
    assert slices.residual.max() < 1e-6


def test_noise_within_the_spread_moves_the_forward_by_a_fraction_of_it():
    years = [0.1, 0.5, 1.0]
    noise = np.random.default_rng(1).uniform(-HALF_SPREAD, HALF_SPREAD, 200)
    slices = fit(pairs_of(years, noise=noise), years)
    assert np.abs(slices.forward - forward_at(years)).max() < 0.5 * HALF_SPREAD
    assert np.abs(-np.log(slices.discount) / years - RATE).max() < 0.01
    assert np.all((slices.residual > 0.2) & (slices.residual < 1.0))  # uniform noise: 0.5


def test_outliers_hardly_move_the_forward():
    years = [0.5, 1.0]
    noise = np.zeros(82)
    noise[3::6] = 40 * HALF_SPREAD  # every sixth pair, all to one side
    slices = fit(pairs_of(years, noise=noise), years)
    assert np.abs(slices.forward - forward_at(years)).max() < 0.25 * HALF_SPREAD


def test_residual_is_in_half_spreads():
    noise = np.tile([2.0, -2.0], 21) * HALF_SPREAD
    slices = fit(pairs_of([0.02], counts=30, noise=noise), [0.02])
    assert slices.residual[0] == pytest.approx(2.0, rel=0.1)


def test_short_slice_takes_the_rate_pooled_over_the_long_ones():
    years = [3 / 365, 0.5, 1.0]
    noise = np.zeros(123)
    noise[:41] = np.random.default_rng(2).uniform(-HALF_SPREAD, HALF_SPREAD, 41)
    slices = fit(pairs_of(years, noise=noise), years)
    assert slices.discount[0] == pytest.approx(discount_at(years[0]), rel=EXACT)
    assert abs(slices.forward[0] - forward_at(years[0])) < 0.5 * HALF_SPREAD


def test_rate_beyond_belief_is_replaced_by_the_pooled_one():
    years = [0.5, 1.0, 1.5]
    believable, beyond = pairs_of(years), pairs_of(years, rate=0.30)
    difference = np.where(believable.slice_id == 2, beyond.difference, believable.difference)
    mixed = Pairs(believable.slice_id, believable.strike, difference, believable.half_spread)
    assert fit(mixed, years).discount[2] == pytest.approx(discount_at(1.5), rel=EXACT)


def test_chain_of_short_slices_is_discounted_at_zero():
    slices = fit(pairs_of([0.01, 0.1]), [0.01, 0.1])
    assert slices.discount.tolist() == [1.0, 1.0]
    assert np.abs(slices.forward - forward_at([0.01, 0.1])).max() < 1.0  # strikes straddle it


@pytest.mark.parametrize(("count", "method"), [(1, "curve"), (2, "curve"), (3, "parity")])
def test_method_says_how_many_pairs_there_were(count, method):
    years = [0.4, 1.0]
    slices = fit(pairs_of(years, counts=[count, 41]), years)
    assert slices.method.tolist() == [method, "parity"]
    assert slices.pairs[0] == count
    np.testing.assert_allclose(slices.forward, forward_at(years), rtol=EXACT)
    np.testing.assert_allclose(slices.discount, discount_at(years), rtol=EXACT)


def test_slice_without_a_pair_takes_the_carry_between_its_neighbours():
    years = [0.25, 0.7, 1.0]
    slices = fit(pairs_of(years, counts=[41, 0, 41]), years)
    assert slices.method.tolist() == ["parity", "carry", "parity"]
    np.testing.assert_allclose(slices.forward, forward_at(years), rtol=EXACT)
    assert slices.pairs[1] == 0
    assert np.isnan(slices.residual[1])


def test_slice_before_the_first_pair_takes_the_carry_from_spot():
    years = [0.1, 0.5]
    slices = fit(pairs_of(years, counts=[0, 41]), years)
    assert slices.method.tolist() == ["carry", "parity"]
    np.testing.assert_allclose(slices.forward, forward_at(years), rtol=EXACT)


def test_slice_beyond_the_last_pair_continues_the_carry():
    """METHODS 2: the carry of neighbouring expiries, not a forward that stops growing."""
    years = [0.5, 1.0, 2.0]
    slices = fit(pairs_of(years, counts=[41, 41, 0]), years)
    assert slices.method[2] == "carry"
    assert slices.forward[2] == pytest.approx(forward_at(2.0), rel=1e-3)


def test_chain_without_pairs_stands_at_spot():
    none = Pairs(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    slices = fit(none, [0.1, 1.0])
    assert slices.method.tolist() == ["carry", "carry"]
    np.testing.assert_allclose(slices.forward, SPOT, rtol=EXACT)


def test_chain_without_pairs_or_spot_has_no_forward():
    none = Pairs(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    slices = fit(none, [0.1, 1.0], spot=np.nan)
    assert slices.method.tolist() == ["none", "none"]
    assert np.isnan(slices.forward).all()
    assert np.isnan(slices.discount).all()


def test_forward_without_a_spot_rests_on_the_pairs_alone():
    years = [0.5, 1.0]
    slices = fit(pairs_of(years), years, spot=np.nan)
    np.testing.assert_allclose(slices.forward, forward_at(years), rtol=EXACT)


def test_venue_forwards_are_taken_undiscounted_and_their_absence_is_named():
    slices = venue_slices(np.array([63_000.0, np.nan]))
    assert slices.method.tolist() == ["venue", "none"]
    assert slices.forward[0] == 63_000.0
    assert slices.discount[0] == 1.0
    assert np.isnan(slices.forward[1])
    assert np.isnan(slices.discount[1])
    assert slices.pairs.tolist() == [0, 0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_forward_stays_within_the_spread_whatever_the_noise(seed):
    noise = np.random.default_rng(seed).uniform(-HALF_SPREAD, HALF_SPREAD, 100)
    years = [0.05, 0.6]
    slices = fit(pairs_of(years, noise=noise), years)
    assert np.abs(slices.forward - forward_at(years)).max() < HALF_SPREAD
    assert slices.residual.max() <= 2.0


def test_rate_and_its_source_are_named_without_a_curve():
    years = [0.1, 0.5, 1.0]
    slices = fit(pairs_of(years), years)
    assert slices.rate_source.tolist() == ["pooled", "fitted", "fitted"]
    np.testing.assert_allclose(slices.rate, RATE, rtol=1e-9)
    assert fit(pairs_of([0.1]), [0.1]).rate_source.tolist() == ["zero"]
    assert fit(NO_PAIRS, [0.1], spot=np.nan).rate_source.tolist() == ["none"]


def test_short_slice_takes_the_rate_of_the_curve():
    years = [0.1, 0.5, 1.0]
    slices = fit(pairs_of(years), years, curve=curve_at(0.042))
    assert slices.rate_source.tolist() == ["curve", "fitted", "fitted"]
    np.testing.assert_allclose(slices.rate, [0.042, RATE, RATE], rtol=1e-9)
    assert slices.discount[0] == pytest.approx(np.exp(-0.042 * 0.1), rel=1e-12)
    assert slices.rate_error[0] == CURVE_RATE_ERROR
    assert slices.method.tolist() == ["parity"] * 3


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_fitted_rate_must_lie_within_a_band_of_the_curve(side):
    years = [0.5, 1.0]
    near = fit(pairs_of(years), years, curve=curve_at(RATE + side * 0.99 * RATE_BAND))
    far = fit(pairs_of(years), years, curve=curve_at(RATE + side * 1.01 * RATE_BAND))
    assert near.rate_source.tolist() == ["fitted", "fitted"]
    assert far.rate_source.tolist() == ["curve", "curve"]
    np.testing.assert_allclose(far.rate, RATE + side * 1.01 * RATE_BAND, rtol=1e-9)


def test_slope_too_uncertain_to_tell_gives_way_to_the_curve():
    noise = np.random.default_rng(5).uniform(-1.0, 1.0, 41) * 20.0
    pairs = pairs_of([0.3], noise=noise)
    slices = fit(pairs, [0.3], curve=curve_at(0.042))
    assert slices.rate_source.tolist() == ["curve"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_slice_with_few_pairs_is_discounted_by_the_curve(count):
    years = [0.4, 1.0]
    slices = fit(pairs_of(years, counts=[count, 41]), years, curve=curve_at(0.042))
    assert slices.method[0] == ("curve" if count else "carry")
    assert slices.rate_source[0] == "curve"
    assert slices.quality.tolist() == ["thin" if count else "no_pairs", "ok"]


def test_of_two_pairs_the_one_nearest_the_money_counts():
    strike = np.array([5950.0, 6010.0])
    difference = discount_at(0.4, 0.0) * (np.array([6050.0, 6020.0]) - strike)
    pairs = Pairs(np.zeros(2, np.int64), strike, difference, np.array([1.0, 3.0]))
    slices = fit(pairs, [0.4])
    assert slices.forward[0] == pytest.approx(6020.0)
    assert slices.forward_error[0] >= 3.0


def test_carry_and_dividends_follow_from_forward_and_spot():
    years = np.array([0.5, 1.0])
    slices = fit(pairs_of(years), years)
    np.testing.assert_allclose(slices.carry, CARRY, rtol=1e-9)
    expected = SPOT * (1.0 - np.exp((CARRY - RATE) * years))
    np.testing.assert_allclose(slices.dividend_value, expected, rtol=1e-8)
    blind = fit(pairs_of(years), years, spot=np.nan)
    assert np.isnan(blind.carry).all()
    assert np.isnan(blind.dividend_value).all()


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_forward_error_covers_independent_noise(level):
    """Errors of real quotes hang together, so the stated error is larger than this noise needs."""
    years, misses, stated = [0.05, 0.6], [], []
    for seed in range(200):
        noise = np.random.default_rng(seed).uniform(-level, level, 82) * HALF_SPREAD
        slices = fit(pairs_of(years, noise=noise), years, curve=curve_at(RATE))
        misses.append(slices.forward - forward_at(years))
        stated.append(slices.forward_error)
    ratio = np.std(misses, axis=0) / np.mean(stated, axis=0)
    assert np.all((ratio > 0.15) & (ratio < 0.6))


def test_error_of_an_interpolated_forward_grows_with_the_gap():
    years = [0.25, 0.7, 1.0, 2.0]
    slices = fit(pairs_of(years, counts=[41, 0, 41, 0]), years)
    assert slices.forward_error[1] > CARRY_ERROR * 0.3 * forward_at(0.7)
    assert slices.forward_error[3] > CARRY_ERROR * 1.0 * forward_at(2.0)
    assert slices.forward_error[[0, 2]].max() < 1.0


def test_calls_and_puts_that_contradict_each_other_are_flagged():
    """Calls frozen before a move, puts quoted after it, strike by strike."""
    noise = np.tile([3.0, -3.0], 41) * HALF_SPREAD
    slices = fit(pairs_of([0.1, 0.2], noise=noise), [0.1, 0.2])
    assert slices.quality.tolist() == ["parity_broken"] * 2


def test_pairs_that_are_no_numbers_are_left_out():
    clean = pairs_of([0.5, 1.0])
    junk = [
        (0, np.nan, 1, 1),
        (0, 6000, np.inf, 1),
        (1, 6000, 1, 0),
        (1, -5, 1, 1),
        (7, 6000, 1, 1),
    ]
    columns = np.array(junk, np.float64).T
    dirty = Pairs(
        np.append(clean.slice_id, columns[0].astype(np.int64)),
        *(
            np.append(getattr(clean, name), column)
            for name, column in zip(
                ("strike", "difference", "half_spread"), columns[1:], strict=True
            )
        ),
    )
    for field in fields(Slices):
        want = getattr(fit(clean, [0.5, 1.0]), field.name)
        np.testing.assert_array_equal(getattr(fit(dirty, [0.5, 1.0]), field.name), want)


def test_order_of_pairs_does_not_matter():
    years = [0.05, 0.5, 1.0]
    pairs = pairs_of(years, noise=np.random.default_rng(3).normal(size=123))
    order = np.random.default_rng(4).permutation(pairs.strike.size)
    mixed = Pairs(*(getattr(pairs, field.name)[order] for field in fields(Pairs)))
    np.testing.assert_allclose(fit(mixed, years).forward, fit(pairs, years).forward, rtol=1e-13)
    np.testing.assert_allclose(fit(mixed, years).rate, fit(pairs, years).rate, rtol=1e-9)


def test_slice_without_time_left_has_no_forward():
    slices = fit(pairs_of([0.0001, 0.5, 1.0]), [0.0, 0.5, np.nan], curve=curve_at(RATE))
    assert slices.method.tolist() == ["none", "parity", "none"]
    assert slices.quality.tolist() == ["none", "ok", "none"]
    assert np.isnan(slices.forward[[0, 2]]).all()
    assert np.isnan(slices.discount[[0, 2]]).all()


def test_pair_of_a_negative_forward_falls_to_carry():
    pairs = Pairs(np.zeros(1, np.int64), np.array([100.0]), np.array([-500.0]), np.ones(1))
    slices = fit(pairs, [0.5])
    assert slices.method.tolist() == ["carry"]
    assert slices.forward[0] == pytest.approx(SPOT)
    assert slices.pairs.tolist() == [0]


def test_venue_forward_has_carry_when_spot_and_time_are_known():
    slices = venue_slices(np.array([63_000.0, -1.0]), years=np.array([0.5, 0.5]), spot=62_000.0)
    assert slices.rate_source.tolist() == ["venue", "none"]
    assert slices.rate[0] == 0.0
    assert slices.carry[0] == pytest.approx(2.0 * np.log(63 / 62))
    assert slices.dividend_value[0] == pytest.approx(-1_000.0)
    assert slices.quality.tolist() == ["venue", "none"]
    assert np.isnan(slices.forward_error).all()


class Recorded:
    """Pairs of a recorded SPX chain, from its rows, with the curve known at its instant."""

    def __init__(self, path, curves):
        (snapshot,) = read_chain_file(path)
        frame = snapshot.rows.to_pandas()
        frame = frame[frame.expires_at > frame.event_at]
        instant = frame.event_at.iloc[0]
        spot = frame.spot.iloc[0]
        label = ["root", "expiry_date", "expires_at"]
        two_sided = frame[(frame.bid > 0.0) & (frame.ask >= frame.bid)]
        wide = two_sided.pivot_table(
            index=[*label, "strike"], columns="right", values=["bid", "ask"], observed=True
        ).dropna()
        keys = frame[label].drop_duplicates().sort_values(label).reset_index(drop=True)
        number = {tuple(key): i for i, key in enumerate(keys.itertuples(index=False))}
        self.keys = keys
        self.years = ((keys.expires_at - instant).dt.total_seconds() / (86_400 * 365)).to_numpy()
        strike = wide.index.get_level_values("strike").to_numpy(np.float64)
        mid, spread = 0.5 * (wide["ask"] + wide["bid"]), wide["ask"] - wide["bid"]
        self.pairs = Pairs(
            np.array([number[key[:3]] for key in wide.index], np.int64),
            strike,
            (mid["call"] - mid["put"]).to_numpy(),
            np.maximum(0.5 * (spread["call"] + spread["put"]).to_numpy(), 1e-4 * strike),
        )
        self.curve = curve_as_of(curves, instant.to_pydatetime()).curve
        self.slices = fit_slices(self.pairs, self.years, spot=float(spot), curve=self.curve)


@pytest.fixture(scope="module")
def treasury(shared_data):
    path = shared_data / "reference" / "rates" / "us_treasury_par_yields_1990-2023-10-20.csv.gz"
    return parse_par_yields(gzip.decompress(path.read_bytes()), name=path.name)


@pytest.fixture(scope="module", params=["2022-02-04", "2023-02-07", "2023-09-14"])
def recorded(request, shared_data, treasury):
    return Recorded(shared_data / "cboe_csv" / f"SPX_{request.param}_full.csv.gz", treasury)


def test_recorded_rates_lie_a_little_above_treasuries(recorded):
    """Index options are financed 0.1 to 0.4 % above the curve. Measured medians: 35, 18 and
    32 basis points."""
    fitted = recorded.slices.rate_source == "fitted"
    above = (recorded.slices.rate - recorded.curve.rate_at(recorded.years))[fitted]
    assert fitted.sum() >= 0.8 * (recorded.years >= 0.25).sum()
    assert 0.0005 < np.median(above) < 0.0045
    assert np.quantile(np.abs(above - np.median(above)), 0.9) < 0.0035


def test_recorded_parity_holds_in_every_slice(recorded):
    """Measured medians 0.03 to 0.06 half-spreads, worst slice 0.23."""
    assert np.nanmedian(recorded.slices.residual) < 0.1
    assert np.nanmax(recorded.slices.residual) < 0.4
    assert set(recorded.slices.quality) == {"ok"}


def test_recorded_forwards_of_spx_and_spxw_agree_within_their_errors(recorded):
    """Both settle on one date; over 81 pairs of 16 files the root mean square is 0.9 errors."""
    keys, slices = recorded.keys, recorded.slices
    days = keys.expiry_date[keys.expiry_date.duplicated(keep=False)].unique()
    ratios = []
    for day in days:
        i, j = np.flatnonzero((keys.expiry_date == day).to_numpy())
        apart = slices.forward[i] - slices.forward[j]
        ratios.append(apart / np.hypot(slices.forward_error[i], slices.forward_error[j]))
    assert len(ratios) >= 5
    assert np.sqrt(np.mean(np.square(ratios))) < 1.6
    assert np.abs(ratios).max() < 4.0
    assert np.nanmax(slices.forward_error[recorded.years < 0.5]) < 1.0

"""Forwards from parity: planted truth comes back, every fallback rung is reached and named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealer_assets.domain.forward import MAX_PAIRS, Pairs, fit_slices, venue_slices

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


def fit(pairs, years, spot=SPOT):
    return fit_slices(pairs, np.asarray(years, np.float64), spot=spot)


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

"""Arbitrage checks: known violations are found, clean surfaces pass."""

import numpy as np
import pytest

from dealer_assets.domain.surface import smiles
from dealer_assets.domain.surface.arbitrage import common_grid, durrleman, slacks

VOGT = (-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
"""Axel Vogt's smile, Gatheral and Jacquier (2014), example 3.1: its density is negative."""

CURED = (-0.0305, 0.1022, 0.3060, 0.3586, 0.4153)


def row_of(*smile_parameters):
    rows = np.zeros((len(smile_parameters), smiles.COLUMNS))
    for i, p in enumerate(smile_parameters):
        rows[i, :5], rows[i, 5:8] = p, (0.1, 0.0, 1.0)
    return rows


def domain(n, low=-1.5, high=1.5):
    return np.full(n, low), np.full(n, high)


def test_vogts_smile_violates_butterfly_where_the_paper_shows_it():
    found = slacks(row_of(VOGT), *domain(1))
    assert found.butterfly_violated[0]
    assert found.butterfly[0] < -0.01
    assert 0.5 < found.butterfly_at[0] < 1.2  # the paper's figure 3.1 dips under zero there


def test_a_flat_smile_has_g_of_one_minus_its_own_variance_term():
    found = slacks(smiles.flat(np.array([0.04])), *domain(1))
    assert found.butterfly[0] == pytest.approx(1.0)
    assert not found.butterfly_violated[0]


def test_g_of_a_straight_wing_is_the_closed_form():
    """w = beta k: g = 1/4 - beta/(4 k) - beta^2/16."""
    k = np.array([0.5, 1.0, 3.0])
    beta = 0.4
    g = durrleman(k, beta * k, np.full(3, beta), np.zeros(3))
    np.testing.assert_allclose(g, 0.25 - beta / (4.0 * k) - beta**2 / 16.0, rtol=1e-13)


def test_a_variance_that_is_not_positive_has_no_density():
    found = slacks(smiles.flat(np.array([-0.01])), *domain(1))
    assert found.butterfly[0] == -np.inf
    assert found.butterfly_violated[0]


def test_a_wing_steeper_than_lees_bound_is_a_violation():
    found = slacks(row_of((0.01, 1.6, 0.5, 0.0, 0.1)), *domain(1, -0.05, 0.05))
    assert found.lee[0] == pytest.approx(2.0 - 1.6 * 1.5)
    assert found.butterfly_violated[0]


def test_a_falling_variance_is_found_with_its_size_and_place():
    early, late = (0.010, 0.1, 0.0, 0.0, 0.1), (0.012, 0.1, 0.0, 0.3, 0.1)
    found = slacks(row_of(early, late), *domain(2, -0.5, 0.5))
    k = np.linspace(-0.5, 0.5, 20001)
    w = [smiles.total_variance(k, np.zeros(k.size, np.int64), row_of(p))[0] for p in (early, late)]
    gap = w[1] / w[0] - 1.0
    assert found.calendar_violated.tolist() == [False, True]
    assert found.calendar[1] == pytest.approx(gap.min(), abs=2e-4)
    assert found.calendar_at[1] == pytest.approx(k[gap.argmin()], abs=0.01)


def test_a_gap_in_between_is_compared_with_the_slice_before_it():
    """The middle slice ends early: beyond it, the third is held against the first."""
    rows = row_of((0.02, 0.1, 0, 0, 0.1), (0.03, 0.1, 0, 0, 0.1), (0.01, 0.2, -0.9, 0, 0.1))
    found = slacks(rows, np.array([-0.5, -0.1, -0.5]), np.array([0.5, 0.1, 0.5]))
    assert found.calendar[1] > 0.0
    assert found.calendar_violated[2]
    assert found.calendar_at[2] > 0.1


def test_slices_without_a_smile_or_a_domain_are_left_out():
    rows = row_of(CURED, CURED, CURED)
    rows[1] = np.nan
    found = slacks(rows, np.array([-1.0, -1.0, np.nan]), np.array([1.0, 1.0, np.nan]))
    assert np.isfinite(found.butterfly).tolist() == [True, False, False]
    assert np.isnan(found.calendar).all()
    assert not found.butterfly_violated[1:].any()


def test_the_common_points_hold_the_ends_of_every_domain():
    low, high = np.array([-0.2, -1.0]), np.array([0.05, 0.4])
    k = common_grid(low, high, 50)
    for end in (*low, *high):
        assert np.abs(k - end).min() < 1e-7
    assert (np.diff(k) > 0.0).all()
    assert common_grid(np.array([np.nan]), np.array([np.nan]), 50).size == 0

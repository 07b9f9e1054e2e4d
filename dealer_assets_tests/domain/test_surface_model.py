"""Vols between expiries, metrics, grid and quality of a surface."""

from dataclasses import replace

import numpy as np
import pytest

from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.surface import smiles
from dealer_assets.domain.surface.arbitrage import slacks
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.grid import surface_grid
from dealer_assets.domain.surface.metrics import smile_metrics
from dealer_assets.domain.surface.model import METHODS, VOL_RULES, Surface
from dealer_assets.domain.surface.quality import REASONS, surface_quality
from dealer_assets_tests.domain.surface_quotes import SPOT, market, quotes_of

YEARS = np.array([0.1, 0.25, 1.0])


def flat_surface(total=(0.004, 0.01, 0.05), years=YEARS, spot=SPOT):
    """Three expiries of constant total variance, domain -0.3 .. 0.3."""
    total, m = np.array(total), len(total)
    params = smiles.flat(total)
    low, high = np.full(m, -0.3), np.full(m, 0.3)
    found = slacks(params, low, high)
    return Surface(
        root=np.array(["SPXW"] * m),
        expires_at=np.arange(m),
        years=np.array(years),
        forward=SPOT * np.exp(0.02 * np.array(years)),
        discount=np.exp(-0.04 * np.array(years)),
        params=params,
        method=np.array(["fit"] * m),
        age_seconds=np.zeros(m),
        quote_count=np.full(m, 9),
        low=low,
        high=high,
        before=found,
        after=found,
        spot=spot,
    )


def rules(surface, k, years):
    return [VOL_RULES[i] for i in surface.vol_at(np.array(k), np.array(years))[1]]


def test_total_variance_is_linear_in_time_at_constant_moneyness():
    vol, rule = flat_surface().vol_at(np.zeros(3), np.array([0.1, 0.175, 0.25]))
    np.testing.assert_allclose(vol**2 * [0.1, 0.175, 0.25], [0.004, 0.007, 0.01], rtol=1e-12)
    assert (rule == 0).all()


def test_before_the_first_and_after_the_last_expiry_the_vol_stays():
    surface = flat_surface()
    vol, _ = surface.vol_at(np.zeros(2), np.array([0.02, 2.0]))
    np.testing.assert_allclose(vol, [np.sqrt(0.004 / 0.1), np.sqrt(0.05)], rtol=1e-12)
    assert rules(surface, [0.0, 0.0, 0.5, 0.0], [0.02, 2.0, 0.2, 0.2]) == [
        "before_first",
        "after_last",
        "wing",
        "inside",
    ]


def test_an_expiry_itself_does_not_lean_on_the_next_one():
    surface = replace(flat_surface(), high=np.array([0.3, 0.05, 0.3]))
    assert rules(surface, [0.2, 0.2], [0.1, 0.12]) == ["inside", "wing"]


def test_variance_does_not_fall_with_time_even_where_slices_cross():
    surface = flat_surface(total=(0.004, 0.003, 0.05))
    times = np.linspace(0.1, 1.0, 50)
    vol, _ = surface.vol_at(np.zeros(50), times)
    early = times < 0.25
    assert (np.diff((vol**2 * times)[early]) >= -1e-15).all()


def test_nan_in_nan_out():
    vol, rule = flat_surface().vol_at(np.array([np.nan, 0.0]), np.array([0.2, np.nan]))
    assert np.isnan(vol).all()
    assert (rule == VOL_RULES.index("none")).all()


def test_two_roots_that_expire_together():
    surface = flat_surface(years=(0.1, 0.1, 1.0))
    vol, _ = surface.vol_at(np.zeros(2), np.array([0.1, 0.5]))
    assert np.isfinite(vol).all()


def test_forwards_and_discounts_follow_the_carry():
    surface = flat_surface()
    years = np.array([0.05, 0.6, 2.0])
    np.testing.assert_allclose(surface.forward_at(years), SPOT * np.exp(0.02 * years))
    np.testing.assert_allclose(surface.discount_at(years), np.exp(-0.04 * years))
    unknown = flat_surface(spot=float("nan"))
    np.testing.assert_allclose(unknown.forward_at(years), SPOT * np.exp(0.02 * years))


def test_a_slice_that_does_not_exist_has_no_vol():
    assert np.isnan(flat_surface().implied_vol(np.zeros(2), np.array([-1, 3]))).all()


# ---- metrics


def skewed():
    quotes = market((30, 91, 365), count=80, tick=0.01)
    return fit_surface(quotes)


def test_metrics_agree_with_finite_differences_and_with_deltas_of_the_strikes():
    surface = skewed()
    metrics = smile_metrics(surface)
    row, h = np.arange(3), 1e-4
    up, mid, down = (surface.implied_vol(np.full(3, k), row) for k in (h, 0.0, -h))
    np.testing.assert_allclose(metrics.atm_vol, mid, rtol=1e-12)
    np.testing.assert_allclose(metrics.skew, (up - down) / (2 * h), rtol=1e-4)
    np.testing.assert_allclose(metrics.curvature, (up - 2 * mid + down) / h**2, rtol=1e-3)
    assert (metrics.risk_reversal_25 < 0.0).all()
    assert (metrics.risk_reversal_10 < metrics.risk_reversal_25).all()
    assert (metrics.butterfly_10 > metrics.butterfly_25).all()
    assert metrics.quoted_25.all()


def test_a_flat_surface_has_neither_skew_nor_butterfly():
    metrics = smile_metrics(flat_surface())
    for name in ("skew", "curvature", "risk_reversal_25", "butterfly_25", "butterfly_10"):
        np.testing.assert_allclose(getattr(metrics, name), 0.0, atol=1e-12)
    np.testing.assert_allclose(metrics.forward_vol**2, [0.04, 0.04, 0.04 / 0.75], rtol=1e-12)


def test_no_forward_vol_where_variance_falls():
    assert np.isnan(smile_metrics(flat_surface(total=(0.004, 0.003, 0.05))).forward_vol[1])


# ---- grid


def test_grid_points_lie_at_their_deltas():
    surface = skewed()
    grid = surface_grid(surface, tenor_days=(30.0, 60.0, 182.0))
    part = grid.by_delta
    from scipy.special import ndtr

    total = part.vol * np.sqrt(grid.tenor_days / 365.0)[:, None]
    d1 = -part.log_moneyness / total + 0.5 * total
    known = np.isfinite(part.vol)
    assert known.mean() > 0.9
    expected = np.broadcast_to(part.coordinate, part.vol.shape)
    np.testing.assert_allclose(ndtr(-d1)[known], expected[known], atol=1e-10)
    assert (np.diff(part.log_moneyness, axis=1)[known[:, 1:] & known[:, :-1]] > 0.0).all()


def test_tenors_outside_the_listed_range_are_flagged():
    grid = surface_grid(flat_surface())
    at_money = int(np.abs(grid.by_moneyness.coordinate).argmin())
    words = [VOL_RULES[i] for i in grid.by_moneyness.rule[:, at_money]]
    assert words == ["before_first"] * 4 + ["inside"] * 4  # 30 days < 0.1 years; 365 is listed
    assert np.isfinite(grid.by_moneyness.vol).all()


def test_greeks_of_the_grid_are_those_of_its_points():
    grid = surface_grid(skewed(), tenor_days=(60.0,), log_moneyness=(-0.1, 0.05))
    part = grid.by_moneyness
    greeks = black_greeks(
        np.full(2, grid.forward[0]),
        part.strike[0],
        S=np.full(2, SPOT),
        T=np.full(2, 60.0 / 365.0),
        sigma=part.vol[0],
        D=np.full(2, grid.discount[0]),
        is_call=np.array([False, True]),
    )
    for name in ("price", "delta", "gamma", "vega", "vanna", "charm", "volga"):
        np.testing.assert_allclose(getattr(part.greeks, name)[0], getattr(greeks, name))
    np.testing.assert_allclose(part.strike[0], grid.forward[0] * np.exp([-0.1, 0.05]))


def test_a_surface_without_smiles_has_an_empty_grid():
    surface = flat_surface()
    bare = replace(surface, method=np.full(3, "none"), params=np.full_like(surface.params, np.nan))
    grid = surface_grid(bare)
    for part in (grid.by_moneyness, grid.by_delta):
        assert np.isnan(part.vol).all()
        assert (part.rule == VOL_RULES.index("none")).all()


# ---- quality


def test_quality_by_hand():
    k = np.array([-0.2, -0.1, -0.02, 0.0, 0.02, 0.1])
    vol = np.array([0.2, 0.2, 0.201, 0.2, 0.2, 0.2])
    half = np.array([0.01, 0.01, 0.0008, 0.001, 0.001, 0.01])
    quotes = quotes_of(np.zeros(6), k, vol, years=YEARS[:1], bid=vol - half, ask=vol + half)
    surface = flat_surface(total=(0.004,), years=YEARS[:1])
    quality = surface_quality(surface, quotes)
    assert quality.in_spread == pytest.approx(5.0 / 6.0)
    assert quality.chi == pytest.approx(1.25 / np.sqrt(6.0))
    assert quality.slices.atm_error_bp[0] == pytest.approx(10.0 / 5.0)
    assert quality.slices.quotes[0] == 6
    assert quality.parity_residual == pytest.approx(0.1)
    assert quality.reasons == ("few_in_spread",)
    assert not quality.is_sound


def test_every_fault_has_its_word():
    k = np.linspace(-0.1, 0.1, 9)
    vol = np.full(9, 0.5)
    quotes = replace(
        quotes_of(np.zeros(9), k, vol, years=YEARS[:2], bid=vol - 0.001, ask=vol + 0.001),
        parity_residual=np.array([9.0, 9.0]),
    )
    flat = flat_surface(total=(0.004, 0.008), years=YEARS[:2])
    bad = replace(flat.after, butterfly=np.full(2, -1.0), calendar=np.full(2, -1.0))
    surface = replace(flat, after=bad, method=np.array(["fit", "rule"]))
    quality = surface_quality(surface, quotes)
    assert quality.reasons == REASONS[1:]
    assert (quality.butterfly_violations, quality.calendar_violations) == (1, 1)


def test_a_few_quotes_far_off_do_not_make_a_surface_unsound():
    k = np.linspace(-0.1, 0.1, 50)
    vol = np.full(50, 0.2)
    vol[[3, 40]] = 0.25
    quotes = quotes_of(np.zeros(50), k, vol, years=YEARS[:1], bid=vol - 0.001, ask=vol + 0.001)
    quality = surface_quality(flat_surface(total=(0.004,), years=YEARS[:1]), quotes)
    assert quality.chi > 9.0
    assert quality.bounded_chi == pytest.approx(1.0)
    assert quality.is_sound


def test_methods_are_ordered_from_best_to_worst():
    assert METHODS == ("fit", "aged", "interpolated", "rule", "none")

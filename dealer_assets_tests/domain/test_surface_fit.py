"""Fitting surfaces: known truths, fallbacks in order, garbage, recorded failures of others."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.kernels import svi
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.quality import surface_quality
from dealer_assets_tests.domain.surface_quotes import market, quotes_of, true_vol

DAYS = (2, 9, 30, 58, 93, 184, 365)


@pytest.fixture(scope="module")
def noisy():
    return market(DAYS, seed=5)


@pytest.fixture(scope="module")
def fitted(noisy):
    return fit_surface(noisy)


def test_a_noisy_market_is_recovered_within_its_spread(noisy, fitted):
    quality = surface_quality(fitted, noisy)
    assert fitted.method.tolist() == ["fit"] * len(DAYS)
    assert quality.in_spread > 0.98
    assert quality.chi < 0.5
    assert quality.atm_error_bp < 5.0
    assert quality.is_sound
    row, k = noisy.slice_id, noisy.log_moneyness
    error = np.abs(fitted.implied_vol(k, row) - true_vol(k, noisy.years[row]))
    half = 0.5 * (noisy.vol_ask - np.nan_to_num(noisy.vol_bid))
    assert np.mean(error / half) < 0.2  # closer to the truth than to the noise (0.3 half-spreads)


def test_a_fitted_surface_has_no_arbitrage_on_its_domain(fitted):
    assert (fitted.after.butterfly > 0.0).all()
    assert (fitted.after.calendar[1:] > 0.0).all()
    assert (fitted.after.lee > 0.0).all()


def test_exact_smiles_come_back_to_a_millionth_of_a_vol_point():
    k = np.linspace(-0.5, 0.3, 80)
    w = 0.004 + 0.06 * (-0.5 * (k - 0.02) + np.sqrt((k - 0.02) ** 2 + 0.01))
    vol = np.sqrt(w / 0.25)
    surface = fit_surface(
        quotes_of(np.zeros(80), k, vol, years=[0.25], bid=vol - 0.001, ask=vol + 0.001)
    )
    fine = np.linspace(-0.5, 0.3, 501)
    truth = np.sqrt((0.004 + 0.06 * (-0.5 * (fine - 0.02) + np.hypot(fine - 0.02, 0.1))) / 0.25)
    assert np.abs(surface.implied_vol(fine, np.zeros(501, np.int64)) - truth).max() < 1e-8
    assert np.abs(surface.params[0, 8:]).max() < 1e-8  # nothing is left for the spline


def test_crossed_expiries_are_parted_by_their_spreads():
    """Two expiries a day apart whose mids cross: the wider quoted one gives way."""
    k = np.tile(np.linspace(-0.2, 0.12, 40), 2)
    row = np.repeat([0, 1], 40)
    vol = np.concatenate([true_vol(k[:40], 0.1) * 1.03, true_vol(k[:40], 0.1027)])
    half = np.where(row == 0, 0.002, 0.012)
    quotes = quotes_of(row, k, vol, years=[0.1, 0.1027], bid=vol - half, ask=vol + half)
    surface = fit_surface(quotes)
    moved = np.abs(surface.implied_vol(k, row) - vol)
    assert surface.before.calendar[1] < -0.01
    assert surface.after.calendar[1] > 0.0
    assert moved[row == 0].max() < 0.3 * moved[row == 1].max()


def test_a_density_below_zero_is_cured():
    """A dent in the quoted smile that no density has."""
    k = np.linspace(-0.3, 0.2, 60)
    vol = true_vol(k, 0.2) - 0.03 * np.exp(-(((k + 0.1) / 0.03) ** 2))
    quotes = quotes_of(np.zeros(60), k, vol, years=[0.2], bid=vol - 0.004, ask=vol + 0.004)
    surface = fit_surface(quotes)
    assert surface.before.butterfly[0] < 0.0
    assert surface.after.butterfly[0] > 0.0


def test_the_order_of_quotes_does_not_matter(noisy, fitted):
    order = np.random.default_rng(0).permutation(noisy.vol.size)
    names = ("slice_id", "log_moneyness", "vol", "vol_bid", "vol_ask")
    shuffled = replace(noisy, **{name: getattr(noisy, name)[order] for name in names})
    assert np.array_equal(fit_surface(shuffled).params, fitted.params)


def test_what_was_fitted_before_does_not_change_a_fit(noisy, fitted):
    other = fit_surface(market(DAYS, seed=6), previous=fitted)
    again = fit_surface(noisy, previous=other)
    assert np.array_equal(again.params, fitted.params)
    assert np.array_equal(again.after.calendar, fitted.after.calendar, equal_nan=True)


def test_stale_quotes_are_passed_by(noisy, fitted):
    """One quote in forty is off by thirty half-spreads."""
    rng = np.random.default_rng(3)
    off = np.flatnonzero(rng.uniform(size=noisy.vol.size) < 1.0 / 40.0)
    half = 0.5 * (noisy.vol_ask - np.nan_to_num(noisy.vol_bid))
    shift = np.zeros(noisy.vol.size)
    shift[off] = 30.0 * half[off] * rng.choice([-1.0, 1.0], off.size)
    shift = np.where(noisy.vol + shift > 0.5 * noisy.vol, shift, 0.0)
    names = ("vol", "vol_bid", "vol_ask")
    stale = replace(noisy, **{name: getattr(noisy, name) + shift for name in names})
    surface = fit_surface(stale)
    k, row = noisy.log_moneyness, noisy.slice_id
    apart = np.abs(surface.implied_vol(k, row) - fitted.implied_vol(k, row)) / half
    assert np.quantile(apart, 0.9) < 0.5
    quality = surface_quality(surface, stale)
    assert quality.chi > 2.0 * quality.bounded_chi
    assert quality.is_sound


@pytest.mark.parametrize("fall", [0.04, 0.2])
def test_expiries_that_contradict_each_other_everywhere_still_have_no_arbitrage(fall):
    """Five expiries, each quoted below the one before it: no surface is near them all."""
    k = np.linspace(-0.25, 0.15, 30)
    years = 0.1 + 0.001 * np.arange(5)
    row = np.repeat(np.arange(5), 30)
    wiggle = 0.01 * np.sin(40.0 * k)
    vol = np.concatenate([true_vol(k, t) * (1.0 - fall * i) + wiggle for i, t in enumerate(years)])
    quotes = quotes_of(row, np.tile(k, 5), vol, years=years, bid=vol - 0.02, ask=vol + 0.02)
    surface = fit_surface(quotes)
    fit = surface.method == "fit"
    assert fit.sum() >= 2
    assert (surface.after.butterfly[fit] > 0.0).all()
    assert not surface.after.calendar_violated[fit].any()


# ---- fallbacks


def without(quotes, slices, keep=0):
    """The same quotes with at most `keep` left on some slices."""
    drop = np.zeros(quotes.vol.size, bool)
    for i in slices:
        drop[np.flatnonzero(quotes.slice_id == i)[keep:]] = True
    names = ("slice_id", "log_moneyness", "vol", "vol_bid", "vol_ask")
    return replace(quotes, **{name: getattr(quotes, name)[~drop] for name in names})


def test_a_slice_without_quotes_takes_its_previous_smile_and_says_how_old(noisy, fitted):
    hour = 1.0 / (365.0 * 24.0)
    later = without(replace(noisy, years=noisy.years - hour), [2], keep=3)
    surface = fit_surface(later, previous=fitted)
    assert surface.method[2] == "aged"
    assert surface.age_seconds[2] == pytest.approx(3600.0)
    assert surface.age_seconds[0] == 0.0
    z = np.linspace(-2.0, 1.5, 15) * 0.15
    row = np.full(15, 2)
    before = fitted.implied_vol(z * np.sqrt(noisy.years[2]), row)
    now = surface.implied_vol(z * np.sqrt(later.years[2]), row)
    np.testing.assert_allclose(now, before, rtol=1e-10)


def test_age_adds_up(noisy, fitted):
    day = 1.0 / 365.0
    first = fit_surface(without(replace(noisy, years=noisy.years - day), [3]), previous=fitted)
    second = fit_surface(
        without(replace(noisy, years=noisy.years - 1.5 * day), [3]), previous=first
    )
    assert second.method[3] == "aged"
    assert second.age_seconds[3] == pytest.approx(1.5 * 86_400.0)


def test_a_smile_of_another_root_or_from_the_future_is_not_taken(noisy, fitted):
    bare = without(noisy, [2])
    other = replace(fitted, root=np.array(["SPX"] * len(DAYS)))
    assert fit_surface(bare, previous=other).method[2] == "rule"
    future = replace(fitted, years=fitted.years - 0.001)
    assert fit_surface(bare, previous=future).method[2] == "rule"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_quotes_are_interpolated(noisy, count):
    surface = fit_surface(without(noisy, [4], keep=count))
    quoted = np.flatnonzero(noisy.slice_id == 4)[:count]
    vol = surface.implied_vol(noisy.log_moneyness[quoted], np.full(count, 4))
    assert surface.method[4] == "interpolated"
    np.testing.assert_allclose(vol, noisy.vol[quoted], atol=2e-4)


def test_a_fit_far_from_its_quotes_is_replaced_by_interpolation():
    """Vols that jump from strike to strike with tiny spreads fit nothing."""
    k = np.linspace(-0.2, 0.2, 60)
    vol = 0.2 + 0.08 * (np.arange(60) % 2)
    surface = fit_surface(
        quotes_of(np.zeros(60), k, vol, years=[0.1], bid=vol - 2e-4, ask=vol + 2e-4)
    )
    assert surface.method[0] == "interpolated"


def test_a_slice_with_nothing_follows_its_neighbours(noisy, fitted):
    surface = fit_surface(without(noisy, [3]))
    assert surface.method[3] == "rule"
    at_money = np.zeros(1)
    assert surface.implied_vol(at_money, np.array([3]))[0] == pytest.approx(
        true_vol(0.0, DAYS[3] / 365.0), abs=0.003
    )
    w = [float(surface.total_variance(at_money, np.array([i]))[0]) for i in (2, 3, 4)]
    t = surface.years
    linear = w[0] + (w[2] - w[0]) * (t[3] - t[2]) / (t[4] - t[2])
    assert w[1] == pytest.approx(linear, rel=1e-3)


def test_no_quotes_at_all_give_no_smile_and_no_error(noisy):
    surface = fit_surface(without(noisy, range(len(DAYS))))
    assert surface.method.tolist() == ["none"] * len(DAYS)
    assert np.isnan(surface.implied_vol(np.zeros(3), np.array([0, 3, 6]))).all()
    quality = surface_quality(surface, without(noisy, range(len(DAYS))))
    assert "no_quotes" in quality.reasons


def test_no_slices_at_all():
    empty = np.zeros(0)
    surface = fit_surface(quotes_of(empty, empty, empty, years=empty))
    assert surface.params.shape[0] == 0
    vol, rule = surface.vol_at(np.zeros(2), np.full(2, 0.1))
    assert np.isnan(vol).all()
    assert (rule == 4).all()


# ---- awkward input


def test_one_strike_quoted_many_times_is_no_smile():
    vol = np.full(9, 0.2)
    surface = fit_surface(quotes_of(np.zeros(9), np.full(9, 0.01), vol, years=[0.1]))
    assert surface.method[0] == "interpolated"
    assert surface.implied_vol(np.array([0.01]), np.zeros(1, np.int64))[0] == pytest.approx(0.2)


def test_equal_vols_fit_a_flat_smile():
    k = np.linspace(-0.2, 0.2, 30)
    surface = fit_surface(quotes_of(np.zeros(30), k, np.full(30, 0.2), years=[0.1]))
    assert surface.method[0] == "fit"
    np.testing.assert_allclose(surface.implied_vol(k, np.zeros(30, np.int64)), 0.2, atol=1e-5)


def test_zero_width_spreads_weigh_all_strikes_alike():
    k = np.linspace(-0.2, 0.15, 40)
    vol = true_vol(k, 0.1)
    surface = fit_surface(quotes_of(np.zeros(40), k, vol, years=[0.1], bid=vol, ask=vol))
    assert surface.method[0] == "fit"
    assert np.abs(surface.implied_vol(k, np.zeros(40, np.int64)) - vol).max() < 5e-4


def test_minutes_before_expiry():
    quotes = market([3.0 / (24 * 60), 1.0], count=40)
    surface = fit_surface(quotes)
    assert np.isfinite(surface.params).all()
    quality = surface_quality(surface, quotes)
    assert quality.in_spread > 0.9


def test_expired_slices_have_no_smile():
    k = np.linspace(-0.1, 0.1, 20)
    surface = fit_surface(quotes_of(np.zeros(20), k, np.full(20, 0.2), years=[0.0]))
    assert surface.method[0] == "none"


GARBAGE = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.2, 1e-9, 0.2, 0.25, 3.0, 1e9])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(GARBAGE, GARBAGE, GARBAGE, GARBAGE, st.integers(-1, 3)), max_size=25),
    st.lists(st.sampled_from([0.001, 0.02, 0.1, -0.1, np.nan]), min_size=3, max_size=3),
)
def test_garbage_never_crashes_and_never_gives_an_imaginary_vol(rows, years):
    k, vol, bid, ask, row = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 5
    )
    quotes = replace(
        quotes_of(row, k, vol, years=[0.1, 0.2, 0.3], bid=bid, ask=ask), years=np.array(years)
    )
    surface = fit_surface(quotes)
    vols = surface.implied_vol(np.zeros(3), np.arange(3))
    assert (np.isnan(vols) | (vols > 0.0)).all()
    assert np.isfinite(surface.params[surface.method != "none"]).all()
    assert surface_quality(surface, quotes).reasons is not None


# ---- recorded slices on which an unweighted fit misses the middle

FAILURES = (
    "jan13_feb21_39dte",
    "jan24_feb21_28dte_stable",
    "mar03_apr17_45dte",
    "mar10_apr17_38dte",
)


@pytest.mark.parametrize("name", FAILURES)
def test_default_weights_hit_the_money_where_an_unweighted_fit_misses(shared_data, name):
    recorded = json.loads((shared_data / "svi_failures" / f"{name}.json").read_text())
    strike, vol = np.array(recorded["market_vols"]).T
    years, target = recorded["expiry_years"], recorded["expected_atm_iv"]
    k = np.log(strike / recorded["forward"])
    surface = fit_surface(quotes_of(np.zeros(k.size), k, vol, years=[years]))
    near = np.argsort(np.abs(k))[:5]
    ours = surface.implied_vol(np.append(0.0, k[near]), np.zeros(6, np.int64))
    assert surface.method[0] == "fit"
    # What the file calls at the money is one strike up to 5 points under the forward
    assert abs(ours[0] - target) < 7e-4
    assert abs((ours[1:] - vol[near]).mean()) < 8e-4
    assert surface.after.butterfly[0] > 0.0

    raw, cost = np.empty((1, 5)), np.empty(1)
    first, cold = np.array([0, k.size]), np.full((1, 5), np.nan)
    svi.fit_raw(k, vol * vol * years, np.ones(k.size), first, cold, 200, raw, cost)
    a, b, rho, m, sigma = raw[0]
    unweighted = np.sqrt((a + b * (-rho * m + np.hypot(m, sigma))) / years)
    assert abs(unweighted - target) > max(12e-4, 2.0 * abs(ours[0] - target))

"""The surface's kernels: SVI recovery, the quadratic programme, values and derivatives."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.kernels import (
    svi,
    svi_arbitrage,
    svi_correction,
    svi_order,
    svi_smile,
    svi_spline,
)
from dealer_assets.domain.surface import smiles
from dealer_assets.domain.surface.arbitrage import durrleman


def raw(k, p):
    """Raw SVI, straight from its formula."""
    a, b, rho, m, sigma = p
    return a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


def fit(k, w, weight=None, steps=60, previous=None):
    weight = np.ones(k.size) if weight is None else weight
    start = np.full((1, 5), np.nan) if previous is None else np.array([previous])
    params, cost = np.empty((1, 5)), np.empty(1)
    svi.fit_raw(k, w, weight, np.array([0, k.size]), start, steps, params, cost)
    return params[0], cost[0]


def row_of(p, coefficients=None, scale=0.1, origin=-2.0, inverse=4.0):
    row = np.zeros((1, smiles.COLUMNS))
    row[0, :5], row[0, 5:8] = p, (scale, origin, inverse)
    if coefficients is not None:
        row[0, 8:] = coefficients
    return row


SANE = st.tuples(
    st.floats(0.0, 0.03),
    st.floats(0.02, 0.4),
    st.floats(-0.9, 0.5),
    st.floats(-0.05, 0.05),
    st.floats(0.03, 0.3),
)


def test_the_domain_and_the_kernels_agree_on_the_columns():
    assert (smiles.COLUMNS, smiles.KNOTS, smiles.FIRST_KNOT) == (
        svi_smile.COLUMNS,
        svi_smile.KNOTS,
        svi_smile.FIRST_KNOT,
    )


@settings(max_examples=60, deadline=None)
@given(SANE)
def test_exact_smiles_are_recovered_from_a_cold_start_to_a_millionth_of_a_vol_point(p):
    k = np.linspace(-1.2, 0.8, 81)
    w = raw(k, p)
    found, _ = fit(k, w, weight=1.0 / w, steps=200)
    error = np.abs(np.sqrt(np.maximum(raw(k, found), 0.0)) - np.sqrt(w))
    assert error.max() < 1e-8


def test_a_warm_start_reaches_the_same_fit():
    k = np.linspace(-0.6, 0.3, 50)
    p = (0.002, 0.08, -0.5, 0.02, 0.1)
    w = raw(k, p)
    found, _ = fit(k, w, previous=np.array(p) * [1.1, 0.9, 1.05, 1.2, 0.9], steps=60)
    assert np.abs(raw(k, found) - w).max() < 1e-9


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_quotes_give_no_parameters(count):
    k = np.linspace(-0.1, 0.1, count)
    found, cost = fit(k, np.full(count, 0.01))
    assert np.isnan(found).all()
    assert np.isnan(cost)


def test_the_wings_stay_under_lees_bound():
    k = np.linspace(-0.2, 0.2, 41)
    w = 0.01 + 8.0 * k * k  # far steeper than any density allows
    found, _ = fit(k, w)
    assert found[1] * (1.0 + abs(found[2])) <= 2.0


@settings(max_examples=25, deadline=None)
@given(SANE, st.lists(st.floats(-0.002, 0.002), min_size=20, max_size=20))
def test_values_and_derivatives_agree_with_the_documented_formula(p, coefficients):
    params = row_of(p, coefficients)
    k = np.linspace(-0.9, 0.7, 61)

    def formula(k):
        x = (np.arcsinh(k / 0.1) + 2.0) * 4.0
        t = np.abs(x[:, None] - np.arange(20) + 1.0)
        spline = (np.maximum(2.0 - t, 0.0) ** 3 - 4.0 * np.maximum(1.0 - t, 0.0) ** 3) / 6.0
        return raw(k, p) + spline @ np.array(coefficients)

    w, slope, bend = smiles.total_variance(k, np.zeros(61, np.int64), params)
    h = 1e-4
    up, down = formula(k + h), formula(k - h)
    np.testing.assert_allclose(w, formula(k), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bend, (up - 2 * formula(k) + down) / h**2, rtol=2e-2, atol=5e-2)


def test_a_nan_or_a_missing_slice_gives_nan():
    params = row_of((0.01, 0.1, -0.3, 0.0, 0.1))
    w, slope, bend = smiles.total_variance(np.array([np.nan, 0.1]), np.array([0, -1]), params)
    assert np.isnan([w, slope, bend]).all()


def test_rescaling_keeps_the_vol_at_the_same_standardised_moneyness():
    rng = np.random.default_rng(1)
    params = row_of((0.01, 0.1, -0.3, 0.02, 0.1), rng.normal(0.0, 1e-3, 20))
    k = np.linspace(-0.5, 0.4, 31)
    row = np.zeros(31, np.int64)
    old = smiles.total_variance(k, row, params)[0]
    new = smiles.total_variance(0.5 * k, row, smiles.rescaled(params, np.array([0.25])))[0]
    np.testing.assert_allclose(new, 0.25 * old, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_quadratic_programme_agrees_with_scipy(seed):
    """One slice with calendar bounds only is a plain quadratic programme."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    k = np.linspace(-0.5, 0.3, 60)
    shape = np.array([[0.1, np.arcsinh(-5.0), 17.0 / (np.arcsinh(3.0) - np.arcsinh(-5.0))]])
    unit, base = np.full((1, 20), 0.02), np.full((1, 60), 0.02)
    residual = 0.004 * np.sin(9.0 * k) + rng.normal(0.0, 2e-4, 60)
    weight = np.full(60, 1e3)
    inverse, plain = np.empty((1, 20, 20)), np.empty((1, 20))
    first = np.array([0, 60])
    used = np.empty(60)
    svi_spline.normal_equations(
        k, residual, weight, first, shape, unit, 1.0, 0.01, 0, used, inverse, plain
    )
    table, left = np.empty((1, 60, 12)), np.empty((1, 60), np.int64)
    svi_spline.tabulate(k[None], shape, 20, table, left)
    bounds = np.empty((2, 1, 60))
    bounds[0], bounds[1] = 0.0185, 0.0225
    unknowns, w = plain.copy(), np.full((1, 60), 0.02)
    tall = np.stack([base, 0.0 * base, 0.0 * base])
    svi_correction.constrain(
        np.zeros(1, np.int64),
        bounds,
        inverse,
        plain,
        unit,
        k[None],
        tall,
        table,
        left,
        base,
        np.ascontiguousarray(table[:, :, :4]),
        left,
        w,
        -1e9,
        0.0,
        1,
        unknowns,
    )
    matrix = np.zeros((60, 20))
    for i in range(60):
        for j in range(4):
            if 0 <= left[0, i] + j < 20:
                matrix[i, left[0, i] + j] = 0.02 * table[0, i, j]
    hessian = np.linalg.inv(inverse[0])
    line = hessian @ plain[0]
    answer = minimize(
        lambda x: 0.5 * x @ hessian @ x - line @ x,
        np.zeros(20),
        jac=lambda x: hessian @ x - line,
        constraints=[
            {"type": "ineq", "fun": lambda x: matrix @ x + 0.0015, "jac": lambda x: matrix},
            {"type": "ineq", "fun": lambda x: 0.0025 - matrix @ x, "jac": lambda x: -matrix},
        ],
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    mine = 0.5 * unknowns[0] @ hessian @ unknowns[0] - line @ unknowns[0]
    assert mine <= answer.fun + 1e-6 * abs(answer.fun)
    assert (w[0] >= 0.0185 - 1e-7).all()
    assert (w[0] <= 0.0225 + 1e-7).all()


def test_isotonic_parting_pools_what_falls_and_keeps_what_rises():
    w = np.array([[1.0, 3.0], [2.0, 1.0], [4.0, np.nan]])
    precision = np.array([[1.0, 1.0], [1.0, 3.0], [1.0, 1.0]])
    floor, cap = np.empty((3, 2)), np.empty((3, 2))
    svi_order.separate(w, precision, 0.0, floor, cap)
    np.testing.assert_allclose(cap[:, 0], [1.5, 3.0, np.inf])
    np.testing.assert_allclose(floor[:, 0], [-np.inf, 1.5, 3.0])
    pooled = (3.0 + 3.0) / 4.0  # the second slice is three times as precise
    np.testing.assert_allclose([cap[0, 1], floor[1, 1]], pooled)
    assert (cap[2, 1], floor[2, 1]) == (np.inf, -np.inf)


@settings(max_examples=20, deadline=None)
@given(SANE, st.lists(st.floats(-0.001, 0.001), min_size=20, max_size=20))
def test_the_fast_check_finds_the_least_g_of_the_plain_formula(p, coefficients):
    params = row_of(p, coefficients)
    low, high = np.array([-0.6]), np.array([0.4])
    least, at = np.empty(1), np.empty(1)
    svi_arbitrage.least_butterfly(params, low, high, 16, least, at)
    k = 0.1 * np.sinh(np.linspace(np.arcsinh(-6.0), np.arcsinh(4.0), 20001))
    g = durrleman(k, *smiles.total_variance(k, np.zeros(k.size, np.int64), params))
    if np.isnan(g).any():
        assert least[0] == -np.inf
        return
    here = durrleman(at, *smiles.total_variance(at, np.zeros(1, np.int64), params))
    np.testing.assert_allclose(least[0], here[0], rtol=1e-8, atol=1e-8)
    assert least[0] <= g.min() + 0.01 * max(1.0, np.ptp(g))


def test_every_kernel_file_can_be_warmed():
    modules = (svi, svi_smile, svi_spline, svi_order, svi_correction, svi_arbitrage)
    assert [module.warm() for module in modules] == [None] * 6


def test_one_outlier_hardly_moves_the_spline_and_an_outlier_free_slice_is_not_touched():
    k = np.linspace(-0.5, 0.3, 60)
    shape = np.array([[0.1, np.arcsinh(-5.0), 17.0 / (np.arcsinh(3.0) - np.arcsinh(-5.0))]])
    unit, weight, first = np.full((1, 20), 0.02), np.full(60, 1e4), np.array([0, 60])
    clean = 0.002 * np.sin(9.0 * k)
    spoilt = clean.copy()
    spoilt[30] += 40.0 / 1e4

    def solved(residual, rounds):
        used, inverse, plain = np.empty(60), np.empty((1, 20, 20)), np.empty((1, 20))
        svi_spline.normal_equations(
            k, residual, weight, first, shape, unit, 1.0, 0.01, rounds, used, inverse, plain
        )
        return plain[0], used

    truth, used = solved(clean, 6)
    assert np.array_equal(truth, solved(clean, 0)[0])
    assert np.array_equal(used, weight)
    robust, used = solved(spoilt, 6)
    assert np.abs(robust - truth).max() < 0.03 * np.abs(solved(spoilt, 0)[0] - truth).max()
    assert used[30] < 0.1 * weight[30]
    assert (np.delete(used, 30) == 1e4).all()


def test_the_rise_between_points_is_seen():
    """A parabola that dips below zero between the points at which it is known."""
    k = np.linspace(-0.1, 0.1, 21)
    w = np.stack([np.full(21, 0.01), 0.01 * (1.0 - 1e-5 + 4.0 * (k - 0.003) ** 2)])
    least, at = np.empty(2), np.empty(2)
    svi_arbitrage.least_rise(w, np.ones(2, bool), k, least, at)
    assert (w[1] > w[0]).all()
    assert least[1] == pytest.approx(-1e-5, rel=1e-6)
    assert at[1] == pytest.approx(0.003, rel=1e-6)


def test_precisions_are_linear_between_quotes_and_small_beyond_them():
    out = np.empty((1, 4))
    quoted, root = np.array([0.0, 0.1]), np.array([1.0, 2.0])
    shared = np.array([-0.1, 0.0, 0.05, 0.2])
    svi_order.precisions(shared, quoted, root, np.array([0, 2]), 0.01, out)
    np.testing.assert_allclose(out[0], [0.01, 1.0, 2.5, 0.04])

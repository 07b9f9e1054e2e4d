"""Elementary functions of the kernels against mpmath, and the origin of every fitted constant."""

import ast
import inspect

import mpmath as mp
import numpy as np
import pytest
from numba import njit

from dealer_assets.domain.kernels import elementary, greeks, implied_vol, warm
from dealer_assets.domain.kernels.compilation import FASTMATH
from dealer_assets_tests.reference.make_kernel_coefficients import (
    GUESS_CENTRE,
    GUESS_SLOPE,
    MILLS_SCALE,
    MILLS_SHIFT,
    derive,
    mills,
)

EPS = float(np.finfo(np.float64).eps)


def vectorised(function):
    """A loop over the function, compiled as kernels are, so that vector code is what is tested."""

    @njit(error_model="numpy", fastmath=set(FASTMATH))
    def loop(first, second, out):
        for i in range(first.shape[0]):
            out[i] = function(first[i], second[i])

    def call(first, second=None):
        first = np.ascontiguousarray(first, np.float64)
        out = np.empty(first.size)
        loop(first, first if second is None else np.ascontiguousarray(second, np.float64), out)
        return out

    return call


def of_one(function):
    @njit(forceinline=True, error_model="numpy", fastmath=set(FASTMATH))
    def first_only(first, _second):
        return function(first)

    return vectorised(first_only)


def relative_error(found, truth, arguments):
    with mp.workdps(40):
        answers = [truth(*(mp.mpf(float(a)) for a in row)) for row in zip(*arguments, strict=True)]
        errors = [abs(mp.mpf(float(f)) / a - 1) for f, a in zip(found, answers, strict=True)]
    return float(max(errors))


RNG = np.random.default_rng(20261121)
WIDE = 10.0 ** RNG.uniform(-300.0, 300.0, 400)


@pytest.mark.parametrize(
    ("name", "arguments", "truth", "limit"),
    [
        ("exp", np.linspace(-707.9, 708.9, 700), mp.exp, 1.5 * EPS),
        ("exp", RNG.uniform(-1.0, 1.0, 300), mp.exp, 1.0 * EPS),
        ("log", WIDE, mp.log, 1.0 * EPS),
        ("log", 1.0 + RNG.uniform(-0.3, 0.4, 400), mp.log, 1.0 * EPS),
        ("erfcx", np.linspace(0.0, 30.0, 600), lambda z: mp.exp(z * z) * mp.erfc(z), 1e-15),
        ("normal_tail", np.linspace(-37.0, 37.0, 500), lambda x: mp.ncdf(-abs(x)), 4e-13),
        ("normal_cdf", np.linspace(-37.0, 8.0, 500), mp.ncdf, 4e-13),
        ("normal_density", np.linspace(-37.0, 37.0, 500), mp.npdf, 4e-13),
    ],
)
def test_function_agrees_with_mpmath(name, arguments, truth, limit):
    found = of_one(getattr(elementary, name))(arguments)
    assert relative_error(found, truth, (arguments,)) <= limit


def test_exp_and_log_at_their_ends():
    exp = of_one(elementary.exp)
    np.testing.assert_array_equal(exp([-708.5, -1e308, -np.inf, 0.0]), [0.0, 0.0, 0.0, 1.0])
    assert np.isnan(exp([np.nan])[0])
    assert of_one(elementary.log)([1.0])[0] == 0.0


def test_log_ratio_keeps_its_digits_next_to_the_money():
    near = 100.0 * (1.0 + 10.0 ** RNG.uniform(-15.0, -0.1, 400) * RNG.choice([-1.0, 1.0], 400))
    for F, K in ((near, np.full(400, 100.0)), (WIDE, WIDE[::-1]), (WIDE, near)):
        found = vectorised(elementary.log_ratio)(F, K)
        apart = F != K
        truth = (F[apart], K[apart])
        assert relative_error(found[apart], lambda f, k: mp.log(f / k), truth) <= 5.0 * EPS
        np.testing.assert_array_equal(found[~apart], 0.0)


def test_mills_difference_keeps_its_digits_for_any_gap():
    near = np.concatenate([RNG.uniform(-1.0, 1.0, 200), 10.0 ** RNG.uniform(0.0, 2.0, 200)])
    gap = 10.0 ** RNG.uniform(-3.0, 1.0, 400)
    gap = (near + gap) - near  # so that far - near is the gap exactly, or the truth is another
    far = near + gap

    @njit(forceinline=True, error_model="numpy", fastmath=set(FASTMATH))
    def difference(near, far):
        return implied_vol.mills_difference(near, far, far - near)

    @njit(forceinline=True, error_model="numpy", fastmath=set(FASTMATH))
    def slope(near, far):
        return greeks.mills_pair(near, far)[2]

    def truth(n, f):
        return mills(n) - mills(f)

    assert relative_error(vectorised(difference)(near, far), truth, (near, far)) <= 1e-14
    found = vectorised(slope)(near, far)
    assert relative_error(found, lambda n, f: truth(n, f) / (f - n), (near, far)) <= 1e-14


def test_erfcx_has_the_scripts_coefficients():
    tree = ast.parse(inspect.getsource(elementary.erfcx.py_func))
    steps = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    found = []
    for step in steps[1:]:  # the first assignment is the argument's
        value = step.right if isinstance(step, ast.BinOp) else step
        subtracted = isinstance(step, ast.BinOp) and isinstance(step.op, ast.Sub)
        number = ast.literal_eval(value)
        found.append(-number if subtracted else number)
    assert found == pytest.approx(derive("elementary.erfcx"), rel=1e-14)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("MILLS", elementary),
        ("GUESS", implied_vol),
        ("CORRECTION", implied_vol),
    ],
)
def test_kernel_has_the_scripts_coefficients(name, module):
    assert list(getattr(module, name)) == pytest.approx(derive(name), rel=1e-14)


def test_kernels_use_the_fits_in_the_scripts_variables():
    assert (elementary.MILLS_SHIFT, elementary.MILLS_SCALE) == (MILLS_SHIFT, MILLS_SCALE)
    assert (implied_vol.GUESS_CENTRE, implied_vol.GUESS_SLOPE) == (GUESS_CENTRE, GUESS_SLOPE)


def test_every_kernel_module_is_warmed():
    warmed = {name for name, _ in warm.warmers()}
    assert {"greeks", "implied_vol"} <= warmed

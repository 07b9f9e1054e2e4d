"""Values of smiles: total variance and its two derivatives anywhere.

Belongs here: the columns of a smile, its value. Does not belong here: fits (`svi`, `svi_spline`,
`svi_correction`), many points of one smile at once (`svi_arbitrage`).

A smile is one row of parameters; the columns are listed at `COLUMNS`:

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) + sum_j c_j B(x - j + 1)
    x = (asinh(k / scale) - origin) / spacing

B is the uniform cubic B-spline, ``B(t) = (max(2 - |t|, 0)^3 - 4 max(1 - |t|, 0)^3) / 6``. With all
c_j zero the smile is raw SVI. Source of SVI: Gatheral and Jacquier (2014), section 3.1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import log

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KNOTS = 20
"""Number of spline coefficients of a smile."""

FIRST_KNOT = 8
COLUMNS = FIRST_KNOT + KNOTS
"""a, b, rho, m, sigma, scale, origin, 1 / spacing, c_0 .. c_{KNOTS - 1}."""


@inlined
def asinh(y: float) -> float:
    """Inverse hyperbolic sine, absolute error below 2e-16 near 0."""
    size = abs(y)
    value: float = log(size + math.sqrt(size * size + 1.0))
    return value if y >= 0.0 else -value


@kernel
def evaluate(
    k: Floats, slice_id: Ints, params: Floats, w: Floats, slope: Floats, bend: Floats
) -> None:
    """Total variance and its first two derivatives in k.

    Parameters
    ----------
    k : float64 array, shape (n,)
        Log-moneyness.
    slice_id : int64 array, shape (n,)
        Row of `params`; a negative one gives NaN.
    params : float64 array, shape (m, COLUMNS)
        Smiles; a row with NaN gives NaN.
    w, slope, bend : float64 array, shape (n,)
        Written: w, dw/dk, d2w/dk2.
    """
    for i in range(k.shape[0]):
        row = slice_id[i]
        w[i] = np.nan
        slope[i] = np.nan
        bend[i] = np.nan
        if row < 0 or not math.isfinite(k[i]):
            continue
        b = params[row, 1]
        rho = params[row, 2]
        x = k[i] - params[row, 3]
        s2 = params[row, 4] * params[row, 4]
        r = math.sqrt(x * x + s2)
        value = params[row, 0] + b * (rho * x + r)
        first = b * (rho + x / r)
        second = b * s2 / (r * r * r)
        scale = params[row, 5]
        inverse = params[row, 7]
        x = (asinh(k[i] / scale) - params[row, 6]) * inverse
        if x > -3.0 and x < KNOTS:
            cell = math.floor(x)
            t = x - cell
            o = 1.0 - t
            u = inverse / math.sqrt(k[i] * k[i] + scale * scale)
            turn = -k[i] / (k[i] * k[i] + scale * scale) * u
            left = int(cell)
            for j in range(4):
                q = left + j
                if q >= 0 and q < KNOTS:
                    c = params[row, FIRST_KNOT + q]
                    if j == 0:
                        b0 = o * o * o / 6.0
                        b1 = -0.5 * o * o
                        b2 = o
                    elif j == 1:
                        b0 = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
                        b1 = t * (1.5 * t - 2.0)
                        b2 = 3.0 * t - 2.0
                    elif j == 2:
                        b0 = (4.0 - 6.0 * o * o + 3.0 * o * o * o) / 6.0
                        b1 = -o * (1.5 * o - 2.0)
                        b2 = 3.0 * o - 2.0
                    else:
                        b0 = t * t * t / 6.0
                        b1 = 0.5 * t * t
                        b2 = t
                    value += c * b0
                    first += c * b1 * u
                    second += c * (b2 * u * u + b1 * turn)
        w[i] = value
        slope[i] = first
        bend[i] = second


def warm() -> None:
    """Compile every kernel of this file on tiny arrays."""
    k = np.linspace(-0.2, 0.2, 6)
    params = np.zeros((1, COLUMNS))
    params[:, :8] = 1.0
    evaluate(k, np.zeros(6, np.int64), params, np.empty(6), np.empty(6), np.empty(6))

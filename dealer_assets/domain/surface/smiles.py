"""Values of fitted smiles: total variance and its derivatives from rows of parameters.

Belongs here: the columns of a smile, evaluation, scaling to another time. Does not belong here:
how parameters are found (`fit`), interpolation between expiries (`model`).

The columns of a smile's row (`COLUMNS` of them) are a, b, rho, m, sigma, scale, origin, inverse
spacing, and KNOTS spline coefficients c_j:

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) + sum_j c_j B(x - j + 1)
    x = (asinh(k / scale) - origin) * inverse_spacing
    B(t) = (max(2 - |t|, 0)^3 - 4 max(1 - |t|, 0)^3) / 6

Rows whose c_j are all zero are raw SVI. B ends at 2, so that far out the smile is raw SVI.
"""

from __future__ import annotations

import numpy as np

from dealer_assets.domain.columns import Floats, Ints

RAW = 5
"""The first columns are raw SVI's a, b, rho, m, sigma."""

FIRST_KNOT = 8
KNOTS = 20
COLUMNS = FIRST_KNOT + KNOTS


def total_variance(k: Floats, slice_id: Ints, params: Floats) -> tuple[Floats, Floats, Floats]:
    """Total variance and its first two derivatives in k.

    Parameters
    ----------
    k : float64 array, shape (...)
        Log-moneyness ln(K/F).
    slice_id : int64 array, same shape or broadcastable
        Row of `params`; negative gives NaN.
    params : float64 array, shape (m, COLUMNS)
        Smiles; NaN rows give NaN.

    Returns
    -------
    w, slope, bend : float64 arrays
        Of the broadcast shape. NaN k gives NaN.
    """
    from dealer_assets.domain.kernels.svi_smile import evaluate

    k, slice_id = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(slice_id, np.int64))
    flat = np.ascontiguousarray(k).reshape(-1)
    row = np.ascontiguousarray(slice_id).reshape(-1)
    out = tuple(np.empty(flat.size) for _ in range(3))
    evaluate(flat, row, np.ascontiguousarray(params), *out)
    return out[0].reshape(k.shape), out[1].reshape(k.shape), out[2].reshape(k.shape)


def at_quotes(k: Floats, first: Ints, params: Floats) -> Floats:
    """Total variance of each smile at its own quotes, ``first[i] : first[i + 1]`` of finite k."""
    from dealer_assets.domain.kernels import svi_arbitrage

    w = np.empty(k.size)
    svi_arbitrage.at_quotes(np.ascontiguousarray(params), k, first, w)
    return w


def on_grid(k: Floats, params: Floats) -> tuple[Floats, Floats, Floats]:
    """`total_variance` of each smile on its own points; k of shape (m, n)."""
    return total_variance(k, np.arange(k.shape[0])[:, None], params)


def rescaled(params: Floats, time_ratio: Floats) -> Floats:
    """Carry smiles to other times, keeping vol as a function of k / sqrt(T).

    Parameters
    ----------
    params : float64 array, shape (m, COLUMNS)
        Smiles.
    time_ratio : float64 array, shape (m,)
        c = new year fraction over old: ``w'(k) = c w(k / sqrt(c))``.

    Returns
    -------
    float64 array, shape (m, COLUMNS)
        Exact in the same columns. For c <= 1 Durrleman's g does not fall at the same k / sqrt(T).
    """
    c = time_ratio[:, None]
    root = np.sqrt(c)
    out = params.copy()
    out[:, [0]] *= c
    out[:, [1]] *= root
    out[:, 3:6] *= root
    out[:, FIRST_KNOT:] *= c
    return np.asarray(out)


def flat(total: Floats) -> Floats:
    """Smiles of constant total variance, shape (m, COLUMNS)."""
    out = np.zeros((total.size, COLUMNS))
    out[:, 0] = total
    out[:, 4:8] = (1.0, 1.0, 0.0, 1.0)
    return out

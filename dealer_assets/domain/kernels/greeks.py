"""Black-76 prices, and twelve Greeks of a contract from one exponential and one pair of fits.

Belongs here: the arithmetic of price and Greeks, in the units of `pricing.black.Greeks`. Does not
belong here: their definitions and array handling (`pricing/black.py`).

With ``a = |ln(F / K)| / s``, ``t = s / 2``, near = a - t and far = a + t, the out-of-the-money
option of the strike ends in the money with probabilities Phi(-near) and Phi(-far), whichever its
right. ``phi(far) = phi(near) min(F, K) / max(F, K)``, and with the Mills ratio Y the price is
``D min(F, K) phi(near) (Y(near) - Y(far))``: no two close numbers are subtracted, neither for
prices nor for wings. The option in the money follows by parity and by complements.
The fits come from `dealer_assets_tests/reference/make_kernel_coefficients.py`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import (
    INV_SQRT_2PI,
    MILLS,
    MILLS_SCALE,
    MILLS_SHIFT,
    exp,
    log_ratio,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

ROWS: tuple[str, ...] = ("price", "delta", "gamma", "vega", "theta", "rho")
ROWS += ("vanna", "charm", "volga", "speed", "zomma", "color")
"""Order of the rows of `all_greeks`."""

BLOCK = 256
"""Contracts a turn: seven inputs, twelve outputs and the scratch fit the first two caches."""

TINY, HUGE = 1e-100, 1e100
"""Inputs beyond give NaN: no product or ratio within can overflow."""

FARTHEST = 1e4
"""Of `a` and `t`: densities are 0 long before, and their products with what grows stay 0."""

POINT = 0.01
PER_DAY = 1.0 / 365.0
"""A test compares them with `domain.conventions`."""


@inlined
def mills_pair(near: float, far: float) -> tuple[float, float, float]:
    """``Y(near)``, ``Y(far)`` and ``(Y(near) - Y(far)) / (far - near)``, both at least -1.

    With ``Y(v) = r p(u)``, ``r = 1 / (v + 6)``, ``u = 1 - 10 r``, the last is
    ``r_near r_far (p(u_far) - 10 r_near p[u_near, u_far])``. Horner's rule gives the divided
    difference beside the value, so that no two close numbers are subtracted. Even and odd powers
    are summed apart: two chains of half the length.
    """
    both = 1.0 / ((near + MILLS_SHIFT) * (far + MILLS_SHIFT))
    r_near, r_far = both * (far + MILLS_SHIFT), both * (near + MILLS_SHIFT)
    u, v = 1.0 - MILLS_SCALE * r_near, 1.0 - MILLS_SCALE * r_far
    u2, v2 = u * u, v * v
    q, p = MILLS[0], MILLS[0] * v2 + MILLS[2]
    q, p = q * u2 + p, p * v2 + MILLS[4]
    q, p = q * u2 + p, p * v2 + MILLS[6]
    q, p = q * u2 + p, p * v2 + MILLS[8]
    q, p = q * u2 + p, p * v2 + MILLS[10]
    q, p = q * u2 + p, p * v2 + MILLS[12]
    q, p = q * u2 + p, p * v2 + MILLS[14]
    q, p = q * u2 + p, p * v2 + MILLS[16]
    q, p = q * u2 + p, p * v2 + MILLS[18]
    q, p = q * u2 + p, p * v2 + MILLS[20]
    q, p = q * u2 + p, p * v2 + MILLS[22]
    q, p = q * u2 + p, p * v2 + MILLS[24]
    b, a = MILLS[1], MILLS[1] * v2 + MILLS[3]
    b, a = b * u2 + a, a * v2 + MILLS[5]
    b, a = b * u2 + a, a * v2 + MILLS[7]
    b, a = b * u2 + a, a * v2 + MILLS[9]
    b, a = b * u2 + a, a * v2 + MILLS[11]
    b, a = b * u2 + a, a * v2 + MILLS[13]
    b, a = b * u2 + a, a * v2 + MILLS[15]
    b, a = b * u2 + a, a * v2 + MILLS[17]
    b, a = b * u2 + a, a * v2 + MILLS[19]
    b, a = b * u2 + a, a * v2 + MILLS[21]
    b, a = b * u2 + a, a * v2 + MILLS[23]
    divided = (u + v) * (q + u * b) + a
    value = p + v * a
    value_near = value + (u - v) * divided
    slope = both * (value - MILLS_SCALE * divided * r_near)
    return r_near * value_near, r_far * value, slope


@inlined
def out_of_the_money(a: float, t: float, ratio: float) -> tuple[float, float, float, float, float]:
    """Probabilities and price of the out-of-the-money option; `ratio` is min(F, K) / max(F, K).

    Returns ``phi(near)``, ``Phi(-near)``, ``Phi(near)``, ``Phi(-far)`` and the undiscounted price
    over min(F, K). Below near = -1 the fit does not reach and is used at -near.
    """
    near, far = a - t, a + t
    is_fit = near > -1.0
    y_near, y_far, slope = mills_pair(near if is_fit else -near, far)
    density = INV_SQRT_2PI * exp(-0.5 * near * near)
    tail = density * y_near
    likely = tail if is_fit else 1.0 - tail
    unlikely = 1.0 - tail if is_fit else tail
    price = 2.0 * t * density * slope if is_fit else 1.0 - density * (y_near + y_far)
    return density, likely, unlikely, density * ratio * y_far, price


@inlined
def prepare_all(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats,
    a: Floats, t: Floats, ratio: Floats, carry: Floats, rate: Floats,
) -> None:  # fmt: skip
    """First pass over a block: ``ln(F / S)`` and ``-ln(D)`` too. A bad contract's `t` is NaN."""
    for i in range(F.shape[0]):
        f, k, years, vol = F[i], K[i], T[i], sigma[i]
        ok = (f > TINY) & (f < HUGE) & (k > TINY) & (k < HUGE) & (S[i] > TINY) & (S[i] < HUGE)
        ok &= (D[i] > TINY) & (D[i] < HUGE) & (years > TINY) & (years < HUGE)
        ok &= (vol > TINY) & (vol < HUGE)
        s = vol * math.sqrt(years) if ok else np.nan
        away, half = abs(log_ratio(f, k)) / s, 0.5 * s
        a[i] = FARTHEST if away > FARTHEST else away
        t[i] = FARTHEST if half > FARTHEST else half
        ratio[i] = min(f, k) / max(f, k)
        carry[i] = log_ratio(f, S[i])
        rate[i] = -log_ratio(D[i], 1.0)


@inlined
def probabilities_all(
    a: Floats, t: Floats, ratio: Floats,
    density: Floats, likely: Floats, unlikely: Floats, rare: Floats, otm: Floats,
) -> None:  # fmt: skip
    """Second pass."""
    for i in range(a.shape[0]):
        density[i], likely[i], unlikely[i], rare[i], otm[i] = out_of_the_money(a[i], t[i], ratio[i])


@inlined
def first_order_all(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Flags,
    carry: Floats, rate: Floats,
    density: Floats, likely: Floats, unlikely: Floats, rare: Floats, otm: Floats,
    price: Floats, delta: Floats, theta: Floats, rho: Floats,
) -> None:  # fmt: skip
    """Third pass: what differs between call and put."""
    for i in range(F.shape[0]):
        f, k = F[i], K[i]
        up = f <= k  # the call is out of the money
        is_otm = up == (is_call[i] != 0)
        w = 1.0 if is_call[i] != 0 else -1.0
        near = likely[i] if is_otm else unlikely[i]
        far = rare[i] if is_otm else 1.0 - rare[i]
        n1 = near if up else far
        n2 = far if up else near
        intrinsic = 0.0 if is_otm else abs(f - k)
        least = f if up else k
        price[i] = D[i] * (least * otm[i] + intrinsic)
        share, debt = D[i] * f * n1, D[i] * k * n2
        delta[i] = w * share / S[i]
        rho[i] = w * T[i] * debt * POINT
        decay = 0.5 * D[i] * least * density[i] * sigma[i] * math.sqrt(T[i])
        grown = (carry[i] - rate[i]) * share + rate[i] * debt
        theta[i] = -(decay + w * grown) / T[i] * PER_DAY


@inlined
def second_order_all(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats,
    a: Floats, t: Floats, carry: Floats, rate: Floats, density: Floats, delta: Floats,
    gamma: Floats, vega: Floats, vanna: Floats, charm: Floats, volga: Floats,
    speed: Floats, zomma: Floats, color: Floats,
) -> None:  # fmt: skip
    """Fourth pass: what follows from the density."""
    for i in range(F.shape[0]):
        up = F[i] <= K[i]
        near, far = a[i] - t[i], a[i] + t[i]
        d1 = -near if up else far
        d2 = -far if up else near
        root = math.sqrt(T[i])
        per_s = 1.0 / (sigma[i] * root)
        per_vol = root * per_s * POINT
        per_spot = 1.0 / S[i]
        per_year = PER_DAY / T[i]
        mass = D[i] * (F[i] if up else K[i]) * density[i]
        change = mass * per_spot
        g = change * (per_spot * per_s)
        v = mass * root * POINT
        drift = 2.0 * carry[i] * per_s - d2
        gamma[i] = g
        vega[i] = v
        vanna[i] = -change * d2 * per_vol
        volga[i] = v * d1 * d2 * per_vol
        charm[i] = -(0.5 * change * drift + (carry[i] - rate[i]) * delta[i]) * per_year
        speed[i] = -g * (d1 * per_s + 1.0) * per_spot
        zomma[i] = g * (d1 * d2 - 1.0) * per_vol
        color[i] = g * (rate[i] - carry[i] + 0.5 * (1.0 + d1 * drift)) * per_year


@kernel
def all_greeks(
    F: Floats, K: Floats, S: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Flags,
    out: Floats,
) -> None:  # fmt: skip
    """Fill the rows of `out`, shape (12, n), in the order of `ROWS`; all arrays contiguous."""
    n = F.size
    scratch = np.empty((10, BLOCK))
    for block in range((n + BLOCK - 1) // BLOCK):
        b = block * BLOCK
        e = min(n, b + BLOCK)
        w = e - b
        a, t, ratio = scratch[0][:w], scratch[1][:w], scratch[2][:w]
        carry, rate, density = scratch[3][:w], scratch[4][:w], scratch[5][:w]
        likely, unlikely = scratch[6][:w], scratch[7][:w]
        rare, otm = scratch[8][:w], scratch[9][:w]
        prepare_all(F[b:e], K[b:e], S[b:e], T[b:e], sigma[b:e], D[b:e], a, t, ratio, carry, rate)
        probabilities_all(a, t, ratio, density, likely, unlikely, rare, otm)
        first_order_all(
            F[b:e], K[b:e], S[b:e], T[b:e], sigma[b:e], D[b:e], is_call[b:e], carry, rate,
            density, likely, unlikely, rare, otm,
            out[0][b:e], out[1][b:e], out[4][b:e], out[5][b:e],
        )  # fmt: skip
        second_order_all(
            F[b:e], K[b:e], S[b:e], T[b:e], sigma[b:e], D[b:e], a, t, carry, rate, density,
            out[1][b:e], out[2][b:e], out[3][b:e], out[6][b:e], out[7][b:e], out[8][b:e],
            out[9][b:e], out[10][b:e], out[11][b:e],
        )  # fmt: skip


@kernel
def prices(
    F: Floats, K: Floats, T: Floats, sigma: Floats, D: Floats, is_call: Flags, out: Floats
) -> None:
    """Fill `out` with prices; discounted intrinsic value without time or vol, or at a zero price.

    NaN where an input is NaN or infinite, or a price, the vol or the discount factor negative.
    """
    for i in range(F.size):
        f, k, vol, discount = F[i], K[i], sigma[i], D[i]
        least, most = min(f, k), max(f, k)
        s = vol * math.sqrt(T[i]) if T[i] > 0.0 else 0.0
        alive = (s > 0.0) & (least > TINY)
        away, half = abs(log_ratio(f, k)) / s, 0.5 * s
        away = FARTHEST if away > FARTHEST else away
        half = FARTHEST if half > FARTHEST else half
        otm = out_of_the_money(away, half, least / most)[4]
        intrinsic = 0.0 if (f <= k) == (is_call[i] != 0) else most - least
        value = discount * (intrinsic + (least * otm if alive else 0.0))
        finite = f + k + T[i] + vol + discount
        ok = (f >= 0.0) & (k >= 0.0) & (vol >= 0.0) & (discount >= 0.0) & (finite - finite == 0.0)
        out[i] = value if ok else np.nan


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    ones = np.ones(1)
    calls = np.ones(1, np.uint8)
    all_greeks(ones, ones, ones, ones, ones, ones, calls, np.empty((12, 1)))
    prices(ones, ones, ones, ones, ones, calls, np.empty(1))

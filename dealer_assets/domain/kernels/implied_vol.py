"""Implied vol of Black-76 prices: one guess and one fourth-order step for all, a bracket for few.

Belongs here: the arithmetic of inverting a price, and the code of the reason where there is no vol.
Does not belong here: the vocabulary of reasons and array handling (`pricing/implied_vol.py`).

The time value of the out-of-the-money option of the strike is normalised,
``beta = (price / D - intrinsic) / sqrt(F K)``, and ``ln b(x, s) = ln beta`` is solved for the total
vol ``s = sigma sqrt(T)``, with ``x = |ln(F / K)|``, ``h = x / s``, ``t = s / 2`` and

    b = phi(h) exp(-t**2 / 2) (Y(h - t) - Y(h + t)),     Y(v) = Phi(-v) / phi(v), the Mills ratio.

The guess inverts Bachelier's price, where ``x / s`` depends on the one number ``|F - K| / time
value``, and corrects it for Black's. One step of Householder's third order follows. It proves
itself where it is short: what is left is of its fourth power. Contracts whose step is longer, and
all without a vol, take the scalar path, which also finds the reason.
The normalisation is Jäckel's (Let's Be Rational, 2015). The fits come from
`dealer_assets_tests/reference/make_kernel_coefficients.py`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import (
    INV_SQRT_2,
    MILLS,
    MILLS_SCALE,
    MILLS_SHIFT,
    SQRT_2PI,
    SQRT_HALF_PI,
    erfcx,
    log_ratio,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]
Codes = NDArray[np.int8]

OK, BELOW_INTRINSIC, ABOVE_BOUND, ZERO_TIME, BAD_INPUT = 0, 1, 2, 6, 7
"""Values of `pricing.implied_vol.IvReason`, which a test compares."""

BLOCK = 512
"""Contracts a turn: inputs, outputs and scratch of one turn fit the first cache (32 KiB)."""

TINY, HUGE = 1e-100, 1e100
"""Inputs beyond take the scalar path: products and ratios of the vector path cannot overflow."""

SMALLEST_NORMAL, SMALLEST_NUMBER = 2.2250738585072014e-308, 5e-324

LARGEST_STEP = 2e-3
"""Of s, for `householder`'s size; what the step leaves is then about 3e-14 of s."""

SETTLED_STEP = 1e-5
"""The same for the scalar path, where one step more costs nothing."""

LEAST_NEAR = -1.0
"""The Mills fit begins there, at d1 = 1."""

LARGEST_TOTAL_VOL = 200.0
"""The smallest double gap to the bound, at the largest ratio of two doubles, is at s = 130."""

LOWER_SLACK = 1.0 - 1e-9
"""The lower bound of s is attained at the money; rounding must not put it above the root."""

FARTHEST = 1e4
"""Of h: the price there is below e**-(1e7), no double."""

MAX_STEPS = 100

GUESS_CENTRE, GUESS_SLOPE = 16.0, 0.125
GUESS = (
    -0.030035737766877027,
    -0.01611966516034677,
    0.09733129958849082,
    -0.0227458016295818,
    -0.11300525763946191,
    0.15067511859253743,
    -0.1591392654450273,
    0.11702412777220667,
    -0.04767564615436471,
    2.0252410750598573,
)
"""``z / (h sqrt(1 + z / 8))`` of Bachelier's price in powers of ``(z - 16) / (z + 16)``."""

CORRECTION = (
    0.04194156820277699,
    0.0033020034354290964,
    0.0005481411648002221,
    -0.0003961953914922789,
)
"""Black's total vol over Bachelier's, less 1, in ``q, q**2, q**3, q x**2``, q = Bachelier's**2."""


@inlined
def mills_difference(near: float, far: float, apart: float) -> float:
    """``Y(near) - Y(far)`` for near >= -1 and ``apart = far - near`` > 0, to 1e-14 for any gap.

    With ``Y(v) = r p(u)``, ``r = 1 / (v + 6)``, ``u = 1 - 10 r``, the difference is
    ``r_near r_far apart (p(u_far) - 10 r_near p[u_near, u_far])``. Horner's rule gives the divided
    difference beside the value, so that no two close numbers are subtracted. Even and odd powers
    are summed apart: two chains of half the length.
    """
    both = 1.0 / ((near + MILLS_SHIFT) * (far + MILLS_SHIFT))
    r = both * (far + MILLS_SHIFT)
    u = 1.0 - MILLS_SCALE * r
    v = 1.0 - MILLS_SCALE * (both * (near + MILLS_SHIFT))
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
    return apart * both * (p + v * a - MILLS_SCALE * divided * r)


@inlined
def normalised(
    price: float, F: float, K: float, D: float, is_call: int
) -> tuple[float, float, float]:
    """Log-moneyness x, undiscounted time value, and the latter over ``sqrt(F K)``."""
    gap = F - K
    intrinsic = abs(gap) if (gap > 0.0) == (is_call != 0) else 0.0
    time_value = price / D - intrinsic
    return abs(log_ratio(F, K)), time_value, time_value / math.sqrt(F * K)


@inlined
def first_guess(x: float, gap: float, time_value: float, beta: float) -> float:
    """Total vol within 2e-4 up to s = 1; `gap` is |F - K|."""
    z = log_ratio(time_value + gap, time_value)
    # At the money the gap drowns in the sum, and x / z tends to beta
    scale = x / z if gap > 1e-5 * time_value else beta
    u = (z - GUESS_CENTRE) / (z + GUESS_CENTRE)
    w = u * u
    odd = GUESS[0] * w + GUESS[2]
    odd = odd * w + GUESS[4]
    odd = odd * w + GUESS[6]
    odd = odd * w + GUESS[8]
    even = GUESS[1] * w + GUESS[3]
    even = even * w + GUESS[5]
    even = even * w + GUESS[7]
    even = even * w + GUESS[9]
    bachelier = scale * math.sqrt(1.0 + GUESS_SLOPE * z) * (even + u * odd)
    q = bachelier * bachelier
    more = CORRECTION[0] + CORRECTION[3] * x * x + q * (CORRECTION[1] + q * CORRECTION[2])
    return bachelier * (1.0 + q * more)


@inlined
def householder(error: float, mills: float, h: float, s: float) -> tuple[float, float]:
    """Step of third order on ``ln b``, and a bound of its size.

    `error` is ``ln beta - ln b``, `mills` is ``b / b'``. The step alone proves nothing: as a
    rational function of a large error it is small again. Newton's step, and what the curvature
    takes from it, are small near the root only.
    """
    slope = mills * h * h / s
    a = slope - 0.25 * mills * s  # b b'' / b'**2
    third = a * a - mills * (3.0 * slope / s + 0.25 * mills)
    newton = error * mills
    first = error * (a - 1.0)
    second = error * error * (third - 3.0 * a + 2.0)
    step = newton * (1.0 + 0.5 * first) / (1.0 + first + second * (1.0 / 6.0))
    return step, abs(newton) + abs(first) * s


@inlined
def stepped(x: float, beta: float, guess: float, mills: float) -> float:
    """Total vol after one step from the guess; NaN where the step does not prove itself."""
    h = x / guess
    t = 0.5 * guess
    error = log_ratio(beta * SQRT_2PI, mills) + 0.5 * (h * h + t * t)
    step, size = householder(error, mills, h, guess)
    proven = (guess > 0.0) & (h - t > LEAST_NEAR) & (size < LARGEST_STEP * guess)
    return guess + step if proven else np.nan


@inlined
def in_range(F: float, K: float, T: float, D: float, time_value: float) -> bool:
    """Whether no product or ratio of the vector path can overflow or underflow."""
    ok = (F > TINY) & (F < HUGE) & (K > TINY) & (K < HUGE)
    ok &= (D > TINY) & (D < HUGE) & (T > TINY) & (T < HUGE)
    return ok & (time_value > TINY)


@inlined
def below_bend(x: float, beta_log: float, low: float, high: float, guess: float) -> float:
    """Solve ``ln b(x, s) = ln beta`` in a bracket where d1 <= 1; NaN if it does not settle."""
    s = guess if (guess > low) & (guess < high) else math.sqrt(low) * math.sqrt(high)
    for _ in range(MAX_STEPS):
        h, t = x / s, 0.5 * s
        new = np.nan
        if h > FARTHEST:
            low = s
        else:
            mills = mills_difference(h - t, h + t, s)
            error = beta_log - math.log(mills / SQRT_2PI) + 0.5 * (h * h + t * t)
            if error > 0.0:
                low = s
            else:
                high = s
            step, size = householder(error, mills, h, s)
            new = s + step
            if size <= SETTLED_STEP * s:
                return new
        s = new if (new > low) & (new < high) else math.sqrt(low) * math.sqrt(high)
    return np.nan


@inlined
def above_bend(x: float, room_log: float, low: float) -> float:
    """Solve for the distance to the bound, ``ln(exp(-x / 2) - b)``, where d1 >= 1.

    It is concave and falls: Newton's step from the right never passes the root.
    """
    high = LARGEST_TOTAL_VOL
    s = low
    for _ in range(MAX_STEPS):
        h, t = x / s, 0.5 * s
        sum_of_mills = SQRT_HALF_PI * (erfcx((t - h) * INV_SQRT_2) + erfcx((t + h) * INV_SQRT_2))
        error = math.log(sum_of_mills / SQRT_2PI) - 0.5 * (h * h + t * t) - room_log
        if error > 0.0:
            low = s
        else:
            high = s
        new = s + error * sum_of_mills
        if abs(new - s) <= SETTLED_STEP * SETTLED_STEP * s:
            return new
        s = new if (new >= low) & (new <= high) else 0.5 * (low + high)
    return np.nan


@inlined
def log_quotient(value: float, first: float, second: float) -> float:
    """``ln(value / (first second))``, also where the quotient is no normal double."""
    quotient = value / first / second
    if quotient > SMALLEST_NORMAL:
        return math.log(quotient)
    return math.log(value) - math.log(first) - math.log(second)


@inlined
def far_log_ratio(F: float, K: float) -> float:
    """``|ln(F / K)|`` of any positive doubles."""
    least, most = min(F, K), max(F, K)
    if most - least < 0.5 * least:
        return math.log1p((most - least) / least)
    if most < least * HUGE:
        return math.log(most / least)
    return math.log(most) - math.log(least)


@inlined
def total_vol(F: float, K: float, time_value: float, room: float) -> float:
    """Total vol of a time value and its room to the bound, any positive doubles; NaN if lost."""
    x = far_log_ratio(F, K)
    # By the smaller root first: no quotient on the way is below the last one
    small, large = math.sqrt(min(F, K)), math.sqrt(max(F, K))
    beta_log = log_quotient(time_value, small, large)
    bend = 1.0 + math.sqrt(1.0 + 2.0 * x)  # where d1 = 1
    h, t = x / bend, 0.5 * bend
    mills = mills_difference(h - t, h + t, bend)
    if beta_log > math.log(mills / SQRT_2PI) - 0.5 * (h * h + t * t):
        return above_bend(x, log_quotient(room, small, large), bend)
    beta = time_value / small / large
    # b' is nowhere above 1 / sqrt(2 pi), hence the lower end
    low = max(LOWER_SLACK * SQRT_2PI * beta, SMALLEST_NUMBER)
    return below_bend(x, beta_log, low, bend, first_guess(x, abs(F - K), time_value, beta))


@inlined
def is_usable(price: float, F: float, K: float, T: float, D: float) -> bool:
    """Whether all are finite, the price not negative, and F, K and D positive."""
    finite = math.isfinite(price) & math.isfinite(F) & math.isfinite(K)
    finite &= math.isfinite(T) & math.isfinite(D)
    return finite & (price >= 0.0) & (F > 0.0) & (K > 0.0) & (D > 0.0)


@inlined
def vol_with_care(
    price: float, F: float, K: float, T: float, D: float, is_call: int
) -> tuple[float, int]:
    """Vol and reason of any numbers at all."""
    if not is_usable(price, F, K, T, D):
        return np.nan, BAD_INPUT
    if T <= 0.0:
        return np.nan, ZERO_TIME
    gap = F - K
    undiscounted = price / D
    if undiscounted < SMALLEST_NORMAL and abs(undiscounted * D - price) > 1e-12 * price:
        return np.nan, BAD_INPUT  # the discount factor shifts the price's digits out of a double
    time_value = undiscounted - (abs(gap) if (gap > 0.0) == (is_call != 0) else 0.0)
    if time_value <= 0.0:
        return np.nan, BELOW_INTRINSIC
    room = (F if is_call != 0 else K) - undiscounted
    if room <= 0.0 or time_value >= min(F, K):
        return np.nan, ABOVE_BOUND
    vol = total_vol(F, K, time_value, room) / math.sqrt(T)
    if not vol >= SMALLEST_NORMAL:
        return np.nan, BELOW_INTRINSIC  # a vol too small for a double
    return vol, OK


@inlined
def normalise_all(
    price: Floats, F: Floats, K: Floats, D: Floats, is_call: Flags,
    x: Floats, time_value: Floats, beta: Floats,
) -> None:  # fmt: skip
    """First pass over a block. Four short loops overlap in the processor better than one long."""
    for i in range(price.shape[0]):
        x[i], time_value[i], beta[i] = normalised(price[i], F[i], K[i], D[i], is_call[i])


@inlined
def guess_all(
    F: Floats, K: Floats, x: Floats, time_value: Floats, beta: Floats, guess: Floats
) -> None:
    """Second pass."""
    for i in range(x.shape[0]):
        guess[i] = first_guess(x[i], abs(F[i] - K[i]), time_value[i], beta[i])


@inlined
def mills_all(x: Floats, guess: Floats, mills: Floats) -> None:
    """Third pass."""
    for i in range(x.shape[0]):
        h, t = x[i] / guess[i], 0.5 * guess[i]
        mills[i] = mills_difference(h - t, h + t, guess[i])


@inlined
def step_all(
    F: Floats, K: Floats, T: Floats, D: Floats, x: Floats, time_value: Floats, beta: Floats,
    guess: Floats, mills: Floats, vol: Floats,
) -> None:  # fmt: skip
    """Fourth pass: vols, NaN where one is not proven."""
    for i in range(x.shape[0]):
        s = stepped(x[i], beta[i], guess[i], mills[i])
        ok = in_range(F[i], K[i], T[i], D[i], time_value[i])
        vol[i] = s / math.sqrt(T[i]) if ok else np.nan


@inlined
def any_nan(values: Floats) -> bool:
    """Whether a block has a NaN; a vector loop, three times as fast as a branch for each."""
    found = 0
    for i in range(values.shape[0]):
        found |= 0 if values[i] == values[i] else 1
    return found != 0


@kernel
def implied_vols(
    price: Floats, F: Floats, K: Floats, T: Floats, D: Floats, is_call: Flags,
    vol: Floats, reason: Codes,
) -> None:  # fmt: skip
    """Fill `vol` and `reason`; all contiguous and of shape (n,), none overlapping another."""
    n = price.size
    scratch = np.empty((5, BLOCK))
    reason[:] = OK
    for block in range((n + BLOCK - 1) // BLOCK):
        a = block * BLOCK
        b = min(n, a + BLOCK)
        x, time_value, beta = scratch[0][: b - a], scratch[1][: b - a], scratch[2][: b - a]
        guess, mills = scratch[3][: b - a], scratch[4][: b - a]
        normalise_all(price[a:b], F[a:b], K[a:b], D[a:b], is_call[a:b], x, time_value, beta)
        guess_all(F[a:b], K[a:b], x, time_value, beta, guess)
        mills_all(x, guess, mills)
        step_all(F[a:b], K[a:b], T[a:b], D[a:b], x, time_value, beta, guess, mills, vol[a:b])
        if any_nan(vol[a:b]):
            for i in range(a, b):
                if vol[i] != vol[i]:
                    vol[i], reason[i] = vol_with_care(price[i], F[i], K[i], T[i], D[i], is_call[i])


@kernel
def implied_vol_of(
    price: float, F: float, K: float, T: float, D: float, is_call: bool
) -> tuple[float, int]:
    """Vol and reason of one contract, for streams; from Python pass floats and a bool."""
    x, time_value, beta = normalised(price, F, K, D, is_call)
    guess = first_guess(x, abs(F - K), time_value, beta)
    h, t = x / guess, 0.5 * guess
    s = stepped(x, beta, guess, mills_difference(h - t, h + t, guess))
    if in_range(F, K, T, D, time_value) and s == s:
        return s / math.sqrt(T), OK
    return vol_with_care(price, F, K, T, D, is_call)


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    ones = np.ones(1)
    calls, vol, reason = np.ones(1, np.uint8), np.empty(1), np.empty(1, np.int8)
    implied_vols(0.1 * ones, ones, ones, ones, ones, calls, vol, reason)
    implied_vol_of(0.1, 1.0, 1.0, 1.0, 1.0, True)

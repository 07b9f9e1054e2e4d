"""exp, log, erfcx and the normal distribution, written so that LLVM vectorises loops around them.

Belongs here: branch-free float64 functions of one number that several kernels inline. Does not
belong here: anything that knows what an option is.

numba calls the C library for ``math.exp`` and the like, one number at a time; a loop with such a
call is never vectorised. These are polynomials with selects instead of branches: four numbers at a
time on AVX2, eight on AVX-512. Accuracy and ranges are in each docstring and tested against mpmath.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from dealer_assets.domain.kernels.compilation import inlined

LOG2_E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
"""ln 2 in two parts: the first has 21 trailing zero bits, so that k LN2_HIGH is exact."""

ROUNDER = 6755399441055744.0
"""1.5 x 2**52: adding it leaves the nearest integer in the low bits of the sum."""

SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
"""Bits of sqrt(1/2): the significand of `log`'s argument is brought into [sqrt(1/2), sqrt(2))."""

HALF_SIGNIFICAND = 1 << 51
EXPONENT_BITS = -(1 << 52)
SIGN_BIT = -(1 << 63)
LOW_12_BITS = 0xFFF
INTEGER_BITS = 0x4330000000000000
INTEGER_OFFSET = 2.0**52 + 2048.0
"""A 12-bit integer k under the exponent of 2**52 is the number 2**52 + k."""

INV_SQRT_2 = 0.7071067811865476
INV_SQRT_2PI = 0.3989422804014327
SQRT_HALF_PI = 1.2533141373155003
SQRT_2PI = 2.5066282746310002

MILLS_SHIFT, MILLS_SCALE = 6.0, 10.0
MILLS = (
    -1.872209721137918e-08,
    -1.498901370479319e-08,
    2.1634854144753738e-07,
    1.5976058331276723e-07,
    -1.4916683889898731e-06,
    -8.188191227817769e-07,
    8.90147817244251e-06,
    9.523307285063786e-07,
    -5.19465383795299e-05,
    3.686300702968798e-05,
    0.00027807459271094316,
    -0.0006035061585296957,
    -0.0008512282336770565,
    0.005908326133280458,
    -0.008182489208396152,
    -0.02183209851493148,
    0.14697144234118367,
    -0.4492839086389917,
    0.9819817194900038,
    -1.7079824834876582,
    2.4722675949941513,
    -3.046349994442482,
    3.233684925249805,
    -2.9725230054401286,
    2.3665238291356068,
)
"""``(v + 6) Y(v)`` for v >= -1 in powers of ``1 - 10 / (v + 6)``, the highest first."""


@intrinsic  # type: ignore[untyped-decorator]
def bits_of(context: Any, number: Any) -> Any:
    """Reinterpret a float64 as its 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def number_of(context: Any, bits: Any) -> Any:
    """Reinterpret 64 bits as a float64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


@inlined
def exp(x: float) -> float:
    """e**x to 1 ulp for -708 < x <= 709; 0 below, e**709 above, NaN for NaN.

    ``x = k ln 2 + r`` with ``|r| <= ln(2) / 2``; e**r by its Taylor polynomial of degree 13, whose
    remainder there is 4e-18; 2**k by adding k to the exponent bits.
    """
    bounded = x if x > -708.0 else -708.0
    bounded = bounded if bounded < 709.0 else 709.0
    shifted = bounded * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    r = (bounded - k * LN2_HIGH) - k * LN2_LOW
    p = 1.6059043836821613e-10
    p = p * r + 2.0876756987868100e-09
    p = p * r + 2.5052108385441720e-08
    p = p * r + 2.7557319223985893e-07
    p = p * r + 2.7557319223985888e-06
    p = p * r + 2.4801587301587302e-05
    p = p * r + 1.9841269841269841e-04
    p = p * r + 1.3888888888888889e-03
    p = p * r + 8.3333333333333332e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    value: float = number_of(bits_of(p) + (bits_of(shifted) << 52))
    value = value if x > -708.0 else 0.0
    return value if x == x else x  # a select: NaN in, NaN out


@inlined
def log(x: float) -> float:
    """Natural logarithm to 1 ulp of a normal positive x; meaningless for any other.

    ``x = 2**k m`` with m in [sqrt(1/2), sqrt(2)); ln m from the series of atanh in
    ``s = (m - 1) / (m + 1)``, with the coefficients Sun's fdlibm (1993) publishes for it.
    """
    bits: int = bits_of(x)
    k = (bits - SQRT_HALF_BITS) >> 52
    m: float = number_of(bits - (k << 52))
    scale = float(k)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    p = p * z
    half_square = 0.5 * f * f
    return scale * LN2_HIGH - ((half_square - (s * (half_square + p) + scale * LN2_LOW)) - f)


@inlined
def log_ratio(F: float, K: float) -> float:
    """``ln(F / K)`` of normal positive numbers; keeps its digits where F is next to K.

    The power of two nearest the ratio comes off in the exponent bits, without rounding; the rest is
    the series of `elementary.log` in ``(F - K) / (F + K)``, whose numerator is then exact.
    """
    apart: int = bits_of(F) - bits_of(K) + HALF_SIGNIFICAND
    power = ((apart + SIGN_BIT) >> 52) & LOW_12_BITS
    k: float = number_of(power | INTEGER_BITS) - INTEGER_OFFSET
    near_F: float = number_of(bits_of(F) - (apart & EXPONENT_BITS))
    s = (near_F - K) / (near_F + K)
    z = s * s
    w = z * z
    odd = 1.531383769920937332e-01
    odd = odd * w + 2.222219843214978396e-01
    odd = odd * w + 3.999999999940941908e-01
    even = 1.479819860511658591e-01
    even = even * w + 1.818357216161805012e-01
    even = even * w + 2.857142874366239149e-01
    even = even * w + 6.666666666666735130e-01
    return k * LN2_HIGH + (2.0 * s + (s * (z * (even + z * odd)) + k * LN2_LOW))


@inlined
def erfcx(z: float) -> float:
    """exp(z**2) erfc(z) for z >= 0, relative error below 1e-15.

    ``(1 + 2 z) erfcx(z)`` is smooth and bounded on the half line: a polynomial of degree 22 in
    ``(z - 3.75) / (z + 3.75)``, the truncated Chebyshev series that
    `dealer_assets_tests/reference/make_kernel_coefficients.py` computes with mpmath.
    """
    u = (z - 3.75) / (z + 3.75)
    p = -2.623107347133476e-09
    p = p * u - 1.9551358868985616e-09
    p = p * u + 3.197926671666804e-08
    p = p * u + 1.879082322370048e-08
    p = p * u - 2.4857126248016745e-07
    p = p * u - 5.084465378687302e-08
    p = p * u + 1.7419821586224816e-06
    p = p * u - 9.792625707303523e-07
    p = p * u - 1.1438048033346894e-05
    p = p * u + 2.2387565714911816e-05
    p = p * u + 5.164652974177416e-05
    p = p * u - 0.00029015535246077655
    p = p * u + 0.000293714378044958
    p = p * u + 0.0017556261651970652
    p = p * u - 0.009746579683265262
    p = p * u + 0.02836227737211114
    p = p * u - 0.05869339857664934
    p = p * u + 0.09230432116428125
    p = p * u - 0.10880393014244462
    p = p * u + 0.08227673848999506
    p = p * u + 0.0035854154854790257
    p = p * u - 0.14024059858554525
    p = p * u + 1.2375126308378275
    return p / (1.0 + 2.0 * z)


@inlined
def normal_density(x: float) -> float:
    """phi(x), to the accuracy of `exp`."""
    return INV_SQRT_2PI * exp(-0.5 * x * x)


@inlined
def normal_tail(x: float) -> float:
    """Phi(-|x|), with full relative accuracy until it underflows at |x| = 37.6."""
    a = abs(x)
    return 0.5 * exp(-0.5 * x * x) * erfcx(a * INV_SQRT_2)


@inlined
def normal_cdf(x: float) -> float:
    """Phi(x), with relative accuracy in the left tail."""
    tail = normal_tail(x)
    return tail if x < 0.0 else 1.0 - tail

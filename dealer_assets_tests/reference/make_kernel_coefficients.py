"""Derive the polynomials of `dealer_assets/domain/kernels` with mpmath and print them.

Nothing is written: whoever changes a fit pastes the printed tuple into the kernel.
`dealer_assets_tests/domain/test_kernels_elementary.py` derives them anew and compares, so that no
constant in the source is of unknown origin.
"""

import mpmath as mp

DIGITS = 50
NODES = 80
"""Points of the discrete Chebyshev sums: the coefficients past the 40th are below 1e-20."""

ERFCX_CENTRE, ERFCX_DEGREE = 3.75, 22
MILLS_SHIFT, MILLS_SCALE, MILLS_DEGREE = 6, 10, 24
GUESS_CENTRE, GUESS_SLOPE, GUESS_DEGREE = 16, mp.mpf(1) / 8, 9
GUESS_LARGEST = 720
"""ln(1 + w/beta) of the smallest double that is not subnormal is 708."""

CORRECTION_TOTAL_VOLS = [mp.mpf(i) / 10 for i in range(1, 15)]
CORRECTION_LOG_MONEYNESS = [mp.mpf(i) / 10 for i in range(1, 31, 2)]
CORRECTION_NEAREST = -1
"""The correction is fitted where the kernel uses it: d1 at most 1."""


def mills(v):
    """Mills ratio of the normal distribution, (1 - Phi(v)) / phi(v)."""
    if v < 300:
        return mp.sqrt(mp.pi / 2) * mp.exp(v * v / 2) * mp.erfc(v / mp.sqrt(2))
    return mp.fsum((-1) ** k * mp.fac2(2 * k - 1) / v ** (2 * k + 1) for k in range(12))


def chebyshev(function, degree, lowest=-1, highest=1, nodes=NODES):
    """Coefficients of a truncated Chebyshev series over [lowest, highest], as a polynomial's.

    From the highest power down, in the function's own argument.
    """
    middle, half = mp.mpf(highest + lowest) / 2, mp.mpf(highest - lowest) / 2
    angles = [mp.pi * (2 * i + 1) / (2 * nodes) for i in range(nodes)]
    values = [function(middle + half * mp.cos(angle)) for angle in angles]
    series = [
        2 * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / nodes
        for j in range(degree + 1)
    ]
    series[0] /= 2
    return _powers(series, middle, half)


def _powers(series, middle, half):
    """Clenshaw's recurrence carried out on polynomials, from the lowest power up, then reversed."""
    argument = [-middle / half, 1 / half]
    later, latest = [mp.mpf(0)], [mp.mpf(0)]
    for coefficient in reversed(series[1:]):
        doubled = _times([2 * c for c in argument], latest)
        later, latest = latest, _plus(_plus(doubled, [-c for c in later]), [coefficient])
    first = _plus(_times(argument, latest), [-c for c in later])
    found = _plus(first, [series[0]])[: len(series)]
    return list(reversed(found))


def _times(left, right):
    product = [mp.mpf(0)] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] += a * b
    return product


def _plus(left, right):
    size = max(len(left), len(right))
    padded = [[*side, *([mp.mpf(0)] * (size - len(side)))] for side in (left, right)]
    return [a + b for a, b in zip(*padded, strict=True)]


def erfcx_coefficients():
    """``(1 + 2 z) erfcx(z)`` in ``u = (z - centre) / (z + centre)`` over the half line."""
    centre = mp.mpf(ERFCX_CENTRE)

    def scaled(u):
        z = centre * (1 + u) / (1 - u)
        return (1 + 2 * z) * mp.sqrt(2 / mp.pi) * mills(mp.sqrt(2) * z)

    return chebyshev(scaled, ERFCX_DEGREE)


def mills_coefficients():
    """``(v + shift) mills(v)`` in ``u = 1 - scale / (v + shift)`` over v >= -1."""

    def scaled(u):
        distance = MILLS_SCALE / (1 - u)
        return distance * mills(distance - MILLS_SHIFT)

    return chebyshev(scaled, MILLS_DEGREE)


def log_time_value(h):
    """``ln(phi(h) / h - Phi(-h))``: Bachelier's price over the distance to the strike."""
    return -h * h / 2 - mp.log(2 * mp.pi) / 2 + mp.log(1 / h - mills(h))


def deviations_of(z):
    """The distance h, in total vols, at which ``ln(1 + 1 / time value)`` is z."""
    target = -mp.log(mp.expm1(z))
    low, high = mp.mpf(10) ** -12, mp.mpf(60)
    return mp.findroot(lambda h: log_time_value(h) - target, (low, high), solver="anderson")


def guess_coefficients():
    """``z / (h sqrt(1 + slope z))`` in ``u = (z - centre) / (z + centre)``, interpolated."""

    def smooth(u):
        z = GUESS_CENTRE * (1 + u) / (1 - u)
        return z / (deviations_of(z) * mp.sqrt(1 + GUESS_SLOPE * z))

    highest = mp.mpf(GUESS_LARGEST - GUESS_CENTRE) / (GUESS_LARGEST + GUESS_CENTRE)
    return chebyshev(smooth, GUESS_DEGREE, highest=highest, nodes=GUESS_DEGREE + 1)


def correction_coefficients():
    """Least squares of ``s / s_bachelier - 1 = q (c0 + c1 q + c2 q**2 + c3 x**2)``, q = s_b**2."""
    rows, right = [], []
    for x in CORRECTION_LOG_MONEYNESS:
        for s in CORRECTION_TOTAL_VOLS:
            near, far = x / s - s / 2, x / s + s / 2
            if near < CORRECTION_NEAREST or near > 36:
                continue
            beta = mp.npdf(x / s) * mp.exp(-s * s / 8) * (mills(near) - mills(far))
            bachelier = x / deviations_of(mp.log(1 + 2 * mp.sinh(x / 2) / beta))
            q = bachelier**2
            rows.append([q, q * q, q**3, q * x * x])
            right.append(s / bachelier - 1)
    return list(mp.lu_solve(mp.matrix(rows), mp.matrix(right)))


FITS = {
    "elementary.erfcx": erfcx_coefficients,
    "MILLS": mills_coefficients,
    "GUESS": guess_coefficients,
    "CORRECTION": correction_coefficients,
}


def derive(name):
    """Coefficients of one fit as floats, from the highest power down."""
    with mp.workdps(DIGITS):
        return [float(coefficient) for coefficient in FITS[name]()]


def main() -> None:
    """Print every fit."""
    print(f"# mpmath {mp.__version__}, {DIGITS} digits")  # noqa: T201
    for name in FITS:
        print(name, *derive(name), sep="\n    ")  # noqa: T201


if __name__ == "__main__":
    main()

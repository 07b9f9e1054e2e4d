"""Exact prices and Greeks of the chain, from mpmath at 50 digits.

Belongs here: reference numbers and keeping them on disk. Does not belong here: any formula that
ours or a peer uses in double precision.

The inputs are doubles taken exactly; only the result is rounded. Greeks are differences of the
exact price with steps of 1e-10, whose own error is below 1e-19: nothing is shared with the closed
forms that are judged.
"""

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets_tests.bench.chain import Contracts

Floats = NDArray[np.float64]

DIGITS = 50
_STEP = "1e-10"


def priced(contracts: Contracts) -> Contracts:
    """Fill in the exact prices, rounded once; computed a first time, then read from a scratch file.

    Drops prices under 1e-290 (the tails' end) and those within a millionth of their bound.
    """
    inputs = b"".join(np.ascontiguousarray(v).tobytes() for v in vars(contracts).values())
    name = f"dealer-bench-{hashlib.sha256(inputs).hexdigest()[:16]}.npy"
    kept = Path(tempfile.gettempdir()) / name
    if kept.exists():
        price = np.load(kept)
    else:
        price = np.array([_rounded_price(contracts, i) for i in range(len(contracts))])
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".npy", delete=False) as whole:
            np.save(whole, price)
        Path(whole.name).replace(kept)  # another process never sees half of it
    bound = contracts.D * np.where(contracts.is_call, contracts.F, contracts.K)
    sound = (price > 1e-290) & (price < bound * (1.0 - 1e-6))
    found = replace(contracts, price=price)
    return found if sound.all() else found.take(np.flatnonzero(sound))


def _rounded_price(c: Contracts, i: int) -> float:
    import mpmath

    mpmath.mp.dps = DIGITS
    exact = [mpmath.mpf(float(values[i])) for values in (c.F, c.K, c.T, c.sigma, c.D)]
    return float(_price(*exact, is_call=bool(c.is_call[i])))


def _price(F: Any, K: Any, T: Any, sigma: Any, D: Any, *, is_call: bool) -> Any:
    """Black-76 from the out-of-the-money side, with nothing to cancel but at 50 digits."""
    import mpmath as mp

    total = sigma * mp.sqrt(T)
    d1 = mp.log(F / K) / total + total / 2
    d2 = d1 - total
    sign = 1 if F <= K else -1
    root = mp.sqrt(2)
    otm = sign * (F * mp.erfc(-sign * d1 / root) - K * mp.erfc(-sign * d2 / root)) / 2
    in_money = (sign == 1) != is_call
    return D * (otm + abs(F - K) if in_money else otm)


GREEKS = (
    *("delta", "gamma", "vega", "theta", "rho", "vanna"),
    *("charm", "volga", "speed", "zomma", "color"),
)
_ORDERS = {
    "delta": (1, 0, 0),
    "gamma": (2, 0, 0),
    "speed": (3, 0, 0),
    "vega": (0, 1, 0),
    "vanna": (1, 1, 0),
    "volga": (0, 2, 0),
    "zomma": (2, 1, 0),
    "theta": (0, 0, 1),
    "charm": (1, 0, 1),
    "color": (2, 0, 1),
}
"""Orders in spot, vol and time to expiry."""

_UNITS = {
    "vega": 0.01,
    "vanna": 0.01,
    "zomma": 0.01,
    "volga": 1e-4,
    "rho": 0.01,
    "theta": -1.0 / 365.0,
    "charm": -1.0 / 365.0,
    "color": -1.0 / 365.0,
}


def size_of_greeks(contracts: Contracts, exact: dict[str, Floats]) -> dict[str, Floats]:
    """Return what an error of each Greek is measured by, same shapes as `exact`.

    The Greek itself or, near its zeros, how much it changes for one per cent more vol, or for a
    spot one per cent of a standard deviation higher: there every formula loses digits to the
    rounding of its inputs.
    """
    up = np.exp(0.01 * contracts.sigma * np.sqrt(contracts.T))
    neighbours = (
        greeks(replace(contracts, sigma=1.01 * contracts.sigma)),
        greeks(replace(contracts, S=up * contracts.S, F=up * contracts.F)),
    )
    return {
        name: np.max([np.abs(v), *(np.abs(n[name] - v) for n in neighbours)], axis=0)
        for name, v in exact.items()
    }


def greeks(contracts: Contracts) -> dict[str, Floats]:
    """Differentiate the exact price; units as `dealer_assets.domain.pricing.black.Greeks`."""
    import mpmath as mp

    mp.mp.dps = 90  # differences of third order with steps of 1e-10 lose 30 to 40 digits
    found = {name: np.empty(len(contracts)) for name in GREEKS}
    for i in range(len(contracts)):
        values = [getattr(contracts, name)[i] for name in ("S", "F", "K", "T", "sigma", "D")]
        S, F, K, T, sigma, D = (mp.mpf(float(v)) for v in values)
        rate, carry = -mp.log(D) / T, mp.log(F / S) / T
        is_call = bool(contracts.is_call[i])

        def price(s: Any, v: Any, t: Any, r: Any, terms: Any = (K, carry, rate, is_call)) -> Any:
            K, carry, rate, is_call = terms
            growth = carry + r - rate  # a higher rate grows the forward; dividends are held
            return _price(s * mp.exp(growth * t), K, t, v, mp.exp(-r * t), is_call=is_call)

        at, steps = (S, sigma, T), (S * mp.mpf(_STEP), sigma * mp.mpf(_STEP), T * mp.mpf(_STEP))
        for name, orders in _ORDERS.items():
            value = _difference(lambda x, f=price, r=rate: f(*x, r), at, steps, orders)
            found[name][i] = float(value * mp.mpf(_UNITS.get(name, 1.0)))
        h = mp.mpf(_STEP)
        rho = (price(*at, rate + h) - price(*at, rate - h)) / (2 * h)
        found["rho"][i] = float(rho * mp.mpf(_UNITS["rho"]))
    return found


def _difference(
    f: Any, at: tuple[Any, ...], steps: tuple[Any, ...], orders: tuple[int, ...]
) -> Any:
    """Central difference of any orders, by recursion over the orders with half steps."""
    for axis, order in enumerate(orders):
        if order:
            fewer = tuple(o - (j == axis) for j, o in enumerate(orders))
            half = steps[axis] / 2
            up = tuple(x + half * (j == axis) for j, x in enumerate(at))
            down = tuple(x - half * (j == axis) for j, x in enumerate(at))
            gap = _difference(f, up, steps, fewer) - _difference(f, down, steps, fewer)
            return gap / steps[axis]
    return f(at)

"""The chain that every library gets: 25,000 contracts laid out like SPX with both roots.

Belongs here: contracts, bad rows, the ladder of tails; deterministic, no recorded data. Does not
belong here: exact prices of them (`truth`).

45 expiries from five minutes to five years, strikes from 0.2 to 2 times spot, three fifths of them
near the money. A smile gives the vols; where the price would fall under half a tick the vol is
raised until it does not, as quotes do, so that five minutes before expiry vols reach thousands of
per cent. That is where approximations and iteration limits of solvers show.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPOT, RATE, DIVIDEND = 6000.0, 0.04, 0.013
MINUTES_TO_CLOSE = 5.0
DAYS = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 25, 28, 30, 35, 42, 49, 56),
    *(63, 70, 77, 84, 91, 105, 119, 147, 182, 210, 273, 301, 364, 455, 546, 728, 910, 1092, 1456),
    1826,
)
LEAST_PRICE = 0.025
"""Half of the smallest tick [USD]."""

BAD_KINDS = (
    "price zero",
    "price NaN",
    "price negative",
    "price infinite",
    "price above its bound",
    "price below intrinsic",
    "time zero",
    "time negative",
)


@dataclass(frozen=True)
class Contracts:
    """European options as arrays of shape (n,), sorted so that one expiry's calls are contiguous.

    `price` is NaN until `truth` has filled it in. Rates follow from `D` and `F`:
    ``D = exp(-r T)``, ``F = S exp((r - q) T)``.
    """

    S: Floats
    F: Floats
    K: Floats
    T: Floats
    D: Floats
    sigma: Floats
    is_call: Bools
    price: Floats

    def __len__(self) -> int:
        return self.K.size

    def take(self, where: NDArray[np.intp] | slice) -> Self:
        """Return some of the contracts."""
        chosen = {field.name: getattr(self, field.name)[where] for field in fields(self)}
        return replace(self, **{name: np.ascontiguousarray(v) for name, v in chosen.items()})

    @property
    def otm(self) -> Bools:
        """Where the option is out of the money (or at it)."""
        return np.where(self.is_call, self.K >= self.F, self.K < self.F)

    @property
    def rate(self) -> Floats:
        """Return the rate behind the discount factor; zero where there is no time."""
        return np.where(self.T > 0.0, -np.log(self.D) / np.where(self.T > 0.0, self.T, 1.0), 0.0)

    @property
    def dividend(self) -> Floats:
        """Return the dividend yield behind the forward; zero where there is no time."""
        growth = np.log(self.F / self.S) / np.where(self.T > 0.0, self.T, 1.0)
        return np.where(self.T > 0.0, self.rate - growth, 0.0)

    def groups(self) -> Iterator[slice]:
        """Runs of equal forward, time, discount and right: the batches some libraries want."""
        same = np.ones(len(self) - 1, np.bool_)
        for name in ("F", "T", "D", "is_call"):
            values = getattr(self, name)
            same &= values[1:] == values[:-1]
        edges = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(self)]])
        for start, stop in pairwise(edges):
            yield slice(int(start), int(stop))


def smile(log_moneyness: Floats, T: Floats) -> Floats:
    """Vol of an index smile; hyperbolic in vol, so no SVI slice fits it exactly."""
    at_money = 0.12 + 0.06 * (1.0 - np.exp(-T))
    z = log_moneyness / (at_money * np.sqrt(T))
    return at_money * (1.0 + 0.05 * (np.sqrt(z * z + 1.44) - 0.85 * z - 1.2))


def synthetic_chain(contracts: int, *, expiries: int = len(DAYS)) -> Contracts:
    """Lay out a chain, unpriced.

    Parameters
    ----------
    contracts : int
        Even; half calls, half puts of the same strikes.
    expiries : int
        How many of `DAYS`, spread evenly.
    """
    days = np.array(DAYS)[np.linspace(0, len(DAYS) - 1, expiries).round().astype(int)]
    counts = np.full(expiries, contracts // 2 // expiries)
    counts[-1] += contracts // 2 - counts.sum()
    parts = []
    for day, count in zip(days, counts, strict=True):
        years = (day + MINUTES_TO_CLOSE / 1440.0) / 365.0
        strikes = _strikes(years, int(count))
        for is_call in (True, False):
            parts.append((strikes, np.full(count, years), np.full(count, is_call)))
    K, T, is_call = (np.concatenate(column) for column in zip(*parts, strict=True))
    F = SPOT * np.exp((RATE - DIVIDEND) * T)
    D = np.exp(-RATE * T)
    sigma = np.maximum(smile(np.log(K / F), T), _least_vol(F, K, T, D))
    nothing = np.full(K.size, np.nan)
    return Contracts(np.full(K.size, SPOT), F, K, T, D, sigma, is_call, nothing)


def _strikes(years: float, count: int) -> Floats:
    width = max(0.03, 0.45 * np.sqrt(years))
    near = SPOT * np.exp(np.linspace(-1.6 * width, width, int(0.6 * count)))
    near = np.unique(5.0 * np.round(np.clip(near, 0.2 * SPOT, 2.0 * SPOT) / 5.0))
    far = np.setdiff1d(np.arange(0.2 * SPOT, 2.0 * SPOT + 1.0, 5.0), near)
    chosen = np.linspace(0, far.size - 1, count - near.size).round().astype(int)
    return np.sort(np.concatenate([near, far[chosen]]))


def _least_vol(F: Floats, K: Floats, T: Floats, D: Floats) -> Floats:
    """Vol at which the out-of-the-money price is `LEAST_PRICE`, by bisection in log total vol."""
    from scipy.special import log_ndtr

    low, high = np.full(K.size, np.log(1e-6)), np.full(K.size, np.log(30.0))
    upper, lower = np.maximum(F, K), np.minimum(F, K)
    for _ in range(70):
        middle = 0.5 * (low + high)
        s = np.exp(middle)
        gain = np.log(lower) + log_ndtr(np.log(lower / upper) / s + 0.5 * s)
        loss = np.log(upper) + log_ndtr(np.log(lower / upper) / s - 0.5 * s)
        with np.errstate(divide="ignore"):  # equal to the last bit: the price is nothing
            log_price = gain + np.log(-np.expm1(np.minimum(loss - gain, 0.0)))
        above = log_price > np.log(LEAST_PRICE / D)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(np.exp(high) / np.sqrt(T))


def bad_rows(priced: Contracts, each: int) -> tuple[Contracts, NDArray[np.int64]]:
    """Spoil contracts in the ways of `BAD_KINDS`: none has an implied vol.

    Returns
    -------
    contracts : Contracts
        ``each * 8`` rows.
    kind : int64 array
        Position in `BAD_KINDS`.
    """
    rng = np.random.default_rng(8)
    kind = np.repeat(np.arange(len(BAD_KINDS)), each)
    chosen = rng.permutation(len(priced))[: kind.size]
    in_money = np.flatnonzero(~priced.otm)  # only there is something to be below
    chosen[kind == 5] = rng.choice(in_money, each, replace=False)
    rows = priced.take(chosen)
    intrinsic = rows.D * np.abs(rows.F - rows.K)
    bound = rows.D * np.where(rows.is_call, rows.F, rows.K)
    spoiled = (0.0, np.nan, -0.05, np.inf, 1.02 * bound, 0.98 * intrinsic)
    price, T = rows.price.copy(), rows.T.copy()
    for number, value in enumerate(spoiled):
        price[kind == number] = np.broadcast_to(value, price.shape)[kind == number]
    T[kind == 6], T[kind == 7] = 0.0, -0.01
    return replace(rows, price=price, T=T), kind


def tail_ladder(moneynesses: int, vols: int) -> Contracts:
    """Calls out of the money by up to e^8, total vols from 0.0002 to 6, one year, unpriced."""
    x = np.concatenate([[0.0], np.geomspace(1e-6, 8.0, moneynesses)])
    K, sigma = (grid.ravel() for grid in np.meshgrid(np.exp(x), np.geomspace(2e-4, 6.0, vols)))
    one = np.ones(K.size)
    d1 = -np.log(K) / sigma + 0.5 * sigma
    rows = Contracts(one, one, K, one, one, sigma, one > 0.0, np.full(K.size, np.nan))
    return rows.take(np.flatnonzero(d1 > -36.0))

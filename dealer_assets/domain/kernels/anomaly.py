"""Order statistics of cells and snapshots, contracts' own effects, bursts.

Belongs here: the loops over millions of standardised values. Does not belong here: p-values
(`anomaly_ranks.py`), what is measured and how much it counts (`domain/anomaly`).

Rows are in time order throughout; NaN is a value that is not determined and is passed over.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""


@inlined
def _select(a: Floats, n: int, k: int) -> float:
    """Return the k-th smallest of the first n of `a`, which is left partly sorted (Hoare)."""
    low, high = 0, n - 1
    while low < high:
        pivot = a[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while a[i] < pivot:
                i += 1
            while pivot < a[j]:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if k < i:
            high = j
    return float(a[k])


@inlined
def _median(a: Floats, n: int) -> float:
    """Return the median of the first n of `a`, n > 0; of an even count the mean of the middle."""
    upper = _select(a, n, n >> 1)
    if n & 1:
        return upper
    lower = a[0]
    for i in range(1, n >> 1):  # what is left of the k-th is no greater than it
        lower = max(lower, a[i])
    return float(0.5 * (lower + upper))


@kernel
def cell_statistics(
    y: Floats, order: Ints, starts: Ints, session: Ints, cap: int,
    location: Floats, scale: Floats, rows: Ints, sessions: Ints,
) -> None:  # fmt: skip
    """Fill median, MAD as a standard deviation, rows and sessions of each cell, shape (c,).

    `order` lists rows cell by cell, in time order within each; of a cell with more than `cap` rows
    every so many-th goes into the median, `rows` counts all.
    """
    scratch = np.empty(min(cap, order.size) + 1)
    for c in range(starts.size - 1):
        first, last = starts[c], starts[c + 1]
        step = 1 + (last - first - 1) // cap if last > first else 1
        known = held = days = 0
        before = -1
        for i in range(first, last):
            row = order[i]
            if y[row] != y[row]:
                continue
            if session[row] != before:
                days += 1
                before = session[row]
            if known % step == 0:
                scratch[held] = y[row]
                held += 1
            known += 1
        rows[c], sessions[c] = known, days
        location[c] = scale[c] = math.nan
        if held:
            middle = _median(scratch, held)
            for i in range(held):
                scratch[i] = abs(scratch[i] - middle)
            location[c], scale[c] = middle, MAD_TO_SIGMA * _median(scratch, held)


@kernel
def scaled(
    values: Floats, is_scored: NDArray[np.bool_], kind: int, unit: float, out: Floats
) -> None:
    """Fill `out` with log(1 + x / unit) (kind 0), asinh(x / unit) (1) or x / unit (2).

    Below 0 counts as 0 on the log scale; NaN where a row is not scored.
    """
    for i in range(values.size):
        x = values[i] / unit
        if not is_scored[i] or x != x:
            out[i] = math.nan
        elif kind == 0:
            out[i] = math.log1p(x) if x > 0.0 else 0.0
        else:
            out[i] = math.asinh(x) if kind == 1 else x


@kernel
def in_cell_scales(y: Floats, cell: Ints, location: Floats, scale: Floats) -> None:
    """Replace `y` by its distance from its cell's location, over its scale."""
    for i in range(y.size):
        y[i] = (y[i] - location[cell[i]]) / scale[cell[i]]


@kernel
def shifted(u: Floats, snapshot: Ints, shift: Floats, factor: Floats) -> None:
    """Replace `u` by u less its snapshot's shift, over its factor."""
    for i in range(u.size):
        u[i] = (u[i] - shift[snapshot[i]]) / factor[snapshot[i]]


@kernel
def snapshot_statistics(
    u: Floats, cell: Ints, tells: NDArray[np.bool_], starts: Ints, cap: int,
    median: Floats, scale: Floats, used: Ints,
) -> None:  # fmt: skip
    """Fill median, MAD as a standard deviation and rows used of each snapshot, shape (s,).

    Rows of cells flagged in `tells` alone are used when there are any 20 of them, all otherwise; of
    more than `cap` rows every so many-th.
    """
    scratch = np.empty(cap + 2)
    for s in range(starts.size - 1):
        first, last = starts[s], starts[s + 1]
        step = 1 + (last - first - 1) // cap
        held = 0
        for everybody in range(2):
            if held >= 20:
                break
            held = 0
            for i in range(first, last, step):
                if (everybody or tells[cell[i]]) and u[i] == u[i]:
                    scratch[held] = u[i]
                    held += 1
        used[s] = held
        median[s] = scale[s] = 0.0
        if held:
            middle = _median(scratch, held)
            for i in range(held):
                scratch[i] = abs(scratch[i] - middle)
            median[s], scale[s] = middle, MAD_TO_SIGMA * _median(scratch, held)


@kernel
def own_residuals(
    u: Floats, cell: Ints, snapshot: Ints, contract: Ints, session: Ints, location: Floats,
    scale: Floats, shift: Floats, spread: Floats, ballast: float, clip: float, is_count: bool,
    total: Floats, count: Floats, z: Floats, usual: Floats, own: Floats,
) -> None:  # fmt: skip
    """Fill z, what is usual, and each row's own effect by its contract's sessions before.

    The effect is sum / (n + ballast) of session means of `u`, in cell scales. `total` and `count`,
    shape (contracts,), hold sums and sessions so far; they are carried on to the end of the rows.
    `spread` by sessions is the standard deviation left; of a count never below a Poisson one's.
    """
    now = np.zeros(total.size)
    polls = np.zeros(total.size)
    day = np.full(total.size, np.int64(-1))
    most = spread.size - 1
    for i in range(u.size):
        c = contract[i]
        if session[i] != day[c]:
            if polls[c] > 0.0:
                total[c] += now[c] / polls[c]
                count[c] += 1.0
            now[c] = polls[c] = 0.0
            day[c] = session[i]
        mine = total[c] / (count[c] + ballast)
        own[i] = mine
        size = scale[cell[i]]
        expected = location[cell[i]] + (mine + shift[snapshot[i]]) * size
        usual[i] = expected
        left = size * spread[min(int(count[c]), most)]
        if is_count:
            left = max(left, 1.0 / math.sqrt(1.0 + math.expm1(max(expected, 0.0))))
        z[i] = (u[i] - mine) * size / left
        if u[i] == u[i]:
            now[c] += min(max(u[i], -clip), clip)
            polls[c] += 1.0
    for c in range(total.size):
        if polls[c] > 0.0:
            total[c] += now[c] / polls[c]
            count[c] += 1.0


@kernel
def count_bursts(
    x: Floats, usual: Floats, contract: Ints, session: Ints, contracts: int,
    prior: float, variance: float, least: float, out: Floats,
) -> None:  # fmt: skip
    """Fill `out`: the log of a count against what the session's earlier polls make one expect.

    `usual` is the log of 1 + what is expected. Gamma-Poisson: what is expected times
    (counted + prior) / (expected before + prior), in standard deviations of `variance`, of a count
    and of the factor. NaN until `least` contracts were counted or expected: before that there is no
    pace to compare with.
    """
    counted, hoped = np.zeros(contracts), np.zeros(contracts)
    day = np.full(contracts, np.int64(-1))
    for i in range(x.size):
        c = contract[i]
        if session[i] != day[c]:
            counted[c] = hoped[c] = 0.0
            day[c] = session[i]
        out[i] = math.nan
        if x[i] != x[i] or usual[i] != usual[i]:
            continue
        expected = max(math.expm1(usual[i]), 0.0)
        if counted[c] + hoped[c] >= least:
            factor = (counted[c] + prior) / (hoped[c] + prior)
            due = expected * factor
            unsure = variance + 1.0 / (1.0 + due) + 1.0 / (counted[c] + prior)
            out[i] = (math.log1p(x[i]) - math.log1p(due)) / math.sqrt(unsure)
        counted[c] += x[i]
        hoped[c] += expected


@kernel
def level_bursts(
    u: Floats, own: Floats, contract: Ints, session: Ints, contracts: int, out: Floats
) -> None:
    """Fill `out`: a value less the mean of the contract's earlier ones of the session.

    Divided by sqrt(1 + 1 / earlier); NaN before a second poll. No further than the value is from
    `own`, its usual, and 0 on the other side of it: a return to what is usual is no burst.
    """
    total, polls = np.zeros(contracts), np.zeros(contracts)
    day = np.full(contracts, np.int64(-1))
    for i in range(u.size):
        c = contract[i]
        if session[i] != day[c]:
            total[c] = polls[c] = 0.0
            day[c] = session[i]
        out[i] = math.nan
        if u[i] != u[i]:
            continue
        if polls[c] > 0.0:
            change, away = u[i] - total[c] / polls[c], u[i] - own[i]
            least = change if abs(change) < abs(away) else away
            out[i] = (least if change * away > 0.0 else 0.0) / math.sqrt(1.0 + 1.0 / polls[c])
        total[c] += u[i]
        polls[c] += 1.0


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    x, one, place = np.ones(2), np.ones(1), np.zeros(2, np.int64)
    starts, count = np.array([0, 2]), np.zeros(1, np.int64)
    cell_statistics(x, place, starts, place, 2, one, one.copy(), count, count.copy())
    yes = np.ones(2, np.bool_)
    scaled(x, yes, 0, 1.0, x.copy())
    in_cell_scales(x.copy(), place, one, one)
    shifted(x.copy(), place, one, one)
    snapshot_statistics(x, place, yes, starts, 2, one.copy(), one.copy(), count)
    own_residuals(
        x, place, place, place, place, one, one, one, one, 1.0, 4.0, True,
        one.copy(), one.copy(), x.copy(), x.copy(), x.copy(),
    )  # fmt: skip
    count_bursts(x, x, place, place, 1, 2.0, 0.1, 1.0, x.copy())
    level_bursts(x, x, place, place, 1, x.copy())

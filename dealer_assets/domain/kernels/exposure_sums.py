"""Sums of dealer exposures over contracts, for several sets of positions.

Belongs here: what the streaming process does every second over whole chains. Does not belong here:
Greeks (`greeks`), which contracts are in (`domain/flow/totals.py`).

Sums run in the order of the contracts, so that they are the same to the last bit at every run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]

SUMS = 10
"""Delta, gamma, vanna, charm, volga; calls' gamma, puts', today's expiries', sum of absolute; how
many positions."""

COUNTS = 7
"""Alive; quoted fresh on both sides; of those alive, with open interest, with flow, with either or
a trade or a settled position; a number that tells which those last ones are; with a position by
settled positions and flow."""


@kernel
def unit_exposures(
    rows: Floats, picked: Ints, scale: Floats, correction: Floats, multiplier: Floats,
    per_unit: Floats, out: Floats,
) -> None:  # fmt: skip
    """Fill `out`, shape (5, n): exposures of one contract held, from rows of Greeks.

    `picked` are the five rows to take; NaN among them counts 0 before `correction`, shape (5, n),
    is added, which is NaN where a contract has no Greeks at all. `per_unit`, shape (5,), brings
    each to USD.
    """
    for k in range(picked.size):
        row, factor = rows[picked[k]], per_unit[k]
        for i in range(scale.size):
            x = row[i] * scale[i]
            x = x if x == x else 0.0
            out[k, i] = (x + correction[k, i]) * multiplier[i] * factor


@kernel
def exposure_sums(
    unit: Floats, contract: Ints, is_call: Flags, is_zero_dte: Flags,
    open_interest: Floats, customer: Floats, out: Floats,
) -> None:  # fmt: skip
    """Fill `out`, shape (2, 10): the naive rule's sums and those of the session's flow.

    `open_interest` and `customer` are of all contracts, the rest of those in `contract`.
    """
    out[:, :] = 0.0
    for i in range(contract.size):
        held = open_interest[contract[i]]
        held = held if held > 0.0 else 0.0
        naive = held if is_call[i] else -held
        flow = -customer[contract[i]]
        for k in range(5):
            out[0, k] += naive * unit[k, i]
            out[1, k] += flow * unit[k, i]
        a, b = naive * unit[1, i], flow * unit[1, i]
        side = 5 if is_call[i] else 6
        out[0, side] += a
        out[1, side] += b
        if is_zero_dte[i]:
            out[0, 7] += a
            out[1, 7] += b
        out[0, 8] += abs(a)
        out[1, 8] += abs(b)
        out[0, 9] += 1.0 if naive != 0.0 else 0.0
        out[1, 9] += 1.0 if flow != 0.0 else 0.0


@kernel
def moved_sums(
    unit: Floats, contract: Ints, is_call: Flags, is_zero_dte: Flags,
    settled: Floats, variance: Floats, common: Floats, group: Ints,
    mean: Floats, spread: Floats, together: Floats, out: Floats,
) -> None:  # fmt: skip
    """Fill `out`, shape (11,): sums of settled positions less customers' net, last the variance.

    `settled`, NaN where not known, which leaves a contract out; its own `variance`; what one
    standard deviation of its `group` moves it by (`common`); customers' expected net (`mean`) and
    its variance (`spread`): of all contracts, the rest of those in `contract`. Variance is that of
    gamma. `together`, as long as there are groups, is overwritten.
    """
    out[:] = 0.0
    together[:] = 0.0
    for i in range(contract.size):
        c = contract[i]
        held = settled[c] - mean[c]
        if held != held:
            continue
        for k in range(5):
            out[k] += held * unit[k, i]
        gamma = unit[1, i]
        out[5 if is_call[i] else 6] += held * gamma
        if is_zero_dte[i]:
            out[7] += held * gamma
        out[8] += abs(held * gamma)
        out[9] += 1.0 if held != 0.0 else 0.0
        own = variance[c] + spread[c]  # prints taken back may leave a rounding error below 0
        out[10] += gamma * gamma * (own if own > 0.0 else 0.0)
        together[group[c]] += gamma * common[c]
    for j in range(together.size):
        out[10] += together[j] * together[j]


@kernel
def lane_counts(
    contract: Ints, now_us: int, fresh_us: Ints, expires_us: Ints, quote_us: Ints,
    bid: Floats, ask: Floats, open_interest: Floats, customer: Floats,
    traded: NDArray[np.bool_], settled: Floats, mean: Floats, out: Ints, interest: Floats,
) -> None:  # fmt: skip
    """Fill `out`, shape (7,), with counts over the contracts named; see `COUNTS`.

    `interest`, shape (2,): open interest of those alive, and of those with a settled position.
    """
    out[:] = 0
    interest[:] = 0.0
    for j in range(contract.size):
        i = contract[j]
        if expires_us[i] <= now_us:
            continue
        out[0] += 1
        if bid[i] > 0.0 and ask[i] >= bid[i] and now_us - quote_us[i] <= fresh_us[i]:
            out[1] += 1
        has_interest, has_flow = open_interest[i] > 0.0, customer[i] != 0.0
        is_settled = settled[i] == settled[i]
        if has_interest:
            out[2] += 1
            interest[0] += open_interest[i]
            interest[1] += open_interest[i] if is_settled else 0.0
        if has_flow:
            out[3] += 1
        if is_settled and settled[i] - mean[i] != 0.0:
            out[6] += 1
        if has_interest or has_flow or traded[i] or (is_settled and settled[i] != 0.0):
            out[4] += 1
            out[5] += (i + 1) * 1_000_003 * (i % 8191 + 1)


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    none, flags = np.empty(0, np.int64), np.empty(0, np.uint8)
    values = np.empty(0)
    five = np.empty((5, 0))
    unit_exposures(np.empty((12, 0)), np.arange(5), values, five, values, np.ones(5), five)
    exposure_sums(five, none, flags, flags, values, values, np.empty((2, SUMS)))
    moved_sums(
        five, none, flags, flags, values, values, values, none, values, values, values,
        np.empty(SUMS + 1),
    )  # fmt: skip
    lane_counts(
        none, 0, none, none, none, values, values, values, values,
        np.empty(0, np.bool_), values, values, np.empty(COUNTS, np.int64), np.empty(2),
    )  # fmt: skip

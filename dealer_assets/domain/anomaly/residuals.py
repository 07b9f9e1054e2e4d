"""Features to standardised residuals: against the cell, the snapshot, the contract, the session.

Belongs here: the steps that history and a new poll go through alike, so that they compare. Does not
belong here: what is estimated from history (`baselines.py`), p-values (`pvalues.py`).

For one feature of one row, all on its scale of comparison (`standard.py`):

1. less the location of its cell, over the cell's scale;
2. less the median of its snapshot: a day on which everything trades is the underlying's matter;
3. less the contract's own effect: the mean of its sessions before, shrunk by n / (n + ballast);
4. over the standard deviation that is left for n sessions, never below a Poisson count's;
5. over the snapshot's own spread where that is wider than usual.

A burst is the same value against the session's earlier polls of the contract.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.standard import LEAST_SCALE, SCALES, Measure
from dealer_assets.domain.columns import Bools, Floats

CLIP = 4.0
"""An own effect takes no residual for more: one event does not make a habit."""

SHIFT_BALLAST = 10.0
"""The median of so many rows counts half: a snapshot of few contracts has no shift of its own."""

LEAST_EXPECTED = 0.5
"""Contracts with a lower expected volume mostly trade nothing, and tell no shift of volume."""

DAY_PRIOR = 2.0
"""Contracts: what a session's own level of volume is held to be worth before it has traded;
1 / 0.7^2, the spread of log volume from session to session."""

BURST_VARIANCE = 0.1
"""Of log volume from poll to poll, beside that of a count; ranks make up for what it is not."""

LEAST_PACE = 1.0
"""Contracts counted or expected in a session before its pace is compared with."""

MOST_ROWS = 1_024
"""Of a snapshot with more, every so many-th row tells its shift and spread."""

_HABIT_ROWS = 300_000
_MOST_SESSIONS = 200


@dataclass(frozen=True)
class Habit:
    """What history says of one feature beyond its cells.

    Parameters
    ----------
    within, between : float
        Variance of a contract's polls about its own mean, and of those means, in cell scales.
    """

    within: float
    between: float

    @property
    def ballast(self) -> float:
        """Sessions at which a contract's own mean counts half; at least 1."""
        return max(1.0, self.within / self.between) if self.between > 1e-9 else 1e9

    def spread(self, earlier: Floats) -> Floats:
        """Return the standard deviation left after the own effect of so many sessions."""
        left = self.between * self.ballast / (earlier + self.ballast)
        return np.asarray(np.sqrt(np.maximum(self.within + left, 1e-6)))


@dataclass(frozen=True)
class Centred:
    """A feature after its cell and its snapshot.

    Parameters
    ----------
    u : float64 array, shape (n,)
        Residual in cell scales, less the snapshot's shift.
    location, scale : float64 array, shape (cells,)
        Of each cell.
    shift : float64 array, shape (snapshots,)
        In cell scales.
    tells : bool array, shape (cells,)
        Cells whose rows tell a snapshot's shift and spread first.
    """

    u: Floats
    location: Floats
    scale: Floats
    shift: Floats
    tells: Bools


def scaled_of(features: Features, j: int, measure: Measure) -> Floats:
    """Return a feature on its scale of comparison, NaN where a row is not scored, shape (n,)."""
    from dealer_assets.domain.kernels.anomaly import scaled

    out = np.empty(features.size)
    kind = SCALES.index(measure.scale)
    scaled(features.values[j], features.is_scored, kind, measure.unit, out)
    return out


def centred(
    features: Features, y: Floats, measure: Measure, location: Floats, scale: Floats
) -> Centred:
    """Take cell and snapshot out of a scaled feature, in its place."""
    from dealer_assets.domain.kernels.anomaly import in_cell_scales, shifted

    least = np.full_like(scale, LEAST_SCALE[measure.scale])
    tells = np.ones(scale.size, np.bool_)
    if measure.is_count:
        expected = np.expm1(location)
        least = np.maximum(least, 1.0 / np.sqrt(1.0 + expected))
        tells = expected >= LEAST_EXPECTED
    scale = np.maximum(scale, least)
    in_cell_scales(y, features.cell, location, scale)
    median, _, used = snapshot_spread(features, y, tells)
    shift = median * used / (used + SHIFT_BALLAST)
    shifted(y, features.snapshot, shift, np.ones_like(shift))
    return Centred(y, location, scale, shift, tells)


def snapshot_spread(features: Features, u: Floats, tells: Bools) -> tuple[Floats, Floats, Floats]:
    """Return median, MAD as a standard deviation, and rows used of each snapshot."""
    from dealer_assets.domain.kernels.anomaly import snapshot_statistics

    count = features.starts.size - 1
    median, scale, used = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
    snapshot_statistics(u, features.cell, tells, features.starts, MOST_ROWS, median, scale, used)
    return median, scale, used.astype(np.float64)


@dataclass(frozen=True)
class Residuals:
    """A feature standardised.

    Parameters
    ----------
    z : float64 array, shape (n,)
        Standard deviations.
    usual : float64 array, shape (n,)
        What is usual for the contract at this poll, on the scale of comparison.
    own : float64 array, shape (n,)
        The contract's own effect, in cell scales.
    """

    z: Floats
    usual: Floats
    own: Floats


def against_own(
    features: Features,
    measure: Measure,
    found: Centred,
    habit: Habit,
    totals: Floats,
    counts: Floats,
) -> Residuals:
    """Take each contract's own effect out; `totals` and `counts` are carried on in place."""
    from dealer_assets.domain.kernels.anomaly import own_residuals

    z, usual, own = (np.empty(features.size) for _ in range(3))
    own_residuals(
        found.u,
        features.cell,
        features.snapshot,
        features.contract,
        features.session,
        found.location,
        found.scale,
        found.shift,
        habit.spread(np.arange(_MOST_SESSIONS, dtype=np.float64)),
        habit.ballast,
        CLIP,
        measure.is_count,
        totals,
        counts,
        z,
        usual,
        own,
    )
    return Residuals(z, usual, own)


def count_burst(features: Features, j: int, usual: Floats) -> Floats:
    """Return how far a count is above what the session's earlier polls make one expect."""
    from dealer_assets.domain.kernels.anomaly import count_bursts

    out = np.empty(features.size)
    count_bursts(
        features.scored_values[j],
        usual,
        features.contract,
        features.session,
        len(features.symbols),
        DAY_PRIOR,
        BURST_VARIANCE,
        LEAST_PACE,
        out,
    )
    return out


def level_burst(features: Features, found: Centred, own: Floats) -> Floats:
    """Return how far a value is from the session's earlier polls of the contract."""
    from dealer_assets.domain.kernels.anomaly import level_bursts

    out = np.empty(features.size)
    contracts = len(features.symbols)
    level_bursts(found.u, own, features.contract, features.session, contracts, out)
    return out


def temper(features: Features, z: Floats, tells: Bools, typical: float | None = None) -> float:
    """Divide z, in its place, by the snapshot's spread over the typical one where it is wider.

    Returns the typical spread: the one given, or else the median of these snapshots'.
    """
    from dealer_assets.domain.kernels.anomaly import shifted

    _, spread, used = snapshot_spread(features, z, tells)
    if typical is None:
        typical = float(np.median(spread[used > 0])) if (used > 0).any() else 0.0
    if typical > 0.0:
        wider = (np.maximum(spread / typical, 1.0) - 1.0) * used / (used + SHIFT_BALLAST)
        shifted(z, features.snapshot, np.zeros_like(wider), 1.0 + wider)
    return typical


def habit_of(features: Features, u: Floats) -> Habit:
    """Estimate variances within and between contracts (one-way random effects, by moments)."""
    step = 1 + features.size // _HABIT_ROWS  # every so many-th contract tells enough
    known = ~np.isnan(u) if step == 1 else (features.contract % step == 0) & ~np.isnan(u)
    if not known.any():
        return Habit(1.0, 0.0)
    clipped = np.clip(u[known], -CLIP, CLIP)
    contract, session = features.contract[known], features.session[known]
    day = session - session.min()
    pairs = contract * (int(day.max()) + 1) + day
    number = np.bincount(pairs)
    held = number > 0
    means = np.bincount(pairs, clipped)[held] / number[held]
    owner = np.flatnonzero(held) // (int(day.max()) + 1)
    n = np.bincount(owner).astype(np.float64)
    total, squares = np.bincount(owner, means), np.bincount(owner, means**2)
    several = n > 1
    if not several.any():
        return Habit(max(float(clipped.var()), 1e-6), 0.0)
    freedom = float((n[several] - 1.0).sum())
    spread = float((squares[several] - total[several] ** 2 / n[several]).sum())
    days = spread / freedom  # variance of a session's mean about the contract's own
    grand = float(total[several].sum() / n[several].sum())
    weights = n[several]
    among = float((weights * (total[several] / weights - grand) ** 2).sum())
    effective = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, (among - days * (several.sum() - 1.0)) / max(effective, 1e-9))
    return Habit(max(float(clipped.var()) - between, days, 1e-6), between)

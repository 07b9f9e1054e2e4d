"""How far a contract's own vol is from what its neighbours and the surface say.

Belongs here: the residual of one quote in half-spreads. Does not belong here: fitting surfaces
(`domain/surface`), what residual is usual (`baselines`). Source: `docs/methods/features.md`.

A surface fitted through a quote follows it, and takes its neighbours along. What it says of the
quote is therefore corrected by what it says of the neighbours: the median residual of the two
strikes on either side, of the same slice and right. A shift of the whole smile that the surface
missed cancels; a shock of one contract stays, and does not enter its own comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints, floats, integers
from dealer_assets.domain.conventions import VOL_POINT

NEIGHBOURS = 2
"""Strikes on each side that a contract is compared with."""

LEAST_NEIGHBOURS = 2
"""Below as many there is no residual."""


@dataclass(frozen=True)
class VolResiduals:
    """Vols of contracts beside the surface; float64 arrays of shape (n,), NaN not determined.

    Parameters
    ----------
    surface_vol : float64 array
        Vol of the surface at the contract, decimal.
    half_spreads : float64 array
        Own vol less the surface's, less the neighbours' median of the same, in halves of the
        bid-ask in vol.
    """

    surface_vol: Floats
    half_spreads: Floats


def vol_residuals(
    rows: pa.Table, surface: pa.Table, *, vol: Floats, half_spread_usd: Floats, vega: Floats
) -> VolResiduals:
    """Compare each contract's vol with the surface, corrected by its neighbours.

    Parameters
    ----------
    rows : pyarrow.Table, shape (n,)
        Contracts of a snapshot, monitored or not: columns root, expires_at, strike, right.
    surface : pyarrow.Table
        `tables.VOL_SURFACE` of the same snapshot.
    vol : float64 array, shape (n,)
        Vol of the contract's own mid, decimal; NaN where it has none.
    half_spread_usd : float64 array, shape (n,)
        Half of ask less bid; NaN or not above 0: no residual.
    vega : float64 array, shape (n,)
        USD per vol point of one unit.
    """
    smile = surface_vols(rows, surface)
    error = vol - smile
    expected = _of_neighbours(rows, error)
    with np.errstate(invalid="ignore", divide="ignore"):
        half_vol = half_spread_usd / vega * VOL_POINT
        usable = (half_spread_usd > 0.0) & (vega > 0.0)
        return VolResiduals(smile, np.where(usable, (error - expected) / half_vol, np.nan))


def surface_vols(rows: pa.Table, surface: pa.Table) -> Floats:
    """Evaluate a snapshot's surface at contracts.

    Parameters
    ----------
    rows : pyarrow.Table, shape (n,)
        Columns root, expires_at, strike.
    surface : pyarrow.Table
        `tables.VOL_SURFACE` of the snapshot.

    Returns
    -------
    float64 array, shape (n,)
        Decimal vol; NaN where there is no smile.
    """
    from dealer_assets.domain.surface.rows import surface_from
    from dealer_assets.domain.surface.smiles import total_variance

    if surface.num_rows == 0 or rows.num_rows == 0:
        return np.full(rows.num_rows, np.nan)
    fitted = surface_from(surface)
    place = _slice_places(rows, fitted.root, fitted.expires_at)
    with np.errstate(invalid="ignore", divide="ignore"):
        k = np.log(floats(rows, "strike") / fitted.forward[place])
        w = total_variance(k, place, fitted.params)[0]
        return np.where(place >= 0, np.sqrt(w / fitted.years[place]), np.nan)


def _slice_places(rows: pa.Table, root: NDArray[np.str_], expires_us: Ints) -> Ints:
    """Return each contract's slice, -1 where there is none."""
    known = {(str(r), int(e)): i for i, (r, e) in enumerate(zip(root, expires_us, strict=True))}
    coded = rows["root"].combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    label = integers(rows, "expires_at") * len(names) + np.array(coded.indices.to_numpy(), np.int64)
    labels, which = np.unique(label, return_inverse=True)
    found = [known.get((names[n % len(names)], n // len(names)), -1) for n in labels.tolist()]
    return np.array(found, np.int64)[which.reshape(-1)]


def _of_neighbours(rows: pa.Table, error: Floats) -> Floats:
    """Return the median error of the neighbouring strikes of each contract, itself left out."""
    expected = np.full(error.size, np.nan)
    use = np.flatnonzero(np.isfinite(error))
    if not use.size:
        return expected
    group = _groups(rows)[use]
    order = np.lexsort((floats(rows, "strike")[use], group))
    sorted_group, sorted_error = group[order], error[use][order]
    beside = np.full((use.size, 2 * NEIGHBOURS), np.nan)
    steps = [step for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step]
    for column, step in enumerate(steps):
        here, there = _shifted(use.size, step)
        same = sorted_group[here] == sorted_group[there]
        beside[here, column] = np.where(same, sorted_error[there], np.nan)
    expected[use[order]] = _medians(beside)
    return expected


def _groups(rows: pa.Table) -> Ints:
    """Return a number for each contract: the same within a slice and right."""
    root = np.array(rows["root"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)
    right = rows["right"].combine_chunks().dictionary_encode().indices
    expiry = np.unique(integers(rows, "expires_at"), return_inverse=True)[1].reshape(-1)
    roots = int(root.max(initial=0)) + 1
    return np.asarray((expiry * roots + root) * 2 + np.array(right.to_numpy(), np.int64))


def _shifted(n: int, step: int) -> tuple[slice, slice]:
    """Places of those that have a neighbour `step` away, and of these neighbours."""
    ahead = min(abs(step), n)
    low, high = slice(0, n - ahead), slice(ahead, n)
    return (low, high) if step > 0 else (high, low)


def _medians(values: Floats) -> Floats:
    """Median of each row's finite values, NaN below `LEAST_NEIGHBOURS` of them."""
    ordered = np.sort(values, axis=1)  # NaN come last
    count = np.isfinite(values).sum(axis=1)
    row = np.arange(values.shape[0])
    middle = 0.5 * (ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, count // 2])
    return np.where(count >= LEAST_NEIGHBOURS, middle, np.nan)

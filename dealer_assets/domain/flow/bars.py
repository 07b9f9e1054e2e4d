"""Flow bars: what was traded in a stretch of time, by bucket or by contract.

Belongs here: which bucket a print falls in, what each print adds, the sums. Does not belong here:
who was the buyer (`sides`), when a bar closes (the streaming engine), rows.

A bar is a function of its prints alone, in their order: the same prints give the same bar to the
last bit, however they were batched on the way. A cancel takes its print back in the bar in which it
is received, since nothing was known of it before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.tables.live import SIZE_BUCKETS, TENORS

BUCKETS = 2 * len(TENORS) * len(SIZE_BUCKETS)
"""Right x tenor x size."""

_LEAST_SIZES = np.array([2.0, 10.0, 100.0])
"""Smallest sizes [contracts] of all size buckets but the first."""

MEASURES = (
    "trades",
    "volume_contracts",
    "bought_contracts",
    "sold_contracts",
    "premium_usd",
    "signed_premium_usd",
    "hedge_flow_usd",
    "absolute_hedge_flow_usd",
    "gamma_flow_usd_per_pct",
)
"""Order of the rows of what `additions` and `bars_of` return; names of columns of the tables."""

HEDGE, ABSOLUTE_HEDGE = MEASURES.index("hedge_flow_usd"), MEASURES.index("absolute_hedge_flow_usd")


@dataclass(frozen=True, slots=True)
class Bars:
    """Sums of n prints in m groups.

    Parameters
    ----------
    key : int64 array, shape (m,)
        The groups that had a print, ascending.
    sums : float64 array, shape (9, m)
        In the order of `MEASURES`.
    """

    key: Ints
    sums: Floats


def bucket_of(is_call: Bools, is_zero_dte: Bools, size: Floats) -> Ints:
    """Return the bucket of each print, shape (n,): calls first, then today's expiry, then size."""
    place = np.searchsorted(_LEAST_SIZES, size, side="right")
    tenor = np.where(is_zero_dte, 0, len(SIZE_BUCKETS))
    return np.where(is_call, 0, BUCKETS // 2) + tenor + place


def names_of(bucket: Ints) -> tuple[Ints, Ints, Ints]:
    """Split bucket numbers into places in `tables.RIGHTS`, `TENORS` and `SIZE_BUCKETS`."""
    sizes = len(SIZE_BUCKETS)
    return bucket // (BUCKETS // 2), bucket // sizes % len(TENORS), bucket % sizes


def net_volume(size: Floats, *, is_cancel: Bools, is_matched: Bools) -> Floats:
    """Return what each row adds to the volume: a cancel its print's size less, of another none."""
    return size * np.where(is_cancel, np.where(is_matched, -1.0, 0.0), 1.0)


def additions(
    volume: Floats, *, dealer: Floats, premium: Floats, hedge_flow: Floats, gamma_flow: Floats
) -> Floats:
    """Return what each row adds to the bar it falls in, shape (9, n), in the order of `MEASURES`.

    Parameters
    ----------
    volume : float64 array, shape (n,)
        Of `net_volume`.
    dealer : float64 array
        Change of dealers' position [contracts]; 0 where nothing tells the side.
    premium, hedge_flow, gamma_flow : float64 array
        As in `tables.LIVE_TRADES`; a cancel's are those of its print with the sign turned.
    """
    counts = np.sign(volume)
    side = -np.sign(dealer) * counts  # the customer's in the print that is counted or taken back
    signed = np.abs(dealer) * counts
    return np.stack(
        [
            np.ones(volume.size),
            volume,
            np.where(side > 0.0, signed, 0.0),
            np.where(side < 0.0, signed, 0.0),
            premium,
            premium * side,
            hedge_flow,
            np.abs(hedge_flow) * counts,
            gamma_flow,
        ]
    )


def bars_of(key: NDArray[np.integer], added: Floats, *, groups: int = 0) -> Bars:
    """Add prints up by group.

    Parameters
    ----------
    key : integer array, shape (n,)
        Group of each print: bucket, contract, or any of them within a stretch of time.
    added : float64 array, shape (9, n)
        Of `additions`, in order of receipt.
    groups : int, optional
        Keys are below it, and few: they are counted instead of sorted.
    """
    if groups:
        keys, place = np.flatnonzero(np.bincount(key, minlength=groups)), key
    else:
        keys, place = np.unique(key, return_inverse=True)
    sums = np.empty((added.shape[0], keys.size))
    for row, values in enumerate(added):
        found = np.bincount(place, weights=values, minlength=groups)
        sums[row] = found[keys] if groups else found
    return Bars(keys.astype(np.int64), sums)

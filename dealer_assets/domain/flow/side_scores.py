"""How often guessed sides are right, and how well their odds hold, where sides are known.

Belongs here: accuracy by rule, Brier score, calibration error, reliability. Does not belong here:
fitting odds (`calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Bools, Floats
from dealer_assets.domain.flow.classify import Classified
from dealer_assets.tables.live import SIGN_BASES

ECE_BINS = 10
"""Bins of the calibration error."""


def brier(probability: Floats, is_right: Bools) -> float:
    """Mean squared distance of odds from what came; 0.25 for a coin, NaN without any side."""
    p, right = _known(probability, is_right)
    return float(np.mean((p - right) ** 2)) if p.size else float("nan")


def ece(probability: Floats, is_right: Bools, *, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error: mean gap of odds to shares right, over equal bins.

    Parameters
    ----------
    probability : float64 array, shape (n,)
        Odds; NaN where there is no side.
    is_right : bool array, shape (n,)
        What came.
    bins : int
        Bins; prints of equal odds stay together, so there may be fewer.
    """
    rows = reliability(probability, is_right, bins=bins)
    weight = rows["prints"].to_numpy().astype(np.float64)
    if not weight.sum():
        return float("nan")
    gap = np.abs(rows["mean_probability"].to_numpy() - rows["share_right"].to_numpy())
    return float(np.sum(weight * gap) / weight.sum())


def reliability(probability: Floats, is_right: Bools, *, bins: int = ECE_BINS) -> pa.Table:
    """Return what was promised and what came, bin by bin.

    Parameters
    ----------
    probability, is_right, bins
        As in `ece`.

    Returns
    -------
    pyarrow.Table
        One row a bin, ascending: ``prints``, ``mean_probability``, ``share_right``.
    """
    p, right = _known(probability, is_right)
    order = np.argsort(p, kind="stable")
    p, right = p[order], right[order]
    ends = np.round(np.arange(1, bins + 1) * p.size / bins).astype(np.int64)
    # a bin ends where the odds change, so that which of equal prints come first does not matter
    ends = (
        np.unique(np.searchsorted(p, p[ends[ends > 0] - 1], side="right")) if p.size else ends[:0]
    )
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    count = (ends - begins)[: ends.size]
    means = [
        np.add.reduceat(v, begins[: ends.size]) / count if ends.size else np.empty(0)
        for v in (p, right)
    ]
    return pa.table({"prints": count, "mean_probability": means[0], "share_right": means[1]})


def accuracy_by_basis(
    classified: Classified, is_buy: Bools, *, use: Bools | None = None
) -> pa.Table:
    """Return how often each rule was right about prints whose sides are known.

    Parameters
    ----------
    classified : Classified
        Prints that rules have signed.
    is_buy : bool array, shape (n,)
        Truth, in the prints' order.
    use : bool array, shape (n,), optional
        Prints that are judged; those that stand when absent.

    Returns
    -------
    pyarrow.Table
        One row for each rule that told anything, in order of the rules, and ``all`` of those with a
        side; columns basis, prints, share_of_prints, share_right, share_right_of_volume.
    """
    use = classified.stands if use is None else use
    right = (classified.sign > 0) == is_buy
    size = np.nan_to_num(classified.tape.size)
    rows = []
    for code, name in (*enumerate(SIGN_BASES), (-1, "all")):
        of = use & (classified.sign != 0 if code < 0 else classified.basis == code)
        n, volume = int(np.count_nonzero(of)), float(size[of].sum())
        if not n:
            continue
        told = name != "none"
        rows.append(
            {
                "basis": name,
                "prints": n,
                "share_of_prints": n / max(int(np.count_nonzero(use)), 1),
                "share_right": float(right[of].mean()) if told else None,
                "share_right_of_volume": float(size[of & right].sum() / volume) if told else None,
            }
        )
    return pa.Table.from_pylist(rows)


def accuracy_by_bucket(
    classified: Classified, is_buy: Bools, *, values: Floats, borders: Sequence[float]
) -> pa.Table:
    """Return how often sides were right about prints that stand, by a number of theirs.

    Parameters
    ----------
    classified : Classified
        Prints that rules have signed.
    is_buy : bool array, shape (n,)
        Truth, in the prints' order.
    values : float64 array, shape (n,)
        What prints are told apart by, as moneyness or the width of the quote; NaN: unknown.
    borders : sequence of float
        Between buckets, ascending.

    Returns
    -------
    pyarrow.Table
        One row for each bucket that has prints, ascending, those without a value last; columns
        from, to (null at the ends), prints, share_signed, share_right of the signed ones.
    """
    place = np.where(np.isfinite(values), np.searchsorted(borders, values), len(borders) + 1)
    right = (classified.sign > 0) == is_buy
    edges = [None, *borders, None, None]
    rows = []
    for bucket in range(len(borders) + 2):
        of = classified.stands & (place == bucket)
        signed = of & (classified.sign != 0)
        if not of.any():
            continue
        rows.append(
            {
                "from": edges[bucket],
                "to": edges[bucket + 1],
                "prints": int(np.count_nonzero(of)),
                "share_signed": float(signed.sum() / of.sum()),
                "share_right": float(right[signed].mean()) if signed.any() else None,
            }
        )
    return pa.Table.from_pylist(rows, _BUCKETS)


_BUCKETS = pa.schema(
    [
        ("from", pa.float64()),
        ("to", pa.float64()),
        ("prints", pa.int64()),
        ("share_signed", pa.float64()),
        ("share_right", pa.float64()),
    ]
)


def _known(probability: Floats, is_right: Bools) -> tuple[Floats, Floats]:
    use = np.isfinite(probability)
    return probability[use], is_right[use].astype(np.float64)

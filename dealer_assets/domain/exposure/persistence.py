"""Whether a label means anything: how often it stays, against how often it would by chance.

Belongs here: persistence of labels and what follows them, each with its base rate. Does not belong
here: the labels (`regimes`). Source: `docs/methods/regimes.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats

DRAWS = 2_000
_SEED = 20_260_109


@dataclass(frozen=True)
class Persistence:
    """How often the next label is the same one.

    Parameters
    ----------
    pairs : int
        Consecutive pairs.
    stays : float
        Share of them with equal labels; NaN without a pair.
    base : float
        The share that labels drawn at random in the same frequencies would have.
    most_common : float
        Share of the most common label: what always saying it would score.
    p_value : float
        Share of random orders of the same labels that stay at least as often.
    """

    pairs: int
    stays: float
    base: float
    most_common: float
    p_value: float


def persistence_of(labels: Sequence[str]) -> Persistence:
    """Compare how often labels stay with how often they would in any order.

    Parameters
    ----------
    labels : sequence of str
        In time order; one of each session, say.

    Returns
    -------
    Persistence
        The base rate is that of the same labels shuffled; the p-value is of `DRAWS` shuffles with a
        fixed seed, the order itself counted among them.
    """
    names, codes = np.unique(np.array(labels, np.str_), return_inverse=True)
    n = codes.size
    if n < 2:
        nan = float("nan")
        return Persistence(0, nan, nan, nan, nan)
    counts = np.bincount(codes, minlength=names.size)
    stays = float(np.mean(codes[1:] == codes[:-1]))
    base = float(np.sum(counts * (counts - 1.0)) / (n * (n - 1.0)))
    random = np.random.default_rng(_SEED)
    shuffled = random.permuted(np.tile(codes, (DRAWS, 1)), axis=1)
    as_often = np.mean(shuffled[:, 1:] == shuffled[:, :-1], axis=1) >= stays - 1e-12
    p_value = (1.0 + float(np.sum(as_often))) / (1.0 + DRAWS)
    return Persistence(n - 1, stays, base, float(counts.max() / n), p_value)


def persistence_texts(closings: pa.Table) -> dict[str, str]:
    """Say how often labels stayed, and how often the sign of gamma did, model by model.

    Parameters
    ----------
    closings : pyarrow.Table
        `tables.DEALER_REGIMES`, the last snapshot of each session.

    Returns
    -------
    dict of str to str
        ``persistence_<model>`` to words. Snapshots without a label are left out.
    """
    texts = {}
    for model in sorted(set(closings["model"].to_pylist())):
        rows = closings.filter(pc.equal(closings["model"], model)).sort_by("event_at")
        labels = [label for label in rows["regime"].to_pylist() if label]
        signs = [str(gamma > 0.0) for gamma in rows["gamma"].to_pylist() if gamma is not None]
        label, sign = _words(persistence_of(labels)), _words(persistence_of(signs))
        texts[f"persistence_{model}"] = f"label: {label}; sign of gamma: {sign}"
    return texts


def _words(found: Persistence) -> str:
    if not found.pairs:
        return "fewer than two sessions"
    return (
        f"stays {found.stays:.0%} of {found.pairs} sessions, by chance {found.base:.0%} "
        f"(p {found.p_value:.3f})"
    )


@dataclass(frozen=True)
class Following:
    """What followed one label.

    Parameters
    ----------
    label : str
        Which.
    count : int
        How often it was followed by a value.
    median, base : float
        Median of the values after it, and of all values.
    p_value : float
        Two-sided: share of random choices of as many values whose median lies as far from the base.
    """

    label: str
    count: int
    median: float
    base: float
    p_value: float


def following(labels: Sequence[str], values: Floats) -> list[Following]:
    """Compare what followed each label with what follows any.

    Parameters
    ----------
    labels : sequence of str, length n
        In time order.
    values : float64 array, shape (n,)
        What came after each label, such as the size of the next session's move; NaN: not known.

    Returns
    -------
    list of Following
        By label, ascending. Neighbouring values are taken for independent, which moves of one
        market are not: the p-values are too small rather than too large.
    """
    told = np.isfinite(values)
    names = np.array(labels, np.str_)[told]
    values = values[told]
    base = float(np.median(values)) if values.size else float("nan")
    random = np.random.default_rng(_SEED)
    found = []
    for label in sorted(set(names.tolist())):
        after = values[names == label]
        away = abs(float(np.median(after)) - base)
        drawn = random.permuted(np.tile(values, (DRAWS, 1)), axis=1)[:, : after.size]
        as_far = np.abs(np.median(drawn, axis=1) - base) >= away - 1e-12
        p_value = (1.0 + float(np.sum(as_far))) / (1.0 + DRAWS)
        found.append(Following(label, after.size, float(np.median(after)), base, p_value))
    return found

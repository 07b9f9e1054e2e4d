"""The rule that is used everywhere, to be compared with: a z-score above 3 in any feature.

Belongs here: that rule, as it is used. Does not belong here: our scores (`scores`), how the two
compare (`evaluation`). Source: `docs/methods/evaluation.md`.

Mean and standard deviation are those of all rows of the history together: no bucket, no hour, no
contract of its own, no correction for how many are looked at. Features that are never negative are
compared by their logarithm, as a careful user of the rule does; the others both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Floats, floats
from dealer_assets.tables.features import FEATURE_KINDS

PLAIN_THRESHOLD = 3.0
"""Standard deviations."""

PLAIN_COLUMNS = (*FEATURE_KINDS, "unscored_reason")
"""What the rule reads of `tables.CONTRACT_FEATURES`."""


@dataclass(frozen=True)
class PlainRule:
    """Mean and standard deviation of every feature over a history.

    Parameters
    ----------
    mean, deviation : float64 array, shape (features,)
        In the order of `FEATURE_KINDS`; NaN where the history tells none.
    """

    mean: Floats
    deviation: Floats


def fit_plain(history: pa.Table) -> PlainRule:
    """Take mean and standard deviation of every feature.

    Parameters
    ----------
    history : pyarrow.Table
        `PLAIN_COLUMNS` of earlier sessions.

    Returns
    -------
    PlainRule
    """
    values = _values(history)
    told = np.isfinite(values)
    count = np.maximum(told.sum(axis=0), 1)
    filled = np.where(told, values, 0.0)
    mean = filled.sum(axis=0) / count
    spread = np.sqrt(np.where(told, (values - mean) ** 2, 0.0).sum(axis=0) / count)
    known = told.any(axis=0) & (spread > 0.0)
    return PlainRule(np.where(known, mean, np.nan), np.where(known, spread, np.nan))


def plain_z(rule: PlainRule, rows: pa.Table) -> Floats:
    """Return the largest z-score of each row over its features, shape (n,).

    Parameters
    ----------
    rule : PlainRule
        Of the sessions before.
    rows : pyarrow.Table
        `tables.CONTRACT_FEATURES`.

    Returns
    -------
    float64 array, shape (n,)
        Two-sided features by their size; NaN where no feature is told or the row is not scored.
    """
    z = (_values(rows) - rule.mean) / rule.deviation
    two_sided = np.array([kind == "two_sided" for kind in FEATURE_KINDS.values()])
    z = np.where(two_sided, np.abs(z), z)
    most: Floats = np.max(np.where(np.isnan(z), -np.inf, z), axis=1, initial=-np.inf)
    return np.where(np.isfinite(most), most, np.nan)


def _values(rows: pa.Table) -> Floats:
    """Features side by side, shape (n, features); NaN in rows that are not scored."""
    columns = [_scaled(floats(rows, name), kind) for name, kind in FEATURE_KINDS.items()]
    values = np.column_stack(columns)
    scored = np.array(rows["unscored_reason"].is_null().to_numpy())
    return np.where(scored[:, None], values, np.nan)


def _scaled(values: Floats, kind: str) -> Floats:
    return np.log1p(np.maximum(values, 0.0)) if kind == "skewed" else values

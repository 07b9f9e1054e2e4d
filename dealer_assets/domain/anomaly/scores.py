"""Scores of contracts: p-values against the baseline, false-discovery control, 0 to 100.

Belongs here: putting measures, ranks and control together. Does not belong here: estimates
(`baselines.py`), the scale of scores and severities (`grades.py`), words (`words.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dealer_assets.domain.anomaly.baselines import (
    Baseline,
    Standardised,
    fit_and_rank,
    magnitude,
    standardise,
)
from dealer_assets.domain.anomaly.discovery import TARGET, q_values_by_snapshot
from dealer_assets.domain.anomaly.grades import points_of, severity_of
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.pvalues import composite
from dealer_assets.domain.anomaly.standard import MEASURES, NAMES
from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.tables.scores import SEVERITIES as SEVERITIES


@dataclass(frozen=True)
class Scores:
    """Scores, row by row of the table that `Features` were made of.

    Parameters
    ----------
    names : tuple of str
        Measures.
    p_value, q_value, score : float64 array, shape (n,)
        Of the composite; NaN where a row is not scored.
    is_anomaly : bool array, shape (n,)
        Marked: q-value at most the target, history long enough.
    severity : int64 array, shape (n,)
        Place in `SEVERITIES`.
    z, p : float64 array, shape (measures, n)
        Standardised residual and p-value by rank of each measure.
    usual : float64 array, shape (features, n)
        What was usual, on the scale of comparison; of a whole history that of volume alone.
    level : int64 array, shape (features, cells)
        Level of back-off of each cell: 0 is the cell itself.
    shift : float64 array, shape (features, snapshots)
        What was taken out of each snapshot, in cell scales.
    cell, snapshot : int64 array, shape (n,)
        Of each row.
    history_status : str
        ``none``, ``thin`` or ``ok``.
    history_sessions : int
        Sessions of history.
    """

    names: tuple[str, ...]
    p_value: Floats
    q_value: Floats
    score: Floats
    is_anomaly: Bools
    severity: Ints
    z: Floats
    p: Floats
    usual: Floats
    level: Ints
    shift: Floats
    cell: Ints
    snapshot: Ints
    history_status: str
    history_sessions: int

    def first(self, rows: int) -> Scores:
        """Return those of the first rows alone."""
        cut = slice(rows)
        return replace(
            self,
            **{name: getattr(self, name)[cut] for name in _BY_ROW},
            **{name: getattr(self, name)[:, cut] for name in _BY_MEASURE},
        )


_BY_ROW = ("p_value", "q_value", "score", "is_anomaly", "severity", "cell", "snapshot")
_BY_MEASURE = ("z", "p", "usual")


def score(baseline: Baseline, now: Features, *, target: float = TARGET) -> Scores:
    """Score one or more snapshots against a baseline.

    Parameters
    ----------
    baseline : Baseline
        Of the sessions before.
    now : Features
        A session so far: bursts compare a poll with those before it, so a poll's own session has to
        be there from its beginning. Each snapshot is a family of its own.
    target : float
        Share of false discoveries asked for.

    Returns
    -------
    Scores
        In the order of the table that `now` was made of.
    """
    made = standardise(baseline, now)
    p, extended = np.empty_like(made.z), np.empty_like(made.z)
    for i, measure in enumerate(MEASURES):
        values = magnitude(measure, made.z[i])
        baseline.curves[i].p_values(values, made.classes, extended=True, out=extended[i])
        baseline.curves[i].p_values(values, made.classes, out=p[i])
    overall = composite(extended)
    one = np.zeros(now.size, np.int64)
    return _scores(baseline, now, made, p, baseline.composite.p_values(overall, one), target)


def score_history(history: Features, *, target: float = TARGET) -> Scores:
    """Score every session of a history against all of it, its own session among them.

    For calibration and timing. Own effects are those of the sessions before; cells and curves hold
    the scored session too, which is one in sixty: what is found in it looks a little less rare.
    """
    baseline, made, extended, overall = fit_and_rank(history)
    one = np.zeros(history.size, np.int64)
    p_value = baseline.composite.p_values(overall, one)
    return _scores(baseline, history, made, extended, p_value, target)


def _scores(
    baseline: Baseline,
    now: Features,
    made: Standardised,
    p: Floats,
    p_value: Floats,
    target: float,
) -> Scores:
    q_value = q_values_by_snapshot(p_value, now.starts)
    severity = severity_of(q_value, target=target)
    if baseline.history_status != "ok":
        severity[:] = 0
    found = Scores(
        NAMES,
        p_value,
        q_value,
        points_of(p_value),
        severity > 0,
        severity,
        made.z,
        p,
        made.usual,
        made.level,
        made.shift,
        now.cell,
        now.snapshot,
        baseline.history_status,
        len(baseline.sessions),
    )
    if bool((now.place == np.arange(now.size)).all()):
        return found
    back = np.argsort(now.place)
    return replace(
        found,
        **{name: getattr(found, name)[back] for name in _BY_ROW},
        **{name: getattr(found, name)[:, back] for name in _BY_MEASURE},
    )

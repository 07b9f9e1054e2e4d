"""The methods that are compared: our scores, our p-values alone, and the plain rule.

Belongs here: what each method calls an alert, and how strong. Does not belong here: the scores
themselves (`scores`, `plain_rule`), counting (`evaluation`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dealer_assets.domain.anomaly.baselines import Baseline
from dealer_assets.domain.anomaly.discovery import TARGET
from dealer_assets.domain.anomaly.evaluation import Judge, Judged
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.plain_rule import PLAIN_THRESHOLD, PlainRule, plain_z
from dealer_assets.domain.anomaly.scores import SEVERITIES, Scores, score


def methods_of(baseline: Baseline, rule: PlainRule) -> dict[str, Judge]:
    """Return every method of `tables.EVALUATION_METHODS`, ready to judge a session's rows.

    Parameters
    ----------
    baseline : Baseline
        Of the sessions before.
    rule : PlainRule
        Of the same sessions.
    """
    held: list[tuple[pa.Table, Scores]] = []  # two methods judge the same scores

    def scored(rows: pa.Table) -> Scores:
        if not held or held[0][0] is not rows:
            held[:] = [(rows, score(baseline, Features.from_table(rows)))]
        return held[0][1]

    def own(rows: pa.Table) -> Judged:
        found = scored(rows)
        words = np.array(SEVERITIES, object)[found.severity]
        return Judged(found.is_anomaly, _strength(found), tuple(words.tolist()))

    def without_control(rows: pa.Table) -> Judged:
        found = scored(rows)
        return Judged(np.nan_to_num(found.p_value, nan=1.0) <= TARGET, _strength(found))

    def plain(rows: pa.Table) -> Judged:
        z = plain_z(rule, rows)
        return Judged(np.nan_to_num(z, nan=0.0) > PLAIN_THRESHOLD, z)

    return {"own": own, "plain_z3": plain, "p_without_bh": without_control}


def _strength(found: Scores) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(-np.log(found.p_value))

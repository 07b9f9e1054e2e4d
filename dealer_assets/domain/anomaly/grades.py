"""The declared scale of scores and severities, for contracts and for an underlying's measures.

Belongs here: p-value to 0-100, q-value to a class. Does not belong here: where either comes from
(`scores.py`, `underlying/scoring.py`), q-values (`discovery.py`).
"""

from __future__ import annotations

import numpy as np

from dealer_assets.domain.anomaly.discovery import TARGET
from dealer_assets.domain.columns import Floats, Ints

POINTS_PER_DECADE = 20.0
"""Score = 20 x -log10 p, at most 100: 60 is one in a thousand, 100 one in 100,000 or rarer."""

SEVERITY_Q = (0.02, 0.005)
"""What is marked with at most this q-value is a warning, or severe; otherwise a notice."""


def points_of(p_value: Floats) -> Floats:
    """Return scores, 0 to 100, shape as given; NaN stays NaN."""
    return np.asarray(np.minimum(np.abs(POINTS_PER_DECADE * np.log10(p_value)), 100.0))


def severity_of(q_value: Floats, *, target: float = TARGET) -> Ints:
    """Return places in `tables.scores.SEVERITIES`; 0 above the target and where q is NaN."""
    told = np.nan_to_num(q_value, nan=1.0)
    marked = told <= target
    return np.asarray(sum((marked & (told <= q) for q in SEVERITY_Q), marked.astype(np.int64)))

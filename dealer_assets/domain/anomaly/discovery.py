"""False-discovery control of one snapshot: Benjamini and Hochberg's step-up procedure.

Belongs here: p-values of one family to q-values. Does not belong here: where p-values come from
(`pvalues.py`).

Source: Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289. Among the contracts marked at
q <= 5 % no more than 5 % are expected to be false, as long as p-values are valid and those of
contracts that move together move together (Benjamini and Yekutieli 2001, positive dependence).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dealer_assets.domain.columns import Floats, Ints

TARGET = 0.05
"""Share of false discoveries asked for."""


def q_values(p: Floats) -> Floats:
    """Return the least target at which each p-value would be marked, shape (n,).

    NaN is no hypothesis and stays NaN.
    """
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    raised = p[order] * order.size / np.arange(1, order.size + 1)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return out


def q_values_by_snapshot(p: Floats, starts: Ints) -> Floats:
    """Return q-values of every snapshot by itself; its rows are ``starts[s]:starts[s + 1]``."""
    out = np.full(p.shape, np.nan)
    for first, last in pairwise(starts.tolist()):
        out[first:last] = q_values(p[first:last])
    return out

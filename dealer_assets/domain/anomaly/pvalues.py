"""How unusual a value is among those of its history: p-values by rank, and their combination.

Belongs here: curves of order statistics, one a class of liquidity, and the weighted harmonic mean.
Does not belong here: which values are compared (`baselines.py`), the control of false discoveries
(`discovery.py`).

A p-value is (1 + values at least as great) / (n + 1): valid whatever the distribution, as long as
the value is drawn as those of its history were. Nothing is extrapolated in what is published: the
least p-value is 1 / (n + 1). What goes into the composite follows a smooth Pareto tail beyond the
`TAIL_RANK`-th value, for history and for what is new alike. Ranks there would not do: a value
beyond all of history has no equal in it, so that its composite would seem rarer than it is. The
composite is ranked among composites again, so that a wrong tail costs power, not validity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dealer_assets.domain.anomaly.standard import WEIGHTS
from dealer_assets.domain.columns import Floats, Ints

EXACT_RANKS = 256
"""So many of the greatest values are kept one by one; further down every 2 %."""

LEAST_ROWS = 2_000
"""A class with fewer takes the curve of all classes together."""

LEAST_TAIL_INDEX = 4.0
TAIL_RANK = 300
TAIL_SHARE = 1e-3
"""The tail begins at this rank or this share of all values, whichever is further down."""

MOST_BEYOND_RANK = 3.0
"""The tail makes a value at most so many times rarer than its rank. Values that history holds many
times (a share that is 1 for one row in twenty) have a Pareto index of hundreds: without a bound one
such measure would fill history's greatest composites and hide every other."""

_STEP = 1.02


@dataclass(frozen=True)
class Curves:
    """Order statistics of one measure, a curve for each class.

    Parameters
    ----------
    points : float64 array, shape (m,)
        Values, falling within a curve.
    above : int64 array, shape (m,)
        How many values of history are at or above each.
    starts : int64 array, shape (classes + 1,)
        Where each curve begins.
    sizes : int64 array, shape (classes,)
        Values behind each.
    tails : float64 array, shape (classes,)
        Pareto index beyond the greatest; 0: none.
    """

    points: Floats
    above: Ints
    starts: Ints
    sizes: Ints
    tails: Floats

    def p_values(
        self,
        values: Floats,
        classes: Ints,
        *,
        extended: bool = False,
        out: Floats | None = None,
    ) -> Floats:
        """Return p-values by rank, shape (n,); NaN where a value is, or nothing is held.

        With `extended`, the greatest follow the tail as far as `MOST_BEYOND_RANK` allows: what
        composites are made of. With `out` they are written there.
        """
        from dealer_assets.domain.kernels.anomaly_ranks import ranked

        out = np.empty(values.size) if out is None else out
        starts, lasts = self.starts[:-1], self.starts[1:]
        tails = self.tails if extended else np.zeros_like(self.tails)
        firsts = self._tail_starts if extended else starts
        ranked(
            values,
            classes,
            self.points,
            self.above,
            starts,
            firsts,
            lasts,
            self.sizes,
            tails,
            MOST_BEYOND_RANK,
            out,
        )
        return out

    @cached_property
    def _tail_starts(self) -> Ints:
        """Where each curve leaves its tail."""
        found = []
        for g, n in enumerate(self.sizes.tolist()):
            first, last = int(self.starts[g]), int(self.starts[g + 1])
            rank = tail_rank(n)
            at = first + int(np.searchsorted(self.above[first:last], rank))
            found.append(min(at, max(last - 1, first)))
        return np.array(found, np.int64)


def tail_rank(n: int) -> int:
    """Return the rank at which the tail of so many values begins; of very few, half of them."""
    return max(1, min(max(TAIL_RANK, int(n * TAIL_SHARE)), n // 2))


def curves_of(values: Floats, classes: Ints, *, count: int) -> Curves:
    """Return the curves of a history's values; a class with too few takes that of all.

    Parameters
    ----------
    values : float64 array, shape (n,)
        NaN is left out.
    classes : int64 array, shape (n,)
        0 to count - 1.
    count : int
        Classes.
    """
    known = ~np.isnan(values)
    whole: _Curve | None = None
    found = []
    for number in range(count):
        chosen = values[known & (classes == number)] if count > 1 else values[known]
        if chosen.size < LEAST_ROWS and count > 1:
            whole = whole if whole is not None else _curve(values[known])
            found.append(whole)
        else:
            found.append(_curve(chosen))
    return _joined(found)


_Curve = tuple[Floats, Ints, int, float]


def _curve(values: Floats) -> _Curve:
    rising = np.sort(values)
    n = rising.size
    if n == 0:
        return np.empty(0), np.empty(0, np.int64), 0, 0.0
    ranks = [*range(1, min(n, EXACT_RANKS) + 1)]
    while ranks[-1] < n:
        ranks.append(min(n, int(ranks[-1] * _STEP) + 1))
    points = np.unique(rising[n - np.array(ranks)])[::-1]
    above = n - np.searchsorted(rising, points, side="left")
    return points, above.astype(np.int64), n, _tail_index(rising)


def _tail_index(rising: Floats) -> float:
    """Return Hill's estimate from the values beyond the tail's first, at least the declared one."""
    top = rising[-tail_rank(rising.size) :]
    if top.size < 2 or top[0] <= 0.0:
        return LEAST_TAIL_INDEX
    mean = float(np.log(top[1:] / top[0]).mean())
    return max(LEAST_TAIL_INDEX, 1.0 / mean) if mean > 0.0 else LEAST_TAIL_INDEX


def _joined(found: Sequence[_Curve]) -> Curves:
    return Curves(
        points=np.concatenate([curve[0] for curve in found]),
        above=np.concatenate([curve[1] for curve in found]),
        starts=np.concatenate([[0], np.cumsum([curve[0].size for curve in found])]).astype(
            np.int64
        ),
        sizes=np.array([curve[2] for curve in found], np.int64),
        tails=np.array([curve[3] for curve in found]),
    )


def composite(p: Floats, weights: Floats = WEIGHTS) -> Floats:
    """Return the weighted mean of 1 / p over the measures that are determined, shape (n,).

    The harmonic mean of p-values (Wilson 2019, PNAS 116, 1195) holds up under any dependence among
    measures that move together; what its value is worth is found by its rank in history.

    Parameters
    ----------
    p : float64 array, shape (measures, n)
        NaN where not determined.
    weights : float64 array, shape (measures,)
        Of `standard.MEASURES`.
    """
    from dealer_assets.domain.kernels.anomaly_ranks import combined

    out = np.empty(p.shape[1])
    combined(p, np.ascontiguousarray(weights), out)
    return out

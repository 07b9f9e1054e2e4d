"""What levels that nobody computed would have scored: random ones of the same distances.

Belongs here: the comparison with chance. Does not belong here: what is compared (`outcomes`).
Source: `docs/methods/scorecard.md`.

The random levels of a session are the same kind's levels of the other sessions, each as far from
its reference price, in expected moves and with its sign, as it was on its own day. So both have
one distribution of distances, exactly; what differs is only that the real ones belong to their
session. A shuffle of levels over sessions is one draw, and a statistic's place among many draws is
its p-value: valid at any number of sessions, of any statistic, without an assumption on prices
beyond that scaled sessions may change places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Floats
from dealer_assets.domain.scorecard.outcomes import Paths, outcomes

DRAWS = 2000
"""Shuffles; a p-value is told to a per cent or so."""

LEAST_SESSIONS = 5
"""Fewer scored sessions have no base rate: the levels would be compared with themselves."""


@dataclass(frozen=True)
class Rate:
    """A statistic, the same by chance, and how rare that is.

    Parameters
    ----------
    found, base : float
        NaN where nothing tells it: no session, or none touched.
    base_sd : float
        Standard deviation of the base over the shuffles: 2.8 of them would be found four times in
        five.
    p_value : float
        Two-sided; NaN with fewer than `LEAST_SESSIONS`.
    """

    found: float
    base: float
    base_sd: float
    p_value: float


@dataclass(frozen=True)
class Card:
    """How one kind of level fared over sessions.

    Parameters
    ----------
    sessions, touched : int
        Scored, and of them touched.
    touched_share, held_share, closed_beyond_share : Rate
        The last two of those touched.
    mean_distance : Rate
        Between level and close [expected moves]; smaller is nearer.
    """

    sessions: int
    touched: int
    touched_share: Rate
    held_share: Rate
    closed_beyond_share: Rate
    mean_distance: Rate


def score_card(level: Floats, paths: Paths, *, seed: int, draws: int = DRAWS) -> Card:
    """Score one kind of level over sessions, beside shuffles of the same levels.

    Parameters
    ----------
    level : float64 array, shape (n,)
        One per session, in expected moves from its reference price.
    paths : Paths
        The n sessions.
    seed : int
        Of the shuffles: the same seed, the same numbers.
    draws : int
        Shuffles.

    Returns
    -------
    Card
    """
    n = level.size
    every = outcomes(level[:, None], Paths(*(p[None, :] for p in _bars(paths))))
    session = np.arange(n)
    own = (session, session)
    shuffled: Floats = np.empty((4, draws))
    grids = np.stack([every.touched, every.held, every.closed_beyond, every.distance]).astype(float)
    if n >= LEAST_SESSIONS:
        order = np.tile(session, (draws, 1))
        order = np.random.default_rng(seed).permuted(order, axis=1)
        shuffled[:] = grids[:, order, session].sum(axis=2)
    else:
        shuffled[:] = np.nan
    found = grids[(slice(None), *own)].sum(axis=1)
    touched = found[0]
    return Card(
        sessions=n,
        touched=int(touched),
        touched_share=_rate(found[0], shuffled[0], n),
        held_share=_rate(found[1], shuffled[1], touched, shuffled[0]),
        closed_beyond_share=_rate(found[2], shuffled[2], touched, shuffled[0]),
        mean_distance=_rate(found[3], shuffled[3], n),
    )


def _bars(paths: Paths) -> tuple[Floats, Floats, Floats, Floats]:
    return paths.opened, paths.high, paths.low, paths.close


def _rate(
    found: float, shuffled: Floats, of: float, shuffled_of: Floats | float | None = None
) -> Rate:
    """Compare a ratio with that of every shuffle; shuffles without a denominator tell nothing."""
    over = np.broadcast_to(of if shuffled_of is None else shuffled_of, shuffled.shape)
    told = np.isfinite(shuffled) & (over > 0.0)
    chance = shuffled[told] / over[told]
    value = float(found / of) if of > 0.0 else float("nan")
    if not chance.size:
        return Rate(value, float("nan"), float("nan"), float("nan"))
    return Rate(value, float(chance.mean()), float(chance.std()), _p_value(value, chance))


def _p_value(found: float, chance: Floats) -> float:
    """Two-sided p-value: twice the lesser tail, the found value counted among the draws."""
    if not np.isfinite(found):
        return float("nan")
    slack = 1e-12 * max(abs(found), 1.0)
    least = min(
        int(np.sum(chance <= found + slack)),
        int(np.sum(chance >= found - slack)),
    )
    return min(1.0, 2.0 * (least + 1) / (chance.size + 1))

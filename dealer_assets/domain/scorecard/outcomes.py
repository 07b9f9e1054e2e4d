"""What became of a level in a session: touched, held, closed beyond, how far away at the close.

Belongs here: the definitions, over arrays of levels and sessions that broadcast. Does not belong
here: what chance would have given (`chance`), tables (`scores`). Source:
`docs/methods/scorecard.md`.

All is measured in expected moves from the reference price: a level is ``z = ln(level / reference) /
move``, a session its open, high, low and close likewise. A bar is enough, so that a level can be
held against any other session, and a day's file of prices against a minute's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats

HELD_BEYOND = 0.25
"""A level that held was never passed by more than this part of an expected move."""

HELD_REVERSAL = 0.25
"""At the close the price stood away from a level that held by at least this part of a move."""


@dataclass(frozen=True)
class Paths:
    """Sessions in expected moves from their reference prices; arrays of one shape.

    Parameters
    ----------
    opened, high, low, close : float64 array
        ``ln(price / reference) / move``.
    """

    opened: Floats
    high: Floats
    low: Floats
    close: Floats


@dataclass(frozen=True)
class Outcomes:
    """What became of levels; arrays of the shape that levels and sessions broadcast to.

    Parameters
    ----------
    touched : bool array
        The session traded on both sides of it, or at it.
    held : bool array
        Touched, not passed by more than `HELD_BEYOND`, and left by `HELD_REVERSAL` at the close.
    closed_beyond : bool array
        Touched, and the close on the other side than the open.
    distance : float64 array
        From level to close [expected moves], at least 0.
    """

    touched: Bools
    held: Bools
    closed_beyond: Bools
    distance: Floats


def outcomes(level: Floats, paths: Paths) -> Outcomes:
    """Tell what became of levels in sessions.

    Parameters
    ----------
    level : float64 array
        In expected moves from the session's reference price.
    paths : Paths
        Sessions; broadcasts with `level`.

    Returns
    -------
    Outcomes

    Notes
    -----
    A level is approached from the side of the open. An opening print at the level has no side: it
    is touched, and neither held nor closed beyond.
    """
    side = np.sign(level - paths.opened)  # +1: from below
    touched = (paths.low <= level) & (level <= paths.high)
    beyond = np.where(side > 0.0, paths.high - level, level - paths.low)
    back = side * (level - paths.close)
    approached = touched & (side != 0.0)
    return Outcomes(
        touched=np.asarray(touched),
        held=np.asarray(approached & (beyond <= HELD_BEYOND) & (back >= HELD_REVERSAL)),
        closed_beyond=np.asarray(approached & (back < 0.0)),
        distance=np.asarray(np.abs(paths.close - level)),
    )

"""What the inventory posterior takes for granted: declared constants, each with its meaning.

Belongs here: numbers chosen, not measured from a session. Does not belong here: what is made of
them (`posterior`, `trades`, `score`). How they were chosen: `docs/methods/positions.md`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumptions:
    """What is declared, not measured; fitted on simulated sessions (`docs/methods/positions.md`).

    Parameters
    ----------
    shrink : float
        Expected position of a contract out of the money when first seen, as a share of the naive
        rule's; `kinds.expected_shares` has the others.
    kind_spread : float
        Standard deviation about that of a kind's share, before any flow.
    own_spread : float
        Standard deviation of a contract's share about its kind's.
    kind_drift : float
        Standard deviation by which a kind's share changes in a session.
    kind_floor : float
        Standard deviation of a kind's share that no amount of flow takes away.
    mix : float
        Of a change of open interest, the part (1 sd) held otherwise than what is outstanding.
    turnover : float
        Of volume beyond the change of open interest, the part (1 sd) that stays with dealers.
    turnover_alone : float
        The same of all volume where no change of open interest is known.
    drift : float
        Of open interest, the part (1 sd) that changes hands in a session whose trades are not held.
    bias : float
        Error (1 sd) that the classified trades of a contract share, in their expected net, as a
        part of their volume.
    unfollowed_change : float
        Greatest part of the open interest before whose holders are taken to change alike.
    """

    shrink: float = 0.4
    kind_spread: float = 0.35
    own_spread: float = 0.12
    kind_drift: float = 0.02
    kind_floor: float = 0.05
    mix: float = 0.8
    turnover: float = 0.08
    turnover_alone: float = 0.2
    drift: float = 0.05
    bias: float = 0.015
    unfollowed_change: float = 0.5


DECLARED = Assumptions()

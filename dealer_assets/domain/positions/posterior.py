"""Inventory posterior: what a session's flow and change of open interest tell of dealers' holdings.

Belongs here: the filter, as arrays over contracts. Does not belong here: tables or dates
(`settled`), what trades say by themselves (`trades`), what is told outside (`interval`).
Source and derivation: `docs/methods/positions.md`.

A contract's position D is a Gaussian whose mean depends on the share of open interest that dealers
hold of its *kind*, so that what one contract tells of its kind moves all others at once. A session
takes customers' net purchases N off it. Two things tell N:

* classified trades. ``E = sum of s (2 p - 1)`` over prints is a mean under sides that are
  independent and as often bought as sold. Taking that assumption out leaves the likelihood
  ``E / reliability = N + noise`` with ``reliability = 1 - var / sum of s^2``;
* the change of open interest. Contracts that were opened or closed are held in the proportion in
  which those outstanding are held: ``-N = (D / OI) dOI + noise``. A contract whose trades lean
  against its change of open interest is thus one that dealers are long, and conversely.

Both are linear in (D, N), so that the update is a Kalman step in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dealer_assets.domain.columns import Floats, Ints
from dealer_assets.domain.positions.assumptions import DECLARED, Assumptions
from dealer_assets.domain.positions.trades import Flow, net_told

_CALM = 5.0
"""Contracts that behave, with which each kind's innovations are averaged."""


@dataclass(frozen=True)
class State:
    """What is believed of every contract; arrays of shape (n,).

    Parameters
    ----------
    mean : float64 array
        Dealers' position at the expected share of its kind [contracts], > 0 long.
    variance : float64 array
        Of the position at a given share of its kind [contracts^2].
    loading : float64 array
        Change of the mean with the kind's share [contracts].
    kind : int64 array
        Place of the contract's kind in the two arrays that follow.
    share, share_sd : float64 array, shape (k,)
        Kinds' expected share of open interest, and its standard deviation.
    """

    mean: Floats
    variance: Floats
    loading: Floats
    kind: Ints
    share: Floats
    share_sd: Floats

    @property
    def sd(self) -> Floats:
        """Standard deviation of each position, the kind's part included [contracts], shape (n,)."""
        return np.sqrt(self.variance + (self.loading * self.share_sd[self.kind]) ** 2)


def first_sight(
    open_interest: Floats,
    *,
    kind: Ints,
    share: Floats,
    share_sd: Floats,
    assumed: Assumptions = DECLARED,
) -> State:
    """Return what is believed of contracts nothing is known of but their open interest.

    Parameters
    ----------
    open_interest : float64 array, shape (n,)
        Settled [contracts]; 0 on the listing day gives a position of 0 without error.
    kind, share, share_sd
        As in `State`.
    assumed : Assumptions
        Declared constants.
    """
    return State(
        mean=share[kind] * open_interest,
        variance=(assumed.own_spread * open_interest) ** 2,
        loading=open_interest.copy(),
        kind=kind,
        share=share,
        share_sd=share_sd,
    )


def settle(
    before: State,
    flow: Flow,
    oi_before: Floats,
    oi_after: Floats,
    *,
    assumed: Assumptions = DECLARED,
) -> State:
    """Carry beliefs over one session.

    Parameters
    ----------
    before : State
        At the session's open, n contracts.
    flow : Flow
        The session's trades.
    oi_before, oi_after : float64 array, shape (n,)
        Settled open interest the session, and the next one, opened with [contracts]; NaN where
        none is known or its change means nothing.
    assumed : Assumptions
        Declared constants.

    Returns
    -------
    State
        At the next session's open, of the same contracts and kinds.
    """
    net, noise = net_told(flow, assumed)
    own, rest, change = _changes(oi_before, oi_after, assumed)
    # where no count is known, as many contracts as move with the kind's share
    size = np.where(np.isnan(oi_before), np.abs(before.loading), oi_before)
    process = _process(flow, size, change, assumed)
    share = before.share[before.kind]

    # D' = (1 + own) D + rest * share + w; what is seen is D' - D plus noise
    innovation = -net - own * before.mean - rest * share
    sensitivity = own * before.loading + rest
    quiet = own**2 * before.variance + process
    noise = noise * _surprise(before, innovation, sensitivity, quiet + noise)[before.kind]
    total = quiet + noise
    moved = _kinds(before, innovation, sensitivity, total, assumed)

    joint = (1.0 + own) * own * before.variance + process
    # nothing known to be uncertain, or nothing told: nothing to learn
    usable = (total > 0.0) & np.isfinite(total)
    gain = np.where(usable, joint, 0.0) / np.where(usable, total, 1.0)
    mean = (1.0 + own) * before.mean + rest * share + gain * np.where(usable, innovation, 0.0)
    variance = (1.0 + own) ** 2 * before.variance + process - gain * joint
    loading = (1.0 + own) * before.loading + rest - gain * sensitivity
    step = (moved.share - before.share)[before.kind]
    return replace(
        moved,
        mean=mean + loading * step,
        variance=np.maximum(variance, 0.0),
        loading=loading,
    )


def _changes(
    oi_before: Floats, oi_after: Floats, assumed: Assumptions
) -> tuple[Floats, Floats, Floats]:
    """Split changes into the part of the holdings before, and the rest, in the kind's proportion.

    Returns the first as a part of open interest, the second in contracts, and the whole (NaN where
    it is not known).
    """
    change = oi_after - oi_before
    known = np.isfinite(change)
    safe = np.where(known & (oi_before > 0.0), oi_before, 1.0)
    held = np.where(known & (oi_before > 0.0), change / safe, 0.0)
    own = np.clip(held, -1.0, assumed.unfollowed_change)
    rest = np.where(known, np.nan_to_num(change) - own * np.nan_to_num(oi_before), 0.0)
    return own, rest, change


def _process(flow: Flow, size: Floats, change: Floats, assumed: Assumptions) -> Floats:
    """Variance of N that neither the holdings before nor the change of open interest tells."""
    known = np.isfinite(change)
    moved = np.where(known, np.abs(np.nan_to_num(change)), 0.0)
    volume = np.where(np.isnan(flow.volume), 0.0, flow.volume)
    share = np.where(known, assumed.turnover, assumed.turnover_alone)
    traded = (share * np.maximum(volume - moved, 0.0)) ** 2
    unseen = np.where(np.isnan(flow.volume), (assumed.drift * size) ** 2, 0.0)
    return np.asarray((assumed.mix * moved) ** 2 + traded + unseen)


def _surprise(before: State, innovation: Floats, sensitivity: Floats, total: Floats) -> Floats:
    """Return by what factor each kind's innovations are larger than expected, at least 1.

    The mean squared one, drawn to 1 as by `_CALM` contracts that behave.
    """
    expected = total + (sensitivity * before.share_sd[before.kind]) ** 2
    usable = (expected > 0.0) & np.isfinite(expected)
    squares = np.where(usable, innovation, 0.0) ** 2 / np.where(usable, expected, 1.0)
    k = before.share.size
    found = np.bincount(before.kind, squares, minlength=k)
    count = np.bincount(before.kind, usable, minlength=k)
    return np.asarray(np.maximum((found + _CALM) / (count + _CALM), 1.0))


def _kinds(
    before: State, innovation: Floats, sensitivity: Floats, total: Floats, assumed: Assumptions
) -> State:
    """Learn the kinds' shares from all of their contracts at once."""
    k = before.share.size
    usable = (total > 0.0) & np.isfinite(total)
    weight = np.where(usable, sensitivity, 0.0) / np.where(usable, total, 1.0)
    score = np.bincount(before.kind, weight * np.where(usable, innovation, 0.0), minlength=k)
    told = np.bincount(before.kind, weight * np.where(usable, sensitivity, 0.0), minlength=k)
    precision = 1.0 / (before.share_sd**2 + assumed.kind_drift**2)
    variance = 1.0 / (precision + told)
    share = np.clip(before.share + variance * score, -1.0, 1.0)
    sd = np.maximum(np.sqrt(variance), assumed.kind_floor)
    return replace(before, share=share, share_sd=sd)

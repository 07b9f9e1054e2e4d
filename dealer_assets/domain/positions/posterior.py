"""Inventory posterior: what a session's flow and change of open interest tell of dealers' holdings.

Belongs here: the filter, as arrays over contracts. Does not belong here: tables or dates
(`settled`), which counts are worth anything (`counts`), kinds of contracts (`kinds`).
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

from dealer_assets.domain.columns import Bools, Floats, Ints


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

_CALM = 5.0

_LEAST_SD = 1e-9
"""Contracts; a smaller deviation is none."""

_LEAST_RELIABILITY = 0.03
"""Of sides right less than 59 times of 100, told by ticks alone, nothing is believed: what they are
worth is less certain than what they say, and all contracts without quotes would err as one."""


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


@dataclass(frozen=True)
class Flow:
    """A session's evidence by contract; arrays of shape (n,).

    Parameters
    ----------
    volume : float64 array
        Traded contracts; NaN where no trades are held.
    net, net_sd : float64 array
        Expected customers' buys minus sells, and its standard deviation [contracts].
    squared_size : float64 array
        Sum of squared sizes of prints [contracts^2].
    is_exact : bool array
        Counted, not classified.
    """

    volume: Floats
    net: Floats
    net_sd: Floats
    squared_size: Floats
    is_exact: Bools


@dataclass(frozen=True)
class Interval:
    """A position as told to the outside; arrays of shape (n,) [contracts].

    Parameters
    ----------
    mean, sd : float64 array
        Of the posterior within the open interest.
    lo, hi : float64 array
        Its 5 % and 95 % quantiles.
    """

    mean: Floats
    sd: Floats
    lo: Floats
    hi: Floats


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
    process = _process(flow, oi_before, change, assumed)
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


def bounded(mean: Floats, sd: Floats, open_interest: Floats) -> Interval:
    """Return mean, deviation and quantiles of positions that open interest bounds.

    Parameters
    ----------
    mean, sd : float64 array, shape (n,)
        Gaussian beliefs [contracts].
    open_interest : float64 array, shape (n,)
        Settled [contracts]; NaN: no bound.

    Returns
    -------
    Interval
        Of the Gaussian cut off at plus and minus open interest.

    Notes
    -----
    The bound is not fed back: cutting the same belief every morning would count it every morning.
    """
    from scipy.special import ndtr, ndtri

    bound = np.where(np.isnan(open_interest), np.inf, open_interest)
    is_spread = (sd > _LEAST_SD) & (bound > 0.0)
    scale = np.where(is_spread, sd, 1.0)
    # a belief far beyond the bound is one at the bound: the tails would be numbers without digits
    centre = np.clip(mean, -bound - 3.0 * scale, bound + 3.0 * scale)
    low, high = (-bound - centre) / scale, (bound - centre) / scale
    below, above = ndtr(low), ndtr(high)
    mass = np.maximum(above - below, 1e-12)
    at_low, at_high = _density(low), _density(high)
    shift = (at_low - at_high) / mass
    slope = (_times(low, at_low) - _times(high, at_high)) / mass
    inner = scale * np.sqrt(np.clip(1.0 + slope - shift**2, 0.0, 1.0))
    quantiles = [centre + scale * ndtri(below + q * mass) for q in (0.05, 0.95)]
    exact = np.clip(mean, -bound, bound)
    told = [np.clip(v, -bound, bound) for v in (centre + scale * shift, *quantiles)]
    middle, lo, hi = (np.where(is_spread, v, exact) for v in told)
    return Interval(middle, np.where(is_spread, inner, 0.0), lo, hi)


def reliability(flow: Flow) -> Floats:
    """Return how much classified trades are worth, 0 nothing, 1 exact; shape (n,)."""
    most = np.where(flow.squared_size > 0.0, flow.squared_size, 1.0)
    share = np.clip(1.0 - flow.net_sd**2 / most, 0.0, 1.0)
    share = np.where(share > _LEAST_RELIABILITY, share, 0.0)
    return np.where(flow.is_exact, 1.0, np.where(flow.squared_size > 0.0, share, 0.0))


def net_told(flow: Flow, assumed: Assumptions = DECLARED) -> tuple[Floats, Floats]:
    """Return customers' net as the trades alone tell it, without any belief before.

    Parameters
    ----------
    flow : Flow
        A session's evidence, n contracts.
    assumed : Assumptions
        Declared constants.

    Returns
    -------
    (float64 array, float64 array), shapes (n,)
        Mean [contracts] and variance [contracts^2]; infinite where trades tell nothing, 0 where
        nothing traded.

    Notes
    -----
    Options without a bid print at the ask whoever deals: all sides are told alike, and wrong. Of an
    expected net, what neither customers' whole volume nor chance (2 sd) could make is such an error
    of all prints at once, and the contract's variance takes it in.
    """
    worth = reliability(flow)
    told = (worth > 0.0) & ~np.isnan(flow.volume)
    safe = np.where(told, worth, 1.0)
    volume = np.nan_to_num(flow.volume)
    excess = np.abs(flow.net) - safe * volume - 2.0 * np.sqrt(safe) * flow.net_sd
    shared = np.hypot(assumed.bias * volume, np.maximum(excess, 0.0))
    shared = np.where(flow.is_exact, 0.0, shared)
    variance = (flow.net_sd**2 * safe + shared**2) / safe**2
    is_idle = flow.volume == 0.0
    variance = np.where(is_idle, 0.0, np.where(told, variance, np.inf))
    return np.where(told & ~is_idle, flow.net / safe, 0.0), variance


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


def _process(flow: Flow, oi_before: Floats, change: Floats, assumed: Assumptions) -> Floats:
    """Variance of N that neither the holdings before nor the change of open interest tells."""
    known = np.isfinite(change)
    moved = np.where(known, np.abs(np.nan_to_num(change)), 0.0)
    volume = np.where(np.isnan(flow.volume), 0.0, flow.volume)
    share = np.where(known, assumed.turnover, assumed.turnover_alone)
    traded = (share * np.maximum(volume - moved, 0.0)) ** 2
    unseen = np.where(np.isnan(flow.volume), (assumed.drift * np.nan_to_num(oi_before)) ** 2, 0.0)
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


def _density(x: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi))


def _times(x: Floats, density: Floats) -> Floats:
    return np.where(np.isinf(x), 0.0, np.where(np.isinf(x), 0.0, x) * density)

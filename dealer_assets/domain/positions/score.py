"""The daily score: what the evening before said, held against what the morning told.

Belongs here: errors, coverage and their drift, as numbers. Does not belong here: what the lake
holds of a session (`settling`), sides and their odds (`domain.flow.calibration`).
Source: `docs/methods/positions.md`.

Open interest is the one thing about positions that is published every day, so a session's flow and
the positions it began with have to foretell its change:

    constant    dOI = 0.4 x volume, of every contract alike
    ours        dOI = o x volume, drawn to where customers' net N and dealers' share f of open
                interest say it must be, as N = -f dOI + noise

``o`` is the share of volume that opened on balance in the sessions before, never this one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Bools, Floats
from dealer_assets.domain.positions.assumptions import DECLARED, Assumptions
from dealer_assets.domain.positions.trades import Flow, net_told

BASELINE = 0.4
"""Constant part of volume that the field takes for opening."""

PRIOR_OPENING = 0.05
PRIOR_SESSIONS = 5.0
"""Net opening share of volume before any session is scored, and how many sessions it counts for."""

OPENING_SPREAD = 0.35
"""Standard deviation of a contract's net opening share about that."""

HISTORY = 20
"""Sessions, the latest before, that a score is compared with."""

LEAST_HISTORY = 5

LEADING = "reconciled"
"""The model that is watched for drift."""

NAIVE = "naive"
"""The rule that every session is scored beside."""

NORMAL_95 = 1.6448536269514722


@dataclass(frozen=True)
class Foretold:
    """A session's changes of open interest as foretold; arrays of shape (n,) [contracts].

    Parameters
    ----------
    change, sd : float64 array
        Mean and standard deviation.
    baseline : float64 array
        What the constant fraction says.
    """

    change: Floats
    sd: Floats
    baseline: Floats


@dataclass(frozen=True)
class Errors:
    """How a session's changes of open interest were foretold.

    Parameters
    ----------
    contracts : int
        That traded and whose change is known.
    error, baseline_error : float
        Root mean square error, of ours and of the constant fraction [contracts].
    skill : float
        1 - error / baseline error; below 0 the constant fraction was better.
    coverage : float
        Share of changes within the 90 % interval.
    opening_share : float
        Of the volume, what opened on balance.
    """

    contracts: int
    error: float
    baseline_error: float
    skill: float
    coverage: float
    opening_share: float


def opening_share(seen: Sequence[tuple[float, float]]) -> float:
    """Return the net opening share of volume to expect.

    Parameters
    ----------
    seen : sequence of (float, float)
        Net opening share and contracts' volume of earlier sessions; the latest `HISTORY` count.

    Returns
    -------
    float
        Volume-weighted mean, drawn to `PRIOR_OPENING` as by `PRIOR_SESSIONS` sessions.
    """
    latest = [(share, volume) for share, volume in seen if volume > 0.0][-HISTORY:]
    if not latest:
        return PRIOR_OPENING
    volume = sum(v for _, v in latest)
    prior = PRIOR_SESSIONS * volume / len(latest)
    return (PRIOR_OPENING * prior + sum(s * v for s, v in latest)) / (prior + volume)


def foretell(
    flow: Flow,
    position: Floats,
    open_interest: Floats,
    *,
    opening: float,
    assumed: Assumptions = DECLARED,
) -> Foretold:
    """Foretell changes of open interest from a session's flow and the positions it opened with.

    Parameters
    ----------
    flow : Flow
        The session's trades, n contracts.
    position, open_interest : float64 array, shape (n,)
        Dealers' position and open interest the session opened with [contracts].
    opening : float
        Net opening share, see `opening_share`.
    assumed : Assumptions
        Declared constants.
    """
    volume = np.nan_to_num(flow.volume)
    share = np.where(open_interest > 0.0, position, 0.0) / np.maximum(open_interest, 1.0)
    share = np.clip(share, -1.0, 1.0)
    mean, spread = opening * volume, OPENING_SPREAD * volume
    net, noise = net_told(flow, assumed)
    noise = noise + (assumed.turnover * volume) ** 2 + (assumed.mix * mean) ** 2
    total = share**2 * spread**2 + noise
    gain = np.where(total > 0.0, share * spread**2, 0.0) / np.where(total > 0.0, total, 1.0)
    change = mean + gain * (-net - share * mean)
    variance = np.maximum(spread**2 - gain * share * spread**2, 0.0)
    change = np.clip(change, -np.minimum(volume, open_interest), volume)
    return Foretold(change, np.sqrt(variance), BASELINE * volume)


def judge(foretold: Foretold, change: Floats, volume: Floats) -> Errors:
    """Hold foretold changes against those that came; contracts without trades say nothing.

    Parameters
    ----------
    foretold : Foretold
        n contracts.
    change : float64 array, shape (n,)
        That came [contracts]; NaN where it is not known, or worth nothing.
    volume : float64 array, shape (n,)
        Traded [contracts]; NaN where no trades are held.
    """
    use = np.isfinite(change) & (volume > 0.0)
    n = int(np.count_nonzero(use))
    if not n:
        return Errors(0, *[float("nan")] * 5)
    came, told, sd = change[use], foretold.change[use], foretold.sd[use]
    error, baseline = _rms(told - came), _rms(foretold.baseline[use] - came)
    within = np.abs(told - came) <= NORMAL_95 * sd + 0.5
    return Errors(
        contracts=n,
        error=error,
        baseline_error=baseline,
        skill=1.0 - error / baseline if baseline > 0.0 else float("nan"),
        coverage=float(within.mean()),
        opening_share=float(came.sum() / volume[use].sum()),
    )


def net_coverage(trades: Flow, counted: Flow) -> tuple[int, float]:
    """Return on how many contracts both classified trades and counts are held, and the coverage.

    Parameters
    ----------
    trades, counted : Flow
        Of n contracts: what the classifier says, and market makers' exact counts.

    Returns
    -------
    (int, float)
        Contracts, and the share of counted nets within the classifier's 90 % interval.
    """
    net, variance = net_told(trades)
    use = np.isfinite(variance) & np.isfinite(counted.volume) & (trades.volume > 0.0)
    n = int(np.count_nonzero(use))
    if not n:
        return 0, float("nan")
    gap = np.abs(net[use] - counted.net[use])
    return n, float(np.mean(gap <= NORMAL_95 * np.sqrt(variance[use]) + 0.5))


@dataclass(frozen=True)
class Held:
    """How positions fared against the truth.

    Parameters
    ----------
    contracts : int
        With open interest.
    coverage : float
        Share of true positions within the 5 to 95 % interval; NaN for a model that tells none.
    error, naive_error, shrunk_naive_error : float
        Root mean square error: of the positions, of the naive rule, and of 0.4 times it.
    """

    contracts: int
    coverage: float
    error: float
    naive_error: float
    shrunk_naive_error: float


def against_truth(
    position: Floats,
    lo: Floats,
    hi: Floats,
    *,
    truth: Floats,
    open_interest: Floats,
    is_call: Bools,
) -> Held:
    """Hold positions against the truth; arrays of shape (n,) [contracts], NaN where not known."""
    use = (open_interest > 0.0) & np.isfinite(truth) & np.isfinite(position)
    n = int(np.count_nonzero(use))
    if not n:
        return Held(0, *[float("nan")] * 4)
    came, oi = truth[use], open_interest[use]
    naive = np.where(is_call[use], oi, -oi)
    told = np.isfinite(lo[use])
    # positions are whole contracts: one within half of the end of an interval lies in it
    within = (came >= lo[use] - 0.5) & (came <= hi[use] + 0.5)
    return Held(
        contracts=n,
        coverage=float(within[told].mean()) if told.any() else float("nan"),
        error=_rms(position[use] - came),
        naive_error=_rms(naive - came),
        shrunk_naive_error=_rms(BASELINE * naive - came),
    )


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))

"""How unusual a value is among a few dozen earlier ones: robust z, percentile, p-value.

Belongs here: one value against its history. Does not belong here: which history (`history`),
control over many measures (`domain/anomaly/discovery`), pooled p-values of contracts (`pvalues`).

Sixty sessions rank a value to one in sixty-one and no finer, which no control over two dozen
measures could ever let pass. Beyond the largest twentieth of the history the p-value therefore
falls by a declared power of the distance. The power is that of returns of prices, heavier than a
normal tail: a value has to lie further out, and less is claimed of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Floats

TAIL_POWER = 3.0
"""P(|x - centre| > d) falls as ``d**-3``: the tail found in returns of shares and indices
(Gopikrishnan et al. 1999, Phys. Rev. E 60, 5305)."""

TAIL_SHARE = 0.05
"""The tail begins at the largest twentieth of the history's distances: three of sixty."""

TAIL_LEAST = 20
"""Values a history needs before a tail is put to it; before, ranks are all there is."""

_ROUNDING = 1e-12
"""Distances closer than this share of the values are equal: a median of two is rounded."""

_TO_SIGMA_MEDIAN, _TO_SIGMA_MEAN = 1.4826, 1.2533
"""Normal standard deviations per median and per mean absolute deviation."""


@dataclass(frozen=True)
class Standing:
    """A value among its history; NaN: not determined.

    Parameters
    ----------
    centre, scale : float
        Median, and robust standard deviation about it, in the measure's unit.
    z : float
        ``(value - centre) / scale``.
    percentile : float
        Share of the history below the value, ties by half.
    p_value : float
        Two-sided.
    """

    centre: float
    scale: float
    z: float
    percentile: float
    p_value: float


def standing(value: float, history: Floats) -> Standing:
    """Place a value in its history.

    Parameters
    ----------
    value : float
        The measure now.
    history : numpy.ndarray
        Earlier values, shape (n,), n >= 1, finite.

    Returns
    -------
    Standing
        The p-value ranks the distance from the median of history and value together among the
        history's (conformal: exact whatever the distribution, if the sessions could be swapped),
        and follows `TAIL_POWER` beyond the tail's beginning.
    """
    centre = float(np.median(history))
    scale = scale_of(history, centre)
    below = np.count_nonzero(history < value) + 0.5 * np.count_nonzero(history == value)
    return Standing(
        centre=centre,
        scale=scale,
        z=(value - centre) / scale if scale > 0.0 else float("nan"),
        percentile=float(below / history.size),
        p_value=_p_value(value, history),
    )


def scale_of(history: Floats, centre: float) -> float:
    """Return 1.4826 x the median distance, or 1.2533 x the mean one where half stand still."""
    away = np.abs(history - centre)
    median = _TO_SIGMA_MEDIAN * float(np.median(away))
    return median if median > 0.0 else _TO_SIGMA_MEAN * float(np.mean(away))


def _p_value(value: float, history: Floats) -> float:
    middle = np.median(np.append(history, value))
    away, own = np.abs(history - middle), abs(value - middle)
    same = _ROUNDING * max(float(np.abs(history).max()), abs(value))
    ranked = (1.0 + np.count_nonzero(away >= own - same)) / (history.size + 1.0)
    inside = int(TAIL_SHARE * history.size)
    if history.size < TAIL_LEAST or not inside:
        return float(ranked)
    begins = np.sort(away)[-inside]
    if begins <= same or own <= begins:
        return float(ranked)
    return float(inside / (history.size + 1.0) * (begins / own) ** TAIL_POWER)

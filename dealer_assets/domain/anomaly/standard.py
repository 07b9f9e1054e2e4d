"""How each feature is measured: its scale, its side, its weight; declared here and nowhere else.

Belongs here: the table of measures and the transformation of a feature to the scale on which it is
compared. Does not belong here: how features come about (`features.py`), what is usual
(`baselines.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dealer_assets.domain.columns import Floats

Scale = Literal["log", "asinh", "plain"]
Side = Literal["high", "both"]
SCALES = ("log", "asinh", "plain")


@dataclass(frozen=True)
class Measure:
    """One thing that is compared with its history.

    Parameters
    ----------
    name : str
        Column of `tables.CONTRACT_FEATURES`; of a burst a name of its own.
    scale : {"log", "asinh", "plain"}
        ``log(1 + x / unit)``, ``asinh(x / unit)`` or ``x / unit``.
    unit : float
        In the feature's own unit: what it takes to matter.
    side : {"high", "both"}
        Whether low values are unusual too.
    weight : float
        Share in the composite; of those that are determined.
    is_count : bool
        A count of contracts: its scale is never below that of a Poisson count.
    burst_of : str
        Blank, or the feature whose poll is compared with the session's earlier polls.
    """

    name: str
    scale: Scale
    unit: float
    side: Side
    weight: float
    is_count: bool = False
    burst_of: str = ""


VOLUME = "volume_contracts_netted"
IV_RESIDUAL = "iv_residual_half_spreads"
VOLUME_BURST = "volume_burst"
IV_BURST = "iv_residual_burst"

FEATURES = (
    Measure(VOLUME, "log", 1.0, "high", 0.22, is_count=True),
    Measure("premium_usd", "log", 100.0, "high", 0.01),
    Measure("vega_traded_usd_per_vol_point", "log", 10.0, "high", 0.005),
    Measure("premium_over_vega", "log", 1.0, "high", 0.005),
    Measure("volume_over_open_interest", "log", 0.01, "high", 0.005),
    Measure("open_interest_change_contracts", "asinh", 10.0, "both", 0.03),
    Measure(IV_RESIDUAL, "plain", 1.0, "both", 0.22),
    Measure("spread_relative", "log", 0.01, "high", 0.03),
    Measure("open_probability", "plain", 1.0, "high", 0.005),
    Measure("flow_imbalance", "plain", 1.0, "both", 0.02),
    Measure("sweep_share", "log", 0.01, "high", 0.02),
    Measure("burst_share", "log", 0.01, "high", 0.03),
)
"""Volume comes first: what it leads one to expect decides the class of every other.

Premium, vega and volume over open interest follow from volume: together they count less than it.
"""

BURSTS = (
    Measure(VOLUME_BURST, "log", 1.0, "high", 0.36, is_count=True, burst_of=VOLUME),
    Measure(IV_BURST, "plain", 1.0, "both", 0.04, burst_of=IV_RESIDUAL),
)

MEASURES = (*FEATURES, *BURSTS)
NAMES = tuple(measure.name for measure in MEASURES)
WEIGHTS = np.array([measure.weight for measure in MEASURES])

CLASS_EDGES = (0.5, 5.0, 50.0)
"""Expected contracts of the poll at which the next class of liquidity begins: a contract that
trades once a day and one that trades every second have tails of their own."""

CLASSES = len(CLASS_EDGES) + 1

LEAST_SCALE = {"log": 0.25, "asinh": 0.25, "plain": 0.1}
"""Of a cell in which nearly all values are the same, on the scale of comparison."""


def from_scale(measure: Measure, scaled: Floats) -> Floats:
    """Bring values back to the feature's own unit."""
    if measure.scale == "log":
        return np.asarray(np.expm1(scaled) * measure.unit)
    if measure.scale == "asinh":
        return np.asarray(np.sinh(scaled) * measure.unit)
    return np.asarray(scaled * measure.unit)


def classes_of(expected: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the class of liquidity of each expected volume, 0 to 3; 0 where it is not known."""
    known = np.nan_to_num(expected, nan=0.0)
    return np.searchsorted(np.array(CLASS_EDGES), known, side="right").astype(np.int64)

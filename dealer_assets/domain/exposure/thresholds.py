"""What counts as much: percentiles of a metric's own past, or declared defaults.

Belongs here: how thresholds come about, and which are only declared. Does not belong here: what is
compared with them (`regimes`). Source: `docs/methods/regimes.md`.

Each threshold has an entry and an exit: a label that is held is left at the exit, which is easier
to stay beyond. Both come from the closing snapshots of earlier sessions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.columns import Floats

MOST_SESSIONS = 60
FEWEST_SESSIONS = 20
"""Closings of a metric behind a percentile: fewer, and its declared default stands in."""


@dataclass(frozen=True)
class Declared:
    """How one threshold is found.

    Parameters
    ----------
    metric : str
        Whose history it is a percentile of.
    enter, leave : float
        Percentiles.
    static_enter, static_leave : float
        Declared values until there is history; shares of a session's volume, or per cent of spot.
    is_absolute : bool
        Of the metric's size, whatever its sign.
    side : int
        1 or -1 keeps a signed threshold on that side of zero; 0: anywhere.
    """

    metric: str
    enter: float
    leave: float
    static_enter: float
    static_leave: float
    is_absolute: bool = True
    side: int = 0


DECLARED: dict[str, Declared] = {
    "gamma_high": Declared("gamma", 70.0, 60.0, 0.10, 0.08, is_absolute=False, side=1),
    "gamma_low": Declared("gamma", 30.0, 40.0, -0.10, -0.08, is_absolute=False, side=-1),
    "vanna_flow": Declared("vanna_flow", 80.0, 70.0, 0.05, 0.04),
    "charm_flow": Declared("charm_flow", 80.0, 70.0, 0.01, 0.008),
    "hedge_flow": Declared("hedge_flow", 90.0, 80.0, 0.05, 0.04),
    "move": Declared("move_pct", 60.0, 50.0, 0.75, 0.6),
    "quiet": Declared("move_pct", 50.0, 60.0, 0.5, 0.6),
}
"""A gamma threshold never crosses zero: a low percentile of a book that is always long is no short
gamma. Static values are rounded from recorded SPX books over SPY's volume; they are no findings."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of a session.

    Parameters
    ----------
    enter, leave : mapping of str to float
        By the names of `DECLARED`.
    static : tuple of str
        Those that are declared defaults.
    sessions : int
        Closings that the history holds.
    """

    enter: Mapping[str, float]
    leave: Mapping[str, float]
    static: tuple[str, ...]
    sessions: int

    @property
    def source(self) -> str:
        """``history``, ``mixed`` or ``static``."""
        if not self.static:
            return "history"
        return "static" if len(self.static) == len(DECLARED) else "mixed"


def thresholds_of(history: Mapping[str, Floats]) -> Thresholds:
    """Find every threshold from closings of earlier sessions.

    Parameters
    ----------
    history : mapping of str to float64 array, each of shape (n,)
        Metrics by name, oldest first; NaN where one was not told. The last `MOST_SESSIONS` count.

    Returns
    -------
    Thresholds
        A metric with fewer than `FEWEST_SESSIONS` finite values takes its declared defaults.
    """
    enter: dict[str, float] = {}
    leave: dict[str, float] = {}
    static: list[str] = []
    for name, declared in DECLARED.items():
        values = history.get(declared.metric, np.empty(0))[-MOST_SESSIONS:]
        values = values[np.isfinite(values)]
        if values.size < FEWEST_SESSIONS:
            enter[name], leave[name] = declared.static_enter, declared.static_leave
            static.append(name)
            continue
        if declared.is_absolute:
            values = np.abs(values)
        both = np.percentile(values, [declared.enter, declared.leave])
        if declared.side:
            both = declared.side * np.maximum(declared.side * both, 0.0) + 0.0  # no minus zero
        enter[name], leave[name] = float(both[0]), float(both[1])
    sessions = max((values.size for values in history.values()), default=0)
    return Thresholds(enter, leave, tuple(static), min(sessions, MOST_SESSIONS))

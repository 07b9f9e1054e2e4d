"""How much of an underlying is traded in a session: what exposures are measured against.

Belongs here: the median of traded notional and what it is worth. Does not belong here: where bars
come from (`providers`), or what is scaled by it (`metrics`).

It is measured, never a share of open interest: `docs/methods/metrics.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import floats

ADV_SESSIONS = 20
"""Sessions in the median."""

ADV_LOOK_BACK = 30
"""Sessions of the calendar that are looked through: some may not be held."""

ADV_STALE_SESSIONS = 5
"""A median whose newest session is further back than this is of another market."""


@dataclass(frozen=True)
class Adv:
    """Traded notional of a usual session.

    Parameters
    ----------
    usd : float
        Median of traded notional [USD per session]; NaN where no bar is held.
    status : str
        ``ok``; ``short``: fewer than `ADV_SESSIONS`; ``stale``; ``none``.
    sessions : int
        Sessions in the median.
    instrument : str
        What was traded; blank where nothing is held.
    """

    usd: float
    status: str
    sessions: int
    instrument: str

    @property
    def identity(self) -> str:
        """What a derivation that is scaled by it depends on."""
        return f"{self.usd!r} {self.status} {self.sessions} {self.instrument}"


NO_ADV = Adv(float("nan"), "none", 0, "")


def adv_of(bars: pa.Table, *, age_sessions: int = 1) -> Adv:
    """Median of the traded notional of the newest sessions.

    Parameters
    ----------
    bars : pyarrow.Table
        `tables.UNDERLYING_BARS` schema: one instrument, one row a session, all of them over before
        the session that they are to scale.
    age_sessions : int
        How many sessions the newest lies before that one; 1 is the session before.

    Returns
    -------
    Adv
    """
    if not bars.num_rows:
        return NO_ADV
    bars = bars.sort_by("event_at")
    notional = floats(bars, "notional_usd")[-ADV_SESSIONS:]
    usd = float(np.median(notional))
    if not usd > 0.0:
        return NO_ADV
    status = "ok" if notional.size == ADV_SESSIONS else "short"
    if age_sessions > ADV_STALE_SESSIONS:
        status = "stale"
    return Adv(usd, status, int(notional.size), str(bars["instrument"][-1].as_py()))

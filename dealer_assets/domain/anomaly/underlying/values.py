"""The measures of a poll: from its own facts, those of the closing before, and earlier closings.

Belongs here: one formula a measure. Does not belong here: what is unusual (`standing`). Source:
`docs/methods/underlying_scores.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dealer_assets.domain.anomaly.underlying.facts import Facts
from dealer_assets.domain.columns import Floats
from dealer_assets.domain.conventions import VOL_POINT

REALISED_RETURNS = 20
LEAST_RETURNS = 15
"""Returns between closings behind realised vol, and the fewest that still make one."""

_NAN = float("nan")


def realised_vol(closes: Sequence[float] | Floats, *, sessions_per_year: float) -> float:
    """Return the vol of earlier closings.

    Parameters
    ----------
    closes : sequence or array of float
        Spot of the last 21 sessions' closings, ascending; NaN: that session is not held.
    sessions_per_year : float
        252, or 365 where every day is a session.

    Returns
    -------
    float
        Root mean square of log returns between neighbouring sessions, annualised [vol points]; NaN
        with fewer than 15 returns.
    """
    returns = np.diff(np.log(np.asarray(closes, np.float64)))
    returns = returns[np.isfinite(returns)]
    if returns.size < LEAST_RETURNS:
        return _NAN
    return float(np.sqrt(np.mean(returns * returns) * sessions_per_year)) / VOL_POINT


def values_of(now: Facts, before: Facts | None, *, realised: float) -> dict[str, float]:
    """Return every measure.

    Parameters
    ----------
    now : Facts
        Of the poll.
    before : Facts or None
        Of the last poll of the session before; None: not held.
    realised : float
        `realised_vol` of the sessions before.

    Returns
    -------
    dict of str to float
        By name, in the unit of `tables.measures.MEASURE_UNITS`; NaN where not determined.
    """
    return _of_itself(now, realised) | _since(
        now, before or Facts(event_at=now.event_at, known_at=now.known_at)
    )


def _of_itself(now: Facts, realised: float) -> dict[str, float]:
    move = now.expected_move_usd
    return {
        "flip_distance": _over(now.flip - now.spot, move),
        "net_gamma_share": _over(now.net_gamma, now.gross_gamma),
        "put_call_gamma": _log_ratio(abs(now.put_gamma), abs(now.call_gamma)),
        "atm_vol_30d": now.atm_vol_30d,
        "term_slope_30_7": now.atm_vol_30d - now.atm_vol_7d,
        "term_slope_90_30": now.atm_vol_90d - now.atm_vol_30d,
        "skew_25d_30d": now.skew_30d,
        "butterfly_25d_30d": now.butterfly_30d,
        "implied_less_realised": now.atm_vol_30d - realised,
        "vol_index": now.vol_index,
        "vol_index_less_atm": now.vol_index - now.atm_vol_30d,
        "put_call_volume": _log_ratio(now.put_volume, now.call_volume),
        "put_call_open_interest": _log_ratio(now.put_open_interest, now.call_open_interest),
        "volume_session": _log_ratio(now.put_volume + now.call_volume, 1.0),
        "volume_hour": _log_ratio(now.volume_hour, 1.0),
        "max_pain_distance": _over(now.max_pain - now.spot, move),
    }


def _since(now: Facts, before: Facts) -> dict[str, float]:
    """Return changes since the closing, moves of prices in moves that were expected then.

    Open interest is compared over what has not expired since: an expiry is in the calendar.
    """
    move = before.expected_move_usd
    held = sum(n for at, n in before.open_interest_by_expiry.items() if at > now.event_at)
    return {
        "spot_return": _over(now.spot - before.spot, move),
        "flip_jump": _over(flip_gap(now, before), move),
        "net_gamma_change": _over(now.net_gamma - before.net_gamma, before.gross_gamma),
        "gross_gamma_change": _log_ratio(now.gross_gamma, before.gross_gamma),
        "atm_vol_30d_change": now.atm_vol_30d - before.atm_vol_30d,
        "skew_25d_30d_change": now.skew_30d - before.skew_30d,
        "vol_index_change": now.vol_index - before.vol_index,
        "open_interest_change": _log_ratio(now.put_open_interest + now.call_open_interest, held),
    }


def flip_gap(now: Facts, before: Facts) -> float:
    """Return how far the flip moved beyond both bands [USD]; 0 while they overlap."""
    if not math.isfinite(now.flip + before.flip):
        return _NAN
    up, down = now.flip_lo - before.flip_hi, before.flip_lo - now.flip_hi
    return max(up, 0.0) - max(down, 0.0)


def _over(value: float, scale: float) -> float:
    return value / scale if scale > 0.0 else _NAN


def _log_ratio(above: float, below: float) -> float:
    return math.log(above / below) if above > 0.0 and below > 0.0 else _NAN

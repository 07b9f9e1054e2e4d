"""A row in one sentence: the value, its place in the history, or why it tells nothing.

Belongs here: wording. Does not belong here: numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from dealer_assets.domain.anomaly.underlying.facts import Facts
from dealer_assets.domain.anomaly.underlying.measures import Measure, shown
from dealer_assets.domain.anomaly.underlying.standing import Standing

SINCE_CLOSING = frozenset(
    {
        "spot_return",
        "flip_jump",
        "net_gamma_change",
        "gross_gamma_change",
        "atm_vol_30d_change",
        "skew_25d_30d_change",
        "vol_index_change",
        "open_interest_change",
    }
)
"""Measures that need the closing of the session before."""

_ABSENT = {
    "flip_jump": "the flip is not determined, or was not at the closing",
    "flip_distance": "the flip is not determined",
    "implied_less_realised": "fewer than 15 earlier closings in a row, or no 30-day vol",
    "vol_index": "no value of a volatility index of this hour is held",
    "vol_index_change": "no value of a volatility index of this hour, or of the closing, is held",
    "vol_index_less_atm": "no value of a volatility index of this hour is held",
    "put_call_volume": "no volume is told, or none of one right",
    "volume_session": "no volume is told",
    "volume_hour": "no volume is told, or no poll of the hour before is held",
}
"""Why a measure may have no value, where more can be said than that the chain does not tell it."""

_HISTORIES = {
    "slot": "at this hour",
    "near": "within two hours of this one",
    "closings": "at their last poll",
}


def told(measure: Measure, value: float, found: Standing, *, source: str, sessions: int) -> str:
    """Say where a value stands: ``25-delta put vol less call vol 8.10 vol points: ...``."""
    usual = f"usually {shown(measure, found.centre)}"
    if math.isfinite(found.z):
        side = "above" if found.z >= 0.0 else "below"
        usual += f", {abs(found.z):.1f} robust deviations {side}"
    return (
        f"{measure.label} {shown(measure, value)}: {usual}, higher than {found.percentile:.0%} of "
        f"{sessions} sessions {_HISTORIES[source]}"
    )


def without_history(measure: Measure, value: float) -> str:
    """Say that nothing is held to compare with."""
    return f"{measure.label} {shown(measure, value)}: no earlier session to compare with"


def not_determined(measure: Measure, now: Facts, before: Facts | None) -> str:
    """Say why a measure has no value: spoilt now, no closing, spoilt then, or simply not told."""
    if reason := _spoilt(measure, now.spoilt):
        return f"{measure.label} not determined: {reason}"
    if measure.name in SINCE_CLOSING:
        if before is None:
            return f"{measure.label} not determined: no closing of the session before is held"
        if reason := _spoilt(measure, before.spoilt):
            return f"{measure.label} not determined: at the closing before, {reason}"
        absent = "the chain does not tell it, or did not at the closing"
    else:
        absent = "the chain does not tell it"
    return f"{measure.label} not determined: {_ABSENT.get(measure.name, absent)}"


def _spoilt(measure: Measure, spoilt: Mapping[str, str]) -> str:
    kinds = sorted({spoilt[reading] for reading in measure.rests_on if reading in spoilt})
    return f"{' and '.join(kinds).replace('_', ' ')} in the data" if kinds else ""

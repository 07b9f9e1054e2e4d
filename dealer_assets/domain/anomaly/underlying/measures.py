"""The measures of an underlying: what each is called, rests on, and may be compared with.

Belongs here: declarations. Does not belong here: how a measure is read off a snapshot (`readings`,
`changes`), how it is scored (`standing`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dealer_assets.tables.measures import MEASURE_UNITS

_VOL, _LN, _MOVES = "{:.2f} vol points", "ratio {:.2f}", "{:+.2f} expected moves"


@dataclass(frozen=True)
class Measure:
    """One measure.

    Parameters
    ----------
    name : str
        Its name in the table.
    label : str
        Its name in a sentence.
    rests_on : tuple of str
        Readings (`tables.data_anomalies.READINGS`) without which it tells nothing.
    shown : str
        Format of a value in words; ``ratio`` and ``contracts`` show the exponential of a logarithm.
    is_running : bool
        It grows with the session, so that closings say nothing of other hours.
    """

    name: str
    label: str
    rests_on: tuple[str, ...]
    shown: str
    is_running: bool = False

    @property
    def unit(self) -> str:
        """Unit of its value."""
        return MEASURE_UNITS[self.name]


_GAMMA = ("quotes", "spot", "open_interest")
_SMILE = ("quotes",)

MEASURES: tuple[Measure, ...] = (
    Measure("spot_return", "spot since the closing", ("spot",), _MOVES),
    Measure("flip_jump", "flip since the closing, beyond its bands", _GAMMA, _MOVES),
    Measure("flip_distance", "flip from spot", _GAMMA, _MOVES),
    Measure("net_gamma_share", "net gamma over gross", _GAMMA, "{:+.2f}"),
    Measure("net_gamma_change", "net gamma since the closing, over its gross", _GAMMA, "{:+.2f}"),
    Measure("gross_gamma_change", "gross gamma over the closing's", _GAMMA, _LN),
    Measure("put_call_gamma", "gamma of puts over calls", _GAMMA, _LN),
    Measure("atm_vol_30d", "30-day vol at the money", _SMILE, _VOL),
    Measure("atm_vol_30d_change", "30-day vol since the closing", _SMILE, "{:+.2f} vol points"),
    Measure("term_slope_30_7", "30-day vol less 7-day", _SMILE, "{:+.2f} vol points"),
    Measure("term_slope_90_30", "90-day vol less 30-day", _SMILE, "{:+.2f} vol points"),
    Measure("skew_25d_30d", "25-delta put vol less call vol", _SMILE, _VOL),
    Measure("skew_25d_30d_change", "25-delta skew since the closing", _SMILE, "{:+.2f} vol points"),
    Measure("butterfly_25d_30d", "25-delta butterfly", _SMILE, _VOL),
    Measure(
        "implied_less_realised",
        "30-day vol less vol of the last 20 closings",
        ("quotes", "spot"),
        "{:+.2f} vol points",
    ),
    Measure("vol_index", "volatility index", (), _VOL),
    Measure("vol_index_change", "volatility index since the closing", (), "{:+.2f} vol points"),
    Measure(
        "vol_index_less_atm",
        "volatility index less 30-day vol at the money",
        _SMILE,
        "{:+.2f} vol points",
    ),
    Measure("put_call_volume", "put volume over call volume", ("volume",), _LN, True),
    Measure("put_call_open_interest", "put open interest over call's", ("open_interest",), _LN),
    Measure(
        "open_interest_change",
        "open interest over the closing's, of what has not expired",
        ("open_interest",),
        _LN,
    ),
    Measure("volume_session", "volume of the session so far", ("volume",), "contracts", True),
    Measure("volume_hour", "volume of the hour", ("volume",), "contracts", True),
    Measure("max_pain_distance", "max pain from spot", ("spot", "open_interest"), _MOVES),
)
"""Every measure, in the order of `MEASURE_UNITS`."""


def shown(measure: Measure, value: float) -> str:
    """Spell a value out with its unit."""
    if measure.shown == "contracts":
        return f"{math.exp(value):,.0f} contracts"
    if measure.shown == _LN:
        return _LN.format(math.exp(value))
    return measure.shown.format(value)

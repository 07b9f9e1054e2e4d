"""The underlying's price at an instant of a past session, and what stands in where there is none.

Belongs here: the order in which sources of spot are believed. Does not belong here: parity itself
(`forward`), snapshots (`reconstruct`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import integers
from dealer_assets.domain.remarks import Remark
from dealer_assets.underlyings import Underlying

_SIMULATOR = "simulator"
_SOURCES = {"index": "index", "etf": "last_trade", "equity": "last_trade", "crypto": "index"}
_LIVE_KINDS = ("spot", "close")


@dataclass(frozen=True)
class SpotAt:
    """The underlying's price at an instant.

    Parameters
    ----------
    value : float or None
        USD; None where it has to follow from put-call parity.
    source : str
        One of `tables.SPOT_SOURCES`.
    known_us : int
        When it could be known, microseconds since 1970; -1 without a value.
    remarks : tuple of Remark
        What stands in, or how old it is.
    """

    value: float | None
    source: str
    known_us: int
    remarks: tuple[Remark, ...] = ()


def spot_at(
    underlying: Underlying,
    values: pa.Table | None,
    now_us: int,
    *,
    has_pair: bool,
    stale_us: int,
) -> SpotAt:
    """Return the last value by an instant, else parity, else the previous close.

    Parameters
    ----------
    underlying : Underlying
        Registry entry; its kind says what its values are.
    values : pyarrow.Table or None
        `tables.INDEX_VALUES` of the session.
    now_us : int
        Instant, microseconds since 1970.
    has_pair : bool
        A call and its put have two-sided quotes, so that parity can answer.
    stale_us : int
        Age in microseconds from which a value is remarked upon.
    """
    former, former_known_us = None, -1
    if values is not None:
        past = values.filter(pa.array(integers(values, "event_at") <= now_us)).sort_by("event_at")
        live = past.filter(pc.is_in(past["kind"], value_set=pa.array(_LIVE_KINDS)))
        if live.num_rows:
            return _live(underlying, live.slice(live.num_rows - 1), now_us, stale_us)
        before = past.filter(pc.equal(past["kind"], "previous_close"))
        if before.num_rows:
            former = float(before["value"][-1].as_py())
            former_known_us = int(integers(before, "known_at")[-1])
    if has_pair:
        text = "no value of the underlying by this instant: it follows from put-call parity"
        return SpotAt(None, "parity", -1, (Remark("spot_from_parity", text),))
    if former is None:
        text = "neither a value of the underlying nor a pair of quotes by this instant"
        return SpotAt(None, "parity", -1, (Remark("spot_unknown", text),))
    text = "no value of the underlying by this instant, and no pair of quotes: the previous close"
    remark = Remark("spot_previous_close", text)
    return SpotAt(former, "previous_close", former_known_us, (remark,))


def _live(underlying: Underlying, last: pa.Table, now_us: int, stale_us: int) -> SpotAt:
    is_simulated = last["provider"][0].as_py() == _SIMULATOR
    age_us = now_us - int(integers(last, "event_at")[0])
    remarks: tuple[Remark, ...] = ()
    if age_us > stale_us:
        text = f"the last value of the underlying is {age_us / 60e6:.0f} minutes old"
        remarks = (Remark("stale_spot", text),)
    return SpotAt(
        value=float(last["value"][0].as_py()),
        source="simulated" if is_simulated else _SOURCES[underlying.kind],
        known_us=int(integers(last, "known_at")[0]),
        remarks=remarks,
    )

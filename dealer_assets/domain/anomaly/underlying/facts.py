"""One snapshot's numbers from which its measures follow: of the poll, and of the closing before it.

Belongs here: reading chain, levels, surface, volumes and index values of one snapshot. Does not
belong here: comparing two (`values`), the lake (`derived/measuring`).

What a data anomaly spoils is not determined here, so that neither this poll nor a later change from
it can be scored as a move of the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.anomaly.underlying.tenors import atm_vol, smile_term
from dealer_assets.domain.columns import Floats, equals, expired, floats, of_word
from dealer_assets.domain.conventions import VOL_POINT

SPOILT_SHARE = 0.05
"""An anomaly of single contracts spoils a sum over the chain from this share of contracts on."""

INDEX_AGE = timedelta(minutes=90)
"""A volatility index told earlier than this before the poll is no longer its value."""

_NAN = float("nan")


@dataclass(frozen=True)
class Facts:
    """What one snapshot tells; NaN wherever it does not.

    Parameters
    ----------
    event_at, known_at : datetime.datetime
        Instant, and from when all that is read here was known.
    spot, expected_move_usd : float
        Underlying price, and one session's standard deviation of it [USD].
    net_gamma, gross_gamma, call_gamma, put_gamma : float
        Dealer gamma under the model [USD per 1 % spot]; NaN where the levels are not publishable.
    flip, flip_lo, flip_hi : float
        Flip with its inferred band [USD]; NaN unless the flip is determined.
    max_pain : float
        [USD].
    atm_vol_7d, atm_vol_30d, atm_vol_90d, skew_30d, butterfly_30d, vol_index : float
        [vol points]; skew is put less call.
    call_volume, put_volume, volume_hour : float
        Contracts since the session began, and since the poll an hour before.
    call_open_interest, put_open_interest : float
        Contracts; NaN of an incomplete chain.
    open_interest_by_expiry : mapping of datetime.datetime to float
        Contracts by expiry instant, so that a later poll can leave out what has expired since.
    spoilt : mapping of str to str
        Reading to the data anomaly that spoils it.
    """

    event_at: datetime
    known_at: datetime
    spot: float = _NAN
    expected_move_usd: float = _NAN
    net_gamma: float = _NAN
    gross_gamma: float = _NAN
    call_gamma: float = _NAN
    put_gamma: float = _NAN
    flip: float = _NAN
    flip_lo: float = _NAN
    flip_hi: float = _NAN
    max_pain: float = _NAN
    atm_vol_7d: float = _NAN
    atm_vol_30d: float = _NAN
    atm_vol_90d: float = _NAN
    skew_30d: float = _NAN
    butterfly_30d: float = _NAN
    vol_index: float = _NAN
    call_volume: float = _NAN
    put_volume: float = _NAN
    volume_hour: float = _NAN
    call_open_interest: float = _NAN
    put_open_interest: float = _NAN
    open_interest_by_expiry: Mapping[datetime, float] = field(default_factory=dict)
    spoilt: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """All of it in one string, for the provenance of what follows from it."""
        return repr([(f.name, getattr(self, f.name)) for f in fields(self)])


def facts_of(rows: Mapping[str, pa.Table], poll: Poll, *, model: str, is_daily: bool) -> Facts:
    """Read one snapshot.

    Parameters
    ----------
    rows : mapping of str to pyarrow.Table
        By table name: the snapshot's ``chain_snapshots``, ``exposure_levels``, ``vol_surface`` and
        ``data_anomalies``; the session's ``volume_deltas`` and ``index_values`` where held, of
        which nothing later than the poll is read.
    poll : Poll
        Instant, slot and poll before.
    model : str
        Dealer position model of the levels.
    is_daily : bool
        The market trades every day: one session is a calendar day.

    Returns
    -------
    Facts
    """
    told: dict[str, Any] = {}
    chain = rows["chain_snapshots"]
    told |= _of_levels(of_word(rows["exposure_levels"], "model", model), is_daily=is_daily)
    told |= _of_surface(rows["vol_surface"])
    told |= _of_chain(chain)
    names = ("chain_snapshots", "exposure_levels", "vol_surface", "data_anomalies")
    known = [pc.max(rows[n]["known_at"]).as_py() for n in names if rows[n].num_rows]
    deltas = _until(rows.get("volume_deltas"), poll.at)
    if deltas is not None and deltas.num_rows:
        known.append(pc.max(deltas["known_at"]).as_py())
        told |= _of_volume(deltas, poll)
    told |= _of_index(_until(rows.get("index_values"), poll.at), poll.at, max(known))
    spoilt = spoilt_readings(rows["data_anomalies"])
    found = Facts(event_at=poll.at, known_at=max(known), **told, spoilt=spoilt)
    return _without(found, spoilt)


def spoilt_readings(anomalies: pa.Table) -> dict[str, str]:
    """Return the readings of a snapshot that cannot be summed over its chain, with the anomaly."""
    found: dict[str, str] = {}
    for row in anomalies.select(["kind", "scope", "share", "spoils"]).to_pylist():
        if row["scope"] == "snapshot" or row["share"] >= SPOILT_SHARE:
            found |= dict.fromkeys(row["spoils"], row["kind"])
    return found


_RESTING_ON = {
    "spot": ("spot",),
    "quotes": (
        "expected_move_usd",
        "atm_vol_7d",
        "atm_vol_30d",
        "atm_vol_90d",
        "skew_30d",
        "butterfly_30d",
    ),
    "volume": ("call_volume", "put_volume", "volume_hour"),
    "open_interest": ("call_open_interest", "put_open_interest", "max_pain"),
}
_GAMMAS = ("net_gamma", "gross_gamma", "call_gamma", "put_gamma", "flip", "flip_lo", "flip_hi")


def _without(found: Facts, spoilt: Mapping[str, str]) -> Facts:
    names = [name for reading in spoilt for name in _RESTING_ON.get(reading, ())]
    if {"quotes", "spot", "open_interest"} & set(spoilt):
        names += _GAMMAS
    changes: dict[str, Any] = dict.fromkeys(names, _NAN)
    if "open_interest" in spoilt:
        changes["open_interest_by_expiry"] = {}
    return replace(found, **changes)


def _until(rows: pa.Table | None, at: datetime) -> pa.Table | None:
    if rows is None:
        return None
    return rows.filter(pc.less_equal(rows["event_at"], pa.scalar(at, rows["event_at"].type)))


def _of_levels(levels: pa.Table, *, is_daily: bool) -> dict[str, float]:
    if not levels.num_rows:
        return {}
    move = "expected_move_vol_365_usd" if is_daily else "expected_move_vol_252_usd"
    told = {
        "spot": float(floats(levels, "spot")[0]),
        "expected_move_usd": float(floats(levels, move)[0]),
    }
    (row,) = levels.slice(0, 1).to_pylist()
    if not row["is_publishable"] or row["is_partial"]:
        return told
    told["max_pain"] = float(floats(levels, "max_pain")[0])
    for name in ("net", "gross", "call", "put"):
        told[f"{name}_gamma"] = row[f"{name}_gamma_exposure_usd_per_pct"]
    if row["flip_status"] == "ok":
        lo, at, hi = row["flip_lo"], row["flip_price"], row["flip_hi"]
        told |= {
            "flip": at,
            "flip_lo": at if lo is None else min(lo, at),
            "flip_hi": at if hi is None else max(hi, at),
        }
    return told


def _of_surface(surface: pa.Table) -> dict[str, float]:
    return {
        **{f"atm_vol_{days}d": atm_vol(surface, days) for days in (7, 30, 90)},
        "skew_30d": -smile_term(surface, "risk_reversal_25", 30),
        "butterfly_30d": smile_term(surface, "butterfly_25", 30),
    }


def _of_chain(chain: pa.Table) -> dict[str, Any]:
    if pc.any(chain["is_partial"]).as_py():
        return {}
    live = chain.filter(pa.array(~expired(chain)))
    told = _by_right(live, floats(live, "open_interest_contracts"), "open_interest")
    summed = live.group_by("expires_at").aggregate([("open_interest_contracts", "sum")])
    pairs = zip(
        summed["expires_at"].to_pylist(),
        summed["open_interest_contracts_sum"].to_pylist(),
        strict=True,
    )
    return told | {"open_interest_by_expiry": dict(sorted((at, n) for at, n in pairs if n))}


def _by_right(rows: pa.Table, counts: Floats, what: str) -> dict[str, float]:
    """Sum by right; not determined where no contract tells a count."""
    if not np.isfinite(counts).any():
        return {}
    is_call = equals(rows, "right", "call")
    counts = np.nan_to_num(counts)
    return {
        f"call_{what}": float(counts[is_call].sum()),
        f"put_{what}": float(counts[~is_call].sum()),
    }


def _of_volume(deltas: pa.Table, poll: Poll) -> dict[str, float]:
    counted = _since_reset(deltas)
    told = _by_right(counted, floats(counted, "volume_delta_contracts"), "volume")
    if poll.slots_spanned == 1:  # a longer interval is no hour
        kind = counted["event_at"].type
        recent = counted.filter(pc.greater(counted["event_at"], pa.scalar(poll.since, kind)))
        told["volume_hour"] = float(floats(recent, "volume_delta_contracts").sum())
    return told


def _since_reset(deltas: pa.Table) -> pa.Table:
    """Leave out what a contract's counter held before it began anew: another day's."""
    resets = deltas.filter(deltas["is_reset"])
    if not resets.num_rows:
        return deltas
    last = resets.group_by("symbol").aggregate([("event_at", "max")])
    place = pc.index_in(deltas["symbol"].combine_chunks(), last["symbol"].combine_chunks())
    began = last["event_at_max"].combine_chunks().take(place)
    return deltas.filter(pc.fill_null(pc.greater_equal(deltas["event_at"], began), True))


def _of_index(values: pa.Table | None, at: datetime, known_at: datetime) -> dict[str, float]:
    if values is None or not values.num_rows:
        return {}
    type_ = values["known_at"].type
    told = values.filter(
        pc.and_(
            pc.equal(values["kind"], "vol_index"),
            pc.and_(
                pc.greater_equal(values["event_at"], pa.scalar(at - INDEX_AGE, type_)),
                pc.less_equal(values["known_at"], pa.scalar(known_at, type_)),
            ),
        )
    ).sort_by("event_at")
    if not told.num_rows:
        return {}
    return {"vol_index": float(floats(told, "value")[-1]) / VOL_POINT}

"""Headline metrics of a snapshot: NGI, VSS, CHL_24h, VOLG, hedge pressure; in USD and over volume.

Belongs here: sums by expiry bucket, scaling, and what a drift makes dealers trade. Does not belong
here: exposures by contract (`aggregate`), the drift (`drift`), the market's volume (`adv`), labels
(`regimes`). Definitions: `docs/methods/metrics.md`.

Snapshots come in time order; each carries the window of those before it, so that nothing later than
a snapshot can enter its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.exposure.adv import Adv
from dealer_assets.domain.exposure.drift import Drift, Point, drift_of, extended, vol_at_30_days
from dealer_assets.tables.regimes import DTE_BUCKETS

HORIZON_HOURS = 1.0
"""How far hedge pressure looks ahead; the window of the drift is as long."""

ALL = DTE_BUCKETS[0]

METRICS = {
    "ngi": "net_gamma_exposure_usd_per_pct",
    "vss": "net_vanna_exposure_usd_per_vol_pt",
    "chl_24h": "net_charm_exposure_usd_per_day",
    "volg": "net_volga_exposure_usd_per_vol_pt2",
}
"""Names in the methods and names of the columns."""

_GROSS = "gross_gamma_exposure_usd_per_pct"


def metrics_of(
    exposures: pa.Table,
    levels: pa.Table,
    surface: pa.Table,
    previous: pa.Table,
    *,
    adv: Adv,
    is_simulated: bool = False,
) -> pa.Table:
    """Sum one snapshot up, by model and expiry bucket.

    Parameters
    ----------
    exposures : pyarrow.Table
        `tables.DEALER_EXPOSURE` schema, any models.
    levels : pyarrow.Table
        `tables.EXPOSURE_LEVELS` schema, one row per model.
    surface : pyarrow.Table
        `tables.VOL_SURFACE` schema; its vol at the money is the one whose drift counts.
    previous : pyarrow.Table
        Rows of this function for the session's snapshot before; none for its first.
    adv : Adv
        What the underlying trades in a session, known when this one opened.
    is_simulated : bool
        The chain is simulated.

    Returns
    -------
    pyarrow.Table
        `tables.EXPOSURE_METRICS` schema: for every model of the levels one row per bucket, and one
        for all; empty when there are no levels.
    """
    schema = tables.EXPOSURE_METRICS.schema
    if levels.num_rows == 0:
        return schema.empty_table()
    market = _market(exposures, levels, surface, previous) | {
        "is_simulated": is_simulated,
        "adv_usd": adv.usd,
        "adv_status": adv.status,
        "adv_sessions": adv.sessions,
        "adv_instrument": adv.instrument or None,
    }
    rows = []
    for level in levels.to_pylist():
        of_model = exposures.filter(pa.array(equals(exposures, "model", level["model"])))
        rows += [_row(_bucket(of_model, b), level, market, b) for b in DTE_BUCKETS]
    return pa.Table.from_pylist([_told(row) for row in rows], schema=schema)


def hedge_pressure(
    sums: Mapping[str, float], drift: Drift, *, hours: float = HORIZON_HOURS
) -> dict[str, float]:
    """Return the hedging expected of dealers over a horizon, were the drift to go on.

    Parameters
    ----------
    sums : mapping of str to float
        Columns of `METRICS`.
    drift : Drift
        Of spot and vol, per hour.
    hours : float
        Horizon.

    Returns
    -------
    dict of str to float
        ``hpp_usd`` and its parts by gamma, vanna and charm [USD], > 0 is buying:
        ``-(NGI ds% + VSS dvol + CHL_24h h)``. NaN where the drift is not told, and in the sum then.
    """
    gamma = -sums[METRICS["ngi"]] * drift.spot_pct_per_hour * hours
    vanna = -sums[METRICS["vss"]] * drift.vol_points_per_hour * hours
    charm = -sums[METRICS["chl_24h"]] * hours / 24.0
    return {
        "hpp_usd": gamma + vanna + charm,
        "hpp_gamma_usd": gamma,
        "hpp_vanna_usd": vanna,
        "hpp_charm_usd": charm,
    }


def _bucket(exposures: pa.Table, bucket: str) -> dict[str, float]:
    """Sum the contracts of a bucket."""
    if bucket != ALL:
        exposures = exposures.filter(pc.equal(exposures["dte_bucket"], bucket))
    contract = {net: floats(exposures, net.removeprefix("net_")) for net in METRICS.values()}
    sums = {net: float(np.sum(values)) for net, values in contract.items()}
    sums[_GROSS] = float(np.sum(np.abs(contract[METRICS["ngi"]])))
    return sums | {"contracts": exposures.num_rows}


def _market(
    exposures: pa.Table, levels: pa.Table, surface: pa.Table, previous: pa.Table
) -> dict[str, Any]:
    """Return what all models share: the window, its drift, the change of spot."""
    spot = float(levels["spot"][0].as_py())
    vol = vol_at_30_days(surface)
    window = extended(_window(previous), Point(levels["event_at"][0].as_py(), spot, vol))
    first = float(previous["first_spot"][0].as_py()) if previous.num_rows else spot
    drift = drift_of(window)
    read = (exposures, levels, surface, previous)
    known = [pc.max(rows["known_at"]).as_py() for rows in read if rows.num_rows]
    return {
        "known_at": max(known),
        "drift": drift,
        "window": window,
        "atm_vol_30d": vol,
        "first_spot": first,
        "spot_change_pct": 100.0 * (spot / first - 1.0),
        "drift_status": drift.status,
        "drift_snapshots": drift.points,
        "drift_hours": drift.hours,
        "spot_drift_pct_per_hour": drift.spot_pct_per_hour,
        "vol_drift_points_per_hour": drift.vol_points_per_hour,
        "horizon_hours": HORIZON_HOURS,
    }


def _window(previous: pa.Table) -> list[Point]:
    whole = previous.filter(pc.equal(previous["dte_bucket"], ALL)).slice(0, 1).to_pylist()
    if not whole:
        return []
    lists = (whole[0]["window_at"], whole[0]["window_spot"], whole[0]["window_vol"])
    return [
        Point(at, spot, float("nan") if vol is None else vol)
        for at, spot, vol in zip(*lists, strict=True)
    ]


def _row(
    sums: dict[str, float], level: Mapping[str, Any], market: Mapping[str, Any], bucket: str
) -> dict[str, Any]:
    flows = hedge_pressure(sums, market["drift"])
    scaled = {
        f"{name}_over_adv": sums[column] / market["adv_usd"] for name, column in METRICS.items()
    }
    for name in ("hpp", "hpp_vanna", "hpp_charm"):
        scaled[f"{name}_over_adv"] = flows[f"{name}_usd"] / market["adv_usd"]
    shared = {name: level[name] for name in _FROM_LEVELS}
    row = {**shared, **market, **sums, **flows, **scaled, "dte_bucket": bucket}
    is_all = bucket == ALL
    window = market["window"] if is_all else []
    row |= {
        "flip_pct": level["flip_pct"] if is_all else None,
        "flip_status": level["flip_status"] if is_all else None,
        "atm_vol_30d": market["atm_vol_30d"] if is_all else None,
        "window_at": [p.at for p in window],
        "window_spot": [p.spot for p in window],
        "window_vol": [_or_none(p.vol) for p in window],
    }
    del row["drift"], row["window"]
    return row


_FROM_LEVELS = ("underlying", "session_date", "event_at", "model", "spot")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Null where a number is not told; NaN is never stored."""
    return {k: _or_none(v) if isinstance(v, float) else v for k, v in row.items()}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None

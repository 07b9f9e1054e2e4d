"""Small snapshots whose measures are known by hand.

Belongs here: rows of the sources of `underlying_scores`, and its own. Does not belong here: tests.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.anomaly.underlying.measures import MEASURES
from dealer_assets_tests.live_rows import row

AT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
"""11:00 in New York: a poll an hour after the one before."""

HOUR = timedelta(hours=1)
POLL = Poll(AT, 11, AT - HOUR, AT - 1.5 * HOUR)


def _table(table, rows):
    return pa.Table.from_pylist(rows, schema=table.schema)


def identity(at=AT):
    return {"at": at, "session_date": at.date()}


def chain(at=AT, **changes):
    """Two calls with 300 and two puts with 600 contracts; one more call has expired."""
    told = ((4900.0, "call", 100.0, 9), (5000.0, "call", 200.0, 9), (4800.0, "put", 400.0, 9))
    told += ((4900.0, "put", 200.0, 9), (4700.0, "call", 5000.0, -1))
    return _table(
        tables.CHAIN_SNAPSHOTS,
        [
            row(
                tables.CHAIN_SNAPSHOTS,
                **identity(at),
                symbol=f"SPXW261129{right[0].upper()}{strike * 1000:08.0f}",
                open_interest_contracts=count,
                expires_at=at + timedelta(days=days),
                spot=5000.0,
                bid=1.0,
                ask=1.1,
                is_partial=False,
                provider="cboe",
            )
            | changes
            for strike, right, count, days in told
        ],
    )


def levels(at=AT, *, spot=5000.0, **changes):
    told = {
        "model": "naive",
        "spot": spot,
        "net_gamma_exposure_usd_per_pct": -2e9,
        "gross_gamma_exposure_usd_per_pct": 8e9,
        "call_gamma_exposure_usd_per_pct": 3e9,
        "put_gamma_exposure_usd_per_pct": -5e9,
        "flip_price": 5050.0,
        "flip_lo": 5040.0,
        "flip_hi": 5060.0,
        "flip_status": "ok",
        "max_pain": 4975.0,
        "expected_move_vol_252_usd": 50.0,
        "expected_move_vol_365_usd": 40.0,
        "is_partial": False,
        "is_publishable": True,
    }
    return _table(
        tables.EXPOSURE_LEVELS,
        [row(tables.EXPOSURE_LEVELS, **identity(at), **(told | changes))],
    )


def surface(at=AT, slices=((5, 0.18), (10, 0.20), (40, 0.22), (100, 0.24)), *, method="fit"):
    """Slices of so many days with these vols; skew -2 and butterfly 0.5 vol points in each."""
    return _table(
        tables.VOL_SURFACE,
        [
            row(
                tables.VOL_SURFACE,
                **identity(at),
                expiry_date=(at + timedelta(days=days)).date(),
                year_fraction=days / 365.0,
                atm_vol=vol,
                risk_reversal_25=-0.02 - days / 10_000,
                butterfly_25=0.005,
                method=method,
            )
            for days, vol in slices
        ],
    )


def anomalies(*told, at=AT):
    """Data anomalies: kind, scope, share, spoilt readings."""
    return _table(
        tables.DATA_ANOMALIES,
        [
            row(tables.DATA_ANOMALIES, **identity(at), kind=k, scope=s, share=h, spoils=list(r))
            for k, s, h, r in told
        ],
    )


def deltas(*told):
    """Volume: symbol, instant, contracts, counter began anew."""
    return _table(
        tables.VOLUME_DELTAS,
        [
            row(
                tables.VOLUME_DELTAS,
                **identity(at),
                symbol=symbol,
                volume_delta_contracts=count,
                is_reset=is_reset,
            )
            for symbol, at, count, is_reset in told
        ],
    )


def index_values(*told):
    """Values of an index: kind, instant, value, seconds until known."""
    return _table(
        tables.INDEX_VALUES,
        [
            row(tables.INDEX_VALUES, **identity(at), kind=kind, value=value)
            | {"known_at": at + timedelta(seconds=late)}
            for kind, at, value, late in told
        ],
    )


def snapshot(at=AT, **changes):
    """Rows of one snapshot by table name, as `facts_of` reads them."""
    rows = {
        "chain_snapshots": chain(at),
        "exposure_levels": levels(at),
        "vol_surface": surface(at),
        "data_anomalies": anomalies(at=at),
    }
    return rows | changes


def past(values, *, measure="atm_vol_30d", last=date(2026, 11, 19), slot=11, **changes):
    """Scored rows of one measure, one a calendar day, the last value on `last`."""
    rows = []
    for i, value in enumerate(reversed(values)):
        day = last - timedelta(days=i)
        at = datetime(day.year, day.month, day.day, slot + 5, tzinfo=UTC)
        told = {"measure": measure, "value": value, "slot": slot, "spot": 5000.0, "model": "naive"}
        rows.append(row(tables.UNDERLYING_SCORES, **identity(at), **(told | changes)))
    return _table(tables.UNDERLYING_SCORES, rows)


NAMES = [measure.name for measure in MEASURES]

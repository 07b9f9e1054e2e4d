"""Rows of exposures, levels and smiles for tests of metrics, regimes and combined exposure.

Belongs here: making up snapshots whose sums can be done in the head. Does not belong here:
expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.exposure.adv import Adv
from dealer_assets.domain.exposure.metrics import metrics_of
from dealer_assets.domain.exposure.regimes import regimes_of
from dealer_assets_tests.live_rows import row

DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ADV = Adv(1e9, "ok", 20, "SPY")
NETS = tuple(column.name for column in tables.base.exposures())

BOOK = (("0dte", 4e6), ("1-7", -1e6), ("46+", 2e6))
"""Gammas [USD per 1 %] by bucket: 5e6 net, 7e6 gross; vanna is 2, charm 3, volga 4 times gamma."""


def exposures(
    book: Any = BOOK, *, at: datetime = AT, model: str = "naive", **fields: Any
) -> pa.Table:
    """Return one contract per entry."""
    made = []
    for i, (bucket, gamma) in enumerate(book):
        values = dict(zip(NETS, (gamma, gamma, 2 * gamma, 3 * gamma, 4 * gamma), strict=True))
        strike = {"strike": 5000.0 + 5.0 * i}
        made.append(
            row(
                tables.DEALER_EXPOSURE, at=at, model=model, dte_bucket=bucket, spot=5000.0, **values
            )
            | strike
            | {"session_date": at.date()}
            | fields
        )
    return pa.Table.from_pylist(made, schema=tables.DEALER_EXPOSURE.schema)


def levels(
    book: Any = BOOK,
    *,
    at: datetime = AT,
    model: str = "naive",
    spot: float = 5000.0,
    **fields: Any,
) -> pa.Table:
    """Return the level row of a book."""
    net = sum(gamma for _, gamma in book)
    values = dict(zip(NETS, (net, net, 2 * net, 3 * net, 4 * net), strict=True))
    made = row(
        tables.EXPOSURE_LEVELS,
        at=at,
        model=model,
        spot=spot,
        gross_gamma_exposure_usd_per_pct=sum(abs(gamma) for _, gamma in book),
        call_gamma_exposure_usd_per_pct=net,
        **{f"net_{name}": value for name, value in values.items()},
        **{"flip_status": "ok", "flip_price": 0.98 * spot, "flip_pct": -0.02} | fields,
    )
    return pa.Table.from_pylist(
        [made | {"session_date": at.date()}], schema=tables.EXPOSURE_LEVELS.schema
    )


def surface(vol: float = 0.2, *, at: datetime = AT) -> pa.Table:
    """Return two smiles of one vol, before and after 30 days."""
    made = [
        row(tables.VOL_SURFACE, at=at, atm_vol=vol, year_fraction=days / 365.0, expiry_date=day)
        | {"session_date": at.date(), "spot": 5000.0}
        for days, day in ((20.0, date(2026, 12, 10)), (50.0, date(2027, 1, 9)))
    ]
    return pa.Table.from_pylist(made, schema=tables.VOL_SURFACE.schema)


def nothing(table: tables.Table) -> pa.Table:
    """Return no rows."""
    return table.schema.empty_table()


def metrics(
    *,
    at: datetime = AT,
    spot: float = 5000.0,
    vol: float = 0.2,
    book: Any = BOOK,
    adv: Adv = ADV,
    previous: pa.Table | None = None,
    **fields: Any,
) -> pa.Table:
    """Return the metrics of a snapshot."""
    before = nothing(tables.EXPOSURE_METRICS) if previous is None else previous
    return metrics_of(
        exposures(book, at=at),
        levels(book, at=at, spot=spot, **fields),
        surface(vol, at=at),
        before,
        adv=adv,
    )


def session(spots: list[float], *, minutes: float = 20.0, **fields: Any) -> list[pa.Table]:
    """Return the metrics of a session's snapshots, one after the other."""
    found: list[pa.Table] = []
    for i, spot in enumerate(spots):
        previous = found[-1] if found else None
        at = AT + timedelta(minutes=minutes * i)
        found.append(metrics(at=at, spot=spot, previous=previous, **fields))
    return found


def closings(gammas: list[float], *, spots: list[float] | None = None) -> pa.Table:
    """Return closing metrics of as many sessions before DAY, the last the day before."""
    found = []
    for i, gamma in enumerate(gammas):
        at = AT - timedelta(days=len(gammas) - i)
        spot = spots[i] if spots else 5000.0
        first = metrics(at=at - timedelta(hours=1), book=(("0dte", gamma),), spot=spot)
        last = metrics(at=at, book=(("0dte", gamma),), spot=spot * 1.001, previous=first)
        found.append(last.filter(pa.compute.equal(last["dte_bucket"], "all")))
    return pa.concat_tables(found) if found else nothing(tables.EXPOSURE_METRICS)


def regime_tables() -> dict[str, pa.Table]:
    """Return one clean snapshot of every table of metrics, regimes and combined exposure."""
    found = session([5000.0, 5005.0], book=(("0dte", 15e7), ("1-7", -1e6)))[-1]
    bar = row(
        tables.UNDERLYING_BARS,
        open=600.0,
        high=612.0,
        low=598.0,
        close=610.0,
        volume_units=7e7,
        notional_usd=7e7 * 605.0,
    )
    nets = [
        row(tables.COMBINED_LEVELS, member=member, net_gamma_exposure_usd_per_pct=net)
        | {"gross_gamma_exposure_usd_per_pct": abs(net)}
        for member, net in (("SPX", 5e6), ("SPY", -1e6), ("total", 4e6))
    ]
    return {
        tables.UNDERLYING_BARS.name: pa.Table.from_pylist(
            [bar], schema=tables.UNDERLYING_BARS.schema
        ),
        tables.EXPOSURE_METRICS.name: found,
        tables.DEALER_REGIMES.name: regimes_of(
            found, nothing(tables.EXPOSURE_METRICS), nothing(tables.DEALER_REGIMES)
        ),
        tables.COMBINED_LEVELS.name: pa.Table.from_pylist(
            nets, schema=tables.COMBINED_LEVELS.schema
        ),
    }


Fault = Callable[[pa.Table], pa.Table]


def regime_faults(replaced: Any, scaled: Any) -> dict[tuple[str, str], Fault]:
    """Return one seeded fault for each check of those tables."""
    return {
        ("underlying_bars", "prices_in_order"): lambda rows: scaled(rows, "high", 0.9),
        ("exposure_metrics", "buckets_add_up"): lambda rows: scaled(
            rows, "net_volga_exposure_usd_per_vol_pt2", 1.001, 1e-3
        ),
        ("exposure_metrics", "pressure_adds_up"): lambda rows: scaled(rows, "hpp_gamma_usd", 1.1),
        ("exposure_metrics", "volume_measured"): lambda rows: replaced(
            rows, "adv_status", ["stale"] * rows.num_rows
        ),
        ("dealer_regimes", "label_follows_rule"): lambda rows: replaced(rows, "margin", [-0.1]),
        ("combined_levels", "members_add_up"): lambda rows: scaled(
            rows, "net_gamma_exposure_usd_per_pct", 1.1, 1e-3
        ),
    }

"""Features of the hand-made lake's monitored contracts, and their seeded violations.

Belongs here: SPX only, one poll a session: two puts of one cell, of the first session a call of
another. Does not belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

VOLUMES: tuple[tuple[float, float | None], ...] = ((10.0, 30.0), (50.0, None), (100.0, 80.0))
"""Of the two puts, by session; the second is not told in the second one."""


def feature_rows(days: tuple[date, ...], clock: time, zone: Any) -> Rows:
    """Return the rows of `contract_features`."""
    rows: list[Row] = []
    for day, (first, second) in zip(days, VOLUMES, strict=True):
        at = datetime.combine(day, clock, tzinfo=zone)
        rows += [_put(at, 4300.0, first), _put(at, 4350.0, second)]
    call = datetime.combine(days[0], clock, tzinfo=zone)
    rows.append(_put(call, 5500.0, 7.0) | {"right": "call", "moneyness_bucket": "1.100"})
    return {"contract_features": rows}


def _put(at: datetime, strike: float, volume: float | None) -> Row:
    told = None if volume is None else volume - 2.0
    return row(
        tables.CONTRACT_FEATURES,
        at=at,
        session_date=at.date(),
        symbol=f"SPXW261218P0{strike:.0f}000",
        root="SPXW",
        expiry_date=date(2026, 12, 18),
        strike=strike,
        right="put",
        is_simulated=True,
        slot=10,
        interval_minutes=60.0,
        spot=5000.0,
        moneyness=strike / 5000.0,
        days_to_expiry=30,
        moneyness_bucket="0.850",
        dte_bucket="20-32",
        multiplier=100.0,
        mid=2.0,
        volume_delta_contracts=volume,
        package_contracts=2.0,
        volume_contracts_netted=told,
        premium_usd=None if told is None else told * 200.0,
        vega_traded_usd_per_vol_point=None if told is None else told * 50.0,
    )


def violate_features(rows: Rows) -> None:
    """Seed one violation per rule of the mart."""
    rows["contract_features"][-1]["volume_contracts_netted"] = 9.0


FEATURE_RULES = {"profile_compares_what_was_traded"}

"""Contracts that gamma depends on come first."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.domain.sessions import expiry_instant

AT = datetime(2026, 11, 19, 15, 0, tzinfo=UTC)


def listing(strikes: list[float], expiries: list[date]) -> pa.Table:
    rows = [
        {
            "symbol": f"{day:%m%d}-{strike:g}",
            "strike": strike,
            "expires_at": expiry_instant("pm", "XNYS", day),
        }
        for day in expiries
        for strike in strikes
    ]
    return pa.Table.from_pylist(rows)


def test_the_order_is_that_of_gamma_at_a_usual_vol() -> None:
    table = listing([5800.0, 5950.0, 6000.0, 6100.0], [date(2026, 11, 23), date(2027, 3, 19)])
    strike = table["strike"].to_numpy()
    years = np.array(
        [(t - AT).total_seconds() / (365 * 86400) for t in table["expires_at"].to_pylist()]
    )
    gamma = black_greeks(
        np.full(8, 6000.0),
        strike,
        S=np.full(8, 6000.0),
        T=years,
        sigma=np.full(8, 0.2),
        D=np.ones(8),
        is_call=np.ones(8, bool),
    ).gamma
    chosen = nearest_the_money(table, spot=6000.0, at=AT, count=8)
    by_gamma = [table["symbol"][int(i)].as_py() for i in np.argsort(-gamma)]
    assert chosen[:4] == by_gamma[:4]
    assert chosen[0] == "1123-6000"


def test_expired_contracts_are_left_out_and_the_count_is_kept() -> None:
    table = listing([5900.0, 6000.0, 6100.0], [date(2026, 11, 18), date(2026, 11, 20)])
    chosen = nearest_the_money(table, spot=6000.0, at=AT, count=2)
    assert [symbol[:4] for symbol in chosen] == ["1120", "1120"]
    assert nearest_the_money(table.slice(0, 3), spot=6000.0, at=AT, count=2) == []


def test_without_a_spot_the_median_strike_stands_for_it() -> None:
    table = listing([5000.0, 6000.0, 7500.0], [date(2026, 11, 20)])
    assert nearest_the_money(table, spot=None, at=AT, count=1) == ["1120-6000"]

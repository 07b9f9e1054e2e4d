"""Live rows of the hand-made lake: SPX on the last session, from 15:00 UTC.

Belongs here: what the live tables hold. Does not belong here: the rest of the lake (`small_lake`).

Three seconds of gamma in two minutes, of every model; two minutes of flow; a gap in the second
minute. The lake was left in the middle of a compaction: every row of live gamma lies in the
compacted part, and still in a part of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dealer_assets import tables
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets_tests.live_rows import clock, row

Row = dict[str, Any]

# end of the second, net gamma of settled positions, spot; the session's flow has a tenth of the
# gamma, the estimate half of it. The second one ends with its minute.
SECONDS = (("15:00:01", 100.0, 5000.0), ("15:01:00", 120.0, 5005.0), ("15:01:01", 110.0, 4995.0))

# start of the bar, interval, right, tenor, size bucket, volume, hedging flow
FLOW = (
    ("15:00:00", "minute", "call", "0dte", "1", 3.0, 30.0),
    ("15:00:00", "minute", "call", "0dte", "10-99", 40.0, -50.0),
    ("15:00:00", "minute", "put", "other", "2-9", 5.0, 7.0),
    ("15:00:00", "second", "call", "0dte", "1", 3.0, 30.0),
    ("15:01:00", "minute", "call", "0dte", "1", 1.0, 10.0),
)

LENGTHS = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1)}


def live_rows() -> dict[str, list[Row]]:
    """Return the rows of the live tables that the marts read."""
    gamma = [
        _total(clock(at), model, net * share, spot)
        for at, net, spot in SECONDS
        for model, share in (("naive", 1.0), ("session_flow", 0.1), ("live_reconciled", 0.5))
    ]
    gap = row(tables.FEED_GAPS, event_at=clock("15:01:10"), until=clock("15:01:40"))
    return {
        "live_gamma": [*_numbered(gamma), *(r | {"part": SESSION_PART} for r in _numbered(gamma))],
        "live_flow": _numbered([_bar(*entry) for entry in FLOW]),
        "live_trades": _numbered([row(tables.LIVE_TRADES, price_usd=2.0, size_contracts=3.0)]),
        "feed_gaps": _numbered([gap | {"status": "open"}, gap | {"status": "backfilled"}]),
    }


def _numbered(rows: list[Row]) -> list[Row]:
    return [entry | {"stream_sequence": number} for number, entry in enumerate(rows)]


def _total(at: Any, model: str, net: float, spot: float) -> Row:
    is_estimate = model == "live_reconciled"
    return row(
        tables.LIVE_GAMMA,
        at=at,
        model=model,
        spot=spot,
        net_gamma_exposure_usd_per_pct=net,
        call_gamma_exposure_usd_per_pct=2 * net,
        put_gamma_exposure_usd_per_pct=-net,
        gross_gamma_exposure_usd_per_pct=3 * net,
        net_gamma_sd_usd_per_pct=net / 5 if is_estimate else None,
        settled_open_interest_share=0.95 if is_estimate else None,
        contracts=10,
        contracts_priced=9,
        signed_share=0.9,
        quoted_share=0.8,
    )


def _bar(
    at: str, interval: str, right: str, tenor: str, bucket: str, volume: float, flow: float
) -> Row:
    return row(
        tables.LIVE_FLOW,
        at=clock(at),
        known_at=clock(at) + LENGTHS[interval],
        interval=interval,
        right=right,
        tenor=tenor,
        size_bucket=bucket,
        trades=1,
        volume_contracts=volume,
        hedge_flow_usd=flow,
        absolute_hedge_flow_usd=abs(flow),
    )

"""Day bars of a share or fund: what is traded for an underlying.

Belongs here: the question and its fields. Does not belong here: bars of options (`ticks`), values
of an index (`index_values`), rows (`underlying_bar_rows`).

Unadjusted, so that volume and price are those of the day. The vendor's average price counts, over
all prints of the day; a bar without one takes its close. A day's bar is stamped with midnight New
York and grows until trading after hours ends: before that it is not taken, for a bar that is held
is not asked for again.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.polygon.client import Ask, PolygonClient
from dealer_assets.providers.polygon.fields import (
    COUNT,
    NUMBER,
    Bools,
    instants,
    joined,
    numbers,
    utc,
)
from dealer_assets.providers.polygon.history import BAR_COUNT
from dealer_assets.providers.polygon.pages import fetch_listing
from dealer_assets.providers.polygon.reference import vendor_ticker
from dealer_assets.providers.record_rows import Source
from dealer_assets.providers.underlying_bar_rows import Bars, bar_rows, traded
from dealer_assets.underlyings import Underlying

_ROW = pa.struct([(name, NUMBER) for name in ("o", "h", "l", "c", "v", "vw")] + [("t", COUNT)])
_MOST_ROWS = 50_000

_AFTER_HOURS = timedelta(hours=4)
"""How long shares and funds trade after a session's close: to 20:00 New York, or to 17:00."""


def fetch_underlying_bars(
    client: PolygonClient,
    asset: Underlying,
    *,
    first: date,
    last: date,
    now: datetime,
    delay: timedelta,
) -> Records:
    """Fetch day bars; see `Provider.underlying_bars`.

    Raises
    ------
    ProviderError
        When a page fails, or nothing that is traded stands for the underlying.
    """
    ticker = vendor_ticker(traded(asset))
    question = Ask(
        f"day bars of {ticker} from {first} to {last}",
        "get_aggs",
        (ticker, 1, "day", first.isoformat(), last.isoformat()),
        {"adjusted": False, "sort": "asc", "limit": _MOST_ROWS},
    )
    listing = fetch_listing(client, question, _ROW, count_field=BAR_COUNT)
    if listing.failure is not None:
        raise listing.failure
    rows, damaged = joined(listing.pages, _ROW)
    bars, is_clocked = _bars(rows, ticker)
    delay = delay + _AFTER_HOURS
    over = np.array([_is_over(asset, day, now - delay) for day in bars.days], np.bool_)
    good = bars.possible & ~damaged & is_clocked
    # without the span: a bar's row is the same whatever others were asked for beside it
    name = f"polygon day bars {ticker} for {asset.symbol}"
    source = Source("polygon", name, hashlib.sha256(name.encode()).hexdigest())
    text = f"{int((~good).sum())} of {len(rows)} bars cannot be: prices out of order or no clock"
    return Records(
        table=tables.UNDERLYING_BARS,
        rows=bar_rows(bars.take(np.flatnonzero(good & over)), asset, source, delay=delay),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        is_complete=bool(good.all()),
        findings=() if good.all() else (Finding("impossible_bars", text),),
    )


def _bars(rows: pa.StructArray, ticker: str) -> tuple[Bars, Bools]:
    at = instants(rows, "t", unit="ms")
    is_clocked = ~np.isnat(at)
    days = [
        utc(instant).astimezone(sessions.NEW_YORK).date() if clocked else date.min
        for instant, clocked in zip(at, is_clocked.tolist(), strict=True)
    ]
    volume, average, close = numbers(rows, "v"), numbers(rows, "vw"), numbers(rows, "c")
    price = np.where(np.isfinite(average), average, close)
    bars = Bars(
        instrument=ticker,
        days=days,
        open=numbers(rows, "o"),
        high=numbers(rows, "h"),
        low=numbers(rows, "l"),
        close=close,
        volume=volume,
        notional=volume * price,
        notional_rule="average_price",
    )
    return bars, is_clocked


def _is_over(asset: Underlying, day: date, seen_at: datetime) -> bool:
    """Tell whether a day is a session that is over at an instant."""
    if day == date.min or not sessions.is_session(asset.calendar, day):
        return False
    return sessions.session_close(asset.calendar, day) <= seen_at

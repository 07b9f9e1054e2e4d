"""One quick look at each of the vendor's sources, for `dealer doctor`.

Belongs here: what is asked, in one attempt each, and what to say of it. Does not belong here:
fetching anything to be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets.errors import (
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.base import Probe
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.chain import CHAIN_ROW
from dealer_assets.providers.polygon.client import Ask, PolygonClient
from dealer_assets.providers.polygon.clocks import AHEAD
from dealer_assets.providers.polygon.fields import instants, texts, utc
from dealer_assets.providers.polygon.market import (
    ask_holidays,
    ask_index_value,
    ask_status,
    calendar_findings,
)
from dealer_assets.providers.polygon.pages import Page, read_page
from dealer_assets.providers.polygon.reference import CONTRACT_ROW, reference_ticker, vendor_ticker
from dealer_assets.providers.polygon.ticks import QUOTE_ROW
from dealer_assets.underlyings import Underlying

ONCE = Patience(attempts=1)


def look(
    client: PolygonClient, underlying: Underlying, *, now: datetime, delay: timedelta
) -> tuple[Probe, ...]:
    """Look at clock, reference, chain, quotes and index value.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    underlying : Underlying
        What to ask for.
    now : datetime.datetime
        UTC now.
    delay : datetime.timedelta
        How far behind the market the plan is declared to be.

    Returns
    -------
    tuple of Probe
        Never raises for a vendor's fault.
    """
    symbol = underlying.symbol
    clock = _probe("polygon clock", lambda: _clock(client, now))
    listed = _probe(f"polygon reference {symbol}", lambda: _reference(client, underlying))
    tickers: list[str] = []
    chain = _probe(
        f"polygon chain {symbol}", lambda: _chain(client, underlying, now, delay, tickers)
    )
    source = f"polygon quotes {symbol}"
    quotes = Probe(source, chain.is_reachable, detail="not asked: the chain named no contract")
    if tickers:
        quotes = _probe(source, lambda: _quotes(client, tickers[0]))
    found = [clock, listed, chain, quotes]
    if underlying.kind == "index":
        found.append(_probe(f"polygon index value {symbol}", lambda: _value(client, underlying)))
    return tuple(replace(probe, server_time=clock.server_time) for probe in found)


def _probe(source: str, ask: Callable[[], dict[str, Any]]) -> Probe:
    try:
        return Probe(source, is_reachable=True, is_entitled=True, **ask())
    except NotEntitledError as error:
        return Probe(source, is_reachable=True, is_entitled=False, detail=str(error))
    except NoDataError as error:
        return Probe(source, is_reachable=True, is_entitled=True, detail=str(error))
    except ProviderUnavailableError as error:
        return Probe(source, is_reachable=False, detail=str(error))
    except ProviderError as error:
        return Probe(source, is_reachable=True, detail=str(error))


def _clock(client: PolygonClient, now: datetime) -> dict[str, Any]:
    status = ask_status(client, patience=ONCE)
    skew = (now - status.server_time).total_seconds()
    words = [f"market {status.market}"]
    if abs(skew) > AHEAD.total_seconds():
        words.append(f"this machine's clock differs by {skew:.0f} s: set it right")
    try:
        words += [f.text for f in calendar_findings(ask_holidays(client, patience=ONCE))]
    except ProviderError as error:
        words.append(str(error))
    return {"server_time": status.server_time, "detail": "; ".join(words)}


def _page(client: PolygonClient, question: Ask, row_type: pa.StructType) -> Page:
    return client.ask(
        question, lambda body: read_page(body, row_type, what=question.what), patience=ONCE
    )


def _reference(client: PolygonClient, underlying: Underlying) -> dict[str, Any]:
    kwargs = {"underlying_ticker": reference_ticker(underlying), "limit": 1}
    what = f"contracts of {reference_ticker(underlying)}"
    page = _page(client, Ask(what, "list_options_contracts", kwargs=kwargs), CONTRACT_ROW)
    if not len(page.rows):
        return {"detail": f"no {what}: check vendor_symbols['polygon']"}
    return {"detail": f"lists {texts(page.rows, 'ticker')[0].as_py()} first"}


def _chain(
    client: PolygonClient,
    underlying: Underlying,
    now: datetime,
    delay: timedelta,
    tickers: list[str],
) -> dict[str, Any]:
    ticker = vendor_ticker(underlying)
    kwargs = {
        "params": {"limit": 50, "expiration_date.gte": now.astimezone(UTC).date().isoformat()}
    }
    question = Ask(f"the chain of {ticker}", "list_snapshot_options_chain", (ticker,), kwargs)
    page = _page(client, question, CHAIN_ROW)
    if not len(page.rows):
        return {"detail": "no contract in the chain: check vendor_symbols['polygon']"}
    tickers += texts(page.rows, "details", "ticker").to_pylist()
    clocks = instants(page.rows, "last_quote", "last_updated")
    clocks = clocks[~np.isnat(clocks)]
    if not clocks.size:
        return {"detail": "the plan has no quotes: the chain comes without bid and ask"}
    newest = utc(clocks.max())
    age = (now - newest).total_seconds()
    words = f"newest of {len(page.rows)} quotes is {age:.0f} s old"
    if "DELAYED" in texts(page.rows, "last_quote", "timeframe").to_pylist() and not delay:
        words += "; marked DELAYED, but the plan is declared as real time: check it"
    return {"data_at": newest, "is_live": True, "detail": words}


def _quotes(client: PolygonClient, ticker: str) -> dict[str, Any]:
    what = f"quotes of {ticker}"
    question = Ask(what, "list_quotes", (ticker,), {"limit": 1, "order": "desc"})
    page = _page(client, question, QUOTE_ROW)
    clocks = instants(page.rows, "sip_timestamp")
    if not clocks.size or np.isnat(clocks[0]):
        return {"detail": f"no {what} yet"}
    return {"data_at": utc(clocks[0]), "is_live": True, "detail": f"newest of {what}"}


def _value(client: PolygonClient, underlying: Underlying) -> dict[str, Any]:
    spot = ask_index_value(client, vendor_ticker(underlying), patience=ONCE)
    late = " (delayed)" if spot.is_delayed else ""
    return {
        "data_at": spot.at,
        "is_live": True,
        "detail": f"{underlying.symbol} {spot.value:g}{late}",
    }

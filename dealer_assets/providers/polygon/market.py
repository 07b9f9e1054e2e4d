"""The vendor's clock, its holidays, and the value of an index: small answers.

Belongs here: their fields, and what disagrees with our calendar. Does not belong here: who asks
(`provider`, `probes`), the ladder of sources of spot (`spot`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from dealer_assets.domain import sessions
from dealer_assets.errors import GarbledAnswerError, NoDataError, NotEntitledError
from dealer_assets.providers.base import Finding
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.client import VENDOR, Ask, PolygonClient
from dealer_assets.providers.polygon.fields import (
    COUNT,
    NUMBER,
    TEXT,
    instants,
    numbers,
    texts,
    utc,
)
from dealer_assets.providers.polygon.pages import read_page
from dealer_assets.providers.polygon.spot import SpotQuote

VALUE_ROW = pa.struct(
    [
        ("ticker", TEXT),
        ("value", NUMBER),
        ("last_updated", COUNT),
        ("timeframe", TEXT),
        ("error", TEXT),
        ("message", TEXT),
    ]
)
CLOSE_ROW = pa.struct([("c", NUMBER), ("t", COUNT)])
_NEW_YORK_EXCHANGE = "NYSE"


@dataclass(frozen=True)
class MarketStatus:
    """What the vendor says of now.

    Parameters
    ----------
    market : str
        ``open``, ``closed`` or ``extended-hours``.
    server_time : datetime.datetime
        UTC; the vendor's own clock, to the second.
    """

    market: str
    server_time: datetime


@dataclass(frozen=True)
class Holiday:
    """A day on which an exchange does not trade, or closes early.

    Parameters
    ----------
    exchange : str
        As the vendor names it.
    day : datetime.date
        New York date.
    is_closed : bool
        False when it closes early.
    name : str
        In words.
    """

    exchange: str
    day: date
    is_closed: bool
    name: str


def ask_status(client: PolygonClient, *, patience: Patience | None = None) -> MarketStatus:
    """Return what the vendor says of now.

    Raises
    ------
    ProviderError
        When it cannot be asked; `GarbledAnswerError` for an answer without a clock.
    """
    return client.ask(Ask("its clock", "get_market_status"), read_status, patience=patience)


def read_status(body: bytes) -> MarketStatus:
    """Read the vendor's market status.

    Raises
    ------
    GarbledAnswerError
        When the body is no such object.
    """
    top = _json(body, "its clock")
    clock, market = (
        (top.get(name) for name in ("serverTime", "market"))
        if isinstance(top, dict)
        else (None, None)
    )
    try:
        server_time = datetime.fromisoformat(clock or "")
    except (TypeError, ValueError):
        _garbled("its clock", f"serverTime {clock!r}")
    if server_time.tzinfo is None:
        _garbled("its clock", f"serverTime {clock!r} without a zone")
    return MarketStatus(str(market or ""), server_time.astimezone(UTC))


def ask_holidays(client: PolygonClient, *, patience: Patience | None = None) -> tuple[Holiday, ...]:
    """Return the coming holidays, one per exchange and day.

    Raises
    ------
    ProviderError
        When the vendor cannot be asked; `GarbledAnswerError` for an answer that is no list.
    """
    return client.ask(Ask("its holidays", "get_market_holidays"), read_holidays, patience=patience)


def read_holidays(body: bytes) -> tuple[Holiday, ...]:
    """Read the vendor's coming holidays: a bare list, without the envelope of other answers.

    Raises
    ------
    GarbledAnswerError
        When the body is no such list.
    """
    rows = _json(body, "its holidays")
    if not isinstance(rows, list):
        _garbled("its holidays", f"a JSON {type(rows).__name__}, expected a list")
    try:
        return tuple(
            Holiday(
                exchange=str(row["exchange"]),
                day=date.fromisoformat(row["date"]),
                is_closed=row["status"] == "closed",
                name=str(row.get("name", "")),
            )
            for row in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        _garbled("its holidays", f"a row without exchange, date or status ({error!r})")


def calendar_findings(holidays: Sequence[Holiday]) -> list[Finding]:
    """Compare the vendor's holidays of New York with our calendar, over the days they span.

    Parameters
    ----------
    holidays : sequence of Holiday
        As the vendor lists them.

    Returns
    -------
    list of Finding
        ``holiday_disagrees``, one per day on which the two differ.
    """
    theirs = {h.day: h.is_closed for h in holidays if h.exchange == _NEW_YORK_EXCHANGE}
    if not theirs:
        return []
    first, last = min(theirs), max(theirs)
    findings = []
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        if day.weekday() >= 5:
            continue
        ours = _in_words(not sessions.is_session("XNYS", day), sessions.is_early_close("XNYS", day))
        vendors = _in_words(theirs.get(day) is True, theirs.get(day) is False)
        if ours != vendors:
            text = f"{day}: our calendar says {ours}, the vendor {vendors}: check the exchange"
            findings.append(Finding("holiday_disagrees", text))
    return findings


def _in_words(is_closed: bool, is_early: bool) -> str:
    return "closed" if is_closed else "early close" if is_early else "open"


def ask_index_value(
    client: PolygonClient, ticker: str, *, patience: Patience | None = None
) -> SpotQuote:
    """Return the value of an index now.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    ticker : str
        E.g. ``I:SPX``.
    patience : Patience, optional
        Instead of the client's own.

    Raises
    ------
    NotEntitledError
        When the plan has no index data; the vendor says so by status or in the row.
    NoDataError
        When it has no such index, or no value.
    """
    question = Ask(
        f"the value of {ticker}", "get_snapshot_indices", kwargs={"ticker_any_of": [ticker]}
    )
    page = client.ask(
        question, lambda body: read_page(body, VALUE_ROW, what=question.what), patience=patience
    )
    row: dict[str, Any] = next((r for r in page.rows.to_pylist() if r["ticker"] == ticker), {})
    if row.get("error") == "NOT_ENTITLED":
        raise NotEntitledError(
            f"{VENDOR} does not give this key {question.what}: {row['message']}; index data is a "
            "plan of its own"
        )
    value = numbers(page.rows, "value")
    usable = np.flatnonzero(np.isfinite(value) & (value > 0))
    if row.get("error") or not usable.size or not row:
        words = row.get("message") or row.get("error") or "no value"
        raise NoDataError(f"{VENDOR} has not {question.what}: {words}")
    at = instants(page.rows, "last_updated")[usable[0]]
    return SpotQuote(
        value=float(value[usable[0]]),
        at=None if np.isnat(at) else utc(at),
        source="index",
        is_delayed=texts(page.rows, "timeframe")[int(usable[0])].as_py() == "DELAYED",
    )


def ask_previous_close(client: PolygonClient, ticker: str) -> SpotQuote:
    """Return an underlying's close of the session before; its clock says 16:00 New York.

    Raises
    ------
    ProviderError
        When the vendor cannot be asked, refuses, or has none.
    """
    what = f"the previous close of {ticker}"
    page = client.ask(
        Ask(what, "get_previous_close_agg", (ticker,), {"adjusted": False}),
        lambda body: read_page(body, CLOSE_ROW, what=what, count_field="resultsCount"),
    )
    close, at = numbers(page.rows, "c"), instants(page.rows, "t", unit="ms")
    if not close.size or not (np.isfinite(close[0]) and close[0] > 0):
        raise NoDataError(f"{VENDOR} has not {what}: the answer is empty")
    return SpotQuote(float(close[0]), None if np.isnat(at[0]) else utc(at[0]), "previous_close")


def _json(body: bytes, what: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        _garbled(what, f"broken JSON ({error})")


def _garbled(what: str, found: str) -> NoReturn:
    raise GarbledAnswerError(f"{VENDOR} answered {what} with {found}; try again later")

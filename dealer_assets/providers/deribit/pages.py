"""Lists that come in pages newest first: requests for quotes, candles, delivery prices.

Belongs here: walking back until a session is covered, and keeping what no longer changes. Does not
belong here: the tape, which is walked forward (`tape`), or what the rows mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dealer_assets.errors import ProviderError
from dealer_assets.providers.base import Finding, Keep
from dealer_assets.providers.deribit.client import DeribitApi, Params, Reply, read_reply
from dealer_assets.providers.deribit.columns import (
    Object,
    member,
    milliseconds_of,
    number,
    objects,
)
from dealer_assets.providers.deribit.values import CANDLE_SECONDS, Values, parse_candles
from dealer_assets.providers.http import HttpAnswer

MOST_PAGES = 200
_PAGE = 1000
_MARGIN = 5


@dataclass
class Walked:
    """Rows of several pages.

    Parameters
    ----------
    rows : list of object
        Of the time asked for.
    findings : list of Finding
        What was odd.
    is_whole : bool
        The pages reached back to the beginning of that time.
    """

    rows: list[Object] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_whole: bool = True


def kept_call(
    api: DeribitApi, keep: Keep, piece: str, method: str, params: Params, *, may_keep: bool
) -> Reply:
    """Return a reply that is held, or ask and keep it when it can no longer change.

    Raises
    ------
    ProviderError
        As `DeribitApi.call`.
    """
    held = keep.get(piece)
    if held is not None:
        try:
            return read_reply(HttpAnswer(held, {}), vendor="the cache", method=method)
        except ProviderError:
            pass  # damaged: fetched again
    reply = api.call(method, params)
    if may_keep:
        keep.put(piece, reply.body)
    return reply


def _held_rows(keep: Keep, piece: str) -> list[Object] | None:
    """Return rows that were picked out of pages and kept; None when there are none, or damaged."""
    held = keep.get(piece)
    if held is None:
        return None
    try:
        return objects(json.loads(held), "what was kept")
    except (ValueError, ProviderError):
        return None


def requests_for_quotes(
    api: DeribitApi, currency: str, *, begin: datetime, end: datetime, keep: Keep, may_keep: bool
) -> Walked:
    """Return the block RFQs of a time span, newest first.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    currency : str
        Settlement currency.
    begin, end : datetime.datetime
        UTC instants; `end` excluded.
    keep : Keep
        Holds the result, since the pages move as time passes.
    may_keep : bool
        The span is over.
    """
    piece = f"block-rfqs-{currency}-{milliseconds_of(begin)}-{milliseconds_of(end)}"
    held = _held_rows(keep, piece)
    if held is not None:
        return Walked(rows=held)
    found = _walk_requests(api, currency, begin=begin, end=end)
    if may_keep and found.is_whole:
        keep.put(piece, json.dumps(found.rows).encode())
    return found


def _walk_requests(api: DeribitApi, currency: str, *, begin: datetime, end: datetime) -> Walked:
    method = "get_block_rfq_trades"
    first, last = milliseconds_of(begin), milliseconds_of(end)
    params: dict[str, str | int | bool] = {"currency": currency, "count": _PAGE}
    seen: dict[str, Object] = {}
    tokens: set[str] = set()
    for _ in range(MOST_PAGES):
        result = api.call(method, params).result
        rows = objects(member(result, "block_rfqs", method), method)
        for row in rows:
            if first <= number(row.get("timestamp")) < last:
                seen.setdefault(str(row.get("id")), row)
        token = result.get("continuation")
        oldest = min((number(row.get("timestamp")) for row in rows), default=float("inf"))
        if oldest < first or not token:
            return Walked(rows=list(seen.values()))
        if str(token) in tokens:
            return _unfinished(seen, f"the continuation {token!r} came twice")
        tokens.add(str(token))
        params["continuation"] = str(token)
    return _unfinished(seen, f"{MOST_PAGES} pages did not reach back to {begin:%Y-%m-%d}")


def _unfinished(seen: dict[str, Object], why: str) -> Walked:
    found = Finding("rfqs_out_of_reach", f"{why}: older block RFQs are missing")
    return Walked(list(seen.values()), [found], is_whole=False)


def vol_index_candles(
    api: DeribitApi,
    currency: str,
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    keep: Keep,
    may_keep: bool,
) -> list[Values]:
    """Return DVOL candles that end within a time span; the main host only has them.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    currency : str
        Coin.
    begin, end : datetime.datetime
        UTC instants of the first and, excluded, the last end of a candle.
    now : datetime.datetime
        UTC now: candles that end later are left out.
    keep : Keep
        Holds pages.
    may_keep : bool
        The span is over.
    """
    method = "get_volatility_index_data"
    candle = timedelta(seconds=CANDLE_SECONDS)
    first, last = milliseconds_of(begin - candle), milliseconds_of(end - candle) - 1
    found = []
    for _ in range(MOST_PAGES):
        params: Params = {
            "currency": currency,
            "start_timestamp": first,
            "end_timestamp": last,
            "resolution": CANDLE_SECONDS,
        }
        piece = f"dvol-{currency}-{first}-{last}"
        result = kept_call(api, keep, piece, method, params, may_keep=may_keep).result
        found.append(parse_candles(member(result, "data", method), now=now))
        until = result.get("continuation")
        if not isinstance(until, int) or not first <= until < last:
            break
        last = until
    return found


def delivery_prices(
    api: DeribitApi, index_name: str, day: date, *, now: datetime, keep: Keep, may_keep: bool
) -> Sequence[Object]:
    """Return the page of delivery prices that has a date, or nothing when none has.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    index_name : str
        Price index.
    day : datetime.date
        Date of delivery.
    now : datetime.datetime
        UTC now: tells how far back to ask.
    keep : Keep
        Holds the rows of that date.
    may_keep : bool
        The day is over.
    """
    method, piece = "get_delivery_prices", f"delivery-{index_name}-{day}"
    held = _held_rows(keep, piece)
    if held is not None:
        return held
    offset, count = 0, min(max((now.date() - day).days, 0) + _MARGIN, _PAGE)
    for _ in range(MOST_PAGES):
        params: Params = {"index_name": index_name, "offset": offset, "count": count}
        result = api.call(method, params).result
        rows = objects(member(result, "data", method), method)
        found = [row for row in rows if row.get("date") == f"{day}"]
        if found:
            if may_keep:
                keep.put(piece, json.dumps(found).encode())
            return found
        offset += len(rows)
        if not rows or min(str(row.get("date")) for row in rows) < f"{day}":
            return ()
    return ()

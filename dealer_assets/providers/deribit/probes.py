"""One quick look at each of Deribit's sources, for `dealer doctor`.

Belongs here: what is asked, and what the answers mean to a user. Does not belong here: data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np

from dealer_assets.errors import ProviderError
from dealer_assets.providers.asking import failed_probe
from dealer_assets.providers.base import Probe
from dealer_assets.providers.deribit.client import DeribitApi, Params
from dealer_assets.providers.deribit.columns import (
    Floats,
    aware,
    instants,
    member,
    milliseconds_of,
    number,
    numbers,
    objects,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.tape import METHOD as TAPE_METHOD
from dealer_assets.providers.deribit.values import CANDLE_SECONDS, newest, parse_candles

_FRESH = timedelta(minutes=5)


def probe_all(api: DeribitApi, family: Family, *, now: datetime) -> Sequence[Probe]:
    """Ask for clock, summary, volatility index and history, one attempt each.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    family : Family
        The coin-settled one.
    now : datetime.datetime
        UTC now.

    Returns
    -------
    sequence of Probe
        Four; a fault of the vendor's is in its detail.
    """
    clock: list[datetime | None] = [None]

    def time() -> tuple[datetime | None, str]:
        stamp = instants(np.array([number(api.call("get_time", attempts=1).result)]))[0]
        clock[0] = None if np.isnat(stamp) else aware(stamp)
        if clock[0] is None:
            return None, "it told no time"
        off = (clock[0] - now).total_seconds()
        return clock[0], f"its clock is {abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} ours"

    def summary() -> tuple[datetime | None, str]:
        method = "get_book_summary_by_currency"
        params = {"currency": family.currency, "kind": "option"}
        rows = objects(api.call(method, params, attempts=1).result, method)
        made_at = _newest(numbers(rows, "creation_timestamp"))
        return made_at, f"{len(rows)} contracts, {_age(made_at, now)}"

    def vol_index() -> tuple[datetime | None, str]:
        params: Params = {
            "currency": family.currency,
            "start_timestamp": milliseconds_of(now - timedelta(hours=1)),
            "end_timestamp": milliseconds_of(now),
            "resolution": CANDLE_SECONDS,
        }
        method = "get_volatility_index_data"
        result = api.call(method, params, attempts=1).result
        candles = parse_candles(member(result, "data", method), now=now)
        last = newest(candles)
        value = f"{candles.values[-1]:.4f}, " if candles.values.size else ""
        return last, f"{value}{_age(last, now)}"

    def history() -> tuple[datetime | None, str]:
        params: Params = {
            "currency": family.currency,
            "kind": "option",
            "start_timestamp": milliseconds_of(now - timedelta(days=3)),
            "end_timestamp": milliseconds_of(now - timedelta(days=2)),
            "count": 1,
            "include_old": True,
        }
        result = api.call(TAPE_METHOD, params, host="history", attempts=1).result
        rows = objects(member(result, "trades", TAPE_METHOD), TAPE_METHOD)
        found = _newest(numbers(rows, "timestamp"))
        return found, "has trades of three days ago" if rows else "no trade of three days ago"

    looks = (("clock", time), ("chain", summary), ("DVOL", vol_index), ("history", history))
    return [_look(f"deribit {what} {family.root.symbol}", ask, clock) for what, ask in looks]


def _look(
    source: str,
    ask: Callable[[], tuple[datetime | None, str]],
    clock: list[datetime | None],
) -> Probe:
    try:
        data_at, detail = ask()
    except ProviderError as error:
        return failed_probe(source, error)
    return Probe(
        source,
        is_reachable=True,
        is_entitled=True,
        data_at=data_at,
        server_time=clock[0],
        detail=detail,
        is_live=" chain " in source,
    )


def _newest(milliseconds: Floats) -> datetime | None:
    stamps = instants(milliseconds)
    known = stamps[~np.isnat(stamps)]
    return aware(known.max()) if known.size else None


def _age(data_at: datetime | None, now: datetime) -> str:
    if data_at is None:
        return "nothing that tells a time"
    age = now - data_at
    words = f"{max(age.total_seconds(), 0.0):.0f} s old"
    return words if age <= _FRESH else f"{words}: expected fresh data; see Deribit's status page"

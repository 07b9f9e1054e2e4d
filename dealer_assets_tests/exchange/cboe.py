"""Cboe's keyless delayed quotes: chains, quotes and daily history.

Belongs here: paths, the file around the rows, its two clocks, its faults. Does not belong here: the
rows (`cboe_rows`).

The top-level ``timestamp`` is UTC and about now; ``last_trade_time`` is New York time without a
zone, `DELAY` behind. Indices need a leading underscore; any other name is 404.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from aiohttp import web

from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError
from dealer_assets.providers.simulator import market
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import REGISTRY, Underlying
from dealer_assets_tests.exchange.cboe_rows import aligned, floats, new_york_texts, option_rows
from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.misbehaviour import answer, declare_bad_answers, due, web_page
from dealer_assets_tests.exchange.world import World

DELAY = timedelta(minutes=15)
HISTORY_SESSIONS = 260
"""Rows of the daily history; Cboe's own reach back to 1975."""

declare_bad_answers(
    "cboe", "403", "429", "503", "html", "cut", "truncated", "stall", "slow", "refused"
)
FROZEN = declare(
    "cboe_frozen_quotes",
    "market fields and last_trade_time stand still from the first such answer on, Greeks move",
)
STALE = declare("cboe_stale", "the whole file is `hours` (3) old, its timestamp too")
SHIFTED = declare("cboe_shifted_oi", "open interest of the session before")
WIPED = declare("cboe_wiped_oi", "open interest 0.0 everywhere, volume kept")
ROOTLESS = declare("cboe_missing_root", "the rows of one root are missing: `root` (the last)")

_ROOT = "/api/global/delayed_quotes"
_BY_NAME = {u.vendor_symbols["cboe"]: u for u in REGISTRY if "cboe" in u.vendor_symbols}


@dataclass(frozen=True)
class DayRange:
    """Prices of an underlying in a session so far [USD], and the close before."""

    open: float
    high: float
    low: float
    last: float
    previous_close: float


def routes(world: World) -> list[web.RouteDef]:
    """Return Cboe's paths."""
    frozen_since: dict[str, datetime] = {}

    async def options(request: web.Request) -> web.StreamResponse:
        entry = _BY_NAME.get(request.match_info["name"])
        if entry is None:
            return web_page(404)
        return await answer(
            request, world, "cboe", partial(_options, request, world, entry, frozen_since)
        )

    async def quotes(request: web.Request) -> web.StreamResponse:
        entry = _BY_NAME.get(request.match_info["name"])
        if entry is None:
            return web_page(404)
        return await answer(request, world, "cboe", partial(_quote, world, entry))

    async def history(request: web.Request) -> web.StreamResponse:
        entry = _BY_NAME.get(request.match_info["name"])
        if entry is None:
            return web_page(404)
        return await answer(request, world, "cboe", partial(_history, world, entry))

    return [
        web.get(f"{_ROOT}/options/{{name}}.json", options),
        web.get(f"{_ROOT}/quotes/{{name}}.json", quotes),
        web.get(f"{_ROOT}/charts/historical/{{name}}.json", history),
    ]


def _options(
    request: web.Request, world: World, entry: Underlying, frozen_since: dict[str, datetime]
) -> bytes:
    """The chain of an underlying as Cboe's file."""
    symbol, made = entry.symbol, world.clock.now()
    stale = due(request, world, STALE)
    if stale is not None:
        made -= timedelta(hours=float(stale.get("hours", 3)))
    at = world.quoted_at(symbol, made - DELAY)
    moving = world.chain(symbol, at)
    if due(request, world, FROZEN) is None:
        frozen_since.pop(symbol, None)
    else:
        at = frozen_since.setdefault(symbol, at)
    rows = world.chain(symbol, at)
    previous = _session_before(world, entry, at)
    rows = option_rows(
        rows,
        greeks_of=moving,
        previous=previous,
        open_interest=_open_interest(request, world, rows, previous),
    )
    rootless = due(request, world, ROOTLESS)
    if rootless is not None:
        root = rootless.get("root", entry.roots[-1].symbol)
        rows = [row for row in rows if row["option"][:-15] != root]
    return _file(world, entry, made=made, at=at, options=rows)


def _open_interest(
    request: web.Request, world: World, rows: pa.Table, previous: pa.Table | None
) -> np.ndarray:
    if due(request, world, WIPED) is not None:
        return np.zeros(rows.num_rows)
    if due(request, world, SHIFTED) is not None:
        if previous is None:
            raise NoDataError("the market has no session before this one to shift from")
        return np.nan_to_num(aligned(rows, previous, "open_interest_contracts"))
    return floats(rows, "open_interest_contracts")


def _session_before(world: World, entry: Underlying, at: datetime) -> pa.Table | None:
    """The chain at the close of the session before an instant's; None where there is none."""
    day = sessions.previous_session(entry.calendar, sessions.session_of(entry.calendar, at))
    try:
        return world.chain(entry.symbol, sessions.quotes_end(entry.calendar, day))
    except NoDataError:
        return None


def _quote(world: World, entry: Underlying) -> bytes:
    made = world.clock.now()
    return _file(world, entry, made=made, at=world.quoted_at(entry.symbol, made - DELAY))


def _file(
    world: World,
    entry: Underlying,
    *,
    made: datetime,
    at: datetime,
    options: list[dict[str, Any]] | None = None,
) -> bytes:
    data = _header(world, entry, at)
    if options is not None:
        data["options"] = options
    top = {"timestamp": f"{made:%Y-%m-%d %H:%M:%S}", "symbol": entry.vendor_symbols["cboe"]}
    return json.dumps(top | {"data": data}).encode()


def _header(world: World, entry: Underlying, at: datetime) -> dict[str, Any]:
    rows = world.chain(entry.symbol, at)
    day = _day_range(world, entry, at)
    change = round(day.last - day.previous_close, 4)
    is_index = entry.kind == "index"
    tick = "no_change" if change == 0 else ("up" if change > 0 else "down")
    return {
        "symbol": f"^{entry.symbol}" if is_index else entry.symbol,
        "security_type": "index" if is_index else "stock",
        "exchange_id": 0 if is_index else 3,
        "current_price": day.last,
        "price_change": change,
        "price_change_percent": round(100.0 * change / day.previous_close, 4),
        "bid": 0.0 if is_index else round(day.last - 0.01, 2),
        "ask": 0.0 if is_index else round(day.last + 0.01, 2),
        "bid_size": 0 if is_index else 100,
        "ask_size": 0 if is_index else 100,
        "open": day.open,
        "high": day.high,
        "low": day.low,
        "close": day.last,
        "prev_day_close": day.previous_close,
        "volume": 0 if is_index else int(pc.sum(rows["volume_contracts"]).as_py() or 0) * 10,
        "iv30": _iv30(rows),
        "iv30_change": 0.0,
        "iv30_change_percent": 0.0,
        "seqno": round(at.timestamp()) * 10,
        "last_trade_time": new_york_texts(pa.chunked_array([rows["event_at"].chunk(0)[:1]]))[0],
        "tick": tick,
    }


def _iv30(rows: pa.Table) -> float:
    """At-the-money vol near thirty days [per cent]."""
    vol = floats(rows, "vendor_implied_vol", np.nan)
    days = np.asarray(rows["expires_at"].cast(pa.int64()).to_numpy(), np.float64)
    days = (days - rows["event_at"][0].value) / 86_400e6
    spot = rows["spot"][0].as_py() or 1.0
    away = np.abs(days - 30.0) / 30.0 + 20.0 * np.abs(np.log(floats(rows, "strike") / spot))
    away[np.isnan(vol)] = np.inf
    return round(100.0 * float(vol[np.argmin(away)]), 3) if np.isfinite(away).any() else 0.0


def _day_range(world: World, entry: Underlying, at: datetime) -> DayRange:
    if not isinstance(world.market, SimulatorProvider):
        spot = world.spot(entry.symbol, at)
        return DayRange(spot, spot, spot, spot, spot)  # a recorded market stands still
    day = sessions.session_of(entry.calendar, at)
    before = sessions.previous_session(entry.calendar, day)
    path = market.day_path(world.market.seed, entry.symbol, day).spot
    minute = (at - sessions.session_open(entry.calendar, day)) // timedelta(minutes=1)
    so_far = path[: minute + 1]
    close = market.day_path(world.market.seed, entry.symbol, before).spot[-1]
    return DayRange(
        open=float(so_far[0]),
        high=float(so_far.max()),
        low=float(so_far.min()),
        last=float(so_far[-1]),
        previous_close=float(close),
    )


def _history(world: World, entry: Underlying) -> bytes:
    """Daily prices up to the last session that has closed; texts, as Cboe writes them."""
    now = world.clock.now()
    newest = sessions.session_of(entry.calendar, world.quoted_at(entry.symbol))
    days = [newest]  # all that a recorded market has
    if isinstance(world.market, SimulatorProvider):
        days = _last_sessions(entry, newest)
    if sessions.session_close(entry.calendar, newest) > now:
        days.pop()
    data = []
    for one in days:
        prices = _day_range(world, entry, sessions.session_close(entry.calendar, one))
        data.append(
            {
                "date": one.isoformat(),
                "open": f"{prices.open:.4f}",
                "high": f"{prices.high:.4f}",
                "low": f"{prices.low:.4f}",
                "close": f"{prices.last:.4f}",
                "volume": "0.0",
            }
        )
    top = {"timestamp": f"{now:%Y-%m-%d %H:%M:%S}", "symbol": entry.vendor_symbols["cboe"]}
    return json.dumps(top | {"data": data}).encode()


def _last_sessions(entry: Underlying, last: date) -> list[date]:
    first = last - timedelta(days=HISTORY_SESSIONS * 365 // 250)
    return sessions.sessions_between(entry.calendar, first, last)

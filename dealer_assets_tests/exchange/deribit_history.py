"""Deribit's look back: delivery prices, settlements, volatility index, candles.

Belongs here: results over many instants. Does not belong here: trades (`deribit_trades`), the
chain now (`deribit_bodies`), checking parameters (`deribit_rest`).
"""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator import market as simulated
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.surface import atm_variance
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.deribit_bodies import Body
from dealer_assets_tests.exchange.deribit_futures import futures
from dealer_assets_tests.exchange.deribit_market import USDC_RATIO, DeribitMarket
from dealer_assets_tests.exchange.deribit_prints import Ask
from dealer_assets_tests.exchange.deribit_rules import invalid
from dealer_assets_tests.exchange.deribit_trades import DeribitTape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_CANDLES = 1_000
_DVOL_YEARS = 30.0 / 365.0
_DVOL_EXTRA = 1.0
"""Vol points by which a strip of all strikes lies above the money's vol."""

_OLDEST_SETTLEMENTS = 60


def _expired_days(market: DeribitMarket, before: datetime) -> tuple[date, int]:
    """Newest day whose 08:00 UTC has passed, and how many there are since the market began."""
    last = (before - timedelta(hours=8)).date()
    return last, (last - simulated.FIRST).days + 1


def delivery_prices(market: DeribitMarket, index_name: str, *, offset: int, count: int) -> Body:
    """Return `public/get_delivery_prices`: newest first."""
    last, total = _expired_days(market, market.now())
    ratio = 1.0 if index_name == "btc_usd" else USDC_RATIO
    days = [last - timedelta(days=i) for i in range(offset, min(offset + count, total))]
    return {
        "data": [
            {
                "date": day.isoformat(),
                "delivery_price": round(paths.delivery_price(market.world, "BTC", day) * ratio, 2),
            }
            for day in days
        ],
        "records_total": total,
    }


def settlements(
    market: DeribitMarket, currency: str, *, kind: str | None, count: int, continuation: str | None
) -> Body:
    """Return `public/get_last_settlements_by_currency`: newest first, the token opaque."""
    last, _ = _expired_days(market, market.now())
    ordinal, skip = last.toordinal(), 0
    if continuation is not None:
        ordinal, skip = _read_token(continuation)
    found: list[Body] = []
    for day in (date.fromordinal(ordinal - i) for i in range(_OLDEST_SETTLEMENTS)):
        rows = _settled(market, currency, day, kind)[skip:]
        room = count - len(found)
        found += rows[:room]
        if len(found) == count:
            left = skip + room if len(rows) > room else 0
            return {"settlements": found, "continuation": _token(day, left)}
        skip = 0
    return {"settlements": found, "continuation": None}


def _token(day: date, used: int) -> str:
    """Continue on the same day after what was used of it, else with the day before."""
    ordinal = day.toordinal() if used else day.toordinal() - 1
    return base64.urlsafe_b64encode(f"{ordinal}:{used}".encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, int]:
    try:
        ordinal, used = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).split(b":")
        return int(ordinal), int(used)
    except ValueError as error:
        raise invalid("continuation", "wrong format") from error


def _settled(market: DeribitMarket, currency: str, day: date, kind: str | None) -> list[Body]:
    at = datetime(day.year, day.month, day.day, 8, 0, 1, tzinfo=UTC)
    chain = market.chain(currency, at)
    stamp = int(at.timestamp()) * 1000 - 935
    price = paths.delivery_price(market.world, "BTC", day)
    price = price if chain.is_coin else round(price * USDC_RATIO, 2)
    rows: list[Body] = []
    if kind in (None, "settlement"):
        for future in futures(market, currency, at):
            if future.expiry is None or future.expiry > at:
                rows.append(_settlement("settlement", future.name, stamp, future.open_interest))
                rows[-1] |= {"index_price": future.index, "mark_price": round(future.price, 2)}
    if kind in (None, "delivery"):
        for future in futures(market, currency, at):
            if future.expiry is not None and future.expiry <= at:
                rows.append(_settlement("delivery", future.name, stamp, future.open_interest))
                rows[-1] |= {"index_price": price, "mark_price": price}
        due = int(at.timestamp()) * 1_000_000
        for i in np.flatnonzero(chain.expires_us <= due).tolist():
            sign = 1.0 if chain.is_call[i] else -1.0
            value = max(sign * (price - float(chain.strike[i])), 0.0)
            value = round(value / price, 6) if chain.is_coin else round(value, 4)
            rows.append(
                _settlement("exercise", chain.name[i], stamp, float(chain.open_interest[i]))
            )
            rows[-1] |= {"index_price": price, "mark_price": value}
    return rows


def _settlement(kind: str, name: str, stamp: int, position: float) -> Body:
    return {
        "position": position,
        "timestamp": stamp,
        "type": kind,
        "instrument_name": name,
        "profit_loss": round(position * 1e-9, 9),
        "session_profit_loss": round(position * 1e-6, 9),
    }


def dvol(market: DeribitMarket, seconds: Ints) -> Floats:
    """Return the volatility index at seconds of the epoch, percent with two decimals."""
    provider = market.world.market
    if not isinstance(provider, SimulatorProvider):
        vol = float(np.median(market.chain("BTC").vol))
        return np.full(seconds.size, round(100.0 * vol + _DVOL_EXTRA, 2))
    entry = underlying("BTC")
    log_vol = np.empty(seconds.size)
    for day in np.unique(seconds // 86_400):
        rows = np.flatnonzero(seconds // 86_400 == day)
        when = datetime.fromtimestamp(int(day) * 86_400, UTC)
        path = simulated.day_path(provider.seed, "BTC", sessions.session_of("24/7", when)).log_vol
        minutes = (seconds[rows] - int(day) * 86_400) / 60.0
        log_vol[rows] = np.interp(minutes, np.arange(path.size), path)
    years = np.full(seconds.size, _DVOL_YEARS)
    total = atm_variance(years, log_vol, smile=profile_of(entry).smile)
    return np.asarray(np.round(100.0 * np.sqrt(total / years) + _DVOL_EXTRA, 2))


INDEX_CHARTS = {
    "1h": (3_600, 30),
    "1d": (86_400, 300),
    "2d": (2 * 86_400, 600),
    "1m": (30 * 86_400, 3_600),
    "1y": (365 * 86_400, 86_400),
    "all": (3 * 365 * 86_400, 86_400),
}
"""Range to its reach and the distance of its points, seconds; the distances are assumed."""


def index_chart(market: DeribitMarket, *, name: str, span: str) -> list[list[float]]:
    """Return `public/get_index_chart_data`: pairs of milliseconds and price, ascending."""
    reach, step = INDEX_CHARTS[span]
    now = int(market.now().timestamp())
    seconds = np.arange(-(-(now - reach) // step) * step, now + 1, step, dtype=np.int64)
    prices = market.indices(name, seconds)
    return [[int(at) * 1000, float(price)] for at, price in zip(seconds, prices, strict=True)]


def volatility_index(market: DeribitMarket, *, start_ms: int, end_ms: int, seconds: int) -> Body:
    """Return `public/get_volatility_index_data`: the newest candles of the range, ascending."""
    end_ms = min(end_ms, int(market.now().timestamp()) * 1000)
    step = seconds * 1000
    begins = np.arange(-(-start_ms // step) * step, end_ms + 1, step, dtype=np.int64)
    left = begins.size > MOST_CANDLES
    begins = begins[-MOST_CANDLES:]
    corners = [dvol(market, at) for at in _corners(begins, seconds, end_ms)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    columns = (begins.tolist(), corners[0].tolist(), high.tolist(), low.tolist(), corners[3])
    return {
        "data": [list(row) for row in zip(*columns[:4], columns[4].tolist(), strict=True)],
        "continuation": int(begins[0]) - step if left else None,
    }


def _corners(begins_ms: Ints, seconds: int, end_ms: int) -> list[Ints]:
    """Seconds at which candles are looked at: begin, two inside, last; none after the end."""
    at = begins_ms // 1000
    return [np.minimum(at + (seconds - 1) * k // 3, end_ms // 1000) for k in range(4)]


def candles(
    market: DeribitMarket, tape: DeribitTape, name: str, *, start_ms: int, end_ms: int, minutes: int
) -> Body:
    """Return `public/get_tradingview_chart_data`; options have candles where they traded."""
    end_ms = min(end_ms, int(market.now().timestamp()) * 1000)
    step = minutes * 60_000
    if name.count("-") == 1:
        return _future_candles(market, start_ms=start_ms, end_ms=end_ms, step=step)
    currency = "USDC" if name.startswith("BTC_USDC-") else "BTC"
    rows = tape.trades(Ask("option", currency, start_ms, end_ms, instrument=name))
    found: dict[int, list[Body]] = {}
    for row in rows:
        found.setdefault(row["timestamp"] // step * step, []).append(row)
    body = _empty()
    for tick, trades in sorted(found.items()):
        prices = [trade["price"] for trade in trades]
        values = (tick, prices[0], max(prices), min(prices), prices[-1])
        for column, value in zip(("ticks", "open", "high", "low", "close"), values, strict=True):
            body[column].append(value)
        body["volume"].append(round(sum(trade["amount"] for trade in trades), 4))
        body["cost"].append(round(sum(t["amount"] * t["price"] for t in trades), 8))
    body["status"] = "ok" if found else "no_data"
    return body


def _empty() -> dict[str, Any]:
    names = ("ticks", "open", "high", "low", "close", "volume", "cost")
    return {name: [] for name in names} | {"status": "no_data"}


def _future_candles(market: DeribitMarket, *, start_ms: int, end_ms: int, step: int) -> Body:
    ticks = np.arange(start_ms // step * step, end_ms + 1, step, dtype=np.int64)[-5_000:]
    if not ticks.size:
        return _empty()
    seconds = step // 1000
    corners = [
        np.round(paths.prices(market.world, "BTC", at) * 2.0) / 2.0
        for at in _corners(ticks, seconds, end_ms)
    ]
    usd = np.full(ticks.size, 250_000.0)
    return {
        "ticks": ticks.tolist(),
        "open": corners[0].tolist(),
        "high": np.max(corners, axis=0).tolist(),
        "low": np.min(corners, axis=0).tolist(),
        "close": corners[3].tolist(),
        "volume": np.round(usd / corners[0], 8).tolist(),
        "cost": usd.tolist(),
        "status": "ok",
    }

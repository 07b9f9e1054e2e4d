"""Day bars of what is traded in the simulated market.

Belongs here: prices of a session's path, a made-up volume. Does not belong here: bars of options
(`tape_rows`), the path (`market`).
"""

from __future__ import annotations

from datetime import date

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.market import day_number, day_path
from dealer_assets.providers.simulator.noise import counters, normal, stream_key
from dealer_assets.providers.underlying_bar_rows import Bars
from dealer_assets.underlyings import Underlying

_NOTIONAL = {"SPY": 45e9, "QQQ": 30e9, "IWM": 8e9, "BTC": 1.5e9, "NVDA": 30e9, "TSLA": 25e9}
_DEFAULT_NOTIONAL = 4e9
"""Traded notional of a usual session [USD], rounded from public statistics."""

_SPREAD = 0.25
"""Standard deviation of its log."""

_ACTIVITY = 8.0
"""A session that moved 1 % trades this many per cent more than one that did not."""


def underlying_bars(seed: int, asset: Underlying, *, first: date, last: date) -> Bars:
    """Return the bars of sessions.

    Parameters
    ----------
    seed : int
        Seed of the market.
    asset : Underlying
        What is traded.
    first, last : datetime.date
        Sessions, both included.
    """
    days = sessions.sessions_between(asset.calendar, first, last)
    paths = [day_path(seed, asset.symbol, day).spot for day in days]
    close = np.array([path[-1] for path in paths])
    usual = _NOTIONAL.get(asset.symbol, _DEFAULT_NOTIONAL)
    key = stream_key(seed, "traded", asset.symbol)
    draws = [float(normal(key, counters(day_number(day), 1))[0]) for day in days]
    moved = np.array([abs(path[-1] / path[0] - 1.0) for path in paths])
    notional = usual * np.exp(_SPREAD * np.array(draws)) * (1.0 + _ACTIVITY * moved)
    volume = np.round(notional / close) if len(days) else np.empty(0)
    return Bars(
        instrument=asset.symbol,
        days=days,
        open=np.array([path[0] for path in paths]),
        high=np.array([path.max() for path in paths]),
        low=np.array([path.min() for path in paths]),
        close=close,
        volume=volume,
        notional=volume * close,
        notional_rule="close",
    )

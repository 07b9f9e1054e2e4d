"""Day bars of what is traded for an underlying, as rows of `tables.UNDERLYING_BARS`.

Belongs here: the columns that providers and files of bars share, which rows cannot be. Does not
belong here: any vendor's field name, or asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError
from dealer_assets.providers.record_rows import Source, build
from dealer_assets.underlyings import Underlying, underlying

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_NOTIONAL_USD = 1e12
"""No instrument trades as much in a session: the file it comes from counts something else. Free
downloads of SPY have been seen with volumes 150 times too large for years on end."""


@dataclass(frozen=True)
class Bars:
    """Bars of one instrument, one a session; arrays of shape (n,).

    Parameters
    ----------
    instrument : str
        What was traded.
    days : list of datetime.date
        Sessions of the underlying.
    open, high, low, close : float64 array
        Prices [USD].
    volume : float64 array
        Shares or coins.
    notional : float64 array
        Traded notional [USD].
    notional_rule : str
        How it was found, of `tables.regimes.NOTIONAL_RULES`.
    trades : int64 array or None
        Prints, where told.
    """

    instrument: str
    days: list[date]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    notional: Floats
    notional_rule: str
    trades: NDArray[np.int64] | None = None

    @property
    def possible(self) -> Bools:
        """Tell which bars can be: prices in order, volume that can be traded, shape (n,)."""
        with np.errstate(invalid="ignore"):  # what is NaN makes every comparison false
            low, high = np.minimum(self.open, self.close), np.maximum(self.open, self.close)
            ordered = (self.low > 0.0) & (self.low <= low) & (high <= self.high)
            told = (self.volume >= 0.0) & (self.notional >= 0.0)
            told &= self.notional <= MOST_NOTIONAL_USD
        finite = np.isfinite(self.high) & np.isfinite(self.volume) & np.isfinite(self.notional)
        return np.asarray(ordered & told & finite)

    def take(self, rows: NDArray[np.int64]) -> Bars:
        """Return chosen bars, in the order given."""
        return Bars(
            instrument=self.instrument,
            days=[self.days[i] for i in rows.tolist()],
            open=self.open[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            notional=self.notional[rows],
            notional_rule=self.notional_rule,
            trades=None if self.trades is None else self.trades[rows],
        )


def traded(asset: Underlying) -> Underlying:
    """Return what is traded for an underlying: itself, or what stands for it.

    Raises
    ------
    NoDataError
        When it is an index for which nothing stands.
    """
    if asset.traded_as:
        return underlying(asset.traded_as)
    if asset.kind == "index":
        raise NoDataError(
            f"{asset.symbol} is an index and nothing is named that is traded in its place: give "
            "its registry entry traded_as in dealer_assets/underlyings.py"
        )
    return asset


def bar_rows(
    bars: Bars, asset: Underlying, source: Source, *, delay: timedelta = timedelta(0)
) -> pa.Table:
    """Lay bars out as rows; each is known from its session's close on.

    Parameters
    ----------
    bars : Bars
        All of them possible, on sessions of the underlying.
    asset : Underlying
        For which they stand.
    source : Source
        Where they come from.
    delay : datetime.timedelta
        How much later than the close they can be read.
    """
    n = len(bars.days)
    opened = [sessions.session_open(asset.calendar, day) for day in bars.days]
    known = [sessions.session_close(asset.calendar, day) + delay for day in bars.days]
    is_proxy = bool(asset.traded_as)
    columns = {
        "underlying": pa.repeat(pa.scalar(asset.symbol), n),
        "session_date": pa.array(bars.days, pa.date32()),
        "event_at": _instants(opened),
        "known_at": _instants(known),
        "instrument": pa.repeat(pa.scalar(bars.instrument), n),
        "is_proxy": pa.repeat(pa.scalar(is_proxy), n),
        "open": pa.array(bars.open),
        "high": pa.array(bars.high),
        "low": pa.array(bars.low),
        "close": pa.array(bars.close),
        "volume_units": pa.array(bars.volume),
        "notional_usd": pa.array(bars.notional),
        "notional_rule": pa.repeat(pa.scalar(bars.notional_rule), n),
        "trades": pa.nulls(n, pa.int64()) if bars.trades is None else pa.array(bars.trades),
    }
    return build(tables.UNDERLYING_BARS, columns, source)


def _instants(values: list[datetime]) -> pa.Array:
    return pa.array(values, tables.INSTANT)

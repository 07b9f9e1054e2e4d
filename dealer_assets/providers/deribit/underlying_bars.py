"""Day bars of the perpetual: what dealers in Deribit's options hedge with.

Belongs here: the chart's fields, from hours to UTC days. Does not belong here: requests' manners
(`client`), rows (`underlying_bar_rows`).

Hours are asked for and summed up, so that a day is a UTC day whatever the venue's own day is. The
venue tells traded USD (``cost``); volume is in coin.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np

from dealer_assets import tables
from dealer_assets.domain.sessions import session_close, session_open
from dealer_assets.errors import GarbledAnswerError
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.deribit.client import DeribitApi, Params
from dealer_assets.providers.deribit.columns import Floats, Object, identity, member, number
from dealer_assets.providers.deribit.families import families_of
from dealer_assets.providers.record_rows import Source
from dealer_assets.providers.underlying_bar_rows import Bars, bar_rows
from dealer_assets.underlyings import Underlying

_METHOD = "get_tradingview_chart_data"
_DAYS_AT_ONCE = 100
"""The venue gives at most 5,000 candles an answer: 208 days of hours."""

_HOURS_OF_DAY = 24
_COLUMNS = ("open", "high", "low", "close", "volume", "cost")


def fetch_underlying_bars(
    api: DeribitApi, asset: Underlying, *, first: date, last: date, now: datetime
) -> Records:
    """Fetch day bars; see `Provider.underlying_bars`.

    Raises
    ------
    ProviderError
        When a chart cannot be had, or is garbled.
    """
    name = f"{families_of(asset)[0].root.symbol}-PERPETUAL"
    ticks: list[int] = []
    columns: dict[str, list[float]] = {column: [] for column in _COLUMNS}
    begin = first
    while begin <= last:
        end = min(last, begin + timedelta(days=_DAYS_AT_ONCE - 1))
        _add(ticks, columns, _chart(api, asset, name, begin, end))
        begin = end + timedelta(days=1)
    bars, partial = _by_day(name, ticks, {k: np.array(v) for k, v in columns.items()}, asset, now)
    good = bars.possible
    # without the span: a bar's row is the same whatever others were asked for beside it
    words = f"deribit-underlying-bars-{asset.symbol}"
    findings = []
    if partial:
        text = f"{partial} days without all of their hours were left out"
        findings.append(Finding("hours_missing", text))
    if not good.all():
        text = f"{int((~good).sum())} bars cannot be: prices out of order"
        findings.append(Finding("impossible_bars", text))
    return Records(
        table=tables.UNDERLYING_BARS,
        rows=bar_rows(bars.take(np.flatnonzero(good)), asset, _source(words)),
        provider="deribit",
        source_name=words,
        source_sha256=identity(words),
        is_complete=not findings,
        findings=tuple(findings),
    )


def _source(words: str) -> Source:
    return Source("deribit", words, identity(words))


def _chart(api: DeribitApi, asset: Underlying, name: str, first: date, last: date) -> Object:
    begin, end = session_open(asset.calendar, first), session_close(asset.calendar, last)
    asked: Params = {
        "instrument_name": name,
        "start_timestamp": int(begin.timestamp()) * 1000,
        "end_timestamp": int(end.timestamp()) * 1000 - 1,
        "resolution": "60",
    }
    result = api.call(_METHOD, asked).result
    member(result, "ticks", _METHOD)
    return dict(result)


def _add(ticks: list[int], columns: dict[str, list[float]], chart: Object) -> None:
    """Append a chart's candles.

    Raises
    ------
    GarbledAnswerError
        When its columns are no lists of one length.
    """
    found = [chart["ticks"], *(member(chart, column, _METHOD) for column in _COLUMNS)]
    if not all(isinstance(values, list) and len(values) == len(found[0]) for values in found):
        raise GarbledAnswerError(
            f"Deribit answered {_METHOD} with columns of unequal length: expected one value a "
            "candle in each"
        )
    ticks += [tick if isinstance(tick, int) else -1 for tick in found[0]]
    for column, values in zip(_COLUMNS, found[1:], strict=True):
        columns[column] += [number(value) for value in values]


def _by_day(
    name: str, ticks: list[int], columns: dict[str, Floats], asset: Underlying, now: datetime
) -> tuple[Bars, int]:
    """Sum hours up to days; days that run, or lack hours, are left out, the latter counted."""
    hour = np.array(ticks, np.int64) // 3_600_000
    hour, place = np.unique(hour[hour >= 0], return_index=True)
    found, first, counts = np.unique(hour // _HOURS_OF_DAY, return_index=True, return_counts=True)
    days = [datetime.fromtimestamp(int(d) * 86_400, UTC).date() for d in found]
    over = np.array([session_close(asset.calendar, day) <= now for day in days], np.bool_)
    whole = over & (counts == _HOURS_OF_DAY)
    rows = [place[a : a + n] for a, n in zip(first, counts, strict=True)]
    rows = [row for row, keep in zip(rows, whole.tolist(), strict=True) if keep]

    def each(column: str, pick: object) -> Floats:
        return np.array([pick(columns[column][row]) for row in rows])  # type: ignore[operator]

    bars = Bars(
        instrument=name,
        days=[day for day, keep in zip(days, whole.tolist(), strict=True) if keep],
        open=each("open", lambda values: values[0]),
        high=each("high", np.max),
        low=each("low", np.min),
        close=each("close", lambda values: values[-1]),
        volume=each("volume", np.sum),
        notional=each("cost", np.sum),
        notional_rule="told",
    )
    return bars, int((over & ~whole).sum())

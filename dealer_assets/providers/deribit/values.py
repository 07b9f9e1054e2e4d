"""Values by instant: the index, delivery prices, and the volatility index (DVOL).

Belongs here: these methods' fields, units and clocks. Does not belong here: requests (`provider`).

Index points are averages, so a point counts as known one step later. A delivery price is the
average of the index over the half hour before 08:00 UTC of its date, known then. A DVOL candle is
worth its close at its end; candles that are still open are left out. DVOL is in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import session_close, session_open
from dealer_assets.errors import GarbledAnswerError
from dealer_assets.providers.deribit.columns import (
    PER_CENT,
    Floats,
    Instants,
    aware,
    constants,
    instant_column,
    instants,
    naive,
    number,
    table_of,
)
from dealer_assets.underlyings import Underlying

RANGES = (
    ("1h", timedelta(hours=1)),
    ("1d", timedelta(days=1)),
    ("2d", timedelta(days=2)),
    ("1m", timedelta(days=28)),
    ("1y", timedelta(days=365)),
)
"""Names of ranges of the index chart and how far back they surely reach; ``all`` reaches further,
and the further the coarser."""

DELIVERY = time(8, 0)
CANDLE_SECONDS = 60


@dataclass(frozen=True)
class Values:
    """Values of one kind; n rows.

    Parameters
    ----------
    kind : str
        Of `tables.INDEX_VALUES`.
    event_at, known_at : datetime64[us] array, shape (n,)
        UTC instants.
    values : float64 array, shape (n,)
        USD, or decimal vol.
    """

    kind: str
    event_at: Instants
    known_at: Instants
    values: Floats

    @classmethod
    def none(cls, kind: str) -> Values:
        """Return no value of a kind."""
        nothing = np.zeros(0, "datetime64[us]")
        return cls(kind, nothing, nothing, np.zeros(0))

    def take(self, where: NDArray[np.bool_]) -> Values:
        """Return chosen rows."""
        return Values(self.kind, self.event_at[where], self.known_at[where], self.values[where])


def range_for(begin: datetime, now: datetime) -> str:
    """Return the shortest range of the index chart that reaches back to an instant."""
    return next((name for name, reach in RANGES if now - begin <= reach), "all")


def parse_index_chart(result: object) -> Values:
    """Read ``get_index_chart_data``: pairs of milliseconds and price, of the whole range.

    Raises
    ------
    GarbledAnswerError
        When the result is no list of pairs.
    """
    table = _matrix(result, 2, "get_index_chart_data")
    event_at = instants(table[:, 0])
    step = np.median(np.diff(event_at)) if event_at.size > 1 else np.timedelta64(0, "us")
    return _sound(Values("spot", event_at, event_at + step.astype("timedelta64[us]"), table[:, 1]))


def step_of(values: Values) -> timedelta:
    """Return the typical distance of values; zero when there are not two."""
    if values.event_at.size < 2:
        return timedelta(0)
    step: timedelta = np.median(np.diff(values.event_at)).astype("timedelta64[us]").item()
    return step


def parse_candles(result: object, *, now: datetime) -> Values:
    """Read the candles of ``get_volatility_index_data``; those that end after `now` are left out.

    Raises
    ------
    GarbledAnswerError
        When the result is no list of candles.
    """
    table = _matrix(result, 5, "get_volatility_index_data")
    ends = instants(table[:, 0]) + np.timedelta64(CANDLE_SECONDS, "s")
    found = _sound(Values("vol_index", ends, ends, table[:, 4] / PER_CENT))
    return found.take(found.event_at <= naive(now))


def delivery_price(rows: Sequence[dict[str, object]], day: date) -> Values:
    """Return the delivery price of a date; no row when the list lacks it."""
    found = [number(row.get("delivery_price")) for row in rows if row.get("date") == f"{day}"]
    stamp = np.datetime64(datetime.combine(day, DELIVERY), "us")
    stamps = np.full(len(found[:1]), stamp)
    return _sound(Values("settlement", stamps, stamps, np.array(found[:1], np.float64)))


def _matrix(result: object, width: int, method: str) -> Floats:
    if not isinstance(result, list) or any(
        not isinstance(row, list) or len(row) < width for row in result
    ):
        raise GarbledAnswerError(
            f"Deribit answered {method} with {str(result)[:100]!r}: expected a list of lists of "
            f"{width} numbers"
        )
    cells = [[number(cell) for cell in row[:width]] for row in result]
    return np.array(cells, np.float64).reshape(-1, width)


def _sound(values: Values) -> Values:
    """Leave out rows without instant or without a positive number."""
    good = ~np.isnat(values.event_at) & np.isfinite(values.values) & (values.values > 0)
    return values.take(good)


def value_rows(
    found: Sequence[Values], underlying: Underlying, *, session_date: date, source_name: str
) -> pa.Table:
    """Return values of a session as rows of `tables.INDEX_VALUES`, each instant once.

    Parameters
    ----------
    found : sequence of Values
        Of any kinds; others than the session's are left out, the first of an instant stays.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    source_name : str
        Provenance.
    """
    first = naive(session_open(underlying.calendar, session_date))
    end = naive(session_close(underlying.calendar, session_date))
    kinds: list[str] = []
    kept: list[Values] = []
    for kind in dict.fromkeys(one.kind for one in found):
        merged = _merged([one for one in found if one.kind == kind], first=first, end=end)
        kept.append(merged)
        kinds += [kind] * merged.values.size
    columns = {
        **constants(
            len(kinds),
            underlying=underlying.symbol,
            session_date=session_date,
            provider="deribit",
            source_name=source_name,
        ),
        "kind": pa.array(kinds, pa.string()),
        "event_at": instant_column(_joined([one.event_at for one in kept])),
        "known_at": instant_column(_joined([one.known_at for one in kept])),
        "value": pa.array(np.concatenate([np.zeros(0), *(one.values for one in kept)])),
    }
    return table_of(tables.INDEX_VALUES, columns)


def _merged(parts: Sequence[Values], *, first: np.datetime64, end: np.datetime64) -> Values:
    whole = Values(
        parts[0].kind,
        _joined([one.event_at for one in parts]),
        _joined([one.known_at for one in parts]),
        np.concatenate([one.values for one in parts]),
    )
    _, once = np.unique(whole.event_at, return_index=True)
    inside = np.zeros(whole.values.size, np.bool_)
    inside[once] = True
    return whole.take(inside & (whole.event_at >= first) & (whole.event_at < end))


def _joined(parts: Sequence[Instants]) -> Instants:
    return np.concatenate([np.zeros(0, "datetime64[us]"), *parts])


def newest(values: Values) -> datetime | None:
    """Return the latest instant, or None when there is no value."""
    return aware(values.event_at.max()) if values.event_at.size else None

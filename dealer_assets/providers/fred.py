"""Rate series of FRED: the graph's CSV, the API's JSON.

Belongs here: these payloads. Does not belong here: fetching them (`rate_sources`), rows
(`rate_rows`).

The graph's CSV has ``observation_date`` (older downloads ``DATE``) and one column a series; ``.``
and blank are missing values, and the range asked for is ignored at times. The API's JSON has
``observations[{realtime_start, date, value}]`` with values as text and no name of the series.
Values are in per cent; series that are no rates are not taken (`RATE_SERIES`).

Vintages. Asked for a range of real time, the API gives a date several times, each value with the
day from which it was the current one. Asked as of one day, that day is the same for all and says
nothing: then the publication's usual hour counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np

from dealer_assets.domain.rates import RateCurve, curve_from_par
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import CsvTable, read_table, refuse
from dealer_assets.providers.json_fields import read_field, read_object
from dealer_assets.providers.rate_calendar import fred_known_at, vintage_known_at
from dealer_assets.providers.rate_rows import PER_CENT, Value, date_of, number_of, records_of
from dealer_assets.providers.record_rows import Source

RATE_SERIES = re.compile(
    r"DGS(?:1MO|3MO|6MO|1|2|3|5|7|10|20|30)|DTB(?:4WK|3|6|1YR)|SOFR|SOFR(?:30|90|180)DAYAVG"
    r"|EFFR|OBFR|DFF|FEDFUNDS|DFEDTAR[LU]?|IORB|DPRIME|DPCREDIT|PCREDIT8"
)
"""Series that are rates in per cent a year."""

TENORS = {
    "DGS1MO": 1 / 12,
    "DGS3MO": 3 / 12,
    "DGS6MO": 6 / 12,
    **{f"DGS{years}": float(years) for years in (1, 2, 3, 5, 7, 10, 20, 30)},
}
"""Copy of the Treasury's par yields: series and tenor in years."""

_DATES = ("observation_date", "DATE")
_MISSING = frozenset({"", "."})


def is_graph(start: bytes) -> bool:
    """Tell whether a payload starts like the graph's CSV with at least one rate."""
    names = _names(start)
    return names[0] in _DATES and any(RATE_SERIES.fullmatch(name) for name in names[1:])


def _names(payload: bytes) -> list[str]:
    header = payload.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return [cell.strip() for cell in header.decode("utf-8", "replace").split(",")]


def _columns(
    payload: bytes, series: Sequence[str], name: str
) -> tuple[list[date], CsvTable | None]:
    """Return dates and table; neither when only the header is there."""
    names = _names(payload)
    if names[0] not in _DATES or not series:
        found = ", ".join(names)
        refuse(name, f"expected observation_date and rates like DGS1MO, found {found!r:.200}")
    if not payload.partition(b"\n")[2].strip():
        return [], None
    table = read_table(payload, name, required=(names[0], *series))
    return [date_of(cell, name) for cell in table.columns[names[0]]], table


def parse_graph(payload: bytes, source: Source) -> Records:
    """Parse the graph's CSV.

    Parameters
    ----------
    payload : bytes
        CSV text.
    source : Source
        Where it is from.

    Returns
    -------
    Records
        `tables.REFERENCE_RATES`. Missing values have no row; columns that are no rates are left out
        (``not_a_rate``).

    Raises
    ------
    BadInputError
        When it is no such CSV, or no column is a rate.
    """
    names = _names(payload)
    series = [name for name in names[1:] if RATE_SERIES.fullmatch(name)]
    days, table = _columns(payload, series, source.name)
    values = [
        Value(
            row=int(table.row_numbers[i]) * len(series) + column,
            series=word,
            day=day,
            known_at=fred_known_at(day),
            per_cent=number_of(cell),
            raw_text=table.lines[i],
        )
        for column, word in enumerate(series)
        if table is not None
        for i, (day, cell) in enumerate(zip(days, table.columns[word], strict=True))
        if cell.strip() not in _MISSING
    ]
    others = [name for name in names[1:] if name not in series]
    text = f"columns {', '.join(others)} are no known rates in per cent: left out"
    return records_of(values, source, (Finding("not_a_rate", text),) if others else ())


def parse_curves(payload: bytes, *, name: str) -> list[RateCurve]:
    """Parse the graph's CSV of par yields into the Treasury's curves.

    Parameters
    ----------
    payload : bytes
        CSV text with columns of `TENORS`; others are ignored.
    name : str
        For messages.

    Returns
    -------
    list of RateCurve
        Ascending by date; a day without any yield is left out.

    Raises
    ------
    BadInputError
        When it is no such CSV, or holds yields that cannot be per cent.
    """
    series = [word for word in _names(payload) if word in TENORS]
    days, table = _columns(payload, series, name)
    if table is None:
        return []
    yields = np.array([[_yield(c, name) for c in table.columns[word]] for word in series]).T
    tenors = np.array([TENORS[word] for word in series])
    curves = [
        curve_from_par(day, tenors, row / PER_CENT)
        for day, row in zip(days, yields, strict=True)
        if np.isfinite(row).any()
    ]
    return sorted(curves, key=lambda curve: curve.date)


def _yield(cell: str, name: str) -> float:
    if cell.strip() in _MISSING:
        return float("nan")
    found = number_of(cell)
    if found is None:
        refuse(name, f"expected yields in per cent, found {cell!r:.40}")
    return found


def parse_observations(payload: bytes, source: Source, *, series: str) -> list[Records]:
    """Parse observations of the API.

    Parameters
    ----------
    payload : bytes
        JSON text.
    source : Source
        Where it is from.
    series : str
        Which series it is; the payload does not say.

    Returns
    -------
    list of Records
        `tables.REFERENCE_RATES`. One when the answer is as of one day. Of vintages, one with the
        first values, one with their first revisions, and so on: each with its own hash, its rows
        with their own `known_at`.

    Raises
    ------
    BadInputError
        When it is no such JSON, or the series is no rate.
    """
    if not RATE_SERIES.fullmatch(series):
        refuse(source.name, f"expected a rate in per cent, found the series {series!r}")
    top = read_object(payload, source.name)
    entries = read_field(top, "observations", list, name=source.name)
    if any(not isinstance(entry, dict) for entry in entries):
        refuse(source.name, "expected objects in 'observations', found others")
    is_view = top.get("realtime_start") == top.get("realtime_end")
    generations: list[list[Value]] = [[]]
    seen: dict[date, int] = {}
    for row, entry in sorted(enumerate(entries, 1), key=lambda item: _vintage(item[1])):
        value = read_field(entry, "value", str, name=source.name)
        if value.strip() in _MISSING:
            continue
        day = date_of(read_field(entry, "date", str, name=source.name), source.name)
        known_at = fred_known_at(day)
        if not is_view:
            vintage = date_of(_vintage(entry), source.name)
            known_at = max(known_at, vintage_known_at(vintage))
        number = seen[day] = seen.get(day, -1) + 1
        if number == len(generations):
            generations.append([])
        generations[number].append(
            Value(
                row=row,
                series=series,
                day=day,
                known_at=known_at,
                per_cent=number_of(value),
                raw_text=json.dumps(entry),
                is_revised=number > 0,
            )
        )
    return [
        records_of(values, _of_generation(source, number))
        for number, values in enumerate(generations)
    ]


def _vintage(entry: dict[str, Any]) -> str:
    return str(entry.get("realtime_start", ""))


def _of_generation(source: Source, number: int) -> Source:
    if number == 0:
        return source
    digest = sha256(f"{source.sha256} revision {number}".encode()).hexdigest()
    return Source(source.provider, source.name, digest)

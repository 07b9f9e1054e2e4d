"""Par-yield curves as the US Treasury publishes them: CSV in several spellings, and the XML feed.

Belongs here: these files' field names, date formats and units. Does not belong here: fetching them,
conversion to zero rates (`domain/rates.py`), or which curve serves an instant.

==============  ==========================================  ====================================
layout          columns                                     date
==============  ==========================================  ====================================
CSV             ``1 Mo``, ``1_MO``, ``1.5 Month``, ``1 Yr``  ``10/02/2026``, ``10/2/2026`` or ISO
XML feed        ``BC_1MONTH``, ``BC_1_5MONTH``, ``BC_1YEAR``  ``NEW_DATE``, ISO with a time
==============  ==========================================  ====================================

Yields are in per cent. A blank, ``N/A`` or ``.`` is a tenor not published that day; a day without
any is left out. A zero at ten years or more stands for a bond not issued then, so it is missing
too; a zero of a bill is a yield (2011, 2020, 2021). Other columns are ignored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.rates import RateCurve, curve_from_par
from dealer_assets.providers.csv_fields import refuse

Columns = Mapping[float, NDArray[np.float64]]
"""Tenor in years to yields in per cent, NaN where not published."""

_PER_CENT = 0.01
_LOWEST_PER_CENT, _HIGHEST_PER_CENT = -5.0, 30.0
_LONG_YEARS = 10.0
_LEAST_LONG_PER_CENT = 0.2
"""US yields of ten years and more never were this low: a file below it is in decimals."""

_CSV_TENOR = re.compile(r"(\d+(?:\.\d+)?)[ _]?(mo|month|yr|year)s?", re.IGNORECASE)
_XML_TENOR = re.compile(r"BC_(\d+(?:_\d+)?)(MONTH|YEAR)")
_MISSING = frozenset({"", "N/A", "."})
_US_DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")


def parse_par_yields(payload: bytes, *, name: str) -> list[RateCurve]:
    """Parse one file of daily par yields.

    Parameters
    ----------
    payload : bytes
        The file, unpacked.
    name : str
        File name, for messages.

    Returns
    -------
    list of RateCurve
        Ascending by date, one per date with at least one yield.

    Raises
    ------
    BadInputError
        When the payload is neither layout, lacks the date or every tenor column, has a cell that is
        no number or date, yields that cannot be per cent, or a date twice; the message names it.
    """
    if payload[:2] == b"\x1f\x8b":
        refuse(name, "expected text, found gzip", remedy="unpack it first")
    start = payload.removeprefix(b"\xef\xbb\xbf").lstrip()[:5]
    if start == b"<?xml" or start == b"<feed":
        days, columns = _xml_columns(payload, name)
    else:
        days, columns = _csv_columns(payload, name)
    tenors = np.array(list(columns))
    per_cent = np.stack(list(columns.values()), axis=1)
    per_cent[(per_cent == 0.0) & (tenors >= _LONG_YEARS)] = np.nan
    _judge(days, tenors, per_cent, name)
    curves = [
        curve_from_par(day, tenors, row * _PER_CENT)
        for day, row in zip(days, per_cent, strict=True)
        if np.isfinite(row).any()
    ]
    if not curves:
        refuse(name, "expected at least one day with yields, found none")
    return sorted(curves, key=lambda curve: curve.date)


def _csv_columns(payload: bytes, name: str) -> tuple[list[date], Columns]:
    headers, rows = _csv_rows(payload, name)
    day = next((i for i, header in enumerate(headers) if header.lower() == "date"), None)
    matches = [(i, match) for i, h in enumerate(headers) if (match := _CSV_TENOR.fullmatch(h))]
    if day is None or not matches:
        refuse(
            name,
            "expected columns 'Date' and tenors like '1 Mo' or '10 Yr', "
            f"found {', '.join(headers)[:200]}",
            remedy="export the daily par yield curve rates",
        )
    columns: dict[float, NDArray[np.float64]] = {}
    for i, match in matches:
        if _tenor(match) in columns:
            refuse(name, f"expected every tenor once, found {headers[i]!r} again")
        columns[_tenor(match)] = np.array([_number(row[i], headers[i], name) for row in rows])
    return _dates([row[day] for row in rows], name), columns


def _csv_rows(payload: bytes, name: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of stripped cells, every row as long as the header."""
    try:
        lines = csv.reader(payload.decode("utf-8-sig").splitlines())
        table = [[cell.strip() for cell in row] for row in lines if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        refuse(name, f"expected CSV text, found something else ({error})")
    if len(table) < 2:
        refuse(name, "expected a header and rows of yields, found none")
    headers, rows = table[0], table[1:]
    uneven = next((i for i, row in enumerate(rows) if len(row) != len(headers)), None)
    if uneven is not None:
        found = f"{len(rows[uneven])} in row {uneven + 1} (a cut-off file?)"
        refuse(name, f"expected {len(headers)} cells in every row, found {found}")
    return headers, rows


def _tenor(match: re.Match[str]) -> float:
    """Tenor in years of a matched column name."""
    number = float(match[1].replace("_", "."))
    return number / 12.0 if match[2].lower().startswith("mo") else number


def _dates(cells: Sequence[str], name: str) -> list[date]:
    """Dates of a column; the first cell decides between month/day/year and ISO."""
    is_us = bool(_US_DATE.fullmatch(cells[0]))
    try:
        if is_us:
            return [_us_date(cell) for cell in cells]
        return [date.fromisoformat(cell[:10]) for cell in cells]
    except ValueError as error:
        style = "month/day/year" if is_us else "YYYY-MM-DD"
        refuse(name, f"expected every date as {style} ({error})")


def _us_date(cell: str) -> date:
    month, day, year = cell.split("/")
    return date(int(year), int(month), int(day))


def _xml_columns(payload: bytes, name: str) -> tuple[list[date], Columns]:
    if b"<!DOCTYPE" in payload or b"<!ENTITY" in payload:
        refuse(name, "expected plain XML, found a document type (entities are not expanded)")
    try:
        root = ET.fromstring(payload)
    except ET.ParseError as error:
        refuse(name, f"expected XML, found damage ({error})")
    entries = [
        {_bare(field.tag): (field.text or "").strip() for field in properties}
        for properties in root.iter()
        if _bare(properties.tag) == "properties"
    ]
    if not entries or any("NEW_DATE" not in entry for entry in entries):
        refuse(name, "expected entries with NEW_DATE and BC_... fields, found none or others")
    fields = {f: _tenor(m) for e in entries for f in e if (m := _XML_TENOR.fullmatch(f))}
    if not fields:
        refuse(name, f"expected fields like BC_10YEAR, found {', '.join(entries[0])[:200]}")
    columns = {
        tenor: np.array([_number(entry.get(field, ""), field, name) for entry in entries])
        for field, tenor in fields.items()
    }
    return _xml_dates(entries, name), columns


def _xml_dates(entries: Sequence[Mapping[str, str]], name: str) -> list[date]:
    try:
        return [datetime.fromisoformat(entry["NEW_DATE"]).date() for entry in entries]
    except ValueError as error:
        refuse(name, f"expected NEW_DATE as YYYY-MM-DDTHH:MM:SS ({error})")


def _number(cell: str, field: str, name: str) -> float:
    if cell in _MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        refuse(name, f"expected a number in {field}, found {cell!r:.80}")


def _bare(tag: str) -> str:
    """Tag without its namespace."""
    return tag.rpartition("}")[2]


def _judge(
    days: Sequence[date], tenors: NDArray[np.float64], per_cent: NDArray[np.float64], name: str
) -> None:
    """Refuse a date that comes twice and yields that cannot be per cent."""
    if len(set(days)) != len(days):
        twice = next(day for i, day in enumerate(days) if day in days[:i])
        refuse(name, f"expected every date once, found {twice} twice")
    beyond = (per_cent < _LOWEST_PER_CENT) | (per_cent > _HIGHEST_PER_CENT)
    if beyond.any():
        row = int(np.flatnonzero(beyond.any(axis=1))[0])
        found = per_cent[row][beyond[row]][0]
        refuse(
            name,
            f"expected yields from {_LOWEST_PER_CENT:g} to {_HIGHEST_PER_CENT:g} per cent, "
            f"found {found:g} on {days[row]}",
        )
    long = per_cent[:, tenors >= _LONG_YEARS]
    known = long[np.isfinite(long)]
    if known.size and known.max() < _LEAST_LONG_PER_CENT:
        refuse(
            name,
            f"expected yields in per cent, found at most {known.max():g} at ten years and more",
            remedy="they seem to be decimals",
        )

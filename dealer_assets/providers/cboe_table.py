"""The table inside a Cboe CSV: where it starts, its columns, its cells as numbers and dates.

Belongs here: text to arrays. Does not belong here: what a column means (`cboe_csv`, `cboe_long`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.errors import BadInputError

HEADER_WITHIN = 12
"""The column names stand within this many lines; recorded files have them by the fourth."""

_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_NUMERIC_DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    names : tuple of str
        Column names in lower case, repeated as printed.
    columns : tuple of tuple of str
        Cells by column; blank where a line was short.
    lines : tuple of str
        The lines as received, one per row; blank lines are left out.
    above : tuple of str
        The lines above the column names.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    above: tuple[str, ...]


def is_heading(line: str) -> bool:
    """Tell whether a line names the columns of a chain."""
    plain = line.lower()
    return "expiration date" in plain and "strike" in plain and "open interest" in plain


def read_table(payload: bytes, source_name: str) -> Table:
    """Find and split the table.

    Parameters
    ----------
    payload : bytes
        The file, decompressed.
    source_name : str
        Named in messages.

    Returns
    -------
    Table

    Raises
    ------
    BadInputError
        When the payload is empty, HTML or binary, has no column names or no row, or a stray quote
        joins lines.
    """
    lines = _text(payload, source_name).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = next((i for i, line in enumerate(lines[:HEADER_WITHIN]) if is_heading(line)), None)
    if start is None:
        raise BadInputError(
            f"{source_name}: expected a line of column names (Expiration Date, ..., Open Interest, "
            f"Strike, ...) within the first {HEADER_WITHIN} lines, found none: is it a Cboe chain?"
        )
    body = [line for line in lines[start + 1 :] if line.strip(' ,"\t')]
    if not body:
        raise BadInputError(
            f"{source_name}: expected option rows below the column names, found none"
        )
    try:
        names, *rows = csv.reader([lines[start], *body])
    except csv.Error as error:
        raise BadInputError(f"{source_name}: not readable as CSV ({error})") from error
    if len(rows) != len(body):
        raise BadInputError(
            f"{source_name}: expected one row a line, found {len(body)} lines but {len(rows)} "
            "rows: a stray quote joins lines"
        )
    columns = tuple(zip_longest(*rows, fillvalue=""))
    lacking = max(0, len(names) - len(columns))  # when every line is cut short
    return Table(
        names=tuple(name.strip().lower() for name in names),
        columns=columns + (("",) * len(rows),) * lacking,
        lines=tuple(body),
        above=tuple(lines[:start]),
    )


def _text(payload: bytes, source_name: str) -> str:
    if not payload.strip():
        raise BadInputError(f"{source_name}: expected a CSV file, found nothing in it")
    if payload.lstrip()[:1] == b"<":
        raise BadInputError(
            f"{source_name}: expected CSV, found a web page: the vendor refused the download"
        )
    # A NUL never occurs in text of one byte a character; other control characters hardly.
    if b"\0" in payload or len(payload.translate(None, _PRINTABLE)) > len(payload) // 100:
        raise BadInputError(f"{source_name}: expected CSV text, found binary data")
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        return payload.decode("latin-1")


_PRINTABLE = bytes(code for code in range(256) if code >= 32 or code in b"\t\r\n")


def read_numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return cells as numbers.

    Parameters
    ----------
    cells : sequence of str, length n
        As received; spaces and grouping commas are tolerated.

    Returns
    -------
    float64 array, shape (n,)
        NaN where the cell is blank, infinity where it is no number.
    """
    text = pa.array(cells, pa.string())
    try:
        return np.asarray(pc.cast(text, pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        return np.array([_number(cell) for cell in cells], dtype=np.float64)


def _number(cell: str) -> float:
    plain = cell.strip()
    if plain.lower() in ("", "nan"):
        return np.nan
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        return float(plain)
    except ValueError:
        return np.inf


def read_dates(
    cells: Sequence[str], expected: Sequence[str]
) -> tuple[list[date | None], tuple[tuple[str, str], ...]]:
    """Return expiry cells as dates.

    Parameters
    ----------
    cells : sequence of str, length n
        ``Tue Feb 07 2023`` as Cboe prints it, or a spreadsheet's ``13-09-22``.
    expected : sequence of str, length n
        ``YYMMDD`` that the row's symbol says, which settles the order of a spreadsheet's day, month
        and year; blank where unknown.

    Returns
    -------
    list of datetime.date or None
        None where the cell is blank or unreadable.
    tuple of (str, str)
        Findings: dates rewritten, dates unreadable.
    """
    said = dict(zip(cells, expected, strict=True))
    known = {cell: _cboe_date(cell) for cell in said}
    unknown = {cell: said[cell] for cell, day in known.items() if day is None and cell.strip()}
    notes: list[tuple[str, str]] = []
    rewritten, order = _numeric_dates(unknown)
    known.update(rewritten)
    example = next(iter(unknown), "")
    if rewritten:
        text = f"expiry dates were rewritten by a spreadsheet ({example!r}): read as {order}"
        notes.append(("expiry_dates_rewritten", text))
    elif unknown:
        text = f"expiry date {example!r} cannot be read: rows dated by their symbols"
        notes.append(("expiry_dates_unreadable", text))
    return [known[cell] for cell in cells], tuple(notes)


def _cboe_date(cell: str) -> date | None:
    for form in ("%a %b %d %Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(cell.strip(), form).date()  # noqa: DTZ007 (a date, no instant)
        except ValueError:
            continue
    return None


def _numeric_dates(cells: dict[str, str]) -> tuple[dict[str, date | None], str]:
    """Read all cells in the one order that agrees best with the symbols; none when none does."""
    best: dict[str, date | None] = {}
    best_hits, best_order = 0, ""
    for order in ("day-month-year", "month-day-year", "year-month-day"):
        days = {cell: _numeric_date(cell, order) for cell in cells}
        hits = sum(day is not None and f"{day:%y%m%d}" == cells[c] for c, day in days.items())
        if hits > best_hits:
            best, best_hits, best_order = days, hits, order
    return best, best_order


def _numeric_date(cell: str, order: str) -> date | None:
    match = _NUMERIC_DATE.fullmatch(cell.strip())
    if match is None:
        return None
    parts = dict(zip(order.split("-"), map(int, match.groups()), strict=True))
    year = parts["year"] + (2000 if parts["year"] < 100 else 0)
    try:
        return date(year, parts["month"], parts["day"])
    except ValueError:
        return None

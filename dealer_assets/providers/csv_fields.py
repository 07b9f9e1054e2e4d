"""Reading CSV payloads into columns: shared by the formats that arrive as CSV.

Belongs here: tables of text cells, numbers, local clocks. Does not belong here: any vendor's field
names (one module per format), or judging rows (`assembly`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.errors import BadInputError

RAW_TEXT_LENGTH = 500
"""Quarantined rows are kept up to this many characters."""

LARGEST_NUMBER = 1e15
"""No price, size or count is larger; what is, is damage, and would overflow in a product."""

_LOCAL_TIME = re.compile(r"[12]\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?")


def refuse(
    name: str, complaint: str, *, remedy: str = "fetch or export the file again"
) -> NoReturn:
    """Raise `BadInputError` about a named payload."""
    raise BadInputError(f"{name}: {complaint}; {remedy}")


@dataclass(frozen=True)
class CsvTable:
    """A CSV file as columns of text.

    Parameters
    ----------
    name : str
        File name, for messages.
    columns : mapping of str to sequence of str
        Stripped header name to cells; every column has one cell per row.
    row_numbers : int64 array, shape (n,)
        1-based line number of each row.
    lines : sequence of str
        The rows as received, shortened.
    """

    name: str
    columns: Mapping[str, Sequence[str]]
    row_numbers: NDArray[np.int64]
    lines: Sequence[str]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as float64, shape (n,): NaN where blank.

        Raises
        ------
        BadInputError
            When a cell is no number, naming column and line.
        """
        cells = self.columns[column]
        try:
            values = np.array([float(c) if c else np.nan for c in cells], dtype=np.float64)
        except ValueError:
            values = np.array([_number_or_infinity(c) for c in cells], dtype=np.float64)
        bad = np.abs(values) > LARGEST_NUMBER
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            where = f"{column!r} on line {self.row_numbers[row]}"
            refuse(self.name, f"expected a number in {where}, found {cells[row]!r:.80}")
        return values

    def only_value(self, column: str) -> str:
        """Return the value that all rows share.

        Raises
        ------
        BadInputError
            When there is more than one.
        """
        found = sorted(set(self.columns[column]))
        if len(found) > 1:
            complaint = f"expected one {column!r} for all rows, found {', '.join(found[:5])}"
            refuse(self.name, complaint, remedy="split the file by that column")
        return found[0]

    def take(self, rows: NDArray[np.int64]) -> CsvTable:
        """Return the table of some rows, given by 0-based positions, in that order."""
        picked = rows.tolist()
        columns = {n: [cells[i] for i in picked] for n, cells in self.columns.items()}
        lines = [self.lines[i] for i in picked]
        return CsvTable(self.name, columns, self.row_numbers[rows], lines)


def _number_or_infinity(cell: str) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return np.inf  # refused by the caller, who knows the line


def read_table(payload: bytes, name: str, *, required: Iterable[str]) -> CsvTable:
    """Read a CSV file with one header line.

    Parameters
    ----------
    payload : bytes
        UTF-8 text, with or without byte-order mark.
    name : str
        File name, for messages.
    required : iterable of str
        Columns that must be there; others are kept as well.

    Returns
    -------
    CsvTable
        At least one row. Rows may be shorter than the header if all are alike.

    Raises
    ------
    BadInputError
        When the file is empty, HTML, no text, lacks a column or has rows of unequal length (the
        mark of a cut-off file).
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(name, f"expected CSV text, found bytes that are no UTF-8 ({error.reason})")
    if text.lstrip()[:1] == "<":
        refuse(name, "expected CSV text, found HTML or XML (an error page?)")
    lines = text.split("\n")
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        refuse(name, f"expected CSV text, found a broken line ({error})")
    if len(rows) != len(lines):
        refuse(name, "expected one row per line, found a quotation mark that is never closed")
    if not rows or not any(rows):
        refuse(name, "expected CSV text with a header line, found an empty file")
    header = [cell.strip() for cell in rows[0]]
    filled = [i for i, row in enumerate(rows) if row and i > 0]
    body = [rows[i] for i in filled]
    _require_shape(header, body, name=name, required=required, lines=filled)
    cells = zip(*body, strict=True)
    return CsvTable(
        name=name,
        columns=dict(zip(header, cells, strict=False)),  # rows may be shorter than the header
        row_numbers=np.array(filled, dtype=np.int64) + 1,
        lines=[lines[i].rstrip("\r")[:RAW_TEXT_LENGTH] for i in filled],
    )


def _require_shape(
    header: list[str],
    body: list[list[str]],
    *,
    name: str,
    required: Iterable[str],
    lines: list[int],
) -> None:
    for column in required:
        if column not in header:
            refuse(name, f"expected the column {column!r}, found {', '.join(header[:30])!r:.400}")
    if not body:
        refuse(name, "expected option rows below the header, found none")
    width = len(body[0])
    needed = max(header.index(column) for column in required) + 1
    if not needed <= width <= len(header):
        refuse(name, f"expected {needed} to {len(header)} values a row, found {width}")
    for line, row in zip(lines, body, strict=True):
        if len(row) != width:
            refuse(name, f"expected {width} values on line {line + 1}, found {len(row)}")


def local_instants(texts: Sequence[object]) -> NDArray[np.datetime64]:
    """Convert zone-less texts to datetime64[us], NaT where a text is no ``YYYY-MM-DD HH:MM:SS``.

    The pattern is checked first because numpy would read the words "now" and "today" as the wall
    clock.
    """
    clean = [t if isinstance(t, str) and _LOCAL_TIME.fullmatch(t) else "NaT" for t in texts]
    try:
        return np.array(clean, dtype="datetime64[us]")
    except ValueError:  # a 30 February among them: judge one by one
        return np.array([_local_instant(t) for t in clean], dtype="datetime64[us]")


def _local_instant(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError:
        return np.datetime64("NaT", "us")


def new_york_to_utc(local: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Convert New York wall times to UTC instants.

    Parameters
    ----------
    local : datetime64[us] array, shape (n,)
        Wall times; NaT allowed. The hour that occurs twice in autumn is taken as the first.

    Returns
    -------
    datetime64[us] array, shape (n,)
    """
    hours, position = np.unique(local.astype("datetime64[h]"), return_inverse=True)
    offsets = np.array([_offset(h) for h in hours.tolist()], dtype="timedelta64[us]")
    instants: NDArray[np.datetime64] = local - offsets[position]
    return instants


def _offset(hour: datetime | None) -> timedelta:
    found = None if hour is None else hour.replace(tzinfo=NEW_YORK).utcoffset()
    return found or timedelta(0)  # NaT stays NaT whatever is taken off


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with NaN for all that are not above zero."""
    return np.where(values > 0.0, values, np.nan)


def typical(values: NDArray[np.float64]) -> float | None:
    """Return the median of what is known, or None when nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None

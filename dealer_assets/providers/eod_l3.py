"""The vendor "L3" end-of-day CSV, and the reading of plain CSV files with one header line.

Belongs here: this vendor's column names and clock, and the strict reading of CSV cells, numbers and
instants that the other file formats use too. Does not belong here: Cboe's side-by-side CSV
(`cboe_csv`), deciding the session or judging rows (`assembly`).

One clock: ``quotedate`` is the New York time of the quotes (4:00 PM), so it is `quoted_at`; nothing
says when the file was made. ``optionroot`` holds the whole option symbol, ``underlying`` may hold
an option root (SPXW). The header names three columns that no row has.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import underlying, underlying_of_root

RAW_TEXT_LENGTH = 500
"""Quarantined rows are kept up to this many characters."""

LARGEST_NUMBER = 1e15
"""No price, size or count is larger; what is, is damage, and would overflow in a product."""

_FLOATS = {
    "bid": "bid",
    "ask": "ask",
    "last": "last_price",
    "volume": "volume_contracts",
    "openinterest": "open_interest_contracts",
    "impliedvol": "vendor_implied_vol",
    "delta": "vendor_delta",
    "gamma": "vendor_gamma",
}
_REQUIRED = ("underlying", "underlying_last", "optionroot", "expiration", "quotedate", *_FLOATS)
_LOCAL_TIME = re.compile(r"[12]\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?")
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/([12]\d{3})")
_US_STAMP = re.compile(r"(\d{1,2}/\d{1,2}/[12]\d{3}) (\d{1,2}:\d\d(?::\d\d)?) ([AP]M)")


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


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like this CSV.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    first = head.partition(b"\n")[0]
    return all(word in first for word in (b"underlying_last", b"optionroot", b"quotedate"))


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one end-of-day file.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        Exactly one. A last price of 0 means that there was no trade and becomes NaN.

    Raises
    ------
    BadInputError
        Naming file and column, when the payload is no such CSV, holds more than one quote date,
        or a number is none.
    """
    table = read_table(payload, name, required=_REQUIRED)
    floats = {ours: table.numbers(theirs) for theirs, ours in _FLOATS.items()}
    floats["last_price"] = positive(floats["last_price"])
    floats["vendor_implied_vol"] = positive(floats["vendor_implied_vol"])
    return [
        RawChain(
            provider="eod_l3",
            source_name=name,
            source_sha256=sha256,
            symbols=table.columns["optionroot"],
            floats=floats,
            row_numbers=table.row_numbers,
            raw_texts=table.lines,
            claimed_underlying=_claimed(table),
            quoted_at=_quoted_at(table.only_value("quotedate"), name),
            named_date=named_date(name),
            spot=typical(positive(table.numbers("underlying_last"))),
            declared_expiries=_dates(table),
        )
    ]


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with NaN for all that are not above zero."""
    return np.where(values > 0.0, values, np.nan)


def typical(values: NDArray[np.float64]) -> float | None:
    """Return the median of what is known, or None when nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _claimed(table: CsvTable) -> str | None:
    found = sorted({_symbol(text) for text in set(table.columns["underlying"])})
    if len(found) > 1:
        complaint = f"expected one 'underlying' for all rows, found {', '.join(found[:5])}"
        refuse(table.name, complaint, remedy="split the file by that column")
    return found[0] or None


def _symbol(text: str) -> str:
    symbol = text.strip().upper()
    try:
        return underlying(symbol).symbol
    except UnknownUnderlyingError:
        pass
    try:
        return underlying_of_root(symbol).symbol
    except UnknownUnderlyingError:
        return symbol  # kept, so that the contradiction with the symbols is seen


def _quoted_at(text: str, name: str) -> datetime:
    match = _US_STAMP.fullmatch(text.strip())
    layout = "%m/%d/%Y %I:%M:%S %p" if text.count(":") == 2 else "%m/%d/%Y %I:%M %p"
    try:
        if match is None:
            raise ValueError(text)
        local = datetime.strptime(match.group(), layout).replace(tzinfo=NEW_YORK)
    except ValueError:
        refuse(name, f"expected M/D/YYYY hh:mm AM/PM (New York) in 'quotedate', found {text!r}")
    return local.astimezone(UTC)


def _dates(table: CsvTable) -> list[date | None]:
    cells = table.columns["expiration"]
    known = {text: _us_date(text, table.name) for text in set(cells)}
    return [known[text] for text in cells]


def _us_date(text: str, name: str) -> date | None:
    if not text.strip():
        return None
    match = _US_DATE.fullmatch(text.strip())
    try:
        month, day, year = (int(part) for part in match.groups()) if match else (0, 0, 0)
        return date(year, month, day)
    except ValueError:
        refuse(name, f"expected MM/DD/YYYY in 'expiration', found {text!r}")

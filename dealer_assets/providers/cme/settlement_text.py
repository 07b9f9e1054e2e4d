"""CME's settlement text (``STLEQT`` and its sisters): fixed columns under product headings.

Belongs here: this layout. Does not belong here: the other layouts, judging rows (`rows`).

::

    FINAL PRICES AS OF 08/21/26 06:00 PM (CDT)
    MTH/             ---- DAILY ---                          PT          ---- PRIOR DAY ----
    STRIKE     OPEN      HIGH      LOW       LAST      SETT    CHGE     EST.VOL   SETT   VOL   INT
    ES SEP26 E-MINI S&P 500 OPTIONS CALL
    6400        ----     152.00B   140.25A     ----    148.50   +3.25       120 145.25   310  4210

Values stand under the right edge of their label, the mark of a bid or ask one place behind it; both
widths of the layout (110 and 138 characters) are read by the labels. Cells may be blank, so nothing
is split at spaces. ``INT`` is the open interest of the session before; ``EST.VOL`` is today's; both
are blank where there is none. A
heading gives the option's month and right; headings of futures and totals end a section.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.cme.products import MONTHS, Product, expiry_of, product_of
from dealer_assets.providers.cme.rows import (
    CHICAGO,
    Lines,
    place,
    preliminary,
    read_cells,
    to_records,
    trade_date,
)
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.record_rows import Source

PROVIDER = "cme_text"

_AS_OF = re.compile(
    r"PRICES AS OF\s+(\d\d)/(\d\d)/((?:20)?\d\d)\s+(\d\d):(\d\d)\s*([AP]M)(?:\s*\(?C[DS]?T\)?)?"
)
_LABELS = re.compile(
    r"OPEN|HIGH|LOW|LAST|(?:PRIOR[_ ])?SETT|(?:PT[_ ])?CHGE|(?:ACTUAL |EST\.? ?|PRIOR[_ ])?VOL"
    r"|(?:PRIOR[_ ])?INT"
)
_ORDER = ("OPEN", "HIGH", "LOW", "LAST", "SETT", "CHGE", "VOL", "SETT", "VOL", "INT")
_SETT, _VOL, _INT = 4, 6, 9
_HEADING = r"^(?P<code>\S{1,6}) +(?P<month>[A-Z]{3}\d{2}) .*\b(?P<right>CALL|PUT)S? *$"
_CELL = r"-{2,}|[+-]?[\d.,']+[AB]?|CAB|UNCH|NEW"
_ROW = r"^ {0,4}-?\d+(\.\d+)?( {2}|$)"  # a heading has one blank behind its code, like 06
_CLEAN_ROW = rf"^ {{0,4}}-?\d+(\.\d+)?( +({_CELL}))* *$"
_NOON = 12
_HEADER_LENGTH = 4000


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like a settlement text.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    return b"PRICES AS OF" in head and b"STRIKE" in head


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse one settlement text.

    Parameters
    ----------
    payload : bytes
        ASCII text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One: `tables.FUTURES_OPTION_SETTLEMENTS`. Options on other futures are left out, with a
        finding.

    Raises
    ------
    BadInputError
        When date, labels or options of the registry are missing, or rows cannot be believed.
    """
    text = payload.decode("ascii", "replace")
    made_at = _made_at(text, name)
    day, findings = trade_date(_session_of(made_at), name)
    findings += preliminary(text[:_HEADER_LENGTH].partition("PRICES AS OF")[0])
    lines = pa.array(text.replace("\r", "").replace("\f", "").split("\n"), pa.string())
    right_edges = _edges(text, name)
    sections, products = _sections(lines)
    rows = np.flatnonzero(_matches(lines, _ROW) & (sections >= 0))
    parsed, strangers = _lines(lines, rows, sections[rows], products, right_edges)
    if strangers:
        found = ", ".join(strangers[:12])
        words = f"options of {len(strangers)} products hedge nothing of the registry: left out"
        findings.append(Finding("other_products_excluded", f"{words} ({found})"))
    days = np.full(len(parsed.products), np.datetime64(day))
    source = Source(PROVIDER, name, sha256)
    return [to_records(parsed, place(days, made_at), source, findings=findings)]


def _made_at(text: str, name: str) -> datetime:
    match = _AS_OF.search(text)
    try:
        if match is None:
            raise ValueError("no such line")
        month, day, year, hour, minute = (int(match[i]) for i in range(1, 6))
        hour = hour % _NOON + (_NOON if match[6] == "PM" else 0)
        local = datetime(year % 100 + 2000, month, day, hour, minute, tzinfo=CHICAGO)
    except ValueError as error:
        refuse(name, f"expected 'PRICES AS OF MM/DD/YYYY hh:mm PM', found none that is ({error})")
    return local.astimezone(UTC)


def _session_of(made_at: datetime) -> date:
    """Trade date of a file: what is made after midnight settles the day before."""
    local = made_at.astimezone(CHICAGO)
    return local.date() if local.hour >= _NOON else local.date() - timedelta(days=1)


def _edges(text: str, name: str) -> list[int]:
    """Right edge of each of the ten columns."""
    found = [list(_LABELS.finditer(line)) for line in text[:_HEADER_LENGTH].splitlines()]
    for labels in found:
        if tuple(label.group()[-4:].strip("._ ") for label in labels) == _ORDER:
            break
    else:
        refuse(name, f"expected a line with the labels {' '.join(_ORDER)} after STRIKE, found none")
    return [label.end() for label in labels]


def _matches(lines: pa.Array, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(lines, pattern).to_numpy(
        zero_copy_only=False
    )
    return found


def _sections(lines: pa.Array) -> tuple[NDArray[np.int64], list[tuple[str, str, str]]]:
    """Section of each line, -1 outside of options; and (code, month, right) of each section."""
    parts = pc.extract_regex(lines, pattern=_HEADING)
    is_heading = pc.is_valid(parts).to_numpy(zero_copy_only=False)
    is_row = _matches(lines, _ROW) | _matches(lines, r"^ *$|^TOTAL")
    starts = np.flatnonzero(~is_row)
    headings = parts.filter(pa.array(is_heading)).to_pylist()
    number = np.full(starts.size, -1)
    number[is_heading[starts]] = np.arange(len(headings))
    last = np.searchsorted(starts, np.arange(len(lines)), side="right") - 1
    sections = np.where(last >= 0, number[last], -1)
    return sections, [(h["code"], h["month"], h["right"]) for h in headings]


def _lines(
    lines: pa.Array,
    rows: NDArray[np.int64],
    sections: NDArray[np.int64],
    headings: list[tuple[str, str, str]],
    edges: list[int],
) -> tuple[Lines, list[str]]:
    products = [product_of(code) for code, _, _ in headings]
    months = [_month(month) for _, month, _ in headings]
    strangers = sorted({h[0] for h, product in zip(headings, products, strict=True) if not product})
    ours = np.array(
        [p is not None and bool(m) for p, m in zip(products, months, strict=True)] + [False]
    )
    kept = np.flatnonzero(ours[sections])
    rows, sections = rows[kept], sections[kept]
    texts = lines.take(pa.array(rows)).to_pylist()
    grid = _grid(texts, edges[_INT] + 2)
    picked = [(products[s], months[s], headings[s][2]) for s in sections.tolist()]
    expiries = [_expiry(products[s], months[s]) for s in range(len(headings))]
    settlement = read_cells(_column(grid, edges[_SETT - 1], edges[_SETT]))
    return Lines(
        products=[product for product, _, _ in picked if product],
        months=[month for _, month, _ in picked],
        expiries=np.array([expiries[s] for s in sections.tolist()], "datetime64[D]"),
        is_call=np.array([right == "CALL" for _, _, right in picked], dtype=np.bool_),
        strikes=read_cells([text.split(maxsplit=1)[0] for text in texts]).values,
        settlement=settlement,
        volume=_counts(_column(grid, edges[_VOL - 1], edges[_VOL])),
        open_interest=_counts(_column(grid, edges[_INT - 1], edges[_INT])),
        change=np.full(rows.size, np.nan),
        open_interest_of="previous_session",
        row_numbers=rows + 1,
        raw_texts=texts,
        reasons=_reasons(pa.array(texts, pa.string()), grid, edges),
    ), strangers


def _month(text: str) -> str:
    number = MONTHS.get(text[:3])
    return f"20{text[3:]}-{number:02d}" if number else ""


def _expiry(product: Product | None, month: str) -> date | None:
    if product is None or not month:
        return None
    return expiry_of(product, int(month[:4]), int(month[5:]))


def _grid(texts: list[str], width: int) -> NDArray[np.uint8]:
    """Characters of each row, shape (n, width); blanks beyond a row's end."""
    padded = np.array([text.encode("ascii", "replace")[:width] for text in texts], f"S{width}")
    grid = padded.view(np.uint8).reshape(len(texts), width).copy()
    grid[grid == 0] = ord(" ")
    return grid


def _column(grid: NDArray[np.uint8], left: int, right: int) -> pa.Array:
    """Cells between two labels' right edges; the place behind an edge holds the mark."""
    cells = np.ascontiguousarray(grid[:, left + 1 : right + 1])
    texts = cells.view(f"S{right - left}").ravel()
    return pa.array(texts.tolist(), pa.binary()).cast(pa.string())


def _counts(cells: pa.Array) -> NDArray[np.float64]:
    """Volume or open interest: a blank cell says that there is none."""
    is_blank = pc.equal(pc.utf8_trim_whitespace(cells), "").to_numpy(zero_copy_only=False)
    return np.where(is_blank, 0.0, read_cells(cells).values)


def _reasons(texts: pa.Array, grid: NDArray[np.uint8], edges: list[int]) -> NDArray[np.object_]:
    """Find rows with words in them, and with a value across the border of a column."""
    blank = ord(" ")
    borders = [edges[i] for i in (_SETT - 1, _SETT, _VOL - 1, _VOL, _INT - 1, _INT)]
    across = np.stack([(grid[:, at] != blank) & (grid[:, at + 1] != blank) for at in borders])
    reasons = np.where(across.any(axis=0), "misaligned_columns", "")
    return np.where(_matches(texts, _CLEAN_ROW), reasons, "garbled_row").astype(object)

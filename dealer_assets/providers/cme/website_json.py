"""CME's website tables, saved from a browser: settlements, and volume with open interest.

Belongs here: these two layouts. Does not belong here: the other layouts, judging rows (`rows`).

==============  =====================  ==========================================================
layout          recognised by          open interest
==============  =====================  ==========================================================
settlements     ``settlements``        ``openInterest``: of the session *before*
volume details  ``monthData``          ``atClose``: of the session's own close, with its ``change``
==============  =====================  ==========================================================

So ``openInterest`` of the first plus ``change`` of the second is ``atClose``; `reconcile` holds two
files of one delivery against each other. Numbers are text with thousands separators, ``-`` for none
and ``CAB`` for the cabinet price. Neither payload names its series: it is read from the file's name
as CME writes it (``E4AQ26``), and checked against the months of the volume table, because the site
answers for another month when it does not know the one asked for. An empty table comes with status
200 where the site throttles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.cme.products import (
    MONTH_LETTERS,
    MONTHS,
    Product,
    expiry_of,
    product_of,
)
from dealer_assets.providers.cme.rows import (
    CHICAGO,
    Cells,
    Lines,
    place,
    preliminary,
    read_cells,
    to_records,
    trade_date,
)
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.json_fields import RowTexts, read_object, read_rows
from dealer_assets.providers.record_rows import Source

SETTLEMENTS, VOLUME = "cme_settlements", "cme_volume"

_SERIES = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{2,3})([FGHJKMNQUVXZ])(\d{2})(?![A-Z0-9])")
_DAYS = ("%m/%d/%Y", "%Y%m%d", "%A, %d %b %Y", "%A, %B %d, %Y", "%Y-%m-%d")
_REMEDY = "name the file after its series and day, as in E4AQ26_2026-08-21.json"


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like one of the two tables.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"{"):
        return False
    return (
        b'"monthData"' in start
        or (b'"settlements"' in start and b'"dsHeader"' in start)
        or (b'"settlements"' in start and b'"openInterest"' in start)
    )


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse one saved table.

    Parameters
    ----------
    payload : bytes
        JSON.
    name : str
        File name with series and, unless the payload has it, trade date.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One: `tables.FUTURES_OPTION_SETTLEMENTS`; the volume table gives no prices.

    Raises
    ------
    BadInputError
        When the table is empty or of futures, the series or the date is missing, contents and name
        disagree about the month, or rows cannot be believed.
    """
    top = read_object(payload, name)
    product, month = _series(name)
    day, findings = trade_date(_printed_date(top, name), name)
    findings += preliminary(f"{top.get('dsHeader') or ''} {top.get('reportType') or ''}")
    is_volume = "monthData" in top
    lines = _volume(top, name, product, month) if is_volume else _settled(top, name, product, month)
    source = Source(VOLUME if is_volume else SETTLEMENTS, name, sha256)
    places = place(np.full(len(lines.products), np.datetime64(day)))
    return [to_records(lines, places, source, findings=findings)]


def _series(name: str) -> tuple[Product, str]:
    found = [
        (product, f"20{match[3]}-{MONTH_LETTERS[match[2]]:02d}")
        for match in _SERIES.finditer(name.upper())
        if (product := product_of(match[1])) is not None
    ]
    if not found:
        refuse(name, "expected a series like ESU26 or E4AQ26 in the file's name", remedy=_REMEDY)
    return found[0]


def _printed_date(top: Mapping[str, Any], name: str) -> date | None:
    text = str(top.get("tradeDate") or "").strip()
    found = [day for layout in _DAYS if (day := _date(text, layout)) is not None]
    if text and not found:
        refuse(name, f"expected a date in 'tradeDate', found {text!r:.60}")
    return found[0] if found else None


def _date(text: str, layout: str) -> date | None:
    try:
        return datetime.strptime(text, layout).replace(tzinfo=CHICAGO).date()
    except ValueError:
        return None


def _texts_of(rows: Sequence[Mapping[str, Any]], field: str) -> list[str]:
    found = [row.get(field) for row in rows]
    return ["" if value is None else str(value) for value in found]


def _numbers(rows: Sequence[Mapping[str, Any]], field: str) -> Cells:
    return read_cells(_texts_of(rows, field))


def _without_totals(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if not str(row.get("strike", "")).lower().startswith("total")]


def _settled(top: Mapping[str, Any], name: str, product: Product, month: str) -> Lines:
    if top.get("settlements") == []:
        refuse(name, "expected settlements, found an empty table", remedy="save the page again")
    rows = _without_totals(read_rows(top, "settlements", name=name))
    if rows and "strike" not in rows[0]:
        refuse(name, "expected options with a strike, found settlements of futures")
    rights = [text[:1].upper() for text in _texts_of(rows, "type")]
    return _lines(
        rows,
        product,
        [month] * len(rows),
        is_call=[right == "C" for right in rights],
        known_right=[right in ("C", "P") for right in rights],
        settlement=_numbers(rows, "settle"),
        volume="volume",
        open_interest="openInterest",
        change="",
        open_interest_of="previous_session",
    )


def _volume(top: Mapping[str, Any], name: str, product: Product, month: str) -> Lines:
    rows: list[Mapping[str, Any]] = []
    rights: list[str] = []
    for part in read_rows(top, "monthData", name=name):
        found = _month(part)
        if found and found != month:
            complaint = f"expected the month {month} of the file's name, found {found}"
            refuse(name, complaint, remedy="the site answered for another series: save it again")
        label = f"{part.get('monthID', '')} {part.get('label', '')}".lower()
        right = "call" if "call" in label else "put" if "put" in label else ""
        if not right:
            refuse(name, f"expected Calls or Puts in 'monthID', found {part.get('monthID')!r:.60}")
        more = _without_totals(read_rows(part, "strikeData", name=name))
        rows += more
        rights += [right] * len(more)
    return _lines(
        rows,
        product,
        [month] * len(rows),
        is_call=[right == "call" for right in rights],
        known_right=[True] * len(rows),
        settlement=Cells(np.full(len(rows), np.nan), np.zeros(len(rows), dtype=np.bool_)),
        volume="totalVolume",
        open_interest="atClose",
        change="change",
        open_interest_of="same_session",
    )


def _month(part: Mapping[str, Any]) -> str:
    """Month that a part of the volume table says it is of; blank when it does not."""
    match = re.search(r"([A-Z]{3})[ -]?(?:20)?(\d{2})\b", str(part.get("month") or "").upper())
    number = MONTHS.get(match[1]) if match else None
    return f"20{match[2]}-{number:02d}" if match and number else ""


def _lines(
    rows: Sequence[Mapping[str, Any]],
    product: Product,
    months: Sequence[str],
    *,
    is_call: list[bool],
    known_right: list[bool],
    settlement: Cells,
    volume: str,
    open_interest: str,
    change: str,
    open_interest_of: str,
) -> Lines:
    count = len(rows)
    expiry = expiry_of(product, int(months[0][:4]), int(months[0][5:])) if count else None
    return Lines(
        products=[product] * count,
        months=months,
        expiries=np.full(count, np.datetime64(expiry, "D")),
        is_call=np.array(is_call, dtype=np.bool_),
        strikes=_numbers(rows, "strike").values,
        settlement=settlement,
        volume=_numbers(rows, volume).values,
        open_interest=_numbers(rows, open_interest).values,
        change=_numbers(rows, change).values if change else np.full(count, np.nan),
        open_interest_of=open_interest_of,
        row_numbers=np.arange(1, count + 1, dtype=np.int64),
        raw_texts=RowTexts(rows),
        reasons=np.array(["" if known else "bad_right" for known in known_right], dtype=object),
    )


def reconcile(records: Sequence[Records]) -> list[Records]:
    """Hold settlements and volume tables of one delivery against each other.

    Parameters
    ----------
    records : sequence of Records
        Of one delivery; other tables pass through.

    Returns
    -------
    list of Records
        The same; a volume table that contradicts the settlements of its session has the finding
        ``open_interest_mismatch``.
    """
    settled = [r.rows for r in records if r.provider == SETTLEMENTS]
    if not settled:
        return list(records)
    before = pa.concat_tables(settled)
    return [_checked(r, before) if r.provider == VOLUME else r for r in records]


_CONTRACT = ("session_date", "product", "contract_month", "strike", "right")


def _checked(records: Records, before: pa.Table) -> Records:
    held = [*_CONTRACT, "open_interest_contracts"]
    both = records.rows.select([*held, "open_interest_change_contracts"]).join(
        before.select(held), keys=list(_CONTRACT), join_type="inner", right_suffix="_before"
    )
    if not both.num_rows:
        return records
    expected = pc.add(
        pc.fill_null(both["open_interest_contracts_before"], 0.0),
        pc.fill_null(both["open_interest_change_contracts"], 0.0),
    )
    differs = pc.not_equal(expected, pc.fill_null(both["open_interest_contracts"], 0.0))
    wrong = pc.sum(differs).as_py() or 0
    if not wrong:
        return records
    text = (
        f"expected the open interest before plus its change to be that at the close, found "
        f"otherwise for {wrong} of {both.num_rows} contracts: the two tables are of different "
        "states; kept"
    )
    return replace(records, findings=(*records.findings, Finding("open_interest_mismatch", text)))

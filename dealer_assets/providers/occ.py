"""OCC's cleared volume by type of account, and which OCC file a payload is.

Belongs here: the volume query's CSV, OCC's plain-text errors, recognising a saved download of any
OCC layout. Does not belong here: open interest (`occ_series`, `occ_history`), fetching
(`occ_live`).

Quantities count both sides of every trade: a contract traded between a customer and a market maker
is 1 in ``C`` and 1 in ``M``. They stay sides here; the volume is half their sum. Nothing tells buys
from sells, openings from closings, or strikes. A day's figures can be read the next morning. OCC
keeps two years.

Errors come as plain text with status 200, and days without trading have no header at all, so an
answer is believed only when its first word is ``quantity``. Rows end in a comma that the header
lacks.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import NEW_YORK, is_session, next_session, session_close
from dealer_assets.errors import NoDataError, ProviderError
from dealer_assets.providers import occ_history, occ_series
from dealer_assets.providers.base import Records
from dealer_assets.providers.csv_fields import CsvTable, read_table, refuse
from dealer_assets.providers.record_quarantine import quarantine, refuse_if_hopeless, unlisted
from dealer_assets.providers.record_rows import (
    UNKNOWN_ROOT,
    Place,
    Roots,
    Source,
    build,
    by_day,
    read_roots,
)

VOLUME_FORMAT = "occ_volume"
PUBLISHED = time(8, 0)
"""New York time of the next session by which a day's volume can be read (OCC: T+1)."""

_REQUIRED = ("quantity", "symbol", "actype", "porc", "exchange", "actdate")
_ACCOUNTS = {"C": "customer", "F": "firm", "M": "market_maker"}
_RIGHTS = {"C": "call", "P": "put"}
_US_DATE = re.compile(r"(\d{2})/(\d{2})/(\d{4})")
_ERROR_TEXT = re.compile(rb"(report|volume query|symbol|account|product)[\w ]{0,40}", re.IGNORECASE)


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload is a saved download of OCC, an error text included.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return (
        start.startswith(b"quantity,")
        or occ_series.sniff(start)
        or occ_history.sniff(start)
        or (len(head) < 200 and bool(_ERROR_TEXT.match(start)) and bool(_is_refusal(start)))
    )


def _is_refusal(payload: bytes) -> bool:
    return occ_series.REFUSAL.search(payload.decode("utf-8", "replace")) is not None


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse a saved download of any OCC layout.

    Parameters
    ----------
    payload : bytes
        As saved.
    name : str
        File name; of a series search its date is the session that opens with the figures.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One: `tables.ACCOUNT_VOLUME` or `tables.OPEN_INTEREST`.

    Raises
    ------
    BadInputError
        When it is an error text, a report without contracts, or cannot be believed.
    """
    start = payload.removeprefix(b"\xef\xbb\xbf").lstrip()
    if occ_history.sniff(start):
        return [occ_history.parse(payload, name=name, sha256=sha256)]
    if occ_series.sniff(start):
        return [occ_series.parse_file(payload, name=name, sha256=sha256)]
    if not start.startswith(b"quantity,"):
        refuse(name, f"expected a download of OCC, found the text {start[:120]!r}")
    return [parse_volume(payload, Source(VOLUME_FORMAT, name, sha256))]


def require_report(payload: bytes, *, asked: str) -> None:
    """Refuse an answer of OCC's volume query that is no report.

    Parameters
    ----------
    payload : bytes
        Body of an answer with status 200.
    asked : str
        For what, in words.

    Raises
    ------
    ProviderError
        When OCC says what is wrong with the request.
    NoDataError
        When it has nothing: no session, not yet published, or older than two years.
    """
    text = payload.decode("utf-8", "replace").strip()
    if text.removeprefix("\ufeff").startswith("quantity"):
        return
    words = " ".join(text.split())[:200]
    if occ_series.REFUSAL.search(words):
        raise ProviderError(
            f"OCC refuses the request for {asked}: {words!r}. Its parameters seem to have changed: "
            "update dealer_assets/providers/occ_live.py"
        )
    raise NoDataError(
        f"OCC has no volume for {asked} (answer: {words!r}): no session, not yet published (it "
        "comes the next morning), or older than the two years that OCC keeps"
    )


def parse_volume(payload: bytes, source: Source) -> Records:
    """Parse a volume report.

    Parameters
    ----------
    payload : bytes
        CSV text, with or without the comma at the end of rows.
    source : Source
        Where it is from.

    Returns
    -------
    Records
        `tables.ACCOUNT_VOLUME`: all underlyings of the registry, sides by exchange and type of
        account. Rows by contract date are added up. Roots of other underlyings are counted in the
        finding ``unlisted_roots``, adjusted ones are quarantined.

    Raises
    ------
    BadInputError
        When it is no such CSV, has a day that is no session, or cannot be believed.
    """
    if not payload.endswith(b"\n"):
        refuse(source.name, f"expected whole lines, found the last one cut: {payload[-60:]!r}")
    table = read_table(_without_last_commas(payload), source.name, required=_REQUIRED)
    roots = read_roots(table.columns["symbol"], source)
    quantity = np.array([_quantity(cell) for cell in table.columns["quantity"]], np.float64)
    place = _places(table, source.name)
    rights = np.array([_RIGHTS.get(c, "") for c in table.columns["porc"]], dtype=object)
    accounts = np.array([_ACCOUNTS.get(c, "") for c in table.columns["actype"]], dtype=object)

    reasons = roots.reasons.copy()
    for where, reason in (
        (rights == "", "bad_right"),
        (accounts == "", "unknown_account_type"),
        (np.isnan(quantity), "not_a_number"),
        (quantity < 0.0, "negative_quantity"),
        (_is_repeat(table), "duplicate_row"),
    ):
        reasons[where & (reasons == "")] = reason
    refuse_if_hopeless(source, reasons, row_numbers=table.row_numbers, raw_texts=table.lines)
    keep = np.flatnonzero(reasons == "")
    columns = {
        "underlying": pa.array(roots.symbols()[keep], pa.string()),
        **place.take(keep).columns(),
        "root": pa.array([roots.names[c] for c in roots.codes[keep].tolist()], pa.string()),
        "right": pa.array(rights[keep], pa.string()),
        "exchange": pa.array([table.columns["exchange"][i].strip() for i in keep.tolist()]),
        "account_type": pa.array(accounts[keep], pa.string()),
        "sides_contracts": pa.array(quantity[keep], pa.float64()),
        "sign_rule": pa.repeat(pa.scalar("account_type_share"), keep.size),
    }
    return Records(
        table=tables.ACCOUNT_VOLUME,
        rows=build(tables.ACCOUNT_VOLUME, _added_up(columns), source),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=_rejected(source, table, roots, place=place, reasons=reasons),
        findings=unlisted(roots),
    )


def _quantity(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _without_last_commas(payload: bytes) -> bytes:
    """Give rows as many cells as the header has names."""
    header, newline, body = payload.partition(b"\n")
    if header.rstrip().endswith(b","):
        return payload
    first = body.partition(b"\n")[0].rstrip()
    if first.count(b",") != header.count(b",") + 1 or not first.endswith(b","):
        return payload
    return header + newline + re.sub(rb",(?=\r?(?:\n|$))", b"", body)


def _places(table: CsvTable, name: str) -> Place:
    texts = np.array([cell.strip() for cell in table.columns["actdate"]])
    unique, position = np.unique(texts, return_inverse=True)
    days = np.array([_session(text, name) for text in unique.tolist()], "datetime64[D]")[position]
    return Place(
        days=days,
        event_at=by_day(days, lambda day: session_close("XNYS", day)),
        known_at=by_day(days, _published_at),
    )


def _session(text: str, name: str) -> date:
    match = _US_DATE.fullmatch(text)
    try:
        day = date(int(match[3]), int(match[1]), int(match[2])) if match else None
    except ValueError:
        day = None
    if day is None or not is_session("XNYS", day):
        refuse(name, f"expected a session as MM/DD/YYYY in 'actdate', found {text!r:.40}")
    return day


def _published_at(day: date) -> datetime:
    return datetime.combine(next_session("XNYS", day), PUBLISHED, NEW_YORK).astimezone(UTC)


def _is_repeat(table: CsvTable) -> NDArray[np.bool_]:
    """Mark second and later rows that name the same, quantities aside."""
    named = ("symbol", "actype", "porc", "exchange", "actdate", "contractDate")
    cells = [table.columns[name] for name in named if name in table.columns]
    seen: set[tuple[str, ...]] = set()
    repeats = np.zeros(len(table.lines), dtype=np.bool_)
    for i, key in enumerate(zip(*cells, strict=True)):
        repeats[i] = key in seen
        seen.add(key)
    return repeats


def _added_up(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    keys = [name for name in columns if name != "sides_contracts"]
    summed = pa.table(columns).group_by(keys).aggregate([("sides_contracts", "sum")])
    found = summed.rename_columns([name.removesuffix("_sum") for name in summed.column_names])
    return {name: found[name].combine_chunks() for name in found.column_names}


def _rejected(
    source: Source,
    table: CsvTable,
    roots: Roots,
    *,
    place: Place,
    reasons: NDArray[np.object_],
) -> pa.Table:
    rows = np.flatnonzero((reasons != "") & (reasons != UNKNOWN_ROOT))
    return quarantine(
        source,
        reasons=reasons[rows],
        places=place.take(rows),
        underlyings=roots.symbols()[rows].tolist(),
        row_numbers=table.row_numbers[rows],
        raw_texts=[table.lines[i] for i in rows.tolist()],
        symbols=[roots.names[code] for code in roots.codes[rows].tolist()],
    )

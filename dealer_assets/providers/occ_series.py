"""OCC's series search: open interest by series.

Belongs here: this text. Does not belong here: fetching it (`occ_live`), which day it is of
(`occ_dating`), volume (`occ`).

The series search is tab-separated, with headings above and two tabs behind the root::

    ProductSymbol   year  Month  Day  Integer  Dec  C/P  Call  Put  Position Limit
    SPX   <tab><tab>2026  10     02   5900     000  C P  3     113  25000000

The strike is ``Integer`` and thousandths in ``Dec``; a blank in ``C/P`` is a right that is not
listed. Roots that begin or end in a digit are FLEX or adjusted. Series that expired at the close
that was counted are still in it; they are over before the next session opens.

Nothing in it says of which day it is: see `occ_dating`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.coverage import chain_coverage
from dealer_assets.domain.sessions import (
    next_session,
)
from dealer_assets.errors import NoDataError, ProviderError, UndatedChainError
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.occ_dating import DAILY_TITLE, of_another_session, opening_place
from dealer_assets.providers.record_quarantine import (
    EXPIRED_SERIES,
    quarantine,
    refuse_if_hopeless,
    unlisted,
)
from dealer_assets.providers.record_rows import (
    UNKNOWN_ROOT,
    Roots,
    Source,
    build,
    contract_columns,
    read_roots,
)
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import underlying

SERIES_FORMAT = "occ_series"

_CELLS = 9
_TITLE = b"Series Search Results"
REFUSAL = re.compile(r"\b(required|invalid|not valid|must be|unsupported)\b", re.IGNORECASE)
"""A sentence of OCC that complains about the request; it comes with status 200."""

_HEADING = re.compile(r"^(?:\s|ProductSymbol)")
_DIGITS = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class _Series:
    """The lines of a series search as columns of n elements; NaN and NaT where unreadable."""

    numbers: NDArray[np.int64]
    texts: Sequence[str]
    roots: Roots
    expiries: NDArray[np.datetime64]
    strikes: NDArray[np.float64]
    has_call: NDArray[np.bool_]
    has_put: NDArray[np.bool_]
    calls: NDArray[np.float64]
    puts: NDArray[np.float64]


def sniff(start: bytes) -> bool:
    """Tell whether a payload starts like a series search or a daily open interest report."""
    return start.startswith((_TITLE, DAILY_TITLE)) or bool(
        re.match(rb"[A-Z0-9]{1,6} *\t\t?\d{4}\t\d{1,2}\t\d{1,2}\t", start)
    )


def parse_file(payload: bytes, *, name: str, sha256: str) -> Records:
    """Parse a saved series search; the file's name says which session opens with it.

    Parameters
    ----------
    payload : bytes
        As saved.
    name : str
        With a date: the session that opens with the figures. Saved on a morning that is the day
        itself, saved at night the session after; a week-end's date means the next session.
    sha256 : str
        Hash of the payload.

    Raises
    ------
    UndatedChainError
        When the name has no date.
    BadInputError
        When it is the daily report, which has no contracts, or no series search.
    """
    if payload.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(DAILY_TITLE):
        refuse(
            name,
            "expected open interest by series, found OCC's totals of the whole market",
            remedy="save the series search of the underlying instead",
        )
    day = named_date(name)
    if day is None:
        raise UndatedChainError(
            f"{name}: expected a date in the file's name, found none: a series search does not say "
            "of which day it is. Name it after the session that opens with it, as in "
            "SPX_series_2026-10-02.txt"
        )
    session = next_session("XNYS", day - timedelta(days=1))
    return parse_series(payload, Source(SERIES_FORMAT, name, sha256), session_date=session)


def parse_series(payload: bytes, source: Source, *, session_date: date) -> Records:
    """Parse a series search.

    Parameters
    ----------
    payload : bytes
        Text of OCC.
    source : Source
        Where it is from.
    session_date : datetime.date
        Session that opens with these figures.

    Returns
    -------
    Records
        `tables.OPEN_INTEREST`, one row per listed right; not complete when a part of an
        underlying's series is missing.

    Raises
    ------
    BadInputError
        When there is no series, the last line is cut off, or too many lines cannot be read.
    """
    series = _read(payload, source)
    reasons = _reasons(series, session_date)
    refuse_if_hopeless(source, reasons, row_numbers=series.numbers, raw_texts=series.texts)
    place = opening_place(session_date, reasons.size)
    of_calls = np.flatnonzero((reasons == "") & series.has_call)
    of_puts = np.flatnonzero((reasons == "") & series.has_put)
    keep = np.concatenate([of_calls, of_puts])
    bad = np.flatnonzero((reasons != "") & (reasons != UNKNOWN_ROOT))
    missing = _missing(series, keep)
    doubts = _of_another_session(series, reasons, session_date)
    return Records(
        table=tables.OPEN_INTEREST,
        rows=build(
            tables.OPEN_INTEREST,
            {
                **place.take(keep).columns(),
                **contract_columns(
                    series.roots.take(keep),
                    expiries=series.expiries[keep],
                    is_call=np.arange(keep.size) < of_calls.size,
                    strikes=series.strikes[keep],
                ),
                "open_interest_contracts": pa.array(
                    np.concatenate([series.calls[of_calls], series.puts[of_puts]]), pa.float64()
                ),
            },
            source,
        ),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=quarantine(
            source,
            reasons=reasons[bad],
            places=place.take(bad),
            underlyings=series.roots.symbols()[bad].tolist(),
            row_numbers=series.numbers[bad],
            raw_texts=[series.texts[i] for i in bad.tolist()],
        ),
        is_complete=not missing,
        findings=(*doubts, *missing, *unlisted(series.roots)),
    )


def require_series(payload: bytes, *, asked: str) -> None:
    """Refuse an answer of OCC's series search that lists nothing.

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
        When there are headings and no series.
    """
    text = payload.decode("utf-8", "replace")
    if any(_is_series(line) for line in text.splitlines()):
        return
    words = " ".join(text.split())[:200]
    if REFUSAL.search(words):
        raise ProviderError(f"OCC refuses the request for {asked}: {words!r}")
    if words.startswith(_TITLE.decode()):
        raise NoDataError(f"OCC lists no series for {asked}: check the underlying's symbol")


def _read(payload: bytes, source: Source) -> _Series:
    if not payload.endswith(b"\n"):
        refuse(source.name, f"expected whole lines, found the last one cut: {payload[-60:]!r}")
    lines = payload.decode("utf-8-sig", "replace").splitlines()
    numbered = [(n, line) for n, line in enumerate(lines, 1) if _is_series(line)]
    if not numbered:
        refuse(
            source.name, f"expected series of OCC, found {' '.join(' '.join(lines).split())!r:.160}"
        )
    columns = list(zip(*(_cells(line) for _, line in numbered), strict=True))
    rights = [text.replace(" ", "") for text in columns[6]]
    return _Series(
        numbers=np.array([n for n, _ in numbered], np.int64),
        texts=[line for _, line in numbered],
        roots=read_roots(list(columns[0]), source),
        expiries=np.array(
            [_date(*cells) for cells in zip(*columns[1:4], strict=True)], "datetime64[D]"
        ),
        strikes=(1000.0 * _whole(columns[4]) + _thousandths(columns[5])) / 1000.0,
        has_call=np.array([text in ("C", "CP") for text in rights], dtype=np.bool_),
        has_put=np.array([text in ("P", "CP") for text in rights], dtype=np.bool_),
        calls=_whole(columns[7]),
        puts=_whole(columns[8]),
    )


def _reasons(series: _Series, session_date: date) -> NDArray[np.object_]:
    reasons = series.roots.reasons.copy()
    no_number = (series.has_call & np.isnan(series.calls)) | (
        series.has_put & np.isnan(series.puts)
    )
    for where, reason in (
        (np.isnat(series.expiries), "bad_expiry"),
        (~(series.strikes > 0.0), "bad_strike"),
        (~(series.has_call | series.has_put), "bad_right"),
        (no_number, "not_a_number"),
        (_is_repeat(series), "duplicate_contract"),
        (series.expiries < np.datetime64(session_date, "D"), EXPIRED_SERIES),
    ):
        reasons[where & (reasons == "")] = reason
    return reasons


def _missing(series: _Series, keep: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Return a finding for each underlying whose series are not all there."""
    symbols, findings = series.roots.symbols()[keep], []
    for symbol in sorted(set(symbols.tolist())):
        rows = keep[symbols == symbol]
        names = {series.roots.names[code] for code in np.unique(series.roots.codes[rows]).tolist()}
        coverage = chain_coverage(
            underlying(symbol),
            series.expiries[rows],
            strikes=series.strikes[rows],
            roots=names,
            spot=None,
        )
        if coverage.is_partial:
            text = f"{symbol}: {'; '.join(coverage.reasons)}"
            findings.append(Finding("partial_open_interest", text))
    return tuple(findings)


def _is_series(line: str) -> bool:
    return "\t" in line and not _HEADING.match(line)


def _cells(line: str) -> list[str]:
    """Return root and the eight cells behind it, blank where missing; the tabs between vary."""
    root, *rest = line.split("\t")
    while rest and not rest[0].strip():
        del rest[0]
    return [root, *rest, *[""] * _CELLS][:_CELLS]


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _whole(cells: Sequence[str]) -> NDArray[np.float64]:
    found = [float(c) if _DIGITS.fullmatch(c) else np.nan for c in (c.strip() for c in cells)]
    return np.array(found, np.float64)


def _thousandths(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return the decimals of a strike as thousandths: ``5`` and ``500`` both are a half."""
    return _whole([cell.strip().ljust(3, "0") if len(cell.strip()) <= 3 else "" for cell in cells])


def _is_repeat(series: _Series) -> NDArray[np.bool_]:
    days = series.expiries.astype(np.int64)
    thousandths = np.nan_to_num(series.strikes * 1000.0).astype(np.int64)
    _, first = np.unique(
        np.stack([series.roots.codes, days, thousandths]), axis=1, return_index=True
    )
    repeats = np.ones(days.size, dtype=np.bool_)
    repeats[first] = False
    return repeats


def _of_another_session(
    series: _Series, reasons: NDArray[np.object_], session_date: date
) -> tuple[Finding, ...]:
    daily = [entry is not None and entry.has_daily_expiries for entry in series.roots.underlyings]
    is_daily = np.array(daily, dtype=np.bool_)[series.roots.codes]
    is_held = np.nan_to_num(series.calls) + np.nan_to_num(series.puts) > 0.0
    return of_another_session(
        session_date,
        expired=series.expiries[(reasons == EXPIRED_SERIES) & is_held],
        live_daily=series.expiries[(reasons == "") & is_daily],
    )

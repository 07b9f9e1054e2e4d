"""Cboe Open-Close files: what their rows are of, and which exchange.

Belongs here: stamps in columns and in names. Does not belong here: other columns
(`open_close_layout`), counts (`open_close`).

Where no column has a stamp the file's name must: ``C1OpenClose_2025-03-28.csv``,
``Cboe_OpenClose_2024-07-30_18_00_1.csv``. The name also tells the exchange: Cboe without more is
C1. A stamp from 20:00 New York on is of the next session, whose overnight trading has begun.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK, is_session, next_session, session_close
from dealer_assets.providers.base import Finding
from dealer_assets.providers.csv_fields import local_instants, new_york_to_utc, refuse
from dealer_assets.providers.record_rows import Place, by_day
from dealer_assets.providers.source_names import named_date

_INSTANTS, _DATES = ("trade_datetime", "quote_datetime"), ("quote_date", "trade_date")
STAMPS = (*_INSTANTS, *_DATES)
"""Columns that say what a row is of; a New York time wins over a date."""

DAY, TEN_MINUTES = "day", "ten_minute_cumulative"

DAY_PUBLISHED = time(8, 0)
"""New York time of the next session by which a day's file counts as known; Cboe states none."""

INTERVAL_DELAY = timedelta(minutes=10)
"""After its stamp a ten-minute file counts as known; Cboe states none."""

_NIGHT = time(20, 0)
_EXCHANGE = re.compile(r"(C1|C2|BZX|EDGX|Cboe|PHLX|NOM|ISE|GEMX|MRX|ARCA|AMEX|MIAX)[_-]?Open", re.I)
_NAMED_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2})[_T](\d{2})[_:-](\d{2})(?=\D|$)")


def place_rows(stamps: Mapping[str, pa.Array], rows: int, name: str) -> tuple[str, Place]:
    """Return the interval of a file, and where its rows belong in time.

    Parameters
    ----------
    stamps : mapping of str to pyarrow.Array
        Those of the columns `STAMPS` that the file has, as text; a blank one is passed over.
    rows : int
        Rows of the file.
    name : str
        Its name.

    Raises
    ------
    BadInputError
        When neither a column nor the name tells, or a stamp is none, or a day no session.
    """
    for word, texts in stamps.items():
        if pc.all(pc.equal(texts, "")).as_py():
            continue
        if word in _INSTANTS:
            return TEN_MINUTES, _place_of_stamps(_distinct(texts, lambda t: _stamps(t, name)))
        return DAY, _place_of_days(_distinct(texts, lambda t: _days(t, name)), name)
    match = _NAMED_STAMP.search(name)
    if match is not None:
        local = _stamps([f"{match[1]} {match[2]}:{match[3]}:00"], name)
        return TEN_MINUTES, _place_of_stamps(np.repeat(local, rows))
    day = named_date(name)
    if day is None:
        refuse(
            name,
            f"expected a column {' or '.join(STAMPS)}, or a date in the file's name, found none",
            remedy="name the file as Cboe does, e.g. C1OpenClose_2025-03-28.csv",
        )
    return DAY, _place_of_days(np.full(rows, np.datetime64(day, "D")), name)


def _distinct(
    texts: pa.Array, read: Callable[[list[str]], NDArray[np.datetime64]]
) -> NDArray[np.datetime64]:
    """Read each distinct text once."""
    encoded = texts.dictionary_encode()
    found = read(encoded.dictionary.to_pylist())
    spread: NDArray[np.datetime64] = found[encoded.indices.to_numpy(zero_copy_only=False)]
    return spread


def _stamps(texts: Sequence[str], name: str) -> NDArray[np.datetime64]:
    whole = [text if text.count(":") > 1 else f"{text}:00" for text in texts]
    local = local_instants(whole)
    if np.isnat(local).any():
        bad = texts[int(np.flatnonzero(np.isnat(local))[0])]
        refuse(name, f"expected New York time as YYYY-MM-DD HH:MM:SS, found {bad!r:.60}")
    return local


def _days(texts: Sequence[str], name: str) -> NDArray[np.datetime64]:
    try:
        return np.array([date.fromisoformat(text.strip()) for text in texts], "datetime64[D]")
    except ValueError as error:
        refuse(name, f"expected every date as YYYY-MM-DD ({error})")


def _place_of_stamps(local: NDArray[np.datetime64]) -> Place:
    unique, place = np.unique(local, return_inverse=True)
    days = [_session_of_stamp(stamp) for stamp in unique.tolist()]
    event_at = new_york_to_utc(unique)
    return Place(
        days=np.array(days, "datetime64[D]")[place],
        event_at=event_at[place],
        known_at=(event_at + np.timedelta64(INTERVAL_DELAY))[place],
    )


def _session_of_stamp(local: datetime) -> date:
    day = local.date()
    if local.time() >= _NIGHT or not is_session("XNYS", day):
        return next_session("XNYS", day)
    return day


def _place_of_days(days: NDArray[np.datetime64], name: str) -> Place:
    for day in np.unique(days).tolist():
        if not is_session("XNYS", day):
            refuse(name, f"expected a session, found {day}", remedy="check the date")
    return Place(
        days=days,
        event_at=by_day(days, lambda day: session_close("XNYS", day)),
        known_at=by_day(days, _published_at),
    )


def _published_at(day: date) -> datetime:
    return datetime.combine(next_session("XNYS", day), DAY_PUBLISHED, NEW_YORK).astimezone(UTC)


def exchange_of(name: str) -> tuple[str, tuple[Finding, ...]]:
    """Return the exchange that a file's name tells, ``unknown`` with a finding otherwise."""
    match = _EXCHANGE.search(name)
    if match is None:
        text = "the file's name does not tell the exchange (C1OpenClose_..., C2OpenClose_...)"
        return "unknown", (Finding("exchange_unknown", text),)
    found = match[1].upper()
    return "C1" if found == "CBOE" else found, ()

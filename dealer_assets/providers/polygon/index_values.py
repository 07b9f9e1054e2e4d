"""A session's values of an underlying: minute by minute, its close, and the close before.

Belongs here: bars of the underlying itself to rows of `tables.INDEX_VALUES`. Does not belong here:
the value of now (`market`), bars of options (`ticks`).

A minute's bar ends with the value at its end, so that is the value's instant. Bars of an index have
no volume. A day's bar is stamped with midnight New York of its day; its value is the close's.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.providers.base import Records
from dealer_assets.providers.polygon.client import Ask
from dealer_assets.providers.polygon.errand import Errand
from dealer_assets.providers.polygon.fields import Bools, Instants, instants, joined, naive, numbers
from dealer_assets.providers.polygon.history import BAR_COUNT, bar_question
from dealer_assets.providers.polygon.pages import fetch_listing
from dealer_assets.providers.polygon.reference import vendor_ticker
from dealer_assets.providers.polygon.ticks import BAR_ROW
from dealer_assets.providers.record_quarantine import quarantine
from dealer_assets.providers.record_rows import Place, Source, build

_MINUTE = np.timedelta64(60, "s")


def fetch_index_values(errand: Errand) -> Records:
    """Fetch the values of an underlying in a session; see `Provider.index_values`.

    Parameters
    ----------
    errand : Errand
        Whom to ask for which session.

    Raises
    ------
    ProviderError
        When a page fails: with two questions in all, none is worth storing alone.
    """
    errand.require_history("values of an index" if errand.underlying.kind == "index" else "bars")
    ticker, day = vendor_ticker(errand.underlying), errand.session_date
    before = sessions.previous_session(errand.underlying.calendar, day)
    closes = Ask(
        f"closes of {ticker} on {before} and {day}",
        "get_aggs",
        (ticker, 1, "day", before.isoformat(), day.isoformat()),
        {"adjusted": False, "sort": "asc", "limit": 5_000},
    )
    minutes = _bars(errand, "minute", bar_question(ticker, errand.window, "minute"))
    days = _bars(errand, "day", closes)
    name = f"polygon index values {errand.underlying.symbol} {day}"
    source = Source("polygon", name, hashlib.sha256(name.encode()).hexdigest())
    return _records(errand, source, minutes, days)


def _bars(errand: Errand, piece: str, question: Ask) -> tuple[pa.StructArray, Bools]:
    listing = fetch_listing(
        errand.client,
        question,
        BAR_ROW,
        count_field=BAR_COUNT,
        keep=errand.keep,
        piece=piece,
        is_final=errand.is_over,
    )
    if listing.failure is not None:
        raise listing.failure
    return joined(listing.pages, BAR_ROW)


def _records(
    errand: Errand,
    source: Source,
    minutes: tuple[pa.StructArray, Bools],
    days: tuple[pa.StructArray, Bools],
) -> Records:
    rows, damaged = pa.concat_arrays([minutes[0], days[0]]), np.concatenate([minutes[1], days[1]])
    start, value = instants(rows, "t", unit="ms"), numbers(rows, "c")
    is_minute = np.arange(len(rows)) < len(minutes[0])
    at, kinds = _placed(errand, start, is_minute)
    reasons = np.full(len(rows), "", dtype=object)
    for where, reason in (
        (damaged | ~np.isfinite(value), "not_a_number"),
        (np.isnat(start), "bad_clock"),
        (value < 0, "negative_value"),
        (kinds == "", "other_session"),
    ):
        reasons[where & (reasons == "")] = reason
    running = (kinds == "close") & (at + np.timedelta64(errand.delay) > naive(errand.now))
    good, bad = np.flatnonzero((reasons == "") & ~running), np.flatnonzero(reasons != "")
    columns = {
        "underlying": pa.repeat(pa.scalar(errand.underlying.symbol), good.size),
        **_place(errand, at[good]).columns(),
        "kind": pa.array(kinds[good], pa.string()),
        "value": pa.array(value[good]),
    }
    opened = naive(sessions.session_open(errand.underlying.calendar, errand.session_date))
    return Records(
        table=tables.INDEX_VALUES,
        rows=build(tables.INDEX_VALUES, columns, source),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=quarantine(
            source,
            reasons=reasons[bad],
            places=_place(errand, np.where(np.isnat(at[bad]), opened, at[bad])),
            underlyings=[errand.underlying.symbol] * bad.size,
            row_numbers=bad + 1,
            raw_texts=[json.dumps(rows[row].as_py()) for row in bad.tolist()],
        ),
        is_complete=errand.is_over,
    )


def _placed(
    errand: Errand, start: Instants, is_minute: Bools
) -> tuple[Instants, NDArray[np.object_]]:
    """Return the instant of each value and its kind; blank for one of another session."""
    calendar, window = errand.underlying.calendar, errand.window
    before = sessions.previous_session(calendar, window.day)
    inside = (start >= naive(window.first)) & (start < naive(window.end))
    at = np.where(is_minute, start + _MINUTE, start)
    kinds = np.where(is_minute & inside, "spot", "").astype(object)
    for day, kind in ((before, "previous_close"), (window.day, "close")):
        close = naive(sessions.session_close(calendar, day))
        # midnight New York lies 13 to 16 hours before the close; /prev stamps the close itself
        of_day = ~is_minute & (start <= close) & (start > close - np.timedelta64(17, "h"))
        at, kinds = np.where(of_day, close, at), np.where(of_day, kind, kinds)
    return at, kinds


def _place(errand: Errand, at: Instants) -> Place:
    days = np.full(at.size, np.datetime64(errand.session_date, "D"))
    return Place(days, at, at + np.timedelta64(errand.delay))

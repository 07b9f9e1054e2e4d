"""A session's trades, quotes and bars: one question per contract, many at once.

Belongs here: the questions, what is kept of their answers, which contracts failed. Does not belong
here: rows (`ticks`), one question (`pages`).

Every page is kept under its contract's name and number. A session that still runs keeps its full
pages only, as the last one will grow. A contract that fails does not spoil the others: the answer
is then not complete, and the next call fetches what is missing and no more.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.errors import BadInputError, ProviderError
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.polygon.client import VENDOR, Ask
from dealer_assets.providers.polygon.contracts import Contracts, read_contracts
from dealer_assets.providers.polygon.errand import Errand, Window
from dealer_assets.providers.polygon.fields import joined
from dealer_assets.providers.polygon.pages import fetch_listing
from dealer_assets.providers.polygon.ticks import (
    BAR_ROW,
    QUOTE_ROW,
    TRADE_ROW,
    Built,
    Ticks,
    bars_table,
    quotes_table,
    trades_table,
)
from dealer_assets.providers.quarantine import MAX_REJECTED_SHARE
from dealer_assets.providers.record_rows import Source
from dealer_assets.underlyings import Underlying

PAGE_ROWS = 50_000

MOST_ROWS = 5_000_000
"""Rows of one answer, about 1.5 GB: no further contract is begun beyond; the finding says so."""

BAR_COUNT = "resultsCount"
"""Bars come without ``results`` where nothing traded; this says so."""

_NAMED = 5


def fetch_trades(errand: Errand, symbols: Sequence[str]) -> Records:
    """Fetch the trades of contracts; see `Provider.trades`."""
    errand.require_history("trades")
    question = partial(_tick_question, errand.window, "list_trades", "trades")
    fetched = _fetch(errand, symbols, "trades", question=question, row_type=TRADE_ROW)
    return _records(errand, fetched, tables.OPTION_TRADES, trades_table)


def fetch_quotes(errand: Errand, symbols: Sequence[str]) -> Records:
    """Fetch the quotes of contracts; see `Provider.quotes`."""
    errand.require_history("quotes")
    question = partial(_tick_question, errand.window, "list_quotes", "quotes")
    fetched = _fetch(errand, symbols, "quotes", question=question, row_type=QUOTE_ROW)
    return _records(errand, fetched, tables.OPTION_QUOTES, quotes_table)


def fetch_bars(
    errand: Errand, symbols: Sequence[str], *, interval: Literal["minute", "day"]
) -> Records:
    """Fetch the bars of contracts; see `Provider.bars`."""
    errand.require_history("bars")
    fetched = _fetch(
        errand,
        symbols,
        f"{interval} bars",
        question=lambda symbol: bar_question(f"O:{symbol}", errand.window, interval),
        row_type=BAR_ROW,
        count_field=BAR_COUNT,
    )
    return _records(errand, fetched, tables.OPTION_BARS, partial(bars_table, interval=interval))


def _tick_question(window: Window, method: str, kind: str, symbol: str) -> Ask:
    kwargs = {
        "timestamp_gte": _nanoseconds(window.first),
        "timestamp_lt": _nanoseconds(window.end),
        "order": "asc",
        "sort": "timestamp",
        "limit": PAGE_ROWS,
    }
    return Ask(f"{kind} of {symbol} on {window.day}", method, (f"O:{symbol}",), kwargs)


def bar_question(ticker: str, window: Window, interval: Literal["minute", "day"]) -> Ask:
    """Return the question for a session's bars of one ticker."""
    first: str | int = window.day.isoformat()
    last: str | int = first
    if interval == "minute":  # both ends are included
        first, last = _milliseconds(window.first), _milliseconds(window.end) - 1
    kwargs = {"adjusted": False, "sort": "asc", "limit": PAGE_ROWS}
    what = f"{interval} bars of {ticker} on {window.day}"
    return Ask(what, "get_aggs", (ticker, 1, interval, first, last), kwargs)


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000_000


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000


@dataclass(frozen=True)
class _Fetched:
    ticks: Ticks
    findings: tuple[Finding, ...]


def _fetch(
    errand: Errand,
    symbols: Sequence[str],
    kind: str,
    *,
    question: Callable[[str], Ask],
    row_type: pa.StructType,
    count_field: str | None = None,
) -> _Fetched:
    """Fetch all contracts, in the order given; those that fail are named."""
    symbols = list(dict.fromkeys(symbol.removeprefix("O:") for symbol in symbols))
    identity = hashlib.sha256(" ".join(sorted(symbols)).encode()).hexdigest()[:12]
    name = f"polygon {kind} {errand.underlying.symbol} {errand.session_date} of {len(symbols)}"
    source = Source("polygon", name, hashlib.sha256(f"{name} {identity}".encode()).hexdigest())
    contracts = _believed(symbols, errand.underlying, source)
    room = _Room(MOST_ROWS)

    def job(symbol: str) -> _Rows | None:
        if room.is_full:
            return None
        found = fetch_listing(
            errand.client,
            question(symbol),
            row_type,
            count_field=count_field,
            keep=errand.keep,
            piece=symbol,
            is_final=errand.is_over,
        )
        rows, damaged = joined(found.pages, row_type)
        room.take(len(rows))
        return _Rows(rows, damaged, found.failure)

    results = errand.client.run([partial(job, symbol) for symbol in symbols])
    held = [result if isinstance(result, _Rows) else _nothing(row_type) for result in results]
    failed = {
        symbol: result if isinstance(result, ProviderError) else getattr(result, "failure", None)
        for symbol, result in zip(symbols, results, strict=True)
        if not isinstance(result, _Rows) or result.failure is not None
    }
    if len(failed) == len(symbols) and not any(len(rows.rows) for rows in held):
        _raise_first(failed)
    owner = np.repeat(np.arange(len(symbols)), [len(rows.rows) for rows in held])
    ticks = Ticks(
        rows=pa.concat_arrays([rows.rows for rows in held] or [pa.array([], row_type)]),
        damaged=np.concatenate([rows.damaged for rows in held] or [np.zeros(0, np.bool_)]),
        owner=owner.astype(np.int64),
        contracts=contracts,
        window=errand.window,
        delay=errand.delay,
        source=source,
    )
    return _Fetched(ticks, _failures(failed, len(symbols), room))


@dataclass(frozen=True)
class _Rows:
    rows: pa.StructArray
    damaged: np.ndarray
    failure: ProviderError | None = None


def _nothing(row_type: pa.StructType) -> _Rows:
    return _Rows(pa.array([], row_type), np.zeros(0, np.bool_))


class _Room:
    """How many more rows there is room for, over all threads."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._left = most

    @property
    def is_full(self) -> bool:
        return self._left <= 0

    def take(self, count: int) -> None:
        with self._lock:
            self._left -= count


def _believed(symbols: Sequence[str], underlying: Underlying, source: Source) -> Contracts:
    if not symbols:
        raise BadInputError(f"{source.name}: expected contracts to ask for, found none")
    contracts = read_contracts(symbols, underlying, source)
    bad = np.flatnonzero(contracts.reasons != "")
    if bad.size:
        first = int(bad[0])
        raise BadInputError(
            f"{source.name}: expected option symbols of {underlying.symbol}, found "
            f"{symbols[first]!r} ({contracts.reasons[first]}); take them from the listing"
        )
    return contracts


def _raise_first(failed: dict[str, ProviderError | None]) -> None:
    for error in failed.values():
        if error is not None:
            raise error


def _failures(
    failed: dict[str, ProviderError | None], asked: int, room: _Room
) -> tuple[Finding, ...]:
    findings: tuple[Finding, ...] = ()
    begun = {symbol: error for symbol, error in failed.items() if error is not None}
    if begun:
        first = next(iter(begun.values()))
        text = f"{len(begun):,} of {asked:,} contracts failed ({_named(begun)}): {first}"
        findings += (Finding("contracts_failed", f"{text}; asked again next time"),)
    left = [symbol for symbol, error in failed.items() if error is None]
    if left and room.is_full:
        text = (
            f"{len(left):,} of {asked:,} contracts were left out ({_named(left)}): the others have "
            f"more than {MOST_ROWS:,} rows; ask for fewer (DEALER_QUOTED_CONTRACTS)"
        )
        findings += (Finding("too_many_rows", text),)
    elif left:
        text = f"{len(left):,} of {asked:,} contracts were not begun ({_named(left)})"
        findings += (Finding("contracts_failed", f"{text}: {VENDOR} does not answer"),)
    return findings


def _named(symbols: Sequence[str] | dict[str, ProviderError]) -> str:
    few = list(symbols)[:_NAMED]
    return ", ".join(few) + (" ..." if len(symbols) > len(few) else "")


def _records(
    errand: Errand, fetched: _Fetched, table: tables.Table, make: Callable[[Ticks], Built]
) -> Records:
    rows, rejected = make(fetched.ticks)
    findings, asked = fetched.findings, len(fetched.ticks.rows)
    if rejected.num_rows:
        counts = pc.value_counts(rejected["reason"]).to_pylist()
        words = ", ".join(f"{count['values']} {count['counts']:,}" for count in counts)
        text = f"{rejected.num_rows:,} of {asked:,} rows are rejected: {words}"
        findings += (Finding("rows_rejected", text),)
    source = fetched.ticks.source
    return Records(
        table=table,
        rows=rows,
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=rejected,
        is_complete=errand.is_over
        and not fetched.findings
        and rejected.num_rows <= MAX_REJECTED_SHARE * asked,
        findings=findings,
    )

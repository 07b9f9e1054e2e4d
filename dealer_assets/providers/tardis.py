"""tardis.dev's `options_chain` files: a day of tickers of every Deribit option, as chains per hour.

Belongs here: this file's columns, units and clocks. Does not belong here: the state that its rows
add up to (`tardis_book`), trades and messages of tardis (`tardis_records`), deciding the session or
judging rows (`assembly`).

A file holds a row whenever a ticker changed, in the order in which the recorder had them
(`local_timestamp`). The chain at an instant is the last row of each contract at or before it; it is
taken at every full hour that brought rows, and at the file's end. That instant is both the time of
the quotes and when they were known: a ticker stands until its next row.

Vols are in per cent, amounts and open interest in coin, instants UTC, as microseconds or as text.
An empty cell is a missing value. A day of all options may be larger than the memory: it is read as
a stream, and only the state is held.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.archives import HashingReader, Member
from dealer_assets.providers.csv_fields import LARGEST_NUMBER, local_instants, refuse
from dealer_assets.providers.csv_stream import CsvStream
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.tardis_book import NUMBERS, Book, Note, Ticks
from dealer_assets.underlyings import REGISTRY

BLOCK_BYTES = 8 * 1024**2
"""Bytes read at once: some 50,000 rows."""

_SLACK = np.timedelta64(1, "m")
"""Rows may be this much out of order; more is a file sorted by something else."""

_HOUR = np.timedelta64(1, "h")
_TEXTS = ("exchange", "symbol", "timestamp", "local_timestamp", "expiration")
_MICROSECONDS = re.compile(r"1\d{15}")
_CURRENCY = re.compile(r"[A-Z0-9]+(?:_[A-Z]+)?(?=-)")

Instants = NDArray[np.datetime64]


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like an `options_chain` file.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    first = head.partition(b"\n")[0]
    return all(word in first for word in (b"local_timestamp", b"underlying_price", b"mark_iv"))


def read(member: Member) -> list[RawChain]:
    """Read one file as a stream.

    Parameters
    ----------
    member : Member
        CSV text.

    Returns
    -------
    list of RawChain
        Per underlying with Deribit options in the registry, ascending in time: one for each full
        hour that brought rows, and one for the file's end. Prices are in USD. Rows of other
        currencies are left out, with a note.

    Raises
    ------
    BadInputError
        Naming file and column, when the payload is no such CSV, is cut off, of another exchange,
        not in order of `local_timestamp`, or holds a cell that is no number or instant.
    UnknownUnderlyingError
        When it holds no options of a registered currency.
    """
    books = [Book(entry, member.name) for entry in REGISTRY if "deribit" in entry.vendor_symbols]
    strangers: Counter[str] = Counter()
    with member.open() as file:
        reader = HashingReader(file)
        chains = list(_chains(CsvStream(reader, member.name), books, strangers))
        digest = reader.hexdigest()
    if not chains:
        found = ", ".join(f"{count} of {name}" for name, count in strangers.most_common(5))
        raise UnknownUnderlyingError(
            f"{member.name}: expected Deribit options of "
            f"{', '.join(book.underlying.symbol for book in books)}, found rows {found or 'none'} "
            "that are still alive; add the currency to dealer_assets/underlyings.py, or import "
            "another file"
        )
    notes = _exclusions(strangers)
    return [replace(raw, source_sha256=digest, notes=(*notes, *raw.notes)) for raw in chains]


def _exclusions(strangers: Counter[str]) -> tuple[Note, ...]:
    if not strangers:
        return ()
    found = ", ".join(f"{count} of {currency}" for currency, count in sorted(strangers.items()))
    text = f"rows of currencies without registry entry left out: {found}"
    return (("other_currencies_excluded", text),)


def _chains(stream: CsvStream, books: list[Book], strangers: Counter[str]) -> Iterator[RawChain]:
    clock: np.datetime64 = np.datetime64("NaT", "us")
    due = clock
    for batch in stream.batches(texts=_TEXTS, numbers=NUMBERS, block_bytes=BLOCK_BYTES):
        ticks = _ticks(batch, stream, strangers)
        seen = _clock(ticks.local, clock, ticks, stream.name)
        if np.isnat(due):
            due = _next_hour(seen[0])
        start = 0
        while due < seen[-1]:
            stop = int(np.searchsorted(seen, due, side="right"))
            yield from _take(books, ticks, slice(start, stop), at=due)
            start, due = stop, _next_hour(seen[stop])
        for book in books:
            book.take(ticks, slice(start, None))
        clock = seen[-1]
    for book in books:
        yield from book.chain(at=clock)


def _take(books: list[Book], ticks: Ticks, part: slice, *, at: np.datetime64) -> Iterator[RawChain]:
    for book in books:
        book.take(ticks, part)
        yield from book.chain(at=at)


def _next_hour(instant: np.datetime64) -> np.datetime64:
    hour = instant.astype("datetime64[h]").astype("datetime64[us]")
    following: np.datetime64 = hour if hour == instant else hour + _HOUR
    return following


def _clock(local: Instants, before: np.datetime64, ticks: Ticks, name: str) -> Instants:
    """Return the running latest `local_timestamp`: what comes late counts from when it came."""
    seen = np.maximum.accumulate(local)
    if not np.isnat(before):
        seen = np.maximum(seen, before)
    late = np.flatnonzero(seen - local > _SLACK)
    if late.size:
        line, row = int(ticks.row_numbers[late[0]]), late[0]
        refuse(
            name,
            f"expected rows in order of 'local_timestamp', found {local[row]} on line {line} after "
            f"{seen[row]}",
            remedy="sort the file by that column",
        )
    return seen


def _ticks(batch: pa.Table, stream: CsvStream, strangers: Counter[str]) -> Ticks:
    exchanges = pc.unique(batch["exchange"]).to_pylist()
    if exchanges != ["deribit"]:
        other = next(name for name in exchanges if name != "deribit")
        refuse(stream.name, f"expected the exchange 'deribit', found {other!r}", remedy=_REMEDY)
    symbols = batch["symbol"].combine_chunks().dictionary_encode()
    names, codes = symbols.dictionary.to_pylist(), symbols.indices.to_numpy().astype(np.int64)
    known = {
        root.symbol
        for entry in REGISTRY
        if "deribit" in entry.vendor_symbols
        for root in (*entry.roots, *entry.side_roots)
    }
    for name, count in zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True):
        match = _CURRENCY.match(name)
        if match is None or match.group() not in known:
            strangers[match.group() if match else "no currency"] += count
    return Ticks(
        names=names,
        codes=codes,
        stamp=_instants(batch, "timestamp", stream),
        local=_instants(batch, "local_timestamp", stream),
        expires=_instants(batch, "expiration", stream),
        numbers=np.stack([_numbers(batch, column, stream) for column in NUMBERS]),
        row_numbers=batch["row_number"].to_numpy(),
    )


_REMEDY = "import files of tardis' deribit folder only"


def _numbers(batch: pa.Table, column: str, stream: CsvStream) -> NDArray[np.float64]:
    values: NDArray[np.float64] = batch[column].to_numpy()
    beyond = np.flatnonzero(np.abs(values) > LARGEST_NUMBER)
    if beyond.size:
        line = batch["row_number"][int(beyond[0])]
        found = values[beyond[0]]
        refuse(stream.name, f"expected a number in {column!r} on line {line}, found {found!r}")
    return values


def _instants(batch: pa.Table, column: str, stream: CsvStream) -> Instants:
    """UTC instants, as microseconds of the epoch or as text."""
    cells = batch[column].combine_chunks()
    digits = pc.match_substring_regex(cells, f"^{_MICROSECONDS.pattern}$")
    if pc.all(digits).as_py():
        micros: Instants = cells.cast(pa.int64()).to_numpy().astype("datetime64[us]")
        return micros
    texts = [text.removesuffix("Z").removesuffix("+00:00") for text in cells.to_pylist()]
    instants = local_instants(texts)
    bad = np.flatnonzero(np.isnat(instants))
    if bad.size:
        row = int(bad[0])
        where = f"{column!r} on line {batch['row_number'][row]}"
        refuse(
            stream.name,
            f"expected microseconds or a UTC instant in {where}, found {cells[row].as_py()!r:.80}",
        )
    return instants

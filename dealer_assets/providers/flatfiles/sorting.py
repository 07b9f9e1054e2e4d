"""One day's flat file into Parquet, sorted by time, out of core: by symbol in, by instant out.

Belongs here: DuckDB's part: cells to numbers, which rows cannot be believed, filter and sort. Does
not belong here: fetching (`store`), our tables (`rows`).

Every cell is read as text and then cast, so that a bad one spoils its row and not the file. Bad
rows stay in the result with a reason, behind or between the others, so that what is kept for later
tells of them too.
"""

from __future__ import annotations

import glob
import gzip
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from dealer_assets.errors import GarbledAnswerError, ProviderError
from dealer_assets.providers.flatfiles.datasets import Cell, Dataset

if TYPE_CHECKING:
    import duckdb

INSTANT = "instant_ns"
"""Column of the sorted file: nanoseconds since 1970, UTC."""

_RAW_TEXT_LENGTH = 500
_HEADER_BYTES = 65_536
_OPTION = "O:[A-Z0-9]{1,6}[0-9]{6}[CP][0-9]{8}"
_TYPES: Mapping[Cell, str] = {"text": "VARCHAR", "number": "DOUBLE", "whole": "BIGINT"}
_SURPLUS = "beyond_header"
_BEFORE, _AFTER = timedelta(days=-1), timedelta(days=2)
"""A file's instants lie between these around midnight UTC: overnight trading begins the evening
before. Milliseconds for nanoseconds, or another day's rows, lie outside."""


@dataclass(frozen=True)
class Limits:
    """What DuckDB may use.

    Parameters
    ----------
    memory : str
        DuckDB's own limit; the process takes a few hundred megabytes more.
    threads : int
        Threads.
    """

    memory: str = "1500MB"
    threads: int = 2


@dataclass(frozen=True)
class DayFile:
    """What was written.

    Parameters
    ----------
    rows : int
        Rows that can be believed so far.
    rejected : mapping of str to int
        Reason to number of the other rows.
    bytes : int
        Size of the Parquet file.
    """

    rows: int
    rejected: Mapping[str, int]
    bytes: int


def day_to_parquet(
    source: Path,
    target: Path,
    dataset: Dataset,
    *,
    session_date: date,
    roots: Collection[str] | None = None,
    tickers: Collection[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> DayFile:
    """Sort a day's file by instant, then by its own order, into Parquet.

    Parameters
    ----------
    source : pathlib.Path
        The gzip of CSV as fetched and verified.
    target : pathlib.Path
        Where to; replaced when it is there. What does not fit into memory is spilled beside it.
    dataset : Dataset
        What the file holds.
    session_date : datetime.date
        Whose day it is: rows of other days are rejected.
    roots : collection of str, optional
        Option roots wanted; all symbols when absent.
    tickers : collection of str, optional
        Symbols wanted, as the vendor writes them; all when absent.
    metadata : mapping of str to str, optional
        Kept in the file's footer.
    limits : Limits, optional
        Memory and threads.

    Returns
    -------
    DayFile
        The file has ``row_number`` (1-based, the header aside), ``ticker``, ``instant_ns``, the
        dataset's numbers and optional columns, ``reason`` (null: believed) and ``raw_text`` (of
        rejected rows).

    Raises
    ------
    GarbledAnswerError
        When the file is no CSV of this dataset.
    ProviderError
        When memory or disk do not suffice.
    """
    import duckdb

    limits = limits or Limits()
    header = _header(source, dataset)
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": limits.memory,
            "threads": limits.threads,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.register(
                "wanted", pa.table({"ticker": pa.array(tickers or [], pa.string())})
            )
            query = _query(
                source,
                dataset,
                header,
                session_date=session_date,
                wanted=_wanted(roots, tickers is not None),
            )
            try:
                _copy(connection, query, target, metadata or {})
                counts = _counts(connection, target)
            except duckdb.Error as error:
                target.unlink(missing_ok=True)
                raise _meaning(error, dataset, session_date) from error
    rows = counts.pop("", 0)
    return DayFile(rows, counts, target.stat().st_size)


def _header(source: Path, dataset: Dataset) -> list[str]:
    """Return the file's column names, lower case; the vendor adds and reorders columns."""
    with gzip.open(source) as file:
        line = file.readline(_HEADER_BYTES).decode("utf-8", "replace")
    names = [name.strip().strip('"').lower() for name in line.lstrip("\ufeff").split(",")]
    missing = sorted(set(dataset.required) - set(names))
    if missing or len(set(names)) != len(names):
        raise GarbledAnswerError(
            f"{source.name} of {dataset.prefix}: expected a header with the columns "
            f"{', '.join(dataset.required)}, found {line.strip()[:200]!r}: the vendor changed the "
            "file, or sent another"
        )
    return names


def _wanted(roots: Collection[str] | None, by_ticker: bool) -> str:
    """Return the condition on symbols; of broken ones it lets pass those that may be ours."""
    if by_ticker:
        return "raw_ticker IN (SELECT ticker FROM wanted)"
    if roots is None:
        return "TRUE"
    pattern = "|".join(re.escape(root) for root in sorted(roots))
    return f"regexp_matches(raw_ticker, '^O:({pattern})([^A-Z]|$)')"


def _query(
    source: Path, dataset: Dataset, header: list[str], *, session_date: date, wanted: str
) -> str:
    columns = ", ".join(f"'raw_{_name(name)}': 'VARCHAR'" for name in [*header, _SURPLUS])
    path = glob.escape(str(source)).replace("'", "''")
    numbers: dict[str, Cell] = {INSTANT: "whole", **dict.fromkeys(dataset.numbers, "number")}
    cells = numbers | dict(dataset.optional)
    raw = {name: dataset.instant if name == INSTANT else name for name in cells}
    typed = ", ".join(
        f"TRY_CAST(raw_{raw[name]} AS {_TYPES[cell]}) AS {name}"
        if raw[name] in header
        else f"CAST(NULL AS {_TYPES[cell]}) AS {name}"
        for name, cell in cells.items()
    )
    text = ", ".join(f"coalesce(raw_{_name(name)}, '')" for name in header)
    reason = _reason(dataset, {name: raw[name] for name in numbers}, session_date)
    return f"""
        SELECT row_number, raw_ticker AS ticker, {typed}, {reason} AS reason,
            CASE WHEN reason IS NOT NULL
                THEN left(array_to_string([{text}], ','), {_RAW_TEXT_LENGTH}) END AS raw_text
        FROM (
            SELECT row_number() OVER () AS row_number, *
            FROM read_csv('{path}', columns = {{{columns}}}, header = true, auto_detect = false,
                delim = ',', quote = '"', escape = '"', null_padding = true, strict_mode = false)
        )
        WHERE {wanted}
        ORDER BY {INSTANT}, row_number
    """


def _name(column: str) -> str:
    """Return a column's name for SQL; what is not read may be called anything."""
    return re.sub(r"\W", "_", column)


def _reason(dataset: Dataset, numbers: Mapping[str, str], session_date: date) -> str:
    """Return the expression of the first reason that applies, null when none does."""
    midnight = datetime.combine(session_date, time(0), UTC)
    first, last = (
        int((midnight + shift).timestamp()) * 1_000_000_000 for shift in (_BEFORE, _AFTER)
    )
    raw = [f"raw_{name}" for name in numbers.values()]
    floats = list(dataset.numbers)
    rules = [("unreadable_row", f"raw_{_SURPLUS} IS NOT NULL OR raw_ticker IS NULL")]
    if dataset.is_options:
        rules.append(("bad_symbol", f"NOT regexp_full_match(raw_ticker, '{_OPTION}')"))
    rules += [
        ("missing_value", " OR ".join(f"{name} IS NULL" for name in raw)),
        (
            "not_a_number",
            " OR ".join(
                [f"{INSTANT} IS NULL", *(f"{n} IS NULL OR NOT isfinite({n})" for n in floats)]
            ),
        ),
        ("negative_price", " OR ".join(f"{name} < 0" for name in dataset.prices)),
        ("negative_size", " OR ".join(f"{name} < 0" for name in dataset.sizes) or "FALSE"),
        ("other_day", f"{INSTANT} NOT BETWEEN {first} AND {last}"),
    ]
    cases = " ".join(f"WHEN {condition} THEN '{reason}'" for reason, condition in rules)
    return f"CASE {cases} END"


def _copy(
    connection: duckdb.DuckDBPyConnection, query: str, target: Path, metadata: Mapping[str, str]
) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    told = ", ".join(f"{quoted(key)}: {quoted(value)}" for key, value in metadata.items())
    footer = f", KV_METADATA {{{told}}}" if told else ""
    connection.execute(
        f"COPY ({query}) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd{footer})"
    )


def _counts(connection: duckdb.DuckDBPyConnection, target: Path) -> dict[str, int]:
    path = glob.escape(str(target)).replace("'", "''")
    query = f"SELECT coalesce(reason, ''), count(*) FROM read_parquet('{path}') GROUP BY ALL"
    return {str(reason): int(count) for reason, count in connection.execute(query).fetchall()}


def _meaning(error: duckdb.Error, dataset: Dataset, session_date: date) -> ProviderError:
    import duckdb

    words = " ".join(str(error).split())[:300]
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
        return ProviderError(
            f"{dataset.key(session_date)} could not be sorted: {words}; allow DuckDB more memory, "
            "or free some disk"
        )
    return GarbledAnswerError(
        f"{dataset.key(session_date)}: expected CSV of {dataset.prefix}, found: {words}; the "
        "vendor publishes mended files under the same name, try again later"
    )

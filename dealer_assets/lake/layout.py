"""Where things lie: (table, partition, part) to path and back.

Belongs here: every path and file name of the lake; nothing else builds one. Does not belong here:
touching storage (`lake/storage.py`). Paths are relative to the lake's root, with `/`.

A part's name is a function of its content's identity: the snapshot instant, with the payload's
hash where a partition holds several sources of one instant; of a stream, its first row's number.
Writing the same thing twice therefore replaces the same file, and a retry can neither lose nor
double rows.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from dealer_assets.errors import BadInputError
from dealer_assets.tables import Table

SESSION_PART = "session.parquet"
"""The only part of a partition whose table is cut by session; of one that is cut by stream, the
part that holds its first rows once they are compacted."""

SCHEMA_PART = "_schema.parquet"
"""Zero rows and the full schema, beside the partitions, so that a glob never comes up empty."""

DAY_PART = "day.parquet"
"""All parts of a closed session of a table cut by snapshot or source, one row group each, with
their names and provenance in its footer (`lake/packing.py`)."""

STAGED_SUFFIX = ".staged"
"""Ends the name of a file that is not proved yet; no glob over `*.parquet` sees it."""

_TIER_LOCKS = 256

COLD_MARK = "_cold.json"
"""Names the files of a partition that lie in cold storage, under the same path there."""

COLD_IDENTITY = "_cold_storage.json"
"""At the root of a lake and of its cold storage, the same: who belongs to whom."""

LOCKS = ".locks"
"""Folder at the lake's root of the locks that tiers need (`lake/locks.py`)."""

TEMP_PREFIX = ".tmp-"
"""Files under way; no glob over `*.parquet` sees them, as they have no suffix."""

_SUFFIX = ".parquet"
_SHA_LENGTH = 12
_PROVIDER = re.compile(r"[a-z][a-z0-9_]*")
_BATCH = re.compile(r"[a-z][a-z0-9_]*-[0-9a-f]{12}\.parquet")
_STREAM = re.compile(r"(?P<stream>[a-z][a-z0-9_]*)-(?P<first>\d{9})\.parquet")
_STREAM_ROWS = 10**9
_UNDERLYING = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA = re.compile(r"[0-9a-f]{12,64}")
_CLOCKED = re.compile(r"(\d{2})(\d{2})(\d{2})(?:\.(\d{6}))?(?:-([0-9a-f]{12}))?\.parquet")
_PARTITION = re.compile(
    r"(?:^|/)(?P<table>[a-z][a-z0-9_]*)/underlying=(?P<underlying>[^/=]+)/date=(?P<day>[^/=]+)"
    r"(?:/[^/]*)?$"
)


@dataclass(frozen=True)
class Partition:
    """One partition: a table's rows of one underlying and session.

    Parameters
    ----------
    table : str
        Table name.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Exchange-local trading date.
    """

    table: str
    underlying: str
    session_date: date


def table_dir(table: Table) -> str:
    """Return the folder of a table."""
    return table.name


def underlying_dir(table: Table, underlying: str) -> str:
    """Return the folder of a table's partitions of one underlying.

    Raises
    ------
    BadInputError
        When the symbol holds characters that would break out of its folder name.
    """
    if not _UNDERLYING.fullmatch(underlying):
        raise BadInputError(
            f"underlying {underlying!r} cannot name a folder: expected letters, digits and . _ - "
            "only; use the symbol of dealer_assets.underlyings"
        )
    return f"{table_dir(table)}/underlying={underlying}"


def partition_dir(table: Table, underlying: str, session_date: date) -> str:
    """Return the folder of a partition, e.g. ``chain_snapshots/underlying=SPX/date=2026-11-20``.

    Raises
    ------
    BadInputError
        When the symbol cannot name a folder.
    """
    return f"{underlying_dir(table, underlying)}/date={session_date:%Y-%m-%d}"


def part_path(table: Table, underlying: str, *, session_date: date, name: str) -> str:
    """Return the path of a part within the lake."""
    return f"{partition_dir(table, underlying, session_date)}/{name}"


def schema_path(table: Table) -> str:
    """Return the path of a table's zero-row schema file."""
    return f"{table_dir(table)}/{SCHEMA_PART}"


def snapshot_part(event_at: datetime) -> str:
    """Name the part of one snapshot: ``HHMMSS.parquet`` in UTC, microseconds only when nonzero.

    Raises
    ------
    BadInputError
        When the instant has no time zone.
    """
    return f"{_clock(event_at)}{_SUFFIX}"


def source_part(event_at: datetime, sha256: str) -> str:
    """Name the part of one source of a snapshot: ``HHMMSS-<first 12 digits of the hash>.parquet``.

    Raises
    ------
    BadInputError
        When the instant has no time zone, or the hash is no lower-case hexadecimal of 12 or more.
    """
    if not _SHA.fullmatch(sha256):
        raise BadInputError(
            f"source_sha256 {sha256!r} cannot name a part: expected 64 lower-case hexadecimal "
            "digits; use hashlib.sha256(payload).hexdigest()"
        )
    return f"{_clock(event_at)}-{sha256[:_SHA_LENGTH]}{_SUFFIX}"


def batch_part(provider: str, sha256: str) -> str:
    """Name the part of one batch: ``<provider>-<first 12 digits of the hash>.parquet``.

    Raises
    ------
    BadInputError
        When the provider is no lower-case word, or the hash no lower-case hexadecimal.
    """
    if not _PROVIDER.fullmatch(provider) or not _SHA.fullmatch(sha256):
        raise BadInputError(
            f"provider {provider!r} and source_sha256 {sha256!r} cannot name a part: expected a "
            "lower-case word and 64 lower-case hexadecimal digits"
        )
    return f"{provider}-{sha256[:_SHA_LENGTH]}{_SUFFIX}"


def stream_part(stream: str, first_sequence: int) -> str:
    """Name the part of a run of numbered rows: ``<stream>-<first row's number, 9 digits>.parquet``.

    Parameters
    ----------
    stream : str
        Which streaming process wrote it, a lower-case word.
    first_sequence : int
        `stream_sequence` of its first row.

    Raises
    ------
    BadInputError
        When the stream is no lower-case word, or the number has more than nine digits.
    """
    if not _PROVIDER.fullmatch(stream) or not 0 <= first_sequence < _STREAM_ROWS:
        raise BadInputError(
            f"stream {stream!r} and row number {first_sequence} cannot name a part: expected a "
            f"lower-case word and a number from 0 to {_STREAM_ROWS - 1}"
        )
    return f"{stream}-{first_sequence:09d}{_SUFFIX}"


def part_name(table: Table, *, event_at: datetime | None = None, sha256: str | None = None) -> str:
    """Name the part that rows of this identity belong in, by how the table is cut.

    Tables cut by batch or stream have no instant to be named after: see `batch_part` and
    `stream_part`.

    Parameters
    ----------
    table : Table
        Its `part` decides which of the arguments are needed.
    event_at : datetime.datetime, optional
        Snapshot instant with time zone; for ``snapshot`` and ``source`` tables.
    sha256 : str, optional
        Hash of the payload; for ``source`` tables.

    Raises
    ------
    BadInputError
        When an argument the table needs is absent or malformed.
    """
    if table.part == "session":
        return SESSION_PART
    if table.part in ("batch", "stream"):
        raise BadInputError(
            f"table {table.name} is cut by {table.part}: name its parts with {table.part}_part"
        )
    if event_at is None or (table.part == "source" and sha256 is None):
        needs = "event_at" if table.part == "snapshot" else "event_at and sha256"
        raise BadInputError(
            f"table {table.name} is cut by {table.part}: expected {needs} to name a part, "
            f"found event_at={event_at}, sha256={sha256}"
        )
    if table.part == "source" and sha256 is not None:
        return source_part(event_at, sha256)
    return snapshot_part(event_at)


def event_at_of(name: str, session_date: date) -> datetime:
    """Return the snapshot instant a part is named after.

    The name holds the UTC clock only. The date is the session's: US sessions quote between
    13:30 and 21:15 UTC, and a 24/7 session is a UTC day. The writer refuses any other instant.

    Raises
    ------
    BadInputError
        When the name is not one of a snapshot or source part.
    """
    match = _CLOCKED.fullmatch(name)
    if match is None:
        raise BadInputError(
            f"part {name!r} names no instant: expected HHMMSS.parquet or HHMMSS-<hash>.parquet, "
            "with or without microseconds"
        )
    hour, minute, second, micro = (int(group or 0) for group in match.groups()[:4])
    try:
        clock = time(hour, minute, second, micro, tzinfo=UTC)
    except ValueError as error:
        raise BadInputError(f"part {name!r} names no instant: {error}") from error
    return datetime.combine(session_date, clock)


def parse_partition(path: str) -> Partition:
    """Return the partition a folder or part belongs to.

    Parameters
    ----------
    path : str
        Partition folder or part, relative to the lake or not.

    Raises
    ------
    BadInputError
        When the path does not end in a partition folder or one of its files.
    """
    match = _PARTITION.search(path.rstrip("/"))
    if match is None:
        raise BadInputError(_no_partition(path))
    try:
        day = date.fromisoformat(match["day"])
    except ValueError as error:
        raise BadInputError(_no_partition(path)) from error
    return Partition(match["table"], match["underlying"], day)


def is_part_name(name: str) -> bool:
    """Tell a part from schema files, files under way and anything hidden."""
    return name.endswith(_SUFFIX) and not name.startswith(("_", "."))


def is_batch_name(name: str) -> bool:
    """Tell whether a name is one of `batch_part`."""
    return _BATCH.fullmatch(name) is not None


def stream_of(name: str) -> str:
    """Return the stream that a part of `stream_part` is named after; blank of any other name."""
    match = _STREAM.fullmatch(name)
    return match["stream"] if match else ""


def first_sequence_of(name: str) -> int:
    """Return the number of a stream part's first row; 0 of the compacted part.

    Raises
    ------
    BadInputError
        When the name is neither one of `stream_part` nor `SESSION_PART`.
    """
    if name == SESSION_PART:
        return 0
    match = _STREAM.fullmatch(name)
    if match is None:
        raise BadInputError(
            f"part {name!r} names no row: expected <stream>-<number of 9 digits>{_SUFFIX}, or "
            f"{SESSION_PART}"
        )
    return int(match["first"])


def part_order(name: str) -> str:
    """Sort key that puts a partition's parts in time order.

    The bare name will not do: ``.`` of the microseconds sorts before the ``p`` of the suffix, and
    a compacted part holds the rows before those of any stream's part.
    """
    return "" if name == SESSION_PART else name.removesuffix(_SUFFIX)


def folder_value(folder: str) -> str:
    """Return the value of a ``key=value`` folder name; the empty string when it is none."""
    return folder.partition("=")[2]


def temp_name(pid: int, token: str) -> str:
    """Name a file under way; process and token keep two writers apart."""
    return f"{TEMP_PREFIX}{pid}-{token}"


def staged_name(name: str, token: str) -> str:
    """Name a copy that is not proved yet; the token keeps two movers apart."""
    return f"{name}.{token}{STAGED_SUFFIX}"


def is_staged_name(name: str) -> bool:
    """Tell whether a file is a copy not proved yet, or left by a killed mover."""
    return name.endswith(STAGED_SUFFIX)


def tier_lock(folder: str) -> str:
    """Return the path of the lock of a partition's tier; a few partitions share one."""
    stripe = int(hashlib.sha256(folder.encode()).hexdigest()[:8], 16) % _TIER_LOCKS
    return f"{LOCKS}/tier-{stripe:03d}"


def is_temp_name(name: str) -> bool:
    """Tell whether a file is one under way, or left by a killed writer."""
    return name.startswith(TEMP_PREFIX)


def _clock(event_at: datetime) -> str:
    if event_at.tzinfo is None:
        raise BadInputError(f"event_at {event_at} has no time zone: expected an aware UTC instant")
    instant = event_at.astimezone(UTC)
    return f"{instant:%H%M%S}" + (f".{instant.microsecond:06d}" if instant.microsecond else "")


def _no_partition(path: str) -> str:
    return (
        f"{path!r} is no partition: expected <table>/underlying=<symbol>/date=<YYYY-MM-DD>, "
        "or a file in it"
    )

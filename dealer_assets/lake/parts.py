"""Parts as they lie: which a partition has, and what their footers say.

Belongs here: listing parts, opening them, finding one again that has changed tier since it was
listed. Does not belong here: rows (`lake/reader.py`), SQL (`lake/sql.py`), moves (`lake/tiers.py`).

Parts that were packed into a day's part (`lake/packing.py`) are listed under their own names; a
single part goes before its namesake within, so that no row is read twice while `lake/tiers.py`
moves them. Of a table cut by stream, the compacted part holds rows 0 to n - 1: parts that begin
below n lie in it and are passed over, so that no row is read twice while `lake/compaction.py`
removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets.errors import LakeError, LakeUnavailableError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.packing import PACKED_KINDS, Packed, parts_within
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import META_PREFIX, PROVENANCE_PREFIX, RESERVED
from dealer_assets.tables import Table

LISTINGS = 3
"""Times parts are looked for before giving up when one of them goes while it is read."""

Found = TypeVar("Found")


class PartGoneError(LakeError):
    """A part that is not there, or no longer."""


@dataclass(frozen=True)
class Part:
    """A part that lies in the lake: the same one in every tier.

    Parameters
    ----------
    path : str
        The part's own path within the lake, which is what it is known by; there is a file of that
        name while it lies singly.
    name : str
        File name.
    packed : Packed, optional
        Of a part within a day's part: what that one's footer says.
    """

    path: str
    name: str
    packed: Packed | None = field(default=None, repr=False, compare=False)

    @property
    def file(self) -> str:
        """Path of the file it lies in."""
        if self.packed is None:
            return self.path
        return f"{self.path.rpartition('/')[0]}/{layout.DAY_PART}"


def list_parts(lake: Lake, table: Table, underlying: str, session_date: date) -> list[Part]:
    """Return a partition's parts in time order; none when the partition does not exist."""
    folder = layout.partition_dir(table, underlying, session_date)
    for remaining in reversed(range(LISTINGS)):
        names = [name for name in lake.files(folder) if layout.is_part_name(name)]
        parts = [Part(f"{folder}/{name}", name) for name in sorted(names, key=layout.part_order)]
        try:
            return shown(lake, table, parts)
        except PartGoneError:
            if not remaining:
                raise
    return []


def shown(lake: Lake, table: Table, parts: list[Part]) -> list[Part]:
    """Of a partition's files, the parts that are read."""
    if table.part == "stream":
        return _uncovered(lake, parts)
    if table.part in PACKED_KINDS and any(part.name == layout.DAY_PART for part in parts):
        return _unpacked(lake, parts)
    return parts


def _unpacked(lake: Lake, parts: list[Part]) -> list[Part]:
    """Put in place of a day's part those within, as far as none lies beside it singly."""
    shown = {part.name: part for part in parts if part.name != layout.DAY_PART}
    day = next(part for part in parts if part.name == layout.DAY_PART)
    folder = day.path.rpartition("/")[0]
    with opened(lake, day) as file:
        for packed in parts_within(day.path, file.metadata):
            shown.setdefault(packed.name, Part(f"{folder}/{packed.name}", packed.name, packed))
    return [shown[name] for name in sorted(shown, key=layout.part_order)]


def part_metadata(lake: Lake, part: Part) -> dict[str, str]:
    """Return a part's provenance, and ``table``, ``version`` and ``code_version``.

    Only the footer is read.

    Raises
    ------
    LakeError
        When the part is corrupt or no longer there.
    SchemaError
        When the lake's writer did not write it.
    """
    told = file_metadata(lake, part)
    return {
        key.removeprefix(PROVENANCE_PREFIX).removeprefix(META_PREFIX): value
        for key, value in told.items()
        if key != f"{META_PREFIX}content_sha256"
    }


def part_rows(lake: Lake, part: Part) -> int:
    """Return how many rows a part has, from its footer; errors as `part_metadata`."""
    return following(lake, part, lambda lying: _rows_of(lake, lying))


def fingerprint(lake: Lake, part: Part) -> str:
    """Return the SHA-256 of a part's rows, from its footer: the same rows, the same identity.

    Raises
    ------
    LakeError
        When the part is corrupt or no longer there.
    SchemaError
        When the lake's writer did not write it.
    """
    return file_metadata(lake, part)[f"{META_PREFIX}content_sha256"]


def _rows_of(lake: Lake, part: Part) -> int:
    if part.packed is not None:
        return part.packed.rows
    with opened(lake, part) as file:
        return int(file.metadata.num_rows)


def file_metadata(lake: Lake, part: Part) -> dict[str, str]:
    """Return all that a part's footer says of itself, as it stands there; errors as above."""
    return following(lake, part, lambda lying: _told_by(lake, lying))


def _told_by(lake: Lake, part: Part) -> dict[str, str]:
    if part.packed is not None:
        return dict(part.packed.told)
    with opened(lake, part) as file:
        return own_metadata(part, file.metadata)


def own_metadata(part: Part, metadata: pq.FileMetaData) -> dict[str, str]:
    """Our keys of a footer, with their prefix."""
    told = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in (metadata.metadata or {}).items()
    }
    missing = sorted(key for key in RESERVED if f"{META_PREFIX}{key}" not in told)
    if missing:
        raise SchemaError(
            f"part {part.path}: expected a file written by dealer_assets.lake.writer, found one "
            f"whose metadata lacks {missing}; delete it and rebuild its partition"
        )
    return {key: value for key, value in told.items() if key.startswith(META_PREFIX)}


def following(lake: Lake, part: Part, read: Callable[[Part], Found]) -> Found:
    """Read a part; when it has changed tier since it was listed, where it lies now.

    Parameters
    ----------
    lake : Lake
        Storage.
    part : Part
        As it was listed.
    read : callable
        Reads the part that it is given.

    Raises
    ------
    LakeError
        When the part is in neither place, or is not the one that was listed any more.
    """
    for _ in range(LISTINGS - 1):
        try:
            return read(part)
        except PartGoneError:
            now = _lying_now(lake, part)
            if now is None:
                raise
            part = now
    return read(part)


def _lying_now(lake: Lake, part: Part) -> Part | None:
    """Find a part that is not where it was: singly, then in the day's part of its partition."""
    folder = part.path.rpartition("/")[0]
    single = Part(f"{folder}/{part.name}", part.name)
    try:
        told = _told_by(lake, single)
        return single if part.packed is None or told == dict(part.packed.told) else None
    except PartGoneError:
        day = Part(f"{folder}/{layout.DAY_PART}", layout.DAY_PART)
    try:
        with opened(lake, day) as file:
            inside = parts_within(day.path, file.metadata)
    except PartGoneError:
        return None
    for packed in inside:
        if packed.name == part.name and part.packed in (None, packed):
            return Part(single.path, packed.name, packed)
    return None


def by_file(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """Put parts of one file together, files in the order of their first parts."""
    files: dict[str, list[Part]] = {}
    for part in parts:
        files.setdefault(part.file, []).append(part)
    return files


def parts_of(lake: Lake, table: Table) -> list[Part]:
    """Return all parts of a table, by partition. One listing, and one footer a packed session."""
    paths = lake.files_below(layout.table_dir(table))
    found = [Part(path, path.rpartition("/")[2]) for path in paths]
    folders: dict[str, list[Part]] = {}
    for part in found:
        if layout.is_part_name(part.name):
            folders.setdefault(part.path.rpartition("/")[0], []).append(part)
    return [part for members in folders.values() for part in shown(lake, table, members)]


def _uncovered(lake: Lake, parts: list[Part]) -> list[Part]:
    """Leave out stream parts of one partition that its compacted part holds."""
    compacted = next((part for part in parts if part.name == layout.SESSION_PART), None)
    if compacted is None or len(parts) == 1:
        return parts
    held = part_rows(lake, compacted)
    return [
        part for part in parts if part is compacted or layout.first_sequence_of(part.name) >= held
    ]


@contextmanager
def opened(lake: Lake, part: Part) -> Iterator[pq.ParquetFile]:
    """Open the file that a part is, or lies in.

    Raises
    ------
    PartGoneError
        When it is not there.
    LakeError
        When it, or what is read of it, is corrupt.
    """
    source = lake.open(part.file)
    if source is None:
        _require_in_cold(lake, part)
        raise PartGoneError(
            f"part {part.file} of the lake at {lake.uri} is not there: expected one that a "
            "listing named; another process replaces the partition, list and read again"
        )
    try:
        with (
            source,
            pq.ParquetFile(
                source, page_checksum_verification=True, pre_buffer=not lake.is_local
            ) as file,
        ):
            yield file
    except (pa.ArrowException, OSError) as error:
        raise LakeError(
            f"part {part.file} of the lake at {lake.uri} cannot be read: expected a whole Parquet "
            f"file, found: {error}; {_cure(part)}"
        ) from error


def _cure(part: Part) -> str:
    if part.file.endswith(f"/{layout.DAY_PART}"):
        return "it holds all parts of its session: restore it from a backup, or import them again"
    return "delete it and rebuild its partition"


def _require_in_cold(lake: Lake, part: Part) -> None:
    """Say so when cold storage lacks a part that its mark names, and it is not here either."""
    folder, _, name = part.file.rpartition("/")
    if lake.cold is None or name not in lake.cold_mark(folder)[1]:
        return
    if lake.size_of(part.file) is None:
        raise LakeUnavailableError(
            f"{part.file} is not in cold storage at {lake.cold.uri}, where it was sent: see that "
            "the place is there (mounted, the one that DEALER_COLD_URI meant then), or restore the "
            "file from a backup"
        )

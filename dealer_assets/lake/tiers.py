"""Moves a partition's parts between tiers: single, packed into one file, in cold storage, and back.

Belongs here: the steps of a move, what is proved before anything is removed. Does not belong here:
which partitions move when (`lake/retention.py`), what a reader is shown (`lake/reader.py`,
`lake/storage.py`), streams (`lake/compaction.py`).

A move copies under a name that nobody reads, reads the copy back from storage, and then, while no
writer is at work, gives it its name and removes the originals that are still what was copied. A
single part goes before its namesake in a day's part, and a file here before its namesake in cold
storage: so readers of the lake see every row once at every moment, and a move that was killed is
finished, or begun anew, by the next. Whoever writes to a partition brings it back first. Locks are
one partition's: writers of others never wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets.errors import DealerError, LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.cold import finish_sending, recall, remove_staged, require_place, send
from dealer_assets.lake.locks import changing_tier
from dealer_assets.lake.packing import PACKED_KINDS, Packed, pack, parts_within
from dealer_assets.lake.reader import Part, file_metadata, fingerprint, list_parts, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import content_sha256, encoded
from dealer_assets.tables import Table

_HASH = "dealer.content_sha256"


@dataclass(frozen=True)
class Moved:
    """What a move did.

    Parameters
    ----------
    parts : int
        Parts, or files, that now lie elsewhere; 0 when there was nothing to do.
    bytes_before, bytes_after : int
        Their size before and after.
    """

    parts: int
    bytes_before: int
    bytes_after: int


def pack_session(lake: Lake, table: Table, *, underlying: str, session_date: date) -> Moved:
    """Put a partition's single parts into one day's part; repeating it changes nothing.

    Parameters
    ----------
    lake : Lake
        Storage.
    table : Table
        One that is cut by snapshot or source; nothing is done with others.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Partition; its session should be over.

    Returns
    -------
    Moved

    Raises
    ------
    LakeError
        When a part is corrupt, a copy does not read back equal, or a part was written meanwhile.
        Every part is then where it was.
    SchemaError, LakeUnavailableError
        As the lake's reader and writer.

    Notes
    -----
    One part's rows and the packed file are in memory. A day of 390 snapshots of 25,000 contracts
    takes about ten seconds of CPU.
    """
    folder = layout.partition_dir(table, underlying, session_date)
    if table.part not in PACKED_KINDS or not _lying(lake, folder)[0]:
        return Moved(0, 0, 0)
    _finish(lake, table, folder)
    single, packed = _lying(lake, folder)
    # other parts than were packed, or some that lie in cold storage: they are put together anew
    if single and (packed or lake.size_of(f"{folder}/{layout.COLD_MARK}") is not None):
        bring_back(lake, table, underlying=underlying, session_date=session_date)
    parts = list_parts(lake, table, underlying, session_date)
    if any(part.packed for part in parts) or len(parts) < 2:
        return Moved(0, 0, 0)
    sizes = lake.sizes(folder)
    staged = f"{folder}/{layout.staged_name(layout.DAY_PART, secrets.token_hex(4))}"
    data = pack(table, _contents(lake, table, parts))
    try:
        lake.put(staged, data)
        inside = _proved(lake, staged)
        with changing_tier(lake, folder):
            _require_unchanged(lake, folder, inside)
            lake.rename(staged, f"{folder}/{layout.DAY_PART}")
            for part in parts:
                lake.remove(part.path)
    finally:
        lake.remove(staged)
    return Moved(len(parts), sum(sizes[part.name] for part in parts), data.size)


def bring_back(lake: Lake, table: Table, *, underlying: str, session_date: date) -> Moved:
    """Have a partition lie in single parts again, here; repeating it changes nothing.

    Parameters
    ----------
    lake, table, underlying, session_date
        As in `pack_session`, of any table.

    Returns
    -------
    Moved

    Raises
    ------
    LakeError
        When something cannot be read, or does not read back equal; nothing is then removed.
    """
    folder = layout.partition_dir(table, underlying, session_date)
    with changing_tier(lake, folder):
        recalled = recall(lake, folder)
        unpacked = _unpack(lake, table, folder)
    size = sum(recalled.values())
    return unpacked if unpacked.parts else Moved(len(recalled), size, size)


def send_to_cold(lake: Lake, table: Table, *, underlying: str, session_date: date) -> Moved:
    """Move a partition's files to cold storage, byte by byte equal; repeating it changes nothing.

    Parameters
    ----------
    lake, table, underlying, session_date
        As in `pack_session`, of any table.

    Returns
    -------
    Moved

    Raises
    ------
    LakeError
        When there is no cold storage, it is not that of this lake, a copy does not read back equal,
        or a file was written meanwhile. Every file is then still here.
    """
    if lake.cold is None:
        raise LakeError("no cold storage is configured: set DEALER_COLD_URI to a folder or bucket")
    folder = layout.partition_dir(table, underlying, session_date)
    moved = sum((sizes := send(lake, lake.cold, table, folder)).values())
    return Moved(len(sizes), moved, moved)


def finish_moves(lake: Lake, tables: Sequence[Table]) -> list[str]:
    """Finish what a killed move left half done, so that a glob over the files counts no row twice.

    Returns
    -------
    list of str
        Folders of the partitions that were finished; none as a rule. One listing a table.

    Raises
    ------
    LakeError
        When a move cannot be finished; or sessions lie in cold storage and it is not configured, or
        not there: a glob would miss them without a word.
    """
    done = []
    is_cold = False
    for table in tables:
        for folder, names in partitions_of(lake, table).items():
            if layout.COLD_MARK in names and not is_cold:
                is_cold = True
                require_place(lake, folder)
            if _is_half_done(lake, table, folder, names):
                _finish(lake, table, folder)
                done.append(folder)
    return done


def tidy(lake: Lake, tables: Sequence[Table]) -> list[tuple[Table, str, str]]:
    """Finish what killed moves left, and remove their unproved copies; for one process at a time.

    Returns
    -------
    list of (Table, str, str)
        Partitions that could not be put in order, their folders, and why. They stay as they are.
    """
    problems = []
    for table in tables:
        for folder, names in partitions_of(lake, table).items():
            try:
                remove_staged(lake, folder, names)
                if _is_half_done(lake, table, folder, names):
                    _finish(lake, table, folder)
            except DealerError as error:
                problems.append((table, folder, str(error)))
    return problems


def _is_half_done(lake: Lake, table: Table, folder: str, names: Mapping[str, int]) -> bool:
    own = {name for name in names if layout.is_part_name(name)}
    if layout.DAY_PART in own and len(own) > 1 and table.part in PACKED_KINDS:
        return True
    return bool(own and layout.COLD_MARK in names and own & set(lake.cold_files(folder)))


def _finish(lake: Lake, table: Table, folder: str) -> None:
    """End a half done move of a partition; nothing is done with one that is whole."""
    with changing_tier(lake, folder):
        finish_sending(lake, folder)
        _finish_packing(lake, table, folder)


def partitions_of(lake: Lake, table: Table) -> dict[str, dict[str, int]]:
    """Return the files a table has here: partition's folder to name and bytes. One listing."""
    found: dict[str, dict[str, int]] = {}
    for path, size in lake.own_sizes_below(layout.table_dir(table)).items():
        folder, _, name = path.rpartition("/")
        if "/date=" in folder and not layout.is_temp_name(name):
            found.setdefault(folder, {})[name] = size
    return found


def _lying(lake: Lake, folder: str) -> tuple[list[str], bool]:
    """Names of a partition's single parts here, and whether there is a day's part."""
    names = [name for name in lake.sizes(folder) if layout.is_part_name(name)]
    single = sorted(name for name in names if name != layout.DAY_PART)
    return single, len(single) < len(names)


def _contents(
    lake: Lake, table: Table, parts: Sequence[Part]
) -> Iterator[tuple[str, pa.Table, Mapping[str, str]]]:
    for part in parts:
        yield part.name, read_part(lake, table, part), file_metadata(lake, part)


def _proved(lake: Lake, path: str) -> dict[str, Packed]:
    """Read a day's part back from storage; its parts by name, their rows what they are said to be.

    Raises
    ------
    LakeError
        When rows are not those whose hash their own part told.
    """
    inside = {}
    with _file(lake, path) as file:
        for packed in parts_within(path, file.metadata):
            if content_sha256(_rows(file, packed)) != packed.told[_HASH]:
                raise LakeError(
                    f"{path}: rows of {packed.name} do not read back as they were written "
                    "(their hash differs): nothing was removed; look at the storage"
                )
            inside[packed.name] = packed
    return inside


def _rows(file: pq.ParquetFile, packed: Packed) -> pa.Table:
    if packed.group < 0:
        return _as_written(file.schema_arrow.empty_table())
    return _as_written(file.read_row_group(packed.group, use_threads=False))


def _as_written(rows: pa.Table) -> pa.Table:
    """Return rows as a file gives them, in the types they were written from, whatever the version.

    Parquet names a list's elements otherwise than Arrow does, and the name enters the hash.
    """
    fields = [
        field.with_type(pa.list_(field.type.value_type)) if pa.types.is_list(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


@contextmanager
def _file(lake: Lake, path: str) -> Iterator[pq.ParquetFile]:
    data = lake.read(path)
    if data is None:
        raise LakeError(f"{path} is not there any more: another process moves it; try again")
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise LakeError(
            f"{path} of the lake at {lake.uri} cannot be read: expected a whole Parquet file, "
            f"found: {error}; nothing was removed; restore it from a backup"
        ) from error


def _require_unchanged(lake: Lake, folder: str, inside: Mapping[str, Packed]) -> None:
    single, packed = _lying(lake, folder)
    if packed or single != sorted(inside) or _differing(lake, folder, inside, single):
        raise LakeError(f"{folder} was written while it was packed: it stays as it is; try again")


def _differing(
    lake: Lake, folder: str, inside: Mapping[str, Packed], names: Sequence[str]
) -> list[str]:
    """Names of single parts that are not, to the last key of their footer, what is packed."""
    return [
        name
        for name in names
        if name not in inside
        or file_metadata(lake, Part(f"{folder}/{name}", name)) != dict(inside[name].told)
    ]


def _finish_packing(lake: Lake, table: Table, folder: str) -> None:
    """Remove single parts that a day's part holds; bring it back when others lie beside it."""
    single, packed = _lying(lake, folder)
    if not (single and packed) or table.part not in PACKED_KINDS:
        return
    # proved with writers held off: a day's part that one of them unpacks is no reason to remove
    inside = _proved(lake, f"{folder}/{layout.DAY_PART}")
    if _differing(lake, folder, inside, single):
        _unpack(lake, table, folder)
        return
    for name in single:
        lake.remove(f"{folder}/{name}")


def _unpack(lake: Lake, table: Table, folder: str) -> Moved:
    day = f"{folder}/{layout.DAY_PART}"
    before = lake.size_of(day)
    if before is None or table.part not in PACKED_KINDS:
        return Moved(0, 0, 0)
    single, _ = _lying(lake, folder)
    after = parts = 0
    with _file(lake, day) as file:
        for packed in parts_within(day, file.metadata):
            if packed.name in single:
                continue
            path = f"{folder}/{packed.name}"
            data = encoded(table, _rows(file, packed), packed.told)
            lake.put(path, data)
            _require_equal(lake, path, packed)
            parts, after = parts + 1, after + data.size
    lake.remove(day)
    return Moved(parts, before, after)


def _require_equal(lake: Lake, path: str, packed: Packed) -> None:
    with _file(lake, path) as file:
        rows = _as_written(file.read(use_threads=False))
    told = fingerprint(lake, Part(path, packed.name))
    if not content_sha256(rows) == told == packed.told[_HASH]:
        raise LakeError(
            f"{path} does not read back as it was written (its hash differs): the day's part "
            "stays; look at the storage"
        )

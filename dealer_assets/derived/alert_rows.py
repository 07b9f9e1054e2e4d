"""Rows of a running session that were read before: only parts that are new are opened.

Belongs here: the file that keeps them, and when it is believed. Does not belong here: which rows
the rules are shown (`alert_view.py`).

A session has a part for each snapshot, and every minute asks the rules anew: opening 400 small
files costs a second and a half, opening the one that is new two milliseconds. What was kept of a
part is believed while its path, size and modification time are what they were; anything odd about
the file of kept rows, and it is made anew. It may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from dealer_assets.lake import layout
from dealer_assets.lake.reader import Part, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import Table

_PART = "_part"
_STALE_SECONDS = 3600.0
_TOLD = b"parts"

Wanted = Callable[[pa.Table], pa.Table]
Stamps = dict[str, list[object]]


@dataclass(frozen=True)
class KeptRows:
    """A folder of rows that were read before.

    Parameters
    ----------
    folder : pathlib.Path
        Made when something is kept.
    """

    folder: Path

    def read(
        self,
        lake: Lake,
        table: Table,
        underlying: str,
        day: date,
        parts: Sequence[Part],
        *,
        columns: Sequence[str],
        wanted: Wanted,
        what: str,
    ) -> pa.Table:
        """Return the wanted rows of parts, in the order of the parts.

        Parameters
        ----------
        lake, table, underlying, day
            Where the parts lie.
        parts : sequence of Part
            From `list_parts`.
        columns : sequence of str
            Columns to read.
        wanted : callable
            Rows of a part -> those of them that are kept.
        what : str
            Names what `wanted` keeps: rows kept by another name are not used.
        """
        path = self.folder / f"{table.name}-{underlying}-{day}.arrow"
        stamps = _stamps(lake, layout.partition_dir(table, underlying, day), parts)
        identity = [lake.uri, table.name, table.version, list(columns), what]
        before, held = _kept(path, identity, table, columns)
        known = {name for name, stamp in stamps.items() if before.get(name) == stamp}
        fresh = [part for part in parts if part.name not in known]
        if not fresh and before.keys() == stamps.keys():
            return held.drop_columns([_PART])
        keep = pc.is_in(held[_PART], value_set=pa.array(sorted(known), pa.string()))
        read = [held.filter(keep)]
        for part in fresh:
            rows = wanted(read_part(lake, table, part, columns=columns))
            read.append(rows.append_column(_PART, pa.repeat(part.name, rows.num_rows)))
        places = pa.array([part.name for part in parts], pa.string())
        rows = pa.concat_tables(read)
        order = pc.sort_indices(pc.index_in(rows[_PART], value_set=places))
        rows = rows.take(order)  # stable: within a part rows stay as they were
        self._keep(path, rows, identity, stamps, others=f"{table.name}-{underlying}-*.arrow")
        return rows.drop_columns([_PART])

    def _keep(
        self, path: Path, rows: pa.Table, identity: list[object], stamps: Stamps, *, others: str
    ) -> None:
        """Put the rows in place at once; a disk that takes none costs time, not alerts."""
        told = json.dumps([identity, stamps]).encode()
        temporary = path.with_suffix(f".{uuid4().hex}.tmp")  # sensors are threads of one process
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with pa.OSFile(str(temporary), "wb") as sink:
                marked = rows.replace_schema_metadata({_TOLD: told})
                with pa.ipc.new_file(sink, marked.schema) as writer:
                    writer.write_table(marked)
            temporary.replace(path)
            for old in self.folder.glob(others):
                if old != path:
                    old.unlink(missing_ok=True)
            for left in self.folder.glob("*.tmp"):  # by a process that was killed
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _stamps(lake: Lake, folder: str, parts: Sequence[Part]) -> Stamps:
    """Return path, bytes and modification time of parts; those not lying here have none."""
    selector = pafs.FileSelector(lake.locate(folder), allow_not_found=True)
    infos = {info.base_name: info for info in lake.fs.get_file_info(selector)}
    stamps: Stamps = {}
    for part in parts:
        info = infos.get(part.file.rpartition("/")[2])
        if info is not None and info.mtime_ns:
            stamps[part.name] = [part.file, info.size, info.mtime_ns]
    return stamps


def _kept(
    path: Path, identity: list[object], table: Table, columns: Sequence[str]
) -> tuple[Stamps, pa.Table]:
    """Return what was kept, and of which parts; nothing where it is not to be believed."""
    schema = pa.schema([*(table.schema.field(name) for name in columns), (_PART, pa.string())])
    try:
        rows = pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()
        found, stamps = json.loads(rows.schema.metadata[_TOLD])
        rows = rows.replace_schema_metadata(None)
        if found == identity and rows.schema.equals(schema):
            return stamps, rows
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError):
        pass  # none yet, of another release, or damaged: made anew
    return {}, schema.empty_table()

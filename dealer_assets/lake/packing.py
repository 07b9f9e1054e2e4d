"""A session's many parts in one file: its bytes, and the footer that tells its parts apart.

Belongs here: the format of a day's part. Does not belong here: when parts are packed and what is
deleted (`lake/tiers.py`), what a reader is shown (`lake/reader.py`).

Parts follow one another in time, each a row group of its own, and the footer holds of every part
its name and its own metadata (provenance, code version, hash of its rows). So a packed part is the
same part: same name, rows, fingerprint. The last snapshot is the last row group. Bytes follow from
the parts alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets.errors import LakeError
from dealer_assets.tables import Table

PARTS_KEY = "dealer.parts"
"""Footer key of the list of parts."""

PACKED_KINDS = ("snapshot", "source")
"""How tables are cut whose sessions come in many small parts; streams have `lake/compaction.py`."""


@dataclass(frozen=True)
class Packed:
    """One part within a day's part.

    Parameters
    ----------
    name : str
        The part's own name.
    rows : int
        Rows it has.
    group : int
        Its row group; -1 of a part without rows.
    told : mapping of str to str
        Its own file metadata, keys as in a file.
    """

    name: str
    rows: int
    group: int
    told: Mapping[str, str]


def pack(table: Table, parts: Iterable[tuple[str, pa.Table, Mapping[str, str]]]) -> pa.Buffer:
    """Return the bytes of a day's part.

    Parameters
    ----------
    table : Table
        Dictionary entry.
    parts : iterable of (str, pyarrow.Table, mapping)
        Name, rows and file metadata of each part, in time order; one is in memory at a time.
    """
    from dealer_assets.lake.writer import part_writer

    sink = pa.BufferOutputStream()
    entries: list[dict[str, object]] = []
    group = 0
    first: dict[str, str] = {}
    with part_writer(table, table.schema, sink) as writer:
        for name, rows, told in parts:
            first = first or dict(told)
            if rows.num_rows:
                writer.write_table(rows, row_group_size=rows.num_rows)
            entries.append(
                {
                    "name": name,
                    "rows": rows.num_rows,
                    "group": group if rows.num_rows else -1,
                    "told": dict(sorted(told.items())),
                }
            )
            group += rows.num_rows > 0
        text = json.dumps(entries, separators=(",", ":"))
        own = {
            "dealer.table": table.name,
            "dealer.version": first["dealer.version"],
            "dealer.code_version": first["dealer.code_version"],
            "dealer.content_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        writer.add_key_value_metadata({**own, PARTS_KEY: text})
    return sink.getvalue()


def parts_within(path: str, metadata: pq.FileMetaData) -> tuple[Packed, ...]:
    """Return the parts of a day's part, in time order.

    Raises
    ------
    LakeError
        When the footer has no list of parts, or one that does not fit the file.
    """
    text = (metadata.metadata or {}).get(PARTS_KEY.encode())
    if text is None:
        raise LakeError(
            f"part {path}: expected the list of its parts in the footer, found none; somebody else "
            "wrote it: move it out of the lake"
        )
    found = tuple(Packed(e["name"], e["rows"], e["group"], e["told"]) for e in json.loads(text))
    if sum(entry.rows for entry in found) != metadata.num_rows:
        raise LakeError(
            f"part {path}: its footer lists {sum(e.rows for e in found)} rows in {len(found)} "
            f"parts, the file has {metadata.num_rows}; restore it from a backup"
        )
    return found

"""A lock per partition, for the few writes that read before they write.

Belongs here: mutual exclusion between processes on one machine. Does not belong here: atomicity of
a single part, which needs no lock (`writer`). The kernel drops the lock when its holder dies, so a
killed process never blocks the next. An S3 lake has no such lock: there, imports of the *same
instant* from different sources must go through one process.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from pyarrow.fs import LocalFileSystem

from dealer_assets.errors import LakeUnavailableError
from dealer_assets.lake.layout import partition_dir
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import Table

LOCK_NAME = ".lock"


@contextmanager
def exclusive(lake: Lake, table: Table, *, underlying: str, session_date: date) -> Iterator[None]:
    """Hold a partition alone while reading and rewriting its parts.

    Parameters
    ----------
    lake : Lake
        Storage; only a local one is locked.
    table : Table
        Table of the partition.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Partition.

    Raises
    ------
    LakeUnavailableError
        When the lock file cannot be made.
    """
    if not isinstance(lake.fs, LocalFileSystem):
        yield
        return
    folder = Path(lake.root) / partition_dir(table, underlying, session_date)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise LakeUnavailableError(
            f"cannot write to the lake at {lake.uri}: {error.strerror or error}. Check the "
            "folder's permissions, or set DEALER_LAKE_URI to a writable place"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

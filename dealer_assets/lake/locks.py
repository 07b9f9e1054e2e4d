"""A lock per partition, for the few writes that read before they write; locks of the tiers.

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

from dealer_assets.errors import LakeError, LakeUnavailableError
from dealer_assets.lake.layout import LOCKS, partition_dir, tier_lock
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
    folder = Path(lake.root) / partition_dir(table, underlying, session_date)
    with _locked(lake, folder / LOCK_NAME, fcntl.LOCK_EX):
        yield


@contextmanager
def sharing_tier(lake: Lake, folder: str) -> Iterator[None]:
    """Keep a partition's parts from changing tier while one is written; many hold it at once."""
    with _locked(lake, Path(lake.root) / tier_lock(folder), fcntl.LOCK_SH):
        yield


@contextmanager
def changing_tier(lake: Lake, folder: str) -> Iterator[None]:
    """Hold a partition's writers off, for the moment in which parts give way to another tier's.

    Writers of other partitions go on. On S3 nobody is held off: there, sessions must not be written
    anew while they change tier.
    """
    with (
        _locked(lake, Path(lake.root) / LOCKS / "tiers", fcntl.LOCK_SH),
        _locked(lake, Path(lake.root) / tier_lock(folder), fcntl.LOCK_EX),
    ):
        yield


@contextmanager
def holding_tiers(lake: Lake) -> Iterator[None]:
    """Keep every part of the lake in its tier: for those that read by glob. Writing goes on."""
    with _locked(lake, Path(lake.root) / LOCKS / "tiers", fcntl.LOCK_EX):
        yield


@contextmanager
def retaining_alone(lake: Lake) -> Iterator[None]:
    """Be the only one that moves old sessions.

    Raises
    ------
    LakeError
        When another process does. On S3 this cannot be known.
    """
    with _locked(lake, Path(lake.root) / LOCKS / "retention", fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(lake: Lake, path: Path, how: int) -> Iterator[None]:
    if not isinstance(lake.fs, LocalFileSystem):
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise LakeUnavailableError(
            f"cannot write to the lake at {lake.uri}: {error.strerror or error}. Check the "
            "folder's permissions, or set DEALER_LAKE_URI to a writable place"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError as error:
            raise LakeError(
                f"another process moves old sessions of the lake at {lake.uri}: expected to be the "
                "only one; wait until it has ended, what it leaves is done by the next run"
            ) from error
        yield

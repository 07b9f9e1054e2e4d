"""A file that one process holds at a time.

Belongs here: mutual exclusion on one machine. Does not belong here: what is protected. The kernel
drops the lock when its holder dies, so a killed process never blocks the next.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dealer_assets.errors import LakeError, LakeUnavailableError


class AlreadyHeldError(LakeError):
    """Another process holds the file."""


class FileLock:
    """An exclusive lock, taken at once or refused.

    Parameters
    ----------
    path : pathlib.Path
        The lock's file; its folder is made when absent. It holds its holder's process number.

    Raises
    ------
    AlreadyHeldError
        When another process, or another object of this one, holds it.
    LakeUnavailableError
        When the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = _take(path)
        except OSError as error:
            raise LakeUnavailableError(
                f"cannot make {path}: {error}; check that the folder is yours to write and has "
                "room, or set DEALER_DATA_DIR to another place"
            ) from error
        with suppress(OSError):  # of a full disk: the lock holds without its holder's number
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go, and remove the file; a second call does nothing."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)  # while it is held: nobody else can have it
            os.close(self._fd)
            self._fd = -1


def _take(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise AlreadyHeldError(
                f"{path} is held by process {holder}: expected no other streaming process of this "
                "stream and session; stop it, or start this one with another data folder"
            ) from None
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # its holder removed it between our opening and locking it


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False

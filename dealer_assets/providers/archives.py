"""Delivered files as members: plain, gzip, tar or zip, known by content and unpacked on the way.

Belongs here: opening and unpacking, its limits, and what is no data at all (empty, a web page).
Does not belong here: formats (one module each) or choosing one (`files`, `record_files`).

A member can be read whole, up to a limit, or as a stream of any length: a day of ticks or of swap
reports is larger than the memory. Tar archives, and archives within gzip, are unpacked in memory.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from dealer_assets.errors import BadInputError

HEAD_BYTES = 4096
"""What a format may look at to recognise itself."""

MAX_BYTES = 512 * 1024**2
"""A file read whole may have this many bytes unpacked; the largest recorded chain has 5 million.
More is an archive made to fill the memory."""

_GZIP, _TAR = b"\x1f\x8b", b"ustar"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second of an empty one
_START_BYTES = 512
_DAMAGE = (EOFError, OSError, zlib.error, tarfile.TarError, zipfile.BadZipFile)
_WEB_PAGE = (b"<!doctype", b"<html", b"<?xml")


@dataclass(frozen=True)
class Member:
    """One file of a delivery; readable while `members` has not moved on.

    Parameters
    ----------
    name : str
        File name, or ``archive:member``, without folders.
    opener : callable
        Opens a stream at the start of the unpacked content.
    """

    name: str
    opener: Callable[[], IO[bytes]]

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give a stream from the start; may be done again.

        Raises
        ------
        BadInputError
            When the archive turns out damaged or cut short, also while the stream is read.
        """
        with _naming_damage(self.name):
            try:
                stream = self.opener()
            except RuntimeError as error:  # zipfile: encrypted, or an unknown compression
                raise zipfile.BadZipFile(str(error)) from error
            with stream:
                yield stream

    def head(self) -> bytes:
        """Return the first `HEAD_BYTES`, by which formats recognise themselves."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    def read(self, *, limit: int) -> bytes:
        """Return the whole content.

        Raises
        ------
        BadInputError
            When it has more bytes than `limit`, or the archive is damaged.
        """
        with self.open() as stream:
            return _limited(stream, self.name, limit)


class Bytes(Protocol):
    """What can be read from its current position."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; all that is left when it is negative."""
        ...


class HashingReader:
    """A stream that hashes what is read through it: the hash of a file too large to hold.

    Parameters
    ----------
    stream : Bytes
        Read from its current position.
    """

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._hash = sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Read and hash."""
        content = self._stream.read(size)
        self._hash.update(content)
        return content

    def hexdigest(self) -> str:
        """Read what is left, and return the SHA-256 of everything."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


def members(path: Path, *, name: str, limit: int = MAX_BYTES) -> Iterator[Member]:
    """Yield the files of a delivery in the order of their names.

    Parameters
    ----------
    path : pathlib.Path
        Plain file, gzip, tar or zip, whatever its suffix.
    name : str
        Its name, for messages and provenance.
    limit : int
        Largest archive that is unpacked in memory, in bytes.

    Raises
    ------
    BadInputError
        When the file cannot be read, or is a damaged archive or one beyond the limit.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise BadInputError(
            f"{name}: expected a readable file at {path}, found: {error.strerror or error}"
        ) from error
    with _naming_damage(name):
        opener: Callable[[], IO[bytes]] = partial(_plain, path)
        if start.startswith(_GZIP):
            opener = partial(_gunzip, path)
            with opener() as file:
                start = file.read(_START_BYTES)
            if _is_archive(start):
                with opener() as file:
                    opener = partial(io.BytesIO, _limited(file, name, limit))
        if start.startswith(_ZIP):
            with opener() as file:
                yield from _zip_members(file, name)
        elif _is_archive(start):
            with opener() as file:
                yield from _tar_members(_limited(file, name, limit), name)
        else:
            yield Member(name, opener)


def refuse_what_is_no_data(head: bytes, name: str, *, expected: str) -> None:
    """Refuse an empty file and a web page; `expected` says what was hoped for.

    Raises
    ------
    BadInputError
        With the remedy.
    """
    if not head.strip():
        raise BadInputError(f"{name}: expected {expected}, found an empty file: download it again")
    if head.lstrip().lower().startswith(_WEB_PAGE):
        raise BadInputError(
            f"{name}: expected {expected}, found a web page: the vendor refused the download"
        )


@contextmanager
def _naming_damage(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BadInputError(
            f"{name}: expected a whole archive, found it damaged or cut short ({error}): "
            "download it again"
        ) from error


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _gunzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb"))  # closed by whoever opens the member


def _is_archive(start: bytes) -> bool:
    return start.startswith(_ZIP) or start[257:262] == _TAR


def _limited(stream: IO[bytes], name: str, limit: int) -> bytes:
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise BadInputError(f"{name}: expected at most {limit:,} bytes unpacked, found more")
    return content


def _tar_members(payload: bytes, name: str) -> Iterator[Member]:
    with tarfile.open(fileobj=io.BytesIO(payload), mode="r:") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if _is_data(member.name) else None
            if file is not None:  # None for folders and links
                content = file.read()
                if len(content) != member.size:
                    raise EOFError(f"member {member.name} is short")
                yield Member(_member_name(name, member.name), partial(io.BytesIO, content))


def _zip_members(file: IO[bytes], name: str) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not info.is_dir() and _is_data(info.filename):
                yield Member(_member_name(name, info.filename), partial(archive.open, info))


def _member_name(archive: str, path: str) -> str:
    return f"{archive}:{PurePosixPath(path).name}"


def _is_data(path: str) -> bool:
    """Pass over the hidden files that macOS adds to archives."""
    parts = PurePosixPath(path).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts)

"""A chain file of any known format to snapshots.

Belongs here: reading bytes, unpacking archives, choosing the format. Does not belong here: the
formats (one module each), judging (`assembly`), storage.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Protocol

from dealer_assets.errors import BadInputError
from dealer_assets.providers import cboe_csv, cboe_json, deribit_csv, eod_l3, yahoo
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date

__all__ = ["format_names", "named_date", "read_chain_file"]

HEAD_BYTES = 4096
"""What a format may look at to recognise itself."""

MAX_BYTES = 512 * 1024**2
"""An unpacked file may have this many bytes; the largest recorded chain has 5 million. More is an
archive made to fill the memory."""


# zipfile reports encryption and unknown compression as RuntimeError.
_DAMAGE = (EOFError, OSError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


class ChainFormat(Protocol):
    """What a format's module offers."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Tell whether a payload is of this format."""
        ...

    def parse(self, payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
        """Parse a payload of this format."""
        ...


_FORMATS: dict[str, ChainFormat] = {
    "cboe_csv": cboe_csv,
    "cboe_json": cboe_json,
    "eod_l3": eod_l3,
    "yahoo": yahoo,
    "deribit_csv": deribit_csv,
}


def format_names() -> tuple[str, ...]:
    """Return the names of the known formats, in the order in which they are tried."""
    return tuple(_FORMATS)


def read_chain_file(path: Path, *, name: str | None = None) -> list[ChainSnapshot]:
    """Read a chain file: plain, gzip, tar or zip, one chain per member.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    name : str, optional
        Its name where `path` is a temporary one; its date and leading word are read.

    Returns
    -------
    list of ChainSnapshot
        In the archive's order of names. A member is named ``archive:member``, so that a date in
        the archive's name dates its members.

    Raises
    ------
    BadInputError
        When the file cannot be read, is empty, a damaged archive, a web page, of no known format,
        or its contents are refused by `assembly.assemble`; the message names the file.
    """
    name = name or path.name
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{name}: expected a readable file at {path}, found: {error.strerror or error}"
        ) from error
    snapshots: list[ChainSnapshot] = []
    for member_name, content in _members(payload, name):
        snapshots += _read_payload(content, member_name)
    if not snapshots:
        raise BadInputError(f"{name}: expected an archive with chain files, found no file in it")
    return snapshots


def _read_payload(payload: bytes, name: str) -> list[ChainSnapshot]:
    if not payload.strip():
        raise BadInputError(f"{name}: expected a chain, found an empty file: download it again")
    head = payload[:HEAD_BYTES]
    for chain_format in _FORMATS.values():
        if chain_format.sniff(head, name):
            digest = sha256(payload).hexdigest()
            return [assemble(raw) for raw in chain_format.parse(payload, name=name, sha256=digest)]
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadInputError(
            f"{name}: expected a chain, found a web page: the vendor refused the download"
        )
    raise BadInputError(
        f"{name}: expected one of the formats {', '.join(_FORMATS)}, found none of them; it starts "
        f"with {head[:60]!r}"
    )


def _members(payload: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each chain in a file, unpacked; archives are known by content."""
    try:
        if payload.startswith(b"\x1f\x8b"):
            payload = _gunzip(payload, name)
        if payload.startswith(b"PK\x03\x04"):
            yield from _zip_members(payload, name)
        elif payload[257:262] == b"ustar":
            yield from _tar_members(payload, name)
        else:
            yield name, payload
    except _DAMAGE as error:
        raise BadInputError(
            f"{name}: expected a whole archive, found it damaged or cut short ({error}): "
            "download it again"
        ) from error


def _gunzip(payload: bytes, name: str) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
        return _limited(file.read(MAX_BYTES + 1), name)


def _limited(content: bytes, name: str) -> bytes:
    if len(content) > MAX_BYTES:
        raise BadInputError(f"{name}: expected at most {MAX_BYTES:,} bytes unpacked, found more")
    return content


def _tar_members(payload: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(payload), mode="r:") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if _is_chain_member(member.name) else None
            if file is not None:  # None for folders and links
                content = file.read()
                if len(content) != member.size:
                    raise EOFError(f"member {member.name} is short")
                yield f"{name}:{PurePosixPath(member.name).name}", content


def _zip_members(payload: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.is_dir() or not _is_chain_member(info.filename):
                continue
            if info.file_size > MAX_BYTES:
                raise BadInputError(f"{name}: member {info.filename} is larger than {MAX_BYTES:,}")
            yield f"{name}:{PurePosixPath(info.filename).name}", archive.read(info)


def _is_chain_member(path: str) -> bool:
    """Pass over the hidden files that macOS adds to archives."""
    parts = PurePosixPath(path).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts)

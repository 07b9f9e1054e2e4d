"""A chain file of any known format to snapshots.

Belongs here: choosing the format. Does not belong here: unpacking (`archives`), the formats (one
module each), judging (`assembly`), files that hold no chain (`record_files`), storage.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Protocol

from dealer_assets.errors import BadInputError
from dealer_assets.providers import (
    archives,
    cboe_csv,
    cboe_json,
    deribit_csv,
    eod_l3,
    tardis,
    yahoo,
)
from dealer_assets.providers.archives import Member, refuse_what_is_no_data
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date

__all__ = ["format_names", "named_date", "read_chain_file", "sniff_chain_file"]

MAX_BYTES = archives.MAX_BYTES
"""A chain file that is not read as a stream may have this many bytes unpacked."""


class ChainFormat(Protocol):
    """What the module of a format offers that is read whole."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Tell whether a payload is of this format."""
        ...

    def parse(self, payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
        """Parse a payload of this format."""
        ...


class StreamedChainFormat(Protocol):
    """What the module of a format offers whose files are larger than the memory."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Tell whether a payload is of this format."""
        ...

    def read(self, member: Member) -> list[RawChain]:
        """Parse a file of this format, holding little of it at a time."""
        ...


_STREAMED: dict[str, StreamedChainFormat] = {"tardis": tardis}
_FORMATS: dict[str, ChainFormat] = {
    "cboe_csv": cboe_csv,
    "cboe_json": cboe_json,
    "eod_l3": eod_l3,
    "yahoo": yahoo,
    "deribit_csv": deribit_csv,
}


def format_names() -> tuple[str, ...]:
    """Return the names of the known formats."""
    return (*_FORMATS, *_STREAMED)


def sniff_chain_file(head: bytes, name: str) -> str | None:
    """Return the format that a payload starts like, or None when it is no chain.

    Parameters
    ----------
    head : bytes
        First `archives.HEAD_BYTES`, unpacked.
    name : str
        File name.
    """
    for format_name, streamed in _STREAMED.items():
        if streamed.sniff(head, name):
            return format_name
    return next((known for known, module in _FORMATS.items() if module.sniff(head, name)), None)


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
        the archive's name dates its members. A file of ticks gives several, ascending in time.

    Raises
    ------
    BadInputError
        When the file cannot be read, is empty, a damaged archive, a web page, of no known format,
        or its contents are refused by `assembly.assemble`; the message names the file.
    """
    name = name or path.name
    snapshots: list[ChainSnapshot] = []
    for member in archives.members(path, name=name, limit=MAX_BYTES):
        snapshots += _read_member(member)
    if not snapshots:
        raise BadInputError(f"{name}: expected an archive with chain files, found no file in it")
    return snapshots


def _read_member(member: Member) -> list[ChainSnapshot]:
    head = member.head()
    format_name = sniff_chain_file(head, member.name)
    if format_name in _STREAMED:
        return [assemble(raw) for raw in _STREAMED[format_name].read(member)]
    payload = member.read(limit=MAX_BYTES)
    if format_name is not None:
        digest = sha256(payload).hexdigest()
        chains = _FORMATS[format_name].parse(payload, name=member.name, sha256=digest)
        return [assemble(raw) for raw in chains]
    refuse_what_is_no_data(payload, member.name, expected="a chain")
    raise BadInputError(
        f"{member.name}: expected one of the formats {', '.join(format_names())}, found none of "
        f"them; it starts with {head[:60]!r}"
    )

"""A file of anything but chains to records: trades, open interest, positions, OTC reports, rates.

Belongs here: choosing the format. Does not belong here: unpacking (`archives`), the formats (one
module each), chains (`files`), storage.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Protocol

from dealer_assets.errors import BadInputError
from dealer_assets.providers import (
    archives,
    blotter,
    files,
    occ,
    open_close,
    price_csv,
    reference_rates,
    tardis_records,
)
from dealer_assets.providers.archives import Member, refuse_what_is_no_data
from dealer_assets.providers.base import Records
from dealer_assets.providers.cme import datamine_csv, settlement_text, website_json
from dealer_assets.providers.dtcc import records as dtcc

MAX_BYTES = archives.MAX_BYTES
"""A file that is not read as a stream may have this many bytes unpacked."""


class RecordFormat(Protocol):
    """What the module of a format offers that is read whole."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Tell whether a payload is of this format."""
        ...

    def parse(self, payload: bytes, *, name: str, sha256: str) -> list[Records]:
        """Parse a payload of this format."""
        ...


class StreamedRecordFormat(Protocol):
    """What the module of a format offers whose files are larger than the memory."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Tell whether a payload is of this format."""
        ...

    def read(self, member: Member) -> list[Records]:
        """Parse a file of this format, holding little of it at a time."""
        ...


_STREAMED: dict[str, StreamedRecordFormat] = {"dtcc": dtcc, "cme_csv": datamine_csv}
_FORMATS: dict[str, RecordFormat] = {
    "blotter": blotter,
    "cme_text": settlement_text,
    "cme_json": website_json,
    "open_close": open_close,
    "occ": occ,
    "reference_rates": reference_rates,
    "price_csv": price_csv,
    "tardis_trades": tardis_records,
}


def record_format_names() -> tuple[str, ...]:
    """Return the names of the known formats."""
    return (*_FORMATS, *_STREAMED)


def sniff_record_file(head: bytes, name: str) -> str | None:
    """Return the format that a payload starts like, or None when it is none of these.

    Parameters
    ----------
    head : bytes
        First `archives.HEAD_BYTES`, unpacked.
    name : str
        File name.
    """
    for names in (_STREAMED, _FORMATS):
        for format_name, module in names.items():
            if module.sniff(head, name):
                return format_name
    return None


def is_record_file(path: Path, *, name: str | None = None) -> bool:
    """Tell whether a file is to be read here and not as chains.

    Parameters
    ----------
    path : pathlib.Path
        Plain or an archive, of which the first member decides.
    name : str, optional
        Its name where `path` is a temporary one.

    Returns
    -------
    bool
        True also for a file that is neither, but no empty file or web page: `read_record_file`
        refuses it with the names of all formats.

    Raises
    ------
    BadInputError
        When the file cannot be read, or is a damaged archive.
    """
    name = name or path.name
    for member in archives.members(path, name=name, limit=MAX_BYTES):
        head = member.head()
        if sniff_record_file(head, member.name):
            return True
        return not (files.sniff_chain_file(head, member.name) or _is_no_data(head))
    return False


def read_record_file(path: Path, *, name: str | None = None) -> list[Records]:
    """Read a file of records: plain, gzip, tar or zip, member by member.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    name : str, optional
        Its name where `path` is a temporary one; some formats read date or series from it.

    Returns
    -------
    list of Records
        In the archive's order of names; a member is named ``archive:member``. Tables of CME's
        website that came together are held against each other.

    Raises
    ------
    BadInputError
        When the file cannot be read, is empty, a damaged archive, a web page, of no known format,
        or its format refuses it; the message names the file.
    """
    name = name or path.name
    found: list[Records] = []
    members = 0
    for member in archives.members(path, name=name, limit=MAX_BYTES):
        members += 1
        found += _read_member(member)
    if not members:
        raise BadInputError(f"{name}: expected an archive with files, found no file in it")
    return website_json.reconcile(found)


def _read_member(member: Member) -> list[Records]:
    head = member.head()
    format_name = sniff_record_file(head, member.name)
    if format_name in _STREAMED:
        return _STREAMED[format_name].read(member)
    if format_name is not None:
        payload = member.read(limit=MAX_BYTES)
        digest = sha256(payload).hexdigest()
        return _FORMATS[format_name].parse(payload, name=member.name, sha256=digest)
    refuse_what_is_no_data(head, member.name, expected="a chain or records")
    chain_format = files.sniff_chain_file(head, member.name)
    if chain_format:
        raise BadInputError(
            f"{member.name}: expected records, found a chain of format {chain_format}: import it "
            "apart from files of other kinds"
        )
    raise BadInputError(
        f"{member.name}: expected a chain ({', '.join(files.format_names())}) or records "
        f"({', '.join(record_format_names())}), found none of these formats; it starts with "
        f"{head[:60]!r}"
    )


def _is_no_data(head: bytes) -> bool:
    try:
        refuse_what_is_no_data(head, "", expected="")
    except BadInputError:
        return True
    return False

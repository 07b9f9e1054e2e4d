"""The files of the cache: their names, and the bytes in them.

Belongs here: encoding and decoding, with checksums. Does not belong here: reading or writing them
(`cache_day`), what is held (`cache`).

A payload is a record: one line of JSON (name, SHA-256, size) and the zstd of its bytes. A pack is
records one after the other; the index says where each lies. The index is lines of JSON: a summary
with the SHA-256 of the rest, then one entry a line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import date

import pyarrow as pa

INDEX = "index.json"
LOCK = ".lock"
SUMMARY_BYTES = 1024
"""The summary line is shorter than this."""

_PIECE, _PACK = ".piece", ".pack"
_CODEC = "zstd"
_READABLE_LENGTH = 60
_FOLDER_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_folder_word(word: str) -> bool:
    """Tell whether a word can name a folder on any file system."""
    return _FOLDER_WORD.fullmatch(word) is not None


def is_day(folder: str) -> bool:
    """Tell whether a folder is one of a session: provider, dataset, underlying, date."""
    *words, day = folder.split("/")
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return len(words) == 3


def piece_file(piece: str) -> str:
    """Name the file of a payload: readable as far as it goes, and unlike any other's."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", piece)[:_READABLE_LENGTH]
    return f"p-{readable}-{_sha256(piece.encode())[:16]}{_PIECE}"


def pack_file(content: bytes) -> str:
    """Name a pack after what is in it: two processes that pack the same write the same file."""
    return f"{_sha256(content)[:32]}{_PACK}"


def is_piece_file(name: str) -> bool:
    """Tell whether a file is a payload of its own."""
    return name.endswith(_PIECE)


def is_ours(name: str) -> bool:
    """Tell whether a file holds payloads, or the index; not locks and files under way."""
    return name == INDEX or name.endswith((_PIECE, _PACK))


def encode(piece: str, payload: bytes) -> bytes:
    """Return the record of a payload."""
    head = {"piece": piece, "sha256": _sha256(payload), "bytes": len(payload)}
    return json.dumps(head).encode() + b"\n" + bytes(pa.compress(payload, _CODEC, asbytes=True))


def decode(record: bytes, piece: str) -> tuple[bytes | None, str]:
    """Return the payload of a record, or None and what is wrong with it."""
    if not record:
        return None, "expected a payload, found none"
    line, _, body = record.partition(b"\n")
    try:
        head = json.loads(line)
        name, sha256, size = str(head["piece"]), str(head["sha256"]), int(head["bytes"])
        payload = bytes(pa.decompress(body, size, _CODEC, asbytes=True))
    except (ValueError, KeyError, TypeError, OverflowError, OSError, pa.ArrowException) as error:
        return None, f"cannot be decompressed ({type(error).__name__})"
    if name != piece:
        return None, f"holds {name!r} instead"
    if len(payload) != size or _sha256(payload) != sha256:
        return None, "does not match its SHA-256"
    return payload, ""


def piece_of(record: bytes) -> str:
    """Return the name in a record; blank when it cannot be read."""
    try:
        return str(json.loads(record.partition(b"\n")[0])["piece"])
    except (ValueError, KeyError, TypeError):
        return ""


@dataclass(frozen=True)
class Entry:
    """Where a payload lies.

    Parameters
    ----------
    sha256 : str
        Hash of the payload.
    bytes : int
        Its size.
    file : str
        File in the day's folder.
    offset, length : int
        Place of its record in the file.
    """

    sha256: str
    bytes: int
    file: str
    offset: int
    length: int


def entry_of(record: bytes, file: str, *, offset: int) -> Entry:
    """Return the entry of an unharmed record."""
    head = json.loads(record.partition(b"\n")[0])
    return Entry(head["sha256"], head["bytes"], file, offset, len(record))


@dataclass(frozen=True)
class Summary:
    """First line of an index.

    Parameters
    ----------
    pieces : int
        Entries.
    loose : int
        Those that are files of their own.
    is_complete : bool
        They are all there is.
    """

    pieces: int = 0
    loose: int = 0
    is_complete: bool = False


@dataclass(frozen=True)
class Index:
    """What a day holds, as it was last written down.

    Parameters
    ----------
    entries : mapping of str to Entry
        By payload's name.
    is_complete : bool
        They are all there is.
    damage : str
        Why it could not be read; blank otherwise.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    is_complete: bool = False
    damage: str = ""

    @property
    def files(self) -> set[str]:
        """Files that the entries lie in."""
        return {entry.file for entry in self.entries.values()}

    def encode(self) -> bytes:
        """Return the index as bytes; the same entries give the same bytes."""
        lines = [json.dumps([name, *astuple(self.entries[name])]) for name in sorted(self.entries)]
        body = "".join(f"{line}\n" for line in lines).encode()
        summary = {
            "pieces": len(self.entries),
            "loose": sum(is_piece_file(entry.file) for entry in self.entries.values()),
            "is_complete": self.is_complete,
            "sha256": _sha256(body),
        }
        return json.dumps(summary).encode() + b"\n" + body

    @classmethod
    def decode(cls, content: bytes | None) -> Index:
        """Read an index; one that is absent or damaged has no entry."""
        if content is None:
            return cls()
        line, _, body = content.partition(b"\n")
        try:
            summary = json.loads(line)
            if summary["sha256"] != _sha256(body):
                return cls(damage="does not match its SHA-256: the session counts as not held")
            rows = [json.loads(row) for row in body.splitlines()]
            return cls({row[0]: Entry(*row[1:]) for row in rows}, bool(summary["is_complete"]))
        except (ValueError, KeyError, TypeError) as error:
            return cls(damage=f"cannot be read ({error}): the session counts as not held")


def read_summary(beginning: bytes) -> Summary:
    """Read the summary from the beginning of an index; of a damaged one, nothing is held."""
    try:
        told = json.loads(beginning.partition(b"\n")[0])
        return Summary(int(told["pieces"]), int(told["loose"]), bool(told["is_complete"]))
    except (ValueError, KeyError, TypeError):
        return Summary()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

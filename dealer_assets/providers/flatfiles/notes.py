"""What is remembered beside a fetched file: its tag, size and hash; and the lock that guards it.

Belongs here: the small files next to a large one. Does not belong here: fetching (`bucket`), or
which files stay (`store`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_PART = ".part"


@dataclass(frozen=True)
class Note:
    """What is known of a file.

    Parameters
    ----------
    etag : str
        The bucket's tag of the version.
    bytes : int
        Size of the whole file.
    sha256 : str
        Hash of the whole file; blank while it is being fetched.
    """

    etag: str
    bytes: int
    sha256: str = ""


def _place(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def read_note(path: Path) -> Note | None:
    """Return the note beside a file, or None when there is none that can be read."""
    try:
        return Note(**json.loads(_place(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_note(path: Path, note: Note) -> None:
    """Write the note beside a file, whole or not at all."""
    temp = path.with_name(path.name + ".json.tmp")
    temp.write_text(json.dumps(asdict(note)))
    temp.replace(_place(path))


def remove_with_note(path: Path) -> None:
    """Remove a file and its note; neither has to be there."""
    path.unlink(missing_ok=True)
    _place(path).unlink(missing_ok=True)


def whole_file(path: Path) -> Note | None:
    """Return the note of a file that is as it was fetched, or None; its bytes are hashed."""
    note = read_note(path)
    try:
        if note is None or path.stat().st_size != note.bytes:
            return None
        return note if hash_of(path) == note.sha256 else None
    except OSError:
        return None


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = sha256_of()
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file alone, waiting for other processes and threads; dropped when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(path).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove_if_unused(path: Path) -> bool:
    """Remove a file and its note unless somebody holds it; tell whether it was removed."""
    with _lock_file(path).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        remove_with_note(path)
        return True


def part_of(path: Path) -> Path:
    """Return where the beginning of a file lies while it is being fetched."""
    return path.with_name(path.name + _PART)


def _lock_file(path: Path) -> Path:
    """One lock guards a file and its part."""
    return path.with_name(path.name.removesuffix(_PART) + ".lock")

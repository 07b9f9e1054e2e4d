"""The inbox: files dropped into a folder become snapshots, or come back with a reason.

Belongs here: what happens to a dropped file. Does not belong here: when the folder is looked at
(`defs/sensors.py`) or what a file means (`providers`).

A file is first imported where it lies, and moved only once the caller has recorded it: a crash
between the two repeats an import, which changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dealer_assets.ingest import Outcome, import_files
from dealer_assets.lake.storage import Lake

IMPORTED, REJECTED = "imported", "rejected"
_REASON_SUFFIX = ".reason.txt"


@dataclass(frozen=True)
class Delivery:
    """One dropped file and what became of its chains.

    Parameters
    ----------
    path : Path
        The file, still in the inbox.
    outcomes : tuple of Outcome
        One per chain in it.
    """

    path: Path
    outcomes: tuple[Outcome, ...]

    @property
    def is_refused(self) -> bool:
        """Nothing of the file was believed."""
        return all(o.status == "refused" for o in self.outcomes)


def waiting(inbox: Path) -> list[Path]:
    """Return the files that lie in the inbox, oldest first; hidden and partial ones are left."""
    if not inbox.is_dir():
        return []
    files = [p for p in inbox.iterdir() if p.is_file() and not p.name.startswith(".")]
    settled = [p for p in files if p.suffix not in {".part", ".tmp", ".crdownload"}]
    return sorted(settled, key=lambda p: (p.stat().st_mtime_ns, p.name))


def identity(path: Path) -> str:
    """Return what tells one delivery of a file from another: name, size and modification time."""
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"


def take(lake: Lake, files: Sequence[Path]) -> list[Delivery]:
    """Import files where they lie."""
    return [Delivery(path, tuple(import_files(lake, [path]))) for path in files]


def put_away(delivery: Delivery) -> Path:
    """Move an imported file to ``imported/``, a refused one to ``rejected/`` with its reason.

    Returns
    -------
    Path
        Where the file is now. A file of the same name that is there already is replaced.
    """
    folder = delivery.path.parent / (REJECTED if delivery.is_refused else IMPORTED)
    folder.mkdir(exist_ok=True)
    target = folder / delivery.path.name
    if delivery.is_refused:
        reasons = "\n".join(outcome.reason for outcome in delivery.outcomes)
        target.with_name(target.name + _REASON_SUFFIX).write_text(reasons + "\n")
    shutil.move(delivery.path, target)
    return target

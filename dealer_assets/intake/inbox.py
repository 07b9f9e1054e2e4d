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
from datetime import date
from pathlib import Path

from dealer_assets.intake.imports import import_files
from dealer_assets.intake.outcome import Outcome
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
    def refusals(self) -> list[str]:
        """Why nothing of the file was believed; empty when something was."""
        if any(outcome.status != "refused" for outcome in self.outcomes):
            return []
        return [outcome.reason for outcome in self.outcomes]


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


def take(lake: Lake, files: Sequence[Path], *, curves_since: date = date.min) -> list[Delivery]:
    """Import files where they lie; parameters as in `import_files`."""
    return [
        Delivery(path, tuple(import_files(lake, [path], curves_since=curves_since)))
        for path in files
    ]


def put_away(path: Path, refusals: Sequence[str]) -> Path:
    """Move an imported file to ``imported/``, a refused one to ``rejected/`` with its reasons.

    Parameters
    ----------
    path : Path
        A file in the inbox.
    refusals : sequence of str
        `Delivery.refusals` of it.

    Returns
    -------
    Path
        Where the file is now. A file of the same name that is there already is replaced.
    """
    folder = path.parent / (REJECTED if refusals else IMPORTED)
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if refusals:
        target.with_name(target.name + _REASON_SUFFIX).write_text("\n".join(refusals) + "\n")
    shutil.move(path, target)
    return target

"""Recordings: every frame a desk received in a session, and what it started with.

Belongs here: the folder of a recording, written and read. Does not belong here: the bytes of its
frames (`frames_file`), playing it (`feeds.recorded`).

A folder holds ``meta.json``, ``listing.parquet``, where known ``open_interest.parquet``,
``settled.parquet`` and ``curve.parquet``, of a restart ``restored-<underlying>.parquet``, and
``frames.bin``. It holds what was received and nothing that was sent, so no credential gets into it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets.domain.columns import floats
from dealer_assets.domain.rates import RateCurve
from dealer_assets.errors import BadInputError
from dealer_assets.lake.writer import code_version
from dealer_assets.tables.live import LIVE_TABLES
from dealer_assets.underlyings import underlying
from streaming.core.events import Frame
from streaming.recordings.frames_file import FramesFile, FramesWriter
from streaming.start import Start, StreamOptions

VERSION = 1
"""Of the folder's layout."""

_META, _FRAMES = "meta.json", "frames.bin"
_LISTING, _OPEN_INTEREST, _CURVE = "listing.parquet", "open_interest.parquet", "curve.parquet"
_SETTLED = "settled.parquet"


class Recorder:
    """Writes a new recording.

    Parameters
    ----------
    root : pathlib.Path
        Folder of recordings; created when absent.
    start : Start
        What the desk starts with.
    started_us : int
        When, in microseconds since 1970; part of the folder's name.

    Raises
    ------
    OSError
        When the disk refuses.
    """

    def __init__(self, root: Path, start: Start, *, started_us: int) -> None:
        self.folder = _new_folder(root, start, started_us)
        pq.write_table(start.listed, self.folder / _LISTING, compression="zstd")
        for rows, name in ((start.open_interest, _OPEN_INTEREST), (start.settled, _SETTLED)):
            if rows is not None:
                pq.write_table(rows, self.folder / name, compression="zstd")
        if start.curve is not None:
            pq.write_table(_curve_rows(start.curve), self.folder / _CURVE)
        for symbol, rows in start.restored.items():
            pq.write_table(rows, self.folder / _restored(symbol), compression="zstd")
        meta = json.dumps(_meta(start, started_us), indent=2, sort_keys=True)
        (self.folder / _META).write_text(meta + "\n")
        self._frames = FramesWriter(self.folder / _FRAMES)

    @property
    def frames(self) -> int:
        """Frames so far."""
        return self._frames.frames

    @property
    def bytes_written(self) -> int:
        """Bytes of frames on the disk so far."""
        return self._frames.bytes_written

    def append(self, frames: Sequence[Frame]) -> None:
        """Keep frames.

        Raises
        ------
        OSError
            When the disk refuses.
        """
        self._frames.append(frames)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._frames.flush()

    def close(self) -> None:
        """Finish the recording."""
        self._frames.close()


def _new_folder(root: Path, start: Start, started_us: int) -> Path:
    started = datetime.fromtimestamp(started_us / 1e6, UTC)
    day = next(iter(start.sessions.values()))
    name = f"{start.desk}-{start.feed}-{day:%Y-%m-%d}-{started:%H%M%S}"
    for number in range(1, 1000):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise BadInputError(f"{root / name}: a thousand recordings of one second exist; remove some")


def _restored(symbol: str) -> str:
    return f"restored-{symbol}.parquet"


def _meta(start: Start, started_us: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "code_version": code_version(),
        "tables": {table.name: table.version for table in LIVE_TABLES},
        "started_us": started_us,
        "desk": start.desk,
        "feed": start.feed,
        "lanes": list(start.symbols),
        "sessions": {symbol: day.isoformat() for symbol, day in start.sessions.items()},
        "curve_date": start.curve.date.isoformat() if start.curve else None,
        "options": asdict(start.options),
        "taken": [[*key, rows] for key, rows in sorted(start.taken.items())],
        "missing": list(start.missing),
    }


def _curve_rows(curve: RateCurve) -> pa.Table:
    names = ("tenor_years", "par_yield", "zero_rate")
    return pa.table({name: getattr(curve, name) for name in names})


class Recording:
    """Reads a recording.

    Parameters
    ----------
    folder : pathlib.Path
        Its folder.

    Raises
    ------
    BadInputError
        When the folder is no recording, is damaged, or is of a layout this code does not know.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = _read_meta(folder)
        self._frames = FramesFile(folder / _FRAMES)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @property
    def frames(self) -> int:
        """Frames it holds."""
        return self._frames.frames

    @property
    def torn_bytes(self) -> int:
        """Bytes at its end that a killed process left as half a block, and that are not read."""
        return self._frames.torn_bytes

    @property
    def span_us(self) -> tuple[int, int]:
        """When its first and last frame were received, microseconds since 1970.

        Raises
        ------
        BadInputError
            When it holds none.
        """
        blocks = self._frames.blocks
        if not blocks:
            raise BadInputError(f"recording {self.name} holds no frame: nothing to replay")
        return blocks[0].first_us, blocks[-1].last_us

    def start(self) -> Start:
        """Return what the desk started with."""
        meta, folder = self.meta, self.folder
        lanes = tuple(underlying(symbol) for symbol in meta["lanes"])
        restored = {
            lane.symbol: pq.read_table(folder / _restored(lane.symbol))
            for lane in lanes
            if (folder / _restored(lane.symbol)).exists()
        }
        curve = folder / _CURVE
        return Start(
            desk=meta["desk"],
            feed=meta["feed"],
            lanes=lanes,
            sessions={name: date.fromisoformat(day) for name, day in meta["sessions"].items()},
            listed=pq.read_table(folder / _LISTING),
            open_interest=_held(folder / _OPEN_INTEREST),
            settled=_held(folder / _SETTLED),
            curve=_curve(curve, meta["curve_date"]) if curve.exists() else None,
            options=StreamOptions(**meta["options"]),
            taken={(table, name): rows for table, name, rows in meta["taken"]},
            restored=restored,
            missing=tuple(meta["missing"]),
        )

    def read(
        self, *, from_us: int | None = None, until_us: int | None = None
    ) -> Iterator[list[Frame]]:
        """Yield frames in order, some at a time; of a window only its own blocks are read."""
        return self._frames.read(from_us=from_us, until_us=until_us)


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / _META).read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{folder}: expected the folder of a recording, with {_META} in it, found: {error}. "
            "Recordings lie in data/stream/recordings"
        ) from error
    if meta.get("version") != VERSION:
        raise BadInputError(
            f"{folder}: expected a recording of layout {VERSION}, found "
            f"{meta.get('version')!r}: replay it with the release that wrote it "
            f"({meta.get('code_version')})"
        )
    if not (folder / _FRAMES).exists():
        raise BadInputError(f"{folder}: expected {_FRAMES} beside {_META}, found none")
    return dict(meta)


def _held(path: Path) -> pa.Table | None:
    """Return the rows of a file; None where the recording has none."""
    return pq.read_table(path) if path.exists() else None


def _curve(path: Path, day: str) -> RateCurve:
    rows = pq.read_table(path)
    columns = (np.array(floats(rows, n)) for n in ("tenor_years", "par_yield", "zero_rate"))
    return RateCurve(date.fromisoformat(day), *columns)


def recordings_in(root: Path) -> list[Path]:
    """Return the folders of recordings below a folder, the newest last."""
    if not root.is_dir():
        return []
    found = [path.parent for path in root.glob(f"*/{_META}")]
    return sorted(found, key=lambda folder: _started(folder))


def _started(folder: Path) -> tuple[int, str]:
    try:
        return int(_read_meta(folder)["started_us"]), folder.name
    except BadInputError:
        return -1, folder.name

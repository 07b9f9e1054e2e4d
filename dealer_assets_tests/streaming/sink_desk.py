"""A sink in a folder of its own, and what tests ask of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from dealer_assets.lake import layout
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import open_lake
from dealer_assets.tables import LIVE_TRADES, Table
from dealer_assets_tests.streaming.made_rows import DAY, made_rows
from streaming.keeping.journal_file import journal_files
from streaming.keeping.sink import Sink

LANE = (LIVE_TRADES.name, "SPX")


class Desk:
    """A sink in a folder, and rows for it; a kill is the folder's copy with a sink of its own."""

    def __init__(self, folder: Path, opened: ExitStack, **sizes: int) -> None:
        self.folder = folder
        self.lake = open_lake(str(folder / "lake"))
        self._opened = opened
        self._sizes = sizes
        self.sink = Sink(
            self.lake, folder / "stream", stream="us", sessions={"SPX": DAY, "SPY": DAY}, **sizes
        )
        opened.callback(self.sink.close, 1.0)

    def append(
        self, *known_us: int, table: Table = LIVE_TRADES, underlying: str = "SPX"
    ) -> pa.Table:
        state = self.sink.state
        first = self.sink.acknowledged[table.name, underlying] + state.unacknowledged_rows
        rows = made_rows(table, first=first, known_us=known_us, underlying=underlying)
        self.sink.append((table, underlying, rows))
        return rows

    def killed(self, folder: Path, *, torn: bytes = b"") -> Desk:
        """What a process finds that starts after this one was killed within an append."""
        shutil.copytree(self.folder, folder)
        if torn and (files := journal_files(folder / "stream", "us")):
            with files[-1].open("ab") as file:
                file.write(torn)
        return Desk(folder, self._opened, **self._sizes)

    def parts(self, table: Table = LIVE_TRADES, underlying: str = "SPX") -> dict[str, bytes]:
        """Names and bytes of the parts in the lake."""
        found = list_parts(self.lake, table, underlying, DAY)
        return {part.name: Path(self.lake.locate(part.path)).read_bytes() for part in found}

    def numbers(self, table: Table = LIVE_TRADES, underlying: str = "SPX") -> list[int]:
        rows = read_partition(self.lake, table, underlying, DAY, columns=["stream_sequence"])
        return [int(n) for n in rows["stream_sequence"].to_numpy()]

    def journal(self) -> list[Path]:
        return journal_files(self.folder / "stream", "us")


def first_rows(desk: Desk) -> list[int]:
    return [layout.first_sequence_of(name) for name in desk.parts()]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end, "expected the condition to come true within 60 s"
        time.sleep(0.005)

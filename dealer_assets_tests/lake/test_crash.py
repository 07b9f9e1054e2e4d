"""Killed and concurrent writers: a reader finds whole parts, the old one or the new one."""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dealer_assets
from dealer_assets.lake import layout
from dealer_assets.lake.reader import fingerprint, list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS

Rows = Callable[..., pa.Table]
SESSION = date(2026, 11, 20)
EVENT_AT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
PROJECT = Path(dealer_assets.__file__).parents[1]
WHERE = {"underlying": "SPX", "session_date": SESSION}

DIE_IN = """
import os, signal, sys
from datetime import date
import pyarrow.parquet as pq
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS

root, rows, step = sys.argv[1:]
new = pq.ParquetFile(rows).read()
setattr(os, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
write_part(open_lake(root), CHAIN_SNAPSHOTS, new, underlying="SPX",
           session_date=date(2026, 11, 20), name="183000.parquet")
"""

WRITE_FOR_EVER = """
import itertools, sys
from datetime import date
import pyarrow.parquet as pq
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS

root, *files = sys.argv[1:]
versions = [pq.ParquetFile(file).read() for file in files]
lake = open_lake(root)
for turn in itertools.count():
    if turn == 2:
        print("writing", flush=True)
    write_part(lake, CHAIN_SNAPSHOTS, versions[turn % 2], underlying="SPX",
               session_date=date(2026, 11, 20), name="183000.parquet")
"""


def _write(lake: Lake, rows: pa.Table) -> None:
    write_part(lake, CHAIN_SNAPSHOTS, rows, name="183000.parquet", **WHERE)  # type: ignore[arg-type]


def _run(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_writer_killed_before_the_rename_leaves_the_old_part_and_no_new_one(
    local_lake: Lake, chain_rows: Rows, tmp_path: Path, step: str
) -> None:
    _write(local_lake, chain_rows(2))
    pq.write_table(chain_rows(6), tmp_path / "new.parquet")
    with _run(DIE_IN, local_lake.root, tmp_path / "new.parquet", step) as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert [part.name for part in list_parts(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION)] == [
        "183000.parquet"
    ]
    assert read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 2
    files = local_lake.files(layout.partition_dir(CHAIN_SNAPSHOTS, "SPX", SESSION))
    assert [layout.is_temp_name(name) for name in files] == [True, False]


def test_first_write_killed_before_the_rename_leaves_nothing_to_read(
    local_lake: Lake, chain_rows: Rows, tmp_path: Path
) -> None:
    pq.write_table(chain_rows(6), tmp_path / "new.parquet")
    with _run(DIE_IN, local_lake.root, tmp_path / "new.parquet", "replace") as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert list_parts(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION) == []
    _write(local_lake, chain_rows(6))
    assert read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 6


def test_writers_killed_at_any_moment_leave_whole_parts_and_readers_never_see_half_of_one(
    local_lake: Lake, chain_rows: Rows, tmp_path: Path
) -> None:
    rows = {}
    for contracts in (2000, 3000):
        rows[contracts] = tmp_path / f"{contracts}.parquet"
        pq.write_table(chain_rows(contracts), rows[contracts])
    _write(local_lake, chain_rows(2000))
    moments = random.Random(20261120)
    seen = set()
    for _ in range(5):
        with _run(WRITE_FOR_EVER, local_lake.root, *rows.values()) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            end = time.monotonic() + moments.uniform(0.05, 0.25)
            while time.monotonic() < end:
                seen.add(read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows)
            assert process.poll() is None, "the writer has to be at work when it is killed"
            process.kill()
        (part,) = list_parts(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION)
        seen.add(read_part(local_lake, CHAIN_SNAPSHOTS, part).num_rows)
    assert seen == set(rows)


def test_processes_writing_the_same_and_different_parts_neither_lose_nor_double_rows(
    lake: Lake, chain_rows: Rows
) -> None:
    instants = [EVENT_AT + timedelta(minutes=minute) for minute in range(6)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        done = [
            pool.submit(
                partial(
                    write_part,
                    lake,
                    CHAIN_SNAPSHOTS,
                    chain_rows(50, event_at=instant),
                    name=layout.snapshot_part(instant),
                    **WHERE,  # type: ignore[arg-type]
                )
            )
            for instant in instants
            for _ in range(4)
        ]
        sizes = {future.result(timeout=120).rows for future in done}
    assert sizes == {50}
    parts = list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)
    assert [part.name for part in parts] == [layout.snapshot_part(i) for i in instants]
    assert len({fingerprint(lake, part) for part in parts}) == 6
    found = read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)
    keys = found.select(list(CHAIN_SNAPSHOTS.key)).group_by(list(CHAIN_SNAPSHOTS.key)).aggregate([])
    assert found.num_rows == keys.num_rows == 300

"""Kill any process at any point, run anything twice or at once: same bytes."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from datetime import date
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dealer_assets_tests import forked

BACKFILL = ("backfill", "--underlying", "SPX", "--from", "2023-05-01", "--to", "2023-05-31")


def dealer(*arguments: str) -> None:
    """Run the command; in a process of its own."""
    from dealer_assets.cli import main

    sys.argv = ["dealer", *arguments]
    main()


def start(data: Path, *arguments: object) -> ForkServerProcess:
    environment = {
        "DEALER_DATA_DIR": str(data),
        "DAGSTER_HOME": str(data / "dagster"),
        "DEALER_UNDERLYINGS": "SPX",
    }
    said = data / "said.txt"
    return forked.start(dealer, *map(str, arguments), environment=environment, output=said)


def finish(process: ForkServerProcess, data: Path) -> None:
    forked.finish(process, data / "said.txt")


def parts(data: Path) -> dict[str, bytes]:
    lake = data / "lake"
    held = {str(p.relative_to(lake)): p for p in sorted(lake.rglob("*.parquet"))}
    return {
        name: lives(p) if name.startswith("alerts/") else p.read_bytes() for name, p in held.items()
    }


def lives(path: Path) -> bytes:
    """What became of alerts, without the clock: when they were raised is part of their history."""
    rows = pq.ParquetFile(path).read(columns=["alert_id", "step", "happening", "state"])
    return repr(rows.to_pylist()).encode()


@pytest.fixture(scope="module")
def files(made_up_chain, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    monday = {
        "downloaded": "May 22, 2023 at 1:00 PM EDT",
        "session": date(2023, 5, 22),
        # sessions all: two dates over a long weekend would expire at one instant
        "expiry_days": (1, 2, 3, 4, 8, 9, 11, 18, 25, 32, 60, 91, 182, 270),
    }
    second = replace(made_up_chain, **monday)
    paths = []
    for name, chain in (("first.csv", made_up_chain), ("second.csv", second)):
        (folder / name).write_text(chain.text())
        paths.append(folder / name)
    return paths


@pytest.fixture(scope="module")
def undisturbed(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    data = tmp_path_factory.mktemp("undisturbed")
    finish(start(data, "import", *files), data)
    finish(start(data, *BACKFILL, "--no-marts"), data)
    found = parts(data)
    derived = {name.split("/")[0] for name in found if "_schema" not in name}
    assert len(derived) == 36  # all that follows from chains
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.chaos)])
def test_killed_runs_repeated_give_the_same_bytes(
    files: list[Path], undisturbed: dict[str, bytes], tmp_path: Path, kills: int
) -> None:
    chance = random.Random(20230519)
    for arguments, longest in ((("import", *files), 1.0), ((*BACKFILL, "--no-marts"), 5.0)):
        for _ in range(kills):
            process = start(tmp_path, *arguments)
            time.sleep(chance.uniform(0.1, longest))
            forked.kill(process)
        finish(start(tmp_path, *arguments), tmp_path)
    assert parts(tmp_path) == undisturbed


@pytest.mark.slow
def test_overlapping_runs_neither_lose_nor_double(
    files: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    both = [start(tmp_path, "import", *files), start(tmp_path, "import", *reversed(files))]
    for process in both:
        finish(process, tmp_path)
    both = [start(tmp_path, *BACKFILL, "--no-marts", "--rebuild") for _ in range(2)]
    for process in both:
        finish(process, tmp_path)
    assert parts(tmp_path) == undisturbed

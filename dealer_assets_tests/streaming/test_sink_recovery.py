"""The sink after a kill at any moment: nothing lost, nothing doubled, the same bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import streaming
from dealer_assets.errors import LakeError
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import open_lake
from dealer_assets.tables import LIVE_TRADES, STREAM_HEARTBEATS
from dealer_assets_tests.streaming.made_rows import DAY, OPEN_US
from dealer_assets_tests.streaming.sink_desk import LANE, Desk, first_rows, until
from streaming.core.numbering import Sequences
from streaming.keeping.journal_file import journal_files
from streaming.keeping.sink import Sink

SECOND = 1_000_000
MINUTE = 60 * SECOND
PROJECT = Path(streaming.__file__).parents[1]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestRecovery:
    def test_numbering_and_cuts_go_on_after_a_kill(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path / "a", opened, rows_per_part=4)
        first = desk.append(*[OPEN_US] * 6)
        after = desk.killed(tmp_path / "b", torn=b"half an append")
        found = after.sink.recover()
        assert found.taken[LANE] == 6
        assert found.trades["SPX"].equals(first)
        assert found.trades["SPY"].num_rows == 0
        assert len(found.notes) == 1
        assert "the last 14 bytes are half an append" in found.notes[0]
        sequences = Sequences(found.taken)
        assert sequences.take(LIVE_TRADES.name, "SPX", 3) == 6
        for one in (desk, after):
            one.append(*[OPEN_US + 1] * 3)
            assert one.sink.close()
        assert desk.parts() == after.parts()
        assert first_rows(after) == [0, 4, 8]
        assert after.journal() == desk.journal() == []

    def test_closed_session_goes_on_where_it_was(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened)
        first = desk.append(OPEN_US, OPEN_US)
        assert desk.sink.close() is True
        again = Desk(tmp_path, opened)
        assert again.sink.recover().trades["SPX"].equals(first)
        again.append(OPEN_US + 1)
        assert again.sink.close() is True
        assert first_rows(again) == [0, 2]

    def test_recovery_while_rows_are_taken_sees_those_acknowledged(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=2)
        for n in range(9):
            desk.append(OPEN_US + n)
            trades = desk.sink.recover().trades["SPX"]
            assert trades["stream_sequence"].to_pylist() == list(range(n + 1))

    def test_hole_between_parts_and_journal_is_an_error_that_names_it(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path / "a", opened)
        desk.append(*[OPEN_US] * 4)
        assert desk.sink.close()
        desk = Desk(tmp_path / "a", opened)
        desk.append(*[OPEN_US] * 2)
        shutil.rmtree(desk.folder / "lake")
        with pytest.raises(LakeError, match="rows 0 to 3 of live_trades SPX are in no part"):
            desk.killed(tmp_path / "b")

    def test_part_that_was_removed_is_written_again_while_the_journal_holds_its_rows(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path / "a", opened, rows_per_part=4)
        desk.append(*[OPEN_US] * 6)
        until(lambda: desk.sink.state.waiting_rows == 2)
        shutil.rmtree(desk.folder / "lake")
        after = desk.killed(tmp_path / "b")
        assert after.sink.close()
        assert after.numbers() == list(range(6))

    def test_missing_part_is_an_error_that_names_it(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=2)
        desk.append(*[OPEN_US] * 6)
        assert desk.sink.close()
        part = list_parts(desk.lake, LIVE_TRADES, "SPX", DAY)[1]
        desk.lake.remove(part.path)
        with pytest.raises(LakeError, match="expected row 2 in its place, found 4"):
            Desk(tmp_path, opened).sink.recover()

    def test_parts_of_another_stream_are_refused(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US)
        assert desk.sink.close()
        with pytest.raises(LakeError, match="is of stream 'us': expected 'replay'"):
            Sink(desk.lake, tmp_path / "r", stream="replay", sessions={"SPX": DAY})

    def test_rows_of_a_former_session_reach_the_lake_at_the_next_start(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path / "a", opened)
        desk.append(OPEN_US, OPEN_US)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        lake = open_lake(str(tmp_path / "b" / "lake"))
        monday = {"SPX": date(2026, 11, 23)}
        sink = Sink(lake, tmp_path / "b" / "stream", stream="us", sessions=monday)
        opened.callback(sink.close)
        found = sink.recover()
        assert found.taken[LANE] == 0
        assert found.notes == (
            "2 rows of session 2026-11-20 were in its journal alone: they are in the lake",
        )
        assert read_partition(lake, LIVE_TRADES, "SPX", DAY).num_rows == 2
        assert journal_files(tmp_path / "b" / "stream", "us") == []

    def test_journal_of_a_session_that_another_process_writes_is_left_alone(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US)
        monday = {"SPX": date(2026, 11, 23)}
        sink = Sink(desk.lake, tmp_path / "stream", stream="us", sessions=monday)
        opened.callback(sink.close)
        (note,) = sink.recover().notes
        assert "stay in its journal" in note
        desk.append(OPEN_US)
        assert desk.sink.close() is True

    @settings(max_examples=10, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("append"), st.integers(1, 9), st.sampled_from([0, 1, SECOND])),
                st.tuples(st.just("other"), st.integers(1, 3), st.just(SECOND)),
                st.tuples(st.just("advance"), st.sampled_from([0, SECOND, MINUTE]), st.just(0)),
                st.tuples(st.just("kill"), st.integers(0, 400), st.just(0)),
            ),
            min_size=1,
            max_size=14,
        )
    )
    def test_any_kills_give_the_bytes_of_an_undisturbed_run(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
    ) -> None:
        root = tmp_path_factory.mktemp("kills")
        torn = _an_append(root / "torn")
        made, tables = [], (LIVE_TRADES, STREAM_HEARTBEATS)
        with ExitStack() as opened:
            for kills in (False, True):
                desk = Desk(root / f"{kills}", opened, rows_per_part=5)
                now = OPEN_US
                for place, (step, number, pace) in enumerate(steps):
                    if step in ("append", "other"):
                        known = [now + n * pace for n in range(number)]
                        now = known[-1]
                        desk.append(*known, table=tables[step == "other"])
                    elif step == "advance":
                        now += number
                        desk.sink.advance(now)
                    elif kills:
                        # the half that a kill leaves of an append that was never acknowledged
                        desk = desk.killed(root / f"{place}", torn=torn[: number % len(torn)])
                acknowledged = [desk.sink.acknowledged[t.name, "SPX"] for t in tables]
                assert desk.sink.close()
                assert [desk.numbers(t) for t in tables] == [list(range(n)) for n in acknowledged]
                made.append([desk.parts(t) for t in tables])
        assert made[0] == made[1]


KILL_TEN = """
import os, random, signal, sys, time
from pathlib import Path
from dealer_assets.lake.storage import open_lake
from dealer_assets.tables import LIVE_TRADES
from dealer_assets_tests.streaming.made_rows import DAY, OPEN_US, made_rows
from streaming.keeping.sink import Sink

def append_for_ever(folder, tell):
    sink = Sink(open_lake(str(folder / "lake")), folder / "stream", stream="us",
                sessions={"SPX": DAY, "SPY": DAY}, rows_per_part=40)
    first = sink.acknowledged[LIVE_TRADES.name, "SPX"]
    while True:
        rows = made_rows(LIVE_TRADES, first=first, known_us=[OPEN_US + 1000 * first] * 7)
        sink.append((LIVE_TRADES, "SPX", rows))
        first += 7
        os.write(1, f"{first} ".encode())  # one write: a number is whole, or not there
        if tell:
            os.write(tell, b".")
        tell = 0

moments = random.Random(20261120)
for number in range(10):
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        append_for_ever(Path(sys.argv[1]), tell)
    if number % 2:
        os.read(told, 1)  # a busy machine may take long to come that far
    time.sleep(moments.uniform(0.0, 0.15))
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "it has to be at work when it is killed"
"""


def test_processes_killed_at_ten_moments_lose_and_double_nothing(
    tmp_path: Path, opened: ExitStack
) -> None:
    command = [sys.executable, "-c", KILL_TEN, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    acknowledged = max(map(int, done.stdout.split()))
    desk = Desk(tmp_path, opened, rows_per_part=40)
    kept = desk.sink.acknowledged[LANE]
    assert 0 < acknowledged <= kept
    assert desk.sink.close() is True
    assert desk.numbers() == list(range(kept))
    calm = Desk(tmp_path / "calm", opened, rows_per_part=40)
    for first in range(0, kept, 7):
        calm.append(*[OPEN_US + 1000 * first] * 7)
    assert calm.sink.close() is True
    assert calm.parts() == desk.parts()


def _an_append(folder: Path) -> bytes:
    """The bytes of one whole append, to be cut short."""
    with ExitStack() as opened:
        desk = Desk(folder, opened)
        desk.append(OPEN_US)
        (file,) = desk.journal()
        before = file.stat().st_size
        desk.append(OPEN_US)
        return file.read_bytes()[before:]

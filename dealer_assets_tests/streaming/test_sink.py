"""The sink: cut points, refusals, full disks and an absent lake."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.errors import LakeUnavailableError, SchemaError
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import FEED_GAPS, LIVE_FLOW, LIVE_TRADES
from dealer_assets_tests.streaming.made_rows import OPEN_US, made_rows
from dealer_assets_tests.streaming.sink_desk import LANE, Desk, first_rows, until
from streaming.keeping import part_writer
from streaming.keeping.locking import AlreadyHeldError
from streaming.keeping.sink import SequenceBrokenError, SinkStalledError

SECOND = 1_000_000
MINUTE = 60 * SECOND


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestCutting:
    def test_long_append_makes_full_parts_and_the_rest_waits(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(*[OPEN_US] * 12_000)
        assert desk.sink.acknowledged[LANE] == 12_000
        until(lambda: desk.sink.state.waiting_rows == 2_000)
        assert list(desk.parts()) == ["us-000000000.parquet", "us-000005000.parquet"]
        desk.sink.close()
        assert first_rows(desk) == [0, 5_000, 10_000]
        assert desk.numbers() == list(range(12_000))

    def test_rows_of_a_later_period_begin_a_part(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US, OPEN_US + MINUTE - 1, OPEN_US + MINUTE, OPEN_US + 5 * MINUTE)
        desk.sink.close()
        assert first_rows(desk) == [0, 2, 3]

    def test_clock_ends_a_part_that_no_row_follows(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US + 5 * SECOND)
        desk.sink.advance(OPEN_US + MINUTE - 1)
        assert desk.sink.state.waiting_parts == 0
        desk.sink.advance(OPEN_US + MINUTE)
        until(lambda: desk.numbers() == [0])

    def test_rows_older_than_their_part_stay_in_order_in_it(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US + MINUTE, OPEN_US, OPEN_US + MINUTE + 1)
        desk.sink.close()
        assert first_rows(desk) == [0]

    def test_lanes_are_cut_on_their_own(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=2)
        desk.append(OPEN_US, OPEN_US, OPEN_US)
        desk.append(OPEN_US, underlying="SPY")
        desk.append(OPEN_US, table=FEED_GAPS)
        desk.sink.close()
        assert first_rows(desk) == [0, 2]
        assert desk.numbers(underlying="SPY") == desk.numbers(FEED_GAPS) == [0]

    @settings(max_examples=10, deadline=None)
    @given(
        st.lists(st.sampled_from([0, 1, 300_000, SECOND, 20 * SECOND]), min_size=1, max_size=60),
        st.data(),
    )
    def test_any_batching_gives_the_same_bytes(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[int], data: st.DataObject
    ) -> None:
        known = [OPEN_US + sum(steps[: n + 1]) for n in range(len(steps))]
        made = []
        with ExitStack() as opened:
            for batching in ("one by one", "at once", "drawn"):
                desk = Desk(tmp_path_factory.mktemp("batching"), opened, rows_per_part=7)
                rest = known
                while rest:
                    size = {"one by one": 1, "at once": len(rest)}.get(batching) or data.draw(
                        st.integers(1, len(rest))
                    )
                    desk.append(*rest[:size])
                    desk.sink.advance(rest[size - 1])
                    rest = rest[size:]
                assert desk.sink.close()
                made.append(desk.parts())
        assert made[0] == made[1] == made[2]


class TestRefusals:
    @pytest.mark.parametrize("first", [0, 2, 4])
    def test_rows_that_are_not_numbered_on_are_refused(
        self, tmp_path: Path, opened: ExitStack, first: int
    ) -> None:
        desk = Desk(tmp_path, opened)
        desk.append(OPEN_US, OPEN_US, OPEN_US)
        rows = made_rows(LIVE_TRADES, first=first, known_us=[OPEN_US])
        with pytest.raises(SequenceBrokenError, match="without holes from 3"):
            desk.sink.append((LIVE_TRADES, "SPX", rows))
        desk.append(OPEN_US)
        desk.sink.close()
        assert desk.numbers() == [0, 1, 2, 3]

    def test_other_columns_are_refused_before_they_are_acknowledged(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened)
        rows = made_rows(LIVE_TRADES, first=0, known_us=[OPEN_US]).drop_columns(["spot"])
        with pytest.raises(SchemaError, match=r"missing \['spot'\]"):
            desk.sink.append((LIVE_TRADES, "SPX", rows))
        assert desk.sink.acknowledged[LANE] == 0

    def test_unknown_underlying_and_closed_sink_are_refused(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened)
        rows = made_rows(LIVE_TRADES, first=0, known_us=[OPEN_US])
        with pytest.raises(SequenceBrokenError, match=r"\['SPX', 'SPY'\]"):
            desk.sink.append((LIVE_TRADES, "BTC", rows))
        desk.sink.close()
        with pytest.raises(SequenceBrokenError, match="an open sink"):
            desk.sink.append((LIVE_TRADES, "SPX", rows))

    def test_no_rows_are_taken_silently(self, tmp_path: Path, opened: ExitStack) -> None:
        desk = Desk(tmp_path, opened)
        desk.sink.append((LIVE_TRADES, "SPX", LIVE_TRADES.schema.empty_table()))
        assert desk.sink.close() is True
        assert desk.journal() == []

    def test_second_process_is_refused(self, tmp_path: Path, opened: ExitStack) -> None:
        Desk(tmp_path, opened)
        with pytest.raises(AlreadyHeldError, match=f"process {os.getpid()}"):
            Desk(tmp_path, opened)

    def test_value_outside_the_dictionary_blocks_its_lane_alone_and_is_said(
        self, tmp_path: Path, opened: ExitStack
    ) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=1)
        rows = made_rows(LIVE_FLOW, first=0, known_us=[OPEN_US])
        place = rows.schema.get_field_index("right")
        bad = rows.set_column(place, rows.schema.field(place), pa.array(["straddle"]))
        desk.sink.append((LIVE_FLOW, "SPX", bad))
        desk.append(OPEN_US)
        until(lambda: desk.sink.state.status == "waiting")
        until(lambda: desk.numbers() == [0])
        assert "'straddle'" in desk.sink.state.reason
        assert desk.sink.close(0.1) is False
        assert len(desk.journal()) == 1


class TestFullDisk:
    def test_rows_wait_in_memory_and_are_written_in_order_when_there_is_room(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calm, desk = Desk(tmp_path / "a", opened), Desk(tmp_path / "b", opened)
        for one in (calm, desk):
            one.append(OPEN_US)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", _full)
            desk.append(OPEN_US + 1)
            desk.append(OPEN_US + 2, OPEN_US + 3)
            desk.sink.advance(OPEN_US + MINUTE)
            desk.append(OPEN_US + 4)
            state = desk.sink.state
            assert (state.status, state.unacknowledged_rows) == ("stalled", 4)
            assert "No space left on device" in state.reason
            assert desk.sink.acknowledged[LANE] == 1
        calm.append(OPEN_US + 1, OPEN_US + 2, OPEN_US + 3)
        calm.sink.advance(OPEN_US + MINUTE)
        calm.append(OPEN_US + 4)
        desk.sink.advance(OPEN_US + MINUTE)
        assert desk.sink.state.status == "ok"
        assert desk.sink.acknowledged[LANE] == 5
        for one in (calm, desk):
            assert one.sink.close()
        assert calm.parts() == desk.parts()
        assert first_rows(desk) == [0, 4]

    def test_beyond_the_bound_rows_are_refused_and_can_be_offered_again(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = Desk(tmp_path, opened, memory_mb=1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", _full)
            desk.append(*[OPEN_US] * 1_500)
            rows = made_rows(LIVE_TRADES, first=1_500, known_us=[OPEN_US] * 1_500)
            with pytest.raises(SinkStalledError, match="1 MB of rows wait in memory already"):
                desk.sink.append((LIVE_TRADES, "SPX", rows))
            assert desk.sink.state.unacknowledged_rows == 1_500
        desk.sink.append((LIVE_TRADES, "SPX", rows))
        assert desk.sink.close()
        assert desk.numbers() == list(range(3_000))

    def test_close_with_a_refusing_journal_says_what_is_lost(
        self,
        tmp_path: Path,
        opened: ExitStack,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        desk = Desk(tmp_path, opened)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", _full)
            desk.append(OPEN_US, OPEN_US)
            assert desk.sink.close(0.1) is False
        assert "2 in neither" in caplog.text

    def test_refused_sync_is_said_and_costs_no_row(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(part_writer, "SYNC_SECONDS", 0.01)
        desk = Desk(tmp_path, opened)
        with monkeypatch.context() as patch:

            def refuse(_: int) -> None:
                raise OSError(5, "Input/output error")

            patch.setattr(os, "fsync", refuse)
            desk.append(OPEN_US)
            until(lambda: "cannot be synced" in desk.sink.state.reason)
        desk.append(OPEN_US)
        until(lambda: desk.sink.state.is_ok)
        assert desk.sink.close()


class TestAbsentLake:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(part_writer, "LAST_RETRY_SECONDS", 0.1)

    def test_parts_wait_and_reach_it_in_order(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=2)
        with monkeypatch.context() as patch:
            patch.setattr(Lake, "put", _absent)
            desk.append(*[OPEN_US] * 7)
            until(lambda: desk.sink.state.status == "waiting")
            assert "no such bucket" in desk.sink.state.reason
            assert desk.sink.state.waiting_parts == 3
            assert desk.sink.acknowledged[LANE] == 7
            assert desk.sink.flush(0.05) is False
        assert desk.sink.flush() is True
        assert desk.sink.state.is_ok
        assert first_rows(desk) == [0, 2, 4, 6]

    def test_rows_beyond_the_memory_are_read_from_the_journal_when_it_is_back(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = Desk(tmp_path, opened, rows_per_part=500, memory_mb=1)
        with monkeypatch.context() as patch:
            patch.setattr(Lake, "put", _absent)
            for _ in range(12):
                desk.append(*[OPEN_US] * 500)
            assert desk.sink.state.waiting_parts == 12
        assert desk.sink.close() is True
        assert desk.numbers() == list(range(6_000))

    def test_close_leaves_the_journal_to_the_next_process(
        self,
        tmp_path: Path,
        opened: ExitStack,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        desk = Desk(tmp_path, opened)
        with monkeypatch.context() as patch:
            patch.setattr(Lake, "put", _absent)
            desk.append(OPEN_US, OPEN_US)
            assert desk.sink.close(0.05) is False
        assert "2 rows in the journal alone" in caplog.text
        again = Desk(tmp_path, opened)
        assert again.sink.acknowledged[LANE] == 2
        assert again.sink.close() is True
        assert again.numbers() == [0, 1]
        assert again.journal() == []

    def test_lake_that_does_not_keep_what_it_was_given_is_not_believed(
        self, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = Desk(tmp_path, opened)
        with monkeypatch.context() as patch:
            patch.setattr(Lake, "put", lambda *_: True)
            desk.append(OPEN_US)
            assert desk.sink.flush(0.2) is False
            assert "is not there" in desk.sink.state.reason
        assert desk.sink.close() is True
        assert desk.numbers() == [0]


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def _absent(lake: Lake, path: str, _: pa.Buffer) -> bool:
    raise LakeUnavailableError(f"cannot write {path!r} in the lake at {lake.uri}: no such bucket")

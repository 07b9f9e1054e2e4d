"""Compaction of a streamed session, on a folder and on S3: sound at every moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from dealer_assets.errors import BadInputError, LakeError, LakeUnavailableError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.compaction import (
    STREAM_KEY,
    Compacted,
    compact_session,
    stream_parts_held,
)
from dealer_assets.lake.reader import (
    Part,
    latest_part,
    list_parts,
    part_metadata,
    read_partition,
    scan,
)
from dealer_assets.lake.sql import sql
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, FEED_GAPS
from dealer_assets_tests.streaming.made_rows import DAY, OPEN_US, made_rows

EVENING = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
SESSION = "feed_gaps/underlying=SPX/date=2026-11-20/session.parquet"


def _put(lake: Lake, first: int, end: int, *, stream: str = "us", day: date = DAY) -> None:
    known = [OPEN_US + n for n in range(first, end)]
    write_part(
        lake,
        FEED_GAPS,
        made_rows(FEED_GAPS, first=first, known_us=known, day=day),
        underlying="SPX",
        session_date=day,
        name=layout.stream_part(stream, first),
        provenance={STREAM_KEY: stream},
    )


def _put_cut_at(lake: Lake, *cuts: int) -> None:
    for first, end in pairwise(cuts):
        _put(lake, first, end)


def _compact(lake: Lake, now: datetime = EVENING) -> Compacted:
    return compact_session(lake, FEED_GAPS, underlying="SPX", session_date=DAY, now=now)


def _files(lake: Lake) -> list[str]:
    names = lake.files("feed_gaps/underlying=SPX/date=2026-11-20")
    return [name for name in names if layout.is_part_name(name)]


def _numbers(lake: Lake) -> list[int]:
    """Row numbers as every kind of reader finds them; they have to agree."""
    of_partition = read_partition(lake, FEED_GAPS, "SPX", DAY, columns=["stream_sequence"])
    of_scan = scan(lake, FEED_GAPS, columns=["stream_sequence"])
    of_sql = sql(lake, "SELECT stream_sequence FROM feed_gaps ORDER BY 1")
    found = [table["stream_sequence"].to_pylist() for table in (of_partition, of_scan, of_sql)]
    assert found[0] == found[1] == found[2]
    return [int(number) for number in found[0]]


def _bytes(lake: Lake) -> bytes:
    file = lake.open(SESSION)
    assert file is not None
    with file:
        return bytes(file.read())


class TestFolding:
    def test_parts_become_one_that_holds_every_row_in_order(self, lake: Lake) -> None:
        _put_cut_at(lake, 0, 3, 4, 9)
        before = read_partition(lake, FEED_GAPS, "SPX", DAY)
        assert _compact(lake) == Compacted(rows=9, folded=3, removed=3)
        assert _files(lake) == ["session.parquet"]
        assert read_partition(lake, FEED_GAPS, "SPX", DAY).equals(before)
        assert _numbers(lake) == list(range(9))
        part = Part(SESSION, "session.parquet")
        assert part_metadata(lake, part)[STREAM_KEY] == "us"

    def test_second_run_changes_nothing(self, lake: Lake) -> None:
        _put_cut_at(lake, 0, 3, 9)
        _compact(lake)
        before = _bytes(lake)
        assert _compact(lake) == Compacted(rows=9, folded=0, removed=0)
        assert _bytes(lake) == before

    def test_late_parts_are_folded_in_and_the_bytes_are_those_of_one_run(
        self, lake: Lake, local_lake: Lake
    ) -> None:
        _put_cut_at(lake, 0, 3, 5)
        _compact(lake)
        _put_cut_at(lake, 5, 6, 9)
        assert [part.name for part in list_parts(lake, FEED_GAPS, "SPX", DAY)] == [
            "session.parquet",
            "us-000000005.parquet",
            "us-000000006.parquet",
        ]
        assert _numbers(lake) == list(range(9))
        assert _compact(lake) == Compacted(rows=9, folded=2, removed=2)
        twice = _bytes(lake)
        for name in _files(lake):
            lake.remove(f"feed_gaps/underlying=SPX/date=2026-11-20/{name}")
        _put_cut_at(lake, 0, 2, 7, 9)
        _compact(lake)
        assert _bytes(lake) == twice

    def test_empty_partition_is_left_empty(self, lake: Lake) -> None:
        assert _compact(lake) == Compacted(rows=0, folded=0, removed=0)
        assert _files(lake) == []

    def test_sessions_with_parts_to_fold_are_told(self, lake: Lake) -> None:
        assert stream_parts_held(lake, FEED_GAPS, "SPX") == []
        _put(lake, 0, 2)
        _put(lake, 0, 2, day=date(2026, 11, 19))
        assert stream_parts_held(lake, FEED_GAPS, "SPX") == [date(2026, 11, 19), DAY]
        _compact(lake)
        assert stream_parts_held(lake, FEED_GAPS, "SPX") == [date(2026, 11, 19)]


class TestCrashes:
    @pytest.mark.parametrize("refused", range(5))
    def test_readers_see_every_row_once_whatever_step_is_the_last(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch, refused: int
    ) -> None:
        _put_cut_at(lake, 0, 3, 4, 9)
        steps = iter(range(99))
        for name in ("put", "remove"):
            monkeypatch.setattr(Lake, name, _failing_at(name, refused, steps))
        try:
            _compact(lake)
            assert refused >= 4, "a put and three removals"
        except LakeUnavailableError:
            assert refused < 4
        monkeypatch.undo()
        assert _numbers(lake) == list(range(9))
        _compact(lake)
        assert _files(lake) == ["session.parquet"]
        assert _numbers(lake) == list(range(9))

    def test_parts_left_by_a_killed_run_are_passed_over_and_removed(self, lake: Lake) -> None:
        _put_cut_at(lake, 0, 3, 9)
        _compact(lake)
        _put_cut_at(lake, 0, 3, 9, 11)
        last = latest_part(lake, FEED_GAPS, "SPX")
        assert last is not None
        assert last.name == "us-000000009.parquet"
        assert _numbers(lake) == list(range(11))
        assert _compact(lake) == Compacted(rows=11, folded=1, removed=3)
        assert _files(lake) == ["session.parquet"]

    def test_reader_that_a_compaction_overtakes_reads_again(
        self, local_lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _put_cut_at(local_lake, 0, 3)
        _compact(local_lake)
        _put_cut_at(local_lake, 3, 5)
        removals: list[str] = []
        opens: list[str] = []
        read = Lake.open

        def overtaken(lake: Lake, path: str) -> object:
            opens.append(path)
            if len(opens) == 2:  # listed with the footer of 3 rows; now it gets 5
                monkeypatch.setattr(Lake, "open", read)
                monkeypatch.setattr(Lake, "remove", lambda _, path: removals.append(path))
                _compact(local_lake)
            return read(lake, path)

        monkeypatch.setattr(Lake, "open", overtaken)
        found = read_partition(local_lake, FEED_GAPS, "SPX", DAY)
        assert len(removals) == 1, "the part was still there to be read twice"
        assert found["stream_sequence"].to_pylist() == list(range(5))

    def test_parts_stay_when_storage_does_not_keep_the_whole(
        self, local_lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _put_cut_at(local_lake, 0, 3, 9)
        monkeypatch.setattr(Lake, "put", lambda *_: True)
        with pytest.raises(LakeError, match="is not there"):
            _compact(local_lake)
        assert len(_files(local_lake)) == 2


class TestRefusals:
    def test_hole_names_the_missing_rows_and_changes_nothing(self, lake: Lake) -> None:
        _put(lake, 0, 3)
        _put(lake, 7, 9)
        with pytest.raises(LakeError, match=r"rows 3 to 6 are missing: .*journal are then written"):
            _compact(lake)
        assert len(_files(lake)) == 2

    def test_first_rows_missing_are_named(self, local_lake: Lake) -> None:
        _put(local_lake, 4, 9)
        with pytest.raises(LakeError, match="rows 0 to 3 are missing"):
            _compact(local_lake)

    def test_double_rows_are_named(self, local_lake: Lake) -> None:
        _put(local_lake, 0, 5)
        _put(local_lake, 3, 9)
        with pytest.raises(LakeError, match="rows 3 to 4 are there twice"):
            _compact(local_lake)

    def test_parts_of_two_streams_are_refused(self, local_lake: Lake) -> None:
        _put(local_lake, 0, 5)
        _put(local_lake, 5, 6, stream="replay")
        with pytest.raises(LakeError, match=r"found \['replay', 'us'\]"):
            _compact(local_lake)

    def test_late_parts_of_another_stream_are_refused(self, local_lake: Lake) -> None:
        _put(local_lake, 0, 5)
        _compact(local_lake)
        _put(local_lake, 5, 6, stream="replay")
        with pytest.raises(LakeError, match="both number their rows from 0"):
            _compact(local_lake)

    @pytest.mark.parametrize(
        "now", [datetime(2026, 11, 20, 18, 0, tzinfo=UTC), EVENING - timedelta(minutes=16)]
    )
    def test_open_session_is_refused_and_told_from_when(
        self, local_lake: Lake, now: datetime
    ) -> None:
        _put(local_lake, 0, 3)
        with pytest.raises(BadInputError, match="from 2026-11-20 21:45:00 UTC on"):
            _compact(local_lake, now)
        with pytest.raises(BadInputError, match="no time zone"):
            _compact(local_lake, now.replace(tzinfo=None))

    def test_table_that_is_not_cut_by_stream_is_refused(self, local_lake: Lake) -> None:
        with pytest.raises(BadInputError, match="is cut by snapshot"):
            compact_session(
                local_lake, CHAIN_SNAPSHOTS, underlying="SPX", session_date=DAY, now=EVENING
            )


class TestPartsByStream:
    def test_rows_known_later_are_left_out(self, lake: Lake) -> None:
        _put_cut_at(lake, 0, 3, 9)
        as_of = datetime.fromtimestamp(OPEN_US / 1e6, UTC) + timedelta(microseconds=4)
        for _ in range(2):
            found = read_partition(lake, FEED_GAPS, "SPX", DAY, as_of=as_of)
            assert found["stream_sequence"].to_pylist() == [0, 1, 2, 3, 4]
            found = scan(lake, FEED_GAPS, columns=["stream_sequence"], as_of=as_of)
            assert found["stream_sequence"].to_pylist() == [0, 1, 2, 3, 4]
            _compact(lake)

    @pytest.mark.parametrize("name", ["us-000000001.parquet", "session.parquet", "143000.parquet"])
    def test_name_that_the_rows_numbers_do_not_follow_is_refused(
        self, local_lake: Lake, name: str
    ) -> None:
        rows = made_rows(FEED_GAPS, first=2, known_us=[OPEN_US] * 2)
        with pytest.raises(SchemaError, match=r"numbers without holes|names no row"):
            write_part(local_lake, FEED_GAPS, rows, underlying="SPX", session_date=DAY, name=name)

    def test_rows_with_a_hole_are_refused(self, local_lake: Lake) -> None:
        rows = made_rows(FEED_GAPS, first=2, known_us=[OPEN_US] * 3).take([0, 2])
        with pytest.raises(SchemaError, match="found 4 in row 1"):
            write_part(
                local_lake,
                FEED_GAPS,
                rows,
                underlying="SPX",
                session_date=DAY,
                name=layout.stream_part("us", 2),
            )


def _failing_at(name: str, refused: int, steps: object) -> object:
    """A lake's operation that refuses at one step of all."""
    real = getattr(Lake, name)

    def operate(lake: Lake, *arguments: object) -> object:
        if next(steps) == refused:  # type: ignore[call-overload]
            raise LakeUnavailableError("cannot reach storage: made up")
        return real(lake, *arguments)

    return operate

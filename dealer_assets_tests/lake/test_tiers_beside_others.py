"""Tiers beside others: listed and then moved, two movers, writers, places that are away."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dealer_assets.errors import LakeError, LakeUnavailableError
from dealer_assets.lake import cold, layout, locks, storage, tiers
from dealer_assets.lake.reader import (
    Part,
    fingerprint,
    list_parts,
    part_metadata,
    part_rows,
    read_part,
    read_partition,
    read_parts,
    sessions_held,
)
from dealer_assets.lake.refresh import refresh_part, refresh_snapshots
from dealer_assets.lake.retention import Windows, retain
from dealer_assets.lake.sql import sql
from dealer_assets.lake.statistics import held
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.tiers import bring_back, finish_moves, pack_session, send_to_cold
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, DAILY_HISTORY, FORWARDS

Rows = Callable[..., pa.Table]
SESSION = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
WHERE: dict[str, Any] = {"underlying": "SPX", "session_date": SESSION}
FOLDER = "chain_snapshots/underlying=SPX/date=2026-11-20"
NAMES = [f"143{minute}00.parquet" for minute in range(4)]
LATER = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path, chain_rows: Rows) -> Lake:
    """Four snapshots of 4, 6, 8 and 10 rows, and a place for cold storage."""
    made = open_lake(str(tmp_path / "lake"), cold_uri=str(tmp_path / "cold"))
    for minute, name in enumerate(NAMES):
        rows = chain_rows(4 + 2 * minute, event_at=OPEN + timedelta(minutes=minute))
        write_part(made, CHAIN_SNAPSHOTS, rows, name=name, provenance={"n": str(minute)}, **WHERE)
    return made


def parts(lake: Lake) -> list[Part]:
    return list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)


def counts(lake: Lake) -> list[int]:
    return [part_rows(lake, part) for part in parts(lake)]


def told(lake: Lake, listed: list[Part]) -> list[Any]:
    return [
        (
            read_part(lake, CHAIN_SNAPSHOTS, part).to_pydict(),
            part_rows(lake, part),
            fingerprint(lake, part),
            part_metadata(lake, part),
        )
        for part in listed
    ]


def files_of(place: Lake, folder: str = FOLDER) -> list[str]:
    return sorted(name for name in place.sizes(folder) if not name.startswith("."))


@contextmanager
def beside(patch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], Any]) -> Iterator:
    """Do something once, just before a step of a move."""
    real, done = getattr(module, name), []

    def step(*arguments: Any, **named: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return real(*arguments, **named)

    with patch.context() as inner:
        inner.setattr(module, name, step)
        yield


class TestReadersThatListedBefore:
    @pytest.mark.parametrize("moves", [(pack_session,), (pack_session, send_to_cold)])
    def test_parts_listed_singly_are_read_where_they_lie_now(
        self, lake: Lake, moves: tuple[Any, ...]
    ) -> None:
        listed = parts(lake)
        before = told(lake, listed)
        for move in moves:
            move(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert told(lake, listed) == before
        assert [rows.num_rows for rows in read_parts(lake, CHAIN_SNAPSHOTS, listed)] == [
            4,
            6,
            8,
            10,
        ]

    def test_parts_listed_packed_are_read_after_they_were_brought_back(self, lake: Lake) -> None:
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        listed = parts(lake)
        before = told(lake, listed)
        bring_back(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert told(lake, listed) == before
        assert [rows.num_rows for rows in read_parts(lake, CHAIN_SNAPSHOTS, listed)] == [
            4,
            6,
            8,
            10,
        ]

    def test_listed_part_that_is_another_now_or_none_is_an_error(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        first, second, *_ = parts(lake)
        write_part(lake, CHAIN_SNAPSHOTS, chain_rows(3, event_at=OPEN), name=NAMES[0], **WHERE)
        delete_part(lake, CHAIN_SNAPSHOTS, name=NAMES[1], **WHERE)
        for part in (first, second):
            with pytest.raises(LakeError, match="not there"):
                read_part(lake, CHAIN_SNAPSHOTS, part)

    def test_refresh_during_which_its_source_is_packed_ends_as_if_alone(self, lake: Lake) -> None:
        def derive(rows: Any) -> pa.Table:
            pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
            return FORWARDS.schema.empty_table()

        options: dict[str, Any] = {"sources": [CHAIN_SNAPSHOTS], "derive": derive, **WHERE}
        assert len(refresh_snapshots(lake, FORWARDS, **options).written) == 4
        assert parts(lake)[0].packed
        assert refresh_snapshots(lake, FORWARDS, **options).kept == 4

    def test_query_is_asked_again_when_its_files_were_packed_meanwhile(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = __import__("dealer_assets.lake.sql", fromlist=["_create_view"])
        real, calls = module._create_view, []

        def then_packed(*arguments: Any) -> Any:
            made = real(*arguments)
            calls.append(pack_session(lake, CHAIN_SNAPSHOTS, **WHERE).parts)
            return made

        monkeypatch.setattr(module, "_create_view", then_packed)
        found = sql(lake, "SELECT count(*) AS n FROM chain_snapshots")
        assert (found["n"].to_pylist(), calls) == ([28], [4, 0])

    def test_listing_shows_a_folder_as_it_was_at_one_moment(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Names are taken at once: no file is looked at that may be packed meanwhile."""
        real = storage._entries

        def then_packed(folder: Path) -> Any:
            names = real(folder)
            if str(folder).endswith(FOLDER):
                monkeypatch.setattr(storage, "_entries", real)
                pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
            return names

        monkeypatch.setattr(storage, "_entries", then_packed)
        listed = parts(lake)
        assert [part.name for part in listed] == NAMES
        assert files_of(lake) == [layout.DAY_PART]
        assert [rows.num_rows for rows in read_parts(lake, CHAIN_SNAPSHOTS, listed)] == [
            4,
            6,
            8,
            10,
        ]


class TestParts:
    def test_part_is_the_same_in_every_tier_by_its_path(self, lake: Lake) -> None:
        single = parts(lake)
        assert [part.path for part in single] == [f"{FOLDER}/{name}" for name in NAMES]
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert parts(lake) == single
        assert {part.file for part in parts(lake)} == {f"{FOLDER}/{layout.DAY_PART}"}

    def test_part_derived_from_parts_of_a_session_by_path_is_current_when_they_are_packed(
        self, lake: Lake
    ) -> None:
        """As baselines are: their inputs are named by path, and read with the names."""
        seen: list[int] = []

        def derive(rows: Any) -> pa.Table:
            seen.extend(table.num_rows for table in rows.values())
            return DAILY_HISTORY.schema.empty_table()

        def refresh(**options: Any) -> int | None:
            inputs = {part.path: (CHAIN_SNAPSHOTS, part) for part in parts(lake)}
            name = layout.SESSION_PART
            where = {**WHERE, "name": name, "derive": derive, **options}
            return refresh_part(lake, DAILY_HISTORY, inputs=inputs, **where)

        assert refresh() == 0
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert refresh() is None
        assert refresh(rebuild=True) == 0
        assert seen == [4, 6, 8, 10] * 2


class TestTwoAtOnce:
    def test_change_between_two_movers_of_one_session_is_kept(
        self, lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A slow mover's copy of old parts must not take the place of a quick one's proved copy."""
        old = [
            (p.name, read_part(lake, CHAIN_SNAPSHOTS, p), part_metadata(lake, p))
            for p in parts(lake)
        ]
        stale = tiers.pack(CHAIN_SNAPSHOTS, tiers._contents(lake, CHAIN_SNAPSHOTS, parts(lake)))
        assert len(old) == 4
        write_part(lake, CHAIN_SNAPSHOTS, chain_rows(3, event_at=OPEN), name=NAMES[0], **WHERE)

        def slow_one_puts_its_copy() -> None:
            lake.put(f"{FOLDER}/{layout.DAY_PART}{layout.STAGED_SUFFIX}", stale)
            lake.put(f"{FOLDER}/{layout.staged_name(layout.DAY_PART, 'other')}", stale)

        with beside(monkeypatch, tiers, "_require_unchanged", slow_one_puts_its_copy):
            pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert counts(lake) == [3, 6, 8, 10]

    def test_second_retention_is_refused_while_one_is_at_work(self, lake: Lake) -> None:
        alone = pytest.raises(LakeError, match="another process moves old sessions")
        with locks.retaining_alone(lake), alone:
            list(retain(lake, LATER, Windows()))
        assert [one.problem for one in retain(lake, LATER, Windows(warm=1))] == ["", ""]

    def test_half_done_packing_that_a_writer_undoes_first_is_not_finished(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Single parts equal to those of a day's part that is gone are all there is of them."""
        single = {name: lake.read(f"{FOLDER}/{name}") for name in NAMES}
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        for name, data in single.items():
            assert data is not None
            lake.put(f"{FOLDER}/{name}", data)

        def a_writer() -> None:
            delete_part(lake, CHAIN_SNAPSHOTS, name=NAMES[3], **WHERE)

        with beside(monkeypatch, tiers, "changing_tier", a_writer):
            finish_moves(lake, [CHAIN_SNAPSHOTS])
        assert counts(lake) == [4, 6, 8]
        assert read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 18

    def test_writers_of_other_sessions_do_not_wait_for_a_move(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        day = SESSION + timedelta(days=3)
        rows = chain_rows(4, event_at=OPEN + timedelta(days=3), session_date=pa.array([day] * 4))
        where: dict[str, Any] = {"underlying": "SPX", "session_date": day, "name": NAMES[0]}
        with locks.changing_tier(lake, FOLDER):
            writer = threading.Thread(
                target=write_part, args=(lake, CHAIN_SNAPSHOTS, rows), kwargs=where, daemon=True
            )
            writer.start()
            writer.join(timeout=30.0)
            assert not writer.is_alive()
        assert read_partition(lake, CHAIN_SNAPSHOTS, "SPX", day).num_rows == 4

    def test_moves_wait_for_who_reads_by_glob_and_writers_do_not(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        with locks.holding_tiers(lake):
            mover = threading.Thread(
                target=pack_session, args=(lake, CHAIN_SNAPSHOTS), kwargs=WHERE, daemon=True
            )
            mover.start()
            rows = chain_rows(4, event_at=OPEN)
            again = write_part(
                lake, CHAIN_SNAPSHOTS, rows, name=NAMES[0], provenance={"n": "0"}, **WHERE
            )
            assert not again.changed
            mover.join(timeout=0.3)
            assert mover.is_alive()
            assert [name for name in files_of(lake) if layout.is_part_name(name)] == NAMES
        mover.join(timeout=30.0)
        assert not mover.is_alive()
        assert counts(lake) == [4, 6, 8, 10]


class TestWritingTheSameAgain:
    @pytest.mark.parametrize("moves", [(pack_session,), (pack_session, send_to_cold)])
    def test_equal_part_brings_nothing_back_and_another_provenance_does(
        self, lake: Lake, chain_rows: Rows, moves: tuple[Any, ...]
    ) -> None:
        for move in moves:
            move(lake, CHAIN_SNAPSHOTS, **WHERE)
        before = files_of(lake)
        same: dict[str, Any] = {"name": NAMES[0], **WHERE}
        rows = chain_rows(4, event_at=OPEN)
        assert not write_part(lake, CHAIN_SNAPSHOTS, rows, provenance={"n": "0"}, **same).changed
        assert files_of(lake) == before
        assert write_part(lake, CHAIN_SNAPSHOTS, rows, provenance={"n": "9"}, **same).changed
        assert files_of(lake) == NAMES
        assert part_metadata(lake, parts(lake)[0])["n"] == "9"


class TestLeftovers:
    def test_unproved_copies_of_killed_movers_are_removed_in_both_places(self, lake: Lake) -> None:
        left = layout.staged_name(layout.DAY_PART, "0badcafe")
        assert lake.cold is not None
        for place in (lake, lake.cold):
            place.put(f"{FOLDER}/{left}", pa.py_buffer(b"half"))
        assert [one.problem for one in retain(lake, LATER, Windows(warm=1))] == ["", ""]
        assert files_of(lake) == [layout.COLD_MARK]
        assert files_of(lake.cold) == [layout.DAY_PART]
        assert counts(lake) == [4, 6, 8, 10]

    def test_damaged_half_done_session_stays_and_others_are_moved(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        single = lake.read(f"{FOLDER}/{NAMES[0]}")
        assert single is not None
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        lake.put(f"{FOLDER}/{NAMES[0]}", single)
        day = Path(lake.locate(f"{FOLDER}/{layout.DAY_PART}"))
        day.write_bytes(day.read_bytes()[:-5])
        other = SESSION + timedelta(days=3)
        for minute in range(2):
            at = OPEN + timedelta(days=3, minutes=minute)
            rows = chain_rows(4, event_at=at, session_date=pa.array([other] * 4))
            write_part(
                lake,
                CHAIN_SNAPSHOTS,
                rows,
                underlying="SPX",
                session_date=other,
                name=NAMES[minute],
            )
        done = {one.step.session_date: one.problem for one in retain(lake, LATER, Windows())}
        assert list(done) == [SESSION, other]
        assert "restore it from a backup" in done[SESSION]
        assert done[other] == ""
        assert files_of(lake) == [NAMES[0], layout.DAY_PART]

    def test_statistics_tell_of_a_damaged_session_too(self, lake: Lake) -> None:
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        day = Path(lake.locate(f"{FOLDER}/{layout.DAY_PART}"))
        day.write_bytes(day.read_bytes()[:-5])
        (found,) = held(lake)
        assert (found.sessions, found.packed, found.newest) == (1, 1, None)


class TestColdStorage:
    def test_folder_that_is_away_leaves_hot_sessions_readable_and_the_error_names_it(
        self, lake: Lake, chain_rows: Rows, tmp_path: Path
    ) -> None:
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        day = SESSION + timedelta(days=3)
        rows = chain_rows(4, event_at=OPEN + timedelta(days=3), session_date=pa.array([day] * 4))
        hot: dict[str, Any] = {"underlying": "SPX", "session_date": day, "name": NAMES[0]}
        write_part(lake, CHAIN_SNAPSHOTS, rows, **hot)
        shutil.move(tmp_path / "cold", tmp_path / "elsewhere")
        away = open_lake(lake.uri, cold_uri=str(tmp_path / "cold"))
        assert not (tmp_path / "cold").exists(), "an unmounted disk's folder is not made anew"
        assert read_partition(away, CHAIN_SNAPSHOTS, "SPX", day).num_rows == 4
        assert sessions_held(away, CHAIN_SNAPSHOTS, "SPX") == [SESSION, day]
        (found,) = held(away)
        assert (found.sessions, found.cold) == (2, 1)
        with pytest.raises(LakeUnavailableError, match=r"not in cold storage at .*DEALER_COLD_URI"):
            read_partition(away, CHAIN_SNAPSHOTS, "SPX", SESSION)
        with pytest.raises(LakeError, match="not in cold storage"):
            write_part(away, CHAIN_SNAPSHOTS, chain_rows(4, event_at=OPEN), name=NAMES[0], **WHERE)
        with pytest.raises(LakeError, match="disk is mounted"):
            send_to_cold(away, CHAIN_SNAPSHOTS, underlying="SPX", session_date=day)
        assert read_partition(away, CHAIN_SNAPSHOTS, "SPX", day).num_rows == 4
        shutil.move(tmp_path / "elsewhere", tmp_path / "cold")
        assert counts(away) == [4, 6, 8, 10]

    def test_who_reads_by_glob_is_refused_when_the_place_is_away_or_not_configured(
        self, lake: Lake, tmp_path: Path
    ) -> None:
        assert finish_moves(lake, [CHAIN_SNAPSHOTS]) == []
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert finish_moves(lake, [CHAIN_SNAPSHOTS]) == []
        with pytest.raises(LakeUnavailableError, match="set DEALER_COLD_URI"):
            finish_moves(open_lake(lake.uri), [CHAIN_SNAPSHOTS])
        shutil.move(tmp_path / "cold", tmp_path / "elsewhere")
        with pytest.raises(LakeError, match="disk is mounted"):
            finish_moves(lake, [CHAIN_SNAPSHOTS])

    def test_retention_without_the_place_leaves_cold_sessions_alone(self, lake: Lake) -> None:
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert list(retain(open_lake(lake.uri), LATER, Windows())) == []
        assert counts(lake) == [4, 6, 8, 10]

    def test_two_lakes_cannot_share_a_place(
        self, lake: Lake, chain_rows: Rows, tmp_path: Path
    ) -> None:
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        other = open_lake(str(tmp_path / "other"), cold_uri=str(tmp_path / "cold"))
        write_part(other, CHAIN_SNAPSHOTS, chain_rows(3, event_at=OPEN), name=NAMES[0], **WHERE)
        with pytest.raises(LakeError, match="belongs to another lake"):
            send_to_cold(other, CHAIN_SNAPSHOTS, **WHERE)
        assert counts(other) == [3]
        assert counts(lake) == [4, 6, 8, 10]

    def test_full_disk_in_the_middle_loses_nothing_and_the_next_move_ends_it(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        real = storage._put_local
        for room in range(6):
            with monkeypatch.context() as full:
                left = [room]

                def put(target: Path, data: pa.Buffer, left: list[int] = left) -> None:
                    left[0] -= 1
                    if left[0] < 0:
                        raise OSError(28, "No space left on device")
                    real(target, data)

                full.setattr(storage, "_put_local", put)
                # the file of the day, four parts, then nothing more is written
                enough = nullcontext() if room > 4 else pytest.raises(LakeError, match="No space")
                with enough:
                    bring_back(lake, CHAIN_SNAPSHOTS, **WHERE)
                assert counts(lake) == [4, 6, 8, 10]
            finish_moves(lake, [CHAIN_SNAPSHOTS])
            assert counts(lake) == [4, 6, 8, 10]
            if room < 5:
                pack_session(lake, CHAIN_SNAPSHOTS, **WHERE)
                send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        bring_back(lake, CHAIN_SNAPSHOTS, **WHERE)
        assert files_of(lake) == NAMES

    def test_mark_that_cannot_be_understood_is_named(self, lake: Lake) -> None:
        send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        lake.put(f"{FOLDER}/{layout.COLD_MARK}", pa.py_buffer(b"{"))
        with pytest.raises(LakeUnavailableError, match=r"_cold\.json .* restore it from a backup"):
            read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)

    def test_killed_at_the_first_move_ever_the_place_is_this_lakes_at_the_next(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert lake.cold is not None
        with monkeypatch.context() as dead:
            dead.setattr(cold, "_copy_schema", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE)
        lake.cold.remove(layout.COLD_IDENTITY)
        identity = lake.read(layout.COLD_IDENTITY)
        assert identity is not None
        told = identity.to_pybytes().replace(b'"in_use": true', b'"is_new": true')
        lake.put(layout.COLD_IDENTITY, pa.py_buffer(told))
        assert send_to_cold(lake, CHAIN_SNAPSHOTS, **WHERE).parts == 4
        assert counts(lake) == [4, 6, 8, 10]

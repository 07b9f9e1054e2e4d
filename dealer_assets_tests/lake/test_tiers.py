"""Tiers: packed, sent away and brought back, every reader finds the same rows and provenance."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dealer_assets
from dealer_assets.errors import DealerError, LakeError, LakeUnavailableError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.reader import (
    fingerprint,
    latest_part,
    list_parts,
    part_metadata,
    part_rows,
    read_part,
    read_partition,
    scan,
    sessions_held,
)
from dealer_assets.lake.refresh import refresh_session, refresh_snapshots
from dealer_assets.lake.sql import sql
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.tiers import bring_back, finish_moves, pack_session, send_to_cold
from dealer_assets.lake.writer import delete_part, ensure_tables, replace_partition, write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, CHAIN_SOURCES, DAILY_HISTORY, FORWARDS
from dealer_assets_tests.lake.conftest import BUCKET, S3_KEYS

Rows = Callable[..., pa.Table]
SESSION = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
WHERE: dict[str, Any] = {"underlying": "SPX", "session_date": SESSION}
FOLDER = "chain_snapshots/underlying=SPX/date=2026-11-20"
NAMES = ["143000.parquet", "143100.parquet", "143200.000007.parquet", "143300.parquet"]


@pytest.fixture(params=["local to local", "s3 to s3", "local to s3"])
def tiered(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake with cold storage, in folders, on S3, and across."""
    here, there = request.param.split(" to ")
    options: dict[str, Any] = {}
    if "s3" in request.param:
        endpoint = request.getfixturevalue("s3_endpoint")
        options = {"s3_endpoint": endpoint, "s3_region": "us-east-1", **S3_KEYS}
    uris = {
        "local": [str(tmp_path / "lake"), str(tmp_path / "cold")],
        "s3": [f"s3://{BUCKET}/{tmp_path.name}-lake", f"s3://{BUCKET}/{tmp_path.name}-cold"],
    }
    return open_lake(uris[here][0], cold_uri=uris[there][1], **options)


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), cold_uri=str(tmp_path / "cold"))


def fill(lake: Lake, chain_rows: Rows) -> None:
    """Four snapshots, one of them without a row, as a derived table may have it."""
    for minute, name in enumerate(NAMES):
        at = OPEN + timedelta(minutes=minute, microseconds=7 if minute == 2 else 0)
        rows = chain_rows(
            4 + 2 * minute, event_at=at, bid=pa.array([1.0 + minute] * (4 + 2 * minute))
        )
        write_part(
            lake,
            CHAIN_SNAPSHOTS,
            rows.slice(0, 0) if minute == 1 else rows,
            name=name,
            provenance={"input.x": f"{minute:064d}"},
            **WHERE,
        )


def seen(lake: Lake, *, by_sql: bool = True) -> dict[str, Any]:
    """All that any reader is told of the partition."""
    parts = list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)
    newest = latest_part(lake, CHAIN_SNAPSHOTS, "SPX")
    as_of = OPEN + timedelta(minutes=1)
    query = 'SELECT * FROM chain_snapshots ORDER BY event_at, root, expiry_date, strike, "right"'
    return {
        "parts": parts,
        "names": [part.name for part in parts],
        "rows": [read_part(lake, CHAIN_SNAPSHOTS, part).to_pylist() for part in parts],
        "counts": [part_rows(lake, part) for part in parts],
        "fingerprints": [fingerprint(lake, part) for part in parts],
        "provenance": [part_metadata(lake, part) for part in parts],
        "newest": newest and newest.name,
        "sessions": sessions_held(lake, CHAIN_SNAPSHOTS, "SPX"),
        "partition": read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).to_pylist(),
        "as of": read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION, as_of=as_of).num_rows,
        "columns": scan(lake, CHAIN_SNAPSHOTS, columns=["strike", "bid"]).to_pydict(),
        "sql": sql(lake, query).to_pylist() if by_sql else None,
    }


def files(lake: Lake) -> list[str]:
    return sorted(name for name in lake.sizes(FOLDER) if not name.startswith("."))


def contents(lake: Lake) -> dict[str, bytes]:
    return {n: lake.read(f"{FOLDER}/{n}").to_pybytes() for n in files(lake)}  # type: ignore[union-attr]


class TestMoves:
    def test_every_reader_sees_the_same_in_each_tier_and_back_again(
        self, tiered: Lake, chain_rows: Rows
    ) -> None:
        fill(tiered, chain_rows)
        single, before = contents(tiered), seen(tiered)
        assert before["names"] == NAMES
        assert before["counts"] == [4, 0, 8, 10]
        moved = pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert moved.parts == 4
        assert files(tiered) == [layout.DAY_PART]
        assert seen(tiered) == before
        packed = contents(tiered)
        sent = send_to_cold(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert sent.parts == 1
        assert files(tiered) == [layout.COLD_MARK]
        assert tiered.cold is not None
        assert contents(tiered.cold) == packed
        assert seen(tiered) == before
        bring_back(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert contents(tiered) == single
        assert files(tiered.cold) == []
        assert seen(tiered) == before

    def test_moves_repeated_change_nothing(self, tiered: Lake, chain_rows: Rows) -> None:
        fill(tiered, chain_rows)
        pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        packed = contents(tiered)
        assert pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE).parts == 0
        assert contents(tiered) == packed
        send_to_cold(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert send_to_cold(tiered, CHAIN_SNAPSHOTS, **WHERE).parts == 0
        assert pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE).parts == 0
        bring_back(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert bring_back(tiered, CHAIN_SNAPSHOTS, **WHERE).parts == 0
        pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        assert contents(tiered) == packed, "the same parts are packed to the same bytes"

    def test_packed_session_of_which_a_part_is_written_lies_in_single_parts_again(
        self, tiered: Lake, chain_rows: Rows
    ) -> None:
        fill(tiered, chain_rows)
        pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        send_to_cold(tiered, CHAIN_SNAPSHOTS, **WHERE)
        late = chain_rows(2, event_at=OPEN + timedelta(hours=1))
        write_part(tiered, CHAIN_SNAPSHOTS, late, name="153000.parquet", **WHERE)
        assert files(tiered) == sorted([*NAMES, "153000.parquet"])
        assert seen(tiered)["counts"] == [4, 0, 8, 10, 2]
        pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        delete_part(tiered, CHAIN_SNAPSHOTS, name=NAMES[0], **WHERE)
        assert seen(tiered)["counts"] == [0, 8, 10, 2]
        pack_session(tiered, CHAIN_SNAPSHOTS, **WHERE)
        replace_partition(tiered, CHAIN_SNAPSHOTS, {"153000.parquet": late}, **WHERE)
        assert files(tiered) == ["153000.parquet"]

    def test_columns_of_lists_and_texts_come_back_as_they_were(self, folder_lake: Lake) -> None:
        rows = pa.Table.from_pylist(
            [
                {
                    "underlying": "SPX",
                    "session_date": SESSION,
                    "event_at": OPEN,
                    "known_at": OPEN,
                    "provider": "cboe",
                    "source_name": "a file, ünïcode",
                    "source_sha256": digit * 64,
                    "contracts": 2,
                    "rejected": 0,
                    "is_partial": False,
                    "findings": findings,
                    "findings_text": "",
                }
                for digit, findings in (("a", []), ("b", ["x", "yz"]))
            ],
            schema=CHAIN_SOURCES.schema,
        )
        for row in (0, 1):
            sha256 = rows["source_sha256"][row].as_py()
            name = layout.source_part(OPEN, sha256)
            write_part(folder_lake, CHAIN_SOURCES, rows.slice(row, 1), name=name, **WHERE)
        folder = layout.partition_dir(CHAIN_SOURCES, "SPX", SESSION)
        single = {n: folder_lake.read(f"{folder}/{n}") for n in folder_lake.sizes(folder)}
        assert pack_session(folder_lake, CHAIN_SOURCES, **WHERE).parts == 2
        assert read_partition(folder_lake, CHAIN_SOURCES, "SPX", SESSION).equals(rows)
        bring_back(folder_lake, CHAIN_SOURCES, **WHERE)
        back = {n: folder_lake.read(f"{folder}/{n}") for n in folder_lake.sizes(folder)}
        assert back == single

    def test_single_part_of_a_session_is_left_as_it_is(
        self, folder_lake: Lake, chain_rows: Rows
    ) -> None:
        write_part(folder_lake, CHAIN_SNAPSHOTS, chain_rows(), name="183000.parquet", **WHERE)
        assert pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE).parts == 0
        assert files(folder_lake) == ["183000.parquet"]

    def test_cold_rows_without_their_storage_are_an_error_and_not_missing(
        self, folder_lake: Lake, chain_rows: Rows
    ) -> None:
        fill(folder_lake, chain_rows)
        send_to_cold(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        alone = open_lake(folder_lake.uri)
        with pytest.raises(LakeUnavailableError, match="set DEALER_COLD_URI"):
            read_partition(alone, CHAIN_SNAPSHOTS, "SPX", SESSION)
        with pytest.raises(LakeUnavailableError, match="set DEALER_COLD_URI"):
            write_part(alone, CHAIN_SNAPSHOTS, chain_rows(), name="183000.parquet", **WHERE)
        with pytest.raises(LakeError, match="no cold storage is configured"):
            send_to_cold(alone, CHAIN_SNAPSHOTS, **WHERE)

    def test_older_schema_is_not_packed_and_stays(
        self, folder_lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(folder_lake, chain_rows)
        before = contents(folder_lake)
        with monkeypatch.context() as patch:
            patch.setitem(CHAIN_SNAPSHOTS.__dict__, "version", CHAIN_SNAPSHOTS.version + 1)
            with pytest.raises(SchemaError, match="schema version"):
                pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert contents(folder_lake) == before

    def test_globs_find_the_rows_once_when_a_move_is_done(
        self, folder_lake: Lake, chain_rows: Rows
    ) -> None:
        import duckdb

        ensure_tables(folder_lake)
        fill(folder_lake, chain_rows)
        roots = [f"{folder_lake.root}/chain_snapshots/**/*.parquet"]

        def counted() -> Any:
            globs = ", ".join(f"'{root}'" for root in roots)
            query = f"select count(*), sum(bid) from read_parquet([{globs}])"
            return duckdb.sql(query).fetchone()

        before = counted()
        pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert counted() == before
        send_to_cold(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert folder_lake.cold is not None
        roots.append(f"{folder_lake.cold.root}/chain_snapshots/**/*.parquet")
        assert counted() == before


class TestFaults:
    def test_packed_rows_that_do_not_read_back_equal_remove_nothing(
        self, folder_lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(folder_lake, chain_rows)
        before = contents(folder_lake)
        monkeypatch.setattr("dealer_assets.lake.tiers.content_sha256", lambda _: "another")
        with pytest.raises(LakeError, match="do not read back"):
            pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert contents(folder_lake) == before

    def test_cold_copy_that_does_not_read_back_equal_removes_nothing(
        self, folder_lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(folder_lake, chain_rows)
        before = contents(folder_lake)
        put = Lake.put

        def cut(self: Lake, path: str, data: pa.Buffer) -> bool:
            is_cold = self.cold is None
            return put(self, path, data.slice(0, data.size - 1) if is_cold else data)

        monkeypatch.setattr(Lake, "put", cut)
        with pytest.raises(LakeError, match="does not read back equal"):
            send_to_cold(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert contents(folder_lake) == before

    def test_part_written_while_its_session_is_packed_is_kept(
        self, folder_lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(folder_lake, chain_rows)
        changed = chain_rows(3, event_at=OPEN)
        proved = __import__("dealer_assets.lake.tiers", fromlist=["_proved"])._proved

        def meanwhile(lake: Lake, path: str) -> Any:
            write_part(lake, CHAIN_SNAPSHOTS, changed, name=NAMES[0], **WHERE)
            return proved(lake, path)

        monkeypatch.setattr("dealer_assets.lake.tiers._proved", meanwhile)
        with pytest.raises(LakeError, match="was written while it was packed"):
            pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert files(folder_lake) == NAMES
        assert seen(folder_lake)["counts"] == [3, 0, 8, 10]

    def test_part_that_differs_from_its_packed_namesake_wins(
        self, folder_lake: Lake, chain_rows: Rows
    ) -> None:
        fill(folder_lake, chain_rows)
        pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        day = folder_lake.read(f"{FOLDER}/{layout.DAY_PART}")
        changed = chain_rows(3, event_at=OPEN)
        write_part(folder_lake, CHAIN_SNAPSHOTS, changed, name=NAMES[0], **WHERE)
        for name in NAMES[1:]:
            folder_lake.remove(f"{FOLDER}/{name}")
        folder_lake.put(f"{FOLDER}/{layout.DAY_PART}", day)
        assert seen(folder_lake)["counts"] == [3, 0, 8, 10]
        assert len(seen(folder_lake)["sql"]) == 21
        pack_session(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert files(folder_lake) == [layout.DAY_PART]
        assert seen(folder_lake)["counts"] == [3, 0, 8, 10]


DIE_AT = """
import os, signal, sys
from datetime import date
from dealer_assets.lake import tiers
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.tables import CHAIN_SNAPSHOTS

root, cold, move, step = sys.argv[1:]
left = int(step)

def counted(method):
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **named)
    return call

for name in ("put", "rename", "remove"):
    setattr(Lake, name, counted(getattr(Lake, name)))
lake = open_lake(root, cold_uri=cold)
getattr(tiers, move)(lake, CHAIN_SNAPSHOTS, underlying="SPX", session_date=date(2026, 11, 20))
"""


class _KilledError(BaseException):
    """Stands for a SIGKILL: nothing in the code under test may catch it."""


@contextmanager
def dying_after(changes: int, patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let some changes of storage happen, then die; what follows in `finally` is dead too."""
    made = [0]

    def counted(method: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if made[0] >= changes:
                made[0] += 1
                raise _KilledError
            made[0] += 1
            return method(*arguments, **named)

        return call

    with patch.context() as inner:
        for name in ("put", "rename", "remove"):
            inner.setattr(Lake, name, counted(getattr(Lake, name)))
        yield made


MOVES = {
    "pack_session": [],
    "send_to_cold": [pack_session],
    "bring_back": [pack_session, send_to_cold],
}


class TestKills:
    @pytest.mark.parametrize("move", MOVES)
    def test_killed_before_any_change_readers_see_the_same_and_the_next_run_ends_it(
        self, tmp_path: Path, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch, move: str
    ) -> None:
        to_do = {"pack_session": pack_session, "send_to_cold": send_to_cold}.get(move, bring_back)
        begun = tmp_path / "begun"
        lake = open_lake(str(begun / "lake"), cold_uri=str(begun / "cold"))
        fill(lake, chain_rows)
        before = seen(lake, by_sql=False)
        for earlier in MOVES[move]:
            earlier(lake, CHAIN_SNAPSHOTS, **WHERE)
        for step in range(40):
            root = tmp_path / str(step)
            shutil.copytree(begun, root)
            lake = open_lake(str(root / "lake"), cold_uri=str(root / "cold"))
            with dying_after(step, monkeypatch) as made:
                try:
                    to_do(lake, CHAIN_SNAPSHOTS, **WHERE)
                    is_done = True
                except _KilledError:
                    is_done = False
            assert seen(lake, by_sql=False) == before, step
            if step % 3 == 0:
                assert sql(lake, "SELECT count(*) n FROM chain_snapshots")["n"][0].as_py() == 22
            finish_moves(lake, [CHAIN_SNAPSHOTS])
            assert seen(lake, by_sql=False) == before, step
            assert _each_row_lies_once(lake), step
            to_do(lake, CHAIN_SNAPSHOTS, **WHERE)
            assert read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 22
            assert _each_row_lies_once(lake)
            if is_done:
                assert made[0] <= step
                return
        pytest.fail("the move never came to its end")

    @pytest.mark.slow
    @pytest.mark.parametrize(("move", "step"), [("pack_session", 3), ("send_to_cold", 3)])
    def test_process_that_is_really_killed_loses_nothing(
        self, folder_lake: Lake, chain_rows: Rows, move: str, step: int
    ) -> None:
        fill(folder_lake, chain_rows)
        before = seen(folder_lake)
        for earlier in MOVES[move]:
            earlier(folder_lake, CHAIN_SNAPSHOTS, **WHERE)
        assert folder_lake.cold is not None
        command = [sys.executable, "-c", DIE_AT, folder_lake.root, folder_lake.cold.root, move]
        done = subprocess.run(
            [*command, str(step)], cwd=Path(dealer_assets.__file__).parents[1], check=False
        )
        assert done.returncode == -9
        assert seen(folder_lake) == before
        finish_moves(folder_lake, [CHAIN_SNAPSHOTS])
        assert seen(folder_lake) == before


def _each_row_lies_once(lake: Lake) -> bool:
    """Whether a glob over both places would count each row once."""
    import duckdb

    assert lake.cold is not None
    roots = [r for r in (lake.root, lake.cold.root) if list(Path(r).rglob("[0-9d]*.parquet"))]
    globs = ", ".join(f"'{root}/chain_snapshots/underlying*/**/*.parquet'" for root in roots)
    (count,) = duckdb.sql(f"select count(*) from read_parquet([{globs}])").fetchone() or (0,)
    return bool(count == read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows)


class TestRefresh:
    def test_refresh_keeps_packed_parts_and_provenance_and_computes_nothing(
        self, tiered: Lake, chain_rows: Rows
    ) -> None:
        fill(tiered, chain_rows)

        def snapshots(**options: Any) -> Any:
            return refresh_snapshots(
                tiered,
                FORWARDS,
                sources=[CHAIN_SNAPSHOTS],
                derive=lambda _: FORWARDS.schema.empty_table(),
                **WHERE,
                **options,
            )

        def session() -> Any:
            return refresh_session(
                tiered,
                DAILY_HISTORY,
                sources=[CHAIN_SNAPSHOTS, FORWARDS],
                derive=lambda rows: DAILY_HISTORY.schema.empty_table(),
                **WHERE,
            )

        assert len(snapshots().written) == 4
        assert session().written == ("session.parquet",)
        for move in (pack_session, send_to_cold):
            for table in (CHAIN_SNAPSHOTS, FORWARDS):
                move(tiered, table, **WHERE)
            kept = snapshots()
            assert (kept.written, kept.kept, kept.removed) == ((), 4, 0)
            assert session().kept == 1
        assert len(snapshots(rebuild=True).written) == 4
        # the same was computed: nothing is brought back for it
        assert all(part.packed for part in list_parts(tiered, FORWARDS, "SPX", SESSION))
        assert session().kept == 1

    def test_refresh_of_a_packed_session_computes_the_snapshot_that_came_late_alone(
        self, folder_lake: Lake, chain_rows: Rows
    ) -> None:
        fill(folder_lake, chain_rows)

        def snapshots() -> Any:
            return refresh_snapshots(
                folder_lake,
                FORWARDS,
                sources=[CHAIN_SNAPSHOTS],
                derive=lambda _: FORWARDS.schema.empty_table(),
                **WHERE,
            )

        snapshots()
        for table in (CHAIN_SNAPSHOTS, FORWARDS):
            pack_session(folder_lake, table, **WHERE)
        late = chain_rows(2, event_at=OPEN + timedelta(hours=1))
        write_part(folder_lake, CHAIN_SNAPSHOTS, late, name="153000.parquet", **WHERE)
        done = snapshots()
        assert (done.written, done.kept, done.removed) == (("153000.parquet",), 4, 0)


def test_cold_storage_cannot_be_the_lake_itself(tmp_path: Path) -> None:
    with pytest.raises(DealerError, match="cannot be the lake itself"):
        open_lake(str(tmp_path), cold_uri=f"{tmp_path}/")

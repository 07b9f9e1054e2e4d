"""Retention: what is due by age, what is done, what stays; statistics; the commands and the job."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from dealer_assets import cli
from dealer_assets.domain.sessions import sessions_before
from dealer_assets.errors import BadInputError
from dealer_assets.lake import layout, retention
from dealer_assets.lake.reader import list_parts, read_partition, scan, sessions_held
from dealer_assets.lake.retention import Done, Windows, plan, retain
from dealer_assets.lake.statistics import held
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import ensure_tables, write_part
from dealer_assets.settings import settings
from dealer_assets.tables import (
    CHAIN_SNAPSHOTS,
    DAILY_HISTORY,
    FEED_GAPS,
    Table,
)
from dealer_assets_tests.streaming.made_rows import made_rows

Rows = Callable[..., pa.Table]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday: Friday is the newest session
DAYS = [date(2026, 11, 20), *sessions_before("XNYS", date(2026, 11, 20), most=7)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), cold_uri=str(tmp_path / "cold"))


def put(lake: Lake, chain_rows: Rows, days: list[date], *, snapshots: int = 3) -> None:
    for day in days:
        for minute in range(snapshots):
            at = datetime(day.year, day.month, day.day, 18, 30 + minute, tzinfo=UTC)
            rows = chain_rows(4, event_at=at, session_date=pa.array([day] * 4))
            where: dict[str, Any] = {"underlying": "SPX", "session_date": day}
            write_part(lake, CHAIN_SNAPSHOTS, rows, name=layout.snapshot_part(at), **where)


def put_stream(lake: Lake, day: date) -> None:
    begin = int(datetime(day.year, day.month, day.day, 15, tzinfo=UTC).timestamp() * 1e6)
    for first in (0, 5):
        known = [begin + n for n in range(first, first + 5)]
        write_part(
            lake,
            FEED_GAPS,
            made_rows(FEED_GAPS, first=first, known_us=known, day=day),
            underlying="SPX",
            session_date=day,
            name=layout.stream_part("us", first),
            provenance={"stream": "us"},
        )


def tiers(lake: Lake, table: Table = CHAIN_SNAPSHOTS) -> dict[date, str]:
    found = {}
    for day in sessions_held(lake, table, "SPX"):
        names = set(lake.sizes(layout.partition_dir(table, "SPX", day)))
        is_packed = bool({layout.DAY_PART, layout.SESSION_PART} & names)
        found[day] = "cold" if layout.COLD_MARK in names else "warm" if is_packed else "hot"
    return found


def told(steps: list[retention.Step]) -> list[tuple[str, date]]:
    return [(step.action, step.session_date) for step in steps]


class TestPlan:
    def test_newest_sessions_are_hot_then_warm_then_cold(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        put(lake, chain_rows, DAYS[:6])
        found = plan(lake, NOW, Windows(hot=2, warm=2))
        cold = sorted(DAYS[4:6])
        assert told(found) == [
            *((action, day) for day in cold for action in ("pack", "send")),
            ("pack", DAYS[3]),
            ("pack", DAYS[2]),
        ]
        assert {step.files for step in found} == {3}

    def test_running_session_counts_as_the_first_hot_one(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        put(lake, chain_rows, DAYS[:2])
        before_open = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
        assert told(plan(lake, before_open, Windows(hot=1))) == []
        assert told(plan(lake, before_open + timedelta(hours=1), Windows(hot=1))) == [
            ("pack", DAYS[1])
        ]

    def test_nothing_gets_cold_without_cold_storage(self, tmp_path: Path, chain_rows: Rows) -> None:
        alone = open_lake(str(tmp_path / "lake"))
        put(alone, chain_rows, DAYS[:3])
        assert {step.action for step in plan(alone, NOW, Windows(hot=1, warm=0))} == {"pack"}

    def test_session_of_one_part_is_not_packed_and_session_tables_stay(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        put(lake, chain_rows, [DAYS[5]], snapshots=1)
        where: dict[str, Any] = {"underlying": "SPX", "session_date": DAYS[5]}
        empty = DAILY_HISTORY.schema.empty_table()
        write_part(lake, DAILY_HISTORY, empty, name=layout.SESSION_PART, **where)
        assert told(plan(lake, NOW, Windows(hot=1, warm=10))) == []
        assert told(plan(lake, NOW, Windows(hot=1, warm=1))) == [("send", DAYS[5])]

    @pytest.mark.parametrize("windows", [(0, 5), (1, -1)])
    def test_windows_that_touch_the_running_session_are_refused(
        self, windows: tuple[int, int]
    ) -> None:
        with pytest.raises(BadInputError, match="at least 1 hot"):
            Windows(*windows)


class TestRetain:
    def test_rows_are_the_same_after_and_a_second_run_finds_nothing(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        put(lake, chain_rows, DAYS[:6])
        for day in (DAYS[5], DAYS[3]):
            put_stream(lake, day)
        before = [scan(lake, table) for table in (CHAIN_SNAPSHOTS, FEED_GAPS)]
        windows = Windows(hot=2, warm=2)
        done = list(retain(lake, NOW, windows))
        assert [one.problem for one in done if one.problem] == []
        assert tiers(lake) == dict(
            zip(DAYS, ["hot"] * 2 + ["warm"] * 2 + ["cold"] * 2, strict=False)
        )
        assert tiers(lake, FEED_GAPS) == {DAYS[5]: "cold", DAYS[3]: "warm"}
        assert [scan(lake, table) for table in (CHAIN_SNAPSHOTS, FEED_GAPS)] == before
        assert list(retain(lake, NOW, windows)) == []
        later = NOW + timedelta(days=3)  # Tuesday before the open: Monday's is the newest
        assert {one.step.action for one in retain(lake, later, windows)} == {"pack", "send"}
        assert [scan(lake, table) for table in (CHAIN_SNAPSHOTS, FEED_GAPS)] == before

    def test_partition_that_cannot_be_packed_stays_with_its_reason_and_others_go_on(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        put(lake, chain_rows, DAYS[4:6])
        path = Path(lake.root) / layout.partition_dir(CHAIN_SNAPSHOTS, "SPX", DAYS[5])
        part = sorted(path.glob("*.parquet"))[0]
        damaged = bytearray(part.read_bytes())
        damaged[40] ^= 0xFF
        part.write_bytes(damaged)
        done = list(retain(lake, NOW, Windows(hot=1, warm=1)))
        problems = {one.step.session_date: one.problem for one in done if one.problem}
        assert list(problems) == [DAYS[5]]
        assert "cannot be read" in problems[DAYS[5]]
        assert tiers(lake) == {DAYS[5]: "hot", DAYS[4]: "cold"}
        assert len(list(path.glob("*.parquet"))) == 3

    def test_stream_with_a_hole_is_not_sent_away(self, lake: Lake) -> None:
        put_stream(lake, DAYS[5])
        folder = layout.partition_dir(FEED_GAPS, "SPX", DAYS[5])
        lake.remove(f"{folder}/{layout.stream_part('us', 0)}")
        (done,) = retain(lake, NOW, Windows(hot=1, warm=1))
        assert (done.step.action, "rows 0 to 4 are missing" in done.problem) == ("fold", True)
        assert tiers(lake, FEED_GAPS) == {DAYS[5]: "hot"}


class TestStatistics:
    def test_held_counts_sessions_files_bytes_rows_and_tiers(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        ensure_tables(lake)
        put(lake, chain_rows, DAYS[:6])
        (before,) = held(lake, count_rows=True)
        assert (before.sessions, before.single, before.packed, before.cold) == (6, 6, 0, 0)
        assert (before.files, before.rows, before.cold_bytes) == (18, 72, 0)
        assert (before.first, before.last) == (DAYS[5], DAYS[0])
        assert before.newest == datetime(2026, 11, 20, 18, 32, tzinfo=UTC)
        list(retain(lake, NOW, Windows(hot=2, warm=2)))
        (after,) = held(lake, count_rows=True)
        assert (after.sessions, after.single, after.packed, after.cold) == (6, 2, 2, 2)
        assert (after.files, after.rows) == (10, 72)
        assert 0 < after.cold_bytes < after.bytes
        assert held(lake)[0].rows is None


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DEALER_COLD_URI", str(tmp_path / "cold"))
    monkeypatch.setenv("DEALER_RETENTION_HOT_SESSIONS", "2")
    monkeypatch.setenv("DEALER_RETENTION_WARM_SESSIONS", "2")
    settings.cache_clear()
    yield open_lake(str(tmp_path / "data" / "lake"), cold_uri=str(tmp_path / "cold"))
    settings.cache_clear()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, arguments)


class TestCommands:
    def test_retain_shows_what_is_due_and_touches_nothing_until_told(
        self, configured: Lake, chain_rows: Rows
    ) -> None:
        put(configured, chain_rows, DAYS[:6])
        rows = scan(configured, CHAIN_SNAPSHOTS)
        shown = run("retain")
        assert shown.exit_code == 0
        assert "nothing was touched" in shown.output
        assert set(tiers(configured).values()) == {"hot"}
        document = json.loads(run("retain", "--json").stdout)
        assert {step["action"] for step in document} == {"pack", "send"}
        done = run("retain", "--apply")
        assert done.exit_code == 0
        assert set(tiers(configured).values()) == {"hot", "warm", "cold"}
        assert scan(configured, CHAIN_SNAPSHOTS) == rows
        assert "nothing is due" in run("retain").output

    def test_retain_leaves_with_one_when_something_had_to_stay(
        self, configured: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(configured, chain_rows, [DAYS[3]])
        monkeypatch.setattr(retention, "carry_out", lambda _, step, __: Done(step, 0, 0, "full"))
        done = run("retain", "--apply")
        assert done.exit_code == 1
        assert "full" in done.stderr

    def test_status_tells_tiers_totals_disk_and_alerts(
        self, configured: Lake, chain_rows: Rows
    ) -> None:
        import sqlite3

        put(configured, chain_rows, DAYS[:6])
        run("retain", "--apply")
        store = settings().data / "alerts" / "alerts.sqlite"
        store.parent.mkdir(parents=True)
        with sqlite3.connect(store) as connection:
            connection.execute("CREATE TABLE alerts (state TEXT)")
            connection.executemany("INSERT INTO alerts VALUES (?)", [("new",), ("resolved",)])
        connection.close()
        shown = run("status")
        assert shown.exit_code == 0
        (line,) = [row for row in shown.output.splitlines() if "chain_snapshots" in row]
        assert line.split()[:9] == [
            *("SPX", "chain_snapshots", str(DAYS[5]), "2026-11-20", "18:32"),
            *("2", "2", "2", "10"),
        ]
        assert "open alerts: 1 new" in shown.output
        document = json.loads(run("status", "--json", "--rows").stdout)
        assert document["tables"][0]["rows"] == 72
        assert document["open_alerts"] == {"new": 1, "delivered": 0, "acknowledged": 0}
        assert document["disk"]["free_bytes"] > 0
        assert document["totals"]["cold_bytes"] > 0

    @pytest.mark.parametrize("command", ["status", "retain"])
    def test_commands_teach(self, command: str) -> None:
        shown = run(command, "--help")
        assert shown.exit_code == 0
        assert len(shown.output.splitlines()) > 12


class TestAsAStrangerReadsIt:
    def test_tables_are_whole_in_a_pipe_however_narrow(
        self, configured: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        put(configured, chain_rows, DAYS[:6])
        for command in ("status", "retain"):
            shown = run(command).output
            assert "…" not in shown
            (line,) = [row for row in shown.splitlines() if "2026" in row and "chain" in row][:1]
            assert str(DAYS[5]) in line

    def test_status_tells_what_is_cold_when_its_storage_is_not_configured(
        self, configured: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(configured, chain_rows, DAYS[:6])
        run("retain", "--apply")
        monkeypatch.delenv("DEALER_COLD_URI")
        settings.cache_clear()
        shown = run("status")
        assert shown.exit_code == 0
        assert "cold storage is not configured: set DEALER_COLD_URI" in shown.output
        assert json.loads(run("status", "--json").stdout)["tables"][0]["cold"] == 2

    def test_apply_with_nothing_due_says_so(self, configured: Lake) -> None:
        assert "nothing is due" in run("retain", "--apply").stderr

    def test_lake_on_s3_asks_for_the_word_that_nothing_else_runs(
        self, s3_lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dealer_assets.sources.lake_of", lambda _: s3_lake)
        refused = run("retain", "--apply")
        assert isinstance(refused.exception, BadInputError)
        assert "expected --alone with --apply" in str(refused.exception)
        assert run("retain", "--apply", "--alone").exit_code == 0
        assert run("retain").exit_code == 0


class TestJob:
    def test_job_does_what_is_due_and_again_nothing(
        self, configured: Lake, chain_rows: Rows
    ) -> None:
        from dealer_assets.defs.resources import Platform
        from dealer_assets.defs.retention import retention as job

        put(configured, chain_rows, DAYS[:6])
        rows = scan(configured, CHAIN_SNAPSHOTS)
        offset = int((NOW - datetime.now(UTC)).total_seconds())
        for _ in range(2):
            platform = Platform(clock_offset_seconds=offset)
            assert job.execute_in_process(resources={"platform": platform}).success
            assert list(tiers(configured).values()).count("cold") == 2
            assert scan(configured, CHAIN_SNAPSHOTS) == rows

    def test_job_that_had_to_leave_something_fails_after_the_rest(
        self, configured: Lake, chain_rows: Rows
    ) -> None:
        from dealer_assets.defs.resources import Platform
        from dealer_assets.defs.retention import retention as job

        put(configured, chain_rows, DAYS[3:5])
        put_stream(configured, DAYS[5])
        folder = layout.partition_dir(FEED_GAPS, "SPX", DAYS[5])
        configured.remove(f"{folder}/{layout.stream_part('us', 0)}")
        offset = int((NOW - datetime.now(UTC)).total_seconds())
        result = job.execute_in_process(
            resources={"platform": Platform(clock_offset_seconds=offset)}, raise_on_error=False
        )
        assert not result.success
        assert set(tiers(configured).values()) == {"warm", "cold"}
        assert len(list_parts(configured, CHAIN_SNAPSHOTS, "SPX", DAYS[4])) == 3
        assert read_partition(configured, CHAIN_SNAPSHOTS, "SPX", DAYS[4]).num_rows == 12

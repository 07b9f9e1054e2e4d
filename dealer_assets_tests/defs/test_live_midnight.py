"""The sensors of live tables around the clock: a session's last parts come after the next began."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dealer_assets import tables
from dealer_assets.defs.live import live_checks_sensor, live_parts_sensor
from dealer_assets.defs.resources import Platform
from dealer_assets.lake.storage import Lake
from dealer_assets.settings import settings
from dealer_assets_tests.live_rows import row, stream

ENDED, BEGUN = date(2026, 11, 20), date(2026, 11, 21)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


class Rehearsal(Platform):
    """A platform whose clock a test sets."""

    at: str

    def now(self) -> datetime:
        return datetime.fromisoformat(self.at)


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty lake of a graph whose only lane is BTC."""
    monkeypatch.setenv("DEALER_UNDERLYINGS", "BTC")
    settings.cache_clear()
    yield Rehearsal(at=MIDNIGHT.isoformat()).lake()
    settings.cache_clear()


def beat(lake: Lake, seconds: float, *, first: int, day: date = ENDED, **values: Any) -> None:
    """Write a part of one heartbeat, so many seconds from midnight."""
    said = {"is_healthy": True, "feed": "deribit", "phase": "live"} | values
    beats = [row(tables.STREAM_HEARTBEATS, at=MIDNIGHT + timedelta(seconds=seconds), **said)]
    stream(lake, tables.STREAM_HEARTBEATS, beats, first=first, underlying="BTC", day=day)


def tick(sensor: dg.SensorDefinition, seconds: float, cursor: str | None = None) -> Any:
    at = (MIDNIGHT + timedelta(seconds=seconds)).isoformat()
    context = dg.build_sensor_context(cursor=cursor, resources={"platform": Rehearsal(at=at)})
    return sensor(context)


def parts(result: Any) -> list[tuple[str, int]]:
    return [(e.partition, e.metadata["last_row"].value) for e in result.asset_events]


def healthy(result: Any) -> list[tuple[str, bool]]:
    """Return what was told of health, in order: session, whether it holds."""
    told = [e for e in result.asset_events if e.check_name == "healthy"]
    return [(e.metadata["session"].value, e.passed) for e in told]


def test_the_last_part_of_a_day_is_told_after_midnight_and_once(lake: Lake) -> None:
    beat(lake, -600, first=0)
    before = tick(live_parts_sensor, -240)
    assert parts(before) == [("2026-11-20", 0)]
    beat(lake, -30, first=1)
    beat(lake, 30, first=0, day=BEGUN)
    after = tick(live_parts_sensor, 60, before.cursor)
    assert parts(after) == [("2026-11-20", 1), ("2026-11-21", 0)]
    assert isinstance(tick(live_parts_sensor, 360, after.cursor), dg.SkipReason)


def test_an_hour_later_only_the_running_day_is_looked_at_and_remembered(lake: Lake) -> None:
    beat(lake, -600, first=0)
    before = tick(live_parts_sensor, -240)
    beat(lake, -30, first=1)
    assert isinstance(tick(live_parts_sensor, 3600, before.cursor), dg.SkipReason)
    beat(lake, 3500, first=0, day=BEGUN)
    later = tick(live_parts_sensor, 3600, before.cursor)
    assert parts(later) == [("2026-11-21", 0)]
    assert [place[:10] for place in json.loads(later.cursor)] == ["2026-11-21"]


def test_a_day_that_has_ended_has_its_final_verdict_and_the_running_day_the_last_word(
    lake: Lake,
) -> None:
    beat(lake, -90, first=0)
    before = tick(live_checks_sensor, -60)
    assert healthy(before) == [("2026-11-20", True)]
    beat(lake, -5, first=1, is_healthy=False, problems=["disk full"])
    beat(lake, 60, first=0, day=BEGUN)
    after = tick(live_checks_sensor, 90, before.cursor)
    assert healthy(after) == [("2026-11-20", False), ("2026-11-21", True)]
    assert isinstance(tick(live_checks_sensor, 110, after.cursor), dg.SkipReason)
    beat(lake, -1, first=2)  # written late: told, and the running day again
    assert healthy(tick(live_checks_sensor, 115, after.cursor)) == [
        ("2026-11-20", True),
        ("2026-11-21", True),
    ]


def test_a_day_that_was_not_followed_to_its_end_is_a_warning_after_midnight(lake: Lake) -> None:
    beat(lake, -3600, first=0)
    silent = [e for e in tick(live_checks_sensor, 60).asset_events if e.check_name == "fresh"]
    told = {(e.metadata["session"].value, e.asset_key.path[-1]): e for e in silent}
    stopped = told["2026-11-20", "stream_heartbeats"]
    assert not stopped.passed
    assert stopped.severity == dg.AssetCheckSeverity.WARN
    assert told["2026-11-21", "stream_heartbeats"].passed  # nothing of it yet

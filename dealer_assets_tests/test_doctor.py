"""The doctor: each illness is named, and the exit code tells how bad it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dealer_assets import doctor
from dealer_assets.cli import app
from dealer_assets.doctor import Check, examine
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.reader import latest_part
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.settings import Settings, settings
from dealer_assets.sources import lake_of
from dealer_assets.tables import CHAIN_SNAPSHOTS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
URLS = (
    "POLYGON_REST_URL",
    "FLATFILES_URL",
    "DERIBIT_REST_URL",
    "CBOE_BASE_URL",
    "OCC_URL",
    "TREASURY_URL",
    "NYFED_URL",
    "FRED_URL",
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(NOW), density=0.05)


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with running(world) as address:
        yield address


@pytest.fixture
def configure(
    url: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("DEALER_DATA_DIR", str(tmp_path))
    for name in URLS:
        monkeypatch.setenv(f"DEALER_{name}", url)
    monkeypatch.setenv("DEALER_DERIBIT_HISTORY_URL", f"{url}/history")
    monkeypatch.setenv("DEALER_PROVIDER", "polygon")
    monkeypatch.setenv("DEALER_POLYGON_API_KEY", KEY)
    monkeypatch.setenv("DEALER_POLYGON_DELAY_MINUTES", "0")
    yield monkeypatch
    world.faults.clear()
    settings.cache_clear()


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.subject: check.verdict for check in checks}


def told(checks: list[Check], subject: str) -> str:
    return next(check.detail for check in checks if check.subject == subject)


def test_everything_is_well_on_a_trading_day(configure: pytest.MonkeyPatch) -> None:
    checks = examine(Settings(), now=NOW)
    assert {c.verdict for c in checks} <= {"ok", "warn"}, checks
    assert [c for c in checks if c.verdict == "warn" and c.subject != "disk"] == []
    subjects = " ".join(verdicts(checks))
    for word in ("polygon chain SPX", "polygon quotes SPY", "deribit", "occ", "clock", "lake"):
        assert word in subjects
    assert "set" in told(checks, "key: polygon REST")
    assert KEY not in repr(checks)


def test_a_plan_without_quotes_is_not_entitled(configure: pytest.MonkeyPatch) -> None:
    configure.setenv("DEALER_POLYGON_API_KEY", DELAYED_KEY)
    checks = examine(Settings(), now=NOW)
    assert verdicts(checks)["source: polygon quotes SPX"] == "fail"
    assert "not entitled" in told(checks, "source: polygon quotes SPX")


def test_a_clock_that_is_off_is_told_with_its_sign(configure: pytest.MonkeyPatch) -> None:
    checks = examine(Settings(), now=NOW + timedelta(seconds=75))
    assert verdicts(checks)["clock"] == "fail"
    assert "-75" in told(checks, "clock")


def test_data_older_than_the_plan_allows_is_a_warning(
    configure: pytest.MonkeyPatch, world: World
) -> None:
    world.faults.arm("cboe_stale", times=None)
    configure.setenv("DEALER_PROVIDER", "cboe")
    configure.setenv("DEALER_UNDERLYINGS", "SPX")
    checks = examine(Settings(), now=NOW)
    (look,) = [c for c in checks if c.subject.startswith("source: cboe")]
    assert (look.verdict, "newest data" in look.detail) == ("warn", True)


def test_a_source_that_is_down_is_named_and_the_others_are_looked_at(
    configure: pytest.MonkeyPatch, world: World
) -> None:
    world.faults.arm("occ_refused", times=None)
    checks = examine(Settings(), now=NOW)
    broken = [c.subject for c in checks if c.verdict == "fail"]
    assert broken
    assert all("occ" in subject for subject in broken)


def test_a_missing_key_is_told_by_the_name_of_its_setting(configure: pytest.MonkeyPatch) -> None:
    for name in ("DEALER_POLYGON_API_KEY", "POLYGON_API_KEY", "MASSIVE_API_KEY"):
        configure.delenv(name, raising=False)
    checks = examine(Settings(), now=NOW)
    assert verdicts(checks)["key: polygon REST"] == "fail"
    assert "DEALER_POLYGON_API_KEY" in told(checks, "key: polygon REST")


def test_half_a_pair_of_keys_is_told(configure: pytest.MonkeyPatch) -> None:
    configure.setenv("DEALER_FLATFILES_ACCESS_KEY", "only-this")
    checks = examine(Settings(), now=NOW)
    assert verdicts(checks)["key: flat files"] == "fail"


def test_a_flipped_bit_in_the_lake_is_found(configure: pytest.MonkeyPatch) -> None:
    configure.setenv("DEALER_PROVIDER", "simulator")
    lake = lake_of(Settings())
    store_snapshot(lake, SimulatorProvider(density=0.05).snapshot(underlying("SPX"), at=NOW))
    assert verdicts(examine(Settings(), now=NOW))["lake"] == "ok"
    part = latest_part(lake, CHAIN_SNAPSHOTS, "SPX")
    assert part is not None
    path = Path(lake.root) / part.path
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))
    checks = examine(Settings(), now=NOW)
    assert verdicts(checks)["lake"] == "fail"
    assert part.path in told(checks, "lake part")


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("warn", 3), ("fail", 1)])
def test_the_exit_code_is_the_worst_verdict(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [Check("one", "ok", "well"), Check("two", verdict, "so so")]  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: checks)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == code

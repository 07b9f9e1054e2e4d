"""`dealer live`, `record`, `replay` and `gamma`: what they do, say, and end with."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from dealer_assets.cli import app
from dealer_assets.cli_streaming import _gamma_table
from dealer_assets.domain.sessions import previous_session
from dealer_assets.settings import settings
from dealer_assets.sources import lake_of
from dealer_assets.underlyings import underlying
from streaming.desk.latest import Latest, latest
from streaming.recordings.recording import Recording, recordings_in

DAY = "2025-12-18"
SIMULATED = ["--feed", "simulator", "--session", DAY]


@pytest.fixture(autouse=True)
def small_world(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALER_SIMULATOR_DENSITY", "0.02")
    monkeypatch.setenv("DEALER_STREAM_QUOTED_CONTRACTS", "40")
    monkeypatch.setenv("DEALER_STREAM_PORT", "0")
    monkeypatch.setenv("DEALER_STREAM_SECONDS_PER_PART", "10")
    monkeypatch.setenv("COLUMNS", "160")
    settings.cache_clear()


def dealer(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def parts(root: Path) -> dict[str, bytes]:
    found = sorted((root / "lake").rglob("*.parquet"))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def started(data_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """`dealer` in a process of its own."""
    command = [sys.executable, "-m", "dealer_assets.cli", *arguments]
    environment = {**os.environ, "DEALER_DATA_DIR": str(data_dir), "NO_COLOR": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def awaited(condition: object, seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.05)


def test_help_teaches_with_examples() -> None:
    for command, example in (
        ("live", "dealer live --feed simulator"),
        ("replay", "dealer replay NAME"),
        ("record", "dealer record -u BTC"),
    ):
        said = re.sub(r"\s+", " ", dealer(command, "--help").output)
        assert example in said


def test_live_recorded_and_replayed_gives_the_same_parts(data_dir: Path) -> None:
    lived = dealer(
        *("live", "-u", "BTC", *SIMULATED, "--speed", "30", "--seconds", "3"),
        *("--no-api", "--record"),
    )
    assert lived.exit_code == 0, lived.output
    (folder,) = recordings_in(data_dir / "stream" / "recordings")
    replayed = dealer("replay", folder.name)
    assert replayed.exit_code == 0, replayed.output
    assert "events" in replayed.output
    assert "net gamma BTC naive" in replayed.output
    live, again = parts(data_dir), parts(data_dir / "replay" / folder.name)
    live = {path: data for path, data in live.items() if "stream_heartbeats" not in path}
    assert any("live_trades" in path for path in live)
    assert again == live
    assert dealer("replay", str(folder), "--speed", "500").exit_code == 0
    assert parts(data_dir / "replay" / folder.name) == live
    refused = dealer("replay", folder.name, "--lake", str(data_dir / "lake"))
    assert "would be numbered twice" in str(refused.exception)


def test_record_keeps_frames_and_writes_no_row(data_dir: Path) -> None:
    done = dealer("record", "-u", "BTC", *SIMULATED, "--speed", "60", "--seconds", "1")
    assert done.exit_code == 0, done.output
    (folder,) = recordings_in(data_dir / "stream" / "recordings")
    assert Recording(folder).frames > 10
    assert not list((data_dir / "lake").rglob("*.parquet"))
    listed = dealer("replay")
    assert folder.name in listed.output
    first_us = Recording(folder).span_us[0]
    until = datetime.fromtimestamp(first_us / 1e6 + 5, UTC).isoformat()
    assert dealer("replay", folder.name, "--to", until).exit_code == 0


def test_gamma_shows_the_latest_second_and_says_how_old_it_is(data_dir: Path) -> None:
    assert "none: `dealer live`" in dealer("gamma", "-u", "BTC").output
    dealer("live", "-u", "BTC", *SIMULATED, "--speed", "60", "--seconds", "2", "--no-api")
    shown = dealer("gamma", "-u", "BTC").output
    assert "UTC, simulator" in shown
    assert f"stale, {DAY}" in shown
    lane, lake = underlying("BTC"), lake_of(settings())
    found = latest(lake, lane, now=datetime(2025, 12, 18, tzinfo=UTC))
    assert found is not None
    assert set(found.gammas) == {"naive", "session_flow"}
    assert found.state == "fresh"
    assert latest(lake, lane, now=found.at + timedelta(minutes=4)).state == "stale"  # type: ignore[union-attr]


def test_gamma_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2025, 12, 18, 20, 59, 59, tzinfo=UTC)
    gammas = {"naive": 123.456e9, "session_flow": -12.345e9}
    newest = Latest(at, "simulator", 106_543.21, gammas, {}, -12_345.6e6, 1_234_567, "closed")

    def cells_of(found: Latest) -> list[str]:
        monkeypatch.setattr("streaming.desk.latest.latest", lambda lake, lane, *, now: found)
        table = _gamma_table(lake_of(settings()), (underlying("SPX"), underlying("BTC")))
        narrow = Console(width=80, file=io.StringIO())
        with narrow.capture() as caught:
            narrow.print(table)
        (row,) = [line for line in caught.get().splitlines() if line.startswith("BTC")]
        return re.split(r"\s{2,}", row.strip())

    age = "closed, 2025-12-18 20:59"
    assert cells_of(newest) == [
        *("BTC", "106,543.21", "+123.456", "-12.345", "-12,346", "1,234,567"),
        age,
    ]
    moved = {"gammas": gammas | {"live_reconciled": -23.456e9}}
    told = replace(newest, **moved, gamma_sds={"live_reconciled": 5.61e9})
    assert cells_of(told) == [
        *("BTC", "106,543.21", "+123.46", "-12.35", "-23.46±5.61", "-12,346"),
        age,
    ]


def test_sigterm_drains_flushes_and_ends_with_code_0(data_dir: Path) -> None:
    process = started(data_dir, "live", "-u", "BTC", *SIMULATED, "--speed", "20", "--record")
    try:
        awaited(lambda: list((data_dir / "lake").rglob("live_gamma/*/*/simulator-*.parquet")))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "ended: SIGTERM" in said
    assert "API on http://127.0.0.1:" in said
    (folder,) = recordings_in(data_dir / "stream" / "recordings")
    assert Recording(folder).torn_bytes == 0
    assert not list((data_dir / "stream" / "journal").rglob("*.journal"))
    assert dealer("replay", folder.name).exit_code == 0
    live = {path: data for path, data in parts(data_dir).items() if "heartbeats" not in path}
    assert parts(data_dir / "replay" / folder.name) == live


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-u", "SPX", "--feed", "deribit"), "expected a feed of the us desk"),
        (("-u", "XYZ"), "XYZ"),
        (("-u", "BTC", "--feed", "deribit", "--session", DAY), "live only"),
        (("-u", "SPX", "--feed", "simulator", "--session", "2025-12-20"), "no session"),
        (("-u", "SPX", "--feed", "polygon"), "DEALER_POLYGON_API_KEY"),
        (("-u", "SPX", "--speed", "60"), "expected --session with --speed 60"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dealer("live", *arguments, "--no-api")
    words = f"{result.output} {result.exception} {capfd.readouterr().err}"
    assert result.exit_code == 1
    assert said in re.sub(r"\s+", " ", words)


def test_a_port_that_is_taken_is_refused_at_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("DEALER_STREAM_PORT", str(port))
        settings.cache_clear()
        result = dealer("live", "-u", "BTC", *SIMULATED)
    words = re.sub(r"\s+", " ", result.output + capfd.readouterr().err)
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in words
    assert "Traceback" not in words


def test_a_desk_outside_its_session_says_when_it_wakes(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from streaming.hours import span_at

    saturday = datetime(2025, 12, 20, 12, tzinfo=UTC)
    span = span_at("XNYS", saturday)
    assert span.day == date(2025, 12, 22)
    assert span.begin == datetime(2025, 12, 22, 14, 25, tzinfo=UTC)
    evening = datetime(2025, 12, 18, 23, tzinfo=UTC)
    assert previous_session("XNYS", span_at("XNYS", evening).day) == date(2025, 12, 18)
    assert span_at("24/7", saturday).end == datetime(2025, 12, 21, tzinfo=UTC)

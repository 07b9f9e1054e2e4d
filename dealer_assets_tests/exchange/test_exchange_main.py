"""The test exchange as a program: arguments, what it prints, faults over HTTP, stopping."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from dealer_assets_tests.exchange.__main__ import fault_table, main
from dealer_assets_tests.exchange.faults import KNOWN

PROJECT = Path(__file__).parents[2]
DOCUMENT = PROJECT / "docs" / "test_exchange.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
VARIABLES = (
    "DEALER_POLYGON_REST_URL",
    "DEALER_POLYGON_WS_URL",
    "DEALER_FLATFILES_URL",
    "DEALER_DERIBIT_REST_URL",
    "DEALER_DERIBIT_HISTORY_URL",
    "DEALER_DERIBIT_WS_URL",
    "DEALER_CBOE_BASE_URL",
    "DEALER_OCC_URL",
    "DEALER_TREASURY_URL",
    "DEALER_NYFED_URL",
    "DEALER_FRED_URL",
    "DEALER_POLYGON_API_KEY",
)


class Running:
    """The program in a thread, on a free port."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.stop = threading.Event()
        self.code: int | None = None
        self.text = ""
        self._thread = threading.Thread(target=self._run, args=(arguments,))
        self._thread.start()
        for _ in range(400):
            self.text += capsys.readouterr().out
            if "stop: Ctrl-C" in self.text:
                break
            self._thread.join(0.05)
        found = re.search(r"^test exchange on (\S+)$", self.text, re.MULTILINE)
        assert found, self.text
        self.url = found[1]

    def _run(self, arguments: tuple[str, ...]) -> None:
        self.code = main(["--port", "0", *arguments], stop=self.stop)

    def finish(self) -> int | None:
        self.stop.set()
        self._thread.join(20)
        return self.code


def test_it_prints_a_variable_per_vendor_and_arms_faults_over_http(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = Running(capsys, "--start", "2026-11-20T10:00:00-05:00", "--speed", "0")
    try:
        printed = dict(re.findall(r"^(DEALER_\w+)=(\S+)$", program.text, re.MULTILINE))
        assert set(VARIABLES) <= set(printed)
        with httpx.Client(base_url=printed["DEALER_CBOE_BASE_URL"], timeout=60) as client:
            state = client.get("/admin").json()
            assert (state["now"], state["speed"]) == ("2026-11-20T15:00:00+00:00", 0.0)
            curl = re.search(r"-d '(.*)'$", program.text, re.MULTILINE)
            assert curl
            assert client.post("/admin/faults", content=curl[1]).status_code == 200
            path = "/api/global/delayed_quotes/quotes/_SPX.json"
            assert [client.get(path).status_code for _ in range(3)] == [503, 503, 200]
            client.post("/admin/clock", json={"now": "2026-11-23T15:00:00+00:00"})
            assert client.get(path).json()["timestamp"] == "2026-11-23 15:00:00"
    finally:
        assert program.finish() == 0
    assert "stopped" in capsys.readouterr().out


def test_a_recorded_file_becomes_the_market_at_its_own_time(
    capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    path = shared_data / "raw_formats" / "cboe_delayed_quotes_CLX_2026-07-24.json"
    program = Running(capsys, "--recorded", str(path))
    try:
        assert "recorded market: CLX 2026-07-24" in program.text
        assert "clock 2026-07-24 14:30" in program.text
        url = f"{program.url}/api/global/delayed_quotes/options/CLX.json"
        assert len(httpx.get(url, timeout=60).json()["data"]["options"]) == 306
    finally:
        assert program.finish() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--port", "x"], 2, "expected a port from 0 to 65535, found 'x'"),
        (["--port", "70000"], 2, "expected a port from 0 to 65535"),
        (["--start", "tomorrow"], 2, "expected an instant like"),
        (["--start", "2026-11-20T14:30:00"], 2, "expected an instant like"),
        (["--speed", "-1"], 2, "expected a number from 0 on"),
        (["--nonsense"], 2, "unrecognized arguments"),
        (["--density", "9"], 1, "expected a simulator density"),
        (["--recorded", "missing.csv"], 1, "expected a readable file"),
    ],
)
def test_a_bad_argument_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert said in printed.err


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"cannot listen on port {port}" in printed


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_with_exit_code_0(kind: signal.Signals) -> None:
    command = [sys.executable, "-m", "dealer_assets_tests.exchange", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("test exchange on http://127.0.0.1:")
        for line in process.stdout:
            if line.startswith("stop:"):
                break
        process.send_signal(kind)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "stopped\n", "")


def test_faults_are_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--faults"]) == 0
    assert capsys.readouterr().out == fault_table()
    rows = fault_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(KNOWN)


def test_the_document_lists_every_fault() -> None:
    text = DOCUMENT.read_text()
    listed = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert listed == fault_table().strip(), (
        "docs/test_exchange.md is behind: run `python -m dealer_assets_tests.exchange --faults` "
        f"and put its output between {BEGIN} and {END}"
    )

"""A key shows nowhere: planted, sent to a server that repeats it in every answer, and searched for.

The server is the worst a vendor can do: it answers with the request's own headers.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PLANTED = "pl4nted-s3cret-of-this-test"
PLANTED_PAIR = "pl4nted-s3cret-of-the-files"


class _Echo(BaseHTTPRequestHandler):
    status = 403

    def do_GET(self) -> None:
        body = f"refused: {self.path} {dict(self.headers)}".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Echo", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [403, 418])
def test_no_command_prints_logs_or_stores_a_key(
    echo: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Echo, "status", status)
    environment = os.environ | {
        "DEALER_DATA_DIR": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "DEALER_PROVIDER": "polygon",
        "DEALER_UNDERLYINGS": "SPX",
        "DEALER_POLYGON_API_KEY": PLANTED,
        "DEALER_POLYGON_REST_URL": echo,
        "DEALER_FLATFILES_URL": echo,
        "DEALER_FLATFILES_ACCESS_KEY": PLANTED_PAIR,
        "DEALER_FLATFILES_SECRET_KEY": PLANTED_PAIR,
        **dict.fromkeys(
            (
                "DEALER_OCC_URL",
                "DEALER_TREASURY_URL",
                "DEALER_NYFED_URL",
                "DEALER_FRED_URL",
                "DEALER_DERIBIT_REST_URL",
                "DEALER_DERIBIT_HISTORY_URL",
            ),
            echo,
        ),
    }
    commands = ["snapshot --underlying SPX", "doctor", "cache"]
    if status == 403:  # a Dagster run takes seconds; its event log is one and the same
        commands.append("history --underlying SPX --from 2026-11-18 --to 2026-11-18 --no-chains")
    said = ""
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-c", _LOUD, *command.split()],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said += done.stdout + done.stderr
    assert "HTTP" in said, "the refusal is told"
    assert PLANTED not in said
    assert PLANTED_PAIR not in said
    stored = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = [
        path.name
        for path in stored
        if PLANTED.encode() in (content := path.read_bytes()) or PLANTED_PAIR.encode() in content
    ]
    assert found == []


_LOUD = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG); "
    "from dealer_assets.cli import main; main()"
)
"""Every library's debug log, as a user in trouble would switch it on."""


def test_settings_show_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from dealer_assets.settings import Settings

    monkeypatch.setenv("DEALER_POLYGON_API_KEY", PLANTED)
    monkeypatch.setenv("DEALER_FLATFILES_SECRET_KEY", PLANTED_PAIR)
    settings = Settings()
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert PLANTED not in shown
    assert PLANTED_PAIR not in shown
    logging.getLogger(__name__).debug("%s", settings)

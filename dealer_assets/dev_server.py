"""`make dev`: both code locations, web server and daemon, in the order that answers soonest.

Belongs here: starting and stopping Dagster's processes. Does not belong here: what they serve.

`dagster dev` starts the web server only when every code location has loaded: 15 s on two cores.
Here the web server imports while the locations load, and the daemon comes last: 8 s. A code
location still reloads from the UI.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from dealer_assets.runner import dagster_home, prepare_instance
from dealer_assets.settings import PROJECT

HOST, PORT = "127.0.0.1", 3000
LOCATIONS = {
    "pipeline": ("dealer_assets.definitions", 4266),
    "marts": ("dealer_assets.definitions_marts", 4267),
}
_PATIENCE_SECONDS = 120.0
_WEB_SERVER = (
    "import sys, socket, time\n"
    "import dagster_webserver.webserver, dagster_webserver.cli as cli\n"
    "from dealer_assets.dev_server import wait_for_locations\n"
    "wait_for_locations()\n"
    "sys.argv[0] = 'dagster-webserver'\n"
    "cli.main()\n"
)


def listens(port: int) -> bool:
    """Tell whether something listens on a loopback port."""
    try:
        socket.create_connection((HOST, port), 0.5).close()
    except OSError:
        return False
    return True


def wait_until(holds: Callable[[], bool], *, what: str) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        After two minutes.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)


def wait_for_locations() -> None:
    """Wait until both code locations listen; the web server's process calls this."""
    for name, (_, port) in LOCATIONS.items():
        wait_until(lambda port=port: listens(port), what=f"code location {name}")  # type: ignore[misc]


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{PORT}/server_info", timeout=1):
            return True
    except OSError:
        return False


def _workspace(home: Path) -> Path:
    entries = "".join(
        f"  - grpc_server: {{host: {HOST}, port: {port}, location_name: {name}}}\n"
        for name, (_, port) in LOCATIONS.items()
    )
    path = home / "workspace.dev.yaml"
    path.write_text("load_from:\n" + entries)
    return path


def _busy_ports() -> list[int]:
    return [port for port in (PORT, *(port for _, port in LOCATIONS.values())) if listens(port)]


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *arguments], cwd=PROJECT)


def serve() -> int:
    """Run until interrupted or until one process ends; return the exit code."""
    if busy := _busy_ports():
        sys.stderr.write(
            f"ports {busy} are in use: is another `make dev` running? Stop it first.\n"
        )
        return 1
    begun = time.monotonic()
    workspace = str(_workspace(dagster_home()))
    prepare_instance()
    processes = [
        _start(
            *("-m", "dagster", "code-server", "start", "-m", module, "-h", HOST, "-p", f"{port}"),
            *("--location-name", name, "--log-level", "warning"),
        )
        for name, (module, port) in LOCATIONS.items()
    ]
    web = (
        "-c",
        _WEB_SERVER,
        "-w",
        workspace,
        "-h",
        HOST,
        "-p",
        f"{PORT}",
        "--log-level",
        "warning",
    )
    processes.append(_start(*web))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        wait_until(lambda: _answers() or any(p.poll() is not None for p in processes), what="UI")
        if not _answers():
            return 1
        took = time.monotonic() - begun
        sys.stdout.write(f"Dagster UI: http://{HOST}:{PORT}  (up in {took:.0f} s; Ctrl-C stops)\n")
        sys.stdout.flush()
        processes.append(
            _start("-m", "dagster._daemon", "run", "-w", workspace, "--log-level", "warning")
        )
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(processes)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(serve())

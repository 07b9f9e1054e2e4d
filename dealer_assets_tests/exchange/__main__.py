"""The test exchange as a program: ``python -m dealer_assets_tests.exchange --help``.

Belongs here: arguments, what is printed, stopping. Does not belong here: serving (`server`).
Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 it could not start, 2 wrong usage; each refusal is one
line.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from dealer_assets.domain import sessions
from dealer_assets.errors import DealerError
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.exchange.recorded import RecordedMarket
from dealer_assets_tests.exchange.server import VENDORS, running
from dealer_assets_tests.exchange.world import KEY, World

FAILED, WRONG_USAGE = 1, 2
START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
"""Where the clock starts unless told: the open of a session with monthly expiries."""

_REST_VARIABLES = {
    "DEALER_POLYGON_REST_URL": "",
    "DEALER_FLATFILES_URL": "",
    "DEALER_DERIBIT_REST_URL": "",
    "DEALER_DERIBIT_HISTORY_URL": "/history",  # the same paths as the main host's
    "DEALER_CBOE_BASE_URL": "",
    "DEALER_OCC_URL": "",
    "DEALER_TREASURY_URL": "",
    "DEALER_NYFED_URL": "",
    "DEALER_FRED_URL": "",
}
_WS_VARIABLES = {"DEALER_POLYGON_WS_URL": "", "DEALER_DERIBIT_WS_URL": "/ws/api/v2"}
_KEY_VARIABLES = (
    "DEALER_POLYGON_API_KEY",
    "DEALER_FLATFILES_ACCESS_KEY",
    "DEALER_FLATFILES_SECRET_KEY",
)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose refusals are one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse with exit code 2."""
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (see --help)\n")


def main(argv: Sequence[str] | None = None, *, stop: threading.Event | None = None) -> int:
    """Run the exchange until it is told to stop.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; None: the process'.
    stop : threading.Event, optional
        Set it to stop; Ctrl-C and SIGTERM set it too.

    Returns
    -------
    int
        Exit code.
    """
    stop = stop or threading.Event()
    try:
        asked = _parser().parse_args(argv)
    except SystemExit as leaving:  # argparse has said why
        return int(leaving.code or 0)
    if asked.faults:
        sys.stdout.write(fault_table())
        return 0
    try:
        world = _world(asked)
        with _signals(stop), running(world, port=asked.port) as url:
            sys.stdout.write(_greeting(world, url))
            sys.stdout.flush()
            stop.wait()
    except DealerError as error:
        return _fail(str(error))
    except OSError as error:
        reason = error.strerror or str(error)
        return _fail(f"cannot listen on port {asked.port}: {reason}; choose another with --port")
    sys.stdout.write("stopped\n")
    return 0


def fault_table() -> str:
    """Return every fault that the exchange knows, as a Markdown table."""
    for name in VENDORS:
        import_module(f"dealer_assets_tests.exchange.{name}")
    rows = [f"| `{name}` | {KNOWN[name].replace('|', chr(92) + '|')} |" for name in sorted(KNOWN)]
    return "\n".join(
        ["| Fault | What it does; options with their defaults |", "|---|---|", *rows, ""]
    )


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m dealer_assets_tests.exchange",
        description="Every vendor the platform speaks to, on one loopback port, faults on demand.",
    )
    parser.add_argument("--port", type=_port, default=8765, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--start", type=_instant, help=f"the clock's first instant ({START.isoformat()})"
    )
    parser.add_argument(
        "--speed", type=_not_negative, default=1.0, help="virtual seconds a second (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of the market (%(default)s)")
    parser.add_argument(
        "--density", type=_not_negative, default=0.15, help="strikes per chain (%(default)s)"
    )
    parser.add_argument(
        "--latency", type=_not_negative, default=0.0, help="seconds an answer takes (%(default)s)"
    )
    parser.add_argument(
        "--recorded", type=Path, metavar="FILE", help="serve this recorded chain instead"
    )
    parser.add_argument("--faults", action="store_true", help="print all faults and leave")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, found {text!r}")
    return value


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"expected an instant like 2026-11-20T14:30:00+00:00, found {text!r}"
        )
    return instant.astimezone(UTC)


def _world(asked: argparse.Namespace) -> World:
    market = None if asked.recorded is None else RecordedMarket.read(asked.recorded)
    start = asked.start or (START if market is None else _hour_after_open(market))
    return World(
        VirtualClock(start, speed=asked.speed),
        seed=asked.seed,
        density=asked.density,
        latency_seconds=asked.latency,
        market=market,
    )


def _hour_after_open(market: RecordedMarket) -> datetime:
    symbol = market.underlyings[0]
    opened = sessions.session_open(underlying(symbol).calendar, market.session_date(symbol))
    return opened + timedelta(hours=1)


def _greeting(world: World, url: str) -> str:
    host = url.removeprefix("http://")
    lines = [f"test exchange on {url}", f"clock {world.clock.now():%Y-%m-%d %H:%M:%S} UTC"]
    if isinstance(world.market, RecordedMarket):
        held = ", ".join(f"{s} {world.market.session_date(s)}" for s in world.market.underlyings)
        lines.append(f"recorded market: {held}; nothing else is served")
    lines += ["", "set these:"]
    lines += [f"{name}={url}{path}" for name, path in _REST_VARIABLES.items()]
    lines += [f"{name}=ws://{host}{path}" for name, path in _WS_VARIABLES.items()]
    lines += [f"{name}={KEY}" for name in _KEY_VARIABLES]
    lines += [
        "",
        "arm a fault (all of them: --faults):",
        f"curl -X POST {url}/admin/faults -d "
        '\'{"name": "cboe_503", "times": 2, "where": "_SPX", "options": {}}\'',
        f"curl {url}/admin    # clock, faults, requests",
        "stop: Ctrl-C",
    ]
    return "\n".join(lines) + "\n"


def _fail(reason: str) -> int:
    sys.stderr.write(f"test exchange: {' '.join(reason.split())}\n")
    return FAILED


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set an event; only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda *_: stop.set()) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


if __name__ == "__main__":
    raise SystemExit(main())

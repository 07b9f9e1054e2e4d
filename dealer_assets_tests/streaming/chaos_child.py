"""Processes that are killed: each is forked from one that has loaded everything and done nothing.

Belongs here: the process's side. It is run as a module with a plan (JSON) as its argument and reads
lines: ``run`` forks a process that runs `run_live` until it is killed or told to end. What it says
on standard output, one JSON document a line: the number of each process, how each ended, and after
each append what the sink had acknowledged by then. Does not belong here: who kills (`chaos_kills`).

A process takes seconds to load numba and the rest, a fork of one takes milliseconds; nothing that
a fork does not survive (threads, loops, sockets) has begun when it is made.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa

import streaming.desk.bootstrap
import streaming.desk.opening
import streaming.feeds.polygon.fill
import streaming.process.desk_life
import streaming.process.runtime
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.settings import settings
from dealer_assets.tables import Table
from dealer_assets.tables.live import FEED_GAPS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.chaos_market import (
    DAY,
    DENSITY,
    ExchangeClock,
    clock_at,
    patient_filler,
)
from streaming.core.events import Frame
from streaming.desk.pipeline import Desk
from streaming.desk.session import Pace
from streaming.keeping.sink import Sink
from streaming.process.desk_life import Choice
from streaming.process.running import log_to_terminal, run_live
from streaming.start import Start, StreamOptions


def say(**what: Any) -> None:
    """Write a line at once: what is in the pipe outlives whoever wrote it."""
    os.write(1, (json.dumps(what) + "\n").encode())


class Nowhere(Sink):
    """A sink that keeps nothing and starts no thread."""

    def __init__(self) -> None:
        """Open nothing."""

    def append(self, *rows: tuple[Table, str, pa.Table]) -> None:
        """Take rows."""

    def advance(self, now_us: int) -> None:
        """Let time pass."""


class ToldSink(Sink):
    """A sink that says what it has acknowledged."""

    def append(self, *rows: tuple[Table, str, pa.Table]) -> None:
        """Take rows, then say how many there are."""
        super().append(*rows)
        for table, symbol, some in rows:
            told = {"table": table.name, "rows": self.acknowledged[table.name, symbol]}
            if table is FEED_GAPS:
                told["gaps"] = [
                    [f"{r['event_at']} {r['until']} {r['channel']}", r["status"]]
                    for r in some.to_pylist()
                ]
            say(**told)


def warm(symbol: str) -> None:
    """Load everything that a session uses, on this thread alone."""
    import streaming.api.app
    import streaming.api.server
    import streaming.api.stream
    import streaming.feeds.polygon.feed  # noqa: F401

    lane, provider = underlying(symbol), SimulatorProvider(density=DENSITY)
    listed = provider.listing(lane, session_date=DAY).rows
    interest = provider.open_interest(lane, session_date=DAY).rows
    start = Start(
        "us", "polygon", (lane,), {symbol: DAY}, listed, interest, options=StreamOptions()
    )
    desk = Desk.open(start, Nowhere())
    at_us = 1789479000_000_000
    spot = {"ev": "V", "val": 230.0, "T": f"I:{symbol}", "t": at_us // 1000}
    messages = [spot] + [
        {"ev": "Q", "sym": f"O:{name}", "bp": 1.0, "ap": 1.2, "bs": 1, "as": 2, "t": at_us // 1000}
        for name in desk.listing.symbols[:60]
    ]
    for second in range(3):
        trade = {"ev": "T", "sym": f"O:{desk.listing.symbols[3]}", "x": 302, "p": 1.1, "s": 2}
        trade |= {"c": [227], "t": at_us // 1000 + second, "q": 7 + second}
        payload = json.dumps([*messages, trade]).encode()
        desk.feed([Frame("polygon", "options", at_us + second * 1_000_000, payload)])


def live(plan: Mapping[str, Any]) -> int:
    """Run the live process by the exchange's clock."""
    clock = ExchangeClock(
        clock_at(datetime.fromisoformat(plan["instant"]), plan["monotonic"], plan["speed"])
    )
    PolygonProvider.__init__.__kwdefaults__["clock"] = lambda: datetime.fromtimestamp(
        clock.now_us() / 1e6, tz=datetime.fromisoformat(plan["instant"]).tzinfo
    )
    streaming.process.runtime.WallClock = lambda: clock  # type: ignore[assignment,misc]
    streaming.desk.bootstrap.OLD = timedelta(days=1)
    streaming.desk.opening.Sink = ToldSink  # type: ignore[attr-defined]
    streaming.feeds.polygon.fill.PolygonFiller = patient_filler(clock)  # type: ignore[misc]
    streaming.process.desk_life.Pace = partial(Pace, fill_pause_seconds=1.0)  # type: ignore[assignment,misc]
    log_to_terminal()
    choice = Choice(lanes=(underlying(plan["symbol"]),))
    return run_live(
        settings(), choice, serves=True, say=lambda text: sys.stderr.write(f"{text}\n") and None
    )


def main() -> None:
    """Fork a process for each line read."""
    plan = json.loads(sys.argv[1])
    warm(plan["symbol"])
    say(ready=True, threads=threading.active_count())
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            code = 99
            try:
                code = live(plan)
            finally:
                sys.stderr.flush()
                os._exit(code)
        say(started=child)
        _, status = os.waitpid(child, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()

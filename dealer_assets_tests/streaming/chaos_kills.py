"""Starts the live process, kills it, starts it again; notes what it had acknowledged.

Belongs here: the killer's side. Does not belong here: what is killed (`chaos_child`), what is to be
true afterwards (the tests).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dealer_assets_tests.streaming.chaos_market import Market, prepare


@dataclass
class Killer:
    """A process that forks the one to be killed, and what the latter has said.

    Attributes
    ----------
    acknowledged : dict
        Rows by (table, underlying) that any process has acknowledged.
    statuses : list of str
        Of gaps noted by the process under way, in order.
    gaps : dict of str to str
        What became of every gap so far.
    trades : int
        How often the process under way has acknowledged trades.
    pid : int
        The process under way; 0: none.
    """

    parent: subprocess.Popen[str]
    symbol: str
    log: Path
    acknowledged: dict[tuple[str, str], int] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)
    gaps: dict[str, str] = field(default_factory=dict)
    trades: int = 0
    pid: int = 0
    _events: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        assert self.parent.stdout is not None
        threading.Thread(target=self._listen, args=(self.parent.stdout,), daemon=True).start()
        threads = self._event("ready")["threads"]
        assert threads == 1, f"{threads} threads run: a fork would lose them"

    def _listen(self, lines: IO[str]) -> None:
        for line in lines:
            told = json.loads(line)
            if "table" not in told:
                self._events.put(told)
                continue
            self.acknowledged[told["table"], self.symbol] = told["rows"]
            for name, status in told.get("gaps", []):
                self.gaps[name] = status
                self.statuses.append(status)
            self.trades += told["table"] == "live_trades"

    def _event(self, name: str) -> dict[str, Any]:
        found = self._events.get(timeout=60.0)
        assert name in found, f"expected {name}, found {found}; {self.tail()}"
        return found

    def start(self) -> None:
        """Start the process."""
        assert self.parent.stdin is not None
        self.statuses, self.trades = [], 0
        self.parent.stdin.write("run\n")
        self.parent.stdin.flush()
        self.pid = int(self._event("started")["started"])

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return how the process ended."""
        os.kill(self.pid, number)
        self.pid = 0
        return int(self._event("ended")["ended"])

    def kill(self) -> None:
        """Kill the process, which has to be alive."""
        code = self.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, f"it ended by itself, code {code}: {self.tail()}"

    def until(self, happened: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for something; fails at once when the process ends before."""
        limit = time.monotonic() + seconds
        while not happened():
            assert self._events.empty(), f"the process ended: {self.tail()}"
            assert time.monotonic() < limit, f"did not happen: {self.statuses}; {self.tail()}"
            time.sleep(0.01)

    @property
    def is_whole(self) -> bool:
        """Whether something became of every gap, and the process under way noted some."""
        return bool(self.statuses) and "open" not in self.gaps.values()

    def tail(self) -> str:
        """Return the end of the process's log."""
        return self.log.read_text(errors="replace")[-3000:]


@contextmanager
def killer(market: Market, data: Path, log: Path, **more: str) -> Iterator[Killer]:
    """Load the process once; it runs against the market and keeps its data in a folder."""
    prepare(data, market)
    now = time.monotonic()
    plan: Mapping[str, Any] = {
        "instant": market.world.clock.now().isoformat(),
        "monotonic": now,
        "speed": market.world.clock.speed,
        "symbol": market.symbol,
    }
    with log.open("w") as file:
        parent = subprocess.Popen(
            [sys.executable, "-m", "dealer_assets_tests.streaming.chaos_child", json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=os.environ | market.environment(data) | more,
        )
        found: Killer | None = None
        try:
            found = Killer(parent, market.symbol, log)
            yield found
        finally:
            if found is not None and found.pid:
                os.kill(found.pid, signal.SIGKILL)
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.close()
            parent.wait(60.0)
            parent.stdout.close()

"""What the exchange's vendors talk about: one market, one clock, one set of accounts.

Belongs here: the market as the vendors' modules ask for it, accounts and plans, the request log.
Does not belong here: any vendor's wire format.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import pyarrow as pa

from dealer_assets.domain import sessions
from dealer_assets.providers.base import Provider
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.faults import Faults
from dealer_assets_tests.exchange.recorded import RecordedMarket

T = TypeVar("T")

KEY = "test-key-of-the-exchange"
"""API key of the account that is entitled to everything."""

DELAYED_KEY = "test-key-with-delayed-plan"
"""API key of the account whose plan is delayed by fifteen minutes and has no quotes."""

_SECRET_VALUE = re.compile(r"(?i)(apikey|api_key|token|secret|signature)=[^&]*")
_SECRET_PATH = re.compile(
    r"(/bot|/services/|/api/webhooks/)[^?]+?(?=/sendMessage|/getUpdates|\?|$)"
)


def without_secrets(line: str) -> str:
    """Return a path and query with keys and tokens struck out."""
    return _SECRET_PATH.sub(r"\1[hidden]", _SECRET_VALUE.sub(r"\1=[hidden]", line))


@dataclass
class World:
    """Everything the vendors' modules share.

    Parameters
    ----------
    clock : VirtualClock
        The exchange's time.
    seed : int
        Seed of the simulated market and of whatever else is random.
    density : float
        Strikes per chain, as `SimulatorProvider` takes it.
    latency_seconds : float
        Real time that a REST answer takes.
    market : Provider, optional
        Where chains come from; None: the simulator with `seed` and `density`.
    """

    clock: VirtualClock
    seed: int = 7
    density: float = 0.15
    latency_seconds: float = 0.0
    market: Provider | None = None
    faults: Faults = field(default_factory=Faults)
    requests: list[str] = field(default_factory=list)
    """Method, path and query of each request, credentials struck out."""
    notifications: list[dict[str, Any]] = field(default_factory=list)
    """What the receivers of `notifications` got, in order, credentials left out."""
    rate_peaks: dict[str, int] = field(default_factory=dict)
    """Most requests within one real second, by vendor; vendors' modules call `count`."""
    options: Sequence[object] = ()
    """Settings of vendors' modules, e.g. ``polygon_ws.Limits(auth_seconds=0.2)``."""

    def __post_init__(self) -> None:
        if self.market is None:
            self.market = SimulatorProvider(seed=self.seed, density=self.density)
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._recent: dict[str, deque[float]] = {}
        self._chain = lru_cache(maxsize=64)(self._snapshot)

    def count(self, vendor: str) -> None:
        """Count a request of a vendor for `rate_peaks`."""
        now = time.monotonic()
        with self._counting:
            recent = self._recent.setdefault(vendor, deque())
            recent.append(now)
            while recent[0] <= now - 1.0:
                recent.popleft()
            self.rate_peaks[vendor] = max(self.rate_peaks.get(vendor, 0), len(recent))

    def option(self, kind: type[T]) -> T:
        """Return the settings of this kind, or the kind's defaults."""
        return next((given for given in self.options if isinstance(given, kind)), kind())

    def quoted_at(self, symbol: str, now: datetime | None = None) -> datetime:
        """Return the last minute, now or before, in which the underlying's options quoted.

        A recorded market has one session: before it its first minute counts, after it its last.
        """
        calendar = underlying(symbol).calendar
        now = (self.clock.now() if now is None else now).replace(second=0, microsecond=0)
        if isinstance(self.market, RecordedMarket):
            return self.market.nearest_minute(symbol, now)
        if sessions.is_open(calendar, now):
            return now
        day = sessions.session_of(calendar, now)
        if sessions.session_open(calendar, day) > now:
            day = sessions.previous_session(calendar, day)
        return min(now, sessions.quotes_end(calendar, day))

    def chain(self, symbol: str, at: datetime | None = None) -> pa.Table:
        """Return the chain at an instant (now): rows of `tables.CHAIN_SNAPSHOTS`."""
        with self._lock:
            return self._chain(symbol, self.quoted_at(symbol) if at is None else at)

    def _snapshot(self, symbol: str, at: datetime) -> pa.Table:
        assert self.market is not None  # since __post_init__
        return self.market.snapshot(underlying(symbol), at=at).rows

    def spot(self, symbol: str, at: datetime | None = None) -> float:
        """Return the underlying's price at an instant (now)."""
        value: float = self.chain(symbol, at)["spot"][0].as_py()
        return value

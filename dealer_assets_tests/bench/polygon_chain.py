"""Time, pace and memory of a whole SPX chain from the test exchange, as real as it gets offline.

Run ``python -m dealer_assets_tests.bench.polygon_chain [latency_seconds] [density]``. The exchange
runs in a process of its own, so memory and time are the provider's alone; both share the machine's
cores all the same. Printed: contracts, requests, seconds of a first chain of the day (reference
included) and of later ones, requests in the busiest second, and this process's peak memory.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from pydantic import SecretStr

from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.world import KEY, World

NOW = datetime(2026, 8, 27, 16, 0, 30, tzinfo=UTC)
_LATER_CHAINS = 3


def exchange(pipe: Connection, latency_seconds: float, density: float) -> None:
    """Serve until told to stop; sends the URL first and the busiest second last."""
    from dealer_assets_tests.exchange.server import running

    world = World(VirtualClock(NOW), density=density)
    with running(world) as url:
        pipe.send(url)
        pipe.recv()  # the market is made
        world.latency_seconds = latency_seconds
        world.rate_peaks.clear()
        pipe.send(len(world.requests))
        pipe.recv()
        pipe.send((len(world.requests), world.rate_peaks["polygon"]))


def main(latency_seconds: float = 0.15, density: float = 2.0) -> None:
    """Measure and print."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=exchange, args=(theirs, latency_seconds, density))
    server.start()
    url = ours.recv()
    spx = underlying("SPX")
    warm = PolygonProvider(SecretStr(KEY), base_url=url, clock=lambda: NOW)
    warm.snapshot(spx, at=NOW)
    warm.close()
    ours.send("begin")
    before = ours.recv()
    provider = PolygonProvider(SecretStr(KEY), base_url=url, clock=lambda: NOW)
    seconds = []
    for _ in range(1 + _LATER_CHAINS):
        began = time.perf_counter()
        chain = provider.snapshot(spx, at=NOW)
        seconds.append(time.perf_counter() - began)
    provider.close()
    ours.send("end")
    after, busiest = ours.recv()
    server.join()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = (
        f"{chain.rows.num_rows:,} contracts, whole: {not chain.is_partial}",
        f"{after - before} requests in {len(seconds)} chains, busiest second: {busiest}",
        f"first chain {seconds[0]:.2f} s, later {', '.join(f'{s:.2f}' for s in seconds[1:])} s",
        f"peak memory {memory:,.0f} MB",
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))

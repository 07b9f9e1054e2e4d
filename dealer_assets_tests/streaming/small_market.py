"""A small simulated market for tests of the pipeline: few contracts, one session a desk."""

from datetime import UTC, date, datetime
from functools import cache

import numpy as np
import pyarrow as pa

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from streaming.core.events import SPOT, TYPES, Events, no_events
from streaming.feeds.simulator import SessionTape, session_tape
from streaming.start import DeskName, Start, StreamOptions

DAY = date(2025, 12, 18)
OPEN_US = int(datetime(2025, 12, 18, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000
DENSITY = 0.02


@cache
def provider() -> SimulatorProvider:
    return SimulatorProvider(density=DENSITY)


@cache
def start(desk: DeskName = "us") -> Start:
    lanes = [underlying(name) for name in (("SPX", "SPY") if desk == "us" else ("BTC",))]
    listed = [provider().listing(lane, session_date=DAY).rows for lane in lanes]
    interest = [provider().open_interest(lane, session_date=DAY).rows for lane in lanes]
    return Start(
        desk=desk,
        feed="simulator",
        lanes=tuple(lanes),
        sessions={lane.symbol: DAY for lane in lanes},
        listed=pa.concat_tables(listed),
        open_interest=pa.concat_tables(interest),
        curve=provider().rate_curve(DAY) if desk == "us" else None,
        options=StreamOptions(
            price_seconds=20, strike_seconds=20, rows_per_part=400, seconds_per_part=20
        ),
    )


@cache
def tape(desk: DeskName = "us") -> SessionTape:
    chosen = start(desk)
    return session_tape(provider(), chosen.lanes, dict(chosen.sessions), quoted=60)


def random_events(rng: np.random.Generator, n: int, contracts: int, lanes: int) -> Events:
    """Events with every field drawn; times ascend."""
    events = no_events(n)
    events.kind[:] = rng.integers(0, 5, n)
    events.contract[:] = np.where(
        events.kind == SPOT, rng.integers(0, lanes, n), rng.integers(0, contracts, n)
    )
    events.event_us[:] = np.sort(rng.integers(0, 10**15, n))
    for name in ("a", "b", "size_a", "size_b"):
        getattr(events, name)[:] = rng.normal(size=n)
    events.b[::7] = np.nan
    for name in ("sequence", "number", "conditions"):
        getattr(events, name)[:] = rng.integers(-1, 2**53, n)
    events.exchange[:] = rng.integers(-1, 400, n)
    events.taker[:] = rng.integers(-1, 2, n)
    events.is_backfill[:] = rng.random(n) < 0.5
    return events


def same_events(one: Events, other: Events) -> bool:
    """Tell whether two batches hold the same, NaN for NaN."""
    return all(
        np.array_equal(
            getattr(one, name),
            getattr(other, name),
            equal_nan=name in ("a", "b", "size_a", "size_b"),
        )
        for name in TYPES
    )

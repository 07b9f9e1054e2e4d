"""Every fault of Deribit, through the whole process, one after the other; and midnight.

`TRIALS` has a row per fault, as for Polygon. Trades are numbered here: each number is in the lake
once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dealer_assets_tests.exchange import deribit_rules as rules
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.deribit_client import Exchange, ms, trades
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World
from dealer_assets_tests.streaming.chaos_market import Market, Outcome, tapes
from dealer_assets_tests.streaming.chaos_process import Process, configured, hasty, process
from streaming.feeds.deribit.messages import number_of

MIDNIGHT = datetime(2026, 9, 15, tzinfo=UTC)
DAY = MIDNIGHT.date()
SPEED = 30.0
SOCKET: dict[str, Any] = {"where": rules.WS_PATH}
TAPE: dict[str, Any] = {"where": "get_last_trades", "times": 2, "seconds": 0.2}


@dataclass(frozen=True)
class Trial:
    """A fault, and what comes of it: see `test_chaos_polygon.Trial`.

    Parameters
    ----------
    armed : dict
        Options of the fault.
    reconnects : bool
        The connection is closed as well.
    gap : str
        Reason of a gap that is recorded; blank: none need be.
    says : str
        What the feed says of it, in words.
    """

    armed: dict[str, Any] = field(default_factory=dict)
    reconnects: bool = False
    gap: str = ""
    says: str = ""


LEFT_OUT = 6
"""Trades of two notifications, at most."""

LASTING: dict[str, Any] = {"times": None}
TRIALS: dict[str, Trial] = {
    **{
        name: Trial(SOCKET, reconnects=True, gap="closed", says=name)
        for name in ("403", "429", "500", "503")
    },
    "abort": Trial(gap="aborted"),
    "close": Trial(gap="closed"),
    "connection_too_slow": Trial(gap="slow_consumer"),
    "freeze": Trial(gap="silent"),
    "lost_trades": Trial({"where": "option.BTC"}),
    "sequence_gap": Trial({"where": "option.BTC"}),
    "maintenance": Trial(LASTING, says="maintenance"),
    "no_heartbeat": Trial(LASTING),
    "not_json": Trial(),
    "error": Trial({"where": "public/subscribe"}, reconnects=True, gap="closed"),
    "no_id": Trial({"where": "public/subscribe"}, reconnects=True, gap="closed"),
    "out_of_order": Trial({"where": "public/subscribe"}, reconnects=True, gap="closed"),
    "too_many_requests": Trial({"where": "public/subscribe"}, reconnects=True, gap="closed"),
    "refused_channel": Trial(LASTING | {"where": "markprice"}, reconnects=True, gap="closed"),
    "silent_channel": Trial(LASTING | {"where": "markprice"}),
    **{
        name: Trial(TAPE, reconnects=True, gap="closed")
        for name in ("refused", "silent", "slow", "html", "empty", "truncated", "cut", "stall")
    },
}


def test_every_fault_has_a_trial() -> None:
    assert {f"deribit_{name}" for name in TRIALS} == {n for n in KNOWN if n.startswith("deribit_")}


@contextmanager
def deribit(at: datetime) -> Iterator[Market]:
    """Run an exchange whose clock stands at an instant, and then moves."""
    limits = rules.Limits(tick_seconds=0.01, instruments_burst=1_000.0, credits=1e9)
    clock = VirtualClock(at, speed=0.0)
    world = World(clock, density=tapes().density, market=tapes(), options=(limits,))
    with running(world) as url:
        market = Market(world, url, "BTC")
        printed(market, DAY, at)  # makes the day's tape, which takes a while
        clock.set(speed=SPEED)
        yield market


def printed(
    market: Market, day: date, until: datetime, *, since: datetime | None = None
) -> Counter[tuple[str, int]]:
    """Return option and number of a day's trades before an instant, as the venue tells them."""
    found: Counter[tuple[str, int]] = Counter()
    begin = since or datetime.combine(day, datetime.min.time(), UTC)
    with httpx.Client(base_url=market.url, timeout=60.0) as http:
        asked = Exchange(market.world, market.url, http)
        while begin < until:
            end = min(begin + timedelta(minutes=20), until)
            span = {"start_timestamp": ms(begin), "end_timestamp": ms(end) - 1}
            for currency in ("BTC", "USDC"):
                page = trades(asked, currency=currency, **span)
                assert not page["has_more"]
                found.update(
                    (t["instrument_name"], number_of(t["trade_id"])) for t in page["trades"]
                )
            begin = end
    return found


def assert_whole(
    market: Market,
    data: Path,
    day: date = DAY,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    leaves_out: bool = False,
) -> None:
    """Every trade the venue can tell is in the lake once; some were left out by faults."""
    found = Outcome.of(data, "BTC", day)
    found.assert_numbered()
    found.assert_clock_never_back()
    until = until or datetime.fromtimestamp(found.live_until_us / 1e6, UTC)
    rows = found.trades.filter(
        found.trades["event_at"].to_numpy()
        < until.replace(tzinfo=None)  # the last may be half sent
    )
    if since is not None:
        rows = rows.filter(rows["event_at"].to_numpy() >= since.replace(tzinfo=None))
    kept = Counter(zip(rows["symbol"].to_pylist(), rows["trade_number"].to_pylist(), strict=True))
    expected = printed(market, day, until, since=since)
    missing, added = expected - kept, kept - expected
    told = f"{len(missing)} missing, {len(added)} added; {found.told_gaps()}"
    # an option's next print tells that one was left out, unless there is none, or none before it
    assert sum(missing.values()) <= (LEFT_OUT if leaves_out else 0), told
    assert not added, told


async def suffer(live: Process, name: str, trial: Trial) -> None:
    """Show the process a fault, and wait until it is at work again."""
    faults, state = live.market.world.faults, live.session.feed.state
    faults.clear()
    drops = state.drops
    armed_at = 0.0

    def is_lost() -> bool:
        """Arm, and anew when the rest of an earlier connection took the fault."""
        nonlocal armed_at
        if time.monotonic() - armed_at > 3.0:
            armed_at = time.monotonic()
            faults.arm(f"deribit_{name}", **trial.armed)
            if trial.reconnects:
                faults.arm("deribit_close")
        return state.drops > drops or not trial.gap

    await live.until(is_lost)
    if trial.says:
        await live.until(lambda: trial.says in state.problem)
    if trial.armed.get("times", 1) == 1:
        await live.until(lambda: any(taken == f"deribit_{name}" for taken, _ in faults.taken))
    await live.until_live()
    await live.until_trades(3)
    if trial.armed is TAPE:
        await live.until_whole()
    faults.clear()


@pytest.mark.chaos
def test_the_process_outlives_every_fault_and_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with deribit(MIDNIGHT + timedelta(minutes=10)) as venue, hasty(monkeypatch, silent_seconds=1.0):
        configured(venue, data, monkeypatch)

        async def main() -> int:
            async with process(venue) as live:
                await live.until_live()
                await live.until_trades(3)
                for name, trial in TRIALS.items():
                    await suffer(live, name, trial)
                await live.until_trades(60)  # the next number of an option tells what was left out
                await live.until_whole()
                assert live.health["desks"]["crypto"]["restarts"] == 0
                return await live.ended()

        assert asyncio.run(main()) == 0
        assert_whole(venue, data, leaves_out=True)
    gaps = Outcome.of(data, "BTC", DAY).gaps
    noted = Counter(gap["reason"] for gap in gaps if gap["status"] == "open")
    expected = Counter(t.gap for t in TRIALS.values() if t.gap)
    # a reset of the socket may overtake the close that comes before it
    expected["closed"] -= noted["aborted"] - expected["aborted"]
    assert not expected - noted
    assert noted.keys() - expected.keys() <= {"start", "connecting", "sequence_gap", "maintenance"}
    assert noted == Counter(gap["reason"] for gap in gaps if gap["status"] == "backfilled")


@pytest.mark.chaos
def test_midnight_with_a_connection_lost_splits_the_sessions_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, next_day = tmp_path / "data", DAY + timedelta(days=1)
    midnight = MIDNIGHT + timedelta(days=1)
    with deribit(midnight - timedelta(seconds=300)) as venue, hasty(monkeypatch):
        configured(venue, data, monkeypatch)

        async def main() -> int:
            async with process(venue) as live:
                await live.until_live()
                await live.until(lambda: venue.now_us / 1e6 > midnight.timestamp() - 3.0)
                venue.world.faults.arm("deribit_503", times=3, **SOCKET)
                venue.world.faults.arm("deribit_abort")
                desk = live.runtime.desks[0]
                first = live.session
                await live.until(lambda: desk.session is not first, 90.0)
                await live.until_live()
                await live.until_trades(5)
                await live.until_whole()
                return await live.ended()

        assert asyncio.run(main()) == 0
        # the venue tells a day back, and its clock runs ahead of ours: the first hours may be gone
        assert_whole(venue, data, DAY, since=midnight - timedelta(hours=1), until=midnight)
        assert_whole(venue, data, next_day)

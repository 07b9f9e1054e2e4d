"""The test exchange as a whole process sees it, its clock as the process's wall, and the truth.

Belongs here: a market that the chaos suite runs the real runtime against, what it printed, and what
the lake made of it. Does not belong here: faults and tests.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.records import store_request
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers.base import ChainSnapshot, Keep, Records
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.tables.live import FEED_GAPS, LIVE_TABLES, LIVE_TRADES
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests.exchange import deribit_rules
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.polygon_ws import Limits
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World
from streaming.clock import WallClock
from streaming.core.book import Book
from streaming.feeds.backfill import Filled
from streaming.feeds.base import Gap
from streaming.feeds.polygon.fill import PolygonFiller

DAY = date(2026, 9, 15)
OPEN = datetime(2026, 9, 15, 13, 30, tzinfo=UTC)
DENSITY = 0.02
SPEED = 12.0

MINUTE_US = 60_000_000

Found = TypeVar("Found", Records, ChainSnapshot)

Print = tuple[str, int, float, float, str]
"""Contract, millisecond of the venue, price, size, exchange: what tells prints apart."""


class ExchangeClock(WallClock):
    """The exchange's time as the process's wall clock; it can be set wrong."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.wrong_by_us = 0

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        return int(self._clock.now().timestamp() * 1e6) + self.wrong_by_us

    async def until(self, at_us: int) -> None:
        """Wait for an instant."""
        await asyncio.sleep(max((at_us - self.now_us()) / 1e6, 0.0) / max(self._clock.speed, 1e-9))


def patient_filler(clock: ExchangeClock) -> type[PolygonFiller]:
    """Return a filler that asks once the exchange's chain, of a whole minute, covers the gap.

    A real chain is of the moment; pages of two minutes would hide the first one's age.
    """

    class Patient(PolygonFiller):
        def fill(self, gap: Gap, book: Book) -> Filled:
            limit = time.monotonic() + 20.0
            while clock.now_us() // MINUTE_US * MINUTE_US < gap.until_us:
                if time.monotonic() > limit:  # a clock that was set wrong
                    break
                time.sleep(0.01)
            return super().fill(gap, book)

    return Patient


@dataclass
class Market:
    """A running exchange.

    Parameters
    ----------
    world : World
        Its clock, faults and requests.
    url : str
        ``http://127.0.0.1:...``.
    symbol : str
        The underlying that is streamed.
    """

    world: World
    url: str
    symbol: str

    def environment(self, data: Path) -> dict[str, str]:
        """Return the settings of a process that listens to this exchange."""
        socket = self.url.replace("http", "ws", 1)
        return {
            "DEALER_DATA_DIR": str(data),
            "DEALER_UNDERLYINGS": self.symbol,
            "DEALER_PROVIDER": "polygon",
            "DEALER_STREAM_FEED": "auto",
            "DEALER_POLYGON_API_KEY": KEY,
            "DEALER_POLYGON_REST_URL": self.url,
            "DEALER_POLYGON_WS_URL": socket,
            "DEALER_POLYGON_DELAY_MINUTES": "0",
            "DEALER_DERIBIT_REST_URL": self.url,
            "DEALER_DERIBIT_HISTORY_URL": self.url,
            "DEALER_DERIBIT_WS_URL": socket + deribit_rules.WS_PATH,
            "DEALER_STREAM_PORT": "0",
            "DEALER_STREAM_QUOTED_CONTRACTS": "20",
            "DEALER_STREAM_DERIBIT_TICKERS": "5",
            "DEALER_STREAM_ROWS_PER_PART": "400",
            "DEALER_STREAM_SECONDS_PER_PART": "10",
        }

    @property
    def now_us(self) -> int:
        """The exchange's time, microseconds since 1970."""
        return int(self.world.clock.now().timestamp() * 1e6)

    def restart(self, *, after: float, start: datetime = OPEN) -> None:
        """Let the exchange's time begin anew, without faults."""
        self.world.faults.clear()
        self.world.clock.set(start + timedelta(seconds=after), speed=SPEED)

    def printed(self, from_us: int, until_us: int, *, day: date = DAY) -> Counter[Print]:
        """Return the prints of the market in [from, until) of the venue's time."""
        rows = tapes().trades(underlying(self.symbol), session_date=day).rows
        return prints_of(rows, "price", from_us, until_us)


class Tapes(SimulatorProvider):
    """The simulated market, each session's tape made once: contracts are rows of it."""

    def __init__(self) -> None:
        super().__init__(density=DENSITY)
        self._whole: dict[tuple[str, date], Records] = {}

    def trades(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        keep: Keep | None = None,
    ) -> Records:
        """Return a session's tape, or some contracts' rows of it."""
        key = (underlying.symbol, session_date)
        if key not in self._whole:
            self._whole[key] = super().trades(underlying, session_date=session_date, keep=keep)
        whole = self._whole[key]
        if symbols is None:
            return whole
        chosen = pc.is_in(whole.rows["symbol"], value_set=pa.array(sorted(symbols)))
        return replace(whole, rows=whole.rows.filter(chosen))


@cache
def tapes() -> Tapes:
    """Return the market that all exchanges of a test run share."""
    return Tapes()


def prints_of(rows: pa.Table, price: str, from_us: int, until_us: int) -> Counter[Print]:
    """Count prints of [from, until), whole milliseconds."""
    at = rows["event_at"].cast(pa.int64()).to_numpy() // 1000
    chosen = (at >= from_us // 1000) & (at < until_us // 1000)
    rows, at = rows.filter(pa.array(chosen)), at[chosen]
    columns = (rows[name].to_pylist() for name in (price, "size_contracts", "exchange"))
    return Counter(zip(rows["symbol"].to_pylist(), at.tolist(), *columns, strict=True))


@contextmanager
def market(
    symbol: str = "AAPL", *, after: float = 60.0, speed: float = SPEED, start: datetime = OPEN
) -> Iterator[Market]:
    """Run an exchange whose clock stands some seconds after the start, and then moves."""
    limits = Limits(tick_seconds=0.01, underlyings=(symbol,))
    clock = VirtualClock(start + timedelta(seconds=after), speed=0.0)
    world = World(clock, density=DENSITY, market=tapes(), options=(limits,))
    tapes().trades(underlying(symbol), session_date=start.date())
    with running(world) as url:
        clock.set(speed=speed)
        yield Market(world, url, symbol)


def prepare(data: Path, market: Market, *, day: date = DAY) -> None:
    """Store listing, open interest and a chain as if they had been asked for: a quick start."""
    lake, lane = open_lake(str(data / "lake")), underlying(market.symbol)
    provider = tapes()
    for records in (
        provider.listing(lane, session_date=day),
        provider.open_interest(lane, session_date=day),
    ):
        store_request(lake, _real(records), underlying=lane.symbol, session_date=day)
    at = market.world.clock.now().replace(second=0, microsecond=0)
    store_snapshot(lake, _real(provider.snapshot(lane, at=at)))


def _real(found: Found) -> Found:
    """Return simulated rows under another name: a live desk uses none of the simulator's."""
    place, n = found.rows.schema.get_field_index("provider"), found.rows.num_rows
    rows = found.rows.set_column(place, found.rows.schema.field(place), pa.array(["polygon"] * n))
    return replace(found, provider="polygon", rows=rows)


def clock_at(instant: datetime, monotonic: float, speed: float) -> VirtualClock:
    """Return a clock that agrees with another process's, which showed the instant then."""
    clock = VirtualClock(instant, speed=0.0)
    clock.set(instant + timedelta(seconds=(time.monotonic() - monotonic) * speed), speed=speed)
    return clock


@dataclass(frozen=True)
class Outcome:
    """What a lake holds of a session."""

    lake: Lake
    symbol: str
    day: date

    @classmethod
    def of(cls, data: Path, symbol: str, day: date = DAY) -> Outcome:
        return cls(open_lake(str(data / "lake")), symbol, day)

    def rows(self, table: str) -> pa.Table:
        (found,) = (t for t in LIVE_TABLES if t.name == table)
        return read_partition(self.lake, found, self.symbol, self.day)

    @property
    def trades(self) -> pa.Table:
        return self.rows(LIVE_TRADES.name)

    @property
    def gaps(self) -> list[dict[str, object]]:
        return [dict(row) for row in self.rows(FEED_GAPS.name).to_pylist()]

    def statuses(self, reason: str) -> list[str]:
        return [str(gap["status"]) for gap in self.gaps if gap["reason"] == reason]

    def prints(self, from_us: int, until_us: int) -> Counter[Print]:
        return prints_of(self.trades, "price_usd", from_us, until_us)

    @property
    def live_until_us(self) -> int:
        """The venue's time of the last print that the socket brought."""
        trades = self.trades
        live = trades.filter(pc.invert(trades["is_backfilled"]))
        return int(pc.max(live["event_at"].cast(pa.int64())).as_py())

    def assert_numbered(self, acknowledged: Mapping[tuple[str, str], int] | None = None) -> None:
        """Numbers run from 0 without holes or doubles; nothing that was acknowledged is missing."""
        for table in LIVE_TABLES:
            numbers = self.rows(table.name)["stream_sequence"].to_numpy()
            assert np.array_equal(np.sort(numbers), np.arange(numbers.size)), table.name
            told = (acknowledged or {}).get((table.name, self.symbol), 0)
            assert numbers.size >= told, f"{table.name}: {told} acknowledged, {numbers.size} kept"

    def assert_clock_never_back(self) -> None:
        """Rows of a table are known in the order of their numbers."""
        for table in LIVE_TABLES:
            rows = self.rows(table.name).sort_by("stream_sequence")
            known = rows["known_at"].cast(pa.int64()).to_numpy()
            assert (np.diff(known) >= 0).all(), table.name

    def assert_whole(
        self,
        market: Market,
        from_us: int,
        until_us: int | None = None,
        *,
        lost: Container[int] = (0,),
        added: int = 0,
    ) -> int:
        """Every print of the market is there once, but for so many; return how many there are."""
        until_us = self.live_until_us if until_us is None else until_us
        expected = market.printed(from_us, until_us, day=self.day)
        found = self.prints(from_us, until_us)
        missing, doubled = expected - found, found - expected
        told = (
            f"missing {sum(missing.values())} of {sum(expected.values())}: {_some(missing)}; "
            f"too many {sum(doubled.values())}: {_some(doubled)}; gaps: {self.told_gaps()}"
        )
        assert sum(missing.values()) in lost, told
        assert sum(doubled.values()) == added, told
        return sum(expected.values())

    def told_gaps(self) -> str:
        """Return the gaps in words."""
        return "\n".join(
            f"{gap['event_at']:%H:%M:%S.%f} - {gap['until']:%H:%M:%S.%f} {gap['channel']} "
            f"{gap['reason']} {gap['status']} +{gap['backfilled_trades']} {gap['detail']}"
            for gap in self.gaps
        )


def _some(prints: Counter[Print]) -> list[tuple[str, str]]:
    return [
        (name, f"{datetime.fromtimestamp(ms / 1e3, UTC):%H:%M:%S.%f}")
        for name, ms, *_ in sorted(prints, key=lambda p: p[1])
    ][:5]

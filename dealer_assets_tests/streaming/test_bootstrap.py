"""A desk starts with what lake and provider have, says what is missing, fetches what it missed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.errors import NoDataError
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.records import store_request
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.providers.base import Provider, Records
from dealer_assets.settings import settings
from dealer_assets.sources import lake_of
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests import live_rows
from dealer_assets_tests.streaming.small_market import DAY, provider
from dealer_assets_tests.streaming.test_live_reconciled import settled_rows
from streaming.clock import PlayClock, us_of
from streaming.core.events import QUOTE, SPOT
from streaming.core.listing import Listing
from streaming.desk.bootstrap import gather, newest_chains, seed_of
from streaming.desk.opening import open_session
from streaming.desk.session import Pace, Session
from streaming.feeds.simulator import prints_between
from streaming.process.desk_life import Choice
from streaming.process.runtime import Runtime
from streaming.start import Start, StreamOptions

SPX, SPY, BTC = underlying("SPX"), underlying("SPY"), underlying("BTC")
NOON = datetime(2025, 12, 18, 17, tzinfo=UTC)


class CountingProvider(Provider):
    """The small market, counting what it is asked; or one that has nothing."""

    name = "simulator"
    capabilities = provider().capabilities

    def __init__(self, *, empty: bool = False) -> None:
        self.asked: list[str] = []
        self.empty = empty

    def serves(self, underlying: Underlying) -> bool:
        return True

    def _ask(self, what: str, lane: Underlying, **options: Any) -> Any:
        self.asked.append(f"{what} {lane.symbol}")
        if self.empty:
            raise NoDataError("nothing here")
        return getattr(provider(), what)(lane, **options)

    def snapshot(self, underlying: Underlying, *, at: datetime) -> Any:
        return self._ask("snapshot", underlying, at=at)

    def listing(self, underlying: Underlying, *, session_date: date, keep: Any = None) -> Records:
        found: Records = self._ask("listing", underlying, session_date=session_date)
        return found

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        found: Records = self._ask("open_interest", underlying, session_date=session_date)
        return found

    def rate_curve(self, day: date) -> Any:
        return provider().rate_curve(day)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


def gathered(
    lake: Lake,
    asked: Provider,
    lanes: Sequence[Underlying] = (SPX, SPY),
    chains: dict[str, pa.Table] | None = None,
) -> Start:
    return gather(
        lake,
        lanes,
        {lane.symbol: DAY for lane in lanes},
        feed="simulator",
        now=NOON,
        provider_of={lane.symbol: asked for lane in lanes},
        chains=chains or {},
        options=StreamOptions(),
    )


def test_what_the_lake_lacks_is_asked_for(lake: Lake) -> None:
    asked = CountingProvider()
    start = gathered(lake, asked)
    assert asked.asked == [
        "listing SPX",
        "open_interest SPX",
        "listing SPY",
        "open_interest SPY",
    ]
    assert start.symbols == ("SPX", "SPY")
    assert [words.split(" (")[0] for words in start.missing] == [
        f"{symbol} 2025-12-18: no settled positions in the lake" for symbol in ("SPX", "SPY")
    ]
    assert start.settled is None
    assert start.curve is not None
    listing = Listing.of(start.lanes, start.listed, start.open_interest)
    assert np.isfinite(listing.open_interest).all()


def test_what_the_lake_holds_is_not_asked_for(lake: Lake) -> None:
    for records in (
        provider().listing(BTC, session_date=DAY),
        provider().open_interest(BTC, session_date=DAY),
    ):
        store_request(lake, records, underlying="BTC", session_date=DAY)
    asked = CountingProvider(empty=True)
    listed = provider().listing(BTC, session_date=DAY).rows
    stored = settled_rows(listed, [5.0] * listed.num_rows, [1.0] * listed.num_rows)
    store_positions(lake, stored, known_at=NOON)
    start = gathered(lake, asked, (BTC,))
    assert asked.asked == []
    assert start.listed.num_rows == listed.num_rows
    assert start.settled is not None
    assert set(start.settled["model"].to_pylist()) == {"reconciled"}
    assert start.settled.num_rows == listed.num_rows
    assert start.missing == ()


def test_positions_that_were_not_known_yet_are_left_out_and_named(lake: Lake) -> None:
    listed = provider().listing(BTC, session_date=DAY).rows
    stored = settled_rows(listed, [5.0] * listed.num_rows, [1.0] * listed.num_rows)
    store_positions(lake, stored, known_at=NOON + timedelta(seconds=1))
    start = gathered(lake, CountingProvider(), (BTC,))
    assert start.settled is None
    assert start.missing == (
        "BTC 2025-12-18: settled positions were not known by 17:00 UTC; "
        "no live_reconciled exposures",
    )


def store_positions(lake: Lake, rows: pa.Table, *, known_at: datetime) -> None:
    """Put positions of two models into the lake."""
    schema = tables.DEALER_POSITIONS.schema
    models = []
    for model in ("reconciled", "taker_flow"):
        values = {"model": model, "known_at": known_at}
        one = rows
        for name, value in values.items():
            place, field = schema.get_field_index(name), schema.field(name)
            column = pa.array([value] * rows.num_rows, field.type)
            one = one.set_column(place, field, column)
        models.append(one)
    key = [(name, "ascending") for name in tables.DEALER_POSITIONS.key]
    write_part(
        lake,
        tables.DEALER_POSITIONS,
        pa.concat_tables(models).cast(schema).sort_by(key),
        underlying="BTC",
        session_date=DAY,
        name=SESSION_PART,
    )


def test_what_nobody_has_is_said(lake: Lake) -> None:
    store_request(
        lake, provider().listing(BTC, session_date=DAY), underlying="BTC", session_date=DAY
    )
    start = gathered(lake, CountingProvider(empty=True), (BTC,))
    assert start.open_interest is None
    assert [words.split(" (")[0] for words in start.missing] == [
        "BTC 2025-12-18: no open interest",
        "BTC 2025-12-18: no settled positions in the lake",
    ]
    with pytest.raises(NoDataError, match="expected contracts listed for SPX"):
        gathered(lake, CountingProvider(empty=True), (SPX,))


def test_open_interest_comes_from_the_chain_where_nobody_tells_it_apart(lake: Lake) -> None:
    store_request(
        lake, provider().listing(BTC, session_date=DAY), underlying="BTC", session_date=DAY
    )
    chain = provider().snapshot(BTC, at=NOON).rows
    start = gathered(lake, CountingProvider(empty=True), (BTC,), {"BTC": chain})
    assert not any("open interest" in words for words in start.missing)
    listing = Listing.of(start.lanes, start.listed, start.open_interest)
    assert np.nansum(listing.open_interest) > 0.0


def test_the_newest_chain_of_the_lake_seeds_the_book_dated_as_it_is(lake: Lake) -> None:
    for minutes in (9, 5, -1):
        store_snapshot(lake, provider().snapshot(BTC, at=NOON - timedelta(minutes=minutes)))
    asked = CountingProvider()
    chains = newest_chains(lake, [BTC], {"BTC": DAY}, now=NOON, provider_of={"BTC": asked})
    assert asked.asked == []
    start = gathered(lake, asked, (BTC,))
    listing = Listing.of(start.lanes, start.listed)
    seed = seed_of(start, listing, chains, NOON)
    assert set(seed.events.event_us.tolist()) == {us_of(NOON - timedelta(minutes=5))}
    assert int((seed.events.kind == SPOT).sum()) == 1
    assert int((seed.events.kind == QUOTE).sum()) > 100
    assert "300 s old" in seed.told[0]


def test_an_old_chain_is_replaced_by_asking(lake: Lake) -> None:
    store_snapshot(lake, provider().snapshot(BTC, at=NOON - timedelta(minutes=30)))
    asked = CountingProvider()
    chains = newest_chains(lake, [BTC], {"BTC": DAY}, now=NOON, provider_of={"BTC": asked})
    assert asked.asked == ["snapshot BTC"]
    assert chains["BTC"]["event_at"][0].as_py() == NOON
    silent = CountingProvider(empty=True)
    chains = newest_chains(lake, [BTC], {"BTC": DAY}, now=NOON, provider_of={"BTC": silent})
    assert chains["BTC"]["event_at"][0].as_py() == NOON - timedelta(minutes=30)


@pytest.fixture
def small_settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALER_SIMULATOR_DENSITY", "0.02")
    monkeypatch.setenv("DEALER_STREAM_QUOTED_CONTRACTS", "40")
    settings.cache_clear()


@pytest.mark.usefixtures("small_settings")
def test_a_process_that_starts_late_fetches_the_trades_it_missed() -> None:
    clock = PlayClock(us_of(datetime(2025, 12, 18, 0, 20, tzinfo=UTC)), speed=0.0)

    async def main() -> int:
        opened = await asyncio.to_thread(
            open_session, settings(), [BTC], DAY, feed_name="simulator", clock=clock, records=False
        )
        pace = Pace(inbox_bytes=1 << 20, conflates=False, ticks=False)
        filler = opened.asker.filler
        session = Session(
            opened.desk, opened.feed, opened.sink, clock=clock, pace=pace, filler=filler
        )
        session.note_start(us_of(datetime(2025, 12, 18, tzinfo=UTC)), "tape")
        tasks = [asyncio.create_task(part()) for part in (session.inbox.run, session.fill)]
        await session.gaps_filled()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.finish()
        opened.asker.close()
        return session.desk.counts.trades

    fetched = asyncio.run(main())
    begin, end = (us_of(datetime(2025, 12, 18, 0, at, tzinfo=UTC)) for at in (0, 20))
    _, missed = prints_between(provider(), BTC, DAY, from_us=begin, until_us=end)
    assert fetched == len(missed) > 0
    lake = lake_of(settings())
    gaps = read_partition(lake, tables.FEED_GAPS, "BTC", DAY).to_pylist()
    assert [(g["reason"], g["status"]) for g in gaps] == [
        ("start", "open"),
        ("start", "backfilled"),
    ]
    assert gaps[1]["backfilled_trades"] == fetched
    trades = read_partition(lake, tables.LIVE_TRADES, "BTC", DAY)
    assert trades["is_backfilled"].to_pylist() == [True] * fetched


@pytest.mark.usefixtures("small_settings")
def test_heartbeats_and_health_tell_how_the_process_is() -> None:
    choice = Choice(lanes=(BTC,), session=DAY, speed=30.0, seconds=1.5)

    async def main() -> tuple[int, dict[str, Any], dict[str, Any]]:
        runtime = Runtime(settings(), choice, heartbeat_seconds=0.3)
        before = runtime.health()
        running = asyncio.create_task(runtime.run())
        await runtime.desks[0].is_open.wait()
        during = runtime.health()
        return await running, before, during

    code, before, during = asyncio.run(main())
    assert code == 0
    assert before["problems"] == ["crypto: the session is being opened"]
    assert during["desks"]["crypto"]["feed"] == "simulator"
    beats = read_partition(lake_of(settings()), tables.STREAM_HEARTBEATS, "BTC", DAY).to_pylist()
    assert len(beats) >= 2
    assert beats[-1]["quotes"] > 0
    assert beats[-1]["rss_mb"] > 10.0


@pytest.mark.usefixtures("small_settings")
def test_a_session_that_is_played_again_goes_on_behind_its_rows_and_doubles_nothing() -> None:
    def play() -> None:
        choice = Choice(lanes=(BTC,), session=DAY, speed=120.0, seconds=1.0)
        assert asyncio.run(Runtime(settings(), choice).run()) == 0

    def trades() -> pa.Table:
        return read_partition(lake_of(settings()), tables.LIVE_TRADES, "BTC", DAY)

    play()
    first = trades()
    play()
    both = trades()
    numbers = both["stream_sequence"].to_pylist()
    assert both.num_rows > first.num_rows > 0
    assert numbers == list(range(both.num_rows))
    assert len(set(both["trade_number"].to_pylist())) == both.num_rows
    seconds = read_partition(lake_of(settings()), tables.LIVE_GAMMA, "BTC", DAY)
    at = list(zip(seconds["known_at"].to_pylist(), seconds["model"].to_pylist(), strict=True))
    assert len(set(at)) == len(at)


@pytest.mark.usefixtures("small_settings")
def test_a_session_that_another_feed_has_rows_of_is_refused() -> None:
    row = live_rows.row(tables.LIVE_TRADES, at=datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC))
    live_rows.stream(lake_of(settings()), tables.LIVE_TRADES, [row], underlying="BTC", day=DAY)
    choice = Choice(lanes=(BTC,), session=DAY, speed=0.0, seconds=1.0)
    assert asyncio.run(Runtime(settings(), choice).run()) == 1

"""Past sessions: fetched once, continued after an outage, put together without looking ahead."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError, NotOfferedError, ProviderError
from dealer_assets.intake.collection import collect
from dealer_assets.intake.history import (
    HistorySource,
    archive_open_interest,
    fetch,
    reconstruct_session,
)
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.outcome import Outcome
from dealer_assets.intake.records import held
from dealer_assets.lake.cache import HistoryCache
from dealer_assets.lake.reader import read_partition, scan
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers.base import Provider, Records
from dealer_assets.providers.cboe_live import CboeProvider
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests import forked
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
SPX = underlying("SPX")
XSP = underlying("XSP")  # its whole tape is a sixteenth of SPX's
DAY = date(2026, 11, 18)
TAPE = (
    tables.LISTED_CONTRACTS,
    tables.INDEX_VALUES,
    tables.OPTION_BARS,
    tables.OPTION_TRADES,
    tables.OPTION_QUOTES,
)
DENSITY = 0.05


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture
def cache(tmp_path: Path) -> HistoryCache:
    return HistoryCache(open_lake(str(tmp_path / "cache")))


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(NOW), density=DENSITY)


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with running(world) as address:
        yield address


@pytest.fixture
def polygon(url: str, world: World) -> Iterator[PolygonProvider]:
    brief = Patience(attempts=2, first_pause_seconds=0.0, sleep=lambda _: None)
    with PolygonProvider(
        SecretStr(KEY), base_url=url, patience=brief, clock=lambda: NOW
    ) as provider:
        yield provider
    world.faults.clear()


def bring(
    lake: Lake,
    cache: HistoryCache,
    provider: Provider,
    days: Sequence[date],
    *,
    wanted: Sequence[tables.Table] = TAPE,
    contracts: int = 6,
    asset: Underlying = SPX,
) -> list[Outcome]:
    """Fetch every table of some sessions, going on past a vendor's refusals."""
    source = HistorySource([provider], cache, contracts)
    outcomes = []
    for day in days:
        for table in wanted:
            with suppress(ProviderError):
                outcomes.append(fetch(lake, source, asset, table=table, session_date=day, now=NOW))
    return outcomes


def contents(lake: Lake) -> dict[str, str]:
    root = Path(lake.root)
    files = sorted(p for p in root.rglob("*.parquet") if not p.name.startswith("_"))
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.chaos)])
def test_an_outage_in_a_backfill_of_many_days_loses_and_doubles_nothing(
    polygon: PolygonProvider, world: World, tmp_path: Path, count: int
) -> None:
    days = sessions.sessions_between("XNYS", date(2026, 10, 21), DAY)[-count:]
    assert len(days) == count
    down = count // 2 - 1

    def place(name: str) -> tuple[Lake, HistoryCache]:
        lake = open_lake(str(tmp_path / name / "lake"))
        return lake, HistoryCache(open_lake(str(tmp_path / name / "cache")))

    def backfill(where: tuple[Lake, HistoryCache], some: Sequence[date]) -> list[str]:
        begun = len(world.requests)
        bring(*where, polygon, some, wanted=TAPE[1:], contracts=3, asset=XSP)
        return world.requests[begun:]

    whole = place("whole")
    # thirty requests a day, and another test has them
    bring(*whole, SimulatorProvider(density=DENSITY), days, wanted=TAPE[:1], asset=XSP)
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    broken = place("broken")
    backfill(whole, days)
    before = backfill(broken, days[:down])
    world.faults.arm("polygon_503", times=None, skip=5)  # goes down in the next session
    during = backfill(broken, days[down : down + 3])
    fetched = [line for line in during[:5] if during.count(line) == 1]
    assert fetched
    world.faults.clear()

    resumed = backfill(broken, days)
    assert contents(broken[0]) == contents(whole[0])
    assert not set(before) & set(resumed), "sessions that are held are not asked for"
    assert not set(fetched) & set(resumed), "nor what came before the outage"
    coverage = scan(broken[0], tables.FEED_COVERAGE)
    assert coverage.num_rows == count * len(TAPE)
    assert pc.all(coverage["is_complete"]).as_py()
    assert backfill(broken, days) == []


def backfill_of_a_week(url: str, folder: str) -> None:
    """Fetch five sessions from the exchange; in a process of its own."""
    lake = open_lake(f"{folder}/lake")
    cache = HistoryCache(open_lake(f"{folder}/cache"))
    days = sessions.sessions_between("XNYS", date(2026, 11, 12), DAY)
    bring(lake, cache, SimulatorProvider(density=DENSITY), days, wanted=TAPE[:1], asset=XSP)
    with PolygonProvider(SecretStr(KEY), base_url=url, clock=lambda: NOW) as polygon:
        Path(folder, "begun").touch()
        bring(lake, cache, polygon, days, wanted=TAPE[1:], contracts=5, asset=XSP)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.chaos)])
def test_a_backfill_killed_at_any_moment_continues_to_the_same_bytes(
    url: str, tmp_path: Path, kills: int
) -> None:
    said = tmp_path / "said.txt"

    def start(folder: Path) -> ForkServerProcess:
        (folder / "begun").unlink(missing_ok=True)
        return forked.start(backfill_of_a_week, url, str(folder), environment={}, output=said)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    forked.finish(start(whole), said, seconds=600)
    chance = random.Random(11)
    for _ in range(kills):
        process = start(killed)
        while not (killed / "begun").exists():
            assert process.is_alive(), said.read_text()
            time.sleep(0.01)
        time.sleep(chance.uniform(0.3, 1.5))
        forked.kill(process)
    forked.finish(start(killed), said, seconds=600)
    lakes = [open_lake(str(folder / "lake")) for folder in (whole, killed)]
    assert contents(lakes[0]) == contents(lakes[1])


def test_what_the_cache_holds_is_read_again_without_a_request(
    polygon: PolygonProvider, world: World, cache: HistoryCache, lake: Lake, tmp_path: Path
) -> None:
    bring(lake, cache, polygon, [DAY])
    begun = len(world.requests)
    anew = open_lake(str(tmp_path / "anew"))
    bring(anew, cache, polygon, [DAY])
    assert world.requests[begun:] == []
    assert contents(anew) == contents(lake)


def test_a_damaged_payload_is_fetched_again_and_nothing_else(
    polygon: PolygonProvider, world: World, cache: HistoryCache, lake: Lake, tmp_path: Path
) -> None:
    bring(lake, cache, polygon, [DAY])
    folders = [p for p in (tmp_path / "cache").rglob("*") if "option_trades" in str(p)]
    victim = max((p for p in folders if p.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.write_bytes(bytes(content))
    assert cache.verify()
    begun = len(world.requests)
    anew = open_lake(str(tmp_path / "anew"))
    bring(anew, cache, polygon, [DAY])
    asked = world.requests[begun:]
    assert asked
    assert all("/v3/trades/" in line for line in asked)
    assert contents(anew) == contents(lake)
    assert cache.verify() == []


def test_a_running_session_is_never_called_complete(cache: HistoryCache, lake: Lake) -> None:
    now = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
    source = HistorySource([SimulatorProvider(density=DENSITY)], cache)
    outcome = fetch(lake, source, SPX, table=tables.INDEX_VALUES, session_date=DAY, now=now)
    assert outcome.is_partial
    assert "session_runs" in [finding.code for finding in outcome.findings]
    (row,) = read_partition(lake, tables.FEED_COVERAGE, "SPX", DAY).to_pylist()
    assert not row["is_complete"]


def test_a_table_that_no_provider_has_is_refused_with_what_to_do(
    cache: HistoryCache, lake: Lake, url: str
) -> None:
    with CboeProvider(base_url=url) as provider:
        source = HistorySource([provider], cache)
        with pytest.raises(NotOfferedError, match=r"cboe has none; set DEALER_HISTORY_PROVIDER"):
            fetch(lake, source, SPX, table=tables.OPTION_TRADES, session_date=DAY, now=NOW)


def test_a_past_session_of_a_live_feed_is_put_together_from_its_tape(
    polygon: PolygonProvider, cache: HistoryCache, lake: Lake
) -> None:
    bring(lake, cache, polygon, [DAY], contracts=60)
    outcomes = collect(lake, polygon, symbol="SPX", session_date=DAY, now=NOW, per_session=3)
    assert [outcome.status for outcome in outcomes] == ["stored"] * 3
    chain = read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", DAY)
    assert set(chain["provider"].to_pylist()) == {"reconstructed"}
    assert set(chain["is_partial"].to_pylist()) == {True}, "sixty contracts are no whole chain"
    last = chain.filter(pc.equal(chain["event_at"], pc.max(chain["event_at"])))
    truth = SimulatorProvider(density=DENSITY).snapshot(SPX, at=outcomes[-1].event_at).rows  # type: ignore[arg-type]
    quoted = last.filter(pc.is_valid(last["bid"])).select(["symbol", "bid", "ask"])
    both = quoted.join(truth.select(["symbol", "bid", "ask"]), "symbol", right_suffix="_true")
    same = pc.and_(pc.equal(both["bid"], both["bid_true"]), pc.equal(both["ask"], both["ask_true"]))
    assert quoted.num_rows >= 20  # the contracts of the day have expired
    assert pc.mean(pc.cast(same, "float64")).as_py() > 0.97  # a few move within the minute
    # asked again: the chains are held, and nobody looks at the tape
    assert collect(lake, polygon, symbol="SPX", session_date=DAY, now=NOW, per_session=3) == []


def test_chains_of_half_a_tape_are_refused_until_it_is_whole(
    polygon: PolygonProvider, world: World, cache: HistoryCache, lake: Lake
) -> None:
    bring(lake, cache, SimulatorProvider(density=DENSITY), [DAY], wanted=TAPE[:1])
    bring(lake, cache, polygon, [DAY], wanted=TAPE[1:4], contracts=40)
    world.faults.arm("polygon_503", times=None, skip=14, where="/v3/quotes")
    bring(lake, cache, polygon, [DAY], wanted=TAPE[4:], contracts=40)
    world.faults.clear()
    asked = {"symbol": "SPX", "session_date": DAY, "now": NOW, "per_session": 2}
    with pytest.raises(NoDataError, match="option_quotes incomplete: run `dealer history` again"):
        collect(lake, polygon, **asked)
    bring(lake, cache, polygon, [DAY], wanted=TAPE[1:], contracts=40)
    assert [o.status for o in collect(lake, polygon, **asked)] == ["stored", "stored"]


def test_chains_killed_half_way_are_completed_and_built_anew_on_request(
    polygon: PolygonProvider, cache: HistoryCache, lake: Lake
) -> None:
    bring(lake, cache, SimulatorProvider(density=DENSITY), [DAY], wanted=TAPE[:1])
    bring(lake, cache, polygon, [DAY], wanted=TAPE[1:], contracts=40)
    times = sessions.instants_of("XNYS", DAY, count=3)
    reconstruct_session(lake, SPX, session_date=DAY, instants=times[:1])  # and then it was killed
    asked = {"symbol": "SPX", "session_date": DAY, "now": NOW, "per_session": 3}
    assert [o.event_at for o in collect(lake, polygon, **asked)] == times[1:]
    before = contents(lake)
    assert [o.event_at for o in collect(lake, polygon, rebuild=True, **asked)] == times
    assert contents(lake) == before


def test_what_the_simulator_told_is_no_answer_of_a_vendor(
    polygon: PolygonProvider, world: World, cache: HistoryCache, lake: Lake
) -> None:
    bring(lake, cache, SimulatorProvider(density=DENSITY), [DAY], wanted=TAPE[:2])
    begun = len(world.requests)
    bring(lake, cache, polygon, [DAY], wanted=TAPE[:2])
    assert len(world.requests) > begun
    listing = read_partition(lake, tables.LISTED_CONTRACTS, "SPX", DAY)
    assert set(listing["provider"].to_pylist()) == {"polygon"}
    values = held(lake, tables.INDEX_VALUES, "SPX", DAY)
    assert set(values["provider"].to_pylist()) == {"polygon"}


def test_asking_for_more_contracts_fetches_the_others_only(
    polygon: PolygonProvider, world: World, cache: HistoryCache, lake: Lake
) -> None:
    bring(lake, cache, SimulatorProvider(density=DENSITY), [DAY], wanted=TAPE[:1])
    bring(lake, cache, polygon, [DAY], wanted=TAPE[3:4], contracts=4)
    begun = len(world.requests)
    bring(lake, cache, polygon, [DAY], wanted=TAPE[3:4], contracts=7)
    assert len(world.requests) - begun == 3
    assert bring(lake, cache, polygon, [DAY], wanted=TAPE[3:4], contracts=4)[0].status == "held"


class Late(SimulatorProvider):
    """A provider whose files come the next morning."""

    name = "late"

    def trades(self, *_: object, **__: object) -> Records:
        raise NoDataError("the file comes at 11:00")


def test_a_fall_back_on_another_provider_is_told_and_not_final(
    cache: HistoryCache, lake: Lake
) -> None:
    simulator = SimulatorProvider(density=DENSITY)
    bring(lake, cache, simulator, [DAY], wanted=TAPE[:1], asset=XSP)
    source = HistorySource([Late(density=DENSITY), simulator], cache)
    where = {"table": tables.OPTION_TRADES, "session_date": DAY, "now": NOW}
    first = fetch(lake, source, XSP, **where)
    assert [f.code for f in first.findings] == ["provider_fallback"]
    assert first.is_partial, "the preferred one is asked again"


def test_a_simulated_tape_makes_simulated_chains(cache: HistoryCache, lake: Lake) -> None:
    bring(lake, cache, SimulatorProvider(density=DENSITY), [DAY], contracts=50, asset=XSP)
    times = sessions.instants_of("XNYS", DAY, count=2)
    reconstruct_session(lake, XSP, session_date=DAY, instants=times)
    rows = scan(lake, tables.CHAIN_SNAPSHOTS, columns=["provider"])
    assert set(rows["provider"].to_pylist()) == {"simulator"}


def test_open_interest_is_kept_every_day_as_of_the_close_before(lake: Lake) -> None:
    simulator = SimulatorProvider(density=DENSITY)
    taken = simulator.snapshot(SPX, at=datetime(2026, 11, 18, 20, 0, tzinfo=UTC))
    store_snapshot(lake, taken)
    outcome = archive_open_interest(lake, SPX, session_date=DAY)
    assert outcome is not None
    rows = held(lake, tables.OPEN_INTEREST, "SPX", DAY)
    assert rows.num_rows == taken.rows.num_rows
    assert set(rows["event_at"].to_pylist()) == {datetime(2026, 11, 17, 21, 0, tzinfo=UTC)}
    assert pc.sum(rows["open_interest_contracts"]) == pc.sum(taken.rows["open_interest_contracts"])
    again = archive_open_interest(lake, SPX, session_date=DAY)
    assert again is not None
    assert again.status == "held"
    assert archive_open_interest(lake, SPX, session_date=date(2026, 11, 17)) is None

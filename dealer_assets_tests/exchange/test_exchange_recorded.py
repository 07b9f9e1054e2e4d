"""A recorded chain as the exchange's market: standing still through its session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers import cboe_json
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.files import read_chain_file
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.recorded import RecordedMarket
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

SPX = underlying("SPX")
DAY = date(2023, 9, 14)
OPEN = datetime(2023, 9, 14, 13, 30, tzinfo=UTC)
END = datetime(2023, 9, 14, 20, 15, tzinfo=UTC)
STILL = ("symbol", "bid", "ask", "open_interest_contracts", "volume_contracts", "spot")


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> ChainSnapshot:
    return read_chain_file(shared_data / "cboe_csv" / "SPX_2023-09-14_full.csv.gz")[0]


@pytest.fixture(scope="module")
def market(recorded: ChainSnapshot) -> RecordedMarket:
    return RecordedMarket([recorded])


def test_every_minute_of_the_session_quotes_the_files_rows(
    market: RecordedMarket, recorded: ChainSnapshot
) -> None:
    assert (market.underlyings, market.session_date("SPX")) == (("SPX",), DAY)
    for at in (OPEN, OPEN + timedelta(hours=3, seconds=20), END):
        snapshot = market.snapshot(SPX, at=at)
        assert snapshot.session_date == DAY
        assert snapshot.event_at == at.replace(second=0)
        assert set(snapshot.rows["event_at"].to_pylist()) == {snapshot.event_at}
        assert snapshot.rows.schema == recorded.rows.schema
        for name in STILL:
            assert snapshot.rows[name].equals(recorded.rows[name])


def test_no_trade_lies_ahead_of_the_minute(shared_data: Path) -> None:
    path = shared_data / "raw_formats" / "cboe_delayed_quotes_CLX_2026-07-24.json"
    market = RecordedMarket.read(path)
    noon = datetime(2026, 7, 24, 16, 0, tzinfo=UTC)
    early = market.snapshot(underlying("CLX"), at=noon).rows["last_trade_at"].to_pylist()
    known = read_chain_file(path)[0].rows["last_trade_at"].to_pylist()
    assert any(instant and instant > noon for instant in known)
    assert early == [instant and min(instant, noon) for instant in known]


def test_other_sessions_and_underlyings_are_not_invented(market: RecordedMarket) -> None:
    with pytest.raises(NoDataError, match="recorded in the session 2023-09-14"):
        market.snapshot(SPX, at=OPEN - timedelta(minutes=1))
    with pytest.raises(NoDataError, match="SPY was not recorded"):
        market.snapshot(underlying("SPY"), at=OPEN)
    assert market.serves(SPX)
    assert not market.serves(underlying("SPY"))


def test_two_chains_of_one_underlying_or_none_are_refused(recorded: ChainSnapshot) -> None:
    with pytest.raises(BadInputError, match="expected one chain of SPX"):
        RecordedMarket([recorded, recorded])
    with pytest.raises(BadInputError, match="found none"):
        RecordedMarket([])


@pytest.mark.parametrize(
    ("now", "quoted"),
    [
        (OPEN - timedelta(days=400), OPEN),
        (OPEN + timedelta(minutes=90, seconds=40), OPEN + timedelta(minutes=90)),
        (OPEN + timedelta(days=3), END),
    ],
)
def test_a_world_of_any_clock_sees_the_nearest_recorded_minute(
    market: RecordedMarket, recorded: ChainSnapshot, now: datetime, quoted: datetime
) -> None:
    world = World(VirtualClock(now), market=market)
    assert world.quoted_at("SPX") == quoted
    assert world.spot("SPX") == recorded.rows["spot"][0].as_py()
    assert world.chain("SPX")["event_at"][0].as_py() == quoted


def test_cboes_paths_serve_the_recorded_day(
    market: RecordedMarket, recorded: ChainSnapshot
) -> None:
    world = World(VirtualClock(OPEN + timedelta(hours=2)), market=market)
    with running(world) as url, httpx.Client(base_url=url, timeout=60) as client:
        payload = client.get("/api/global/delayed_quotes/options/_SPX.json").content
        missing = client.get("/api/global/delayed_quotes/options/SPY.json")
        interest = client.get("/series-search?symbolType=U&symbol=SPX").text
        volume = client.get(
            "/volume-query?format=csv&reportType=D&volumeQueryType=O&reportDate=20230913"
            "&symbolType=U&symbol=SPX"
        ).text
        path = "/api/global/delayed_quotes/charts/historical/_SPX.json"
        during = client.get(path).json()["data"]
        world.clock.set(END)
        after = client.get(path).json()["data"]
    snapshot = assemble(cboe_json.parse(payload, name="_SPX.json", sha256="0")[0])
    assert (snapshot.session_date, snapshot.event_at) == (DAY, OPEN + timedelta(minutes=105))
    for name in ("symbol", "bid", "ask", "open_interest_contracts"):
        assert snapshot.rows[name].to_pylist() == recorded.rows[name].to_pylist()
    assert missing.status_code == 404
    assert "SPY was not recorded" in missing.json()["error"]
    assert during == []
    assert [row["date"] for row in after] == ["2023-09-14"]
    assert f"\t{int(recorded.rows['open_interest_contracts'][0].as_py())}\t" in interest
    assert volume.splitlines() == ["quantity,underlying,symbol,actype,porc,exchange,actdate"]

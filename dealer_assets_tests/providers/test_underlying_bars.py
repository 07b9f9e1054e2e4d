"""Day bars of what is traded: simulator, Polygon, Deribit, files."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow.compute as pc
import pytest

from dealer_assets.errors import BadInputError, GarbledAnswerError, NoDataError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.polygon.underlying_bars import fetch_underlying_bars
from dealer_assets.providers.price_csv import parse, sniff
from dealer_assets.providers.record_files import read_record_file
from dealer_assets.providers.simulator.market import day_path
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.underlying_bar_rows import traded
from dealer_assets.tables import UNDERLYING_BARS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.providers.deribit_answers import Deribit
from dealer_assets_tests.providers.polygon_stub import answer, asking, page, say

SPX, SPY, BTC, VIX = (underlying(symbol) for symbol in ("SPX", "SPY", "BTC", "VIX"))
FRIDAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_an_index_is_traded_as_its_fund_and_a_share_as_itself():
    assert traded(SPX) is SPY
    assert traded(SPY) is SPY
    assert traded(BTC) is BTC
    with pytest.raises(NoDataError, match="traded_as"):
        traded(VIX)


def test_simulated_bars_are_those_of_the_path_and_the_same_for_everyone():
    provider = SimulatorProvider(seed=3)
    records = provider.underlying_bars(SPX, first=date(2026, 11, 16), last=FRIDAY)
    assert records.rows.num_rows == 5
    path = day_path(3, "SPY", FRIDAY).spot
    last = records.rows.to_pylist()[-1]
    assert (last["instrument"], last["is_proxy"], last["underlying"]) == ("SPY", True, "SPX")
    assert (last["open"], last["close"]) == (path[0], path[-1])
    assert (last["low"], last["high"]) == (path.min(), path.max())
    assert last["notional_usd"] == last["volume_units"] * last["close"]
    one = SimulatorProvider(seed=3).underlying_bars(SPX, first=FRIDAY, last=FRIDAY)
    assert one.rows.drop_columns(["source_name"]).to_pylist() == [
        {k: v for k, v in last.items() if k != "source_name"}
    ]


def test_simulated_bars_leave_holidays_out_and_conform():
    thanksgiving = date(2026, 11, 26)
    rows = (
        SimulatorProvider()
        .underlying_bars(SPY, first=thanksgiving, last=thanksgiving + timedelta(days=1))
        .rows
    )
    assert rows["session_date"].to_pylist() == [date(2026, 11, 27)]
    conform(UNDERLYING_BARS, rows, underlying="SPY", session_date=date(2026, 11, 27))
    assert rows["known_at"][0].as_py() == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)  # 13:00 close


def bar(day, **changes):
    midnight = int(datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp() * 1000)
    made = {"o": 600.0, "h": 612.0, "l": 598.0, "c": 610.0, "v": 7e7, "vw": 605.0, "t": midnight}
    return made | changes


def polygon(*rows, asset=SPX, now=NOW, delay=timedelta(0)):
    with asking(say(answer(page(*rows, resultsCount=len(rows))))) as (client, stub):
        found = fetch_underlying_bars(
            client, asset, first=date(2026, 11, 19), last=FRIDAY, now=now, delay=delay
        )
        return found, stub.requests[0].decode()


def test_polygon_is_asked_for_the_fund_unadjusted_and_its_average_price_counts():
    found, request = polygon(bar(date(2026, 11, 19)), bar(FRIDAY, v=8e7))
    assert "/v2/aggs/ticker/SPY/range/1/day/2026-11-19/2026-11-20" in request
    assert "adjusted=false" in request.lower()
    assert found.rows["notional_usd"].to_pylist() == [7e7 * 605.0, 8e7 * 605.0]
    assert set(found.rows["notional_rule"].to_pylist()) == {"average_price"}
    assert found.rows["session_date"].to_pylist() == [date(2026, 11, 19), FRIDAY]
    assert (found.is_complete, found.findings) == (True, ())


def test_polygons_bar_of_a_session_that_runs_is_left_out():
    during = datetime(2026, 11, 20, 20, 59, tzinfo=UTC)
    found, _ = polygon(bar(date(2026, 11, 19)), bar(FRIDAY), now=during)
    assert found.rows["session_date"].to_pylist() == [date(2026, 11, 19)]
    at_close = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
    late, _ = polygon(bar(FRIDAY), now=at_close, delay=timedelta(minutes=15))
    assert late.rows.num_rows == 0


def test_polygons_bar_is_taken_once_trading_after_hours_has_ended():
    ended, delay = datetime(2026, 11, 21, 1, 0, tzinfo=UTC), timedelta(minutes=15)
    before, _ = polygon(bar(FRIDAY), now=ended + delay - timedelta(minutes=1), delay=delay)
    assert before.rows.num_rows == 0  # at 16:35 it lacks what trades until 20:00
    after, _ = polygon(bar(FRIDAY), now=ended + delay, delay=delay)
    assert after.rows["known_at"].to_pylist() == [ended + delay]


@pytest.mark.parametrize(
    "fault", [{"l": 0.0}, {"h": 1.0}, {"c": None}, {"v": -1.0}, {"t": 5}, {"v": "many"}]
)
def test_polygons_impossible_bars_are_told_and_left_out(fault):
    found, _ = polygon(bar(date(2026, 11, 19)), bar(FRIDAY, **fault))
    assert found.rows["session_date"].to_pylist() == [date(2026, 11, 19)]
    assert [finding.code for finding in found.findings] == ["impossible_bars"]
    assert not found.is_complete


def candles(first, hours, **changes):
    start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    made = {
        "ticks": [start + 3_600_000 * i for i in range(hours)],
        "open": [90_000.0 + i for i in range(hours)],
        "high": [90_100.0 + i for i in range(hours)],
        "low": [89_900.0 + i for i in range(hours)],
        "close": [90_001.0 + i for i in range(hours)],
        "volume": [2.0] * hours,
        "cost": [180_000.0] * hours,
        "status": "ok",
    }
    return made | changes


def deribit(chart, *, first=date(2026, 11, 18), last=FRIDAY, now=NOW):
    venue = Deribit({"get_tradingview_chart_data": chart})
    with venue.provider(now) as provider:
        return provider.underlying_bars(BTC, first=first, last=last), venue


def test_deribits_hours_are_summed_to_utc_days_and_the_venue_tells_dollars():
    found, venue = deribit(candles(date(2026, 11, 18), 72))
    rows = found.rows.to_pylist()
    assert [row["session_date"].day for row in rows] == [18, 19, 20]
    assert rows[0]["notional_usd"] == 24 * 180_000.0
    assert rows[0]["volume_units"] == 48.0
    assert (rows[0]["open"], rows[0]["close"]) == (90_000.0, 90_024.0)
    assert (rows[1]["low"], rows[1]["high"]) == (89_924.0, 90_147.0)
    assert (rows[0]["instrument"], rows[0]["is_proxy"]) == ("BTC-PERPETUAL", False)
    assert rows[0]["known_at"] == datetime(2026, 11, 19, tzinfo=UTC)
    ((_, _, params),) = venue.asked
    assert (params["resolution"], params["instrument_name"]) == ("60", "BTC-PERPETUAL")


def test_deribits_running_day_is_left_out_and_a_day_with_holes_is_told():
    hours = [i for i in range(80) if i != 30]
    chart = candles(date(2026, 11, 18), 80)
    chart = {k: [v[i] for i in hours] if isinstance(v, list) else v for k, v in chart.items()}
    found, _ = deribit(chart, last=date(2026, 11, 21))
    assert [row["session_date"].day for row in found.rows.to_pylist()] == [18, 20]
    assert [finding.code for finding in found.findings] == ["hours_missing"]


def test_deribit_is_asked_in_spans_it_answers_whole():
    _, venue = deribit(lambda _, params: candles(FRIDAY, 0), first=date(2026, 1, 1))
    assert len(venue.asked) == 4
    starts = [int(params["start_timestamp"]) for _, _, params in venue.asked]
    ends = [int(params["end_timestamp"]) for _, _, params in venue.asked]
    assert all(end + 1 == start for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("chart", [{"status": "ok"}, [], candles(FRIDAY, 3, volume=[1.0])])
def test_deribits_garbled_chart_is_an_error(chart):
    with pytest.raises(GarbledAnswerError):
        deribit(chart)


PLAIN = "Date,Open,High,Low,Close,Adj Close,Volume\n2026-11-19,600,612,598,610,609,7e7\n"


def records_of(text, name="SPY_daily.csv"):
    assert sniff(text.encode()[:4096], name)
    (found,) = parse(text.encode(), name=name, sha256="0" * 64)
    return found


def test_a_funds_file_stands_for_itself_and_the_indices_that_name_it():
    found = records_of(PLAIN)
    assert sorted(found.rows["underlying"].to_pylist()) == ["SPX", "SPY", "XSP"]
    assert set(found.rows["notional_usd"].to_pylist()) == {7e7 * 610.0}
    proxies = {row["underlying"]: row["is_proxy"] for row in found.rows.to_pylist()}
    assert proxies == {"SPY": False, "SPX": True, "XSP": True}
    assert found.rows["event_at"][0].as_py() == datetime(2026, 11, 19, 14, 30, tzinfo=UTC)


def test_a_coins_volume_is_in_dollars_and_its_two_line_header_is_read():
    text = (
        "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\n"
        "Date,,,,,\n2026-11-21,90000,91000,89000,89500,45000000000\n"
    )
    (row,) = records_of(text, name="prices.csv").rows.to_pylist()
    assert (row["underlying"], row["notional_usd"], row["notional_rule"]) == ("BTC", 45e9, "told")
    assert row["volume_units"] == 500_000.0
    assert row["known_at"] == datetime(2026, 11, 22, tzinfo=UTC)


def test_rows_of_indices_and_impossible_rows_are_left_out_and_told():
    text = (
        "Date,Open,High,Low,Close,Volume,root\n"
        "2026-11-19,6000,6100,5900,6050,0,SPX\n"
        "2026-11-19,600,612,598,610,7e7,SPY\n"
        "2026-11-21,600,612,598,610,7e7,SPY\n"  # a Saturday
        "2026-11-20,600,612,598,610,0,SPY\n"
        "2026-11-18,600,590,598,610,7e7,SPY\n"
        "2026-11-17,600,612,598,610,1.8e10,SPY\n"  # 11 trillion dollars
    )
    found = records_of(text)
    assert set(found.rows["session_date"].to_pylist()) == {date(2026, 11, 19)}
    codes = {finding.code: finding.text for finding in found.findings}
    assert "1 of SPX" in codes["other_instruments_left_out"]
    assert codes["impossible_bars"].startswith("12 rows")  # three for each of SPY, SPX, XSP


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN.replace("2026-11-19", "19.11.2026"), "expected a date"),
        (PLAIN.replace("610", "about 610"), "expected a number in 'Close'"),
    ],
)
def test_damaged_cells_are_refused_with_their_line(text, message):
    with pytest.raises(BadInputError, match=message):
        records_of(text)


def test_prices_of_what_nothing_is_traded_as_are_refused():
    with pytest.raises(BadInputError, match="GSPC"):
        records_of(PLAIN, name="GSPC_daily.csv")


def test_files_are_found_by_their_header_alone(tmp_path):
    path = tmp_path / "SPY_2026.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    (found,) = read_record_file(path)
    assert found.table is UNDERLYING_BARS
    assert not sniff(b"Date,Open,High,Low,Close\n", "VIX.csv")
    assert not sniff(json.dumps({"Date": 1}).encode(), "x.json")


def test_recorded_prices_are_read(shared_data):
    path = shared_data / "reference" / "prices" / "SPX_VIX_SPY_QQQ_daily_ohlc.csv.gz"
    (found,) = read_record_file(path)
    spx = found.rows.filter(pc.equal(found.rows["underlying"], "SPX")).to_pylist()
    last = np.median([row["notional_usd"] for row in spx[-20:]])
    assert 2e10 < last < 2e11
    assert {row["instrument"] for row in spx} == {"SPY"}
    # years of that file count 150 times what was traded: left out, and told
    assert not any(row["session_date"].year == 2023 for row in spx)
    assert "impossible_bars" in {finding.code for finding in found.findings}

"""Cboe, OCC, rates and notification receivers of the test exchange, against the samples."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pyarrow.compute as pc
import pytest

from dealer_assets.domain import sessions
from dealer_assets.providers import cboe_json
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.treasury import parse_par_yields
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.rates_market import TENORS
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

NOW = datetime(2026, 11, 20, 16, 0, 30, tzinfo=UTC)
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
CBOE = "/api/global/delayed_quotes"
TREASURY = "/resource-center/data-chart-center/interest-rates"
VOLUME = "/volume-query?format=csv&reportType=D&volumeQueryType=O"
EFFR = "/api/rates/unsecured/effr"


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(NOW))


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[httpx.Client]:
    with running(world) as url, httpx.Client(base_url=url, timeout=60, headers=BROWSER) as client:
        yield client


@pytest.fixture
def client(world: World, served: httpx.Client) -> Iterator[httpx.Client]:
    """The exchange at `NOW`, without faults, requests or notifications."""
    world.clock.set(NOW, speed=0.0)
    world.faults.clear()
    world.requests.clear()
    world.notifications.clear()
    yield served
    assert world.faults.armed() == []  # every fault a test arms happens


def chain_file(client: httpx.Client, name: str = "_SPX") -> dict[str, Any]:
    answer = client.get(f"{CBOE}/options/{name}.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def column(document: dict[str, Any], name: str) -> list[Any]:
    return [row[name] for row in document["data"]["options"]]


def test_cboe_files_have_the_keys_of_the_recorded_one(
    client: httpx.Client, shared_samples: Path
) -> None:
    path = shared_samples / "cboe" / "_RUT_delayed_quotes_trimmed_real.json"
    recorded, served = json.loads(path.read_text()), chain_file(client, "_RUT")
    assert served.keys() == recorded.keys()
    assert served["data"].keys() == recorded["data"].keys()
    for row in served["data"]["options"]:
        assert row.keys() == recorded["data"]["options"][0].keys()


def test_cboe_clocks_are_utc_now_and_new_york_a_quarter_of_an_hour_ago(
    client: httpx.Client,
) -> None:
    document = chain_file(client)
    made = datetime.fromisoformat(document["timestamp"]).replace(tzinfo=UTC)
    local = datetime.fromisoformat(document["data"]["last_trade_time"])
    assert local.tzinfo is None
    quoted = local.replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    assert made == NOW
    stamp = client.get(f"{CBOE}/quotes/_SPX.json").headers["Date"]
    assert parsedate_to_datetime(stamp) == NOW
    assert quoted == NOW.replace(second=0) - timedelta(minutes=15)
    latest = max(text for text in column(document, "last_trade_time") if text)
    assert latest <= document["data"]["last_trade_time"]


@pytest.mark.parametrize("name", ["SPX", "_SPY", "BTC", "_BTC", "nonsense"])
def test_cboe_knows_indices_with_an_underscore_and_shares_without(
    client: httpx.Client, name: str
) -> None:
    for kind in ("options", "quotes", "charts/historical"):
        assert client.get(f"{CBOE}/{kind}/{name}.json").status_code == 404


def test_cboe_rows_are_the_markets_with_counts_as_floats_and_rounded_gamma(
    client: httpx.Client, world: World
) -> None:
    document = chain_file(client)
    rows = world.chain("SPX", NOW.replace(second=0) - timedelta(minutes=15))
    assert column(document, "option") == rows["symbol"].to_pylist()
    assert not any(symbol.startswith("O:") for symbol in column(document, "option"))
    for ours, theirs in (("bid", "bid"), ("open_interest_contracts", "open_interest")):
        assert column(document, theirs) == pc.fill_null(rows[ours], 0.0).to_pylist()
    for name in ("open_interest", "volume", "bid_size"):
        assert all(isinstance(value, float) for value in column(document, name))
    assert all(round(gamma, 4) == gamma for gamma in column(document, "gamma"))
    assert 0.0 in column(document, "gamma")
    assert {None, 0.0} < set(column(document, "iv"))


def test_the_platforms_own_parser_reads_the_chain_back(client: httpx.Client, world: World) -> None:
    payload = client.get(f"{CBOE}/options/_SPX.json").content
    snapshot = assemble(cboe_json.parse(payload, name="_SPX.json", sha256="0")[0])
    rows = world.chain("SPX", NOW.replace(second=0) - timedelta(minutes=15))
    assert snapshot.event_at == NOW.replace(second=0) - timedelta(minutes=15)
    assert not snapshot.is_partial
    assert snapshot.findings == ()
    for name in ("symbol", "open_interest_contracts", "volume_contracts"):
        assert snapshot.rows[name].to_pylist() == rows[name].to_pylist()
    assert snapshot.rows["spot"][0] == rows["spot"][0]


def test_cboe_quotes_and_history_agree_with_the_chain(client: httpx.Client) -> None:
    chain = chain_file(client)
    quote = client.get(f"{CBOE}/quotes/_SPX.json").json()
    del chain["data"]["options"]
    assert quote == chain
    history = client.get(f"{CBOE}/charts/historical/_SPX.json").json()["data"]
    assert history[-1]["date"] == "2026-11-19"
    assert float(history[-1]["close"]) == chain["data"]["prev_day_close"]
    assert [row["date"] for row in history] == sorted(row["date"] for row in history)


def test_frozen_quotes_keep_every_market_field_while_greeks_move(
    client: httpx.Client, world: World
) -> None:
    world.faults.arm("cboe_frozen_quotes", times=2)
    before = chain_file(client)
    world.clock.set(NOW + timedelta(minutes=30))
    after = chain_file(client)
    for name in ("option", "bid", "ask", "volume", "last_trade_time"):
        assert column(after, name) == column(before, name)
    assert after["data"]["last_trade_time"] == before["data"]["last_trade_time"]
    assert after["timestamp"] > before["timestamp"]
    assert column(after, "delta") != column(before, "delta")
    assert column(chain_file(client), "bid") != column(before, "bid")


def test_shifted_open_interest_is_that_of_the_session_before(
    client: httpx.Client, world: World
) -> None:
    world.faults.arm("cboe_shifted_oi")
    shifted = chain_file(client)
    previous = world.chain("SPX", sessions.quotes_end("XNYS", date(2026, 11, 19)))
    pairs = zip(
        previous["symbol"].to_pylist(), previous["open_interest_contracts"].to_pylist(), strict=True
    )
    known = dict(pairs)
    expected = [known.get(symbol, 0.0) for symbol in column(shifted, "option")]
    assert column(shifted, "open_interest") == expected
    assert column(shifted, "open_interest") != column(chain_file(client), "open_interest")


def test_wiped_stale_and_rootless_chains(client: httpx.Client, world: World) -> None:
    good = chain_file(client)
    world.faults.arm("cboe_wiped_oi")
    wiped = chain_file(client)
    assert set(column(wiped, "open_interest")) == {0.0}
    assert column(wiped, "volume") == column(good, "volume")
    world.faults.arm("cboe_stale", hours=20)
    stale = chain_file(client)
    assert stale["timestamp"] == "2026-11-19 20:00:30"
    assert stale["data"]["last_trade_time"] == "2026-11-19T14:45:00"
    world.faults.arm("cboe_missing_root")
    roots = {symbol[:-15] for symbol in column(chain_file(client), "option")}
    assert roots == {"SPX"}
    world.faults.arm("cboe_missing_root", root="SPX")
    roots = {symbol[:-15] for symbol in column(chain_file(client), "option")}
    assert roots == {"SPXW"}


@pytest.mark.parametrize("vendor", ["cboe", "occ", "rates"])
def test_refusals_are_what_they_say(client: httpx.Client, world: World, vendor: str) -> None:
    path = {
        "cboe": f"{CBOE}/quotes/_SPX.json",
        "occ": "/series-search?symbolType=U&symbol=AAPL",
        "rates": f"{EFFR}/last/5.json",
    }[vendor]
    good = client.get(path)
    for kind, status in (("403", 403), ("503", 503), ("html", 200)):
        world.faults.arm(f"{vendor}_{kind}")
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.text.startswith("<!DOCTYPE html>")
    world.faults.arm(f"{vendor}_429", retry_after=7)
    world.faults.arm(f"{vendor}_429")
    assert client.get(path).headers["Retry-After"] == "7"
    assert "Retry-After" not in client.get(path).headers
    world.faults.arm(f"{vendor}_cut")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path)
    world.faults.arm(f"{vendor}_slow", seconds=0.2)
    begun = time.monotonic()
    assert client.get(path).content == good.content
    assert time.monotonic() - begun > 0.2


def test_bodies_that_end_early_or_pause(client: httpx.Client, world: World) -> None:
    path = f"{CBOE}/quotes/_SPX.json"
    good = client.get(path).content
    world.faults.arm("cboe_truncated")
    assert client.get(path).content == good[: len(good) // 2]
    world.faults.arm("cboe_stall", seconds=0.2)
    assert client.get(path).content == good
    world.faults.arm("cboe_stall", seconds=0.6)
    with pytest.raises(httpx.ReadTimeout):
        client.get(path, timeout=0.2)
    world.faults.arm("cboe_refused")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path)
    world.faults.arm("occ_empty")
    assert client.get("/series-search?symbolType=U&symbol=AAPL").content == b""


def test_faults_for_robots_leave_browsers_alone(client: httpx.Client, world: World) -> None:
    robot = {"User-Agent": "python-httpx/0.28"}
    path = "/graph/fredgraph.csv?id=DGS1MO&cosd=2026-11-01"
    world.faults.arm("rates_silent", robots_only=True, seconds=0.05)
    assert client.get(path).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path, headers=robot)
    world.faults.arm("occ_403", robots_only=True)
    assert client.get("/series-search?symbolType=U&symbol=AAPL").status_code == 200
    answer = client.get("/series-search?symbolType=U&symbol=AAPL", headers=robot)
    assert answer.status_code == 403


def volume_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_occ_volume_has_the_recorded_header_and_trailing_commas(
    client: httpx.Client, shared_samples: Path
) -> None:
    recorded = (shared_samples / "occ" / "volume_query_sample.csv").read_text().splitlines()
    text = client.get(f"{VOLUME}&reportDate=20261119&symbolType=U&symbol=SPX").text
    lines = text.splitlines()
    assert lines[0] == recorded[0]
    assert all(line.endswith(",") for line in lines[1:])
    assert {line.count(",") for line in lines[1:]} == {recorded[1].count(",")}
    assert {row["actdate"] for row in volume_rows(text)} == {"11/19/2026"}
    assert any(row["symbol"][0].isdigit() for row in volume_rows(text))


@pytest.mark.parametrize("symbol", ["SPX", "SPY"])
def test_occ_counts_both_sides_of_the_sessions_volume(
    client: httpx.Client, world: World, symbol: str
) -> None:
    text = client.get(f"{VOLUME}&reportDate=20261119&symbolType=U&symbol={symbol}").text
    rows = [row for row in volume_rows(text) if not row["symbol"][0].isdigit()]
    chain = world.chain(symbol, sessions.quotes_end("XNYS", date(2026, 11, 19)))
    sides = sum(int(row["quantity"]) for row in rows)
    assert sides == 2 * pc.sum(chain["volume_contracts"]).as_py()
    assert {row["actype"] for row in rows} == {"C", "F", "M"}
    for exchange in {row["exchange"] for row in rows}:
        assert sum(int(r["quantity"]) for r in rows if r["exchange"] == exchange) % 2 == 0


def test_occ_filters_by_account_right_root_and_expiry(client: httpx.Client, world: World) -> None:
    base = f"{VOLUME}&reportDate=20261119"
    text = client.get(f"{base}&symbolType=U&symbol=SPX&accountType=M&porc=P").text
    assert {(row["actype"], row["porc"]) for row in volume_rows(text)} == {("M", "P")}
    text = client.get(f"{base}&symbolType=O&symbol=SPXW").text
    assert {(row["symbol"], row["underlying"]) for row in volume_rows(text)} == {("SPXW", "SPX")}
    text = client.get(f"{base}&symbolType=U&symbol=SPX&contractDt=20261218").text
    standard = [row for row in volume_rows(text) if not row["symbol"][0].isdigit()]
    chain = world.chain("SPX", sessions.quotes_end("XNYS", date(2026, 11, 19)))
    chain = chain.filter(pc.equal(chain["expiry_date"], date(2026, 12, 18)))
    sides = sum(int(row["quantity"]) for row in standard)
    assert sides == 2 * pc.sum(chain["volume_contracts"]).as_py()
    assert volume_rows(client.get(f"{base}&symbolType=U&symbol=SPX&productKind=OSTK").text) == []


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("format", "Report Format is Required"),
        ("reportType", "Report Type is invalid"),
        ("volumeQueryType", "Volume query type is required"),
    ],
)
def test_occ_refuses_with_a_sentence_and_status_200(
    client: httpx.Client, missing: str, sentence: str
) -> None:
    query = {
        "reportDate": "20261119",
        "format": "csv",
        "reportType": "D",
        "volumeQueryType": "O",
        "symbolType": "U",
        "symbol": "SPX",
    }
    del query[missing]
    answer = client.get("/volume-query", params=query)
    assert (answer.status_code, answer.text) == (200, sentence)


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("20261120", "the session itself: figures come the next morning"),
        ("20261126", "a holiday, and ahead"),
        ("20261115", "a Sunday"),
        ("20241101", "more than two years ago"),
    ],
)
def test_occ_sends_no_header_where_it_has_no_figures(
    client: httpx.Client, day: str, why: str
) -> None:
    text = client.get(f"{VOLUME}&reportDate={day}&symbolType=U&symbol=SPX").text
    assert not text.startswith("quantity"), why


def test_occ_faults_change_the_day_or_the_text(client: httpx.Client, world: World) -> None:
    path = f"{VOLUME}&reportDate=20261119&symbolType=U&symbol=AAPL"
    world.faults.arm("occ_shifted_day")
    assert {r["actdate"] for r in volume_rows(client.get(path).text)} == {"11/18/2026"}
    world.faults.arm("occ_error_text", text="Service is busy")
    assert client.get(path).text == "Service is busy"
    series = "/series-search?symbolType=U&symbol=AAPL"
    good = client.get(series).text
    world.faults.arm("occ_shifted_day")
    shifted = client.get(series).text
    world.faults.arm("occ_early_open_interest")
    early = client.get(series).text
    assert len({good, shifted, early}) == 3


def series_rows(text: str) -> list[list[str]]:
    header = next(i for i, line in enumerate(text.splitlines()) if line.startswith("ProductSymbol"))
    return [line.split("\t") for line in text.splitlines()[header + 1 :]]


def test_occ_open_interest_by_strike_sums_to_the_chains(client: httpx.Client, world: World) -> None:
    rows = series_rows(client.get("/series-search?symbolType=U&symbol=SPX").text)
    assert all(len(row) == 11 and row[1] == "" for row in rows)  # two tabs after the root
    assert all(len(row[0]) == 6 and row[7] in ("C P ", "C   ", "  P ") for row in rows)
    assert any(row[0][0].isdigit() for row in rows)
    standard = [row for row in rows if not row[0][0].isdigit()]
    chain = world.chain("SPX")
    total = pc.sum(chain["open_interest_contracts"]).as_py()
    assert sum(int(row[8]) + int(row[9]) for row in standard) == total
    row = next(r for r in standard if int(r[8]) > 0)
    expiry = date(int(row[2]), int(row[3]), int(row[4]))
    symbol = f"{row[0].strip()}{expiry:%y%m%d}C{int(row[5]) * 1000 + int(row[6]):08d}"
    held = chain.filter(pc.equal(chain["symbol"], symbol))["open_interest_contracts"].to_pylist()
    assert held == [float(row[8])]
    only = series_rows(client.get("/series-search?symbolType=O&symbol=SPXW").text)
    assert {row[0] for row in only} == {"SPXW  "}


def test_occ_totals_of_a_day_by_class(client: httpx.Client) -> None:
    path = "/daily-open-interest?reportDate=11/19/2026&action=download&format=csv"
    title, *header, line = csv.reader(io.StringIO(client.get(path).text))
    assert title[0] == "Daily Open Interest - November 2026"
    assert {len(row) for row in (title, *header, line)} == {12}
    cells = [int(cell.replace(",", "")) for cell in line[1:]]
    assert line[0] == "11/19/2026"
    assert cells[0] + cells[1] == cells[2] > 0
    assert cells[-1] == cells[2] + cells[5]


def test_treasury_years_have_the_recorded_header_newest_first(
    client: httpx.Client, shared_samples: Path
) -> None:
    recorded = (shared_samples / "rates" / "treasury_par_yield_2026.csv").read_text().splitlines()
    lines = client.get(f"{TREASURY}/daily-treasury-rates.csv/2026/all").text.splitlines()
    assert lines[0] == recorded[0]
    days = [datetime.strptime(line[:10], "%m/%d/%Y").replace(tzinfo=UTC) for line in lines[1:]]
    assert days == sorted(days, reverse=True)
    assert days[0].date() == date(2026, 11, 19)  # today's comes out this evening
    before = client.get(f"{TREASURY}/daily-treasury-rates.csv/2024/all").text
    assert "1.5 Month" not in before
    blank = client.get(f"{TREASURY}/daily-treasury-rates.csv/2025/all").text.splitlines()[-1]
    assert blank.split(",")[2] == ""
    assert client.get(f"{TREASURY}/daily-treasury-rates.csv/2027/all").text.count("\n") == 1


def test_treasury_csv_and_xml_are_one_curve_near_the_simulators(client: httpx.Client) -> None:
    table = client.get(f"{TREASURY}/daily-treasury-rates.csv/2026/all").content
    feed = client.get(
        f"{TREASURY}/pages/xml?data=daily_treasury_yield_curve&field_tdr_date_value=2026"
    ).content
    from_table, from_feed = (parse_par_yields(p, name="curve") for p in (table, feed))
    assert [curve.date for curve in from_table] == [curve.date for curve in from_feed]
    for one, other in zip(from_table, from_feed, strict=True):
        assert np.array_equal(one.par_yield, other.par_yield)
        assert np.abs(one.rate_at(np.array([0.1, 0.5, 1.0])) - 0.04).max() < 0.003
    assert [t.years for t in TENORS] == list(from_table[-1].tenor_years)
    assert date(2026, 11, 11) not in {curve.date for curve in from_table}  # a session of shares


def test_the_days_curve_is_out_in_the_evening(client: httpx.Client, world: World) -> None:
    path = f"{TREASURY}/daily-treasury-rates.csv/2026/all"
    assert "11/20/2026" not in client.get(path).text
    world.clock.set(datetime(2026, 11, 20, 23, 0, tzinfo=UTC))
    assert "11/20/2026" in client.get(path).text


def test_ny_fed_fixings_have_the_recorded_keys_and_come_the_next_morning(
    client: httpx.Client, world: World, shared_samples: Path
) -> None:
    recorded = json.loads((shared_samples / "rates" / "nyfed_effr_search_shape.json").read_text())
    rows = client.get(f"{EFFR}/last/3.json").json()["refRates"]
    assert [row["effectiveDate"] for row in rows] == ["2026-11-19", "2026-11-18", "2026-11-17"]
    assert rows[0].keys() == recorded["refRates"][0].keys()
    sofr = client.get("/api/rates/secured/sofr/last/3.json").json()["refRates"]
    assert "targetRateFrom" not in sofr[0]
    asked = {"startDate": "2026-11-10", "endDate": "2026-11-13"}
    found = client.get(f"{EFFR}/search.json", params=asked).json()["refRates"]
    assert [r["effectiveDate"] for r in found] == ["2026-11-13", "2026-11-12", "2026-11-10"]
    world.clock.set(datetime(2026, 11, 20, 13, 59, tzinfo=UTC))  # 08:59 in New York
    assert client.get(f"{EFFR}/last/1.json").json()["refRates"][0]["effectiveDate"] == "2026-11-18"
    assert client.get("/api/rates/secured/nonsense/last/1.json").status_code == 400
    assert client.get(f"{EFFR}/search.json?startDate=soon").status_code == 400


def test_a_revised_fixing_is_higher_and_marked(client: httpx.Client, world: World) -> None:
    first = client.get(f"{EFFR}/last/2.json").json()["refRates"]
    world.faults.arm("rates_revised", date="2026-11-18", by=0.03)
    revised = client.get(f"{EFFR}/last/2.json").json()["refRates"]
    assert revised[0] == first[0]
    assert revised[1]["percentRate"] == pytest.approx(first[1]["percentRate"] + 0.03)
    assert (first[1]["revisionIndicator"], revised[1]["revisionIndicator"]) == ("", "[r]")


def test_fred_csv_marks_days_without_a_value(
    client: httpx.Client, world: World, shared_samples: Path
) -> None:
    recorded = (shared_samples / "rates" / "fred_graph_multi.csv").read_text().splitlines()
    path = "/graph/fredgraph.csv?id=DGS2,DGS10,DGS30&cosd=2026-11-10&coed=2026-11-13"
    lines = client.get(path).text.splitlines()
    assert lines[0] == recorded[0]
    assert [line[:10] for line in lines[1:]] == [f"2026-11-{d}" for d in (10, 11, 12, 13)]
    assert lines[2] == "2026-11-11,.,.,."
    world.faults.arm("rates_fred_blanks")
    assert client.get(path).text.splitlines()[2] == "2026-11-11,,,"
    world.faults.arm("rates_fred_ignores_range")
    assert client.get(path).text.splitlines()[1].startswith("2015-01-02,")
    assert client.get("/graph/fredgraph.csv?id=NONSENSE").status_code == 404


def test_fred_api_wants_a_key_and_writes_values_as_text(client: httpx.Client, world: World) -> None:
    path = "/fred/series/observations"
    query = {"series_id": "DGS10", "file_type": "json", "observation_start": "2026-11-10"}
    assert client.get(path, params=query).status_code == 400
    assert client.get(path, params=query | {"api_key": "short"}).status_code == 400
    rows = client.get(path, params=query | {"api_key": "0" * 32}).json()["observations"]
    assert rows[0].keys() == {"realtime_start", "realtime_end", "date", "value"}
    assert (rows[1]["date"], rows[1]["value"]) == ("2026-11-11", ".")
    assert all(isinstance(row["value"], str) for row in rows)
    assert "0" * 32 not in "".join(world.requests)


def captured(shared_samples: Path) -> dict[str, dict[str, Any]]:
    path = shared_samples / "apprise" / "captured_requests.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return {name: requests[0] for name, requests in found.items()}


def replay(client: httpx.Client, request: dict[str, Any], **changes: str) -> httpx.Response:
    asked = request | changes
    headers = {"Content-Type": asked["ct"], "User-Agent": asked["ua"]}
    if asked["auth"]:
        headers["Authorization"] = asked["auth"]
    return client.post(asked["path"], content=asked["body"], headers=headers)


def test_captured_notifications_are_taken_as_each_service_takes_them(
    client: httpx.Client, world: World, shared_samples: Path
) -> None:
    requests = captured(shared_samples)
    assert replay(client, requests["pushover"]).json()["status"] == 1
    assert replay(client, requests["slack"]).text == "ok"
    assert replay(client, requests["discord"]).status_code == 204
    for name in ("json", "jsonauth", "form"):
        assert replay(client, requests[name], path=f"/hooks/{name}").status_code == 200
    kept = client.get("/admin/notifications").json()["notifications"]
    assert kept == world.notifications
    assert [one["service"] for one in kept] == [
        "pushover",
        "slack",
        "discord",
        "webhook:json",
        "webhook:jsonauth",
        "webhook:form",
    ]
    titles = [one["fields"].get("title") for one in kept]
    assert titles == ["Gamma flip", None, None, "Gamma flip", "Gamma flip", "Gamma flip"]
    assert [one["is_authenticated"] for one in kept][3:] == [False, True, False]
    seen = json.dumps(kept) + "".join(world.requests)
    for secret in ("a" * 30, "u" * 30, "TIiajkdnlazkcOXrIdevi7FQ", "abcdefghijklmnopqrstuvwxyz"):
        assert secret not in seen
    client.delete("/admin/notifications")
    assert world.notifications == []


def test_telegram_refuses_what_is_not_escaped(
    client: httpx.Client, world: World, shared_samples: Path
) -> None:
    request = captured(shared_samples)["telegram"]
    refused = replay(client, request)  # the captured text has a bare ampersand
    assert refused.status_code == 400
    assert "can't parse entities" in refused.json()["description"]
    body = json.loads(request["body"])
    for text, status in (
        ("<b>Gamma flip</b>\r\nSPX &lt; 5900 &amp; falling", 200),
        ("SPX < 5900", 400),
        ("SPX > 5900", 400),
        ("<table>5900</table>", 400),
        ("x" * 4097, 400),
    ):
        changed = json.dumps(body | {"text": text})
        assert replay(client, request, body=changed).status_code == status, text
    plain = json.dumps(body | {"text": "SPX < 5900", "parse_mode": ""})
    assert replay(client, request, body=plain).status_code == 200
    assert [one["status"] for one in world.notifications] == [400, 200, 400, 400, 400, 400, 200]
    assert "123456789:" not in "".join(world.requests)


def test_receivers_refuse_messages_that_are_too_long(
    client: httpx.Client, shared_samples: Path
) -> None:
    requests = captured(shared_samples)
    form = f"token={'a' * 30}&user={'u' * 30}&message={'x' * 1025}"
    assert replay(client, requests["pushover"], body=form).status_code == 400
    long = json.dumps({"content": "x" * 2001})
    assert replay(client, requests["discord"], body=long).status_code == 400
    assert replay(client, requests["slack"], body="not json").text == "invalid_payload"
    short = form.replace("a" * 30, "nonsense").replace("x" * 1025, "x")
    assert replay(client, requests["pushover"], body=short).json()["status"] == 0


def test_receivers_fail_on_demand_and_note_each_attempt(
    client: httpx.Client, world: World, shared_samples: Path
) -> None:
    request = captured(shared_samples)["json"] | {"path": "/hooks/desk"}
    for fault, status in (("hook_500", 500), ("hook_429", 429)):
        world.faults.arm(fault, where="/hooks/desk")
        assert replay(client, request).status_code == status
    world.faults.arm("hook_refused")
    with pytest.raises(httpx.RemoteProtocolError):
        replay(client, request)
    world.faults.arm("hook_stall", seconds=0.1)
    assert replay(client, request).text == "ok"
    deadline = time.monotonic() + 60.0  # the last byte leaves before the exchange notes that it did
    while world.notifications[-1]["status"] is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [one["status"] for one in world.notifications] == [500, 429, None, 200]

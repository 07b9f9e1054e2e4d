"""The served side of the options vendor's REST interface: shapes, pages, plans, faults."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pyarrow.compute as pc
import pytest

from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.polygon_answers import PUBLIC_HOST
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

NOW = datetime(2026, 11, 20, 16, 3, 5, tzinfo=UTC)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CHAIN = "/v3/snapshot/options/I:SPX"
CONTRACTS = "/v3/reference/options/contracts"


@pytest.fixture(scope="module")
def exchange():
    world = World(VirtualClock(NOW), density=0.03)
    with running(world) as url:
        yield world, url


@pytest.fixture
def world(exchange):
    world, _ = exchange
    world.clock.set(NOW)
    yield world
    world.faults.clear()
    world.clock.set(NOW)


@pytest.fixture(scope="module")
def connections(exchange):
    """A client per account: making one takes longer than most answers."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                httpx.Client(
                    base_url=exchange[1], headers={"Authorization": f"Bearer {key}"}, timeout=60
                )
            )
            for key in (KEY, DELAYED_KEY)
        ]


@pytest.fixture
def client(connections, world):
    return connections[0]


@pytest.fixture
def delayed(connections, world):
    return connections[1]


def get(client, path, **query):
    answer = client.get(path, params=query or None)  # {} would strike out a cursor
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(client, path, **query):
    body = get(client, path, **query)
    yield body
    seen = set()
    while "next_url" in body:
        assert body["next_url"] not in seen
        seen.add(body["next_url"])
        assert body["next_url"].startswith(f"{PUBLIC_HOST}{path}?cursor=")
        assert "key" not in body["next_url"].lower()
        body = get(client, body["next_url"].removeprefix(PUBLIC_HOST))
        yield body


def rows_of(client, path, **query):
    return [row for body in pages(client, path, **query) for row in body["results"]]


def chain_of(client, **query):
    return {row["details"]["ticker"]: row for row in rows_of(client, CHAIN, limit=250, **query)}


def sample(shared_samples, name):
    return json.loads((shared_samples / "polygon" / name).read_text())


def shape(value):
    """Keys of an object and of the objects in it."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return None


def busiest(client):
    rows = chain_of(client, expiration_date="2026-11-23").values()
    return max(rows, key=lambda row: row["day"].get("volume", 0))["details"]["ticker"]


# --- chain --------------------------------------------------------------------------------------


def test_full_row_has_the_recorded_shape(client, shared_samples):
    expected = shape(sample(shared_samples, "v3_snapshot_options_AAPL.json")["results"][0])
    del expected["fmv"]  # business plans only
    rows = rows_of(client, "/v3/snapshot/options/SPY", limit=250, expiration_date="2026-12-18")
    assert any(shape(row) == expected for row in rows)
    expected["underlying_asset"]["value"] = expected["underlying_asset"].pop("price")
    assert any(shape(row) == expected for row in chain_of(client).values())


def test_pages_hold_every_contract_of_both_roots_exactly_once(client, world):
    listed = world.chain("SPX")["symbol"].to_pylist()
    tickers = [row["details"]["ticker"] for row in rows_of(client, CHAIN, limit=250)]
    assert tickers == sorted(tickers)
    assert sorted(tickers) == sorted(f"O:{name}" for name in listed)
    roots = {ticker[2:-15] for ticker in tickers}
    assert roots == {"SPX", "SPXW"}


@pytest.mark.parametrize("sort", ["expiration_date", "strike_price"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_sorted_pages_hold_every_contract_in_order(client, world, sort, order):
    query = {"expiration_date.lte": "2026-12-05", "strike_price.gt": "6500"}
    rows = rows_of(client, CHAIN, limit=97, sort=sort, order=order, **query)
    values = [row["details"][sort] for row in rows]
    assert values == sorted(values, reverse=order == "desc")
    chain = world.chain("SPX")
    wanted = pc.and_(
        pc.less_equal(chain["expiry_date"].cast("string"), "2026-12-05"),
        pc.greater(chain["strike"], 6500.0),
    )
    expected = {f"O:{name}" for name in chain.filter(wanted)["symbol"].to_pylist()}
    tickers = [row["details"]["ticker"] for row in rows]
    assert set(tickers) == expected
    assert len(tickers) == len(expected)


def test_rows_say_what_the_market_says(client, world):
    found = chain_of(client)
    for row in world.chain("SPX").to_pylist()[::17]:
        shown = found[f"O:{row['symbol']}"]
        assert shown["details"]["strike_price"] == row["strike"]
        assert shown["open_interest"] == row["open_interest_contracts"]
        assert shown["underlying_asset"]["value"] == row["spot"]
        assert shown["day"].get("volume", 0) == row["volume_contracts"]
        if row["bid"] is None:
            assert "last_quote" not in shown
        else:
            quote = shown["last_quote"]
            assert (quote["bid"], quote["ask"]) == (row["bid"], row["ask"])
            assert quote["last_updated"] <= NOW.timestamp() * 1e9
        if row["volume_contracts"]:
            traded = row["last_trade_at"].timestamp()
            assert shown["last_trade"]["price"] == row["last_price"]
            assert shown["last_trade"]["sip_timestamp"] // 10**9 == traded
        if "greeks" in shown:
            assert shown["implied_volatility"] == row["vendor_implied_vol"]
            assert shown["greeks"]["delta"] == row["vendor_delta"]


def test_greeks_are_left_out_for_a_tenth_mostly_deep_in_the_money(client):
    rows = chain_of(client)
    hidden = [row for row in rows.values() if "greeks" not in row]
    assert 0.05 < len(hidden) / len(rows) < 0.2
    assert all("implied_volatility" not in row for row in hidden)
    deep = 0
    for row in hidden:
        sign = 1 if row["details"]["contract_type"] == "call" else -1
        spot = row["underlying_asset"]["value"]
        deep += sign * (spot - row["details"]["strike_price"]) > 0.01 * spot
    assert deep > 0.6 * len(hidden)
    assert {row["details"]["ticker"] for row in hidden} == {
        ticker for ticker, row in chain_of(client).items() if "greeks" not in row
    }


def test_bare_index_name_works_and_a_root_is_no_underlying(client):
    bare = get(client, "/v3/snapshot/options/SPX", limit=5)["results"]
    assert bare == get(client, CHAIN, limit=5)["results"]
    assert get(client, "/v3/snapshot/options/SPXW")["results"] == []


def test_default_page_has_ten_rows_and_too_large_a_limit_is_refused(client):
    assert len(get(client, CHAIN)["results"]) == 10
    refused = client.get(CHAIN, params={"limit": 251})
    assert refused.status_code == 400
    assert "limit" in refused.json()["error"]
    assert client.get(CHAIN, params={"cursor": "!!"}).status_code == 400


def test_single_contract_is_its_row_and_an_expired_one_is_not_found(client, world):
    ticker = busiest(client)
    row = chain_of(client, expiration_date="2026-11-23")[ticker]
    assert get(client, f"{CHAIN}/{ticker}")["results"] == row
    world.clock.set(datetime(2026, 11, 24, 15, 0, tzinfo=UTC))
    answer = client.get(f"{CHAIN}/{ticker}")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Options contract not found."


def test_contracts_that_expire_today_stay_until_midnight_in_new_york(client, world):
    world.clock.set(datetime(2026, 11, 21, 4, 59, tzinfo=UTC))
    assert chain_of(client, expiration_date="2026-11-20")
    world.clock.set(datetime(2026, 11, 21, 5, 1, tzinfo=UTC))
    assert not chain_of(client, expiration_date="2026-11-20")
    assert chain_of(client, expiration_date="2026-11-23")


def test_opening_bell_has_null_quotes_and_yesterdays_volume(client, world):
    days = {"expiration_date": "2026-11-23"}
    world.clock.set(OPEN - timedelta(minutes=10))
    before = chain_of(client, **days)
    world.clock.set(OPEN + timedelta(seconds=2))
    bell = chain_of(client, **days)
    for ticker, row in bell.items():
        if "last_quote" in row:
            assert row["last_quote"]["bid"] is None
            assert row["last_quote"]["ask"] is None
        if ticker in before:
            assert row["day"].get("volume") == before[ticker]["day"].get("volume")
    assert sum(row["day"].get("volume", 0) for row in bell.values()) > 0
    midnight = datetime(2026, 11, 20, 5, tzinfo=UTC).timestamp() * 1e9
    assert all(row["day"].get("last_updated", 0) < midnight for row in bell.values())
    world.clock.set(OPEN + timedelta(seconds=31))
    after = chain_of(client, **days)
    assert all(row["day"] == {} for row in after.values())
    assert any(row["last_quote"]["bid"] for row in after.values() if "last_quote" in row)


def test_open_interest_is_constant_through_the_session(client, world):
    first = {t: row["open_interest"] for t, row in chain_of(client).items()}
    world.clock.set(NOW + timedelta(hours=3))
    assert {t: row["open_interest"] for t, row in chain_of(client).items()} == first


# --- unified, indices, reference ----------------------------------------------------------------


def test_unified_snapshot_answers_what_it_cannot_show_in_a_row(client, delayed, shared_samples):
    ticker = busiest(client)
    wanted = f"{ticker},I:SPX,SPY,APx,O:SPXW200101C01000000"
    rows = {
        row["ticker"]: row
        for row in get(client, "/v3/snapshot", **{"ticker.any_of": wanted})["results"]
    }
    recorded = sample(shared_samples, "v3_snapshot_unified.json")["results"]
    option = recorded[0]
    assert set(rows[ticker]["details"]) == set(option["details"])
    assert set(rows[ticker]) == set(option) - {"fmv"}
    assert rows["APx"] == {"ticker": "APx", "error": "NOT_FOUND", "message": "Ticker not found."}
    assert rows["O:SPXW200101C01000000"]["error"] == "NOT_FOUND"
    assert rows["I:SPX"]["type"] == "indices"
    assert rows["SPY"]["type"] == "stocks"
    late = get(delayed, "/v3/snapshot", **{"ticker.any_of": wanted})["results"]
    assert {row["ticker"]: row.get("error") for row in late}["I:SPX"] == "NOT_ENTITLED"


def test_index_snapshot_has_the_recorded_shape(client, world, shared_samples):
    recorded = sample(shared_samples, "v3_snapshot_indices_NOT_FOUND_NOT_ENTITLED.json")["results"]
    body = get(client, "/v3/snapshot/indices", **{"ticker.any_of": "I:SPX,APx"})
    missing, row = body["results"]
    assert missing == recorded[1]
    assert set(row) == set(recorded[0]) | {"last_updated", "timeframe"}
    assert set(row["session"]) == set(recorded[0]["session"])
    assert row["value"] == world.spot("SPX")


def test_unified_snapshot_pages_by_ten_and_takes_250_tickers(client):
    tickers = list(chain_of(client))[:251]
    wanted = {"ticker.any_of": ",".join(tickers[:25])}
    assert len(get(client, "/v3/snapshot", **wanted)["results"]) == 10
    rows = rows_of(client, "/v3/snapshot", **wanted)
    assert sorted(row["ticker"] for row in rows) == sorted(tickers[:25])
    assert (
        client.get("/v3/snapshot", params={"ticker.any_of": ",".join(tickers)}).status_code == 400
    )


def test_reference_wants_the_bare_name_and_has_the_recorded_shape(client, world, shared_samples):
    rows = rows_of(client, CONTRACTS, underlying_ticker="SPX", limit=1000)
    recorded = sample(shared_samples, "v3_reference_options_contracts_page1.json")
    assert set(rows[0]) == set(recorded["results"][0])
    assert {row["ticker"] for row in rows} == {
        f"O:{s}" for s in world.chain("SPX")["symbol"].to_pylist()
    }
    assert {row["cfi"][0] for row in rows} == {"O"}
    for name in ("I:SPX", "SPXW"):
        body = get(client, CONTRACTS, underlying_ticker=name)
        assert body["results"] == []
        assert body["status"] == "OK"
    one = get(client, f"{CONTRACTS}/{rows[3]['ticker']}")["results"]
    assert one == rows[3]
    assert client.get(f"{CONTRACTS}/O:SPXW200101C01000000").status_code == 404


def test_reference_knows_the_past_and_the_expired(client):
    query = {"underlying_ticker": "SPX", "expiration_date": "2026-11-13", "limit": 1000}
    assert rows_of(client, CONTRACTS, **query) == []
    then = rows_of(client, CONTRACTS, as_of="2026-11-12", **query)
    gone = rows_of(client, CONTRACTS, expired="true", **query)
    assert {row["ticker"] for row in then} <= {row["ticker"] for row in gone}
    assert len(then) > 10
    third_friday = dict(query, expiration_date="2026-11-20", limit=1000)
    morning = rows_of(client, CONTRACTS, as_of="2026-11-19", **third_friday)
    assert {row["ticker"][2:-15] for row in morning} == {"SPX", "SPXW"}


@pytest.mark.parametrize("minutes", [-60, 0, 500])
def test_reference_and_chain_agree_at_any_hour(client, world, minutes):
    world.clock.set(OPEN + timedelta(minutes=minutes))
    listed = rows_of(client, CONTRACTS, underlying_ticker="SPX", limit=1000)
    assert {row["ticker"] for row in listed} == set(chain_of(client))


def test_market_status_and_holidays_have_the_recorded_shape(client, world, shared_samples):
    now = get(client, "/v1/marketstatus/now")
    assert set(now) == set(sample(shared_samples, "v1_marketstatus_now.json")) | {"indicesGroups"}
    assert now["market"] == "open"
    assert now["serverTime"] == "2026-11-20T11:03:05-05:00"
    upcoming = get(client, "/v1/marketstatus/upcoming")
    recorded = sample(shared_samples, "v1_marketstatus_upcoming.json")
    assert isinstance(upcoming, list)
    assert {frozenset(row) for row in upcoming} == {frozenset(row) for row in recorded}
    assert [row["exchange"] for row in upcoming[:2]] == ["NYSE", "NASDAQ"]
    assert upcoming[2] == {
        "exchange": "NYSE",
        "name": "Thanksgiving",
        "date": "2026-11-27",
        "status": "early-close",
        "open": "2026-11-27T14:30:00.000Z",
        "close": "2026-11-27T18:00:00.000Z",
    }
    for hour, market in (
        (9, "extended-hours"),
        (13, "extended-hours"),
        (23, "extended-hours"),
        (3, "closed"),
    ):
        world.clock.set(NOW.replace(hour=hour))
        assert get(client, "/v1/marketstatus/now")["market"] == market


def test_conditions_and_exchanges_have_the_recorded_shape(client, shared_samples):
    query = {"asset_class": "options", "limit": 1000}
    for name in ("conditions", "exchanges"):
        rows = get(client, f"/v3/reference/{name}", **query)["results"]
        suffix = "_stocks" if name == "conditions" else ""
        recorded = sample(shared_samples, f"v3_reference_{name}{suffix}.json")["results"]
        assert set(recorded[0]) - {"acronym"} == set(rows[0])
    codes = {row["id"] for row in get(client, "/v3/reference/conditions", **query)["results"]}
    assert {201, 203, 205, 207, 209, 232, 247} <= codes


# --- trades, quotes, aggregates -----------------------------------------------------------------


def test_trades_are_the_tapes_newest_first_in_nanoseconds(client, world):
    ticker = busiest(client)
    rows = rows_of(client, f"/v3/trades/{ticker}", timestamp="2026-11-20", limit=100)
    stamps = [row["sip_timestamp"] for row in rows]
    assert stamps == sorted(stamps, reverse=True)
    assert stamps[0] <= NOW.timestamp() * 1e9
    tape = world.market.trades(
        underlying("SPX"), session_date=NOW.date(), symbols=[ticker.removeprefix("O:")]
    ).rows.to_pylist()
    seen = [row for row in tape if row["event_at"] <= NOW]
    assert len(rows) == len(seen) > 50
    for shown, row in zip(reversed(rows), seen, strict=True):
        assert shown["price"] == row["price"]
        assert shown["size"] == row["size_contracts"]
        assert shown["exchange"] == int(row["exchange"])
        assert shown["conditions"] == [int(row["conditions"])]
        assert shown["sip_timestamp"] // 1000 == round(row["event_at"].timestamp() * 1e6)
    wanted = {"conditions", "exchange", "participant_timestamp", "price", "sip_timestamp", "size"}
    assert set(rows[0]) == wanted  # no id, no sequence number


def test_trades_of_a_range_of_nanoseconds(client):
    ticker = busiest(client)
    rows = rows_of(client, f"/v3/trades/{ticker}", order="asc", limit=50_000)
    first, last = rows[10]["sip_timestamp"], rows[20]["sip_timestamp"]
    query = {"order": "asc", "timestamp.gt": first, "timestamp.lte": last}
    within = [row for row in rows if first < row["sip_timestamp"] <= last]
    assert rows_of(client, f"/v3/trades/{ticker}", **query) == within
    exact = get(client, f"/v3/trades/{ticker}", timestamp=first)["results"]
    assert {row["sip_timestamp"] for row in exact} == {first}
    assert (
        rows_of(client, f"/v3/trades/{ticker}", **{"timestamp.lt": "2026-11-20"})[0][
            "sip_timestamp"
        ]
        < datetime(2026, 11, 20, 5, tzinfo=UTC).timestamp() * 1e9
    )


def test_quotes_need_a_plan_and_mark_a_missing_side_by_zero(client, delayed):
    tickers = [
        t for t, row in chain_of(client).items() if row.get("last_quote", {}).get("bid") == 0
    ]
    rows = rows_of(client, f"/v3/quotes/{tickers[0]}", timestamp="2026-11-20", limit=1000)
    sequence = [row["sequence_number"] for row in rows]
    assert sequence == sorted(sequence, reverse=True)
    one_sided = [row for row in rows if row["bid_price"] == 0]
    assert one_sided
    assert all(row["bid_exchange"] == 0 and row["bid_size"] == 0 for row in one_sided)
    assert set(rows[0]) == {
        "ask_exchange",
        "ask_price",
        "ask_size",
        "bid_exchange",
        "bid_price",
        "bid_size",
        "sequence_number",
        "sip_timestamp",
    }
    assert delayed.get(f"/v3/quotes/{tickers[0]}").status_code == 403


def test_option_bars_have_the_recorded_shape_and_the_tapes_volume(client, world, shared_samples):
    ticker = busiest(client)
    body = get(client, f"/v2/aggs/ticker/{ticker}/range/1/day/2026-11-18/2026-11-19")
    recorded = sample(shared_samples, "v2_aggs_AAPL_range.json")
    assert set(body) == set(recorded)
    assert set(body["results"][0]) == set(recorded["results"][0])
    assert [bar["t"] for bar in body["results"]] == [
        int(datetime(2026, 11, day, 5, tzinfo=UTC).timestamp() * 1000) for day in (18, 19)
    ]
    closing = world.chain("SPX", datetime(2026, 11, 19, 21, 0, tzinfo=UTC))
    at = closing["symbol"].to_pylist().index(ticker.removeprefix("O:"))
    assert body["results"][1]["v"] == closing["volume_contracts"][at].as_py()
    minutes = get(client, f"/v2/aggs/ticker/{ticker}/range/1/minute/2026-11-19/2026-11-19")
    assert sum(bar["v"] for bar in minutes["results"]) == body["results"][1]["v"]
    assert minutes["resultsCount"] == len(minutes["results"]) == minutes["queryCount"]
    for bar in minutes["results"]:
        assert bar["l"] <= min(bar["o"], bar["c"], bar["vw"])
        assert bar["h"] >= max(bar["o"], bar["c"], bar["vw"])


def test_base_limit_cuts_bars_into_pages(client):
    path = "/v2/aggs/ticker/I:SPX/range/5/minute/2026-11-19/2026-11-19"
    whole = get(client, path)["results"]
    assert len(whole) == 78
    bodies = list(pages(client, path, limit=100))
    assert len(bodies) == 4
    assert [bar["t"] for body in bodies for bar in body["results"]] == [bar["t"] for bar in whole]


def test_index_bars_have_no_volume_and_need_a_plan(client, delayed):
    path = "/v2/aggs/ticker/I:SPX/range/1/minute/2026-11-20/2026-11-20"
    bars = get(client, path)["results"]
    assert set(bars[0]) == {"o", "h", "l", "c", "t"}
    assert bars[0]["t"] == OPEN.timestamp() * 1000
    assert bars[-1]["t"] == NOW.replace(second=0, minute=2).timestamp() * 1000
    refused = delayed.get(path)
    assert refused.status_code == 403
    assert refused.json()["status"] == "NOT_AUTHORIZED"


def test_empty_bars_have_no_results(client):
    body = get(client, "/v2/aggs/ticker/I:SPX/range/1/minute/2026-11-21/2026-11-22")
    assert body["resultsCount"] == 0
    assert "results" not in body


def test_previous_bar_open_close_and_last_trade(client, shared_samples):
    ticker = busiest(client)
    body = get(client, f"/v2/aggs/ticker/{ticker}/prev")
    assert set(body["results"][0]) == set(
        sample(shared_samples, "v2_aggs_AAPL_prev.json")["results"][0]
    )
    assert body["results"][0]["t"] == datetime(2026, 11, 19, 21, tzinfo=UTC).timestamp() * 1000
    recorded = sample(shared_samples, "recorded/rest_recorded_bodies.json")
    day = get(client, f"/v1/open-close/{ticker}/2026-11-19")
    assert set(day) == set(recorded[1]["body"])
    assert day["volume"] == body["results"][0]["v"]
    assert client.get(f"/v1/open-close/{ticker}/2026-11-21").status_code == 404
    newest = get(client, f"/v3/trades/{ticker}", limit=1)["results"][0]
    last = get(client, f"/v2/last/trade/{ticker}")["results"]
    assert (last["T"], last["p"], last["s"], last["t"]) == (
        ticker,
        newest["price"],
        newest["size"],
        newest["sip_timestamp"],
    )
    assert set(last) == {"T", "c", "f", "i", "p", "q", "r", "s", "t", "x", "y"}


# --- accounts -----------------------------------------------------------------------------------


def test_key_is_taken_from_the_header_or_the_query_and_never_logged(exchange, world):
    _, url = exchange
    assert httpx.get(f"{url}{CHAIN}?apiKey={KEY}").status_code == 200
    unknown = httpx.get(f"{url}{CHAIN}", headers={"Authorization": "Bearer nobody"})
    assert unknown.status_code == 401
    assert unknown.json()["error"] == "Unknown API Key"
    assert httpx.get(f"{url}{CHAIN}").status_code == 401
    assert not any(KEY in line for line in world.requests)


def test_delayed_plan_sees_the_market_fifteen_minutes_ago_without_quotes(client, delayed, world):
    late = get(delayed, CHAIN, limit=250, expiration_date="2026-11-23")
    assert late["status"] == "DELAYED"
    then = world.spot("SPX", datetime(2026, 11, 20, 15, 48, tzinfo=UTC))
    for row in late["results"]:
        assert row["underlying_asset"]["timeframe"] == "DELAYED"
        assert row["underlying_asset"]["value"] == then
        assert "last_quote" not in row
    ticker = busiest(client)
    newest = get(delayed, f"/v3/trades/{ticker}", limit=1)["results"][0]["sip_timestamp"]
    assert newest <= (NOW - timedelta(minutes=15)).timestamp() * 1e9


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "field"),
    [
        ("429", 429, "error"),
        ("401", 401, "error"),
        ("403_message", 403, "message"),
        ("403_error", 403, "error"),
        ("404", 404, "error"),
        ("500", 500, "error"),
    ],
)
def test_refusals_have_their_status_and_text(client, world, fault, status, field):
    world.faults.arm(f"polygon_{fault}")
    answer = client.get(CHAIN)
    assert answer.status_code == status
    assert answer.json()[field]
    assert answer.json()["request_id"]
    assert ("Retry-After" in answer.headers) == (fault == "429")
    assert client.get(CHAIN).status_code == 200


def test_bare_refusals(client, world):
    world.faults.arm("polygon_429_empty")
    answer = client.get(CHAIN)
    assert (answer.status_code, answer.content) == (429, b"")
    assert "Retry-After" not in answer.headers
    world.faults.arm("polygon_503", retry_after=3)
    answer = client.get(CHAIN)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "3"
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_fault_waits_for_its_page(client, world):
    world.faults.arm("polygon_500", where="cursor", skip=1)
    bodies = pages(client, CHAIN, limit=250)
    next(bodies)
    following = next(bodies)["next_url"].removeprefix(PUBLIC_HOST)
    assert client.get(following).status_code == 500
    assert client.get(following).status_code == 200


def test_broken_bodies(client, world):
    world.faults.arm("polygon_truncated")
    with pytest.raises(json.JSONDecodeError):
        client.get(CHAIN).json()
    world.faults.arm("polygon_cut")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(CHAIN)
    world.faults.arm("polygon_refused")
    with pytest.raises(httpx.TransportError):
        client.get(CHAIN)
    world.faults.arm("polygon_empty")
    assert client.get(CHAIN).content == b""
    world.faults.arm("polygon_no_results")
    body = get(client, CHAIN)
    assert body["status"] == "OK"
    assert "results" not in body


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("stall", {"seconds": 20}),
        ("silent", {"seconds": 20}),
        ("slow", {"seconds": 20}),
        ("drip", {"bytes_a_second": 5}),
    ],
)
def test_slow_answers_take_longer_than_a_client_waits(client, world, fault, options):
    world.faults.arm(f"polygon_{fault}", **options)
    begun = time.monotonic()
    with pytest.raises((httpx.TimeoutException, TimeoutError)):
        receive(client, deadline=begun + 0.5)
    assert time.monotonic() - begun < 15.0


def receive(client, *, deadline):
    """Read an answer for a limited time: a drip defeats time-outs between two bytes."""
    with client.stream("GET", CHAIN, timeout=httpx.Timeout(0.3)) as answer:
        for _ in answer.iter_raw():
            if time.monotonic() > deadline:
                raise TimeoutError


def test_chain_of_pages_can_end_early_or_point_elsewhere(client, world):
    world.faults.arm("polygon_chain_ends")
    assert "next_url" not in get(client, CHAIN)
    world.faults.arm("polygon_next_host", host="http://127.0.0.1:9")
    assert get(client, CHAIN)["next_url"].startswith("http://127.0.0.1:9/v3/snapshot/")
    assert get(client, CHAIN)["next_url"].startswith(PUBLIC_HOST)


def test_lasting_faults_leave_blocks_out(client, world):
    days = {"expiration_date": "2026-11-23"}
    for fault, missing in (
        ("no_greeks", ("greeks", "implied_volatility")),
        ("no_quotes", ("last_quote",)),
    ):
        world.faults.arm(f"polygon_{fault}", times=None)
        rows = chain_of(client, **days).values()
        assert not any(name in row for row in rows for name in missing)
        world.faults.clear()
    world.faults.arm("polygon_no_underlying_value", times=None)
    for row in chain_of(client, **days).values():
        assert set(row["underlying_asset"]) == {"ticker", "timeframe"}


def test_frozen_quotes_stand_still_while_the_rest_moves(client, world):
    days = {"expiration_date": "2026-11-23"}
    then = chain_of(client, **days)
    world.clock.set(NOW + timedelta(minutes=30))
    world.faults.arm("polygon_frozen_quotes", minutes=30)
    now = chain_of(client, **days)
    assert {t: row.get("last_quote") for t, row in now.items()} == {
        t: row.get("last_quote") for t, row in then.items()
    }
    some = next(iter(now))
    assert now[some]["underlying_asset"] != then[some]["underlying_asset"]
    assert any(row["day"] != then[t]["day"] for t, row in now.items())


def test_open_interest_can_be_wrong_in_every_way(client, world):
    days = {"expiration_date": "2026-11-27"}

    def held():
        return {t: row.get("open_interest") for t, row in chain_of(client, **days).items()}

    true = held()
    world.clock.set(NOW - timedelta(days=1))
    before = held()
    world.clock.set(NOW)
    world.faults.arm("polygon_shifted_oi")
    shifted = held()
    assert shifted != true
    assert all(shifted[t] == before[t] for t in before if t in shifted)
    world.faults.clear()
    world.faults.arm("polygon_wiped_oi")
    assert set(held().values()) == {0}
    world.faults.clear()
    world.faults.arm("polygon_wiped_oi", absent=True)
    assert set(held().values()) == {None}
    world.faults.clear()
    world.faults.arm("polygon_wobbling_oi")
    calls = [held() for _ in range(4)]
    assert any(call != calls[0] for call in calls[1:])
    moved = {t for call in calls for t in call if call[t] != true[t]}
    assert 0 < len(moved) < 0.15 * len(true)


def test_volume_can_stay_yesterdays_and_the_plan_can_be_downgraded(client, world):
    days = {"expiration_date": "2026-11-23"}
    true = chain_of(client, **days)
    world.faults.arm("polygon_carried_volume")
    carried = chain_of(client, **days)
    closing = world.chain("SPX", datetime(2026, 11, 19, 21, 15, tzinfo=UTC)).to_pylist()
    volumes = {f"O:{row['symbol']}": row["volume_contracts"] for row in closing}
    for ticker, row in carried.items():
        assert row["day"].get("volume", 0) == volumes.get(ticker, 0)
    assert {t: r["day"] for t, r in carried.items()} != {t: r["day"] for t, r in true.items()}
    world.faults.clear()
    world.faults.arm("polygon_delayed")
    body = get(client, CHAIN, **days)
    assert body["status"] == "DELAYED"
    assert {row["last_quote"]["timeframe"] for row in body["results"] if "last_quote" in row} == {
        "DELAYED"
    }


def test_peak_of_requests_a_second_is_counted(client, world, exchange):
    world.rate_peaks.clear()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: client.get(CHAIN), range(16)))
    assert httpx.get(f"{exchange[1]}/admin").json()["rate_peaks"]["polygon"] >= 8

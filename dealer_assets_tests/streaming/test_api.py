"""The live API over real sockets: documents, access, limits, and the stream's pace."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
from pydantic import SecretStr

from dealer_assets.domain.flow.totals import Sums
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets_tests.streaming import engine_tape
from streaming.api import documents
from streaming.api.access import Access, is_loopback
from streaming.api.app import build_app
from streaming.api.hub import Hub
from streaming.api.server import serve
from streaming.api.stream import SCHEMA, Pace
from streaming.core.view import ContractView, LaneView, ModelTotals, SecondTotals

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
TOKEN = "a-token-planted-by-the-test"


def second(at_us: int, gamma: float) -> SecondTotals:
    sums = Sums((1e9, gamma, 2e8, -3e7, 4e5), gamma + 5e8, -5e8, 1e8, 2e9, 90)
    models = {"naive": ModelTotals(sums, 100, 90)}
    return SecondTotals(at_us, 5000.0, "index", 250_000, models, NOW_US - 30_000_000, 7, 0.8, 0.5)


def a_view(**changes: Any) -> LaneView:
    n = 4
    unit = np.ones((5, n)) * np.array([1.0, 2.0, 4.0, 8.0])
    contracts = ContractView(
        contract=np.arange(n),
        expires_us=np.full(n, NOW_US + 10**10),
        expiry_day=np.array([20777, 20777, 20777, 20780]),
        strike=np.array([4900.0, 5000.0, 5000.0, 5000.0]),
        is_call=np.array([True, True, False, True]),
        is_zero_dte=np.array([True, True, True, False]),
        vol=np.full(n, 0.2),
        multiplier=np.full(n, 100.0),
        unit=unit,
        open_interest=np.array([10.0, 20.0, 30.0, np.nan]),
        customer=np.array([0.0, 5.0, -2.0, 0.0]),
        customer_mean=np.array([0.0, 2.0, -1.0, 0.0]),
        settled=np.array([4.0, -6.0, np.nan, 0.0]),
        volume=np.array([0.0, 9.0, 2.0, 0.0]),
        bid=np.full(n, 1.0),
        ask=np.full(n, 1.2),
        last_price=np.array([np.nan, 1.1, 1.0, np.nan]),
        spot=5000.0,
    )
    flow = np.zeros((9, 16))
    flow[6, 0], flow[6, 12], flow[7, 0], flow[7, 12] = 3e6, -1e6, 3e6, 1e6
    history = tuple(second(NOW_US - 1_000_000 * k, 1e8 + k) for k in range(5, -1, -1))
    known: dict[str, Any] = {
        "underlying": "SPX",
        "feed": "simulator",
        "session_date": date(2026, 11, 20),
        "now_us": NOW_US,
        "is_open": True,
        "spot": 5000.0,
        "spot_us": NOW_US - 250_000,
        "spot_source": "index",
        "totals": history[-1],
        "history": history,
        "pricing": None,
        "contracts": contracts,
        "watched": ("B", "C"),
        "flow": flow,
        "contracts_listed": 10,
        "symbols": ["A", "B", "C", "D"],
    }
    return LaneView(**(known | changes))


@dataclass
class Served:
    hub: Hub
    pace: Pace
    url: str
    http: aiohttp.ClientSession


@asynccontextmanager
async def serving(
    *, access: Access | None = None, view: Callable[[], LaneView] = a_view, **pace: Any
) -> AsyncIterator[Served]:
    health = {
        "is_healthy": True,
        "problems": [],
        "desks": {"us": {"trades": 7, "lag_p50_ms": 0.4, "is_healthy": True}},
    }
    hub = Hub(lambda: health)
    hub.serve("SPX", view)
    hub.notify()
    chosen = Pace(**pace)
    app = build_app(hub, access or Access(host="127.0.0.1", burst=1e6), pace=chosen)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(serve(app, host="127.0.0.1", port=0, on_ready=port.set_result))
    url = f"http://127.0.0.1:{await asyncio.wait_for(port, 60)}"
    try:
        async with aiohttp.ClientSession() as http:
            yield Served(hub, chosen, url, http)
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


def answers(path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
    async def ask() -> tuple[int, Any]:
        async with (
            serving(**options) as live,
            live.http.get(live.url + path, headers=headers) as answer,
        ):
            text = await answer.text()
            body = json.loads(text) if answer.content_type == "application/json" else text
            return answer.status, body

    return asyncio.run(ask())


# --- documents ----------------------------------------------------------------------------------


def test_snapshot_says_where_the_underlying_stands_and_null_where_nothing_is_known():
    status, body = answers("/snapshot?underlying=spx")
    assert status == 200
    assert body["spot"] == 5000.0
    assert body["spot_age_seconds"] == 0.25
    assert body["at"] == "2026-11-20T15:30:00+00:00"
    assert body["models"]["naive"]["net_gamma_exposure_usd_per_pct"] == 1e8
    assert body["models"]["naive"]["contracts_priced"] == 90
    assert body["models"]["session_flow"] is None
    assert body["models"]["live_reconciled"] is None
    assert body["flow"]["hedge_flow_usd"] == 2e6
    assert body["flow"]["absolute_hedge_flow_usd"] == 4e6
    assert body["flow"]["call_hedge_flow_usd"] == 3e6
    assert body["flow"]["zero_dte_hedge_flow_usd"] == 3e6


def test_before_the_first_pricing_a_snapshot_has_nulls_and_cells_are_refused_with_the_reason():
    def nothing() -> LaneView:
        return a_view(totals=None, contracts=None, history=(), spot=float("nan"), spot_us=-1)

    status, body = answers("/snapshot", view=nothing)
    assert (status, body["spot"], body["models"]["naive"]) == (200, None, None)
    for path in ("/heatmap", "/levels", "/scenario"):
        status, body = answers(path, view=nothing)
        assert status == 503
        assert "has not been priced" in body["detail"]


def test_heatmap_adds_both_rights_of_a_strike_and_leaves_out_what_is_not_known():
    status, body = answers("/heatmap?measure=gamma&model=naive")
    assert status == 200
    assert body["strikes"] == [4900.0, 5000.0]
    assert body["expiry_dates"] == ["2026-11-20", "2026-11-23"]
    assert body["cells"] == [[10.0, 2.0 * 20.0 - 4.0 * 30.0], [None, None]]
    assert body["unit"] == "usd_per_pct"
    _, flow = answers("/heatmap?measure=position&model=session_flow&within_pct=1")
    assert flow["cells"] == [[-3.0], [0.0]]
    _, moved = answers("/heatmap?measure=position&model=live_reconciled&within_pct=1")
    assert moved["cells"] == [[-8.0], [0.0]]  # the put's settled position is not known


@pytest.fixture(scope="module")
def priced() -> LaneView:
    """An engine's view a minute into a small simulated session."""
    tape = engine_tape.tape("SPX")
    listing = engine_tape.listing_of(tape)
    events = engine_tape.events_of(listing, tape)
    engine = engine_tape.engine_of(listing, tape)
    end_us = engine_tape.us(tape.at(1))
    engine_tape.run(engine, events.take(events.received_us < end_us), tape.at(1))
    return engine.view("SPX")


def test_levels_and_scenarios_of_both_models_come_from_a_real_pricing(priced):
    for model in ("naive", "session_flow"):
        levels = documents.levels(priced, model=model)["levels"]
        assert levels["spot"] == pytest.approx(priced.spot, rel=0.01)
        assert levels["flip_status"] in ("ok", "none_in_range", "ill_conditioned", "far")
        assert levels["contracts_used"] > 10
        columns = documents.scenario(priced, model=model)["columns"]
        here = [
            flow
            for flow, spot, vol, hours in zip(
                columns["forced_flow_usd"],
                columns["spot_shift_pct"],
                columns["vol_shift_points"],
                columns["hours_ahead"],
                strict=True,
            )
            if spot == vol == 0.0 and hours == min(columns["hours_ahead"])
        ]
        assert len(here) == 1
        json.dumps([levels, columns], allow_nan=False)
    naive = documents.levels(priced, model="naive")["levels"]
    flow = documents.levels(priced, model="session_flow")["levels"]
    assert naive["net_gamma_exposure_usd_per_pct"] != flow["net_gamma_exposure_usd_per_pct"]
    totals = priced.totals.models["session_flow"].sums
    assert flow["net_gamma_exposure_usd_per_pct"] == pytest.approx(totals.net[1], rel=1e-9)


def test_levels_of_the_estimate_are_refused_without_settled_positions(priced):
    for document in (documents.levels, documents.scenario):
        with pytest.raises(NoDataError, match="no settled positions of the session are held"):
            document(priced, model="live_reconciled")


def test_history_is_thinned_to_every_so_many_seconds_of_the_clock():
    _, body = answers("/history?seconds=4&every=2")
    assert body["columns"]["at"] == [
        "2026-11-20T15:29:56+00:00",
        "2026-11-20T15:29:58+00:00",
        "2026-11-20T15:30:00+00:00",
    ]
    assert body["columns"]["net_gamma_exposure_usd_per_pct"] == [1e8 + 4, 1e8 + 2, 1e8]


def test_flow_has_all_sixteen_buckets_and_the_watched_strikes():
    _, body = answers("/flow")
    assert len(body["buckets"]) == 16
    first, other = body["buckets"][0], body["buckets"][12]
    assert (first["right"], first["tenor"], first["size_bucket"]) == ("call", "0dte", "1")
    assert (other["right"], other["tenor"], other["size_bucket"]) == ("put", "other", "1")
    assert first["hedge_flow_usd"] == 3e6
    assert [w["symbol"] for w in body["watched"]] == ["B", "C"]
    assert body["watched"][0]["position_contracts"] == -5.0


def test_unknown_underlyings_and_parameters_are_refused_in_words():
    status, body = answers("/snapshot?underlying=QQQ")
    assert status == 404
    assert "expected one of SPX" in body["detail"]
    assert answers("/snapshot?underlying=" + "Q" * 50)[0] == 422
    assert answers("/heatmap?measure=magic")[0] == 422
    assert answers("/history?seconds=99999")[0] == 422


def test_health_is_a_status_and_metrics_are_prometheus_text():
    assert answers("/health")[0] == 200
    status, text = answers("/metrics")
    assert status == 200
    assert 'dealer_trades_total{desk="us"} 7.0' in text
    assert 'dealer_lag_p50_ms{desk="us"} 0.4' in text


def test_every_route_is_described_in_openapi():
    _, body = answers("/openapi.json")
    paths = {"/snapshot", "/heatmap", "/scenario", "/history", "/levels", "/flow"}
    assert paths | {"/health", "/metrics"} <= set(body["paths"])
    for path in paths:
        assert body["paths"][path]["get"]["summary"]


def test_the_page_of_the_api_loads_nothing_from_elsewhere():
    status, text = answers("/docs")
    assert status == 200
    assert 'GET <a href="heatmap">/heatmap</a>' in text
    assert "naive, session_flow, live_reconciled" in text
    assert "http" not in text.replace("<!doctype html><html", "")


# --- access -------------------------------------------------------------------------------------


def test_only_loopback_may_be_bound_without_a_token():
    with pytest.raises(BadInputError, match="DEALER_STREAM_TOKEN"):
        Access(host="0.0.0.0")
    Access(host="0.0.0.0", token=SecretStr(TOKEN))
    assert [
        is_loopback(h) for h in ("127.0.0.9", "::1", "[::1]", "localhost", "10.0.0.1", "x")
    ] == [
        *[True] * 4,
        False,
        False,
    ]


def test_a_token_is_required_where_set_and_never_shown():
    access = Access(host="127.0.0.1", token=SecretStr(TOKEN), burst=1e6)
    status, body = answers("/snapshot", access=access)
    assert status == 401
    assert TOKEN not in json.dumps(body)
    assert answers("/health", access=access)[0] == 401
    for wrong in ("Bearer other", f"Basic {TOKEN}", TOKEN):
        assert answers("/snapshot", headers={"Authorization": wrong}, access=access)[0] == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert answers("/snapshot", headers=right, access=access)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "https://desk.example"}, 200),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_read(headers, status):
    access = Access(host="127.0.0.1", origins=("https://desk.example",), burst=1e6)
    assert answers("/snapshot", headers=headers, access=access)[0] == status


def test_a_client_that_asks_too_often_is_told_when_to_come_back():
    async def hammer() -> tuple[list[int], str]:
        access = Access(host="127.0.0.1", per_second=0.5, burst=3)
        async with serving(access=access) as live:
            statuses, retry = [], ""
            for _ in range(5):
                async with live.http.get(live.url + "/health") as answer:
                    statuses.append(answer.status)
                    retry = answer.headers.get("Retry-After", retry)
            return statuses, retry

    assert asyncio.run(hammer()) == ([200, 200, 200, 429, 429], "2")


# --- stream -------------------------------------------------------------------------------------


def ws(live: Served, query: str = "", **options: Any) -> Any:
    return live.http.ws_connect(live.url.replace("http", "ws") + "/ws/stream" + query, **options)


def test_the_stream_greets_and_then_sends_the_newest_state_only():
    spots = iter(range(5000, 9000))
    state = SimpleNamespace(spot=5000.0)

    def view() -> LaneView:
        return a_view(spot=state.spot)

    async def listen() -> list[Any]:
        async with serving(view=view) as live, ws(live, "?interval_ms=0") as client:
            messages = [json.loads((await client.receive()).data) for _ in range(2)]
            for _ in range(100):
                state.spot = float(next(spots))
                live.hub.notify()  # no await between: one tick tells of all hundred
            messages.append(json.loads((await client.receive()).data))
            return messages

    hello, first, second_ = asyncio.run(listen())
    assert (hello["type"], hello["schema"], hello["underlyings"]) == ("hello", SCHEMA, ["SPX"])
    assert (first["type"], first["spot"]) == ("tick", 5000.0)
    assert second_["spot"] == 5099.0
    assert second_["n"] == first["n"] + 100


def test_a_client_gets_its_own_interval():
    async def count() -> int:
        async with serving() as live, ws(live, "?interval_ms=50") as client:
            await client.receive()
            ticks = 0
            end = asyncio.get_running_loop().time() + 0.5

            async def churn() -> None:
                while True:
                    live.hub.notify()
                    await asyncio.sleep(0.001)

            churning = asyncio.ensure_future(churn())
            while asyncio.get_running_loop().time() < end:
                await client.receive()
                ticks += 1
            churning.cancel()
            return ticks

    assert 4 <= asyncio.run(count()) <= 12


def test_msgpack_carries_the_same_document():
    async def listen() -> Any:
        async with serving() as live, ws(live, "?format=msgpack") as client:
            await client.receive()
            return msgspec.msgpack.decode((await client.receive()).data)

    tick = asyncio.run(listen())
    assert tick["schema"] == SCHEMA
    assert {k: v for k, v in tick.items() if k not in ("schema", "type", "n")} == documents.tick(
        a_view()
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?underlying=QQQ", "expected underlyings of SPX"),
        ("?interval_ms=-1", "expected interval_ms"),
        ("?interval_ms=999999999", "expected interval_ms"),
        ("?format=xml", "json or msgpack"),
    ],
)
def test_wrong_wishes_are_closed_with_the_reason(query, words):
    async def listen() -> tuple[int | None, str]:
        async with serving() as live, ws(live, query) as client:
            message = await client.receive()
            return client.close_code, message.extra or ""

    code, reason = asyncio.run(listen())
    assert code == 1003
    assert words in reason


def test_the_stream_wants_the_token_too_and_takes_it_as_a_subprotocol():
    access = Access(host="127.0.0.1", token=SecretStr(TOKEN), burst=1e6)

    async def connect() -> tuple[int, str | None]:
        async with serving(access=access) as live:
            status = 0
            try:
                await ws(live)
            except aiohttp.WSServerHandshakeError as error:
                status = error.status
            async with ws(live, protocols=(f"dealer.token.{TOKEN}",)) as client:
                await client.receive()
                return status, client.protocol

    assert asyncio.run(connect()) == (403, f"dealer.token.{TOKEN}")


def test_too_many_clients_are_sent_away():
    async def connect() -> int | None:
        async with serving(most_clients=1) as live, ws(live) as first:
            await first.receive()
            async with ws(live) as second_client:
                await second_client.receive()
                return second_client.close_code

    assert asyncio.run(connect()) == 1013


def test_a_client_that_does_not_read_is_dropped_and_others_do_not_notice():
    big = tuple(f"symbol-{i}" for i in range(1000))

    async def starve() -> tuple[int, int]:
        async with serving(
            view=lambda: replace(a_view(), feed="x" * 50_000, watched=big), slow_after_seconds=0.2
        ) as live:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            loop = asyncio.get_running_loop()
            host, port = "127.0.0.1", int(live.url.rsplit(":", 1)[1])
            await loop.sock_connect(raw, (host, port))
            key = "dGhlIHNhbXBsZSBub25jZQ=="
            request = (
                f"GET /ws/stream?interval_ms=0 HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            )
            await loop.sock_sendall(raw, request.encode())
            reading = 0
            async with ws(live, "?interval_ms=0") as reader:
                while live.pace.dropped == 0 and reading < 5000:
                    live.hub.notify()
                    await reader.receive()
                    reading += 1
            raw.close()
            return live.pace.dropped, reading

    dropped, reading = asyncio.run(starve())
    assert dropped == 1
    assert reading > 5

"""Cboe's delayed quotes as a provider: requests, politeness, clocks, counts."""

import json
import socketserver
import threading
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import httpx
import pyarrow.compute as pc
import pytest

from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.cboe_live import CboeProvider
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

NOW = datetime(2026, 7, 25, 0, 43, 20, tzinfo=UTC)


def option(symbol="CLX260821C00095000", **changes):
    row = {
        "option": symbol,
        "bid": 2.0,
        "bid_size": 5.0,
        "ask": 2.2,
        "ask_size": 7.0,
        "iv": 0.31,
        "open_interest": 40.0,
        "volume": 3.0,
        "delta": 0.52,
        "gamma": 0.04,
        "last_trade_price": 2.1,
        "last_trade_time": "2026-07-24T09:40:47",
    }
    return row | changes


def chain(*rows, made="2026-07-25 00:43:14", quoted="2026-07-24T15:59:59"):
    data = {
        "symbol": "CLX",
        "current_price": 95.5,
        "last_trade_time": quoted,
        "options": list(rows) or [option(), option("CLX260821P00095000", delta=-0.48)],
    }
    return {"timestamp": made, "symbol": "CLX", "data": data}


class Server:
    """Answers in turn; the last answer repeats. Time stands still until `wait`."""

    def __init__(self, *answers):
        self.answers, self.requests, self.pauses = list(answers), [], []
        self.seconds = 0.0
        self.provider = CboeProvider(
            transport=httpx.MockTransport(self),
            patience=Patience(sleep=self.pauses.append),
            monotonic=lambda: self.seconds,
        )

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def snapshot(self, symbol="CLX", at=NOW):
        return self.provider.snapshot(underlying(symbol), at=at)

    def next_snapshot(self, at=NOW):
        self.seconds += 61.0
        return self.snapshot(at=at)


def ok(content=None):
    return httpx.Response(200, content=json.dumps(content or chain()).encode())


def codes(found):
    return [finding.code for finding in found.findings]


def finding(found, code):
    (text,) = (finding.text for finding in found.findings if finding.code == code)
    return text


# --- requests ----------------------------------------------------------------------------------


def test_provider_asks_the_documented_address_and_assembles_the_answer():
    server = Server(ok())
    snapshot = server.snapshot()
    assert str(server.requests[0].url) == (
        "https://cdn.cboe.com/api/global/delayed_quotes/options/CLX.json"
    )
    assert server.requests[0].headers["User-Agent"].startswith("Mozilla/5.0")
    assert (snapshot.underlying, snapshot.provider) == ("CLX", "cboe")
    assert snapshot.source_name == "CLX.json"
    assert snapshot.rows.num_rows == 2


def test_provider_dates_quotes_by_new_yorks_clock_and_knowledge_by_utcs():
    snapshot = Server(ok()).snapshot()
    assert snapshot.event_at == datetime(2026, 7, 24, 19, 59, 59, tzinfo=UTC)
    assert snapshot.known_at == datetime(2026, 7, 25, 0, 43, 14, tzinfo=UTC)
    assert snapshot.session_date == date(2026, 7, 24)


def test_provider_asks_for_an_index_with_its_underscore():
    server = Server(httpx.Response(404))
    with pytest.raises(NoDataError, match="underscore"):
        server.snapshot("SPX")
    assert server.requests[0].url.path.endswith("/_SPX.json")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(503, text="<html>busy</html>"),
        httpx.Response(429),
        httpx.Response(200, text="<!DOCTYPE html><html></html>"),
        httpx.Response(200, content=json.dumps(chain()).encode()[:-40]),
        httpx.Response(200, content=b""),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
    ids=["503", "429", "page", "cut", "empty", "refused", "timeout"],
)
def test_provider_survives_passing_failures_with_growing_pauses(failure):
    server = Server(failure, failure, ok())
    assert server.snapshot().rows.num_rows == 2
    assert server.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (httpx.Response(502), ProviderUnavailableError, "HTTP 502"),
        (httpx.Response(429), RateLimitedError, "Ask less often"),
        (httpx.Response(200, text="<html></html>"), GarbledAnswerError, "web page"),
        (httpx.Response(200, content=b'{"timestamp": "2026'), GarbledAnswerError, "cut-off"),
        (httpx.Response(200, content=b"{}"), GarbledAnswerError, "'data'"),
    ],
    ids=["502", "429", "page", "cut", "other"],
)
def test_provider_gives_up_after_three_retries_and_says_why(failure, error, words):
    server = Server(failure)
    with pytest.raises(error, match=words):
        server.snapshot()
    assert server.pauses == [0.5, 1.0, 2.0]


def test_provider_waits_as_long_as_retry_after_says():
    server = Server(httpx.Response(429, headers={"Retry-After": "7"}), ok())
    server.snapshot()
    assert server.pauses == [7.0]


def test_provider_does_not_wait_longer_than_a_minute():
    server = Server(httpx.Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimitedError):
        server.snapshot()
    assert server.pauses == []


def test_provider_reports_a_refused_address_without_retry():
    server = Server(httpx.Response(403))
    with pytest.raises(NotEntitledError, match="another network"):
        server.snapshot()
    assert len(server.requests) == 1


def test_provider_reports_any_other_answer():
    with pytest.raises(ProviderError, match="HTTP 418"):
        Server(httpx.Response(418)).snapshot()


def test_provider_cannot_answer_for_the_past():
    with pytest.raises(ProviderError, match="current chain only"):
        Server(ok()).snapshot(at=NOW - timedelta(days=2))


def test_provider_refuses_the_chain_of_another_underlying():
    with pytest.raises(BadInputError, match="expected options of AAPL, found CLX"):
        Server(ok()).snapshot("AAPL")


def test_provider_has_nothing_for_an_underlying_without_cboe_symbol():
    server = Server(ok())
    with pytest.raises(NoDataError, match="BTC"):
        server.snapshot("BTC")
    assert server.requests == []


def test_provider_refuses_a_base_url_without_scheme():
    with pytest.raises(BadInputError, match="base URL"):
        CboeProvider("localhost:8000")


@contextmanager
def tcp_server(handle):
    """Serve connections on the loopback interface; `handle(socket, over)` answers each."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            handle(self.request, over)

    class Threaded(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Threaded(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def drip(socket, over):
    """Answer a byte at a time, for ever."""
    socket.recv(65_536)
    socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    try:
        while not over.wait(0.02):
            socket.sendall(b" ")
    except OSError:  # the client has had enough
        pass


@pytest.mark.parametrize(
    ("handle", "words"),
    [(lambda _, over: over.wait(10), "ReadTimeout"), (drip, "did not finish")],
    ids=["silent", "dripping"],
)
def test_provider_does_not_hang_on_a_server_that_never_finishes(handle, words):
    with tcp_server(handle) as url:
        provider = CboeProvider(
            url,
            timeout_seconds=0.1,
            total_seconds=0.2,
            patience=Patience(attempts=2, sleep=lambda _: None),
        )
        started = time.perf_counter()
        with pytest.raises(ProviderUnavailableError, match=words):
            provider.snapshot(underlying("SPY"), at=NOW)
        assert time.perf_counter() - started < 9.0


# --- politeness --------------------------------------------------------------------------------


def test_provider_serves_the_same_answer_again_within_a_minute():
    server = Server(ok(), ok(chain(option(bid=1.0), option("CLX260821P00095000"))))
    first = server.snapshot()
    server.seconds = 59.9
    assert server.snapshot() is first
    server.seconds = 60.0
    second = server.snapshot()
    assert len(server.requests) == 2
    assert second.source_sha256 != first.source_sha256


def test_provider_keeps_the_interval_for_each_symbol_and_over_all_questions():
    server = Server(ok())
    server.snapshot()
    server.provider.open_interest(underlying("CLX"), session_date=date(2026, 7, 24))
    server.provider.probe(underlying("CLX"), now=NOW)
    assert len(server.requests) == 1
    with pytest.raises(BadInputError, match="expected options of AMD"):
        server.snapshot("AMD")
    assert len(server.requests) == 2


# --- stale and frozen quotes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quoted", "asked", "is_stale"),
    [
        ("2026-07-24T11:00:00", "2026-07-24 15:15:27", False),  # the usual delay
        ("2026-07-24T11:00:00", "2026-07-24 15:24:59", False),
        ("2026-07-24T11:00:00", "2026-07-24 15:25:01", True),  # ten minutes more than usual
        ("2026-07-23T16:00:00", "2026-07-24 13:50:00", False),  # the open is barely due
        ("2026-07-23T16:00:00", "2026-07-24 13:56:00", True),
        ("2026-07-24T15:59:59", "2026-07-24 20:30:00", False),
        ("2026-07-24T15:59:59", "2026-07-26 15:00:00", False),  # Sunday
        ("2026-07-24T11:00:00", "2026-07-26 15:00:00", True),  # stuck on Friday morning
    ],
)
def test_provider_finds_data_that_is_older_than_its_delay_in_a_session(quoted, asked, is_stale):
    at = datetime.fromisoformat(asked).replace(tzinfo=UTC)
    snapshot = Server(ok(chain(made=asked, quoted=quoted))).snapshot(at=at)
    assert ("stale_quotes" in codes(snapshot)) == is_stale


def test_provider_finds_a_file_that_an_intermediary_keeps_serving():
    content = chain(made="2026-07-24 15:15:00", quoted="2026-07-24T11:00:00")
    at = datetime(2026, 7, 24, 15, 40, tzinfo=UTC)
    assert "25 minutes behind" in finding(Server(ok(content)).snapshot(at=at), "stale_quotes")


def moving(minute, *, delta=0.52, bid=2.0, hour=15):
    """A chain made at a minute of the session of 24 July, quoted 15 minutes before."""
    made = datetime(2026, 7, 24, hour, minute)  # noqa: DTZ001
    rows = (option(bid=bid, delta=delta), option("CLX260821P00095000"))
    quoted = made - timedelta(hours=4, minutes=15)
    return ok(chain(*rows, made=str(made), quoted=quoted.isoformat()))


def test_provider_finds_quotes_that_stand_still_while_greeks_move():
    server = Server(*(moving(minute, delta=0.5 + minute / 1000) for minute in (0, 2, 5, 6)))
    found = [server.next_snapshot() for _ in range(4)]
    assert ["quotes_frozen" in codes(snapshot) for snapshot in found] == [False, False, False, True]
    assert "6 minutes of the session, while Greeks moved" in finding(found[-1], "quotes_frozen")


def test_provider_forgets_the_standstill_when_a_quote_moves():
    server = Server(moving(0), moving(4), moving(6, bid=1.9), moving(11, bid=1.9))
    assert not any("quotes_frozen" in codes(server.next_snapshot()) for _ in range(4))


def test_provider_does_not_count_the_night_as_a_standstill():
    before_open = moving(20, hour=13)  # 09:20 New York, quoted 09:05
    server = Server(before_open, moving(49, hour=13), moving(51, hour=13))
    found = [server.next_snapshot() for _ in range(3)]
    assert ["quotes_frozen" in codes(snapshot) for snapshot in found] == [False, False, True]
    after_close = Server(moving(15, hour=20), moving(50, hour=20))
    assert not any("quotes_frozen" in codes(after_close.next_snapshot()) for _ in range(2))


# --- counts ------------------------------------------------------------------------------------


def test_provider_leaves_volume_of_an_earlier_session_unknown():
    rows = (
        option(volume=3.0, last_trade_time="2026-07-24T09:40:47"),
        option("CLX260821P00095000", volume=60.0, last_trade_time="2026-07-23T15:45:03"),
        option("CLX260821P00090000", volume=0.0, last_trade_time="2026-07-23T15:45:03"),
        option("CLX260821P00085000", volume=2.0, last_trade_time="2026-07-23T20:20:00"),
    )
    snapshot = Server(ok(chain(*rows))).snapshot()
    volume = dict(
        zip(
            snapshot.rows["symbol"].to_pylist(),
            snapshot.rows["volume_contracts"].to_pylist(),
            strict=True,
        )
    )
    assert volume == {
        "CLX260821C00095000": 3.0,
        "CLX260821P00095000": None,
        "CLX260821P00090000": 0.0,
        "CLX260821P00085000": 2.0,  # overnight trading counts for the day that follows
    }
    assert "volume_carried_over" in codes(snapshot)


def test_provider_finds_nothing_carried_over_in_recorded_chains(shared_data, shared_samples):
    for path, symbol, made_at in (
        (shared_data / "raw_formats" / "cboe_delayed_quotes_CLX_2026-07-24.json", "CLX", NOW),
        (
            shared_samples / "cboe" / "_RUT_delayed_quotes_trimmed_real.json",
            "RUT",
            datetime(2023, 9, 21, 3, 17, 42, tzinfo=UTC),
        ),
    ):
        content = json.loads(path.read_bytes())
        options = content["data"]["options"]  # the trimmed sample has some rows twice
        content["data"]["options"] = list({row["option"]: row for row in options}.values())
        snapshot = Server(ok(content)).snapshot(symbol, at=made_at)
        assert snapshot.rows.num_rows > 30
        assert not {"volume_carried_over", "stale_quotes", "quotes_frozen"} & set(codes(snapshot))


def test_open_interest_is_that_of_the_chains_session_counted_at_the_close_before():
    server = Server(ok())
    found = server.provider.open_interest(underlying("CLX"), session_date=date(2026, 7, 24))
    rows = conform(found.table, found.rows).to_pylist()
    assert [row["open_interest_contracts"] for row in rows] == [40.0, 40.0]
    assert {row["event_at"] for row in rows} == {datetime(2026, 7, 23, 20, tzinfo=UTC)}
    assert {row["known_at"] for row in rows} == {datetime(2026, 7, 25, 0, 43, 14, tzinfo=UTC)}
    assert {row["session_date"] for row in rows} == {date(2026, 7, 24)}
    assert found.provider == "cboe"
    assert not found.is_complete  # two options are not the chain


def test_open_interest_of_another_session_is_not_there():
    with pytest.raises(NoDataError, match="current one only"):
        Server(ok()).provider.open_interest(underlying("CLX"), session_date=date(2026, 7, 23))


def test_open_interest_skips_contracts_without_any_and_says_so():
    rows = (option(open_interest=None), option("CLX260821P00095000"))
    server = Server(ok(chain(*rows)))
    found = server.provider.open_interest(underlying("CLX"), session_date=date(2026, 7, 24))
    assert found.rows["symbol"].to_pylist() == ["CLX260821P00095000"]
    assert "open_interest_missing" in codes(found)


# --- against the exchange ----------------------------------------------------------------------

WEDNESDAY = datetime(2026, 9, 16, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def exchange():
    world = World(VirtualClock(WEDNESDAY))
    with running(world) as url:
        yield world, url


class Visitor:
    """A provider at the exchange, with the exchange's clock."""

    def __init__(self, exchange, **settings):
        self.world, url = exchange
        self.world.faults.clear()
        self.world.clock.set(WEDNESDAY)
        self.seconds = 0.0
        self.provider = CboeProvider(
            url,
            patience=Patience(attempts=3, sleep=lambda _: None),
            monotonic=lambda: self.seconds,
            **settings,
        )

    def snapshot(self, symbol="NVDA", *, minutes=0.0):
        self.seconds += 61.0
        self.world.clock.set(WEDNESDAY + timedelta(minutes=minutes))
        return self.provider.snapshot(underlying(symbol), at=self.world.clock.now())


def test_exchange_serves_a_whole_index_chain_without_findings(exchange):
    snapshot = Visitor(exchange).snapshot("SPX")
    assert snapshot.findings == ()
    assert not snapshot.is_partial
    assert set(snapshot.rows["root"].to_pylist()) == {"SPX", "SPXW"}
    assert snapshot.event_at == WEDNESDAY - timedelta(minutes=15)
    assert snapshot.known_at == WEDNESDAY


def test_exchange_chain_without_one_root_is_partial(exchange):
    visitor = Visitor(exchange)
    visitor.world.faults.arm("cboe_missing_root", root="SPX")
    snapshot = visitor.snapshot("SPX")
    assert snapshot.is_partial
    assert "no contract of root SPX" in finding(snapshot, "partial_chain")
    visitor.provider = Visitor(exchange).provider
    visitor.world.faults.arm("cboe_missing_root", root="SPX")
    found = visitor.provider.open_interest(underlying("SPX"), session_date=date(2026, 9, 16))
    assert not found.is_complete


def test_exchange_frozen_quotes_are_found(exchange):
    visitor = Visitor(exchange)
    visitor.world.faults.arm("cboe_frozen_quotes", times=None)
    first, last = visitor.snapshot(), visitor.snapshot(minutes=6)
    assert "quotes_frozen" not in codes(first)
    assert "while Greeks moved" in finding(last, "quotes_frozen")


def test_exchange_stale_file_is_found(exchange):
    visitor = Visitor(exchange)
    visitor.world.faults.arm("cboe_stale", hours=1)
    assert codes(visitor.snapshot()) == ["stale_quotes"]


@pytest.mark.parametrize("fault", ["503", "429", "html", "cut", "truncated", "refused"])
def test_exchange_bad_answers_are_asked_for_again(exchange, fault):
    visitor = Visitor(exchange)
    visitor.world.faults.arm(f"cboe_{fault}")
    assert visitor.snapshot().findings == ()
    assert visitor.world.faults.taken[0][0] == f"cboe_{fault}"


def test_exchange_that_stalls_is_given_up(exchange):
    visitor = Visitor(exchange, timeout_seconds=0.2)
    visitor.world.faults.arm("cboe_stall", times=None, seconds=1.0)
    with pytest.raises(ProviderUnavailableError):
        visitor.snapshot()


def test_exchange_open_interest_is_the_markets(exchange):
    visitor = Visitor(exchange)
    found = visitor.provider.open_interest(underlying("NVDA"), session_date=date(2026, 9, 16))
    truth = visitor.world.chain("NVDA", WEDNESDAY)
    total = pc.sum(truth["open_interest_contracts"]).as_py()
    assert pc.sum(found.rows["open_interest_contracts"]).as_py() == total
    assert found.is_complete
    assert found.findings == ()


def test_exchange_open_interest_early_in_the_session_is_not_final(exchange):
    visitor = Visitor(exchange)
    visitor.world.clock.set(datetime(2026, 9, 16, 14, 0, tzinfo=UTC))  # quotes of 09:45
    found = visitor.provider.open_interest(underlying("NVDA"), session_date=date(2026, 9, 16))
    assert not found.is_complete
    assert "open_interest_early" in codes(found)


def test_exchange_wiped_open_interest_is_not_complete(exchange):
    visitor = Visitor(exchange)
    visitor.world.faults.arm("cboe_wiped_oi")
    found = visitor.provider.open_interest(underlying("NVDA"), session_date=date(2026, 9, 16))
    assert not found.is_complete
    assert "wiped_open_interest" in codes(found)


def test_probe_tells_the_age_of_the_data_without_raising(exchange):
    visitor = Visitor(exchange)
    (probe,) = visitor.provider.probe(underlying("NVDA"), now=WEDNESDAY)
    assert probe.is_reachable
    assert probe.is_entitled
    assert probe.data_at == WEDNESDAY - timedelta(minutes=15)
    assert probe.server_time == WEDNESDAY

    visitor.world.faults.arm("cboe_403")
    (refused,) = visitor.provider.probe(underlying("QQQ"), now=WEDNESDAY)
    assert (refused.is_reachable, refused.is_entitled) == (True, False)
    (unknown,) = visitor.provider.probe(underlying("BTC"), now=WEDNESDAY)
    assert "no Cboe symbol" in unknown.detail

"""Polygon's transport: every status and every silence becomes an error of ours, in time."""

import gzip
import json
import logging
import socket
import threading
import time

import pytest
from pydantic import SecretStr

from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.providers.patience import Pace, Patience
from dealer_assets.providers.polygon.chain import CHAIN_ROW
from dealer_assets.providers.polygon.client import Ask, Follow, PolygonClient
from dealer_assets.providers.polygon.pages import fetch_listing, read_page
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets_tests.providers.polygon_stub import (
    KEY,
    Script,
    answer,
    asking,
    page,
    say,
)

PREVIOUS = Ask("the previous close of I:SPX", "get_previous_close_agg", ("I:SPX",))
CHAIN = Ask("the chain of I:SPX", "list_snapshot_options_chain", ("I:SPX",))


ROW = {"details": {"ticker": "O:SPXW251219C05900000"}}


def body_of(client: PolygonClient, question: Ask | Follow = PREVIOUS) -> bytes:
    return client.ask(question, lambda body: body)


def test_the_key_travels_in_a_header_and_in_nothing_else():
    with asking(say(answer(page(ROW)))) as (client, stub):
        body_of(client)
        body_of(client, Follow("more", "/v3/snapshot/options/I:SPX?cursor=abc"))
    for request in stub.requests:
        head, _, rest = request.partition(b"\r\n")
        assert KEY.encode() not in head
        assert rest.count(KEY.encode()) == 1
        assert f"authorization: bearer {KEY}".encode() in rest.lower()
    assert [r.split(b" ")[1] for r in stub.requests] == [
        b"/v2/aggs/ticker/I:SPX/prev",
        b"/v3/snapshot/options/I:SPX?cursor=abc",
    ]


def test_nothing_shows_the_key(caplog):
    caplog.set_level(logging.DEBUG)
    refusal = json.dumps({"status": "ERROR", "error": f"Unknown API Key {KEY}"}).encode()
    with asking(say(answer(refusal, 401))) as (client, _):
        with pytest.raises(NotEntitledError, match=r"Unknown API Key \[hidden\]") as caught:
            body_of(client)
        assert KEY not in repr(client) + repr(vars(client)) + repr(vars(client.official))
        assert KEY not in repr(client.official.headers) + repr(client.official.vx.headers)
    assert KEY not in str(caught.value) + repr(caught.value.__cause__) + caplog.text
    provider = PolygonProvider(SecretStr(KEY))
    assert KEY not in repr(provider) + repr(vars(provider)) + repr(vars(provider.client))


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "Schlüssel"])
def test_a_key_that_is_no_header_is_refused_unseen(key):
    with pytest.raises(BadInputError, match="visible ASCII") as caught:
        PolygonProvider(SecretStr(key))
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.polygon.io", "ftp://x", "http://"])
def test_a_base_url_without_a_host_is_refused(url):
    with pytest.raises(BadInputError, match="https://host"):
        PolygonProvider(SecretStr(KEY), base_url=url)


@pytest.mark.parametrize("per_second", [0.0, -1.0, 101.0])
def test_a_pace_that_the_vendor_does_not_bear_is_refused(per_second):
    with pytest.raises(BadInputError, match="requests a second"):
        PolygonProvider(SecretStr(KEY), per_second=per_second)


def refusals(shared_samples):
    recorded = json.loads(
        (shared_samples / "polygon/recorded/rest_recorded_bodies.json").read_text()
    )
    return {row["status"]: json.dumps(row["body"]).encode() for row in recorded if "body" in row}


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, NotEntitledError, "You are not entitled to this data"),
        (404, NoDataError, "Options contract not found"),
    ],
)
def test_recorded_refusals_become_errors_with_the_vendors_words(
    shared_samples, status, error, words
):
    refused = asking(say(answer(refusals(shared_samples)[status], status)))
    with refused as (client, _), pytest.raises(error, match=words) as caught:
        body_of(client)
    assert f"HTTP {status}" in str(caught.value)
    assert "the previous close of I:SPX" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, b'{"status":"ERROR","error":"Unknown API Key"}', NotEntitledError, "API Key"),
        (
            403,
            b'{"status":"NOT_AUTHORIZED","error":"Not for you"}',
            NotEntitledError,
            "Not for you",
        ),
        (404, b'{"status":"NOT_FOUND","message":"No such"}', NoDataError, "No such"),
        (429, b"", RateLimitedError, "HTTP 429"),
        (500, b'{"error":"oh"}', ProviderUnavailableError, "oh"),
        (502, b"<html><h1>Bad gateway</h1></html>", ProviderUnavailableError, "a web page"),
        (503, b'["not", "an", "object"]', ProviderUnavailableError, "HTTP 503"),
        (400, b'{"message":"limit: too large"}', ProviderError, "limit: too large"),
        (302, b"", ProviderError, "expected 200"),
    ],
)
def test_each_status_becomes_its_error(status, body, error, words):
    refused = asking(say(answer(body, status, Location="http://127.0.0.1:1/")))
    with refused as (client, stub), pytest.raises(error, match=words) as caught:
        body_of(client)
    assert type(caught.value) is error
    assert len(stub.requests) == 1


def test_a_refusal_is_not_asked_again_and_an_outage_is():
    refused = asking(say(answer(b"{}", 403)), attempts=4)
    with refused as (client, stub), pytest.raises(NotEntitledError):
        body_of(client)
    assert len(stub.requests) == 1
    down = asking(say(answer(b"", 503)), attempts=4)
    with down as (client, stub), pytest.raises(ProviderUnavailableError):
        body_of(client)
    assert len(stub.requests) == 4


def test_retry_after_is_waited_for_and_an_empty_429_doubles_the_pause():
    sleeps: list[float] = []
    script = say(
        answer(b"", 429, Retry_After="7"), answer(b"", 429), answer(b"", 429), answer(page(ROW))
    )
    with asking(script, attempts=4, sleeps=sleeps) as (client, _):
        body_of(client)
    assert sleeps == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        page(ROW)[:-9],
        b"<html>maintenance</html>",
        b"[]",
        b'{"status":"OK"}',
        b'{"status":"OK","results":null}',
        b'{"status":"OK","results":{}}',
        b'{"status":"OK","results":[],"next_url":7}',
        b'{"status":"OK","results":[],"next_url":"nowhere"}',
        b'{"status":"ERROR","error":"Something broke","results":"none"}',
        b"\xff\xfe{}",
    ],
)
def test_a_page_that_is_none_is_garbled_and_asked_again(body):
    garbled = asking(say(answer(body)), attempts=2)
    with garbled as (client, stub), pytest.raises(GarbledAnswerError, match="the chain of I:SPX"):
        fetch_listing(client, CHAIN, CHAIN_ROW)
    assert len(stub.requests) == 2


def test_a_delayed_status_is_normal():
    found = read_page(page(ROW, status="DELAYED"), CHAIN_ROW, what="x")
    assert len(found.rows) == 1


def test_a_body_that_breaks_off_is_garbled():
    def cut(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer(page(ROW))[:-20])
        connection.close()

    with asking(cut) as (client, _), pytest.raises(GarbledAnswerError, match="broke off"):
        body_of(client)


def test_packed_answers_are_unpacked_and_damaged_ones_garbled():
    packed = gzip.compress(page(ROW))
    script = say(
        answer(packed, Content_Encoding="gzip"),
        answer(packed[:20] + b"damage" + packed[20:], Content_Encoding="gzip"),
    )
    with asking(script) as (client, _):
        assert body_of(client) == page(ROW)
        with pytest.raises(GarbledAnswerError, match="broke off"):
            body_of(client)


def test_a_connection_that_is_hung_up_is_an_outage():
    hung_up = asking(lambda connection, _: connection.close())
    with hung_up as (client, _), pytest.raises(ProviderUnavailableError) as caught:
        body_of(client)
    assert "did not answer" in str(caught.value)
    assert not isinstance(caught.value, GarbledAnswerError)


def test_a_host_that_is_not_there_is_an_outage():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = PolygonClient(
        SecretStr(KEY),
        base_url=f"http://127.0.0.1:{port}",
        pace=Pace(1000.0),
        patience=Patience(attempts=1),
    )
    with pytest.raises(ProviderUnavailableError, match="did not answer"):
        body_of(client)


def drip(head: bytes, drops: bytes, pause: float) -> Script:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        for i in range(len(drops)):
            connection.sendall(drops[i : i + 1])
            time.sleep(pause)

    return script


SLOW = {
    "silent": lambda connection, request: connection.recv(1),  # until the client hangs up
    "headers that drip": drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a" * 100, 0.05),
    "half a body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"", 0.0),
    "a body that drips": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"a" * 99, 0.05),
    "a chunk that drips": drip(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n", b"a" * 99, 0.05
    ),
}


@pytest.mark.parametrize("kind", SLOW)
def test_time_limits_hold_whatever_is_slow(kind):
    limits = {"timeout_seconds": 0.2, "total_seconds": 0.4}
    with asking(SLOW[kind], **limits) as (client, _):
        began = time.monotonic()
        with pytest.raises(ProviderUnavailableError, match="did not answer in time"):
            body_of(client)
        assert time.monotonic() - began < 4.0  # the drip would take five


def test_pages_are_followed_on_our_host_whatever_host_the_vendor_names():
    following = "https://api.polygon.io/v3/snapshot/options/I:SPX?cursor=abc&apiKey=leaked"
    script = say(answer(page(ROW, next_url=following)), answer(page(ROW)))
    with asking(script) as (client, stub):
        found = fetch_listing(client, CHAIN, CHAIN_ROW)
    assert [len(p.rows) for p in found.pages] == [1, 1]
    assert found.failure is None
    assert stub.requests[1].split(b" ")[1] == b"/v3/snapshot/options/I:SPX?cursor=abc"


def test_a_page_that_fails_keeps_those_before_it():
    script = say(answer(page(ROW, next_url="https://x/y?cursor=1")), answer(b'{"status":"OK"}'))
    with asking(script, attempts=2) as (client, stub):
        found = fetch_listing(client, CHAIN, CHAIN_ROW)
    assert len(found.pages) == 1
    assert isinstance(found.failure, GarbledAnswerError)
    assert len(stub.requests) == 3


def test_pages_that_lead_in_a_circle_are_garbled():
    with asking(say(answer(page(ROW, next_url="https://x/y?cursor=1")))) as (client, stub):
        found = fetch_listing(client, CHAIN, CHAIN_ROW)
    assert isinstance(found.failure, GarbledAnswerError)
    assert len(stub.requests) == 2


def test_a_vendor_that_is_down_is_not_asked_for_every_piece():
    with asking(say(answer(b"", 503)), threads=2) as (client, stub):
        results = client.run([lambda: body_of(client)] * 100)
    assert isinstance(results[0], ProviderUnavailableError)
    assert results[-1] is None
    assert len(stub.requests) < 20


def test_answers_are_read_on_many_connections_at_once():
    together = threading.Barrier(16, timeout=60.0)

    def script(connection: socket.socket, request: bytes) -> None:
        together.wait()
        connection.sendall(answer(page(ROW)))

    with asking(script, threads=16) as (client, stub):
        assert len(client.run([lambda: body_of(client)] * 32)) == 32
    assert len(stub.connections) == 16

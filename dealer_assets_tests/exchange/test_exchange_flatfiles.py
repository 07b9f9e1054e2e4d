"""The served side of the flat files: a bucket, its files, its plans and faults."""

import csv
import gzip
import io
import time
import zlib
from contextlib import closing
from datetime import UTC, date, datetime

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from dealer_assets.domain import sessions
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.flatfile_big import write_trades_file
from dealer_assets_tests.exchange.flatfile_bodies import FOLDERS, Published
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

NOW = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
DAY = date(2026, 11, 18)
OPTIONS = "us_options_opra"
TRADES = f"{OPTIONS}/trades_v1/2026/11/2026-11-18.csv.gz"
BROKEN = (ConnectionClosedError, IncompleteReadError, ResponseStreamingError)
XSP = underlying("XSP")


def client_of(url, key, **config):
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key="not checked",
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            response_checksum_validation="when_required",
            **config,
        ),
    )


@pytest.fixture(scope="module")
def exchange():
    published = Published(symbols=("XSP", "CLX"), quoted_contracts=10)
    world = World(VirtualClock(NOW), density=0.02, options=[published])
    with running(world) as url:
        yield world, url


@pytest.fixture
def world(exchange):
    world, _ = exchange
    yield world
    world.faults.clear()
    world.clock.set(NOW)


@pytest.fixture(scope="module")
def connections(exchange):
    made = [client_of(exchange[1], key, read_timeout=0.5) for key in (KEY, DELAYED_KEY)]
    yield made
    for client in made:
        client.close()


@pytest.fixture(scope="module")
def patient(exchange):
    client = client_of(exchange[1], KEY)
    yield client
    client.close()


@pytest.fixture
def s3(patient, world):
    return patient


@pytest.fixture
def delayed(connections, world):
    return connections[1]


def fetch(client, key, **query):
    answer = client.get_object(Bucket="flatfiles", Key=key, **query)
    with closing(answer["Body"]) as body:
        return body.read(), answer


def rows_of(client, key):
    text = gzip.decompress(fetch(client, key)[0]).decode()
    return list(csv.DictReader(io.StringIO(text)))


def key_of(folder, day=DAY):
    return f"{folder}/{day:%Y/%m/%Y-%m-%d}.csv.gz"


def refusal(call, **query):
    with pytest.raises(ClientError) as refused:
        call(Bucket="flatfiles", **query)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["trades", "quotes", "minute_aggs", "day_aggs"])
def test_files_have_the_recorded_header_and_are_sorted_by_ticker(s3, shared_samples, kind):
    recorded = next((shared_samples / "flatfiles").glob(f"{OPTIONS}_{kind}_v1_row*.csv"))
    body, _ = fetch(s3, key_of(f"{OPTIONS}/{kind}_v1"))
    lines = gzip.decompress(body).decode().splitlines()
    assert lines[0] == recorded.read_text().splitlines()[0]
    tickers = [line.split(",", 1)[0] for line in lines[1:]]
    assert tickers == sorted(tickers)
    assert len(set(tickers)) > 10
    assert all(ticker.startswith("O:") for ticker in set(tickers))


def test_trades_are_the_tapes(s3, world):
    rows = [row for row in rows_of(s3, TRADES) if row["ticker"].startswith("O:XSP")]
    tape = world.market.trades(XSP, session_date=DAY).rows.sort_by(
        [("symbol", "ascending"), ("event_at", "ascending"), ("ordinal", "ascending")]
    )
    assert [row["ticker"] for row in rows] == [f"O:{s}" for s in tape["symbol"].to_pylist()]
    assert [float(row["price"]) for row in rows] == tape["price"].to_pylist()
    assert [int(row["size"]) for row in rows] == tape["size_contracts"].to_pylist()
    assert [row["conditions"] for row in rows] == tape["conditions"].to_pylist()
    assert [row["exchange"] for row in rows] == tape["exchange"].to_pylist()
    stamps = [int(row["sip_timestamp"]) // 1000 for row in rows]
    assert stamps == tape["event_at"].cast("int64").to_pylist()
    times = [row["sip_timestamp"] for row in rows]
    assert times != sorted(times)


def test_a_missing_side_of_a_quote_is_zero(s3):
    rows = rows_of(s3, key_of(f"{OPTIONS}/quotes_v1"))
    missing = [row for row in rows if row["bid_exchange"] == "0"]
    assert missing
    for row in missing:
        assert (row["bid_price"], row["bid_size"]) == ("0", "0")
        assert int(row["ask_exchange"]) >= 300


def test_bars_of_a_day_add_up_and_start_at_midnight_in_new_york(s3, world):
    days = rows_of(s3, key_of(f"{OPTIONS}/day_aggs_v1"))
    midnight = int(datetime(2026, 11, 18, 5, tzinfo=UTC).timestamp()) * 10**9
    assert {int(row["window_start"]) for row in days} == {midnight}
    minutes = rows_of(s3, key_of(f"{OPTIONS}/minute_aggs_v1"))
    assert sum(int(row["volume"]) for row in days) == sum(int(row["volume"]) for row in minutes)
    opened = int(sessions.session_open("XNYS", DAY).timestamp()) * 10**9
    assert all((int(row["window_start"]) - opened) % (60 * 10**9) == 0 for row in minutes)


def test_index_and_share_files_hold_values(s3, world):
    values = rows_of(s3, key_of("us_indices/values_v1"))
    assert {row["ticker"] for row in values} == {"I:XSP"}
    spot = world.spot("XSP", datetime(2026, 11, 18, 15, 0, tzinfo=UTC))
    assert float(values[30]["value"]) == spot
    assert len(rows_of(s3, key_of("us_indices/minute_aggs_v1"))) == 390
    shares = rows_of(s3, key_of("us_stocks_sip/minute_aggs_v1"))
    assert {row["ticker"] for row in shares} == {"CLX"}


def test_the_same_file_has_the_same_bytes_in_another_exchange(s3):
    published = Published(symbols=("XSP", "CLX"), quoted_contracts=10)
    world = World(VirtualClock(NOW), density=0.02, options=[published])
    key = key_of(f"{OPTIONS}/quotes_v1")
    with running(world) as url:
        other = client_of(url, KEY)
        body, answer = fetch(other, key)
        other.close()
    expected, told = fetch(s3, key)
    assert body == expected
    assert answer["ETag"] == told["ETag"]


# --- bucket -------------------------------------------------------------------------------------


def test_files_appear_at_eleven_new_york_the_day_after(s3, world):
    key = key_of("us_indices/values_v1", date(2026, 11, 19))
    world.clock.set(datetime(2026, 11, 20, 15, 59, tzinfo=UTC))
    assert refusal(s3.get_object, Key=key) == (404, "NoSuchKey")
    world.clock.set(datetime(2026, 11, 20, 16, 0, tzinfo=UTC))
    assert fetch(s3, key)[0]


@pytest.mark.parametrize(
    "key",
    [
        key_of("us_indices/values_v1", date(2026, 11, 14)),
        key_of("us_indices/nothing_v1"),
        "us_indices/values_v1/2026/10/2026-11-18.csv.gz",
        "us_indices/values_v1/2026/11/2026-11-99.csv.gz",
    ],
)
def test_what_does_not_exist_is_not_found(s3, key):
    assert refusal(s3.get_object, Key=key) == (404, "NoSuchKey")


def test_listing_pages_over_every_prefix_in_order(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="flatfiles")
    keys = [row["Key"] for page in pages for row in page["Contents"]]
    assert keys == sorted(keys)
    assert {key.rsplit("/", 3)[0] for key in keys} == set(FOLDERS)
    month = s3.list_objects_v2(Bucket="flatfiles", Prefix=f"{OPTIONS}/trades_v1/2026/11")
    assert [row["Key"][-17:-7] for row in month["Contents"]] == [
        day.isoformat()
        for day in sessions.sessions_between("XNYS", date(2026, 11, 1), date(2026, 11, 19))
    ]
    assert s3.list_objects_v2(Bucket="flatfiles", Prefix="nothing")["KeyCount"] == 0


def test_head_and_ranges_agree_with_the_file(s3):
    whole, answer = fetch(s3, TRADES)
    head = s3.head_object(Bucket="flatfiles", Key=TRADES)
    assert head["ContentLength"] == len(whole)
    assert head["ETag"] == answer["ETag"]
    assert head["LastModified"] == datetime(2026, 11, 19, 16, tzinfo=UTC)
    rest, part = fetch(s3, TRADES, Range="bytes=1000-", IfMatch=answer["ETag"])
    assert rest == whole[1000:]
    assert part["ContentRange"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert fetch(s3, TRADES, Range="bytes=5-9")[0] == whole[5:10]
    assert fetch(s3, TRADES, Range="bytes=-7")[0] == whole[-7:]
    assert refusal(s3.get_object, Key=TRADES, Range="bytes=999999999-")[0] == 416


def test_plans_and_keys(exchange, delayed, world):
    assert fetch(delayed, key_of(f"{OPTIONS}/day_aggs_v1"))[0]
    for folder in (f"{OPTIONS}/quotes_v1", "us_indices/values_v1"):
        assert delayed.list_objects_v2(Bucket="flatfiles", Prefix=folder)["KeyCount"] > 0
        assert refusal(delayed.get_object, Key=key_of(folder)) == (403, "AccessDenied")
        assert refusal(delayed.head_object, Key=key_of(folder))[0] == 403
    stranger = client_of(exchange[1], "nobody")
    assert refusal(stranger.get_object, Key=TRADES) == (403, "InvalidAccessKeyId")
    assert refusal(stranger.list_objects_v2)[1] == "InvalidAccessKeyId"
    stranger.close()


# --- faults -------------------------------------------------------------------------------------


def test_refusals_on_demand(s3, world):
    for fault, expected in (
        ("flatfiles_403", (403, "AccessDenied")),
        ("flatfiles_503", (503, "SlowDown")),
        ("flatfiles_500", (500, "InternalError")),
    ):
        world.faults.arm(fault)
        assert refusal(s3.get_object, Key=TRADES) == expected
    assert fetch(s3, TRADES)[0]


def test_republished_file_has_another_tag_and_other_contents(s3, world):
    before, told = fetch(s3, TRADES)
    world.faults.arm("flatfiles_republished")
    after, now = fetch(s3, TRADES)
    assert now["ETag"] != told["ETag"]
    assert s3.head_object(Bucket="flatfiles", Key=TRADES)["ETag"] == now["ETag"]
    old, new = (gzip.decompress(body).splitlines() for body in (before, after))
    assert [old[0], *old[2:]] == new
    status, code = refusal(s3.get_object, Key=TRADES, Range="bytes=9-", IfMatch=told["ETag"])
    assert (status, code) == (412, "PreconditionFailed")


def test_gzip_can_be_cut_or_damaged(s3, world):
    world.faults.arm("flatfiles_cut_gzip", share=0.5)
    with pytest.raises(EOFError):
        gzip.decompress(fetch(s3, TRADES)[0])
    world.faults.clear()
    world.faults.arm("flatfiles_damaged")
    with pytest.raises((OSError, EOFError, zlib.error)):
        gzip.decompress(fetch(s3, TRADES)[0])


def test_download_can_break_off_and_go_on(s3, world):
    whole, told = fetch(s3, TRADES)
    world.faults.arm("flatfiles_abort", share=0.5)
    answer = s3.get_object(Bucket="flatfiles", Key=TRADES)
    received = received_until_broken(answer["Body"])
    assert 0 < len(received) < len(whole)
    rest = fetch(s3, TRADES, Range=f"bytes={len(received)}-", IfMatch=told["ETag"])[0]
    assert received + rest == whole


def received_until_broken(body):
    received = b""
    with closing(body):
        for _ in range(100_000):
            try:
                received += body.read(1024)
            except BROKEN:
                return received
    pytest.fail("the download did not break off")


def test_download_can_stall(s3, connections, world):
    fetch(s3, TRADES)
    world.faults.arm("flatfiles_stall", seconds=20)
    begun = time.monotonic()
    answer = connections[0].get_object(Bucket="flatfiles", Key=TRADES)
    with closing(answer["Body"]) as body, pytest.raises((ReadTimeoutError, *BROKEN)):
        body.read()
    assert time.monotonic() - begun < 15.0


# --- big file -----------------------------------------------------------------------------------


def test_big_file_has_rows_like_the_vendors_sorted_by_ticker_and_reproducible(tmp_path):
    paths = [tmp_path / name for name in ("one.csv.gz", "two.csv.gz")]
    for path in paths:
        write_trades_file(path, rows=20_000, seed=3)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with gzip.open(paths[0], "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20_000
    order = [(row["ticker"], int(row["sip_timestamp"])) for row in rows]
    assert order == sorted(order)
    assert len({ticker for ticker, _ in order}) > 300
    assert [ns for _, ns in order] != sorted(ns for _, ns in order)
    assert any(row["conditions"] == "201" for row in rows)
    assert all(float(row["price"]) > 0 and int(row["size"]) > 0 for row in rows)

"""Flat files: fetching over S3, reading, and what is told when something is wrong."""

import gzip
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    NotOfferedError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.lake.cache import HistoryCache
from dealer_assets.lake.conformity import conform
from dealer_assets.lake.storage import open_lake
from dealer_assets.providers.flatfiles import bucket, datasets
from dealer_assets.providers.flatfiles.provider import FlatFilesProvider
from dealer_assets.providers.flatfiles.sorting import Limits, day_to_parquet
from dealer_assets.providers.flatfiles.store import FlatFiles, s3_client
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.flatfile_bodies import Published
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

DAY = date(2026, 5, 22)  # a Friday; Monday the 25th is a holiday
OPEN_NS = 1_779_456_600_000_000_000  # 09:30 New York
KNOWN_AT = datetime(2026, 5, 26, 15, 0, tzinfo=UTC)
TRADES, MINUTES = datasets.OPTION_TRADES, datasets.OPTION_MINUTES
SPX, SPY, VIX = (underlying(symbol) for symbol in ("SPX", "SPY", "VIX"))
CALL, PUT = "O:SPXW260618C05900000", "O:SPX260618P05900000"
TRADE_HEADER = "ticker,conditions,correction,exchange,price,sip_timestamp,size"


def trades_csv(*rows: str, header: str = TRADE_HEADER) -> bytes:
    return gzip.compress("".join(f"{row}\n" for row in (header, *rows)).encode(), mtime=0)


def trade(ticker: str = CALL, *, ns: int = 0, price: str = "16.2", size: str = "3") -> str:
    return f"{ticker},227,0,309,{price},{OPEN_NS + ns},{size}"


class Bucket:
    """A bucket with the vendor's manners, and faults on demand."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse: Callable[[str], Exception | None] = lambda verb: None
        self.cut_at: list[int] = []
        self.ignores_range = False

    def put(self, dataset: datasets.Dataset, content: bytes, *, day: date = DAY) -> None:
        self.objects[dataset.key(day)] = content

    def gets(self) -> int:
        return sum(verb == "GET" for verb, _ in self.asked)

    def head_object(self, *, Bucket: str, Key: str) -> dict:
        return self._answer("HEAD", Key)

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict:
        answer = self._answer("GET", Key, Range)
        content = self.objects[Key]
        if IfMatch and IfMatch != answer["ETag"]:
            raise refusal(412, "PreconditionFailed")
        if Range and not self.ignores_range:
            first = int(Range.removeprefix("bytes=").partition("-")[0])
            answer["ContentRange"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            content = content[first:]
            answer["ContentLength"] = len(content)
        answer["Body"] = Body(content, self.cut_at.pop(0) if self.cut_at else None)
        return answer

    def close(self) -> None:
        pass

    def _answer(self, verb: str, key: str, how: str = "") -> dict:
        self.asked.append((verb, how))
        if error := self.refuse(verb):
            raise error
        if key not in self.objects:
            raise refusal(404, "NoSuchKey")
        content = self.objects[key]
        tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return {"ETag": f'"{tag}"', "ContentLength": len(content)}


class Body(io.BytesIO):
    def __init__(self, content: bytes, cut_at: int | None) -> None:
        super().__init__(content)
        self._cut_at = cut_at

    def read(self, size: int | None = -1) -> bytes:
        if self._cut_at is None:
            return super().read(size)
        left = self._cut_at - self.tell()
        if left <= 0:
            raise ReadTimeoutError(endpoint_url="https://files.example")
        return super().read(min(left, size or left))


def refusal(status: int, code: str) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


class Keeping(dict):
    """A `Keep` in memory."""

    def put(self, piece: str, payload: bytes) -> None:
        self[piece] = payload


@pytest.fixture
def remote() -> Bucket:
    return Bucket()


PATIENT = Patience(sleep=lambda seconds: None)
ONCE = Patience(attempts=1)


@pytest.fixture
def files(remote: Bucket, tmp_path: Path) -> FlatFiles:
    return FlatFiles(remote, tmp_path / "spool", patience=PATIENT)


@pytest.fixture
def provider(remote: Bucket, tmp_path: Path) -> FlatFilesProvider:
    return FlatFilesProvider(remote, tmp_path / "spool", patience=PATIENT, asks_for_newer=True)


def codes(records) -> list[str]:
    return [finding.code for finding in records.findings]


# reading


def test_the_recorded_trade_becomes_exactly_this_row(provider, remote, shared_samples):
    path = shared_samples / "flatfiles" / "us_options_opra_trades_v1_row_2026-05-22.csv"
    text = path.read_text().replace("O:A260618C00100000", "O:AAPL260618C00100000")
    remote.put(TRADES, gzip.compress(text.encode(), mtime=0))
    found = provider.trades(underlying("AAPL"), session_date=DAY)
    assert conform(tables.OPTION_TRADES, found.rows).to_pylist() == [
        {
            "underlying": "AAPL",
            "session_date": DAY,
            "event_at": datetime(2026, 5, 22, 14, 1, 49, 681000, UTC),
            "known_at": KNOWN_AT,
            "provider": "flatfiles",
            "source_name": "us_options_opra-trades_v1-2026-05-22.csv.gz",
            "symbol": "AAPL260618C00100000",
            "root": "AAPL",
            "expiry_date": date(2026, 6, 18),
            "expires_at": datetime(2026, 6, 18, 20, 0, tzinfo=UTC),
            "strike": 100.0,
            "right": "call",
            "ordinal": 0,
            "price": 16.2,
            "price_currency": "USD",
            "size_contracts": 3.0,
            "conditions": "227",
            "exchange": "309",
            "correction": 0,
            "sign_rule": "unsigned",
            **dict.fromkeys(
                ("sequence", "trade_id", "taker_side", "venue_implied_vol", "underlying_price"),
            ),
            **dict.fromkeys(("block_id", "combo_id", "is_liquidation")),
        }
    ]
    assert found.is_complete
    assert not found.findings


def test_the_recorded_day_of_one_contract_is_read_whole(provider, remote, shared_data):
    recorded = shared_data / "massive" / "flatfiles" / "options_trades_example.csv.gz"
    day = date(2023, 3, 13)
    remote.put(TRADES, recorded.read_bytes(), day=day)
    rows = provider.trades(SPY, session_date=day).rows
    lines = gzip.decompress(recorded.read_bytes()).decode().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    assert rows.num_rows == len(lines) == 62
    assert sorted(rows["price"].to_pylist()) == sorted(float(c[5]) for c in cells)
    assert pc.sum(rows["size_contracts"]).as_py() == sum(int(c[7]) for c in cells) == 200
    stamps = sorted(int(c[6]) // 1000 for c in cells)
    assert rows["event_at"].cast("int64").to_pylist() == stamps
    assert rows["correction"].null_count == 62


def test_rows_come_by_time_and_symbol_and_equal_prints_are_counted(provider, remote):
    remote.put(
        TRADES,
        trades_csv(
            trade(PUT, ns=900, price="1"),
            trade(PUT, ns=5_000, price="2"),
            trade(CALL, ns=700, price="3"),
            trade(CALL, ns=300, price="4"),
            trade(CALL, ns=300, price="4"),
            trade(CALL, ns=2_000, price="5"),
        ),
    )
    rows = provider.trades(SPX, session_date=DAY).rows
    told = list(
        zip(
            (rows["event_at"].cast("int64").to_numpy() - OPEN_NS // 1000).tolist(),
            rows["root"].to_pylist(),
            rows["ordinal"].to_pylist(),
            rows["price"].to_pylist(),
            strict=True,
        )
    )
    assert told == [
        (0, "SPX", 0, 1.0),
        (0, "SPXW", 0, 4.0),  # 300 ns before 700 ns, and the file's order among equals
        (0, "SPXW", 1, 4.0),
        (0, "SPXW", 2, 3.0),
        (2, "SPXW", 0, 5.0),
        (5, "SPX", 0, 2.0),
    ]
    assert rows.equals(conform(tables.OPTION_TRADES, rows))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"O:SPXW26X618C05900000,227,0,309,1,{OPEN_NS},3", "bad_symbol"),
        (f"O:SPXW261318C05900000,227,0,309,1,{OPEN_NS},3", "bad_symbol"),
        (f"O:SPXW260618C00000000,227,0,309,1,{OPEN_NS},3", "bad_symbol"),
        (trade(price="-0.05"), "negative_price"),
        (trade(size="-1"), "negative_size"),
        (trade(price="n/a"), "not_a_number"),
        (trade(price="inf"), "not_a_number"),
        (trade(price=""), "missing_value"),
        (f"{CALL},227,0", "missing_value"),
        (trade() + ",7", "unreadable_row"),
        (f"{CALL},227,0,309,1,{OPEN_NS // 1_000_000},3", "other_day"),
    ],
)
def test_a_row_that_cannot_be_believed_is_quarantined_with_its_reason(
    provider, remote, row, reason
):
    good = [trade(ns=i * 1000) for i in range(200)]
    remote.put(TRADES, trades_csv(*good[:7], row, *good[7:]))
    found = provider.trades(SPX, session_date=DAY)
    rejected = conform(tables.REJECTED_ROWS, found.rejected).to_pylist()
    assert [(r["reason"], r["row_number"]) for r in rejected] == [(reason, 8)]
    assert rejected[0]["raw_text"].startswith("O:SPXW26")
    assert rejected[0]["event_at"] == datetime(2026, 5, 22, 20, 0, tzinfo=UTC)
    assert found.rows.num_rows == 200
    assert found.is_complete


def test_a_session_with_many_bad_rows_is_not_whole(provider, remote):
    remote.put(TRADES, trades_csv(trade(), trade(price="-1")))
    found = provider.trades(SPX, session_date=DAY)
    assert not found.is_complete
    assert codes(found) == ["many_rows_rejected"]


def test_only_the_underlyings_own_roots_are_taken(provider, remote):
    others = ("O:SPXL260618C00100000", "O:SPX1260618C00100000", "O:XSP260618C00590000", "O:SP")
    remote.put(TRADES, trades_csv(*(trade(t) for t in (*others, CALL, PUT))))
    found = provider.trades(SPX, session_date=DAY)
    assert sorted(found.rows["root"].to_pylist()) == ["SPX", "SPXW"]
    assert not found.rejected.num_rows
    assert codes(provider.trades(VIX, session_date=DAY)) == ["no_rows"]


def test_chosen_symbols_are_a_choice_of_the_same_file(provider, remote):
    remote.put(TRADES, trades_csv(trade(PUT), trade(CALL)))
    chosen = provider.trades(SPX, session_date=DAY, symbols=[CALL[2:]])
    assert chosen.rows["symbol"].to_pylist() == [CALL[2:]]
    assert chosen.source_sha256 != provider.trades(SPX, session_date=DAY).source_sha256
    assert remote.gets() == 1


def test_condition_lists_and_added_columns_are_read(provider, remote):
    header = f"trf_id,{TRADE_HEADER},id"
    row = f'9,{CALL},"232, 233",,309,16.2,{OPEN_NS},2.5,x'
    remote.put(TRADES, trades_csv(row, header=header))
    rows = provider.trades(SPX, session_date=DAY).rows.to_pylist()
    assert [(r["conditions"], r["correction"], r["size_contracts"]) for r in rows] == [
        ("232, 233", None, 2.5)
    ]


def test_a_missing_side_of_a_quote_is_zero_without_exchange(provider, remote, shared_samples):
    path = shared_samples / "flatfiles" / "us_options_opra_quotes_v1_rows.csv"
    text = path.read_text().replace("O:A260717C00060000", "O:AAPL260717C00060000")
    remote.put(datasets.OPTION_QUOTES, gzip.compress(text.encode(), mtime=0))
    aapl = underlying("AAPL")
    found = provider.quotes(aapl, session_date=DAY, symbols=["AAPL260717C00060000"])
    row = conform(tables.OPTION_QUOTES, found.rows).to_pylist()[0]
    names = ("bid", "ask", "bid_size_contracts", "ask_size_contracts", "sequence")
    assert [row[n] for n in names] == [45.3, 0.0, 1.0, 0.0, 1446504]
    assert (row["bid_exchange"], row["ask_exchange"]) == ("320", "")
    assert row["event_at"] == datetime(2026, 5, 22, 13, 30, 1, 47390, UTC)


def test_quotes_want_chosen_contracts(provider):
    with pytest.raises(BadInputError, match="symbols of the contracts"):
        provider.quotes(SPX, session_date=DAY, symbols=[])


BAR_HEADER = "ticker,volume,open,close,high,low,window_start,transactions"


def test_bars_may_have_fractions_and_come_once(provider, remote):
    bar = f"{CALL},2.5,3,2,4,1,{OPEN_NS},"
    others = [f"{CALL},1,1,1,1,1,{OPEN_NS + i * 60 * 10**9},2" for i in range(1, 150)]
    remote.put(MINUTES, trades_csv(bar, bar, *others, header=BAR_HEADER))
    found = provider.bars(SPX, session_date=DAY)
    rows = conform(tables.OPTION_BARS, found.rows)
    first = rows.to_pylist()[0]
    names = ("open", "high", "low", "close", "volume_contracts", "trades", "interval")
    assert [first[n] for n in names] == [3.0, 4.0, 1.0, 2.0, 2.5, None, "minute"]
    assert rows.num_rows == 150
    assert found.rejected["reason"].to_pylist() == ["duplicate_row"]


def test_the_recorded_day_bar_starts_at_midnight_new_york(provider, remote, shared_samples):
    path = shared_samples / "flatfiles" / "us_options_opra_day_aggs_v1_rows.csv"
    day = date(2023, 3, 13)
    remote.put(datasets.OPTION_DAYS, gzip.compress(path.read_bytes(), mtime=0), day=day)
    found = provider.bars(SPY, session_date=day, interval="day")
    rows = conform(tables.OPTION_BARS, found.rows).to_pylist()
    assert [(r["event_at"], r["close"], r["trades"]) for r in rows] == [
        (datetime(2023, 3, 13, 4, tzinfo=UTC), 9.83, 62)
    ]


def test_an_index_is_worth_its_bars_close_from_the_bars_end_on(provider, remote):
    header = "ticker,open,close,high,low,window_start"
    rows = (f"I:NDX,1,1,1,1,{OPEN_NS}", f"I:SPX,5900,5901.5,5902,5899,{OPEN_NS}")
    remote.put(datasets.INDEX_MINUTES, trades_csv(*rows, header=header))
    found = conform(tables.INDEX_VALUES, provider.index_values(SPX, session_date=DAY).rows)
    assert [(r["event_at"], r["kind"], r["value"]) for r in found.to_pylist()] == [
        (datetime(2026, 5, 22, 13, 31, tzinfo=UTC), "spot", 5901.5)
    ]


def test_of_index_values_within_a_microsecond_the_last_stays(remote, tmp_path):
    rows = [f"I:SPX,{v},{OPEN_NS + ns}" for v, ns in ((3, 2_000), (2, 900), (1, 100))]
    remote.put(datasets.INDEX_VALUES, trades_csv(*rows, header="ticker,value,timestamp"))
    provider = FlatFilesProvider(remote, tmp_path, index_dataset="values")
    found = provider.index_values(SPX, session_date=DAY).rows
    assert conform(tables.INDEX_VALUES, found)["value"].to_pylist() == [2.0, 3.0]


def test_shares_come_from_the_stock_files(provider, remote):
    row = f"SPY,100,590,590.5,591,589,{OPEN_NS},7"
    remote.put(datasets.SHARE_MINUTES, trades_csv(row, header=BAR_HEADER))
    rows = provider.index_values(SPY, session_date=DAY).rows
    assert rows["value"].to_pylist() == [590.5]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"<!doctype html><title>Sign in</title>\n", mtime=0),
        trades_csv(trade(), header="ticker,price"),
        gzip.compress(f"{TRADE_HEADER}\n{CALL},\xff\xfe\n".encode("latin-1"), mtime=0),
    ],
)
def test_a_file_of_another_kind_is_refused(provider, remote, content):
    remote.put(TRADES, content)
    with pytest.raises(GarbledAnswerError, match="expected"):
        provider.trades(SPX, session_date=DAY)


def test_a_crypto_underlying_and_a_holiday_are_refused(provider):
    with pytest.raises(NotOfferedError, match="BTC"):
        provider.trades(underlying("BTC"), session_date=DAY)
    with pytest.raises(BadInputError, match="trading day"):
        provider.trades(SPX, session_date=date(2026, 5, 25))


def test_a_day_is_sorted_within_the_memory_it_is_given(tmp_path):
    source, target, lines = tmp_path / "day.csv.gz", tmp_path / "out.parquet", []
    for contract in range(100):
        name = f"O:SPXW260618C{5_000_000 + contract * 5000:08d}"
        lines += [trade(name, ns=i * 977 % 991 * 10**9) for i in range(1_000)]
    source.write_bytes(trades_csv(*lines))
    with pytest.raises(ProviderError, match="allow DuckDB more memory"):
        day_to_parquet(source, target, TRADES, session_date=DAY, limits=Limits(memory="20MB"))
    assert not target.exists()
    done = day_to_parquet(source, target, TRADES, session_date=DAY, limits=Limits(memory="150MB"))
    assert (done.rows, done.rejected, done.bytes) == (100_000, {}, target.stat().st_size)
    rows = pq.read_table(target, columns=["instant_ns", "row_number"])
    order = [("instant_ns", "ascending"), ("row_number", "ascending")]
    assert rows.equals(rows.sort_by(order))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


# fetching


def test_a_file_is_fetched_once_for_all_underlyings(provider, remote):
    remote.put(TRADES, trades_csv(trade(CALL), trade("O:SPY260618C00590000")))
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 1
    assert provider.trades(SPY, session_date=DAY).rows.num_rows == 1
    assert [verb for verb, _ in remote.asked] == ["GET", "HEAD"]


def test_underlyings_asked_at_once_share_one_download(provider, remote):
    remote.put(TRADES, trades_csv(trade(CALL), trade("O:SPY260618C00590000")))
    threads = [
        threading.Thread(target=provider.trades, args=(asset,), kwargs={"session_date": DAY})
        for asset in (SPX, SPY, VIX)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert remote.gets() == 1


def test_kept_rows_are_replayed_without_the_file(remote, tmp_path):
    remote.put(TRADES, trades_csv(trade(), trade(price="-1"), *(trade() for _ in range(200))))
    cache, answers = HistoryCache(open_lake(str(tmp_path / "cache"))), []
    for folder in ("one", "another"):
        keep = cache.day("flatfiles", "option_trades", "SPX", DAY)
        provider = FlatFilesProvider(remote, tmp_path / folder)
        found = provider.trades(SPX, session_date=DAY, keep=keep)
        answers.append((found.rows, found.rejected, found.source_sha256))
    assert answers[0] == answers[1]
    assert [verb for verb, _ in remote.asked] == ["GET"]


def test_a_republished_file_replaces_what_was_kept_and_says_so(provider, remote):
    keep = Keeping()
    remote.put(TRADES, trades_csv(trade()))
    former = provider.trades(SPX, session_date=DAY, keep=keep)
    remote.put(TRADES, trades_csv(trade(), trade(PUT)))
    found = provider.trades(SPX, session_date=DAY, keep=keep)
    assert found.rows.num_rows == 2
    assert codes(found) == ["republished_file"]
    assert found.source_sha256 == former.source_sha256  # the same part of the lake
    assert codes(provider.trades(SPX, session_date=DAY, keep=keep)) == []
    assert remote.gets() == 2


@pytest.mark.parametrize("keep", [None, Keeping()], ids=["file", "rows"])
def test_what_is_held_is_used_when_the_bucket_is_away(provider, remote, keep):
    remote.put(TRADES, trades_csv(trade()))
    provider.trades(SPX, session_date=DAY, keep=keep)
    remote.refuse = lambda verb: EndpointConnectionError(endpoint_url="https://files.example")
    found = provider.trades(SPX, session_date=DAY, keep=keep)
    assert found.rows.num_rows == 1
    assert codes(found) == ["republication_not_checked"]


def test_a_broken_download_is_resumed_where_it_stopped(provider, remote):
    remote.put(TRADES, trades_csv(*(trade(ns=i * 7919 * 1000) for i in range(2000))))
    remote.cut_at = [5_000, 3_000]
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 2000
    assert [how for _, how in remote.asked] == ["", "bytes=5000-", "bytes=8000-"]


def test_a_killed_download_is_resumed_by_the_next_process(remote, tmp_path):
    remote.put(TRADES, trades_csv(*(trade(ns=i * 7919 * 1000) for i in range(2000))))
    remote.cut_at = [5_000]
    with pytest.raises(ProviderUnavailableError, match=r"after 5,000 of [\d,]+ bytes"):
        FlatFilesProvider(remote, tmp_path, patience=ONCE).trades(SPX, session_date=DAY)
    again = FlatFilesProvider(remote, tmp_path, patience=ONCE)
    assert again.trades(SPX, session_date=DAY).rows.num_rows == 2000
    assert [how for _, how in remote.asked] == ["", "bytes=5000-"]


@pytest.mark.parametrize("ignores_range", [False, True])
def test_a_file_published_anew_between_two_attempts_begins_anew(
    files, provider, remote, ignores_range
):
    remote.put(TRADES, trades_csv(*(trade(ns=i * 7919 * 1000) for i in range(2000))))
    remote.cut_at, remote.ignores_range = [5_000], ignores_range
    wanted = trades_csv(*(trade(ns=i * 6007 * 1000) for i in range(1500)))

    def publish(verb: str) -> None:
        if len(remote.asked) == 2:
            remote.put(TRADES, wanted)

    remote.refuse = publish
    if ignores_range:  # such a server does not know If-Match either
        plain = remote.get_object
        remote.get_object = lambda **request: plain(Bucket="", Key=request["Key"])
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 1500
    with files.fetched(TRADES, DAY) as file:
        assert file.path.read_bytes() == wanted


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "html"])
def test_a_damaged_file_is_fetched_twice_and_then_refused(provider, files, remote, harm):
    whole = trades_csv(*(trade(ns=i * 7919 * 1000) for i in range(500)))
    flipped = whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:]  # in the CRC
    harmed = {"cut": whole[:-20], "flipped": flipped, "empty": b"", "html": b"<html>" * 9}
    remote.put(TRADES, harmed[harm])
    with pytest.raises(GarbledAnswerError, match="cut or damaged"):
        provider.trades(SPX, session_date=DAY)
    assert remote.gets() == 2
    assert not list(files.folder.glob("*/*.gz*[!k]"))
    remote.put(TRADES, whole)
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 500


def test_a_file_harmed_on_disk_is_fetched_again(provider, files, remote):
    remote.put(TRADES, trades_csv(trade()))
    provider.trades(SPX, session_date=DAY)
    with files.fetched(TRADES, DAY) as file:
        path = file.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 1
    assert remote.gets() == 2


def test_a_refused_file_names_the_plan_and_says_that_listing_proves_nothing(provider, remote):
    remote.put(TRADES, trades_csv(trade()))
    remote.refuse = lambda verb: refusal(403, "AccessDenied") if verb == "GET" else None
    with pytest.raises(NotEntitledError, match="listing works for every folder") as caught:
        provider.trades(SPX, session_date=DAY)
    assert "us_options_opra/trades_v1" in str(caught.value)
    assert remote.gets() == 1
    remote.refuse = lambda verb: refusal(403, "InvalidAccessKeyId")
    with pytest.raises(NotEntitledError, match="does not know this key pair"):
        provider.trades(SPX, session_date=DAY)


def test_a_file_that_is_not_there_yet_says_when_it_will_be(provider):
    with pytest.raises(NoDataError, match="from about 2026-05-26 15:00 UTC") as caught:
        provider.trades(SPX, session_date=DAY)
    assert "since 2014-06-02" in str(caught.value)


@pytest.mark.parametrize("error", [refusal(503, "SlowDown"), refusal(429, "TooManyRequests")])
def test_a_busy_bucket_is_asked_again(provider, remote, error):
    remote.put(TRADES, trades_csv(trade()))
    remote.refuse = lambda verb: error if len(remote.asked) < 3 else None
    assert provider.trades(SPX, session_date=DAY).rows.num_rows == 1
    assert remote.gets() == 3


def test_a_file_too_large_to_fetch_is_refused_unread(remote, tmp_path):
    remote.put(datasets.OPTION_QUOTES, bytes(2000))
    provider = FlatFilesProvider(remote, tmp_path, largest_bytes=1000)
    with pytest.raises(NotOfferedError, match="cannot be read in part"):
        provider.quotes(SPX, session_date=DAY, symbols=[CALL[2:]])
    assert not list(tmp_path.glob("*/*.part"))


def test_a_dripping_download_is_broken_off(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(bucket, "_GRACE_SECONDS", 0.0)
    remote.put(TRADES, trades_csv(trade()))
    files = FlatFiles(remote, tmp_path, slowest_bytes_per_second=1e12, patience=ONCE)
    with (
        pytest.raises(ProviderUnavailableError, match="slower than"),
        files.fetched(TRADES, DAY),
    ):
        pass


def test_the_oldest_files_make_room(remote, tmp_path):
    days = [date(2026, 5, 20), date(2026, 5, 21), DAY]
    content = trades_csv(*(trade() for _ in range(50)))
    for day in days:
        remote.put(TRADES, content, day=day)
    files = FlatFiles(remote, tmp_path, folder_bytes=2 * len(content))
    for day in days:
        with files.fetched(TRADES, day):
            pass
    held = sorted(path.name for path in tmp_path.glob("*/*.csv.gz"))
    assert held == ["2026-05-21.csv.gz", "2026-05-22.csv.gz"]


def test_what_killed_processes_left_is_cleared_away(provider, remote, files):
    old = files.folder / "scratch-of-the-killed"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    (files.folder / "scratch-of-the-living").mkdir()
    remote.put(TRADES, trades_csv(trade()))
    provider.trades(SPX, session_date=DAY)
    left = sorted(path.name for path in files.folder.iterdir() if "scratch" in path.name)
    assert left == ["scratch-of-the-living"]


def test_a_clock_too_far_off_is_named(provider, remote):
    remote.refuse = lambda verb: refusal(403, "RequestTimeTooSkewed")
    with pytest.raises(ProviderError, match="set the clock"):
        provider.trades(SPX, session_date=DAY)


def test_the_probe_fetches_one_byte_of_the_newest_file(provider, remote):
    remote.put(TRADES, trades_csv(trade()), day=date(2026, 5, 21))
    now = datetime(2026, 5, 26, 14, 59, tzinfo=UTC)  # Friday's file is due in a minute
    (probe,) = provider.probe(SPX, now=now)
    assert (probe.is_reachable, probe.is_entitled) == (True, True)
    assert probe.data_at == datetime(2026, 5, 21, 20, 0, tzinfo=UTC)
    assert remote.asked == [("GET", "bytes=0-0")]
    remote.refuse = lambda verb: refusal(403, "AccessDenied")
    (probe,) = provider.probe(SPX, now=now)
    assert (probe.is_reachable, probe.is_entitled) == (True, False)
    remote.refuse = lambda verb: EndpointConnectionError(endpoint_url="https://x")
    (probe,) = provider.probe(SPX, now=now)
    assert (probe.is_reachable, probe.is_entitled) == (False, None)
    assert len(remote.asked) == 3


# end to end, against the test exchange

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
SESSION = date(2026, 11, 18)


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(NOW), density=0.1, options=(Published(symbols=("VIX",)),))


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with running(world) as address:
        yield address


@pytest.fixture
def exchange(world: World, url: str, tmp_path: Path) -> Iterator[FlatFilesProvider]:
    world.faults.clear()
    made = FlatFilesProvider(
        s3_client(url, SecretStr(KEY), SecretStr(KEY)),
        tmp_path,
        patience=PATIENT,
        asks_for_newer=True,
    )
    yield made
    made.close()
    world.faults.clear()


def test_the_exchanges_tape_comes_through_the_bucket_as_it_is(exchange, world):
    market = world.market
    names = ("event_at", "symbol", "ordinal", "price", "size_contracts", "conditions", "exchange")
    found = exchange.trades(VIX, session_date=SESSION)
    truth = market.trades(VIX, session_date=SESSION).rows
    assert found.is_complete
    assert found.rows.select(names).equals(conform(tables.OPTION_TRADES, truth).select(names))
    bars = exchange.bars(VIX, session_date=SESSION).rows
    truth = conform(tables.OPTION_BARS, market.bars(VIX, session_date=SESSION).rows)
    prices = ("event_at", "symbol", "open", "high", "low", "close", "volume_contracts", "trades")
    assert bars.select(prices).equals(truth.select(prices))
    values = exchange.index_values(VIX, session_date=SESSION).rows
    truth = conform(tables.INDEX_VALUES, market.index_values(VIX, session_date=SESSION).rows)
    assert values.select(["event_at", "value"]).equals(truth.slice(1).select(["event_at", "value"]))


def test_the_exchange_hangs_up_and_the_rest_is_fetched(exchange, world):
    day = date(2026, 11, 17)
    world.faults.arm("flatfiles_abort", times=2)
    world.faults.arm("flatfiles_503")
    assert exchange.index_values(VIX, session_date=day).rows.num_rows > 300
    assert len(world.faults.taken) == 3


def test_the_exchange_cuts_a_file_and_mends_it(exchange, world):
    day = date(2026, 11, 17)
    world.faults.arm("flatfiles_cut_gzip", times=None)
    with pytest.raises(GarbledAnswerError, match="cut or damaged"):
        exchange.index_values(VIX, session_date=day)
    world.faults.clear()
    keep = Keeping()
    whole = exchange.index_values(VIX, session_date=day, keep=keep)
    world.faults.arm("flatfiles_republished", times=None)
    newer = exchange.index_values(VIX, session_date=day, keep=keep)
    assert codes(newer) == ["republished_file"]
    assert newer.rows.num_rows == whole.rows.num_rows - 1


def test_the_exchange_refuses_a_plan_and_a_file_to_come(exchange, url, tmp_path):
    with pytest.raises(NoDataError, match="from about 2026-11-23 16:00 UTC"):
        exchange.trades(VIX, session_date=date(2026, 11, 20))
    client = s3_client(url, SecretStr(DELAYED_KEY), SecretStr("x"))
    delayed = FlatFilesProvider(client, tmp_path)
    listed = client.list_objects_v2(Bucket="flatfiles", Prefix="us_indices/")
    assert listed["KeyCount"] > 0
    with pytest.raises(NotEntitledError, match="proves nothing") as caught:
        delayed.index_values(VIX, session_date=SESSION)
    assert DELAYED_KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    delayed.close()

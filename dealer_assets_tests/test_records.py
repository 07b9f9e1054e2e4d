"""Rows that are no chain: stored by batch, read back once each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.intake.records import held, store_file, store_request
from dealer_assets.lake.reader import list_parts, read_partition, scan
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers.base import Finding, Records

DAY = date(2026, 11, 19)
AT = datetime(2026, 11, 19, 15, 0, tzinfo=UTC)
WHERE = {"underlying": "SPX", "session_date": DAY}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


def bar(symbol: str, minute: int, *, close: float = 1.0, day: date = DAY, known: int = 1) -> dict:
    start = datetime.combine(day, AT.timetz()) + timedelta(minutes=minute)
    return {
        "underlying": "SPX",
        "session_date": day,
        "event_at": start,
        "known_at": start + timedelta(minutes=known),
        "provider": "polygon",
        "source_name": "bars",
        "symbol": symbol,
        "root": "SPXW",
        "expiry_date": date(2026, 12, 18),
        "expires_at": datetime(2026, 12, 18, 21, tzinfo=UTC),
        "strike": 6000.0,
        "right": "call",
        "interval": "minute",
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume_contracts": 1.0,
        "trades": 1,
    }


def bars(*rows: dict, provider: str = "polygon", sha: str = "a" * 64, **more) -> Records:
    table = tables.OPTION_BARS
    built = pa.Table.from_pylist([r | {"provider": provider} for r in rows], schema=table.schema)
    return Records(
        table=table,
        rows=built,
        provider=provider,
        source_name="bars",
        source_sha256=sha,
        **more,
    )


def closes(lake: Lake) -> list[tuple[str, float]]:
    rows = held(lake, tables.OPTION_BARS, "SPX", DAY)
    return list(zip(rows["symbol"].to_pylist(), rows["close"].to_pylist(), strict=True))


def test_a_file_is_stored_by_partition_and_storing_it_again_changes_nothing(lake: Lake) -> None:
    records = bars(bar("A", 0), bar("A", 1), bar("A", 0, day=date(2026, 11, 18)))
    first = store_file(lake, records)
    assert [(o.session_date, o.status, o.contracts) for o in first] == [
        (date(2026, 11, 18), "stored", 1),
        (DAY, "stored", 2),
    ]
    assert [o.status for o in store_file(lake, records)] == ["held", "held"]
    assert scan(lake, tables.OPTION_BARS).num_rows == 3


def test_a_request_asked_again_replaces_its_contracts_and_keeps_the_others(lake: Lake) -> None:
    store_request(lake, bars(bar("A", 0, close=1.0), bar("A", 1, close=1.0), bar("B", 0)), **WHERE)
    # the vendor took one bar back
    store_request(lake, bars(bar("A", 0, close=2.0)), asked=1, **WHERE)
    assert closes(lake) == [("A", 2.0), ("B", 1.0)]
    assert len(list_parts(lake, tables.OPTION_BARS, "SPX", DAY)) == 1


def test_an_answer_for_all_contracts_replaces_what_was_held(lake: Lake) -> None:
    store_request(lake, bars(bar("A", 0), bar("B", 0)), **WHERE)
    store_request(lake, bars(bar("A", 0, close=2.0)), **WHERE)  # B was withdrawn
    assert closes(lake) == [("A", 2.0)]


def test_day_bars_do_not_displace_minute_bars(lake: Lake) -> None:
    store_request(lake, bars(bar("A", 0)), asked=1, **WHERE)
    store_request(lake, bars(bar("A", 0) | {"interval": "day"}), asked=1, **WHERE)
    assert held(lake, tables.OPTION_BARS, "SPX", DAY)["interval"].to_pylist() == ["day", "minute"]


def test_two_providers_of_one_tape_are_never_added_up(lake: Lake) -> None:
    store_request(lake, bars(bar("A", 0)), **WHERE)
    store_request(lake, bars(bar("A", 0), bar("B", 0), provider="flatfiles"), **WHERE)
    assert read_partition(lake, tables.OPTION_BARS, "SPX", DAY).num_rows == 3
    rows = held(lake, tables.OPTION_BARS, "SPX", DAY)
    assert rows["provider"].to_pylist() == ["flatfiles", "flatfiles"]


def test_of_two_versions_of_a_record_the_last_known_is_read_and_the_first_as_of_then(
    lake: Lake,
) -> None:
    store_file(lake, bars(bar("A", 0, close=1.0, known=1), sha="a" * 64))
    store_file(lake, bars(bar("A", 0, close=5.0, known=90), sha="b" * 64))
    assert closes(lake) == [("A", 5.0)]
    then = held(lake, tables.OPTION_BARS, "SPX", DAY, as_of=AT + timedelta(minutes=30))
    assert then["close"].to_pylist() == [1.0]


def test_coverage_says_what_a_batch_lacks(lake: Lake) -> None:
    finding = Finding("contracts_failed", "B did not answer")
    store_request(lake, bars(bar("A", 0), is_complete=False, findings=(finding,)), **WHERE)
    (row,) = read_partition(lake, tables.FEED_COVERAGE, "SPX", DAY).to_pylist()
    assert (row["dataset"], row["provider"], row["is_complete"]) == (
        "option_bars",
        "polygon",
        False,
    )
    assert (row["rows"], row["contracts"], row["findings"]) == (1, 1, ["contracts_failed"])


def test_a_request_without_rows_is_covered_too_so_that_nobody_asks_again(lake: Lake) -> None:
    outcome = store_request(lake, bars(), **WHERE)
    assert (outcome.status, outcome.contracts, outcome.is_partial) == ("held", 0, False)
    (row,) = read_partition(lake, tables.FEED_COVERAGE, "SPX", DAY).to_pylist()
    assert (row["rows"], row["is_complete"]) == (0, True)


def test_a_file_of_which_nothing_is_believed_is_refused_with_its_reasons(lake: Lake) -> None:
    rejected = pa.Table.from_pylist(
        [
            {
                "underlying": "SPX",
                "session_date": DAY,
                "event_at": AT,
                "known_at": AT,
                "provider": "polygon",
                "source_name": "bars",
                "source_sha256": "a" * 64,
                "row_number": 1,
                "symbol": "??",
                "reason": "unreadable_symbol",
                "raw_text": "??",
            }
        ],
        schema=tables.REJECTED_ROWS.schema,
    )
    (outcome,) = store_file(lake, bars(rejected=rejected))
    assert outcome.status == "refused"
    assert "unreadable_symbol" in outcome.reason
    assert scan(lake, tables.REJECTED_ROWS)["reason"].to_pylist() == ["unreadable_symbol"]

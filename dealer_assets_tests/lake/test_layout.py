"""Paths and part names, and back."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.lake import layout
from dealer_assets.tables import CHAIN_SNAPSHOTS, CHAIN_SOURCES, DAILY_HISTORY, LIVE_TRADES

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
SHA = "0123456789abcdef" * 4


def test_partition_dir_is_the_documented_path() -> None:
    found = layout.partition_dir(CHAIN_SNAPSHOTS, "SPX", DAY)
    assert found == "chain_snapshots/underlying=SPX/date=2026-11-20"


@pytest.mark.parametrize("symbol", ["", "../SPX", "a/b", "SPX=1", ".hidden", "SPX\n"])
def test_symbol_that_would_leave_its_folder_is_refused(symbol: str) -> None:
    with pytest.raises(BadInputError, match="cannot name a folder"):
        layout.partition_dir(CHAIN_SNAPSHOTS, symbol, DAY)


def test_snapshot_part_shows_microseconds_only_when_there_are_any() -> None:
    last = datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)
    assert layout.snapshot_part(NOON) == "120005.parquet"
    assert layout.snapshot_part(last) == "235959.999999.parquet"


def test_snapshot_part_is_named_in_utc_whatever_the_zone_of_the_instant() -> None:
    new_york = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert layout.snapshot_part(new_york) == "120005.parquet"


def test_naive_instant_is_refused() -> None:
    with pytest.raises(BadInputError, match="no time zone"):
        layout.snapshot_part(NOON.replace(tzinfo=None))


def test_source_part_holds_twelve_digits_of_the_hash() -> None:
    assert layout.source_part(NOON, SHA) == "120005-0123456789ab.parquet"


@pytest.mark.parametrize("sha256", ["", "abc", "X" * 64, "../../../etc/x"])
def test_source_part_refuses_what_is_no_hash(sha256: str) -> None:
    with pytest.raises(BadInputError, match="hexadecimal"):
        layout.source_part(NOON, sha256)


def test_part_name_follows_how_the_table_is_cut() -> None:
    assert layout.part_name(CHAIN_SNAPSHOTS, event_at=NOON, sha256=SHA) == "120005.parquet"
    assert layout.part_name(CHAIN_SOURCES, event_at=NOON, sha256=SHA) == (
        "120005-0123456789ab.parquet"
    )
    assert layout.part_name(DAILY_HISTORY) == layout.SESSION_PART


def test_part_name_says_which_argument_the_table_needs() -> None:
    with pytest.raises(BadInputError, match="expected event_at to name"):
        layout.part_name(CHAIN_SNAPSHOTS)
    with pytest.raises(BadInputError, match="expected event_at and sha256"):
        layout.part_name(CHAIN_SOURCES, event_at=NOON)


@given(st.times(), st.booleans())
def test_part_name_of_any_instant_reads_back(clock: object, from_source: bool) -> None:
    instant = datetime.combine(DAY, clock, UTC)  # type: ignore[arg-type]
    name = layout.source_part(instant, SHA) if from_source else layout.snapshot_part(instant)
    assert layout.event_at_of(name, DAY) == instant


@pytest.mark.parametrize(
    "name", ["session.parquet", "_schema.parquet", "250000.parquet", "12.parquet", "120005.csv"]
)
def test_event_at_of_a_name_without_instant_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="names no instant"):
        layout.event_at_of(name, DAY)


@given(st.lists(st.times(), min_size=2, max_size=2, unique=True))
def test_part_order_is_time_order_with_and_without_microseconds(clocks: list[object]) -> None:
    first, second = sorted(datetime.combine(DAY, clock, UTC) for clock in clocks)  # type: ignore[arg-type]
    keys = [layout.part_order(layout.snapshot_part(instant)) for instant in (first, second)]
    assert keys[0] < keys[1]


@pytest.mark.parametrize(
    "path",
    [
        "chain_snapshots/underlying=BRK.B/date=2026-11-20",
        "chain_snapshots/underlying=BRK.B/date=2026-11-20/",
        "chain_snapshots/underlying=BRK.B/date=2026-11-20/120005.parquet",
        "/some/lake/chain_snapshots/underlying=BRK.B/date=2026-11-20/120005.parquet",
    ],
)
def test_parse_partition_reads_folders_and_parts(path: str) -> None:
    assert layout.parse_partition(path) == layout.Partition("chain_snapshots", "BRK.B", DAY)


@pytest.mark.parametrize(
    "path",
    ["", "chain_snapshots", "chain_snapshots/underlying=SPX", "t/underlying=X/date=2026-13-1"],
)
def test_parse_partition_refuses_other_paths(path: str) -> None:
    with pytest.raises(BadInputError, match="is no partition"):
        layout.parse_partition(path)


def test_schema_and_temporary_files_are_no_parts() -> None:
    names = ["120005.parquet", layout.SCHEMA_PART, layout.temp_name(1, "ab"), ".lock", "x.csv"]
    assert [name for name in names if layout.is_part_name(name)] == ["120005.parquet"]


def test_stream_part_is_named_after_its_first_row_and_reads_back() -> None:
    name = layout.stream_part("us", 5000)
    assert name == "us-000005000.parquet"
    assert (layout.stream_of(name), layout.first_sequence_of(name)) == ("us", 5000)
    assert layout.is_part_name(name)


@pytest.mark.parametrize(("stream", "first"), [("US", 0), ("a-b", 0), ("us", -1), ("us", 10**9)])
def test_stream_part_refuses_what_cannot_be_read_back(stream: str, first: int) -> None:
    with pytest.raises(BadInputError, match="cannot name a part"):
        layout.stream_part(stream, first)


def test_other_parts_are_of_no_stream_and_name_no_row() -> None:
    for name in ("120005.parquet", "occ-0123456789ab.parquet", "us-5000.parquet"):
        assert layout.stream_of(name) == ""
        with pytest.raises(BadInputError, match="names no row"):
            layout.first_sequence_of(name)
    assert layout.first_sequence_of(layout.SESSION_PART) == 0


def test_part_name_of_a_stream_says_what_names_it() -> None:
    with pytest.raises(BadInputError, match="name its parts with stream_part"):
        layout.part_name(LIVE_TRADES)


@given(st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=4, unique=True))
def test_part_order_of_a_stream_is_row_order_after_the_compacted_part(firsts: list[int]) -> None:
    named = [layout.stream_part("us", first) for first in firsts]
    ordered = [layout.SESSION_PART, *(layout.stream_part("us", first) for first in sorted(firsts))]
    assert sorted([*named, layout.SESSION_PART], key=layout.part_order) == ordered

"""Finding, pruning and refusing parts; reading as of an instant; SQL over the lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dealer_assets.errors import BadInputError, LakeError, LakeUnavailableError, SchemaError
from dealer_assets.lake import layout, reader
from dealer_assets.lake.reader import Part
from dealer_assets.lake.sql import sql
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import delete_part, ensure_tables, write_part
from dealer_assets.tables import CHAIN_SNAPSHOTS, DAILY_HISTORY, GAMMA_PROFILE, Column, Table

Rows = Callable[..., pa.Table]
FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)
HALF_PAST = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)


@pytest.fixture
def put(chain_rows: Rows) -> Callable[..., Part]:
    """Writer of a chain of two contracts at an instant; the session is the instant's date."""

    def write(lake: Lake, event_at: datetime, *, symbol: str = "SPX", **changes: object) -> Part:
        rows = chain_rows(
            2,
            event_at=event_at,
            underlying=[symbol] * 2,
            session_date=[event_at.date()] * 2,
            **changes,
        )
        name = layout.snapshot_part(event_at)
        written = write_part(
            lake,
            CHAIN_SNAPSHOTS,
            rows,
            underlying=symbol,
            session_date=event_at.date(),
            name=name,
        )
        return Part(written.path, name)

    return write


Put = Callable[..., Part]


class TestWhatIsHeld:
    def test_empty_lake_holds_nothing(self, lake: Lake) -> None:
        ensure_tables(lake)
        assert reader.underlyings_held(lake, CHAIN_SNAPSHOTS) == []
        assert reader.sessions_held(lake, CHAIN_SNAPSHOTS, "SPX") == []
        assert reader.latest_part(lake, CHAIN_SNAPSHOTS, "SPX") is None
        assert reader.list_parts(lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY) == []

    def test_underlyings_sessions_and_latest_part(self, lake: Lake, put: Put) -> None:
        ensure_tables(lake)
        put(lake, HALF_PAST + timedelta(days=3))
        latest = put(lake, HALF_PAST + timedelta(days=3, microseconds=1))
        put(lake, HALF_PAST)
        put(lake, HALF_PAST, symbol="BRK.B")
        assert reader.underlyings_held(lake, CHAIN_SNAPSHOTS) == ["BRK.B", "SPX"]
        assert reader.sessions_held(lake, CHAIN_SNAPSHOTS, "SPX") == [FRIDAY, MONDAY]
        assert reader.latest_part(lake, CHAIN_SNAPSHOTS, "SPX") == latest

    def test_parts_are_in_time_order_and_other_files_ignored(self, lake: Lake, put: Put) -> None:
        late = put(lake, HALF_PAST + timedelta(microseconds=5))
        early = put(lake, HALF_PAST)
        folder = layout.partition_dir(CHAIN_SNAPSHOTS, "SPX", FRIDAY)
        for name in (".lock", layout.temp_name(1, "ab"), layout.SCHEMA_PART):
            lake.put(f"{folder}/{name}", pa.py_buffer(b"x"))
        assert reader.list_parts(lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY) == [early, late]

    def test_emptied_session_is_no_longer_held(self, lake: Lake, put: Put) -> None:
        put(lake, HALF_PAST)
        delete_part(
            lake,
            CHAIN_SNAPSHOTS,
            underlying="SPX",
            session_date=FRIDAY,
            name="183000.parquet",
        )
        assert reader.sessions_held(lake, CHAIN_SNAPSHOTS, "SPX") == []
        assert reader.underlyings_held(lake, CHAIN_SNAPSHOTS) == []


class TestReading:
    def test_absent_partition_is_empty_and_typed(self, lake: Lake) -> None:
        found = reader.read_partition(lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY)
        assert (found.num_rows, found.schema.equals(CHAIN_SNAPSHOTS.schema)) == (0, True)

    def test_columns_come_in_the_order_asked_for(self, lake: Lake, put: Put) -> None:
        part = put(lake, HALF_PAST)
        found = reader.read_part(lake, CHAIN_SNAPSHOTS, part, columns=["strike", "bid", "root"])
        assert found.column_names == ["strike", "bid", "root"]
        assert found["bid"].to_pylist() == [1.0, 1.05]

    def test_as_of_leaves_out_what_was_not_yet_known(self, lake: Lake, put: Put) -> None:
        put(lake, HALF_PAST, known_at=HALF_PAST + timedelta(minutes=15))
        put(lake, HALF_PAST + timedelta(minutes=1), known_at=HALF_PAST + timedelta(minutes=16))

        def known(minutes: float) -> int:
            found = reader.read_partition(
                lake,
                CHAIN_SNAPSHOTS,
                "SPX",
                FRIDAY,
                columns=["strike"],
                as_of=HALF_PAST + timedelta(minutes=minutes),
            )
            assert found.column_names == ["strike"]
            return int(found.num_rows)

        assert [known(14), known(15), known(15.5), known(16)] == [0, 2, 2, 4]

    def test_scan_prunes_by_underlying_and_session(self, lake: Lake, put: Put) -> None:
        put(lake, HALF_PAST)
        put(lake, HALF_PAST + timedelta(days=3))
        put(lake, HALF_PAST, symbol="SPY")

        def found(**wanted: object) -> list[tuple[str, date]]:
            columns = ["underlying", "session_date"]
            rows = reader.scan(lake, CHAIN_SNAPSHOTS, columns=columns, **wanted)  # type: ignore[arg-type]
            return [(row["underlying"], row["session_date"]) for row in rows.to_pylist()[::2]]

        spx, later, spy = ("SPX", FRIDAY), ("SPX", MONDAY), ("SPY", FRIDAY)
        assert found() == [spx, later, spy]
        assert found(underlyings=["SPY", "SPX"], last=FRIDAY) == [spy, spx]
        assert found(first=MONDAY) == [later]
        assert found(underlyings=["NDX"]) == []
        assert found(as_of=HALF_PAST) == [spx, spy]

    def test_unpruned_corrupt_part_is_not_even_opened(self, local_lake: Lake, put: Put) -> None:
        put(local_lake, HALF_PAST)
        broken = put(local_lake, HALF_PAST + timedelta(days=3))
        local_lake.put(broken.path, pa.py_buffer(b"no parquet"))
        assert reader.scan(local_lake, CHAIN_SNAPSHOTS, last=FRIDAY).num_rows == 2


def test_unknown_column_is_refused_by_name(local_lake: Lake) -> None:
    with pytest.raises(BadInputError, match=r"no columns \['gex'\]"):
        reader.read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY, columns=["bid", "gex"])


def test_naive_as_of_is_refused(local_lake: Lake) -> None:
    naive = HALF_PAST.replace(tzinfo=None)
    with pytest.raises(BadInputError, match="no time zone"):
        reader.scan(local_lake, CHAIN_SNAPSHOTS, as_of=naive)


def test_part_that_is_gone_is_reported_by_path(lake: Lake) -> None:
    part = Part("chain_snapshots/underlying=SPX/date=2026-11-20/183000.parquet", "183000.parquet")
    with pytest.raises(LakeError, match=r"183000.parquet .* is not there"):
        reader.read_part(lake, CHAIN_SNAPSHOTS, part)
    with pytest.raises(LakeError, match=r"183000.parquet .* is not there"):
        reader.fingerprint(lake, part)


def test_partition_replaced_while_it_is_read_is_listed_anew(
    local_lake: Lake, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = put(local_lake, HALF_PAST)
    put(local_lake, HALF_PAST + timedelta(minutes=1))
    opened = Lake.open

    def delete_then_open(lake: Lake, path: str) -> object:
        if path == doomed.path:
            lake.remove(path)
        return opened(lake, path)

    monkeypatch.setattr(Lake, "open", delete_then_open)
    found = reader.read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY)
    assert found["event_at"].to_pylist() == [HALF_PAST + timedelta(minutes=1)] * 2


def test_storage_that_refuses_is_not_mistaken_for_a_corrupt_part(
    local_lake: Lake, put: Put
) -> None:
    part = put(local_lake, HALF_PAST)

    class Refusing:
        type_name = "local"

        def open_input_file(self, _: str) -> None:
            raise PermissionError("permission denied")

    with pytest.raises(LakeUnavailableError, match="permission denied"):
        reader.read_part(replace(local_lake, fs=Refusing()), CHAIN_SNAPSHOTS, part)


@pytest.mark.parametrize("cut", [0, 3, 0.5, 0.99])
def test_truncated_part_is_reported_by_path(lake: Lake, put: Put, cut: float) -> None:
    part = put(lake, HALF_PAST)
    data = _bytes(lake, part)
    lake.put(part.path, pa.py_buffer(data[: int(cut * len(data)) if cut < 1 else int(cut)]))
    for read in (
        lambda: reader.read_part(lake, CHAIN_SNAPSHOTS, part),
        lambda: reader.part_metadata(lake, part),
        lambda: sql(lake, "select * from chain_snapshots"),
    ):
        with pytest.raises(LakeError, match=r"183000.parquet .*delete it and rebuild"):
            read()


def test_flipped_byte_in_the_data_never_becomes_a_wrong_number(local_lake: Lake, put: Put) -> None:
    part = put(local_lake, HALF_PAST)
    whole = reader.read_part(local_lake, CHAIN_SNAPSHOTS, part)
    data = _bytes(local_lake, part)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    strike = metadata.row_group(0).column(whole.column_names.index("strike"))
    start = strike.dictionary_page_offset or strike.data_page_offset
    refused = 0
    for offset in range(start, start + strike.total_compressed_size):
        flipped = bytearray(data)
        flipped[offset] ^= 0x10
        local_lake.put(part.path, pa.py_buffer(bytes(flipped)))
        try:
            assert reader.read_part(local_lake, CHAIN_SNAPSHOTS, part).equals(whole)
        except LakeError:
            refused += 1
    assert refused > strike.total_compressed_size / 2


def _bytes(lake: Lake, part: Part) -> bytes:
    file = lake.open(part.path)
    assert file is not None
    return bytes(file.read())


NEWER = replace(CHAIN_SNAPSHOTS, version=CHAIN_SNAPSHOTS.version + 1)
WIDER = replace(
    CHAIN_SNAPSHOTS,
    columns=(*CHAIN_SNAPSHOTS.columns, Column("rho", pa.float64(), "1", "New.", True)),
)


@pytest.mark.parametrize("today", [NEWER, WIDER], ids=["newer version", "other columns"])
def test_part_of_another_schema_is_refused_with_how_to_rebuild(
    lake: Lake, put: Put, today: Table
) -> None:
    part = put(lake, HALF_PAST)
    reads: tuple[Callable[[], pa.Table], ...] = (
        lambda: reader.read_part(lake, today, part),
        lambda: reader.scan(lake, today),
        lambda: sql(lake, "select * from chain_snapshots", tables=[today]),
    )
    for read in reads:
        with pytest.raises(SchemaError, match=r"183000.parquet: expected .* delete the part and"):
            read()


def test_part_of_another_table_is_refused(local_lake: Lake, put: Put) -> None:
    part = put(local_lake, HALF_PAST)
    with pytest.raises(SchemaError, match="expected table gamma_profile"):
        reader.read_part(local_lake, GAMMA_PROFILE, part)


def test_foreign_parquet_file_is_refused(local_lake: Lake, chain_rows: Rows) -> None:
    folder = Path(local_lake.locate(layout.partition_dir(CHAIN_SNAPSHOTS, "SPX", FRIDAY)))
    folder.mkdir(parents=True)
    pq.write_table(chain_rows(), folder / "183000.parquet")
    (part,) = reader.list_parts(local_lake, CHAIN_SNAPSHOTS, "SPX", FRIDAY)
    with pytest.raises(SchemaError, match=r"expected a file written by dealer_assets.lake.writer"):
        reader.fingerprint(local_lake, part)


class TestSql:
    def test_query_sees_all_parts_in_utc(self, lake: Lake, put: Put) -> None:
        put(lake, HALF_PAST)
        put(lake, HALF_PAST + timedelta(days=3), symbol="SPY")
        found = sql(
            lake,
            "select underlying, count(*) as n, max(event_at) as last, "
            "cast(max(event_at) as text) as shown from chain_snapshots group by 1 order by 1",
        )
        assert found.schema.field("last").type == pa.timestamp("us", tz="UTC")
        assert found.to_pylist() == [
            {
                "underlying": symbol,
                "n": 2,
                "last": HALF_PAST + timedelta(days=days),
                "shown": shown,
            }
            for symbol, days, shown in (
                ("SPX", 0, "2026-11-20 18:30:00+00"),
                ("SPY", 3, "2026-11-23 18:30:00+00"),
            )
        ]

    def test_table_without_parts_is_an_empty_view(self, lake: Lake) -> None:
        found = sql(lake, "select * from daily_history")
        assert (found.num_rows, found.column_names) == (0, DAILY_HISTORY.schema.names)

    def test_tables_can_be_joined(self, lake: Lake, put: Put) -> None:
        put(lake, HALF_PAST)
        found = sql(
            lake,
            "select c.strike, h.bid from chain_snapshots c "
            "left join daily_history h using (strike)",
        )
        assert found.to_pylist() == [{"strike": 6000.0, "bid": None}] * 2

    def test_wrong_statement_is_bad_input(self, lake: Lake) -> None:
        with pytest.raises(BadInputError, match="gamma_wall"):
            sql(lake, "select gamma_wall from daily_history")


def test_sql_takes_the_characters_of_the_lakes_folder_literally(tmp_path: Path, put: Put) -> None:
    put(open_lake(str(tmp_path / "it's a lake!")), HALF_PAST)
    lake = open_lake(str(tmp_path / "it's [a] *lake?"))
    put(lake, HALF_PAST)
    wild = open_lake(str(tmp_path / "it's * lake!"))
    put(wild, HALF_PAST)
    for each in (lake, wild):
        found = sql(each, "select count(*) as n from chain_snapshots")
        assert found["n"].to_pylist() == [2]


def test_schema_files_make_a_plain_duckdb_glob_over_an_empty_table_work(
    local_lake: Lake, put: Put
) -> None:
    import duckdb

    ensure_tables(local_lake)
    put(local_lake, HALF_PAST)
    counts = []
    for table in (CHAIN_SNAPSHOTS, DAILY_HISTORY):
        pattern = f"{local_lake.root}/{table.name}/**/*.parquet"
        rows = duckdb.sql(f"select count(*) from read_parquet('{pattern}')").fetchall()
        counts.append(rows[0][0])
    assert counts == [2, 0]

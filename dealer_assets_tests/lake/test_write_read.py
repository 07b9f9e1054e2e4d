"""Writing and reading back: on a folder and on S3 alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.errors import BadInputError, SchemaError
from dealer_assets.lake import layout
from dealer_assets.lake.reader import (
    Part,
    fingerprint,
    list_parts,
    part_metadata,
    read_part,
    read_partition,
)
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import (
    WrittenPart,
    code_version,
    delete_part,
    ensure_tables,
    replace_partition,
    write_part,
)
from dealer_assets.tables import (
    CHAIN_SNAPSHOTS,
    CHAIN_SOURCES,
    DAILY_HISTORY,
    TABLES,
    VOLUME_DELTAS,
    Column,
    Table,
)

Rows = Callable[..., pa.Table]
SESSION = date(2026, 11, 20)
EVENT_AT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
SHA = hashlib.sha256(b"payload").hexdigest()


def _write(
    lake: Lake,
    rows: pa.Table,
    *,
    event_at: datetime = EVENT_AT,
    provenance: Mapping[str, str] = {},
) -> WrittenPart:
    return write_part(
        lake,
        CHAIN_SNAPSHOTS,
        rows,
        underlying="SPX",
        session_date=SESSION,
        name=layout.snapshot_part(event_at),
        provenance=provenance,
    )


def _bytes(lake: Lake, path: str) -> bytes:
    file = lake.open(path)
    assert file is not None
    return bytes(file.read())


def _source_row(findings: list[str]) -> pa.Table:
    values = {
        "underlying": "SPX",
        "session_date": SESSION,
        "event_at": EVENT_AT,
        "known_at": EVENT_AT,
        "provider": "simulator",
        "source_name": "chain.csv",
        "source_sha256": SHA,
        "contracts": 6,
        "rejected": 0,
        "is_partial": False,
        "findings": findings,
        "findings_text": "",
    }
    return pa.Table.from_pylist([values], schema=CHAIN_SOURCES.schema)


class TestOneWriteAndRead:
    def test_rows_come_back_as_written(self, lake: Lake, chain_rows: Rows) -> None:
        written = _write(lake, chain_rows(6))
        part = Part(written.path, "183000.parquet")
        assert list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION) == [part]
        found = read_part(lake, CHAIN_SNAPSHOTS, part)
        assert found.equals(pa.table(chain_rows(6).columns, schema=CHAIN_SNAPSHOTS.schema))
        assert written == WrittenPart(
            "chain_snapshots/underlying=SPX/date=2026-11-20/183000.parquet",
            6,
            len(_bytes(lake, written.path)),
            changed=True,
        )

    def test_second_write_of_the_same_rows_changes_nothing(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        rows = chain_rows(6)
        first = _write(lake, rows, provenance={"vendor": "simulator"})
        before = _bytes(lake, first.path)
        again = _write(
            lake, rows.take(pa.array([3, 1, 5, 0, 2, 4])), provenance={"vendor": "simulator"}
        )
        assert (again.changed, again.bytes) == (False, first.bytes)
        assert _bytes(lake, first.path) == before

    def test_rewrite_of_a_part_replaces_its_rows(self, lake: Lake, chain_rows: Rows) -> None:
        _write(lake, chain_rows(6))
        assert _write(lake, chain_rows(2)).changed is True
        assert read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 2

    def test_footer_tells_provenance_and_versions(self, lake: Lake, chain_rows: Rows) -> None:
        path = _write(lake, chain_rows(), provenance={"input.a": "1", "provider": "sim"}).path
        assert part_metadata(lake, Part(path, "183000.parquet")) == {
            "table": "chain_snapshots",
            "version": str(CHAIN_SNAPSHOTS.version),
            "code_version": code_version(),
            "input.a": "1",
            "provider": "sim",
        }

    def test_lists_of_text_come_back(self, lake: Lake) -> None:
        write_part(
            lake,
            CHAIN_SOURCES,
            _source_row(["stale", "partial"]),
            underlying="SPX",
            session_date=SESSION,
            name=layout.source_part(EVENT_AT, SHA),
        )
        found = read_partition(lake, CHAIN_SOURCES, "SPX", SESSION)
        assert found.schema.equals(CHAIN_SOURCES.schema)
        assert found["findings"].to_pylist() == [["stale", "partial"]]

    def test_deleted_part_is_gone_and_deleting_again_says_so(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        _write(lake, chain_rows())
        where = {"underlying": "SPX", "session_date": SESSION, "name": "183000.parquet"}
        assert delete_part(lake, CHAIN_SNAPSHOTS, **where) is True  # type: ignore[arg-type]
        assert delete_part(lake, CHAIN_SNAPSHOTS, **where) is False  # type: ignore[arg-type]
        assert list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION) == []


class TestReplacePartition:
    def _replace(self, lake: Lake, parts: dict[str, pa.Table]) -> list[WrittenPart]:
        return replace_partition(
            lake, CHAIN_SNAPSHOTS, parts, underlying="SPX", session_date=SESSION
        )

    def test_given_parts_stay_and_others_go(self, lake: Lake, chain_rows: Rows) -> None:
        before, later = EVENT_AT - timedelta(minutes=1), EVENT_AT + timedelta(minutes=1)
        _write(lake, chain_rows(2))
        _write(lake, chain_rows(2, event_at=before), event_at=before)
        written = self._replace(
            lake,
            {
                "183000.parquet": chain_rows(2),
                "183100.parquet": chain_rows(4, event_at=later),
            },
        )
        assert [(part.rows, part.changed) for part in written] == [(2, False), (4, True)]
        names = [part.name for part in list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION)]
        assert names == ["183000.parquet", "183100.parquet"]

    def test_part_that_another_writer_adds_meanwhile_stays(
        self, local_lake: Lake, chain_rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = EVENT_AT + timedelta(minutes=1)
        put = Lake.put

        def put_after_another(lake: Lake, path: str, data: pa.Buffer) -> bool:
            monkeypatch.setattr(Lake, "put", put)
            _write(lake, chain_rows(4, event_at=later), event_at=later)
            return put(lake, path, data)

        monkeypatch.setattr(Lake, "put", put_after_another)
        self._replace(local_lake, {"183000.parquet": chain_rows(2)})
        assert read_partition(local_lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 6

    def test_nothing_empties_the_partition(self, lake: Lake, chain_rows: Rows) -> None:
        _write(lake, chain_rows(2))
        assert self._replace(lake, {}) == []
        assert list_parts(lake, CHAIN_SNAPSHOTS, "SPX", SESSION) == []

    def test_refusal_of_one_part_leaves_the_partition_as_it_was(
        self, lake: Lake, chain_rows: Rows
    ) -> None:
        _write(lake, chain_rows(2))
        later = EVENT_AT + timedelta(minutes=1)
        bad = chain_rows(4, event_at=later, bid=[-1.0] * 4)
        with pytest.raises(SchemaError):
            self._replace(lake, {"183000.parquet": chain_rows(6), "183100.parquet": bad})
        assert read_partition(lake, CHAIN_SNAPSHOTS, "SPX", SESSION).num_rows == 2


class TestEnsureTables:
    def test_every_table_gets_its_schema_once(self, lake: Lake) -> None:
        assert ensure_tables(lake) == [table.name for table in TABLES]
        assert ensure_tables(lake) == []
        for table in TABLES:
            file = pq.ParquetFile(pa.BufferReader(_bytes(lake, layout.schema_path(table))))
            assert file.read().cast(table.schema).num_rows == 0

    def test_schema_file_of_an_older_release_is_renewed(self, lake: Lake) -> None:
        ensure_tables(lake)
        lake.put(layout.schema_path(DAILY_HISTORY), pa.py_buffer(b"older"))
        assert ensure_tables(lake) == ["daily_history"]


@pytest.mark.parametrize("name", ["183001.parquet", "session.parquet", "../183000.parquet", "x"])
def test_name_that_does_not_follow_from_the_rows_is_refused(
    local_lake: Lake, chain_rows: Rows, name: str
) -> None:
    with pytest.raises(SchemaError, match=r"layout.part_name|in every row of the part"):
        write_part(
            local_lake,
            CHAIN_SNAPSHOTS,
            chain_rows(),
            underlying="SPX",
            session_date=SESSION,
            name=name,
        )
    assert local_lake.files_below("") == []


def test_instant_of_another_utc_date_is_refused_because_names_hold_no_date(
    local_lake: Lake, chain_rows: Rows
) -> None:
    sunday = EVENT_AT + timedelta(days=2)
    with pytest.raises(SchemaError, match="expected 2026-11-20 18:30:00"):
        _write(local_lake, chain_rows(event_at=sunday), event_at=sunday)


def test_source_part_of_another_hash_is_refused(local_lake: Lake) -> None:
    with pytest.raises(SchemaError, match="expected the part name"):
        write_part(
            local_lake,
            CHAIN_SOURCES,
            _source_row([]),
            underlying="SPX",
            session_date=SESSION,
            name=layout.source_part(EVENT_AT, "0" * 64),
        )


def test_session_table_takes_its_one_name_only(local_lake: Lake) -> None:
    where = {"underlying": "SPX", "session_date": SESSION}
    empty = VOLUME_DELTAS.schema.empty_table()
    with pytest.raises(SchemaError, match=r"expected the part name 'session.parquet'"):
        write_part(local_lake, VOLUME_DELTAS, empty, name="183000.parquet", **where)  # type: ignore[arg-type]
    written = write_part(local_lake, VOLUME_DELTAS, empty, name="session.parquet", **where)  # type: ignore[arg-type]
    assert (written.rows, written.changed) == (0, True)


@pytest.mark.parametrize("provenance", [{"version": "9"}, {"content_sha256": "x"}, {"n": 5}])
def test_provenance_that_would_hide_our_own_keys_is_refused(
    local_lake: Lake, chain_rows: Rows, provenance: dict[str, str]
) -> None:
    with pytest.raises(BadInputError, match="expected text under a name other than"):
        _write(local_lake, chain_rows(), provenance=provenance)


@pytest.mark.parametrize("name", ["_schema.parquet", "../../x.parquet", ".lock"])
def test_delete_refuses_what_is_no_part(local_lake: Lake, name: str) -> None:
    with pytest.raises(BadInputError, match="is no part"):
        delete_part(local_lake, CHAIN_SNAPSHOTS, underlying="SPX", session_date=SESSION, name=name)


def test_fingerprint_depends_on_rows_and_not_on_provenance(
    local_lake: Lake, chain_rows: Rows
) -> None:
    part = Part("chain_snapshots/underlying=SPX/date=2026-11-20/183000.parquet", "183000.parquet")
    seen = []
    for rows, origin in ((chain_rows(4), "a"), (chain_rows(4), "b"), (chain_rows(2), "a")):
        _write(local_lake, rows, provenance={"origin": origin})
        seen.append(fingerprint(local_lake, part))
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.0, 1.0], [None, 1.0]),
        ([None, 1.0], [1.0, None]),
        ([1.0, 2.0], [2.0, 1.0]),
    ],
)
def test_fingerprint_tells_null_from_zero_and_keeps_order(
    local_lake: Lake, chain_rows: Rows, one: list[float], other: list[float]
) -> None:
    part = Part("chain_snapshots/underlying=SPX/date=2026-11-20/183000.parquet", "183000.parquet")
    seen = set()
    for values in (one, other):
        _write(local_lake, chain_rows(2, ask=values))
        seen.add(fingerprint(local_lake, part))
    assert len(seen) == 2


def test_what_lies_below_a_null_reaches_neither_bytes_nor_fingerprint(
    tmp_path: Path, chain_rows: Rows
) -> None:
    written = []
    for hidden in (1.0, 2.0):
        ask = pc.if_else(pa.array([True, False]), None, pa.array([hidden, 3.0]))
        raw = pa.Array.from_buffers(
            pa.float64(), 2, [ask.buffers()[0], pa.array([hidden, 3.0]).buffers()[1]]
        )
        lake = open_lake(str(tmp_path / str(hidden)))
        written.append(_bytes(lake, _write(lake, chain_rows(2, ask=raw)).path))
    assert written[0] == written[1]


TRIAL = Table(
    name="trial",
    doc="One column of every type in use.",
    grain="row",
    key=("event_at", "k"),
    part="session",
    columns=(
        Column("underlying", pa.string(), "-", "Symbol."),
        Column("session_date", pa.date32(), "-", "Session."),
        Column("event_at", pa.timestamp("us", tz="UTC"), "UTC", "Instant."),
        Column("known_at", pa.timestamp("us", tz="UTC"), "UTC", "Instant."),
        Column("k", pa.int64(), "1", "Number."),
        Column("price", pa.float64(), "USD", "Price.", True),
        Column("greek", pa.float32(), "1", "Greek.", True),
        Column("text", pa.string(), "-", "Text.", True),
        Column("flag", pa.bool_(), "-", "Flag.", True),
        Column("day", pa.date32(), "-", "Day.", True),
        Column("codes", pa.list_(pa.string()), "-", "Codes.", True),
        Column("levels", pa.list_(pa.float64()), "1", "Levels."),
    ),
)
_INSTANTS = st.integers(0, 10**15).map(lambda us: EVENT_AT + timedelta(microseconds=us))
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_ROW = st.fixed_dictionaries(
    {
        "underlying": st.just("SPX"),
        "session_date": st.just(SESSION),
        "event_at": _INSTANTS,
        "known_at": _INSTANTS,
        "k": st.integers(-(2**63), 2**63 - 1),
        "price": st.none() | _FLOATS,
        "greek": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
        "text": st.none() | st.text(st.characters(codec="utf-8")),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "codes": st.none() | st.lists(st.text(st.characters(codec="utf-8"), max_size=3)),
        "levels": st.lists(_FLOATS, max_size=3),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_ROW, max_size=8, unique_by=lambda row: (row["event_at"], row["k"])),
    st.randoms(use_true_random=False),
)
def test_any_rows_come_back_sorted_by_key_and_in_any_order_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], random: object
) -> None:
    lake = open_lake(str(tmp_path_factory.mktemp("lake")))
    where = {"underlying": "SPX", "session_date": SESSION, "name": layout.SESSION_PART}
    write_part(lake, TRIAL, pa.Table.from_pylist(rows, schema=TRIAL.schema), **where)  # type: ignore[arg-type]
    expected = sorted(rows, key=lambda row: (row["event_at"], row["k"]))
    assert read_partition(lake, TRIAL, "SPX", SESSION).to_pylist() == expected
    random.shuffle(rows)  # type: ignore[attr-defined]
    again = write_part(lake, TRIAL, pa.Table.from_pylist(rows, schema=TRIAL.schema), **where)  # type: ignore[arg-type]
    assert again.changed is False

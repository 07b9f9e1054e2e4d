"""The journal: what stands in it, what a kill or a full disk leaves of it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

import streaming
from dealer_assets.errors import LakeError, LakeUnavailableError
from dealer_assets.tables import FEED_GAPS, LIVE_TRADES
from dealer_assets_tests.streaming.made_rows import DAY, OPEN_US, made_rows
from streaming.keeping.journal import Journal
from streaming.keeping.journal_file import MAGIC, JournalError, Lane, journal_files, scan
from streaming.keeping.locking import AlreadyHeldError

TRADES: Lane = (LIVE_TRADES.name, "SPX")
GAPS: Lane = (FEED_GAPS.name, "SPX")
PROJECT = Path(streaming.__file__).parents[1]


def _journal(folder: Path, *, segment_bytes: int = 1 << 20, day: date = DAY) -> Journal:
    return Journal(
        folder,
        stream="us",
        sessions={"SPX": day},
        lanes=[TRADES, GAPS],
        segment_bytes=segment_bytes,
    )


def _batch(first: int, count: int = 1) -> pa.RecordBatch:
    rows = made_rows(LIVE_TRADES, first=first, known_us=[OPEN_US + first] * count)
    return rows.to_batches()[0]


def _written(folder: Path, appends: int = 3) -> Path:
    """A journal of so many appends of 2 rows, let go of."""
    journal = _journal(folder)
    for n in range(appends):
        journal.append([(TRADES, 2 * n, _batch(2 * n, 2))])
    journal.close({})
    (path,) = journal_files(folder, "us")
    return path


class TestWhatStandsInIt:
    def test_appended_rows_are_found_by_the_next_process(self, tmp_path: Path) -> None:
        _written(tmp_path)
        journal = _journal(tmp_path)
        assert [(r.lane, r.first, r.rows) for r in journal.found[0].records] == [
            (TRADES, 0, 2),
            (TRADES, 2, 2),
            (TRADES, 4, 2),
        ]
        assert journal.found[0].torn_bytes == 0
        assert journal.found[0].sessions == {"SPX": DAY}
        expected = made_rows(LIVE_TRADES, first=2, known_us=[OPEN_US + 2] * 2)
        assert journal.read(TRADES, 2, 4).equals(expected)
        journal.close({})

    def test_rows_are_read_across_appends_and_files(self, tmp_path: Path) -> None:
        _written(tmp_path)
        journal = _journal(tmp_path, segment_bytes=1)
        for first in (6, 8):
            journal.append([(TRADES, first, _batch(first, 2))])
        found = journal.read(TRADES, 3, 9)
        assert found["stream_sequence"].to_pylist() == [3, 4, 5, 6, 7, 8]
        assert len(journal_files(tmp_path, "us")) == 3
        journal.close({})

    def test_rows_that_it_does_not_hold_are_named(self, tmp_path: Path) -> None:
        _written(tmp_path)
        journal = _journal(tmp_path)
        with pytest.raises(LakeError, match=r"lacks rows 6 to 8 of live_trades SPX"):
            journal.read(TRADES, 4, 9)
        journal.close({})

    def test_slice_of_a_large_batch_costs_its_own_rows_only(self, tmp_path: Path) -> None:
        journal = _journal(tmp_path)
        large = _batch(0, 5000)
        assert journal.append([(TRADES, 10, large.slice(10, 1))]) < 8000
        assert journal.read(TRADES, 10, 11).equals(pa.Table.from_batches([large.slice(10, 1)]))
        journal.close({})

    def test_appends_are_one_write_each(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = _journal(tmp_path)
        journal.append([(TRADES, 0, _batch(0))])
        calls: list[int] = []
        write = os.pwritev

        def counting(fd: int, pieces: tuple[bytes, ...], offset: int) -> int:
            calls.append(offset)
            return write(fd, pieces, offset)

        monkeypatch.setattr(os, "pwritev", counting)
        journal.append([(TRADES, 1, _batch(1))])
        assert len(calls) == 1
        journal.close({})

    def test_append_of_several_tables_is_found_whole_or_not_at_all(self, tmp_path: Path) -> None:
        gaps = made_rows(FEED_GAPS, first=0, known_us=[OPEN_US]).to_batches()[0]
        journal = _journal(tmp_path / "whole")
        journal.append([(TRADES, 0, _batch(0, 2))])
        alone = journal_files(tmp_path / "whole", "us")[0].stat().st_size
        journal.append([(TRADES, 2, _batch(2, 2)), (GAPS, 0, gaps)])
        journal.close({})
        (whole,) = journal_files(tmp_path / "whole", "us")
        content = whole.read_bytes()
        for cut in (*range(alone, len(content), 97), len(content) - 1, len(content)):
            folder = tmp_path / str(cut)
            folder.mkdir()
            (folder / whole.name).write_bytes(content[:cut])
            found = _journal(folder)
            (segment,) = found.found
            is_whole = cut == len(content)
            assert segment.ends == ({TRADES: 4, GAPS: 1} if is_whole else {TRADES: 2})
            assert segment.torn_bytes == (0 if is_whole else cut - alone)
            found.close({})


class TestRemoval:
    def test_files_go_when_every_row_of_every_lane_is_stored(self, tmp_path: Path) -> None:
        journal = _journal(tmp_path, segment_bytes=1)
        gaps = made_rows(FEED_GAPS, first=0, known_us=[OPEN_US]).to_batches()[0]
        journal.append([(TRADES, 0, _batch(0, 2))])
        journal.append([(GAPS, 0, gaps)])
        journal.append([(TRADES, 2, _batch(2, 2))])
        journal.drop({TRADES: 2})
        assert [path.name[-14:] for path in journal_files(tmp_path, "us")] == [
            "000001.journal",
            "000002.journal",
        ]
        assert journal.close({TRADES: 3, GAPS: 1}) is False
        assert len(journal_files(tmp_path, "us")) == 1
        again = _journal(tmp_path)
        assert again.close({TRADES: 4}) is True
        assert list(tmp_path.iterdir()) == []

    def test_file_under_way_stays_until_it_is_closed(self, tmp_path: Path) -> None:
        journal = _journal(tmp_path)
        journal.append([(TRADES, 0, _batch(0, 2))])
        journal.drop({TRADES: 2})
        assert len(journal_files(tmp_path, "us")) == 1
        journal.sync()
        assert journal.close({TRADES: 2}) is True


class TestAfterAKill:
    def test_append_cut_short_is_left_out_and_told(self, tmp_path: Path) -> None:
        path = _written(tmp_path)
        whole = path.read_bytes()
        last = scan(path).records[-1]
        for kept in (last.offset - 24 + 1, last.offset, last.offset + last.length - 1):
            path.write_bytes(whole[:kept])
            found = scan(path)
            assert [record.first for record in found.records] == [0, 2]
            assert found.torn_bytes == kept - (last.offset - 24)

    def test_next_process_begins_a_file_of_its_own(self, tmp_path: Path) -> None:
        path = _written(tmp_path)
        path.write_bytes(path.read_bytes()[:-5])
        before = path.read_bytes()
        journal = _journal(tmp_path)
        journal.append([(TRADES, 4, _batch(4, 2))])
        assert journal.read(TRADES, 0, 6).num_rows == 6
        assert path.read_bytes() == before
        journal.close({})

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_file_cut_at_any_byte_holds_every_whole_append_before(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("journal")
        path = _written(folder, appends=4)
        ends = [record.offset + record.length for record in scan(path).records]
        kept = data.draw(st.integers(0, ends[-1]))
        path.write_bytes(path.read_bytes()[:kept])
        assert len(scan(path).records) == sum(end <= kept for end in ends)

    @pytest.mark.parametrize("place", ["description", "batch", "length"])
    def test_damage_that_good_appends_follow_is_refused_not_skipped(
        self, tmp_path: Path, place: str
    ) -> None:
        path = _written(tmp_path)
        content = bytearray(path.read_bytes())
        offset = {"description": 40, "batch": scan(path).records[0].offset + 9, "length": 0}[place]
        if place == "length":
            offset = scan(path).records[1].offset - 24 + 8  # its lane
        content[offset] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(JournalError, match="is damaged"):
            scan(path)


class TestOtherFiles:
    def test_journal_of_another_version_is_refused(self, tmp_path: Path) -> None:
        path = _written(tmp_path)
        content = bytearray(path.read_bytes())
        content[len(MAGIC)] = 9
        path.write_bytes(content)
        with pytest.raises(JournalError, match="is of version 9: expected 1; start the release"):
            _journal(tmp_path)

    def test_foreign_file_of_the_name_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / f"us-{DAY}-000000.journal"
        path.write_bytes(b"PAR1 and so on")
        with pytest.raises(JournalError, match="is no journal: expected it to begin with"):
            _journal(tmp_path)
        path.unlink()
        _journal(tmp_path).close({})  # the refusal let go of the lock

    def test_rows_of_another_schema_version_are_refused(self, tmp_path: Path) -> None:
        path = _written(tmp_path)
        content = path.read_bytes()
        length = struct.unpack_from("<I", content, 8)[0]
        told = json.loads(content[16 : 16 + length])
        told["lanes"][0][2] = 7
        text = json.dumps(told).encode()
        head = content[:8] + struct.pack("<II", len(text), zlib.crc32(text)) + text
        path.write_bytes(head + content[16 + length :])
        with pytest.raises(JournalError, match="live_trades, schema version 7: expected 1"):
            scan(path)

    def test_other_streams_and_sessions_are_left_alone(self, tmp_path: Path) -> None:
        path = _written(tmp_path)
        other = _journal(tmp_path, day=date(2026, 11, 23))
        assert other.found == []
        other.append([(TRADES, 0, _batch(0))])
        assert other.close({TRADES: 1}) is True
        assert journal_files(tmp_path, "us") == [path]
        assert journal_files(tmp_path, "crypto") == []


class TestOneProcess:
    def test_second_one_of_the_same_session_is_refused_with_the_holders_number(
        self, tmp_path: Path
    ) -> None:
        journal = _journal(tmp_path)
        with pytest.raises(AlreadyHeldError, match=f"held by process {os.getpid()}"):
            _journal(tmp_path)
        journal.close({})
        _journal(tmp_path).close({})

    def test_killed_holder_does_not_block_the_next(self, tmp_path: Path) -> None:
        script = (
            "import os, signal, sys\nfrom pathlib import Path\n"
            "from streaming.keeping.locking import FileLock\n"
            f"FileLock(Path(sys.argv[1]) / 'us-{DAY}.lock')\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, check=False, timeout=60
        )
        assert done.returncode == -9
        assert (tmp_path / f"us-{DAY}.lock").exists()
        _journal(tmp_path).close({})

    def test_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(LakeUnavailableError, match="DEALER_DATA_DIR"):
            _journal(tmp_path / "file" / "below")


class TestFullDisk:
    def test_refused_append_leaves_the_journal_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = _journal(tmp_path)
        journal.append([(TRADES, 0, _batch(0, 2))])
        write = os.pwritev

        def half(fd: int, pieces: tuple[bytes, ...], offset: int) -> int:
            content = b"".join(bytes(piece) for piece in pieces)
            return write(fd, [content[: len(content) // 2]], offset)

        monkeypatch.setattr(os, "pwritev", half)
        with pytest.raises(OSError, match="it took"):
            journal.append([(TRADES, 2, _batch(2, 2))])
        monkeypatch.setattr(os, "pwritev", write)
        (path,) = journal_files(tmp_path, "us")
        assert scan(path).torn_bytes == 0
        journal.append([(TRADES, 2, _batch(2, 2))])
        assert [record.first for record in scan(path).records] == [0, 2]
        journal.close({})

    def test_file_that_cannot_be_begun_leaves_none_and_the_next_attempt_succeeds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = _journal(tmp_path)
        with monkeypatch.context() as patch:

            def refuse(*_: object) -> int:
                raise OSError(28, "No space left on device")

            patch.setattr(os, "pwritev", refuse)
            for _ in range(3):
                with pytest.raises(OSError, match="No space"):
                    journal.append([(TRADES, 0, _batch(0))])
        assert journal_files(tmp_path, "us") == []
        journal.append([(TRADES, 0, _batch(0))])
        assert [path.name for path in journal_files(tmp_path, "us")] == [f"us-{DAY}-000000.journal"]
        journal.close({})

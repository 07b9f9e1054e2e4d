"""A recording gives back what was received, whole or a window, and survives a killed writer."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dealer_assets.errors import BadInputError
from dealer_assets_tests.streaming.small_market import DAY, OPEN_US, start
from streaming.core.events import Frame
from streaming.recordings.frames_file import FramesFile, FramesWriter
from streaming.recordings.recorded import RecordedFeed
from streaming.recordings.recording import Recorder, Recording, recordings_in

SECOND = 1_000_000


def some_frames(count: int, *, seed: int = 0, every_us: int = 37_000) -> list[Frame]:
    rng = np.random.default_rng(seed)
    names = [("polygon", "options"), ("polygon", "indices"), ("desk", "tick")]
    return [
        Frame(*names[rng.integers(3)], OPEN_US + i * every_us, rng.bytes(int(rng.integers(0, 900))))
        for i in range(count)
    ]


def written(path: Path, frames: list[Frame]) -> Path:
    writer = FramesWriter(path)
    writer.append(frames)
    writer.close()
    return path


def read_all(file: FramesFile, **window: int) -> list[Frame]:
    return [frame for some in file.read(**window) for frame in some]


def test_frames_come_back_exactly_however_they_were_handed_over(tmp_path: Path) -> None:
    frames = some_frames(2000)
    whole = written(tmp_path / "whole", frames)
    writer = FramesWriter(tmp_path / "single")
    for frame in frames:
        writer.append([frame])
    writer.close()
    assert whole.read_bytes() == (tmp_path / "single").read_bytes()
    file = FramesFile(whole)
    assert read_all(file) == frames
    assert (file.frames, file.torn_bytes) == (2000, 0)


def test_a_block_spans_a_second_at_most(tmp_path: Path) -> None:
    blocks = FramesFile(written(tmp_path / "f", some_frames(500))).blocks
    assert len(blocks) > 15
    assert all(block.last_us - block.first_us < SECOND for block in blocks)


def test_a_window_is_read_without_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = some_frames(2000)
    file = FramesFile(written(tmp_path / "f", frames))
    opened: list[int] = []
    original = FramesFile._body

    def noting(handle: object, block: object) -> bytes | None:
        opened.append(block.offset)  # type: ignore[attr-defined]
        return original(handle, block)  # type: ignore[arg-type]

    monkeypatch.setattr(FramesFile, "_body", staticmethod(noting))
    begin, end = OPEN_US + 20 * SECOND, OPEN_US + 22 * SECOND
    assert read_all(file, from_us=begin, until_us=end) == [
        frame for frame in frames if begin <= frame.received_us < end
    ]
    assert len(opened) <= 4 < len(file.blocks)


@pytest.mark.parametrize("lost", [1, 10, 41, 300])
def test_a_torn_tail_is_cut_off_and_said(tmp_path: Path, lost: int) -> None:
    frames = some_frames(400)
    path = written(tmp_path / "f", frames)
    last = FramesFile(path).blocks[-1]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - lost])
    file = FramesFile(path)
    kept = read_all(file)
    assert kept == frames[: len(kept)]
    assert len(kept) == 400 - last.frames
    assert file.torn_bytes == len(data) - lost - last.offset


def test_a_tail_of_the_right_length_without_its_bytes_is_torn_too(tmp_path: Path) -> None:
    path = written(tmp_path / "f", some_frames(400))
    last = FramesFile(path).blocks[-1]
    data = path.read_bytes()
    path.write_bytes(data[:-100] + bytes(100))
    file = FramesFile(path)
    assert file.frames == 400 - last.frames
    assert file.torn_bytes == len(data) - last.offset


def test_damage_in_the_middle_is_refused_in_words(tmp_path: Path) -> None:
    path = written(tmp_path / "f", some_frames(400))
    blocks = FramesFile(path).blocks
    data = bytearray(path.read_bytes())
    data[blocks[3].offset + 60] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=f"byte {blocks[3].offset:,} is damaged"):
        read_all(FramesFile(path))
    data[blocks[3].offset + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInputError, match="whole blocks go on at byte"):
        FramesFile(path)


def test_a_writer_never_touches_an_earlier_file(tmp_path: Path) -> None:
    written(tmp_path / "f", some_frames(3))
    with pytest.raises(FileExistsError):
        FramesWriter(tmp_path / "f")


def test_a_recording_starts_as_the_desk_did(tmp_path: Path) -> None:
    given = replace(
        start(),
        settled=start().listed.slice(3, 4),
        taken={("live_trades", "SPX"): 7},
        restored={"SPX": start().listed.slice(0, 3)},
        missing=("quotes",),
    )
    recorder = Recorder(tmp_path, given, started_us=OPEN_US)
    recorder.append(some_frames(10))
    recorder.close()
    recording = Recording(recorder.folder)
    found = recording.start()
    assert recording.name == "us-simulator-2025-12-18-143000"
    assert found.listed.equals(given.listed)
    assert found.open_interest is not None
    assert found.open_interest.equals(given.open_interest)
    assert found.settled is not None
    assert found.settled.equals(given.settled)
    assert found.restored["SPX"].equals(given.restored["SPX"])
    for name in ("desk", "feed", "lanes", "sessions", "options", "taken", "missing"):
        assert getattr(found, name) == getattr(given, name)
    assert found.curve is not None
    assert given.curve is not None
    assert found.curve.date == DAY
    assert np.array_equal(found.curve.zero_rate, given.curve.zero_rate)
    assert recording.span_us == (OPEN_US, OPEN_US + 9 * 37_000)


def test_a_recording_without_open_interest_positions_and_curve_says_so(tmp_path: Path) -> None:
    given = replace(start(), open_interest=None, curve=None)
    recorder = Recorder(tmp_path, given, started_us=OPEN_US)
    recorder.close()
    found = Recording(recorder.folder).start()
    assert found.open_interest is None
    assert found.settled is None  # nor have recordings of before it was kept
    assert found.curve is None


def test_two_recordings_of_one_second_lie_side_by_side(tmp_path: Path) -> None:
    for _ in range(2):
        Recorder(tmp_path, start(), started_us=OPEN_US).close()
    Recorder(tmp_path, start(), started_us=OPEN_US - SECOND).close()
    assert [folder.name for folder in recordings_in(tmp_path)] == [
        "us-simulator-2025-12-18-142959",
        "us-simulator-2025-12-18-143000",
        "us-simulator-2025-12-18-143000-2",
    ]


def test_what_is_no_recording_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"expected the folder of a recording"):
        Recording(tmp_path)
    folder = Recorder(tmp_path, start(), started_us=OPEN_US)
    folder.close()
    with pytest.raises(BadInputError, match="holds no frame"):
        _ = Recording(folder.folder).span_us
    meta = json.loads((folder.folder / "meta.json").read_text())
    (folder.folder / "meta.json").write_text(json.dumps(meta | {"version": 99}))
    with pytest.raises(BadInputError, match="expected a recording of layout 1, found 99"):
        Recording(folder.folder)


def played(recording: Recording, **options: float) -> list[Frame]:
    taken: list[Frame] = []
    asyncio.run(RecordedFeed(recording, **options).run(taken.append))  # type: ignore[arg-type]
    return taken


def test_a_recorded_feed_delivers_the_same_at_any_speed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start(), started_us=OPEN_US)
    frames = some_frames(300)
    recorder.append(frames)
    recorder.close()
    recording = Recording(recorder.folder)
    assert played(recording) == frames
    assert played(recording, speed=200.0) == frames
    window = {"from_us": OPEN_US + SECOND, "until_us": OPEN_US + 2 * SECOND}
    expected = [f for f in frames if OPEN_US + SECOND <= f.received_us < OPEN_US + 2 * SECOND]
    assert played(recording, **window) == expected


def test_a_recorded_feed_waits_while_it_is_paused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start(), started_us=OPEN_US)
    recorder.append(some_frames(50))
    recorder.close()

    async def main() -> None:
        feed = RecordedFeed(Recording(recorder.folder))
        taken: list[Frame] = []

        def deliver(frame: Frame) -> None:
            taken.append(frame)
            if len(taken) == 20:
                feed.pause()

        running = asyncio.create_task(feed.run(deliver))
        for _ in range(200):
            await asyncio.sleep(0)
        assert (len(taken), feed.state.phase) == (20, "waiting")
        feed.resume()
        await running
        assert (len(taken), feed.state.phase) == (50, "stopped")

    asyncio.run(main())

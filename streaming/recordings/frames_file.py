"""One append-only file of frames: blocks with a checksum, found by time.

Belongs here: the bytes of blocks, appending, reading a window, a torn tail. Does not belong here:
what a session's recording holds beside its frames (`recording`).

A block is a header (counts, first and last instant, sizes, checksum) and a zstd body. A reader
walks the headers, so that a window costs its own blocks and 40 bytes of every other. A process
killed while it wrote leaves a torn last block: readers leave it away and say so.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from dealer_assets.errors import BadInputError
from streaming.core.events import Frame

_HEADER = struct.Struct("<4sIIqqIII")
_MAGIC: Final = b"FRM1"
_SEPARATOR = "\n"
_BLOCK_BYTES = 1 << 20
_BLOCK_US = 1_000_000
"""A block is closed at either, so that a killed process loses at most a second of frames; at whole
seconds, because a desk works second by second."""

_ZSTD_LEVEL = 1
_SEARCHED = 4 * _BLOCK_BYTES
_EVER = (-(1 << 62), 1 << 62)


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block lies and what it spans.

    Parameters
    ----------
    offset : int
        Of its header in the file [bytes].
    frames : int
        How many it holds.
    first_us, last_us : int
        When its first and last frame were received, microseconds since 1970.
    """

    offset: int
    frames: int
    first_us: int
    last_us: int


class FramesWriter:
    """Appends frames to a new file; what is closed in a block is safe from a killed process.

    Parameters
    ----------
    path : pathlib.Path
        File; must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._frames: list[Frame] = []
        self._bytes = 0
        self.frames = 0
        self.bytes_written = 0

    def append(self, frames: Sequence[Frame]) -> None:
        """Add frames; blocks that are full are written.

        Raises
        ------
        OSError
            When the disk refuses.
        """
        for frame in frames:
            if self._frames and self._is_full(frame.received_us):
                self.flush()
            self._frames.append(frame)
            self._bytes += len(frame.payload)
        self.frames += len(frames)

    def _is_full(self, now_us: int) -> bool:
        second = self._frames[0].received_us // _BLOCK_US
        return self._bytes >= _BLOCK_BYTES or now_us // _BLOCK_US != second

    def flush(self) -> None:
        """Write what waits as a block, however small."""
        if self._frames:
            block = encode(self._frames)
            written = self._file.write(block)
            if written != len(block):
                self._file.truncate(self.bytes_written)
                self._file.seek(self.bytes_written)
                raise OSError(errno.ENOSPC, "the recording's disk took a part of a block only")
            self.bytes_written += len(block)
            self._frames, self._bytes = [], 0

    def close(self) -> None:
        """Write what waits and close the file."""
        if not self._file.closed:
            self.flush()
            self._file.close()


def encode(frames: Sequence[Frame]) -> bytes:
    """Return frames as one block."""
    streams: dict[tuple[str, str], int] = {}
    codes = [streams.setdefault((f.feed, f.channel), len(streams)) for f in frames]
    names = _SEPARATOR.join(word for pair in streams for word in pair).encode()
    received = np.array([f.received_us for f in frames], "<i8")
    lengths = np.array([len(f.payload) for f in frames], "<u4")
    raw = b"".join(
        (
            received.tobytes(),
            lengths.tobytes(),
            np.array(codes, "<u2").tobytes(),
            names,
            *(f.payload for f in frames),
        )
    )
    body = pa.Codec("zstd", compression_level=_ZSTD_LEVEL).compress(raw, asbytes=True)
    fields = (len(frames), len(raw), int(received[0]), int(received[-1]), len(body))
    checked = _HEADER.pack(_MAGIC, *fields, zlib.crc32(body), 0)
    head = _HEADER.pack(_MAGIC, *fields, zlib.crc32(body), zlib.crc32(checked))
    return b"".join((head, body))


@dataclass(frozen=True, slots=True)
class _Head:
    frames: int
    raw_bytes: int
    first_us: int
    last_us: int
    body_bytes: int
    crc: int


def _head(data: bytes) -> _Head | None:
    """Read a header; None when it is none, or damaged."""
    if len(data) < _HEADER.size:
        return None
    magic, *fields, own = _HEADER.unpack(data)
    if magic != _MAGIC or own != zlib.crc32(_HEADER.pack(magic, *fields, 0)):
        return None
    return _Head(*fields)


class FramesFile:
    """Reads a file of frames, whole or a window of it.

    Parameters
    ----------
    path : pathlib.Path
        File.

    Attributes
    ----------
    blocks : list of Block
        All whole blocks, in order.
    torn_bytes : int
        Bytes at the end that are no whole block.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.torn_bytes = 0
        self._scan()

    def _scan(self) -> None:
        size, offset = self.path.stat().st_size, 0
        with self.path.open("rb", buffering=0) as file:
            while offset < size:
                file.seek(offset)
                head = _head(file.read(_HEADER.size))
                if head is None or offset + _HEADER.size + head.body_bytes > size:
                    break
                self.blocks.append(Block(offset, head.frames, head.first_us, head.last_us))
                offset += _HEADER.size + head.body_bytes
            if self.blocks and offset == size and self._body(file, self.blocks[-1]) is None:
                # a power cut may leave the length of the last block without its bytes
                offset = self.blocks.pop().offset
            file.seek(offset)
            self._refuse_damage(offset, file.read(_SEARCHED))
        self.torn_bytes = size - offset

    def _refuse_damage(self, offset: int, tail: bytes) -> None:
        """Refuse a file that goes on after bytes that are no block: it is not torn, but damaged."""
        found = tail.find(_MAGIC, 1)
        while found > 0:
            if _head(tail[found : found + _HEADER.size]) is not None:
                raise BadInputError(
                    f"{self.path}: expected a block of frames at byte {offset:,}, found damage; "
                    f"whole blocks go on at byte {offset + found:,}. Copy the recording anew"
                )
            found = tail.find(_MAGIC, found + 1)

    @property
    def frames(self) -> int:
        """Frames in whole blocks."""
        return sum(block.frames for block in self.blocks)

    def read(
        self, *, from_us: int | None = None, until_us: int | None = None
    ) -> Iterator[list[Frame]]:
        """Yield the frames of a window, block by block.

        Parameters
        ----------
        from_us, until_us : int, optional
            Microseconds since 1970; the first is included, the second is not.

        Raises
        ------
        BadInputError
            When a block in the middle is damaged.
        """
        first = _EVER[0] if from_us is None else from_us
        end = _EVER[1] if until_us is None else until_us
        with self.path.open("rb", buffering=0) as file:
            for block in self.blocks:
                if block.last_us < first or block.first_us >= end:
                    continue
                body = self._body(file, block)
                if body is None:
                    raise BadInputError(
                        f"{self.path}: the block of frames at byte {block.offset:,} is damaged "
                        "(its checksum differs): copy the recording anew, or replay a window "
                        "beside it"
                    )
                frames = _frames(body, block.frames)
                if block.first_us < first or block.last_us >= end:
                    frames = [f for f in frames if first <= f.received_us < end]
                if frames:
                    yield frames

    @staticmethod
    def _body(file: BinaryIO | FileIO, block: Block) -> bytes | None:
        """Read a block's body; None when it is damaged."""
        file.seek(block.offset)
        head = _head(file.read(_HEADER.size))
        if head is None:
            return None
        packed = file.read(head.body_bytes)
        if zlib.crc32(packed) != head.crc:
            return None
        raw: bytes = pa.Codec("zstd").decompress(packed, head.raw_bytes, asbytes=True)
        return raw


def _frames(raw: bytes, count: int) -> list[Frame]:
    received = np.frombuffer(raw, "<i8", count).tolist()
    lengths = np.frombuffer(raw, "<u4", count, 8 * count)
    codes = np.frombuffer(raw, "<u2", count, 12 * count).tolist()
    begin = len(raw) - int(lengths.sum(dtype=np.int64))
    words = raw[14 * count : begin].decode().split(_SEPARATOR)
    ends = (begin + np.cumsum(lengths, dtype=np.int64)).tolist()
    frames = []
    for at, code, end in zip(received, codes, ends, strict=True):
        frames.append(Frame(words[2 * code], words[2 * code + 1], at, raw[begin:end]))
        begin = end
    return frames

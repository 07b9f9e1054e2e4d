"""One session in the cache: payloads put one by one, packed when all are there.

Belongs here: reading, putting, marking complete, dropping what is damaged. Does not belong here:
bytes of the files (`cache_files`), the cache as a whole (`cache`).
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from dealer_assets.errors import LakeUnavailableError
from dealer_assets.lake import cache_files as files
from dealer_assets.lake.cache_files import Entry, Index
from dealer_assets.lake.storage import Lake

_PACKED_BYTES = 4 << 20
"""Larger payloads stay files of their own."""

_PACK_BYTES = 64 << 20


@dataclass
class _Held:
    """What a day holds, as far as this process knows."""

    index: Index
    present: set[str] = field(default_factory=set)
    """Files in the folder."""

    @property
    def loose(self) -> list[str]:
        """Payloads of their own that the index does not tell of."""
        told = self.index.files
        return sorted(n for n in self.present if files.is_piece_file(n) and n not in told)


class CachedDay:
    """The payloads of one session; a `providers.base.Keep`.

    Several processes may put payloads at once. A payload that another process put since this one
    looked counts as absent, which costs a second fetch and nothing else.

    Parameters
    ----------
    store : Lake
        Where the cache lies.
    folder : str
        The day's folder in it.

    Attributes
    ----------
    damaged : list of str
        What was found damaged by this object, in words; it was dropped.
    """

    def __init__(self, store: Lake, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._held: _Held | None = None
        self._last_pack: tuple[str, bytes] = ("", b"")
        self.damaged: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Whether the session was marked complete, and nothing was put or dropped since."""
        held = self._look()
        return held.index.is_complete and not held.loose and held.index.files <= held.present

    def pieces(self) -> list[str]:
        """Return the names of the payloads that are held, sorted; damage is not looked for."""
        held = self._look()
        loose = [files.piece_of(self._read(name) or b"") for name in held.loose]
        return sorted({*held.index.entries, *filter(None, loose)})

    def get(self, piece: str) -> bytes | None:
        """Return a payload, or None when it is not held or damaged; damage is dropped and noted.

        Raises
        ------
        LakeUnavailableError
            When storage refuses.
        """
        record = self._record(piece)
        if record is None:
            return None
        payload, damage = files.decode(record, piece)
        if damage:
            self._note(piece, damage)
            name = files.piece_file(piece)
            self._store.remove(f"{self._folder}/{name}")
            self._known().present.discard(name)
            self._drop(piece)
        return payload

    def put(self, piece: str, payload: bytes) -> None:
        """Keep a payload; a session that was complete is no longer, until it is marked again.

        Raises
        ------
        LakeUnavailableError
            When storage refuses.
        """
        name = files.piece_file(piece)
        entry = self._known().index.entries.get(piece)
        if entry is not None and entry.file == name:
            self._drop(piece)  # the index must never tell of a file that holds something else
        self._store.put(f"{self._folder}/{name}", pa.py_buffer(files.encode(piece, payload)))
        if entry is not None and entry.file != name:
            self._drop(piece)
        self._known().present.add(name)

    def mark_complete(self, expected: Collection[str] | None = None) -> bool:
        """Pack what is held and say that it is all there is.

        Parameters
        ----------
        expected : collection of str, optional
            Payloads that have to be among them.

        Returns
        -------
        bool
            Whether the session is complete now. Not when nothing is held, when an expected payload
            is missing, or when one turns out to be damaged; the last two are noted.

        Raises
        ------
        LakeUnavailableError
            When storage refuses; every payload is still there.
        """
        with _alone(self._store, self._folder):
            held = self._look()
            missing = [
                piece
                for piece in sorted(set(expected or ()) - set(held.index.entries))
                if files.piece_file(piece) not in held.present
            ]
            if missing:
                self._note(missing[0], f"expected, but not held ({len(missing)} such payloads)")
            if missing or not (held.loose or held.index.entries):
                return False
            is_complete = True
            if held.loose or not held.index.is_complete:
                is_complete = self._pack(held)
            return is_complete

    def forget(self) -> int:
        """Remove everything that is held, the index first; return the number of files."""
        names = sorted(self._store.files(self._folder), key=lambda name: name != files.INDEX)
        self._held, self._last_pack = None, ("", b"")
        return sum(self._store.remove(f"{self._folder}/{name}") for name in names)

    def verify(self) -> list[str]:
        """Read every payload; return what is wrong, in words, and leave everything as it is."""
        held = self._look()
        told = [f"{files.INDEX}: {held.index.damage}"] if held.index.damage else []
        for piece, entry in sorted(held.index.entries.items()):
            damage = files.decode(self._entry(entry) or b"", piece)[1]
            told += [f"{piece}: {damage}"] if damage else []
        for name in held.loose:
            record = self._read(name) or b""
            piece = files.piece_of(record)
            damage = files.decode(record, piece)[1]
            told += [f"{piece or name}: {damage}"] if damage else []
        return told

    def _record(self, piece: str) -> bytes | None:
        """Return the newest bytes under a name: a file of its own goes before the index."""
        name = files.piece_file(piece)
        for held in (self._known(), None):
            held = held or self._look()  # another process may have packed what was listed
            entry = held.index.entries.get(piece)
            record = self._read(name) if name in held.present else None
            if record is None and entry is not None and entry.file != name:
                record = self._entry(entry)
            if record is not None or (name not in held.present and entry is None):
                return record
        return None

    def _pack(self, held: _Held) -> bool:
        """Write packs, then the index, then remove what was packed; tell whether all was well."""
        entries = dict(held.index.entries)
        packed: list[str] = []
        batch: dict[str, bytes] = {}
        size, is_well = 0, True
        for name in held.loose:
            record = self._read(name) or b""
            piece = files.piece_of(record)
            damage = files.decode(record, piece)[1]
            if damage:
                is_well = False
                self._note(piece or name, damage)
                packed.append(name)
            elif len(record) > _PACKED_BYTES:
                entries[piece] = files.entry_of(record, name, offset=0)
            else:
                batch[piece] = record
                packed.append(name)
                size += len(record)
            if size >= _PACK_BYTES:
                entries |= self._put_pack(batch)
                batch, size = {}, 0
        entries |= self._put_pack(batch)
        self._write(Index(entries, is_complete=is_well))
        for name in packed:
            self._store.remove(f"{self._folder}/{name}")
        self._look()
        return is_well

    def _put_pack(self, batch: dict[str, bytes]) -> dict[str, Entry]:
        content = b"".join(batch.values())
        if not content:
            return {}
        name, offset = files.pack_file(content), 0
        self._store.put(f"{self._folder}/{name}", pa.py_buffer(content))
        entries = {}
        for piece, record in batch.items():
            entries[piece] = files.entry_of(record, name, offset=offset)
            offset += len(record)
        return entries

    def _drop(self, piece: str) -> None:
        """Take a payload out of the index: what it tells of is damaged, or older."""
        with _alone(self._store, self._folder):
            index = self._look().index
            if piece in index.entries:
                rest = {name: entry for name, entry in index.entries.items() if name != piece}
                self._write(Index(rest, is_complete=False))

    def _write(self, index: Index) -> None:
        self._store.put(f"{self._folder}/{files.INDEX}", pa.py_buffer(index.encode()))
        self._known().index = index

    def _known(self) -> _Held:
        return self._held or self._look()

    def _look(self) -> _Held:
        """List the folder and read the index."""
        present = set(self._store.files(self._folder))
        index = Index.decode(self._read(files.INDEX) if files.INDEX in present else None)
        if index.damage:
            self._note(files.INDEX, index.damage)
        self._held = _Held(index, present)
        return self._held

    def _entry(self, entry: Entry) -> bytes | None:
        """Return a record; a pack is read whole and held, as its payloads are wanted in a row."""
        if self._last_pack[0] != entry.file:
            content = self._read(entry.file)
            if content is None or files.is_piece_file(entry.file):
                return content
            self._last_pack = (entry.file, content)
        return self._last_pack[1][entry.offset : entry.offset + entry.length]

    def _read(self, name: str) -> bytes | None:
        file = self._store.open(f"{self._folder}/{name}")
        if file is None:
            return None
        try:
            with file:
                return bytes(file.read())
        except OSError as error:
            raise LakeUnavailableError(
                f"cannot read {self._folder}/{name} of the cache at {self._store.uri}: {error}; "
                "check that storage, or set DEALER_CACHE_URI to another place"
            ) from error

    def _note(self, what: str, damage: str) -> None:
        text = f"{what}: {damage}"
        if text not in self.damaged:
            self.damaged.append(text)


@contextmanager
def _alone(store: Lake, folder: str) -> Iterator[None]:
    """Keep other processes of this machine from rewriting the same index; S3 has no such lock."""
    if not store.is_local:
        yield
        return
    path = Path(store.locate(folder))
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = (path / files.LOCK).open("w")
    except OSError as error:
        raise LakeUnavailableError(
            f"cannot write to the cache at {store.uri}: {error}; set DEALER_CACHE_URI to a "
            "writable place"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""The cache of fetched history: vendors' payloads, fetched once and replayed for ever.

Belongs here: the cache as a whole: what is held, whether it is whole and unharmed. Does not belong
here: a session's payloads (`cache_day`), what they say (`providers`), rows (`writer`). The cache is
a store of its own beside the lake; its paths are built in these modules alone.

A day is ``<provider>/<dataset>/<underlying>/<date>/``. A payload is put as a file of its own, so a
killed fetch loses nothing. `CachedDay.mark_complete` packs the small ones together and writes the
index last: a session of 5,000 payloads is then three files, and an index that says it is complete,
with nothing beside it, proves that it is. A payload that does not match its SHA-256 is reported,
dropped and thereby fetched again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pyarrow.fs as pafs

from dealer_assets.errors import BadInputError, LakeUnavailableError
from dealer_assets.lake import cache_files as files
from dealer_assets.lake.cache_day import CachedDay
from dealer_assets.lake.storage import Lake

_READERS = 8


@dataclass(frozen=True)
class CacheHolding:
    """What is held of one dataset of one underlying.

    Parameters
    ----------
    provider, dataset, underlying : str
        Whose, what, of what.
    complete, partial : int
        Sessions that are held whole, and others.
    pieces, bytes : int
        Payloads, and their size on disk.
    first, last : datetime.date
        First and last session of which anything is held.
    """

    provider: str
    dataset: str
    underlying: str
    complete: int
    partial: int
    pieces: int
    bytes: int
    first: date
    last: date

    @property
    def sessions(self) -> int:
        """Sessions of which anything is held."""
        return self.complete + self.partial


@dataclass(frozen=True)
class CacheProblem:
    """A payload that is not as it was received.

    Parameters
    ----------
    provider, dataset, underlying : str
        Whose, what, of what.
    session_date : datetime.date
        Session.
    text : str
        Which payload, and what is wrong with it.
    """

    provider: str
    dataset: str
    underlying: str
    session_date: date
    text: str

    def __str__(self) -> str:
        where = f"{self.provider} {self.dataset} {self.underlying} {self.session_date}"
        return f"{where}: {self.text}"


class HistoryCache:
    """All payloads ever fetched.

    Parameters
    ----------
    store : Lake
        Where they lie: a folder or a bucket, apart from the lake's tables.
    """

    def __init__(self, store: Lake) -> None:
        self._store = store

    def day(self, provider: str, dataset: str, underlying: str, session_date: date) -> CachedDay:
        """Return the payloads of a session; nothing is read or made yet.

        Raises
        ------
        BadInputError
            When a word cannot name a folder.
        """
        words = (provider, dataset, underlying)
        for word in words:
            if not files.is_folder_word(word):
                raise BadInputError(
                    f"{word!r} cannot name a folder of the cache: expected letters, digits and "
                    ". _ - only"
                )
        return CachedDay(self._store, "/".join((*words, session_date.isoformat())))

    def holdings(self) -> list[CacheHolding]:
        """Return what is held, by provider, dataset and underlying.

        One listing of the whole cache, and the first line of each session's index.
        """
        days = self._days()
        with ThreadPoolExecutor(_READERS) as pool:
            heads = list(pool.map(self._head, days))
        groups: dict[tuple[str, str, str], list[tuple[_DayFiles, int, bool]]] = {}
        for day, (pieces, is_complete) in zip(days, heads, strict=True):
            groups.setdefault(day.words, []).append((day, pieces, is_complete))
        found = []
        for words, members in sorted(groups.items()):
            complete = sum(is_complete for _, _, is_complete in members)
            dates = [day.session_date for day, _, _ in members]
            found.append(
                CacheHolding(
                    *words,
                    complete=complete,
                    partial=len(members) - complete,
                    pieces=sum(pieces for _, pieces, _ in members),
                    bytes=sum(day.bytes for day, _, _ in members),
                    first=min(dates),
                    last=max(dates),
                )
            )
        return found

    def verify(self, *, provider: str | None = None) -> list[CacheProblem]:
        """Hold every payload, or those of one provider, against its SHA-256; change nothing.

        Returns
        -------
        list of CacheProblem
            Empty when all is well.
        """
        days = [day for day in self._days() if provider in (None, day.words[0])]
        with ThreadPoolExecutor(_READERS) as pool:
            texts = pool.map(lambda day: CachedDay(self._store, day.folder).verify(), days)
            return [
                CacheProblem(*day.words, day.session_date, text)
                for day, found in zip(days, texts, strict=True)
                for text in found
            ]

    def prune(self, *, before: date) -> int:
        """Forget all sessions before a date; return how many."""
        old = [day for day in self._days() if day.session_date < before]
        for day in old:
            CachedDay(self._store, day.folder).forget()
        return len(old)

    def _head(self, day: _DayFiles) -> tuple[int, bool]:
        """Return how many payloads a day holds, and whether it is complete."""
        loose = sum(files.is_piece_file(name) for name in day.names)
        if files.INDEX not in day.names:
            return loose, False
        file = self._store.open(f"{day.folder}/{files.INDEX}")
        if file is None:
            return loose, False
        with file:
            summary = files.read_summary(bytes(file.read(files.SUMMARY_BYTES)))
        extra = loose - summary.loose
        return summary.pieces + extra, summary.is_complete and not extra

    def _days(self) -> list[_DayFiles]:
        """All days, from one listing."""
        root = self._store.root
        try:
            selector = pafs.FileSelector(root, allow_not_found=True, recursive=True)
            infos = self._store.fs.get_file_info(selector)
        except OSError as error:
            raise LakeUnavailableError(
                f"cannot list the cache at {self._store.uri}: {error}; check storage, or set "
                "DEALER_CACHE_URI to another place"
            ) from error
        names: dict[str, list[str]] = {}
        sizes: dict[str, int] = {}
        for info in infos:
            folder, _, name = info.path[len(root) + 1 :].rpartition("/")
            if info.type == pafs.FileType.File and files.is_ours(name) and files.is_day(folder):
                names.setdefault(folder, []).append(name)
                sizes[folder] = sizes.get(folder, 0) + info.size
        return [_DayFiles(folder, tuple(names[folder]), sizes[folder]) for folder in sorted(names)]


@dataclass(frozen=True)
class _DayFiles:
    """A day as a listing shows it."""

    folder: str
    names: tuple[str, ...]
    bytes: int

    @property
    def words(self) -> tuple[str, str, str]:
        provider, dataset, underlying, _ = self.folder.split("/")
        return provider, dataset, underlying

    @property
    def session_date(self) -> date:
        return date.fromisoformat(self.folder.rpartition("/")[2])

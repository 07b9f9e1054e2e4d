"""Flat files on this machine: each fetched once for all underlyings, again when republished.

Belongs here: the folder of fetched files and what stays in it. Does not belong here: requests
(`bucket`), reading the files (`sorting`), which file answers a question (`provider`).

A file is one download for every underlying, so it stays, with its tag and hash beside it, until the
folder outgrows its limit. A lock per file makes a second process wait for the first one's download
instead of repeating it.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from dealer_assets.errors import GarbledAnswerError, ProviderUnavailableError
from dealer_assets.providers.flatfiles.bucket import VENDOR, Bucket, RemoteFile
from dealer_assets.providers.flatfiles.datasets import Dataset
from dealer_assets.providers.flatfiles.notes import (
    Note,
    hash_of,
    locked,
    part_of,
    remove_if_unused,
    remove_with_note,
    whole_file,
    write_note,
)
from dealer_assets.providers.patience import Patience

LARGEST_BYTES = 8 << 30
"""A day of quotes has over 100 GB; everything else has less than one or two."""

FOLDER_BYTES = 20 << 30
"""Room for about a year of trades and minute bars."""

_CHUNK_BYTES = 1 << 20
_CONNECT_SECONDS, _SILENCE_SECONDS = 10.0, 30.0
_SCRATCH = "scratch-"
_STALE_SECONDS = 86_400.0
_DOWNLOADS = 2
"""Times a file is fetched before a damaged one is taken for the vendor's fault."""


def s3_client(
    endpoint: str, key: SecretStr, secret: SecretStr, *, region: str = "us-east-1"
) -> Any:
    """Return an S3 client for the vendor's endpoint, to be closed.

    Path-style addresses, as the vendor and every test server take them; ten seconds to connect,
    thirty without a byte. It does not try again by itself: `FlatFiles` does, and resumes.

    Parameters
    ----------
    endpoint : str
        Scheme and host, e.g. ``https://files.polygon.io``.
    key, secret : SecretStr
        The flat files' own key pair.
    region : str
        Region to sign for; the vendor does not care which.
    """
    import logging

    import boto3
    from botocore.config import Config  # type: ignore[import-untyped]

    # its debug log prints signed headers, and whatever a server repeats of them
    logging.getLogger("botocore").setLevel(logging.INFO)
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.get_secret_value(),
        aws_secret_access_key=secret.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_SILENCE_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@dataclass(frozen=True)
class FetchedFile:
    """A whole, verified file on this machine.

    Parameters
    ----------
    path : pathlib.Path
        The gzip as received.
    etag, sha256 : str
        The bucket's tag, and the hash of the bytes.
    former_etag : str or None
        Tag of the version that was held before, when the vendor published another.
    is_checked : bool
        The bucket was asked whether this is still its version.
    """

    path: Path
    etag: str
    sha256: str
    former_etag: str | None = None
    is_checked: bool = True


class FlatFiles:
    """The vendor's bucket, and the folder of what was fetched from it; to be closed.

    Parameters
    ----------
    client : botocore S3 client
        From `s3_client`, or any other.
    folder : pathlib.Path
        Where fetched files stay; on a disk with room.
    bucket : str
        Bucket's name.
    largest_bytes : int
        A larger file is refused before it is fetched.
    folder_bytes : int
        The files fetched longest ago go when the folder holds more.
    slowest_bytes_per_second : float
        A download that is slower, the first minute aside, is broken off, to be resumed.
    patience : Patience, optional
        Attempts and pauses.
    """

    def __init__(
        self,
        client: Any,
        folder: Path,
        *,
        bucket: str = "flatfiles",
        largest_bytes: int = LARGEST_BYTES,
        folder_bytes: int = FOLDER_BYTES,
        slowest_bytes_per_second: float = 100_000.0,
        patience: Patience | None = None,
    ) -> None:
        self.folder = folder
        self._folder_bytes = folder_bytes
        self._bucket = Bucket(
            client, bucket, patience or Patience(), largest_bytes, slowest_bytes_per_second
        )

    def __enter__(self) -> FlatFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._bucket.client.close()

    def head(self, dataset: Dataset, session_date: date) -> RemoteFile:
        """Ask what the bucket has, once; errors as `Bucket.receive`."""
        return self._bucket.head(dataset, session_date)

    def touch(self, dataset: Dataset, session_date: date) -> RemoteFile:
        """Fetch one byte of a file, once; errors as `Bucket.receive`."""
        return self._bucket.touch(dataset, session_date)

    @contextmanager
    def fetched(self, dataset: Dataset, session_date: date) -> Iterator[FetchedFile]:
        """Hold a whole file while it is read; fetch it unless its newest version is here.

        Parameters
        ----------
        dataset : Dataset
            Which kind.
        session_date : datetime.date
            Which day.

        Yields
        ------
        FetchedFile
            No other process removes or replaces it meanwhile.

        Raises
        ------
        GarbledAnswerError
            When the file is cut or damaged, twice.
        ProviderError
            As `Bucket.receive`.
        """
        path = self.folder / dataset.word / f"{session_date}.csv.gz"
        with locked(path):
            yield self._newest(dataset, session_date, path)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a folder on the same disk, and remove those of killed processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _STALE_SECONDS  # housekeeping of files; never reaches data
        for left in self.folder.glob(f"{_SCRATCH}*"):
            if left.stat().st_mtime < oldest:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.folder) as folder:
            yield Path(folder)

    def _newest(self, dataset: Dataset, session_date: date, path: Path) -> FetchedFile:
        held = whole_file(path)
        if held is None:
            return self._fetch(dataset, session_date, path)
        try:
            remote = self.head(dataset, session_date)
        except ProviderUnavailableError:
            return FetchedFile(path, held.etag, held.sha256, is_checked=False)
        if remote.etag == held.etag:
            return FetchedFile(path, held.etag, held.sha256)
        return self._fetch(dataset, session_date, path, former_etag=held.etag)

    def _fetch(
        self, dataset: Dataset, session_date: date, path: Path, *, former_etag: str | None = None
    ) -> FetchedFile:
        part = part_of(path)
        damage = ""
        for _ in range(_DOWNLOADS):
            etag = self._bucket.receive(dataset, session_date, part)
            damage = _gzip_damage(part)
            if not damage:
                note = Note(etag, part.stat().st_size, hash_of(part))
                write_note(path, note)
                part.replace(path)
                remove_with_note(part)
                self._prune(keep=path)
                return FetchedFile(path, etag, note.sha256, former_etag)
            remove_with_note(part)
        raise GarbledAnswerError(
            f"{dataset.key(session_date)} of {VENDOR} is cut or damaged: expected a whole gzip, "
            f"found: {damage}. It was fetched twice and thrown away; try again later, the vendor "
            "publishes mended files under the same name"
        )

    def _prune(self, *, keep: Path) -> None:
        found = (*self.folder.glob("*/*.csv.gz"), *self.folder.glob("*/*.csv.gz.part"))
        files = [(f.stat().st_mtime, f.stat().st_size, f) for f in found]
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._folder_bytes:
                return
            if path != keep and remove_if_unused(path):
                total -= size


def _gzip_damage(path: Path) -> str:
    """Decompress to the end, which checks length and CRC; return what is wrong, or nothing."""
    if path.stat().st_size == 0:
        return "an empty file"
    try:
        with gzip.open(path) as text:
            while text.read(_CHUNK_BYTES):
                pass
    except (EOFError, OSError, zlib.error) as error:
        return str(error)
    return ""

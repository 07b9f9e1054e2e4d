"""The vendor's S3 bucket: asking, receiving with resumption, and what a refusal means.

Belongs here: requests and their errors. Does not belong here: which files stay on this machine
(`store`), what is in them (`sorting`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from dealer_assets.errors import (
    NotEntitledError,
    NotOfferedError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.flatfiles.datasets import Dataset, readable_at
from dealer_assets.providers.flatfiles.notes import Note, read_note, write_note
from dealer_assets.providers.patience import Patience, raise_for_status

VENDOR = "the flat files' bucket"
_CHUNK_BYTES = 1 << 20
_GRACE_SECONDS = 60.0
_SPARE_DISK = 1.5
"""Free disk that a download wants, as a multiple of its size: the file, and what is sorted out."""

_UNKNOWN_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})


@dataclass(frozen=True)
class RemoteFile:
    """What the bucket says of an object.

    Parameters
    ----------
    etag : str
        Changes when the file is published anew.
    bytes : int
        Its size.
    server_time : datetime.datetime or None
        The vendor's clock at the answer.
    """

    etag: str
    bytes: int
    server_time: datetime | None = None


@dataclass(frozen=True)
class Bucket:
    """The vendor's bucket.

    Parameters
    ----------
    client : botocore S3 client
        From `store.s3_client`, or any other.
    name : str
        Bucket's name.
    patience : Patience
        Attempts and pauses.
    largest_bytes : int
        A larger file is refused before it is received.
    slowest_bytes_per_second : float
        A download that is slower, the first minute aside, is broken off, to be resumed.
    """

    client: Any
    name: str
    patience: Patience
    largest_bytes: int
    slowest_bytes_per_second: float

    def head(self, dataset: Dataset, session_date: date) -> RemoteFile:
        """Ask what the bucket has, once; errors as `receive`."""
        with _asking(dataset, session_date):
            answer = self.client.head_object(Bucket=self.name, Key=dataset.key(session_date))
            return _remote(answer)

    def touch(self, dataset: Dataset, session_date: date) -> RemoteFile:
        """Fetch one byte of a file, once: the only proof that a plan covers it."""
        key = dataset.key(session_date)
        with _asking(dataset, session_date):
            answer = self.client.get_object(Bucket=self.name, Key=key, Range="bytes=0-0")
            answer["Body"].close()
            return _remote(answer)

    def receive(self, dataset: Dataset, session_date: date, part: Path) -> str:
        """Receive a file, or the rest of it when its beginning is there already.

        Parameters
        ----------
        dataset : Dataset
            Which kind.
        session_date : datetime.date
            Which day.
        part : pathlib.Path
            Where to; its note says which version the beginning is of.

        Returns
        -------
        str
            ETag of what `part` now holds whole.

        Raises
        ------
        NotEntitledError
            When plan or keys do not cover it.
        NoDataError
            When the bucket has no such file (yet).
        NotOfferedError
            When it is larger than allowed.
        ProviderUnavailableError
            When the bucket cannot be reached or breaks off; what was received stays.
        ProviderError
            When the disk has no room.
        """
        return self.patience.call(lambda: self._receive(dataset, session_date, part))

    def _receive(self, dataset: Dataset, session_date: date, part: Path) -> str:
        begun = read_note(part)
        have = part.stat().st_size if begun and part.exists() else 0
        request: dict[str, str] = {"Bucket": self.name, "Key": dataset.key(session_date)}
        if begun and 0 < have < begun.bytes:
            request |= {"Range": f"bytes={have}-", "IfMatch": f'"{begun.etag}"'}
        with _asking(dataset, session_date, part):
            answer = self.client.get_object(**request)
        with closing(answer["Body"]) as body:
            remote = _remote(answer)
            self._refuse_if_too_large(dataset, session_date, size=remote.bytes, part=part)
            span = str(answer.get("ContentRange", ""))
            is_same = begun is not None and remote.etag == begun.etag
            is_rest = is_same and span.startswith(f"bytes {have}-")
            write_note(part, Note(remote.etag, remote.bytes))
            with part.open("ab" if is_rest else "wb") as file:
                self._copy(body, file, total=remote.bytes, key=dataset.key(session_date))
        return remote.etag

    def _copy(self, body: Any, file: BinaryIO, *, total: int, key: str) -> None:
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

        def broken_off(how: str) -> ProviderUnavailableError:
            return ProviderUnavailableError(
                f"{VENDOR} {how} in {key} after {file.tell():,} of {total:,} bytes: the next "
                "attempt fetches the rest"
            )

        began, received = time.monotonic(), 0
        while True:
            try:
                chunk = body.read(_CHUNK_BYTES)
            except (BotoCoreError, OSError) as error:
                raise broken_off(f"broke off ({type(error).__name__})") from None
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            seconds = time.monotonic() - began - _GRACE_SECONDS
            if seconds * self.slowest_bytes_per_second > received:
                limit = f"{self.slowest_bytes_per_second:,.0f} bytes a second"
                raise broken_off(f"was slower than {limit}")
        if file.tell() < total:
            raise broken_off("ended early")

    def _refuse_if_too_large(
        self, dataset: Dataset, session_date: date, *, size: int, part: Path
    ) -> None:
        name = f"{dataset.key(session_date)} has {size / 1e9:,.1f} GB"
        if size > self.largest_bytes:
            raise NotOfferedError(
                f"{name}, at most {self.largest_bytes / 1e9:,.1f} are fetched: a gzip cannot be "
                "read in part. Ask another provider for chosen contracts (polygon's REST has "
                "them), or allow larger files"
            )
        free = shutil.disk_usage(part.parent).free
        if size * _SPARE_DISK > free:
            raise ProviderError(
                f"{name}, but the disk of the folder for fetched files has {free / 1e9:,.1f} GB "
                "left: free some, or set a folder elsewhere"
            )


@contextmanager
def _asking(dataset: Dataset, session_date: date, part: Path | None = None) -> Iterator[None]:
    """Turn what S3 refuses into our errors; a rest that does not fit is begun anew."""
    from botocore.exceptions import BotoCoreError, ClientError

    key = dataset.key(session_date)
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if part is not None and status in (412, 416):
            part.unlink(missing_ok=True)
            raise ProviderUnavailableError(
                f"{key} was published anew while it was being fetched: the next attempt begins at "
                "its start"
            ) from None
        _refuse(error, status, dataset, session_date)
    except (BotoCoreError, OSError) as error:
        raise ProviderUnavailableError(
            f"{VENDOR} did not answer for {key}: {type(error).__name__}; check the endpoint, or "
            "try again later"
        ) from None


def _refuse(error: Any, status: int, dataset: Dataset, session_date: date) -> NoReturn:
    code = str(error.response.get("Error", {}).get("Code", ""))
    asked = dataset.key(session_date)
    if code in _UNKNOWN_KEYS:
        raise NotEntitledError(
            f"{VENDOR} does not know this key pair ({code} for {asked}): it is another pair than "
            "the API key; copy both from the vendor's dashboard"
        ) from None
    if code == "RequestTimeTooSkewed":
        raise ProviderError(
            f"{VENDOR} finds this machine's clock too far off to believe its signature ({asked}): "
            "set the clock"
        ) from None
    expected = readable_at(session_date)
    advice = {
        403: f"The plan of these keys does not cover {dataset.prefix}. That the file is listed "
        "proves nothing: listing works for every folder, reading does not",
        404: f"Files of {session_date} are there from about {expected:%Y-%m-%d %H:%M} UTC (11:00 "
        f"New York of the next session), and the vendor has this kind since {dataset.first}: ask "
        "after that, or for another session",
    }
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        raise_for_status(
            status, vendor=VENDOR, asked=asked, said=code, headers=headers, advice=advice
        )
    except ProviderError as known:
        raise known from None  # the original may quote the signed request


def _remote(answer: Any) -> RemoteFile:
    size = str(answer.get("ContentRange", "")).rpartition("/")[2] or answer["ContentLength"]
    clock = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return RemoteFile(
        etag=str(answer["ETag"]).strip('"'),
        bytes=int(size),
        server_time=parsedate_to_datetime(clock) if clock else None,
    )

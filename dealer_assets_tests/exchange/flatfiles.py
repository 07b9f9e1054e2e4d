"""The vendor's bucket of flat files: the little of S3 that reading it takes.

Belongs here: listing, HEAD and GET with ranges, keys, plans, and the bucket's faults. Does not
belong here: what is in the files (`flatfile_bodies`).

Addresses are path-style, ``/flatfiles/<folder>/YYYY/MM/YYYY-MM-DD.csv.gz``. A file appears at 11:00
New York the day after. Listing works for every folder and every known key, reading only within the
plan. Signatures are not verified, only whose key signed. A file's tag depends on what determines
its contents; the size in a listing is a guess until the file is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from dealer_assets.domain import sessions
from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.flatfile_bodies import FOLDERS, Edition, Published, made
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

VENDOR = "flatfiles"
BUCKET = "flatfiles"

FORBIDDEN = declare("flatfiles_403", "GET and HEAD of a file: 403 AccessDenied; listing works")
SLOW_DOWN = declare("flatfiles_503", "503 SlowDown")
INTERNAL = declare("flatfiles_500", "500 InternalError")
REPUBLISHED = declare(
    "flatfiles_republished", "lasting: other contents and another ETag; `version` (2)"
)
CUT_GZIP = declare("flatfiles_cut_gzip", "lasting: files are cut off at `share` (0.6)")
DAMAGED = declare("flatfiles_damaged", "lasting: a byte in the middle of files is another one")
ABORTED = declare("flatfiles_abort", "GET: the connection breaks after `share` (0.5) of the body")
STALLED = declare("flatfiles_stall", "GET: half the body, `seconds` (30) of silence, the rest")

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 .*Credential=([^/,\s]+)/")
_KEY = re.compile(r"(.+)/(\d{4})/(\d{2})/(\d{4}-\d{2}-\d{2})\.csv\.gz")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_OUTSIDE_DELAYED_PLAN = ("us_options_opra/quotes_v1", "us_indices/")
_PUBLISHED = time(11)
_KEPT = 8
_LISTED_DAYS = 400


class S3Error(Exception):
    """A refusal: HTTP status and S3's code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class StoredFile:
    """One object.

    Parameters
    ----------
    body : bytes
        Contents.
    etag : str
        Without quotes.
    published_at : datetime.datetime
        UTC instant from which it can be read.
    """

    body: bytes
    etag: str
    published_at: datetime


def published_at(day: date) -> datetime:
    """Return the UTC instant from which a session's files can be read."""
    return datetime.combine(day + timedelta(days=1), _PUBLISHED, sessions.NEW_YORK).astimezone(UTC)


class Bucket:
    """The bucket's objects, made when first asked for.

    Parameters
    ----------
    world : World
        The market; its options may hold a `Published`.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._published = world.option(Published)
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def read(self, key: str) -> StoredFile:
        """Return an object.

        Raises
        ------
        S3Error
            404 when there is none, or not yet.
        """
        found = _KEY.fullmatch(key)
        folder = found[1] if found else ""
        day = _day(found[4]) if found else None
        if folder not in FOLDERS or day is None or not self._is_there(key, folder, day):
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        faults = self._world.faults
        options = faults.active(REPUBLISHED, key)
        version = 1 if options is None else int(options.get("version", 2))
        body, etag = self._body(key, folder, day, version), self.etag(key, version)
        options = faults.active(CUT_GZIP, key)
        if options is not None:
            share = float(options.get("share", 0.6))
            body, etag = body[: int(len(body) * share)], self.etag(f"{key}/{share}", version)
        if faults.active(DAMAGED, key) is not None:
            middle = len(body) // 2
            flipped = bytes([body[middle] ^ 0xFF])
            body = body[:middle] + flipped + body[middle + 1 :]
        return StoredFile(body, etag, published_at(day))

    def etag(self, key: str, version: int = 1) -> str:
        """Return the tag of a version of an object."""
        world = self._world
        what = f"{world.seed}/{world.density}/{self._published}/{key}/{version}"
        return hashlib.sha256(what.encode()).hexdigest()[:32]

    def keys(self, prefix: str) -> Iterator[tuple[str, date]]:
        """Yield the keys that begin with a prefix, in order, with their days; a year back."""
        today = self._world.clock.now().astimezone(sessions.NEW_YORK).date()
        days = sessions.sessions_between("XNYS", today - timedelta(days=_LISTED_DAYS), today)
        for folder in sorted(FOLDERS):
            for day in days:
                key = f"{folder}/{day:%Y/%m/%Y-%m-%d}.csv.gz"
                if key.startswith(prefix) and published_at(day) <= self._world.clock.now():
                    yield key, day

    def size(self, key: str) -> int:
        """Return an object's size if it is known, or a guess."""
        with self._lock:
            known = self._made.get((key, 1))
        return len(known) if known is not None else 60_000_000

    def _is_there(self, key: str, folder: str, day: date) -> bool:
        return (
            key == f"{folder}/{day:%Y/%m/%Y-%m-%d}.csv.gz"
            and sessions.is_session("XNYS", day)
            and published_at(day) <= self._world.clock.now()
        )

    def _body(self, key: str, folder: str, day: date, version: int) -> bytes:
        with self._lock:
            if (key, version) not in self._made:
                edition = Edition(self._world.market, day, self._published, version)
                self._made[key, version] = made(folder, edition)
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            return self._made[key, version]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def routes(world: World) -> list[web.RouteDef]:
    """Return the routes of the bucket."""
    bucket = Bucket(world)

    async def listing(request: web.Request) -> web.StreamResponse:
        world.count(VENDOR)
        try:
            _account(request)
        except S3Error as error:
            return _refused(error)
        return web.Response(text=_listed(bucket, request.query), content_type="application/xml")

    async def file(request: web.Request) -> web.StreamResponse:
        world.count(VENDOR)
        key = request.match_info["key"]
        try:
            _refuse(world, _account(request), key)
            stored = await asyncio.to_thread(bucket.read, key)
            return await _sent(request, world, key, stored)
        except S3Error as error:
            return _refused(error)

    return [
        web.get(f"/{BUCKET}", listing),
        web.get(f"/{BUCKET}/", listing),
        web.get(f"/{BUCKET}/{{key:.+}}", file),
    ]


def _account(request: web.Request) -> str:
    """Return the access key that signed a request."""
    found = _CREDENTIAL.match(request.headers.get("Authorization", ""))
    if found is None:
        raise S3Error(403, "AccessDenied", "Access Denied")
    if found[1] not in (KEY, DELAYED_KEY):
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise S3Error(403, "InvalidAccessKeyId", message)
    return found[1]


def _refuse(world: World, account: str, key: str) -> None:
    """Refuse what an armed fault says, or what lies outside the plan."""
    if world.faults.take(FORBIDDEN, key) is not None:
        raise S3Error(403, "AccessDenied", "Access Denied")
    if account == DELAYED_KEY and key.startswith(_OUTSIDE_DELAYED_PLAN):
        raise S3Error(403, "AccessDenied", "Access Denied")
    if world.faults.take(SLOW_DOWN, key) is not None:
        raise S3Error(503, "SlowDown", "Please reduce your request rate.")
    if world.faults.take(INTERNAL, key) is not None:
        raise S3Error(500, "InternalError", "We encountered an internal error.")


def _refused(error: S3Error) -> web.Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )
    return web.Response(status=error.status, text=text, content_type="application/xml")


async def _sent(
    request: web.Request, world: World, key: str, stored: StoredFile
) -> web.StreamResponse:
    etag = f'"{stored.etag}"'
    wanted = request.headers.get("If-Match")
    if wanted is not None and wanted not in (etag, "*"):
        message = "At least one of the pre-conditions you specified did not hold"
        raise S3Error(412, "PreconditionFailed", message)
    first, after, status = _span(request.headers.get("Range"), len(stored.body))
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(stored.published_at, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "application/gzip",
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{after - 1}/{len(stored.body)}"
    body = stored.body[first:after]
    if request.method == "HEAD":
        return web.Response(headers=headers | {"Content-Length": str(len(body))})
    options = world.faults.take(ABORTED, key)
    if options is not None:
        share = float(options.get("share", 0.5))
        return await _partly(request, headers, status, body, share=share, pause=None)
    options = world.faults.take(STALLED, key)
    if options is not None:
        pause = float(options.get("seconds", 30))
        return await _partly(request, headers, status, body, share=0.5, pause=pause)
    return web.Response(status=status, headers=headers, body=body)


def _span(header: str | None, size: int) -> tuple[int, int, int]:
    """Return the bytes asked for, the end left out, and the status."""
    if header is None:
        return 0, size, 200
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size, 200
    if not found[1]:
        return max(size - int(found[2]), 0), size, 206
    first = int(found[1])
    after = min(int(found[2]) + 1, size) if found[2] else size
    if first >= size or after <= first:
        raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
    return first, after, 206


async def _partly(
    request: web.Request,
    headers: Mapping[str, Any],
    status: int,
    body: bytes,
    *,
    share: float,
    pause: float | None,
) -> web.StreamResponse:
    """Send a share of a body, then hang up (None), or pause [s] and send the rest."""
    response = web.StreamResponse(status=status, headers=dict(headers))
    response.content_length = len(body)
    await response.prepare(request)
    begun = int(len(body) * share)
    await response.write(body[:begun])
    if pause is None:
        if request.transport is not None:
            request.transport.close()  # unlike abort, it sends what is written
        return response
    await asyncio.sleep(pause)
    await response.write(body[begun:])
    return response


def _listed(bucket: Bucket, query: Mapping[str, str]) -> str:
    """Return a page of a listing, version 2."""
    prefix, most = query.get("prefix", ""), min(int(query.get("max-keys", "1000")), 1000)
    after = query.get("continuation-token", query.get("start-after", ""))
    found = [(key, day) for key, day in bucket.keys(prefix) if key > after]
    page = found[:most]
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key>"
        f"<LastModified>{published_at(day):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        f"<ETag>&quot;{bucket.etag(key)}&quot;</ETag><Size>{bucket.size(key)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, day in page
    )
    is_truncated = len(found) > most
    more = f"<NextContinuationToken>{page[-1][0]}</NextContinuationToken>" if is_truncated else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"
        f"<KeyCount>{len(page)}</KeyCount>"
        f"<IsTruncated>{'true' if is_truncated else 'false'}</IsTruncated>"
        f"{more}{contents}</ListBucketResult>"
    )

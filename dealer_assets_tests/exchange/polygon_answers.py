"""What stands around every answer of the options vendor's REST interface.

Belongs here: keys and plans, the envelope, refusals, and every bad answer that is not about the
data in it. Does not belong here: data, wrong data included (`polygon_book`, `polygon_look`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.misbehaviour import (
    declare_bad_answers,
    due,
    hang_up,
    web_page,
)
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World, without_secrets

VENDOR = "polygon"
PUBLIC_HOST = "https://api.polygon.io"
"""Host of every `next_url`, wherever the exchange itself listens."""

UPGRADE = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
_TOO_MANY = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to "
    "continue."
)

declare_bad_answers(VENDOR, "refused", "silent", "slow", "empty", "truncated", "cut", "stall")
for _name, _doc in {
    "429": "HTTP 429 with the vendor's JSON; `retry_after` (1) [s] in the header",
    "429_empty": "HTTP 429 without header and without body",
    "401": "HTTP 401: unknown key",
    "403_message": "HTTP 403 with its text in `message`",
    "403_error": "HTTP 403 with its text in `error`",
    "404": "HTTP 404 with its text in `error`",
    "500": "HTTP 500 with JSON",
    "503": "HTTP 503 with a web page; `retry_after` [s], without it no header",
    "drip": "sends the body slowly: `bytes_a_second` (200)",
    "no_results": "HTTP 200 without `results`",
    "chain_ends": "leaves `next_url` out although more pages remain",
    "next_host": "another host in `next_url`: `host` (https://api.massive.com)",
    "delayed": "lasting: snapshots are 15 minutes old and say so, whatever the key's plan",
}.items():
    declare(f"{VENDOR}_{_name}", _doc)


@dataclass(frozen=True)
class Account:
    """What a key is entitled to.

    Parameters
    ----------
    delay : datetime.timedelta
        How old data is.
    has_quotes, has_indices : bool
        Plans for quotes, and for values of indices.
    """

    delay: timedelta = timedelta(0)
    has_quotes: bool = True
    has_indices: bool = True

    @property
    def timeframe(self) -> str:
        """How the vendor marks its data."""
        return "DELAYED" if self.delay else "REAL-TIME"

    @property
    def status(self) -> str:
        """Status of a good answer."""
        return "DELAYED" if self.delay else "OK"


_DELAY = timedelta(minutes=15)
_ACCOUNTS = {KEY: Account(), DELAYED_KEY: Account(_DELAY, has_quotes=False, has_indices=False)}


class RefusalError(Exception):
    """An answer that is no data: status and body."""

    def __init__(self, http_status: int, **body: str) -> None:
        super().__init__(http_status, body)
        self.http_status, self.body = http_status, body


def not_found(text: str) -> RefusalError:
    """Return the refusal of something that does not exist."""
    return RefusalError(404, status="ERROR", error=text)


def account_of(request: web.Request, world: World) -> Account:
    """Return the account of a request's key, from its header or its query.

    Raises
    ------
    RefusalError
        401 when the key is missing or unknown.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        key = request.query.get("apiKey", "")
    if not key:
        raise RefusalError(401, status="ERROR", error="API Key was not provided")
    if key not in _ACCOUNTS:
        raise RefusalError(401, status="ERROR", error="Unknown API Key")
    if world.faults.active(f"{VENDOR}_delayed", request.path) is not None:
        return replace(_ACCOUNTS[key], delay=_DELAY)
    return _ACCOUNTS[key]


def seen_at(world: World, account: Account) -> datetime:
    """Return the instant whose market an account sees [UTC]."""
    return world.clock.now() - account.delay


@dataclass(frozen=True)
class Reply:
    """A good answer before it is written.

    Parameters
    ----------
    fields : mapping
        Of the envelope, `results` aside.
    results : bytes or None
        JSON of `results`; None: there is none.
    cursor : str or None
        Of the next page.
    path : str
        Path of the next page.
    bare : bytes or None
        Whole body of an answer without an envelope.
    """

    fields: Mapping[str, Any]
    results: bytes | None = None
    cursor: str | None = None
    path: str = ""
    bare: bytes | None = None


def refusal_due(request: web.Request, world: World) -> RefusalError | web.Response | None:
    """Return the refusal that an armed fault makes of this request, or None."""

    def taken(name: str) -> Mapping[str, Any] | None:
        return due(request, world, f"{VENDOR}_{name}")

    options = taken("429")
    if options is not None:
        refusal = refused(RefusalError(429, status="ERROR", error=_TOO_MANY), world)
        refusal.headers["Retry-After"] = str(options.get("retry_after", 1))
        return refusal
    if taken("429_empty") is not None:
        return web.Response(status=429)
    options = taken("503")
    if options is not None:
        page = web_page(503)
        if "retry_after" in options:
            page.headers["Retry-After"] = str(options["retry_after"])
        return page
    for name, refusal in _refusals().items():
        if taken(name) is not None:
            return refusal
    return None


def _refusals() -> dict[str, RefusalError]:
    return {
        "401": RefusalError(401, status="ERROR", error="Unknown API Key"),
        "403_message": RefusalError(403, status="NOT_AUTHORIZED", message=UPGRADE),
        "403_error": RefusalError(403, status="ERROR", error=UPGRADE),
        "404": not_found("Options contract not found."),
        "500": RefusalError(500, status="ERROR", error="Internal server error"),
    }


def refused(error: RefusalError, world: World) -> web.Response:
    """Write a refusal."""
    body = {"status": error.body["status"], "request_id": _request_id(world)} | error.body
    return web.json_response(body, status=error.http_status)


def written(reply: Reply, request: web.Request, world: World) -> bytes:
    """Write a good answer, with what armed faults make of its envelope."""
    if reply.bare is not None:
        return reply.bare
    where = without_secrets(request.path_qs)
    fields = {**reply.fields, "request_id": _request_id(world)}
    if reply.cursor is not None and world.faults.take(f"{VENDOR}_chain_ends", where) is None:
        options = world.faults.take(f"{VENDOR}_next_host", where)
        host = PUBLIC_HOST if options is None else options.get("host", "https://api.massive.com")
        fields["next_url"] = f"{host}{reply.path}?cursor={reply.cursor}"
    rest = json.dumps(fields, separators=(",", ":")).encode()
    if reply.results is None or world.faults.take(f"{VENDOR}_no_results", where) is not None:
        return rest
    return b'{"results":' + reply.results + b"," + rest[1:]


def _request_id(world: World) -> str:
    """Return an id like the vendor's; another one for each request."""
    return hashlib.sha256(f"{world.seed}/{len(world.requests)}".encode()).hexdigest()[:32]


async def deliver(request: web.Request, world: World, body: bytes) -> web.StreamResponse:
    """Send a body, or what an armed fault makes of it."""

    def taken(name: str) -> Mapping[str, Any] | None:
        return due(request, world, f"{VENDOR}_{name}")

    if taken("refused") is not None:
        return hang_up(request)
    options = taken("silent")
    if options is not None:
        await asyncio.sleep(float(options.get("seconds", 30)))
        return hang_up(request)
    options = taken("slow")
    if options is not None:
        await asyncio.sleep(float(options.get("seconds", 19)))
    if taken("truncated") is not None:
        body = body[: len(body) // 2]
    if taken("empty") is not None:
        body = b""
    if taken("cut") is not None:
        return await _in_pieces(request, body, size=max(len(body) // 2, 1), pause=None)
    options = taken("stall")
    if options is not None:
        pause = float(options.get("seconds", 30))
        return await _in_pieces(request, body, size=len(body) // 2 + 1, pause=pause)
    options = taken("drip")
    if options is not None:
        size = max(int(options.get("bytes_a_second", 200)) // 10, 1)
        return await _in_pieces(request, body, size=size, pause=0.1)
    return web.Response(body=body, content_type="application/json")


async def _in_pieces(
    request: web.Request, body: bytes, *, size: int, pause: float | None
) -> web.StreamResponse:
    """Send a body in pieces, with pauses [s] between; None: only the first, then hang up."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    for start in range(0, len(body), size):
        if start:
            await asyncio.sleep(pause or 0.0)
        await response.write(body[start : start + size])
        if pause is None:
            if request.transport is not None:
                request.transport.close()  # unlike abort, it sends what is written
            break
    return response

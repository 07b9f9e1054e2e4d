"""Bad answers that any HTTP source can give, so that each vendor's module need not repeat them.

Belongs here: refusals, web pages, silence, bodies cut off. Does not belong here: data that is
wrong; the vendor's module has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.world import World, without_secrets

BAD_ANSWERS: dict[str, str] = {
    "refused": "closes the connection without an answer",
    "silent": "accepts the connection and answers nothing; `seconds` (30) until it closes, "
    "`robots_only` (false)",
    "slow": "first byte after `seconds` (19)",
    "403": "HTTP 403 with a web page, as bot rules answer; `robots_only` (false)",
    "429": "HTTP 429; with `retry_after` [s] the header, without it none",
    "500": "HTTP 500 with a short text",
    "503": "HTTP 503 with a web page",
    "html": "HTTP 200 with a web page instead of data",
    "empty": "HTTP 200 with no byte",
    "truncated": "HTTP 200 with the first half of the body, as if it were whole",
    "cut": "promises the whole body, sends half, closes the connection",
    "stall": "sends half the body, pauses `seconds` (30), sends the rest",
}
"""Kinds of bad answers; a vendor's fault is ``<vendor>_<kind>``."""

Body = bytes | Callable[[], bytes]


def declare_bad_answers(vendor: str, *kinds: str) -> None:
    """Declare the kinds of bad answers that a vendor gives, as faults ``<vendor>_<kind>``."""
    for kind in kinds:
        declare(f"{vendor}_{kind}", BAD_ANSWERS[kind])


def due(request: web.Request, world: World, fault: str) -> Mapping[str, Any] | None:
    """Return the options of a fault that happens to this request, counting it, or None."""
    where = without_secrets(request.path_qs)
    options = world.faults.active(fault, where)
    if options is None or (options.get("robots_only") and not is_robot(request)):
        return None
    return world.faults.take(fault, where)


def is_robot(request: web.Request) -> bool:
    """Tell whether the request's agent does not look like a browser."""
    return "mozilla" not in request.headers.get("User-Agent", "").lower()


async def answer(
    request: web.Request,
    world: World,
    vendor: str,
    body: Body,
    *,
    content_type: str = "application/json",
    status: int = 200,
) -> web.StreamResponse:
    """Answer a request with a body, or with what an armed fault makes of it.

    Parameters
    ----------
    request : aiohttp.web.Request
        The request.
    world : World
        Its faults decide.
    vendor : str
        First word of the vendor's faults.
    body : bytes or callable
        The answer; a callable is called in another thread, so that a long one stops no feed.
    content_type : str
        Of the good answer.
    status : int
        Of the good answer.
    """
    refusal = await _refusal(request, world, vendor)
    if refusal is not None:
        return refusal
    payload = body if isinstance(body, bytes) else await asyncio.to_thread(body)
    if due(request, world, f"{vendor}_empty") is not None:
        payload = b""
    if due(request, world, f"{vendor}_truncated") is not None:
        payload = payload[: len(payload) // 2]
    if due(request, world, f"{vendor}_cut") is not None:
        return await _in_two(request, payload, content_type, None)
    options = due(request, world, f"{vendor}_stall")
    if options is not None:
        return await _in_two(request, payload, content_type, float(options.get("seconds", 30)))
    return web.Response(status=status, body=payload, content_type=content_type)


async def _refusal(request: web.Request, world: World, vendor: str) -> web.Response | None:
    if due(request, world, f"{vendor}_refused") is not None:
        return hang_up(request)
    options = due(request, world, f"{vendor}_silent")
    if options is not None:
        await asyncio.sleep(float(options.get("seconds", 30)))
        return hang_up(request)
    options = due(request, world, f"{vendor}_slow")
    if options is not None:
        await asyncio.sleep(float(options.get("seconds", 19)))
    options = due(request, world, f"{vendor}_429")
    if options is not None:
        headers = {"Retry-After": str(options["retry_after"])} if "retry_after" in options else {}
        return web.Response(status=429, headers=headers, text="Too Many Requests")
    for kind, status in (("403", 403), ("503", 503), ("html", 200)):
        if due(request, world, f"{vendor}_{kind}") is not None:
            return web_page(status)
    if due(request, world, f"{vendor}_500") is not None:
        return web.Response(status=500, text="Internal Server Error")
    return None


def hang_up(request: web.Request) -> web.Response:
    """Close the connection; the response returned never leaves."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def web_page(status: int) -> web.Response:
    """Return a web page of an edge network, where data was asked for."""
    title = {200: "Pardon our interruption", 403: "Access denied", 404: "Not found"}.get(
        status, "Service unavailable"
    )
    text = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
        f"<body><h1>{title}</h1><p>Reference 18.2f5c1.{status}</p></body></html>\n"
    )
    return web.Response(status=status, text=text, content_type="text/html")


async def _in_two(
    request: web.Request, payload: bytes, content_type: str, pause_seconds: float | None
) -> web.StreamResponse:
    """Send half of a body, then close (None) or pause and send the rest."""
    half = max(len(payload) // 2, 1)
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.content_length = len(payload)
    await response.prepare(request)
    await response.write(payload[:half])
    if pause_seconds is None:
        if request.transport is not None:
            request.transport.close()  # unlike abort, it sends what is written
        return response
    await asyncio.sleep(pause_seconds)
    await response.write(payload[half:])
    return response

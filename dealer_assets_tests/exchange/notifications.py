"""Receivers of the services that alerts go to: Pushover, Telegram, Slack, Discord, webhooks.

Belongs here: what each accepts, refuses and answers. Does not belong here: who sends.

What arrives is kept in `World.notifications` without credentials, with the status it was answered
with, and shown under ``GET /admin/notifications``; ``DELETE`` forgets it. Point the senders' base
URLs here: ``/1/messages.json``, ``/bot<token>/sendMessage``, ``/services/<a>/<b>/<c>``,
``/api/webhooks/<id>/<token>``, ``/hooks/<name>`` (JSON or form).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from dealer_assets_tests.exchange.misbehaviour import answer, declare_bad_answers
from dealer_assets_tests.exchange.world import World

declare_bad_answers("hook", "500", "503", "429", "stall", "slow", "silent", "refused")

LIMITS = {"pushover": 1024, "telegram": 4096, "slack": 35_000, "discord": 2000}
"""Characters of a message; a longer one is refused."""

_CREDENTIALS = frozenset({"token", "user"})
_HTML_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|ins|s|strike|del|code|pre|a|tg-spoiler)(?: [^<>]*)?>"
)
_HTML_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
_PUSHOVER_ID = re.compile(r"[A-Za-z0-9]{30}")

Verdict = tuple[int, bytes, str]
"""Status, body and content type of an answer."""
Judge = Callable[[Mapping[str, Any]], Verdict]


def routes(world: World) -> list[web.RouteDef]:
    """Return the receivers' paths, and what they got under ``/admin``."""

    def receive(
        service: str, judge: Judge
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            got = await _read(request)
            status, body, content_type = judge(got)
            record = _record(world, request, service, got)
            world.notifications.append(record)
            response = await answer(
                request, world, "hook", body, content_type=content_type, status=status
            )
            is_lost = request.transport is None or request.transport.is_closing()
            record["status"] = None if is_lost else response.status
            return response

        return handle

    async def show(_: web.Request) -> web.Response:
        return web.json_response({"notifications": world.notifications})

    async def forget(_: web.Request) -> web.Response:
        world.notifications.clear()
        return web.json_response({"notifications": []})

    async def updates(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "result": []})

    return [
        web.post("/1/messages.json", receive("pushover", _pushover)),
        web.post("/bot{token}/sendMessage", receive("telegram", _telegram)),
        web.route("*", "/bot{token}/getUpdates", updates),
        web.post("/services/{a}/{b}/{c}", receive("slack", _slack)),
        web.post("/api/webhooks/{id}/{token}", receive("discord", _discord)),
        web.post("/hooks/{name}", receive("webhook", lambda got: (200, b"ok", "text/plain"))),
        web.get("/admin/notifications", show),
        web.delete("/admin/notifications", forget),
    ]


async def _read(request: web.Request) -> dict[str, Any]:
    """Fields of a JSON object or a form; empty for anything else."""
    if request.content_type == "application/json":
        try:
            found = json.loads(await request.text())
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
    return {name: str(value) for name, value in (await request.post()).items()}


def _record(
    world: World, request: web.Request, service: str, got: Mapping[str, Any]
) -> dict[str, Any]:
    """What is kept; its status stays None until, and unless, an answer goes out."""
    secret = _CREDENTIALS if service == "pushover" else frozenset()
    name = request.match_info.get("name")
    return {
        "service": service if name is None else f"{service}:{name}",
        "at": world.clock.now().isoformat(),
        "status": None,
        "content_type": request.content_type,
        "is_authenticated": "Authorization" in request.headers,
        "own_headers": sorted(h.lower() for h in request.headers if h.lower().startswith("x-")),
        "fields": {field: value for field, value in got.items() if field not in secret},
    }


def _json(status: int, document: Mapping[str, Any]) -> Verdict:
    return status, json.dumps(document).encode(), "application/json"


def _pushover(got: Mapping[str, Any]) -> Verdict:
    problem = ""
    for field, name in (("token", "application token"), ("user", "user identifier")):
        if not _PUSHOVER_ID.fullmatch(str(got.get(field, ""))):
            problem = problem or f"{name} is invalid"
    if not got.get("message"):
        problem = problem or "message cannot be blank"
    if len(str(got.get("message", ""))) > LIMITS["pushover"]:
        problem = problem or f"message cannot be longer than {LIMITS['pushover']} characters"
    if problem:
        return _json(400, {"errors": [problem], "status": 0, "request": "test-exchange"})
    return _json(200, {"status": 1, "request": "test-exchange"})


def _telegram(got: Mapping[str, Any]) -> Verdict:
    text = str(got.get("text", ""))
    problem = ""
    if not got.get("chat_id"):
        problem = "chat_id is empty"
    elif not text:
        problem = "message text is empty"
    elif len(text) > LIMITS["telegram"]:
        problem = "message is too long"
    elif str(got.get("parse_mode", "")).upper() == "HTML":
        problem = _html_problem(text)
    if problem:
        description = f"Bad Request: {problem}"
        return _json(400, {"ok": False, "error_code": 400, "description": description})
    return _json(200, {"ok": True, "result": {"message_id": 1, "text": text}})


def _html_problem(text: str) -> str:
    """What is wrong with a text in Telegram's HTML: only known tags and entities may be in it."""
    bare = _HTML_ENTITY.sub("", _HTML_TAG.sub("", text))
    wrong = next((i for i, letter in enumerate(bare) if letter in "<&>"), None)
    if wrong is None:
        return ""
    return f"can't parse entities: unescaped {bare[wrong]!r} near {bare[wrong : wrong + 12]!r}"


def _slack(got: Mapping[str, Any]) -> Verdict:
    if not got:
        return 400, b"invalid_payload", "text/plain"
    if not (got.get("text") or got.get("attachments") or got.get("blocks")):
        return 400, b"no_text", "text/plain"
    if len(json.dumps(got.get("attachments") or got.get("text"))) > LIMITS["slack"]:
        return 400, b"msg_too_long", "text/plain"
    return 200, b"ok", "text/plain"


def _discord(got: Mapping[str, Any]) -> Verdict:
    content = str(got.get("content", ""))
    if not content and not got.get("embeds"):
        return _json(400, {"code": 50006, "message": "Cannot send an empty message"})
    if len(content) > LIMITS["discord"]:
        problem = f"Must be {LIMITS['discord']} or fewer in length."
        return _json(400, {"code": 50035, "content": [problem]})
    return 204, b"", "application/json"

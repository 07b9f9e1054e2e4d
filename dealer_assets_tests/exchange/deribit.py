"""Deribit over HTTP: the main host under ``/api/v2``, the history host under ``/history/api/v2``.

Belongs here: requests in, replies out, and the routes of all of Deribit. Does not belong here:
methods (`deribit_rest`), the WebSocket (`deribit_ws`).

A platform's base URLs are ``<exchange>/api/v2`` (REST), ``<exchange>/history/api/v2`` (history) and
``ws://.../ws/api/v2``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

from aiohttp import web

from dealer_assets_tests.exchange import misbehaviour
from dealer_assets_tests.exchange.deribit_rest import Api
from dealer_assets_tests.exchange.deribit_rules import (
    HISTORY_PATH,
    REST_PATH,
    WS_PATH,
    Bucket,
    Buckets,
    Limits,
    RpcError,
    envelope,
    raise_faults,
)
from dealer_assets_tests.exchange.deribit_ws import Sessions
from dealer_assets_tests.exchange.world import World


def routes(world: World) -> list[web.RouteDef]:
    """Return the routes of Deribit."""
    api = Api(world)
    main, old = _Host(world, api), _Host(world, api, is_history=True)
    found: list[web.RouteDef] = [web.get(WS_PATH, Sessions(world, api).serve)]
    for path, host in ((REST_PATH, main), (HISTORY_PATH, old)):
        found += [
            web.get(f"{path}/{{method:(public|private)/.+}}", host.get),
            web.post(f"{path}/{{method:(public|private)/.+}}", host.post),
            web.post(path, host.post),
        ]
    return found


class _Host:
    """One HTTP host and the credits of everybody who asks it."""

    def __init__(self, world: World, api: Api, *, is_history: bool = False) -> None:
        self._world, self._api, self._is_history = world, api, is_history
        limits = world.option(Limits)
        self._buckets: dict[str, Buckets] = defaultdict(lambda: Buckets(limits))
        self._history: dict[str, Bucket] = defaultdict(
            lambda: Bucket(limits.history_burst, limits.history_per_second)
        )

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer parameters in the query; the reply has no id."""
        return await self._answer(request, request.match_info["method"], dict(request.query), None)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer a JSON-RPC request in the body."""
        try:
            asked: dict[str, Any] = json.loads(await request.text())
            method = asked.get("method") or request.match_info["method"]
            params, request_id = asked.get("params") or {}, asked.get("id")
        except (ValueError, AttributeError, KeyError):
            refusal = RpcError(11050, "bad_request", "invalid json")
            reply = envelope(self._now_us(), {"error": refusal.body()})
            return web.Response(status=400, text=reply, content_type="application/json")
        return await self._answer(request, method, params, request_id)

    async def _answer(
        self, request: web.Request, method: str, params: dict[str, Any], request_id: Any
    ) -> web.StreamResponse:
        begun, begun_us = time.perf_counter(), self._now_us()
        status = 200
        try:
            raise_faults(self._world, f"{request.path} {method}", method)
            self._pay(request, method)
            # in a thread of its own: history takes long, and feeds go on meanwhile
            result = await asyncio.to_thread(
                self._api.call, method, params, is_history=self._is_history
            )
            outcome = {"result": result}
        except RpcError as error:
            outcome, status = {"error": error.body()}, error.status
        spent = int((time.perf_counter() - begun) * 1e6) + 1
        reply = envelope(begun_us, outcome, request_id=request_id, spent_us=spent)
        return await misbehaviour.answer(
            request, self._world, "deribit", reply.encode(), status=status
        )

    def _pay(self, request: web.Request, method: str) -> None:
        who = request.remote or ""
        if self._is_history:
            self._history[who].take(1.0)
        else:
            self._buckets[who].pay(method)

    def _now_us(self) -> int:
        return int(self._world.clock.now().timestamp() * 1e6)

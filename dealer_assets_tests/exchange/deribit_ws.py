"""Deribit's WebSocket: sessions, heartbeats, credits, subscriptions, and how they end badly.

Belongs here: the conversation. Does not belong here: methods (`deribit_rest`), what channels send
(`deribit_channels`), the connection itself (`ws_session`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from dealer_assets_tests.exchange import deribit_rules as rules, misbehaviour
from dealer_assets_tests.exchange.deribit_channels import is_raw, needs_tape, source
from dealer_assets_tests.exchange.deribit_rest import Api
from dealer_assets_tests.exchange.deribit_rules import (
    WS_PATH,
    Bucket,
    Buckets,
    Limits,
    RpcError,
    envelope,
    text,
)
from dealer_assets_tests.exchange.deribit_states import Source
from dealer_assets_tests.exchange.faults import Faults
from dealer_assets_tests.exchange.world import World
from dealer_assets_tests.exchange.ws_session import Link, converse

_MESSAGES_BURST, _MESSAGES_A_SECOND = 300.0, 200.0
_FIRST_BEAT, _LATER_BEATS = 1.2, 1.06
"""Of the interval: when heartbeats were seen to come."""

_HELD_SECONDS = 0.5
_POLICY, _HEARTBEAT_CLOSE = 1008, 4000


class Sessions:
    """All sessions of the exchange."""

    def __init__(self, world: World, api: Api) -> None:
        self._world, self._api, self._limits = world, api, world.option(Limits)
        self._open: Counter[str] = Counter()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        for status in (403, 429, 500, 503):
            if misbehaviour.due(request, self._world, f"deribit_{status}") is not None:
                return web.Response(status=status, text="refused")
        who = request.remote or ""
        if self._open[who] >= self._limits.connections:
            return web.Response(status=429, text="too many connections")
        link = Link(
            buffer_bytes=self._limits.buffer_bytes,
            compress=True,
            socket_bytes=self._limits.socket_bytes,
        )
        self._open[who] += 1
        try:
            socket = await link.open(request)
            session = _Session(self._world, self._api, self._limits, link)
            await converse(link, session.handle, session.step, every=self._limits.tick_seconds)
        finally:
            self._open[who] -= 1
        return socket


class _Session:
    """One client."""

    def __init__(self, world: World, api: Api, limits: Limits, link: Link) -> None:
        self._world, self._api, self._limits, self._link = world, api, limits, link
        self._faults: Faults = world.faults
        self._buckets = Buckets(limits)
        self._messages = Bucket(_MESSAGES_BURST, _MESSAGES_A_SECOND)
        self._is_authenticated = False
        self._sources: dict[str, Source] = {}
        self._since = world.clock.now()
        self._heard, self._spoke = time.monotonic(), 0.0
        self._held: tuple[float, str] | None = None
        self._interval: float | None = None
        self._next_beat = self._last_beat = 0.0
        self._asked: float | None = None

    # requests

    async def handle(self, data: str | bytes) -> None:
        """Answer one frame."""
        self._heard = time.monotonic()
        begun_us = self._now_us()
        request = self._read(data)
        if request is None:
            refusal = RpcError(11050, "bad_request", "invalid json")
            self._say(envelope(begun_us, {"error": refusal.body()}))
            return
        begun, request_id = time.perf_counter(), request.get("id")
        is_over = False
        try:
            outcome: dict[str, Any] = {"result": await self._call(request)}
        except RpcError as error:
            outcome, is_over = {"error": error.body()}, error.code == 10028
        spent = int((time.perf_counter() - begun) * 1e6) + 1
        if self._faults.take(rules.NO_ID, self._where(request)) is not None:
            request_id = None
        self._reply(envelope(begun_us, outcome, request_id=request_id, spent_us=spent), request)
        if is_over:
            self._link.close(_POLICY, "too_many_requests")

    def _read(self, data: str | bytes) -> dict[str, Any] | None:
        if isinstance(data, bytes) and self._limits.refuses_binary:
            return None
        try:
            request = json.loads(data)
        except ValueError:
            return None
        is_call = isinstance(request, dict) and isinstance(request.get("method"), str)
        return request if is_call else None

    @staticmethod
    def _where(request: Mapping[str, Any]) -> str:
        return f"{WS_PATH} {request['method']}"

    async def _call(self, request: Mapping[str, Any]) -> Any:
        method, params = request["method"], request.get("params") or {}
        if not isinstance(params, dict):
            raise rules.invalid("params", "must be an object")
        rules.raise_faults(self._world, self._where(request), method)
        self._messages.take(1.0)
        self._buckets.pay(method)
        scope, _, name = method.partition("/")
        if scope == "private" and not self._is_authenticated:
            raise RpcError(13009, "unauthorized", {"reason": "invalid_token"})
        if name in ("subscribe", "unsubscribe"):
            channels = params.get("channels")
            if not isinstance(channels, list):
                raise rules.invalid("channels", "value required")
            wanted = [str(channel) for channel in channels]
            return await (self._subscribe if name == "subscribe" else self._unsubscribe)(wanted)
        if name in ("set_heartbeat", "disable_heartbeat", "unsubscribe_all"):
            return getattr(self, f"_{name}")(params)
        result = await asyncio.to_thread(self._api.call, f"public/{name}", params)
        if name == "auth":
            self._is_authenticated = True
        if name == "test":
            self._asked = None
        return result

    async def _subscribe(self, channels: list[str]) -> list[str]:
        if not self._is_authenticated and any(is_raw(channel) for channel in channels):
            raise RpcError(13778, "raw_subscriptions_not_available_for_unauthorized")
        if any(needs_tape(channel) for channel in channels):
            today = self._world.clock.now().date()
            await asyncio.to_thread(self._api.tape.day, today)
        self._catch_up()
        accepted = set()
        for channel in channels:
            if self._faults.active(rules.REFUSED_CHANNEL, channel) is not None:
                continue
            made = self._sources.get(channel) or source(self._api, channel)
            if made is not None:  # whatever is no channel is dropped without a word
                self._sources[channel] = made
                accepted.add(channel)
        return sorted(accepted, reverse=True)

    async def _unsubscribe(self, channels: list[str]) -> list[str]:
        return [c for c in channels if self._sources.pop(c, None) is not None]

    def _unsubscribe_all(self, _: Mapping[str, Any]) -> str:
        self._sources.clear()
        return "ok"

    def _set_heartbeat(self, params: Mapping[str, Any]) -> str:
        interval = params.get("interval")
        if not isinstance(interval, int) or interval < 10:
            raise rules.invalid("interval", "value must be at least 10")
        self._interval = interval * self._limits.second
        self._next_beat = time.monotonic() + _FIRST_BEAT * self._interval
        return "ok"

    def _disable_heartbeat(self, _: Mapping[str, Any]) -> str:
        self._interval = self._asked = None
        return "ok"

    # what is said without being asked

    def step(self) -> None:
        """Send what the clock has passed, keep the session's rules, show armed faults."""
        now = time.monotonic()
        if self._held is not None and now > self._held[0]:
            self._release()
        self._keep_alive(now)
        self._misbehave()
        if self._link.is_live:
            self._catch_up()
        if self._link.is_live and self._link.is_full:
            self._end_slow()

    def _keep_alive(self, now: float) -> None:
        if self._interval is None:
            idle = self._limits.idle_seconds * self._limits.second
            if not self._sources and now - self._heard > idle:
                self._link.abort()
            return
        patience = self._limits.answer_seconds * self._limits.second
        if self._asked is not None and now - self._asked > patience:
            self._link.close(_HEARTBEAT_CLOSE, "heartbeat close")
        elif now >= self._next_beat:
            self._next_beat = now + _LATER_BEATS * self._interval
            if self._faults.active(rules.NO_HEARTBEAT, WS_PATH) is None:
                self._beat(now)

    def _beat(self, now: float) -> None:
        kinds = ["test_request"] if self._spoke > self._last_beat else ["heartbeat", "test_request"]
        for kind in kinds:
            self._link.send(
                text({"params": {"type": kind}, "method": "heartbeat", "jsonrpc": "2.0"})
            )
        self._last_beat = now
        self._asked = self._asked or now

    def _misbehave(self) -> None:
        if not self._sources:
            return
        if self._faults.take(rules.FREEZE, WS_PATH) is not None:
            self._link.freeze()
        elif self._faults.take(rules.ABORT, WS_PATH) is not None:
            self._link.abort()
        elif self._faults.take(rules.TOO_SLOW, WS_PATH) is not None:
            self._end_slow()
        elif self._faults.take(rules.NOT_JSON, WS_PATH) is not None:
            self._link.send("<html><body>bad gateway</body></html>")
        else:
            options = self._faults.take(rules.CLOSE, WS_PATH)
            if options is not None:
                self._link.close(int(options.get("code", 1000)))

    def _end_slow(self) -> None:
        error = {"code": -32000, "message": "connection_too_slow"}
        self._link.close(_POLICY, "connection_too_slow", unsent=False)
        self._link.last_words(text({"jsonrpc": "2.0", "error": error}))

    def _catch_up(self) -> None:
        since, now = self._since, self._world.clock.now()
        self._since = now
        for channel, made in list(self._sources.items()):
            for data in made(min(since, now), now):
                self._notify(channel, data)

    def _notify(self, channel: str, data: Any) -> None:
        if self._faults.active(rules.SILENT_CHANNEL, channel) is not None:
            return
        if channel.startswith("trades."):
            if self._faults.take(rules.LOST_TRADES, channel) is not None:
                return
            if len(data) > 1 and self._faults.take(rules.SEQUENCE_GAP, channel) is not None:
                data = data[:-2] + data[-1:]
        self._spoke = time.monotonic()
        params = {"channel": channel, "data": data}
        self._link.send(text({"jsonrpc": "2.0", "method": "subscription", "params": params}))

    # replies

    def _reply(self, frame: str, request: Mapping[str, Any]) -> None:
        if self._held is None and (
            self._faults.take(rules.OUT_OF_ORDER, self._where(request)) is not None
        ):
            self._held = (time.monotonic() + _HELD_SECONDS, frame)
            return
        self._say(frame)
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._say(self._held[1])
            self._held = None

    def _say(self, frame: str) -> None:
        self._link.send(frame)

    def _now_us(self) -> int:
        return int(self._world.clock.now().timestamp() * 1e6)

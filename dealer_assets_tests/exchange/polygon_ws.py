"""Polygon's WebSocket: clusters ``/options`` and ``/indices``, real-time and ``/delayed/...``.

Belongs here: the conversation and its faults. Does not belong here: events (`polygon_ws_streams`),
plans (`polygon_ws_plans`), the connection itself (`ws_session`).

Frames are arrays that mix kinds and symbols; acks wait for the next frame and share it with data.
Nothing is said on pings, and nothing is repeated after a reconnect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiohttp import web

from dealer_assets_tests.exchange import polygon_ws_faults as bad, polygon_ws_plans as plans
from dealer_assets_tests.exchange.polygon_ws_events import Event, Stream
from dealer_assets_tests.exchange.polygon_ws_plans import CHANNELS, DELAY, Accounts, Cluster, Limits
from dealer_assets_tests.exchange.polygon_ws_streams import INDICES, Streams, instant, underlying_of
from dealer_assets_tests.exchange.world import World
from dealer_assets_tests.exchange.ws_session import Link, converse

_Want = tuple[str, str, tuple[str, ...], set[str] | None]
"""Channel and underlying of a stream, its contracts (quotes), the symbols wanted (None: all)."""

__all__ = ["Limits", "routes"]

_MAX_CONNECTIONS_TEXT = (
    "Maximum number of websocket connections exceeded. You have reached the connection limit for "
    "your account. Please contact support at https://polygon.io/contact to increase your limit."
)
_POLICY = 1008
_PATHS: tuple[tuple[str, Cluster, bool], ...] = (
    ("/options", "options", False),
    ("/indices", "indices", False),
    ("/delayed/options", "options", True),
    ("/delayed/indices", "indices", True),
)


@dataclass(frozen=True)
class _Host:
    """One cluster of one host."""

    world: World
    limits: Limits
    streams: Streams
    held: Accounts
    cluster: Cluster
    is_delayed: bool

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        options = self.world.faults.take(bad.HANDSHAKE, request.path)
        if options is not None:
            return web.Response(status=int(options.get("status", 403)), text="refused")
        link = Link(buffer_bytes=self.limits.buffer_bytes, socket_bytes=self.limits.socket_bytes)
        socket = await link.open(request)
        session = _Session(self, link, request.path)
        try:
            await converse(link, session.handle, session.step, every=self.limits.tick_seconds)
        finally:
            self.held.left(session)
        return socket

    def now_us(self) -> int:
        """Return the instant up to which the host sends."""
        now = self.world.clock.now()
        return int((now - DELAY if self.is_delayed else now).timestamp() * 1e6)


def routes(world: World) -> list[web.RouteDef]:
    """Return the clusters."""
    limits, streams = world.option(Limits), Streams(world)
    held = Accounts(limits.connections_per_cluster)
    return [
        web.get(path, _Host(world, limits, streams, held, cluster, is_delayed).serve)
        for path, cluster, is_delayed in _PATHS
    ]


def _status(status: str, message: str) -> Event:
    return {"ev": "status", "status": status, "message": message}


class _Session:
    """One client of one cluster."""

    def __init__(self, host: _Host, link: Link, path: str) -> None:
        self._host, self._link, self._path = host, link, path
        self._limits, self._faults = host.limits, host.world.faults
        self._key: str | None = None
        self._opened = time.monotonic()
        self._params: set[str] = set()
        self._quotes: list[tuple[str, ...]] = []  # as subscribed: a stream is made of each
        self._wants: list[_Want] | None = None
        self._acks: list[Event] = []
        self._since_us = host.now_us()
        self._send([_status("connected", "Connected Successfully")])

    def _send(self, events: list[Event]) -> None:
        self._link.send(json.dumps(events, separators=(",", ":"), allow_nan=False))

    def _end(self, status: str, message: str) -> None:
        """Say why, then close."""
        self._link.close(_POLICY, status)
        self._link.last_words(json.dumps([_status(status, message)]))

    def evict(self) -> None:
        """Send this connection away: the account has too many."""
        self._end("max_connections", _MAX_CONNECTIONS_TEXT)

    # what the client says

    async def handle(self, data: str | bytes) -> None:
        """Act on one frame; what cannot be read is ignored."""
        try:
            asked: Mapping[str, Any] = json.loads(data)
            action, params = asked["action"], str(asked.get("params", ""))
        except (ValueError, KeyError, TypeError):
            return
        if action == "auth":
            self._authenticate(params)
        elif self._key is None:
            self._send([_status("error", "not authorized")])
        elif plans.is_mute(self._key, is_delayed_host=self._host.is_delayed):
            return
        elif action == "subscribe":
            self._subscribe([param.strip() for param in params.split(",") if param.strip()])
        elif action == "unsubscribe":
            self._unsubscribe([param.strip() for param in params.split(",")])

    def _authenticate(self, key: str) -> None:
        faults = self._faults
        if not plans.is_known(key) or faults.take(bad.AUTH_FAILED, self._path) is not None:
            self._end("auth_failed", "authentication failed")
        elif faults.take(bad.AUTH_TIMEOUT, self._path) is not None:
            self._time_out()
        elif self._key is None:
            self._key = key
            self._send([_status("auth_success", "authenticated")])

    def _time_out(self) -> None:
        self._end("auth_timeout", "no authentication request received")

    def _subscribe(self, params: list[str]) -> None:
        if not self._params:
            self._since_us = self._host.now_us()  # what was before is not repeated
        quotes: list[str] = []
        room = self._limits.quotes_per_connection
        room -= sum(param.startswith("Q.") for param in self._params)
        for param in params:
            channel, _, symbol = param.partition(".")
            if channel not in CHANNELS[self._host.cluster] or not symbol or param in self._params:
                continue  # neither unknown channels nor repetitions are answered
            is_refused = self._faults.active(bad.NOT_AUTHORIZED, param) is not None
            if is_refused or not plans.may_have(channel, is_delayed_host=self._host.is_delayed):
                self._acks.append(_status("error", "not authorized"))
            elif channel == "Q" and (symbol == "*" or len(quotes) >= room):
                self._acks.append(_status("error", self._limits.quotes_refusal))
            else:
                self._params.add(param)
                self._acks.append(_status("success", f"subscribed to: {param}"))
                if channel == "Q":
                    quotes.append(symbol)
        if quotes:
            self._quotes.append(tuple(sorted(quotes)))
        self._wants = None

    def _unsubscribe(self, params: list[str]) -> None:
        for param in params:
            if param in self._params:
                self._params.remove(param)
                self._acks.append(_status("success", f"unsubscribed to: {param}"))
        self._wants = None

    # what the server says

    def step(self) -> None:
        """Send acks and what the clock has passed, keep the rules, show armed faults."""
        late = time.monotonic() - self._opened > self._limits.auth_seconds
        if self._key is None:
            if late:
                self._time_out()
            return
        if self._params:
            self._misbehave()
        if not self._link.is_live:
            return
        acks, self._acks = self._acks, []
        events = self._due() if self._params else []
        self._send_all(acks, bad.spoilt(self._faults, self._path, events))
        if self._params and acks:
            self._count()
        if self._link.is_full:
            self._fall_behind()

    def _count(self) -> None:
        faults = self._faults
        if faults.take(bad.MAX_CONNECTIONS, self._path) is not None:
            self.evict()
            return
        newest_goes = faults.active(bad.NEWEST_GOES, self._path) is not None
        assert self._key is not None
        self._host.held.subscribed(self._key, self._host.cluster, self, newest_goes=newest_goes)

    def _fall_behind(self) -> None:
        self._link.close(_POLICY, "slow_consumer", unsent=False)
        self._link.last_words(json.dumps([_status("slow_consumer", "client is too slow")]))

    def _misbehave(self) -> None:
        faults = self._faults
        if faults.take(bad.FREEZE, self._path) is not None:
            self._link.freeze()
        elif faults.take(bad.ABORT, self._path) is not None:
            self._link.abort()
        elif faults.take(bad.SLOW_CONSUMER, self._path) is not None:
            self._fall_behind()
        elif faults.take(bad.NOT_JSON, self._path) is not None:
            self._link.send("upstream connect error")
        else:
            options = faults.take(bad.CLOSE, self._path)
            if options is not None:
                self._link.close(int(options.get("code", 1000)))

    def _send_all(self, acks: list[Event], events: list[Event]) -> None:
        faults, size = self._faults, self._limits.events_per_frame
        if events and faults.take(bad.OBJECT_FRAME, self._path) is not None:
            self._link.send(json.dumps(events[0]))
            events = events[1:]
        everything = acks + events
        for i in range(0, len(everything), size):
            frame = json.dumps(everything[i : i + size], separators=(",", ":"), allow_nan=False)
            if events:
                frame = bad.padded(self._faults, self._path, frame)
            self._link.send(frame)

    # what is due

    def _due(self) -> list[Event]:
        """Return the events the clock has passed, in order; the rest of very many later."""
        now_us = self._host.now_us()
        found = self._ready(now_us)
        if found is None:
            return []
        since_us = min(self._since_us, now_us)
        picks = [(stream, stream.due(since_us, now_us, wanted)) for stream, wanted in found]
        times = np.concatenate(
            [stream.at_us[rows] for stream, rows in picks] or [np.zeros(0, np.int64)]
        )
        most = self._limits.events_per_tick
        self._since_us = now_us
        if times.size > most:
            self._since_us = int(np.partition(times, most - 1)[most - 1])
        flat = [(stream, row) for stream, rows in picks for row in rows.tolist()]
        order = np.argsort(times, kind="stable")
        order = order[times[order] <= self._since_us]
        return [flat[i][0].event(flat[i][1]) for i in order.tolist()]

    def _ready(self, now_us: int) -> list[tuple[Stream, set[str] | None]] | None:
        """Return the streams of the subscriptions, or None while one is in the making."""
        found: list[tuple[Stream, set[str] | None]] = []
        streams = self._host.streams
        if self._wants is None:
            self._wants = self._wanted() + self._wanted_quotes()
        for channel, symbol, contracts, wanted in self._wants:
            day = streams.session(symbol, instant(now_us))
            future = streams.get(channel, symbol, day, contracts)
            if not future.done():
                return None
            stream = future.result()
            if stream is not None:
                found.append((stream, wanted))
        return found

    def _wanted(self) -> list[_Want]:
        is_options = self._host.cluster == "options"
        everything = self._limits.underlyings if is_options else INDICES
        found: dict[tuple[str, str], set[str] | None] = {}
        for param in sorted(self._params):  # "*" sorts before any symbol
            channel, _, symbol = param.partition(".")
            stream = channel if is_options or channel == "V" else f"I{channel}"
            owner = underlying_of(symbol) if is_options else symbol.removeprefix("I:")
            if symbol == "*":
                found |= {(stream, one): None for one in everything}
            elif channel != "Q" and owner is not None and (is_options or owner in INDICES):
                wanted = found.setdefault((stream, owner), set())
                if wanted is not None:
                    wanted.add(symbol)
            # others are confirmed, and silent for ever
        return [(*key, (), wanted) for key, wanted in found.items()]

    def _wanted_quotes(self) -> list[_Want]:
        found: list[_Want] = []
        for batch in self._quotes:
            owners: dict[str, list[str]] = {}
            for symbol in batch:
                owner = underlying_of(symbol)
                if owner is not None:
                    owners.setdefault(owner, []).append(symbol)
            for owner, symbols in owners.items():
                wanted = {symbol for symbol in symbols if f"Q.{symbol}" in self._params}
                if wanted:
                    found.append(("Q", owner, tuple(symbols), wanted))
        return found

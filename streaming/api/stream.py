"""The WebSocket stream: each client at its own pace, none waited for.

Belongs here: pace, encoding, and when a client is dropped. Does not belong here: what a tick holds
(`documents`).

A client gets the newest state whenever its interval has passed and something has changed; what
happened in between is in the next tick, never queued. A client that does not read is dropped after
`Pace.slow_after_seconds`, so that it costs nobody anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from streaming.api import documents
from streaming.api.access import TOKEN_PROTOCOL, Access
from streaming.api.hub import Hub

SCHEMA = "dealer.live/1"
"""Name and version of the messages; the version grows when a field changes its meaning or goes."""

_TRY_LATER, _POLICY, _UNUSABLE = 1013, 1008, 1003
_LARGEST_INTERVAL_MS = 60_000
_MESSAGES_OF_A_CLIENT = 100
"""Clients have nothing to say; one that talks more is dropped."""


@dataclass
class Pace:
    """How the stream treats its clients.

    Parameters
    ----------
    interval_ms : int
        Milliseconds between ticks of a client that does not ask for another interval.
    slow_after_seconds : float
        A client that has not taken a message for so long is dropped.
    most_clients : int
        More are sent away.
    clients, dropped : int
        Connected now; dropped for being slow.
    """

    interval_ms: int = 250
    slow_after_seconds: float = 2.0
    most_clients: int = 64
    clients: int = field(default=0)
    dropped: int = field(default=0)


@dataclass(frozen=True)
class _Wish:
    underlyings: tuple[str, ...]
    interval_seconds: float
    encoding: Literal["json", "msgpack"]


def _wish(socket: WebSocket, hub: Hub, pace: Pace) -> _Wish | str:
    """Read the client's parameters, or say what is wrong with them."""
    asked = socket.query_params
    names = [s.strip().upper() for s in asked.get("underlying", "").split(",") if s.strip()]
    unknown = [name for name in names if name not in hub.underlyings]
    if unknown:
        return f"expected underlyings of {', '.join(hub.underlyings)}, found {unknown[0][:12]!r}"
    given = asked.get("interval_ms", str(pace.interval_ms))
    if not given.isdecimal() or int(given) > _LARGEST_INTERVAL_MS:
        return f"expected interval_ms from 0 to {_LARGEST_INTERVAL_MS}, found {given[:12]!r}"
    encoding = asked.get("format", "json")
    if encoding not in ("json", "msgpack"):
        return f"expected format json or msgpack, found {encoding[:12]!r}"
    chosen = tuple(names) or hub.underlyings
    return _Wish(chosen, int(given) / 1e3, "msgpack" if encoding == "msgpack" else "json")


async def serve_stream(socket: WebSocket, hub: Hub, access: Access, pace: Pace) -> None:
    """Serve one client until it leaves, is dropped, or the process ends."""
    refusal = access.refusal(socket.headers, socket.client.host if socket.client else "")
    if refusal is not None:
        await socket.close(_POLICY, refusal.reason)  # before accepting: answered with 403
        return
    wish = _wish(socket, hub, pace)
    await socket.accept(subprotocol=_subprotocol(socket))
    if isinstance(wish, str):
        await socket.close(_UNUSABLE, wish)
        return
    if pace.clients >= pace.most_clients:
        await socket.close(_TRY_LATER, "too many clients: try later")
        return
    pace.clients += 1
    sending = asyncio.ensure_future(_send_ticks(socket, hub, wish, pace))
    listening = asyncio.ensure_future(_listen(socket))
    try:
        await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pace.clients -= 1
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)


def _subprotocol(socket: WebSocket) -> str | None:
    """Return the token's subprotocol: a browser wants the one it offered to be chosen."""
    offered = socket.headers.get("sec-websocket-protocol", "").split(",")
    return next((o.strip() for o in offered if o.strip().startswith(TOKEN_PROTOCOL)), None)


async def _listen(socket: WebSocket) -> None:
    """Return when the client leaves, or talks too much."""
    try:
        for _ in range(_MESSAGES_OF_A_CLIENT):
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
    except (WebSocketDisconnect, RuntimeError):
        return


async def _send_ticks(socket: WebSocket, hub: Hub, wish: _Wish, pace: Pace) -> None:
    encode: Callable[[Any], str | bytes] = _to_json if wish.encoding == "json" else _to_msgpack
    hello = {"schema": SCHEMA, "type": "hello", "underlyings": wish.underlyings}
    revision = -1
    try:
        await _send(socket, encode(hello), pace)
        while True:
            revision = await hub.changed(revision)
            for underlying in wish.underlyings:
                tick = documents.tick(hub.view(underlying))
                await _send(
                    socket, encode({"schema": SCHEMA, "type": "tick", "n": revision, **tick}), pace
                )
            await asyncio.sleep(wish.interval_seconds)
    except TimeoutError:
        pace.dropped += 1
        if socket.application_state == WebSocketState.CONNECTED:
            # the client does not read: do not wait for it to take the farewell either
            await asyncio.wait_for(socket.close(_TRY_LATER, "too slow"), 0.1)
    except (WebSocketDisconnect, RuntimeError):
        return


async def _send(socket: WebSocket, message: str | bytes, pace: Pace) -> None:
    sending = socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
    await asyncio.wait_for(sending, pace.slow_after_seconds)


def _to_json(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _to_msgpack(document: Any) -> bytes:
    return msgspec.msgpack.encode(document)

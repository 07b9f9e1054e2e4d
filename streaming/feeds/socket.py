"""An open WebSocket as feeds see it: whole messages in, text out, and always an end with a reason.

Belongs here: connecting, pings, half-open connections, fragments, close codes; nothing of any
venue. Does not belong here: what is said on it, or whether to connect again (`backoff`, feeds).
Compression is never offered: it costs more than the bytes it saves.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import picows

from streaming.feeds.connecting import Attempt, ConnectError, HandshakeRefusedError

__all__ = ["ConnectError", "Connection", "Ended", "HandshakeRefusedError", "open_connection"]

OnMessage = Callable[[bytes], None]
Cause = Literal["closed", "aborted", "silent", "protocol", "local"]

NO_CLOSE_FRAME = 1006
"""Close code where none was received."""

MOST_BYTES = 64 * 1024**2
"""Largest message that is accepted; bursts of a busy tape are several MB."""

_LATE_SECONDS = 1.0
_TEXT, _BINARY = picows.WSMsgType.TEXT, picows.WSMsgType.BINARY
_CONTINUATION = picows.WSMsgType.CONTINUATION


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection ended.

    Parameters
    ----------
    code : int
        Close code received, `NO_CLOSE_FRAME` without one.
    reason : str
        Text of the close frame, or what was found out here.
    was_clean : bool
        The peer said goodbye.
    cause : str
        closed (by the peer, with a close frame), aborted (without one), silent (half-open: nothing
        came, not even pongs), protocol (the peer broke the rules), local (closed by this side).
    """

    code: int
    reason: str
    was_clean: bool
    cause: Cause


class _Listener(picows.WSListener):
    """Puts messages together; never raises into the library."""

    def __init__(self, on_message: OnMessage, clock: Callable[[], float], most_bytes: int) -> None:
        super().__init__()
        self._on_message, self._clock, self._most_bytes = on_message, clock, most_bytes
        self._parts: list[bytes] | None = None
        self.heard_at = clock()
        self.farewell: tuple[int, str] | None = None
        self.broken = ""
        self.failure: Exception | None = None

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Take a frame of any kind."""
        self.heard_at = self._clock()
        if self.failure is not None or self.farewell is not None or self.broken:
            return  # on its way out
        try:
            self._take(transport, frame)
        except Exception as error:  # noqa: BLE001  # closed() raises it, where a caller can see it
            self.failure = error
            transport.disconnect(graceful=False)

    def _take(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if kind in (_TEXT, _BINARY) and frame.fin and self._parts is None and not frame.rsv1:
            self._on_message(frame.get_payload_as_bytes())
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._take_part(transport, frame)
        elif kind == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == picows.WSMsgType.CLOSE:
            self._take_farewell(transport, frame.get_payload_as_bytes())

    def _take_part(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        is_first = frame.msg_type != _CONTINUATION
        if frame.rsv1 or is_first is (self._parts is not None):
            self._break(transport, "a fragment out of turn, or compressed without agreement")
            return
        parts = self._parts = self._parts or []
        parts.append(frame.get_payload_as_bytes())
        if sum(map(len, parts)) > self._most_bytes:
            self._break(transport, f"a message of more than {self._most_bytes} bytes")
        elif frame.fin:
            self._parts = None
            self._on_message(b"".join(parts))

    def _take_farewell(self, transport: picows.WSTransport, payload: bytes) -> None:
        code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else NO_CLOSE_FRAME - 1
        self.farewell = (code, payload[2:].decode("utf-8", "replace"))
        if not transport.is_close_frame_sent:
            transport.send_close(picows.WSCloseCode.OK)
        transport.disconnect()

    def _break(self, transport: picows.WSTransport, found: str) -> None:
        self.broken = found
        transport.send_close(picows.WSCloseCode.PROTOCOL_ERROR)
        transport.disconnect()


class Connection:
    """An open connection; made by `open_connection`."""

    def __init__(
        self,
        transport: picows.WSTransport,
        listener: _Listener,
        *,
        ping_every: float,
        silent_after: float,
    ) -> None:
        self._transport, self._listener = transport, listener
        self._ping_every, self._silent_after = ping_every, silent_after
        self._loop = asyncio.get_running_loop()
        self._is_paused = False
        self._cause: Cause | None = None
        self._ping_due = self._loop.time() + ping_every
        self._timer: asyncio.TimerHandle | None = None
        self._plan()

    def send(self, text: str) -> None:
        """Send a text message; does nothing once the connection is ending, see `closed`."""
        if not (self._transport.is_close_frame_sent or self._transport.is_disconnected):
            self._transport.send(_TEXT, text.encode())

    def close(self) -> None:
        """Say goodbye; the connection ends when the peer has answered, or on leaving its block."""
        if not (self._transport.is_close_frame_sent or self._transport.is_disconnected):
            self._cause = self._cause or "local"
            self._transport.send_close(picows.WSCloseCode.OK)

    def abort(self) -> None:
        """End the connection at once, without a word."""
        self._cause = self._cause or "local"
        self._transport.disconnect(graceful=False)

    def pause(self) -> None:
        """Stop reading: the kernel's buffers fill, and the peer has to wait."""
        if not self._is_paused and not self._transport.is_disconnected:
            self._is_paused = True
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read again; silence counts from now on."""
        if self._is_paused:
            self._is_paused = False
            self._listener.heard_at = self._loop.time()
            if not self._transport.is_disconnected:
                self._transport.underlying_transport.resume_reading()

    async def closed(self) -> Ended:
        """Wait for the end and say how it came.

        Raises
        ------
        Exception
            What `on_message` raised: a mistake in this process, not of the connection.
        """
        found = ""
        try:
            await self._transport.wait_disconnected()
        except Exception as error:  # noqa: BLE001  # the library reports broken rules by raising
            found = str(error)
        self._stop_watching()
        if self._listener.failure is not None:
            raise self._listener.failure
        return self._ended(found or self._listener.broken)

    def _ended(self, broken: str) -> Ended:
        code, text = self._listener.farewell or (NO_CLOSE_FRAME, "")
        is_clean = self._listener.farewell is not None
        if self._cause is not None:
            why = f"nothing came for {self._silent_after:g} s, not even pongs"
            return Ended(code, why if self._cause == "silent" else text, is_clean, self._cause)
        if broken:
            return Ended(code, broken, False, "protocol")
        return Ended(code, text, is_clean, "closed" if is_clean else "aborted")

    def _plan(self) -> None:
        self._planned = min(self._ping_due, self._listener.heard_at + self._silent_after)
        self._timer = self._loop.call_at(self._planned, self._beat)

    def _beat(self) -> None:
        """Ping in time, and give up a connection from which nothing comes any more."""
        if self._transport.is_disconnected:
            return
        now = self._loop.time()
        if self._is_paused or now - self._planned > _LATE_SECONDS:
            # silence of our own making: nobody read, or this process did not run
            self._listener.heard_at = now
        if now - self._listener.heard_at >= self._silent_after:
            self._cause = self._cause or "silent"
            self._transport.disconnect(graceful=False)
            return
        if now >= self._ping_due:
            self._ping_due = now + self._ping_every
            self._transport.send_ping()
        self._plan()

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def leave(self, linger_seconds: float) -> None:
        """Close and wait a little for the peer's goodbye, then end it in any case."""
        try:
            self.close()
            if self._is_paused:  # a goodbye behind unread data would never be seen
                return
            async with asyncio.timeout(linger_seconds):
                with contextlib.suppress(Exception):
                    await self._transport.wait_disconnected()
        except TimeoutError:
            pass
        finally:
            self._stop_watching()
            self._transport.disconnect(graceful=False)
            with contextlib.suppress(Exception):
                await self._transport.wait_disconnected()


@asynccontextmanager
async def open_connection(
    url: str,
    *,
    on_message: OnMessage,
    headers: Mapping[str, str] | None = None,
    ping_every: float = 20.0,
    silent_after: float = 35.0,
    connect_seconds: float = 10.0,
    linger_seconds: float = 1.0,
    most_bytes: int = MOST_BYTES,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Connection]:
    """Connect, and end the connection on leaving the block.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``; never with a secret in it.
    on_message : callable
        Takes each whole message, text or binary, as bytes, on the event loop; must not block. The
        first may come before the block is entered.
    headers : mapping, optional
        Further headers of the handshake.
    ping_every : float
        Seconds between pings.
    silent_after : float
        Seconds without any frame, pongs included, after which the connection counts as half-open.
        Longer than `ping_every`.
    connect_seconds : float
        For name resolution, TCP, TLS and handshake together.
    linger_seconds : float
        How long the peer's goodbye is waited for.
    most_bytes : int
        Largest message.
    tls : ssl.SSLContext, optional
        Instead of the system's trust, for ``wss://``.

    Raises
    ------
    ConnectError
        When no connection came about; `HandshakeRefusedError` with the HTTP status if that is why.
    """
    clock = asyncio.get_running_loop().time
    listener = _Listener(on_message, clock, most_bytes)
    attempt = Attempt(url, listener, headers, connect_seconds, most_bytes, tls)
    transport = await attempt.connected()
    connection = Connection(transport, listener, ping_every=ping_every, silent_after=silent_after)
    try:
        yield connection
    finally:
        await connection.leave(linger_seconds)
    if listener.failure is not None:
        raise listener.failure

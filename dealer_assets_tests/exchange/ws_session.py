"""One WebSocket connection as a vendor's server holds it: what every such protocol needs.

Belongs here: the outgoing buffer, the ways a connection ends (close, reset, silence), and the tasks
that serve it. Does not belong here: what is said on it; `polygon_ws` and `deribit_ws` know.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

_LOG = logging.getLogger(__name__)
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_RESET = struct.pack("ii", 1, 0)
_LAST_WORDS_SECONDS = 0.5

Handle = Callable[[str | bytes], Awaitable[None]]
Step = Callable[[], None]


class Link:
    """A connection with a bounded buffer in front of it.

    Parameters
    ----------
    buffer_bytes : int
        `is_full` once more than this waits to be written.
    compress : bool
        Accept permessage-deflate when the client offers it.
    socket_bytes : int or None
        Size of the kernel's send buffer; small ones make slow readers visible soon.
    """

    def __init__(
        self, *, buffer_bytes: int, compress: bool = False, socket_bytes: int | None = None
    ) -> None:
        # pings are answered here, so that a frozen connection can leave them unanswered
        self._ws = web.WebSocketResponse(
            timeout=_LAST_WORDS_SECONDS,
            autoping=False,
            autoclose=False,
            compress=compress,
            max_msg_size=16 * 1024**2,
        )
        self._buffer_bytes, self._socket_bytes = buffer_bytes, socket_bytes
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._farewell: tuple[int, bytes] | None = None
        self._frozen = False
        self._transport: asyncio.Transport | None = None

    async def open(self, request: web.Request) -> web.WebSocketResponse:
        """Shake hands."""
        await self._ws.prepare(request)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._socket_bytes is not None:
            kernel = transport.get_extra_info("socket")
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._socket_bytes)
        return self._ws

    @property
    def is_live(self) -> bool:
        """Whether anything may still be sent."""
        return self._farewell is None and not self._frozen and not self._ws.closed

    @property
    def is_full(self) -> bool:
        """Whether the reader has fallen behind by more than the buffer."""
        return self._bytes > self._buffer_bytes

    @property
    def waiting_bytes(self) -> int:
        """What has not been written yet."""
        return self._bytes

    def send(self, text: str) -> None:
        """Queue a text frame; nothing happens once the connection is ending."""
        if self.is_live:
            self._waiting.append(text)
            self._bytes += len(text)
            self._wake.set()

    def close(self, code: int, reason: str = "", *, unsent: bool = True) -> None:
        """Close with a code after what waits was written; `unsent` False drops that first."""
        if not unsent:
            self._waiting.clear()
            self._bytes = 0
        if self._farewell is None:
            self._farewell = (code, reason.encode())
            self._wake.set()
            # who does not read does not read a farewell either
            asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self.abort)

    def last_words(self, text: str) -> None:
        """Send one more frame before the close that was asked for."""
        self._waiting.append(text)
        self._bytes += len(text)
        self._wake.set()

    def abort(self) -> None:
        """Drop the connection with a TCP reset and no close frame."""
        if self._transport is None or not self._is_connected():
            return
        kernel = self._transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def freeze(self) -> None:
        """Fall silent for good: nothing is written, pings and closes stay unanswered."""
        self._frozen = True
        self._waiting.clear()

    async def write(self) -> None:
        """Write what is queued until the connection ends; a task of its own."""
        try:
            while not self._frozen:
                while self._waiting and not self._frozen:
                    text = self._waiting.popleft()
                    await self._ws.send_str(text)
                    self._bytes -= len(text)
                if self._farewell is not None:
                    code, reason = self._farewell
                    await self._ws.close(code=code, message=reason)
                    return
                self._wake.clear()
                await self._wake.wait()
        except ConnectionError:
            return

    def _is_connected(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def read(self, handle: Handle) -> None:
        """Hand over each frame until the connection ends."""
        while True:
            message = await self._ws.receive()
            if message.type in _ENDS:
                if message.type is WSMsgType.CLOSE and not self._frozen:
                    self.close(1000, unsent=False)
                return
            if self._frozen:
                continue
            if message.type is WSMsgType.PING:
                await self._ws.pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await handle(message.data)

    async def ended(self, writer: asyncio.Task[None]) -> None:
        """Wait until the connection is over: a frozen one lasts as long as the client holds it."""
        # transports tell nobody that they close
        while self._frozen and self._is_connected():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._farewell is not None:
            await asyncio.wait([writer], timeout=2.0 * _LAST_WORDS_SECONDS)


async def converse(link: Link, handle: Handle, step: Step, *, every: float) -> None:
    """Serve an open connection: read frames, write the buffer, and `step` at intervals.

    Parameters
    ----------
    link : Link
        Opened.
    handle : callable
        Awaited with each text (str) or binary (bytes) frame.
    step : callable
        Called every `every` seconds of real time while something may be sent.
    """

    async def tick() -> None:
        while link.is_live:
            await asyncio.sleep(every)
            if link.is_live:
                step()

    def report(task: asyncio.Task[None]) -> None:
        # a server that fails in the background must not look like a quiet market
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the test exchange failed", exc_info=task.exception())
            link.close(1011, "test exchange failed", unsent=False)

    writer, ticker = asyncio.create_task(link.write()), asyncio.create_task(tick())
    tasks = [writer, ticker]
    for task in tasks:
        task.add_done_callback(report)
    try:
        await link.read(handle)
        await link.ended(writer)
    except ConnectionError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        link.abort()

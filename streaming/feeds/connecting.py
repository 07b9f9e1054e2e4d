"""Coming to an open WebSocket: name, TCP, TLS and handshake, each failure with its reason.

Belongs here: one attempt, which leaves nothing open however it ends. Does not belong here: the open
connection (`socket`), or whether to try again (`backoff`, feeds).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import picows

from dealer_assets.errors import DealerError


class ConnectError(DealerError):
    """No connection came about.

    Parameters
    ----------
    message : str
        What was expected, what was found, what to do.
    reason : str
        Code: refused, dns, tls, timeout, unreachable, garbled, handshake.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class HandshakeRefusedError(ConnectError):
    """The server answered the handshake with an HTTP status instead of a WebSocket.

    Parameters
    ----------
    status : int
        HTTP status.
    where : str
        Host and path.
    retry_after_seconds : float
        Least pause the server asked for; 0 when it asked for none.
    """

    def __init__(self, status: int, where: str = "", *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(
            f"expected a WebSocket at {where or 'the server'}, was answered HTTP {status}",
            reason="handshake",
        )
        self.status = status
        self.retry_after_seconds = retry_after_seconds


@dataclass
class Attempt:
    """One attempt to connect, which leaves nothing open however it ends."""

    url: str
    listener: picows.WSListener
    headers: Mapping[str, str] | None
    seconds: float
    most_bytes: int
    tls: ssl.SSLContext | None
    kernel: socket.socket | None = None

    @property
    def where(self) -> str:
        """Host and path, without user, query or fragment."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or parts.scheme}{parts.path}"

    async def connected(self) -> picows.WSTransport:
        """Connect; raises `ConnectError`."""
        task = asyncio.create_task(self._shake_hands())
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seconds)
        except asyncio.CancelledError:
            await self._give_up(task)
            raise
        if not done:
            await self._give_up(task)
            raise ConnectError(
                f"expected a WebSocket at {self.where} within {self.seconds:g} s, found silence; "
                "check network and firewall",
                reason="timeout",
            )
        try:
            return task.result()
        except picows.WSHandshakeError as error:
            raise self._refusal(error) from None
        except (OSError, picows.WSError) as error:
            raise self._failure(error) from None

    async def _shake_hands(self) -> picows.WSTransport:
        transport, listener = await picows.ws_connect(
            lambda: self.listener,
            self.url,
            ssl_context=self.tls,
            websocket_handshake_timeout=None,  # `seconds` is for everything
            enable_auto_pong=False,  # pings are signs of life, so they are answered here
            max_frame_size=self.most_bytes,
            max_redirects=0,  # what follows is secret: it goes where it was meant to go
            extra_headers=self.headers,
            socket_factory=self._connect,
            use_aiofastnet=False,  # when a TLS handshake is given up, it reports a broken error
        )
        if listener is None:  # the library's way of saying that the peer hung up
            raise ConnectionResetError("the connection ended during the handshake")
        return transport

    async def _connect(self, url: picows.WSParsedURL) -> socket.socket:
        """Return a socket connected to the first address that answers."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        problem: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in found:
            kernel = socket.socket(family, kind, protocol)
            kernel.setblocking(False)
            try:
                # an address family that leads nowhere must not use up the time of the others
                async with asyncio.timeout(self.seconds / (len(found) + 1)):
                    await loop.sock_connect(kernel, address)
            except OSError as error:  # TimeoutError is one
                kernel.close()
                problem = error
            except BaseException:
                kernel.close()
                raise
            else:
                self.kernel = kernel
                return kernel
        raise problem

    async def _give_up(self, task: asyncio.Task[picows.WSTransport]) -> None:
        """End an attempt under way; cancelling alone would leave its transport open."""
        if self.kernel is None:
            task.cancel()
        else:
            with contextlib.suppress(OSError):
                self.kernel.shutdown(socket.SHUT_RDWR)
        try:
            await asyncio.wait({task}, timeout=1.0)
        finally:
            task.cancel()
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().disconnect(graceful=False)

    def _refusal(self, error: picows.WSHandshakeError) -> ConnectError:
        line = (error.raw_header or b"").split(b"\r\n", 1)[0].split()
        status = int(line[1]) if len(line) > 1 and line[1].isdigit() else 0
        if status in (0, 101):
            return ConnectError(
                f"expected a WebSocket at {self.where}, its handshake was not one: {error}",
                reason="garbled",
            )
        pause = error.response.headers.get("Retry-After", "") if error.response else ""
        seconds = float(pause) if pause.isdigit() else 0.0
        return HandshakeRefusedError(status, self.where, retry_after_seconds=seconds)

    def _failure(self, error: Exception) -> ConnectError:
        reason = next((name for kind, name in _REASONS if isinstance(error, kind)), "unreachable")
        return ConnectError(
            f"expected a connection to {self.where}, found: {error or type(error).__name__}",
            reason=reason,
        )


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLError, "tls"),
    (socket.gaierror, "dns"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (picows.WSError, "garbled"),
)

"""Runs the live API on the process's own event loop.

Belongs here: the web server's settings and its end. Does not belong here: routes (`app`).

Signals are the supervisor's: the web server installs no handler and ends when it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn

from dealer_assets.errors import BadInputError

if TYPE_CHECKING:
    from fastapi import FastAPI

_LARGEST_MESSAGE_BYTES = 4096
"""Of a client's WebSocket message: clients have nothing to say."""

_MOST_CONNECTIONS = 256
_FAREWELL_SECONDS = 2


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, which says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then tell."""
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the supervisor."""
        yield


async def serve(
    app: FastAPI, *, host: str, port: int, on_ready: Callable[[int], None] = lambda port: None
) -> None:
    """Serve until cancelled.

    Parameters
    ----------
    app : FastAPI
        From `build_app`.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    on_ready : callable
        Told the port once it listens.

    Raises
    ------
    BadInputError
        When the port is taken or the address is not this machine's.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # loopback: it would cost more than it saves
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
        server_header=False,
    )
    server = _Server(config)
    running = asyncio.ensure_future(_run(server, host, port))
    try:
        listening = asyncio.ensure_future(server.listens.wait())
        await asyncio.wait({listening, running}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if server.started:
            on_ready(server.servers[0].sockets[0].getsockname()[1])
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _run(server: _Server, host: str, port: int) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn's way of saying that it could not bind
        raise BadInputError(
            f"the live API cannot listen on {host}:{port}: expected a free port of this machine; "
            "set DEALER_STREAM_PORT (0 takes any), or use --no-api"
        ) from error

"""The official client with a transport of ours underneath.

Belongs here: `polygon.RESTClient` and urllib3, time limits on their sockets, one request and its
answer. Does not belong here: what an answer means (`client`), paging (`pages`), retries
(`patience`). Imported only when something is asked: the official client takes 0.3 s to import.

The client as delivered builds its time-outs and never passes them on, retries on its own, ends a
listing silently at a damaged page, and logs. Every one of its methods sends through
``self.client.request``; that is what `GuardedPool` stands in for. It also keeps the key to itself:
the client is built with a placeholder, so that neither its attributes nor a traceback's locals
show the key.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from polygon import RESTClient  # type: ignore[import-untyped]
from pydantic import SecretStr
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

PLACEHOLDER = "key-is-added-by-the-transport"

_waiting = threading.local()


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end; the names are those that the official client reads.

    Parameters
    ----------
    status : int
        Always 200 for the official client, which refuses any other without a look at its headers;
        the true one is `code`.
    data : bytes
        Body, decoded from its transfer encoding.
    headers : mapping of str to str
        Answer headers.
    code : int
        HTTP status.
    """

    data: bytes
    headers: Mapping[str, str]
    code: int
    status: int = 200


class _InTime(io.RawIOBase):
    """A socket's bytes; each wait is cut to what is left of the request's whole time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _waiting.until - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("the whole time of the request is over")
        self._sock.settimeout(min(left, _waiting.silence_seconds))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_InTime(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class GuardedPool:
    """Sends one request, within its time, with the key; no retry, no redirect, no log.

    Parameters
    ----------
    key : SecretStr
        Sent in the ``Authorization`` header only.
    connections : int
        Connections kept open, for as many threads.
    timeout_seconds : float
        Longest silence, at connecting or between two bytes.
    total_seconds : float
        Longest duration of a request, however steadily it drips.
    """

    def __init__(
        self, key: SecretStr, *, connections: int, timeout_seconds: float, total_seconds: float
    ) -> None:
        self._key = key
        self._timeout_seconds, self._total_seconds = timeout_seconds, total_seconds
        self._pool: urllib3.PoolManager | None = None
        self._connections = connections

    def adopt(self, settings: Mapping[str, Any]) -> None:
        """Open the pool with the official client's settings of TLS."""
        kept = {name: settings[name] for name in ("ca_certs", "cert_reqs") if name in settings}
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=self._connections, **kept)
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def request(
        self,
        method: str,
        url: str,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and read its whole answer; called by the official client.

        Raises
        ------
        urllib3.exceptions.HTTPError
            Whatever goes wrong on the way, time limits included.
        """
        assert self._pool is not None
        _waiting.until = time.monotonic() + self._total_seconds
        _waiting.silence_seconds = self._timeout_seconds
        answer = self._pool.request(
            method,
            url,
            fields=fields,
            headers={**(headers or {}), "Authorization": f"Bearer {self._key.get_secret_value()}"},
            timeout=urllib3.Timeout(connect=self._timeout_seconds, read=self._timeout_seconds),
            retries=False,
            redirect=False,
        )
        return Answer(answer.data, dict(answer.headers), answer.status)

    def clear(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._pool is not None:
            self._pool.clear()


def official_client(pool: GuardedPool, *, base_url: str) -> RESTClient:
    """Return the official client, sending through a guarded pool.

    Parameters
    ----------
    pool : GuardedPool
        Carries every request.
    base_url : str
        Scheme and host, without a slash at the end.
    """
    client = RESTClient(PLACEHOLDER, base=base_url, retries=0)
    pool.adopt(client.client.connection_pool_kw)
    client.client = client.vx.client = pool
    return client

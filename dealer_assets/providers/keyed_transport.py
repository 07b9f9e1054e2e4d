"""A key that a host wants in the query, kept out of everything but the wire.

Belongs here: adding it below the client. Does not belong here: requests. Imports httpx, so it is
itself imported only where a request is made.

FRED's API takes its key as a parameter of the address, and addresses turn up in log lines and in
exceptions. The client therefore asks without it, and this transport adds it to a copy of the
request on its way out: what the client logs, raises or repeats never had the key.
"""

from __future__ import annotations

import httpx
from pydantic import SecretStr


class KeyedTransport(httpx.BaseTransport):
    """Adds a parameter to the address of each request.

    Parameters
    ----------
    parameter : str
        Name of the parameter.
    key : SecretStr
        Its value.
    transport : httpx.BaseTransport, optional
        Carries the request; None: the network.
    """

    def __init__(
        self, parameter: str, key: SecretStr, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._parameter = parameter
        self._key = key
        self._transport = transport or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a copy of the request that has the key."""
        url = request.url.copy_add_param(self._parameter, self._key.get_secret_value())
        keyed = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return self._transport.handle_request(keyed)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

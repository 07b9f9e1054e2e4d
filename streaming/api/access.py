"""Who may ask, and how often.

Belongs here: token, origin, host and rate of a request. Does not belong here: what is answered.

On loopback no token is needed unless one is set. Browsers send the page's origin with a request:
pages of other sites are refused, and so are host names that merely resolve to this machine, so that
a web page cannot read a trader's positions behind his back. Tokens travel in the `Authorization`
header, or as a WebSocket subprotocol (``dealer.token.<token>``), never in an address, which logs
keep.
"""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from pydantic import SecretStr

from dealer_assets.errors import BadInputError

TOKEN_PROTOCOL = "dealer.token."  # a prefix, no token
_LOCAL_NAMES = ("localhost",)
_CLIENTS_REMEMBERED = 1024


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Parameters
    ----------
    status : int
        HTTP status: 401, 403 or 429.
    reason : str
        In words.
    retry_after_seconds : float
        Least pause before asking again; 0 where asking again does not help.
    """

    status: int
    reason: str
    retry_after_seconds: float = 0.0


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is this machine's own."""
    name = host.strip("[]").lower()
    if name in _LOCAL_NAMES:
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class Access:
    """Decides about requests.

    Parameters
    ----------
    host : str
        Address the API is bound to.
    token : pydantic.SecretStr, optional
        What clients must bring.
    origins : tuple of str
        Web origins that may read beside the API's own, e.g. ``https://desk.example``.
    per_second, burst : float
        Requests of one client: steady rate, and how many at once.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    BadInputError
        When bound beyond loopback without a token.
    """

    def __init__(
        self,
        *,
        host: str,
        token: SecretStr | None = None,
        origins: tuple[str, ...] = (),
        per_second: float = 20.0,
        burst: float = 40.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not is_loopback(host) and (token is None or not token.get_secret_value()):
            raise BadInputError(
                f"the live API would listen on {host}, for everybody: expected DEALER_STREAM_TOKEN "
                "to be set, or DEALER_STREAM_HOST=127.0.0.1"
            )
        self._host = host
        self._token = token
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins if origin)
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def refusal(
        self, headers: Mapping[str, str], client: str, *, holds_data: bool = True
    ) -> Refusal | None:
        """Return why a request is refused, or None when it may be answered.

        Parameters
        ----------
        headers : mapping of str to str
            Lower-case names.
        client : str
            Address of the client.
        holds_data : bool
            Whether a token is asked for: a page without data asks for it itself.
        """
        return (
            self._wrong_host(headers)
            or self._wrong_origin(headers)
            or (self._wrong_token(headers) if holds_data else None)
            or self._too_often(client)
        )

    def _wrong_host(self, headers: Mapping[str, str]) -> Refusal | None:
        if not is_loopback(self._host):
            return None  # whoever brings the token may use any name of the machine
        name = headers.get("host", "")
        bare = name.rsplit(":", 1)[0] if not name.endswith("]") else name
        if is_loopback(bare):
            return None
        return Refusal(403, "expected a loopback name in the Host header")

    def _wrong_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        origin = headers.get("origin", "").rstrip("/").lower()
        if not origin or origin in self._origins:
            return None
        if origin.partition("://")[2] == headers.get("host", "").lower():
            return None
        return Refusal(403, "this web origin may not read the API: see DEALER_STREAM_ORIGINS")

    def _wrong_token(self, headers: Mapping[str, str]) -> Refusal | None:
        if self._token is None or not self._token.get_secret_value():
            return None
        wanted = self._token.get_secret_value().encode()
        if any(hmac.compare_digest(given.encode(), wanted) for given in _tokens(headers)):
            return None
        return Refusal(401, "expected the header Authorization: Bearer <token>")

    def _too_often(self, client: str) -> Refusal | None:
        now = self._clock()
        left, since = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        allowed = left >= 1.0
        self._buckets[client] = (left - 1.0 if allowed else left, now)
        while len(self._buckets) > _CLIENTS_REMEMBERED:
            self._buckets.popitem(last=False)
        if allowed:
            return None
        return Refusal(429, "asked too often", retry_after_seconds=(1.0 - left) / self._rate)


def _tokens(headers: Mapping[str, str]) -> list[str]:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    offered = [p.strip() for p in headers.get("sec-websocket-protocol", "").split(",")]
    given = [p.removeprefix(TOKEN_PROTOCOL) for p in offered if p.startswith(TOKEN_PROTOCOL)]
    return [*given, value.strip()] if scheme.lower() == "bearer" else given

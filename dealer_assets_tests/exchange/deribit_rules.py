"""Deribit's rules: envelopes, errors, credentials, credits, and the faults on demand.

Belongs here: what REST and WebSocket share besides data. Does not belong here: methods
(`deribit_rest`), sessions (`deribit_ws`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.misbehaviour import declare_bad_answers
from dealer_assets_tests.exchange.world import World

REST_PATH = "/api/v2"
HISTORY_PATH = "/history/api/v2"
WS_PATH = "/ws/api/v2"

CLIENT_ID = "test-client-of-the-exchange"
CLIENT_SECRET = "test-secret-of-the-exchange"
"""The one account; `public/auth` knows no other."""

TOO_MANY_REQUESTS = declare(
    "deribit_too_many_requests",
    "error 10028 to one call; a WebSocket session is closed after it (REST: HTTP 429)",
)
ERROR = declare(
    "deribit_error", "one call fails with `code` (10040), `message` (retry), `status` (400 in REST)"
)
MAINTENANCE = declare(
    "deribit_maintenance",
    "while armed every call but public/test, get_time and status fails with 11051, and "
    "platform_state says maintenance",
)
OUT_OF_ORDER = declare(
    "deribit_out_of_order", "a reply is held back until the next one has been sent, or 0.5 s"
)
NO_ID = declare("deribit_no_id", "a reply comes without its id")
NO_HEARTBEAT = declare("deribit_no_heartbeat", "while armed no heartbeat is sent; data go on")
FREEZE = declare("deribit_freeze", "the socket stays open; nothing more is sent or answered")
ABORT = declare("deribit_abort", "TCP reset without close frame")
CLOSE = declare("deribit_close", "clean close with `code` (1000)")
TOO_SLOW = declare(
    "deribit_connection_too_slow", "as for a reader that fell behind: an error frame, then close"
)
SEQUENCE_GAP = declare(
    "deribit_sequence_gap", "one trade is left out of a notification; REST has it"
)
LOST_TRADES = declare("deribit_lost_trades", "one notification of trades is not sent; REST has it")
NOT_JSON = declare("deribit_not_json", "a frame that is no JSON")
SILENT_CHANNEL = declare(
    "deribit_silent_channel", "while armed, acknowledged channels with `where` send nothing"
)
REFUSED_CHANNEL = declare(
    "deribit_refused_channel", "while armed, channels with `where` are missing from the ack"
)
declare_bad_answers(
    "deribit",
    "refused",
    "silent",
    "slow",
    "403",
    "429",
    "500",
    "503",
    "html",
    "empty",
    "truncated",
    "cut",
    "stall",
)
WORKS_IN_MAINTENANCE = ("public/test", "public/get_time", "public/status")


@dataclass(frozen=True)
class Limits:
    """What the server allows; tests shorten `second`.

    Parameters
    ----------
    second : float
        Real seconds that one second of heartbeats and idleness takes.
    tick_seconds : float
        Real time between two looks at the clock.
    idle_seconds, answer_seconds : float
        Sessions without heartbeat and subscriptions die after the first; an unanswered
        test_request closes after the second.
    connections : int
        WebSockets per address; the next gets HTTP 429.
    buffer_bytes : int
        Unread data after which a reader is too slow.
    socket_bytes : int or None
        Kernel buffer of each socket; None leaves the system's.
    credits, refill, cost : float
        Bucket of ordinary calls: size, refill per second, price of a call.
    subscribe_credits, subscribe_refill, subscribe_cost : float
        Bucket of (un)subscribe calls.
    instruments_burst, instruments_per_second : float
        Bucket of `public/get_instruments`.
    history_burst, history_per_second : float
        Bucket of the history host.
    refuses_binary : bool
        Whether binary frames are answered with 11050 (assumed, not measured) or read as text.
    """

    second: float = 1.0
    tick_seconds: float = 0.05
    idle_seconds: float = 60.5
    answer_seconds: float = 10.0
    connections: int = 32
    buffer_bytes: int = 8 * 1024**2
    socket_bytes: int | None = None
    credits: float = 50_000.0
    refill: float = 10_000.0
    cost: float = 500.0
    subscribe_credits: float = 30_000.0
    subscribe_refill: float = 10_000.0
    subscribe_cost: float = 3_000.0
    instruments_burst: float = 5.0
    instruments_per_second: float = 1.0
    history_burst: float = 5.0
    history_per_second: float = 5.0
    refuses_binary: bool = True


class RpcError(Exception):
    """An error as JSON-RPC names it."""

    def __init__(self, code: int, message: str, data: Any = None, *, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.data, self.status = code, message, data, status

    def body(self) -> dict[str, Any]:
        """Return the member ``error``."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        return body if self.data is None else body | {"data": self.data}


def invalid(param: str, reason: str) -> RpcError:
    """Return the error of a parameter."""
    return RpcError(-32602, "Invalid params", {"reason": reason, "param": param})


def too_many_requests() -> RpcError:
    """Return the error of an empty bucket."""
    return RpcError(10028, "too_many_requests", status=429)


class Bucket:
    """Credits that refill with real time."""

    def __init__(self, size: float, refill: float) -> None:
        self._size, self._refill, self._left = size, refill, size
        self._seen = time.monotonic()

    def take(self, cost: float) -> None:
        """Pay for a call.

        Raises
        ------
        RpcError
            10028 when the credits do not suffice.
        """
        now = time.monotonic()
        self._left = min(self._size, self._left + (now - self._seen) * self._refill)
        self._seen = now
        if self._left < cost:
            raise too_many_requests()
        self._left -= cost


class Buckets:
    """The buckets of one address (REST) or one session (WebSocket)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = Bucket(limits.credits, limits.refill)
        self._subscriptions = Bucket(limits.subscribe_credits, limits.subscribe_refill)
        self._instruments = Bucket(limits.instruments_burst, limits.instruments_per_second)

    def pay(self, method: str) -> None:
        """Pay for a call of a method, or raise 10028."""
        if method.endswith(("subscribe", "unsubscribe_all")):
            self._subscriptions.take(self._limits.subscribe_cost)
        elif method.endswith("/get_instruments"):
            self._instruments.take(1.0)
        else:
            self._calls.take(self._limits.cost)


def raise_faults(world: World, where: str, method: str) -> None:
    """Raise the error that an armed fault puts in place of a call's result."""
    if world.faults.take(TOO_MANY_REQUESTS, where) is not None:
        raise too_many_requests()
    options = world.faults.take(ERROR, where)
    if options is not None:
        raise RpcError(
            options.get("code", 10040),
            options.get("message", "retry"),
            status=options.get("status", 400),
        )
    if method not in WORKS_IN_MAINTENANCE and world.faults.active(MAINTENANCE, where) is not None:
        raise RpcError(11051, "system_maintenance", status=503)


def envelope(
    begun_us: int, outcome: Mapping[str, Any], *, request_id: Any = None, spent_us: int = 1
) -> str:
    """Return a reply: ``result`` or ``error``, with the id where the request had one."""
    body: dict[str, Any] = {"jsonrpc": "2.0"}
    if request_id is not None:
        body["id"] = request_id
    body |= outcome
    body |= {"usIn": begun_us, "usOut": begun_us + spent_us, "usDiff": spent_us, "testnet": False}
    return text(body)


def text(body: Any) -> str:
    """Return JSON as Deribit writes it; NaN is an error of ours."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False)


def authenticate(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `public/auth`.

    Raises
    ------
    RpcError
        13004 for wrong credentials, -32602 for an unknown grant.
    """
    grant = params.get("grant_type")
    if grant == "client_credentials":
        good = (params.get("client_id"), params.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
    elif grant == "client_signature":
        signed = "\n".join(str(params.get(name, "")) for name in ("timestamp", "nonce", "data"))
        wanted = signature(signed)
        given = str(params.get("signature", ""))
        good = params.get("client_id") == CLIENT_ID and hmac.compare_digest(wanted, given)
    elif grant == "refresh_token":
        good = params.get("refresh_token") == _token("refresh")
    else:
        raise invalid("grant_type", "unknown grant")
    if not good:
        raise RpcError(13004, "invalid_credentials")
    return {
        "access_token": _token("access"),
        "refresh_token": _token("refresh"),
        "expires_in": 900,
        "scope": "connection mainaccount",
        "token_type": "bearer",
        "enabled_features": [],
        "sid": "test",
    }


def signature(message: str) -> str:
    """Return the signature of timestamp, nonce and data, joined by line feeds."""
    return hmac.new(CLIENT_SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()


def _token(kind: str) -> str:
    return hashlib.sha256(f"{kind} {CLIENT_SECRET}".encode()).hexdigest()

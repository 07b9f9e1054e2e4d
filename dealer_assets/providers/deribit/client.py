"""Requests to Deribit's two hosts, and what its error codes mean.

Belongs here: one JSON-RPC call over HTTP GET with pace and patience, the error table. Does not
belong here: what a method's result holds (one module per topic).

The history host answers the same paths for times that the main host has forgotten; it is slower
and lacks some methods. Error objects arrive with HTTP 400 and others, and their code says more than
the status, so they are read before the status is judged. Only 429 is judged first, for its
``Retry-After``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import urlsplit

from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.providers.asking import ONE_ATTEMPT
from dealer_assets.providers.http import Http, HttpAnswer
from dealer_assets.providers.json_fields import read_object
from dealer_assets.providers.patience import Pace, Patience, raise_for_status

if TYPE_CHECKING:  # 80 ms, and only a live request needs it
    import httpx

Host = Literal["main", "history"]
Params = Mapping[str, str | int | bool]

_PATH = "/api/v2/public/"
_STATUS = "x-status-as-received"
_LISTINGS_PER_SECOND = 1.0
"""Deribit's own limit for `get_instruments`, the one method that has one."""

_TOO_OFTEN = frozenset({10028, 10066})
_PASSING = frozenset({10040, 10041, 10047, 13028, 13888})
_MAINTENANCE = frozenset({11051, 13503})
_OUR_FAULT = frozenset({11029, 11050, -32602, -32601, -32600, -32700})
_NOT_ENTITLED = frozenset({13004, 13009, 13021})
_NOTHING_THERE = frozenset({13019, 13020})
_PAUSE_AFTER_TOO_OFTEN_SECONDS = 1.0


@dataclass(frozen=True)
class Reply:
    """A result.

    Parameters
    ----------
    result : object
        The JSON value of ``result``.
    body : bytes
        The answer as received.
    is_testnet : bool
        It comes from Deribit's test market, whose prices are nobody's.
    """

    result: Any
    body: bytes
    is_testnet: bool = False


class DeribitApi:
    """Both hosts of Deribit's public API; safe to use from several threads, to be closed.

    Parameters
    ----------
    base_url, history_url : str
        Scheme and host of the main and of the history host.
    per_second, history_per_second : float
        Requests a second to each.
    patience : Patience
        Attempts and pauses, for HTTP and for Deribit's own errors alike.
    transport : httpx.BaseTransport, optional
        For tests; serves both hosts.
    """

    def __init__(
        self,
        *,
        base_url: str,
        history_url: str,
        per_second: float,
        history_per_second: float,
        patience: Patience,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._patience = patience
        self._listing_pace = Pace(_LISTINGS_PER_SECOND, sleep=patience.sleep)
        self._hosts: dict[Host, Http] = {
            "main": _http("Deribit", base_url, per_second, patience, transport),
            "history": _http(
                "Deribit's history host", history_url, history_per_second, patience, transport
            ),
        }

    def close(self) -> None:
        """Close the connections."""
        for host in self._hosts.values():
            host.close()

    def call(
        self, method: str, params: Params | None = None, *, host: Host = "main", attempts: int = 0
    ) -> Reply:
        """Return the result of a public method, after as many attempts as patience allows.

        Parameters
        ----------
        method : str
            Name without ``public/``.
        params : mapping, optional
            Arguments.
        host : {"main", "history"}
            Whom to ask.
        attempts : int
            Other than patience's, when above 0.

        Raises
        ------
        ProviderUnavailableError
            For what may pass: transport, 5xx, busy or locked engine, maintenance (it says so).
        RateLimitedError
            When asked too often.
        GarbledAnswerError
            When the answer is no JSON-RPC.
        NotEntitledError, NoDataError
            When refused, or nothing is there.
        ProviderError
            For requests that Deribit does not understand: a fault of this program, not retried.
        """
        query = {name: _word(value) for name, value in (params or {}).items()}
        patience = replace(self._patience, attempts=attempts) if attempts else self._patience
        return patience.call(lambda: self._attempt(method, query, host))

    def _attempt(self, method: str, query: dict[str, str | int], host: Host) -> Reply:
        if method == "get_instruments":
            self._listing_pace.wait()
        http = self._hosts[host]
        return read_reply(http.get_text(_PATH + method, query), vendor=http.vendor, method=method)


def _word(value: str | int | bool) -> str | int:
    return str(value).lower() if isinstance(value, bool) else value


def _http(
    vendor: str,
    base_url: str,
    per_second: float,
    patience: Patience,
    transport: httpx.BaseTransport | None,
) -> Http:
    return Http(
        vendor,
        base_url,
        patience=ONE_ATTEMPT,  # `call` tries again, for errors inside answers too
        pace=Pace(per_second, sleep=patience.sleep),
        transport=_errors_as_answers(transport or _transport(base_url)),
    )


def _transport(base_url: str) -> httpx.BaseTransport:
    """Return what httpx would use by itself, the environment's proxy included."""
    from urllib.request import getproxies, proxy_bypass

    import httpx

    scheme, host = urlsplit(base_url)[:2]
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    return httpx.HTTPTransport(proxy=proxy)


def _errors_as_answers(inner: httpx.BaseTransport) -> httpx.BaseTransport:
    """Let JSON through whatever its status, which `read_reply` finds in a header."""
    import httpx

    class ErrorsAsAnswers(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = inner.handle_request(request)
            is_json = "json" in answer.headers.get("content-type", "")
            if answer.status_code >= 400 and answer.status_code != 429 and is_json:
                answer.headers[_STATUS] = str(answer.status_code)
                answer.status_code = 200
            return answer

        def close(self) -> None:
            inner.close()

    return ErrorsAsAnswers()


def read_reply(answer: HttpAnswer, *, vendor: str, method: str) -> Reply:
    """Return the result of an answer, or raise what its error means.

    Parameters
    ----------
    answer : HttpAnswer
        As received.
    vendor, method : str
        Who was asked for what, for messages.

    Raises
    ------
    ProviderError
        As `DeribitApi.call`.
    """
    asked = f"public/{method}"
    status = int(answer.headers.get(_STATUS, "200"))
    try:
        top = read_object(answer.body, f"{vendor}'s answer for {asked}")
    except BadInputError as broken:
        raise GarbledAnswerError(str(broken)) from broken
    error = top.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        raise_for_code(error, vendor=vendor, asked=asked)
    if status != 200:
        said = answer.body[:2000].decode("utf-8", "replace")
        raise_for_status(status, vendor=vendor, asked=asked, said=said, headers=answer.headers)
    if "result" not in top:
        raise GarbledAnswerError(
            f"{vendor} answered {asked} with neither result nor error, found only "
            f"{', '.join(sorted(top)[:8]) or 'nothing'}: expected JSON-RPC; check the base URL"
        )
    return Reply(top["result"], answer.body, is_testnet=top.get("testnet") is True)


def raise_for_code(error: Mapping[str, Any], *, vendor: str, asked: str) -> NoReturn:
    """Raise what a JSON-RPC error object of Deribit means.

    Parameters
    ----------
    error : mapping
        With ``code``, ``message`` and perhaps ``data``.
    vendor, asked : str
        Who was asked for what.

    Raises
    ------
    ProviderError
        As `DeribitApi.call`.
    """
    code, words = error["code"], str(error.get("message", "without words"))[:100]
    data = error.get("data")
    more = f" ({str(data)[:200]})" if data not in (None, "", {}) else ""
    problem = f"{vendor} refused {asked}: {code} {words}{more}"
    if code in _TOO_OFTEN:
        raise RateLimitedError(
            f"{problem}: asked too often; lower the requests per second",
            retry_after_seconds=_PAUSE_AFTER_TOO_OFTEN_SECONDS,
        )
    if code in _MAINTENANCE:
        raise ProviderUnavailableError(
            f"{problem}: it is under maintenance, so nothing is wrong here; try again when it ends"
        )
    if code in _PASSING:
        raise ProviderUnavailableError(f"{problem}: this passes; try again later")
    if code in _NOT_ENTITLED:
        raise NotEntitledError(f"{problem}: expected a public method; check the base URL")
    if code in _NOTHING_THERE:
        raise NoDataError(f"{problem}: it has no such instrument, or closed its book")
    if code in _OUR_FAULT:
        raise ProviderError(
            f"{problem}: the request was wrong, and would be again; report it with this message"
        )
    raise ProviderError(f"{problem}: an unknown error code; see Deribit's list of errors")

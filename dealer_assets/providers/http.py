"""GET requests with time-outs that hold, retries, a pace, and no secret in any message.

Belongs here: carrying a request over httpx. Does not belong here: what an answer means
(`patience.raise_for_status`, and the vendor's module).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from pydantic import SecretStr

from dealer_assets.errors import BadInputError, GarbledAnswerError, ProviderUnavailableError
from dealer_assets.providers.patience import Pace, Patience, raise_for_status

if TYPE_CHECKING:
    import httpx

_HIDDEN = "[hidden]"
_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 "
    "Safari/537.36"
)
"""Several free sources refuse agents that do not look like a browser."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer with status 200.

    Parameters
    ----------
    body : bytes
        Decoded from its transfer encoding.
    headers : mapping of str to str
        Lower-case names.
    """

    body: bytes
    headers: Mapping[str, str]


class Http:
    """One vendor's host; safe to use from several threads, to be closed.

    Parameters
    ----------
    vendor : str
        Name for messages.
    base_url : str
        Scheme and host, e.g. a test exchange's.
    secrets : sequence of SecretStr
        Struck out of every message.
    headers : mapping of str to str
        Sent with each request; credentials belong here, never into a query.
    timeout_seconds : float
        Longest silence, at connecting or between two bytes.
    total_seconds : float
        Longest duration of one attempt, however steadily it drips.
    patience : Patience
        Attempts and pauses.
    pace : Pace, optional
        Limit of requests a second.
    advice : mapping of int to str, optional
        What to do, by status.
    transport : httpx.BaseTransport, optional
        For tests.

    Raises
    ------
    BadInputError
        When the base URL has no scheme or host.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        secrets: tuple[SecretStr, ...] = (),
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 20.0,
        total_seconds: float = 120.0,
        patience: Patience | None = None,
        pace: Pace | None = None,
        advice: Mapping[int, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        if not base_url.startswith(("http://", "https://")) or len(base_url) < len("http://x"):
            raise BadInputError(
                f"expected the base URL of {vendor} like https://host, found {base_url!r}"
            )
        self.vendor = vendor
        self._base_url = base_url.rstrip("/")
        self._secrets = secrets
        self._total_seconds = total_seconds
        self._patience = patience or Patience()
        self._pace = pace
        self._advice = advice
        self._client = httpx.Client(
            transport=transport,
            timeout=timeout_seconds,
            follow_redirects=True,
            headers={"User-Agent": _BROWSER, **(headers or {})},
        )

    def __enter__(self) -> Http:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> HttpAnswer:
        """Return the answer of a path, after as many attempts as patience allows.

        Parameters
        ----------
        path : str
            Beginning with ``/``.
        params : mapping, optional
            Query.

        Raises
        ------
        ProviderError
            As `patience.raise_for_status`; `ProviderUnavailableError` also for transport failures
            and time-outs.
        """
        return self._patience.call(lambda: self._attempt(path, dict(params or {})))

    def _attempt(self, path: str, params: dict[str, str | int]) -> HttpAnswer:
        import httpx

        if self._pace is not None:
            self._pace.wait()
        deadline = time.monotonic() + self._total_seconds
        try:
            with self._client.stream("GET", self._base_url + path, params=params) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if time.monotonic() > deadline:
                        raise ProviderUnavailableError(
                            f"{self.vendor} did not finish its answer for {path} within "
                            f"{self._total_seconds:g} seconds: try again later"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailableError(
                f"{self.vendor} did not answer for {path}: "
                f"{type(error).__name__}: {self._without_secrets(str(error))}; try again later"
            ) from None  # the original may quote the request with its headers
        if answer.status_code != httpx.codes.OK:
            raise_for_status(
                answer.status_code,
                vendor=self.vendor,
                asked=path,
                said=self._without_secrets(body[:2000].decode("utf-8", "replace")),
                headers=answer.headers,
                advice=self._advice,
            )
        return HttpAnswer(bytes(body), dict(answer.headers))

    def get_text(self, path: str, params: Mapping[str, str | int] | None = None) -> HttpAnswer:
        """Return an answer that must not be a web page.

        Raises
        ------
        GarbledAnswerError
            When the answer is HTML; it counts as a failure that may pass.
        """

        def attempt() -> HttpAnswer:
            answer = self._attempt(path, dict(params or {}))
            if answer.body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
                raise GarbledAnswerError(
                    f"{self.vendor} answered {path} with a web page, expected data: it is down, "
                    "or refuses this network"
                )
            return answer

        return self._patience.call(attempt)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            if secret.get_secret_value():
                text = text.replace(secret.get_secret_value(), _HIDDEN)
        return text
